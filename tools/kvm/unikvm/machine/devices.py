# SPDX-License-Identifier: GPL-2.0-only
"""The one device table: what a machine has, where, and in which order it is wired."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

from ..block.raw import RawDisk
from ..boot import layout
from ..core.irq import GsiLine, IrqLine, SharedLine, VmMsi
from ..hw.fwcfg import FwCfg
from ..hw.i8042 import I8042
from ..hw.pm import PowerManagement
from ..hw.ports import DebugConsole, Port92
from ..hw.rtc import Rtc
from ..hw.serial import Serial
from ..pci.bridges import HostBridge, IsaBridge
from ..pci.bridges import PowerManagement as PciPowerManagement
from ..pci.bus import PciBus
from ..virtio.blk import VirtioBlk
from ..virtio.console import VirtioConsole
from ..virtio.pci import VirtioPci
from .machine import Machine
from .memslots import MemorySlots
from .terminal import TerminalBackend


@dataclass
class Wiring:
    """A machine in the making, and the parts that others are wired to."""

    machine: Machine
    slots: MemorySlots
    fwcfg: FwCfg
    pci: PciBus | None = None
    host_bridge: HostBridge | None = None
    isa_bridge: IsaBridge | None = None
    disk_slots: list[int] = field(default_factory=list)
    _lines: dict[int, SharedLine] = field(default_factory=dict)
    _next_slot: int = layout.FIRST_FREE_SLOT

    def shared_line(self, gsi: int) -> SharedLine:
        """The one line of a GSI, whoever else is on it."""
        if gsi not in self._lines:
            self._lines[gsi] = SharedLine(GsiLine(self.machine.vm, gsi))
        return self._lines[gsi]

    def line(self, gsi: int) -> IrqLine:
        """A new source on a GSI."""
        return self.shared_line(gsi).source()

    def plug(self, device) -> int:
        """Put a virtio device into the next free PCI slot; returns the slot."""
        machine = self.machine
        transport = VirtioPci(device, machine.memory, machine.loop, VmMsi(machine.vm),
                              doorbell=self._doorbell)
        self.pci.add(transport, self._next_slot)
        machine.devices.append(device)
        self._next_slot += 1
        return self._next_slot - 1

    def _doorbell(self, address: int, fd: int, assign: bool) -> None:
        self.machine.vm.ioeventfd(address, 2, fd, assign=assign)


def _com1(w: Wiring) -> None:
    backend = w.machine.config.serial
    if isinstance(backend, TerminalBackend):
        backend.on_quit = w.machine.ender("stopped")
    serial = Serial(w.line(layout.GSI_COM1), backend, w.machine.loop)
    w.machine.devices.append(serial)
    w.machine.pio.register(layout.PORT_COM1, Serial.SIZE, serial, "com1", 1)


def _rtc(w: Wiring) -> None:
    rtc = Rtc(w.line(layout.GSI_RTC), w.machine.loop.timer)
    rtc.set_memory(w.machine.config.memory, w.machine.config.cpus)
    w.machine.pio.register(layout.PORT_RTC, Rtc.SIZE, rtc, "rtc", 1)


def _i8042(w: Wiring) -> None:
    chip = I8042(w.line(layout.GSI_KEYBOARD), w.machine.ender("reset"))
    w.machine.pio.register(layout.PORT_I8042_DATA, 1, chip.data, "i8042 data", 1)
    w.machine.pio.register(layout.PORT_I8042_COMMAND, 1, chip.command, "i8042 command", 1)


def _port92(w: Wiring) -> None:
    port = Port92(w.machine.ender("reset"))
    w.machine.pio.register(layout.PORT_92, Port92.SIZE, port, "port 92", 1)


def _debugcon(w: Wiring) -> None:
    if w.machine.config.debugcon is not None:
        console = DebugConsole(w.machine.config.debugcon)
        w.machine.pio.register(layout.PORT_DEBUGCON, DebugConsole.SIZE, console, "debugcon", 1)


def _fwcfg(w: Wiring) -> None:
    w.machine.pio.register(layout.PORT_FW_CFG, FwCfg.SIZE, w.fwcfg, "fw_cfg")


def _pm(w: Wiring) -> None:
    pm = PowerManagement(w.line(layout.GSI_SCI), w.machine.ender("shutdown"),
                         layout.S5_SLEEP_TYPE, w.machine.loop.timer)
    w.machine.pio.register(layout.PM_BASE, PowerManagement.SIZE, pm, "acpi pm", 4)


def _pci(w: Wiring) -> None:
    w.pci = PciBus(w.machine.pio, w.machine.mmio, w.machine.ender("reset"))
    w.pci.attach()
    w.host_bridge = HostBridge(w.slots.pam_changed)
    w.isa_bridge = IsaBridge(w.shared_line)
    w.pci.add(w.host_bridge, *layout.SLOT_HOST_BRIDGE)
    w.pci.add(w.isa_bridge, *layout.SLOT_ISA_BRIDGE)
    w.pci.add(PciPowerManagement(layout.PM_BASE), *layout.SLOT_PM)


def _disks(w: Wiring) -> None:
    for number, disk in enumerate(w.machine.config.disks):
        image = RawDisk.open(disk.path, read_only=disk.read_only)
        w.disk_slots.append(w.plug(VirtioBlk(image, f"disk{number}")))


def _consoles(w: Wiring) -> None:
    for backend in w.machine.config.consoles:
        w.plug(VirtioConsole(backend))


# PCI before what sits on it; disks before consoles, so that a disk's place
# does not depend on how many consoles there are.
DEVICES: tuple[tuple[str, Callable[[Wiring], None]], ...] = (
    ("com1", _com1),
    ("rtc", _rtc),
    ("i8042", _i8042),
    ("port 92", _port92),
    ("debugcon", _debugcon),
    ("fw_cfg", _fwcfg),
    ("acpi pm", _pm),
    ("pci", _pci),
    ("disks", _disks),
    ("consoles", _consoles),
)
