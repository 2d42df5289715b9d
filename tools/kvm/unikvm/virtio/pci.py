# SPDX-License-Identifier: GPL-2.0-only
"""Virtio over PCI, modern devices only (virtio 1.2 4.1)."""

from __future__ import annotations

import logging
import os
import struct
import weakref
from typing import Callable

from ..core.irq import IrqLine, Msi
from ..core.memory import GuestMemory
from ..core.ring import SplitQueue
from ..pci import config, msix
from ..pci.bar import Bar, Window
from ..pci.bus import PciBus
from ..pci.device import PciDevice
from .common import CommonConfig
from .device import Connection, Loop, VirtioDevice
from .interrupt import VirtioInterrupt

VENDOR = 0x1AF4
_DEVICE_BASE = 0x1040  # plus the virtio device id (4.1.2)

# The structures' places in BAR 4, a page each so that a guest can map them apart.
MSIX_BAR, BAR = 1, 4
COMMON, ISR, DEVICE, NOTIFY = 0x0000, 0x1000, 0x2000, 0x3000
_PAGE = 0x1000
_BAR_SIZE = 0x4000
NOTIFY_MULTIPLIER = 4
_DOORBELL_WIDTH = 2  # a driver writes the queue's index, 16 bits (4.1.5.2)

_CFG_COMMON, _CFG_NOTIFY, _CFG_ISR, _CFG_DEVICE, _CFG_PCI = range(1, 6)
_PCI_CAP_DATA = 16  # offset of pci_cfg_data in its capability

_MSIX_CONTROL = 2
_MSIX_ENABLE, _MSIX_MASK = 1 << 15, 1 << 14

# doorbell(address, fd, assign): have the kernel signal fd on 16-bit writes to address.
Doorbell = Callable[[int, int, bool], None]

_log = logging.getLogger(__name__)


class VirtioPci(PciDevice):
    """The PCI function of one virtio device.

    `loop`: where queues are served; `msi`: where MSI-X messages go.  Without `doorbell`
    the queues' notifications arrive as ordinary writes.
    """

    vendor_id = VENDOR
    subsystem_vendor_id = VENDOR
    revision = 1
    interrupt_pin = 1

    def __init__(
        self,
        device: VirtioDevice,
        memory: GuestMemory,
        loop: Loop,
        msi: Msi,
        doorbell: Doorbell | None = None,
    ) -> None:
        self.name = device.name
        self.device_id = _DEVICE_BASE + device.device_id
        self.subsystem_id = _DEVICE_BASE + device.device_id
        self.class_code = device.class_code
        super().__init__()
        self.device = device
        self._doorbell = doorbell
        self._doorbell_base: int | None = None
        queues = tuple(SplitQueue(memory, size) for size in device.queue_sizes)
        flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
        self._fds = tuple(os.eventfd(0, flags) for _ in queues)
        self._finalizer = weakref.finalize(self, _close_all, self._fds)
        self.msix = msix.MsixTable(msi, len(queues) + 1)
        self.interrupt = VirtioInterrupt(IrqLine(), self.msix)
        self.common = CommonConfig(device, queues, self.interrupt, self._report)
        self._declare_bars()
        self._declare_capabilities()
        device.connect(Connection(loop, queues, self._fds, self.interrupt, self._fault))
        self._lock = getattr(loop, "lock", None)

    def close(self) -> None:
        """Free the doorbells; after the event loop has stopped.  Else it is done when
        the function is collected."""
        self._finalizer()

    def _declare_bars(self) -> None:
        name = self.name
        windows = [
            Window(COMMON, _PAGE, self.common, f"{name}-common", 4),
            Window(ISR, _PAGE, self.interrupt, f"{name}-isr", 1),
            Window(DEVICE, _PAGE, _DeviceConfig(self.device), f"{name}-config"),
            Window(NOTIFY, _PAGE, _Notify(self.device, self._fds), f"{name}-notify", 4),
        ]
        self.add_bar(Bar(BAR, _BAR_SIZE, windows, moved=self._move_doorbells))
        table = Window(0, msix.WINDOW, self.msix, f"{name}-msix", 8)
        self.add_bar(Bar(MSIX_BAR, msix.WINDOW, [table]))

    def _declare_capabilities(self) -> None:
        space = self.space
        control = self.msix.vectors - 1
        body = struct.pack("<HII", control, MSIX_BAR, msix.PBA_OFFSET | MSIX_BAR)
        writable = struct.pack("<H", _MSIX_ENABLE | _MSIX_MASK)
        self._msix_cap = space.add_capability(config.CAP_MSIX, body, writable)
        self._add_structure(_CFG_COMMON, COMMON, _PAGE)
        self._add_structure(_CFG_ISR, ISR, _PAGE)
        self._add_structure(_CFG_DEVICE, DEVICE, _PAGE)
        self._add_structure(_CFG_NOTIFY, NOTIFY, _PAGE, struct.pack("<I", NOTIFY_MULTIPLIER))
        # 4.1.4.9: bar, offset, length and data are the driver's to write.
        writable = bytes(2) + b"\xff" + bytes(3) + b"\xff" * 12
        self._pci_cap = self._add_structure(_CFG_PCI, 0, 0, bytes(4), writable, bar=0)

    def _add_structure(
        self, kind: int, offset: int, length: int, extra: bytes = b"", writable: bytes = b"",
        bar: int = BAR,
    ) -> int:  # fmt: skip
        """struct virtio_pci_cap (4.1.4); `extra` follows it."""
        size = 16 + len(extra)
        body = struct.pack("<BBBxxxII", size, kind, bar, offset, length)
        return self.space.add_capability(config.CAP_VENDOR, body + extra, writable)

    def attached(self, bus: PciBus, slot: int, function: int) -> None:
        """Find out which interrupt line the pin leads to."""
        super().attached(bus, slot, function)
        self.interrupt.connect(bus.intx_line(self))

    # Configuration space

    def config_read(self, offset: int, width: int) -> int:
        """Reading pci_cfg_data reads the BAR; status shows a pending INTx."""
        data = self._pci_cap + _PCI_CAP_DATA
        if data <= offset < data + 4:
            return self._window_access(offset - data, width, None)
        value = super().config_read(offset, width)
        if self.interrupt.isr and not self.msix.enabled:
            value |= self._status_interrupt(offset, width)
        return value

    def config_write(self, offset: int, width: int, value: int) -> None:
        """MSI-X control, interrupt disable and pci_cfg_data have effects."""
        super().config_write(offset, width, value)
        data = self._pci_cap + _PCI_CAP_DATA
        if data <= offset < data + 4:
            self._window_access(offset - data, width, value)
        if offset < config.STATUS and offset + width > config.COMMAND:
            self.interrupt.set_line_enabled(not self.intx_disabled)
        control = self._msix_cap + _MSIX_CONTROL
        if offset < control + 2 and offset + width > control:
            bits = self.space.get(control, 2)
            self.msix.set_control(bool(bits & _MSIX_ENABLE), bool(bits & _MSIX_MASK))

    @staticmethod
    def _status_interrupt(offset: int, width: int) -> int:
        shift = 8 * (config.STATUS - offset)
        inside = offset <= config.STATUS < offset + width
        return config.STATUS_INTERRUPT << shift if inside else 0

    def _window_access(self, skip: int, width: int, value: int | None) -> int:
        """An access through the PCI configuration access capability (4.1.4.9).

        Anything but a 1, 2 or 4 byte access that is aligned and wholly inside one of our
        windows reads as zero and writes nothing.
        """
        index = self.space.get(self._pci_cap + 4, 1)
        offset, length = struct.unpack_from("<II", self.space.data, self._pci_cap + 8)
        if skip or length != width or offset % width:
            return 0
        for bar in self.bars:
            for window in bar.windows if bar.index == index else ():
                if window.offset <= offset and offset + width <= window.offset + window.size:
                    return self._forward(window, offset - window.offset, width, value)
        return 0

    @staticmethod
    def _forward(window: Window, offset: int, width: int, value: int | None) -> int:
        if width > window.max_width:
            return 0
        if value is None:
            return window.device.read(offset, width)
        window.device.write(offset, width, value)
        return 0

    # Doorbells

    def _move_doorbells(self, base: int | None) -> None:
        if self._doorbell is None:
            return
        if self._doorbell_base is not None:
            self._set_doorbells(self._doorbell_base, False)
        self._doorbell_base = base
        if base is not None:
            self._set_doorbells(base, True)

    def _set_doorbells(self, base: int, assign: bool) -> None:
        for index, fd in enumerate(self._fds):
            if index in self.device.prompt_queues:
                continue
            try:
                self._doorbell(base + NOTIFY + NOTIFY_MULTIPLIER * index, fd, assign)
            except OSError:
                # Without it the write comes to our window instead: slower, not wrong.
                pass

    # Faults

    def _fault(self, text: str) -> None:
        """From the event loop's thread: the driver broke the device's rules."""
        if self._lock is None:
            self.common.needs_reset(text)
            return
        with self._lock:
            self.common.needs_reset(text)

    def _report(self, text: str) -> None:
        place = f"{self.slot:02x}.{self.function}"
        _log.warning("%s at PCI %s: %s; it needs a reset", self.name, place, text)


def _close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


class _DeviceConfig:
    """The device-specific window; our devices have no writable fields."""

    def __init__(self, device: VirtioDevice) -> None:
        self._device = device

    def read(self, offset: int, width: int) -> int:
        """Bytes beyond the structure read as zero."""
        return int.from_bytes(self._device.config()[offset : offset + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Ignored: nothing there can be written."""


class _Notify:
    """Notifications that did not take the short way through an ioeventfd."""

    def __init__(self, device: VirtioDevice, fds: tuple[int, ...]) -> None:
        self._device, self._fds = device, fds

    def read(self, offset: int, width: int) -> int:
        """Nothing to read."""
        return 0

    def write(self, offset: int, width: int, value: int) -> None:
        """The address says which queue; the value repeats it."""
        index = offset // NOTIFY_MULTIPLIER
        if offset % NOTIFY_MULTIPLIER or index >= len(self._fds):
            return
        if index in self._device.prompt_queues:
            self._device.notify(index)
        else:
            os.eventfd_write(self._fds[index], 1)
