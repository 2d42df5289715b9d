# SPDX-License-Identifier: GPL-2.0-only
"""Unmodified tools on our tracepoints: perf kvm stat, trace-cmd."""

import re

import pytest

pytestmark = pytest.mark.module

GUESTS = 5
# Exits of one run of the guest that depend on nothing else.
EXACT = {"cpuid": 1, "msr": 3, "hypercall": 1, "cr0_sel_write": 1, "io": 6}


def exits_by_reason(report: str) -> dict[str, int]:
    """First two columns of perf's table."""
    rows = re.findall(r"^ +([a-z][\w ]*?) +(\d+) +[\d.]+% +[\d.]+%", report, re.MULTILINE)
    return {name: int(count) for name, count in rows}


def test_perf_kvm_stat_shows_exits_by_reason(l1_tree, traceguest):
    """Record once; report exits, ports and MMIO."""
    l1_tree.check(f"cd /tmp && perf kvm stat record -o /tmp/kvm.data {traceguest} {GUESTS} "
                  "</dev/null", timeout=120)
    report = l1_tree.check("perf kvm -i /tmp/kvm.data stat report 2>&1", timeout=60)
    found = exits_by_reason(report)
    # The very last exit is followed by no entry.
    expected = {name: count * GUESTS for name, count in EXACT.items()}
    expected["io"] -= 1
    assert {name: found.get(name) for name in expected} == expected, report
    assert found["npf"] > 2 * GUESTS and found["hlt"] >= GUESTS, report

    ports = l1_tree.check("perf kvm -i /tmp/kvm.data stat report --event=ioport 2>&1")
    assert re.search(rf"^ +0x80:POUT +{GUESTS} ", ports, re.MULTILINE), ports
    mmio = l1_tree.check("perf kvm -i /tmp/kvm.data stat report --event=mmio 2>&1")
    assert re.search(rf"^ +0xd0000000:W +{GUESTS} ", mmio, re.MULTILINE), mmio
    assert re.search(rf"^ +0xd0000004:R +{GUESTS} ", mmio, re.MULTILINE), mmio


# perf reads all of /lib/modules first, which takes a minute in a machine over the host's
# file system: it gets an empty one.
LIVE = """
cd /tmp; {guest} 1000000 </dev/null & guest=$!
unshare -m sh -c 'mount -t tmpfs none /lib/modules/$(uname -r) &&
    exec timeout -k 5 -s INT {seconds} perf kvm stat live -d 2' </dev/null 2>&1
kill $guest; wait $guest
true
"""


def test_perf_kvm_stat_live(l1_tree, traceguest):
    """A table every two seconds, while a guest runs."""
    out = l1_tree.check(LIVE.format(guest=traceguest, seconds=15 * l1_tree.slower_by), timeout=120)
    tables = [exits_by_reason(text) for text in out.split("Analyze events for all VMs")[1:]]
    busy = [table for table in tables if table]
    assert len(busy) >= 2, out
    for table in busy:
        assert table.keys() >= {"cpuid", "msr", "io", "npf"}, table
        # The table may begin and end anywhere in the guest's round.
        assert abs(table["msr"] - 3 * table["cpuid"]) <= 3, table
    # Not in each: the live table was seen to lack exits that every round has.
    assert any("hlt" in table for table in busy), out


def test_trace_cmd_with_its_kvm_plugin(l1_tree, traceguest):
    out = l1_tree.check(f"""
        cd /tmp && trace-cmd record -q -e kvm -o /tmp/kvm.dat {traceguest} </dev/null >&2
        trace-cmd report -i /tmp/kvm.dat""", timeout=120)
    assert re.search(r"kvm_exit: +reason EXIT_CPUID rip 0x1010", out), out[-3000:]
    assert re.search(r"kvm_userspace_exit: +reason KVM_EXIT_MMIO \(6\)", out), out[-3000:]
    assert re.search(r"kvm_emulate_insn: .*c7 05 00 00 00 d0", out), out[-3000:]
    assert "[FAILED TO PARSE]" not in out


def test_samples_are_attributed_to_the_guest(l1_tree, traceguest):
    """perf kvm --guest: ring 0 (misc 4) in the loop at the payload's start, and not all of them."""
    out = l1_tree.check(f"""
        cd /tmp && perf kvm --guest record -a -e cpu-clock -o /tmp/guest.data \
            {traceguest} 1 300000000 </dev/null >&2
        perf report -D -i /tmp/guest.data 2>/dev/null | grep PERF_RECORD_SAMPLE""", timeout=120)
    samples = [(int(misc, 16) & 7, int(ip, 16)) for misc, ip in
               re.findall(r"SAMPLE\(IP, (0x\w+)\): \S+: (0x\w+)", out)]
    guest = [ip for mode, ip in samples if mode == 4]
    assert len(guest) > 20, out[-2000:]
    loop = [ip for ip in guest if 0x1006 <= ip <= 0x1008]
    assert len(loop) > 0.9 * len(guest), [hex(ip) for ip in guest]
    assert len(guest) < len(samples)
    assert not [ip for mode, ip in samples if mode == 5], "user mode of the guest"
