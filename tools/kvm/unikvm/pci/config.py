# SPDX-License-Identifier: GPL-2.0-only
"""The 256 bytes of a function's configuration space (PCI local bus 3.0, chapter 6)."""

from __future__ import annotations

from typing import Final

VENDOR_ID: Final = 0x00
DEVICE_ID: Final = 0x02
COMMAND: Final = 0x04
STATUS: Final = 0x06
REVISION: Final = 0x08
CLASS_CODE: Final = 0x09
HEADER_TYPE: Final = 0x0E
BAR0: Final = 0x10
SUBSYSTEM_VENDOR_ID: Final = 0x2C
SUBSYSTEM_ID: Final = 0x2E
CAPABILITIES: Final = 0x34
INTERRUPT_LINE: Final = 0x3C
INTERRUPT_PIN: Final = 0x3D
FIRST_CAPABILITY: Final = 0x40

COMMAND_IO: Final = 1 << 0
COMMAND_MEMORY: Final = 1 << 1
COMMAND_MASTER: Final = 1 << 2
COMMAND_INTX_DISABLE: Final = 1 << 10
STATUS_INTERRUPT: Final = 1 << 3
STATUS_CAPABILITIES: Final = 1 << 4
HEADER_MULTIFUNCTION: Final = 1 << 7

CAP_VENDOR: Final = 0x09
CAP_MSIX: Final = 0x11

SIZE: Final = 256


class ConfigSpace:
    """Bytes with a mask that says which bits the guest may write."""

    def __init__(self) -> None:
        self.data = bytearray(SIZE)
        self.writable = bytearray(SIZE)
        self._last_capability = CAPABILITIES
        self._free = FIRST_CAPABILITY

    def get(self, offset: int, width: int) -> int:
        """Little-endian field of `width` bytes."""
        return int.from_bytes(self.data[offset : offset + width], "little")

    def set(self, offset: int, width: int, value: int) -> None:
        """The device's own write: not masked."""
        self.data[offset : offset + width] = value.to_bytes(width, "little")

    def allow(self, offset: int, width: int, mask: int) -> None:
        """Let the guest write the bits of `mask` in this field."""
        self.writable[offset : offset + width] = mask.to_bytes(width, "little")

    def guest_write(self, offset: int, width: int, value: int) -> None:
        """A write by the guest: only writable bits change."""
        for index, byte in enumerate(value.to_bytes(width, "little"), offset):
            mask = self.writable[index]
            self.data[index] = self.data[index] & ~mask | byte & mask

    def add_capability(self, identity: int, body: bytes, writable: bytes = b"") -> int:
        """Append a capability (6.7): `body` follows id and next pointer.

        `writable` is a mask for the body.  Returns the capability's offset; ValueError
        when it does not fit.
        """
        offset = (self._free + 3) & ~3
        end = offset + 2 + len(body)
        if end > SIZE:
            raise ValueError(f"no room for PCI capability {identity:#x}")
        self.data[offset:end] = bytes([identity, 0]) + body
        self.writable[offset + 2 : offset + 2 + len(writable)] = writable
        # The list's head is the pointer at 0x34, each element's link its second byte.
        link = self._last_capability + (self._last_capability != CAPABILITIES)
        self.data[link] = offset
        self.set(STATUS, 2, self.get(STATUS, 2) | STATUS_CAPABILITIES)
        self._last_capability, self._free = offset, end
        return offset
