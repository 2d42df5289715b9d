# SPDX-License-Identifier: GPL-2.0-only
"""A distribution's kernel reaches init through SeaBIOS and our option ROM."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def cpio_entry(name: str, mode: int, data: bytes) -> bytes:
    """One file of a "newc" archive, Linux's initramfs buffer format."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % value for value in fields)
    head += name.encode() + b"\0"
    head += b"\0" * (-len(head) % 4)
    return head + data + b"\0" * (-len(data) % 4)


def kernels() -> list[Path]:
    """Kernels at hand: the project's cache, else this machine's own."""
    cache = Path(os.environ.get("UNIKVM_CACHE",
                                Path.home() / ".cache" / "unikvm"))
    found = sorted(cache.glob("kernels/*/boot/vmlinuz-*"))
    return [path for path in found or sorted(Path("/boot").glob("vmlinuz-*"))
            if os.access(path, os.R_OK)]


@pytest.mark.boot
def test_linux_reaches_init(boot, tmp_path, files):
    if not kernels():
        pytest.skip("no kernel in the cache or in /boot")
    subprocess.run(
        ["gcc", "-static", "-nostdlib", "-Os", "-fno-stack-protector", "-Wall",
         "-Wextra", "-Werror", str(HERE / "payload_init.c"),
         "-o", str(tmp_path / "init")], check=True)
    archive = (cpio_entry("init", 0o100755, (tmp_path / "init").read_bytes())
               + cpio_entry("TRAILER!!!", 0, b""))
    serial = tmp_path / "serial"
    went = boot(kernels()[-1], initrd=files("initrd", archive), memory=256,
                cmdline="console=ttyS0 panic=-1", serial=f"file:{serial}",
                timeout=180)
    print(serial.read_text(errors="replace")[-3000:])
    assert "unikvm-linuxboot: entering the kernel" in went.console
    assert "init: reached through the option ROM" in serial.read_text(
        errors="replace")
    # Powered off by itself through the BIOS's ACPI tables.
    assert went.status == 0
