# SPDX-License-Identifier: GPL-2.0-only
"""Cases of a suite whose judge is a program in L1: ordered here, run there, told as one outcome.

`unikvm.lab.cases_l1` is the other end.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import unikvm
from unikvm.lab.conformance import Outcome
from unikvm.lab.machine import L1, L1Died, L1Wedged

# The program reports a case that takes too long by itself; this much later it is ended.
GRACE = 60.0


def run(machine: L1, program: str, order: Mapping[str, Any]) -> Outcome:
    """One case, in an L1 with a half loaded. L1Died and L1Wedged pass through.

    program: a module of this package; order: what it is to do, as JSON; its `limit` is the
    case's, in seconds.
    """
    site = Path(unikvm.__file__).resolve().parents[1]
    started = time.monotonic()
    job = machine.start([sys.executable, "-m", program, json.dumps(order)],
                        env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"})
    job.feed(b"")
    try:
        result = job.wait(order["limit"] + GRACE)
    except TimeoutError:
        job.kill()
        return Outcome("timeout", time.monotonic() - started)
    seconds = time.monotonic() - started
    verdict = result.events[-1] if result.events else {
        "word": "FAIL", "detail": result.stderr.decode(errors="replace")}
    return Outcome(verdict["word"], seconds, verdict["detail"])


def run_or_lose(machine: L1, program: str, order: Mapping[str, Any]) -> Outcome:
    """The same; a machine that dies or wedges is the case's result."""
    started = time.monotonic()
    try:
        return run(machine, program, order)
    except (L1Died, L1Wedged) as error:
        return Outcome("wedge", time.monotonic() - started, str(error))
