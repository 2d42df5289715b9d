# SPDX-License-Identifier: GPL-2.0-only
"""The kernel half with a change in its sources, to see that a test notices."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from lib import tree
from unikvm.lab import headers, modules


class Mutant:
    """A copy of the sources below `folder`, and the modules built from it in folder/out."""

    def __init__(self, folder: Path, kernel: str) -> None:
        self.folder, self.kernel = folder, kernel
        for part in ("kernel", "include"):
            shutil.copytree(tree.ROOT / part, folder / part)
        (folder / "out").mkdir()

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Replace the one place in kernel/NAME that matches."""
        path = self.folder / "kernel" / name
        text, count = re.subn(pattern, replacement, path.read_text())
        assert count == 1, f"{count} places in {name} match {pattern}"
        path.write_text(text)

    def restore(self, name: str) -> None:
        """kernel/NAME as it is in the tree."""
        shutil.copyfile(tree.ROOT / "kernel" / name, self.folder / "kernel" / name)

    def build(self) -> modules.TreeModules:
        """Compile what changed since the last time."""
        subprocess.run(
            [sys.executable, self.folder / "kernel/build.py", "--source", self.folder / "kernel",
             "--headers", headers.get(self.kernel), "--work", self.folder / "kbuild",
             "--out", self.folder / "out", "--version", "0"], check=True)
        return modules.module_files(self.folder / "out/kvm.ko", self.folder / "out/kvm-amd.ko")
