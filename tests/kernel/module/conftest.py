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
def build_guest():
    """build(folder, name), for a machine that sees no folder of ours."""
    return build


def program(name: str):
    """A fixture: the path, on the host and in L1, of the program of that name."""
    @pytest.fixture(name=name)
    def built(labs) -> Path:
        return build(labs.scratch, name)
    return built


# Makes VMs with everything in them, runs a little code, lets them go.
smallguest = program("smallguest")
# Sleeps with an interrupt pending.
stihlt = program("stihlt")
# Ends interrupts by the flag in memory.
pveoi = program("pveoi")
# Has memory whose pages come when it says so.
asyncpf = program("asyncpf")
# Up to 254 vCPUs that interrupt one another, and find out what goes wrong.
manycpus = program("manycpus")
# For a guest: translations, clocks and wake-ups on all of its CPUs.
smpload = program("smpload")
# Prints a guest's clocks; notes in L1 when each line came.
clockline = program("clockline")
# One CPU changes code that another runs; counts the changes that came too late.
crosscode = program("crosscode")
# Loads the FPU's state all the time.
fpuload = program("fpuload")
