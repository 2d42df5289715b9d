# SPDX-License-Identifier: GPL-2.0-only
"""Corners of data instructions where unicorn differs from processors, worked out by hand."""

import pytest
from kernel.emulate import machine as m
from kernel.emulate.machine import Machine

pytestmark = pytest.mark.unit

TOP = 0x1111111100000000


@pytest.fixture
def cpu(logic):
    return Machine(logic, m.MODE_64)


def test_cmpxchg_equal_keeps_the_top_of_rax(cpu):
    cpu.gpr[m.RAX], cpu.gpr[m.RBX], cpu.gpr[m.RCX] = TOP | 5, TOP | 5, TOP | 9
    assert cpu.step(bytes.fromhex("0fb1cb")).code == m.OK          # cmpxchg ebx, ecx
    assert (cpu.gpr[m.RAX], cpu.gpr[m.RBX]) == (TOP | 5, 9) and cpu.rflags & m.ZF


def test_cmpxchg_unequal_keeps_the_top_of_a_register(cpu):
    cpu.gpr[m.RAX], cpu.gpr[m.RBX], cpu.gpr[m.RCX] = TOP | 5, TOP | 6, TOP | 9
    assert cpu.step(bytes.fromhex("0fb1cb")).code == m.OK
    assert (cpu.gpr[m.RAX], cpu.gpr[m.RBX]) == (6, TOP | 6) and not cpu.rflags & m.ZF


@pytest.mark.parametrize("rax, memory, rax_after, memory_after, zf", [
    (5, 5, 5, 9, True), (5, 6, 6, 6, False)])
def test_cmpxchg_memory(cpu, rax, memory, rax_after, memory_after, zf):
    cpu.gpr[m.RAX], cpu.gpr[m.RBX], cpu.gpr[m.RCX] = rax, 0x4000, 9
    cpu.poke(0x4000, bytes((memory, 0, 0, 0)))
    assert cpu.step(bytes.fromhex("f00fb10b")).code == m.OK
    assert cpu.gpr[m.RAX] == rax_after and cpu.peek(0x4000, 1)[0] == memory_after
    assert bool(cpu.rflags & m.ZF) == zf


def test_cmpxchg16b(cpu):
    low, high = 0x0123456789abcdef, 0xfedcba9876543210
    pair = low.to_bytes(8, "little") + high.to_bytes(8, "little")
    cpu.poke(0x4000, pair)
    cpu.gpr[m.RSI], cpu.gpr[m.RBX], cpu.gpr[m.RCX] = 0x4000, 1, 2
    assert cpu.step(bytes.fromhex("f0480fc70e")).code == m.OK
    assert not cpu.rflags & m.ZF and (cpu.gpr[m.RAX], cpu.gpr[m.RDX]) == (low, high)
    assert cpu.step(bytes.fromhex("f0480fc70e")).code == m.OK
    assert cpu.rflags & m.ZF
    assert cpu.peek(0x4000, 16) == (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
    cpu.gpr[m.RSI] = 0x4008
    assert cpu.step(bytes.fromhex("f0480fc70e")).vector == m.GP


def test_test_alias(cpu):
    """F6 and F7 /1 are TEST too (AMD)."""
    cpu.gpr[m.RBX] = 0x80
    assert cpu.step(bytes.fromhex("f6cb80")).code == m.OK
    assert cpu.rflags & m.ARITH == m.SF


def test_sahf_with_rex(cpu):
    cpu.gpr[m.RAX], cpu.gpr[m.RSP] = 0xd500, 0
    assert cpu.step(b"\x48\x9e").code == m.OK
    assert cpu.rflags & 0xff == 0xd7
    cpu.gpr[m.RAX] = 0
    assert cpu.step(b"\x48\x9f").code == m.OK and cpu.gpr[m.RAX] == 0xd700


def test_movbe_16(logic):
    cpu = Machine(logic, m.MODE_16)
    cpu.poke(0x4000, b"\x12\x34\x56\x78")
    cpu.gpr[m.RBX] = 0x4000
    assert cpu.step(bytes.fromhex("0f38f007")).code == m.OK and cpu.gpr[m.RAX] == 0x1234
    assert cpu.step(bytes.fromhex("660f38f007")).code == m.OK and cpu.gpr[m.RAX] == 0x12345678


def test_ret_takes_an_unsigned_immediate(cpu):
    cpu.poke(0x8000, (0x9100).to_bytes(8, "little"))
    cpu.gpr[m.RSP] = 0x8000
    assert cpu.step(bytes.fromhex("c2f0ff")).code == m.OK
    assert (cpu.rip, cpu.gpr[m.RSP]) == (0x9100, 0x8008 + 0xfff0)


@pytest.mark.parametrize("bits", [0x41414141, 0x90])
def test_nop_is_not_xchg(cpu, bits):
    cpu.gpr[m.RAX], cpu.gpr[8] = TOP | bits, 7
    assert cpu.step(b"\x90").code == m.OK and cpu.gpr[m.RAX] == TOP | bits
    assert cpu.step(b"\x41\x90").code == m.OK and cpu.gpr[m.RAX] == 7


@pytest.mark.parametrize("code, seg, offset, selector", [
    ("0fb407", m.FS, 0x5678, 0x1234), ("660fb407", m.FS, 0x12345678, 0x123),
    ("0fb507", m.GS, 0x5678, 0x1234), ("c407", m.ES, 0x5678, 0x1234),
    ("66c507", m.DS, 0x12345678, 0x123), ("0fb207", m.SEG_SS, 0x5678, 0x1234)])
def test_load_far(logic, code, seg, offset, selector):
    """Real mode: offset, then selector."""
    cpu = Machine(logic, m.MODE_16)
    cpu.poke(0x4000, bytes.fromhex("785634122301"))
    cpu.gpr[m.RBX] = 0x4000
    assert cpu.step(bytes.fromhex(code)).code == m.OK
    assert (cpu.segment(seg).selector, cpu.segment(seg).base) == (selector, selector << 4)
    assert cpu.gpr[m.RAX] == offset


@pytest.mark.parametrize("size, rbp, rsp", [(8, 0x7ff8, 0x7ff8 - 0x20)])
def test_enter(cpu, size, rbp, rsp):
    cpu.gpr[m.RSP], cpu.gpr[m.RBP] = 0x8000, 0x1234
    assert cpu.step(bytes.fromhex("c8200000")).code == m.OK
    assert (cpu.gpr[m.RBP], cpu.gpr[m.RSP]) == (rbp, rsp)
    assert cpu.peek(0x7ff8, size) == (0x1234).to_bytes(8, "little")


def test_xlat(cpu):
    cpu.poke(0x4000, bytes(range(100, 200)))
    cpu.gpr[m.RBX], cpu.gpr[m.RAX] = 0x4000, 0xff05
    assert cpu.step(b"\xd7").code == m.OK and cpu.gpr[m.RAX] == 0xff69


@pytest.mark.parametrize("address, code", [((1 << 64) - 8, "a1"), (0x4000, "67a1")])
def test_moffs(cpu, address, code):
    cpu.poke(0x4000, b"\x2a\0\0\0")
    width = 4 if code == "67a1" else 8
    result = cpu.step(bytes.fromhex(code) + (address % (1 << 8 * width)).to_bytes(width, "little"))
    if address == 0x4000:
        assert result.code == m.OK and cpu.gpr[m.RAX] == 0x2a
    else:       # canonical, and far beyond memory: the device space of user space
        assert result.code == m.IO_NEEDED


@pytest.mark.parametrize("mode, rip, after", [
    (m.MODE_16, 0xffff, 0), (m.MODE_32, 0xffffffff, 0), (m.MODE_64, 0xffffffff, 0x100000000)])
def test_rip_wraps(logic, mode, rip, after):
    cpu = Machine(logic, mode)
    cpu.rip = rip
    assert cpu.step(b"\x90").code == m.OK and cpu.rip == after


def test_rf_is_cleared(cpu):
    cpu.rflags |= 0x10000
    assert cpu.step(b"\x90").code == m.OK and not cpu.rflags & 0x10000
