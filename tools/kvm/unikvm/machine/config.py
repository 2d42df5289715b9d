# SPDX-License-Identifier: GPL-2.0-only
"""What a machine consists of, as a frozen value; all policy is in here."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Literal

from ..boot import layout
from ..boot.acpi import tables
from ..core.chardev import CharBackend, NullBackend
from ..core.errors import UserError

MIB = 1 << 20


@dataclass(frozen=True)
class DiskConfig:
    """A raw disk image behind virtio-blk."""

    path: Path
    read_only: bool = False


@dataclass(frozen=True)
class MachineConfig:
    """One machine.  Sizes in bytes, times in seconds.

    boot: "direct" enters kernel at its 64-bit entry, without firmware;
    "firmware" hands kernel, initrd and cmdline to the firmware's option ROM;
    "disk" lets the firmware boot a disk.
    consoles: one virtio-console device each, in order (hvc0, hvc1, ...).
    debugcon: gets what the firmware prints for developers.
    """

    boot: Literal["direct", "firmware", "disk"] = "direct"
    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str = ""
    firmware: Path | None = None
    option_rom: Path | None = None
    disks: tuple[DiskConfig, ...] = ()
    memory: int = 512 * MIB
    cpus: int = 1
    serial: CharBackend = field(default_factory=NullBackend)
    consoles: tuple[CharBackend, ...] = ()
    debugcon: Callable[[bytes], None] | None = None
    timeout: float | None = None
    kvm_path: str = "/dev/kvm"

    def check(self) -> None:
        """Raise UserError for what cannot work whatever the host is."""
        if self.memory < layout.MIN_RAM:
            raise UserError(f"{self.memory / MIB:g} MiB of memory is too little for a "
                            f"guest: give at least {layout.MIN_RAM // MIB} MiB (--memory)")
        if self.memory > layout.MAX_RAM or self.memory % MIB:
            raise UserError(f"memory of {self.memory} bytes: give whole MiB, up to "
                            f"{layout.MAX_RAM // MIB} (--memory)")
        if self.cpus < 1:
            raise UserError(f"a machine of {self.cpus} CPUs: give at least 1 (--cpus)")
        if self.cpus > tables.MAX_CPUS:
            raise UserError(f"a machine of {self.cpus} CPUs: give {tables.MAX_CPUS} at most "
                            "(--cpus)")
        if self.boot != "disk" and self.kernel is None:
            raise UserError("no kernel to boot: give one with --kernel")
        if self.boot != "direct" and self.firmware is None:
            raise UserError("no firmware to boot through: build it, or use --boot direct")


def read_file(path: Path, what: str) -> bytes:
    """A whole input file; UserError naming it when that fails."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {what} {path}: {error.strerror}") from None
