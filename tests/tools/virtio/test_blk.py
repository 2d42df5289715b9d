# SPDX-License-Identifier: GPL-2.0-only
"""The block device through its queue: data, errors, hostile requests."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unikvm.block.raw import RawDisk
from unikvm.virtio.blk import VirtioBlk

pytestmark = pytest.mark.unit

SECTORS = 64
HEADER, DATA, STATUS = 0x100000, 0x110000, 0x10FFF0
IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
OK, IOERR, UNSUPP = 0, 1, 2
VERSION_1, EVENT_IDX, INDIRECT_DESC = 1 << 32, 1 << 29, 1 << 28


class Disk:
    """A running block device and the means to send it requests."""

    def __init__(self, machine, make_ring, path: Path, read_only: bool = False) -> None:  # noqa: ANN001
        self.machine, self.path = machine, path
        self.content = os.urandom(512 * SECTORS)
        path.write_bytes(self.content)
        self.raw = RawDisk.open(path, read_only=read_only)
        self.device = VirtioBlk(self.raw, "serial-0123456789abcdef")
        self.function = machine.plug(self.device)
        self.ring = make_ring(64)
        self.function.start(self.ring)

    def header(self, kind: int, sector: int) -> None:
        self.machine.memory.write(HEADER, struct.pack("<IIQ", kind, 0, sector))

    def submit(self, readable: list[tuple[int, int]], writable: list[tuple[int, int]]) -> int:
        """Send one chain and wait; returns the used element's length."""
        head = self.ring.add(readable, writable)
        self.ring.publish(head)
        self.function.kick(0)
        ((done, written),) = self.machine.wait(self.ring.take_used)
        assert done == head
        return written

    def request(self, kind: int, sector: int = 0, out: bytes = b"", room: int = 0) -> SimpleNamespace:
        memory = self.machine.memory
        self.header(kind, sector)
        memory.write(DATA, out)
        memory.store8(STATUS, 0xEE)
        readable = [(HEADER, 16)] + ([(DATA, len(out))] if out else [])
        writable = ([(DATA, room)] if room else []) + [(STATUS, 1)]
        written = self.submit(readable, writable)
        return SimpleNamespace(
            status=memory.load8(STATUS), data=memory.read(DATA, room), written=written
        )


@pytest.fixture
def disk(machine, make_ring, tmp_path: Path) -> Disk:  # noqa: ANN001
    return Disk(machine, make_ring, tmp_path / "d.img")


def test_configuration(disk: Disk) -> None:
    read = disk.function.read
    assert read(0, 4, kind=4) == SECTORS and read(4, 4, kind=4) == 0
    assert read(12, 4, kind=4) == 254 and read(20, 4, kind=4) == 512
    assert disk.function.features() & 1 << 9 and not disk.function.features() & 1 << 5


def test_read(disk: Disk) -> None:
    got = disk.request(IN, sector=3, room=1024)
    assert got.status == OK and got.written == 1025
    assert got.data == disk.content[3 * 512 : 5 * 512]


def test_write_then_flush(disk: Disk) -> None:
    data = os.urandom(1536)
    got = disk.request(OUT, sector=10, out=data)
    assert (got.status, got.written) == (OK, 1)
    assert disk.request(FLUSH).status == OK
    expected = disk.content[:5120] + data + disk.content[6656:]
    assert disk.path.read_bytes() == expected


def test_get_id(disk: Disk) -> None:
    got = disk.request(GET_ID, room=20)
    assert got.status == OK and got.written == 21 and got.data == b"serial-0123456789abc"


@pytest.mark.parametrize("kind", [2, 3, 5, 11, 13, 0xFFFFFFFF])
def test_unknown_request(disk: Disk, kind: int) -> None:
    assert disk.request(kind).status == UNSUPP


@pytest.mark.parametrize(
    ("sector", "size"),
    [(SECTORS, 512), (SECTORS - 1, 1024), (1 << 55, 512), ((1 << 64) - 1, 512),
     (1 << 63, 512), (0, 511), (0, 513), (0, 0)],
)  # fmt: skip
@pytest.mark.parametrize("kind", [IN, OUT])
def test_bad_ranges(disk: Disk, kind: int, sector: int, size: int) -> None:
    if kind == IN:
        got = disk.request(IN, sector, room=size)
    else:
        got = disk.request(OUT, sector, out=b"Z" * size)
    assert (got.status, got.written) == (IOERR, 1)
    assert disk.path.read_bytes() == disk.content


def test_last_sector(disk: Disk) -> None:
    assert disk.request(IN, SECTORS - 1, room=512).data == disk.content[-512:]


def test_read_only_disk(machine, make_ring, tmp_path: Path) -> None:  # noqa: ANN001
    disk = Disk(machine, make_ring, tmp_path / "ro.img", read_only=True)
    assert disk.function.features() & 1 << 5
    assert disk.request(OUT, 0, out=bytes(512)).status == IOERR
    assert disk.request(IN, 0, room=512).status == OK
    assert disk.path.read_bytes() == disk.content


def test_shrunken_image_is_an_io_error(disk: Disk) -> None:
    os.truncate(disk.path, 512)
    assert disk.request(IN, 0, room=1024).status == IOERR
    assert disk.request(IN, 0, room=512).status == OK


def test_request_cut_into_odd_pieces(disk: Disk) -> None:
    """The device may not assume how a driver frames a request (2.7.4.1)."""
    memory = disk.machine.memory
    disk.header(OUT, 5)
    memory.write(DATA, b"W" * 512)
    written = disk.submit(
        [(HEADER, 3), (HEADER + 3, 13), (DATA, 100), (DATA + 100, 412)], [(STATUS, 1)]
    )
    assert written == 1 and memory.load8(STATUS) == OK
    assert disk.path.read_bytes()[5 * 512 : 6 * 512] == b"W" * 512
    disk.header(IN, 5)
    disk.submit([(HEADER, 16)], [(DATA + 0x1000, 200), (DATA + 0x2000, 313)])
    assert memory.read(DATA + 0x1000, 200) + memory.read(DATA + 0x2000, 312) == b"W" * 512
    assert memory.load8(DATA + 0x2000 + 312) == OK


def test_header_and_data_in_one_buffer(disk: Disk) -> None:
    disk.machine.memory.write(HEADER, struct.pack("<IIQ", OUT, 0, 1) + b"Q" * 512)
    disk.submit([(HEADER, 528)], [(STATUS, 1)])
    assert disk.path.read_bytes()[512:1024] == b"Q" * 512


@pytest.mark.parametrize("length", [1, 15])
def test_short_header(disk: Disk, length: int) -> None:
    disk.machine.memory.store8(STATUS, 0xEE)
    assert disk.submit([(HEADER, length)], [(STATUS, 1)]) == 1
    assert disk.machine.memory.load8(STATUS) == IOERR


def test_no_header_at_all(disk: Disk) -> None:
    assert disk.submit([], [(STATUS, 1)]) == 1
    assert disk.machine.memory.load8(STATUS) == IOERR


def test_no_room_for_the_status(disk: Disk) -> None:
    disk.header(OUT, 0)
    disk.ring.publish(disk.ring.add([(HEADER, 16), (DATA, 512)], []))
    disk.function.kick(0)
    disk.machine.wait(lambda: disk.function.status & 64)
    assert disk.path.read_bytes() == disk.content


def test_data_outside_memory(disk: Disk) -> None:
    disk.header(IN, 0)
    disk.ring.publish(disk.ring.add([(HEADER, 16)], [(1 << 40, 512), (STATUS, 1)]))
    disk.function.kick(0)
    disk.machine.wait(lambda: disk.function.status & 64)
    assert disk.function.read(0, 1, kind=3) & 2


def test_many_requests_before_one_kick(disk: Disk) -> None:
    memory = disk.machine.memory
    heads = []
    for i in range(20):
        memory.write(HEADER + 16 * i, struct.pack("<IIQ", IN, 0, i))
        heads.append(disk.ring.add(
            [(HEADER + 16 * i, 16)], [(DATA + 512 * i, 512), (STATUS - 64 + i, 1)]
        ))  # fmt: skip
    disk.ring.publish(*heads)
    disk.function.kick(0)
    done: list[tuple[int, int]] = []
    disk.machine.wait(lambda: done.extend(disk.ring.take_used()) or len(done) == 20)
    assert done == [(head, 513) for head in heads]
    assert memory.read(DATA, 20 * 512) == disk.content[: 20 * 512]


def test_requests_from_before_driver_ok_are_served(machine, make_ring, tmp_path) -> None:  # noqa: ANN001
    disk = Disk(machine, make_ring, tmp_path / "early.img")
    disk.function.negotiate()
    disk.ring = make_ring(64)
    disk.function.set_queue(0, disk.ring)
    disk.header(IN, 0)
    disk.ring.publish(disk.ring.add([(HEADER, 16)], [(DATA, 512), (STATUS, 1)]))
    disk.function.kick(0)
    machine.settle()
    assert disk.ring.take_used() == []
    disk.function.status = 15
    machine.wait(disk.ring.take_used)
    assert machine.memory.read(DATA, 512) == disk.content[:512]


def test_event_index_and_indirect(machine, make_ring, tmp_path) -> None:  # noqa: ANN001
    disk = Disk(machine, make_ring, tmp_path / "ev.img")
    disk.ring = make_ring(64, event=True)
    disk.function.start(disk.ring, features=VERSION_1 | EVENT_IDX | INDIRECT_DESC)
    memory, table = machine.memory, 0x180000
    memory.write(table, struct.pack("<QIHH", HEADER, 16, 1, 1))
    memory.write(table + 16, struct.pack("<QIHH", DATA, 512, 3, 2))
    memory.write(table + 32, struct.pack("<QIHH", STATUS, 1, 2, 0))
    for sector in range(100):
        disk.header(IN, sector % SECTORS)
        slot = disk.ring.free[0]
        disk.ring.descriptor(slot, table, 48, 4, 0)
        disk.ring.publish(slot)
        disk.function.kick(0)
        assert machine.wait(disk.ring.take_used) == [(slot, 513)]
        at = sector % SECTORS * 512
        assert memory.read(DATA, 512) == disk.content[at : at + 512]


@pytest.mark.parametrize("event", [False, True])
def test_kicks_are_wanted_again_after_serving(machine, make_ring, tmp_path, event) -> None:  # noqa: ANN001
    disk = Disk(machine, make_ring, tmp_path / "kick.img")
    disk.ring = make_ring(64, event=event)
    disk.function.start(disk.ring, features=VERSION_1 | (EVENT_IDX if event else 0))
    for _ in range(3):
        disk.request(IN, 0, room=512)
        machine.settle()
        assert machine.memory.load16(disk.ring.used) == 0
        if event:
            at = disk.ring.used + 4 + 8 * disk.ring.size
            assert machine.memory.load16(at) == disk.ring.avail_index


def test_reset_in_the_middle(disk: Disk, make_ring) -> None:  # noqa: ANN001
    """After a reset nothing of the old queue is touched any more."""
    for _ in range(50):
        disk.header(IN, 0)
        disk.ring.publish(disk.ring.add([(HEADER, 16)], [(DATA, 512), (STATUS, 1)]))
        disk.function.kick(0)
        disk.function.status = 0
        seen = disk.machine.memory.load16(disk.ring.used + 2)
        disk.machine.settle()
        assert disk.machine.memory.load16(disk.ring.used + 2) == seen
        disk.ring = make_ring(64)
        disk.function.start(disk.ring)
    assert disk.request(IN, 1, room=512).data == disk.content[512:1024]


def test_random_chains(disk: Disk, make_ring) -> None:  # noqa: ANN001
    """Any chain ends in a used element or in NEEDS_RESET, never in an exception."""
    part = st.tuples(st.integers(0x100000, 0x3FF000), st.integers(0, 5000))
    kinds = st.sampled_from([IN, OUT, FLUSH, GET_ID, 99])

    @settings(max_examples=100, deadline=None)
    @given(kinds, st.integers(0, SECTORS + 2), st.lists(part, max_size=4),
           st.lists(part, max_size=4))  # fmt: skip
    def run(kind: int, sector: int, readable: list, writable: list) -> None:
        if not readable and not writable:
            return
        ring = make_ring_at(disk, 0x80000)
        disk.function.start(ring)
        disk.header(kind, sector)
        ring.publish(ring.add([(HEADER, 16), *readable], writable))
        disk.function.kick(0)
        disk.machine.wait(lambda: ring.take_used() or disk.function.status & 64)

    def make_ring_at(disk: Disk, base: int):  # noqa: ANN202
        return type(disk.ring)(disk.machine.memory, base, 64)

    run()
