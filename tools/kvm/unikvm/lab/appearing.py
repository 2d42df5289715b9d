# SPDX-License-Identifier: GPL-2.0-only
"""Folders of the cache that appear whole or not at all."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def appearing(target: Path, part: str = "") -> Iterator[Path]:
    """A folder to work in, beside `target`; what is in it, or in its `part`, becomes `target`.

    That happens when the block ends well, instead of a `target` that was there. Nothing else
    stays. One at a time makes a target: see kernels.locked().
    """
    work = target.with_name(f".{target.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
        shutil.rmtree(target, ignore_errors=True)
        (work / part).rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
