# SPDX-License-Identifier: GPL-2.0-only
"""The cases of the QEMU suite, and what it makes without QEMU."""

import shutil
import subprocess

import pytest

from unikvm.lab import guests, qemu, qemu_l1

pytestmark = pytest.mark.unit


def test_the_matrix_is_whole():
    cases = qemu.all_cases()
    assert len({case.name for case in cases}) == len(cases) == 24 + 8 + 8 + 8 + 1 + 11
    boots = {(case.machine, case.cpus, case.irqchip, case.boot)
             for case in cases if case.what == "boot" and case.machine in qemu.MACHINES
             and case.irqchip in qemu.IRQCHIPS and case.boot in qemu.BOOTS}
    assert len(boots) == 2 * 3 * 2 * 2
    assert {case.guest for case in cases} == set(guests.LINUX)
    assert set(qemu.SHORT) < set(cases)
    assert all(case.what in qemu_l1.KINDS for case in cases)


def test_ticks_are_whole_lines():
    assert qemu_l1.ticks("tick 1\ntick 2\ntick 1") == [1, 2]
    assert qemu_l1.ticks("ti") == [-1]


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no QEMU on this host")
def test_qemu_takes_the_image_and_a_snapshot_in_it(tmp_path):
    image = qemu_l1.empty_qcow2(tmp_path / "image", 1 << 20)
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none",
         "-S", "-monitor", "stdio", "-drive", f"if=none,format=qcow2,file={image}"],
        input="savevm one\ninfo snapshots\nquit\n", capture_output=True, text=True, timeout=100,
        check=True)
    assert "one" in done.stdout and "Error" not in done.stdout + done.stderr
