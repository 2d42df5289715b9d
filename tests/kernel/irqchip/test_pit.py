# SPDX-License-Identifier: GPL-2.0-only
"""The 8254 against a counter that really ticks, and its ports by hand.

Sources: Intel 82C54 data sheet (231244-006), "Mode Definitions" and "Read/Write Operations".
"""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.irqchip.chips import Pit, PitChannel, PitState

pytestmark = pytest.mark.unit

HZ = 1193182
START = 1_000_000_000       # ns, when counts are loaded


def at(tick: int) -> int:
    """The first nanosecond at which `tick` clocks have passed since START."""
    return START + -(-tick * 1_000_000_000 // HZ)


def bcd(value: int) -> int:
    """A decimal number, its digits as nibbles."""
    return int(str(value), 16)


class Ticker:
    """One counter of the data sheet, clock by clock: modes 0, 2, 3, 4 with the gate high."""

    def __init__(self, mode: int, count: int) -> None:
        self.mode, self.reload = mode, count
        self.count = count & ~1 if mode == 3 else count
        self.out = mode != 0
        self.struck = False
        # An odd count's high half is one clock longer: it also waits at zero.
        self.linger = mode == 3 and count % 2 == 1

    def tick(self) -> None:
        """One falling clock edge."""
        getattr(self, f"tick{self.mode}")()

    def tick0(self) -> None:
        self.count -= 1
        if self.count == 0:
            self.out = True

    def tick2(self) -> None:
        self.count -= 1
        if self.count == 0:
            self.count = self.reload
        self.out = self.count != 1

    def tick3(self) -> None:
        self.count -= 2
        if self.count == 0 and not (self.linger and self.out):
            self.count, self.out = self.reload & ~1, not self.out
        elif self.count < 0:        # the extra clock of an odd count
            self.count, self.out = self.reload & ~1, False

    def tick4(self) -> None:
        self.count -= 1
        self.out = self.count != 0


# A half period of one clock has no count to show: mode 3 starts at 4.
@pytest.mark.parametrize(("mode", "count"), [(mode, count) for mode in (0, 2, 3, 4)
                                             for count in (2, 3, 4, 5, 7, 8, 100, 101)
                                             if mode != 3 or count >= 4])
def test_counts_as_the_clock_ticks(lib: ctypes.CDLL, mode: int, count: int) -> None:
    pit = Pit(lib)
    pit.program(0, mode, count, START)
    model = Ticker(mode, count)
    for tick in range(3 * count):
        now = at(tick)
        assert (pit.count(0, now), pit.out(0, now)) == (model.count & 0xffff, model.out), tick
        model.tick()


@pytest.mark.parametrize("mode", [0, 2, 3, 4])
def test_decimal_counts(lib: ctypes.CDLL, mode: int) -> None:
    pit, plain = Pit(lib), Pit(lib)
    pit.program(0, mode, bcd(1234), START, bcd=True)
    plain.program(0, mode, 1234, START)
    for tick in (0, 1, 100, 616, 617, 618, 1233):
        assert pit.count(0, at(tick)) == bcd(plain.count(0, at(tick)))
        assert pit.out(0, at(tick)) == plain.out(0, at(tick))


def test_zero_is_the_largest_count(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.program(0, 2, 0, START)
    assert pit.count(0, at(0)) == 0 and pit.count(0, at(1)) == 0xffff
    assert pit.plan()[1] == 0x10000 * 1_000_000_000 // HZ
    pit.program(0, 2, 0, START, bcd=True)
    assert pit.count(0, at(1)) == 0x9999
    assert pit.get().channels[0].count == 0x10000


def test_decimal_counts_below_zero_wrap_at_ten_thousand(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.program(0, 0, bcd(5), START, bcd=True)
    assert pit.count(0, at(6)) == 0x9999


@pytest.mark.parametrize(("access", "written", "count"),
                         [(1, [0x34], 0x34), (2, [0x12], 0x1200), (3, [0x34, 0x12], 0x1234)])
def test_halves(lib: ctypes.CDLL, access: int, written: list[int], count: int) -> None:
    pit = Pit(lib)
    pit.write(3, 1 << 6 | access << 4 | 2 << 1, START)
    for value in written:
        assert not pit.write(1, value, START)       # channel 1 interrupts nobody
    assert pit.count(1, START) == count
    assert [pit.read(1, START) for _ in written] == written
    assert [pit.read(1, START) for _ in written] == written


def test_latched_count_stands_until_read(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.program(0, 2, 0x8000, START)
    pit.write(3, 0x00, at(0x10))
    pit.write(3, 0x00, at(0x20))                    # ignored: still latched
    assert [pit.read(0, at(0x30)), pit.read(0, at(0x40))] == [0xf0, 0x7f]
    assert [pit.read(0, at(0x8000)), pit.read(0, at(0x8000))] == [0x00, 0x80]


def test_read_back_status_then_count(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.program(2, 3, 0x1000, START)
    pit.speaker_write(1, START)
    pit.write(3, 0xc8, at(0x10))                    # status and count of channel 2
    assert pit.read(2, at(0x20)) == 0x80 | 3 << 4 | 3 << 1
    assert [pit.read(2, at(0x20)), pit.read(2, at(0x20))] == [0xe0, 0x0f]
    pit.write(3, 2 << 6 | 3 << 4, at(0x30))         # a mode without a count yet
    pit.write(3, 0xe8, at(0x30))                    # status only
    assert pit.read(2, at(0x30)) == 0x40 | 3 << 4   # null count, mode 0: OUT low


def test_channel_2_as_linux_calibrates(lib: ctypes.CDLL) -> None:
    """Gate up, speaker off, mode 0: OUT2 in port 61h rises when the count ends."""
    pit = Pit(lib)
    pit.speaker_write(pit.speaker_read(START) & ~2 | 1, START)
    pit.program(2, 0, 11932, START)
    assert not pit.speaker_read(at(11931)) & 0x20
    assert pit.speaker_read(at(11932)) & 0x20
    assert pit.speaker_read(at(11932)) & 3 == 1


def test_low_gate_stops_counting(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.speaker_write(1, START)
    pit.program(2, 0, 1000, START)
    pit.speaker_write(0, at(100))
    assert pit.count(2, at(500)) == 900
    pit.speaker_write(1, at(600))
    assert pit.count(2, at(700)) in (799, 800, 801)
    assert not pit.out(2, at(1490)) and pit.out(2, at(1510))


@pytest.mark.parametrize("mode", [1, 5])
def test_gate_triggers(lib: ctypes.CDLL, mode: int) -> None:
    pit = Pit(lib)
    pit.program(2, mode, 10, START)
    assert pit.out(2, at(100))                      # nothing before the gate
    pit.speaker_write(1, START)
    assert [pit.out(2, at(tick)) for tick in (0, 9, 10, 11)] == \
        ([False, False, True, True] if mode == 1 else [True, True, False, True])
    pit.speaker_write(0, at(5))
    assert pit.count(2, at(7)) == 3                 # runs on without the gate
    pit.speaker_write(1, at(20))
    assert pit.count(2, at(21)) in (9, 10)          # and may be triggered again


def test_square_wave_waits_for_the_gate(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.program(2, 3, 10, START)
    assert all(pit.out(2, at(tick)) for tick in range(20))
    pit.speaker_write(1, START)
    assert [pit.out(2, at(tick)) for tick in (0, 4, 5, 9, 10)] == [True, True, False, False, True]


def test_speaker_and_refresh_bits(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.speaker_write(3, START)
    assert pit.speaker_read(START) & 3 == 3
    assert pit.get().flags == 2
    assert len({pit.speaker_read(START + step * 4096) & 0x10 for step in range(16)}) == 2


@pytest.mark.parametrize(("mode", "ticks", "periodic"), [(0, 1000, False), (2, 1000, True), (3, 1000, True),
                                                         (4, 1001, False)])
def test_interrupt_plan(lib: ctypes.CDLL, mode: int, ticks: int, periodic: bool) -> None:
    pit = Pit(lib)
    assert pit.plan() is None                       # never programmed
    assert pit.program(0, mode, 1000, START)
    delay, period = pit.plan()
    assert abs(delay - ticks * 1_000_000_000 // HZ) <= 1
    assert period == (ticks * 1_000_000_000 // HZ if periodic else 0)
    # OUT is up at that time, for the edge that the interrupt is.
    assert pit.out(0, START + delay + 1)
    pit.write(3, 0x30, START)
    assert pit.plan() is None                       # a new mode stops the old count


@pytest.mark.parametrize("mode", [1, 5])
def test_channel_0_cannot_be_triggered(lib: ctypes.CDLL, mode: int) -> None:
    pit = Pit(lib)
    pit.program(0, mode, 1000, START)
    assert pit.plan() is None


def test_hpet_takes_the_interrupt(lib: ctypes.CDLL) -> None:
    pit = Pit(lib)
    pit.program(0, 2, 1000, START)
    state = pit.get()
    state.flags |= 1
    pit.set(state, START)
    assert pit.plan() is None


def without_time(state: PitState) -> bytes:
    """A state with the load times, which SET renews, blanked."""
    for channel in state.channels:
        channel.count_load_time = 0
    return bytes(state)


@settings(max_examples=200, deadline=None)
@given(writes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 255)), max_size=40))
def test_round_trip_after_any_writes(lib: ctypes.CDLL, writes: list[tuple[int, int]]) -> None:
    pit, other = Pit(lib), Pit(lib)
    for step, (port, value) in enumerate(writes):
        if port == 4:
            pit.speaker_write(value, at(step * 50))
        else:
            pit.write(port, value, at(step * 50))
    other.set(pit.get(), at(5000))
    assert without_time(other.get()) == without_time(pit.get())


@settings(max_examples=300, deadline=None)
@given(raw=st.lists(st.binary(min_size=24, max_size=24), min_size=3, max_size=3),
       flags=st.integers(0, 2**32 - 1), times=st.lists(st.integers(-2**63, 2**63 - 1), min_size=1, max_size=8))
def test_hostile_state_is_tamed(lib: ctypes.CDLL, raw: list[bytes], flags: int, times: list[int]) -> None:
    """No value and no clock makes it trap; what is read stays within its width."""
    pit = Pit(lib)
    state = PitState(flags=flags)
    for number in range(3):
        state.channels[number] = PitChannel.from_buffer_copy(raw[number])
    pit.set(state, times[0])
    once = pit.get()
    for channel in once.channels:
        assert 1 <= channel.count <= 0x10000 and channel.mode in (0, 1, 2, 3, 4, 5, 0xff)
    for now in times:
        for number in range(3):
            assert 0 <= pit.count(number, now) <= 0xffff
            pit.read(number, now)
        pit.write(3, 0xc0 | now & 0x3e, now)
        pit.speaker_read(now)
    plan = pit.plan()
    assert plan is None or 0 < plan[0] < 10**9
