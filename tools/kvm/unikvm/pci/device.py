# SPDX-License-Identifier: GPL-2.0-only
"""Base class of PCI functions: identity, command bits, BARs, interrupt line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import config
from .bar import Bar

if TYPE_CHECKING:
    from .bus import PciBus

_COMMAND_WRITABLE = (
    config.COMMAND_IO
    | config.COMMAND_MEMORY
    | config.COMMAND_MASTER
    | config.COMMAND_INTX_DISABLE
    | 1 << 8  # SERR#: no effect, but firmware sets it and reads it back
)


class PciDevice:
    """One function.  Subclasses declare themselves through these attributes."""

    name = "pci"
    vendor_id = 0xFFFF
    device_id = 0xFFFF
    class_code = 0  # base class, subclass, programming interface: 24 bits
    revision = 0
    subsystem_vendor_id = 0
    subsystem_id = 0
    interrupt_pin = 0  # 1 = INTA, 0 = none

    def __init__(self) -> None:
        self.space = config.ConfigSpace()
        self.bars: list[Bar] = []
        self.bus: PciBus | None = None
        self.slot = self.function = -1
        space = self.space
        space.set(config.VENDOR_ID, 2, self.vendor_id)
        space.set(config.DEVICE_ID, 2, self.device_id)
        space.set(config.REVISION, 1, self.revision)
        space.set(config.CLASS_CODE, 3, self.class_code)
        space.set(config.SUBSYSTEM_VENDOR_ID, 2, self.subsystem_vendor_id)
        space.set(config.SUBSYSTEM_ID, 2, self.subsystem_id)
        space.set(config.INTERRUPT_PIN, 1, self.interrupt_pin)
        space.allow(config.COMMAND, 2, _COMMAND_WRITABLE)
        space.allow(config.INTERRUPT_LINE, 1, 0xFF)

    def add_bar(self, bar: Bar) -> None:
        """Declare a BAR; before the guest runs."""
        bar.declare(self.space)
        self.bars.append(bar)

    def attached(self, bus: PciBus, slot: int, function: int) -> None:
        """The bus took the function; its place is now known."""
        self.bus, self.slot, self.function = bus, slot, function

    def config_read(self, offset: int, width: int) -> int:
        """Read by the guest: `width` 1, 2 or 4, inside one dword."""
        return self.space.get(offset, width)

    def config_write(self, offset: int, width: int, value: int) -> None:
        """Write by the guest; BARs and command bits take effect at once."""
        self.space.guest_write(offset, width, value)
        if offset < config.BAR0 + 24 and offset + width > config.COMMAND:
            self.update_bars()

    def update_bars(self) -> None:
        """Put every BAR where configuration space says."""
        if self.bus is not None:
            for bar in self.bars:
                bar.place(self.bus.space_of(bar), bar.wanted(self.space))

    @property
    def intx_disabled(self) -> bool:
        """Whether the guest turned INTx off in the command register."""
        return bool(self.space.get(config.COMMAND, 2) & config.COMMAND_INTX_DISABLE)
