# SPDX-License-Identifier: GPL-2.0-only
"""From a guest-virtual to a guest-physical address, for crash reports.

Done here and not by KVM_TRANSLATE so that a report does not depend on the half
that may be what broke.  APM vol. 2, 5.2 (legacy) and 5.3 (long mode).
"""
from __future__ import annotations

from typing import Any

from ..core.errors import GuestMemoryError
from ..core.memory import GuestMemory

CR0_PG, CR4_PSE, CR4_PAE, CR4_LA57, EFER_LMA = 1 << 31, 1 << 4, 1 << 5, 1 << 12, 1 << 10
PRESENT, LARGE = 1, 1 << 7
ADDRESS_MASK = 0x000F_FFFF_FFFF_F000


def translate(memory: GuestMemory, sregs: dict[str, Any], gva: int) -> int | None:
    """The gpa of gva, None where it is not mapped."""
    if not sregs["cr0"] & CR0_PG:
        return gva & 0xFFFF_FFFF
    try:
        if sregs["efer"] & EFER_LMA:
            top = 5 if sregs["cr4"] & CR4_LA57 else 4
            return _walk(memory, sregs["cr3"] & ADDRESS_MASK, gva, top, True)
        gva &= 0xFFFF_FFFF
        if sregs["cr4"] & CR4_PAE:
            return _walk_pae(memory, sregs["cr3"] & 0xFFFF_FFE0, gva)
        return _walk(memory, sregs["cr3"] & 0xFFFF_F000, gva, 2, False,
                     bool(sregs["cr4"] & CR4_PSE))
    except GuestMemoryError:
        return None


def _walk_pae(memory: GuestMemory, directory: int, gva: int) -> int | None:
    entry = memory.load64(directory + 8 * (gva >> 30))
    if not entry & PRESENT:
        return None
    return _walk(memory, entry & ADDRESS_MASK, gva, 2, True)


def _walk(memory: GuestMemory, table: int, gva: int, level: int, wide: bool,
          large_pages: bool = True) -> int | None:
    """wide: 8-byte entries, 9 bits a level; else 4-byte entries, 10 bits."""
    bits, load, size = (9, memory.load64, 8) if wide else (10, memory.load32, 4)
    while True:
        shift = 12 + bits * (level - 1)
        entry = load(table + size * (gva >> shift & (1 << bits) - 1))
        if not entry & PRESENT:
            return None
        base = entry & (ADDRESS_MASK if wide else 0xFFFF_F000)
        if level == 1 or (level <= 3 and large_pages and entry & LARGE):
            offset = (1 << shift) - 1
            return base & ~offset | gva & offset
        table, level = base, level - 1


def code_at(memory: GuestMemory, sregs: dict[str, Any], rip: int, length: int = 16) -> bytes:
    """Up to length instruction bytes at cs:rip, fewer at the end of what is mapped."""
    code = b""
    gva = sregs["cs"]["base"] + rip
    while len(code) < length:
        gpa = translate(memory, sregs, gva + len(code) & 0xFFFF_FFFF_FFFF_FFFF)
        if gpa is None:
            break
        try:
            # Byte by byte near the end of a page or a region is slow and right.
            code += memory.read(gpa, 1)
        except GuestMemoryError:
            break
    return code
