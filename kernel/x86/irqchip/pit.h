/* SPDX-License-Identifier: GPL-2.0-only */
/* The 8254 of a VM. */
#ifndef UNIKVM_PIT_H
#define UNIKVM_PIT_H

#include <linux/atomic.h>
#include <linux/hrtimer.h>

#include "../x86.h"
#include "pit_logic.h"

struct pit {
	struct x86_vm *vm;
	struct kvm_io_device dev;
	struct kvm_io_device speaker_dev;
	struct mutex lock;		/* logic; arming of the timer */
	struct pit_logic logic;
	struct hrtimer timer;
	u64 period_ns;			/* changed only with the timer stopped */

	/*
	 * Reinjection: a tick waits until the guest acknowledged the one
	 * before, so that a guest that counts ticks keeps its time.
	 */
	bool reinject;
	atomic_t waiting;		/* ticks not yet acknowledged */
	atomic_t acked;			/* 1: the next tick may go out */
	struct kvm_irq_ack_notifier ack;
};

/* A pin was unmasked, or a chip's state replaced: nobody owes us an ack. */
void x86_pit_restart_reinject(struct x86_vm *vm);
void x86_pit_pin_unmasked(struct x86_vm *vm, u32 irqchip, unsigned int pin);
void x86_pit_get_state(struct pit *pit, struct kvm_pit_state2 *s);
void x86_pit_set_state(struct pit *pit, const struct kvm_pit_state2 *s);
void x86_pit_set_reinject(struct pit *pit, bool reinject);

#endif
