# SPDX-License-Identifier: GPL-2.0-only
"""The user's terminal as a guest console: raw mode, Ctrl-a commands."""
from __future__ import annotations

import atexit
import os
import sys
import termios
import tty
from typing import Callable

from ..core.chardev import FdBackend

ESCAPE = 0x01  # Ctrl-a
QUIT = (ord("x"), ord("X"))


class EscapeFilter:
    """Takes Ctrl-a commands out of a stream of keys.

    Ctrl-a x calls quit(); Ctrl-a Ctrl-a (or Ctrl-a a) is one Ctrl-a for the
    guest; Ctrl-a with anything else is dropped together with it.
    """

    def __init__(self, quit: Callable[[], None]) -> None:
        self._quit = quit
        self._escaped = False

    def __call__(self, data: bytes) -> bytes:
        keys = bytearray()
        for key in data:
            if self._escaped:
                self._escaped = False
                if key in QUIT:
                    self._quit()
                elif key in (ESCAPE, ord("a")):
                    keys.append(ESCAPE)
            elif key == ESCAPE:
                self._escaped = True
            else:
                keys.append(key)
        return bytes(keys)


class RawMode:
    """Raw mode on a terminal, undone by restore(), and at exit whatever happens.

    Output processing stays on, so that our own messages keep their line ends.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: list | None = None

    def enter(self) -> None:
        self._saved = termios.tcgetattr(self._fd)
        atexit.register(self.restore)
        tty.setraw(self._fd, termios.TCSADRAIN)
        mode = termios.tcgetattr(self._fd)
        mode[1] |= self._saved[1] & termios.OPOST
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)

    def restore(self) -> None:
        if self._saved is None:
            return
        saved, self._saved = self._saved, None
        atexit.unregister(self.restore)
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, saved)
        except termios.error:
            # The terminal is gone; so is its mode.
            pass


class TerminalBackend(FdBackend):
    """Standard input and output; raw mode and Ctrl-a only if they are a terminal.

    on_quit is set by the machine that the backend is given to.
    """

    def __init__(self, in_fd: int | None = None, out_fd: int | None = None) -> None:
        self._terminal_fd = sys.stdin.fileno() if in_fd is None else in_fd
        super().__init__(self._terminal_fd, sys.stdout.fileno() if out_fd is None else out_fd)
        self.on_quit: Callable[[], None] = lambda: None
        self._filter: EscapeFilter | None = None
        self._raw = RawMode(self._terminal_fd)

    def attach(self, loop, receive, drained) -> None:
        if os.isatty(self._terminal_fd):
            self._filter = EscapeFilter(lambda: self.on_quit())
            self._raw.enter()
        super().attach(loop, receive, drained)

    def filter_input(self, data: bytes) -> bytes:
        return self._filter(data) if self._filter else data

    def close(self) -> None:
        super().close()
        self._raw.restore()
