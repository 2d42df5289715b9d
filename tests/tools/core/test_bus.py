# SPDX-License-Identifier: GPL-2.0-only
"""Bus: dispatch, splitting, refusal, and change under readers."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.payload import Recorder
from unikvm.core.bus import Bus, Device
from unikvm.core.errors import BusError

pytestmark = pytest.mark.unit


@pytest.fixture(params=[16, 52])
def bus(request):
    return Bus("test", request.param)


def test_a_device_knows_only_offsets(bus):
    device = Recorder(0x1234)
    bus.register(0x100, 16, device, "device")
    bus.write(0x104, 4, 0xDEADBEEF)
    assert bus.read(0x108, 2) == 0x1234
    assert device.writes == [(4, 4, 0xDEADBEEF)] and device.reads == [(8, 2)]


def test_nobody_reads_as_ones_and_ignores_writes(bus):
    assert [bus.read(0x10, width) for width in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]
    bus.write(0x10, 4, 0)
    assert bus.unclaimed == 11


def test_beyond_the_bus_is_nobody():
    bus = Bus("ports", 16)
    device = Recorder()
    bus.register(0xFFFC, 4, device, "last")
    bus.register(0, 4, Recorder(), "first")
    assert bus.read(0xFFFE, 4) == 0xFFFF0000, "the bus must not wrap around"
    assert bus.read(1 << 40, 4) == 0xFFFFFFFF
    assert bus.read(2**64 - 2, 4) & 0xFFFF == 0xFFFF


@pytest.mark.parametrize("base, size", [
    (0x100, 16), (0xF8, 9), (0x10F, 1), (0x0, 0x1000), (0x104, 4)])
def test_overlap_is_refused(bus, base, size):
    bus.register(0x100, 16, Recorder(), "there")
    with pytest.raises(BusError, match="overlaps there"):
        bus.register(base, size, Recorder(), "late")
    assert bus.windows() == [(0x100, 16, "there")]


def test_neighbours_are_welcome(bus):
    for base in (0x110, 0xF0, 0x100):
        bus.register(base, 16, Recorder(), hex(base))
    assert [base for base, _, _ in bus.windows()] == [0xF0, 0x100, 0x110]


@pytest.mark.parametrize("base, size", [
    (0, 0), (0xFFFF, 2), (0x10000, 1), (1, 0xFFFF + 1), (0, 2**64 - 1), (2**64 - 1, 1)])
def test_impossible_windows_are_refused(base, size):
    with pytest.raises(BusError):
        Bus("ports", 16).register(base, size, Recorder(), "bad")


def test_a_full_table_refuses():
    bus = Bus("memory", 52)
    for number in range(256):
        bus.register(number << 12, 16, Device(), str(number))
    with pytest.raises(BusError, match="no room"):
        bus.register(1 << 40, 16, Device(), "late")
    bus.unregister(0)
    bus.register(1 << 40, 16, Device(), "late")


def test_wide_accesses_are_split_for_narrow_devices(bus):
    device = Recorder(0x11, 0x22, 0x33, 0x44)
    bus.register(0x70, 2, device, "narrow", 1)
    assert bus.read(0x70, 4) == 0xFFFF2211
    bus.write(0x70, 2, 0xBBAA)
    assert device.writes == [(0, 1, 0xAA), (1, 1, 0xBB)]


@given(offset=st.integers(0, 15), length=st.integers(1, 8), width=st.sampled_from((1, 2, 4, 8)),
       value=st.integers(0, 2**64 - 1))
def test_any_access_is_whole_and_inside(offset, length, width, value):
    """However it is split, each byte arrives once, at its place, in a legal width."""
    bus, device = Bus("memory", 52), Recorder()
    bus.register(0x100, 16, device, "device", width)
    bus.write(0x100 + offset, length, value)
    seen = {}
    for at, size, part in device.writes:
        assert size in (1, 2, 4, 8) and size <= width and at + size <= 16
        for i in range(size):
            assert at + i not in seen
            seen[at + i] = part >> 8 * i & 0xFF
    inside = range(offset, min(offset + length, 16))
    assert seen == {at: value >> 8 * (at - offset) & 0xFF for at in inside}


def test_reads_are_cut_to_their_width(bus):
    bus.register(0x100, 16, Recorder(0x123456789ABCDEF0, -1), "long-winded")
    assert bus.read(0x100, 1) == 0xF0
    assert bus.read(0x100, 2) == 0xFFFF


def test_move_keeps_the_device_and_refusal_keeps_the_place(bus):
    device = Recorder(0x55)
    bus.register(0x100, 16, device, "wanderer")
    bus.register(0x200, 16, Recorder(), "wall")
    bus.move(0x100, 0x300)
    assert bus.read(0x100, 1) == 0xFF and bus.read(0x300, 1) == 0x55
    with pytest.raises(BusError):
        bus.move(0x300, 0x1F8)
    assert bus.windows() == [(0x200, 16, "wall"), (0x300, 16, "wanderer")]
    bus.move(0x300, 0x308)
    assert bus.windows()[1][0] == 0x308, "a move may overlap the old place"


def test_unregister_wants_a_window(bus):
    with pytest.raises(BusError):
        bus.unregister(0x100)


def test_a_handler_may_move_its_own_window(bus):
    class Mover(Recorder):
        def write(self, offset, width, value):
            bus.move(0x100, 0x200)

    bus.register(0x100, 16, Mover(), "mover")
    bus.write(0x100, 1, 0)
    assert bus.windows() == [(0x200, 16, "mover")]


def test_what_a_handler_raises_comes_out(bus):
    class Bad:
        def read(self, offset, width):
            raise KeyError("gone")

    bus.register(0, 1, Bad(), "bad")
    with pytest.raises(KeyError, match="gone"):
        bus.read(0, 1)
    assert bus.failure is None, "raised once"


def test_handlers_run_under_the_machine_lock():
    lock = threading.RLock()
    bus = Bus("test", 16, lock)
    got = []

    class Prober:
        def read(self, offset, width):
            other = threading.Thread(target=lambda: got.append(lock.acquire(blocking=False)))
            other.start()
            other.join()
            return 0

    bus.register(0, 1, Prober(), "prober")
    bus.read(0, 1)
    assert got == [False]


def test_readers_never_see_half_a_change():
    """Two windows swap places many times; a reader always finds one of the two."""
    bus = Bus("memory", 52)

    class Constant(Device):
        pass

    bus.register(0x1000, 0x1000, Constant(), "still")
    bus.register(0x8000, 0x100, Constant(), "wanderer")
    stop = threading.Event()
    wrong = []

    def reader():
        before = bus.unclaimed
        while not stop.is_set():
            bus.read(0x1800, 8)
        if bus.unclaimed != before:
            wrong.append(bus.unclaimed)

    thread = threading.Thread(target=reader)
    thread.start()
    for step in range(3000):
        bus.move(0x8000 if step % 2 == 0 else 0x100, 0x100 if step % 2 == 0 else 0x8000)
    stop.set()
    thread.join()
    assert not wrong, "the window that stayed was not found at some time"
