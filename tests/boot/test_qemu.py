# SPDX-License-Identifier: GPL-2.0-only
"""The kernel half under the outside world's VMM: Debian's unmodified QEMU."""

import pytest

from lib import qemu
from unikvm.lab import kernels

pytestmark = [pytest.mark.boot, pytest.mark.module]

COMMAND = "uname -r; grep -c ^processor /proc/cpuinfo; echo oops >&2; exit 9"


def check(run):
    version = kernels.resolve(None, kernels.DEFAULT_L2).version
    assert run.stdout == f"{version}\n1\n".encode(), run.serial
    assert run.stderr == b"oops\n" and run.control == b"ready\nexit 9\n"


def test_qemu_boots_on_the_tree_s_half(l1_tree, labs):
    check(qemu.in_l1(l1_tree, labs.scratch, COMMAND))


def test_qemu_boots_on_the_stock_half(l1_stock, labs):
    """The bench itself: without this the test above would blame the wrong part."""
    check(qemu.in_l1(l1_stock, labs.scratch, COMMAND))
