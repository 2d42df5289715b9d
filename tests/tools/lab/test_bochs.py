# SPDX-License-Identifier: GPL-2.0-only
"""What goes onto the disk of a Bochs machine, and what is read from its serial line."""

import subprocess
import sys
from pathlib import Path

import pytest

from unikvm.lab import LabError, bochs, modules
from unikvm.lab.kernels import Kernel

pytestmark = pytest.mark.unit


@pytest.fixture
def kernel(tmp_path):
    folder = tmp_path / "modules"
    (folder / "kernel").mkdir(parents=True)
    (folder / "modules.dep").write_text(
        "kernel/kvm-amd.ko: kernel/ccp.ko kernel/kvm.ko kernel/irqbypass.ko\n"
        "kernel/kvm.ko: kernel/irqbypass.ko\nkernel/irqbypass.ko:\nkernel/ccp.ko:\n")
    for name in ("kvm-amd", "kvm", "irqbypass", "ccp"):
        (folder / "kernel" / f"{name}.ko").write_bytes(name.encode())
    return Kernel("6.1.0-1-amd64", tmp_path / "vmlinuz", folder)


def test_stock_modules_load_before_what_needs_them(kernel):
    names = [name for name, _ in bochs.half_files(bochs.BochsRun(kernel, "true"))]
    assert names == ["irqbypass.ko", "kvm.ko", "ccp.ko", "kvm_amd.ko"]


def test_ours_load_after_what_they_need(kernel, monkeypatch, tmp_path):
    monkeypatch.setattr(modules, "modinfo", lambda path, field:
                        {"kvm.ko": "irqbypass", "kvm-amd.ko": "kvm,irqbypass"}[path.name])
    monkeypatch.setattr(bochs, "stripped", lambda path: b"ours")
    ours = modules.TreeModules(Path("kvm.ko"), Path("kvm-amd.ko"), kernel.version, "S", "1")
    run = bochs.BochsRun(kernel, "true", ours, parameters={"kvm_amd.nrips": "0"})
    assert bochs.half_files(run) == [("irqbypass.ko", b"irqbypass"), ("kvm.ko", b"ours"),
                                     ("kvm_amd.ko", b"ours")]
    text = bochs.archive(run).decode(errors="replace")
    assert "insmod /modules/kvm.ko || echo unikvm-refused kvm.ko" in text
    assert "insmod /modules/kvm_amd.ko nrips=0 || echo" in text


def follow(tmp_path, text, process):
    serial = tmp_path / "serial"
    serial.write_text(text)
    out = []
    try:
        return bochs.follow(process, serial, tmp_path / "log", out.append), "".join(out)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def running():
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_output_is_what_lies_between_the_marks(tmp_path, running):
    text = "[0.1] booting\r\nunikvm-begin\r\none\r\ntwo\r\nunikvm-end 7\r\n[9] later\r\n"
    assert follow(tmp_path, text, running) == (7, "one\ntwo\n")


def test_a_refused_module_is_one_line(tmp_path, running):
    with pytest.raises(LabError, match="refused kvm_amd.ko; log: "):
        follow(tmp_path, "unikvm-refused kvm_amd.ko\nunikvm-begin\n", running)


def test_an_early_end_says_what_came_last(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(LabError, match="last said: panic; log: "):
        follow(tmp_path, "unikvm-begin\nfine\npanic\n", gone)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(bochs.shutil, "which", lambda name: None if name == "bochs" else name)
    with pytest.raises(LabError, match="apt-get install bochs bochs-term bochsbios vgabios$"):
        bochs.check_host()
