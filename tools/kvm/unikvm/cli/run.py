# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm run`: a guest through the whole stack."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from unikvm.cli import UsageError, labargs, probe, session
from unikvm.cli.progress import Phases
from unikvm.lab import LabError, firmware, guest, initramfs, kernels, places, terminal, vmm
from unikvm.lab.machine import qemu_binary

LAB_BOOT_LIMIT, HOST_BOOT_LIMIT = 240.0, 120.0  # seconds to reach init


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, which half, what guest."""
    parser.add_argument("--on", choices=("lab", "host"),
                        help="where the VMM runs (default: lab unless this host can)")
    labargs.add_lab_arguments(parser)
    parser.add_argument("--exec", metavar="CMD", dest="command",
                        help="run CMD in the guest's shell; its status becomes ours")
    parser.add_argument("--stdin", action="store_true",
                        help="read standard input to its end and give it to CMD")
    parser.add_argument("--kernel", metavar="PATH|VERSION", help="the guest's kernel")
    parser.add_argument("--initrd", metavar="PATH", help="an initramfs instead of ours")
    parser.add_argument("--append", metavar="ARGS", default="",
                        help="more for the guest's kernel command line")
    parser.add_argument("--disk", metavar="PATH[,readonly]", action="append", default=[],
                        help="a raw disk image; may be repeated")
    parser.add_argument("--boot", choices=guest.BOOTS,
                        help="through the firmware (default) or straight into the kernel")
    parser.add_argument("--firmware", metavar="seabios|PATH",
                        help="the firmware; with --disk and no kernel it boots from the disk")
    parser.add_argument("--cpus", type=labargs.positive, default=1, metavar="N",
                        help="the guest's CPUs (default 1)")
    parser.add_argument("--memory", type=labargs.positive, default=512, metavar="MIB",
                        help="the guest's memory in MiB (default 512)")
    parser.add_argument("--timeout", type=labargs.positive, metavar="SECONDS",
                        help="stop a guest whose command runs longer")
    parser.add_argument("--boot-timeout", type=labargs.positive, metavar="SECONDS",
                        help="give up on a guest that has not reached init by then")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="show the guest's console and the firmware's on standard error")


def check(args: argparse.Namespace) -> None:
    """What contradicts itself is a usage error."""
    if args.stdin and args.command is None:
        raise UsageError("--stdin goes with --exec")
    if args.initrd and args.command is not None:
        raise UsageError("--exec needs our own initramfs; it does not go with --initrd")
    if args.boot == "direct" and args.firmware:
        raise UsageError("--boot direct uses no firmware; it does not go with --firmware")
    if args.on == "host" and (args.lab_kernel or args.lab_qemu):
        raise UsageError("--lab-kernel and --lab-qemu do not go with --on host")
    labargs.module_parameters(args)


def from_disk(args: argparse.Namespace) -> bool:
    """Whether the firmware shall look for a system on the disk."""
    return bool(args.firmware and args.disk and not args.kernel and not args.initrd
                and args.command is None)


def firmware_image(args: argparse.Namespace, phases: Phases) -> str | None:
    """The image to boot through; None for --boot direct."""
    if args.boot == "direct":
        return None
    if args.firmware not in (None, "seabios"):
        path = Path(args.firmware)
        if not path.is_file():
            raise LabError(f"firmware {path}: no such file")
        return str(path.resolve())
    image = firmware.image()
    if image is not None:
        return str(image)
    if args.boot == "firmware" or args.firmware:
        raise LabError("this build has no firmware: ./unikvm build without --no-firmware, "
                       "or --boot direct")
    phases.note("built without firmware, booting the kernel directly")
    return None


def guest_config(args: argparse.Namespace, phases: Phases) -> tuple[guest.GuestConfig, str]:
    """The guest that the options describe, and its kernel's version for the summary."""
    disks = tuple(guest.parse_disk(text) for text in args.disk)
    image = firmware_image(args, phases)
    command, stdin = args.command, b""
    if args.stdin:
        stdin = sys.stdin.buffer.read(initramfs.STDIN_MAX + 1)
    elif command is None and not (sys.stdin.isatty() or from_disk(args) or args.initrd):
        # A script instead of a terminal: the shell reads it to its end.
        command, stdin = "exec sh", sys.stdin.buffer.read(initramfs.STDIN_MAX + 1)
    config = guest.GuestConfig(
        boot="direct" if image is None else "firmware", firmware=image, disks=disks,
        memory=args.memory, cpus=args.cpus, interactive=command is None,
        boot_limit=float(args.boot_timeout or 0), limit=float(args.timeout or 0))
    if from_disk(args):
        return replace(config, default_init=False), "on the disk"
    kernel = kernels.resolve(args.kernel, kernels.DEFAULT_L2, phases.note)
    noise = "" if args.verbose else " quiet"
    config = replace(config, kernel=str(kernel.vmlinuz),
                     cmdline=f"{guest.CMDLINE}{noise} {args.append}".strip())
    if args.initrd:
        if not Path(args.initrd).is_file():
            raise LabError(f"initrd {args.initrd}: no such file")
        return replace(config, initrd=str(Path(args.initrd).resolve()),
                       default_init=False), kernel.version
    return replace(config, initrd=str(own_initrd(kernel, command, stdin))), kernel.version


def own_initrd(kernel: kernels.Kernel, command: str | None, stdin: bytes) -> Path:
    """Our initramfs and this run's command in one file; session.run removes it."""
    rows, columns = terminal.size()
    base = initramfs.initramfs(kernel).read_bytes()
    extra = initramfs.command_archive(command, stdin, rows, columns,
                                      os.environ.get("TERM", "linux"))
    folder = places.cache_dir() / "runs"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.initrd"):
        # What a killed run left; a live one's process exists.
        if not Path("/proc", old.stem).exists():
            old.unlink(missing_ok=True)
    path = folder / f"{os.getpid()}.initrd"
    initramfs.write_whole(path, base + extra)
    return path


def main(args: argparse.Namespace) -> int:
    """Boot, run, summarise; the exit status is the guest command's."""
    check(args)
    phases = Phases()
    where = args.on or default_place(args.half, phases)
    if where == "lab":
        qemu_binary(labargs.lab_qemu(args, phases))
        args.half = args.half or "tree"
        labargs.tree_if_wanted(args)
    with phases.phase("preparing the guest"):
        config, version = guest_config(args, phases)
    if config.default_init and not config.boot_limit:
        config = replace(config,
                         boot_limit=LAB_BOOT_LIMIT if where == "lab" else HOST_BOOT_LIMIT)
    try:
        vmm.check(config)
        with session.Session(config, phases, version, verbose=args.verbose) as run:
            return run.in_lab(args) if where == "lab" else run.on_host(args)
    finally:
        if config.initrd and Path(config.initrd).parent == places.cache_dir() / "runs":
            Path(config.initrd).unlink(missing_ok=True)


def default_place(half: str | None, phases: Phases) -> str:
    """This host where it has hardware and the wanted half loaded; otherwise the lab."""
    verdict, usable = probe.judge(probe.ask_kvm(), probe.cpu_flags())
    if not usable:
        phases.note(f"{verdict.split(';')[0]}; running in the lab")
        return "lab"
    try:
        session.host_half(half or "tree")
    except LabError:
        phases.note(f"this host has not loaded the {half or 'tree'} modules; running in the lab")
        return "lab"
    return "host"
