# SPDX-License-Identifier: GPL-2.0-only
"""What several emulated CPUs owe each other, whatever runs on them (docs/kernels.md)."""

import re
from pathlib import Path

import pytest

from lib import programs

pytestmark = [pytest.mark.module, pytest.mark.full]


@pytest.fixture(scope="module")
def crosscode(labs):
    """The program, on the host and in L1."""
    return programs.build(labs.scratch / "crosscode", Path(__file__).with_name("crosscode.c"))


@pytest.mark.parametrize("how", ["", "beside", "remap", "beside remap"])
def test_code_that_another_cpu_changed_is_never_run_as_it_was(labs, crosscode, how):
    """Debian's QEMU fails each: nearly all changes come too late where the page has no other."""
    out = labs.get("stock", cpus=2).check(f"{crosscode} 5 {how}", timeout=60)
    changes, late = map(int, re.fullmatch(r"(\d+) changes, (\d+) late\n", out).groups())
    assert changes > 1000 and late == 0
