# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm probe`: what this host and its /dev/kvm can do, and what that means."""

import argparse
import errno
import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from unikvm.lab import kernels, modules, places

_GET_API_VERSION = 0xAE00   # _IO(KVMIO, 0x00); asked without the compiled core, so that
_CHECK_EXTENSION = 0xAE03   # probe works where nothing could be built
_CREATE_VM = 0xAE01
API_VERSION = 12

# Capabilities that the VMM cannot do without, by number.
NEEDED = {"IRQCHIP": 0, "USER_MEMORY": 3, "SET_TSS_ADDR": 4, "EXT_CPUID": 7, "IRQ_ROUTING": 25,
          "IRQFD": 32, "PIT2": 33, "IOEVENTFD": 36, "IMMEDIATE_EXIT": 136}


@dataclass(frozen=True)
class Kvm:
    """What /dev/kvm answers; `problem` says why it is of no use."""

    problem: str = ""
    api: int = 0
    missing: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def ask_kvm(path: str = "/dev/kvm") -> Kvm:
    """Open the device and ask; never raises."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return Kvm(problem=explain_open(path, error.errno or 0))
    try:
        api = fcntl.ioctl(fd, _GET_API_VERSION, 0)
        if api != API_VERSION:
            return Kvm(problem=f"{path} speaks API version {api}, not {API_VERSION}", api=api)
        missing = [name for name, number in NEEDED.items()
                   if fcntl.ioctl(fd, _CHECK_EXTENSION, number) <= 0]
        os.close(fcntl.ioctl(fd, _CREATE_VM, 0))
        return Kvm(api=api, missing=tuple(missing))
    except OSError as error:
        return Kvm(problem=f"{path} does not answer as KVM: {error.strerror}")
    finally:
        os.close(fd)


def explain_open(path: str, number: int) -> str:
    """Why a device could not be opened, and the way out."""
    if number == errno.ENOENT:
        return f"no {path}: no KVM module is loaded here; use --on lab"
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission on {path}: join the group kvm, or use --on lab"
    if number == errno.ENODEV:
        return f"{path} has no driver behind it; use --on lab"
    return f"cannot open {path}: {os.strerror(number)}"


def cpu_flags() -> set[str]:
    """The first CPU's flags."""
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def judge(kvm: Kvm, flags: set[str]) -> tuple[str, bool]:
    """(what /dev/kvm means here, whether --on host can run a Linux guest well)."""
    hardware = flags & {"svm", "vmx"}
    if kvm.problem:
        return kvm.problem, False
    if kvm.missing:
        return f"/dev/kvm lacks {', '.join(kvm.missing)}; use --on lab", False
    if not hardware:
        return ("/dev/kvm answers, but this CPU shows neither SVM nor VMX: there is no hardware "
                "behind it (software, or a sandbox); small guests run, Linux crawls; "
                "use --on lab"), False
    return f"/dev/kvm works, hardware: {', '.join(sorted(hardware))}", True


def loaded_half() -> str:
    """Whose module is loaded on this host."""
    base = Path("/sys/module/kvm")
    if not base.is_dir():
        return "no kvm module in /sys/module"
    read = {name: (base / name).read_text().strip() if (base / name).is_file() else ""
            for name in ("version", "srcversion")}
    return f"version {read['version'] or '(none: stock)'}, srcversion {read['srcversion'] or '?'}"


def main(args: argparse.Namespace) -> int:
    """Print the findings; status 0 whatever they are."""
    verdict, usable = judge(ask_kvm(), cpu_flags())
    print(f"host kernel: {os.uname().release}, {os.cpu_count()} CPUs")
    print(f"/dev/kvm: {verdict}")
    print(f"kvm module here: {loaded_half()}")
    print(f"default for run: --on {'host' if usable else 'lab'}")
    qemu = shutil.which("qemu-system-x86_64")
    print(f"lab emulator: {qemu or 'none; install qemu-system-x86'}")
    found = sorted(path.name for path in kernels.store().iterdir() if path.is_dir()
                   and not path.name.startswith("."))
    print(f"cached kernels: {', '.join(found) or 'none yet (fetched when needed)'}")
    try:
        tree = modules.tree_modules(places.build_dir())
        print(f"tree modules: for kernel {tree.kernel}, srcversion {tree.srcversion}")
    except kernels.LabError as error:
        print(f"tree modules: {error}")
    return 0
