# SPDX-License-Identifier: GPL-2.0-only
"""Debian's kernel sources, unpacked in the cache as `sources/PACKAGE_VERSION`."""

import shutil
import subprocess
from pathlib import Path

from unikvm.lab import LabError, kernels, places


def get(package: str, progress: kernels.Progress = lambda _: None) -> Path:
    """The source tree of a package such as linux-source-6.1, fetched when it is not there."""
    folder = places.cache_dir() / "sources"
    folder.mkdir(exist_ok=True)
    apt = kernels.Apt()
    if not apt.knows(package):
        raise LabError(f"apt knows no package {package}, Debian's kernel source")
    target = folder / f"{package}_{apt.version_of(package)}"
    with kernels.locked(package):
        if not (target / "Makefile").is_file():
            fetch(apt, package, target, progress)
    return target


def fetch(apt: kernels.Apt, package: str, target: Path, progress: kernels.Progress) -> None:
    """Download, unpack the package, unpack the archive in it."""
    scratch = target.with_name(f".{target.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        progress(f"fetching {package}")
        found = apt.download(package, scratch)
        progress(f"unpacking {package}")
        kernels.extract(found, scratch / "package")
        archive = next((scratch / "package").glob("usr/src/*.tar.*"))
        (scratch / "source").mkdir()
        done = subprocess.run(["tar", "-xf", str(archive), "--strip-components=1",
                               "-C", str(scratch / "source")], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise LabError(f"cannot unpack {archive.name}: {done.stderr.strip()}")
        shutil.rmtree(target, ignore_errors=True)
        (scratch / "source").rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
