# SPDX-License-Identifier: GPL-2.0-only
"""Where things are: the cache, the build directory, logs.

Everything comes from the environment that the front door sets, with defaults
that also work for an installed package.
"""

import os
import time
from pathlib import Path

from unikvm.lab import LabError


def cache_dir() -> Path:
    """The cache: $UNIKVM_CACHE, else ~/.cache/unikvm; made when missing."""
    given = os.environ.get("UNIKVM_CACHE")
    path = Path(given) if given else Path.home() / ".cache" / "unikvm"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot use cache {path}: {error.strerror}; "
                       "set UNIKVM_CACHE to a directory you can write") from error
    return path.resolve()


def build_dir() -> Path | None:
    """The Meson build directory of the tree in use; None for an installed package."""
    given = os.environ.get("UNIKVM_BUILD")
    return Path(given).resolve() if given else None


def source_root() -> Path:
    """The checkout in use: named by the front door, else around this file."""
    given = os.environ.get("UNIKVM_ROOT")
    root = Path(given) if given else Path(__file__).resolve().parents[4]
    if not (root / "meson.build").is_file():
        raise LabError("this is an installed package, which needs ./unikvm in a checkout "
                       "of the tree to build anything")
    return root


def log_path(name: str) -> Path:
    """A fresh log file name below the cache; keeps the newest fifty of a kind."""
    folder = cache_dir() / "logs"
    folder.mkdir(exist_ok=True)
    old = sorted(folder.glob(f"{name}-*.log"))
    for path in old[:-50]:
        path.unlink(missing_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return folder / f"{name}-{stamp}-{os.getpid()}-{time.monotonic_ns() % 10**6:06d}.log"
