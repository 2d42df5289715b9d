# SPDX-License-Identifier: GPL-2.0-only
"""Another Debian suite in the lab: its kernel, e.g. the newest one, of sid, or its QEMU.

Modules for its kernel have to be built by its own compiler and Kbuild, which do
not run here. So a root of that suite lies in the cache (`roots/SUITE`), made by
debootstrap. The kernel leaves it, to boot over this host's file system; a
program of it is started by its own loader.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from unikvm.lab import LabError, kernels, modbuild, modules, places
from unikvm.lab.appearing import appearing

BUILD_PACKAGES = ("gcc", "make", "kmod", "python3-minimal", "linux-headers-amd64")
QEMU_PACKAGE, QEMU = "qemu-system-x86", "qemu-system-x86_64"
NAME = re.compile(r"[a-z][a-z0-9-]*")
# Kbuild's objtool wants /proc; a mount of our own leaves none behind.
ENTER = 'mount -t proc proc "$1/proc" && shift && exec chroot "$@"'


class Root:
    """A Debian root directory, and its apt (see kernels.Packages)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command in it; its output, standard error included."""
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(self.folder), str(self.folder),
             *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                 **{name: value for name, value in os.environ.items()
                    if name.lower().endswith("_proxy")}})

    def need(self, *packages: str, progress: kernels.Progress) -> None:
        """Install those that are missing. Raises LabError with apt's last word."""
        missing = [name for name in packages if self.run(
            "dpkg-query", "--show", "--showformat", "${db:Status-Status}", name
            ).stdout != "installed"]
        if not missing:
            return
        progress(f"installing {' '.join(missing)} in {self.folder}")
        for words in (("update",), ("install", "-y", "--no-install-recommends", *missing)):
            done = self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *words)
            if done.returncode:
                raise LabError(f"cannot install {' '.join(missing)} in {self.folder}: "
                               f"{last_line(done.stdout)}")

    def program(self, name: str) -> list[str]:
        """The words that start a program of it outside of it."""
        libraries = self.folder / "usr/lib/x86_64-linux-gnu"
        return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries),
                str(self.folder / "usr/bin" / name)]

    def headers(self) -> tuple[str, str]:
        """The newest kernel that it has headers of: (version, directory inside)."""
        found = {path.name.removeprefix("linux-headers-"): path for path in
                 self.folder.glob("usr/src/linux-headers-*-amd64")}
        if not found:
            raise LabError(f"{self.folder} has no kernel headers; remove it to have it made again")
        version = max(found, key=kernels.version_key)
        return version, f"/usr/src/linux-headers-{version}"

    def depends(self, package: str) -> list[str]:
        """As kernels.Apt.depends."""
        return kernels.dependencies(self.run("apt-cache", "depends", package).stdout)

    def download(self, package: str, folder: Path) -> Path:
        """As kernels.Apt.download."""
        inside = self.folder / "unikvm" / "packages"
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir(parents=True)
        done = self.run("sh", "-c", f"cd /unikvm/packages && apt-get -q download {package}")
        files = list(inside.glob("*.deb"))
        if done.returncode or not files:
            raise LabError(f"cannot fetch package {package}: {last_line(done.stdout)}")
        return Path(shutil.move(files[0], folder))


def last_line(text: str) -> str:
    """The last line that says something."""
    return (text.strip().splitlines() or ["no reason given"])[-1]


def mirror() -> list[str]:
    """The archive this host's apt uses, for debootstrap, which has a default."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)",
                           "Identifier: Packages"], capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.rstrip("/").endswith("/debian")]
    return found[:1]


def check_host(suite: str) -> None:
    """LabError says what is missing."""
    if not NAME.fullmatch(suite):
        raise LabError(f"{suite!r} is no name of a Debian suite")
    if os.geteuid() != 0:
        raise LabError(f"suite {suite} needs root, for a root directory of its own")
    if shutil.which("debootstrap") is None:
        raise LabError(f"suite {suite} needs debootstrap: apt-get install debootstrap")


def make_root(suite: str, progress: kernels.Progress) -> Root:
    """The cached root directory of a suite, made when missing."""
    check_host(suite)
    folder = places.cache_dir() / "roots" / suite
    folder.parent.mkdir(exist_ok=True)
    with kernels.locked(f"root-{suite}"):
        if folder.is_dir():
            return Root(folder)
        log = places.log_path("debootstrap")
        progress(f"making a root directory of {suite}, once; log: {log}")
        with appearing(folder) as work, open(log, "wb") as file:
            done = subprocess.run(["debootstrap", "--variant=minbase", suite, str(work),
                                   *mirror()], stdin=subprocess.DEVNULL,
                                  stdout=file, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                raise LabError(f"debootstrap of {suite} failed: "
                               f"{last_line(log.read_text(errors='replace'))}; log: {log}")
    return Root(folder)


def qemu(suite: str, progress: kernels.Progress) -> list[str]:
    """The words that start the suite's QEMU, as it is in the suite."""
    root = make_root(suite, progress)
    root.need(QEMU_PACKAGE, progress=progress)
    data = [word for part in ("qemu", "seabios")
            for word in ("-L", str(root.folder / "usr/share" / part))]
    return [*root.program(QEMU), *data]


def compile_in(root: Root, inside: str, target: Path, version: str) -> None:
    """The modules, built in the root and copied out of it."""
    work, source = root.folder / "unikvm", places.source_root()
    for part in ("kernel", "include"):
        shutil.rmtree(work / "src" / part, ignore_errors=True)
        shutil.copytree(source / part, work / "src" / part)
    (work / "out").mkdir(exist_ok=True)
    log = places.log_path("modules")
    done = root.run("python3", "/unikvm/src/kernel/build.py", "--headers", inside,
                    "--source", "/unikvm/src/kernel", "--work", "/unikvm/work",
                    "--out", "/unikvm/out", "--version", version)
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "rror" in line]
        raise LabError(f"the modules do not build for {inside}: "
                       f"{(errors or [last_line(done.stdout)])[0]}; log: {log}")
    target.mkdir(parents=True, exist_ok=True)
    for name in ("kvm.ko", "kvm-amd.ko"):
        shutil.copy(work / "out" / name, target / name)


def prepare(suite: str, build: Path | None, half: str, progress: kernels.Progress,
            ) -> tuple[kernels.Kernel, modules.TreeModules | None]:
    """The suite's kernel, and for the tree half the modules built for it there."""
    root = make_root(suite, progress)
    root.need(*BUILD_PACKAGES, progress=progress)
    version, inside = root.headers()
    kernel = kernels.fetch(root, f"linux-image-{version}", progress)
    if half != "tree":
        return kernel, None
    return kernel, modbuild.cached(
        build, version, root.folder / inside[1:],
        lambda target, ours: compile_in(root, inside, target, ours), progress)
