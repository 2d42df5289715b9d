# SPDX-License-Identifier: GPL-2.0-only
"""The debug kernel of the lab: Debian's linux-source with every checker on, built once.

It lies among the other kernels as `kernels/VERSION-unikvm-debug`, its build
directory (the headers that modules are built against) beside it as `build`.
The source stays in `sources/`, for the build directory refers to it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unikvm.lab import LabError, kernels, places, sources

SOURCE_PACKAGE = "linux-source-6.1"
CONFIG = Path(__file__).with_name("debug.config")
REPORT_EVERY = 60.0             # seconds between lines about a build


def kernel(progress: kernels.Progress = lambda _: None) -> kernels.Kernel:
    """The debug kernel, built if it is not there yet."""
    with kernels.locked(kernels.DEBUG):
        found = built()
        return found if found is not None else build(progress)


def built() -> kernels.Kernel | None:
    """The newest one in the cache that this tree's config made."""
    names = [path.name for path in kernels.store().glob(f"*{kernels.DEBUG_SUFFIX}")]
    for name in sorted(names, key=kernels.version_key, reverse=True):
        found = kernels.cached(name)
        stamp = kernels.store() / name / "config.stamp"
        if found and stamp.exists() and stamp.read_text("ascii") == config_stamp():
            return found
    return None


def config_stamp() -> str:
    """Changes with the config fragment."""
    return hashlib.sha256(CONFIG.read_bytes()).hexdigest()


def build(progress: kernels.Progress) -> kernels.Kernel:
    """Configure, compile, install below kernels/; about a quarter of an hour on two cores."""
    tree = sources.get(SOURCE_PACKAGE, progress)
    version = kernel_version(tree) + kernels.DEBUG_SUFFIX
    base = kernels.store() / version
    work, log = base / "build", places.log_path("debug-kernel")
    work.mkdir(parents=True, exist_ok=True)
    stamp = base / "config.stamp"
    stamp.unlink(missing_ok=True)       # an interrupted build leaves no kernel
    progress(f"building kernel {version}, once, about 15 minutes on two cores; log: {log}")
    started = time.monotonic()
    with reports(log, progress):
        make(log, ["-C", str(tree), f"O={work}", f"KCONFIG_ALLCONFIG={CONFIG}", "allnoconfig"])
        make(log, ["-C", str(work), f"-j{os.cpu_count() or 1}", "bzImage", "modules"])
        make(log, ["-C", str(work), f"INSTALL_MOD_PATH={base}", "modules_install"])
    (base / "boot").mkdir(exist_ok=True)
    shutil.copy(work / "arch/x86/boot/bzImage", base / "boot" / f"vmlinuz-{version}")
    stamp.write_text(config_stamp(), encoding="ascii")
    found = kernels.cached(version)
    if found is None:
        raise LabError(f"the build made no kernel {version}; log: {log}")
    progress(f"kernel {version} built in {(time.monotonic() - started) / 60:.0f} minutes")
    return found


def kernel_version(tree: Path) -> str:
    """VERSION.PATCHLEVEL.SUBLEVEL of a source tree."""
    text = (tree / "Makefile").read_text(encoding="utf-8")
    numbers = [re.search(rf"^{name} = (\d+)$", text, re.MULTILINE)
               for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if not all(numbers):
        raise LabError(f"{tree} names no kernel version")
    return ".".join(found.group(1) for found in numbers if found)


def make(log: Path, arguments: list[str]) -> None:
    """One make, its output in the log."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MFLAGS", "CFLAGS", "LDFLAGS")}
    with open(log, "ab") as file:
        done = subprocess.run(["make", *arguments], stdin=subprocess.DEVNULL, stdout=file,
                              stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode:
        raise LabError(f"the debug kernel does not build (make {arguments[-1]}); log: {log}")


@contextmanager
def reports(log: Path, progress: kernels.Progress) -> Iterator[None]:
    """Say now and then how far a build is."""
    stop, started = threading.Event(), time.monotonic()

    def report() -> None:
        while not stop.wait(REPORT_EVERY):
            files = log.read_bytes().count(b"\n  CC ") if log.exists() else 0
            progress(f"{(time.monotonic() - started) / 60:.0f} minutes, {files} files compiled")

    thread = threading.Thread(target=report, name="kernel-build", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
