# SPDX-License-Identifier: GPL-2.0-only
"""The modules under other eyes than gcc's: sparse, clang; and with the newest kernel's own."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from lib import llvmtree, programs, tree
from unikvm.lab import headers, kernels, modules, sources, suite

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(2400)]

SYMBOLS = re.compile(r"WARNING: (modpost|Module\.symvers)")
COMPLAINT = re.compile(r"\b(warning|error):", re.IGNORECASE)


def kbuild(folder, against, *words):
    """Build the modules in a folder of their own; everything make said."""
    command = [sys.executable, str(tree.ROOT / "kernel/build.py"), "--headers", str(against),
               "--source", str(tree.ROOT / "kernel"), "--work", str(folder / "work"),
               "--out", str(folder), "--version", "0"]
    for word in words:
        command += ["--make", word]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def complaints(said):
    return [line for line in said.splitlines() if COMPLAINT.search(line)]


@pytest.mark.skipif(shutil.which("sparse") is None, reason="sparse is not installed")
def test_sparse_finds_nothing(tmp_path):
    kernel = modules.tree_modules(tree.build_dir()).kernel
    said = kbuild(tmp_path, headers.get(kernel), "C=2", "CF=-D__CHECK_ENDIAN__")
    assert said.count("CHECK ") > 50, "sparse did not run"
    assert complaints(said) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a root directory of sid is made by root only")
@pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed")
def test_newest_kernel_runs_our_guests(tmp_path):
    """Built by sid's compiler without a warning, loaded on sid's kernel, a guest run there."""
    program = programs.build(tmp_path / "smallguest",
                             tree.ROOT / "tests/kernel/module/smallguest.c")
    made = suite.make_root("sid", print)
    version, _ = made.headers()
    assert kernels.version_key(version) >= (7,)
    done = tree.unikvm("lab", "--suite", "sid", "--module-param", "kvm.paranoid=1", "--",
                       f"uname -r; cat /sys/module/kvm/version; {program} 5 && echo guests ran; "
                       "dmesg | grep -E 'WARNING|BUG:|Oops|paranoid' || echo kernel fine",
                       timeout=2000)
    out = done.stdout.decode()
    assert done.returncode == 0, out + done.stderr.decode()
    assert out.splitlines() == [version, modules.tree_modules(tree.build_dir()).version,
                                "guests ran", "kernel fine"]


@pytest.mark.skipif(any(shutil.which(name) is None for name in ("clang", "ld.lld", "llvm-ar")),
                    reason="clang, lld or llvm is not installed")
def test_clang_compiles_without_a_warning(tmp_path):
    """Against prepared sources, which know no symbol: modpost may say so, and only that."""
    said = kbuild(tmp_path, llvmtree.prepare(sources.get("linux-source-6.1")), "LLVM=1",
                  "KBUILD_MODPOST_WARN=1")
    ours = [line for line in complaints(said) if not SYMBOLS.search(line)]
    assert ours == []
    assert "clang" in subprocess.run(["readelf", "-p", ".comment", str(tmp_path / "kvm.ko")],
                                     capture_output=True, text=True, check=True).stdout
