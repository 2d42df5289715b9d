# SPDX-License-Identifier: GPL-2.0-only
"""Entry state, memory map and CPUID: the small tables a guest starts from."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.boot import cpuid, direct, e820, entry, layout
from unikvm.boot.acpi import tables
from unikvm.boot.bzimage import BzImage
from unikvm.core.errors import UserError
from unikvm.core.vm import CpuidEntry

pytestmark = pytest.mark.unit


def translate(tables_: bytes, base: int, address: int) -> int:
    """Walk four-level paging (APM vol.2 5.3) over the bytes at `base`."""
    table = base
    for level in (3, 2, 1):
        index = address >> (12 + 9 * level) & 0x1FF
        (value,) = struct.unpack_from("<Q", tables_, table - base + 8 * index)
        assert value & 1, f"level {level} not present"
        table = value & ~0xFFF
        if value & 1 << 7:
            return value & ~0x1FFFFF | address & 0x1FFFFF
    raise AssertionError("no huge page")


@given(st.integers(0, (4 << 30) - 1))
def test_page_tables_are_the_identity(address: int) -> None:
    assert translate(entry.page_tables(0x9000), 0x9000, address) == address


def test_page_tables_stay_below_the_command_line() -> None:
    assert layout.BOOT_PAGE_TABLES + len(entry.page_tables()) <= layout.BOOT_CMDLINE


def test_gdt_matches_the_segment_registers() -> None:
    data = entry.gdt()
    for segment in (entry.CODE, entry.DATA, entry.TASK):
        (value,) = struct.unpack_from("<Q", data, segment.selector)
        assert value == segment.descriptor()
    # The textbook flat descriptors.
    assert entry.CODE.descriptor() == 0x00AF9B000000FFFF
    assert entry.DATA.descriptor() == 0x00CF93000000FFFF


def test_entry_state_in_kvms_names() -> None:
    state = entry.EntryState(rip=0x1000200, rsi=0x7000)
    assert state.regs == {"rip": 0x1000200, "rsi": 0x7000, "rsp": 0x9000, "rflags": 2}
    sregs = state.sregs
    assert sregs["cs"]["selector"] == 0x10 and sregs["cs"]["l"] == 1
    assert sregs["ss"]["selector"] == 0x18 and sregs["tr"]["type"] == 11
    assert sregs["gdt"] == {"base": 0x500, "limit": 47}
    assert sregs["efer"] == 0x500 and sregs["cr0"] & 0x80000001 == 0x80000001


@given(st.integers(layout.MIN_RAM, 16 << 30).map(lambda size: size & ~0xFFF))
def test_e820_has_no_overlap_and_all_ram(memory: int) -> None:
    for made in (e820.for_direct_boot(memory), e820.for_firmware(memory)):
        ordered = sorted(made)
        for first, second in zip(ordered, ordered[1:]):
            assert first.base + first.size <= second.base
        ram = sum(item.size for item in made if item.type == e820.RAM)
        assert memory - (1 << 20) <= ram <= memory


class FakeMemory:
    """Records what is written where."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)

    def write(self, gpa: int, data: bytes) -> None:
        assert gpa + len(data) <= len(self.data)
        self.data[gpa : gpa + len(data)] = data


def test_direct_load() -> None:
    size = 64 << 20
    kernel = BzImage(
        name="k", image=bytes(2048) + b"K" * 4096, protocol=0x20F, setup_size=2048,
        payload_size=4096, pref_address=0x1000000, init_size=0x1000000, alignment=0x200000,
        relocatable=True, cmdline_max=2047, initrd_max=0x7FFFFFFF,
    )  # fmt: skip
    memory = FakeMemory(size)
    initrd = b"\x28\xb5\x2f\xfd" + b"I" * 5000
    state = direct.load_linux(
        memory, size, kernel, "quiet", initrd, "i", tables.build(cpus=1, memory=size)
    )
    assert state.rip == 0x1000200 and state.rsi == layout.BOOT_PARAMS
    assert memory.data[0x1000000 : 0x1000000 + 4096] == b"K" * 4096
    page = memory.data[state.rsi : state.rsi + 4096]
    at, length = struct.unpack_from("<II", page, 0x218)
    assert memory.data[at : at + length] == initrd
    cmdline = struct.unpack_from("<I", page, 0x228)[0]
    assert memory.data[cmdline : cmdline + 6] == b"quiet\0"
    rsdp = struct.unpack_from("<Q", page, 0x70)[0]
    assert memory.data[rsdp : rsdp + 8] == b"RSD PTR "
    assert translate(bytes(memory.data[state.cr3 : state.cr3 + 0x6000]), state.cr3, 77) == 77
    with pytest.raises(UserError, match="the initrd is empty"):
        direct.load_linux(memory, size, kernel, "", b"", "i", tables.build(cpus=1, memory=size))


def leaf(function: int, index: int = 0, **registers: int) -> CpuidEntry:
    values = dict.fromkeys(("eax", "ebx", "ecx", "edx"), 0) | registers
    return CpuidEntry(function, index, 0, **values)


def test_cpuid_for_one_of_four() -> None:
    supported = [
        leaf(0, eax=0xD), leaf(1, ecx=1 << 5 | 1 << 3, edx=0x1234), leaf(0xB),
        leaf(0x80000001, ecx=1 << 2 | 1), leaf(0x80000008, eax=0x3028, ecx=0x7007),
        leaf(0x8000000A, eax=1), leaf(0x40000001, eax=0x1000009),
        leaf(0x4, 0, eax=0xFC00C121), leaf(0x4, 1), leaf(0x8000001D, 0, eax=0x1C121),
        leaf(0x8000001D, 3, eax=0x1C163), leaf(0x8000001E, eax=99, ebx=0x199, ecx=0x301),
    ]  # fmt: skip
    made = cpuid.for_vcpu(supported, cpu=3, cpus=4, tsc_deadline=True)
    got = {(item.function, item.index): item for item in made}
    assert got[1, 0].ebx >> 24 == 3 and got[1, 0].ebx >> 16 & 0xFF == 4
    assert got[1, 0].ecx & (1 << 5 | 1 << 3) == 0
    assert got[1, 0].ecx & (1 << 31 | 1 << 24) == 1 << 31 | 1 << 24
    assert got[1, 0].edx == 0x1234 | 1 << 28
    assert got[0xB, 0].edx == 3 and got[0xB, 0].ebx == 1 and got[0xB, 2].ebx == 0
    assert got[0xB, 1].ebx == 4 and got[0xB, 1].eax == 2
    assert got[0x80000001, 0].ecx == 1 | 1 << 1
    assert got[0x80000008, 0].ecx == 3 | 2 << 12
    assert (0x8000000A, 0) not in got
    # Fields are of "minus one": 4 cores a package, a cache of one thread, one of all four.
    assert got[0x4, 0].eax == 0x0C000121 and got[0x4, 1].eax == 0
    assert got[0x8000001D, 0].eax == 0x121 and got[0x8000001D, 3].eax == 0x163 | 3 << 14
    assert got[0x8000001E, 0][3:] == (3, 3, 0, 0)
    assert got[0x40000001, 0] == leaf(0x40000001, eax=0x1000009)


def test_cpuid_without_deadline_timer() -> None:
    (made,) = cpuid.for_vcpu([leaf(1)], cpu=0, cpus=1, tsc_deadline=False)
    assert made.ecx & 1 << 24 == 0 and made.edx & 1 << 28 == 0
