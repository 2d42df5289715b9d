# SPDX-License-Identifier: GPL-2.0-only
"""PCI bus 0 and the ports through which the guest configures it (mechanism #1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..core.irq import IrqLine
from . import config
from .bar import Bar, Bus
from .device import PciDevice

if TYPE_CHECKING:
    from .bridges import IsaBridge

PORT_BASE = 0xCF8  # PCI local bus 3.0 3.2.2.3.2; fixed, every guest knows it
PORT_COUNT = 8
_DATA = 4
_ENABLE = 1 << 31
_ADDRESS_WRITABLE = 0x80FF_FFFC
_RESET_CONTROL = 1
_RESET_CPU = 1 << 2
_SLOTS, _FUNCTIONS = 32, 8


class PciBus:
    """The functions of bus 0; also the bus device behind 0xcf8-0xcff.

    `pio`, `mmio`: where BARs go; `on_reset()`: called when the guest writes the reset
    control register, 0xcf9, which is a byte of the address port (PIIX3 data sheet 2.5.4).
    """

    def __init__(self, pio: Bus, mmio: Bus, on_reset: Callable[[], None] | None = None) -> None:
        self.pio, self.mmio, self.on_reset = pio, mmio, on_reset
        self.devices: dict[tuple[int, int], PciDevice] = {}
        self.isa_bridge: IsaBridge | None = None
        self._address = 0

    def attach(self) -> None:
        """Claim the configuration ports."""
        self.pio.register(PORT_BASE, PORT_COUNT, self, "pci-config", 4)

    def add(self, device: PciDevice, slot: int, function: int = 0) -> None:
        """Plug a function in; ValueError when the place is taken or does not exist."""
        place = slot, function
        if not (0 <= slot < _SLOTS and 0 <= function < _FUNCTIONS) or place in self.devices:
            raise ValueError(f"PCI slot {slot:02x}.{function} is taken or does not exist")
        self.devices[place] = device
        if function and (first := self.devices.get((slot, 0))) is not None:
            header = first.space.get(config.HEADER_TYPE, 1)
            first.space.set(config.HEADER_TYPE, 1, header | config.HEADER_MULTIFUNCTION)
        device.attached(self, slot, function)

    def space_of(self, bar: Bar) -> Bus:
        """The bus a BAR decodes on."""
        return self.pio if bar.io else self.mmio

    def intx_line(self, device: PciDevice) -> IrqLine:
        """The line a function's interrupt pin is wired to."""
        if self.isa_bridge is None or not device.interrupt_pin:
            return IrqLine()
        return self.isa_bridge.pin_line(device.slot, device.interrupt_pin)

    def assign(self, base: int, end: int) -> None:
        """Give every memory BAR an address in [base, end), as a firmware would.

        Largest first, so that natural alignment wastes nothing.  ValueError when full.
        """
        bars = [
            (bar, device) for device in self.devices.values() for bar in device.bars if not bar.io
        ]
        for bar, device in sorted(bars, key=lambda item: -item[0].size):
            base = (base + bar.size - 1) & -bar.size
            if base + bar.size > end:
                raise ValueError("the PCI memory window is full")
            device.space.guest_write(bar.register, 4, base)
            base += bar.size
        for device in self.devices.values():
            self._enable(device)

    def _enable(self, device: PciDevice) -> None:
        command = config.COMMAND_MEMORY if device.bars else 0
        device.space.guest_write(config.COMMAND, 2, command)
        if self.isa_bridge is not None and device.interrupt_pin:
            gsi = self.isa_bridge.pin_gsi(device.slot, device.interrupt_pin)
            device.space.guest_write(config.INTERRUPT_LINE, 1, gsi)
        device.update_bars()

    # The configuration ports

    def read(self, offset: int, width: int) -> int:
        """Address port as written; data port from the function addressed, or all ones."""
        if offset < _DATA:
            return self._address >> (8 * offset)
        device, register = self._target(offset - _DATA)
        if device is None:
            return (1 << (8 * width)) - 1
        return device.config_read(register, width)

    def write(self, offset: int, width: int, value: int) -> None:
        """The address port takes dwords only; a byte to 0xcf9 is the reset register."""
        if offset >= _DATA:
            device, register = self._target(offset - _DATA)
            if device is not None:
                device.config_write(register, width, value)
        elif offset == 0 and width == 4:
            self._address = value & _ADDRESS_WRITABLE
        elif offset == _RESET_CONTROL and value & _RESET_CPU and self.on_reset is not None:
            self.on_reset()

    def _target(self, byte: int) -> tuple[PciDevice | None, int]:
        address = self._address
        if not address & _ENABLE or address >> 16 & 0xFF:
            return None, 0
        place = address >> 11 & 0x1F, address >> 8 & 7
        return self.devices.get(place), (address & 0xFC) + byte
