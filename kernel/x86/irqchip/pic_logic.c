// SPDX-License-Identifier: GPL-2.0-only
/* Two cascaded 8259A interrupt controllers. */

#include "pic_logic.h"

#define NO_PRIORITY	8

/* Initialization word expected next: kvm_pic_state.init_state */
enum { READY, EXPECT_ICW2, EXPECT_ICW3, EXPECT_ICW4 };

#define ICW1		0x10
#define ICW1_IC4	0x01
#define ICW1_SNGL	0x02
#define ICW4_AEOI	0x02
#define ICW4_SFNM	0x10
#define OCW3		0x08
#define OCW3_POLL	0x04
#define OCW3_RR		0x02
#define OCW3_RIS	0x01
#define OCW3_ESMM	0x40
#define OCW3_SMM	0x20

static bool is_master(const struct pic_logic *p, const struct kvm_pic_state *s)
{
	return s == &p->chip[0];
}

/* Rank of the most urgent set bit, 0 the highest; priority_add rotates. */
static unsigned int rank(const struct kvm_pic_state *s, u8 mask)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (mask >> ((i + s->priority_add) & 7) & 1)
			return i;
	return NO_PRIORITY;
}

static unsigned int ranked_irq(const struct kvm_pic_state *s, unsigned int r)
{
	return (r + s->priority_add) & 7;
}

/* The request this chip would raise INT for now, or -1. */
static int pending_irq(const struct pic_logic *p,
		       const struct kvm_pic_state *s)
{
	unsigned int request = rank(s, s->irr & ~s->imr);
	unsigned int service = rank(s, s->special_mask ? s->isr & ~s->imr :
							 s->isr);
	unsigned int irq;

	if (request == NO_PRIORITY)
		return -1;
	irq = ranked_irq(s, request);
	if (request < service)
		return irq;
	/* The level in service itself: only the slave's, if fully nested. */
	if (request == service && s->special_fully_nested_mode &&
	    is_master(p, s) && irq == PIC_CASCADE)
		return irq;
	return -1;
}

static void update_output(struct pic_logic *p)
{
	/* The slave's INT is a level on the master's input. */
	if (pending_irq(p, &p->chip[1]) >= 0)
		p->chip[0].irr |= BIT(PIC_CASCADE);
	else
		p->chip[0].irr &= ~BIT(PIC_CASCADE);
	p->output = pending_irq(p, &p->chip[0]) >= 0;
}

static void end_service(struct pic_logic *p, struct kvm_pic_state *s,
			unsigned int irq)
{
	s->isr &= ~BIT(irq);
	p->acked |= BIT(irq) << (is_master(p, s) ? 0 : 8);
}

void pic_logic_init(struct pic_logic *p)
{
	memset(p, 0, sizeof(*p));
	/* IRQ 0, 1, 2, 8 and 13 cannot be made level triggered. */
	p->chip[0].elcr_mask = 0xf8;
	p->chip[1].elcr_mask = 0xde;
}

/* ---- inputs ---- */

static bool line_up(struct kvm_pic_state *s, u8 bit)
{
	bool edge = !(s->last_irr & bit), was_pending = s->irr & bit;

	s->last_irr |= bit;
	if (!edge && !(s->elcr & bit))
		return true;	/* an edge input that is still high */
	s->irr |= bit;
	return !was_pending;
}

static void line_down(struct kvm_pic_state *s, u8 bit)
{
	s->last_irr &= ~bit;
	/*
	 * The data sheet has an edge withdrawn with its line too; sources
	 * here may pulse, so an edge stays until it is acknowledged.
	 */
	if (s->elcr & bit)
		s->irr &= ~bit;
}

int pic_logic_set_line(struct pic_logic *p, unsigned int pin, bool level)
{
	struct kvm_pic_state *s = &p->chip[pin / 8 & 1];
	u8 bit = BIT(pin & 7);
	int ret = 1;

	if (is_master(p, s) && bit == BIT(PIC_CASCADE))
		return -1;
	if (level)
		ret = line_up(s, bit);
	else
		line_down(s, bit);
	update_output(p);
	return s->imr & bit ? -1 : ret;
}

/* ---- acknowledge ---- */

static void acknowledge(struct pic_logic *p, struct kvm_pic_state *s,
			unsigned int irq)
{
	if (!(s->elcr & BIT(irq)))
		s->irr &= ~BIT(irq);
	s->isr |= BIT(irq);
	if (!s->auto_eoi)
		return;
	if (s->rotate_on_auto_eoi)
		s->priority_add = (irq + 1) & 7;
	end_service(p, s, irq);
}

u8 pic_logic_inta(struct pic_logic *p)
{
	struct kvm_pic_state *master = &p->chip[0], *slave = &p->chip[1];
	int irq = pending_irq(p, master), vector;

	/* No request any more: input 7 is reported, ISR stays clear. */
	if (irq < 0)
		return master->irq_base + 7;
	acknowledge(p, master, irq);
	vector = master->irq_base + irq;
	if (irq == PIC_CASCADE) {
		irq = pending_irq(p, slave);
		if (irq >= 0)
			acknowledge(p, slave, irq);
		vector = slave->irq_base + (irq >= 0 ? irq : 7);
	}
	update_output(p);
	return vector;
}

/* ---- registers ---- */

/* ICW1, data sheet "Initialization Command Words", (a) to (f) */
static void write_icw1(struct pic_logic *p, struct kvm_pic_state *s, u8 value)
{
	/* A pending edge is dropped: whoever waits for its end, go on. */
	p->acked |= (u16)(s->isr | (s->irr & ~s->elcr)) <<
		    (is_master(p, s) ? 0 : 8);
	s->irr &= s->elcr;
	s->imr = 0;
	s->isr = 0;
	s->priority_add = 0;
	s->read_reg_select = 0;
	s->poll = 0;
	s->special_mask = 0;
	s->auto_eoi = 0;
	s->rotate_on_auto_eoi = 0;
	s->special_fully_nested_mode = 0;
	s->init4 = value & ICW1_IC4;
	p->single[!is_master(p, s)] = value & ICW1_SNGL;
	s->init_state = EXPECT_ICW2;
}

/* The most urgent level in service; a masked one is skipped in SMM. */
static unsigned int service_rank(const struct kvm_pic_state *s)
{
	return rank(s, s->special_mask ? s->isr & ~s->imr : s->isr);
}

static void write_ocw2(struct pic_logic *p, struct kvm_pic_state *s, u8 value)
{
	unsigned int level = value & 7, r = service_rank(s);
	bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;

	if (!eoi && !specific) {
		s->rotate_on_auto_eoi = rotate;
		return;
	}
	if (!specific) {
		if (r == NO_PRIORITY)
			return;
		level = ranked_irq(s, r);
	}
	if (eoi && s->isr & BIT(level))
		end_service(p, s, level);
	if (rotate)
		s->priority_add = (level + 1) & 7;
}

static void write_ocw3(struct kvm_pic_state *s, u8 value)
{
	if (value & OCW3_POLL)
		s->poll = 1;
	if (value & OCW3_RR)
		s->read_reg_select = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		s->special_mask = !!(value & OCW3_SMM);
}

static void write_data(struct pic_logic *p, struct kvm_pic_state *s, u8 value)
{
	bool single = p->single[!is_master(p, s)];

	switch (s->init_state) {
	case EXPECT_ICW2:
		s->irq_base = value & 0xf8;
		s->init_state = !single ? EXPECT_ICW3 :
				s->init4 ? EXPECT_ICW4 : READY;
		return;
	case EXPECT_ICW3:	/* a PC's wiring is fixed: nothing to keep */
		s->init_state = s->init4 ? EXPECT_ICW4 : READY;
		return;
	case EXPECT_ICW4:
		s->special_fully_nested_mode = !!(value & ICW4_SFNM);
		s->auto_eoi = !!(value & ICW4_AEOI);
		s->init_state = READY;
		return;
	default:
		s->imr = value;
	}
}

/* Poll command: the read is an acknowledge cycle of this chip alone. */
static u8 read_poll(struct pic_logic *p, struct kvm_pic_state *s)
{
	int irq = pending_irq(p, s);

	s->poll = 0;
	if (irq < 0)
		return 0x07;
	acknowledge(p, s, irq);
	update_output(p);
	return 0x80 | irq;
}

u8 pic_logic_read(struct pic_logic *p, u16 port)
{
	struct kvm_pic_state *s = &p->chip[port >> 7 & 1];

	if (port >> 1 == 0x4d0 >> 1)
		return p->chip[port & 1].elcr;
	if (s->poll)
		return read_poll(p, s);
	if (port & 1)
		return s->imr;
	return s->read_reg_select ? s->isr : s->irr;
}

static void write_command(struct pic_logic *p, struct kvm_pic_state *s,
			  u8 value)
{
	if (value & ICW1)
		write_icw1(p, s, value);
	else if (value & OCW3)
		write_ocw3(s, value);
	else
		write_ocw2(p, s, value);
}

static void write_elcr(struct kvm_pic_state *s, u8 value)
{
	s->elcr = value & s->elcr_mask;
	/* A level input requests as long as its line is high, no longer. */
	s->irr = (s->irr & ~s->elcr) | (s->last_irr & s->elcr);
}

void pic_logic_write(struct pic_logic *p, u16 port, u8 value)
{
	struct kvm_pic_state *s = &p->chip[port >> 7 & 1];

	if (port >> 1 == 0x4d0 >> 1)
		write_elcr(&p->chip[port & 1], value);
	else if (port & 1)
		write_data(p, s, value);
	else
		write_command(p, s, value);
	update_output(p);
}

/* ---- state ---- */

void pic_logic_get(const struct pic_logic *p, unsigned int chip,
		   struct kvm_pic_state *state)
{
	*state = p->chip[chip & 1];
}

void pic_logic_set(struct pic_logic *p, unsigned int chip,
		   const struct kvm_pic_state *state)
{
	struct kvm_pic_state *s = &p->chip[chip & 1];
	u8 elcr_mask = s->elcr_mask;

	*s = *state;
	s->elcr_mask = elcr_mask;
	s->elcr &= elcr_mask;
	s->priority_add &= 7;
	s->irq_base &= 0xf8;
	s->init_state &= 3;
	s->poll = !!s->poll;
	s->read_reg_select &= 1;
	s->special_mask = !!s->special_mask;
	s->auto_eoi = !!s->auto_eoi;
	s->rotate_on_auto_eoi = !!s->rotate_on_auto_eoi;
	s->special_fully_nested_mode = !!s->special_fully_nested_mode;
	s->init4 = !!s->init4;
	p->single[chip & 1] = false;
	update_output(p);
}
