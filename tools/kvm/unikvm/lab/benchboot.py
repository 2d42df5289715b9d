# SPDX-License-Identifier: GPL-2.0-only
"""Boot one guest in L1 for `bench exits`: time, exits and memory up to its init.

Takes a GuestConfig as JSON; writes one JSON object to file descriptor 3.
"""

import json
import os
import sys
import time
from pathlib import Path

from unikvm.core.errors import UserError
from unikvm.lab import guest, onhost

DEBUGFS = Path("/sys/kernel/debug")


def counters() -> dict[str, int]:
    """Totals by KVM's names; empty without debugfs. Stock forgets VMs that are gone."""
    found = {}
    for path in sorted((DEBUGFS / "kvm").glob("*")):
        if path.is_file():
            text = path.read_text(encoding="ascii", errors="replace").strip()
            if text.isdigit():
                found[path.name] = int(text)
    return found


def memory() -> dict[str, int]:
    """KiB of this process, guest memory included, and how many of them in huge pages."""
    found = {}
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        for name, key in (("Rss:", "resident"), ("AnonHugePages:", "huge")):
            if line.startswith(name):
                found[key] = int(line.split()[1])
    return found


class Stopwatch:
    """Follows the guest's states."""

    def __init__(self) -> None:
        self.started = 0.0
        self._before: dict[str, int] = {}
        self.result: dict = {}

    def event(self, event: dict) -> None:
        """From the VMM's threads, one at a time."""
        state = event.get("state")
        if state == "vmm":
            self._before = counters()
            self.started = time.monotonic()
        elif state == "ready":
            seconds = time.monotonic() - self.started
            made = {name: count - self._before.get(name, 0) for name, count in counters().items()}
            self.result = {"seconds": seconds, "counters": made, **memory()}


def main() -> int:
    """benchboot CONFIG-JSON; status 0 when the guest reached its init."""
    watch = Stopwatch()
    try:
        outcome = onhost.run_guest(guest.GuestConfig.from_json(sys.argv[1]), watch.event)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if not watch.result:
        print(f"ended before its init: {outcome.end} {outcome.detail}", file=sys.stderr)
        return 1
    with os.fdopen(os.dup(3), "w", encoding="ascii") as events:
        events.write(json.dumps(watch.result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
