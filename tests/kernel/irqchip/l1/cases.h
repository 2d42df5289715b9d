/* SPDX-License-Identifier: GPL-2.0-only */
/* Every case, once: X(name) is a function without arguments. */
#ifndef CASES_H
#define CASES_H

#include "harness.h"

#define CASES(X)							\
	X(pit_ticks_through_pic) X(pit_reinjects) X(pit_one_shot)	\
	X(pic_through_lint0_of_user_space)				\
	X(lapic_timer) X(lapic_timer_survives_set)			\
	X(lapic_timer_changes_mode) X(async_page_faults_asked_for)	\
	X(lapic_page_moves) X(logical_destinations)			\
	X(priorities_hold_interrupts) X(x2apic_registers)		\
	X(ioapic_edge_and_level) X(ioapic_level_storm) X(messages)	\
	X(init_sipi_and_ipi) X(ipis_by_hypercall) X(split_eoi_exit)	\
	X(split_external_interrupt) X(state_round_trips)		\
	X(routes) X(irqfd_message) X(irqfd_line) X(irqfd_resample)	\
	X(irqfd_bad_arguments) X(ioeventfd_forms)			\
	X(ioeventfd_bad_arguments) X(coalesced_writes)			\
	X(coalesced_limit) X(coalesced_hostile_ring)		\
	X(coalesced_ring_full) X(storm_of_changes)

#define X(name) void name(void);
CASES(X)
#undef X

#endif
