# SPDX-License-Identifier: GPL-2.0-only
"""Debian's QEMU, of any suite, on the kernel half: the cases.

`unikvm.lab.qemu_l1` is the part that runs in L1, beside QEMU.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from unikvm.lab import guests

MACHINES, IRQCHIPS, BOOTS = ("pc", "q35"), ("on", "split"), ("direct", "seabios")
CPUS = (1, 2, 4)
PROGRAM = "unikvm.lab.qemu_l1"
# Seconds for a case inside an L1 under emulation on a busy host.
CASE_LIMIT = 240.0


@dataclass(frozen=True)
class Case:
    """One run of QEMU.

    what: "boot" (init, disk and net traffic, power-off), "reset" (by the guest, which boots
    again), "snapshot" (savevm, loadvm), "gdb" (stepping, stopping), "breakpoint" (hits),
    "memtest" (memtest86+). boot: "direct" hands the kernel over with -kernel, "seabios" has
    SeaBIOS start a boot loader from a disk, "ovmf" is -kernel through UEFI firmware in flash
    chips. guest: a name in guests.LINUX.
    """

    what: str
    machine: str
    cpus: int
    irqchip: str
    boot: str = "direct"
    guest: str = "amd64"

    @property
    def name(self) -> str:
        """As in the table and on the command line."""
        name = f"{self.what}-{self.machine}-{self.cpus}cpu-{self.irqchip}-{self.boot}"
        return name if self.guest == "amd64" else f"{name}-{self.guest}"


def all_cases() -> list[Case]:
    """The matrix."""
    boots = [Case("boot", machine, cpus, irqchip, boot) for machine, cpus, irqchip, boot in
             itertools.product(MACHINES, CPUS, IRQCHIPS, BOOTS)]
    others = [Case(what, machine, cpus, irqchip) for what, machine, irqchip, cpus in
              itertools.product(("reset", "snapshot", "gdb"), MACHINES, IRQCHIPS, (1, 4))]
    return [*boots, *others, Case("breakpoint", "q35", 2, "on"), *other_guests()]


def other_guests() -> list[Case]:
    """Each of what the matrix lacks: 32-bit paging, flash, no chip set, no Linux, no irqchip."""
    return [*(Case("boot", machine, cpus, "on", "direct", guest)
              for guest in guests.LINUX if guest != "amd64"
              for machine, cpus in (("pc", 1), ("q35", 2))),
            *(Case("boot", "q35", cpus, "on", "ovmf") for cpus in (1, 2)),
            *(Case("boot", "microvm", cpus, "on") for cpus in (1, 2)),
            *(Case("memtest", machine, 2, "on") for machine in MACHINES),
            Case("boot", "q35", 1, "off")]


# What the test of one plain boot leaves out: two CPUs, the other chip set, most
# interrupt chips in user space.
SHORT = (Case("boot", "q35", 2, "split"),)


def files(case: Case) -> dict[str, object]:
    """What a case boots, for its order."""
    if case.what == "memtest":
        return {"vmlinuz": str(guests.memtest())}
    linux = guests.linux(case.guest)
    return {"vmlinuz": str(linux.vmlinuz), "release": linux.release,
            "initramfs": str(linux.initramfs),
            "flash": list(map(str, guests.ovmf())) if case.boot == "ovmf" else []}


def order(case: Case, program: Sequence[str]) -> dict[str, object]:
    """What PROGRAM is to do. program: the words that start QEMU."""
    return {**dataclasses.asdict(case), **files(case), "qemu": [*program], "limit": CASE_LIMIT}
