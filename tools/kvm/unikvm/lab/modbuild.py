# SPDX-License-Identifier: GPL-2.0-only
"""The tree's modules for a kernel other than the one the build is for.

They lie in BUILD/modules/VERSION, and are built again when their sources or
the headers changed.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from unikvm.lab import headers, kernels, modules, places, tree


def for_kernel(build: Path | None, version: str,
               progress: kernels.Progress = lambda _: None) -> modules.TreeModules:
    """The modules for kernel `version` (as in uname -r); the build's own where they fit."""
    built = modules.tree_modules(build)
    if built.kernel == version:
        return built
    against = headers.get(version, progress)
    return cached(build, version, against,
                  lambda target, ours: compile_modules(against, target, ours), progress)


def cached(build: Path | None, version: str, against: Path,
           compile_into: Callable[[Path, str], None],
           progress: kernels.Progress) -> modules.TreeModules:
    """What compile_into(folder, version of the tree) made, made again when out of date."""
    modules.tree_modules(build)
    assert build is not None
    target = build / "modules" / version
    with tree.locked(target):
        stamp, wanted = target / ".stamp", fingerprint(against)
        if tree.read_or_none(stamp) != wanted or not (target / "kvm-amd.ko").exists():
            stamp.unlink(missing_ok=True)
            progress(f"building modules for kernel {version}")
            compile_into(target, project_version(build))
            stamp.write_text(wanted, encoding="ascii")
    return modules.module_files(target / "kvm.ko", target / "kvm-amd.ko")


def fingerprint(against: Path) -> str:
    """Changes when a source of the modules, or what they are built against, does."""
    root = places.source_root()
    files = [path for part in ("kernel", "include") for path in tree.walk(root / part)]
    files += [against / name for name in ("Module.symvers", "include/generated/autoconf.h")]
    found = [(path, path.stat()) for path in files]
    state = repr([(str(path), each.st_size, each.st_mtime_ns) for path, each in found])
    return hashlib.sha256(state.encode()).hexdigest()


def compile_modules(against: Path, target: Path, version: str) -> None:
    """Run the tree's Kbuild wrapper; LabError names the first error and the log."""
    source = places.source_root() / "kernel"
    tree.run_step(f"compiling the modules against {against}",
                  [sys.executable, str(source / "build.py"), "--headers", str(against),
                   "--source", str(source), "--work", str(target / "kbuild"),
                   "--out", str(target), "--version", version], places.log_path("modules"))


def project_version(build: Path) -> str:
    """The version that Meson knows."""
    info = (build / "meson-info" / "intro-projectinfo.json").read_text(encoding="utf-8")
    return json.loads(info)["version"]
