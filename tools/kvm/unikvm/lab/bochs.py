# SPDX-License-Identifier: GPL-2.0-only
"""A second emulator for L1: Bochs, whose AMD processor has what QEMU's lacks.

Its SVM saves the next RIP and flushes by ASID, so the module's paths for
those run, and its checks of a VMCB are somebody else's. It is slow and shares
nothing with this host: kernel, modules and files go onto a disk image, a
command runs there, and its output comes back over the serial line.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unikvm.lab import LabError, guard, initramfs, modules, places
from unikvm.lab.cpio import CpioArchive
from unikvm.lab.kernels import Kernel

PROCESSOR = "trinity_apu"   # AMD family 15h; the "ryzen" of Bochs 2.7 boots no Linux
CYLINDERS, HEADS, SECTORS = 160, 16, 63     # of 512 bytes: 78 MiB
BIOS = Path("/usr/share/bochs")
PACKAGES = {"bochs": "bochs bochs-term bochsbios vgabios", "syslinux": "syslinux",
            "mcopy": "mtools", "script": "bsdutils"}
BEGIN, END, REFUSED = "unikvm-begin", "unikvm-end", "unikvm-refused"

CONFIG = """\
megs: {memory}
cpu: model={processor}, ips=100000000
clock: sync=none
romimage: file={bios}/BIOS-bochs-latest
vgaromimage: file={bios}/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={folder}/disk, mode=flat, cylinders={cylinders}, heads={heads}, \
spt={sectors}
boot: disk
com1: enabled=1, mode=file, dev={folder}/serial
display_library: term
log: {folder}/log
panic: action=fatal
"""

SYSLINUX = """\
DEFAULT linux
LABEL linux
  KERNEL vmlinuz
  INITRD initrd
  APPEND console=ttyS0 loglevel=5 panic=1
"""

INIT = """\
#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t debugfs debug /sys/kernel/debug
exec </dev/null >/dev/ttyS0 2>&1
cd /
{load}
echo {begin}
sh /command
echo {end} $?
sleep 1000
"""


@dataclass(frozen=True)
class BochsRun:
    """A command (for sh) in a machine with a half loaded. memory in MiB, limit in seconds.

    files: put into the machine's root. parameters: "module.name" -> value.
    """

    kernel: Kernel
    command: str
    tree: modules.TreeModules | None = None     # None: the distribution's half
    files: Sequence[Path] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    memory: int = 384
    limit: float = 900.0


def check_host() -> None:
    """LabError names the packages that are missing."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing:
        raise LabError(f"the Bochs lab needs packages that are not installed: "
                       f"apt-get install {' '.join(missing)}")


def half_files(run: BochsRun) -> list[tuple[str, bytes]]:
    """The modules of the half and those they need, in the order of loading."""
    listed = initramfs.dependencies(run.kernel)
    stock = {initramfs.module_name(path): path for path in listed}
    if run.tree is None:
        wanted = [*reversed(listed[stock["kvm_amd"]]), stock["kvm_amd"]]
        return [(f"{initramfs.module_name(path)}.ko",
                 initramfs.plain_module(run.kernel.modules / path)) for path in wanted]
    ours = (run.tree.kvm, run.tree.kvm_amd)
    needs = sorted({name for path in ours for name in modules.modinfo(path, "depends").split(",")
                    if name and name != "kvm"})
    return [*((f"{name}.ko", initramfs.plain_module(run.kernel.modules / stock[name]))
              for name in needs), *((path.name.replace("-", "_"), stripped(path))
                                    for path in ours)]


def stripped(path: Path) -> bytes:
    """A module without the debug information that would fill the disk."""
    with tempfile.NamedTemporaryFile(suffix=".ko") as file:
        subprocess.run(["strip", "-g", "-o", file.name, str(path)], check=True)
        return Path(file.name).read_bytes()


def archive(run: BochsRun) -> bytes:
    """The initramfs: busybox, the half, the files, the command."""
    made: CpioArchive = initramfs.base()
    load = []
    for name, data in half_files(run):
        made.file(f"modules/{name}", data)
        stem = name.removesuffix(".ko")
        words = [f"{key.partition('.')[2]}={value}" for key, value in run.parameters.items()
                 if key.partition(".")[0] == stem]
        load.append(f"{shlex.join(['insmod', f'/modules/{name}', *words])} || echo {REFUSED} {name}")
    for path in run.files:
        made.file(path.name, path.read_bytes(), 0o755)
    made.file("command", run.command.encode() + b"\n")
    made.file("init", INIT.format(begin=BEGIN, end=END, load="\n".join(load)).encode(), 0o755)
    return bytes(made)


def make_disk(run: BochsRun, folder: Path) -> None:
    """A FAT file system over a whole disk, with its boot loader, made without root."""
    disk = folder / "disk"
    with open(disk, "wb") as file:
        file.truncate(CYLINDERS * HEADS * SECTORS * 512)
    (folder / "initrd").write_bytes(archive(run))
    (folder / "syslinux.cfg").write_text(SYSLINUX)
    shutil.copy(run.kernel.vmlinuz, folder / "vmlinuz")
    files = [str(folder / name) for name in ("vmlinuz", "initrd", "syslinux.cfg")]
    for command in (["mformat", "-i", str(disk), "-t", str(CYLINDERS), "-h", str(HEADS),
                     "-s", str(SECTORS), "::"],
                    ["syslinux", "--install", str(disk)],
                    ["mcopy", "-i", str(disk), *files, "::"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))
        if done.returncode:
            raise LabError(f"cannot make the disk for Bochs: {command[0]}: "
                           f"{(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")


def start(folder: Path, run: BochsRun, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Bochs on a terminal nobody looks at; the control pipe ends it."""
    config = folder / "bochsrc"
    config.write_text(CONFIG.format(
        memory=run.memory, processor=PROCESSOR, bios=BIOS, folder=folder, cylinders=CYLINDERS,
        heads=HEADS, sectors=SECTORS))
    # Debian's Bochs starts in its debugger.
    (folder / "debugger").write_text("c\n")
    command = shlex.join(["bochs", "-q", "-f", str(config), "-rc", str(folder / "debugger")])
    reader, control = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(reader), str(run.limit), str(log),
             "script", "-qec", command, "/dev/null"],
            pass_fds=(reader,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, TERM="vt100", LINES="30", COLUMNS="80"))
    finally:
        os.close(reader)
    return process, control


def follow(process: subprocess.Popen[bytes], serial: Path, saved: Path,
           on_text: Callable[[str], None]) -> int:
    """Pass on what the command prints until it ends; its exit status."""
    begun, text, ended = False, "", False
    while True:
        ended = process.poll() is not None
        data = serial.read_bytes().decode(errors="replace").replace("\r", "") \
            if serial.exists() else ""
        fresh, text = data[len(text):data.rfind("\n") + 1], data[:data.rfind("\n") + 1]
        for line in fresh.splitlines(keepends=True):
            if begun and line.startswith(f"{END} "):
                return int(line.split()[1])
            if line.startswith(REFUSED):
                raise LabError(f"the machine's kernel refused {line.split()[-1]}; log: {saved}")
            if begun:
                on_text(line)
            begun = begun or line.strip() == BEGIN
        if ended:
            last = (data.strip().splitlines() or ["nothing"])[-1]
            raise LabError(f"Bochs ended before the command did, last said: {last}; log: {saved}")
        time.sleep(0.2)


def execute(run: BochsRun, on_text: Callable[[str], None]) -> int:
    """Boot, load, run the command; its exit status. LabError when it never got there."""
    check_host()
    log = places.log_path("bochs")
    with tempfile.TemporaryDirectory(prefix="unikvm-bochs-") as name:
        folder = Path(name)
        make_disk(run, folder)
        process, control = start(folder, run, log.with_suffix(".screen"))
        try:
            return follow(process, folder / "serial", log, on_text)
        finally:
            os.close(control)
            process.wait()
            if (folder / "serial").exists():
                shutil.copy(folder / "serial", log)
            log.with_suffix(".screen").unlink(missing_ok=True)
