# SPDX-License-Identifier: GPL-2.0-only
"""Suites of cases that a program in L1 judges: their options, their run, their report."""

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unikvm.cli import EXIT_FAILURE, UsageError, labargs
from unikvm.cli.progress import Phases
from unikvm.lab import cases, conformance, places
from unikvm.lab.conformance import Outcome, Row
from unikvm.lab.machine import L1

L1_MEMORY = 3072  # MiB: a guest of 512, its saved state, disks in a tmpfs


@dataclass(frozen=True)
class Judge:
    """program: the module of this package that judges a case in L1; order: what it is to do,
    for the case of a name; says: what is judged, with its version.
    """

    program: str
    order: Callable[[str], Mapping[str, object]]
    says: str


@dataclass(frozen=True)
class Suite:
    """name: of the verb and its files; cases: their names; skippable: those that may be
    skipped; judge: made ready when cases are to be run.
    """

    name: str
    cases: Sequence[str]
    judge: Callable[[Phases], Judge]
    skippable: Collection[str] = ()


def add_arguments(parser: argparse.ArgumentParser, suite: str) -> None:
    """Which cases, which half, where the report goes."""
    labargs.add_lab_arguments(parser)
    parser.add_argument("--only", metavar="TEXT", help="cases whose name has TEXT in it")
    parser.add_argument("--list", action="store_true", help="print the cases' names and end")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help=f"where {suite}.xml (JUnit) and {suite}.ktap go (default: "
                             "conformance/ in the cache)")


def main(args: argparse.Namespace, suite: Suite) -> int:
    """Run, print, write."""
    chosen = [name for name in suite.cases if args.only is None or args.only in name]
    if args.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        raise UsageError(f"no case has {args.only!r} in its name")
    args.half = args.half or "tree"
    phases = Phases()
    rows = []
    for name, outcome in outcomes(args, chosen, suite.judge(phases), phases):
        phases.note(f"{name}: {outcome.word} ({outcome.seconds:.1f} s)")
        if outcome.word != "pass":
            print(f"--- {name}: {outcome.word}\n{conformance.printable(outcome.detail)}\n",
                  flush=True)
        rows.append(Row(name, outcome if args.half == "stock" else None,
                        outcome if args.half == "tree" else None,
                        ("skip",) if name in suite.skippable else ()))
    return report(suite.name, rows, args.half, args.output)


def outcomes(args: argparse.Namespace, chosen: Sequence[str], judge: Judge,
             phases: Phases) -> Iterator[tuple[str, Outcome]]:
    """Run the cases one after the other; a lost L1 is replaced."""
    tree = labargs.tree_if_wanted(args)
    kernel = labargs.lab_kernel(args, tree, phases)
    config = labargs.l1_config(args, kernel, memory=L1_MEMORY)
    machine: L1 | None = None
    try:
        for name in chosen:
            if machine is None or machine.is_lost():
                machine, half = labargs.boot_l1(args, config, tree, phases)
                phases.note(f"half: {half.describe()}; L1 kernel {machine.kernel}; {judge.says}")
            yield name, cases.run_or_lose(machine, judge.program, judge.order(name))
            if machine.is_lost():
                machine.close(clean=False)
    finally:
        if machine is not None:
            machine.close(clean=not machine.is_lost())


def report(suite: str, rows: Sequence[Row], half: str, folder: Path | None) -> int:
    """The table and the files; the exit status."""
    ran = [(row.name, getattr(row, half)) for row in rows]
    passed = sum(outcome.word == "pass" for _, outcome in ran)
    skipped = sum(outcome.word == "skip" for row, (_, outcome) in zip(rows, ran) if row.allowed)
    width = max(len(name) for name, _ in ran)
    print(f"{'case':{width}}  {half:8}{'s':>6}")
    for name, outcome in ran:
        print(f"{name:{width}}  {outcome.word:8}{outcome.seconds:6.1f}")
    files = conformance.write(folder or places.cache_dir() / "conformance", suite, rows)
    print(f"{half}: {passed} of {len(ran)} cases passed, {skipped} skipped; "
          f"written: {' '.join(map(str, files))}")
    return 0 if passed + skipped == len(ran) else EXIT_FAILURE
