# SPDX-License-Identifier: GPL-2.0-only
"""Clock arithmetic of kernel/x86/time_logic.c against exact integers."""

from ctypes import Structure, c_bool, c_int8, c_int64, c_uint32, c_uint64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

U64 = 2**64
NS = 10**9


class Scale(Structure):
    """struct pvclock_scale"""

    _fields_ = [("mul", c_uint32), ("shift", c_int8)]


@pytest.fixture(scope="module")
def clock(logic):
    logic.pvclock_scale_for.argtypes = [c_uint64]
    logic.pvclock_scale_for.restype = Scale
    logic.pvclock_ticks_to_ns.argtypes = [Scale, c_uint64]
    logic.pvclock_ticks_to_ns.restype = c_uint64
    logic.time_ns_to_ticks.argtypes = [c_uint64, c_uint32]
    logic.time_ns_to_ticks.restype = c_uint64
    logic.tsc_write_matches.argtypes = [c_uint64, c_uint64, c_uint64, c_uint32]
    logic.tsc_write_matches.restype = c_bool
    logic.timer_advance_next.argtypes = [c_uint32, c_int64]
    logic.timer_advance_next.restype = c_uint32
    logic.tsc_khz_acceptable.argtypes = [c_uint32, c_uint32]
    logic.tsc_khz_acceptable.restype = c_bool
    return logic


def guest_reads(scale: Scale, ticks: int) -> int:
    """What a guest computes, after Documentation/virt/kvm/x86/msr.rst (4b564d01)."""
    ticks = ticks >> -scale.shift if scale.shift < 0 else ticks << scale.shift
    return (ticks * scale.mul) >> 32


@settings(max_examples=1000, deadline=None)
@given(st.integers(1000, 2**40), st.integers(0, 2**43))
@example(NS, NS)
@example(2 * NS, 2 * NS)
@example(2 * NS + 1, 2 * NS)
@example(NS - 1, NS)
@example(2999998000, 2999998000 * 3600)
@example(1000, 1)
def test_scale_is_exact_to_half_a_ppb(clock, hz, ticks):
    """The multiplier keeps 31 significant bits, so the clock is off by less than 2^-30."""
    scale = clock.pvclock_scale_for(hz)
    assert 2**31 <= scale.mul < 2**32
    # whole seconds first: the product must stay below 64 bits, as the guest's does
    ticks %= hz * 3600
    got = guest_reads(scale, ticks)
    exact = ticks * NS / hz
    lost_to_shift = 2**max(0, -scale.shift) * NS / hz
    assert exact * (1 - 2**-30) - lost_to_shift - 1 <= got <= exact * (1 + 2**-30)
    shifted = ticks << max(0, scale.shift)
    if shifted < U64:
        assert clock.pvclock_ticks_to_ns(scale, ticks) == got


@pytest.mark.parametrize("hz", [0, 2**40 + 1, U64 - 1])
def test_impossible_rates_stand_still(clock, hz):
    scale = clock.pvclock_scale_for(hz)
    assert (scale.mul, scale.shift) == (0, 0)
    assert clock.pvclock_ticks_to_ns(scale, 12345) == 0


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**50), st.integers(1, 2**24))
def test_ns_to_ticks(clock, ns, khz):
    assert clock.time_ns_to_ticks(ns, khz) == ns * khz // 10**6 % U64


def matches(data: int, last: int, elapsed: int, khz: int) -> bool:
    if data == 0:
        return True
    distance = (data - last - elapsed * khz // 10**6) % U64
    if distance >= U64 // 2:
        distance -= U64
    return -khz * 1000 <= distance < khz * 1000


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, U64 - 1), st.integers(0, 2**45), st.sampled_from([1000, 2100000, 5000000]),
       st.integers(-6 * 10**9, 6 * 10**9))
@example(1, 0, 1000, 0)
@example(U64 - 5, 10**6, 1000, 10)
def test_writes_that_mean_the_same(clock, last, elapsed, khz, distance):
    """Within a second of where the last write has got to, also across the wrap."""
    data = (last + elapsed * khz // 10**6 + distance) % U64
    assert clock.tsc_write_matches(data, last, elapsed, khz) is matches(data, last, elapsed, khz)


def test_edges_of_the_second(clock):
    khz = 2000000
    base = 10**15
    for distance, same in ((0, True), (khz * 1000 - 1, True), (khz * 1000, False),
                           (-khz * 1000, True), (-khz * 1000 - 1, False)):
        assert clock.tsc_write_matches(base + distance, base, 0, khz) is same, distance
    assert clock.tsc_write_matches(0, base, 10**12, khz), "the value at creation"


@pytest.mark.parametrize("wanted, ok", [(2000000, True), (2000500, True), (1999500, True),
                                        (2000501, False), (1999499, False), (0, False)])
def test_rates_close_enough(clock, wanted, ok):
    """250 ppm of 2 GHz"""
    assert clock.tsc_khz_acceptable(wanted, 2000000) is ok


# -- how early a timer fires ---------------------------------------------------

ADVANCE_MAX, MARGIN = 5000, 250


@given(st.integers(0, ADVANCE_MAX), st.integers(-2**63, 2**63 - 1))
def test_the_advance_is_bounded(clock, advance, late):
    after = clock.timer_advance_next(advance, late)
    assert 0 <= after <= ADVANCE_MAX
    assert after <= advance if late < -MARGIN else after >= advance


@pytest.mark.parametrize("way", [0, 900, 3000])
def test_the_advance_finds_the_way_to_the_guest(clock, way):
    """A guest ready `way` ns after the interrupt ends up waiting for about the margin."""
    advance = 0
    for _ in range(300):
        advance = clock.timer_advance_next(advance, way - advance)
    assert way + MARGIN - 8 < advance <= way + MARGIN


def test_one_long_delay_tells_nothing(clock):
    assert clock.timer_advance_next(1000, 10**6) == 1000
