# SPDX-License-Identifier: GPL-2.0-only
"""Memory slots and PAM shadowing, against a VM that checks KVM's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.abi.constants import KVM_MEM_READONLY
from unikvm.core.memory import GuestMemory
from unikvm.machine.memslots import MemorySlots, segments

pytestmark = pytest.mark.unit

RAM = 16 << 20
ROM = 0xFFFC0000, 256 << 10


class FakeVm:
    """Refuses what KVM refuses: overlaps, flag changes, deleting what is not there."""

    def __init__(self, read_only=True):
        self.slots, self.read_only = {}, read_only

    def check(self, capability):
        return int(self.read_only)

    def set_memory(self, slot, gpa, size, hva, flags=0):
        if size == 0:
            del self.slots[slot]
            return
        assert slot not in self.slots, "KVM cannot change a slot's flags"
        for other, length, _, _ in self.slots.values():
            assert gpa + size <= other or other + length <= gpa, "slots overlap"
        self.slots[slot] = gpa, size, hva, flags

    def at(self, gpa):
        """(host address, writable) of a gpa, or None."""
        for base, size, hva, flags in self.slots.values():
            if base <= gpa < base + size:
                return hva + gpa - base, not flags & KVM_MEM_READONLY
        return None


@pytest.fixture(scope="module")
def memory():
    memory = GuestMemory([(0, RAM), (4 << 30, RAM)])
    memory.add_rom(ROM[0], bytes(ROM[1]))
    return memory


def test_segments_cover_the_range():
    found = segments()
    assert len(found) == 13
    assert found[0] == (0xC0000, 0x4000) and found[-1] == (0xF0000, 0x10000)
    assert all(a + size == b for (a, size), (b, _) in zip(found, found[1:]))


def test_direct_boot_is_all_ram(memory):
    vm = FakeVm()
    MemorySlots(vm, memory)
    for gpa in (0, 0x9FFFF, 0xC0000, 0xEFFFF, 0xFFFFF, 0x100000, RAM - 1, 4 << 30):
        assert vm.at(gpa) == (memory.hva(gpa), True)
    for gpa in (0xA0000, 0xBFFFF, RAM, (4 << 30) - 1):
        assert vm.at(gpa) is None


def test_firmware_starts_with_its_rom_in_sight(memory):
    vm = FakeVm()
    MemorySlots(vm, memory, ROM)
    assert vm.at(0xFFFFFFF0) == (memory.hva(0xFFFFFFF0), False)
    assert vm.at(0xFFFF0) == (memory.hva(0xFFFFFFF0), False)
    assert vm.at(0xE0000) == (memory.hva(0xFFFE0000), False)
    assert vm.at(0xDFFFF) is None and vm.at(0xC0000) is None


def test_shadowing(memory):
    vm = FakeVm()
    slots = MemorySlots(vm, memory, ROM)
    slots.pam_changed(0xF0000, 0x10000, True, True)
    assert vm.at(0xF1234) == (memory.hva(0xF1234), True)
    slots.pam_changed(0xF0000, 0x10000, True, False)
    assert vm.at(0xF1234) == (memory.hva(0xF1234), False)
    slots.pam_changed(0xF0000, 0x10000, False, False)
    assert vm.at(0xF1234) == (memory.hva(0xFFFF1234), False)
    slots.pam_changed(0xC0000, 0x4000, True, True)
    assert vm.at(0xC0000) == (memory.hva(0xC0000), True)
    slots.pam_changed(0xC0000, 0x4000, False, False)
    assert vm.at(0xC0000) is None


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), max_size=60))
def test_any_sequence_obeys_the_rules(changes):
    memory = GuestMemory([(0, RAM)])
    memory.add_rom(ROM[0], bytes(ROM[1]))
    vm = FakeVm()
    slots = MemorySlots(vm, memory, ROM)
    state = {}
    for number, read, write in changes:
        gpa, size = segments()[number]
        slots.pam_changed(gpa, size, read, write)
        state[gpa] = read, write
    for gpa, (read, write) in state.items():
        if read:
            assert vm.at(gpa) == (memory.hva(gpa), write)
        else:
            found = vm.at(gpa)
            assert found is None or not found[1]


def test_without_read_only_slots_everything_is_writable(memory):
    vm = FakeVm(read_only=False)
    slots = MemorySlots(vm, memory, ROM)
    slots.pam_changed(0xF0000, 0x10000, True, False)
    assert all(flags == 0 for _, _, _, flags in vm.slots.values())
