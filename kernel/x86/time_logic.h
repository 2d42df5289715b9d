/* SPDX-License-Identifier: GPL-2.0-only */
/* Clock arithmetic: TSC ticks and nanoseconds. Pure logic. */
#ifndef UNIKVM_TIME_LOGIC_H
#define UNIKVM_TIME_LOGIC_H

#include "../shim.h"

/*
 * A pvclock scale: ns = ((ticks << shift) * mul) >> 32, with a right shift
 * where shift is negative (Documentation/virt/kvm/x86/msr.rst, 4b564d01).
 */
struct pvclock_scale {
	u32 mul;
	s8 shift;
};

/* hz of the counter; 0 hz gives a scale of 0, a clock that stands still. */
struct pvclock_scale pvclock_scale_for(u64 hz);
u64 pvclock_ticks_to_ns(struct pvclock_scale scale, u64 ticks);

u64 time_ns_to_ticks(u64 ns, u32 khz);

/*
 * Writes of the TSC by user space, one vCPU after the other, mean "the same
 * value on all" although time passes between them. True if data is within a
 * second of what the last write has grown to, or 0, the value at creation.
 */
bool tsc_write_matches(u64 data, u64 last_write, u64 elapsed_ns, u32 khz);

/*
 * A timer is set some ns early, for what lies between its interrupt and the
 * guest. The next advance, when the guest was ready late_ns after the deadline
 * (negative: it had to wait). It settles where the guest waits for a margin.
 */
#define TIMER_ADVANCE_MAX	5000
#define TIMER_ADVANCE_MARGIN	250
u32 timer_advance_next(u32 advance, s64 late_ns);

/* A rate within 250 ppm of ours needs no scaling. */
bool tsc_khz_acceptable(u32 wanted_khz, u32 khz);

#endif
