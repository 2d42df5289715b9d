# SPDX-License-Identifier: GPL-2.0-only
"""Taking the tree's modules in and out of an L1, quickly and often."""

import shutil
import subprocess
from pathlib import Path

from unikvm.lab import modules

# One pass: load, run, unload.
LOOP = """
set -e
for i in $(seq {count}); do
    insmod /tmp/kvm.ko paranoid=1
    insmod /tmp/kvm-amd.ko
    /tmp/{guest} 1 </dev/null
    rmmod kvm_amd
    rmmod kvm
done
"""


def stripped_modules(built: modules.TreeModules, scratch: Path) -> Path:
    """kvm.ko and kvm-amd.ko without debug information, in `scratch`."""
    for path, name in ((built.kvm, "kvm.ko"), (built.kvm_amd, "kvm-amd.ko")):
        shutil.copy(path, scratch / name)
        subprocess.run(["strip", "-g", str(scratch / name)], check=True)
    return scratch


def load_and_unload(l1, scratch: Path, guest: Path, count: int) -> None:
    """Load, run `guest`, unload, `count` times, from copies in L1's own memory."""
    folder = stripped_modules(l1.tree, scratch)
    l1.check("rmmod kvm_amd kvm 2>/dev/null || true")
    l1.check(f"cp {folder}/kvm.ko {folder}/kvm-amd.ko {guest} /tmp")
    l1.check(LOOP.format(count=count, guest=guest.name), timeout=600)
