# SPDX-License-Identifier: GPL-2.0-only
"""Debian's QEMU as the other VMM: boots what ours boots."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from unikvm.lab import initramfs, kernels


@dataclass(frozen=True)
class QemuRun:
    """What a guest under QEMU left behind."""

    status: int
    stdout: bytes
    stderr: bytes
    control: bytes
    serial: str


def in_l1(l1, scratch: Path, command: str, options: str = "", timeout: float = 200) -> QemuRun:
    """Run a command in our default guest under L1's QEMU with KVM, one vCPU, no graphics."""
    kernel = kernels.resolve(None, kernels.DEFAULT_L2)
    folder = scratch / "qemu"
    folder.mkdir(exist_ok=True)
    (folder / "initrd").write_bytes(initramfs.initramfs(kernel).read_bytes()
                                    + initramfs.command_archive(command))
    words = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", "512",
             "-nodefaults", "-vga", "none", "-display", "none", "-no-reboot",
             "-serial", f"file:{folder}/serial", "-kernel", str(kernel.vmlinuz),
             "-initrd", f"{folder}/initrd", "-append", "console=ttyS0 quiet panic=-1"]
    for number in range(3):
        words += ["-device", f"virtio-serial-pci,id=bus{number}",
                  "-chardev", f"file,id=hvc{number},path={folder}/hvc{number}",
                  "-device", f"virtconsole,bus=bus{number}.0,chardev=hvc{number}"]
    result = l1.run(f"{shlex.join(words)} {options} </dev/null", timeout=timeout)
    streams = [(folder / f"hvc{number}").read_bytes() for number in range(3)]
    serial = (folder / "serial").read_text(errors="replace")
    assert result.status == 0, f"{result.stderr.decode()}\n{serial}"
    return QemuRun(result.status, *streams, serial)
