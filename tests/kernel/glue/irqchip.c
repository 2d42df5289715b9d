// SPDX-License-Identifier: GPL-2.0-only
/* Interrupt chips for Python: objects on the heap, and a log of messages. */
#include <stdlib.h>

#include "../../../kernel/x86/irqchip/ioapic_logic.h"
#include "../../../kernel/x86/irqchip/pic_logic.h"
#include "../../../kernel/x86/irqchip/pit_logic.h"

struct pic_logic *glue_pic_new(void)
{
	struct pic_logic *p = calloc(1, sizeof(*p));

	if (p)
		pic_logic_init(p);
	return p;
}

bool glue_pic_output(const struct pic_logic *p)
{
	return p->output;
}

/* Pins that left service since the last call. */
u16 glue_pic_acked(struct pic_logic *p)
{
	u16 acked = p->acked;

	p->acked = 0;
	return acked;
}

struct pit_logic *glue_pit_new(s64 now)
{
	struct pit_logic *p = calloc(1, sizeof(*p));

	if (p)
		pit_logic_reset(p, now);
	return p;
}

bool glue_pit_out(const struct pit_logic *p, unsigned int channel, s64 now)
{
	return pit_channel_out(&p->ch[channel], now);
}

u32 glue_pit_count(const struct pit_logic *p, unsigned int channel, s64 now)
{
	return pit_channel_count(&p->ch[channel], now);
}

struct lapic_logic *glue_lapic_new(u32 id, bool x2apic, bool bsp)
{
	struct lapic_logic *l = calloc(1, sizeof(*l));
	u64 base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE |
		   (x2apic ? LAPIC_BASE_X2APIC : 0);

	if (!l)
		return NULL;
	l->x2apic_id = id;
	lapic_logic_set_base(l, 0, base);
	lapic_logic_reset(l, false, bsp);
	return l;
}

void glue_lapic_has_deadline(struct lapic_logic *l, bool has)
{
	l->has_deadline = has;
}

u32 glue_lapic_raw(const struct lapic_logic *l, u32 reg)
{
	return lapic_get(l, reg);
}

#define LOG_ENTRIES	64

struct glue_ioapic {
	struct ioapic_logic logic;
	int answer;		/* what the local APICs say to the next ones */
	unsigned int sent;	/* also those that the log had no room for */
	struct apic_irq log[LOG_ENTRIES];
};

static int log_send(struct ioapic_logic *l, const struct apic_irq *irq)
{
	struct glue_ioapic *g = container_of(l, struct glue_ioapic, logic);

	g->log[g->sent++ % LOG_ENTRIES] = *irq;
	return g->answer;
}

struct glue_ioapic *glue_ioapic_new(void)
{
	struct glue_ioapic *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->answer = 1;
	g->logic.send = log_send;
	ioapic_logic_reset(&g->logic);
	return g;
}

void glue_ioapic_answer(struct glue_ioapic *g, int answer)
{
	g->answer = answer;
}

unsigned int glue_ioapic_sent(const struct glue_ioapic *g)
{
	return g->sent;
}

const struct apic_irq *glue_ioapic_message(const struct glue_ioapic *g,
					   unsigned int i)
{
	return &g->log[i % LOG_ENTRIES];
}

struct ioapic_logic *glue_ioapic_logic(struct glue_ioapic *g)
{
	return &g->logic;
}

u64 glue_ioapic_entry(const struct glue_ioapic *g, unsigned int pin)
{
	return g->logic.rte[pin];
}
