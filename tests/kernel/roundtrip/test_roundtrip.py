# SPDX-License-Identifier: GPL-2.0-only
"""A running guest is moved to a fresh VM after each of its exits, and must not notice.

l1/guest.c puts values into registers, MSRs, FPU, clocks and interrupt chips, exits in the middle
of everything, and looks at them again; l1/host.c does the moving, and compares what the new VM
reads back with what the old one gave.

Not for stock, where it notices more than was meant: Hyper-V's clocks, 32 bits of the SYSENTER
MSRs where 64 were written, a PPR from before, and XCR0, because QEMU's XSETBV does not exit.
"""

import re
from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

HERE = Path(__file__).parent / "l1"
AT_LEAST = 30       # moves; the number of timer ticks, each of them one, is not fixed


@pytest.fixture(scope="module")
def command(labs) -> str:
    """The command, in L1, without its options."""
    host = programs.build(labs.scratch / "roundtrip", HERE / "host.c")
    guest = programs.build(
        labs.scratch / "roundtrip_guest", HERE / "guest.c",
        flags=["-O1", "-ffreestanding", "-fno-pic", "-fno-stack-protector",
               "-mgeneral-regs-only", "-mno-red-zone", "-nostdlib",
               "-Wl,-N,-e,start,-Ttext=0x100000,--build-id=none,--no-warn-rwx-segments"])
    return f"{host} %s {guest}"


def moves(l1, command: str) -> int:
    out = l1.check(command, timeout=150)
    match = re.fullmatch(r"(\d+) moves\n", out)
    assert match, out
    return int(match[1])


def test_the_guest_holds_still(l1_tree, command):
    """Its checks are right where nothing moves."""
    assert moves(l1_tree, command % "-n") == 0


def test_the_guest_does_not_notice(l1_tree, command):
    assert moves(l1_tree, command % "") >= AT_LEAST
