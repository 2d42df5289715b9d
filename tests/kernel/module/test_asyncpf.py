# SPDX-License-Identifier: GPL-2.0-only
"""Asynchronous page faults: what a guest hears of pages that the host has yet to fetch."""

import re

import pytest

from lib.tracing import traced

pytestmark = pytest.mark.module

# What the guest says (asyncpf.c), in order.
CASES = {
    "one": ["ready all", "not present 1", "ready 1", "value 0"],
    "two": ["ready all", "not present 1", "not present 2", "ready 2", "value 1", "ready 1",
            "value 0"],
    "deaf": ["ready all", "value 0"],
    "masked": ["ready all", "value 0"],
    "again": ["ready all", "not present 1", "ready 1", "value 0", "value 0"],
}


def heard(l1, asyncpf, case: str) -> list[str]:
    """The lines; the interrupt may come before or after the read that waited with it."""
    lines = l1.check(f"{asyncpf} {case} </dev/null", timeout=60).splitlines()
    return lines[:2] + sorted(lines[2:]) if case == "again" else lines


@pytest.mark.parametrize("case", CASES)
def test_the_guest_hears_of_its_pages(l1_tree, asyncpf, case):
    assert heard(l1_tree, asyncpf, case) == CASES[case]


@pytest.mark.full
@pytest.mark.parametrize("case", CASES)
def test_the_guest_hears_of_its_pages_on_stock(l1_stock, asyncpf, case):
    assert heard(l1_stock, asyncpf, case) == CASES[case]


EVENTS = [
    ("kvm_async_pf_ready", r"token 0xffffffff gva 0x0$"),
    ("kvm_try_async_get_page", r"gva = 0x10000, gfn = 0x10$"),
    ("kvm_async_pf_not_present", r"token 0x1000 gva 0x10000$"),
    ("kvm_async_pf_completed", r"gva 0x10000 address 0x\w+$"),
    ("kvm_async_pf_ready", r"token 0x1000 gva 0x10000$"),
]


def check_events(l1, asyncpf) -> None:
    found = [event for event in traced(l1, f"{asyncpf} one") if "async" in event[0]]
    assert [name for name, _ in found] == [name for name, _ in EVENTS], found
    assert all(re.match(text, seen) for (_, text), (_, seen) in zip(EVENTS, found)), found


def test_it_can_be_watched(l1_tree, asyncpf):
    check_events(l1_tree, asyncpf)


@pytest.mark.full
def test_it_can_be_watched_on_stock(l1_stock, asyncpf):
    check_events(l1_stock, asyncpf)


def test_nothing_waits_for_a_page_that_never_comes(l1_tree, asyncpf):
    """The program that would bring it ends: so do its VM, and the modules' use."""
    assert heard(l1_tree, asyncpf, "gone") == ["ready all", "not present 1"]
    l1_tree.reload({"kvm.paranoid": "1"})
