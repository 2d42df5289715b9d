# SPDX-License-Identifier: GPL-2.0-only
"""The split queue against well-behaved and hostile drivers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unikvm.core.memory import GuestMemory
from unikvm.core.ring import RingError, SplitQueue

pytestmark = pytest.mark.unit

RAM = 1 << 20
SIZE = 8
DESC, AVAIL, USED = 0x1000, 0x2000, 0x3000
DATA = 0x10000
NEXT, WRITE, INDIRECT = 1, 2, 4


class Guest:
    """Guest memory with a queue set up in it, and a pen to write anything there."""

    def __init__(self, size: int = SIZE, event: bool = False, indirect: bool = False) -> None:
        self.memory = GuestMemory([(0, RAM)])
        self.queue = SplitQueue(self.memory, 64)
        self.size = size
        self.index = 0
        self.queue.enable(size, DESC, AVAIL, USED, event, indirect)

    def desc(self, i: int, address: int, length: int, flags: int = 0, link: int = 0,
             table: int = DESC) -> None:  # fmt: skip
        self.memory.write(table + 16 * i, struct.pack("<QIHH", address, length, flags, link))

    def offer(self, *heads: int) -> None:
        for head in heads:
            self.memory.store16(AVAIL + 4 + 2 * (self.index % self.size), head)
            self.index = self.index + 1 & 0xFFFF
        self.memory.store16(AVAIL + 2, self.index)

    def used(self) -> int:
        return self.memory.load16(USED + 2)


def test_chain_is_read_and_written_across_buffers() -> None:
    guest = Guest()
    guest.memory.write(DATA, b"headbody")
    guest.desc(3, DATA, 4, NEXT, 5)
    guest.desc(5, DATA + 4, 4, NEXT, 1)
    guest.desc(1, DATA + 0x100, 2, NEXT | WRITE, 0)
    guest.desc(0, DATA + 0x200, 8, WRITE)
    guest.offer(3)
    chain = guest.queue.pop()
    assert (chain.head, chain.readable_bytes, chain.writable_bytes) == (3, 8, 10)
    assert chain.read(100) == b"headbody"
    assert chain.read(3, 2) == b"adb" and chain.read(9, 8) == b"" and chain.read(9, 99) == b""
    assert chain.write(b"abcdefghijklm") == 10
    assert guest.memory.read(DATA + 0x100, 2) == b"ab"
    assert guest.memory.read(DATA + 0x200, 8) == b"cdefghij"
    guest.queue.push(chain, 10)
    assert guest.used() == 1
    assert guest.memory.read(USED + 4, 8) == struct.pack("<II", 3, 10)
    assert guest.queue.pop() is None


def test_index_wraps_through_sixteen_bits() -> None:
    guest = Guest()
    for i in range(SIZE):
        guest.desc(i, DATA, 1)
    for turn in range((1 << 16) + SIZE):
        guest.offer(turn % SIZE)
        chain = guest.queue.pop()
        assert chain.head == turn % SIZE
        guest.queue.push(chain)
    assert guest.used() == SIZE and guest.queue.pop() is None


@pytest.mark.parametrize(
    ("size", "desc", "avail", "used", "text"),
    [
        (0, DESC, AVAIL, USED, "queue size 0"),
        (3, DESC, AVAIL, USED, "queue size 3"),
        (128, DESC, AVAIL, USED, "queue size 128"),
        (SIZE, DESC + 8, AVAIL, USED, "misaligned"),
        (SIZE, DESC, AVAIL + 1, USED, "misaligned"),
        (SIZE, DESC, AVAIL, USED + 2, "misaligned"),
        (SIZE, RAM - 16, AVAIL, USED, "outside"),
        (SIZE, DESC, RAM - 2, USED, "outside"),
        (SIZE, DESC, AVAIL, RAM - 4, "outside"),
        (SIZE, (1 << 64) - 16, AVAIL, USED, "outside"),
        (SIZE, 1 << 40, AVAIL, USED, "outside"),
    ],
)
def test_bad_setup(size: int, desc: int, avail: int, used: int, text: str) -> None:
    queue = SplitQueue(GuestMemory([(0, RAM)]), 64)
    with pytest.raises(RingError, match=text):
        queue.enable(size, desc, avail, used)
    assert not queue.ready and queue.pop() is None


def self_loop(guest: Guest) -> None:
    guest.desc(0, DATA, 1, NEXT, 0)


def long_loop(guest: Guest) -> None:
    for i in range(SIZE):
        guest.desc(i, DATA, 1, NEXT, (i + 1) % SIZE)


def link_out(guest: Guest) -> None:
    guest.desc(0, DATA, 1, NEXT, SIZE)


def beyond_ram(guest: Guest) -> None:
    guest.desc(0, RAM - 1, 2)


def address_wraps(guest: Guest) -> None:
    guest.desc(0, (1 << 64) - 1, 2)


def read_after_write(guest: Guest) -> None:
    guest.desc(0, DATA, 1, NEXT | WRITE, 1)
    guest.desc(1, DATA, 1)


def unoffered_indirect(guest: Guest) -> None:
    guest.desc(0, DATA, 16, INDIRECT)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (self_loop, "longer than the queue"),
        (long_loop, "longer than the queue"),
        (link_out, "leaves the table"),
        (beyond_ram, "outside guest memory"),
        (address_wraps, "outside guest memory"),
        (read_after_write, "after a writable"),
        (unoffered_indirect, "indirect"),
    ],
)
def test_bad_chain_breaks_the_queue_for_good(spoil, text: str) -> None:  # noqa: ANN001
    guest = Guest()
    spoil(guest)
    guest.offer(0)
    for _ in range(2):
        with pytest.raises(RingError, match=text):
            guest.queue.pop()
    assert text in guest.queue.fault
    guest.queue.enable(SIZE, DESC, AVAIL, USED)
    assert guest.queue.fault == ""


def test_bad_head() -> None:
    guest = Guest()
    guest.offer(SIZE)
    with pytest.raises(RingError, match="beyond the table"):
        guest.queue.pop()


@pytest.mark.parametrize("jump", [SIZE + 1, 0x8000, 0xFFFF])
def test_index_jump(jump: int) -> None:
    guest = Guest()
    guest.memory.store16(AVAIL + 2, jump)
    with pytest.raises(RingError, match="jumped"):
        guest.queue.pop()


def test_chain_of_exactly_the_queue_size() -> None:
    guest = Guest()
    for i in range(SIZE):
        guest.desc(i, DATA + i, 1, NEXT if i < SIZE - 1 else 0, i + 1)
    guest.offer(0)
    assert guest.queue.pop().readable_bytes == SIZE


def test_zero_length_buffers_are_empty() -> None:
    guest = Guest()
    guest.desc(0, 1 << 50, 0, NEXT, 1)
    guest.desc(1, DATA, 0, WRITE)
    guest.offer(0)
    chain = guest.queue.pop()
    assert chain.read(10) == b"" and chain.write(b"x") == 0


def test_four_gigabytes_are_too_much() -> None:
    memory = GuestMemory([(0, 3 << 30)])
    queue = SplitQueue(memory, 8)
    queue.enable(SIZE, DESC, AVAIL, USED)
    for i in range(2):
        memory.write(DESC + 16 * i, struct.pack("<QIHH", 0, 3 << 30, NEXT * (1 - i), 1))
    memory.store16(AVAIL + 2, 1)
    with pytest.raises(RingError, match="4 GiB"):
        queue.pop()


TABLE = 0x4000


def test_indirect_chain() -> None:
    guest = Guest(indirect=True)
    guest.memory.write(DATA, b"xy")
    guest.desc(2, DATA, 1, NEXT, 4)
    guest.desc(4, TABLE, 48, INDIRECT)
    guest.desc(0, DATA + 1, 1, NEXT, 2, table=TABLE)
    guest.desc(2, DATA + 64, 3, WRITE, 0, table=TABLE)
    guest.offer(2)
    chain = guest.queue.pop()
    assert chain.head == 2 and chain.read(9) == b"xy" and chain.writable_bytes == 3


@pytest.mark.parametrize(
    ("address", "length", "flags"),
    [
        (TABLE, 0, INDIRECT),
        (TABLE, 17, INDIRECT),
        (TABLE, 16 * (SIZE + 1), INDIRECT),
        (TABLE, 0xFFFFFFF0, INDIRECT),
        (RAM - 16, 32, INDIRECT),
        (TABLE, 16, INDIRECT | NEXT),
    ],
)
def test_bad_indirect_table(address: int, length: int, flags: int) -> None:
    guest = Guest(indirect=True)
    guest.desc(0, address, length, flags, 1)
    guest.offer(0)
    with pytest.raises(RingError, match="indirect"):
        guest.queue.pop()


def test_indirect_descriptors_count_too() -> None:
    """One before the table and a full table are more than the queue has entries."""
    for before, text in ((0, None), (1, "longer than the queue")):
        guest = Guest(indirect=True)
        guest.desc(0, DATA, 1, NEXT, 1)
        guest.desc(1, TABLE, 16 * SIZE, INDIRECT)
        for i in range(SIZE):
            guest.desc(i, DATA, 1, NEXT if i < SIZE - 1 else 0, i + 1, table=TABLE)
        guest.offer(1 - before)
        if text is None:
            assert guest.queue.pop().readable_bytes == SIZE
        else:
            with pytest.raises(RingError, match=text):
                guest.queue.pop()


def test_indirect_in_indirect() -> None:
    guest = Guest(indirect=True)
    guest.desc(0, TABLE, 16, INDIRECT)
    guest.desc(0, TABLE, 16, INDIRECT, table=TABLE)
    guest.offer(0)
    with pytest.raises(RingError, match="indirect"):
        guest.queue.pop()


def test_indirect_loop_and_link_out() -> None:
    for link, text in ((0, "longer"), (2, "leaves")):
        guest = Guest(indirect=True)
        guest.desc(0, TABLE, 32, INDIRECT)
        guest.desc(0, DATA, 1, NEXT, link, table=TABLE)
        guest.offer(0)
        with pytest.raises(RingError, match=text):
            guest.queue.pop()


def test_interrupts_by_flag() -> None:
    guest = Guest()
    guest.desc(0, DATA, 1)
    assert not guest.queue.interrupt_wanted()
    guest.offer(0)
    guest.queue.push(guest.queue.pop())
    assert guest.queue.interrupt_wanted() and not guest.queue.interrupt_wanted()
    guest.memory.store16(AVAIL, 1)
    guest.offer(0)
    guest.queue.push(guest.queue.pop())
    assert not guest.queue.interrupt_wanted()


def test_interrupts_by_event_index() -> None:
    guest = Guest(event=True)
    guest.desc(0, DATA, 1)
    used_event = AVAIL + 4 + 2 * SIZE
    guest.memory.store16(used_event, 2)  # once the third element is used
    wanted = []
    for _ in range(4):
        guest.offer(0)
        guest.queue.push(guest.queue.pop())
        wanted.append(guest.queue.interrupt_wanted())
    assert wanted == [False, False, True, False]


def test_kick_suppression_by_flag() -> None:
    guest = Guest()
    guest.queue.pause_kicks()
    assert guest.memory.load16(USED) == 1
    assert not guest.queue.resume_kicks() and guest.memory.load16(USED) == 0
    guest.offer(0)
    assert guest.queue.resume_kicks()


def test_kick_suppression_by_event_index() -> None:
    guest = Guest(event=True)
    guest.desc(0, DATA, 1)
    guest.offer(0)
    guest.queue.push(guest.queue.pop())
    assert not guest.queue.resume_kicks()
    assert guest.memory.load16(USED + 4 + 8 * SIZE) == 1


@settings(max_examples=500, deadline=None)
@given(
    st.binary(min_size=16 * SIZE, max_size=16 * SIZE),
    st.binary(min_size=6 + 2 * SIZE, max_size=6 + 2 * SIZE),
    st.booleans(),
)
def test_random_rings_end(table: bytes, avail: bytes, features: bool) -> None:
    """Whatever is in the areas: at most a queue's worth of chains, or one clean error."""
    guest = Guest(event=features, indirect=features)
    guest.memory.write(DESC, table)
    guest.memory.write(AVAIL, avail)
    try:
        for _ in range(SIZE):
            if (chain := guest.queue.pop()) is None:
                break
            assert chain.readable_bytes + chain.writable_bytes < 1 << 32
            chain.write(chain.read(4096))
            guest.queue.push(chain, 1)
        guest.queue.interrupt_wanted()
    except RingError as error:
        assert str(error) == guest.queue.fault != ""


descriptor = st.tuples(
    st.integers(0, RAM + 0x1000), st.integers(0, 0x2000), st.integers(0, 7),
    st.integers(0, SIZE + 1),
)  # fmt: skip


def walk(chosen: list[tuple[int, int, int, int]], head: int) -> tuple[int, int] | None:
    """The specification's reading of a table without indirection: lengths, or None."""
    seen = readable = writable = 0
    while True:
        if head >= SIZE or seen == SIZE:
            return None
        address, length, flags, link = chosen[head]
        if flags & INDIRECT or (length and address + length > RAM):
            return None
        if flags & WRITE:
            writable += length
        elif writable:
            return None
        else:
            readable += length
        if not flags & NEXT:
            return readable, writable
        head, seen = link, seen + 1


@settings(max_examples=500, deadline=None)
@given(st.lists(descriptor, min_size=SIZE, max_size=SIZE), st.integers(0, SIZE))
def test_plausible_tables_against_a_model(
    chosen: list[tuple[int, int, int, int]], head: int
) -> None:
    guest = Guest()
    for i, item in enumerate(chosen):
        guest.desc(i, *item)
    guest.offer(head)
    expected = walk(chosen, head)
    if expected is None:
        with pytest.raises(RingError):
            guest.queue.pop()
    else:
        chain = guest.queue.pop()
        assert (chain.readable_bytes, chain.writable_bytes) == expected
