/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's own page tables: from linear to guest-physical address in all
 * paging modes, with rights checked. Pure logic over callbacks.
 * APM vol. 2 chapter 5, SDM vol. 3 chapter 4.
 */
#ifndef UNIKVM_WALK_H
#define UNIKVM_WALK_H

#include "../../shim.h"
#include "../emulate.h"

/* Bits of an access and of a #PF error code; see also X86_ACCESS_*. */
#define PF_PRESENT	BIT(0)
#define PF_WRITE	BIT(1)
#define PF_USER		BIT(2)
#define PF_RSVD		BIT(3)
#define PF_FETCH	BIT(4)
#define PF_PK		BIT(5)
#define WALK_IMPLICIT	BIT(8)	/* access by the CPU itself: AC is no excuse */

/* All that a walk depends on besides the tables. */
struct walk_cpu {
	u64 cr0, cr3, cr4, efer;
	u32 pkru;
	u8 maxphyaddr;		/* bits, 32..52 */
	bool ac;		/* EFLAGS.AC */
	bool gbpages;		/* CPUID: 1 GiB pages */
	bool amd;		/* bit 8 of upper levels is reserved */
};

struct walk_ops {
	/* Read size bytes (4 or 8) at gpa; 0, or nonzero if there is none. */
	int (*read)(void *ctx, u64 gpa, void *val, int size);
	/*
	 * Set bits of an entry: 0, -EAGAIN if it changed meanwhile, else it
	 * cannot be written. NULL: leave accessed and dirty bits alone.
	 */
	int (*cmpxchg)(void *ctx, u64 gpa, u64 old, u64 new, int size);
};

struct walk_result {
	u64 gpa;
	u64 page_size;		/* bytes; 0 if paging is off */
	bool writable;		/* rights of the tables alone */
	bool user;
	bool exec;
};

/*
 * Translate gva for access (PF_WRITE, PF_USER, PF_FETCH, WALK_IMPLICIT).
 * 0 and *res, or 1 and *fault: #PF, or #GP if gva is not canonical.
 */
int x86_walk(const struct walk_cpu *cpu, const struct walk_ops *ops, void *ctx,
	     u64 gva, u32 access, struct walk_result *res,
	     struct emul_fault *fault);

#endif
