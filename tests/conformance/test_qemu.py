# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance qemu`: every case passes on the tree's half, and the report says so."""

import os
import re
import shutil

import pytest

from lib import conformance
from unikvm.lab import qemu

pytestmark = [pytest.mark.boot, pytest.mark.module]


@pytest.mark.timeout(1200)
def test_the_short_form(tmp_path):
    run, cases = conformance.run("qemu", tmp_path, "--short", timeout=1100)
    said = run.stdout.decode()
    assert run.returncode == 0, said + run.stderr.decode()
    assert cases == {case.name: True for case in qemu.SHORT}
    for case in qemu.SHORT:
        assert re.search(rf"^{case.name} +pass +\d+\.\d$", said, re.MULTILINE), said


@pytest.mark.full
@pytest.mark.timeout(2400)
@pytest.mark.skipif(os.geteuid() != 0, reason="a root directory of trixie is made by root only")
@pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed")
@pytest.mark.parametrize("irqchip", ["on", "split"])
def test_a_newer_qemu(tmp_path, irqchip):
    name = f"boot-q35-2cpu-{irqchip}-seabios"
    run, cases = conformance.run("qemu", tmp_path, "--qemu-from", "trixie", "--only", name,
                                 timeout=2300)
    said = run.stderr.decode()
    assert run.returncode == 0, run.stdout.decode() + said
    assert cases == {name: True} and "QEMU emulator version 10." in said


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_the_whole_matrix(tmp_path):
    run, cases = conformance.run("qemu", tmp_path, timeout=7100)
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()[-3000:]
    assert set(cases) == {case.name for case in qemu.all_cases()}
    assert {name for name, passed in cases.items() if not passed} <= {"breakpoint-q35-2cpu-on-direct"}
