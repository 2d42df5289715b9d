# SPDX-License-Identifier: GPL-2.0-only
"""Interrupts and the instructions that wait for them."""

import re

import pytest

pytestmark = pytest.mark.module


def test_a_pending_interrupt_comes_after_sti_hlt(l1_tree, stihlt):
    """Guards "svm: no STI shadow into the guest"."""
    assert l1_tree.check(f"{stihlt} </dev/null", timeout=60) == "3\n"


def check_pv_eoi(out: str) -> None:
    """All end, by the flag where no exit (a tick of the host, say) came between."""
    first, second = re.fullmatch(r"at once: (.*); after an exit: (.*)\n", out).groups()
    skipped, written = map(int, re.fullmatch(r"skipped (\d), written (\d)", first).groups())
    assert skipped + written == 3 and skipped > 0
    assert second == "skipped 0, written 3, flag 0, in service 3"


def test_an_interrupt_ends_without_an_exit(l1_tree, pveoi):
    """The flag is there for the handler, unless the guest left meanwhile."""
    check_pv_eoi(l1_tree.check(f"{pveoi} </dev/null", timeout=60))


@pytest.mark.full
def test_an_interrupt_ends_without_an_exit_on_stock(l1_stock, pveoi):
    check_pv_eoi(l1_stock.check(f"{pveoi} </dev/null", timeout=60))
