# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm fuzz`: random user space, or a hostile guest, against the kernel half in L1."""

import argparse
import random
import re
import time
from pathlib import Path

from unikvm.cli import EXIT_FAILURE, complain, labargs
from unikvm.cli.progress import Phases
from unikvm.lab import LabError, kernels, modules, places, terminal
from unikvm.lab.kernellog import KernelLog, first_trouble, leaks
from unikvm.lab.machine import L1, L1Died, L1Wedged

KINDS = {
    "ioctl": "user space that calls every request on files, memory and vCPUs that vanish",
    "guest": "guests that execute, map and write what they should not",
}
# The fuzzer ends by itself; one that does not is in trouble.
PATIENCE = 300.0  # seconds
# What QEMU 7.2's emulation ends with when a guest does the right wrong thing, on any KVM: LTR of
# a null selector, or of a task that INIT left, before a change of privilege; an x87 error with
# CR0.NE off. We go on in a new machine, unless it happens all the time.
EMULATOR_ENDED = re.compile(r"^qemu: fatal: invalid tss|tcg_handle_interrupt: assertion failed",
                            re.MULTILINE)
SECONDS_FOR_ONE = 120
# On a kernel that lets allocations fail, the allocator tells of some, with a call trace.
ALLOCATION_FAILED = re.compile(r"vmalloc error: |page allocation failure: ")
TRACE_ENDS = re.compile(r"</TASK>|Mem-Info:")
LEAST_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to fuzz, for how long, and the lab."""
    parser.add_argument("kind", choices=KINDS,
                        help="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()))
    parser.add_argument("--seconds", type=labargs.positive, default=60, metavar="N",
                        help="how long (default 60)")
    parser.add_argument("--seed", type=int, metavar="N",
                        help="what a former run printed, to repeat it as far as timing allows")
    parser.add_argument("--round", type=int, metavar="N",
                        help="repeat one round of a seed again and again")
    labargs.add_lab_arguments(parser)


def fuzzer(kind: str) -> Path:
    """The program, as built."""
    build = places.build_dir()
    program = build / "tests" / "fuzz" / f"fuzz-{kind}" if build else None
    if program is None or not program.is_file():
        raise LabError(f"the fuzzer fuzz-{kind} is not built: use ./unikvm in a checkout of the "
                       "tree")
    return program


def main(args: argparse.Namespace) -> int:
    """Boot L1, fuzz, read the kernel log; 1 when anything was found."""
    phases = Phases()
    program = fuzzer(args.kind)
    args.half = args.half or "tree"
    seed = random.getrandbits(32) if args.seed is None else args.seed
    parts = labargs.l1_parts(args, phases)
    left, ended = float(args.seconds), 0
    while True:
        started = time.monotonic()
        found = in_machine(args, parts, program, seed, max(left, LEAST_SECONDS), phases)
        left -= time.monotonic() - started
        if found is not None:
            break
        ended += 1
        if ended > 1 + args.seconds // SECONDS_FOR_ONE:
            complain(f"the emulator gave up {ended} times")
            found = True
            break
        seed += 1
        phases.note(f"QEMU gave up, which is its defect: on in a new machine with seed {seed}")
    if found:
        complain(f"fuzz {args.kind} found something; repeat it with --seed {seed}")
    return EXIT_FAILURE if found else 0


def in_machine(args: argparse.Namespace,
               parts: tuple[kernels.Kernel, modules.TreeModules | None], program: Path,
               seed: int, seconds: float, phases: Phases) -> bool | None:
    """What fuzz() says, in a machine of its own."""
    kernel, tree = parts
    machine, half = labargs.boot_l1(args, labargs.l1_config(args, kernel), tree, phases)
    with machine:
        phases.note(f"half: {half.describe()}; L1 kernel {machine.kernel}; seed {seed}; "
                    f"log: {machine.log}")
        words = [str(program), "--seconds", str(round(seconds)), "--seed", str(seed)]
        if args.round is not None:
            words += ["--round", str(args.round)]
        return fuzz(machine, words, seconds + PATIENCE)


def fuzz(machine: L1, words: list[str], limit: float) -> bool | None:
    """Run the fuzzer; True when it, or the kernel, complained; None when the emulator gave up."""
    log = KernelLog(machine)
    log.trouble()
    job = machine.start(words, on_out=lambda data: terminal.write_all(1, data),
                        on_err=lambda data: terminal.write_all(2, data))
    try:
        status = job.wait(limit).status
        found = trouble(log.fresh()) or leaks(machine)      # which needs the modules' symbols
        modules.unload(machine)     # refused while a VM, or a reference to one, is left
        found = found or trouble(log.fresh())
    except (L1Died, L1Wedged, TimeoutError) as error:
        complain(str(error))
        status, found = EXIT_FAILURE, trouble(machine.console().splitlines())
        if not found and EMULATOR_ENDED.search(machine.console()):
            return None
    if found:
        complain(f"the kernel of the lab machine complained:\n{found}")
    elif status:
        complain(f"the fuzzer ended with status {status}")
    return bool(found or status)


def trouble(lines: list[str]) -> str:
    """The first complaint in a log that is not about an allocation which was to fail."""
    kept, expected = [], False
    for line in lines:
        expected = expected or bool(ALLOCATION_FAILED.search(line))
        if not expected:
            kept.append(line)
        expected = expected and not TRACE_ENDS.search(line)
    return first_trouble(kept)
