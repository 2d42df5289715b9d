# SPDX-License-Identifier: GPL-2.0-only
"""Asynchronous page faults: what a guest hears of pages that the host has yet to fetch."""

import re

import pytest

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
    r"kvm_async_pf_ready: token 0xffffffff gva 0x0$",
    r"kvm_try_async_get_page: gva = 0x10000, gfn = 0x10$",
    r"kvm_async_pf_not_present: token 0x1000 gva 0x10000$",
    r"kvm_async_pf_completed: gva 0x10000 address 0x\w+$",
    r"kvm_async_pf_ready: token 0x1000 gva 0x10000$",
]


def check_events(l1, asyncpf) -> None:
    out = l1.check(f"""
        mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
        cd /sys/kernel/tracing
        echo > trace
        for event in events/kvm/*async*; do echo 1 > $event/enable; done
        {asyncpf} one </dev/null >&2
        echo 0 > events/enable
        cat trace""", timeout=60)
    found = re.findall(r"kvm_\w+: .*", out)
    assert len(found) == len(EVENTS) and all(map(re.match, EVENTS, found)), out


def test_it_can_be_watched(l1_tree, asyncpf):
    check_events(l1_tree, asyncpf)


@pytest.mark.full
def test_it_can_be_watched_on_stock(l1_stock, asyncpf):
    check_events(l1_stock, asyncpf)


def test_nothing_waits_for_a_page_that_never_comes(l1_tree, asyncpf):
    """The program that would bring it ends: so do its VM, and the modules' use."""
    assert heard(l1_tree, asyncpf, "gone") == ["ready all", "not present 1"]
    l1_tree.reload({"kvm.paranoid": "1"})
