# SPDX-License-Identifier: GPL-2.0-only
"""Keep a machine's processes from outliving whoever started them.

Run as a program between the lab and the emulator: starts the command in a
session of its own, copies what it prints to a log, and ends the whole process
group when the control pipe closes (the lab is done, or died by any signal) or
the time limit passes. Standard library only, imports nothing of unikvm.
"""

import os
import select
import signal
import subprocess
import sys
import time

LOG_LIMIT = 64 << 20  # bytes of console kept; a looping guest must not fill the disk
GRACE = 5.0           # seconds between SIGTERM and SIGKILL
TIMED_OUT = 124       # our exit status when the time limit ended the command


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group, SIGKILL to what is left after GRACE seconds."""
    deadline = time.monotonic() + GRACE
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        while group_alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait()


def group_alive(process: subprocess.Popen[bytes]) -> bool:
    """True while any process of the group exists (reaps the leader)."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def copy_log(source: int, log: int, room: int) -> int:
    """Copy one chunk; returns the room left, -1 at end of file."""
    data = os.read(source, 65536)
    if not data:
        return -1
    if room > 0:
        os.write(log, data[:room])
    return max(0, room - len(data))


def watch(process: subprocess.Popen[bytes], control: int, log: int, limit: float) -> bool:
    """Until the command ends (False) or has to be ended (True)."""
    assert process.stdout is not None
    output = process.stdout.fileno()
    deadline = time.monotonic() + limit if limit else None
    room = LOG_LIMIT
    child = os.pidfd_open(process.pid)
    poll = select.poll()
    for fd in (control, output, child):
        poll.register(fd, select.POLLIN)
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        events = dict(poll.poll(wait))
        if output in events:
            room = copy_log(output, log, room)
            if room < 0:
                poll.unregister(output)
            continue
        if control in events or not events:
            return True
        if child in events:
            return False


def main() -> int:
    """guard CONTROL-FD SECONDS LOG COMMAND...: exit status of COMMAND, 124 on time-out."""
    control, limit, log_name = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    # The terminal's Ctrl-C reaches this process too; the control pipe decides.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    started = time.monotonic()
    log = os.open(log_name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    process = subprocess.Popen(sys.argv[4:], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, restore_signals=True,
                               preexec_fn=default_signals)
    ended_by_us = watch(process, control, log, limit)
    end_group(process)
    if ended_by_us:
        return TIMED_OUT if limit and time.monotonic() - started >= limit else 0
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def default_signals() -> None:
    """Ignored signals survive exec; the command must not inherit ours."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
