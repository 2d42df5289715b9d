/* SPDX-License-Identifier: GPL-2.0-only */
/* The IOAPIC of a VM. */
#ifndef UNIKVM_IOAPIC_H
#define UNIKVM_IOAPIC_H

#include <linux/workqueue.h>

#include "../x86.h"
#include "ioapic_logic.h"

struct ioapic {
	struct x86_vm *vm;
	struct kvm_io_device dev;
	spinlock_t lock;	/* logic and sources; any context, irqs off */
	struct ioapic_logic logic;
	u8 sources[IOAPIC_NR_PINS];	/* by kvm_irq_source, who asserts */
	/* Read without the lock: vectors in use, and an unmasked ExtINT pin. */
	u64 vectors[4];
	u64 extint_rte;			/* 0: none */
	u32 retry_pins;			/* for retry_work */
	struct delayed_work retry_work;
};

struct ioapic *x86_ioapic_create(struct x86_vm *vm);	/* or ERR_PTR */
void x86_ioapic_destroy(struct ioapic *ioapic);
int x86_ioapic_set(struct ioapic *ioapic, enum kvm_irq_source source,
		   unsigned int pin, int level);
void x86_ioapic_get_state(struct ioapic *ioapic, struct kvm_ioapic_state *s);
void x86_ioapic_set_state(struct ioapic *ioapic,
			  const struct kvm_ioapic_state *s);
/* Does an ExtINT pin bring the PIC's output to this local APIC? */
bool ioapic_extint_to(struct x86_vm *vm, const struct lapic_logic *l);

#endif
