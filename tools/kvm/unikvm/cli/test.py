# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm test`: pytest over the tree's tests, in tiers."""

import argparse
import os
import sys

from unikvm.cli import complain
from unikvm.cli.progress import Phases
from unikvm.lab import kernels, places


REST = "pytest"  # the attribute that takes what argparse does not know


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The tier; the rest is pytest's."""
    tier = parser.add_mutually_exclusive_group()
    tier.add_argument("--quick", action="store_const", const="quick", dest="tier",
                      help="what needs no lab machine, at most 5 minutes")
    tier.add_argument("--full", action="store_const", const="full", dest="tier",
                      help="everything; goes on where the last full run of this tree stopped")
    parser.epilog = ("Everything else goes to pytest: paths, -k, -x, --durations=10, "
                     "--lab-kernel 6.12 (for the shared lab machines), ...")


def main(args: argparse.Namespace) -> int:
    """Become pytest, so that its closing line is ours."""
    root, cache = places.source_root(), places.cache_dir()
    tier = args.tier or "default"
    if tier != "quick":
        with Phases().phase("fetching kernels for the lab"):
            for meta in (kernels.DEFAULT_L1, kernels.DEFAULT_L2):
                kernels.newest(meta, complain)
    command = [sys.executable, "-m", "pytest", "-c", str(root / "pyproject.toml"),
               "--rootdir", str(root), "-o", f"cache_dir={cache}/pytest", f"--tier={tier}",
               *[word for word in args.pytest if word != "--"]]
    if not any((root / word.partition("::")[0]).exists() for word in args.pytest):
        command.append(str(root / "tests"))
    environment = dict(os.environ, HYPOTHESIS_STORAGE_DIRECTORY=str(cache / "hypothesis"),
                       PYTHONPYCACHEPREFIX=str(cache / "pycache"))
    sys.stdout.flush()
    os.chdir(root)
    os.execve(sys.executable, command, environment)
