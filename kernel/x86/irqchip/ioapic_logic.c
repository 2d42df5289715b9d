// SPDX-License-Identifier: GPL-2.0-only
/* An 82093AA I/O APIC: registers, lines, EOI. */

#include "ioapic_logic.h"

#define REG_ID		0x00
#define REG_VERSION	0x01
#define REG_ARB		0x02
#define REG_RTE		0x10	/* two 32-bit registers an entry */

#define VERSION_VALUE	(0x11 | (IOAPIC_NR_PINS - 1) << 16)

/* Bits 55:17 are reserved, 14 and 12 read only. */
#define RTE_WRITABLE	(GENMASK_ULL(63, 56) | 0x1afffULL)
#define RTE_KEPT	(IOAPIC_RTE_REMOTE_IRR | IOAPIC_RTE_STATUS)

void ioapic_logic_reset(struct ioapic_logic *l)
{
	unsigned int i;

	for (i = 0; i < IOAPIC_NR_PINS; i++) {
		l->rte[i] = IOAPIC_RTE_MASKED;
		l->streak[i] = 0;
	}
	l->regsel = 0;
	l->id = 0;
	l->line = 0;
}

void ioapic_rte_decode(u64 rte, struct apic_irq *irq)
{
	*irq = (struct apic_irq) {
		.dest = rte >> 56,
		.vector = rte & 0xff,
		.mode = rte >> 8 & 7,
		.logical = rte & IOAPIC_RTE_LOGICAL,
		.level_trig = rte & IOAPIC_RTE_LEVEL,
		.assert = true,
		.shorthand = LAPIC_DEST_FIELD,
	};
}

/* Only fixed and lowest priority have a level form ("Delivery Mode"). */
static bool is_level(u64 rte)
{
	return rte & IOAPIC_RTE_LEVEL && (rte >> 8 & 7) <= LAPIC_MODE_LOWEST;
}

/* Send the pin's message if its entry lets it out. */
static int deliver(struct ioapic_logic *l, unsigned int pin)
{
	u64 rte = l->rte[pin];
	struct apic_irq irq;
	int ret;

	if (rte & IOAPIC_RTE_MASKED)
		return -1;
	if (is_level(rte) && rte & IOAPIC_RTE_REMOTE_IRR)
		return 0;
	ioapic_rte_decode(rte, &irq);
	irq.level_trig = is_level(rte);
	ret = l->send(l, &irq);
	if (ret > 0 && irq.level_trig)
		l->rte[pin] |= IOAPIC_RTE_REMOTE_IRR;
	return ret;
}

int ioapic_logic_set_line(struct ioapic_logic *l, unsigned int pin, bool level)
{
	u32 bit, old = l->line;

	if (pin >= IOAPIC_NR_PINS)
		return -1;
	bit = BIT(pin);
	if (!level) {
		l->line &= ~bit;
		l->streak[pin] = 0;
		return 1;
	}
	l->line |= bit;
	/* An edge is a change; one on a masked pin is lost ("Mask" bit). */
	if (!is_level(l->rte[pin]) && old & bit)
		return 0;
	return deliver(l, pin);
}

static bool level_asserted(const struct ioapic_logic *l, unsigned int pin)
{
	return l->line >> pin & 1 && is_level(l->rte[pin]);
}

/* ---- registers ---- */

static u32 read_register(const struct ioapic_logic *l)
{
	u32 index = l->regsel - REG_RTE;

	switch (l->regsel) {
	case REG_ID:
	case REG_ARB:
		return l->id << 24;
	case REG_VERSION:
		return VERSION_VALUE;
	}
	if (l->regsel < REG_RTE || index >= 2 * IOAPIC_NR_PINS)
		return 0;
	index = array_index_nospec(index, 2 * IOAPIC_NR_PINS);
	return l->rte[index / 2] >> (index & 1 ? 32 : 0);
}

u32 ioapic_logic_read(const struct ioapic_logic *l, u32 offset)
{
	switch (offset) {
	case 0x00:
		return l->regsel;
	case 0x10:
		return read_register(l);
	default:
		return 0;
	}
}

static u32 write_rte(struct ioapic_logic *l, unsigned int pin, u64 value)
{
	u64 old = l->rte[pin];

	value = (value & RTE_WRITABLE) | (old & RTE_KEPT);
	/*
	 * Linux ends a level interrupt on this version by making the entry
	 * edge triggered and back: that forgets the remote IRR.
	 */
	if (!(value & IOAPIC_RTE_LEVEL))
		value &= ~IOAPIC_RTE_REMOTE_IRR;
	l->rte[pin] = value;
	if (level_asserted(l, pin))
		deliver(l, pin);
	return old & ~value & IOAPIC_RTE_MASKED ? BIT(pin) : 0;
}

static u32 write_register(struct ioapic_logic *l, u32 value)
{
	u32 index = l->regsel - REG_RTE;
	u64 rte;

	if (l->regsel == REG_ID)
		l->id = value >> 24 & 0xf;
	if (l->regsel < REG_RTE || index >= 2 * IOAPIC_NR_PINS)
		return 0;
	index = array_index_nospec(index, 2 * IOAPIC_NR_PINS);
	rte = l->rte[index / 2];
	if (index & 1)
		rte = (rte & U32_MAX) | (u64)value << 32;
	else
		rte = (rte & ~(u64)U32_MAX) | value;
	return write_rte(l, index / 2, rte);
}

u32 ioapic_logic_write(struct ioapic_logic *l, u32 offset, u32 value)
{
	switch (offset) {
	case 0x00:
		l->regsel = value & 0xff;
		return 0;
	case 0x10:
		return write_register(l, value);
	default:
		return 0;
	}
}

/* ---- EOI ---- */

u32 ioapic_logic_vector_pins(const struct ioapic_logic *l, u8 vector)
{
	u32 pins = 0;
	unsigned int i;

	for (i = 0; i < IOAPIC_NR_PINS; i++)
		if ((l->rte[i] & 0xff) == vector &&
		    (l->rte[i] >> 8 & 7) <= LAPIC_MODE_LOWEST)
			pins |= BIT(i);
	return pins;
}

u32 ioapic_logic_eoi(struct ioapic_logic *l, u32 pins)
{
	u32 later = 0;
	unsigned int i;

	for (i = 0; i < IOAPIC_NR_PINS; i++) {
		if (!(pins >> i & 1) || !(l->rte[i] & IOAPIC_RTE_REMOTE_IRR))
			continue;
		l->rte[i] &= ~IOAPIC_RTE_REMOTE_IRR;
		if (!level_asserted(l, i)) {
			l->streak[i] = 0;
		} else if (++l->streak[i] >= IOAPIC_EOI_STREAK) {
			l->streak[i] = 0;
			later |= BIT(i);
		} else {
			deliver(l, i);
		}
	}
	return later;
}

void ioapic_logic_retry(struct ioapic_logic *l, u32 pins)
{
	unsigned int i;

	for (i = 0; i < IOAPIC_NR_PINS; i++)
		if (pins >> i & 1 && level_asserted(l, i))
			deliver(l, i);
}

/* ---- state ---- */

void ioapic_logic_get(const struct ioapic_logic *l,
		      struct kvm_ioapic_state *state)
{
	unsigned int i;

	memset(state, 0, sizeof(*state));
	state->base_address = IOAPIC_BASE;
	state->ioregsel = l->regsel;
	state->id = l->id;
	for (i = 0; i < IOAPIC_NR_PINS; i++) {
		state->redirtbl[i].bits = l->rte[i];
		/* An edge is over once it is delivered, or was masked. */
		if (level_asserted(l, i))
			state->irr |= BIT(i);
	}
}

void ioapic_logic_set(struct ioapic_logic *l,
		      const struct kvm_ioapic_state *state)
{
	unsigned int i;

	l->regsel = state->ioregsel & 0xff;
	l->id = state->id & 0xf;
	l->line = 0;
	for (i = 0; i < IOAPIC_NR_PINS; i++) {
		l->rte[i] = state->redirtbl[i].bits & (RTE_WRITABLE | RTE_KEPT);
		l->streak[i] = 0;
	}
	for (i = 0; i < IOAPIC_NR_PINS; i++)
		if (state->irr >> i & 1)
			ioapic_logic_set_line(l, i, true);
}
