# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm bench`: what the kernel half costs, beside stock."""

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from unikvm.cli import UsageError, labargs, run
from unikvm.cli.progress import Phases
from unikvm.lab import bench, guest, kernels, modules, patchedqemu, places
from unikvm.lab.machine import L1

PASSES = 3
BOOT_COMMAND = "sleep 1"    # idle while the counters are read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sub-verbs."""
    parts = parser.add_subparsers(dest="part", required=True, metavar="WHAT")
    exits = parts.add_parser("exits", allow_abbrev=False,
                             help="exits, faults and a boot: stock and tree in turn in one L1")
    exits.add_argument("--short", action="store_true",
                       help="one pass of few rounds: shows that it works, not how fast")
    exits.add_argument("--passes", type=labargs.positive, metavar="N",
                       help=f"how often each half has its turn (default {PASSES})")
    exits.add_argument("--row", action="append", choices=[row.name for row in bench.ROWS],
                       default=[], help="only this row (and no boot); may be repeated")
    exits.add_argument("--no-boot", action="store_true", help="boot no guest")
    exits.add_argument("--count", action="store_true",
                       help="count the emulated processor's instructions instead of cycles: "
                            "the same on a loaded host; no rows of two CPUs, no boot")
    exits.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    exits.add_argument("--lab-kernel", metavar="PATH|VERSION",
                       help="kernel of the lab machine (default: the one the modules are for)")
    labargs.add_lab_qemu(exits)


def main(args: argparse.Namespace) -> int:
    """Measure and print; status 0 whatever the numbers say."""
    return exits(args)


def rows(args: argparse.Namespace) -> tuple[bench.Row, ...]:
    """The rows asked for."""
    found = [row for row in bench.ROWS if not args.row or row.name in args.row]
    if args.count:
        lost = [row.name for row in found if row.two_cpus]
        if lost and args.row:
            raise UsageError(f"--row {lost[0]} does not go with --count")
        found = [row for row in found if not row.two_cpus]
    return tuple(row.shorter() if args.short else row for row in found)


def exits(args: argparse.Namespace) -> int:
    """`bench exits`."""
    wanted = rows(args)
    phases = Phases()
    args.half, args.lab_threads = "tree", "single" if args.count else "multi"
    args.lab_cpus = 2 if any(row.two_cpus for row in wanted) else 1
    if args.lab_cpus == 2 and args.lab_qemu is None:
        args.lab_qemu = Path(patchedqemu.NAME)      # Debian's emulates two CPUs wrongly
    tree = modules.tree_modules(places.build_dir())
    with phases.phase("finding kernels"):
        kernel = labargs.lab_kernel(args, tree, phases)
        boots = not (args.no_boot or args.row or args.count)
        guest_config = boot_guest(phases) if boots else None
    share = [Path(guest_config.kernel).parent, Path(guest_config.initrd).parent] if (
        guest_config and guest_config.kernel and guest_config.initrd) else []
    # Else stock stops the guest's TSC, which measures, while user space runs.
    config = replace(labargs.l1_config(args, kernel, memory=2048, share=share,
                                       icount=args.count), kernel_args=labargs.TSC_TIME)
    plan = bench.Plan(wanted, args.passes or (1 if args.short else PASSES), guest_config)
    with phases.phase("booting the lab machine"):
        machine = L1(config)
    with machine:
        build = places.build_dir()
        assert build is not None
        results = bench.measure(machine, plan, build, tree, phases)
        unit = "instructions" if args.count else "TSC cycles"
        if args.json:
            bench.write_json(args.json, results, unit=unit, l1_kernel=machine.kernel,
                             passes=plan.passes, short=args.short)
        show(results, plan, unit, machine.kernel)
    return 0


def boot_guest(phases: Phases) -> guest.GuestConfig:
    """Debian's kernel, entered directly, up to our init."""
    kernel = kernels.resolve(None, kernels.DEFAULT_L2, phases.note)
    initrd = run.own_initrd(kernel, BOOT_COMMAND, b"")
    return guest.GuestConfig(kernel=str(kernel.vmlinuz), initrd=str(initrd), boot="direct",
                             cmdline=f"{guest.CMDLINE} quiet", boot_limit=300.0)


# ---- what is printed ----

def show(results: bench.Results, plan: bench.Plan, unit: str, kernel: str) -> None:
    """The tables."""
    console = Console(width=None if Console().is_terminal else 100)
    for half, text in sorted(results.halves.items()):
        console.print(f"{half}: {text}", highlight=False)
    console.print(f"L1 kernel {kernel}; {unit}, best of {plan.passes} passes (median)",
                  highlight=False)
    console.print(exits_table(results, plan))
    if results.boots:
        console.print(boot_table(results))
    for line in goals(results, plan):
        console.print(line, highlight=False)


def exits_table(results: bench.Results, plan: bench.Plan) -> Table:
    """A line a row; the floor first."""
    table = Table(box=box.SIMPLE, title="exits", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("row", no_wrap=True)
    for name in ("stock", "tree", "tree:stock", "above floor", "KiB stock/tree"):
        table.add_column(name, justify="right")
    floor = bench.spread(results.floor)
    text = f"{floor['min']:.0f} ({floor['median']:.0f})"
    table.add_row("floor: VMRUN and #VMEXIT", text, text, "", "", "")
    for row in plan.rows:
        cells = []
        for half in ("stock", "tree"):
            found = bench.spread(results.rows[row.name][half])
            cells.append(f"{found['min']:.0f} ({found['median']:.0f})")
        verdict = results.verdict(row.name)
        above = verdict["above_floor"] if row.kind == bench.IN_KERNEL else None
        memory = results.resident.get(row.name, {})
        table.add_row(row.title, *cells, two_digits(verdict["ratio"]), two_digits(above),
                      "/".join(str(memory[half]) for half in ("stock", "tree") if memory))
    return table


def two_digits(value: float | None) -> str:
    """A ratio, or nothing."""
    return "" if value is None else f"{value:.2f}"


def boot_table(results: bench.Results) -> Table:
    """Time, memory, and the counters that both halves have; medians of the passes."""
    table = Table(box=box.SIMPLE, title="boot of a guest to its init", title_justify="left")
    table.add_column("what")
    for name in ("stock", "tree", "tree:stock"):
        table.add_column(name, justify="right")
    seconds = {half: min(boot.seconds for boot in boots)
               for half, boots in results.boots.items()}
    table.add_row("seconds (best)", *(f"{seconds[half]:.2f}" for half in ("stock", "tree")),
                  two_digits(seconds["tree"] / seconds["stock"]))
    for title, name in (("KiB of the VMM", "resident"), ("in huge pages", "huge")):
        kib = {half: statistics.median(getattr(boot, name) for boot in boots)
               for half, boots in results.boots.items()}
        table.add_row(title, *(f"{kib[half]:.0f}" for half in ("stock", "tree")))
    for name, value in boot_counts(results):
        if any(value.values()):
            table.add_row(name, *(f"{value[half]:.0f}" for half in ("stock", "tree")),
                          two_digits(value["tree"] / value["stock"] if value["stock"] else None))
    return table


def boot_counts(results: bench.Results) -> Iterator[tuple[str, dict[str, float]]]:
    """(name, median by half); the exits first, with and without those that time brings."""
    for name in common_counters(results):
        yield name, {half: counter(results, half, name) for half in ("stock", "tree")}
        timeless = {half: [boot.timeless() for boot in boots]
                    for half, boots in results.boots.items()}
        if name == "exits" and all(None not in values for values in timeless.values()):
            yield "exits but ticks", {half: statistics.median(values)
                                      for half, values in timeless.items()}


def common_counters(results: bench.Results) -> list[str]:
    """exits first, then by name."""
    names = set.intersection(*(set(boot.counters) for boots in results.boots.values()
                               for boot in boots))
    return sorted(names, key=lambda name: (name != "exits", name))


def counter(results: bench.Results, half: str, name: str) -> float:
    """Median over the boots."""
    return statistics.median(boot.counters[name] for boot in results.boots[half])


def goals(results: bench.Results, plan: bench.Plan) -> list[str]:
    """The goals, and by which rows they are missed."""
    slower, weak = [], []
    for row in plan.rows:
        verdict = results.verdict(row.name)
        if (verdict["ratio"] or 0) > 1:
            slower.append(row.name)
        if row.kind == bench.IN_KERNEL and (verdict["above_floor"] or 0) > bench.GOAL_IN_KERNEL:
            weak.append(row.name)
    if results.boots and counter(results, "tree", "exits") >= counter(results, "stock", "exits"):
        slower.append("exits of a boot")
    return [f"goal: no row slower than stock: {verdict_text(slower)}",
            f"goal: above the floor at most {bench.GOAL_IN_KERNEL} of stock in the kernel: "
            f"{verdict_text(weak)}"]


def verdict_text(names: list[str]) -> str:
    """Reached, or by what it is missed."""
    return f"missed by {', '.join(names)}" if names else "reached"
