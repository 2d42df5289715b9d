# SPDX-License-Identifier: GPL-2.0-only
"""Debian's kernel sources, unpacked in the cache as `sources/PACKAGE_VERSION`."""

import subprocess
from pathlib import Path

from unikvm.lab import LabError, kernels, places
from unikvm.lab.appearing import appearing


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
    with appearing(target, "source") as work:
        progress(f"fetching {package}")
        found = apt.download(package, work)
        progress(f"unpacking {package}")
        kernels.extract(found, work / "package")
        archive = next((work / "package").glob("usr/src/*.tar.*"))
        (work / "source").mkdir()
        done = subprocess.run(["tar", "-xf", str(archive), "--strip-components=1",
                               "-C", str(work / "source")], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise LabError(f"cannot unpack {archive.name}: {done.stderr.strip()}")
