# SPDX-License-Identifier: GPL-2.0-only
"""Debian kernels for L1 and L2: found by apt, fetched and unpacked into the cache.

A kernel lies in `kernels/VERSION/{boot,lib/modules}`. No version is pinned: the
newest one that a meta package depends on counts, or a cached one without a net.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unikvm.lab import LabError, places
from unikvm.lab.appearing import appearing

DEFAULT_L1 = "linux-image-amd64"
DEFAULT_L2 = "linux-image-6.12-amd64"
DEBUG = "debug"                 # the name of the kernel that debugkernel.py builds
DEBUG_SUFFIX = "-unikvm-debug"  # the end of its version; never a default

Progress = Callable[[str], None]

# What an image package depends on that holds the image, where that is split.
PARTS = re.compile(r"linux-(binary|modules)-")


class Packages(Protocol):
    """Where a package file comes from."""

    def depends(self, package: str) -> list[str]:
        """The packages a package depends on."""

    def download(self, package: str, folder: Path) -> Path:
        """Fetch a package into a folder; LabError when that fails."""


@dataclass(frozen=True)
class Kernel:
    """A kernel image and its modules. `modules` is lib/modules/VERSION."""

    version: str
    vmlinuz: Path
    modules: Path


def store() -> Path:
    """Where unpacked kernels lie."""
    path = places.cache_dir() / "kernels"
    path.mkdir(exist_ok=True)
    return path


def cached(version: str) -> Kernel | None:
    """A kernel that is already unpacked."""
    base = store() / version
    kernel = Kernel(version, base / "boot" / f"vmlinuz-{version}",
                    base / "lib" / "modules" / version)
    complete = kernel.vmlinuz.is_file() and (kernel.modules / "modules.dep").is_file()
    return kernel if complete else None


def newest_cached(series: str) -> Kernel | None:
    """The newest cached kernel of a series such as "6.1" ("" for any)."""
    names = [path.name for path in store().iterdir()
             if not path.name.startswith(".") and not path.name.endswith(DEBUG_SUFFIX)]
    fitting = [name for name in names if not series or re.match(rf"{re.escape(series)}[.+-]", name)]
    for name in sorted(fitting, key=version_key, reverse=True):
        kernel = cached(name)
        if kernel is not None:
            return kernel
    return None


def version_key(version: str) -> tuple[int, ...]:
    """Sort key: the numbers in a version, in order."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


class Apt:
    """apt-get and apt-cache with the system's lists, else with our own copy.

    architecture: of the packages, where it is not this host's.
    """

    def __init__(self, architecture: str | None = None) -> None:
        self._architecture = architecture
        self._options = self._private() if architecture else []

    def _private(self) -> list[str]:
        """Lists and cache below our cache directory, for want of usable system ones."""
        base = places.cache_dir() / "-".join(filter(None, ("apt", self._architecture)))
        foreign = ["-o", f"APT::Architecture={self._architecture}",
                   "-o", f"APT::Architectures={self._architecture}"] if self._architecture else []
        for name in ("lists/partial", "archives/partial"):
            (base / name).mkdir(parents=True, exist_ok=True)
        return ["-o", f"Dir::State::Lists={base}/lists", "-o", f"Dir::Cache={base}",
                "-o", f"Dir::Cache::archives={base}/archives",
                "-o", "Debug::NoLocking=true", "-o", "APT::Sandbox::User=", *foreign]

    def _run(self, program: str, *arguments: str, cwd: Path | None = None,
             ) -> subprocess.CompletedProcess[str]:
        if shutil.which(program) is None:
            raise LabError(f"no {program} on this host: kernels come as Debian packages; "
                           "give --kernel PATH and --lab-kernel PATH")
        return subprocess.run([program, *self._options, *arguments], cwd=cwd,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env=dict(os.environ, LC_ALL="C"), check=False)

    def knows(self, package: str) -> bool:
        """Whether a package can be had, after an update of private lists if need be."""
        if self._candidate(package):
            return True
        if self._architecture is None:
            if self._options:
                return False
            self._options = self._private()
            if self._candidate(package):
                return True
        self._run("apt-get", "-q", "update")
        return self._candidate(package)

    def _candidate(self, package: str) -> bool:
        done = self._run("apt-cache", "show", "--no-all-versions", package)
        return done.returncode == 0 and "Filename:" in done.stdout

    def image_of(self, meta: str) -> str:
        """The image package that a meta package depends on."""
        done = self._run("apt-cache", "show", "--no-all-versions", meta)
        for line in done.stdout.splitlines():
            if line.startswith("Depends:"):
                found = re.search(r"linux-image-(\d\S*?)(?=[\s,(|]|$)", line)
                if found:
                    return found.group(0)
        raise LabError(f"package {meta} depends on no kernel image")

    def version_of(self, package: str) -> str:
        """The version of a package that apt would install."""
        done = self._run("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Version: (\S+)$", done.stdout, re.MULTILINE)
        if not found:
            raise LabError(f"apt knows no package {package}")
        return found.group(1)

    def depends(self, package: str) -> list[str]:
        """The packages a package depends on, alternatives included."""
        return dependencies(self._run("apt-cache", "depends", package).stdout)

    def download(self, package: str, folder: Path) -> Path:
        """Fetch a package (apt verifies it) into a folder."""
        done = self._run("apt-get", "-q", "download", package, cwd=folder)
        files = list(folder.glob("*.deb"))
        if done.returncode or not files:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise LabError(f"cannot fetch package {package}: {reason}")
        return files[0]


def dependencies(text: str) -> list[str]:
    """The packages named in what `apt-cache depends` says, alternatives included."""
    return re.findall(r"^ [ |]Depends: (\S+)$", text, re.MULTILINE)


@contextlib.contextmanager
def locked(version: str) -> Iterator[None]:
    """One fetch of a version at a time, across processes."""
    with open(store() / f".{version}.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch(apt: Packages, package: str, progress: Progress) -> Kernel:
    """Download and unpack an image package unless it is there."""
    version = package.removeprefix("linux-image-")
    with locked(version):
        kernel = cached(version)
        if kernel is not None:
            return kernel
        with appearing(store() / version, "root") as work:
            extract_with_parts(apt, package, PARTS, work, progress)
            arrange(work / "root", version)
    kernel = cached(version)
    if kernel is None:
        raise LabError(f"package {package} holds no kernel {version}")
    return kernel


def extract_with_parts(apt: Packages, package: str, parts: re.Pattern[str], scratch: Path,
                       progress: Progress) -> None:
    """A package, and what it depends on as far as `parts` names it, unpacked in scratch/root."""
    for name in (package, *(each for each in apt.depends(package) if parts.match(each))):
        folder = scratch / name
        folder.mkdir(parents=True)
        progress(f"fetching {name}")
        extract(apt.download(name, folder), scratch / "root")


def arrange(root: Path, version: str) -> None:
    """The modules' dependency lists; newer packages have all below /usr/lib/modules."""
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    image = root / "lib/modules" / version / "vmlinuz"
    if image.is_file():
        (root / "boot").mkdir(exist_ok=True)
        image.rename(root / "boot" / f"vmlinuz-{version}")
    depmod = shutil.which("depmod") or "/sbin/depmod"
    unpack_step([depmod, "-b", str(root), version], f"kernel {version}")


def extract(package_file: Path, root: Path) -> None:
    """The package's files, without installing it."""
    unpack_step(["dpkg-deb", "-x", str(package_file), str(root)], package_file.name)


def unpack_step(command: list[str], what: str) -> None:
    """A command that must succeed."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise LabError(f"cannot unpack {what}: {reason.strip()}") from error


def series_of(package: str) -> str:
    """linux-image-6.12-amd64 -> 6.12; linux-image-amd64 -> 6.1 of this Debian."""
    found = re.match(r"linux-image-(\d+\.\d+)-amd64$", package)
    return found.group(1) if found else "6.1"


def apt_state() -> str:
    """Changes when apt's package lists do."""
    try:
        return str(Path("/var/lib/apt/lists").stat().st_mtime_ns)
    except OSError:
        return "none"


def remembered(meta: str) -> Kernel | None:
    """What the meta package stood for last time, while apt's lists are the same."""
    try:
        state, version = (store() / f".{meta}").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return cached(version) if state == apt_state() else None


def newest(meta: str, progress: Progress = lambda _: None) -> Kernel:
    """The kernel that a meta package stands for; without apt's help a cached one."""
    kernel = remembered(meta)
    if kernel is None:
        kernel = ask_apt(meta, progress)
        # A cache that cannot be written serves as well, only slower.
        with contextlib.suppress(OSError):
            (store() / f".{meta}").write_text(f"{apt_state()} {kernel.version}",
                                              encoding="ascii")
    return kernel


def ask_apt(meta: str, progress: Progress) -> Kernel:
    """Resolve and fetch; a cached kernel of the same series when that fails."""
    apt = Apt()
    try:
        if not apt.knows(meta):
            raise LabError(f"apt knows no package {meta}")
        return fetch(apt, apt.image_of(meta), progress)
    except LabError:
        kernel = newest_cached(series_of(meta))
        if kernel is None:
            raise
        return kernel


def by_version(version: str, progress: Progress = lambda _: None) -> Kernel:
    """A kernel by its version (6.1.0-40-amd64) or series (6.12)."""
    kernel = cached(version)
    if kernel is not None:
        return kernel
    apt = Apt()
    if re.fullmatch(r"\d+\.\d+", version):
        return by_series(version, apt, progress)
    package = f"linux-image-{version}"
    if not apt.knows(package):
        raise LabError(f"no kernel {version} in the cache and no package {package} in apt; "
                       "see `apt-cache search linux-image`")
    return fetch(apt, package, progress)


def by_series(series: str, apt: Apt, progress: Progress) -> Kernel:
    """The newest kernel of a series: by its meta package, the release's own, or cached."""
    meta = f"linux-image-{series}-amd64"
    if apt.knows(meta):
        return newest(meta, progress)
    kernel = newest_cached(series)
    if kernel is None and apt.knows(DEFAULT_L1):
        package = apt.image_of(DEFAULT_L1)
        if package.startswith(f"linux-image-{series}."):
            kernel = fetch(apt, package, progress)
    if kernel is None:
        raise LabError(f"no kernel {series} in the cache and no package {meta} in apt; "
                       "see `apt-cache search linux-image`")
    return kernel


def by_path(path: Path) -> Kernel:
    """A kernel image anywhere, with the modules that lie beside it.

    Looked for: ../lib/modules/VERSION (our cache, an unpacked package, /boot),
    else none; a kernel with everything built in needs none.
    """
    version = image_version(path)
    root = path.resolve().parent.parent
    modules = root / "lib" / "modules" / version
    return Kernel(version, path.resolve(), modules)


def image_version(path: Path) -> str:
    """The version string inside a bzImage (boot protocol, field kernel_version)."""
    try:
        with open(path, "rb") as file:
            head = file.read(0x10000)
    except OSError as error:
        raise LabError(f"cannot read kernel {path}: {error.strerror}") from error
    if head[0x202:0x206] != b"HdrS":
        raise LabError(f"{path} is no x86 Linux kernel image (no boot header)")
    start = int.from_bytes(head[0x20e:0x210], "little") + 0x200
    words = head[start:head.find(b"\0", start)].split()
    if start == 0x200 or not words:
        raise LabError(f"{path} names no kernel version")
    return words[0].decode("ascii", "replace")


def resolve(wanted: str | None, default: str, progress: Progress = lambda _: None) -> Kernel:
    """PATH, VERSION, "debug" or nothing (the default meta package) to a kernel."""
    if wanted == DEBUG:
        from unikvm.lab import debugkernel      # which builds on this module
        return debugkernel.kernel(progress)
    if wanted is None:
        return newest(default, progress)
    if "/" in wanted or Path(wanted).is_file():
        return by_path(Path(wanted))
    return by_version(wanted, progress)
