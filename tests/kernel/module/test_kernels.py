# SPDX-License-Identifier: GPL-2.0-only
"""The same sources on another kernel than the build's: compiled, loaded, running guests."""

import subprocess
import sys

import pytest

from lib import tree
from unikvm.lab import kernels

pytestmark = pytest.mark.module

OTHER = "6.12"
# What has machines of its own kind to offer; each runs in a session of its own.
SET = ["irqchip", "mmu", "module", "emulate", "state"]


@pytest.mark.timeout(1200)
def test_a_guest_runs_on_another_kernel(labs, smallguest):
    """Built without a warning (they are errors), loaded, and a small guest with everything."""
    l1 = labs.get("tree", parameters={"kvm.paranoid": "1"}, kernel=OTHER)
    assert l1.check("uname -r").startswith(f"{OTHER}.")
    assert l1.tree.kernel == l1.machine.kernel
    assert l1.check("cat /sys/module/kvm/srcversion").strip() == l1.tree.srcversion
    l1.check(f"{smallguest} 5 </dev/null", timeout=100)
    assert not l1.trouble()


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("folder", SET)
def test_the_set_on_another_kernel(labs, folder):
    """What the module's tests say there: passed, nothing skipped."""
    labs.close()
    kernel = kernels.by_version(OTHER).version
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(tree.ROOT / "pyproject.toml"),
         "--rootdir", str(tree.ROOT), "-p", "no:cacheprovider", "--tier=default", "-m", "module",
         f"--lab-kernel={kernel}", "--deselect", "tests/kernel/module/test_kernels.py",
         str(tree.ROOT / "tests" / "kernel" / folder)],
        cwd=tree.ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0 and "passed" in last and "skipped" not in last, done.stdout
