# SPDX-License-Identifier: GPL-2.0-only
"""Interrupt chips, routes, irqfds, ioeventfds and coalesced writes as a program and its guest see them."""

from pathlib import Path

import pytest

from lib import programs

SOURCES = Path(__file__).parent / "l1"
CASES = 32
# Stock 6.1 believes ring indices from outside the ring, and misjudges a full ring that wraps.
# KVM_HC_SEND_IPI there reaches no vCPU that was only created, as the case's number 35.
TREE_ONLY = {"coalesced_hostile_ring", "coalesced_ring_full", "ipis_by_hypercall"}


@pytest.fixture(scope="module")
def program(labs) -> Path:
    """The program of l1/."""
    return programs.build(labs.scratch / "irqchip", *sorted(SOURCES.glob("*.c")),
                          SOURCES / "payload.S", flags=["-Wno-missing-field-initializers"])


def outcome(l1, program: Path, *names: str) -> tuple[int, set[str], str]:
    """(exit status, cases passed, everything printed) of a run in L1."""
    result = l1.run([str(program), *names], timeout=240)
    text = (result.stdout + result.stderr).decode(errors="replace")
    return result.status, {line[3:] for line in text.splitlines() if line.startswith("ok ")}, text


def all_cases() -> set[str]:
    """The names in cases.h."""
    words = (SOURCES / "cases.h").read_text().split("X(")[2:]
    return {word.split(")")[0] for word in words} - {"name"}


@pytest.mark.module
def test_every_case(l1_tree, program) -> None:
    status, passed, text = outcome(l1_tree, program)
    assert status == 0, text
    assert passed == all_cases() and len(passed) == CASES, text


@pytest.mark.module
@pytest.mark.full
def test_the_cases_hold_on_stock(l1_stock, program) -> None:
    """The program tests KVM's interface, not our idea of it."""
    names = sorted(all_cases() - TREE_ONLY)
    status, passed, text = outcome(l1_stock, program, *names)
    assert status == 0, text
    assert passed == set(names)
