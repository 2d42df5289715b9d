# SPDX-License-Identifier: GPL-2.0-only
"""What KVM_GET_SUPPORTED_CPUID shows of a host; APM vol. 3 appendix E."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.cpuid import model as m

pytestmark = pytest.mark.unit

ALL_XCR0 = 0x2e7

# What no guest may see, whatever the host: (function, index, register, bit)
FORBIDDEN = {
    "DTES64": (1, 0, m.ECX, 2), "MONITOR": (1, 0, m.ECX, 3), "VMX": (1, 0, m.ECX, 5),
    "SMX": (1, 0, m.ECX, 6), "PDCM": (1, 0, m.ECX, 15),
    "TSC_DEADLINE": (1, 0, m.ECX, 24), "OSXSAVE": (1, 0, m.ECX, 27),
    "ACPI": (1, 0, m.EDX, 22), "HTT": (1, 0, m.EDX, 28),
    "HLE": (7, 0, m.EBX, 4), "RTM": (7, 0, m.EBX, 11), "MPX": (7, 0, m.EBX, 14),
    "INTEL_PT": (7, 0, m.EBX, 25),
    "OSPKE": (7, 0, m.ECX, 4), "WAITPKG": (7, 0, m.ECX, 5), "SHSTK": (7, 0, m.ECX, 7),
    "SGX": (7, 0, m.EBX, 2), "ENQCMD": (7, 0, m.ECX, 29),
    "IBT": (7, 0, m.EDX, 20), "AMX_TILE": (7, 0, m.EDX, 24), "SPEC_CTRL": (7, 0, m.EDX, 26),
    "STIBP": (7, 0, m.EDX, 27), "ARCH_CAPABILITIES": (7, 0, m.EDX, 29),
    "XSAVES": (0xd, 1, m.EAX, 3), "XFD": (0xd, 1, m.EAX, 4),
    "SVM": (0x80000001, 0, m.ECX, 2), "EXTAPIC": (0x80000001, 0, m.ECX, 3),
    "IBS": (0x80000001, 0, m.ECX, 10),
    "SKINIT": (0x80000001, 0, m.ECX, 12), "LWP": (0x80000001, 0, m.ECX, 15),
    "PERFCTR_CORE": (0x80000001, 0, m.ECX, 23), "BPEXT": (0x80000001, 0, m.ECX, 26),
    "MWAITX": (0x80000001, 0, m.ECX, 29),
    "RDPRU": (0x80000008, 0, m.EBX, 4), "VIRT_SSBD": (0x80000008, 0, m.EBX, 25),
}

# What a Linux guest needs, or what the lab's tests use; shown where the host has it.
PASSED = {
    "SSE3": (1, 0, m.ECX, 0), "CX16": (1, 0, m.ECX, 13), "PCID": (1, 0, m.ECX, 17),
    "MOVBE": (1, 0, m.ECX, 22), "XSAVE": (1, 0, m.ECX, 26), "AVX": (1, 0, m.ECX, 28),
    "RDRAND": (1, 0, m.ECX, 30), "TSC": (1, 0, m.EDX, 4), "APIC": (1, 0, m.EDX, 9),
    "MTRR": (1, 0, m.EDX, 12), "MCA": (1, 0, m.EDX, 14), "PAT": (1, 0, m.EDX, 16),
    "SSE2": (1, 0, m.EDX, 26), "SS": (1, 0, m.EDX, 27),
    "FSGSBASE": (7, 0, m.EBX, 0), "SMEP": (7, 0, m.EBX, 7), "SMAP": (7, 0, m.EBX, 20),
    "SHA": (7, 0, m.EBX, 29), "UMIP": (7, 0, m.ECX, 2), "PKU": (7, 0, m.ECX, 3),
    "LA57": (7, 0, m.ECX, 16), "RDPID": (7, 0, m.ECX, 22), "FSRM": (7, 0, m.EDX, 4),
    "XSAVEC": (0xd, 1, m.EAX, 1),
    "SYSCALL": (0x80000001, 0, m.EDX, 11), "NX": (0x80000001, 0, m.EDX, 20),
    "GBPAGES": (0x80000001, 0, m.EDX, 26), "RDTSCP": (0x80000001, 0, m.EDX, 27),
    "LM": (0x80000001, 0, m.EDX, 29), "LAHF": (0x80000001, 0, m.ECX, 0),
    "CMP_LEGACY": (0x80000001, 0, m.ECX, 1), "OSVW": (0x80000001, 0, m.ECX, 9),
    "INVTSC": (0x80000007, 0, m.EDX, 8), "CLZERO": (0x80000008, 0, m.EBX, 0),
    "IBPB": (0x80000008, 0, m.EBX, 12), "IBRS": (0x80000008, 0, m.EBX, 14),
    "STIBP": (0x80000008, 0, m.EBX, 15), "SSBD": (0x80000008, 0, m.EBX, 24),
    # what is true of the processor is true of its guests
    "STIBP_ALWAYS": (0x80000008, 0, m.EBX, 17), "BTC_NO": (0x80000008, 0, m.EBX, 29),
    "IBPB_RET": (0x80000008, 0, m.EBX, 30), "VERW_CLEAR": (0x80000021, 0, m.EAX, 5),
    "IBPB_BRTYPE": (0x80000021, 0, m.EAX, 28), "SRSO_NO": (0x80000021, 0, m.EAX, 29),
    "TSA_SQ_NO": (0x80000021, 0, m.ECX, 1), "TSA_L1_NO": (0x80000021, 0, m.ECX, 2),
    "LFENCE_RDTSC": (0x80000021, 0, m.EAX, 2),
}

FORCED = {"X2APIC": (1, 0, m.ECX, 21), "HYPERVISOR": (1, 0, m.ECX, 31),
          "ARAT": (6, 0, m.EAX, 2), "TSC_ADJUST": (7, 0, m.EBX, 1)}

# Leaves whose registers hold feature bits, and nothing else.
FEATURE_WORDS = {(1, 0, m.ECX), (1, 0, m.EDX), (7, 0, m.EBX), (7, 0, m.ECX), (7, 0, m.EDX),
                 (7, 1, m.EAX), (0xd, 1, m.EAX), (0x80000001, 0, m.ECX), (0x80000001, 0, m.EDX),
                 (0x80000007, 0, m.EDX), (0x80000008, 0, m.EBX), (0x80000021, 0, m.EAX),
                 (0x80000021, 0, m.ECX)}


@pytest.fixture(scope="module")
def cpuid(logic):
    return m.bind(logic)


def bit(entries, where):
    function, index, reg, n = where
    entry = entries.get((function, index))
    return entry is not None and entry.regs[reg] >> n & 1


def test_measured_leaves_are_there(cpuid):
    """The leaves that QEMU and Firecracker were measured to need."""
    out = m.supported(cpuid, m.from_table(m.EPYC), m.EPYC_XCR0, pv=0x0100008b)
    for leaf in ((0, 0), (1, 0), (2, 0), (4, 0), (5, 0), (6, 0), (7, 0), (0xb, 0), (0xd, 0),
                 (0xd, 1), (0xd, 2), (0xd, 9), *((0x80000000 + i, 0) for i in range(9)),
                 (0x8000001d, 0), (0x8000001e, 0), (0x40000000, 0), (0x40000001, 0)):
        assert leaf in out, f"{leaf[0]:#x}.{leaf[1]}"
    assert (0x8000000a, 0) not in out
    assert (0xd, 11) not in out, "a supervisor component"


def test_an_epyc(cpuid):
    """Every register of an EPYC, worked out by hand from its PPR."""
    out = m.supported(cpuid, m.from_table(m.EPYC), m.EPYC_XCR0, pv=0x0100008b)
    expected = {
        (0, 0): (0xd, 0x68747541, 0x444d4163, 0x69746e65),
        # no MONITOR; x2APIC and hypervisor added; OSXSAVE, HTT gone; one logical processor
        (1, 0): (0x00a00f11, 0x00010800, 0xf6fa3203, 0x078bfbff),
        (5, 0): (0, 0, 0, 0),
        (6, 0): (4, 0, 0, 0),
        # TSC_ADJUST added; CQM (12, 15), OSPKE, CET_SS gone
        (7, 0): (1, 0x219c07ab, 0x0040060c, 0x10),
        (7, 1): (0, 0, 0, 0),
        (0xb, 0): (0, 0, 0, 0),
        (0xd, 0): (0x207, 576, 0x988, 0),
        (0xd, 1): (7, 576, 0, 0),
        (0xd, 2): (0x100, 0x240, 0, 0),
        (0xd, 9): (8, 0x980, 0, 0),
        (0x40000000, 0): (0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
        (0x40000001, 0): (0x0100008b, 0, 0, 0),
        (0x80000000, 0): (0x80000021, 0x68747541, 0x444d4163, 0x69746e65),
        (0x80000001, 0): (0x00a00f11, 0x40000000, 0x004003f3, 0x2fd3fbff),
        (0x80000005, 0): m.EPYC[0x80000005, 0],
        (0x80000006, 0): m.EPYC[0x80000006, 0],
        (0x80000007, 0): (0, 0, 0, 0x100),
        (0x80000008, 0): (0x3030, 0x1102d205, 0, 0),
        (0x8000001d, 0): (0x121, 0x01c0003f, 0x3f, 0),
        (0x8000001e, 0): (0, 0, 0, 0),
        (0x80000021, 0): (0x45, 0, 0, 0),
    }
    for leaf, regs in expected.items():
        assert [hex(r) for r in out[leaf].regs] == [hex(r) for r in regs], f"{leaf[0]:#x}.{leaf[1]}"


def test_nothing_hidden_leaks_from_the_richest_host(cpuid):
    out = m.supported(cpuid, m.all_ones, ALL_XCR0)
    shown = [name for name, where in FORBIDDEN.items() if bit(out, where)]
    assert not shown
    missing = [name for name, where in {**PASSED, **FORCED}.items() if not bit(out, where)]
    assert not missing


def test_masks_are_these(cpuid):
    """The allowed bits, once more as numbers: a change of a mask is a decision, not an accident."""
    out = m.supported(cpuid, m.all_ones, ALL_XCR0)
    words = {(f, i, r): out[f, i].regs[r] for f, i, r in FEATURE_WORDS}
    assert {k: hex(v) for k, v in words.items()} == {
        (1, 0, m.ECX): hex(0xf6fa3203), (1, 0, m.EDX): hex(0x0f8bfbff),
        (7, 0, m.EBX): hex(0xf1bf27eb), (7, 0, m.ECX): hex(0x1a415f4e),
        (7, 0, m.EDX): hex(0x00804110), (7, 1, m.EAX): hex(0x00801c30),
        (0xd, 1, m.EAX): hex(0x7), (0x80000001, 0, m.ECX): hex(0x00610bf3),
        (0x80000001, 0, m.EDX): hex(0xefd3fbff), (0x80000007, 0, m.EDX): hex(0x100),
        (0x80000008, 0, m.EBX): hex(0x7502d205), (0x80000021, 0, m.EAX): hex(0x30000065),
        (0x80000021, 0, m.ECX): hex(0x6),
    }


words = st.integers(0, 0xffffffff)
regs = st.tuples(words, words, words, words)


@st.composite
def hosts(draw):
    """Any processor: leaves full of noise, its last leaves anywhere."""
    table = draw(st.dictionaries(
        st.tuples(st.sampled_from([*range(0x12), *range(0x80000000, 0x80000009),
                                   *range(0x80000019, 0x80000024)]), st.integers(0, 9)), regs))
    for base in (0, 0x80000000):
        last = draw(st.one_of(st.integers(base, base + 0x30), words))
        table[base, 0] = (last, *draw(st.tuples(words, words, words)))
    return table


xcr0s = st.sampled_from([0, 3, 7, 0x207, 0xe7, ALL_XCR0])


@settings(max_examples=300, deadline=None)
@given(hosts(), xcr0s)
def test_no_host_shows_what_is_forbidden_or_absent(cpuid, table, xcr0):
    host = m.from_table(table)
    out = m.supported(cpuid, host, xcr0)
    assert not [name for name, where in FORBIDDEN.items() if bit(out, where)]
    forced = {}
    for function, index, reg, n in FORCED.values():
        forced[function, index, reg] = forced.get((function, index, reg), 0) | 1 << n
    for function, index, reg in FEATURE_WORDS:
        if (function, index) not in out:
            continue
        invented = (out[function, index].regs[reg] & ~host(function, index)[reg] &
                    ~forced.get((function, index, reg), 0))
        assert not invented, f"{function:#x}.{index} register {reg}: {invented:#x}"


AVX = [(1, 0, m.ECX, 28), (1, 0, m.ECX, 12), (1, 0, m.ECX, 29), (7, 0, m.EBX, 5),
       (7, 0, m.ECX, 9), (7, 0, m.ECX, 10), (7, 1, m.EAX, 4), (0x80000001, 0, m.ECX, 11),
       (0x80000001, 0, m.ECX, 16)]
AVX512 = [(7, 0, m.EBX, n) for n in (16, 17, 21, 28, 30, 31)] + [(7, 1, m.EAX, 5)] + [
    (7, 0, m.ECX, n) for n in (1, 6, 11, 12, 14)] + [(7, 0, m.EDX, n) for n in (8, 23)]


@pytest.mark.parametrize("xcr0", [0, 3, 7, 0x207, 0xe7, ALL_XCR0])
def test_instructions_come_with_their_registers(cpuid, xcr0):
    """AVX, AVX-512, PKU and XSAVE itself only where XCR0 can hold their state."""
    out = m.supported(cpuid, m.all_ones, xcr0)
    assert {bit(out, w) for w in AVX} == {int(xcr0 & 7 == 7)}
    assert {bit(out, w) for w in AVX512} == {int(xcr0 & 0xe7 == 0xe7)}
    assert bit(out, PASSED["PKU"]) == bool(xcr0 & 0x200)
    assert bit(out, PASSED["XSAVE"]) == bool(xcr0)


@pytest.mark.parametrize("xcr0", [3, 7, 0x207, 0xe7, ALL_XCR0])
def test_xsave_leaf_describes_the_area(cpuid, xcr0):
    """SDM vol. 1 13.2: ecx is where the last component ends, offsets are the host's."""
    out = m.supported(cpuid, m.all_ones, xcr0)
    present = {i: c for i, c in m.COMPONENTS.items() if xcr0 >> i & 1}
    assert out[0xd, 0].regs == (xcr0, 576,
                                max([576, *(s + o for s, o in present.values())]), 0)
    assert {i for f, i in out if f == 0xd} == {0, 1, *present}
    for i, (size, offset) in present.items():
        assert out[0xd, i].regs == (size, offset, 2, 0)


def test_pku_needs_a_host_that_manages_it(cpuid):
    """The host booted with nopku: the processor has keys, but PKRU is nobody's to switch."""
    off = dict(m.EPYC)
    leaf7 = list(off[7, 0])
    leaf7[m.ECX] &= ~(1 << 4)
    off[7, 0] = tuple(leaf7)
    assert not bit(m.supported(cpuid, m.from_table(off), m.EPYC_XCR0), PASSED["PKU"])


def test_without_xsave_the_leaf_is_empty(cpuid):
    out = m.supported(cpuid, m.all_ones, 0)
    assert out[0xd, 0].regs == (0, 0, 0, 0)
    assert (0xd, 1) not in out


@settings(max_examples=100, deadline=None)
@given(hosts(), st.integers(0, 60))
def test_too_little_room(cpuid, table, room):
    """-E2BIG exactly if the list is longer; never a byte past the end (checked in the model)."""
    host = m.from_table(table)
    whole = m.supported(cpuid, host, 7)
    part = m.supported(cpuid, host, 7, room=room)
    if len(whole) > room:
        assert part == -m.E2BIG
    else:
        assert {k: e.regs for k, e in part.items()} == {k: e.regs for k, e in whole.items()}


@settings(max_examples=200, deadline=None)
@given(hosts(), xcr0s)
def test_limits_follow_what_is_shown(cpuid, table, xcr0):
    """A guest given all that is supported may set the CR4 and EFER bits of exactly that."""
    out = m.supported(cpuid, m.from_table(table), xcr0)
    entries = m.array(list(out.values()))
    cr4 = cpuid.cpuid_cr4_reserved(entries, len(out))
    assert not cr4 & 0x7ff
    for n, where in ((11, PASSED["UMIP"]), (12, PASSED["LA57"]), (16, PASSED["FSGSBASE"]),
                     (17, PASSED["PCID"]), (18, PASSED["XSAVE"]), (20, PASSED["SMEP"]),
                     (21, PASSED["SMAP"]), (22, PASSED["PKU"])):
        assert cr4 >> n & 1 == 1 - int(bool(bit(out, where))), n
    for n in (13, 14, 15, 19, *range(23, 64)):
        assert cr4 >> n & 1, n
    efer = cpuid.cpuid_efer_reserved(entries, len(out))
    for n, where in ((0, PASSED["SYSCALL"]), (8, PASSED["LM"]), (10, PASSED["LM"]),
                     (11, PASSED["NX"]), (14, (0x80000001, 0, m.EDX, 25))):
        assert efer >> n & 1 == 1 - int(bool(bit(out, where))), n
    assert efer >> 12 & 1, "SVME without nesting"
    assert 0 <= cpuid.cpuid_maxphyaddr(entries, len(out)) <= 52
