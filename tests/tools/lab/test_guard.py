# SPDX-License-Identifier: GPL-2.0-only
"""The guard: nothing it started outlives its owner or the time limit."""

import os
import signal
import subprocess
import sys
import time

import pytest
from lib.processes import alive

from unikvm.lab import guard

pytestmark = pytest.mark.unit

# A child that ignores SIGTERM, in a group of two processes.
STUBBORN = "trap '' TERM; sh -c \"trap '' TERM; echo child \\$\\$; sleep 1000\" & echo up; wait"


def start(log, *command, limit="0"):
    reader, control = os.pipe()
    process = subprocess.Popen([sys.executable, "-I", "-S", guard.__file__, str(reader), limit,
                                str(log), *command], pass_fds=(reader,))
    os.close(reader)
    return process, control


def wait_for(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def logged(log, word):
    return log.exists() and word in log.read_text()


def child_of(log):
    return int(log.read_text().split("child ")[1].split()[0])


def test_output_and_status_pass_through(tmp_path):
    log = tmp_path / "log"
    process, control = start(log, "sh", "-c", "echo out; echo err >&2; exit 9")
    assert process.wait(20) == 9
    os.close(control)
    assert sorted(log.read_text().split()) == ["err", "out"]


def test_closing_the_control_pipe_ends_the_group(tmp_path):
    log = tmp_path / "log"
    process, control = start(log, "bash", "-c", STUBBORN)
    wait_for(lambda: logged(log, "up") and logged(log, "child"))
    os.close(control)
    assert process.wait(20) == 0
    assert not alive(child_of(log))


def test_a_killed_owner_ends_the_group(tmp_path):
    log = tmp_path / "log"
    code = ("import os,subprocess,sys,time\nr,w=os.pipe()\n"
            f"subprocess.Popen([sys.executable,'-I','-S',{guard.__file__!r},str(r),'0',"
            f"{str(log)!r},'bash','-c',{STUBBORN!r}],pass_fds=(r,))\nos.close(r)\ntime.sleep(1000)")
    owner = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: logged(log, "up") and logged(log, "child"))
    child = child_of(log)
    assert alive(child)
    owner.kill()
    owner.wait()
    wait_for(lambda: not alive(child))


def test_the_terminal_s_signals_do_not_reach_past_it(tmp_path):
    log = tmp_path / "log"
    process, control = start(log, "sh", "-c", "echo up; sleep 1000")
    wait_for(lambda: logged(log, "up"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    time.sleep(0.3)
    assert process.poll() is None
    os.close(control)
    assert process.wait(20) == 0


def test_time_limit(tmp_path):
    process, control = start(tmp_path / "log", "sleep", "1000", limit="0.5")
    assert process.wait(20) == guard.TIMED_OUT
    os.close(control)


def test_a_looping_guest_does_not_fill_the_disk(tmp_path):
    reader, writer = os.pipe()
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.write(writer, b"x" * 100)
    assert guard.copy_log(reader, log, 60) == 0
    os.write(writer, b"y" * 100)
    assert guard.copy_log(reader, log, 0) == 0
    os.close(writer)
    assert guard.copy_log(reader, log, 0) == -1
    assert (tmp_path / "log").read_bytes() == b"x" * 60
