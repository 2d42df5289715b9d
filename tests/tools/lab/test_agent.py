# SPDX-License-Identifier: GPL-2.0-only
"""The agent, run on this host over a socket instead of a virtio port."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.lab import agent

pytestmark = pytest.mark.unit

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=50)))


@given(FRAMES, st.integers(1, 40))
def test_frames_survive_any_cutting(frames, step):
    stream = b"".join(agent.pack(*frame) for frame in frames)
    unpacker, found = agent.Unpacker(), []
    for start in range(0, len(stream), step):
        found += unpacker.feed(stream[start:start + step])
    assert found == frames


def test_a_frame_beyond_the_limit_is_refused():
    with pytest.raises(ValueError):
        agent.Unpacker().feed(agent.HEADER.pack(agent.OUT, 1, agent.PAYLOAD_MAX + 1))


class Peer:
    """The lab's end of a running agent."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        # The agent closes and dups low descriptors in children; a process of its own is safest.
        code = (f"import sys; sys.path.insert(0, {os.path.dirname(agent.__file__)!r});"
                f"import agent; agent.Agent({theirs.fileno()}).loop()")
        self.process = subprocess.Popen([sys.executable, "-I", "-c", code],
                                        pass_fds=(theirs.fileno(),))
        theirs.close()
        self.socket, self.unpacker, self.frames = ours, agent.Unpacker(), []
        self.socket.settimeout(30)
        assert self.next()[0] == agent.HELLO

    def next(self):
        while not self.frames:
            self.frames += self.unpacker.feed(self.socket.recv(65536))
        return self.frames.pop(0)

    def send(self, kind, number, payload=b""):
        self.socket.sendall(agent.pack(kind, number, payload))

    def start(self, number, argv, **more):
        self.send(agent.RUN, number, json.dumps({"argv": argv, **more}).encode())

    def collect(self, number):
        """(status, {kind: bytes}) of a job."""
        streams = {agent.OUT: b"", agent.ERR: b"", agent.EVENT: b""}
        while True:
            kind, job, payload = self.next()
            assert job == number
            if kind == agent.EXIT:
                return struct.unpack("<i", payload)[0], streams
            streams[kind] += payload

    def close(self):
        self.socket.close()
        assert self.process.wait(10) == 0


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


def test_streams_and_status_are_kept_apart(peer):
    peer.start(1, ["sh", "-c", "echo out; echo err >&2; echo '{}' >&3; exit 7"])
    status, streams = peer.collect(1)
    assert status == 7
    assert streams == {agent.OUT: b"out\n", agent.ERR: b"err\n", agent.EVENT: b"{}\n"}


def test_large_input_comes_back_whole(peer):
    data = os.urandom(300_000)
    peer.start(2, ["cat"])

    def feed():
        for start in range(0, len(data), 30_000):
            peer.send(agent.STDIN, 2, data[start:start + 30_000])
        peer.send(agent.STDIN, 2)

    # The agent may push back; feeding and reading go on side by side.
    thread = threading.Thread(target=feed)
    thread.start()
    status, streams = peer.collect(2)
    thread.join()
    assert status == 0 and streams[agent.OUT] == data


def test_a_program_that_is_not_there(peer):
    peer.start(3, ["/nonexistent/program"])
    status, streams = peer.collect(3)
    assert status == 127 and b"/nonexistent/program: No such file" in streams[agent.ERR]


def test_kill_reaches_the_whole_group(peer):
    peer.start(4, ["sh", "-c", "echo up; sleep 1000 & wait"])
    assert peer.next() == (agent.OUT, 4, b"up\n")
    peer.send(agent.SIGNAL, 4, bytes([signal.SIGKILL]))
    assert peer.collect(4)[0] == 128 + signal.SIGKILL


def test_a_background_child_does_not_hold_the_exit(peer):
    peer.start(5, ["sh", "-c", "sleep 1000 & echo $!; exit 5"])
    status, streams = peer.collect(5)
    os.kill(int(streams[agent.OUT]), signal.SIGKILL)
    assert status == 5


def test_a_stream_that_the_exit_closed_is_not_read_again(peer):
    """Exit and output ready in one round, in this order: the agent slept through both."""
    peer.start(8, ["sh", "-c", "echo up; (sleep 0.3; echo late) & sleep 0.1; exit 5"])
    assert peer.next() == (agent.OUT, 8, b"up\n")
    peer.process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    peer.process.send_signal(signal.SIGCONT)
    status, streams = peer.collect(8)
    assert status == 5 and streams[agent.OUT] == b"late\n"
    peer.send(agent.PING, 1)
    assert peer.next() == (agent.PONG, 1, b"")


def test_a_terminal_has_its_size(peer):
    peer.start(6, ["sh", "-c", "stty size; test -t 0 && test -t 1 && echo terminal"],
               tty=True, rows=33, columns=99)
    status, streams = peer.collect(6)
    assert status == 0 and streams[agent.OUT].split() == [b"33", b"99", b"terminal"]


def test_ping_and_quit(peer):
    peer.send(agent.PING, 9)
    assert peer.next() == (agent.PONG, 9, b"")
    peer.send(agent.QUIT, 0)
    assert peer.next() == (agent.BYE, 0, b"")
