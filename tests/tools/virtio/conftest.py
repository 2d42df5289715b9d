# SPDX-License-Identifier: GPL-2.0-only
"""The driver's side of virtio, for tests: rings in guest memory, a function behind PCI ports."""

from __future__ import annotations

import struct
import time
from typing import Any, Callable, Iterator

import pytest

from unikvm.core.bus import Bus
from unikvm.core.eventloop import EventLoop
from unikvm.core.irq import IrqLine, Msi, SharedLine
from unikvm.core.memory import GuestMemory
from unikvm.pci.bridges import IsaBridge
from unikvm.pci.bus import PciBus
from unikvm.virtio.device import VirtioDevice
from unikvm.virtio.pci import VirtioPci

RAM = 4 << 20
WINDOW = 0xC0000000
NEXT, WRITE, INDIRECT = 1, 2, 4
VERSION_1 = 1 << 32
PATIENCE = 10.0


class DriverRing:
    """A split queue as a driver keeps it; `base` is where its areas start."""

    def __init__(self, memory: GuestMemory, base: int, size: int, event: bool = False) -> None:
        self.memory, self.size, self.event = memory, size, event
        self.desc, self.avail = base, base + 16 * size
        self.used = (self.avail + 6 + 2 * size + 3) & ~3
        self.end = (self.used + 6 + 8 * size + 0xFFF) & ~0xFFF
        memory.fill(base, 0, self.end - base)
        self.free = list(range(size))
        self.chains: dict[int, list[int]] = {}
        self.avail_index = self.used_index = 0

    def descriptor(self, index: int, address: int, length: int, flags: int, link: int) -> None:
        self.memory.write(self.desc + 16 * index, struct.pack("<QIHH", address, length, flags, link))

    def add(self, readable: list[tuple[int, int]], writable: list[tuple[int, int]]) -> int:
        """Put a chain into the table; returns its head."""
        parts = [(a, n, 0) for a, n in readable] + [(a, n, WRITE) for a, n in writable]
        slots = [self.free.pop(0) for _ in parts]
        for i, (address, length, flags) in enumerate(parts):
            last = i == len(parts) - 1
            self.descriptor(
                slots[i], address, length, flags | (0 if last else NEXT), 0 if last else slots[i + 1]
            )
        self.chains[slots[0]] = slots
        return slots[0]

    def publish(self, *heads: int) -> None:
        for head in heads:
            self.memory.store16(self.avail + 4 + 2 * (self.avail_index % self.size), head)
            self.avail_index = self.avail_index + 1 & 0xFFFF
        self.memory.store16(self.avail + 2, self.avail_index)

    def take_used(self) -> list[tuple[int, int]]:
        """New used elements as (head, written)."""
        result = []
        while self.used_index != self.memory.load16(self.used + 2):
            at = self.used + 4 + 8 * (self.used_index % self.size)
            head, written = self.memory.load32(at), self.memory.load32(at + 4)
            self.free += self.chains.pop(head, [])
            result.append((head, written))
            self.used_index = self.used_index + 1 & 0xFFFF
        return result


class Function:
    """Drives a VirtioPci through configuration ports and BARs, as an operating system does."""

    def __init__(self, machine: Machine, card: VirtioPci, slot: int) -> None:
        self.machine, self.card, self.slot = machine, card, slot
        self.windows: dict[int, int] = {}
        self.find_structures()

    def config_read(self, offset: int, width: int) -> int:
        self.machine.pio.write(0xCF8, 4, 1 << 31 | self.slot << 11 | offset & 0xFC)
        return self.machine.pio.read(0xCFC + (offset & 3), width)

    def config_write(self, offset: int, width: int, value: int) -> None:
        self.machine.pio.write(0xCF8, 4, 1 << 31 | self.slot << 11 | offset & 0xFC)
        self.machine.pio.write(0xCFC + (offset & 3), width, value)

    def find_structures(self) -> None:
        at = self.config_read(0x34, 1)
        self.capabilities: dict[int, int] = {}
        while at:
            if self.config_read(at, 1) == 9:
                kind, bar = self.config_read(at + 3, 1), self.config_read(at + 4, 1)
                base = self.config_read(0x10 + 4 * bar, 4) & ~0xF
                self.windows[kind] = base + self.config_read(at + 8, 4)
                self.capabilities[kind] = at
            else:
                self.capabilities[-self.config_read(at, 1)] = at
            at = self.config_read(at + 1, 1)

    def read(self, offset: int, width: int, kind: int = 1) -> int:
        return self.machine.mmio.read(self.windows[kind] + offset, width)

    def write(self, offset: int, width: int, value: int, kind: int = 1) -> None:
        self.machine.mmio.write(self.windows[kind] + offset, width, value)

    @property
    def status(self) -> int:
        return self.read(20, 1)

    @status.setter
    def status(self, value: int) -> None:
        self.write(20, 1, value)

    def features(self) -> int:
        words = []
        for select in (0, 1):
            self.write(0, 4, select)
            words.append(self.read(4, 4))
        return words[0] | words[1] << 32

    def negotiate(self, features: int = VERSION_1) -> None:
        self.status = 0
        self.status = 1
        self.status = 3
        for select in (0, 1):
            self.write(8, 4, select)
            self.write(12, 4, features >> (32 * select) & 0xFFFFFFFF)
        self.status = 11

    def set_queue(self, index: int, ring: DriverRing, vector: int = 0xFFFF) -> None:
        self.write(22, 2, index)
        self.write(24, 2, ring.size)
        self.write(26, 2, vector)
        for offset, address in ((32, ring.desc), (40, ring.avail), (48, ring.used)):
            self.write(offset, 4, address & 0xFFFFFFFF)
            self.write(offset + 4, 4, address >> 32)
        self.write(28, 2, 1)

    def kick(self, index: int) -> None:
        self.write(4 * index, 2, index, kind=2)

    def start(self, *rings: DriverRing, features: int = VERSION_1) -> None:
        """Everything up to DRIVER_OK."""
        self.negotiate(features)
        for index, ring in enumerate(rings):
            self.set_queue(index, ring)
        self.status = 15

    def enable_msix(self, vectors: int) -> int:
        """Unmask all vectors with address 0xfee00000 + 16 * vector and data vector."""
        base = self.config_read(0x10 + 4 * 1, 4) & ~0xF
        for vector in range(vectors):
            for offset, value in ((0, 0xFEE00000 + 16 * vector), (4, 0), (8, vector), (12, 0)):
                self.machine.mmio.write(base + 16 * vector + offset, 4, value)
        self.config_write(self.capabilities[-0x11] + 2, 2, 0x8000)
        return base


class Machine:
    """Just enough machine around one function."""

    def __init__(self) -> None:
        self.memory = GuestMemory([(0, RAM)])
        self.loop = EventLoop()
        self.pio, self.mmio = Bus("pio", 16, self.loop.lock), Bus("mmio", 48, self.loop.lock)
        self.bus = PciBus(self.pio, self.mmio)
        self.bus.attach()
        self.msi = Msi()
        self.lines = {gsi: IrqLine() for gsi in range(16)}
        shared = {gsi: SharedLine(line) for gsi, line in self.lines.items()}
        self.isa = IsaBridge(shared.__getitem__)
        self.bus.add(self.isa, 1)
        self.isa.set_routes((10, 10, 11, 11))
        self.doorbells: dict[int, int] = {}
        self.cards: list[VirtioPci] = []

    def doorbell(self, address: int, fd: int, assign: bool) -> None:
        if assign:
            self.doorbells[address] = fd
        else:
            assert self.doorbells.pop(address) == fd

    def plug(self, device: VirtioDevice, slot: int = 2) -> Function:
        card = VirtioPci(device, self.memory, self.loop, self.msi, self.doorbell)
        self.cards.append(card)
        self.bus.add(card, slot)
        self.bus.assign(WINDOW, 0xFEC00000)
        return Function(self, card, slot)

    def wait(self, condition: Callable[[], Any]) -> Any:
        """The first true value of condition(), which the event loop's thread will bring."""
        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert self.loop.failure is None, self.loop.failure
            assert time.monotonic() < end, "nothing happened"
            time.sleep(0.001)
        return value

    def settle(self) -> None:
        """Wait until the loop has handled everything that is ready now."""
        for _ in range(3):
            done: list[int] = []
            self.loop.call_soon(lambda: done.append(1))
            self.wait(lambda: done)


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    made.loop.start()
    yield made
    made.loop.stop()
    assert made.loop.failure is None
    for card in made.cards:
        card.close()


@pytest.fixture
def make_machine() -> type[Machine]:
    """For tests that want one without a running loop."""
    return Machine


@pytest.fixture
def make_ring(machine: Machine) -> Callable[..., DriverRing]:
    """make_ring(size): a ring in fresh guest memory, from 2 MiB on."""
    state = {"next": 2 << 20}

    def make(size: int, event: bool = False) -> DriverRing:
        ring = DriverRing(machine.memory, state["next"], size, event)
        state["next"] = ring.end
        return ring

    return make
