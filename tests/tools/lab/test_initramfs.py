# SPDX-License-Identifier: GPL-2.0-only
"""The default guest's initramfs: which modules, in which form, and what a run adds."""

import lzma
import subprocess

import pytest

from lib.cpio import entries
from unikvm.lab import LabError, initramfs
from unikvm.lab.kernels import Kernel

pytestmark = pytest.mark.unit


@pytest.fixture
def kernel(tmp_path):
    """A kernel whose ext4 and virtio_blk are modules and whose virtio_pci is built in."""
    modules = tmp_path / "lib" / "modules" / "9.9-test"
    for name in ("fs/ext4/ext4", "lib/crc16", "fs/jbd2/jbd2", "drivers/block/virtio_blk",
                 "drivers/net/e1000"):
        path = modules / "kernel" / f"{name}.ko.xz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(f"ELF {name}".encode()))
    (modules / "modules.dep").write_text(
        "kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/jbd2/jbd2.ko.xz\n"
        "kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\n"
        "kernel/drivers/block/virtio_blk.ko.xz:\nkernel/drivers/net/e1000.ko.xz:\n")
    (modules / "modules.alias").write_text(
        "# comment\nalias fs-ext4 ext4\nalias pci:v8086 e1000\nalias crypto-x crc16\n")
    return Kernel("9.9-test", tmp_path / "vmlinuz", modules)


def test_wanted_modules_and_their_needs_and_no_others(kernel):
    names = {initramfs.module_name(path) for path in initramfs.module_order(kernel)}
    assert names == {"ext4", "crc16", "jbd2", "virtio_blk"}


def test_modules_are_plain_and_modules_dep_names_them(kernel):
    found = {name: body for name, _, body in
             entries(initramfs.build(kernel))}
    base = "lib/modules/9.9-test"
    assert found[f"{base}/kernel/fs/ext4/ext4.ko"] == b"ELF fs/ext4/ext4"
    assert ".xz" not in found[f"{base}/modules.dep"].decode()
    for line in found[f"{base}/modules.dep"].decode().splitlines():
        for path in line.replace(":", "").split():
            assert f"{base}/{path}" in found
    assert found[f"{base}/modules.alias"] == b"alias fs-ext4 ext4\nalias crypto-x crc16\n"
    assert found["bin/sh"] == b"busybox" and found["init"].startswith(b"#!/bin/sh")


def test_init_is_sound_shell():
    for shell in (["bash", "-n"], [str(initramfs.busybox()), "sh", "-n"]):
        subprocess.run([*shell, str(initramfs._INIT)], check=True)


def test_command_travels_byte_for_byte():
    text = "printf 'a\"b\\n'; exit 3 # äöü"
    found = {name: body for name, _, body in
             entries(initramfs.command_archive(text, b"\0\xff"))}
    assert found["unikvm/command"].decode() == text + "\n"
    assert found["unikvm/stdin"] == b"\0\xff" and found["unikvm/mode"] == b"exec\n"


def test_shell_mode_knows_the_terminal():
    found = {name: body for name, _, body in
             entries(initramfs.command_archive(None, rows=50, columns=132, term="xterm"))}
    assert found["unikvm/mode"] == b"shell\n" and found["unikvm/term"] == b"xterm"
    assert found["unikvm/size"] == b"rows 50 columns 132\n"


def test_oversized_command_is_refused():
    with pytest.raises(LabError, match="limit"):
        initramfs.command_archive("x" * (initramfs.COMMAND_MAX + 1))


def test_write_whole_leaves_no_half_file(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def broken(self, data):
        with open(self, "wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(target), "write_bytes", broken)
    with pytest.raises(LabError, match="No space left"):
        initramfs.write_whole(target, b"new")
    assert target.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]
