# SPDX-License-Identifier: GPL-2.0-only
"""MC146818-compatible real-time clock with 128 bytes of CMOS RAM.

Time is the host's UTC plus whatever the guest set.  Register and bit names are
those of the MC146818A data sheet.
"""
from __future__ import annotations

import calendar
import time
from typing import Callable

from ..core.irq import IrqLine

SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM = range(6)
WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D = range(6, 14)
CENTURY = 0x32
TIME_REGISTERS = (SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY)

A_UIP = 0x80
A_DEFAULT = 0x26  # 32768 Hz crystal, 1024 Hz periodic rate
B_SET, B_PIE, B_AIE, B_UIE, B_BINARY, B_24H = 0x80, 0x40, 0x20, 0x10, 0x04, 0x02
C_IRQF, C_PF, C_AF, C_UF = 0x80, 0x40, 0x20, 0x10
D_VALID = 0x80
HOUR_PM = 0x80

# An update announces itself this long before it happens (data sheet, t_BUC).
UPDATE_SECONDS = 244e-6
# No host timer runs at 8 kHz; a guest that asks gets interrupts this far apart.
SHORTEST_PERIOD = 1 / 1024


class Rtc:
    """Index port and data port; register it with max_width 1.

    timer: a function that makes a core timer from a callback, or None for a
    clock without interrupts.  now: seconds since the epoch.
    """

    SIZE = 2

    def __init__(self, line: IrqLine, timer: Callable | None = None,
                 now: Callable[[], float] = time.time) -> None:
        self._line = line
        self._now = now
        self._offset = 0.0
        self._frozen = 0.0
        self.ram = bytearray(128)
        self.ram[REG_A], self.ram[REG_B] = A_DEFAULT, B_24H
        self._index = 0
        self._second = timer(self._tick) if timer else None
        self._periodic = timer(self._period) if timer else None

    def set_memory(self, size: int, cpus: int) -> None:
        """The size bytes that firmware reads where fw_cfg tells it nothing.

        size: bytes of RAM below 4 GiB and above together.
        """
        extended = min(max(size - (1 << 20), 0) >> 10, 0xFFFF)
        above_16m = min(max(min(size, 3 << 30) - (16 << 20), 0) >> 16, 0xFFFF)
        above_4g = max(size - (3 << 30), 0) >> 16
        self._store(0x15, 640, 2)
        self._store(0x17, extended, 2)
        self._store(0x30, extended, 2)
        self._store(0x34, above_16m, 2)
        self._store(0x5B, min(above_4g, 0xFFFFFF), 3)
        self._store(0x5F, cpus - 1, 1)

    def _store(self, index: int, value: int, width: int) -> None:
        self.ram[index:index + width] = value.to_bytes(width, "little")

    def read(self, offset: int, _width: int) -> int:
        """The data port; the index port is write-only on a PC."""
        return self._read_register(self._index) if offset else 0xFF

    def write(self, offset: int, _width: int, value: int) -> None:
        """Bit 7 of the index masks NMI on a PC; there is none to mask."""
        if offset:
            self._write_register(self._index, value)
        else:
            self._index = value & 0x7F

    # Time

    def _time(self) -> float:
        frozen = self.ram[REG_B] & B_SET
        return self._frozen if frozen else self._now() + self._offset

    def _fields(self) -> dict[int, int]:
        """Time registers from the running clock, in the guest's format."""
        t = time.gmtime(self._time())
        values = {SECONDS: t.tm_sec, MINUTES: t.tm_min, WEEKDAY: (t.tm_wday + 1) % 7 + 1,
                  DAY: t.tm_mday, MONTH: t.tm_mon, YEAR: t.tm_year % 100,
                  CENTURY: t.tm_year // 100}
        fields = {register: self._encode(value) for register, value in values.items()}
        fields[HOURS] = self._encode_hour(t.tm_hour)
        return fields

    def _encode(self, value: int) -> int:
        return value if self.ram[REG_B] & B_BINARY else value // 10 << 4 | value % 10

    def _decode(self, value: int) -> int:
        return value if self.ram[REG_B] & B_BINARY else (value >> 4) * 10 + (value & 15)

    def _encode_hour(self, hour: int) -> int:
        if self.ram[REG_B] & B_24H:
            return self._encode(hour)
        return self._encode((hour + 11) % 12 + 1) | (HOUR_PM if hour >= 12 else 0)

    def _decode_hour(self, value: int) -> int:
        if self.ram[REG_B] & B_24H:
            return self._decode(value)
        return self._decode(value & ~HOUR_PM) % 12 + (12 if value & HOUR_PM else 0)

    def _set_field(self, register: int, value: int) -> None:
        fields = self._fields()
        fields[register] = value
        year = self._decode(fields[CENTURY]) * 100 + self._decode(fields[YEAR])
        month = min(max(self._decode(fields[MONTH]), 1), 12)
        # The guest may write any nonsense; timegm() carries days and hours
        # over, but wants a month and a year that exist.
        year = min(max(year, 1970), 9999)
        seconds = calendar.timegm((year, month, self._decode(fields[DAY]),
                                   self._decode_hour(fields[HOURS]),
                                   self._decode(fields[MINUTES]),
                                   self._decode(fields[SECONDS])))
        if self.ram[REG_B] & B_SET:
            self._frozen = float(seconds)
        else:
            self._offset = seconds - self._now()

    # Registers

    def _read_register(self, index: int) -> int:
        if index in TIME_REGISTERS:
            return self._fields()[index]
        if index == REG_A:
            return self.ram[REG_A] | (A_UIP if self._updating() else 0)
        if index == REG_C:
            value, self.ram[REG_C] = self.ram[REG_C], 0
            self._line.set(False)
            return value
        return D_VALID if index == REG_D else self.ram[index]

    def _updating(self) -> bool:
        return not self.ram[REG_B] & B_SET and self._time() % 1 > 1 - UPDATE_SECONDS

    def _write_register(self, index: int, value: int) -> None:
        if index in TIME_REGISTERS:
            self._set_field(index, value)
        elif index == REG_A:
            self.ram[REG_A] = value & ~A_UIP
            self._rearm()
        elif index == REG_B:
            self._write_b(value)
        elif index not in (REG_C, REG_D):
            self.ram[index] = value

    def _write_b(self, value: int) -> None:
        was_set, is_set = self.ram[REG_B] & B_SET, value & B_SET
        if is_set and not was_set:
            self._frozen = self._time()
            value &= ~B_UIE  # data sheet: SET clears UIE
        elif was_set and not is_set:
            self._offset = self._frozen - self._now()
        self.ram[REG_B] = value
        self._rearm()

    # Interrupts

    def _rearm(self) -> None:
        if self._second is None:
            return
        if self.ram[REG_B] & (B_UIE | B_AIE) and not self.ram[REG_B] & B_SET:
            self._second.arm(1 - self._time() % 1)
        else:
            self._second.cancel()
        rate = self.ram[REG_A] & 15
        if self.ram[REG_B] & B_PIE and rate:
            self._periodic.arm(self._period_seconds(rate))
        else:
            self._periodic.cancel()

    @staticmethod
    def _period_seconds(rate: int) -> float:
        # Rates 1 and 2 repeat 8 and 9 (data sheet, table 5).
        rate = rate + 7 if rate < 3 else rate
        return max(2 ** (rate - 1) / 32768, SHORTEST_PERIOD)

    def _tick(self) -> None:
        flags = C_UF | (C_AF if self._alarm_matches() else 0)
        self._raise(flags)
        self._second.arm(1 - self._time() % 1)

    def _alarm_matches(self) -> bool:
        fields = self._fields()
        pairs = ((SECONDS, SECONDS_ALARM), (MINUTES, MINUTES_ALARM), (HOURS, HOURS_ALARM))
        # Both top bits set: "don't care".
        return all(self.ram[alarm] >= 0xC0 or self.ram[alarm] == fields[register]
                   for register, alarm in pairs)

    def _period(self) -> None:
        self._raise(C_PF)
        rate = self.ram[REG_A] & 15
        if rate and self.ram[REG_B] & B_PIE:
            self._periodic.arm(self._period_seconds(rate))

    def _raise(self, flags: int) -> None:
        self.ram[REG_C] |= flags
        # The enable bits of B lie where the flags of C do.
        if self.ram[REG_C] & self.ram[REG_B] & (C_PF | C_AF | C_UF):
            self.ram[REG_C] |= C_IRQF
            self._line.set(True)
