# SPDX-License-Identifier: GPL-2.0-only
"""What a module is built against: the headers of one kernel.

Installed ones serve. Others come from apt into `headers/VERSION`, unpacked:
all that is absolute in Debian's is one path, which is made to fit.
"""

import re
from pathlib import Path

from unikvm.lab import LabError, kernels, places
from unikvm.lab.appearing import appearing

# kernel.release has the upstream version in Debian's 6.1.
RELEASE = "include/generated/utsrelease.h"
# Of what linux-headers-VERSION depends on, the parts of the same tree.
PARTS = re.compile(r"linux-(headers|kbuild)-")


def store() -> Path:
    """Where unpacked headers lie."""
    path = places.cache_dir() / "headers"
    path.mkdir(exist_ok=True)
    return path


def release(folder: Path) -> str | None:
    """The kernel (as in uname -r) that a build directory is of; None for anything else."""
    try:
        found = re.search(r'UTS_RELEASE "(.+)"', (folder / RELEASE).read_text(encoding="ascii"))
    except OSError:
        return None
    return found.group(1) if found else None


def find(version: str) -> Path | None:
    """A build directory of this kernel: installed, of a kernel built here, or fetched."""
    candidates = (Path("/usr/src", f"linux-headers-{version}"),
                  Path("/lib/modules", version, "build"),
                  kernels.store() / version / "build",
                  store() / version / "usr/src" / f"linux-headers-{version}")
    return next((path.resolve() for path in candidates if release(path) == version), None)


def get(version: str, progress: kernels.Progress = lambda _: None) -> Path:
    """The same, fetched when there is none."""
    found = find(version)
    if found is None:
        with kernels.locked(f"{version}.headers"):
            found = find(version) or fetch(kernels.Apt(), version, progress)
    return found


def fetch(apt: kernels.Apt, version: str, progress: kernels.Progress) -> Path:
    """Download and unpack the header packages of a kernel."""
    package = f"linux-headers-{version}"
    if not apt.knows(package):
        raise LabError(f"no headers of kernel {version} here and no package {package} in apt: "
                       "the tree's modules cannot be built for it")
    target = store() / version
    with appearing(target, "root") as work:
        kernels.extract_with_parts(apt, package, PARTS, work, progress)
        relocate(work / "root", target, package)
    found = find(version)
    if found is None:
        raise LabError(f"package {package} holds no headers of kernel {version}")
    return found


def relocate(root: Path, target: Path, package: str) -> None:
    """The Makefile that includes the common one by its path gets the path below `target`."""
    makefile = root / "usr/src" / package / "Makefile"
    text = makefile.read_text(encoding="ascii")
    makefile.write_text(text.replace(" /usr/src/", f" {target}/usr/src/"), encoding="ascii")
