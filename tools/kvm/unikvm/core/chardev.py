# SPDX-License-Identifier: GPL-2.0-only
"""Where a console device's bytes come from and go to.

A device attaches to one backend.  Bytes flow with back pressure both ways:
`receive` says how many bytes the device took, and a device stops taking the
guest's output while the backend is `full`.
"""
from __future__ import annotations

import os
import select
import time
from typing import Callable, Protocol

# Beyond this many unsent bytes a backend calls itself full.
OUTPUT_LIMIT = 64 << 10
# A pipe that polls writable takes this much without blocking (POSIX PIPE_BUF).
WRITE_CHUNK = 4096
READ_CHUNK = 4096
# How long close() tries to get rid of output, in seconds.
CLOSE_PATIENCE = 5.0


class Loop(Protocol):
    """The part of core.eventloop.EventLoop that backends use."""

    def add(self, fd: int, callback: Callable[[int], None], events: int = ...) -> None: ...
    def modify(self, fd: int, events: int) -> None: ...
    def remove(self, fd: int) -> None: ...


Receive = Callable[[bytes], int]
Drained = Callable[[], None]


class CharBackend:
    """Base class: keeps what the device has not taken yet."""

    def __init__(self) -> None:
        self._receive: Receive | None = None
        self._drained: Drained | None = None
        self._input = bytearray()

    def attach(self, loop: Loop | None, receive: Receive, drained: Drained) -> None:
        """Connect a device.  receive(data) -> bytes taken; drained() is called
        when a backend that was full is not full any more."""
        self._receive, self._drained = receive, drained

    def resume(self) -> None:
        """The device can take input again; it gets what was kept."""
        if self._receive is None or not self._input:
            return
        taken = self._receive(bytes(self._input))
        del self._input[:taken]

    def write(self, data: bytes) -> None:
        """Output from the guest; always taken whole."""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        """True while the device should hold further output back."""
        return False

    def close(self) -> None:
        """Send what is left and let go."""

    def _push(self, data: bytes) -> None:
        self._input += data
        self.resume()


class NullBackend(CharBackend):
    """Output vanishes, input never comes."""

    def write(self, data: bytes) -> None:
        pass


class BufferBackend(CharBackend):
    """Keeps output in memory; input comes from feed().  For tests."""

    def __init__(self) -> None:
        super().__init__()
        self.output = bytearray()

    def write(self, data: bytes) -> None:
        self.output += data

    def feed(self, data: bytes) -> None:
        """Input for the device."""
        self._push(data)


class LineBackend(CharBackend):
    """Calls on_line(text) for each complete line; reply() answers.

    A line is cut at `limit` bytes, for the guest chooses its length.
    """

    def __init__(self, on_line: Callable[[str], None], limit: int = 4096) -> None:
        super().__init__()
        self._on_line = on_line
        self._limit = limit
        self._line = bytearray()

    def write(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            line = self._line + piece[:self._limit]
            self._line = bytearray()
            self._on_line(line[:self._limit].decode("utf-8", "replace").rstrip("\r"))
        self._line += rest[:max(self._limit - len(self._line), 0)]

    def reply(self, text: str) -> None:
        """Send text to the guest."""
        self._push(text.encode())


class FdBackend(CharBackend):
    """Two file descriptors, neither of which is made non-blocking: they may be
    a terminal that others share.  in_fd or out_fd may be None."""

    def __init__(self, in_fd: int | None, out_fd: int | None) -> None:
        super().__init__()
        # Own copies, since a loop knows each descriptor once and several
        # backends may end at one terminal.
        self._in = None if in_fd is None else os.dup(in_fd)
        self._out = None if out_fd is None else os.dup(out_fd)
        self._loop: Loop | None = None
        self._output = bytearray()
        # _polled: the loop watches _in.  Otherwise it is a file, read on demand.
        self._polled = self._paused = self._waiting = False

    def attach(self, loop: Loop | None, receive: Receive, drained: Drained) -> None:
        super().attach(loop, receive, drained)
        self._loop = loop
        if loop is None or self._in is None:
            return
        try:
            loop.add(self._in, self._readable)
            self._polled = True
        except PermissionError:
            self.resume()

    def filter_input(self, data: bytes) -> bytes:
        """What of the input goes to the device; subclasses look for keys."""
        return data

    def ended(self) -> None:
        """The input came to its end."""

    def _read(self) -> bytes:
        """The next input, b"" at its end; then the input is closed."""
        try:
            data = os.read(self._in, READ_CHUNK)
        except OSError:
            data = b""
        if not data:
            self._close_input()
            self.ended()
        return data

    def _readable(self, _events: int) -> None:
        if data := self._read():
            self._push(self.filter_input(data))

    def resume(self) -> None:
        super().resume()
        if self._polled:
            if self._paused != bool(self._input):
                self._paused = bool(self._input)
                self._loop.modify(self._in, 0 if self._paused else select.EPOLLIN)
            return
        while self._in is not None and not self._input and (data := self._read()):
            self._input += self.filter_input(data)
            super().resume()

    def write(self, data: bytes) -> None:
        if self._out is None:
            return
        self._output += data
        if not self._waiting:
            self._flush()

    @property
    def full(self) -> bool:
        return len(self._output) >= OUTPUT_LIMIT

    def _flush(self) -> None:
        """Write as long as that cannot block, then wait for the loop."""
        poll = select.poll()
        poll.register(self._out, select.POLLOUT)
        while self._output and poll.poll(0):
            self._write_some()
        if self._output and self._loop is not None:
            self._loop.add(self._out, self._writable, select.EPOLLOUT)
            self._waiting = True

    def _write_some(self) -> None:
        try:
            done = os.write(self._out, self._output[:WRITE_CHUNK])
            del self._output[:done]
        except OSError:
            # Nobody reads any more: output is lost, the guest lives on.
            self._output.clear()
            self._close_output()

    def _writable(self, _events: int) -> None:
        was_full = self.full
        self._write_some()
        if not self._output and self._waiting:
            self._loop.remove(self._out)
            self._waiting = False
        if was_full and not self.full and self._drained is not None:
            self._drained()

    def _close_input(self) -> None:
        if self._in is None:
            return
        if self._polled:
            self._loop.remove(self._in)
            self._polled = False
        os.close(self._in)
        self._in = None

    def _close_output(self) -> None:
        if self._out is None:
            return
        if self._waiting:
            self._loop.remove(self._out)
            self._waiting = False
        os.close(self._out)
        self._out = None

    def close(self) -> None:
        """Flush for at most CLOSE_PATIENCE seconds, then let go of both."""
        self._close_input()
        deadline = time.monotonic() + CLOSE_PATIENCE
        poll = select.poll()
        if self._out is not None:
            poll.register(self._out, select.POLLOUT)
        while self._output and (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self._write_some()
        self._close_output()
