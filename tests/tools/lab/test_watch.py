# SPDX-License-Identifier: GPL-2.0-only
"""Following a guest by its consoles; what the guest writes is hostile."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.lab.guest import DiskSpec, GuestConfig, parse_disk
from unikvm.lab import LabError
from unikvm.lab.watch import TAIL_LINES, Tail, Watch

pytestmark = pytest.mark.unit


class Recorder:
    def __init__(self, boot_limit=0.0, limit=0.0, patience=60.0):
        self.states, self.stopped = [], threading.Event()
        self.watch = Watch(self.stopped.set, boot_limit, limit, self.states.append, patience)


def test_ready_then_exit():
    seen = Recorder()
    seen.watch.line("ready")
    seen.watch.line("exit 7")
    seen.watch.finish()
    assert seen.watch.ready and seen.watch.status == 7
    assert seen.states == [{"state": "ready"}, {"state": "exit", "status": 7}]


@pytest.mark.parametrize("line", ["exit", "exit -1", "exit x", "exit 1 2", "exit ٣", "", "exits 3"])
def test_anything_else_is_no_exit(line):
    seen = Recorder()
    seen.watch.line(line)
    assert seen.watch.status is None and not seen.stopped.is_set()


def test_the_first_exit_counts():
    seen = Recorder()
    for line in ("exit 3", "exit 0"):
        seen.watch.line(line)
    seen.watch.finish()
    assert seen.watch.status == 3


@given(st.text(max_size=200))
def test_no_line_breaks_the_watch(text):
    seen = Recorder()
    seen.watch.line(text)
    seen.watch.finish()
    assert seen.watch.status is None or 0 <= seen.watch.status <= 255


def test_a_guest_that_never_gets_ready_is_stopped():
    seen = Recorder(boot_limit=0.05)
    assert seen.stopped.wait(10) and seen.watch.why_stopped == "boot limit"


def test_ready_in_time_lifts_the_boot_limit():
    seen = Recorder(boot_limit=0.2)
    seen.watch.line("ready")
    assert not seen.stopped.wait(0.5)


def test_the_command_s_own_limit():
    seen = Recorder(boot_limit=60, limit=0.05)
    seen.watch.line("ready")
    assert seen.stopped.wait(10) and seen.watch.why_stopped == "time limit"


def test_a_guest_that_will_not_power_off_is_stopped_without_blame():
    seen = Recorder(patience=0.05)
    seen.watch.line("exit 0")
    assert seen.stopped.wait(10) and seen.watch.why_stopped == ""


@given(st.lists(st.text(max_size=500), max_size=40))
def test_tail_is_bounded(pieces):
    tail = Tail()
    for piece in pieces:
        tail.feed(piece)
    assert tail.text().count("\n") <= TAIL_LINES
    assert len(tail.text()) <= (TAIL_LINES + 4) * 300 + TAIL_LINES + 1


def test_tail_keeps_the_last_lines_and_the_open_one():
    tail = Tail(lines=2)
    tail.feed("a\r\nb\r\n\r\nc\nd")
    assert tail.text() == "b\nc\nd"


def test_config_crosses_as_json():
    config = GuestConfig(kernel="/k", disks=(DiskSpec("/d", True),), interactive=True)
    assert GuestConfig.from_json(config.to_json()) == config


def test_disks(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(1024))
    assert parse_disk(str(path)) == DiskSpec(str(path))
    assert parse_disk(f"{path},readonly") == DiskSpec(str(path), True)


@pytest.mark.parametrize("text,size,message", [
    ("{0}/none", None, "no such file"), ("{0}", None, "is a directory"),
    ("{0}/disk", 0, "sectors"), ("{0}/disk", 513, "sectors"), ("{0}/disk,snapshot", 512, "only"),
])
def test_bad_disks(tmp_path, text, size, message):
    if size is not None:
        (tmp_path / "disk").write_bytes(bytes(size))
    with pytest.raises(LabError, match=message):
        parse_disk(text.format(tmp_path))
