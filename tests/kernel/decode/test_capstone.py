# SPDX-License-Identifier: GPL-2.0-only
"""Lengths and operands against capstone, an outside decoder, in all three modes.

What capstone calls an instruction we must decode with the same length. The
reverse does not hold: of the vector maps we know only how long they are, so we
accept what is unassigned there. Where both disagree for a reason, the reason
stands in disagreement().
"""

import capstone
import pytest
from capstone import x86_const
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.decode.decoder import (INVALID, MAP_0F, MAP_1BYTE, MODE_16, MODE_32, MODE_64, MODES,
                                   NO_REG, Insn, decode, decode_length, random_code)

pytestmark = pytest.mark.unit

CAPSTONE_MODE = {MODE_16: capstone.CS_MODE_16, MODE_32: capstone.CS_MODE_32,
                 MODE_64: capstone.CS_MODE_64}
ORACLE = {mode: capstone.Cs(capstone.CS_ARCH_X86, CAPSTONE_MODE[mode]) for mode in MODES}
DETAIL = {mode: capstone.Cs(capstone.CS_ARCH_X86, CAPSTONE_MODE[mode]) for mode in MODES}
for _oracle in DETAIL.values():
    _oracle.detail = True

LEGACY = bytes.fromhex("66 67 f2 f3 f0 2e 36 3e 26 64 65")


def disagreement(code: bytes, mode: int, name: str) -> str | None:
    """Why capstone's answer is not what an AMD processor does, or None."""
    skipped = 0
    while code[skipped] in LEGACY or (mode == MODE_64 and code[skipped] & 0xf0 == 0x40):
        skipped += 1
    prefixes, opcode = code[:skipped], code[skipped:]
    if name in ("ud0", "ud1"):
        return "both have a ModRM byte (SDM); capstone leaves it out"
    if name == "montmul" or name.startswith(("xs", "xcrypt")):
        return "VIA PadLock: #UD elsewhere"
    if name == "mov" and opcode[0] == 0x8e and opcode[1] & 0x38 == 8:
        return "MOV to CS is #UD"
    if opcode[0] in (0xc4, 0xc5, 0x62, 0x8f) and any(
            b in b"\x66\xf2\xf3\xf0" or (mode == MODE_64 and b & 0xf0 == 0x40) for b in prefixes):
        return "a vector prefix after 66, F2, F3, LOCK or REX is #UD (APM vol. 3, 1.2.9)"
    if opcode[:2] == b"\x0f\x78" and 0x66 in prefixes:
        return "AMD's EXTRQ; capstone now and then takes it for Intel's VMREAD"
    if opcode[0] in (0xc2, 0xca) and 0x66 in prefixes:
        return "RET has two immediate bytes; capstone counts four after 66 and REX.W"
    near = opcode[0] in (0xe8, 0xe9) or (opcode[0] == 0x0f and opcode[1] & 0xf0 == 0x80)
    if mode == MODE_64 and near and 0x66 in prefixes:
        return "AMD takes 66 as 16-bit displacement in 64-bit mode, Intel ignores it"
    return None


def compare_length(logic, code: bytes, mode: int) -> bool:
    """True if capstone knew it and both agreed."""
    found = next(ORACLE[mode].disasm_lite(code, 0, 1), None)
    if found is None or disagreement(code, mode, found[2]):
        return False
    ours = decode_length(logic, code, mode)
    assert ours == found[1], f"{code.hex()}: ours {ours}, capstone {found[1]} {found[2:]}"
    return True


@pytest.mark.parametrize("mode", MODES)
def test_length_random(logic, mode):
    """100,000 strings, of which capstone knows a good part."""
    known = sum(compare_length(logic, code, mode) for code in random_code(mode + 1, 100_000))
    assert known > 30_000, known


@pytest.mark.parametrize("mode", MODES)
def test_length_every_opcode(logic, mode):
    """Each opcode of the three integer maps with each ModRM byte and none, 66, F2, F3, 67."""
    tail = bytes.fromhex("2411223344556677889900")
    known = 0
    for prefix in (b"", b"\x66", b"\xf2", b"\xf3", b"\x67", b"\x48"):
        for escape in (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a"):
            for opcode in range(256):
                for modrm in range(0, 256, 7 if escape[1:] else 1):
                    code = prefix + escape + bytes((opcode, modrm)) + tail
                    known += compare_length(logic, code[:15], mode)
    assert known > 300_000, known


@settings(max_examples=2000, deadline=None)
@given(code=st.binary(min_size=15, max_size=15), mode=st.sampled_from(MODES))
def test_length_hypothesis(logic, code, mode):
    compare_length(logic, code, mode)


SEGMENTS = {x86_const.X86_REG_ES: 0, x86_const.X86_REG_CS: 1, x86_const.X86_REG_SS: 2,
            x86_const.X86_REG_DS: 3, x86_const.X86_REG_FS: 4, x86_const.X86_REG_GS: 5}


def register_numbers() -> dict[int, int]:
    """Capstone's address registers to encoding order."""
    numbers = {}
    for number, name in enumerate("AX CX DX BX SP BP SI DI".split()):
        for form in (name, "E" + name, "R" + name):
            numbers[getattr(x86_const, "X86_REG_" + form)] = number
    for number in range(8, 16):
        for form in ("", "D", "W"):
            numbers[getattr(x86_const, f"X86_REG_R{number}{form}")] = number
    return numbers


REGISTERS = register_numbers()
RIP = (x86_const.X86_REG_RIP, x86_const.X86_REG_EIP)
NO_INDEX = (0, x86_const.X86_REG_RIZ, x86_const.X86_REG_EIZ)


def compare_memory(insn: Insn, operand, mode: int) -> None:
    """The parts of an address."""
    mem = operand.mem
    width = 8 * insn.addr_size
    assert insn.rip_relative == (mem.base in RIP)
    if not insn.rip_relative:
        assert insn.base == REGISTERS.get(mem.base, NO_REG)
    assert insn.index == (NO_REG if mem.index in NO_INDEX else REGISTERS[mem.index])
    if mem.index not in NO_INDEX:
        assert 1 << insn.scale == mem.scale
    assert (insn.disp - mem.disp) % (1 << width) == 0
    if mem.segment and not (mode == MODE_64 and mem.segment not in (x86_const.X86_REG_FS,
                                                                  x86_const.X86_REG_GS)):
        assert insn.seg == SEGMENTS[mem.segment]


def immediate(code: bytes, offset: int, size: int) -> int:
    return int.from_bytes(code[offset:offset + size], "little")


def compare_fields(code: bytes, insn: Insn, theirs, mode: int) -> None:
    """ModRM, REX, displacement, immediate and memory operand."""
    encoding = theirs.encoding
    if encoding.modrm_offset:
        assert insn.modrm == code[encoding.modrm_offset] == theirs.modrm
    assert insn.rex == theirs.rex
    assert insn.addr_size == theirs.addr_size
    if encoding.imm_offset and insn.imm_len == encoding.imm_size:
        mask = (1 << 8 * encoding.imm_size) - 1
        if not insn.lengths & 0xff:
            assert insn.imm & mask == immediate(code, encoding.imm_offset, encoding.imm_size)
    for operand in theirs.operands:
        if operand.type == x86_const.X86_OP_MEM and insn.modrm >= 0 and insn.mod != 3:
            compare_memory(insn, operand, mode)


# One memory operand by ModRM and another by rSI or rDI, or none by ModRM at all.
STRING = {0xa4, 0xa5, 0xa6, 0xa7, 0x6c, 0x6d, 0x6e, 0x6f, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}


@pytest.mark.parametrize("mode", MODES)
def test_operands_random(logic, mode):
    compared = 0
    for code in random_code(mode + 10, 40_000):
        insn = decode(logic, code, mode)
        if insn.length < 0 or insn.map not in (MAP_1BYTE, MAP_0F):
            continue
        if insn.map == MAP_0F and 0x20 <= insn.opcode <= 0x23:
            continue        # mod is ignored there: see test_decode.py
        theirs = next(DETAIL[mode].disasm(code, 0, 1), None)
        if theirs is None or disagreement(code, mode, theirs.mnemonic):
            continue
        compare_fields(code, insn, theirs, mode)
        compared += 1
    assert compared > 10_000, compared


# Registers and memory operands of one size: capstone's size of the operand is ours.
SIZED = set(range(0x00, 0x40)) - {b for b in range(0x40) if b & 7 > 3}
SIZED |= {0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0xc6, 0xc7, 0xd0,
          0xd1, 0xd2, 0xd3, 0xc0, 0xc1, 0xf6, 0xf7, 0xfe}


@pytest.mark.parametrize("mode", MODES)
def test_operand_size(logic, mode):
    compared = 0
    for code in random_code(mode + 20, 60_000):
        insn = decode(logic, code, mode)
        if insn.length < 0 or insn.map != MAP_1BYTE or insn.opcode not in SIZED:
            continue
        theirs = next(DETAIL[mode].disasm(code, 0, 1), None)
        if theirs is None or not theirs.operands or theirs.mnemonic in ("xabort", "xbegin"):
            continue
        assert insn.op_size == theirs.operands[0].size, code.hex()
        compared += 1
    assert compared > 2_000


def test_disagreements_are_still_ours(logic):
    """Each reason above once, so that the list cannot hide a regression."""
    assert decode_length(logic, bytes.fromhex("0fb92a75cf6c85"), MODE_64) == 3
    assert decode_length(logic, bytes.fromhex("660f78c11234") + bytes(4), MODE_64) == 6
    assert decode_length(logic, bytes.fromhex("6648c2241122"), MODE_64) == 5
    assert decode_length(logic, bytes.fromhex("0fa6c02e8bf15b"), MODE_32) == INVALID
    assert decode_length(logic, bytes.fromhex("8ec800"), MODE_32) == INVALID
    assert decode_length(logic, bytes.fromhex("f3c5d25890112233"), MODE_64) == INVALID
    assert decode_length(logic, bytes.fromhex("66e982ced33e5f27"), MODE_64) == 4
    assert decode_length(logic, bytes.fromhex("660f85cb8cb84a83"), MODE_64) == 5
