# SPDX-License-Identifier: GPL-2.0-only
"""The user's terminal, passed through to a shell somewhere else.

Raw mode; Ctrl-a x ends the session, Ctrl-a Ctrl-a sends one Ctrl-a.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from unikvm.machine.terminal import EscapeFilter, RawMode

HELP = "Ctrl-a x ends it"


@contextlib.contextmanager
def raw_mode(fd: int) -> Iterator[None]:
    """Raw mode on a terminal, undone on the way out whatever happens."""
    if not os.isatty(fd):
        yield
        return
    mode = RawMode(fd)
    mode.enter()
    try:
        yield
    finally:
        mode.restore()


def size() -> tuple[int, int]:
    """(rows, columns) of the terminal, 24 by 80 without one."""
    try:
        found = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return 24, 80
    return found.lines or 24, found.columns or 80


def write_all(fd: int, data: bytes) -> None:
    """All of it, whatever the terminal takes at a time."""
    while data:
        data = data[os.write(fd, data):]


class Keyboard:
    """Passes what is typed to `deliver`; Ctrl-a x calls `on_end`.

    The end of the input ends nothing: a guest may run on without any."""

    def __init__(self, deliver: Callable[[bytes], None], on_end: Callable[[], None],
                 on_resize: Callable[[int, int], None] | None = None, fd: int = 0) -> None:
        self._deliver, self._on_end, self._on_resize = deliver, on_end, on_resize
        self._fd = fd
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._loop, name="keyboard", daemon=True)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Raw mode and the reading thread, for the length of a with block."""
        saved = None
        if self._on_resize is not None:
            saved = signal.signal(signal.SIGWINCH, lambda *_: self._resized())
        try:
            with raw_mode(self._fd):
                self._thread.start()
                try:
                    yield
                finally:
                    os.write(self._wake_write, b"x")
                    self._thread.join()
        finally:
            if saved is not None:
                signal.signal(signal.SIGWINCH, saved)
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _resized(self) -> None:
        if self._on_resize is not None:
            self._on_resize(*size())

    def _loop(self) -> None:
        quits: list[bool] = []
        keys = EscapeFilter(lambda: quits.append(True))
        while True:
            ready, _, _ = select.select([self._fd, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            data = os.read(self._fd, 4096)
            passed = keys(data)
            if passed:
                self._deliver(passed)
            if quits:
                self._on_end()
            if quits or not data:
                return
