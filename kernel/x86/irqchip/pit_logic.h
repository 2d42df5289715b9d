/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An 8254 programmable interval timer and port 61h, without timers or locks.
 *
 * Source: Intel 82C54 data sheet (231244-006). Time comes in as nanoseconds;
 * a counter is computed from the time since its load, never ticked.
 */
#ifndef UNIKVM_PIT_LOGIC_H
#define UNIKVM_PIT_LOGIC_H

#include "../../shim.h"

#include <unikvm/kvm.h>

#define PIT_FREQ		1193182U	/* Hz */
#define PIT_NR_CHANNELS		3

struct pit_channel {
	struct kvm_pit_channel_state s;
	bool loaded;		/* a count was written since the mode was */
	bool triggered;		/* modes 1 and 5: the gate rose since then */
	s64 stopped_at;		/* ns; the gate is low and stops counting */
	bool stopped;
};

struct pit_logic {
	struct pit_channel ch[PIT_NR_CHANNELS];
	u32 flags;		/* KVM_PIT_FLAGS_* */
};

/* When channel 0 raises its output next; period_ns 0: only once. */
struct pit_plan {
	u64 delay_ns;		/* from the count's load time */
	u64 period_ns;
};

void pit_logic_reset(struct pit_logic *p, s64 now);
/* @port 0 to 3. A write returns true if channel 0's plan changed. */
u8 pit_logic_read(struct pit_logic *p, unsigned int port, s64 now);
bool pit_logic_write(struct pit_logic *p, unsigned int port, u8 value, s64 now);
/* Port 61h: gate 2, speaker data, refresh toggle, output 2 */
u8 pit_logic_speaker_read(struct pit_logic *p, s64 now);
void pit_logic_speaker_write(struct pit_logic *p, u8 value, s64 now);
/* False if channel 0 raises no interrupt as it is programmed. */
bool pit_logic_plan(const struct pit_logic *p, struct pit_plan *plan);
bool pit_channel_out(const struct pit_channel *c, s64 now);
u32 pit_channel_count(const struct pit_channel *c, s64 now);

void pit_logic_get(const struct pit_logic *p, struct kvm_pit_state2 *state);
/* Counting starts again at @now: the clocks of two hosts do not compare. */
void pit_logic_set(struct pit_logic *p, const struct kvm_pit_state2 *state,
		   s64 now);

#endif
