/* SPDX-License-Identifier: GPL-2.0-only */
/* Hostile guests: memory and registers of one, in each processor mode. */
#ifndef FUZZ_GUESTCODE_H
#define FUZZ_GUESTCODE_H

#include <unikvm/kvm.h>

#include "rng.h"

#define GUEST_SIZE	0x200000	/* bytes of RAM from gpa 0 */

enum guest_mode {
	MODE_REAL, MODE_PROTECTED16, MODE_PROTECTED32, MODE_PAGED32, MODE_PAE,
	MODE_COMPATIBILITY, MODE_LONG, NR_GUEST_MODES
};

extern const char *const guest_mode_names[NR_GUEST_MODES];

/* Descriptor tables, page tables and code into GUEST_SIZE bytes. */
void guest_memory(struct rng *r, enum guest_mode mode, uint8_t *memory);
/*
 * Registers that start the code. sregs holds what KVM_GET_SREGS said. What is
 * changed at random besides makes KVM_SET_SREGS refuse it now and then.
 */
void guest_registers(struct rng *r, enum guest_mode mode,
		     struct kvm_sregs *sregs, struct kvm_regs *regs);

#endif
