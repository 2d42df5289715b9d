# SPDX-License-Identifier: GPL-2.0-only
"""The chip set's own functions: 440FX host bridge, PIIX3 ISA bridge, PIIX4 power management.

Only the registers that SeaBIOS or an operating system uses do something.  Sources:
82441FX (290549), 82371SB (290550) and 82371AB (290562) data sheets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..core.irq import IrqLine, SharedLine
from .device import PciDevice
from .pirq import PirqLine

if TYPE_CHECKING:
    from .bus import PciBus

INTEL = 0x8086
# SeaBIOS recognizes a virtual machine by this subsystem id on the host bridge.
QEMU_SUBSYSTEM_VENDOR, QEMU_SUBSYSTEM = 0x1AF4, 0x1100

PAM0 = 0x59
_PAM_COUNT = 7
_PAM_READ, _PAM_WRITE = 1, 2  # of each nibble: serve reads / take writes in RAM
_SEGMENT = 16 << 10
_BIOS_BASE, _BIOS_SIZE = 0xF_0000, 64 << 10
_EXPANSION_BASE = 0xC_0000

PIRQ_ROUTE = 0x60
_PIRQ_COUNT = 4
_PIRQ_DISABLED = 1 << 7
# PIRQs can only be steered to these (82371SB 2.3.5): the rest belongs to ISA devices.
_PIRQ_ALLOWED = frozenset((3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15))

_PM_BASE, _PM_MISC, _PM_DEVACTB = 0x40, 0x80, 0x58
_PM_APMC_ENABLE = 1 << 25

# (segment base, size, reads from RAM, writes to RAM)
PamChanged = Callable[[int, int, bool, bool], None]


class HostBridge(PciDevice):
    """8086:1237.  `pam_changed` hears of each segment below 1 MiB that was switched."""

    name = "host-bridge"
    vendor_id = INTEL
    device_id = 0x1237
    class_code = 0x060000
    revision = 2
    subsystem_vendor_id = QEMU_SUBSYSTEM_VENDOR
    subsystem_id = QEMU_SUBSYSTEM

    def __init__(self, pam_changed: PamChanged | None = None) -> None:
        super().__init__()
        self._pam_changed = pam_changed
        self.space.allow(PAM0, 1, 0x30)  # its low nibble is reserved
        for index in range(1, _PAM_COUNT):
            self.space.allow(PAM0 + index, 1, 0x33)

    def config_write(self, offset: int, width: int, value: int) -> None:
        """Writes to the PAM registers switch segments."""
        before = self._segments()
        super().config_write(offset, width, value)
        if self._pam_changed is None:
            return
        for old, new in zip(before, self._segments()):
            if old != new:
                self._pam_changed(*new)

    def open_shadow(self) -> None:
        """All RAM, as a firmware leaves it; for a boot without one.  Calls nobody."""
        self.space.guest_write(PAM0, 1, 0x30)
        for index in range(1, _PAM_COUNT):
            self.space.guest_write(PAM0 + index, 1, 0x33)

    def _segments(self) -> list[tuple[int, int, bool, bool]]:
        """One 64 KiB segment (PAM0, high nibble), twelve of 16 KiB below it."""
        pam = self.space.data[PAM0 : PAM0 + _PAM_COUNT]
        nibbles = [(byte >> shift) for byte in pam[1:] for shift in (0, 4)]
        places = [(_EXPANSION_BASE + i * _SEGMENT, _SEGMENT, n) for i, n in enumerate(nibbles)]
        places.append((_BIOS_BASE, _BIOS_SIZE, pam[0] >> 4))
        return [(b, s, bool(n & _PAM_READ), bool(n & _PAM_WRITE)) for b, s, n in places]


class IsaBridge(PciDevice):
    """8086:7000.  Steers PIRQA..D to interrupts; `line(gsi)` gives each one's shared line."""

    name = "isa-bridge"
    vendor_id = INTEL
    device_id = 0x7000
    class_code = 0x060100
    subsystem_vendor_id = QEMU_SUBSYSTEM_VENDOR
    subsystem_id = QEMU_SUBSYSTEM

    def __init__(self, line: Callable[[int], SharedLine]) -> None:
        super().__init__()
        self._line = line
        self._steered = [PirqLine() for _ in range(_PIRQ_COUNT)]
        self._pirqs = [SharedLine(steered) for steered in self._steered]
        # One source for each PIRQ on each interrupt it was ever steered to.
        self._sources: dict[tuple[int, int], IrqLine] = {}
        for index in range(_PIRQ_COUNT):
            self.space.set(PIRQ_ROUTE + index, 1, _PIRQ_DISABLED)
            self.space.allow(PIRQ_ROUTE + index, 1, 0x8F)

    def attached(self, bus: PciBus, slot: int, function: int) -> None:
        """Become the bus's interrupt router."""
        super().attached(bus, slot, function)
        bus.isa_bridge = self

    def config_write(self, offset: int, width: int, value: int) -> None:
        """Writes to the route registers re-steer at once, with the line's present level."""
        super().config_write(offset, width, value)
        for index in range(_PIRQ_COUNT):
            if offset <= PIRQ_ROUTE + index < offset + width:
                self._steer(index)

    def set_routes(self, gsis: tuple[int, ...]) -> None:
        """Program PIRQA..D as a firmware would."""
        for index, gsi in enumerate(gsis):
            self.config_write(PIRQ_ROUTE + index, 1, gsi)

    def pin_line(self, slot: int, pin: int) -> IrqLine:
        """A new source on the PIRQ that interrupt `pin` (1 = INTA) of `slot` is wired to."""
        return self._pirqs[self._pirq(slot, pin)].source()

    def pin_gsi(self, slot: int, pin: int) -> int:
        """Where that PIRQ is steered to now; 0xff for nowhere (PCI 3.0 6.2.4)."""
        gsi = self._gsi(self._pirq(slot, pin))
        return 0xFF if gsi is None else gsi

    @staticmethod
    def _pirq(slot: int, pin: int) -> int:
        # Slot 1 starts at PIRQA and each further slot is rotated by one.
        return (pin - 1 + slot - 1) & 3

    def _gsi(self, index: int) -> int | None:
        route = self.space.get(PIRQ_ROUTE + index, 1)
        gsi = route & 0xF
        return None if route & _PIRQ_DISABLED or gsi not in _PIRQ_ALLOWED else gsi

    def _steer(self, index: int) -> None:
        gsi = self._gsi(index)
        if gsi is None:
            self._steered[index].steer(None)
            return
        if (index, gsi) not in self._sources:
            self._sources[index, gsi] = self._line(gsi).source()
        self._steered[index].steer(self._sources[index, gsi])


class PowerManagement(PciDevice):
    """8086:7113.  Tells a firmware where the PM block is; `pm_base` is fixed here.

    The block itself is a device of its own (hw), always on.  SMM is reported as set up
    already, so that SeaBIOS does not wait for a system management interrupt.
    """

    name = "piix4-pm"
    vendor_id = INTEL
    device_id = 0x7113
    class_code = 0x068000
    revision = 3
    subsystem_vendor_id = QEMU_SUBSYSTEM_VENDOR
    subsystem_id = QEMU_SUBSYSTEM
    interrupt_pin = 1

    def __init__(self, pm_base: int) -> None:
        super().__init__()
        self.space.set(_PM_BASE, 4, pm_base | 1)
        self.space.set(_PM_MISC, 1, 1)
        self.space.set(_PM_DEVACTB, 4, _PM_APMC_ENABLE)
