# SPDX-License-Identifier: GPL-2.0-only
"""The lab's patched emulator: Debian's QEMU source and our patches, built once.

It lies in the cache as `qemu/VERSION-ID/qemu-system-x86_64`: VERSION is that of
Debian's source package, ID changes with `qemu-patches/` and the options below.
It finds its firmware where Debian's packages put it.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from unikvm.lab import LabError, kernels, places
from unikvm.lab.aptsource import AptSource, SourceError

NAME = "patched"                # what --lab-qemu calls it
PACKAGE, BINARY = "qemu", "qemu-system-x86_64"
PATCHES = Path(__file__).with_name("qemu-patches")
CONFIGURE = (
    "--target-list=x86_64-softmmu", "--without-default-features", "--without-default-devices",
    "--with-devices-x86_64=unikvm", "--enable-tcg", "--enable-fdt=system",
    "--enable-virtfs", "--enable-attr", "--enable-cap-ng",      # the lab's root file system
    "--disable-install-blobs", "--disable-debug-info", "--disable-werror",
    "--with-git-submodules=ignore", "--firmwarepath=/usr/share/qemu:/usr/share/seabios")
# Debian's own tools: those of a virtual environment, and its settings, are for our build.
PATH = "/usr/bin:/bin"
SETTINGS = ("MAKEFLAGS", "MFLAGS", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "VIRTUAL_ENV",
            "NINJA_STATUS")


def binary(progress: kernels.Progress = lambda _: None) -> Path:
    """The emulator, built if it is not there yet."""
    with open(store() / ".lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = built(installed_version())
        return found if found is not None else build(progress)


def store() -> Path:
    """Where the built ones lie."""
    path = places.cache_dir() / "qemu"
    path.mkdir(exist_ok=True)
    return path


def patches_id() -> str:
    """Changes with the patches, the list of devices, the options."""
    digest = hashlib.sha256(repr(CONFIGURE).encode())
    for path in sorted(PATCHES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def folder_of(version: str) -> Path:
    """Where the build of a source version lies."""
    return store() / f"{version.rpartition(':')[2]}-{patches_id()}"


def built(version: str | None) -> Path | None:
    """The one in the cache of a version; of any version (the newest) for None."""
    folders = [folder_of(version)] if version else sorted(
        store().glob(f"[0-9]*-{patches_id()}"), key=lambda path: kernels.version_key(path.name))
    found = [folder / BINARY for folder in folders if (folder / BINARY).is_file()]
    return found[-1] if found else None


def installed_version() -> str | None:
    """The source version of the QEMU that is installed; None where Debian's is not."""
    try:
        done = subprocess.run(["dpkg-query", "--show", "--showformat", "${source:Version}",
                               "qemu-system-x86"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def build(progress: kernels.Progress) -> Path:
    """Fetch, patch, configure, compile; the emulator appears in the cache at the end."""
    scratch, log = store() / ".new", places.log_path("qemu")
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "apt").mkdir(parents=True)
    started = time.monotonic()
    try:
        progress(f"fetching the source of {PACKAGE}")
        try:
            version, description = fetch(scratch / "apt")
        except SourceError as error:
            old = built(None)
            if old is not None:
                return old
            raise LabError(f"the lab's patched emulator cannot be built: {error}; it comes from "
                           "Debian's source package, which apt has to reach") from error
        progress(f"building QEMU {version} with the lab's patches, once, about 8 minutes on two "
                 f"cores; log: {log}")
        compile_in(scratch, description, log)
        target = folder_of(version)
        target.mkdir(exist_ok=True)
        (scratch / "build" / BINARY).rename(target / BINARY)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    progress(f"QEMU built in {(time.monotonic() - started) / 60:.0f} minutes")
    return target / BINARY


def fetch(work: Path) -> tuple[str, Path]:
    """The source package: (version, its .dsc). The version installed, if apt has it, too."""
    try:
        apt = AptSource(PACKAGE, work)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SourceError(f"apt does not run: {error}") from error
    known = dict(re.findall(r"^Version: (\S+)$.*?^ \w+ \d+ (\S+\.dsc)$", apt.listing,
                            re.MULTILINE | re.DOTALL))
    if not known:
        raise SourceError(f"apt has no source package {PACKAGE}{apt.why_not()}")
    version = installed_version()
    if version not in known:
        version = max(known, key=kernels.version_key)
    return version, apt.download(version, known[version])


def compile_in(scratch: Path, description: Path, log: Path) -> None:
    """Unpack, patch, configure and build below `scratch`. LabError says which step failed."""
    source, work = scratch / "source", scratch / "build"
    step(log, scratch, "unpack", ["dpkg-source", "--no-check", "-x", str(description),
                                  str(source)])
    for patch in sorted(PATCHES.glob("*.patch")):
        step(log, source, f"take {patch.name}", ["patch", "--batch", "--forward", "--fuzz=0", "-p1",
                                                 "-i", str(patch)])
    shutil.copy(PATCHES / "devices.mak", source / "configs/devices/x86_64-softmmu/unikvm.mak")
    work.mkdir()
    step(log, work, "configure", [str(source / "configure"), "--meson=/usr/bin/meson", *CONFIGURE])
    step(log, work, "compile", ["ninja", f"-j{os.cpu_count() or 1}", BINARY])


def step(log: Path, folder: Path, what: str, command: Sequence[str]) -> None:
    """One command, its output in the log."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in SETTINGS and not name.startswith("PYTHON")}
    with open(log, "ab") as file:
        try:
            status = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=subprocess.STDOUT, check=False,
                                    env=environment | {"PATH": PATH, "LC_ALL": "C"}).returncode
        except OSError as error:
            raise LabError(f"the lab's patched emulator does not {what}: {error}") from error
    if status:
        lines = log.read_text(errors="replace").strip().splitlines() or ["nothing said"]
        told = [line for line in lines if re.search(r"error|failed", line, re.IGNORECASE)]
        raise LabError(f"the lab's patched emulator does not {what}: "
                       f"{(told or lines)[-1].strip()}; `./unikvm lab --lab-qemu patched` "
                       f"installs what its build needs; log: {log}")
