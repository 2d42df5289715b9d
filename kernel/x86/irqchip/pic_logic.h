/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two cascaded 8259A interrupt controllers, without locks or vCPUs.
 *
 * Sources: Intel 8259A data sheet (231468-003), and for the edge/level control
 * registers 4d0h and 4d1h the Intel 82371SB (PIIX3) data sheet. State is held
 * in the ABI's own struct, so that GET and SET are copies.
 */
#ifndef UNIKVM_PIC_LOGIC_H
#define UNIKVM_PIC_LOGIC_H

#include "../../shim.h"

#include <unikvm/kvm.h>

#define PIC_NR_PINS	16
#define PIC_CASCADE	2	/* the master's input that the slave drives */

struct pic_logic {
	struct kvm_pic_state chip[2];	/* master, slave */
	bool single[2];		/* ICW1.SNGL: no ICW3 follows */
	bool output;		/* the master's INTR */
	u16 acked;		/* pins that left service; the caller clears */
};

void pic_logic_init(struct pic_logic *p);
/* -1 masked, 0 already pending, 1 newly pending (or nothing to do) */
int pic_logic_set_line(struct pic_logic *p, unsigned int pin, bool level);
/* The processor's acknowledge cycle; always gives a vector. */
u8 pic_logic_inta(struct pic_logic *p);
/* One byte at ports 20h 21h a0h a1h 4d0h 4d1h */
u8 pic_logic_read(struct pic_logic *p, u16 port);
void pic_logic_write(struct pic_logic *p, u16 port, u8 value);
static inline u16 pic_logic_imr(const struct pic_logic *p)
{
	return p->chip[0].imr | p->chip[1].imr << 8;
}

void pic_logic_get(const struct pic_logic *p, unsigned int chip,
		   struct kvm_pic_state *state);
void pic_logic_set(struct pic_logic *p, unsigned int chip,
		   const struct kvm_pic_state *state);

#endif
