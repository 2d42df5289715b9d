# SPDX-License-Identifier: GPL-2.0-only
"""Values that memory-type MSRs take, and the MSR filter; kernel/x86/msr_logic.c."""

import ctypes
from ctypes import POINTER, Structure, c_bool, c_int, c_uint8, c_uint32, c_uint64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

U64 = 2**64 - 1
TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}     # APM vol. 2 table 7-10
FIXED = [0x250, 0x258, 0x259, *range(0x268, 0x270)]
READ, WRITE = 1, 2


class Range(Structure):
    """struct msr_filter_range"""

    _fields_ = [("flags", c_uint32), ("base", c_uint32), ("nmsrs", c_uint32),
                ("bitmap", POINTER(c_uint8))]


@pytest.fixture(scope="module")
def msr(logic):
    logic.mtrr_value_valid.argtypes = [c_uint32, c_uint64, c_uint8]
    logic.mtrr_value_valid.restype = c_bool
    for name in ("mtrr_fixed_index", "mtrr_var_index"):
        getattr(logic, name).argtypes = [c_uint32]
        getattr(logic, name).restype = c_int
    logic.spec_ctrl_bits.argtypes = [c_uint32]
    logic.spec_ctrl_bits.restype = c_uint64
    logic.pat_value_valid.argtypes = [c_uint64]
    logic.pat_value_valid.restype = c_bool
    logic.msr_filter_bitmap_size.argtypes = [c_uint32]
    logic.msr_filter_bitmap_size.restype = c_uint64
    logic.msr_filter_allows.argtypes = [POINTER(Range), c_uint32, c_bool, c_uint32, c_uint32]
    logic.msr_filter_allows.restype = c_bool
    return logic


def test_indices_are_dense_and_only_these(msr):
    fixed = {n: msr.mtrr_fixed_index(n) for n in range(0x1f0, 0x310)}
    var = {n: msr.mtrr_var_index(n) for n in range(0x1f0, 0x310)}
    assert [fixed[n] for n in FIXED] == list(range(11))
    assert [var[n] for n in range(0x200, 0x210)] == list(range(16))
    assert {n for n, i in fixed.items() if i >= 0} == set(FIXED)
    assert {n for n, i in var.items() if i >= 0} == set(range(0x200, 0x210))


def types_ok(data: int, allowed: set[int]) -> bool:
    return all(data >> 8 * i & 0xff in allowed for i in range(8))


values = st.one_of(
    st.integers(0, U64),
    st.lists(st.integers(0, 8), min_size=8, max_size=8).map(
        lambda types: int.from_bytes(bytes(types), "little")),
    st.builds(lambda a, t, f: a << 12 | t | f << 8, st.integers(0, 2**42), st.integers(0, 9),
              st.integers(0, 15)))


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from([0x2ff, *FIXED, *range(0x200, 0x210)]), values, st.integers(32, 52))
def test_mtrr_values(msr, index, data, width):
    """APM vol. 2 7.7.2: reserved types and bits raise #GP."""
    if index == 0x2ff:
        ok = data & ~0xcff == 0 and data & 0xff in TYPES
    elif index in FIXED:
        ok = types_ok(data, set(TYPES))
    elif data >> width:
        ok = False
    elif index & 1:
        ok = data & 0x7ff == 0
    else:
        ok = data & 0xf00 == 0 and data & 0xff in TYPES
    assert msr.mtrr_value_valid(index, data, width) is ok


@pytest.mark.parametrize("index, data, ok", [
    (0x2ff, 0xc06, True), (0x2ff, 0xc02, False), (0x2ff, 0x1c06, False),
    (0x250, 0x0606060606060606, True), (0x250, 0x0606060206060606, False),
    (0x200, 0x80000006, True), (0x200, 0x80000106, False),
    (0x201, 0xff80000800, True), (0x201, 0xff80000400, False), (0x201, 0x1ff80000800, False),
    (0x277, 0, False), (0x1234, 0, False),
])
def test_mtrr_examples(msr, index, data, ok):
    """What Firecracker, SeaBIOS and Linux write, and one bit beside it; 40 bits of address."""
    assert msr.mtrr_value_valid(index, data, 40) is ok


@settings(max_examples=500, deadline=None)
@given(values)
def test_pat_values(msr, data):
    assert msr.pat_value_valid(data) is types_ok(data, {*TYPES, 7})


def test_pat_of_reset_and_of_linux(msr):
    assert msr.pat_value_valid(0x0007040600070406)
    assert msr.pat_value_valid(0x0407050600070106)
    assert not msr.pat_value_valid(0x0007040600070402)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_spec_ctrl_bits(msr, ebx):
    """APM vol. 3, 80000008 ebx: IBRS, STIBP, SSBD and PSFD, and their bits in the MSR."""
    bits = {14: 0, 15: 1, 24: 2, 28: 7}
    assert msr.spec_ctrl_bits(ebx) == sum(1 << to for bit, to in bits.items() if ebx >> bit & 1)


@pytest.mark.parametrize("n, size", [(0, 0), (1, 8), (64, 8), (65, 16), (0x3000, 0x600),
                                     (0x3001, 0x608), (0xffffffff, 0x20000000)])
def test_bitmap_size(msr, n, size):
    assert msr.msr_filter_bitmap_size(n) == size


small = st.integers(0, 40)
ranges_strategy = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 60), st.integers(1, 70),
                                     st.integers(0, 2**72 - 1)), max_size=16)


@settings(max_examples=500, deadline=None)
@given(ranges_strategy, st.booleans(), st.integers(0, 140), st.sampled_from([READ, WRITE]),
       st.sampled_from([0, 0xc0000000, 2**32 - 140]))
def test_filter_is_the_first_range_that_speaks(msr, ranges, default, index, access, shift):
    """KVM_X86_SET_MSR_FILTER in Documentation/virt/kvm/api.rst; also at the end of the numbers."""
    keep = []
    table = (Range * max(1, len(ranges)))()
    expected = default
    decided = False
    for i, (flags, base, n, bits) in enumerate(ranges):
        keep.append((c_uint8 * 16)(*bits.to_bytes(16, "little")))
        table[i] = Range(flags, base + shift, n, ctypes.cast(keep[-1], POINTER(c_uint8)))
        if not decided and flags & access and base <= index < base + n:
            expected = bool(bits >> (index - base) & 1)
            decided = True
    got = msr.msr_filter_allows(table, len(ranges), default, index + shift & 0xffffffff, access)
    if index + shift < 2**32:
        assert got is expected


@pytest.mark.parametrize("index, allowed", [(99, False), (100, True), (101, True), (102, False)])
def test_filter_range_ends_where_it_says(msr, index, allowed):
    """Two MSRs from 100; the bitmap has ones beyond them, which say nothing."""
    ones = (c_uint8 * 8)(*[0xff] * 8)
    table = (Range * 1)(Range(READ, 100, 2, ctypes.cast(ones, POINTER(c_uint8))))
    assert msr.msr_filter_allows(table, 1, False, index, READ) is allowed
