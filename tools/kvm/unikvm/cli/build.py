# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm build`: all three parts, one Meson build."""

import argparse
from pathlib import Path

from unikvm.cli import complain
from unikvm.cli.progress import Phases
from unikvm.core.errors import UserError
from unikvm.lab import places, tree


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that switch parts off or point them elsewhere."""
    parser.add_argument("--kernel-dir", metavar="DIR",
                        help="kernel headers to build the modules against")
    parser.add_argument("--seabios-dir", metavar="DIR",
                        help="a SeaBIOS checkout of your own to build")
    parser.add_argument("--no-kernel", action="store_true", help="no kernel modules")
    parser.add_argument("--no-firmware", action="store_true", help="no firmware")
    parser.add_argument("--if-needed", action="store_true",
                        help="do nothing when no source changed; print the build directory")


def options(args: argparse.Namespace) -> tree.Options:
    """The command line as Meson options."""
    for name in ("kernel_dir", "seabios_dir"):
        value = getattr(args, name)
        if value and not Path(value).is_dir():
            raise UserError(f"--{name.replace('_', '-')} {value}: no such directory")
    return tree.Options(
        kernel="disabled" if args.no_kernel else "enabled" if args.kernel_dir else None,
        kernel_dir=str(Path(args.kernel_dir).resolve()) if args.kernel_dir else None,
        firmware="disabled" if args.no_firmware else "enabled" if args.seabios_dir else None,
        seabios_dir=str(Path(args.seabios_dir).resolve()) if args.seabios_dir else None)


def main(args: argparse.Namespace) -> int:
    """Build; standard output is the build directory's path."""
    root = places.source_root()
    build = tree.build_dir_for(root)
    wanted = options(args)
    if args.if_needed and not wanted.meson() and tree.is_fresh(root, build):
        print(build)
        return 0
    phases = Phases()
    with phases.phase("building modules, VMM and firmware"):
        log = tree.build(root, build, wanted, force=not args.if_needed)
    if log and not args.if_needed:
        complain(f"built in {build}, log: {log}")
    print(build)
    return 0
