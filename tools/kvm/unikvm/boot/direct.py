# SPDX-License-Identifier: GPL-2.0-only
"""Direct boot: put kernel, initrd, command line and tables into guest memory, no firmware."""

from __future__ import annotations

from typing import Protocol

from . import bootparams, bzimage, e820, entry, initrd as initrd_check, layout
from .acpi.tables import AcpiTables


class Memory(Protocol):
    """The part of core.memory.GuestMemory that loading needs."""

    def write(self, gpa: int, data: bytes) -> None:
        """Copy `data` to `gpa`; raises when outside RAM."""


def load_linux(
    memory: Memory,
    ram_size: int,
    kernel: bzimage.BzImage,
    cmdline: str,
    initrd: bytes | None,
    initrd_name: str,
    acpi: AcpiTables,
) -> entry.EntryState:
    """Load everything and return the boot CPU's registers.

    `ram_size`: bytes of guest RAM in all.  Raises UserError when something does not fit
    or is damaged; then memory may be partly written, and the VM is not to be run.
    """
    low_ram = layout.low_ram_size(ram_size)
    load = bzimage.load_address(kernel, low_ram)
    text = bzimage.encode_cmdline(kernel, cmdline, layout.BOOT_CMDLINE_MAX)
    place = (0, 0)
    if initrd is not None:
        initrd_check.check(initrd, initrd_name)
        place = bzimage.initrd_address(kernel, len(initrd), load, low_ram), len(initrd)
        memory.write(place[0], initrd)
    memory.write(load, kernel.payload)
    memory.write(layout.BOOT_CMDLINE, text)
    memory.write(layout.BOOT_GDT, entry.gdt())
    memory.write(layout.BOOT_PAGE_TABLES, entry.page_tables())
    _load_acpi(memory, acpi)
    zero_page = bootparams.build(
        kernel,
        load=load,
        cmdline=layout.BOOT_CMDLINE,
        initrd=place,
        rsdp=layout.ACPI_RSDP,
        memory_map=e820.for_direct_boot(ram_size),
    )
    memory.write(layout.BOOT_PARAMS, zero_page)
    return entry.EntryState(rip=load + bzimage.ENTRY_64_OFFSET, rsi=layout.BOOT_PARAMS)


def _load_acpi(memory: Memory, acpi: AcpiTables) -> None:
    rsdp, tables = acpi.place(layout.ACPI_RSDP, layout.ACPI_TABLES)
    if layout.ACPI_TABLES + len(tables) > layout.ACPI_END:
        raise ValueError(f"ACPI tables of {len(tables)} bytes do not fit below 1 MiB")
    memory.write(layout.ACPI_RSDP, rsdp)
    memory.write(layout.ACPI_TABLES, tables)
