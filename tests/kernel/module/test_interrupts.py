# SPDX-License-Identifier: GPL-2.0-only
"""Interrupts and the instructions that wait for them."""

import pytest

pytestmark = pytest.mark.module


def test_a_pending_interrupt_comes_after_sti_hlt(l1_tree, stihlt):
    """Guards "svm: no STI shadow into the guest"."""
    assert l1_tree.check(f"{stihlt} </dev/null", timeout=60) == "3\n"
