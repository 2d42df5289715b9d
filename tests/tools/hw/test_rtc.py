# SPDX-License-Identifier: GPL-2.0-only
"""The clock, with a clock of the test's own."""

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.core.irq import IrqLine
from unikvm.hw.rtc import Rtc

pytestmark = pytest.mark.unit

A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
START = calendar.timegm((2024, 2, 29, 23, 59, 58))  # a Thursday


class Timer:
    def __init__(self, callback):
        self.callback, self.delay = callback, None

    def arm(self, seconds):
        self.delay = seconds

    def cancel(self):
        self.delay = None


class Clock:
    """An Rtc, its line, its timers, and the time."""

    def __init__(self, now=START):
        self.now, self.line, self.timers = float(now), IrqLine(), []
        self.rtc = Rtc(self.line, self.timer, lambda: self.now)

    def timer(self, callback):
        self.timers.append(Timer(callback))
        return self.timers[-1]

    def __getitem__(self, index):
        self.rtc.write(0, 1, index)
        return self.rtc.read(1, 1)

    def __setitem__(self, index, value):
        self.rtc.write(0, 1, index)
        self.rtc.write(1, 1, value)

    def pass_time(self):
        """To the next timer that is armed, and its callback."""
        timer = min((t for t in self.timers if t.delay is not None), key=lambda t: t.delay)
        self.now += timer.delay
        timer.delay = None
        timer.callback()


@pytest.fixture
def clock():
    return Clock()


def test_time_in_bcd(clock):
    assert [clock[i] for i in (0, 2, 4, 6, 7, 8, 9, 0x32)] == [
        0x58, 0x59, 0x23, 5, 0x29, 0x02, 0x24, 0x20]
    clock.now += 2
    assert [clock[i] for i in (0, 2, 4, 6, 7, 8)] == [0, 0, 0, 6, 1, 3]


def test_time_in_binary_and_twelve_hours(clock):
    clock[B] = 0x04
    assert (clock[0], clock[4]) == (58, 11 | 0x80)
    clock.now = START + 2
    assert clock[4] == 12, "midnight is 12 a.m."


def test_setting_the_time_under_set(clock):
    clock[B] = 0x82
    for index, value in ((0, 0x30), (2, 0x15), (4, 0x08), (7, 0x17), (8, 0x05), (9, 0x31),
                         (0x32, 0x20)):
        clock[index] = value
    clock.now += 1000
    assert clock[0] == 0x30, "the clock stands while SET"
    clock[B] = 0x02
    clock.now += 31
    assert [clock[i] for i in (0, 2, 4, 7, 8, 9)] == [0x01, 0x16, 0x08, 0x17, 0x05, 0x31]


@given(writes=st.lists(st.tuples(st.integers(0, 127), st.integers(0, 255)), max_size=40))
def test_no_write_breaks_it(writes):
    clock = Clock()
    for index, value in writes:
        clock[index] = value
    for index in range(128):
        assert 0 <= clock[index] <= 255


def test_update_in_progress_only_before_an_update(clock):
    clock.now += 0.5
    assert not clock[A] & 0x80
    clock.now += 0.4999
    assert clock[A] & 0x80
    assert clock[A] & 0x7F == 0x26


def test_valid_ram_and_plain_bytes(clock):
    assert clock[D] == 0x80
    clock[D] = 0
    clock[0x40] = 0x5A
    assert clock[D] == 0x80 and clock[0x40] == 0x5A
    clock[0x80 | 0x40] = 0x33  # bit 7 is the NMI mask
    assert clock[0x40] == 0x33
    assert clock.rtc.read(0, 1) == 0xFF


def test_update_interrupt(clock):
    clock.now += 0.25
    clock[B] = 0x12
    clock.pass_time()
    assert clock.now == START + 1
    assert clock.line.level
    assert clock[C] == 0x90
    assert not clock.line.level and clock[C] == 0
    clock.pass_time()
    assert clock.line.level, "again a second later"


def test_flags_without_enables_do_not_interrupt(clock):
    clock[B] = 0x22  # alarm enabled, at a time that does not come
    clock[1], clock[3], clock[5] = 0x11, 0x11, 0x11
    clock.pass_time()
    assert not clock.line.level and clock[C] == 0x10


def test_alarm_with_dont_care(clock):
    clock[1], clock[3], clock[5] = 0x00, 0xC0, 0xFF
    clock[B] = 0x22
    clock.pass_time()
    assert not clock.line.level
    clock.pass_time()
    assert clock.line.level and clock[C] & 0xA0 == 0xA0


def test_periodic_interrupt(clock):
    clock[A] = 0x2F  # 2 Hz
    clock[B] = 0x42
    clock.pass_time()
    assert clock.now == START + 0.5 and clock.line.level and clock[C] == 0xC0
    clock[A] = 0x21
    assert clock.timers[1].delay == 1 / 256
    clock[A] = 0x23  # 8192 Hz: not that often
    assert clock.timers[1].delay == 1 / 1024
    clock[B] = 0x02
    assert clock.timers[1].delay is None


def test_set_stops_updates(clock):
    clock[B] = 0x12
    clock[B] = 0x92
    assert clock.timers[0].delay is None
    assert not clock[B] & 0x10


@pytest.mark.parametrize("memory, extended, above16, above4g", [
    (16 << 20, 15 << 10, 0, 0),
    (128 << 20, 0xFFFF, 112 << 4, 0),
    (5 << 30, 0xFFFF, 0xBF00, 2 << 14),
])
def test_memory_sizes(clock, memory, extended, above16, above4g):
    clock.rtc.set_memory(memory, 4)

    def word(index, width=2):
        return int.from_bytes(bytes(clock[index + i] for i in range(width)), "little")

    assert word(0x15) == 640
    assert word(0x17) == word(0x30) == extended
    assert word(0x34) == above16
    assert word(0x5B, 3) == above4g
    assert clock[0x5F] == 3
