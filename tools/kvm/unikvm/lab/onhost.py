# SPDX-License-Identifier: GPL-2.0-only
"""Run one guest on the KVM of the machine this process is in (L1, or a real host).

As a program: takes a GuestConfig as JSON and reports on file descriptor 3, one
JSON object a line. The guest's command has this process's own stdin, stdout
and stderr.
"""

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from unikvm.core.errors import UserError
from unikvm.lab import guest
from unikvm.lab.watch import Watch

Emit = Callable[[dict], None]


def find_disk(spec: guest.DiskSpec) -> str:
    """A disk's path here; one of the lab's is a block device with a serial number."""
    serial = spec.path.removeprefix(guest.DISK_BY_SERIAL)
    if serial == spec.path:
        return spec.path
    for device in sorted(Path("/sys/block").iterdir()):
        entry = device / "serial"
        if entry.is_file() and entry.read_text(encoding="ascii").strip() == serial:
            return f"/dev/{device.name}"
    raise UserError(f"L1 has no disk with serial number {serial}")


def run_guest(config: guest.GuestConfig, emit: Emit) -> guest.Outcome:
    """Build the machine, run it to its end, say how it ended. UserError: refused."""
    from unikvm.lab import vmm
    guarded = threading.Lock()

    def locked_emit(event: dict) -> None:
        with guarded:
            emit(event)

    session = vmm.GuestMachine(config, [find_disk(disk) for disk in config.disks], locked_emit)
    # Only a guest with our init says that it is ready, and what its command's status was.
    watch = Watch(session.stop, config.boot_limit, config.limit, locked_emit)
    try:
        locked_emit({"state": "vmm"})
        session.on_control = watch.line
        ended = session.run()
    finally:
        watch.finish()
    return guest.Outcome(end=watch.why_stopped or ended.end, status=watch.status,
                         ready=watch.ready, detail=ended.detail, report=ended.report)


def main() -> int:
    """onhost CONFIG-JSON; status 0 when the guest ran, whatever became of it."""
    config = guest.GuestConfig.from_json(sys.argv[1])
    with os.fdopen(os.dup(3), "w", encoding="utf-8", buffering=1) as events:
        def emit(event: dict) -> None:
            events.write(json.dumps(event) + "\n")

        try:
            outcome = run_guest(config, emit)
        except (UserError, OSError) as error:
            emit({"error": str(error)})
            return 1
        except Exception as error:  # our own bug: the traceback belongs in the log
            emit({"console": f"\n{traceback.format_exc()}",
                  "error": f"internal error in the VMM: {type(error).__name__}: {error}"})
            return 1
        emit({"outcome": vars(outcome)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
