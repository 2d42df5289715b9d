/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Local APICs at work: one struct lapic a vCPU, and the map of a VM that finds
 * them by destination.
 */
#ifndef UNIKVM_LAPIC_H
#define UNIKVM_LAPIC_H

#include <linux/atomic.h>
#include <linux/hrtimer.h>
#include <linux/rcupdate.h>

#include "../x86.h"
#include "lapic_logic.h"

enum {			/* lapic.events */
	LAPIC_EVENT_INIT,
	LAPIC_EVENT_SIPI
};

struct lapic {
	struct x86_vcpu *v;
	struct lapic_logic logic;
	u64 base;			/* MSR 1b as last told */

	/* From any thread; taken by the vCPU in x86_lapic_accept_events(). */
	unsigned long events;
	u8 sipi_vector;

	/* Timer, lapic_timer.c. Armed and cancelled by the vCPU's thread. */
	struct hrtimer timer;
	atomic_t timer_pending;		/* set by the timer's callback */
	u64 period_ns;			/* 0: not periodic */
	u64 tsc_deadline;		/* guest TSC; 0: disarmed */
	u64 fired_deadline;		/* went off, maybe a little early */
	u32 advance_ns;			/* by at most so much */
};

/*
 * Who answers to which destination. Immutable once published in vm->apic_map;
 * readers hold the RCU read lock and may be in any context.
 */
struct apic_map {
	struct rcu_head rcu;
	struct x86_vm *vm;
	bool physical_exact;		/* no two enabled APICs share an ID */
	bool logical_exact;		/* one mode, one bit each, no sharing */
	bool x2apic;			/* what logical destinations mean, */
	bool cluster;			/* if logical_exact */
	struct x86_vcpu *xapic_logical[16][8];	/* by cluster and bit */
	u32 nr;
	u32 max_id;
	/* nr vCPUs with a LAPIC, enabled or not, then max_id + 1 by ID */
	struct x86_vcpu *vcpus[];
};

static inline struct x86_vcpu *const *apic_map_by_id(const struct apic_map *m)
{
	return m->vcpus + m->nr;
}

/* lapic_map.c: both may sleep */
int apic_map_add(struct x86_vcpu *v);
void apic_map_remove(struct x86_vcpu *v);
void apic_map_rebuild(struct x86_vm *vm);
/*
 * Deliver to whoever matches, any context. Returns the number of local APICs
 * that took it; -1 if there are none at all. src: the sender of an IPI.
 */
int x86_apic_deliver(struct x86_vm *vm, struct x86_vcpu *src,
		     const struct apic_irq *irq);
/*
 * The same to the physical IDs first + n for each bit n of two words of width
 * bits (32 or 64).
 */
int x86_apic_deliver_bits(struct x86_vm *vm, const u64 bits[2], int width,
			  u32 first, const struct apic_irq *irq);
/* Look at the PIC's output again: every vCPU that listens to it. */
void x86_apic_kick_pic_listeners(struct x86_vm *vm);

/* lapic.c */
void lapic_end_of_interrupt(struct lapic *apic);
bool lapic_accept(struct x86_vcpu *v, const struct apic_irq *irq);
extern const struct kvm_io_device_ops lapic_mmio_ops;

/* lapic_timer.c */
extern unsigned int x86_min_timer_period_us;
void lapic_timer_init(struct lapic *apic);
void lapic_timer_cancel(struct lapic *apic);
/* @count: start value; the period follows TMICT. */
void lapic_timer_start(struct lapic *apic, u32 count);
u32 lapic_timer_read(struct lapic *apic);	/* TMCCT */
void lapic_timer_disarm(struct lapic *apic);	/* the mode changed */

#endif
