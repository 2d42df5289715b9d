# SPDX-License-Identifier: GPL-2.0-only
"""Options of the lab that several verbs share, and the L1 they describe."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from unikvm.cli import UsageError
from unikvm.cli.progress import Phases
from unikvm.lab import kernels, modbuild, modules, patchedqemu, places
from unikvm.lab.machine import L1, Disk, L1Config


# Kernel arguments of an L1 that keeps time by its TSC; the emulated one it would distrust.
TSC_TIME = ("tsc=reliable", "clocksource=tsc")


def add_lab_arguments(parser: argparse.ArgumentParser) -> None:
    """--half and --lab-*."""
    parser.add_argument("--half", choices=modules.HALVES,
                        help="kernel modules in use: the tree's (default in the lab) or the "
                             "distribution's")
    parser.add_argument("--lab-kernel", metavar="PATH|VERSION|debug",
                        help="kernel of the lab machine (default: the one the modules are for); "
                             "debug: one with KASAN, lockdep and more, built when first wanted")
    add_lab_qemu(parser)
    parser.add_argument("--lab-threads", choices=("single", "multi"), default="multi",
                        help="emulate the lab machine's CPUs in one thread, or one each")
    parser.add_argument("--lab-cpus", type=positive, default=1, metavar="N",
                        help="CPUs of the lab machine (default 1)")
    parser.add_argument("--module-param", action="append", default=[], metavar="MOD.NAME=VALUE",
                        help="parameter for kvm or kvm_amd, e.g. kvm_amd.paranoid=1")


def add_lab_qemu(parser: argparse.ArgumentParser) -> None:
    """--lab-qemu."""
    parser.add_argument("--lab-qemu", metavar=f"PATH|{patchedqemu.NAME}", type=Path,
                        help="the emulator of the lab machine (default: Debian's QEMU); "
                             f"{patchedqemu.NAME}: one with our fixes, for several CPUs, built "
                             "when first wanted")


def lab_qemu(args: argparse.Namespace, phases: Phases) -> Path | None:
    """The emulator asked for, from now on as a program."""
    if args.lab_qemu == Path(patchedqemu.NAME):
        args.lab_qemu = patchedqemu.binary(phases.note)
    return args.lab_qemu


def positive(text: str) -> int:
    """A whole number above zero."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def module_parameters(args: argparse.Namespace) -> dict[str, str]:
    """--module-param as a mapping."""
    found = {}
    for text in args.module_param:
        name, equals, value = text.partition("=")
        if not equals or name.partition(".")[0] not in ("kvm", "kvm_amd") or "." not in name:
            raise UsageError(f"--module-param {text}: want kvm.NAME=VALUE or kvm_amd.NAME=VALUE")
        found[name] = value
    return found


def lab_kernel(args: argparse.Namespace, tree: modules.TreeModules | None,
               phases: Phases) -> kernels.Kernel:
    """L1's kernel: as asked, else the one the tree's modules are built for, else the newest."""
    if args.lab_kernel is None and tree is not None:
        try:
            return kernels.by_version(tree.kernel, phases.note)
        except kernels.LabError:
            phases.note(f"no kernel package {tree.kernel}, trying the newest")
    return kernels.resolve(args.lab_kernel, kernels.DEFAULT_L1, phases.note)


def tree_if_wanted(args: argparse.Namespace) -> modules.TreeModules | None:
    """The build's modules when --half tree asks for them."""
    return modules.tree_modules(places.build_dir()) if args.half == "tree" else None


def l1_parts(args: argparse.Namespace,
             phases: Phases) -> tuple[kernels.Kernel, modules.TreeModules | None]:
    """L1's kernel, and for --half tree the modules for it, built if need be."""
    with phases.phase("finding kernels"):
        tree = tree_if_wanted(args)
        kernel = lab_kernel(args, tree, phases)
    if tree is None or tree.kernel == kernel.version:
        return kernel, tree
    with phases.phase("building modules for the lab's kernel"):
        return kernel, modbuild.for_kernel(places.build_dir(), kernel.version, phases.note)


def l1_config(args: argparse.Namespace, kernel: kernels.Kernel, memory: int = 2048,
              disks: Sequence[Disk] = (), share: Sequence[Path] = (),
              icount: bool = False) -> L1Config:
    """The L1 that the options describe; `memory` in MiB."""
    build = places.build_dir()
    package = Path(__file__).resolve().parents[2]
    shared = [places.cache_dir(), package, *([build] if build else []), *share]
    return L1Config(vmlinuz=kernel.vmlinuz, memory=memory, cpus=args.lab_cpus,
                    qemu=lab_qemu(args, Phases()), threads=args.lab_threads, share=tuple(shared),
                    disks=tuple(disks), icount=icount)


def boot_l1(args: argparse.Namespace, config: L1Config, tree: modules.TreeModules | None,
            phases: Phases) -> tuple[L1, modules.LoadedHalf]:
    """An L1 with the half loaded; the caller closes it."""
    parameters = module_parameters(args)
    with phases.phase("booting the lab machine"):
        machine = L1(config)
    try:
        with phases.phase(f"loading the {args.half} modules"):
            half = modules.load(machine, args.half, tree, parameters)
    except BaseException:
        machine.close(clean=False)
        raise
    return machine, half
