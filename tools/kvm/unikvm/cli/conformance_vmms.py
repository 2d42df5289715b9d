# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance vmms`: other people's VMMs, unmodified, on the kernel half in L1."""

import argparse

from unikvm.cli import conformance_cases
from unikvm.cli.progress import Phases
from unikvm.lab import vmms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cases."""
    conformance_cases.add_arguments(parser, "vmms")
    parser.epilog = ("libkrun boots the Linux it brings along, pauses it, and restores and forks "
                     "it while it runs; Hyperlight runs interpreters as guests without a kernel. "
                     "Both are fetched as Python wheels when first wanted.")


def main(args: argparse.Namespace) -> int:
    """Run, print, write."""
    cases = {case.name: case for case in vmms.all_cases()}

    def judge(phases: Phases) -> conformance_cases.Judge:
        folders = {vmm.name: vmms.fetched(vmm, phases.note) for vmm in vmms.VMMS}
        says = ", ".join(f"{vmm.name} ({vmm.wheels[0]} {vmm.version})" for vmm in vmms.VMMS)
        return conformance_cases.Judge(
            vmms.PROGRAM, lambda name: vmms.order(cases[name], folders), says)

    return conformance_cases.main(args, conformance_cases.Suite("vmms", list(cases), judge))
