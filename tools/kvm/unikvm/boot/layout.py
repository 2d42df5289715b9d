# SPDX-License-Identifier: GPL-2.0-only
"""Every guest-physical address, port, GSI and IRQ number of the machine, each with its reason.

Addresses and sizes are bytes.  The machine is an i440FX-like PC because SeaBIOS and
every x86 operating system know how to run on one.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
PAGE: Final = 4096

# --- physical address space -------------------------------------------------------------

# RAM stops at 3 GiB at the latest: the last GiB below 4 GiB holds PCI, the APICs and the
# firmware; what does not fit continues at 4 GiB.
LOW_RAM_LIMIT: Final = 3 * GIB
HIGH_RAM_BASE: Final = 4 * GIB

# Below this no Linux unpacks and no SeaBIOS finishes POST.
MIN_RAM: Final = 16 * MIB
# Bounded so that a typo in --memory is an error and not an overcommitted host.
MAX_RAM: Final = 1 << 40

# SeaBIOS picks the start of its PCI window from the amount of low RAM on this chip set:
# 0x80000000 when RAM ends at or below 2 GiB, else 0xc0000000.  Our ACPI _CRS has to
# contain what it picks.
PCI_MMIO_LOW_BASE: Final = 2 * GIB
PCI_MMIO_BASE: Final = 3 * GIB
# The IOAPIC is the first fixed thing above the window.
PCI_MMIO_END: Final = 0xFEC0_0000

IOAPIC_BASE: Final = 0xFEC0_0000  # KVM's in-kernel IOAPIC answers here
LAPIC_BASE: Final = 0xFEE0_0000  # architectural reset value of IA32_APIC_BASE

# Intel without unrestricted guest needs four pages nobody else uses: one for the identity
# map, three for the TSS.  They lie between the PCI window and the largest firmware image.
KVM_IDENTITY_MAP: Final = 0xFEFF_C000
KVM_TSS: Final = 0xFEFF_D000

# The firmware ends at 4 GiB, where the reset vector is; 256 KiB is SeaBIOS's largest.
FIRMWARE_END: Final = 4 * GIB
FIRMWARE_MAX: Final = 256 * KIB
# Real-mode code sees the last 128 KiB of it again below 1 MiB.
FIRMWARE_SHADOW_END: Final = 1 * MIB
FIRMWARE_SHADOW_MAX: Final = 128 * KIB

# --- the first MiB ------------------------------------------------------------------------

# Where a BIOS puts its extended data area; RAM reported to the guest stops here.
EBDA_BASE: Final = 0x9_FC00
# Legacy VGA window: neither RAM nor anything of ours.
VGA_BASE: Final = 0xA_0000
VGA_END: Final = 0xC_0000
# Option ROMs, then the BIOS: the range the PAM registers of the host bridge switch.
PAM_BASE: Final = 0xC_0000
PAM_END: Final = 0x10_0000
HIGH_MEMORY: Final = 0x10_0000

# --- direct boot: what the loader puts in low memory -----------------------------------

# All of these lie in RAM the kernel no longer needs once it has switched to its own
# tables; the real-mode IVT and BIOS data area (below 0x500) stay untouched.
BOOT_GDT: Final = 0x500
BOOT_PARAMS: Final = 0x7000  # the "zero page"
BOOT_STACK_TOP: Final = 0x9000  # grows down to 0x8000
BOOT_PAGE_TABLES: Final = 0x9000  # PML4, PDPT, four page directories: six pages
BOOT_CMDLINE: Final = 0x2_0000
BOOT_CMDLINE_MAX: Final = 64 * KIB

# RSDP and tables lie where an operating system scans for the RSDP (ACPI 6.4 5.2.5.1:
# 0xe0000-0xfffff on 16-byte boundaries), a range that e820 reports as reserved.
ACPI_RSDP: Final = 0xE_0000
ACPI_TABLES: Final = 0xE_0040
ACPI_END: Final = 0x10_0000

# Hand-over to the option ROM: the addresses a boot loader for the real-mode protocol uses.
LINUX_SETUP_ADDR: Final = 0x1_0000
LINUX_CMDLINE_ADDR: Final = 0x2_0000
LINUX_KERNEL_ADDR: Final = 0x10_0000
# SeaBIOS takes its permanent high allocations (ACPI tables among them) from the top of
# low RAM; 256 KiB at most, one MiB is kept free.
FIRMWARE_HIGH_RESERVE: Final = 1 * MIB

# --- ports ----------------------------------------------------------------------------------

PORT_PCI_CONFIG: Final = 0xCF8  # address dword, data dword follows
PORT_RESET: Final = 0xCF9  # reset control register; a byte inside the address dword
RESET_VALUE: Final = 0x06  # SYS_RST | RST_CPU
PORT_FW_CFG: Final = 0x510  # selector, data; DMA address at +4
PORT_FW_CFG_LEN: Final = 12
PORT_DEBUGCON: Final = 0x402  # where SeaBIOS writes its debug text
PORT_COM1: Final = 0x3F8
PORT_COM2: Final = 0x2F8
PORT_RTC: Final = 0x70
PORT_I8042_DATA: Final = 0x60
PORT_I8042_COMMAND: Final = 0x64
PORT_92: Final = 0x92
PORT_ELCR: Final = 0x4D0

# SeaBIOS moves its idea of the PM base here when it gets a table loader from us, so the
# direct boot uses the same.
PM_BASE: Final = 0x600
PM_LEN: Final = 0x40
PM1_EVENT: Final = 0x00  # offsets into the PM block, as on the PIIX4
PM1_EVENT_LEN: Final = 4
PM1_CONTROL: Final = 0x04
PM1_CONTROL_LEN: Final = 2
PM_TIMER: Final = 0x08
PM_TIMER_LEN: Final = 4
# SLP_TYP of S5, written together with SLP_EN (bit 13) into PM1 control to power off.
# SeaBIOS's own APM shutdown writes type 0, and the DSDT says the same.
S5_SLEEP_TYPE: Final = 0

# --- interrupts ------------------------------------------------------------------------------

# KVM's default GSI routing is the identity: GSI n is pin n of the IOAPIC and, below 16,
# of the two PICs.  So there is no IRQ0 -> pin 2 override in the MADT.
IOAPIC_PINS: Final = 24
GSI_TIMER: Final = 0
GSI_KEYBOARD: Final = 1
GSI_COM2: Final = 3
GSI_COM1: Final = 4
GSI_RTC: Final = 8
GSI_SCI: Final = 9  # level, active high; hard-wired to 9 on the PIIX4

# PIRQA..D.  SeaBIOS programs exactly these into the PIIX3's route registers and into the
# ELCR; a direct boot presets them, so that one static _PRT is right in both cases.
PIRQ_GSI: Final = (10, 10, 11, 11)

# --- PCI slots ------------------------------------------------------------------------------

SLOT_HOST_BRIDGE: Final = (0, 0)
SLOT_ISA_BRIDGE: Final = (1, 0)
SLOT_PM: Final = (1, 3)  # where the PIIX4's power management function sits
FIRST_FREE_SLOT: Final = 2
PCI_SLOTS: Final = 32


def low_ram_size(memory: int) -> int:
    """Bytes of RAM below the hole, for `memory` bytes in all."""
    return min(memory, LOW_RAM_LIMIT)


def ram_regions(memory: int) -> list[tuple[int, int]]:
    """(gpa, size) of each piece of RAM, for `memory` bytes in all."""
    low = low_ram_size(memory)
    regions = [(0, low)]
    if memory > low:
        regions.append((HIGH_RAM_BASE, memory - low))
    return regions


def pci_mmio_base(memory: int) -> int:
    """Start of the PCI memory window for `memory` bytes of RAM (see PCI_MMIO_LOW_BASE)."""
    return PCI_MMIO_LOW_BASE if memory <= PCI_MMIO_LOW_BASE else PCI_MMIO_BASE


def pirq_index(slot: int, pin: int) -> int:
    """Which of PIRQA..D (0..3) interrupt `pin` (1 = INTA) of `slot` is wired to."""
    return (pin - 1 + slot - 1) & 3
