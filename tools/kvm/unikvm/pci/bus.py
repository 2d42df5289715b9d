# SPDX-License-Identifier: GPL-2.0-only
"""PCI bus 0 and the ports through which the guest configures it (mechanism #1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ..core.irq import IrqLine
from . import config
from .bar import Bar, Bus
from .device import PciDevice
from .ports import ConfigPorts

if TYPE_CHECKING:
    from .bridges import IsaBridge

PORT_BASE = 0xCF8  # PCI local bus 3.0 3.2.2.3.2; fixed, every guest knows it
PORT_COUNT = 8
_RESET_CPU = 1 << 2
_SLOTS, _FUNCTIONS = 32, 8


class PciBus:
    """The functions of bus 0, and the ports 0xcf8-0xcff to configure them.

    `pio`, `mmio`: where BARs go; `on_reset()`: called when the guest writes the reset
    control register, 0xcf9, which is a byte of the address port (PIIX3 data sheet 2.5.4).
    """

    def __init__(self, pio: Bus, mmio: Bus, on_reset: Callable[[], None] | None = None) -> None:
        self.pio, self.mmio = pio, mmio
        self.ports = ConfigPorts(self, _ResetControl(on_reset), pio)
        self.devices: dict[tuple[int, int], PciDevice] = {}
        self.isa_bridge: IsaBridge | None = None

    def attach(self) -> None:
        """Claim the configuration ports."""
        self.pio.register(PORT_BASE, PORT_COUNT, self.ports, "pci-config", 4)

    def add(self, device: PciDevice, slot: int, function: int = 0) -> None:
        """Plug a function in; ValueError when the place is taken or does not exist."""
        place = slot, function
        if not (0 <= slot < _SLOTS and 0 <= function < _FUNCTIONS) or place in self.devices:
            raise ValueError(f"PCI slot {slot:02x}.{function} is taken or does not exist")
        self.devices[place] = device
        self.ports.add(slot, function)
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

    # What ConfigPorts calls, for functions that are there

    def read(self, offset: int, width: int) -> int:
        """`offset`: slot, function and register as in the address port's low 16 bits."""
        return self._target(offset).config_read(offset & 0xFF, width)

    def write(self, offset: int, width: int, value: int) -> None:
        """See read()."""
        self._target(offset).config_write(offset & 0xFF, width, value)

    def _target(self, offset: int) -> PciDevice:
        return self.devices[offset >> 11 & 0x1F, offset >> 8 & 7]


class _ResetControl:
    """Port 0xcf9: a byte inside the address port (PIIX3 data sheet 2.5.4)."""

    def __init__(self, on_reset: Callable[[], None] | None) -> None:
        self._on_reset = on_reset

    def write(self, offset: int, width: int, value: int) -> None:
        """Any write with the CPU reset bit resets."""
        if value & _RESET_CPU and self._on_reset is not None:
            self._on_reset()
