# SPDX-License-Identifier: GPL-2.0-only
"""`bench exits`: the price of exits on the stock half and on ours, in turn, in one L1."""

import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import unikvm
from unikvm.lab import LabError, modules
from unikvm.lab.guest import GuestConfig
from unikvm.lab.machine import L1

IN_KERNEL, USER, MEMORY = "in kernel", "to user space", "memory"
# What ours may at most cost beyond the floor, as a part of what stock does.
GOAL_IN_KERNEL = 0.8
LIMIT = 240.0  # seconds for one row
BOOT_LIMIT = 600.0


@dataclass(frozen=True)
class Row:
    """One thing measured: `rounds` times `iters` of it, the best and the median round count."""

    name: str
    title: str
    kind: str
    rounds: int
    iters: int
    two_cpus: bool = False  # which instructions cannot be counted on

    def shorter(self) -> "Row":
        """For the short form."""
        rounds = self.rounds if self.kind == MEMORY else max(8, self.rounds // 8)
        return Row(self.name, self.title, self.kind, rounds, self.iters, self.two_cpus)


ROWS = (
    Row("cpuid", "CPUID", IN_KERNEL, 200, 32),
    Row("rdmsr", "RDMSR APIC_BASE", IN_KERNEL, 200, 32),
    Row("wrmsr", "WRMSR TSC_ADJUST", IN_KERNEL, 200, 32),
    Row("hlt-ipi", "IPI to a CPU in HLT", IN_KERNEL, 200, 1, two_cpus=True),
    Row("timer", "timer to handler", IN_KERNEL, 200, 1),
    Row("timer-hlt", "timer to handler, in HLT", IN_KERNEL, 200, 1),
    Row("pio", "OUT to user space", USER, 200, 32),
    Row("mmio", "MMIO to user space", USER, 200, 32),
    Row("touch-4k", "first touch, 4 KiB pages", MEMORY, 16, 512),
    Row("touch-2m", "first touch, 2 MiB pages", MEMORY, 16, 512),
)
FLOOR_ROUNDS, FLOOR_ITERS = 200, 64


@dataclass(frozen=True)
class Plan:
    """What to measure. `guest`: the one to boot, None for no boot."""

    rows: tuple[Row, ...]
    passes: int
    guest: GuestConfig | None = None


@dataclass
class Boot:
    """A guest's way to init: seconds, counters of the half, KiB the VMM had then.

    `huge`: how many of these KiB in huge pages.
    """

    seconds: float
    counters: dict[str, int]
    resident: int
    huge: int

    def timeless(self) -> int | None:
        """Exits but those that come as time goes by, on whichever half; None without counters.

        These are the host's interrupts, interrupt windows, and the guest setting its timer anew
        after each tick.
        """
        names = ("irq_exits", "irq_window_exits", "irq_injections")
        if not {"exits", *names} <= self.counters.keys():
            return None
        return self.counters["exits"] - sum(self.counters[name] for name in names)


@dataclass
class Results:
    """Everything measured, in TSC cycles (instructions, where those are counted)."""

    floor: list[int] = field(default_factory=list)
    rows: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    resident: dict[str, dict[str, int]] = field(default_factory=dict)   # KiB
    boots: dict[str, list[Boot]] = field(default_factory=dict)
    halves: dict[str, str] = field(default_factory=dict)

    def note(self, row: str, half: str, cycles: list[int], resident: int | None) -> None:
        """One run of a row."""
        self.rows.setdefault(row, {}).setdefault(half, []).extend(cycles)
        if resident is not None:
            self.resident.setdefault(row, {})[half] = resident

    def as_json(self) -> dict:
        """For --json: the raw numbers and what the table shows."""
        return {
            "floor": {"cycles": self.floor, **spread(self.floor)},
            "halves": self.halves,
            "rows": {name: {half: {"cycles": cycles, **spread(cycles)}
                            for half, cycles in by_half.items()}
                     | {"resident_kib": self.resident.get(name),
                        **self.verdict(name)}
                     for name, by_half in self.rows.items()},
            "boots": {half: [vars(boot) for boot in boots]
                      for half, boots in self.boots.items()},
        }

    def verdict(self, name: str) -> dict[str, float | None]:
        """tree:stock, and the same of what lies above the floor; by the best rounds."""
        best = {half: min(cycles) for half, cycles in self.rows[name].items()}
        floor = min(self.floor, default=0)
        above = best["stock"] - floor
        return {"ratio": best["tree"] / best["stock"] if best["stock"] else None,
                "above_floor": (best["tree"] - floor) / above if above > 0 else None}


class Reporter(Protocol):
    """What tells the user how far it has come."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Around one phase."""
        ...


def spread(values: list[int]) -> dict[str, float]:
    """Best and median; what a loaded host adds to some rounds is in neither for long."""
    if not values:
        return {}
    return {"min": min(values), "median": statistics.median(values)}


def client(build: Path | None) -> Path:
    """The program that measures; LabError says how to get it."""
    path = build / "tools" / "kvm" / "bench" / "bench-exits" if build else None
    if path is None or not path.is_file():
        raise LabError("the benchmark's program is not built: use ./unikvm in a checkout of "
                       "the tree, and ./unikvm build")
    return path


def floor_module(build: Path | None) -> Path:
    """The module that measures the bare VMRUN."""
    path = build / "kernel" / "unikvm-floor.ko" if build else None
    if path is None or not path.is_file():
        raise LabError("kernel/bench is not built: install linux-headers-amd64 and run "
                       "./unikvm build")
    return path


# ---- single measurements ----

def lines_of(machine: L1, command: list[str], what: str, limit: float = LIMIT) -> list[str]:
    """Standard output of a command that must succeed."""
    try:
        done = machine.run(command, timeout=limit)
    except TimeoutError as error:
        raise LabError(f"{what}: {error}; log: {machine.log}") from None
    if done.status:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise LabError(f"{what}: {reason[-1] if reason else f'status {done.status}'}; "
                       f"log: {machine.log}")
    return done.stdout.decode().splitlines()


def measure_floor(machine: L1, module: Path) -> list[int]:
    """Cycles of an entry and exit with nothing around it. No half may be loaded."""
    modules.unload(machine)
    lines_of(machine, ["taskset", "1", "insmod", str(module), f"rounds={FLOOR_ROUNDS}",
                       f"iters={FLOOR_ITERS}"], "cannot measure the bare VMRUN")
    text = lines_of(machine, ["cat", "/sys/module/unikvm_floor/parameters/cycles"], "no result")
    lines_of(machine, ["rmmod", "unikvm_floor"], "cannot take unikvm-floor out")
    return [int(word) for word in text[0].split(",")]


def measure_row(machine: L1, program: Path, row: Row) -> tuple[list[int], int | None]:
    """Cycles by round, and KiB of guest memory made for it where it touches some."""
    lines = lines_of(machine, [str(program), row.name, str(row.rounds), str(row.iters)],
                     f"row {row.name}")
    resident = None
    if lines and lines[0].startswith("resident "):
        resident = int(lines.pop(0).split()[1])
    if len(lines) != row.rounds:
        raise LabError(f"row {row.name}: {len(lines)} results instead of {row.rounds}")
    return [int(line) for line in lines], resident


def measure_boot(machine: L1, guest: GuestConfig) -> Boot:
    """Boot a guest with our VMM; see benchboot."""
    site = Path(unikvm.__file__).resolve().parents[1]
    done = machine.start([sys.executable, "-m", "unikvm.lab.benchboot", guest.to_json()],
                         env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"})
    done.feed(b"")
    try:
        result = done.wait(BOOT_LIMIT)
    except TimeoutError:
        done.kill()
        raise LabError(f"the guest did not boot in {BOOT_LIMIT:g} s") from None
    if result.status or not result.events:
        reason = result.stderr.decode(errors="replace").strip().splitlines()
        raise LabError(f"the guest did not boot: {reason[-1] if reason else 'no reason given'}")
    return Boot(**result.events[-1])


# ---- all of them ----

def halves_in_turn(machine: L1, plan: Plan, tree: modules.TreeModules) -> Iterator[
        tuple[int, modules.LoadedHalf]]:
    """(pass, half): stock and tree loaded alternately, without halt polling where there is any."""
    for number in range(plan.passes):
        for half in ("stock", "tree"):
            parameters = {"kvm.halt_poll_ns": "0"} if half == "stock" or modules.modinfo(
                tree.kvm, "parm").find("halt_poll_ns:") >= 0 else {}
            yield number, modules.load(machine, half, tree, parameters)


def measure(machine: L1, plan: Plan, build: Path, tree: modules.TreeModules,
            reporter: Reporter) -> Results:
    """Run the plan in `machine`."""
    program, results = client(build), Results()
    with reporter.phase("measuring the bare VMRUN"):
        results.floor = measure_floor(machine, floor_module(build))
    for number, half in halves_in_turn(machine, plan, tree):
        results.halves[half.half] = half.describe()
        with reporter.phase(f"pass {number + 1} of {plan.passes}, {half.half}"):
            if plan.guest is not None and not results.boots:
                # Not counted: the first guest of an L1 boots faster than those that follow, on
                # whichever half it is.
                measure_boot(machine, plan.guest)
            for row in plan.rows:
                results.note(row.name, half.half, *measure_row(machine, program, row))
            if plan.guest is not None:
                results.boots.setdefault(half.half, []).append(
                    measure_boot(machine, plan.guest))
    modules.unload(machine)
    return results


def write_json(path: Path, results: Results, **more: object) -> None:
    """--json."""
    try:
        path.write_text(json.dumps({**more, **results.as_json()}, indent=1) + "\n",
                        encoding="ascii")
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}") from error
