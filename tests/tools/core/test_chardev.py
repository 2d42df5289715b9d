# SPDX-License-Identifier: GPL-2.0-only
"""Console backends: flow control both ways, nothing lost, nothing blocked."""

import os
import queue
import time

import pytest

from unikvm.core import chardev
from unikvm.core.chardev import BufferBackend, FdBackend, LineBackend
from unikvm.core.eventloop import EventLoop

pytestmark = pytest.mark.unit


class Device:
    """Takes at most `room` bytes until someone makes more."""

    def __init__(self, room=1 << 30):
        self.room, self.got, self.drained = room, bytearray(), queue.Queue()

    def receive(self, data):
        taken = data[:self.room]
        self.room -= len(taken)
        self.got += taken
        return len(taken)

    def attach(self, backend, loop):
        backend.attach(loop, self.receive, lambda: self.drained.put(1))


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


@pytest.fixture
def loop():
    loop = EventLoop()
    loop.start()
    yield loop
    loop.stop()


@pytest.fixture
def pipes():
    a, b = os.pipe(), os.pipe()
    yield (*a, *b)
    for end in (*a, *b):
        try:
            os.close(end)
        except OSError:
            pass


def test_kept_input_comes_when_there_is_room():
    backend, device = BufferBackend(), Device(room=2)
    device.attach(backend, None)
    backend.feed(b"abcdef")
    assert device.got == b"ab"
    device.room = 3
    backend.resume()
    assert device.got == b"abcde"


def test_fd_input_stops_at_a_full_device_and_goes_on(loop, pipes):
    read, write, _, out = pipes
    backend, device = FdBackend(read, out), Device(room=3)
    device.attach(backend, loop)
    os.write(write, b"abcdef")
    wait_for(lambda: device.got == b"abc")
    os.write(write, b"ghi")
    time.sleep(0.1)
    assert device.got == b"abc"
    with loop.lock:
        device.room = 100
        backend.resume()
    wait_for(lambda: device.got == b"abcdefghi")
    backend.close()


def test_output_that_nobody_reads_does_not_block(loop, pipes):
    read, _, out_read, out = pipes
    backend, device = FdBackend(read, out), Device()
    device.attach(backend, loop)
    sent = bytes(range(256)) * 1024  # 256 KiB; a pipe holds 64
    started = time.monotonic()
    with loop.lock:
        backend.write(sent)
    assert time.monotonic() - started < 2
    assert backend.full
    got = bytearray()
    while len(got) < len(sent):
        got += os.read(out_read, 65536)
    assert got == sent
    device.drained.get(timeout=5)
    assert not backend.full
    backend.close()


def test_close_flushes(pipes):
    _, _, out_read, out = pipes
    backend = FdBackend(None, out)
    backend.write(b"last words")
    backend.close()
    assert os.read(out_read, 100) == b"last words"


def test_close_gives_up_on_a_stuck_reader(pipes, monkeypatch):
    monkeypatch.setattr(chardev, "CLOSE_PATIENCE", 0.2)
    backend = FdBackend(None, pipes[3])
    backend.write(bytes(1 << 20))
    started = time.monotonic()
    backend.close()
    assert time.monotonic() - started < 2


def test_a_reader_that_went_away_is_no_error(loop, pipes):
    read, _, out_read, out = pipes
    backend, device = FdBackend(read, out), Device()
    device.attach(backend, loop)
    os.close(out_read)
    with loop.lock:
        backend.write(b"x")
        backend.write(b"y")
    assert not backend.full
    backend.close()


def test_two_backends_on_one_descriptor(loop, pipes):
    read, _, out_read, out = pipes
    backends = [FdBackend(None, out), FdBackend(None, out)]
    for backend in backends:
        Device().attach(backend, loop)
        with loop.lock:
            backend.write(bytes(100_000))
    got = 0
    while got < 200_000:
        got += len(os.read(out_read, 65536))
    for backend in backends:
        backend.close()


def test_input_from_a_file_is_read_on_demand(loop, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"0123456789" * 2000)
    with open(path, "rb") as file:
        backend, device = FdBackend(file.fileno(), None), Device(room=5)
        with loop.lock:
            device.attach(backend, loop)
            assert device.got == b"01234"
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) <= chardev.READ_CHUNK
            device.room = 1 << 20
            backend.resume()
        assert len(device.got) == 20000
        backend.close()


def test_lines_are_cut_and_split():
    lines = []
    backend = LineBackend(lines.append, limit=8)
    for piece in (b"rea", b"dy\nexit", b" 7\r\n", b"x" * 100, b"y\nz"):
        backend.write(piece)
    assert lines == ["ready", "exit 7", "xxxxxxxx"]
