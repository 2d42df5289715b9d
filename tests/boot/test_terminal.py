# SPDX-License-Identifier: GPL-2.0-only
"""An interactive run: a shell in the guest on the user's terminal."""

import os
import pty
import select
import sys
import time

import pytest

from lib import tree

pytestmark = [pytest.mark.boot, pytest.mark.module]


class Terminal:
    """A CLI command on a pseudo-terminal."""

    def __init__(self, *words):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            tree.hear_ctrl_c()
            os.execv(sys.executable, [sys.executable, "-m", "unikvm", *words])

    def read_until(self, text, seconds=240):
        deadline, start = time.monotonic() + seconds, len(self.seen)
        while text not in self.seen[start:]:
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen[-2000:]!r}"
            self.seen += os.read(self.fd, 4096)

    def type(self, text):
        os.write(self.fd, text)

    def finish(self):
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture(autouse=True)
def room(labs):
    labs.close()


def test_a_shell_in_the_guest():
    terminal = Terminal("run")
    terminal.read_until(b"# ")
    terminal.type(b"echo $((6*7))-$(tty)\r")
    terminal.read_until(b"42-/dev/hvc0")
    terminal.type(b"sleep 1000\r")
    terminal.read_until(b"sleep 1000")
    time.sleep(1)
    terminal.type(b"\x03")  # reaches the guest, does not end us
    terminal.read_until(b"# ")
    terminal.type(b"exit 9\r")
    assert terminal.finish() == 9
    assert b"half: tree" in terminal.seen


def test_ctrl_a_x_ends_it():
    terminal = Terminal("run", "--half", "stock")
    terminal.read_until(b"# ")
    terminal.type(b"\x01x")
    assert terminal.finish() == 0
    assert b"half: stock" in terminal.seen


def test_a_shell_in_the_lab():
    terminal = Terminal("lab", "--half", "stock")
    terminal.read_until(b"# ")
    terminal.type(b"grep -c kvm_amd /proc/modules; tty; stty size\r")
    terminal.read_until(b"/dev/pts/")
    terminal.type(b"exit 4\r")
    assert terminal.finish() == 4
