# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm version`: all three parts and their hashes."""

import argparse
import hashlib
import os
import subprocess
from pathlib import Path

import unikvm
from unikvm.lab import LabError, firmware, modules, places


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def commit() -> str:
    """The tree's commit, marked when files differ from it; empty without git."""
    root = os.environ.get("UNIKVM_ROOT")
    if not root:
        return ""
    try:
        done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty", "--abbrev=12"],
                              capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def sha256(path: Path) -> str:
    """The hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(args: argparse.Namespace) -> int:
    """Print three paragraphs: VMM, kernel half, firmware."""
    print(f"unikvm {unikvm.__version__} {commit()}".rstrip())
    try:
        tree = modules.tree_modules(places.build_dir())
        print(f"kernel: kvm {tree.version}, for {tree.kernel}, srcversion {tree.srcversion}")
        for path in (tree.kvm, tree.kvm_amd):
            print(f"  {path.name} sha256 {sha256(path)}")
    except LabError as error:
        print(f"kernel: {error}")
    image = firmware.image()
    if image is None:
        print("firmware: none (built without)")
    else:
        print(f"firmware: {firmware.describe(image)}\n  {image.name} sha256 {sha256(image)}")
    return 0
