# SPDX-License-Identifier: GPL-2.0-only
"""Phases of a long command: what goes on and how long it has taken, on stderr."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Phases:
    """Times named phases; a live line on a terminal, plain lines elsewhere."""

    def __init__(self, quiet: bool = False) -> None:
        self.times: dict[str, float] = {}
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._held = False
        self._progress: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Around one phase; time adds up when a name comes twice."""
        started = time.monotonic()
        self._show(name)
        try:
            yield
        finally:
            taken = time.monotonic() - started
            self.times[name] = self.times.get(name, 0.0) + taken
            self._done(name, taken)

    def record(self, name: str, seconds: float) -> None:
        """A phase that was timed elsewhere."""
        self.times[name] = self.times.get(name, 0.0) + seconds
        self._done(name, seconds)

    def note(self, text: str) -> None:
        """A line of its own between phases."""
        if self._quiet:
            return
        with self._lock:
            if self._progress is not None:
                self._progress.console.print(f"unikvm: {text}", highlight=False, markup=False)
            else:
                print(f"unikvm: {text}", file=sys.stderr, flush=True)

    def begin(self, name: str) -> None:
        """Show a phase that record() will end."""
        self._show(name)

    def hide(self) -> None:
        """Take the live line away: the screen is somebody else's for now."""
        with self._lock:
            self._stop_live()

    def hold(self) -> None:
        """Nothing on the screen until release(): a terminal session is on."""
        self._held = True
        self.hide()

    def release(self) -> None:
        """The end of hold()."""
        self._held = False

    def summary(self) -> str:
        """All phases on one line."""
        return ", ".join(f"{name} {taken:.1f} s" for name, taken in self.times.items())

    def _stop_live(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, name: str) -> None:
        if not self._live or self._held:
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        with self._lock:
            self._stop_live()
            self._progress = Progress(
                SpinnerColumn(), TextColumn("unikvm: {task.description}"), TimeElapsedColumn(),
                console=Console(stderr=True), transient=True, refresh_per_second=4)
            self._progress.add_task(name, total=None)
            self._progress.start()

    def _done(self, name: str, taken: float) -> None:
        with self._lock:
            self._stop_live()
        if not self._quiet and not self._held:
            print(f"unikvm: {name}: {taken:.1f} s", file=sys.stderr, flush=True)
