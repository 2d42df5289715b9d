# SPDX-License-Identifier: GPL-2.0-only
"""bios.bin in Debian's QEMU boots a disk and reads all of it, on each bus."""
from __future__ import annotations

import struct
from pathlib import Path

import pytest

SIZE = 48 << 20     # beyond what cylinders, heads and sectors reach on 16 heads


@pytest.fixture(scope="session")
def disk(flat_payload, tmp_path_factory) -> Path:
    """A disk whose last sector says that it was read."""
    sector = bytearray(flat_payload("payload_disk.S"))
    assert len(sector) == 512
    struct.pack_into("<Q", sector, 0x1B0, SIZE // 512 - 1)
    path = tmp_path_factory.mktemp("disk") / "disk"
    with path.open("wb") as file:
        file.write(sector)
        file.seek(SIZE - 512)
        file.write(b"payload: last sector\npayload: done\n".ljust(512, b"\0"))
    return path


@pytest.mark.boot
@pytest.mark.parametrize("device", [
    "virtio-blk-pci,disable-legacy=on", "virtio-blk-pci,disable-modern=on",
    "ide-hd", "nvme,serial=1"])
def test_disk_boots(boot, disk, device):
    went = boot(None, drive=disk, device=device)
    assert "Booting from Hard Disk" in went.console
    assert "payload: last sector\n" in went.console
