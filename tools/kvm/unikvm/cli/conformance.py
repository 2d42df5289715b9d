# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance`: other people's programs as judges; one sub-verb a suite."""

import argparse
import importlib

# name -> what it runs; the suite's code is unikvm.cli.conformance_NAME.
SUITES = {
    "selftests": "KVM's own selftests, on the stock and the tree's modules",
    "qemu": "Debian's QEMU: boots of several guests, traffic, snapshots, a debugger",
    "vmms": "other people's VMMs: libkrun, Hyperlight",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Each suite's own options."""
    suites = parser.add_subparsers(dest="suite", metavar="SUITE", required=True)
    for name, what in SUITES.items():
        module = importlib.import_module(f"unikvm.cli.conformance_{name}")
        module.add_arguments(suites.add_parser(name, help=what, description=what,
                                               allow_abbrev=False))


def main(args: argparse.Namespace) -> int:
    """Exit status 1 where ours fails and stock does not."""
    module = importlib.import_module(f"unikvm.cli.conformance_{args.suite}")
    status: int = module.main(args)
    return status
