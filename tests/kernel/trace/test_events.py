# SPDX-License-Identifier: GPL-2.0-only
"""Tracepoints: KVM's names and fields, and what they say of a guest known to the last exit."""

import re

import pytest

from lib.tracing import TRACING, traced
from unikvm.lab import modules

pytestmark = pytest.mark.module

# What the guest of payload.S causes: event -> lines, each of which must be there.
EXPECTED = {
    "kvm_entry": [r"vcpu 0, rip 0x1000$"],
    "kvm_exit": [r"vcpu 0 reason cpuid rip 0x1010 info1 0x0{16} "
                 r"info2 0x\w+ intr_info 0x0{8} error_code 0x\w+$",
                 r"reason npf rip 0x\w+ info1 0x\w+ info2 0x00000000d0000000 ",
                 r"reason msr rip 0x\w+ info1 0x0{15}1 ", r"reason hlt ",
                 r"reason hypercall ", r"reason cr0_sel_write ",
                 r"reason io rip 0x\w+ info1 0x0{10}80\w{4} "],
    "kvm_cpuid": [r"func 40000000 idx 0 rax 40000001 rbx 4b4d564b rcx 564b4d56 rdx 4d, "
                  r"cpuid entry found$"],
    "kvm_msr": [r"msr_read 8b = 0x\w+$", r"msr_write 2ff = 0xc06$",
                r"msr_read dead1234 = 0x0 \(#GP\)$"],
    "kvm_inj_exception": [r"#GP \(0x0\)$"],
    "kvm_pio": [r"pio_write at 0x80 size 1 count 1 val 0x5a ?$",
                r"pio_read at 0x81 size 1 count 1 val 0xa5 ?$",
                r"pio_write at 0xa1 size 1 count 1 val 0xff ?$",
                r"pio_read at 0xa1 size 1 count 1 val 0xff ?$"],
    "kvm_mmio": [r"mmio write len 4 gpa 0xd0000000 val 0x11223344$",
                 r"mmio unsatisfied-read len 4 gpa 0xd0000004 val 0x0$",
                 r"mmio read len 4 gpa 0xd0000004 val 0x55667788$",
                 r"mmio write len 4 gpa 0xfee000f0 val 0x1ff$"],
    "kvm_page_fault": [r"vcpu 0 rip 0x1000 address 0x0{12}1000 error_code 0x\w+$",
                       r"vcpu 0 rip 0x\w+ address 0x00000000d0000000 error_code 0x\w+$"],
    "kvm_emulate_insn": [r"0:\w+:c7 05 00 00 00 d0 44 33 22 11 \(prot32\)$"],
    "kvm_hypercall": [r"nr 0x1 a0 0x2 a1 0x3 a2 0x4 a3 0x5$"],
    "kvm_cr": [r"cr_write 0 = 0x\w*10011$"],
    "kvm_apic": [r"apic_write APIC_SPIV = 0x1ff$", r"apic_read APIC_LVR = 0x\w+$",
                 r"apic_write APIC_EOI = 0x0$", r"apic_write APIC_TMICT = 0x1000000$"],
    "kvm_apic_ipi": [r"dst 0 vec 64 \(Fixed\|physical\|assert\|edge\|self\)$"],
    "kvm_apic_accept_irq": [rf"apicid 0 vec {vector} \(Fixed\|edge\)$"
                            for vector in (0x40, 0x45, 0x46, 0x47)],
    "kvm_inj_virq": [rf"IRQ 0x{vector:x}( \[reinjected\])?$"
                     for vector in (0x40, 0x45, 0x46, 0x47)],
    "kvm_eoi": [rf"apicid 0 vector {vector}$" for vector in (0x40, 0x45, 0x46, 0x47)],
    "kvm_set_irq": [r"gsi 5 level 1 source 0$", r"gsi 5 level 0 source 0$"],
    "kvm_pic_set_irq": [r"chip 0 pin 5 \(edge(\|masked)?\)"],
    "kvm_ioapic_set_irq": [r"pin 5 dst 0 vec 69 \(Fixed\|physical\|edge\)$"],
    "kvm_ack_irq": [r"irqchip IOAPIC pin 5$"],
    "kvm_msi_set_irq": [r"dst 0 vec 70 \(Fixed\|physical\|edge\)$"],
    "kvm_userspace_exit": [r"reason KVM_EXIT_IO \(2\)$", r"reason KVM_EXIT_MMIO \(6\)$"],
    "kvm_vcpu_wakeup": [r"wait time \d+ ns, polling valid$"],
}


def fields(l1) -> dict[str, list[tuple]]:
    """Of each event of the loaded half: (name, offset, size, signed) of its fields."""
    out = l1.check(f"""
        mountpoint -q {TRACING} || mount -t tracefs none {TRACING}
        cd {TRACING}/events/kvm; for event in kvm_*; do echo "event $event"; cat $event/format; done""")
    events: dict[str, list[tuple]] = {}
    for line in out.splitlines():
        if line.startswith("event "):
            current = events.setdefault(line.split()[1], [])
        field = re.match(r"\s+field:(.*?);\s*offset:(\d+);\s*size:(\d+);\s*signed:(\d);", line)
        if field and "common_" not in field.group(1):
            current.append((field.group(1).split()[-1], *map(int, field.groups()[1:])))
    return events


def test_each_event_says_what_happened(l1_tree, traceguest):
    lines = traced(l1_tree, str(traceguest))
    for event, patterns in EXPECTED.items():
        texts = [text for name, text in lines if name == event]
        for pattern in patterns:
            assert any(re.match(r".*" + pattern, text) for text in texts), \
                f"no {event} with {pattern!r} among\n" + "\n".join(texts)
    assert {name for name, _ in lines} == set(EXPECTED)


def test_an_entry_for_each_exit(l1_tree, traceguest):
    names = [name for name, _ in traced(l1_tree, str(traceguest), "kvm/kvm_entry kvm/kvm_exit")]
    assert len(names) > 20
    assert names == ["kvm_entry", "kvm_exit"] * (len(names) // 2)


def test_names_and_fields_are_those_of_the_distribution_s_kvm(l1_tree):
    ours = fields(l1_tree)
    try:
        modules.load(l1_tree.machine, "stock")
        theirs = fields(l1_tree)
    finally:
        l1_tree.reload({"kvm.paranoid": "1"})
    assert set(EXPECTED) <= set(ours)
    assert ours == {name: theirs.get(name) for name in ours}


def test_unknown_msrs_can_be_ignored(l1_tree, traceguest):
    parameter = "/sys/module/kvm/parameters/ignore_msrs"
    l1_tree.check(f"echo Y > {parameter}")
    try:
        texts = [text for _, text in traced(l1_tree, str(traceguest), "kvm/kvm_msr")]
    finally:
        l1_tree.check(f"echo N > {parameter}")
    assert "msr_read dead1234 = 0x0" in texts
    assert "read of unknown MSR 0xdead1234 ignored" in l1_tree.check("dmesg")
