# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU's state before its first instruction."""
from __future__ import annotations

import struct
from typing import Protocol

from ..abi import constants as abi
from ..boot import cpuid
from ..core.vm import Kvm, Vcpu

# The local APIC's LVT entries for its two pins, and what a PC has on them
# (SDM vol. 3, 11.5.1): the 8259 on LINT0, NMI on LINT1.
LVT_LINT0, LVT_LINT1 = 0x350, 0x360
MODE_NMI, MODE_EXTINT = 0x400, 0x700

MSR_TSC = 0x10
MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP = 0x174, 0x175, 0x176
MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRING = 0x1A0, 1
MSR_MTRR_DEFAULT = 0x2FF
MTRR_ENABLE_WRITE_BACK = 0xC06  # fixed and variable ranges on, default WB
MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK = 0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084
MSR_KERNEL_GS_BASE = 0xC0000102

RESET_MSRS = {
    MSR_TSC: 0, MSR_SYSENTER_CS: 0, MSR_SYSENTER_ESP: 0, MSR_SYSENTER_EIP: 0,
    MSR_STAR: 0, MSR_LSTAR: 0, MSR_CSTAR: 0, MSR_SFMASK: 0, MSR_KERNEL_GS_BASE: 0,
    MSR_MISC_ENABLE: MISC_ENABLE_FAST_STRING,
}


class EntryState(Protocol):
    """Registers at the entry of a directly booted kernel, in KVM's names."""

    regs: dict[str, int]
    sregs: dict[str, int | dict[str, int]]


def set_up(kvm: Kvm, vcpu: Vcpu, cpus: int, entry: EntryState | None) -> None:
    """Make vcpu ready to run: identity, MSRs, local APIC, entry point.

    entry: None leaves the reset state, which KVM creates a vCPU in: real mode,
    16 bytes below 4 GiB on the boot CPU, waiting for INIT on the others.
    """
    entries = cpuid.for_vcpu(
        kvm.supported_cpuid(), cpu=vcpu.id, cpus=cpus,
        tsc_deadline=bool(kvm.check(abi.KVM_CAP_TSC_DEADLINE_TIMER)))
    vcpu.set_cpuid(entries)
    vcpu.reset_fpu()
    vcpu.set_msrs(RESET_MSRS)
    _wire_lapic(vcpu)
    if entry is not None and vcpu.id == 0:
        # No firmware sets up the memory types for this kernel.
        vcpu.set_msrs({MSR_MTRR_DEFAULT: MTRR_ENABLE_WRITE_BACK})
        vcpu.set_sregs(entry.sregs)
        vcpu.set_regs(entry.regs)


def _wire_lapic(vcpu: Vcpu) -> None:
    page = bytearray(vcpu.get_lapic())
    struct.pack_into("<I", page, LVT_LINT0, MODE_EXTINT)
    struct.pack_into("<I", page, LVT_LINT1, MODE_NMI)
    vcpu.set_lapic(bytes(page))
