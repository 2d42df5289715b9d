# SPDX-License-Identifier: GPL-2.0-only
"""A kernel source tree configured with LLVM=1, to build modules against with clang."""

import os
import subprocess
from pathlib import Path

from lib import tree

# What the modules use of a kernel, beyond the defaults.
CONFIG = ("KVM=m", "KVM_AMD=m", "IRQ_BYPASS_MANAGER=m", "TRANSPARENT_HUGEPAGE=y", "DEBUG_FS=y")


def make(source: Path, work: Path, target: str) -> None:
    """One make of Kbuild, with clang and LLVM's tools."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MFLAGS", "CFLAGS", "LDFLAGS")}
    done = subprocess.run(["make", "-C", str(source), f"O={work}", "LLVM=1",
                           f"-j{os.cpu_count() or 1}", target], env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"make {target}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"


def prepare(source: Path) -> Path:
    """The tree, prepared in the cache; a later call finds it there."""
    work = tree.cache() / f"{source.name}-llvm"
    if (work / ".prepared").exists():
        return work
    work.mkdir(exist_ok=True)
    make(source, work, "defconfig")
    with open(work / ".config", "a", encoding="ascii") as file:
        file.writelines(f"CONFIG_{line}\n" for line in CONFIG)
    make(source, work, "olddefconfig")
    make(source, work, "modules_prepare")
    (work / ".prepared").touch()
    return work
