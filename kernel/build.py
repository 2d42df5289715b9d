#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build kvm.ko and kvm-amd.ko out of tree for one set of kernel headers.

Kbuild writes beside its objects, so it is pointed at the build directory (M=)
with the sources elsewhere (src=; from Linux 6.13 on MO= is the way). Kbuild
itself rebuilds no more than it must; the depfile only tells the outer build
when to ask it.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

MODULES = ("kvm.ko", "kvm-amd.ko")


def headers_version(headers: Path) -> tuple[int, int]:
    """Major and minor version of the kernel that the headers belong to."""
    text = (headers / "include/generated/uapi/linux/version.h").read_text()
    code = int(re.search(r"LINUX_VERSION_CODE (\d+)", text)[1])
    return code >> 16, code >> 8 & 0xFF


def kernel_release(headers: Path) -> str:
    return (headers / "include/config/kernel.release").read_text().strip()


def make_command(headers: Path, source: Path, work: Path,
                 version: str, jobs: int) -> list[str]:
    command = ["make", "-C", str(headers), f"-j{jobs}", "W=1",
               f"UNIKVM_VERSION={version}"]
    if headers_version(headers) >= (6, 13):
        command += [f"M={source}", f"MO={work}"]
    else:
        command += [f"M={work}", f"src={source}"]
    return command + ["modules"]


def source_files(source: Path) -> list[Path]:
    uapi = source.parent / "include/uapi"
    return sorted(p for top in (source, uapi) for p in top.rglob("*")
                  if p.suffix in (".c", ".h", ".S") or p.name == "Kbuild")


def write_depfile(path: Path, target: str, dependencies: list[Path]) -> None:
    names = " ".join(str(p).replace(" ", "\\ ") for p in dependencies)
    path.write_text(f"{target}: {names}\n")


def prepare(source: Path, work: Path, headers: Path) -> None:
    """Make the object directories; start over for other headers."""
    stamp = work / "headers"
    identity = f"{headers} {kernel_release(headers)}\n"
    if stamp.exists() and stamp.read_text() != identity:
        shutil.rmtree(work)
    for directory in source.rglob("*/"):
        if directory.is_dir():
            (work / directory.relative_to(source)).mkdir(parents=True,
                                                         exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    stamp.write_text(identity)


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
    parser.add_argument("--depfile", type=Path)
    parser.add_argument("--target", default=MODULES[0])
    args = parser.parse_args()

    prepare(args.source, args.work, args.headers)
    command = make_command(args.headers, args.source.resolve(),
                           args.work.resolve(), args.version,
                           os.cpu_count() or 1)
    # The outer make, if any, must not hand its job server or flags down.
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "CFLAGS", "LDFLAGS")}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout)
        return 1
    for module in MODULES:
        copy_if_changed(args.work / module, args.out / module)
    if args.depfile:
        write_depfile(args.depfile, args.target, source_files(args.source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
