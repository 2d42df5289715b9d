# SPDX-License-Identifier: GPL-2.0-only
"""The guest page-table walk (kernel/x86/mmu/walk.c) against an independent model."""

import ctypes
import random
from dataclasses import replace

import pytest
from kernel.mmu.pagemodel import (CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PKE, CR4_PSE, CR4_SMAP,
                                  CR4_SMEP, EFER_LMA, EFER_NXE, FETCH, IMPLICIT, LEVELS, NX, PS,
                                  USER, WRITE, A, Cpu, D, G, Outcome, P, U, W, translate)

pytestmark = pytest.mark.unit

PK, RSVD = 32, 8
PAGES = 32
SIZE = PAGES * 4096


class Walker:
    """glue_walk() with memory of its own."""

    def __init__(self, logic: ctypes.CDLL, memory: bytes) -> None:
        self.function = logic.glue_walk
        self.memory = (ctypes.c_uint8 * len(memory)).from_buffer_copy(memory)
        self.reads = 0

    def __call__(self, cpu: Cpu, gva: int, access: int, busy: int = 0,
                 set_bits: bool = True) -> Outcome:
        out = (ctypes.c_uint64 * 6)()
        regs = (ctypes.c_uint64 * 9)(*cpu.words())
        failed = self.function(regs, self.memory, ctypes.c_uint64(len(self.memory)),
                               ctypes.c_uint64(gva), ctypes.c_uint32(access), busy,
                               int(set_bits), out)
        self.reads = out[5]
        if not failed:
            return Outcome(gpa=out[0])
        if out[0] == 14:
            assert out[3]
            assert out[2] == (gva if cpu.mode in "45" else gva & 0xffffffff)
        return Outcome(vector=out[0], error=out[1])


# -- random tables along the path of one address -------------------------------------

def entry_bits(rng: random.Random, size: int) -> int:
    """Flags of an entry: mostly sane, now and then any bit at all."""
    bits = rng.choice([P | W | U, P | W | U, P | W | U | A, P | W, P | U, P, P | W | U | A | D,
                       W | U])
    bits |= rng.choice([0, 0, 0, PS])
    bits |= rng.choice([0, 0, 0, 0, G, NX, 1 << rng.randrange(8 * size)])
    bits |= rng.choice([0, rng.randrange(16) << 59])
    return bits & (1 << 8 * size) - 1


CPUS = {
    "none": lambda rng: Cpu(cr0=0, cr4=0, efer=0),
    "32": lambda rng: Cpu(cr4=rng.choice([0, CR4_PSE]), efer=rng.choice([0, EFER_NXE])),
    "pae": lambda rng: Cpu(efer=rng.choice([0, EFER_NXE])),
    "4": lambda rng: Cpu(cr4=rng.choice([CR4_PAE, CR4_PAE | CR4_PKE]),
                         efer=EFER_LMA | rng.choice([0, EFER_NXE])),
    "5": lambda rng: Cpu(cr4=CR4_PAE | CR4_LA57),
}


def random_cpu(rng: random.Random, mode: str) -> Cpu:
    """A processor in the given paging mode, its other bits as they fall."""
    cpu = CPUS[mode](rng)
    cr3 = 0x1000
    if rng.randrange(10) == 0:
        cr3 = rng.choice([0x1fe0 if mode == "pae" else 0x3018, 1 << 38])
    return replace(cpu, cr0=cpu.cr0 and CR0_PG | rng.choice([0, CR0_WP]), cr3=cr3,
                   cr4=cpu.cr4 | rng.choice([0, CR4_SMEP]) | rng.choice([0, CR4_SMAP]),
                   pkru=rng.getrandbits(32), maxphyaddr=rng.choice([36, 40, 48, 52]),
                   ac=rng.choice([False, True]), gbpages=rng.choice([False, True]),
                   amd=rng.choice([False, True]))


def random_case(rng: random.Random, mode: str) -> tuple[Cpu, bytes, int, int]:
    """A processor, memory with tables, an address and an access."""
    cpu = random_cpu(rng, mode)
    gva = rng.getrandbits(56 if mode == "5" else 47)
    if rng.randrange(2):
        gva ^= (1 << 64) - 1
    if rng.randrange(20) == 0:
        gva = rng.getrandbits(64)
    memory = bytearray(SIZE)
    fill_path(rng, memory, cpu, gva)
    access = rng.choice([0, WRITE, FETCH]) | rng.choice([0, USER, IMPLICIT])
    return cpu, bytes(memory), gva, access


def fill_path(rng: random.Random, memory: bytearray, cpu: Cpu, gva: int) -> None:
    """Put an entry at each level of the address's path; the frames are table pages 2, 3, ..."""
    table = cpu.cr3 & (0xffffffe0 if cpu.mode == "pae" else ~0xfff)
    for index, (shift, width, size) in enumerate(LEVELS.get(cpu.mode, [])):
        where = table + (gva >> shift & (1 << width) - 1) * size
        entry = entry_bits(rng, size)
        if cpu.mode == "pae" and shift == 30 and rng.randrange(10):
            entry &= P
        frame = (index + 2) * 4096
        if entry & PS and rng.randrange(4):
            frame = rng.randrange(4) << shift
            if shift == 22:     # PSE-36: address bits 32 to 39, and a reserved one
                frame |= rng.choice([0, rng.getrandbits(9)]) << 13
        if where + size > len(memory):
            return
        memory[where:where + size] = (entry | frame & (1 << 8 * size) - 1).to_bytes(size, "little")
        table = frame


def compare(walk: Walker, memory: bytes, cpu: Cpu, gva: int, access: int) -> Outcome:
    """Hold a walk against the model: address or fault, and what memory holds afterwards."""
    want, got = translate(cpu, memory, gva, access), walk(cpu, gva, access)
    said = f"{cpu} gva {gva:#x} access {access:#x}: {got}, expected {want}"
    assert (got.gpa, got.vector, got.error) == (want.gpa, want.vector, want.error), said
    after = bytearray(memory)
    for where, size, entry in want.touched:
        after[where:where + size] = entry.to_bytes(size, "little")
    assert bytes(walk.memory) == bytes(after), said
    return want


@pytest.mark.parametrize("mode", ["none", "32", "pae", "4", "5"])
def test_agrees_with_model(logic, mode):
    """Address, fault and error code, and the bits set, in thousands of random cases."""
    rng = random.Random(f"walk {mode}")
    seen: dict[tuple[int | None, int], int] = {}
    for _ in range(6000):
        cpu, memory, gva, access = random_case(rng, mode)
        want = compare(Walker(logic, memory), memory, cpu, gva, access)
        kind = (want.vector, want.error & (P | RSVD | PK))
        seen[kind] = seen.get(kind, 0) + 1
    # The cases must reach all there is to reach.
    kinds = {(None, 0)}
    if mode != "none":
        kinds |= {(14, 0), (14, P), (14, P | RSVD)}
    if mode in "45":
        kinds |= {(13, 0)}
    if mode == "4":
        kinds |= {(14, P | PK)}
    assert all(seen.get(kind, 0) > 20 for kind in kinds), seen


@pytest.mark.parametrize("cpu", [Cpu(cr4=0, efer=0), Cpu(efer=0), Cpu(),
                                 Cpu(cr4=CR4_PAE | CR4_LA57)], ids=lambda cpu: cpu.mode)
def test_random_memory_is_bounded(logic, cpu):
    """Whatever memory and CR3 hold, the walk ends after at most one read a level."""
    rng = random.Random(f"bounded {cpu.mode}")
    for _ in range(300):
        # Addresses in entries that are likely to stay in memory.
        memory = b"".join((rng.getrandbits(64) & rng.choice([0x1ffff, 0x1f067, ~0])
                           & (1 << 64) - 1).to_bytes(8, "little")
                          for _ in range(512)) * (SIZE // 4096)
        walk = Walker(logic, memory)
        compare(walk, memory, replace(cpu, cr3=rng.getrandbits(17)), rng.getrandbits(47), 0)
        assert walk.reads <= 5


def tables(*entries: int) -> bytes:
    """Memory whose pages 1, 2, ... have the given entries (8 bytes) at index 0."""
    memory = bytearray(SIZE)
    for page, entry in enumerate(entries, 1):
        memory[page * 4096:page * 4096 + 8] = entry.to_bytes(8, "little")
    return bytes(memory)


CHAIN = (0x2000 | P | W | U, 0x3000 | P | W | U, 0x4000 | P | W | U, 0x5000 | P | W | U)


def test_self_mapped_tables(logic):
    """An entry that points to its own table is walked, not followed for ever."""
    walk = Walker(logic, tables(0x1000 | P | W | U))
    assert walk(Cpu(cr3=0x1000), 0x123, 0).gpa == 0x1123
    assert walk.reads == 4


def test_accessed_bit_in_a_pdpte(logic):
    """QEMU's emulation sets it in a PAE table's top level; the walk takes it and leaves it."""
    top, directory, leaf = 0x2000 | P | A, 0x3000 | P | W, 0x4000 | P | W
    for entry in (top, top & ~A):
        memory = tables(entry, directory, leaf)
        walk = Walker(logic, memory)
        assert walk(Cpu(cr3=0x1000, efer=0), 0x10, WRITE).gpa == 0x4010
        assert bytes(walk.memory[0x1000:0x1008]) == memory[0x1000:0x1008]


def test_raced_entry_restarts(logic):
    """A compare-exchange that loses begins the walk again; one that always loses gives up."""
    walk = Walker(logic, tables(*CHAIN))
    assert walk(Cpu(cr3=0x1000), 0x10, WRITE, busy=3).gpa == 0x5010
    assert walk.reads == 16
    assert walk.memory[0x4000] & (A | D) == A | D
    walk = Walker(logic, tables(*CHAIN))
    assert walk(Cpu(cr3=0x1000), 0x10, WRITE, busy=1 << 30).gpa == 0x5010
    assert walk.reads <= 4 * 8


def test_debugger_leaves_tables_alone(logic):
    """Without a compare-exchange nothing is set."""
    memory = tables(*CHAIN)
    walk = Walker(logic, memory)
    assert walk(Cpu(cr3=0x1000), 0x10, 0, set_bits=False).gpa == 0x5010
    assert bytes(walk.memory) == memory


def test_refused_access_sets_nothing(logic):
    """A translation that is refused leaves no accessed bit behind."""
    memory = tables(*CHAIN[:3], 0x5000 | P | U)
    walk = Walker(logic, memory)
    assert walk(Cpu(cr3=0x1000), 0x10, WRITE).error == P | WRITE
    assert bytes(walk.memory) == memory


def test_tables_beyond_memory(logic):
    """A table where there is no memory reads as not present."""
    walk = Walker(logic, tables(0x7ffff000 | P | W | U))
    got = walk(Cpu(cr3=0x1000), 0, USER)
    assert (got.vector, got.error) == (14, USER)
