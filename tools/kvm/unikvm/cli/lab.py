# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm lab`: a shell, or a command, in L1."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from unikvm.cli import EXIT_FAILURE, UsageError, labargs
from unikvm.cli.progress import Phases
from unikvm.lab import bochs, kernels, modules, places, suite, terminal
from unikvm.lab.machine import L1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The lab's options, then the command."""
    labargs.add_lab_arguments(parser)
    parser.add_argument("--memory", type=labargs.positive, default=2048, metavar="MIB",
                        help="memory of the lab machine in MiB (default 2048)")
    parser.add_argument("--timeout", type=labargs.positive, metavar="SECONDS",
                        help="end a command that runs longer")
    parser.add_argument("--suite", metavar="NAME",
                        help="the kernel of another Debian suite, e.g. sid; its root directory "
                             "is made in the cache (as root)")
    parser.add_argument("--emulator", choices=("qemu", "bochs"), default="qemu",
                        help="bochs: a slow machine with a disk of its own, whose SVM has more "
                             "features; runs a command for busybox's shell")
    parser.add_argument("--file", type=Path, action="append", default=[], metavar="PATH",
                        help="with --emulator bochs: a file to put into its root")
    parser.add_argument("command", nargs="*",
                        help="after --: one word goes to a shell, several run as they are")


def main(args: argparse.Namespace) -> int:
    """Boot L1, run, end it; the exit status is the command's."""
    check(args)
    phases = Phases()
    args.half = args.half or "tree"
    kernel, tree = parts_of_suite(args, phases) if args.suite else labargs.l1_parts(args, phases)
    if args.emulator == "bochs":
        return run_in_bochs(args, kernel, tree)
    config = labargs.l1_config(args, kernel, memory=args.memory)
    machine, half = labargs.boot_l1(args, config, tree, phases)
    with machine:
        phases.note(f"half: {half.describe()}; L1 kernel {machine.kernel}")
        if args.command or not sys.stdin.isatty():
            return run_command(machine, args)
        return run_shell(machine, phases)


def check(args: argparse.Namespace) -> None:
    """What does not go together."""
    if args.suite and args.lab_kernel:
        raise UsageError("--suite and --lab-kernel both name the lab's kernel")
    if args.emulator != "bochs":
        if args.file:
            raise UsageError("--file goes with --emulator bochs; QEMU's machine sees this "
                             "host's files")
        return
    if not args.command:
        raise UsageError("--emulator bochs runs a command: unikvm lab --emulator bochs -- COMMAND")
    if args.lab_qemu or args.lab_cpus != 1:
        raise UsageError("--emulator bochs has one CPU, and no QEMU")


def parts_of_suite(args: argparse.Namespace, phases: Phases,
                   ) -> tuple[kernels.Kernel, modules.TreeModules | None]:
    """The kernel of --suite, and the modules built for it."""
    with phases.phase(f"kernel and modules of {args.suite}"):
        return suite.prepare(args.suite, places.build_dir(), args.half, phases.note)


def run_in_bochs(args: argparse.Namespace, kernel: kernels.Kernel,
                 tree: modules.TreeModules | None) -> int:
    """A command in a Bochs machine; its streams both become standard output."""
    command = args.command[0] if len(args.command) == 1 else shlex.join(args.command)
    return bochs.execute(
        bochs.BochsRun(kernel, command, tree, args.file, labargs.module_parameters(args),
                       limit=args.timeout or bochs.BochsRun.limit),
        lambda text: terminal.write_all(1, text.encode()))


def run_command(machine: L1, args: argparse.Namespace) -> int:
    """A command with its streams; without one, standard input is a script."""
    words = args.command
    if not words:
        argv, stdin = ["bash", "-s"], sys.stdin.buffer.read()
    else:
        argv, stdin = (["bash", "-c", words[0]] if len(words) == 1 else words), b""
    job = machine.start(argv, cwd=os.getcwd() if os.path.isdir(os.getcwd()) else None,
                        on_out=lambda data: terminal.write_all(1, data),
                        on_err=lambda data: terminal.write_all(2, data))
    job.feed(stdin)
    if stdin:
        job.feed(b"")
    try:
        return job.wait(args.timeout).status
    except TimeoutError:
        print(f"unikvm: the command was still running after {args.timeout} s", file=sys.stderr)
        return EXIT_FAILURE


def run_shell(machine: L1, phases: Phases) -> int:
    """An interactive shell on a terminal of L1."""
    phases.note(f"a shell in the lab machine; exit or {terminal.HELP}")
    environment = {"TERM": os.environ.get("TERM", "linux"), "PS1": r"L1:\w# "}
    job = machine.start(["bash", "--norc", "-i"], env=environment, tty=terminal.size(),
                        on_out=lambda data: terminal.write_all(1, data))
    keyboard = terminal.Keyboard(job.feed, job.kill, job.resize)
    with keyboard.active():
        return job.wait().status
