/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rules of SVM that emulated processors do not punish: ASIDs and TLB
 * flushes, clean bits, event encoding, intercepts. Pure logic.
 */
#ifndef UNIKVM_SVM_LOGIC_H
#define UNIKVM_SVM_LOGIC_H

#include "vmcb.h"

/* ---- ASIDs, 15.16 ---- */

/* One processor's ASIDs. Guests hold one while their generation is ours. */
struct asid_pool {
	u64 generation;		/* starts at 1; 0 in a guest means none */
	u32 next;
	u32 min;		/* first that a guest may have, at least 1 */
	u32 max;		/* last */
	bool flush_pending;	/* numbers are used again: flush before */
};

struct asid {
	u64 generation;
	u32 value;
};

void asid_pool_init(struct asid_pool *pool, u32 max);
/*
 * Give the guest an ASID of this pool if it has none. Returns the
 * TLB_CONTROL that the next VMRUN on this processor must carry, whichever
 * guest it is for; asid_entered() says that it happened.
 */
u8 asid_assign(struct asid_pool *pool, struct asid *asid);
void asid_entered(struct asid_pool *pool);
/* Forget the guest's translations: returns TLB_CONTROL. */
u8 asid_flush(struct asid *asid, bool flush_by_asid);

/* ---- clean bits, 15.15 ---- */

/* Bit mask (enum vmcb_clean) of the groups in which a and b differ. */
u32 vmcb_changed_groups(const struct vmcb *a, const struct vmcb *b);

/* ---- decode assists, 15.8.4 ---- */

/*
 * The bytes at CS:RIP as the processor fetched them before it exited for a
 * nested page fault; returns their number, 0 if it kept none.
 */
u8 vmcb_insn_bytes(const struct vmcb_control *c, u8 bytes[15]);

/* ---- event injection, 15.20 ---- */

/* 0 if the combination is not allowed (it would end in VMEXIT_INVALID). */
u32 event_encode(u8 type, u8 vector, bool has_error, bool protmode);

/* ---- the intercepts that every guest has ---- */

void vmcb_init_intercepts(struct vmcb_control *c);
/* Instructions of the processor that CPUID hides are to raise #UD. */
void vmcb_hide_instructions(struct vmcb_control *c, bool rdtscp, bool invpcid);

/* ---- MSR permission map, 15.11: 2 bits an MSR, 1 intercepts ---- */

#define MSRPM_SIZE	8192
#define IOPM_SIZE	(3 * 4096)

/* Bit offset of the read bit, or -1 if the map does not cover the MSR. */
int msrpm_offset(u32 msr);
void msrpm_set(u8 *msrpm, u32 msr, bool intercept_read, bool intercept_write);

#endif
