# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance qemu`: Debian's QEMU, unmodified, on the kernel half in L1."""

import argparse
import subprocess
from collections.abc import Sequence

from unikvm.cli import conformance_cases
from unikvm.cli.progress import Phases
from unikvm.lab import qemu, suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which QEMU, which cases."""
    conformance_cases.add_arguments(parser, "qemu")
    parser.add_argument("--qemu-from", metavar="SUITE",
                        help="the QEMU of this Debian suite (as root; default: the installed one)")
    parser.add_argument("--short", action="store_true", help="one case instead of all")
    parser.epilog = ("A case is boot (to init, virtio disk and net traffic, power-off), reset (by "
                     "the guest, which boots again), snapshot (savevm, loadvm), gdb (stops, steps), "
                     "breakpoint (skipped where the processor below L1 is emulated) or memtest "
                     "(a pass of memtest86+), with a machine, a number of CPUs, the irqchip (on, "
                     "split, off), how it boots, and the guest's kernel where it is none of amd64.")


def main(args: argparse.Namespace) -> int:
    """Run, print, write."""
    cases = {case.name: case for case in (qemu.SHORT if args.short else qemu.all_cases())}

    def judge(phases: Phases) -> conformance_cases.Judge:
        program = [suite.QEMU]
        if args.qemu_from:
            with phases.phase(f"finding the QEMU of {args.qemu_from}"):
                program = suite.qemu(args.qemu_from, phases.note)
        return conformance_cases.Judge(
            qemu.PROGRAM, lambda name: qemu.order(cases[name], program), version_of(program))

    skippable = [name for name, case in cases.items() if case.what == "breakpoint"]
    return conformance_cases.main(
        args, conformance_cases.Suite("qemu", list(cases), judge, skippable))


def version_of(program: Sequence[str]) -> str:
    """The first line that a program says of itself."""
    done = subprocess.run([*program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or ["no QEMU"])[0]
