# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory as KVM memory slots, with the shadowing below 1 MiB.

The host bridge's PAM registers decide for each segment from 0xc0000 up whether
reads and writes go to RAM or to the bus.  Where reads go to the bus there is
the firmware's ROM (last 128 KiB) or nothing; a write that must not change
anything meets a read-only slot and ends on the MMIO bus, which nobody claims.
"""
from __future__ import annotations

from dataclasses import dataclass

from ..abi import constants as abi
from ..boot import layout
from ..core.memory import GuestMemory
from ..core.vm import Vm

SEGMENT = 16 << 10
# The last segment, from 0xf0000, is one of 64 KiB.
BIOS_SEGMENT = 0xF_0000


@dataclass(frozen=True)
class Mapping:
    """What a slot maps; hva is a host address, the rest bytes."""

    gpa: int
    size: int
    hva: int
    read_only: bool = False


def segments() -> list[tuple[int, int]]:
    """(gpa, size) of the segments that PAM registers switch."""
    small = [(gpa, SEGMENT) for gpa in range(layout.PAM_BASE, BIOS_SEGMENT, SEGMENT)]
    return [*small, (BIOS_SEGMENT, layout.PAM_END - BIOS_SEGMENT)]


class MemorySlots:
    """Owns the numbering of a VM's slots.

    rom: where memory holds the firmware image (gpa of its first byte), or None
    for a machine whose PAM segments are all RAM from the start.
    """

    def __init__(self, vm: Vm, memory: GuestMemory, rom: tuple[int, int] | None = None) -> None:
        self._vm, self._memory, self._rom = vm, memory, rom
        self._read_only = bool(vm.check(abi.KVM_CAP_READONLY_MEM))
        self._slots: dict[int, Mapping] = {}
        self._segments = {gpa: number for number, (gpa, _) in enumerate(segments())}
        self._map_fixed()
        for gpa, size in segments():
            self.pam_changed(gpa, size, rom is None, rom is None)

    def _map_fixed(self) -> None:
        (_, low), *high = self._memory.regions
        first = len(self._segments)
        pieces = [(0, layout.VGA_BASE), (layout.PAM_END, low - layout.PAM_END), *high]
        for slot, (gpa, size) in enumerate(pieces, first):
            self._set(slot, Mapping(gpa, size, self._memory.hva(gpa)))
        if self._rom is not None:
            gpa, size = self._rom
            self._set(first + len(pieces), Mapping(gpa, size, self._memory.hva(gpa), True))

    def pam_changed(self, gpa: int, size: int, read_ram: bool, write_ram: bool) -> None:
        """A segment was switched.

        Reads from the bus with writes to RAM is a state KVM cannot show; a
        firmware passes through it at most, and it then reads the ROM.
        """
        slot = self._segments[gpa]
        if read_ram:
            hva = self._memory.hva(gpa)
            self._set(slot, Mapping(gpa, size, hva, read_only=not write_ram))
        else:
            self._set(slot, self._rom_alias(gpa, size))

    def _rom_alias(self, gpa: int, size: int) -> Mapping | None:
        """The part of the ROM that shows at gpa: its end lies at 1 MiB too."""
        if self._rom is None or gpa < layout.FIRMWARE_SHADOW_END - layout.FIRMWARE_SHADOW_MAX:
            return None
        base, rom_size = self._rom
        offset = rom_size - (layout.FIRMWARE_SHADOW_END - gpa)
        if offset < 0:
            return None
        return Mapping(gpa, size, self._memory.hva(base + offset), read_only=True)

    def _set(self, slot: int, mapping: Mapping | None) -> None:
        old = self._slots.get(slot)
        if old == mapping:
            return
        if old is not None:
            # KVM does not change the read-only flag of a slot that exists.
            self._vm.set_memory(slot, old.gpa, 0, old.hva)
            del self._slots[slot]
        if mapping is not None:
            flags = abi.KVM_MEM_READONLY if mapping.read_only and self._read_only else 0
            self._vm.set_memory(slot, mapping.gpa, mapping.size, mapping.hva, flags)
            self._slots[slot] = mapping

    @property
    def mappings(self) -> list[Mapping]:
        """What is mapped now, by address."""
        return sorted(self._slots.values(), key=lambda mapping: mapping.gpa)
