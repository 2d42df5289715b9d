# SPDX-License-Identifier: GPL-2.0-only
"""The ACPI fixed hardware: PM1 event and control blocks and the PM timer.

ACPI 6.4, 4.8.3.  Offsets within the block are the PIIX4's, and the
block moves as one.
"""
from __future__ import annotations

import time
from typing import Callable

from ..core.irq import IrqLine

STATUS, ENABLE, CONTROL, TIMER = 0x00, 0x02, 0x04, 0x08

STS_TIMER, STS_GLOBAL, STS_POWER_BUTTON, STS_RTC, STS_WAKE = 1, 0x20, 0x100, 0x400, 0x8000
EN_MASK = STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_RTC
CONTROL_SCI = 0x0001
CONTROL_SLEEP_SHIFT, CONTROL_SLEEP_ENABLE = 10, 0x2000

TIMER_HZ = 3579545
TIMER_MASK = 0xFFFFFF
# The timer's status bit is set when the top bit of the counter changes.
TIMER_HALF = 1 << 23


class PowerManagement:
    """64 ports, 16- and 32-bit registers that also take bytes.

    s5_type: the SLP_TYP value that means power off; shutdown() is called then.
    timer: a function that makes a core timer from a callback, or None for a
    timer that never interrupts.  now: seconds, monotonic.
    """

    SIZE = 0x40

    def __init__(self, sci: IrqLine, shutdown: Callable[[], None], s5_type: int,
                 timer: Callable | None = None,
                 now: Callable[[], float] = time.monotonic) -> None:
        self._sci = sci
        self._shutdown = shutdown
        self._s5_type = s5_type
        self._now = now
        self._status = self._enable = self._control = 0
        # The count at the last look, to see the top bit change.
        self._seen = self._ticks()
        self._timer = timer(self._update) if timer else None

    def _ticks(self) -> int:
        return int(self._now() * TIMER_HZ)

    def press_power_button(self) -> None:
        """What a user's finger does; the guest hears of it through the SCI."""
        self._status |= STS_POWER_BUTTON
        self._update()

    def read(self, offset: int, width: int) -> int:
        """Any part of the block; reserved bytes are 0."""
        self._look()
        block = bytearray(self.SIZE)
        # SCI_EN reads 1: without an SMI command port ACPI is always on.
        control = self._control | CONTROL_SCI
        for where, value, size in ((STATUS, self._status, 2), (ENABLE, self._enable, 2),
                                   (CONTROL, control, 2),
                                   (TIMER, self._ticks() & TIMER_MASK, 4)):
            block[where:where + size] = value.to_bytes(size, "little")
        return int.from_bytes(block[offset:offset + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Bytes of a register may be written one at a time."""
        for i in range(width):
            self._write_byte(offset + i, value >> (8 * i) & 0xFF)
        self._update()

    def _write_byte(self, offset: int, value: int) -> None:
        register, shift = offset & ~1, 8 * (offset & 1)
        bits, keep = value << shift, ~(0xFF << shift)
        if register == STATUS:
            self._look()
            self._status &= ~bits
        elif register == ENABLE:
            self._enable = (self._enable & keep | bits) & EN_MASK
        elif register == CONTROL:
            self._write_control(self._control & keep | bits)

    def _write_control(self, value: int) -> None:
        self._control = value & ~CONTROL_SLEEP_ENABLE
        if value & CONTROL_SLEEP_ENABLE:
            if value >> CONTROL_SLEEP_SHIFT & 7 == self._s5_type:
                self._shutdown()

    def _look(self) -> None:
        ticks = self._ticks()
        if ticks // TIMER_HALF != self._seen // TIMER_HALF:
            self._status |= STS_TIMER
        self._seen = ticks

    def _update(self) -> None:
        self._look()
        self._sci.set(bool(self._status & self._enable))
        if self._timer is None:
            return
        if self._enable & STS_TIMER and not self._status & STS_TIMER:
            left = TIMER_HALF - self._ticks() % TIMER_HALF
            self._timer.arm(left / TIMER_HZ + 1e-6)
        else:
            self._timer.cancel()
