# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance qemu`: Debian's QEMU, unmodified, on the kernel half in L1."""

import argparse
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from unikvm.cli import EXIT_FAILURE, UsageError, labargs
from unikvm.cli.progress import Phases
from unikvm.lab import conformance, places, qemu, suite
from unikvm.lab.conformance import Outcome, Row
from unikvm.lab.machine import L1

L1_MEMORY = 3072  # MiB: a guest of 512, its saved state, disks in a tmpfs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cases, which half, where the report goes."""
    labargs.add_lab_arguments(parser)
    parser.add_argument("--qemu-from", metavar="SUITE",
                        help="the QEMU of this Debian suite (as root; default: the installed one)")
    parser.add_argument("--only", metavar="TEXT", help="cases whose name has TEXT in it")
    parser.add_argument("--short", action="store_true", help="one case instead of all")
    parser.add_argument("--list", action="store_true", help="print the cases' names and end")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help="where qemu.xml (JUnit) and qemu.ktap go (default: conformance/ "
                             "in the cache)")
    parser.epilog = ("A case is boot (to init, virtio disk and net traffic, power-off), reset (by "
                     "the guest, which boots again), snapshot (savevm, loadvm), gdb (stops, steps), "
                     "breakpoint (skipped where the processor below L1 is emulated) or memtest "
                     "(a pass of memtest86+), with a machine, a number of CPUs, the irqchip (on, "
                     "split, off), how it boots, and the guest's kernel where it is none of amd64.")


def main(args: argparse.Namespace) -> int:
    """Run, print, write."""
    cases = qemu.choose(args.short, args.only)
    if args.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not cases:
        raise UsageError(f"no case has {args.only!r} in its name")
    args.half = args.half or "tree"
    phases = Phases()
    rows = []
    for case, outcome in outcomes(args, cases, phases):
        phases.note(f"{case.name}: {outcome.word} ({outcome.seconds:.1f} s)")
        if outcome.word != "pass":
            print(f"--- {case.name}: {outcome.word}\n{conformance.printable(outcome.detail)}\n",
                  flush=True)
        rows.append(Row(case.name, outcome if args.half == "stock" else None,
                        outcome if args.half == "tree" else None,
                        ("skip",) if case.what == "breakpoint" else ()))
    return report(rows, args.half, args.output)


def outcomes(args: argparse.Namespace, cases: Sequence[qemu.Case],
             phases: Phases) -> Iterator[tuple[qemu.Case, Outcome]]:
    """Run the cases one after the other; a lost L1 is replaced."""
    program = [suite.QEMU]
    if args.qemu_from:
        with phases.phase(f"finding the QEMU of {args.qemu_from}"):
            program = suite.qemu(args.qemu_from, phases.note)
    tree = labargs.tree_if_wanted(args)
    kernel = labargs.lab_kernel(args, tree, phases)
    config = labargs.l1_config(args, kernel, memory=L1_MEMORY)
    machine: L1 | None = None
    try:
        for case in cases:
            if machine is None or machine.is_lost():
                machine, half = labargs.boot_l1(args, config, tree, phases)
                phases.note(f"half: {half.describe()}; L1 kernel {machine.kernel}; "
                            f"{version_of(program)}")
            yield case, qemu.run_or_lose(machine, case, program)
            if machine.is_lost():
                machine.close(clean=False)
    finally:
        if machine is not None:
            machine.close(clean=not machine.is_lost())


def version_of(program: Sequence[str]) -> str:
    """The first line that a program says of itself."""
    done = subprocess.run([*program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or ["no QEMU"])[0]


def report(rows: Sequence[Row], half: str, folder: Path | None) -> int:
    """The table and the files; the exit status."""
    ran = [(row.name, getattr(row, half)) for row in rows]
    passed = sum(outcome.word == "pass" for _, outcome in ran)
    skipped = sum(outcome.word == "skip" for row, (_, outcome) in zip(rows, ran) if row.allowed)
    width = max(len(name) for name, _ in ran)
    print(f"{'case':{width}}  {half:8}{'s':>6}")
    for name, outcome in ran:
        print(f"{name:{width}}  {outcome.word:8}{outcome.seconds:6.1f}")
    files = conformance.write(folder or places.cache_dir() / "conformance", "qemu", rows)
    print(f"{half}: {passed} of {len(ran)} cases passed, {skipped} skipped; "
          f"written: {' '.join(map(str, files))}")
    return 0 if passed + skipped == len(ran) else EXIT_FAILURE
