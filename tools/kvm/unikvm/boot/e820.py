# SPDX-License-Identifier: GPL-2.0-only
"""The E820 memory map, for the zero page and for the firmware's fw_cfg file."""

from __future__ import annotations

import struct
from typing import Iterable, NamedTuple

from . import layout

RAM = 1
RESERVED = 2


class Entry(NamedTuple):
    """One range: base and size in bytes, type as in ACPI 6.4 15 (1 RAM, 2 reserved)."""

    base: int
    size: int
    type: int


def for_direct_boot(memory: int) -> list[Entry]:
    """The map a firmware would have reported for `memory` bytes of RAM."""
    low = layout.low_ram_size(memory)
    entries = [
        Entry(0, layout.EBDA_BASE, RAM),
        Entry(layout.EBDA_BASE, layout.VGA_BASE - layout.EBDA_BASE, RESERVED),
        Entry(layout.ACPI_RSDP, layout.ACPI_END - layout.ACPI_RSDP, RESERVED),
        Entry(layout.HIGH_MEMORY, low - layout.HIGH_MEMORY, RAM),
        _kvm_pages(),
    ]
    return entries + _high_ram(memory)


def for_firmware(memory: int) -> list[Entry]:
    """RAM as it is plus what no firmware can know about; SeaBIOS cuts its own pieces out."""
    return [
        Entry(0, layout.low_ram_size(memory), RAM),
        _kvm_pages(),
        *_high_ram(memory),
    ]


def pack(entries: Iterable[Entry]) -> bytes:
    """20 bytes an entry, the format of boot_params.e820_table and of etc/e820."""
    return b"".join(struct.pack("<QQI", *entry) for entry in entries)


def _kvm_pages() -> Entry:
    return Entry(layout.KVM_IDENTITY_MAP, 4 * layout.PAGE, RESERVED)


def _high_ram(memory: int) -> list[Entry]:
    return [Entry(gpa, size, RAM) for gpa, size in layout.ram_regions(memory)[1:]]
