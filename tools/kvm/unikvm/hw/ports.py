# SPDX-License-Identifier: GPL-2.0-only
"""Ports of one register each: system control 0x92, debug console."""
from __future__ import annotations

from typing import Callable

PORT92_RESET, PORT92_A20 = 0x01, 0x02
# What a debug console reads as, so that firmware knows it is there.
DEBUGCON_PRESENT = 0xE9


class Port92:
    """System control port A: fast A20 (always open here) and fast reset."""

    SIZE = 1

    def __init__(self, reset: Callable[[], None]) -> None:
        self._reset = reset
        self._value = PORT92_A20

    def read(self, _offset: int, _width: int) -> int:
        return self._value

    def write(self, _offset: int, _width: int, value: int) -> None:
        """A rising edge of bit 0 resets."""
        rising = value & ~self._value & PORT92_RESET
        self._value = value | PORT92_A20
        if rising:
            self._reset()


class DebugConsole:
    """A byte sink for firmware messages; sink(data) gets each write."""

    SIZE = 1

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink

    def read(self, _offset: int, _width: int) -> int:
        return DEBUGCON_PRESENT

    def write(self, _offset: int, _width: int, value: int) -> None:
        self._sink(bytes((value,)))
