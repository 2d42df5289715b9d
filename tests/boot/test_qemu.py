# SPDX-License-Identifier: GPL-2.0-only
"""The kernel half under the outside world's VMM: Debian's unmodified QEMU."""

import pytest

from unikvm.lab import cases, qemu, suite

pytestmark = [pytest.mark.boot, pytest.mark.module]


def passes(l1, case):
    outcome = cases.run(l1.machine, qemu.PROGRAM, qemu.order(case, [suite.QEMU]))
    assert outcome.word == "pass", outcome.detail


def test_qemu_boots_on_the_tree_s_half(l1_tree):
    passes(l1_tree, qemu.Case("boot", "pc", 1, "on"))


def test_qemu_boots_on_the_stock_half(l1_stock):
    """The bench itself: without this the test above would blame the wrong part."""
    passes(l1_stock, qemu.Case("boot", "pc", 1, "on"))
