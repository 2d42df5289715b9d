# SPDX-License-Identifier: GPL-2.0-only
"""A bootable disk image: Debian's kernel, a userspace that lies only there."""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

from unikvm.lab import bootdisk, guest, initramfs, kernels
from unikvm.lab.cpio import CpioArchive

SIZE = 192 << 20
BIG_FILE = 64 << 20

# In the disk's initramfs: only enough to reach the real root.
STAGE_ONE = """#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -qa virtio_pci virtio_blk crc32c_generic ext4
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.5; done
mount -t ext4 -o ro /dev/vda /root || poweroff -f
umount /sys /proc
mount --move /dev /root/dev
exec switch_root /root /sbin/init
"""

# On the disk, and nowhere else. Says what it found on the serial line.
STAGE_TWO = """#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
{{
	echo "DISK-INIT-OK @MARK@ $(uname -r) root=$(awk '$2 == "/" {{print $1, $3}}' /proc/mounts)"
	echo "DISK-SHA $(sha256sum </big)"
	echo "DISK-DRIVER $(basename $(readlink -f /sys/block/vda/device/driver))"
}} >/dev/ttyS0
poweroff -f
""".replace("{{", "{").replace("}}", "}")

@dataclass(frozen=True)
class DiskImage:
    """The image, and what a boot of it has to print."""

    path: Path
    mark: str
    sha256: str
    kernel: str


def stage_one(kernel: kernels.Kernel) -> bytes:
    """The initramfs on the disk: our default one with another init."""
    archive = CpioArchive()
    archive.folder("root")
    archive.file("init", STAGE_ONE.encode(), 0o755)
    return initramfs.initramfs(kernel).read_bytes() + bytes(archive)


def fill(root: Path, kernel: kernels.Kernel, mark: str) -> str:
    """The files of the disk; returns the big file's sha256."""
    for name in ("bin", "sbin", "dev", "proc", "sys", "boot"):
        (root / name).mkdir(parents=True)
    shell = root / "bin" / "busybox"
    shell.write_bytes(initramfs.busybox().read_bytes())
    shell.chmod(0o755)
    for applet in ("sh", "mount", "uname", "awk", "sha256sum", "poweroff", "echo", "readlink",
                   "basename"):
        (root / "bin" / applet).symlink_to("busybox")
    init = root / "sbin" / "init"
    init.write_text(STAGE_TWO.replace("@MARK@", mark))
    init.chmod(0o755)
    (root / "boot" / "vmlinuz").write_bytes(kernel.vmlinuz.read_bytes())
    (root / "boot" / "initrd").write_bytes(stage_one(kernel))
    bootdisk.configure(root, "/boot/vmlinuz", "/boot/initrd", f"{guest.CMDLINE} quiet")
    big = random.Random(mark).randbytes(BIG_FILE)
    (root / "big").write_bytes(big)
    return hashlib.sha256(big).hexdigest()


def make(labs, folder: Path) -> DiskImage:
    """Build the image below the labs' shared directory."""
    kernel = kernels.resolve(None, kernels.DEFAULT_L2)
    path, mark = labs.scratch / "disk.img", f"mark-{random.getrandbits(32):08x}"
    digest = fill(folder / "root", kernel, mark)
    bootdisk.make(folder / "root", path, SIZE)
    labs.get("stock").check(bootdisk.install_script(path, Path("/tmp/disk")), timeout=180)
    return DiskImage(path, mark, digest, kernel.version)
