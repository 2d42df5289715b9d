# SPDX-License-Identifier: GPL-2.0-only
"""The CPUID instruction in a guest: look-up, vendors, bits that follow registers."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.cpuid import model as m

pytestmark = pytest.mark.unit

AMD = m.Entry(0, 0, 0, 0xd, 0x68747541, 0x444d4163, 0x69746e65)
INTEL = m.Entry(0, 0, 0, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69)
HYGON = m.Entry(0, 0, 0, 0xd, 0x6f677948, 0x656e6975, 0x6e65476e)


@pytest.fixture(scope="module")
def cpuid(logic):
    return m.bind(logic)


def test_index_counts_only_where_the_entry_says_so(cpuid):
    entries = [AMD, m.Entry(1, 0, 0, 11, 12, 13, 14), m.Entry(4, 0, m.INDEXED, 1, 1, 1, 1),
               m.Entry(4, 1, m.INDEXED, 2, 2, 2, 2)]
    assert m.query(cpuid, entries, 1, 77) == (11, 12, 13, 14)
    assert m.query(cpuid, entries, 4, 0) == (1, 1, 1, 1)
    assert m.query(cpuid, entries, 4, 1) == (2, 2, 2, 2)
    assert m.query(cpuid, entries, 4, 2) == (0, 0, 0, 0)


@pytest.mark.parametrize("vendor, zeros", [(AMD, True), (HYGON, True), (INTEL, False)])
def test_beyond_the_last_leaf(cpuid, vendor, zeros):
    """Intel repeats the last basic leaf (SDM vol. 2, CPUID), AMD answers zeros."""
    entries = [vendor, m.Entry(0xd, 3, m.INDEXED, 1, 2, 3, 4),
               m.Entry(0x80000000, 0, 0, 0x80000008, 0, 0, 0),
               m.Entry(0x40000000, 0, 0, 0x40000001, 0, 0, 0)]
    last = (0, 0, 0, 0) if zeros else (1, 2, 3, 4)
    for function in (0xe, 0x7fffffff, 0x80000009, 0x40000002, 0x40000100, 0xc0000000):
        assert m.query(cpuid, entries, function, 3) == last, hex(function)
    # in range but not there: zeros with every vendor
    assert m.query(cpuid, entries, 5, 3) == (0, 0, 0, 0)
    assert m.query(cpuid, entries, 0x80000003, 3) == (0, 0, 0, 0)
    assert m.query(cpuid, entries, 0x80000008, 3) == (0, 0, 0, 0)


def test_no_model_at_all(cpuid):
    assert m.query(cpuid, [], 0) == (0, 0, 0, 0)
    assert m.query(cpuid, [], 0xb, 4) == (0, 0, 0, 0)


def test_a_topology_level_that_is_not_there(cpuid):
    """SDM vol. 2: the level number comes back, and the x2APIC id of every level."""
    entries = [AMD, m.Entry(0xb, 0, m.INDEXED, 1, 2, 0x100, 7)]
    assert m.query(cpuid, entries, 0xb, 0) == (1, 2, 0x100, 7)
    assert m.query(cpuid, entries, 0xb, 0x305) == (0, 0, 5, 7)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.builds(m.Entry, *[st.integers(0, 0xffffffff)] * 7), max_size=20),
       st.integers(0, 0xffffffff), st.integers(0, 0xffffffff))
def test_any_table_answers(cpuid, entries, function, index):
    """Hostile tables: an answer always comes, and is an entry's, zeros, or a topology level's."""
    got = m.query(cpuid, entries, function, index)
    assert got == (0, 0, 0, 0) or got in [e.regs for e in entries] or function in (0xb, 0x1f)


def runtime(cpuid, entries, **kw):
    table = m.array(entries)
    rt = m.Runtime(**kw)
    cpuid.cpuid_apply_runtime(table, len(entries), ctypes.byref(rt))
    return {(e.function, e.index): e for e in table}


def model(leaf1_ecx=1 << 26, leaf1_edx=0, leaf7_ecx=1 << 3):
    d = [m.Entry(0xd, i, m.INDEXED, size, offset, 0, 0) for i, (size, offset) in m.COMPONENTS.items()]
    return [AMD, m.Entry(1, 0, 0, 0, 0, leaf1_ecx, leaf1_edx),
            m.Entry(7, 0, m.INDEXED, 0, 0, leaf7_ecx, 0),
            m.Entry(0xd, 0, m.INDEXED, 0x2e7, 0, 2696, 0),
            m.Entry(0xd, 1, m.INDEXED, 7, 0, 0, 0), *d]


def test_bits_that_follow_registers(cpuid):
    on = runtime(cpuid, model(), osxsave=True, pke=True, apic_enabled=True, mwait_follows=True,
                 mwait=True, xcr0=1)
    assert on[1, 0].ecx == 1 << 26 | 1 << 27 | 1 << 3
    assert on[1, 0].edx == 1 << 9
    assert on[7, 0].ecx == 1 << 3 | 1 << 4
    off = runtime(cpuid, list(on.values()), mwait_follows=True, xcr0=1)
    assert (off[1, 0].ecx, off[1, 0].edx, off[7, 0].ecx) == (1 << 26, 0, 1 << 3)


def test_bits_do_not_follow_without_the_feature(cpuid):
    out = runtime(cpuid, model(leaf1_ecx=0, leaf7_ecx=0), osxsave=True, pke=True, xcr0=1)
    assert (out[1, 0].ecx, out[7, 0].ecx) == (0, 0)


def test_monitor_stays_when_the_quirk_is_off(cpuid):
    out = runtime(cpuid, model(leaf1_ecx=1 << 3), mwait_follows=False, mwait=False, xcr0=1)
    assert out[1, 0].ecx == 1 << 3


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 0x3ff))
def test_xsave_sizes_follow_xcr0(cpuid, xcr0):
    """Leaf d.0 ebx in standard, d.1 ebx in compacted form (SDM vol. 1 13.4.3)."""
    out = runtime(cpuid, model(), xcr0=xcr0)
    present = [c for i, c in sorted(m.COMPONENTS.items()) if xcr0 >> i & 1]
    assert out[0xd, 0].ebx == max([576, *(s + o for s, o in present)])
    assert out[0xd, 1].ebx == 576 + sum(s for s, _ in present)


def test_compacted_components_may_be_aligned(cpuid):
    entries = [AMD, m.Entry(0xd, 0, m.INDEXED, 7, 0, 0, 0), m.Entry(0xd, 1, m.INDEXED, 2, 0, 0, 0),
               m.Entry(0xd, 2, m.INDEXED, 8, 576, 0, 0), m.Entry(0xd, 3, m.INDEXED, 16, 640, 2, 0)]
    assert runtime(cpuid, entries, xcr0=0xf)[0xd, 1].ebx == 576 + 64 + 16


@pytest.mark.parametrize("base", [0x40000000, 0x40000100, 0x4000ff00])
def test_pv_features_wherever_they_stand(cpuid, base):
    """QEMU puts KVM's leaves behind another hypervisor's, in steps of 100h."""
    entries = [m.Entry(0x40000000, 0, 0, 0, 1, 2, 3)] if base != 0x40000000 else []
    entries += [m.Entry(base, 0, 0, base + 1, 0x4b4d564b, 0x564b4d56, 0x4d),
                m.Entry(base + 1, 0, 0, 0x1234, 0, 0, 0)]
    assert cpuid.cpuid_pv_features(m.array(entries), len(entries)) == 0x1234
    assert cpuid.cpuid_pv_features(m.array(entries), len(entries) - 1) == 0
    assert cpuid.cpuid_pv_features(m.array(entries[1:]), 0) == 0


@pytest.mark.parametrize("width, ok", [(0, True), (48, True), (57, True), (47, False), (64, False)])
def test_linear_width(cpuid, width, ok):
    entries = [m.Entry(0x80000008, 0, 0, 40 | width << 8, 0, 0, 0)]
    assert cpuid.cpuid_linear_width_ok(m.array(entries), 1) is ok


@pytest.mark.parametrize("eax, last, width", [(40, 0x80000008, 40), (52, 0x8000001f, 52),
                                              (255, 0x80000008, 52), (40, 0x80000007, 36)])
def test_maxphyaddr(cpuid, eax, last, width):
    entries = [m.Entry(0x80000000, 0, 0, last, 0, 0, 0), m.Entry(0x80000008, 0, 0, eax, 0, 0, 0)]
    assert cpuid.cpuid_maxphyaddr(m.array(entries), 2) == width
    assert cpuid.cpuid_maxphyaddr(m.array(entries), 0) == 36


CR4_NEEDS = {(1, m.ECX, 17): 17, (1, m.ECX, 26): 18, (7, m.EBX, 0): 16, (7, m.EBX, 7): 20,
             (7, m.EBX, 20): 21, (7, m.ECX, 2): 11, (7, m.ECX, 3): 22, (7, m.ECX, 16): 12}
EFER_NEEDS = {11: 1, 29: 1 << 8 | 1 << 10, 20: 1 << 11, 25: 1 << 14}


@pytest.mark.parametrize("need", CR4_NEEDS, ids=str)
def test_one_feature_frees_one_cr4_bit(cpuid, need):
    function, reg, bit = need
    regs = [0, 0, 0, 0]
    regs[reg] = 1 << bit
    table = m.array([AMD, m.Entry(function, 0, 0, *regs)])
    base = cpuid.cpuid_cr4_reserved(table, 1)
    assert base == 2**64 - 1 - 0x7ff
    assert base ^ cpuid.cpuid_cr4_reserved(table, 2) == 1 << CR4_NEEDS[need]


@pytest.mark.parametrize("bit", EFER_NEEDS)
def test_one_feature_frees_its_efer_bits(cpuid, bit):
    table = m.array([m.Entry(0x80000001, 0, 0, 0, 0, 0, 1 << bit)])
    assert cpuid.cpuid_efer_reserved(table, 0) == 2**64 - 1
    assert cpuid.cpuid_efer_reserved(table, 1) == 2**64 - 1 - EFER_NEEDS[bit]


@pytest.mark.parametrize("supported", [0, 3, 7, 0xe7, 0x2e7])
def test_xcr0_rules(cpuid, supported):
    """XSETBV, SDM vol. 2: all values of the low ten bits against the rules as written there."""
    for value in range(1024):
        ok = value & 1 and not value & ~(supported | 1)
        ok = ok and not (value & 4 and not value & 2)
        ok = ok and (not value & 0xe0 or (value & 0xe0 == 0xe0 and value & 4))
        assert cpuid.cpuid_xcr0_valid(value, supported) is bool(ok), hex(value)
    assert not cpuid.cpuid_xcr0_valid(1 | 1 << 63, supported)
