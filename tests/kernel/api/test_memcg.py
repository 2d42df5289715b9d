# SPDX-License-Identifier: GPL-2.0-only
"""What a user can make grow in the kernel counts to the user's memory cgroup, in L1."""

import re
from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

SOURCE = Path(__file__).parent / "l1/memcg.c"
KINDS = re.findall(r'^\t\{ "([^"]+)", make_', SOURCE.read_text(), re.MULTILINE)

FREE_ON_STOCK = {"CPUID", "MSR filter"}     # in 6.1


@pytest.fixture(scope="module")
def program(labs) -> Path:
    """Path, on the host and in L1, of the program."""
    return programs.build(labs.scratch / "memcg", SOURCE)


def test_everything_is_charged(l1_tree, program):
    assert KINDS and l1_tree.check(f"timeout 100 {program}", timeout=120).splitlines() == [
        f"ok {name}" for name in KINDS]


@pytest.mark.full
def test_stock_charges_most_of_it_too(l1_stock, program):
    out = l1_stock.run(f"timeout 100 {program}", timeout=120).stdout.decode()
    charged = set(re.findall(r"^ok (.+)$", out, re.MULTILINE))
    assert set(KINDS) - charged <= FREE_ON_STOCK, out
