# SPDX-License-Identifier: GPL-2.0-only
"""Base address registers: sizing, decoding, and the windows that follow them on a bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Protocol

from ..core.errors import BusError
from . import config

_IO_SPACE = 1
_MEMORY_BITS = 0xF
_MIN_SIZE = {True: 4, False: 16}
_IO_LIMIT = 1 << 16


class Bus(Protocol):
    """The part of core.bus.Bus used here."""

    def register(
        self, base: int, size: int, device: Any, name: str, max_width: int = 8
    ) -> None: ...
    def unregister(self, base: int) -> None: ...


@dataclass(frozen=True)
class Window:
    """A piece of a BAR and the bus device behind it; offset and size in bytes."""

    offset: int
    size: int
    device: Any
    name: str
    max_width: int = 8


class Bar:
    """One 32-bit BAR.  `size` is a power of two; `windows` lie inside it.

    `moved(base or None)` is called after the windows followed, for what else depends on
    the address (doorbells).
    """

    def __init__(
        self,
        index: int,
        size: int,
        windows: list[Window],
        *,
        io: bool = False,
        moved: Callable[[int | None], None] | None = None,
    ) -> None:
        if not 0 <= index < 6 or size & (size - 1) or size < _MIN_SIZE[io]:
            raise ValueError(f"BAR {index} of {size} bytes")
        if any(window.offset + window.size > size for window in windows):
            raise ValueError(f"BAR {index}: window beyond its {size} bytes")
        self.index, self.size, self.io, self.windows = index, size, io, windows
        self.base: int | None = None  # where the windows are now
        self._moved = moved

    @property
    def register(self) -> int:
        """Offset in configuration space."""
        return config.BAR0 + 4 * self.index

    def declare(self, space: config.ConfigSpace) -> None:
        """Set type bits and writable mask; sizing by writing all ones then just works."""
        space.set(self.register, 4, _IO_SPACE if self.io else 0)
        space.allow(self.register, 4, -self.size & 0xFFFF_FFFF)

    def wanted(self, space: config.ConfigSpace) -> int | None:
        """The base the guest programmed, None while decoding is off or it makes no sense."""
        command = space.get(config.COMMAND, 2)
        if not command & (config.COMMAND_IO if self.io else config.COMMAND_MEMORY):
            return None
        base = space.get(self.register, 4) & ~(3 if self.io else _MEMORY_BITS)
        # Zero means unassigned; a base at the very end is a sizing write.
        if base == 0 or base + self.size >= (_IO_LIMIT if self.io else 1 << 32):
            return None
        return base

    def place(self, bus: Bus, base: int | None) -> None:
        """Move the windows to `base`, or take them off the bus."""
        if base == self.base:
            return
        if self.base is not None:
            for window in self.windows:
                bus.unregister(self.base + window.offset)
            self.base = None
        if base is not None and self._register_all(bus, base):
            self.base = base
        if self._moved is not None:
            self._moved(self.base)

    def _register_all(self, bus: Bus, base: int) -> bool:
        """All windows or none: a guest that puts a BAR onto another device gets nothing."""
        done: list[int] = []
        for window in self.windows:
            start = base + window.offset
            try:
                bus.register(start, window.size, window.device, window.name, window.max_width)
            except BusError:
                for earlier in done:
                    bus.unregister(earlier)
                return False
            done.append(start)
        return True
