# SPDX-License-Identifier: GPL-2.0-only
"""The kernel half in L1: the tree's modules in place of stock, or stock."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unikvm.lab import LabError
from unikvm.lab.machine import L1

HALVES = ("tree", "stock")


@dataclass(frozen=True)
class TreeModules:
    """The modules of a build: files, and what modinfo says of kvm.ko."""

    kvm: Path
    kvm_amd: Path
    kernel: str      # the release they were built for, as in uname -r
    srcversion: str
    version: str


@dataclass(frozen=True)
class LoadedHalf:
    """What L1 says is loaded. `modules`: name -> {version, srcversion}."""

    half: str
    kernel: str
    modules: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def describe(self) -> str:
        """For the summary: half, version and source version as read in L1."""
        kvm = self.modules.get("kvm", {})
        version = kvm.get("version") or f"of kernel {self.kernel}"
        source = f", srcversion {kvm['srcversion']}" if kvm.get("srcversion") else ""
        return f"{self.half} (kvm {version}{source})"


def modinfo(path: Path, field_name: str) -> str:
    """One field of a module file."""
    program = shutil.which("modinfo") or "/sbin/modinfo"
    try:
        done = subprocess.run([program, "-F", field_name, str(path)], capture_output=True,
                              text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip()
        raise LabError(f"cannot read module {path}: {reason}") from error
    return done.stdout.strip()


def tree_modules(build: Path | None) -> TreeModules:
    """The modules that the build made; LabError says how to get some."""
    if build is None:
        raise LabError("this installation has no kernel modules: use ./unikvm in a checkout "
                       "of the tree, or --half stock")
    files = build / "kernel" / "kvm.ko", build / "kernel" / "kvm-amd.ko"
    for path in files:
        if not path.is_file():
            raise LabError(f"the tree's modules are not built ({path} is missing): install "
                           "linux-headers-amd64 and run ./unikvm build, or use --half stock")
    return module_files(*files)


def module_files(kvm: Path, kvm_amd: Path) -> TreeModules:
    """Two module files and what modinfo says of the first."""
    kernel = modinfo(kvm, "vermagic").split(" ", 1)[0]
    return TreeModules(kvm, kvm_amd, kernel=kernel, srcversion=modinfo(kvm, "srcversion"),
                       version=modinfo(kvm, "version"))


_READ_LOADED = r"""
import json, os
found = {}
for name in ("kvm", "kvm_amd", "kvm_intel"):
    base = f"/sys/module/{name}"
    if os.path.isdir(base) and os.path.exists(f"{base}/refcnt"):
        found[name] = {}
        for entry in ("version", "srcversion", "refcnt"):
            if os.path.exists(f"{base}/{entry}"):
                with open(f"{base}/{entry}") as file:
                    found[name][entry] = file.read().strip()
print(json.dumps(found))
"""


def loaded(machine: L1, half: str) -> LoadedHalf:
    """What is loaded in L1 now."""
    done = machine.run(["python3", "-I", "-S", "-c", _READ_LOADED])
    if done.status:
        raise LabError(f"cannot read /sys/module in L1: {done.stderr.decode().strip()}")
    return LoadedHalf(half, machine.kernel, json.loads(done.stdout))


def _in_l1(machine: L1, command: list[str], failure: str) -> None:
    """A command that must succeed; `failure` names the thing and the way out."""
    done = machine.run(command)
    if done.status:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise LabError(f"{failure}: {reason[-1] if reason else f'status {done.status}'}; "
                       f"log: {machine.log}")


def unload(machine: L1) -> None:
    """Take out whatever KVM modules L1 has."""
    present = loaded(machine, "").modules
    for name in ("kvm_amd", "kvm_intel", "kvm"):
        if name in present:
            _in_l1(machine, ["rmmod", name],
                   f"module {name} is loaded in L1 and cannot be taken out "
                   f"(in use {present[name].get('refcnt', '?')} times)")


def load(machine: L1, half: str, tree: TreeModules | None = None,
         parameters: Mapping[str, str] | None = None) -> LoadedHalf:
    """Load a half in L1. `parameters`: "module.name" -> value, as on a command line."""
    if machine.run("grep -qw svm /proc/cpuinfo").status:
        raise LabError("the lab's emulated CPU has no SVM: choose another --lab-qemu")
    options: dict[str, list[str]] = {"kvm": [], "kvm_amd": []}
    for name, value in (parameters or {}).items():
        module, _, parameter = name.partition(".")
        if module not in options or not parameter:
            raise LabError(f"module parameter {name}: want kvm.NAME or kvm_amd.NAME")
        options[module].append(f"{parameter}={value}")
    unload(machine)
    if half == "stock":
        for name in ("kvm", "kvm_amd"):
            _in_l1(machine, ["modprobe", name, *options[name]], f"cannot load stock {name} in L1")
    else:
        assert tree is not None
        _load_tree(machine, tree, options)
    return loaded(machine, half)


def _load_tree(machine: L1, tree: TreeModules, options: Mapping[str, list[str]]) -> None:
    """insmod ours, after what they depend on."""
    if tree.kernel != machine.kernel:
        raise LabError(f"the tree's modules are built for kernel {tree.kernel}, the lab runs "
                       f"{machine.kernel}: build against its headers (./unikvm build "
                       "--kernel-dir) or choose --lab-kernel")
    needed = {name for path in (tree.kvm, tree.kvm_amd)
              for name in modinfo(path, "depends").split(",") if name and name != "kvm"}
    for name in sorted(needed):
        _in_l1(machine, ["modprobe", name], f"cannot load {name} in L1")
    for path, name in ((tree.kvm, "kvm"), (tree.kvm_amd, "kvm_amd")):
        _in_l1(machine, ["insmod", str(path), *options[name]],
               f"cannot load the tree's {path.name} in L1")
    found = loaded(machine, "tree").modules
    if found.get("kvm", {}).get("srcversion") != tree.srcversion:
        raise LabError("L1 runs another kvm module than the one just built "
                       f"(srcversion {found.get('kvm', {}).get('srcversion')}, "
                       f"built {tree.srcversion})")
