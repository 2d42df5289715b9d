# SPDX-License-Identifier: GPL-2.0-only
"""The local APIC's registers: SDM vol. 3A "Advanced Programmable Interrupt Controller" by hand,
and priorities, vectors and destinations against models."""

import ctypes
import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kernel.irqchip.chips import EXTINT, FIXED, INIT, LOWEST, NMI, SIPI, ApicIrq, Lapic

pytestmark = pytest.mark.unit

ID, VERSION, TPR, PPR, EOI, LDR, DFR, SVR = 0x20, 0x30, 0x80, 0xa0, 0xb0, 0xd0, 0xe0, 0xf0
ISR, TMR, IRR, ESR, ICR, ICR2 = 0x100, 0x180, 0x200, 0x280, 0x300, 0x310
LVTT, THERMAL, PERF, LINT0, LINT1, LVTERR = 0x320, 0x330, 0x340, 0x350, 0x360, 0x370
TMICT, TMCCT, TDCR, SELF_IPI = 0x380, 0x390, 0x3e0, 0x3f0
LVTS = (LVTT, THERMAL, PERF, LINT0, LINT1, LVTERR)
MASKED, PERIODIC, DEADLINE = 1 << 16, 1 << 17, 2 << 17
DO_EOI, DO_IPI, DO_SELF, DO_MAP, DO_TIMER, DO_GO_ON, DO_DISARM, DO_EVENT, DO_ERROR = (1 << n for n in range(9))
BASE, ENABLE, X2APIC = 0xfee00000, 1 << 11, 1 << 10


@pytest.fixture
def apic(lib: ctypes.CDLL) -> Lapic:
    """An xAPIC with ID 3, enabled by software."""
    apic = Lapic(lib, 3)
    apic.write(SVR, 0x1ff)
    return apic


@pytest.fixture
def x2(lib: ctypes.CDLL) -> Lapic:
    """An x2APIC with ID 0x123, enabled by software."""
    apic = Lapic(lib, 0x123, x2apic=True)
    apic.wrmsr(0x80f, 0x1ff)
    return apic


# ---- reset ----

def test_reset_values(lib: ctypes.CDLL) -> None:
    apic = Lapic(lib, 5, bsp=False)
    expected = {ID: 5 << 24, VERSION: 0x50014, DFR: 0xffffffff, SVR: 0xff} | {lvt: MASKED for lvt in LVTS}
    for reg in range(0, 0x400, 16):
        assert apic.read(reg) == expected.get(reg, 0), hex(reg)
    assert Lapic(lib, 0, bsp=True).read(LINT0) == EXTINT << 8       # the BSP's virtual wire


def test_init_keeps_the_id(apic: Lapic) -> None:
    apic.write(ID, 0x42 << 24)
    apic.write(LDR, 0x10 << 24)
    apic.vector_set(IRR, 0x50)
    apic.reset(True, False)
    assert (apic.read(ID), apic.read(LDR), apic.highest_vector(IRR)) == (0x42 << 24, 0, -1)
    apic.reset(False, False)
    assert apic.read(ID) == 3 << 24


def test_x2apic_id_and_ldr_are_derived(x2: Lapic) -> None:
    assert x2.rdmsr(0x802) == 0x123
    assert x2.rdmsr(0x80d) == 0x12 << 16 | 1 << 3
    x2.reset(True, False)
    assert x2.rdmsr(0x80d) == 0x12 << 16 | 1 << 3


def test_mode_changes(lib: ctypes.CDLL) -> None:
    apic = Lapic(lib, 0x23)
    xapic, x2apic, off = BASE | ENABLE, BASE | ENABLE | X2APIC, BASE
    assert apic.set_base(xapic, x2apic) & DO_MAP
    assert apic.rdmsr(0x802) == 0x23
    assert apic.set_base(x2apic, off) & DO_DISARM
    assert apic.rdmsr(0x802) is None
    apic.set_base(off, xapic)
    assert (apic.read(ID), apic.read(LDR)) == (0x23 << 24, 0)
    assert apic.set_base(xapic, xapic | 0x100) == 0         # the BSP flag alone moves nothing


# ---- writes ----

@pytest.mark.parametrize(("reg", "value", "reads"), [
    (ID, 0xffffffff, 0xff000000), (TPR, 0xffffffff, 0xff), (LDR, 0xffffffff, 0xff000000),
    (DFR, 0, 0x0fffffff), (SVR, 0xffffffff, 0x3ff), (ICR2, 0xffffffff, 0xff000000),
    (LVTT, 0xffffffff, MASKED | PERIODIC | 0xff), (THERMAL, 0xffffffff, MASKED | 0x7ff),
    (PERF, 0xffffffff, MASKED | 0x7ff), (LINT0, 0xffffffff, MASKED | 0xa7ff),
    (LINT1, 0xffffffff, MASKED | 0xa7ff), (LVTERR, 0xffffffff, MASKED | 0xff),
    (TMICT, 0xffffffff, 0xffffffff), (TDCR, 0xffffffff, 0xb), (VERSION, 0, 0x50014),
    (EOI, 5, 0), (PPR, 0xff, 0), (TMCCT, 7, 0), (ISR, 0xff, 0), (IRR + 0x70, 0xff, 0),
    (ICR, 0xffffffff, 0xffffefff),          # never busy
])
def test_writable_bits(apic: Lapic, reg: int, value: int, reads: int) -> None:
    apic.write(reg, value)
    assert apic.read(reg) == reads


def test_software_disable_masks_every_lvt(apic: Lapic) -> None:
    for lvt in LVTS:
        apic.write(lvt, 0x40)
        assert not apic.read(lvt) & MASKED
    apic.write(SVR, 0xff)
    for lvt in LVTS:
        assert apic.read(lvt) == MASKED | 0x40
        apic.write(lvt, 0x41)               # and they cannot be unmasked
        assert apic.read(lvt) == MASKED | 0x41


def test_timer_mode_follows_cpuid(apic: Lapic) -> None:
    apic.write(LVTT, DEADLINE | 0xec)
    assert apic.read(LVTT) == 0xec          # not offered
    apic.has_deadline(True)
    assert apic.write(LVTT, DEADLINE | 0xec) & DO_DISARM
    assert apic.read(LVTT) == DEADLINE | 0xec
    assert apic.write(TMICT, 1000) == 0     # ignored in this mode
    assert apic.write(LVTT, PERIODIC | 0xec) & DO_DISARM
    apic.write(LVTT, DEADLINE | 0xec)
    assert apic.read(TMICT) == 0
    apic.write(LVTT, DEADLINE | PERIODIC | 0xec)
    assert apic.read(LVTT) == 0xec          # reserved mode


@pytest.mark.parametrize(("reg", "value", "action"), [
    (EOI, 0, DO_EOI), (ICR, 0x4030, DO_IPI), (TMICT, 5, DO_TIMER), (TDCR, 3, DO_GO_ON), (TPR, 0, DO_EVENT),
    (LDR, 1 << 24, DO_MAP), (LDR, 0, 0), (DFR, 0, DO_MAP), (ID, 9 << 24, DO_MAP), (LVTT, PERIODIC, DO_GO_ON),
    (ICR, 0x400f, DO_ERROR), (ICR, 0x4000 | NMI << 8, DO_IPI), (0x3a0, 0, DO_ERROR), (SELF_IPI, 0x30, DO_ERROR),
])
def test_actions(apic: Lapic, reg: int, value: int, action: int) -> None:
    assert apic.write(reg, value) == action


def test_errors_show_after_a_write_to_esr(apic: Lapic) -> None:
    apic.write(ICR, 0x4003)                 # send illegal vector
    apic.write(0x3a0, 0)                    # illegal register address
    assert apic.read(ESR) == 0
    apic.write(ESR, 0xff)
    assert apic.read(ESR) == 1 << 5 | 1 << 7
    apic.write(ESR, 0)
    assert apic.read(ESR) == 0


@pytest.mark.parametrize(("divide", "by"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)])
def test_timer_divider(apic: Lapic, divide: int, by: int) -> None:
    apic.write(TDCR, divide)
    apic.write(TMICT, 1000)
    assert apic.timer_period_ns() == 1000 * by
    assert apic.timer_count(500 * by) == 500


@given(ticks=st.integers(0, 2**64 - 1), khz=st.integers(0, 2**32 - 1))
def test_tsc_to_ns_never_overflows(lib: ctypes.CDLL, ticks: int, khz: int) -> None:
    limit = 2**40
    got = lib.lapic_tsc_to_ns(ticks, khz)
    assert got == (limit * 10**6 if not khz or ticks // khz >= limit else ticks * 10**6 // khz)


# ---- x2APIC ----

READABLE = {0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, *range(0x810, 0x828), 0x828, 0x830,
            *range(0x832, 0x838), 0x838, 0x839, 0x83e}
WRITABLE = {0x808, 0x80b, 0x80f, 0x828, 0x830, *range(0x832, 0x838), 0x838, 0x83e, 0x83f}


def test_x2apic_registers_that_exist(x2: Lapic) -> None:
    """SDM vol. 3A, table "Local APIC Register Address Map Supported by x2APIC" (no CMCI)."""
    assert {msr for msr in range(0x800, 0x900) if x2.rdmsr(msr) is not None} == READABLE
    assert {msr for msr in range(0x800, 0x900)
            if x2.wrmsr(msr, 0x20 if msr == 0x83f else 0) is not None} == WRITABLE


def test_x2apic_msrs_fault_in_xapic_mode(apic: Lapic) -> None:
    assert all(apic.rdmsr(msr) is None and apic.wrmsr(msr, 0) is None for msr in range(0x800, 0x900))


def test_x2apic_reserved_bits_fault(x2: Lapic) -> None:
    for msr in WRITABLE - {0x830}:
        assert x2.wrmsr(msr, 1 << 32) is None
    assert x2.wrmsr(0x80b, 1) is None and x2.wrmsr(0x828, 1) is None
    assert x2.wrmsr(0x83f, 0x155) is None and x2.wrmsr(0x83f, 0xff000055) is None


def test_x2apic_icr_is_one_register(x2: Lapic) -> None:
    assert x2.wrmsr(0x830, 0x12345678_00005040) == DO_IPI
    assert x2.rdmsr(0x830) == 0x12345678_00004040
    irq = x2.icr()
    assert (irq.dest, irq.vector, irq.mode, irq.logical, irq.ipi) == (0x12345678, 0x40, FIXED, False, True)


def test_self_ipi(x2: Lapic) -> None:
    assert x2.wrmsr(0x83f, 0x55) == DO_SELF
    assert x2.lib.glue_lapic_raw(x2.obj, SELF_IPI) == 0x55
    assert x2.wrmsr(0x83f, 0x0f) == DO_ERROR
    assert x2.rdmsr(0x83f) is None


# ---- messages ----

@pytest.mark.parametrize(("low", "fields"), [
    (0x000c4500, dict(mode=INIT, assert_=True, level_trig=False, shorthand=3)),
    (0x000c8500, dict(mode=INIT, assert_=False, level_trig=True, shorthand=3)),
    (0x000c4610, dict(mode=SIPI, vector=0x10, shorthand=3)),
    (0x00044830 & ~0x800, dict(mode=FIXED, vector=0x30, shorthand=1)),
    (0x00000900 | 0x41, dict(mode=LOWEST, vector=0x41, logical=True, shorthand=0)),
    (0x00080400, dict(mode=NMI, shorthand=2)),
])
def test_icr_fields(apic: Lapic, low: int, fields: dict) -> None:
    apic.write(ICR2, 0x07 << 24)
    apic.write(ICR, low)
    irq = apic.icr()
    assert {name: getattr(irq, name) for name in fields} == fields
    assert irq.dest == 7


@pytest.mark.parametrize(("address", "data", "dest32", "fields"), [
    (0xfee03000, 0x4041, False, dict(dest=3, vector=0x41, mode=FIXED, logical=False, level_trig=False)),
    (0xfee0f00c, 0x0951, False, dict(dest=0xf, vector=0x51, mode=LOWEST, logical=True, lowest_hint=True)),
    (0xfee00000, 0xc061, False, dict(vector=0x61, level_trig=True, assert_=True)),
    (0x12345600_fee78000, 0x71, True, dict(dest=0x12345678)),
    (0x12345600_fee78000, 0x71, False, dict(dest=0x78)),
])
def test_msi_fields(lib: ctypes.CDLL, address: int, data: int, dest32: bool, fields: dict) -> None:
    irq = ApicIrq()
    lib.lapic_msi_decode(address, data, dest32, irq)
    assert {name: getattr(irq, name) for name in fields} == fields
    assert not irq.ipi and irq.shorthand == 0


def test_physical_destinations(apic: Lapic, x2: Lapic) -> None:
    assert [dest for dest in range(256) if apic.matches(dest)] == [3, 0xff]
    assert [dest for dest in range(0x400) if x2.matches(dest)] == [0x123]
    assert x2.matches(0xffffffff)
    # 0xff is a broadcast to an x2APIC for devices only, and only with the quirk
    assert x2.matches(0xff, quirk=True, ipi=False)
    assert not x2.matches(0xff, quirk=False, ipi=False) and not x2.matches(0xff, quirk=True, ipi=True)


def test_an_xapic_beyond_255_answers_to_its_number(lib: ctypes.CDLL) -> None:
    apic = Lapic(lib, 0x123)
    assert apic.matches(0x123) and not apic.matches(0x124)


@given(ldr=st.integers(0, 255), dest=st.integers(0, 254), flat=st.booleans())
def test_logical_destinations(lib: ctypes.CDLL, ldr: int, dest: int, flat: bool) -> None:
    apic = Lapic(lib, 1)
    apic.write(LDR, ldr << 24)
    apic.write(DFR, 0xffffffff if flat else 0x0fffffff)
    if flat:
        expected = {b for b in range(8) if ldr >> b & 1} & {b for b in range(8) if dest >> b & 1}
    else:
        expected = ldr // 16 == dest // 16 and {b for b in range(4) if ldr >> b & 1} & \
            {b for b in range(4) if dest >> b & 1}
    assert apic.matches(dest, logical=True) == bool(expected)
    assert apic.matches(0xff, logical=True)


@given(apic_id=st.integers(0, 4095), cluster=st.integers(0, 255), places=st.integers(0, 0xffff))
def test_x2apic_logical_destinations(lib: ctypes.CDLL, apic_id: int, cluster: int, places: int) -> None:
    apic = Lapic(lib, apic_id, x2apic=True)
    dest = cluster << 16 | places
    assert apic.matches(dest, logical=True) == (apic_id // 16 == cluster and bool(places >> apic_id % 16 & 1))


def test_unknown_model_matches_nothing(apic: Lapic) -> None:
    apic.write(LDR, 0xff << 24)
    apic.write(DFR, 0x5 << 28)
    assert not any(apic.matches(dest, logical=True) for dest in range(255))


# ---- priorities ----

class PriorityMachine(RuleBasedStateMachine):
    """IRR, ISR, TPR against sets of vectors."""

    lib: ctypes.CDLL

    def __init__(self) -> None:
        super().__init__()
        self.apic = Lapic(self.lib, 0)
        self.apic.write(SVR, 0x1ff)
        self.irr: set[int] = set()
        self.isr: list[int] = []
        self.tpr = 0

    def ppr(self) -> int:
        """SDM: the higher class of TPR and the highest vector in service."""
        top = max(self.isr, default=0)
        return self.tpr if self.tpr // 16 >= top // 16 else top & 0xf0

    @rule(vector=st.integers(16, 255))
    def raise_(self, vector: int) -> None:
        self.apic.vector_set(IRR, vector)
        self.irr.add(vector)

    @rule(vector=st.integers(16, 255))
    def withdraw(self, vector: int) -> None:
        self.apic.vector_clear(IRR, vector)
        self.irr.discard(vector)

    @rule(tpr=st.integers(0, 255))
    def set_tpr(self, tpr: int) -> None:
        self.apic.write(TPR, tpr)
        self.tpr = tpr

    @rule()
    def acknowledge(self) -> None:
        top = max(self.irr, default=0)
        vector = self.apic.ack()
        if top // 16 > self.ppr() // 16:
            assert vector == top
            self.irr.discard(top)
            self.isr.append(top)
        else:
            assert vector == -1

    @rule()
    def eoi(self) -> None:
        expected = max(self.isr, default=-1)
        level = expected >= 0 and bool(self.apic.vector_test(TMR, expected))
        assert self.apic.eoi() == (expected, level)
        self.isr = [vector for vector in self.isr if vector != expected]

    @rule()
    def save_and_restore(self) -> None:
        """GET, SET into a new LAPIC, GET: the same."""
        state = self.apic.get()
        self.apic = Lapic(self.lib, 0)
        assert self.apic.set(state) == 0
        assert self.apic.get() == state

    @invariant()
    def same(self) -> None:
        assert self.apic.ppr() == self.ppr() == self.apic.read(PPR)
        assert self.apic.highest_vector(IRR) == max(self.irr, default=-1)
        assert self.apic.highest_vector(ISR) == max(self.isr, default=-1)
        assert all(self.apic.vector_test(IRR, vector) for vector in self.irr)


def test_priorities_in_any_order(lib: ctypes.CDLL) -> None:
    PriorityMachine.lib = lib
    run_state_machine_as_test(PriorityMachine, settings=settings(
        max_examples=200, stateful_step_count=50, deadline=None))


def test_vectors_lie_where_the_manual_says(apic: Lapic) -> None:
    for vector in (16, 31, 32, 63, 200, 255):
        apic.vector_set(IRR, vector)
        assert apic.read(IRR + vector // 32 * 16) >> vector % 32 & 1


# ---- state ----

@settings(deadline=None)
@given(raw=st.binary(min_size=1024, max_size=1024), x2apic=st.booleans(), dest32=st.booleans())
def test_any_state_settles_at_once(lib: ctypes.CDLL, raw: bytes, x2apic: bool, dest32: bool) -> None:
    """What SET made of hostile bytes, GET returns, and SET accepts unchanged."""
    if x2apic and dest32:
        raw = raw[:ID] + (0x12).to_bytes(4, "little") + raw[ID + 4:]
    apic, other = (Lapic(lib, 0x12, x2apic) for _ in range(2))
    assert apic.set(raw, dest32) == 0
    once = apic.get(dest32)
    assert other.set(once, dest32) == 0
    assert other.get(dest32) == once
    assert not apic.read(ISR) & 0xffff
    assert apic.read(VERSION) == 0x50014


def test_reserved_vectors_wait_forever(lib: ctypes.CDLL) -> None:
    """KVM's xapic_state_test sets IRR bits 0 to 15 and wants to read them; none is delivered."""
    apic = Lapic(lib, 0)
    state = bytearray(apic.get())
    state[IRR:IRR + 4] = (0xd001).to_bytes(4, "little")
    state[SVR:SVR + 4] = (0x1ff).to_bytes(4, "little")
    assert apic.set(bytes(state)) == 0
    assert apic.read(IRR) == 0xd001 and apic.pending() == -1


def test_lint0_may_be_opened_before_the_guest_runs(lib: ctypes.CDLL) -> None:
    """kvmtool wires LINT0 to the PIC while the APIC is still disabled by software."""
    apic = Lapic(lib, 0, bsp=False)
    state = bytearray(apic.get())
    state[LINT0:LINT0 + 4] = (EXTINT << 8).to_bytes(4, "little")
    assert apic.set(bytes(state)) == 0
    assert apic.read(SVR) == 0xff and apic.read(LINT0) == EXTINT << 8


def test_id_formats(x2: Lapic, lib: ctypes.CDLL) -> None:
    """KVM_CAP_X2APIC_API: 32-bit IDs with it, bits 31:24 without."""
    small = Lapic(lib, 0x12, x2apic=True)
    assert int.from_bytes(small.get(False)[ID:ID + 4], "little") == 0x12 << 24
    assert int.from_bytes(small.get(True)[ID:ID + 4], "little") == 0x12
    state = x2.get(True)
    assert x2.set(state, True) == 0
    wrong = state[:ID] + (0x124).to_bytes(4, "little") + state[ID + 4:]
    assert x2.set(wrong, True) == -errno.EINVAL
    assert x2.rdmsr(0x802) == 0x123


def test_icr_is_split_in_the_state(x2: Lapic) -> None:
    x2.wrmsr(0x830, 0x00000007_00004040)
    state = x2.get(True)
    assert int.from_bytes(state[ICR:ICR + 4], "little") == 0x4040
    assert int.from_bytes(state[ICR2:ICR2 + 4], "little") == 7


def test_state_shows_counts(apic: Lapic) -> None:
    assert int.from_bytes(apic.get(tmcct=1234)[TMCCT:TMCCT + 4], "little") == 1234
    assert apic.read(TMCCT, 77) == 77
