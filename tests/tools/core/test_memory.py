# SPDX-License-Identifier: GPL-2.0-only
"""The guest memory accessor: nothing outside, nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.core.errors import GuestMemoryError
from unikvm.core.memory import GuestMemory

pytestmark = pytest.mark.unit

LOW, HIGH = 0x10000, 4 << 30
SIZE = 0x4000


@pytest.fixture(scope="module")
def memory():
    return GuestMemory([(LOW, SIZE), (HIGH, SIZE)])


def test_values_are_little_endian(memory):
    memory.write(LOW, bytes(range(8)))
    assert memory.load8(LOW + 1) == 1
    assert memory.load16(LOW) == 0x0100
    assert memory.load32(LOW) == 0x03020100
    assert memory.load64(LOW) == 0x0706050403020100
    memory.store16(LOW, 0xABCD)
    assert memory.read(LOW, 3) == b"\xcd\xab\x02"
    memory.store64(HIGH, 1 << 63)
    assert memory.load64(HIGH) == 1 << 63


def test_a_value_too_wide_is_refused(memory):
    with pytest.raises(OverflowError):
        memory.store16(LOW, 0x10000)


@pytest.mark.parametrize("gpa, length", [
    (0, 1), (LOW - 1, 1), (LOW - 1, 2), (LOW + SIZE, 1), (LOW + SIZE - 1, 2),
    (LOW, SIZE + 1), (LOW + 1, SIZE), (HIGH + SIZE - 1, 2),
    (LOW, HIGH - LOW + 1),           # from one region to the other, over the hole
    (2**64 - 1, 1), (2**64 - 1, 2),  # wraps around
    (LOW, 2**64 - LOW), (LOW + 4, 2**64 - 4), (HIGH, 2**64 - 1),
])
def test_ranges_outside_are_refused(memory, gpa, length):
    with pytest.raises(GuestMemoryError):
        memory.read(gpa, length)
    with pytest.raises(GuestMemoryError):
        memory.fill(gpa, 0xFF, length)
    if length < 1 << 20:
        with pytest.raises(GuestMemoryError):
            memory.write(gpa, bytes(length))


def test_a_refused_write_changes_nothing(memory):
    memory.fill(LOW, 0x77, SIZE)
    with pytest.raises(GuestMemoryError):
        memory.write(LOW + SIZE - 4, bytes(8))
    assert memory.read(LOW, SIZE) == b"\x77" * SIZE


@given(offset=st.integers(-16, SIZE + 16), length=st.integers(0, 32))
def test_a_range_is_good_exactly_if_inside(memory, offset, length):
    inside = length == 0 or (0 <= offset and offset + length <= SIZE)
    try:
        data = memory.read(LOW + offset, length)
    except GuestMemoryError:
        assert not inside
    else:
        assert inside and len(data) == length


def test_length_zero_is_nothing(memory):
    assert memory.read(0, 0) == b""
    memory.write(0, b"")
    memory.fill(0, 1, 0)


def test_rom_is_read_but_never_written():
    memory = GuestMemory([(0, SIZE)])
    memory.add_rom(0xFFFF0000, b"\xea" * 0x10000)
    assert memory.read(0xFFFFFFF0, 16) == b"\xea" * 16
    for attempt in (lambda: memory.store8(0xFFFF0000, 0), lambda: memory.fill(0xFFFF0000, 0, 1),
                    lambda: memory.write(0xFFFF0000, b"x")):
        with pytest.raises(GuestMemoryError):
            attempt()
    assert memory.regions == [(0, SIZE)]
    assert memory.size == SIZE


@pytest.mark.parametrize("regions", [
    [(0, 0)], [(0, 100)], [(100, 4096)], [(0, 8192), (4096, 4096)],
    [(2**64 - 4096, 8192)], [(i << 20, 4096) for i in range(17)],
])
def test_bad_layouts_are_refused(regions):
    with pytest.raises((ValueError, OverflowError)):
        GuestMemory(regions)


def test_host_addresses_are_good_for_huge_pages():
    memory = GuestMemory([(0, 4 << 20)])
    assert memory.hva(0) % (2 << 20) == 0
    assert memory.hva(0x1234) == memory.hva(0) + 0x1234
    with pytest.raises(GuestMemoryError):
        memory.hva(4 << 20)
