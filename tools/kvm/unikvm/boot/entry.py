# SPDX-License-Identifier: GPL-2.0-only
"""CPU state, GDT and page tables for entering a kernel at its 64-bit entry point.

Documentation/arch/x86/boot.rst, "64-bit BOOT PROTOCOL": long mode, identity-mapped
paging over kernel, zero page and command line, CS 0x10 and data 0x18 flat, interrupts
off, RSI = zero page.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass

from . import layout

CR0_PE, CR0_ET, CR0_PG = 1 << 0, 1 << 4, 1 << 31
CR4_PAE = 1 << 5
EFER_LME, EFER_LMA = 1 << 8, 1 << 10
RFLAGS_RESERVED = 1 << 1  # always one (APM vol.1 3.1.4)
PTE_PRESENT, PTE_WRITE, PTE_HUGE = 1 << 0, 1 << 1, 1 << 7
HUGE_PAGE = 2 << 20
IDENTITY_GIB = 4  # all a boot protocol structure can point at


@dataclass(frozen=True)
class Segment:
    """One segment register, field for field as in struct kvm_segment."""

    selector: int
    type: int
    base: int = 0
    limit: int = 0xFFFF_FFFF
    present: int = 1
    dpl: int = 0
    db: int = 0
    s: int = 1
    l: int = 0  # noqa: E741  (the field's name)
    g: int = 1
    avl: int = 0
    unusable: int = 0

    def fields(self) -> dict[str, int]:
        """As core.vm.Vcpu.set_sregs() takes a segment."""
        return asdict(self)

    def descriptor(self) -> int:
        """The 8-byte GDT entry (APM vol.2 4.7)."""
        limit = self.limit >> 12 if self.g else self.limit
        access = self.type | self.s << 4 | self.dpl << 5 | self.present << 7
        flags = self.avl | self.l << 1 | self.db << 2 | self.g << 3
        return (
            limit & 0xFFFF
            | (self.base & 0xFF_FFFF) << 16
            | access << 40
            | (limit >> 16 & 0xF) << 48
            | flags << 52
            | (self.base >> 24 & 0xFF) << 56
        )


CODE = Segment(selector=0x10, type=0xB, l=1)
DATA = Segment(selector=0x18, type=0x3, db=1)
# VMX refuses to enter without a busy 64-bit TSS in TR; SVM does not care.
TASK = Segment(selector=0x20, type=0xB, s=0, g=0, limit=0x67)


@dataclass(frozen=True)
class EntryState:
    """Registers of the boot CPU.  All other general registers are zero."""

    rip: int
    rsi: int
    rsp: int = layout.BOOT_STACK_TOP
    rflags: int = RFLAGS_RESERVED
    cr0: int = CR0_PE | CR0_ET | CR0_PG
    cr3: int = layout.BOOT_PAGE_TABLES
    cr4: int = CR4_PAE
    efer: int = EFER_LME | EFER_LMA
    gdt_base: int = layout.BOOT_GDT
    gdt_limit: int = 6 * 8 - 1
    cs: Segment = CODE
    data: Segment = DATA  # DS, ES, FS, GS and SS
    tr: Segment = TASK

    @property
    def regs(self) -> dict[str, int]:
        """General registers under KVM's names."""
        return {"rip": self.rip, "rsi": self.rsi, "rsp": self.rsp, "rflags": self.rflags}

    @property
    def sregs(self) -> dict[str, int | dict[str, int]]:
        """Special registers under KVM's names."""
        data = {name: self.data.fields() for name in ("ds", "es", "fs", "gs", "ss")}
        control = {"cr0": self.cr0, "cr3": self.cr3, "cr4": self.cr4, "efer": self.efer}
        return {
            **control, **data, "cs": self.cs.fields(), "tr": self.tr.fields(),
            "gdt": {"base": self.gdt_base, "limit": self.gdt_limit},
            "idt": {"base": 0, "limit": 0},
        }  # fmt: skip


def gdt() -> bytes:
    """Null, unused, code (0x10), data (0x18), task (0x20, two entries)."""
    entries = (0, 0, CODE.descriptor(), DATA.descriptor(), TASK.descriptor(), 0)
    return struct.pack("<6Q", *entries)


def page_tables(base: int = layout.BOOT_PAGE_TABLES) -> bytes:
    """Identity map of the first 4 GiB with 2 MiB pages, to be put at `base`."""
    link = PTE_PRESENT | PTE_WRITE
    pml4 = _table([base + layout.PAGE | link])
    directories = base + 2 * layout.PAGE
    pdpt = _table([directories + i * layout.PAGE | link for i in range(IDENTITY_GIB)])
    pages = (i * HUGE_PAGE | link | PTE_HUGE for i in range(IDENTITY_GIB * 512))
    return pml4 + pdpt + struct.pack(f"<{IDENTITY_GIB * 512}Q", *pages)


def _table(entries: list[int]) -> bytes:
    return struct.pack(f"<{len(entries)}Q", *entries).ljust(layout.PAGE, b"\0")
