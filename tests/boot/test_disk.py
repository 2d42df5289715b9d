# SPDX-License-Identifier: GPL-2.0-only
"""A system of its own on a disk, booted through our SeaBIOS: by our VMM, and by Debian's QEMU."""

import re
import subprocess

import pytest

from lib import diskimage, tree
from unikvm.lab import firmware

pytestmark = [pytest.mark.boot, pytest.mark.module]


@pytest.fixture(scope="module")
def disk(labs, tmp_path_factory):
    image = diskimage.make(labs, tmp_path_factory.mktemp("disk"))
    labs.close()
    return image


def found_on_disk(text, disk):
    """What the userspace on the disk printed is what was put there."""
    init = re.search(r"DISK-INIT-OK (\S+) (\S+) root=(\S+ \S+)", text)
    assert init, text[-3000:]
    assert init.groups() == (disk.mark, disk.kernel, "/dev/vda ext4")
    assert re.search(r"DISK-SHA ([0-9a-f]{64})", text).group(1) == disk.sha256
    assert "DISK-DRIVER virtio_blk" in text


@pytest.mark.parametrize("half", ["tree", "stock"])
def test_our_firmware_and_vmm_boot_the_disk(disk, half):
    run = tree.unikvm("run", "--half", half, "--firmware", "seabios", "--disk",
                      f"{disk.path},readonly", "-v", timeout=500)
    assert run.returncode == 0, run.stdout.decode()[-2000:] + run.stderr.decode()[-3000:]
    found_on_disk(run.stdout.decode(errors="replace"), disk)
    ours = firmware.describe(firmware.image()).removeprefix("SeaBIOS ")
    assert "unikvm" in ours
    assert f"SeaBIOS (version {ours})" in run.stderr.decode(errors="replace")


def test_debian_s_qemu_boots_the_same_disk_with_our_firmware(disk, tmp_path):
    serial, debug = tmp_path / "serial", tmp_path / "debug"
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none",
         "-vga", "none", "-no-reboot", "-bios", str(firmware.image()),
         "-drive", f"file={disk.path},format=raw,if=virtio,readonly=on",
         "-serial", f"file:{serial}", "-debugcon", f"file:{debug}",
         "-global", "isa-debugcon.iobase=0x402"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found_on_disk(serial.read_text(errors="replace"), disk)
    assert "unikvm" in debug.read_text(errors="replace").split("\n", 1)[0]


def test_a_disk_without_a_system_says_so_and_ends(tmp_path):
    blank = tmp_path / "blank"
    blank.write_bytes(bytes(1 << 20))
    run = tree.unikvm("run", "--firmware", "seabios", "--disk", str(blank), "--timeout", "30")
    assert run.returncode == 1
    assert "No bootable device" in run.stderr.decode()


# lidt with a limit of zero, then int3: no handler for the exception, nor for its failure.
TRIPLE_FAULT = bytes.fromhex("fa0f011e0a7ccc") + bytes(3) + bytes(6)


def test_a_triple_fault_shows_registers_and_code(tmp_path):
    sector = tmp_path / "sector"
    boot = TRIPLE_FAULT.ljust(510, b"\0") + b"\x55\xaa"
    # SeaBIOS boots from no disk smaller than a cylinder.
    sector.write_bytes(boot.ljust(1 << 20, b"\0"))
    run = tree.unikvm("run", "--firmware", "seabios", "--disk", str(sector), "--timeout", "60")
    err = run.stderr.decode()
    assert run.returncode == 255, err
    # At a SHUTDOWN exit the processor keeps no state (APM vol.2 15.14.3): KVM resets the
    # vCPU, and the report says so instead of passing these registers off as the fault's.
    assert "guest died: triple fault on vCPU 0" in err
    assert re.search(r"rip 000000000000fff0 rflags", err) and "those of a reset" in err
    assert re.search(r"^code ea( [0-9a-f]{2}){7,}", err, re.MULTILINE)
