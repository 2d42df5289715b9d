# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm fuzz`: an emulator that gives up is no finding, unless it does so all the time."""

import argparse

import pytest

from unikvm.cli import fuzz
from unikvm.lab.machine import L1Died

pytestmark = pytest.mark.unit

LAST_WORDS = {
    "qemu: fatal: invalid tss type\nEAX=00000000 EBX=00001d6e": None,
    "qemu: fatal: invalid tss\n": None,
    "ERROR:tcg-accel-ops.c:81:tcg_handle_interrupt: assertion failed: (locked)": None,
    "qemu: fatal: Trying to execute code outside RAM\n": True,
    "BUG: KASAN: use-after-free\nqemu: fatal: invalid tss\n": True,
}


@pytest.fixture
def results(monkeypatch):
    """What each machine is to say, and the seed and time that each was given."""
    monkeypatch.setattr(fuzz, "fuzzer", lambda kind: kind)
    monkeypatch.setattr(fuzz.labargs, "l1_parts", lambda *_: (None, None))
    wanted, seen = [], []

    def in_machine(_args, _parts, _program, seed, seconds, _phases):
        seen.append((seed, seconds))
        return wanted.pop(0)

    monkeypatch.setattr(fuzz, "in_machine", in_machine)
    return wanted, seen


def run(seconds=60):
    return fuzz.main(argparse.Namespace(kind="guest", half=None, seed=7, seconds=seconds,
                                        round=None))


def test_it_goes_on_with_another_seed(results):
    wanted, seen = results
    wanted += [None, False]
    assert run() == 0
    assert [seed for seed, _ in seen] == [7, 8] and 59 < seen[1][1] <= 60


@pytest.mark.parametrize("said", [[True], [None, True], [None, None]])
def test_findings(results, said):
    wanted, _ = results
    wanted += said
    assert run() == 1 and not wanted


class Machine:
    """One whose emulator ends in the middle."""

    def __init__(self, console):
        self._console = console

    def run(self, *_args, **_options):
        return argparse.Namespace(stdout=b"")

    def start(self, *_args, **_options):
        return self

    def wait(self, _limit):
        raise L1Died("the lab machine ended")

    def console(self):
        return self._console


@pytest.mark.parametrize("words", LAST_WORDS)
def test_what_counts_as_the_emulator_s(words):
    assert fuzz.fuzz(Machine(words), [], 1.0) is LAST_WORDS[words]


FAILED = """\
[ 650.0] fuzz-ioctl: vmalloc error: size 2760, vm_struct allocation failed, mode:0xdc0
[ 650.1] CPU: 0 PID: 2173 Comm: fuzz-ioctl Tainted: G           O
[ 650.2] Call Trace:
[ 650.3]  <TASK>
[ 650.4]  ? lockdep_hardirqs_on+0x82/0x110
[ 650.5]  </TASK>
[ 650.6] Mem-Info:
""".splitlines()


def test_an_allocation_that_was_to_fail_is_no_trouble():
    assert fuzz.trouble(FAILED) == ""
    assert "use-after-free" in fuzz.trouble([*FAILED, "[ 651.0] BUG: KASAN: use-after-free"])
    assert fuzz.trouble(FAILED[1:]), "a call trace without a reason"
