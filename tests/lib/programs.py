# SPDX-License-Identifier: GPL-2.0-only
"""C programs that tests run in L1: static, so that they run in any."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from lib import tree

FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
         "-pthread")


def build(program: Path, *sources: Path, flags: Iterable[str | Path] = (),
          include: Path = tree.ROOT / "include/uapi") -> Path:
    """Compile `sources` into `program`, unless it is there; returns it.

    include: where <unikvm/kvm.h> is looked for. flags: more of the compiler's, the last win.
    Raises CalledProcessError; the compiler has said why.
    """
    if not program.exists():
        subprocess.run(["gcc", *FLAGS, "-I", include, "-I", Path(__file__).parent, *flags,
                        *sources, "-o", program], check=True)
    return program
