# SPDX-License-Identifier: GPL-2.0-only
"""A disk image that a BIOS boots: ext4 with extlinux.

The file system is made without root by mke2fs; extlinux wants it mounted, which
needs root, and so is a script for a lab machine.
"""

import shlex
import subprocess
from pathlib import Path

from unikvm.lab import LabError

_CONFIG = """DEFAULT linux
PROMPT 0
TIMEOUT 1
LABEL linux
  KERNEL {kernel}
  INITRD {initrd}
  APPEND {cmdline}
"""

# What extlinux 6.04 can read: no 64-bit groups, no checksums, no extents.
_FEATURES = "^64bit,^metadata_csum,^extents"


def configure(root: Path, kernel: str, initrd: str, cmdline: str) -> None:
    """Name what to boot: paths on the disk whose files lie below root."""
    text = _CONFIG.format(kernel=kernel, initrd=initrd, cmdline=cmdline)
    (root / "extlinux.conf").write_text(text, encoding="ascii")


def make(root: Path, image: Path, size: int) -> None:
    """An image of size bytes with the files below root; no boot loader yet."""
    with open(image, "wb") as file:
        file.truncate(size)
    done = subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-O", _FEATURES, "-F",
                           "-d", str(root), str(image)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"cannot make {image}: {done.stderr.strip()}")


def install_script(image: Path, mount: Path) -> str:
    """Shell commands, for root, that install extlinux; mount: a directory to be made."""
    disk, where = shlex.quote(str(image)), shlex.quote(str(mount))
    return (f"PATH=$PATH:/usr/sbin:/sbin; modprobe -a loop ext4 && mkdir -p {where} && "
            f"mount -o loop {disk} {where} && extlinux --install {where} && "
            f"umount {where} && sync")
