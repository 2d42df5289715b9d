#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build kvm.ko, kvm-amd.ko and bench/ out of tree for one set of kernel headers.

Kbuild writes its objects beside the sources, and how to tell it otherwise has
changed more than once (src= until 6.9, MO= from 6.13). So it gets a directory
of symbolic links to the sources in the build directory, which works with every
kernel. Kbuild itself rebuilds no more than it must; the depfile only tells the
outer build when to ask it.
"""
import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

MODULES = ("kvm.ko", "kvm-amd.ko")
MEASURING = "bench/unikvm-floor.ko"     # not on every kernel, see Kbuild


def kernel_release(headers: Path) -> str:
    return (headers / "include/config/kernel.release").read_text().strip()


def make_command(headers: Path, work: Path, version: str, jobs: int,
                 words: list[str]) -> list[str]:
    return ["make", "-C", str(headers), f"-j{jobs}", "W=1",
            f"UNIKVM_VERSION={version}", f"M={work / 'kernel'}", *words, "modules"]


def source_files(source: Path) -> list[Path]:
    uapi = source.parent / "include/uapi"
    return sorted(p for top in (source, uapi) for p in top.rglob("*")
                  if p.suffix in (".c", ".h", ".S") or p.name == "Kbuild")


def write_depfile(path: Path, target: str, dependencies: list[Path]) -> None:
    names = " ".join(str(p).replace(" ", "\\ ") for p in dependencies)
    path.write_text(f"{target}: {names}\n")


def mirror(source: Path, work: Path) -> None:
    """Links work/kernel/... to the sources, and no link to one that is gone."""
    top = work / "kernel"
    wanted = {top / path.relative_to(source): path for path in source_files(source)
              if path.is_relative_to(source)}
    for link in [path for path in top.rglob("*") if path.is_symlink()]:
        if link not in wanted or link.readlink() != wanted[link]:
            link.unlink()
    for link, target in wanted.items():
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
    if not (work / "include").is_symlink():
        (work / "include").symlink_to(source.parent / "include")


def prepare(source: Path, work: Path, headers: Path) -> None:
    """Make the mirror; start over for other headers or another tree."""
    stamp = work / "headers"
    identity = f"{headers} {kernel_release(headers)} {source}\n"
    if work.exists() and (not stamp.exists() or stamp.read_text() != identity):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    stamp.write_text(identity)
    mirror(source, work)


def copy_if_changed(source: Path, target: Path) -> None:
    if not target.exists() or source.read_bytes() != target.read_bytes():
        shutil.copy(source, target)
    os.utime(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headers", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--make", action="append", default=[], metavar="WORD",
                        help="another word for make (C=2, LLVM=1, ...); shows what make says")
    parser.add_argument("--depfile", type=Path)
    parser.add_argument("--target", default=MODULES[0])
    args = parser.parse_args()

    source, work = args.source.resolve(), args.work.resolve()
    prepare(source, work, args.headers)
    command = make_command(args.headers, work, args.version, os.cpu_count() or 1, args.make)
    # The outer make, if any, must not hand its job server or flags down.
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "CFLAGS", "LDFLAGS")}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout)
        return 1
    if args.make:
        sys.stdout.write(done.stdout)
    has_floor = (work / "kernel" / MEASURING).exists()
    for module in (*MODULES, MEASURING) if has_floor else MODULES:
        copy_if_changed(work / "kernel" / module, args.out / Path(module).name)
    if args.depfile:
        write_depfile(args.depfile, args.target, source_files(source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
