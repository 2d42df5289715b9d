# SPDX-License-Identifier: GPL-2.0-only
"""fw_cfg: named blobs for the firmware, read byte by byte or by DMA.

Interface: QEMU's docs/specs/fw_cfg.rst.  Everything is read-only.  The DMA
descriptor and all in it come from the guest.
"""
from __future__ import annotations

import struct
from typing import Callable

from ..core.errors import GuestMemoryError
from ..core.memory import GuestMemory

SELECTOR, DATA, DMA_HIGH, DMA_LOW = 0, 1, 4, 8
KEY_SIGNATURE, KEY_ID, KEY_DIRECTORY, FIRST_FILE = 0x00, 0x01, 0x19, 0x20
SIGNATURE = b"QEMU"
DMA_SIGNATURE = b"QEMU CFG"
ID_TRADITIONAL, ID_DMA = 1, 2
DMA_ERROR, DMA_READ, DMA_SKIP, DMA_SELECT, DMA_WRITE = 1, 2, 4, 8, 16
DESCRIPTOR = struct.Struct(">IIQ")  # control, length, address
DIRECTORY_ENTRY = struct.Struct(">IHH56s")  # size, selector, reserved, name
NAME_LIMIT = 55

Content = bytes | Callable[[], bytes]


class FwCfg:
    """Register at its port with SIZE bytes.

    Contents are fixed before the machine starts, except that a callable's
    result is fetched each time its item is selected (and once for its size).
    """

    SIZE = 12

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._items: dict[int, Content] = {
            KEY_SIGNATURE: SIGNATURE,
            KEY_ID: struct.pack("<I", ID_TRADITIONAL | ID_DMA),
            KEY_DIRECTORY: self._directory,
        }
        self._files: dict[str, Content] = {}
        self._current = b""
        self._position = 0
        self._dma_high = 0

    def add_key(self, selector: int, content: Content) -> None:
        """An item under a fixed selector (0 to 0x1f, or 0x8000 and up)."""
        if selector in self._items or FIRST_FILE <= selector < 0x8000 or selector > 0xFFFF:
            raise ValueError(f"fw_cfg selector {selector:#x} is taken")
        self._items[selector] = content

    def add_file(self, name: str, content: Content) -> None:
        """An item the guest finds in the directory by name."""
        if not name.isascii() or not 0 < len(name) <= NAME_LIMIT:
            raise ValueError(f"fw_cfg file name {name!r}")
        if name in self._files:
            raise ValueError(f"fw_cfg file {name} is there already")
        self._files[name] = content

    def _directory(self) -> bytes:
        entries = [struct.pack(">I", len(self._files))]
        for number, name in enumerate(sorted(self._files)):
            size = len(_bytes(self._files[name]))
            entries.append(DIRECTORY_ENTRY.pack(size, FIRST_FILE + number, 0, name.encode()))
        return b"".join(entries)

    def _select(self, selector: int) -> None:
        # Bit 14 asked for writing once; it selects the same item.
        selector &= 0xBFFF
        names = sorted(self._files)
        if FIRST_FILE <= selector < FIRST_FILE + len(names):
            content: Content = self._files[names[selector - FIRST_FILE]]
        else:
            content = self._items.get(selector, b"")
        self._current, self._position = _bytes(content), 0

    def read(self, offset: int, width: int) -> int:
        """Data port, or the signature that tells DMA is there; else 0."""
        if offset == DATA and width == 1:
            value = self._current[self._position:self._position + 1]
            self._position += 1
            return value[0] if value else 0
        if offset >= DMA_HIGH:
            start = offset - DMA_HIGH
            return int.from_bytes(DMA_SIGNATURE[start:start + width], "little")
        return 0

    def write(self, offset: int, width: int, value: int) -> None:
        """Selector (2 bytes), or the halves or whole of the DMA address, which
        are big-endian; the low half starts the transfer."""
        if offset == SELECTOR and width == 2:
            self._select(value)
        elif offset == DMA_HIGH and width == 4:
            self._dma_high = _swap(value, 4)
        elif offset == DMA_LOW and width == 4:
            high, self._dma_high = self._dma_high, 0
            self._dma(high << 32 | _swap(value, 4))
        elif offset == DMA_HIGH and width == 8:
            self._dma(_swap(value, 8))

    def _dma(self, descriptor: int) -> None:
        try:
            raw = self._memory.read(descriptor, DESCRIPTOR.size)
        except GuestMemoryError:
            return  # nowhere to report it
        control, length, address = DESCRIPTOR.unpack(raw)
        if control & DMA_SELECT:
            self._select(control >> 16)
        status = 0
        if control & DMA_READ:
            status = self._dma_read(address, length)
        elif control & DMA_WRITE:
            status = DMA_ERROR
        elif control & DMA_SKIP:
            self._position += length
        self._memory.write(descriptor, struct.pack(">I", status))

    def _dma_read(self, address: int, length: int) -> int:
        """length bytes of the item to address, zeros beyond its end."""
        data = memoryview(self._current)[self._position:self._position + length]
        try:
            if length:
                # Whole range first: one that leaves RAM changes nothing.
                self._check(address, length)
                self._memory.write(address, data)
                self._memory.fill(address + len(data), 0, length - len(data))
        except GuestMemoryError:
            return DMA_ERROR
        self._position += length
        return 0

    def _check(self, address: int, length: int) -> None:
        for gpa, size in self._memory.regions:
            if gpa <= address and address + length <= gpa + size:
                return
        raise GuestMemoryError(f"fw_cfg DMA to {address:#x}+{length:#x}")


def _bytes(content: Content) -> bytes:
    return content() if callable(content) else content


def _swap(value: int, width: int) -> int:
    return int.from_bytes(value.to_bytes(width, "little"), "big")
