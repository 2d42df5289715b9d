// SPDX-License-Identifier: GPL-2.0-only
/* Clock arithmetic: TSC ticks and nanoseconds. Pure logic. */
#include "time_logic.h"

#define NSEC_PER_SEC_U64	1000000000ULL
#define TOLERANCE_PPM		250

struct pvclock_scale pvclock_scale_for(u64 hz)
{
	struct pvclock_scale scale = { 0, 0 };
	u64 ns = NSEC_PER_SEC_U64;

	/* Beyond 2^40 Hz nothing real runs, and the shift must stay small. */
	if (!hz || hz > BIT_ULL(40))
		return scale;
	/*
	 * The multiplier is ns / hz as a 0.32 fraction with its top bit set:
	 * bring the quotient into [1/2, 1).
	 */
	while (hz > 2 * NSEC_PER_SEC_U64) {
		hz >>= 1;
		scale.shift--;
	}
	while (hz <= ns) {
		hz <<= 1;
		scale.shift++;
	}
	/* ns < hz <= 2 ns, and ns << 32 fits in 64 bits (10^9 < 2^30). */
	scale.mul = (u32)div64_u64(ns << 32, hz);
	return scale;
}

u64 pvclock_ticks_to_ns(struct pvclock_scale scale, u64 ticks)
{
	if (scale.shift < 0)
		ticks >>= -scale.shift;
	else
		ticks <<= scale.shift;
	return mul_u64_u64_shr(ticks, scale.mul, 32);
}

u64 time_ns_to_ticks(u64 ns, u32 khz)
{
	return mul_u64_u32_div(ns, khz, 1000000);
}

bool tsc_write_matches(u64 data, u64 last_write, u64 elapsed_ns, u32 khz)
{
	u64 expected, second = (u64)khz * 1000;

	if (!data)
		return true;
	expected = last_write + time_ns_to_ticks(elapsed_ns, khz);
	/* Modulo 2^64, as the counter itself. */
	return data - expected + second < 2 * second;
}

bool tsc_khz_acceptable(u32 wanted_khz, u32 khz)
{
	u64 tolerance = (u64)khz * TOLERANCE_PPM / 1000000;

	return wanted_khz >= khz - tolerance && wanted_khz <= khz + tolerance;
}

u32 timer_advance_next(u32 advance, s64 late_ns)
{
	s64 next;

	/* So late that something else had the host. */
	if (late_ns > 20 * TIMER_ADVANCE_MAX)
		return advance;
	next = advance + (late_ns + TIMER_ADVANCE_MARGIN) / 8;
	return next < 0 ? 0 : min_t(s64, next, TIMER_ADVANCE_MAX);
}
