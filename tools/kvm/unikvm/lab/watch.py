# SPDX-License-Identifier: GPL-2.0-only
"""The state of a guest as its consoles show it: booting, ready, ended."""

import threading
from collections import deque
from collections.abc import Callable

TAIL_LINES = 40


class Tail:
    """The last lines of a console; bounded, for the guest decides what it prints."""

    def __init__(self, lines: int = TAIL_LINES, width: int = 300) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._width = width
        self._open = ""

    def feed(self, text: str) -> None:
        """More console text."""
        *whole, rest = (self._open + text).split("\n")
        self._lines.extend(line.rstrip("\r")[:self._width] for line in whole if line.strip("\r "))
        self._open = rest[-4 * self._width:]

    def text(self) -> str:
        """What it says now."""
        last = [self._open] if self._open.strip() else []
        return "\n".join([*self._lines, *last])


class Watch:
    """Follows the control console and the clock; decides when the guest must be stopped."""

    def __init__(self, stop: Callable[[], None], boot_limit: float, limit: float,
                 on_state: Callable[[dict], None], shutdown_patience: float = 15.0) -> None:
        self.ready = False
        self.status: int | None = None
        self.why_stopped = ""
        self._stop, self._on_state = stop, on_state
        self._limit, self._patience = limit, shutdown_patience
        self._timer: threading.Timer | None = None
        if boot_limit:
            self._arm(boot_limit, "boot limit")
        elif limit:
            self._arm(limit, "time limit")

    def line(self, text: str) -> None:
        """One line of the control console. The guest writes it: check everything."""
        word, _, rest = text.strip().partition(" ")
        if word == "ready" and not self.ready:
            self.ready = True
            self._disarm()
            if self._limit:
                self._arm(self._limit, "time limit")
            self._on_state({"state": "ready"})
        elif word == "exit" and self.status is None and rest.isascii() and rest.isdigit():
            self.status = int(rest[:9]) & 0xFF
            self._disarm()
            # It said all there is; one that then does not power off is not waited for.
            self._arm(self._patience, "")
            self._on_state({"state": "exit", "status": self.status})

    def finish(self) -> None:
        """The guest ended; no timer may fire any more."""
        self._disarm()

    def _arm(self, seconds: float, why: str) -> None:
        self._timer = threading.Timer(seconds, self._expired, (why,))
        self._timer.daemon = True
        self._timer.start()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self, why: str) -> None:
        self.why_stopped = why
        self._stop()
