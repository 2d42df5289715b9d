# SPDX-License-Identifier: GPL-2.0-only
"""The requests of a 32-bit program, in L1."""

from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module


@pytest.fixture(scope="module")
def program(labs) -> Path:
    """Path, on the host and in L1, of the program."""
    return programs.build(labs.scratch / "compat", Path(__file__).parent / "l1/compat.c")


def test_a_32_bit_program(l1_tree, program):
    assert l1_tree.check(f"timeout 100 {program}", timeout=120) == "ok\n"


@pytest.mark.full
def test_a_32_bit_program_on_stock(l1_stock, program):
    assert l1_stock.check(f"timeout 100 {program}", timeout=120) == "ok\n"
