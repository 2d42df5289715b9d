# SPDX-License-Identifier: GPL-2.0-only
"""The default guest's initramfs: busybox, our init, the modules it needs."""

import hashlib
import lzma
import os
import shutil
import subprocess
from pathlib import Path

from unikvm.lab import LabError, places
from unikvm.lab.cpio import CpioArchive
from unikvm.lab.kernels import Kernel

# What the guest may use; those built into a kernel are simply not found as files.
# ext4 asks the crypto layer for crc32c by name, which no dependency list shows.
WANTED = ("virtio_pci", "virtio_console", "virtio_blk", "virtio_net", "ext4",
          "crc32c_generic")
COMMAND_MAX = 1 << 20   # bytes of an --exec command
STDIN_MAX = 64 << 20    # bytes of standard input given to it

_INIT = Path(__file__).with_name("init.sh")


def busybox() -> Path:
    """The statically linked busybox."""
    found = shutil.which("busybox")
    if not found:
        raise LabError("no busybox on this host; install busybox-static")
    path = Path(found).resolve()
    # A static program names no interpreter (ELF PT_INTERP).
    if b"/lib64/ld-linux" in path.read_bytes()[:4096]:
        raise LabError(f"{path} is not statically linked; install busybox-static")
    return path


def module_name(path: str) -> str:
    """kernel/a/virtio-blk.ko.xz -> virtio_blk."""
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def dependencies(kernel: Kernel) -> dict[str, list[str]]:
    """Each module's file (below lib/modules/VERSION) and all those it needs, nearest first."""
    listed: dict[str, list[str]] = {}
    for line in (kernel.modules / "modules.dep").read_text(encoding="ascii").splitlines():
        path, _, needs = line.partition(":")
        listed[path] = needs.split()
    return listed


def module_order(kernel: Kernel) -> dict[str, list[str]]:
    """The wanted modules' files (below lib/modules/VERSION) and those they need."""
    listed = dependencies(kernel)
    chosen: dict[str, list[str]] = {}
    for path, needs in listed.items():
        if module_name(path) in WANTED:
            # modules.dep already lists dependencies of dependencies.
            for each in (path, *needs):
                chosen[each] = listed.get(each, [])
    return chosen


def aliases(kernel: Kernel) -> str:
    """The lines of modules.alias that stand for our modules: mount asks for "fs-ext4"."""
    names = {module_name(path) for path in module_order(kernel)}
    try:
        lines = (kernel.modules / "modules.alias").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    chosen = [line for line in lines if line.startswith("alias ") and line.split()[-1] in names]
    return "".join(f"{line}\n" for line in chosen)


def plain_module(path: Path) -> bytes:
    """A module's bytes without the distribution's compression."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return data


def plain_name(path: str) -> str:
    """The file name after plain_module()."""
    return path.removesuffix(".xz").removesuffix(".zst")


def base(shell: Path | None = None) -> CpioArchive:
    """busybox (shell, else this host's) under all its names, and what any init needs."""
    own = busybox()
    archive = CpioArchive()
    for name in ("dev", "proc", "sys", "etc", "bin"):
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3)
    archive.file("bin/busybox", (shell or own).read_bytes(), 0o755)
    # Only our own is sure to run here.
    applets = subprocess.run([own, "--list"], capture_output=True, text=True, check=True)
    for applet in sorted(set(applets.stdout.split()) - {"busybox"}):
        archive.symlink(f"bin/{applet}", "busybox")
    archive.symlink("sbin", "bin")
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\n")
    archive.file("etc/profile", b"PS1='\\w # '\n")
    return archive


def build(kernel: Kernel, shell: Path | None = None) -> bytes:
    """The archive for a kernel."""
    archive = base(shell)
    archive.file("init", _INIT.read_bytes(), 0o755)
    folder = f"lib/modules/{kernel.version}"
    lines = []
    for path, needs in sorted(module_order(kernel).items()):
        archive.file(f"{folder}/{plain_name(path)}", plain_module(kernel.modules / path))
        lines.append(f"{plain_name(path)}: {' '.join(map(plain_name, needs))}\n")
    archive.file(f"{folder}/modules.dep", "".join(lines).encode())
    archive.file(f"{folder}/modules.alias", aliases(kernel).encode())
    return bytes(archive)


def initramfs(kernel: Kernel, shell: Path | None = None) -> Path:
    """The cached initramfs for a kernel, made when missing or out of date.

    shell: a static busybox for a kernel that cannot run this host's.
    """
    digest = hashlib.sha256()
    for part in (_INIT.read_bytes(), (shell or busybox()).read_bytes(), repr(WANTED).encode(),
                 (kernel.modules / "modules.dep").read_bytes(),
                 Path(__file__).read_bytes()):
        digest.update(hashlib.sha256(part).digest())
    folder = places.cache_dir() / "initramfs"
    folder.mkdir(exist_ok=True)
    path = folder / f"{kernel.version}-{digest.hexdigest()[:16]}.cpio"
    if not path.exists():
        write_whole(path, build(kernel, shell))
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that no reader ever sees half of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise LabError(f"cannot write {path}: {error.strerror}") from error


def command_archive(command: str | None, stdin: bytes = b"", rows: int = 24,
                    columns: int = 80, term: str = "linux") -> bytes:
    """The second cpio, made for one run: a command, or (None) a shell."""
    archive = CpioArchive()
    if command is None:
        archive.file("unikvm/mode", b"shell\n")
        archive.file("unikvm/size", f"rows {rows} columns {columns}\n".encode())
        archive.file("unikvm/term", term.encode())
        return bytes(archive)
    text = command.encode()
    if len(text) > COMMAND_MAX:
        raise LabError(f"the command is {len(text)} bytes long, the limit is {COMMAND_MAX}")
    if len(stdin) > STDIN_MAX:
        raise LabError(f"standard input for the guest is limited to {STDIN_MAX >> 20} MiB")
    archive.file("unikvm/mode", b"exec\n")
    archive.file("unikvm/command", text + b"\n")
    archive.file("unikvm/stdin", stdin)
    return bytes(archive)
