# SPDX-License-Identifier: GPL-2.0-only
"""The user's terminal: raw mode and back, Ctrl-a commands."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.core.eventloop import EventLoop
from unikvm.machine.terminal import EscapeFilter, RawMode, TerminalBackend

pytestmark = pytest.mark.unit


def pressed(*chunks):
    quits = []
    filter_keys = EscapeFilter(lambda: quits.append(1))
    return b"".join(filter_keys(chunk) for chunk in chunks), len(quits)


@pytest.mark.parametrize("chunks, keys, quits", [
    ([b"hello"], b"hello", 0),
    ([b"ab\x01xcd"], b"abcd", 1),
    ([b"\x01", b"x"], b"", 1),
    ([b"\x01\x01"], b"\x01", 0),
    ([b"\x01a"], b"\x01", 0),
    ([b"\x01qx"], b"x", 0),
    ([b"\x03\x04\x1a"], b"\x03\x04\x1a", 0),
])
def test_commands(chunks, keys, quits):
    assert pressed(*chunks) == (keys, quits)


@given(st.binary(max_size=50), st.integers(0, 50))
def test_cutting_the_stream_changes_nothing(keys, cut):
    assert pressed(keys[:cut], keys[cut:]) == pressed(keys)


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_raw_mode_and_back(terminal):
    _, slave = terminal
    before = termios.tcgetattr(slave)
    raw = RawMode(slave)
    raw.enter()
    during = termios.tcgetattr(slave)
    assert not during[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert during[1] & termios.OPOST == before[1] & termios.OPOST
    raw.restore()
    raw.restore()
    assert termios.tcgetattr(slave) == before


def test_keys_reach_the_device_and_quit_the_machine(terminal):
    master, slave = terminal
    before = termios.tcgetattr(slave)
    loop, backend = EventLoop(), TerminalBackend(slave, slave)
    got, quits = bytearray(), []

    def receive(data):
        got.extend(data)
        return len(data)

    backend.on_quit = lambda: quits.append(1)
    backend.attach(loop, receive, lambda: None)
    loop.start()
    os.write(master, b"ls\r\x03\x01x")
    deadline = time.monotonic() + 5
    while not quits and time.monotonic() < deadline:
        time.sleep(0.01)
    with loop.lock:
        backend.write(b"output\n")
        backend.close()
    loop.stop()
    assert quits == [1] and got == b"ls\r\x03"
    assert os.read(master, 100) == b"output\r\n"
    assert termios.tcgetattr(slave) == before


CHILD = """
import sys, time
from unikvm.machine.terminal import RawMode
RawMode(0).enter()
print("raw", flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise ValueError", "input()"])
def test_every_way_out_restores(terminal, end):
    master, slave = terminal
    before = termios.tcgetattr(slave)
    child = subprocess.Popen([sys.executable, "-c", CHILD.format(end=end)], stdin=slave,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == b"raw\n"
    if "input" in end:
        child.send_signal(signal.SIGINT)
    child.wait(20)
    child.stdout.close()
    assert termios.tcgetattr(slave) == before


def test_a_pipe_is_not_a_terminal():
    read, write = os.pipe()
    backend, got = TerminalBackend(read, write), bytearray()
    loop = EventLoop()
    backend.attach(loop, lambda data: got.extend(data) or len(data), lambda: None)
    loop.start()
    os.write(write, b"\x01x\x01")
    deadline = time.monotonic() + 5
    while len(got) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    with loop.lock:
        backend.close()
    loop.stop()
    os.close(read)
    os.close(write)
    assert got == b"\x01x\x01", "bytes from a pipe are data, not commands"
