# SPDX-License-Identifier: GPL-2.0-only
"""The DSDT's AML: what an operating system cannot find out by probing.

PCI root with its windows and interrupt wiring, COM1, RTC, the ports and memory nobody
else may use, one processor device for each CPU, and S5 so that power-off works.
"""

from __future__ import annotations

from .. import layout
from . import aml

_ALL_FUNCTIONS = 0xFFFF
_PINS = 4


def build(*, cpus: int, memory: int) -> bytes:
    """AML for `cpus` processors and `memory` bytes of RAM (which moves the PCI window)."""
    return aml.named("\\_S5", _sleep_package()) + aml.scope(
        "\\_SB",
        _pci_root(layout.pci_mmio_base(memory)),
        _motherboard(),
        *(_processor(index) for index in range(cpus)),
    )


def _sleep_package() -> bytes:
    """SLP_TYP for PM1a and PM1b control, two reserved elements (ACPI 6.4 7.4.2)."""
    kind = aml.integer(layout.S5_SLEEP_TYPE)
    return aml.package(kind, kind, aml.integer(0), aml.integer(0))


def _pci_root(window: int) -> bytes:
    crs = aml.resources(
        # One bus: the machine has no PCI bridge, and each bus number more costs the guest
        # a few hundred exits to find it empty.
        aml.bus_numbers(0, 0),
        aml.io_ports(layout.PORT_PCI_CONFIG, 8),
        aml.word_io(0x0000, layout.PORT_PCI_CONFIG - 1),
        aml.word_io(layout.PORT_PCI_CONFIG + 8, 0xFFFF),
        aml.dword_memory(layout.VGA_BASE, layout.VGA_END - 1),
        aml.dword_memory(window, layout.PCI_MMIO_END - 1),
    )
    return aml.device(
        "PCI0",
        aml.named("_HID", aml.eisa_id("PNP0A03")),
        aml.named("_UID", aml.integer(0)),
        aml.named("_ADR", aml.integer(0)),
        aml.named("_CRS", crs),
        aml.named("_PRT", _interrupt_routing()),
        _isa_bridge(),
    )


def _interrupt_routing() -> bytes:
    """One entry a slot and pin: {address, pin, source 0 = a GSI, GSI} (ACPI 6.4 6.2.13)."""
    entries = [
        aml.package(
            aml.integer(slot << 16 | _ALL_FUNCTIONS),
            aml.integer(pin),
            aml.integer(0),
            aml.integer(layout.PIRQ_GSI[layout.pirq_index(slot, pin + 1)]),
        )
        for slot in range(1, layout.PCI_SLOTS)
        for pin in range(_PINS)
    ]
    return aml.package(*entries)


def _isa_bridge() -> bytes:
    slot, function = layout.SLOT_ISA_BRIDGE
    return aml.device(
        "ISA",
        aml.named("_ADR", aml.integer(slot << 16 | function)),
        aml.device(
            "RTC",
            aml.named("_HID", aml.eisa_id("PNP0B00")),
            aml.named(
                "_CRS",
                aml.resources(aml.io_ports(layout.PORT_RTC, 2), aml.irq(layout.GSI_RTC)),
            ),
        ),
        aml.device(
            "COM1",
            aml.named("_HID", aml.eisa_id("PNP0501")),
            aml.named("_UID", aml.integer(1)),
            aml.named(
                "_CRS",
                aml.resources(aml.io_ports(layout.PORT_COM1, 8), aml.irq(layout.GSI_COM1)),
            ),
        ),
    )


def _motherboard() -> bytes:
    """PNP0C02: claimed, so that nothing is placed on top (the FADT alone claims nothing)."""
    crs = aml.resources(
        aml.io_ports(layout.PORT_FW_CFG, layout.PORT_FW_CFG_LEN),
        aml.io_ports(layout.PM_BASE, layout.PM_LEN),
        aml.memory32_fixed(layout.IOAPIC_BASE, 0x1000),
        aml.memory32_fixed(layout.LAPIC_BASE, 0x1000),
    )
    return aml.device(
        "MBRD", aml.named("_HID", aml.eisa_id("PNP0C02")), aml.named("_CRS", crs)
    )


def _processor(index: int) -> bytes:
    return aml.device(
        f"C{index:03X}",
        aml.named("_HID", aml.string("ACPI0007")),
        aml.named("_UID", aml.integer(index)),
    )
