# SPDX-License-Identifier: GPL-2.0-only
"""What the firmware tests share: the build, a reporting kernel, QEMU to boot it."""
from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
FIRMWARE = TREE / "firmware"
sys.path.insert(0, str(FIRMWARE / "scripts"))

PM_CFLAGS = ["-m32", "-march=i386", "-Os", "-ffreestanding", "-fno-pic",
             "-fno-pie", "-fno-stack-protector", "-fcf-protection=none",
             "-fno-asynchronous-unwind-tables", "-fomit-frame-pointer",
             "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror"]
PM_LINK = """SECTIONS {
  . = 0x100000;
  .image : { *(.start) *(.text*) *(.rodata*) *(.data*) }
  /DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) }
}
"""
PM_SIZE = 4096      # the payload's code is padded to this; the data follows


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed; its output is in the test's report."""
    done = subprocess.run([str(part) for part in command], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **options)
    print(done.stdout)
    assert done.returncode == 0, f"{command[0]}: status {done.returncode}"
    return done


@dataclass(frozen=True)
class Built:
    """What the Meson build made."""

    build: Path

    @property
    def out(self) -> Path:
        return self.build / "firmware"

    @property
    def bios(self) -> Path:
        return self.out / "bios.bin"

    @property
    def rom(self) -> Path:
        return self.out / "linuxboot" / "linuxboot.rom"

    def compile(self) -> subprocess.CompletedProcess[str]:
        """Compile the firmware targets only; the rest of the tree is not ours."""
        return run("ninja", "-C", self.build, *(
            target.relative_to(self.build) for target in (self.bios, self.rom)))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The firmware of this tree, by Meson in a build directory of its own."""
    build = tmp_path_factory.mktemp("firmware") / "build"
    run("meson", "setup", build, TREE, "-Dkernel=disabled", "-Dfirmware=enabled")
    made = Built(build)
    made.compile()
    return made


@pytest.fixture(scope="session")
def tarball() -> Path:
    """The pinned source, verified, in the project's cache."""
    import fetch
    import pin
    return fetch.fetch(pin.read_pin(FIRMWARE / "PIN"))


@dataclass(frozen=True)
class Payload:
    """The two halves of the reporting bzImage, see payload_*.[Sc]."""

    setup: bytes
    code: bytes

    def bzimage(self, data: bytes, *, cmdline_size: int = 255,
                initrd_addr_max: int = 0x7FFFFFFF, init_size: int = 0,
                protocol: int = 0x020F) -> bytes:
        """A kernel image of the payload with `data` behind its code."""
        setup = bytearray(self.setup)
        struct.pack_into("<H", setup, 0x206, protocol)
        struct.pack_into("<I", setup, 0x22C, initrd_addr_max)
        struct.pack_into("<I", setup, 0x238, cmdline_size)
        # payload_offset and payload_length say where the data is.
        struct.pack_into("<II", setup, 0x248, PM_SIZE, len(data))
        struct.pack_into("<I", setup, 0x260, init_size)
        return bytes(setup) + self.code + data


@pytest.fixture(scope="session")
def flat_payload(tmp_path_factory: pytest.TempPathFactory
                 ) -> Callable[[str], bytes]:
    """Assemble a source file of 16-bit code, from offset 0, to plain bytes."""
    def assemble(name: str) -> bytes:
        work = tmp_path_factory.mktemp("flat")
        run("gcc", "-m32", "-c", HERE / name, "-o", work / "a.o")
        run("ld", "-m", "elf_i386", "--section-start=.setup=0", "-e", "0",
            "-o", work / "a.elf", work / "a.o")
        run("objcopy", "-O", "binary", "-j", ".setup", work / "a.elf",
            work / "a.bin")
        return (work / "a.bin").read_bytes()
    return assemble


@pytest.fixture(scope="session")
def payload(tmp_path_factory: pytest.TempPathFactory,
            flat_payload: Callable[[str], bytes]) -> Payload:
    """Build the reporting kernel once."""
    work = tmp_path_factory.mktemp("payload")
    (work / "kernel.lds").write_text(PM_LINK)
    run("gcc", *PM_CFLAGS, "-c", HERE / "payload_kernel.c", "-o",
        work / "kernel.o")
    run("ld", "-m", "elf_i386", "--no-warn-rwx-segments", "-T",
        work / "kernel.lds", "-o", work / "kernel.elf", work / "kernel.o")
    run("objcopy", "-O", "binary", work / "kernel.elf", work / "kernel.bin")
    code = (work / "kernel.bin").read_bytes()
    assert len(code) <= PM_SIZE
    setup = flat_payload("payload_setup.S")
    assert len(setup) == 2 * 512
    return Payload(setup, code.ljust(PM_SIZE, b"\0"))


@dataclass
class Boot:
    """How a boot went: QEMU's status and what the debug console got."""

    status: int | None          # None: still running when stopped
    console: str
    report: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.report = dict(re.findall(r"^payload: (\w+)=(.*)$", self.console,
                                      re.MULTILINE))

    def number(self, name: str) -> int:
        """A value that the payload reported."""
        return int(self.report[name], 16)


@pytest.fixture
def boot(built: Built, tmp_path: Path) -> Callable[..., Boot]:
    """Boot in Debian's QEMU (emulation) with our bios.bin and option ROM.

    QEMU's -kernel fills the fw_cfg keys and wants a ROM of its own by name:
    its data directory here has ours under that name, or, with
    `rom="genroms"`, an empty one there and ours under the VMM's name.
    """
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        pytest.skip("no qemu-system-x86_64")

    def boot_(kernel: Path | None, *, initrd: Path | None = None,
              cmdline: str = "", memory: int = 64, dma: bool = True,
              rom: str = "qemu", until: str = "payload: done",
              timeout: float = 60, serial: str = "null",
              drive: Path | None = None, device: str = "") -> Boot:
        data = tmp_path / "qemu-data"
        data.mkdir(exist_ok=True)
        for name in ("linuxboot.bin", "linuxboot_dma.bin"):
            (data / name).write_bytes(
                built.rom.read_bytes() if rom == "qemu" else bytes(512))
        log = tmp_path / "debugcon"
        log.write_bytes(b"")
        command = [qemu, "-L", str(data), "-bios", str(built.bios),
                   "-accel", "tcg", "-m", str(memory), "-nodefaults",
                   "-display", "none", "-no-reboot", "-serial", serial,
                   "-debugcon", f"file:{log}",
                   "-global", "isa-debugcon.iobase=0x402",
                   "-global", f"fw_cfg.dma_enabled={'on' if dma else 'off'}",
                   "-device", "isa-debug-exit,iobase=0xf4"]
        if kernel:
            command += ["-kernel", str(kernel), "-append", cmdline]
        if drive:
            command += ["-drive", f"if=none,id=d,format=raw,file={drive}",
                        "-device", f"{device},drive=d"]
        if initrd:
            command += ["-initrd", str(initrd)]
        if rom == "genroms":
            command += ["-fw_cfg", "name=genroms/unikvm-linuxboot.rom,"
                        f"file={built.rom}"]
        status = run_until(command, log, until, timeout)
        console = log.read_text(encoding="ascii", errors="replace")
        print(console)
        return Boot(status, console)

    return boot_


def run_until(command: list[str], log: Path, until: str,
              timeout: float) -> int | None:
    """Run until the process ends (its status) or `log` has a line of `until`."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            for _ in range(int(timeout * 10)):
                try:
                    return process.wait(0.1)
                except subprocess.TimeoutExpired:
                    if re.search(until + r".*\n", log.read_text(
                            encoding="ascii", errors="replace")):
                        return None
            pytest.fail(f"no {until!r} in {timeout} s; the debug console has:\n"
                        + log.read_text(errors="replace")[-2000:])
        finally:
            process.kill()


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Write a file of the test's own."""
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path
    return write


@pytest.fixture
def build_bios() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run build_bios.py as Meson does, with other inputs."""
    def run_script(out: Path, *args: object, firmware: Path = FIRMWARE,
                   patches: Path | None = None, env: dict[str, str] | None = None,
                   prefix: tuple[str, ...] = (), umask: int = -1
                   ) -> subprocess.CompletedProcess[str]:
        command = [*prefix, sys.executable,
                   str(firmware / "scripts" / "build_bios.py"),
                   "--pin", str(firmware / "PIN"),
                   "--config", str(firmware / "config" / "seabios.config"),
                   "--patches", str(patches or firmware / "patches"),
                   "--out", str(out), *(str(arg) for arg in args)]
        done = subprocess.run(command, env=os.environ | (env or {}), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, umask=umask,
                              check=False)
        print(done.stdout)
        return done
    return run_script
