# SPDX-License-Identifier: GPL-2.0-only
"""Guests other than the default one, out of Debian's packages: 32-bit kernels, OVMF, memtest86+.

A package lies in the cache as `guests/PACKAGE_VERSION`, unpacked and not installed.
"""

from dataclasses import dataclass
from pathlib import Path

from unikvm.lab import LabError, initramfs, kernels, places
from unikvm.lab.appearing import appearing

# name -> the meta package of its kernel; None for the default guest's.
LINUX: dict[str, str | None] = {"amd64": None, "686": "linux-image-686",
                                "686-pae": "linux-image-686-pae"}


@dataclass(frozen=True)
class Linux:
    """A kernel, what `uname -r` says in it, and its initramfs."""

    vmlinuz: Path
    release: str
    initramfs: Path


def linux(name: str, progress: kernels.Progress = lambda _: None) -> Linux:
    """A guest by its name in LINUX. Raises LabError when it cannot be had."""
    meta = LINUX[name]
    if meta is None:
        kernel = kernels.resolve(None, kernels.DEFAULT_L2, progress)
        return Linux(kernel.vmlinuz, kernel.version, initramfs.initramfs(kernel))
    apt = kernels.Apt("i386")
    if not apt.knows(meta):
        raise LabError(f"apt knows no package {meta} of i386")
    package = apt.image_of(meta)
    root = unpacked(package, apt, progress)
    version = package.removeprefix("linux-image-")
    kernel = kernels.Kernel(version, root / "boot" / f"vmlinuz-{version}",
                            root / "lib" / "modules" / version)
    with kernels.locked(package):
        if not (kernel.modules / "modules.dep").is_file():
            kernels.arrange(root, version)
    shell = unpacked("busybox-static", apt, progress) / "bin" / "busybox"
    return Linux(kernel.vmlinuz, version, initramfs.initramfs(kernel, shell))


def ovmf(progress: kernels.Progress = lambda _: None) -> tuple[Path, Path]:
    """UEFI firmware for two flash chips: its code, and a template of its variables."""
    folder = unpacked("ovmf", kernels.Apt(), progress) / "usr/share/OVMF"
    return folder / "OVMF_CODE_4M.fd", folder / "OVMF_VARS_4M.fd"


def memtest(progress: kernels.Progress = lambda _: None) -> Path:
    """memtest86+, as a 64-bit kernel image."""
    return unpacked("memtest86+", kernels.Apt(), progress) / "boot" / "memtest86+x64.bin"


def unpacked(package: str, apt: kernels.Apt, progress: kernels.Progress) -> Path:
    """A package's files, fetched when they are not there."""
    if not apt.knows(package):
        raise LabError(f"apt knows no package {package}")
    target = places.cache_dir() / "guests" / f"{package}_{apt.version_of(package)}"
    with kernels.locked(package):
        if not target.is_dir():
            with appearing(target, "root") as work:
                progress(f"fetching {package}")
                kernels.extract(apt.download(package, work), work / "root")
    return target
