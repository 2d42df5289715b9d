# SPDX-License-Identifier: GPL-2.0-only
"""Control registers, descriptor tables, segments, interrupts, privilege: APM vol. 2 and 3."""

import pytest
from kernel.emulate import machine as m
from kernel.emulate.machine import Machine

pytestmark = pytest.mark.unit

IOPL_3 = 0x3000


@pytest.fixture
def cpu(logic):
    return Machine(logic, m.MODE_64)


@pytest.fixture
def legacy(logic):
    return Machine(logic, m.MODE_32)


@pytest.fixture
def real(logic):
    """IVT at 0, stack at 8000."""
    machine = Machine(logic, m.MODE_16)
    machine.table(True).limit = 0x3ff
    machine.gpr[m.RSP] = 0x8000
    return machine


def gp(result, error: int | None = 0) -> bool:
    got = result.error_code if result.has_error_code else None
    return (result.code, result.vector, got) == (m.FAULT, m.GP, error)


# -- control and debug registers ------------------------------------------------------

@pytest.mark.parametrize("number", [0, 2, 3, 4])
def test_mov_cr(cpu, number):
    cpu.gpr[m.RBX] = 0x123456789
    assert cpu.step(bytes((0x0f, 0x22, 0xc3 | number << 3))).code == m.OK
    assert cpu.cr[number] == 0x123456789
    assert cpu.step(bytes((0x0f, 0x20, 0xc1 | number << 3))).code == m.OK
    assert cpu.gpr[m.RCX] == 0x123456789


@pytest.mark.parametrize("code", ["440f22c3", "f00f22c3"])
def test_mov_cr8(cpu, code):
    cpu.gpr[m.RBX] = 9
    assert cpu.step(bytes.fromhex(code)).code == m.OK and cpu.cr[8] == 9


def test_mov_cr_is_four_bytes_in_legacy_mode(legacy):
    legacy.gpr[m.RBX] = 0xffffffff12345678
    assert legacy.step(bytes.fromhex("0f22db")).code == m.OK and legacy.cr[3] == 0x12345678


@pytest.mark.parametrize("code", ["0f22cb", "0f22eb", "440f22cb", "0f20ff"])
def test_mov_cr_undefined(cpu, code):
    assert cpu.step(bytes.fromhex(code)).vector == m.UD


def test_mov_cr_refused(cpu):
    cpu.gpr[m.RBX] = 1 << 63
    assert gp(cpu.step(bytes.fromhex("0f22c3"))) and cpu.cr[0] == m.CR0_PE


@pytest.mark.parametrize("number", [0, 3, 6, 7])
def test_mov_dr(cpu, number):
    cpu.gpr[m.RBX] = 0xabc
    assert cpu.step(bytes((0x0f, 0x23, 0xc3 | number << 3))).code == m.OK
    assert cpu.dr[number] == 0xabc
    assert cpu.step(bytes((0x0f, 0x21, 0xc1 | number << 3))).code == m.OK
    assert cpu.gpr[m.RCX] == 0xabc


def test_mov_dr_refused(cpu):
    cpu.gpr[m.RBX] = 1 << 63
    assert gp(cpu.step(bytes.fromhex("0f23fb")))
    assert cpu.step(bytes.fromhex("440f23c3")).vector == m.UD
    cpu.cr[4] |= 8      # CR4.DE
    assert cpu.step(bytes.fromhex("0f23e3")).vector == m.UD


@pytest.mark.parametrize("code", ["0f23f3", "0f21f3", "0f23fb"])
def test_general_detect(cpu, code):
    """DR7.GD turns every MOV of a debug register, DR7's own too, into a #DB with DR6.BD."""
    cpu.dr[7] = 0x2400
    step = cpu.step(bytes.fromhex(code))
    assert (step.vector, step.cr2, list(cpu.dr)) == (m.DB, 0x2000, [0] * 7 + [0x2400])


def test_clts_smsw_lmsw(cpu):
    cpu.cr[0] = 0x8000003b
    assert cpu.step(bytes.fromhex("0f06")).code == m.OK and cpu.cr[0] == 0x80000033
    assert cpu.step(bytes.fromhex("0f01e3")).code == m.OK and cpu.gpr[m.RBX] == 0x80000033
    cpu.gpr[m.RBX] = 0xfffc
    assert cpu.step(bytes.fromhex("0f01f3")).code == m.OK
    assert cpu.cr[0] == 0x8000003d       # PE stays


@pytest.mark.parametrize("code", ["0f22c3", "0f20c3", "0f23fb", "0f21fb", "0f06", "0f01f3",
                                  "0f0113", "0f011b", "0f013b"])
def test_privilege(cpu, code):
    cpu.cpl = 3
    cpu.gpr[m.RBX] = 0x4000
    before = list(cpu.cr), list(cpu.dr), list(cpu.gpr)
    assert gp(cpu.step(bytes.fromhex(code)))
    assert (list(cpu.cr), list(cpu.dr), list(cpu.gpr)) == before


def test_invlpg(cpu):
    cpu.segment(m.GS).base = 0x10000
    cpu.gpr[m.RBX] = 0x4123
    assert cpu.step(bytes.fromhex("650f013b")).code == m.OK
    assert cpu.invalidated() == 0x14123


# -- descriptor tables ----------------------------------------------------------------

@pytest.mark.parametrize("mode, prefix, base", [
    (m.MODE_64, "", 0x7fff12345678), (m.MODE_32, "", 0x12345678), (m.MODE_32, "66", 0x345678)])
@pytest.mark.parametrize("idt", [False, True])
def test_load_and_store_table(logic, mode, prefix, base, idt):
    cpu = Machine(logic, mode)
    cpu.gpr[m.RBX] = 0x4000
    cpu.poke(0x4000, (0x3ff).to_bytes(2, "little") + (0x7fff12345678).to_bytes(8, "little"))
    cpu.gpr[m.RCX] = 0x5000
    load, store = ("0f011b", "0f0109") if idt else ("0f0113", "0f0101")
    assert cpu.step(bytes.fromhex(prefix + load)).code == m.OK
    assert (cpu.table(idt).limit, cpu.table(idt).base) == (0x3ff, base)
    assert cpu.step(bytes.fromhex(prefix + store)).code == m.OK
    size = 8 if mode == m.MODE_64 else 4
    assert cpu.peek(0x5000, 11) == (b"\xff\x03" + base.to_bytes(size, "little")).ljust(11, b"\0")


def test_umip(cpu):
    cpu.gpr[m.RBX], cpu.cpl = 0x4000, 3
    assert cpu.step(bytes.fromhex("0f0103")).code == m.OK
    cpu.cr[4] |= 0x800
    assert gp(cpu.step(bytes.fromhex("0f0103"))) and gp(cpu.step(bytes.fromhex("0f01e0")))


# -- segment registers in protected mode -----------------------------------------------

def descriptor(base: int, limit: int, access: int, flags: int = 0xc) -> bytes:
    """access: bits 40 to 47, flags: bits 52 to 55 (G, D, L, AVL)."""
    word = (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40
    word |= (limit >> 16) << 48 | flags << 52 | (base >> 24) << 56
    return word.to_bytes(8, "little")


(DATA_0, READ_ONLY_0, CODE_0, EXECUTE_ONLY, DATA_3, ABSENT, CONFORMING, SYSTEM, CODE_3,
 CODE_ABSENT, LDT, LDT_ABSENT, TSS_16, BUSY) = range(1, 15)


@pytest.fixture
def gdt(legacy):
    """Selectors 8 * the names above."""
    entries = {DATA_0: 0x92, READ_ONLY_0: 0x90, CODE_0: 0x9a, EXECUTE_ONLY: 0x98, DATA_3: 0xf2,
               ABSENT: 0x12, CONFORMING: 0x9e, SYSTEM: 0x89, CODE_3: 0xfa, CODE_ABSENT: 0x1a,
               LDT: 0x82, LDT_ABSENT: 0x02, TSS_16: 0x81, BUSY: 0x8b}
    legacy.table(False).base, legacy.table(False).limit = 0x2000, 15 * 8 - 1
    for number, access in entries.items():
        legacy.poke(0x2000 + 8 * number, descriptor(0x12345678, 0xabcde, access))
    legacy.gpr[m.RSP] = 0x8000
    return legacy


def load(cpu, seg: int, selector: int):
    cpu.gpr[m.RAX] = selector
    return cpu.step(bytes((0x8e, 0xc0 | seg << 3)))


def test_load_data_segment(gdt):
    assert load(gdt, m.FS, 8 * DATA_0).code == m.OK
    fs = gdt.segment(m.FS)
    assert (fs.selector, fs.base, fs.limit) == (8, 0x12345678, 0xabcdefff)
    assert (fs.type, fs.s, fs.dpl, fs.present, fs.db, fs.g) == (3, 1, 0, 1, 1, 1)
    assert gdt.peek(0x2000 + 8 + 5, 1) == b"\x93"       # the accessed bit


@pytest.mark.parametrize("seg, entry, cpl, rpl, vector", [
    (m.DS, CODE_0, 0, 0, None), (m.DS, EXECUTE_ONLY, 0, 0, m.GP), (m.DS, DATA_0, 3, 3, m.GP),
    (m.DS, DATA_0, 0, 3, m.GP), (m.DS, DATA_3, 0, 0, None), (m.DS, DATA_3, 3, 3, None),
    (m.DS, CONFORMING, 3, 3, None), (m.DS, SYSTEM, 0, 0, m.GP), (m.DS, ABSENT, 0, 0, m.NP),
    (m.SEG_SS, DATA_0, 0, 0, None), (m.SEG_SS, READ_ONLY_0, 0, 0, m.GP),
    (m.SEG_SS, DATA_3, 0, 0, m.GP), (m.SEG_SS, CODE_0, 0, 0, m.GP),
    (m.SEG_SS, ABSENT, 0, 0, m.SS), (m.SEG_SS, DATA_0, 0, 1, m.GP)])
def test_segment_checks(gdt, seg, entry, cpl, rpl, vector):
    gdt.cpl = cpl
    selector = 8 * entry | rpl
    before = bytes(gdt.segment(seg))
    result = load(gdt, seg, selector)
    if vector is None:
        assert result.code == m.OK and gdt.segment(seg).selector == selector
    else:
        assert (result.code, result.vector) == (m.FAULT, vector)
        assert result.error_code == 8 * entry
        assert bytes(gdt.segment(seg)) == before


def test_beyond_the_table(gdt):
    result = load(gdt, m.DS, 0x78)
    assert (result.vector, result.error_code) == (m.GP, 0x78)
    result = load(gdt, m.DS, 0x0c)      # no LDT
    assert (result.vector, result.error_code) == (m.GP, 0x0c)


def test_ldt(gdt):
    ldt = gdt.segment(m.LDTR)
    ldt.base, ldt.limit, ldt.present = 0x3000, 0xf, 1
    gdt.poke(0x3008, descriptor(0x400000, 0xff, 0xf2, 4))
    assert load(gdt, m.ES, 0x0f).code == m.OK
    assert (gdt.segment(m.ES).base, gdt.segment(m.ES).limit) == (0x400000, 0xff)


def test_null_selector(gdt):
    assert load(gdt, m.DS, 3).code == m.OK and gdt.segment(m.DS).unusable
    assert gp(load(gdt, m.SEG_SS, 0))
    gdt.gpr[m.RBX] = 0x4000
    assert gp(gdt.step(bytes.fromhex("8b03")))


def test_mov_ss_shadow(gdt):
    assert load(gdt, m.SEG_SS, 8 * DATA_0).shadow == m.SHADOW_MOV_SS
    assert load(gdt, m.DS, 8 * DATA_0).shadow == 0


def test_pop_segment(gdt):
    gdt.poke(0x8000, (8 * DATA_3).to_bytes(4, "little"))
    assert gdt.step(bytes.fromhex("0fa1")).code == m.OK
    assert gdt.segment(m.FS).selector == 8 * DATA_3 and gdt.gpr[m.RSP] == 0x8004


# -- far transfers and system segments ---------------------------------------------------

JMP, CALL, RET = "ea", "9a", "cb"


def far(cpu, code: str, selector: int, offset: int = 0x1234):
    """A transfer with 32-bit operands in legacy mode."""
    pointer = offset.to_bytes(4, "little") + selector.to_bytes(2, "little")
    cpu.poke(0x8000, pointer + bytes(2))
    return cpu.step(bytes.fromhex(code) + (b"" if code == RET else pointer))


@pytest.mark.parametrize("code", [JMP, CALL, RET])
def test_far_to_code(gdt, code):
    gdt.segment(m.CS).selector = 0x50
    assert far(gdt, code, 8 * CODE_0).code == m.OK
    cs = gdt.segment(m.CS)
    assert (gdt.rip, cs.selector, cs.base, cs.type) == (0x1234, 8 * CODE_0, 0x12345678, 0xb)
    assert gdt.peek(0x2000 + 8 * CODE_0 + 5, 1) == b"\x9b"
    assert gdt.gpr[m.RSP] == {JMP: 0x8000, CALL: 0x7ff8, RET: 0x8008}[code]
    assert gdt.peek(0x7ff8, 8) == (bytes.fromhex("0790000050000000") if code == CALL else bytes(8))


@pytest.mark.parametrize("code, entry, cpl, rpl, vector", [
    (JMP, CODE_0, 0, 0, None), (JMP, CODE_0, 0, 3, m.GP), (JMP, CODE_0, 3, 3, m.GP),
    (JMP, CODE_3, 3, 0, None), (JMP, CODE_3, 0, 0, m.GP), (JMP, CONFORMING, 3, 0, None),
    (JMP, CONFORMING, 0, 3, None), (JMP, DATA_0, 0, 0, m.GP), (JMP, CODE_ABSENT, 0, 0, m.NP),
    (JMP, CODE_ABSENT, 3, 3, m.GP), (RET, CODE_3, 3, 3, None), (RET, CODE_3, 3, 0, m.GP),
    (RET, CODE_ABSENT, 0, 0, m.NP), (RET, CODE_3, 0, 0, m.GP), (CALL, ABSENT, 0, 0, m.GP),
    (RET, CONFORMING, 3, 0, m.GP), (RET, SYSTEM, 0, 0, m.GP), (RET, 15, 0, 3, m.GP)])
def test_far_checks(gdt, code, entry, cpl, rpl, vector):
    gdt.cpl = cpl
    before = bytes(gdt.segment(m.CS))
    result = far(gdt, code, 8 * entry | rpl)
    if vector is None:
        assert result.code == m.OK and gdt.segment(m.CS).selector == 8 * entry | cpl
    else:
        assert (result.code, result.vector, result.error_code) == (m.FAULT, vector, 8 * entry)
        assert (bytes(gdt.segment(m.CS)), gdt.gpr[m.RSP]) == (before, 0x8000)


def test_far_to_nowhere(gdt):
    """A null selector, and offsets beyond the limit; a gate, and an outer level, are not ours."""
    assert gp(far(gdt, JMP, 0)) and gp(far(gdt, RET, 3))
    assert gp(far(gdt, JMP, 8 * CODE_0, 0xabcdf000))
    assert far(gdt, JMP, 8 * SYSTEM).code == m.UNHANDLED
    assert far(gdt, RET, 8 * CODE_3 | 3).code == m.UNHANDLED


@pytest.mark.parametrize("flags, offset, error", [
    (0xa, 0x123456789abc, None), (0xa, 0x8000 << 32, 0), (0xe, 0x1234, 0x10),
    (0xc, 0x1234, None), (0xc, 0x123456789abc, 0)])
def test_far_64(cpu, flags, offset, error):
    """rex.w ljmp [rbx]: 64-bit code, or compatibility mode, by the descriptor."""
    cpu.table(False).base, cpu.table(False).limit = 0x2000, 0x17
    cpu.poke(0x2010, descriptor(0, 0xfffff, 0x9b, flags))
    cpu.poke(0x4000, offset.to_bytes(8, "little") + b"\x10\0")
    cpu.gpr[m.RBX] = 0x4000
    result = cpu.step(bytes.fromhex("48ff2b"))
    if error is None:
        assert result.code == m.OK and (cpu.rip, cpu.segment(m.CS).l) == (offset, flags >> 1 & 1)
    else:
        assert gp(result, error) and cpu.rip == 0x9000


@pytest.mark.parametrize("code, entry, vector", [
    ("0f00d0", LDT, None), ("0f00d0", LDT_ABSENT, m.NP), ("0f00d0", SYSTEM, m.GP),
    ("0f00d0", 0, None), ("0f00d8", SYSTEM, None), ("0f00d8", TSS_16, None), ("0f00d8", 0, m.GP),
    ("0f00d8", BUSY, m.GP), ("0f00d8", LDT, m.GP), ("0f00d8", DATA_0, m.GP),
    ("0f00d8", 15, m.GP)])
def test_load_system_segment(gdt, code, entry, vector):
    """LLDT and LTR of AX, then SLDT and STR into it."""
    gdt.gpr[m.RAX] = 8 * entry
    seg = gdt.segment(m.TR if code == "0f00d8" else m.LDTR)
    before, result = bytes(seg), gdt.step(bytes.fromhex(code))
    if vector is not None:
        assert (result.code, result.vector, result.error_code) == (m.FAULT, vector, 8 * entry)
        assert bytes(seg) == before
        return
    assert result.code == m.OK and (seg.selector, seg.unusable) == (8 * entry, not entry)
    if code == "0f00d8":
        assert seg.type & 2 and gdt.peek(0x2000 + 8 * entry + 5, 1)[0] == 0x80 | seg.type
    gdt.gpr[m.RAX] = 0xffffffff
    assert gdt.step(bytes.fromhex("0f00c8" if code == "0f00d8" else "0f00c0")).code == m.OK
    assert gdt.gpr[m.RAX] == 8 * entry


@pytest.mark.parametrize("limit, access, upper, error", [
    (0x1f, 0x89, 0xffff8000, None), (0x1e, 0x89, 0xffff8000, 0x10), (0x1f, 0x81, 0xffff8000, 0x10),
    (0x1f, 0x89, 0x8000, 0x10)])
def test_ltr_64(cpu, limit, access, upper, error):
    """The descriptor has 16 bytes, and a canonical base."""
    cpu.table(False).base, cpu.table(False).limit = 0x2000, limit
    cpu.poke(0x2010, descriptor(0x12345678, 0x67, access, 0) + upper.to_bytes(8, "little"))
    cpu.poke(0x4000, b"\x10\0")
    cpu.gpr[m.RBX] = 0x4000
    result = cpu.step(bytes.fromhex("0f001b"))
    if error is not None:
        assert gp(result, error) and not cpu.segment(m.TR).selector
    else:
        assert result.code == m.OK and cpu.segment(m.TR).base == upper << 32 | 0x12345678
        assert cpu.peek(0x2015, 1) == b"\x8b"


def test_group6_privilege(cpu, real):
    cpu.cpl = 3
    assert gp(cpu.step(bytes.fromhex("0f00d0"))) and gp(cpu.step(bytes.fromhex("0f00d8")))
    assert cpu.step(bytes.fromhex("0f00c0")).code == m.OK
    cpu.cr[4] |= 0x800      # CR4.UMIP
    assert gp(cpu.step(bytes.fromhex("0f00c0")))
    assert real.step(bytes.fromhex("0f00c0")).vector == m.UD


# -- real mode -------------------------------------------------------------------------

def test_int_and_iret(real):
    real.poke(0x10 * 4, bytes.fromhex("34127856"))      # vector 10: 5678:1234
    real.segment(m.CS).selector, real.segment(m.CS).base = 0x100, 0x1000
    real.rflags = 0x202 | m.CF
    assert real.step(bytes.fromhex("cd10")).code == m.OK
    assert (real.segment(m.CS).selector, real.segment(m.CS).base) == (0x5678, 0x56780)
    assert (real.rip, real.rflags, real.gpr[m.RSP]) == (0x1234, 2 | m.CF, 0x7ffa)
    assert real.peek(0x7ffa, 6) == bytes.fromhex("029000010302")
    assert real.step(bytes.fromhex("cf")).code == m.OK
    assert (real.segment(m.CS).base, real.rip, real.rflags) == (0x1000, 0x9002, 0x202 | m.CF)
    assert real.gpr[m.RSP] == 0x8000


def test_int3_and_into(real):
    real.poke(3 * 4, bytes.fromhex("00100020"))
    real.poke(4 * 4, bytes.fromhex("00300040"))
    assert real.step(b"\xce").code == m.OK and real.rip == 0x9001
    real.rflags |= m.OF_FLAG
    assert real.step(b"\xce").code == m.OK and real.rip == 0x3000
    assert real.step(b"\xcc").code == m.OK and real.rip == 0x1000


def test_int_beyond_the_table(real):
    real.table(True).limit = 0x42
    assert gp(real.step(bytes.fromhex("cd10")), None)
    assert real.gpr[m.RSP] == 0x8000


def test_int_with_no_room_on_the_stack(real):
    """The three pushes are all or nothing, and CS stays."""
    real.page(0x7000, flags=m.ABSENT)
    before = bytes(real.segment(m.CS))
    assert real.step(bytes.fromhex("cd10")).vector == m.PF
    assert bytes(real.segment(m.CS)) == before and real.rip == 0x9000


@pytest.mark.parametrize("code, pushed", [("ea34127856", b""), ("9a34127856", b"\x05\x90\0\0"),
                                          ("ff2f", b""), ("ff1f", b"\x02\x90\0\0")])
def test_far(real, code, pushed):
    real.poke(0x4000, bytes.fromhex("34127856"))
    real.gpr[m.RBX] = 0x4000
    assert real.step(bytes.fromhex(code)).code == m.OK
    assert (real.rip, real.segment(m.CS).base) == (0x1234, 0x56780)
    assert real.gpr[m.RSP] == 0x8000 - len(pushed)
    assert real.peek(0x8000 - len(pushed), len(pushed)) == pushed


def test_far_return(real):
    real.poke(0x8000, bytes.fromhex("34127856"))
    assert real.step(bytes.fromhex("ca0600")).code == m.OK
    assert (real.rip, real.segment(m.CS).base, real.gpr[m.RSP]) == (0x1234, 0x56780, 0x800a)


@pytest.mark.parametrize("code", ["cd10", "cf"])
def test_gates_are_not_ours(legacy, code):
    legacy.gpr[m.RSP] = 0x8000
    assert legacy.step(bytes.fromhex(code)).code == m.UNHANDLED


# -- flags and privilege ----------------------------------------------------------------

def test_sti_shadow(cpu):
    result = cpu.step(b"\xfb")
    assert (result.code, result.shadow) == (m.OK, m.SHADOW_STI) and cpu.rflags & m.IF
    assert cpu.step(b"\xfb").shadow == 0
    assert cpu.step(b"\xfa").code == m.OK and not cpu.rflags & m.IF


@pytest.mark.parametrize("code", [b"\xfa", b"\xfb"])
def test_cli_needs_iopl(cpu, code):
    cpu.cpl = 3
    assert gp(cpu.step(code))
    cpu.rflags |= IOPL_3
    assert cpu.step(code).code == m.OK


@pytest.mark.parametrize("code", [b"\x9c", b"\x9d", b"\xfa", b"\xfb"])
def test_vm86_needs_iopl(logic, code):
    cpu = Machine(logic, m.MODE_16)
    cpu.cr[0], cpu.cpl, cpu.gpr[m.RSP] = m.CR0_PE, 3, 0x8000
    cpu.rflags |= m.VM
    assert gp(cpu.step(code))
    cpu.rflags |= IOPL_3
    assert cpu.step(code).code == m.OK


@pytest.mark.parametrize("cpl, iopl, changed", [(0, 0, m.IF | IOPL_3), (3, 3, m.IF), (3, 0, 0)])
def test_popf_privilege(cpu, cpl, iopl, changed):
    """IOPL only at CPL 0, IF only where CPL allows it."""
    cpu.cpl, cpu.rflags, cpu.gpr[m.RSP] = cpl, 2 | iopl << 12, 0x8000
    value = 2 | (m.IF | IOPL_3 if iopl == 0 else 0) | m.CF | (m.IF if cpl == 3 else 0)
    cpu.poke(0x8000, value.to_bytes(8, "little"))
    assert cpu.step(b"\x9d").code == m.OK
    assert (cpu.rflags ^ (2 | iopl << 12)) & (m.IF | IOPL_3) == changed
    assert cpu.rflags & m.CF


def test_cpuid_and_rdtsc(cpu):
    cpu.gpr[m.RAX], cpu.gpr[m.RCX] = 0xffffffff00000007, 2
    assert cpu.step(bytes.fromhex("0fa2")).code == m.OK
    assert [cpu.gpr[r] for r in (m.RAX, m.RBX, m.RCX, m.RDX)] == [0x78, 0x79, 0x7a, 0x7b]
    assert cpu.step(bytes.fromhex("0f31")).code == m.OK
    assert (cpu.gpr[m.RAX], cpu.gpr[m.RDX]) == (0x55667788, 0x11223344)
    cpu.cr[4], cpu.cpl = 4, 3
    assert gp(cpu.step(bytes.fromhex("0f31")))


def test_sse_needs_its_bits(cpu):
    cpu.gpr[m.RBX] = 0x4000
    cpu.cr[0] |= 8
    assert cpu.step(bytes.fromhex("0f1003")).vector == m.NM
    cpu.cr[0] |= 4
    assert cpu.step(bytes.fromhex("0f1003")).vector == m.UD
    cpu.cr[0], cpu.cr[4] = m.CR0_PE, 0
    assert cpu.step(bytes.fromhex("0f1003")).vector == m.UD
    cpu.cr[4] = m.CR4_OSFXSR
    cpu.gpr[m.RBX] = 0x4001
    assert cpu.step(bytes.fromhex("0f1003")).code == m.OK
    assert gp(cpu.step(bytes.fromhex("0f2803")))
