# SPDX-License-Identifier: GPL-2.0-only
"""However a run is ended, nothing of it stays behind."""

import os
import signal
import time
from pathlib import Path

import pytest

from lib import tree
from lib.processes import alive

pytestmark = [pytest.mark.boot, pytest.mark.module]


def descendants(pid):
    """Every process below `pid`, also those in sessions of their own."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(text.rsplit(")", 1)[1].split()[1])
    found, grew = {pid}, True
    while grew:
        grew = False
        for child, parent in parents.items():
            if parent in found and child not in found:
                found.add(child)
                grew = True
    return found - {pid}


def wait_until(what, seconds):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)
    return found


def emulator_below(pid):
    def look():
        for each in descendants(pid):
            try:
                if b"qemu-system" in Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")[0]:
                    return descendants(pid)
            except OSError:
                pass
        return None
    return look


@pytest.fixture
def process(labs):
    """A run in the lab, ended for certain when the test is over."""
    labs.close()
    process = tree.start("run", "--half", "stock", "--exec", "echo up; sleep 1000")
    with process:
        process.stdin.close()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


SIGNALS = {"ctrl-c": signal.SIGINT, "ctrl-c-later": signal.SIGINT, "terminate": signal.SIGTERM,
           "kill": signal.SIGKILL, "hang-up": signal.SIGHUP}


@pytest.mark.parametrize("how", SIGNALS)
def test_nothing_stays(how, process):
    number = SIGNALS[how]
    family = wait_until(emulator_below(process.pid), 60)
    if how == "ctrl-c-later":
        # In the guest's command.
        assert process.stdout.readline() == b"up\n"
        family = descendants(process.pid)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    process.wait(60)
    wait_until(lambda: not any(map(alive, family)), 30)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in process.stderr.read().decode()
    if number != signal.SIGKILL:
        assert not list((tree.cache() / "runs").glob(f"{process.pid}.*"))
