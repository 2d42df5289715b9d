# SPDX-License-Identifier: GPL-2.0-only
"""Hardware task switches, held against the manual and unicorn's (QEMU's).

Two tasks with random registers and valid segments; one far jump or call, or an IRET with NT set,
switches between them. Compared: registers and all of memory, with both TSSs and the descriptors.
"""

import ctypes
import random
import struct

import pytest
import unicorn
from kernel.emulate.machine import (CR0_PE, CS, DS, ES, FAULT, FS, GP, GS, LDTR, MODE_32, NP, OK,
                                    RAX, RSP, SEG_SS, TR, Machine)
from unicorn import x86_const

GDT, LDT, CODE, OLD, NEW, STACK = 0x1000, 0x1800, 0x9000, 0x3000, 0x3400, 0x8000
LOADER = 0xa000
CALL, JMP, IRET, GATE = range(4)
NT, TS, BUSY, VM86 = 0x4000, 8, 2, 0x20000
TSS_VECTOR = 10
# Selectors: code, data, another data and code, LDT, the two tasks, absent data, ring 3
CODE0, DATA0, DATA1, CODE1, LDT_SEL, OLD_SEL, NEW_SEL, GONE, CODE3, DATA3 = range(8, 88, 8)
SIZE = 0x10000
GPR = "EAX ECX EDX EBX ESP EBP ESI EDI".split()
SEGMENTS = "ES CS SS DS FS GS".split()


def descriptor(base: int, limit: int, kind: int, db: int = 1) -> bytes:
    """kind: present, DPL, S and type, as in the descriptor's byte 5."""
    return struct.pack("<HHBBBB", limit & 0xffff, base & 0xffff, base >> 16 & 0xff, kind,
                       limit >> 16 & 0xf | db << 6 | 0x80 * (limit > 0xffff), base >> 24)


def memory(old32: bool, new32: bool, new_busy: bool) -> bytearray:
    ram = bytearray(SIZE)
    flat = 0xfffff
    table = {
        CODE0: descriptor(0, flat, 0x9b), DATA0: descriptor(0, flat, 0x93),
        DATA1: descriptor(0x100, 0xffff, 0x93), CODE1: descriptor(0, flat, 0x9b),
        LDT_SEL: descriptor(LDT, 31, 0x82, 0),
        OLD_SEL: descriptor(OLD, 0x67 if old32 else 0x2b, 0x8b if old32 else 0x83, 0),
        NEW_SEL: descriptor(NEW, 0x67 if new32 else 0x2b,
                            (0x89 if new32 else 0x81) | BUSY * new_busy, 0),
        GONE: descriptor(0, flat, 0x13), CODE3: descriptor(0, flat, 0xfb),
        DATA3: descriptor(0, flat, 0xf3),
    }
    for selector, data in table.items():
        ram[GDT + selector:GDT + selector + 8] = data
    ram[LDT + 8:LDT + 16] = descriptor(0x200, 0xffff, 0x93)
    return ram


def tss32(regs: list[int], eip: int, eflags: int, segs: dict[int, int], ldt: int,
          trap: int = 0) -> bytes:
    order = [segs[n] for n in (ES, CS, SEG_SS, DS, FS, GS)]
    return (struct.pack("<8I", *[0] * 7, 0) + struct.pack("<2I8I", eip, eflags, *regs)
            + struct.pack("<6I", *order) + struct.pack("<2I", ldt, trap))


def tss16(regs: list[int], ip: int, flags: int, segs: dict[int, int], ldt: int) -> bytes:
    return (struct.pack("<7H", *[0] * 7) + struct.pack("<2H8H", ip, flags,
                                                        *[r & 0xffff for r in regs])
            + struct.pack("<4HH", *[segs[n] for n in (ES, CS, SEG_SS, DS)], ldt))


class Pair:
    """The same state in our machine and in unicorn."""

    def __init__(self, logic, ram: bytes, regs: list[int], eflags: int, old32: bool) -> None:
        self.ours = Machine(logic, MODE_32)
        self.ours.poke(0, bytes(ram))
        self.ours.gpr[:8] = regs
        self.ours.rflags = eflags
        gdt = self.ours.table(False)
        gdt.base, gdt.limit = GDT, 0x5f
        tr = self.ours.segment(TR)
        tr.base, tr.limit, tr.selector = OLD, 0x67 if old32 else 0x2b, OLD_SEL
        tr.type, tr.present = 0xb if old32 else 3, 1
        for number in (ES, SEG_SS, DS, FS, GS):
            self.ours.segment(number).selector = DATA0
        self.ours.segment(CS).selector = CODE0

        self.uc = uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
        uc.mem_map(0, SIZE)
        uc.mem_write(0, bytes(ram))
        uc.reg_write(x86_const.UC_X86_REG_GDTR, (0, GDT, 0x5f, 0))
        for name in SEGMENTS:
            uc.reg_write(self.reg(name), CODE0 if name == "CS" else DATA0)
        # Its TR takes no type from outside: let it execute LTR, of a task that is not busy yet.
        uc.mem_write(GDT + OLD_SEL + 5, bytes([ram[GDT + OLD_SEL + 5] & ~BUSY]))
        uc.mem_write(LOADER, b"\x0f\x00\xd8")
        uc.reg_write(x86_const.UC_X86_REG_EAX, OLD_SEL)
        uc.emu_start(LOADER, LOADER + 3)
        uc.mem_write(LOADER, b"\0\0\0")
        for name, value in zip(GPR, regs, strict=True):
            uc.reg_write(self.reg(name), value)
        uc.reg_write(x86_const.UC_X86_REG_EFLAGS, eflags)

    @staticmethod
    def reg(name: str) -> int:
        return getattr(x86_const, "UC_X86_REG_" + name)

    def switch(self, source: int, rip: int, error: int | None = None,
               selector: int = NEW_SEL) -> tuple[int, int]:
        """In our machine: (result, does the new task start with a #DB)."""
        return switch(self.ours, source, rip, error, selector)


def switch(machine: Machine, source: int, rip: int, error: int | None = None,
           selector: int = NEW_SEL) -> tuple[int, int]:
    logic, trap = machine.logic, ctypes.c_uint32()
    logic.glue_machine_set_state(machine.handle, ctypes.c_uint64(rip),
                                 ctypes.c_uint64(machine.rflags), ctypes.c_uint64(0), machine.cpl)
    code = logic.glue_machine_task(machine.handle, selector, source, error is not None,
                                   error or 0, ctypes.byref(trap))
    out = (ctypes.c_uint64 * 9)()
    logic.glue_machine_result(machine.handle, out)
    machine.rip, machine.rflags = out[0], out[1]
    machine.result = out
    return code, trap.value


SEGS = {ES: DATA1, CS: CODE1, SEG_SS: DATA0, DS: DATA0, FS: 0xc, GS: 0}


class Case:
    """Two random tasks, and an instruction at CODE that switches from one to the other."""

    def __init__(self, logic, source: int, old32: bool, new32: bool, seed: int) -> None:
        rng = random.Random(f"{source} {old32} {new32} {seed}")
        self.regs, self.new_regs = ([rng.getrandbits(32) for _ in range(8)] for _ in range(2))
        self.regs[4], self.new_regs[4] = STACK, STACK - 0x100
        self.eflags, self.new_flags = (2 | rng.getrandbits(12) & 0x8d5 for _ in range(2))
        if source == IRET:
            self.eflags |= NT
        self.segs = SEGS | ({} if new32 else {FS: 0, GS: 0})
        self.ram = memory(old32, new32, source == IRET)
        tss = (tss32 if new32 else tss16)(self.new_regs, CODE + 0x100, self.new_flags, self.segs,
                                          LDT_SEL)
        self.ram[NEW:NEW + len(tss)] = tss
        self.ram[OLD:OLD + 2] = struct.pack("<H", NEW_SEL)     # the link that IRET follows
        code = {CALL: b"\x9a", JMP: b"\xea"}.get(source, b"\xcf")
        if source != IRET:
            code += struct.pack("<IH", 0, NEW_SEL)
        self.ram[CODE:CODE + len(code)] = code
        self.next = CODE + len(code)
        self.pair = Pair(logic, self.ram, self.regs, self.eflags, old32)

    def expected(self, source: int, old32: bool) -> bytearray:
        """Memory after the switch: APM vol. 2, 12.2 and table 12-1."""
        ram = bytearray(self.ram)
        segs = {number: DATA0 for number in (ES, SEG_SS, DS, FS, GS)} | {CS: CODE0}
        saved = (tss32 if old32 else tss16)(self.regs, self.next, self.eflags & ~NT, segs, 0)
        part = slice(0x20, 0x60) if old32 else slice(0x0e, 0x2a)
        ram[OLD + part.start:OLD + part.stop] = saved[part]
        if source == CALL:
            ram[NEW:NEW + 2] = struct.pack("<H", OLD_SEL)
        else:
            ram[GDT + OLD_SEL + 5] &= ~BUSY
        ram[GDT + NEW_SEL + 5] |= BUSY
        return ram


WIDTHS = pytest.mark.parametrize("old32,new32", [(True, True), (True, False), (False, True),
                                                 (False, False)])


@pytest.mark.parametrize("source", [CALL, JMP, IRET])
@WIDTHS
@pytest.mark.parametrize("seed", range(4))
def test_against_the_manual(logic, source, old32, new32, seed):
    case = Case(logic, source, old32, new32, seed)
    ours = case.pair.ours
    assert case.pair.switch(source, case.next) == (OK, 0)
    assert ours.peek(0, SIZE) == bytes(case.expected(source, old32))
    upper = 0 if new32 else 0xffff0000
    mask = 0xffffffff if new32 else 0xffff
    assert list(ours.gpr[:8]) == [value & mask | upper for value in case.new_regs]
    assert ours.rip == CODE + 0x100
    assert ours.rflags == case.new_flags | NT * (source == CALL)
    assert {n: ours.segment(n).selector for n in SEGS} == case.segs
    assert ours.cr[0] & TS and ours.segment(TR).selector == NEW_SEL


@pytest.mark.parametrize("source", [CALL, JMP, IRET])
@pytest.mark.parametrize("seed", range(8))
def test_against_unicorn(logic, source, seed):
    """Between 32-bit tasks: for the others it takes the one TSS for the other."""
    case = Case(logic, source, True, True, seed)
    pair = case.pair
    assert pair.switch(source, case.next) == (OK, 0)
    pair.uc.emu_start(CODE, CODE + 0x100, count=1)
    assert pair.ours.peek(0, SIZE) == bytes(pair.uc.mem_read(0, SIZE))
    for number, name in enumerate(GPR):
        assert pair.ours.gpr[number] == pair.uc.reg_read(pair.reg(name)), name
    assert pair.ours.rip == pair.uc.reg_read(pair.reg("EIP"))
    assert pair.ours.rflags == pair.uc.reg_read(pair.reg("EFLAGS"))
    for number, name in zip((ES, CS, SEG_SS, DS, FS, GS), SEGMENTS, strict=True):
        assert pair.ours.segment(number).selector == pair.uc.reg_read(pair.reg(name)), name
    assert pair.uc.reg_read(pair.reg("CR0")) & TS


def test_segments_are_marked_accessed(logic):
    pair = prepared(logic, tss32([9] * 4 + [STACK, 9, 9, 9], CODE, 2, SEGS, LDT_SEL))
    pair.ours.poke(GDT + CODE1 + 5, b"\x9a")
    assert pair.switch(JMP, CODE)[0] == OK
    assert pair.ours.peek(GDT + CODE1 + 5, 1) == b"\x9b"


def prepared(logic, tss: bytes, old32: bool = True) -> Pair:
    ram = memory(old32, True, False)
    ram[NEW:NEW + len(tss)] = tss
    return Pair(logic, ram, [0, 1, 2, 3, STACK, 5, 6, 7], 2, old32)


def test_segments_come_from_the_new_task(logic):
    pair = prepared(logic, tss32([9] * 4 + [STACK, 9, 9, 9], CODE, 2, SEGS, LDT_SEL))
    assert pair.switch(JMP, CODE)[0] == OK
    seg = pair.ours.segment
    assert (seg(ES).base, seg(CS).type, seg(FS).base, seg(GS).unusable) == (0x100, 0xb, 0x200, 1)
    assert (seg(LDTR).base, seg(LDTR).limit, seg(TR).base, seg(TR).type) == (LDT, 31, NEW, 0xb)


def test_an_exception_through_a_task_gate(logic):
    """It keeps the place of the fault, and pushes its error code on the new stack."""
    pair = prepared(logic, tss32([9] * 4 + [STACK, 9, 9, 9], CODE, 2, SEGS, LDT_SEL, trap=1))
    assert pair.switch(GATE, 0x1234, error=0x5678) == (OK, 1)
    assert pair.ours.gpr[RSP] == STACK - 4
    assert pair.ours.peek(STACK - 4, 4) == struct.pack("<I", 0x5678)
    assert pair.ours.peek(OLD + 0x20, 4) == struct.pack("<I", 0x1234)
    assert pair.ours.peek(NEW, 2) == struct.pack("<H", OLD_SEL)
    assert pair.ours.rflags & NT


def test_local_breakpoints_end_with_the_task(logic):
    pair = prepared(logic, tss32([9] * 4 + [STACK, 9, 9, 9], CODE, 2, SEGS, LDT_SEL))
    pair.ours.dr[7] = 0x7ff
    assert pair.switch(JMP, CODE)[0] == OK
    assert pair.ours.dr[7] == 0x7ff & ~0x155


def test_virtual_8086(logic):
    segs = {ES: 0x100, CS: 0x200, SEG_SS: 0x300, DS: 0x400, FS: 0x500, GS: 0x600}
    pair = prepared(logic, tss32([9] * 8, 0x10, 2 | VM86, segs, 0))
    assert pair.switch(JMP, CODE)[0] == OK
    cs, ss = pair.ours.segment(CS), pair.ours.segment(SEG_SS)
    assert (cs.selector, cs.base, cs.limit, cs.dpl, ss.dpl) == (0x200, 0x2000, 0xffff, 3, 3)


def test_ring_3(logic):
    segs = {ES: DATA3 | 3, CS: CODE3 | 3, SEG_SS: DATA3 | 3, DS: DATA3 | 3, FS: 0, GS: 0}
    pair = prepared(logic, tss32([9] * 4 + [STACK, 9, 9, 9], CODE, 2, segs, 0))
    assert pair.switch(JMP, CODE)[0] == OK
    assert pair.ours.segment(SEG_SS).dpl == 3


@pytest.mark.parametrize("change,vector,error", [
    ({CS: DATA0}, TSS_VECTOR, DATA0), ({CS: 0}, TSS_VECTOR, 0),
    ({SEG_SS: 0}, TSS_VECTOR, 0), ({SEG_SS: CODE0}, TSS_VECTOR, CODE0),
    ({DS: GONE}, NP, GONE), ({ES: 0x700}, TSS_VECTOR, 0x700),
    ({CS: CODE3}, TSS_VECTOR, CODE3), ({DS: LDT_SEL}, TSS_VECTOR, LDT_SEL),
])
def test_what_is_wrong_with_the_new_task_is_its_fault(logic, change, vector, error):
    pair = prepared(logic, tss32([9] * 4 + [STACK, 9, 9, 9], CODE, 2, SEGS | change, LDT_SEL))
    assert pair.switch(JMP, CODE + 7)[0] == FAULT
    result = pair.ours.result
    assert (result[5], result[7], result[2]) == (vector, error, 1)      # and progress
    assert pair.ours.segment(TR).selector == NEW_SEL and pair.ours.gpr[RAX] == 9


def test_an_offset_beyond_the_new_code(logic):
    pair = prepared(logic, tss32([9] * 8, 0xffffffff, 2, SEGS | {CS: CODE0}, LDT_SEL))
    pair.ours.poke(GDT + CODE0, descriptor(0, 0xfff, 0x9b))
    assert pair.switch(JMP, CODE)[0] == FAULT
    assert (pair.ours.result[5], pair.ours.result[2]) == (GP, 1)


@pytest.mark.parametrize("selector", [0, 4 | NEW_SEL, DATA0, 0x1000])
def test_no_tss_there(logic, selector):
    """The old task stays as it was."""
    pair = prepared(logic, b"")
    before = pair.ours.peek(0, SIZE)
    assert pair.switch(JMP, CODE, selector=selector)[0] == FAULT
    assert pair.ours.result[2] == 0 and pair.ours.peek(0, SIZE) == before
    assert pair.ours.cr[0] == CR0_PE and pair.ours.segment(TR).selector == OLD_SEL


@pytest.mark.parametrize("page", [OLD & ~0xfff, GDT])
def test_no_write_before_all_can_be_written(logic, page):
    pair = prepared(logic, tss32([9] * 8, CODE, 2, SEGS, 0))
    before = pair.ours.peek(0, SIZE)
    pair.ours.page(page, flags=2)       # read-only
    assert pair.switch(JMP, CODE)[0] == FAULT
    assert pair.ours.result[2] == 0 and pair.ours.peek(0, SIZE) == before
