# SPDX-License-Identifier: GPL-2.0-only
"""Build the tree: Meson set-up, compile, and a copy of the package to run from.

Standard library only and no extension module: this runs before anything is
built. The package goes to BUILD/site by `meson install`, so a change to the
tree needs one quick compile and nothing of the virtual environment.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unikvm.lab import LabError, places

PARTS = ("meson.build", "meson.options", "pyproject.toml", "include", "kernel", "firmware",
         "tools", "tests", "LICENSES")
INSTALL_TAGS = "runtime,python-runtime,firmware"
SKIPPED = {"__pycache__", ".pytest_cache", ".hypothesis"}


@dataclass(frozen=True)
class Options:
    """What may be switched off or pointed elsewhere; None leaves it as configured."""

    kernel: str | None = None       # a Meson feature value: auto, enabled, disabled
    kernel_dir: str | None = None
    firmware: str | None = None
    seabios_dir: str | None = None

    def meson(self) -> list[str]:
        """As -D options."""
        return [f"-D{name}={value}" for name, value in vars(self).items() if value is not None]


def fingerprint(root: Path) -> str:
    """Changes whenever a source file, the headers or the interpreter do."""
    digest = hashlib.sha256(f"{sys.version}{root}".encode())
    for part in PARTS:
        top = root / part
        names = walk(top) if top.is_dir() else [top]
        for path in names:
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                digest.update(f"{path}{found.st_size}{found.st_mtime_ns}".encode())
    headers = sorted(Path("/usr/src").glob("linux-headers-*"))
    digest.update(repr([(str(path), path.stat().st_mtime_ns) for path in headers]).encode())
    return digest.hexdigest()


def walk(top: Path) -> list[Path]:
    """Every file below, in a fixed order."""
    found: list[Path] = []
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(set(folders) - SKIPPED)
        found += [Path(folder, name) for name in sorted(files) if not name.endswith(".pyc")]
    return found


@contextlib.contextmanager
def locked(build: Path) -> Iterator[None]:
    """One build at a time in a directory."""
    build.mkdir(parents=True, exist_ok=True)
    with open(build / ".unikvm.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_fresh(root: Path, build: Path) -> bool:
    """True when nothing changed since the last build here."""
    try:
        stamp = (build / ".unikvm.stamp").read_text(encoding="ascii")
    except OSError:
        return False
    return stamp == fingerprint(root)


def run_step(what: str, command: list[str], log: Path) -> None:
    """Run a step; on failure one line and the log's path."""
    # What gets installed keeps its bytecode beside it, whatever holds for us.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("PYTHONPYCACHEPREFIX", "PYTHONPATH")}
    with open(log, "ab") as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, env=environment,
                                  stderr=subprocess.STDOUT, check=False)
        except OSError as error:
            raise LabError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        raise LabError(f"{what} failed: {first_error(log)}; log: {log}")


def first_error(log: Path) -> str:
    """The line of a log that most likely says why."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    start = max((index for index, line in enumerate(lines) if line.startswith("$ ")), default=0)
    for line in lines[start + 1:]:
        if "error:" in line.lower() or "ERROR" in line:
            return line.strip()
    return lines[-1].strip() if lines else "no output"


def meson() -> list[str]:
    """The Meson of this interpreter's environment."""
    return [sys.executable, "-m", "mesonbuild.mesonmain"]


def configure(root: Path, build: Path, options: Options, log: Path) -> None:
    """Set up the build directory, or change its options."""
    site = [f"-Dpython.platlibdir={build}/site", f"-Dpython.purelibdir={build}/site"]
    if (build / "meson-private" / "coredata.dat").exists():
        wanted = [*options.meson(), *site]
        if json.dumps(wanted) != read_or_none(build / ".unikvm.options"):
            run_step("meson configure", [*meson(), "configure", str(build), *wanted], log)
            (build / ".unikvm.options").write_text(json.dumps(wanted), encoding="ascii")
        return
    run_step("meson setup", [*meson(), "setup", str(build), str(root), *options.meson(), *site],
             log)


def read_or_none(path: Path) -> str | None:
    """A file's text, None without the file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def build(root: Path, build_dir: Path, options: Options, force: bool = False) -> Path | None:
    """Bring the build up to date; returns the log, or None when nothing was to be done."""
    if not force and not options.meson() and is_fresh(root, build_dir):
        return None
    log = places.log_path("build")
    with locked(build_dir):
        stamp = build_dir / ".unikvm.stamp"
        stamp.unlink(missing_ok=True)
        before = fingerprint(root)
        configure(root, build_dir, options, log)
        run_step("meson compile", [*meson(), "compile", "-C", str(build_dir)], log)
        shutil.rmtree(build_dir / "site", ignore_errors=True)
        run_step("meson install", [*meson(), "install", "-C", str(build_dir), "--no-rebuild",
                                   "--tags", INSTALL_TAGS], log)
        stamp.write_text(before, encoding="ascii")
    return log


def build_dir_for(root: Path) -> Path:
    """$UNIKVM_BUILD; else ROOT/build; else, in a tree of someone else's, in the cache."""
    given = os.environ.get("UNIKVM_BUILD")
    if given:
        return Path(given).resolve()
    inside = root / "build"
    writable = os.access(inside if inside.exists() else root, os.W_OK)
    if writable or is_fresh(root, inside):
        return inside
    tag = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    return places.cache_dir() / f"build-{tag}"
