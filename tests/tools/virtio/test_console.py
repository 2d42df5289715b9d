# SPDX-License-Identifier: GPL-2.0-only
"""The console: both directions, back pressure, nothing lost at the end."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from unikvm.core.chardev import BufferBackend, CharBackend, FdBackend
from unikvm.virtio.console import VirtioConsole

pytestmark = pytest.mark.unit

BUFFER = 0x100000


class Gate(CharBackend):
    """A backend that is full until opened."""

    def __init__(self) -> None:
        super().__init__()
        self.output = bytearray()
        self.limit = 0

    def write(self, data: bytes) -> None:
        self.output += data

    @property
    def full(self) -> bool:
        return len(self.output) >= self.limit

    def open(self, limit: int) -> None:
        self.limit = limit
        self._drained()


@pytest.fixture
def start(machine, make_ring):  # noqa: ANN001, ANN201
    def make(backend: CharBackend, size: int = 16) -> SimpleNamespace:
        console = VirtioConsole(backend)
        function = machine.plug(console)
        receive, transmit = make_ring(size), make_ring(size)
        function.start(receive, transmit)
        machine.settle()
        return SimpleNamespace(
            console=console, function=function, receive=receive, transmit=transmit
        )

    return make


def transmit(machine, guest, text: bytes, at: int = BUFFER) -> None:  # noqa: ANN001
    machine.memory.write(at, text)
    guest.transmit.publish(guest.transmit.add([(at, len(text))], []))
    guest.function.kick(1)


def test_output(machine, start) -> None:  # noqa: ANN001
    backend = BufferBackend()
    guest = start(backend)
    for text in (b"hello ", b"wor", b"ld\n"):
        transmit(machine, guest, text)
        machine.wait(guest.transmit.take_used)
    assert backend.output == b"hello world\n"


def test_output_is_given_back_only_when_taken(machine, start) -> None:  # noqa: ANN001
    backend = Gate()
    guest = start(backend)
    transmit(machine, guest, b"A" * 1000)
    transmit(machine, guest, b"B" * 1000, BUFFER + 4096)
    machine.settle()
    assert backend.output == b"" and guest.transmit.take_used() == []
    machine.loop.call_soon(lambda: backend.open(1000))
    machine.wait(guest.transmit.take_used)
    machine.settle()
    assert backend.output == b"A" * 1000 and guest.transmit.take_used() == []
    machine.loop.call_soon(lambda: backend.open(2000))
    machine.wait(guest.transmit.take_used)
    assert backend.output == b"A" * 1000 + b"B" * 1000


def test_large_chains_are_passed_in_pieces(machine, start) -> None:  # noqa: ANN001
    backend = BufferBackend()
    guest = start(backend)
    data = os.urandom(700_000)
    machine.memory.write(BUFFER, data)
    guest.transmit.publish(guest.transmit.add([(BUFFER, 300_000), (BUFFER + 300_000, 400_000)], []))
    # More than one turn's budget, so the device has to call itself again.
    for _ in range(3):
        guest.transmit.publish(guest.transmit.add([(BUFFER, 700_000)], []))
    guest.function.kick(1)
    machine.wait(lambda: len(backend.output) == 4 * len(data))
    assert backend.output == data * 4


def test_stop_passes_on_what_is_queued(machine, start) -> None:  # noqa: ANN001
    backend = Gate()
    guest = start(backend)
    transmit(machine, guest, b"last words")
    machine.settle()
    with machine.loop.lock:
        guest.console.stop()
    assert backend.output == b"last words"


def test_input_waits_for_buffers(machine, start) -> None:  # noqa: ANN001
    backend = BufferBackend()
    guest = start(backend)
    backend.feed(b"0123456789")
    head = guest.receive.add([], [(BUFFER, 4)])
    guest.receive.publish(head)
    guest.function.kick(0)
    assert machine.wait(guest.receive.take_used) == [(head, 4)]
    assert machine.memory.read(BUFFER, 4) == b"0123"
    guest.receive.publish(
        guest.receive.add([], [(BUFFER + 16, 3)]), guest.receive.add([], [(BUFFER + 32, 100)])
    )
    guest.function.kick(0)
    used: list[tuple[int, int]] = []
    machine.wait(lambda: used.extend(guest.receive.take_used()) or len(used) == 2)
    assert [written for _, written in used] == [3, 3]
    assert machine.memory.read(BUFFER + 16, 3) + machine.memory.read(BUFFER + 32, 3) == b"456789"


def test_input_before_the_driver(machine, make_ring) -> None:  # noqa: ANN001
    backend = BufferBackend()
    function = machine.plug(VirtioConsole(backend))
    backend.feed(b"early")
    receive, out = make_ring(16), make_ring(16)
    receive.publish(receive.add([], [(BUFFER, 64)]))
    function.start(receive, out)
    machine.wait(receive.take_used)
    assert machine.memory.read(BUFFER, 5) == b"early"


def test_pipes_both_ways(machine, start) -> None:  # noqa: ANN001
    """A slow reader at the other end of a pipe loses nothing."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    backend = FdBackend(in_read, out_write)
    guest = start(backend)
    data = os.urandom(60_000)
    sent = got = 0
    received = bytearray()
    while len(received) < 400_000:
        for _ in guest.transmit.take_used():
            got += 1
        while sent - got < 8 and sent * len(data) < 420_000:
            transmit(machine, guest, data, BUFFER + 0x10000 * (sent % 8))
            sent += 1
        received += os.read(out_read, 4096)
    assert bytes(received) == (data * 8)[: len(received)]
    os.write(in_write, b"typed")
    guest.receive.publish(guest.receive.add([], [(BUFFER, 64)]))
    guest.function.kick(0)
    machine.wait(guest.receive.take_used)
    assert machine.memory.read(BUFFER, 5) == b"typed"
    for fd in (in_read, in_write, out_write, out_read):
        os.close(fd)
    with machine.loop.lock:
        backend.close()


def test_hostile_receive_buffers(machine, start) -> None:  # noqa: ANN001
    backend = BufferBackend()
    guest = start(backend)
    # Readable only, and of no length: no room, given back empty.
    guest.receive.publish(
        guest.receive.add([(BUFFER, 8)], []), guest.receive.add([], [(BUFFER, 0)])
    )
    machine.loop.call_soon(lambda: backend.feed(b"x"))
    used: list[tuple[int, int]] = []
    machine.wait(lambda: used.extend(guest.receive.take_used()) or len(used) == 2)
    assert [written for _, written in used] == [0, 0]
    guest.receive.publish(guest.receive.add([], [(1 << 45, 8)]))
    guest.function.kick(0)
    machine.wait(lambda: guest.function.status & 64)


def test_reset_keeps_input(machine, start, make_ring) -> None:  # noqa: ANN001
    backend = BufferBackend()
    guest = start(backend)
    guest.function.status = 0
    machine.loop.call_soon(lambda: backend.feed(b"kept"))
    machine.settle()
    receive, out = make_ring(16), make_ring(16)
    guest.function.start(receive, out)
    receive.publish(receive.add([], [(BUFFER, 64)]))
    guest.function.kick(0)
    machine.wait(receive.take_used)
    assert machine.memory.read(BUFFER, 4) == b"kept"
