# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance selftests`: KVM's selftests on both kernel halves in one L1."""

import argparse
import hashlib
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from unikvm.cli import EXIT_FAILURE, labargs
from unikvm.cli.progress import Phases
from unikvm.lab import conformance, kernels, modules, places, selftests
from unikvm.lab.conformance import Outcome, Row
from unikvm.lab.machine import L1, L1Config, qemu_binary
from unikvm.lab.selftests import Program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which programs, which half, where the reports go."""
    labargs.add_lab_arguments(parser)
    parser.set_defaults(lab_cpus=2)
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="this program (again for more)")
    parser.add_argument("--short", action="store_true", help="a few quick programs")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help="where selftests.xml (JUnit) and selftests.ktap go "
                             "(default: conformance/ in the cache)")
    parser.epilog = ("Without --half both run, stock first. --half tree takes stock's results "
                     "from the last run on the same kernel and emulator.")


class Session:
    """An L1 with one half in it, booted anew when a program wedged it."""

    def __init__(self, config: L1Config, tree: modules.TreeModules | None,
                 parameters: dict[str, str], phases: Phases) -> None:
        self._config, self._tree = config, tree
        self._parameters, self._phases = parameters, phases
        self._machine: L1 | None = None
        self._half = ""

    def machine(self, half: str) -> L1:
        """A live L1 with this half loaded."""
        if self._machine is not None and self._machine.is_lost():
            self.close()
        if self._machine is None:
            with self._phases.phase("booting the lab machine"):
                self._machine = L1(self._config)
        if self._half != half:
            parameters = self._parameters if half == "tree" else {}
            loaded = modules.load(self._machine, half, self._tree, parameters)
            self._phases.note(f"half: {loaded.describe()}; L1 kernel {self._machine.kernel}")
            self._half = half
        return self._machine

    def close(self) -> None:
        """End the machine."""
        if self._machine is not None:
            self._machine.close(clean=not self._machine.is_lost())
        self._machine, self._half = None, ""

    def run(self, half: str, program: Program, suite: selftests.Suite) -> Outcome:
        """One program. The emulated machine wedges by itself now and then: a second
        one decides, and none that wedged is used again.
        """
        for _ in range(2):
            outcome = selftests.run(self.machine(half), suite, program)
            if outcome.word != "wedge":
                break
            self._phases.note(f"{half:5} {program.name}: {outcome.detail}")
            self.close()
        self._phases.note(f"{half:5} {program.name}: {outcome.word} ({outcome.seconds:.1f} s)")
        return outcome


def stock_memory(config: L1Config, kernel: kernels.Kernel, suite: selftests.Suite) -> Path:
    """Where stock's outcomes on this kernel, emulator and suite are kept."""
    qemu = subprocess.run([str(qemu_binary(config.qemu)), "--version"], capture_output=True,
                          text=True, check=False).stdout.splitlines()[:1]
    key = repr((kernel.version, qemu, config.threads, config.cpus, suite.version,
                config.kernel_args))
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    return places.cache_dir() / "conformance" / f"selftests-stock-{name}.json"


def main(args: argparse.Namespace) -> int:
    """Run, print, write."""
    phases = Phases()
    wanted = selftests.chosen(args.only, args.short)
    suite = selftests.suite(phases.note)
    both = argparse.Namespace(**{**vars(args), "half": args.half or "tree"})
    kernel, tree = labargs.l1_parts(both, phases)
    # kvm_clock_test wants it.
    config = replace(labargs.l1_config(args, kernel), kernel_args=labargs.TSC_TIME)
    memory = stock_memory(config, kernel, suite)
    session = Session(config, tree, labargs.module_parameters(args), phases)
    try:
        stock = stock_outcomes(args.half, wanted, memory, phases,
                               lambda program: session.run("stock", program, suite))
        ours = {} if args.half == "stock" else {
            program.name: session.run("tree", program, suite) for program in wanted}
    finally:
        session.close()
    return report([Row(program.name, stock.get(program.name), ours.get(program.name),
                       selftests.allowed(program)) for program in wanted], args.output)


def stock_outcomes(half: str | None, wanted: Iterable[Program], memory: Path, phases: Phases,
                   run: Callable[[Program], Outcome]) -> dict[str, Outcome]:
    """Stock's side: run, or with --half tree remembered. Tier C does not depend on it."""
    judged = [program for program in wanted if program.tier != "C"]
    earlier = conformance.remembered(memory) if half == "tree" else {}
    known = {program.name: earlier[program.command] for program in judged
             if program.command in earlier}
    missing = [program for program in judged if program.name not in known]
    if known:
        phases.note(f"stock's results of {len(known)} programs are from an earlier run ({memory})")
    if missing and half == "tree":
        phases.note(f"no earlier stock results for {len(missing)} programs: running them")
    for program in missing:
        known[program.name] = run(program)
        if known[program.name].word != "wedge":  # the machine's fault, not an answer
            conformance.remember(memory, {program.command: known[program.name]})
    return known


def report(rows: list[Row], folder: Path | None) -> int:
    """The table, what the failures said, the files; the exit status."""
    bad = [row for row in rows if row.regressed()]
    for row in bad:
        assert row.tree is not None
        print(f"--- {row.name}: {row.tree.word}\n{conformance.printable(row.tree.detail)}\n")
    print(conformance.table(rows))
    files = conformance.write(folder or places.cache_dir() / "conformance", "selftests", rows)
    print(f"{conformance.summary(rows)}; written: {' '.join(map(str, files))}")
    return EXIT_FAILURE if bad else 0
