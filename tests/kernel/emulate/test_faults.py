# SPDX-License-Identifier: GPL-2.0-only
"""Exceptions: the right vector and error code, and nothing changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.decode.decoder import MODES
from kernel.emulate import machine as m
from kernel.emulate.machine import USER_DEVICE, Machine

pytestmark = pytest.mark.unit


@pytest.fixture
def cpu(logic):
    return Machine(logic, m.MODE_64)


@pytest.fixture
def legacy(logic):
    return Machine(logic, m.MODE_32)


@pytest.fixture
def real(logic):
    return Machine(logic, m.MODE_16)


def faults(cpu, code: str, vector: int, error: int | None = 0) -> None:
    """It does, at the instruction itself, and registers and memory stay as they were."""
    before = list(cpu.gpr), cpu.rflags, cpu.rip, bytes(cpu.ram)
    result = cpu.step(bytes.fromhex(code))
    assert (result.code, result.vector) == (m.FAULT, vector)
    assert result.rip == cpu.rip
    assert (result.error_code if result.has_error_code else None) == error
    assert (list(cpu.gpr), cpu.rflags, cpu.rip, bytes(cpu.ram)) == before
    assert cpu.posted() == [] and cpu.log() == []


# -- paging -----------------------------------------------------------------------

@pytest.mark.parametrize("code, error", [("8b03", 0), ("8903", 2), ("0103", 2), ("3b03", 0),
                                         ("ff33", 0), ("8f03", 2), ("f0480fb113", 2),
                                         ("480fc70b", 2), ("48a5", 0), ("0f01 0b", 2)])
def test_page_fault(cpu, code, error):
    """The second page is missing: the first keeps its bytes."""
    cpu.page(0x6000, flags=m.ABSENT)
    cpu.gpr[m.RBX] = cpu.gpr[m.RSI] = 0x5ffe
    cpu.gpr[m.RDI], cpu.gpr[m.RSP] = 0x4000, 0x8000
    if code == "480fc70b":
        cpu.gpr[m.RBX] = 0x6000
    faults(cpu, code, m.PF, error)
    assert cpu.step(bytes.fromhex(code)).cr2 == 0x6000


def test_page_fault_of_user(cpu):
    cpu.page(0x5000, flags=m.SUPERVISOR)
    cpu.gpr[m.RBX] = 0x5000
    assert cpu.step(b"\x8b\x03").code == m.OK
    cpu.cpl = 3
    faults(cpu, "8b03", m.PF, 5)
    faults(cpu, "8903", m.PF, 7)


def test_pusha_is_all_or_nothing(legacy):
    """Its last words lie on a missing page."""
    legacy.page(0x4000, flags=m.ABSENT)
    legacy.gpr[:8] = [1, 2, 3, 4, 0x5010, 6, 7, 8]
    faults(legacy, "60", m.PF, 2)


def test_movs_keeps_finished_elements(cpu):
    cpu.page(0x5000, flags=m.ABSENT)
    cpu.poke(0x3000, b"abcdefgh")
    cpu.gpr[m.RSI], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = 0x3000, 0x4ffe, 8
    result = cpu.step(b"\xf3\xa4")
    assert (result.code, result.vector, result.cr2) == (m.FAULT, m.PF, 0x5000)
    assert result.progress
    assert (cpu.gpr[m.RSI], cpu.gpr[m.RDI], cpu.gpr[m.RCX]) == (0x3002, 0x5000, 6)
    assert cpu.peek(0x4ffe, 2) == b"ab" and cpu.rip == 0x9000
    cpu.page(0x5000)
    assert cpu.step(b"\xf3\xa4").code == m.OK
    assert cpu.peek(0x4ffe, 8) == b"abcdefgh" and cpu.gpr[m.RCX] == 0


def test_cmps_fault_keeps_flags_of_the_last_pair(cpu):
    cpu.page(0x5000, flags=m.ABSENT)
    cpu.gpr[m.RSI], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = 0x3000, 0x4fff, 4
    result = cpu.step(b"\xf3\xa6")
    assert result.code == m.FAULT and cpu.rflags & m.ZF and cpu.gpr[m.RCX] == 3


def test_rep_is_bounded(cpu):
    """A count of 2^64 - 1 gives the vCPU thread back after a while."""
    cpu.gpr[m.RSI], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = 0x3000, 0x4000, (1 << 64) - 1
    result = cpu.step(b"\xf3\xac")
    assert result.code == m.OK and result.rep_pending and cpu.rip == 0x9000
    assert 0 < (1 << 64) - 1 - cpu.gpr[m.RCX] <= 4096


# -- canonical addresses ------------------------------------------------------------

@pytest.mark.parametrize("base, code, vector", [
    (0x800000000000, "8b03", m.GP), (0x7fffffffffff, "8b03", m.GP),
    (0xffff7fffffffffff, "8b03", m.GP), (0x800000000000, "8903", m.GP),
    (0x800000000000, "ff33", m.GP), (0x800000000000, "ffe3", m.GP),
    (0x800000000000, "ffd3", m.GP), (0x800000000000, "0f0113", m.GP)])
def test_non_canonical(cpu, base, code, vector):
    cpu.gpr[m.RBX], cpu.gpr[m.RSP] = base, 0x8000
    faults(cpu, code, vector)


def test_non_canonical_stack(cpu):
    cpu.gpr[m.RSP] = 0x800000001000
    faults(cpu, "50", m.SS)
    faults(cpu, "58", m.SS)
    cpu.gpr[m.RBP] = 0x800000000000
    faults(cpu, "8b4500", m.SS)


def test_five_levels_are_wider(cpu):
    cpu.cr[4] |= 0x1000
    cpu.gpr[m.RBX] = 0x800000000000
    assert cpu.step(b"\xff\xe3").code == m.OK and cpu.rip == 0x800000000000


def test_fs_base_counts(cpu):
    cpu.segment(m.FS).base = 0x7ffffffff000
    cpu.gpr[m.RBX] = 0x2000
    faults(cpu, "648b03", m.GP)


# -- segments -----------------------------------------------------------------------

@pytest.mark.parametrize("seg, override, vector", [
    (m.DS, "", m.GP), (m.SEG_SS, "36", m.SS), (m.ES, "26", m.GP), (m.CS, "2e", m.GP)])
def test_limit(legacy, seg, override, vector):
    legacy.segment(seg).limit = 0x5000
    legacy.gpr[m.RBX] = 0x4ffd
    assert legacy.step(bytes.fromhex(override + "8b03")).code == m.OK
    legacy.gpr[m.RBX] = 0x4ffe
    faults(legacy, override + "8b03", vector)


@pytest.mark.parametrize("db, top", [(1, 0xffffffff), (0, 0xffff)])
def test_expand_down(legacy, db, top):
    ds = legacy.segment(m.DS)
    ds.type, ds.limit, ds.db = 7, 0x4fff, db
    legacy.gpr[m.RBX] = 0x5000
    assert legacy.step(b"\x8b\x03").code == m.OK
    for bad in (0x4fff, 0, top - 2):
        legacy.gpr[m.RBX] = bad
        faults(legacy, "8b03", m.GP)


@pytest.mark.parametrize("kind, read, write", [(1, True, False), (3, True, True),
                                               (9, False, False), (0xb, True, False)])
def test_types(legacy, kind, read, write):
    legacy.segment(m.DS).type = kind
    legacy.gpr[m.RBX] = 0x4000
    for code, allowed in (("8b03", read), ("8903", write), ("0103", write)):
        if allowed:
            assert legacy.step(bytes.fromhex(code)).code == m.OK
        else:
            faults(legacy, code, m.GP)


@pytest.mark.parametrize("field, value", [("unusable", 1), ("present", 0)])
def test_null_segment(legacy, field, value):
    setattr(legacy.segment(m.DS), field, value)
    legacy.gpr[m.RBX] = 0x4000
    faults(legacy, "8b03", m.GP)


def test_base_wraps_at_four_gigabytes(legacy):
    legacy.segment(m.DS).base = 0xfffff000
    legacy.gpr[m.RBX] = 0x5000
    legacy.poke(0x4000, b"\x2a\0\0\0")
    assert legacy.step(b"\x8b\x03").code == m.OK and legacy.gpr[m.RAX] == 0x2a


def test_real_mode_limit_has_no_error_code(real):
    real.gpr[m.RBX] = 0xffff
    faults(real, "8b07", m.GP, None)
    real.segment(m.DS).limit = 0xffffffff       # "unreal" mode
    assert real.step(b"\x8b\x07").code == m.OK


def test_branch_beyond_the_limit(legacy):
    legacy.segment(m.CS).limit = 0xffff
    legacy.gpr[m.RBX] = 0x10000
    faults(legacy, "ffe3", m.GP)


# -- undefined ------------------------------------------------------------------------

@pytest.mark.parametrize("code", [
    "f08b03", "f03903", "f0803b00", "f0ff33", "f090", "f00fa303", "f00fba2001", "f001c3",
    "f0a4", "8dc3", "0fc3c3", "0f38f0c3", "f0f603 00"])
def test_undefined(cpu, code):
    """LOCK where it must not be, registers where memory must be: #UD."""
    cpu.gpr[m.RBX] = 0x4000
    faults(cpu, code, m.UD, None)


@pytest.mark.parametrize("code", [
    "f00103", "f0800301", "f08703", "f0f713", "f0ff03", "f00fab03", "f00fba2b01", "f00fb103",
    "f00fc103", "f00fc70b"])
def test_lock_where_it_may_be(cpu, code):
    cpu.gpr[m.RBX] = 0x4000
    assert cpu.step(bytes.fromhex(code)).code == m.OK


def test_lost_race_is_retried(cpu):
    """Another processor wrote between our read and our exchange: nothing happened yet."""
    cpu.gpr[m.RBX], cpu.gpr[m.RAX] = 0x4000, 5
    before = list(cpu.gpr), cpu.rflags, cpu.rip
    cpu.interfere(1)
    assert cpu.step(bytes.fromhex("f00103")).code == m.RETRY
    assert (list(cpu.gpr), cpu.rflags, cpu.rip) == before
    assert cpu.peek(0x4000, 4) == b"\x80\0\0\0"
    assert cpu.step(bytes.fromhex("f00103")).code == m.OK
    assert cpu.peek(0x4000, 4) == b"\x85\0\0\0"


@pytest.mark.parametrize("code", ["0f0b", "d9c0", "c5f877", "0f05", "cf", "0f00e0", "f30fbc03"])
def test_unhandled_is_said(cpu, code):
    before = list(cpu.gpr)
    assert cpu.step(bytes.fromhex(code)).code == m.UNHANDLED
    assert list(cpu.gpr) == before and cpu.rip == 0x9000


# -- anything at all --------------------------------------------------------------------

@settings(max_examples=3000, deadline=None)
@given(code=st.binary(min_size=15, max_size=15), mode=st.sampled_from(MODES),
       regs=st.lists(st.sampled_from([0, 1, 0x1ff, 0x4000, 0xfffe, 0xffffffff, USER_DEVICE,
                                      0x7fffffffffff, (1 << 64) - 1]), min_size=16, max_size=16),
       cpl=st.sampled_from([0, 3]), flags=st.integers(0, 0x3ffff))
def test_hostile_instruction(logic, code, mode, regs, cpl, flags):
    """Random code and registers end in one of the results, and faults change nothing."""
    cpu = Machine(logic, mode)
    cpu.gpr[:], cpu.cpl, cpu.rflags = regs, cpl, flags | 2
    if cpu.decode(code) < 0:
        return
    before = list(cpu.gpr), cpu.rflags, cpu.rip
    for _ in range(20):
        result = cpu.run()
        if result.code != m.IO_NEEDED:
            break
        if cpu.waiting():
            cpu.answer(b"\xa5" * 8)
        else:
            assert 0 < cpu.port()[2] * cpu.port()[1] <= 4096
            cpu.port_answered()
    assert result.code in (m.OK, m.FAULT, m.RETRY, m.UNHANDLED, m.IO_NEEDED)
    if result.code in (m.FAULT, m.RETRY, m.UNHANDLED) and not result.progress:
        assert (list(cpu.gpr), cpu.rflags, cpu.rip) == before
    assert len(cpu.posted()) <= 16
