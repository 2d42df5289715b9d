# SPDX-License-Identifier: GPL-2.0-only
"""What a guest run is asked to do, and how it ended: plain data that crosses to L1."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from unikvm.lab import LabError

BOOTS = ("firmware", "direct")
# For a Linux guest. noearly: on a processor of a family that had a GART, as the lab's emulated one,
# Linux looks early for an AGP bridge on all 256 buses, and that was four exits of five of a boot.
CMDLINE = "console=ttyS0 panic=-1 pci=noearly"
DISK_BY_SERIAL = "virtio-serial:"  # a disk that L1 finds by its virtio serial number


@dataclass(frozen=True)
class DiskSpec:
    """--disk PATH[,readonly]."""

    path: str
    readonly: bool = False


@dataclass(frozen=True)
class GuestConfig:
    """A guest. memory in MiB; times in seconds, 0 for no limit.

    `kernel` None boots from the first disk. `default_init`: our init runs in the
    guest and talks on the control console; `interactive`: somebody types.
    """

    kernel: str | None = None
    initrd: str | None = None
    cmdline: str = ""
    boot: str = "firmware"
    firmware: str | None = None
    disks: tuple[DiskSpec, ...] = ()
    memory: int = 512
    cpus: int = 1
    default_init: bool = True
    interactive: bool = False
    boot_limit: float = 0.0
    limit: float = 0.0

    def to_json(self) -> str:
        """For a command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "GuestConfig":
        """The counterpart."""
        values = json.loads(text)
        values["disks"] = tuple(DiskSpec(**each) for each in values["disks"])
        return cls(**values)


@dataclass(frozen=True)
class Outcome:
    """How a guest ended.

    `status`: what its init reported, if it did. `end`: the VMM's word for it, or
    "boot limit", "time limit". `report`: registers and code of a guest that died.
    """

    end: str
    status: int | None = None
    ready: bool = False
    detail: str = ""
    report: str = ""

    @classmethod
    def from_event(cls, event: dict) -> "Outcome":
        """From what `onhost` sends."""
        return cls(**event["outcome"])


def parse_disk(text: str) -> DiskSpec:
    """Check a --disk argument against the file; LabError is one line."""
    name, _, options = text.partition(",")
    if options not in ("", "readonly"):
        raise LabError(f"disk {text}: the only option is ,readonly")
    path = Path(name)
    disk = DiskSpec(str(path.absolute()), readonly=options == "readonly")
    try:
        with open(path, "rb" if disk.readonly else "r+b") as file:
            size = file.seek(0, 2)
    except FileNotFoundError:
        raise LabError(f"disk {name}: no such file") from None
    except IsADirectoryError:
        raise LabError(f"disk {name} is a directory, not an image") from None
    except OSError as error:
        hint = "; add ,readonly to use it so" if not disk.readonly else ""
        raise LabError(f"disk {name}: {error.strerror}{hint}") from error
    if size == 0 or size % 512:
        raise LabError(f"disk {name}: {size} bytes is no whole number of 512-byte sectors")
    return disk
