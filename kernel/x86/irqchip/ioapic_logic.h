/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An 82093AA I/O APIC with 24 pins, without locks or vCPUs.
 *
 * Source: Intel 82093AA data sheet (290566-001). Version 11h: no EOI register
 * of its own; local APICs broadcast the EOI of a level-triggered vector.
 * Polarity is ignored: lines are given as asserted or not.
 */
#ifndef UNIKVM_IOAPIC_LOGIC_H
#define UNIKVM_IOAPIC_LOGIC_H

#include "../../shim.h"

#include <unikvm/kvm.h>

#include "lapic_logic.h"

#define IOAPIC_NR_PINS		KVM_IOAPIC_NUM_PINS
#define IOAPIC_BASE		0xfec00000ULL
#define IOAPIC_SIZE		0x100	/* bytes claimed in memory space */

#define IOAPIC_RTE_LOGICAL	BIT_ULL(11)
#define IOAPIC_RTE_STATUS	BIT_ULL(12)
#define IOAPIC_RTE_REMOTE_IRR	BIT_ULL(14)
#define IOAPIC_RTE_LEVEL	BIT_ULL(15)
#define IOAPIC_RTE_MASKED	BIT_ULL(16)

/*
 * EOIs of one pin in a row that find its line still asserted, before the next
 * delivery is left to a timer: a guest without a driver for the device must
 * still get somewhere.
 */
#define IOAPIC_EOI_STREAK	10000

struct ioapic_logic {
	u64 rte[IOAPIC_NR_PINS];
	u32 regsel;
	u32 id;			/* 4 bits */
	u32 line;		/* pins asserted */
	u16 streak[IOAPIC_NR_PINS];
	/* Deliver an interrupt: as kvm_set_irq() */
	int (*send)(struct ioapic_logic *l, const struct apic_irq *irq);
};

void ioapic_logic_reset(struct ioapic_logic *l);
/* As kvm_set_irq(): -1 masked, 0 coalesced, >0 delivered */
int ioapic_logic_set_line(struct ioapic_logic *l, unsigned int pin, bool level);
/* @offset in the memory window; 32 bits */
u32 ioapic_logic_read(const struct ioapic_logic *l, u32 offset);
/* Returns the pins that this write unmasked. */
u32 ioapic_logic_write(struct ioapic_logic *l, u32 offset, u32 value);

/* Pins whose entry carries this vector to be served, for the notifiers. */
u32 ioapic_logic_vector_pins(const struct ioapic_logic *l, u8 vector);
/*
 * The EOI of a level-triggered vector, after the notifiers: redeliver what is
 * still asserted. Returns the pins whose redelivery must wait a while, to be
 * passed to ioapic_logic_retry() then.
 */
u32 ioapic_logic_eoi(struct ioapic_logic *l, u32 pins);
void ioapic_logic_retry(struct ioapic_logic *l, u32 pins);

void ioapic_rte_decode(u64 rte, struct apic_irq *irq);
void ioapic_logic_get(const struct ioapic_logic *l,
		      struct kvm_ioapic_state *state);
void ioapic_logic_set(struct ioapic_logic *l,
		      const struct kvm_ioapic_state *state);

#endif
