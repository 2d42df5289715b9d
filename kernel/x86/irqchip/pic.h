/* SPDX-License-Identifier: GPL-2.0-only */
/* The 8259A pair of a VM. */
#ifndef UNIKVM_PIC_H
#define UNIKVM_PIC_H

#include "../x86.h"
#include "pic_logic.h"

#define PIC_PORTS	2	/* ports a range */

struct pic_ports {
	struct kvm_io_device dev;
	struct pic *pic;
	u16 base;
};

struct pic {
	struct x86_vm *vm;
	struct pic_ports ports[3];	/* master, slave, ELCR */
	spinlock_t lock;		/* any context, irqs off */
	struct pic_logic logic;
	u8 sources[PIC_NR_PINS];	/* by kvm_irq_source, who asserts */
};

struct pic *x86_pic_create(struct x86_vm *vm);	/* or ERR_PTR */
void x86_pic_destroy(struct pic *pic);
int x86_pic_set(struct pic *pic, enum kvm_irq_source source, unsigned int pin,
		int level);
void x86_pic_get_state(struct pic *pic, unsigned int chip,
		       struct kvm_pic_state *s);
void x86_pic_set_state(struct pic *pic, unsigned int chip,
		       const struct kvm_pic_state *s);

#endif
