# SPDX-License-Identifier: GPL-2.0-only
"""An L1 that stands alone: a kernel and an initramfs with a half, programs and a script.

It may sleep, crash and boot another kernel, which a machine over the host's file
system cannot. What it says comes over the serial line.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from unikvm.lab import bochs, guard, initramfs, modules, places
from unikvm.lab.kernels import Kernel
from unikvm.lab.machine import qemu_binary

WORDS = "console=ttyS0 loglevel=5 panic=1"


def plain_modules(kernel: Kernel, names: Sequence[str], folder: Path) -> list[Path]:
    """Modules of the kernel's, uncompressed, as NAME.ko in `folder`."""
    files = {initramfs.module_name(path): path for path in initramfs.dependencies(kernel)}
    made = [folder / f"{name}.ko" for name in names]
    for path in made:
        path.write_bytes(initramfs.plain_module(kernel.modules / files[path.stem]))
    return made


def execute(kernel: Kernel, command: str, tree: modules.TreeModules | None,
            files: Sequence[Path] = (), *, cpus: int = 2, memory: int = 1024,
            words: str = "", limit: float = 600.0) -> tuple[int, str, str]:
    """Run a command (for busybox's sh): its status, what it printed, the whole console.

    A kernel that it boots instead has to bring an initramfs of the same kind (`archive`).
    """
    log = places.log_path("bare")
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="unikvm-bare-") as name:
        folder = Path(name)
        (folder / "initrd").write_bytes(archive(kernel, command, tree, files))
        serial = folder / "serial"
        emulator = [str(qemu_binary(None)), "-machine", "q35", "-cpu", "max",
                    "-accel", "tcg,thread=multi", "-smp", str(cpus), "-m", f"{memory}M",
                    "-nodefaults", "-display", "none", "-serial", f"file:{serial}",
                    "-kernel", str(kernel.vmlinuz), "-initrd", str(folder / "initrd"),
                    "-append", f"{WORDS} {words}"]
        reader, control = os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(reader), str(limit),
                 str(log.with_suffix(".qemu")), *emulator],
                pass_fds=(reader,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
        finally:
            os.close(reader)
        try:
            status = bochs.follow(process, serial, log, said.append)
        finally:
            os.close(control)
            process.wait()
            console = serial.read_text(errors="replace") if serial.exists() else ""
            log.write_text(console)
    return status, "".join(said), console


def archive(kernel: Kernel, command: str, tree: modules.TreeModules | None,
            files: Sequence[Path] = ()) -> bytes:
    """The initramfs: busybox, the half, the files, the command."""
    return bochs.archive(bochs.BochsRun(kernel, command, tree, files))
