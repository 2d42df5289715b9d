# SPDX-License-Identifier: GPL-2.0-only
"""The small guests that tests of the module run in L1."""

from pathlib import Path

import pytest

from lib import programs


def build(folder: Path, name: str) -> Path:
    """A program of this folder, compiled into another."""
    sources = sorted(Path(__file__).parent.glob(f"{name}.[cS]"))
    return programs.build(folder / name, *sources)


@pytest.fixture
def smallguest(labs) -> Path:
    """Makes VMs with everything in them, runs a little code, lets them go."""
    return build(labs.scratch, "smallguest")


@pytest.fixture
def stihlt(labs) -> Path:
    """Sleeps with an interrupt pending."""
    return build(labs.scratch, "stihlt")


@pytest.fixture
def build_guest():
    """build(folder, name), for a machine that sees no folder of ours."""
    return build


@pytest.fixture
def pveoi(labs) -> Path:
    """Ends interrupts by the flag in memory."""
    return build(labs.scratch, "pveoi")


@pytest.fixture
def manycpus(labs) -> Path:
    """Up to 254 vCPUs that interrupt one another, and find out what goes wrong."""
    return build(labs.scratch, "manycpus")


@pytest.fixture
def smpload(labs) -> Path:
    """For a guest: translations, clocks and wake-ups on all of its CPUs."""
    return build(labs.scratch, "smpload")


@pytest.fixture
def clockline(labs) -> Path:
    """Prints a guest's clocks; notes in L1 when each line came."""
    return build(labs.scratch, "clockline")
