# SPDX-License-Identifier: GPL-2.0-only
"""The page walk for crash reports, in every paging mode."""

import pytest

from unikvm.boot import entry
from unikvm.core.memory import GuestMemory
from unikvm.machine.walk import code_at, translate

pytestmark = pytest.mark.unit

PG, PSE, PAE, LMA = 1 << 31, 1 << 4, 1 << 5, 1 << 10


@pytest.fixture
def memory():
    return GuestMemory([(0, 1 << 20)])


def sregs(cr0=PG, cr3=0x1000, cr4=0, efer=0, base=0):
    return {"cr0": cr0, "cr3": cr3, "cr4": cr4, "efer": efer, "cs": {"base": base}}


def test_no_paging(memory):
    assert translate(memory, sregs(cr0=1), 0x1_0000_1234) == 0x1234


def test_two_levels(memory):
    memory.store32(0x1000 + 4 * 1, 0x2001)
    memory.store32(0x2000 + 4 * 2, 0x7001)
    assert translate(memory, sregs(), 0x402345) == 0x7345
    assert translate(memory, sregs(), 0x403345) is None


def test_large_page_needs_pse(memory):
    memory.store32(0x1000 + 4 * 1, 0x800081)
    assert translate(memory, sregs(cr4=PSE), 0x412345) == 0x812345
    assert translate(memory, sregs(), 0x412345) is None, "a table beyond memory"


def test_pae(memory):
    memory.store64(0x1020 + 8 * 3, 0x2001)
    memory.store64(0x2000 + 8 * 1, 0x600081)
    memory.store64(0x2000 + 8 * 2, 0x3001)
    memory.store64(0x3000 + 8 * 4, 0x9001)
    state = sregs(cr3=0x1020, cr4=PAE)
    assert translate(memory, state, 0xC0212345) == 0x612345
    assert translate(memory, state, 0xC0404321) == 0x9321
    assert translate(memory, state, 0x404321) is None


def test_long_mode_with_the_boot_tables(memory):
    memory.write(0x9000, entry.page_tables(0x9000))
    state = sregs(cr3=0x9000, cr4=PAE, efer=LMA)
    for gva in (0, 0x123456, 0xFFFFFFF0):
        assert translate(memory, state, gva) == gva
    assert translate(memory, state, 1 << 32) is None


def test_tables_that_loop_end(memory):
    memory.store64(0x1000, 0x1001)
    assert translate(memory, sregs(cr4=PAE, efer=LMA), 0x123) == 0x1123


def test_no_large_pages_above_1_gib(memory):
    """Bit 7 of a level 4 entry is reserved and means no page."""
    for table in (0x1000, 0x2000, 0x3000):
        memory.store64(table, table + 0x1000 | 0x81 if table == 0x1000 else table + 0x1000 | 1)
    memory.store64(0x4000, 0xA001)
    assert translate(memory, sregs(cr4=PAE, efer=LMA), 0x321) == 0xA321


def test_five_levels(memory):
    for table in (0x1000, 0x2000, 0x3000, 0x4000):
        memory.store64(table, table + 0x1000 | 1)
    memory.store64(0x5000, 0xA001)
    assert translate(memory, sregs(cr4=PAE | 1 << 12, efer=LMA), 0x321) == 0xA321


def test_code_over_the_end_of_a_mapping(memory):
    memory.write((1 << 20) - 4, b"\x90\x90\x0f\x0b")
    assert code_at(memory, sregs(cr0=0), (1 << 20) - 4) == b"\x90\x90\x0f\x0b"
    assert code_at(memory, sregs(cr0=0), 1 << 20) == b""


def test_code_at_a_segment_base(memory):
    memory.write(0xFFFF0, b"\xea" * 16)
    assert code_at(memory, sregs(cr0=0, base=0xF0000), 0xFFF0) == b"\xea" * 16
