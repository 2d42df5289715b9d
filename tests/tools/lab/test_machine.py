# SPDX-License-Identifier: GPL-2.0-only
"""L1's command line, and a machine that cannot start."""

import os
import stat
from pathlib import Path

import pytest

from unikvm.lab import LabError, modules, places
from unikvm.lab.machine import L1, Disk, L1Config, L1Died, qemu_options, virtme_command

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def qemu(tmp_path):
    """An emulator that says why it fails, and fails."""
    path = tmp_path / "qemu"
    path.write_text("#!/bin/sh\ncase $* in *version*) echo QEMU emulator version 7.2;; esac\n"
                    "echo no such machine >&2\nexit 1\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_emulator_and_threads(qemu):
    config = L1Config(Path("/k/vmlinuz"), qemu=qemu, threads="single", cpus=2)
    command = virtme_command(config, Path("/s/agent"))
    assert command[command.index("--qemu-bin") + 1] == str(qemu)
    assert "tcg,thread=single" in command and "--disable-kvm" in command
    assert command[command.index("--cpus") + 1] == "2"


def test_disks_reach_qemu_with_their_serial(qemu):
    options = " ".join(qemu_options(L1Config(Path("/k"), disks=(
        Disk(Path("/d/a"), "unikvm0"), Disk(Path("/d/b"), "unikvm1", readonly=True))), Path("/s")))
    assert "file=/d/a,readonly=off" in options and "serial=unikvm0" in options
    assert "file=/d/b,readonly=on" in options and "serial=unikvm1" in options


def test_only_directories_that_l1_would_not_see_are_shared(qemu):
    config = L1Config(Path("/k"), qemu=qemu, share=(Path("/usr/share"), Path("/run")),
                      share_rw=(Path("/usr/bin"),))
    command = virtme_command(config, Path("/s"))
    assert "--rodir=/run" in command and "--rwdir=/usr/bin" in command
    assert not any("share" in word for word in command if word.startswith("--rodir"))


@pytest.mark.parametrize("path", ["/a b", "/a,b", "/a=b", "/a\"b"])
def test_paths_that_qemu_would_misread_are_refused(path):
    with pytest.raises(LabError, match="cannot use"):
        qemu_options(L1Config(Path("/k"), disks=(Disk(Path(path), "s"),)), Path("/s"))


def test_missing_emulator():
    with pytest.raises(LabError, match="--lab-qemu"):
        virtme_command(L1Config(Path("/k"), qemu=Path("/nonexistent/qemu")), Path("/s"))


def test_an_emulator_that_fails_is_named_with_its_log(qemu, tmp_path):
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes(bytes(0x1000))
    with pytest.raises(L1Died, match=r"did not start: .*log: "):
        L1(L1Config(kernel, qemu=qemu))


def test_no_modules_says_how_to_get_some(tmp_path):
    with pytest.raises(LabError, match="--half stock"):
        modules.tree_modules(None)
    with pytest.raises(LabError, match="linux-headers-amd64"):
        modules.tree_modules(tmp_path)


def test_a_file_that_is_no_module(tmp_path):
    (tmp_path / "kernel").mkdir()
    for name in ("kvm.ko", "kvm-amd.ko"):
        (tmp_path / "kernel" / name).write_bytes(b"no module")
    with pytest.raises(LabError, match="cannot read module"):
        modules.tree_modules(tmp_path)


def test_cache_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNIKVM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LabError, match="UNIKVM_CACHE"):
        places.cache_dir()


def test_old_logs_go():
    for index in range(60):
        path = places.log_path("x")
        path.with_name(f"x-{index:08d}.log").write_text("")
    places.log_path("x")
    assert len(list(path.parent.glob("x-*.log"))) <= 51
    assert os.path.dirname(places.log_path("x")) == str(path.parent)
