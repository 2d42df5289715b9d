# SPDX-License-Identifier: GPL-2.0-only
"""What programs that judge one case in L1 share: how a case fails, and how that is told.

The case comes as JSON, with a `limit` in seconds; {"word", "detail"} goes to file
descriptor 3. Runs on Python's library and this package alone.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from unikvm.lab import LabError


class CaseFailed(Exception):
    """What the guest or its VMM did is not what it has to do."""


class CaseSkipped(Exception):
    """This machine cannot do what the case needs, whatever kernel half it runs."""


def expect(what: str, found: object, wanted: object) -> None:
    """One comparison; the message shows both."""
    if found != wanted:
        raise CaseFailed(f"{what}: {found!r}, not {wanted!r}")


class Case:
    """A case, a folder for its files, and the time it has left."""

    def __init__(self, order: dict, folder: Path) -> None:
        self.order, self.folder = order, folder
        self._deadline = time.monotonic() + order["limit"]

    def left(self) -> float:
        """Seconds of the case's time that are left; CaseFailed when none are."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise CaseFailed(f"took longer than {self.order['limit']:g} s")
        return seconds

    def end(self) -> str:
        """Kill what still runs; the logs' ends."""
        return ""


def judge(make: Callable[[dict, Path], Case], go: Callable[[Case], None]) -> int:
    """Run the case of the command line, and tell how it ended."""
    order = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="unikvm-case-") as name:
        case = make(order, Path(name))
        try:
            go(case)
            verdict = {"word": "pass", "detail": ""}
        except CaseSkipped as reason:
            verdict = {"word": "skip", "detail": str(reason)}
        except (CaseFailed, LabError, OSError) as error:
            verdict = {"word": "FAIL", "detail": f"{error}\n{case.end()}"}
        finally:
            case.end()
    with os.fdopen(3, "w", encoding="utf-8") as events:
        events.write(json.dumps(verdict) + "\n")
    return 0
