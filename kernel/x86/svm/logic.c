// SPDX-License-Identifier: GPL-2.0-only
/* Rules of SVM as pure functions; APM vol. 2 chapter 15. */
#include "logic.h"

/* ---- ASIDs ---- */

void asid_pool_init(struct asid_pool *pool, u32 max)
{
	/* Never one that a guest of before has: it would keep its ASID. */
	pool->generation++;
	pool->min = 1;		/* 0 is the host's */
	pool->max = max;
	pool->next = pool->min;
	/* The processor may hold entries of an earlier user. */
	pool->flush_pending = true;
}

u8 asid_assign(struct asid_pool *pool, struct asid *asid)
{
	if (asid->generation != pool->generation) {
		if (pool->next > pool->max) {
			/* All used: start over, and meet no old entries. */
			pool->generation++;
			pool->next = pool->min;
			pool->flush_pending = true;
		}
		asid->generation = pool->generation;
		asid->value = pool->next++;
	}
	return pool->flush_pending ? TLB_CONTROL_FLUSH_ALL :
				     TLB_CONTROL_NOTHING;
}

void asid_entered(struct asid_pool *pool)
{
	pool->flush_pending = false;
}

u8 asid_flush(struct asid *asid, bool flush_by_asid)
{
	if (flush_by_asid && asid->generation)
		return TLB_CONTROL_FLUSH_ASID;
	/* A new ASID is cheaper than TLB_CONTROL 1, which hits every guest. */
	asid->generation = 0;
	return TLB_CONTROL_NOTHING;
}

/* ---- clean bits ---- */

struct field {
	u16 offset;
	u16 size;
	u8 group;
};

#define CONTROL(member, group) \
	{ offsetof(struct vmcb, control.member), \
	  sizeof(((struct vmcb *)0)->control.member), group }
#define SAVE(member, group) \
	{ offsetof(struct vmcb, save.member), \
	  sizeof(((struct vmcb *)0)->save.member), group }

/* Table 15-9. FS, GS, TR, LDTR and the SYSCALL MSRs come by VMLOAD. */
static const struct field fields[] = {
	CONTROL(intercepts, CLEAN_INTERCEPTS),
	CONTROL(tsc_offset, CLEAN_INTERCEPTS),
	CONTROL(pause_filter_thresh, CLEAN_INTERCEPTS),
	CONTROL(pause_filter_count, CLEAN_INTERCEPTS),
	CONTROL(iopm_base_pa, CLEAN_PERM),
	CONTROL(msrpm_base_pa, CLEAN_PERM),
	CONTROL(asid, CLEAN_ASID),
	CONTROL(int_ctl, CLEAN_TPR),
	CONTROL(int_vector, CLEAN_TPR),
	CONTROL(nested_cr3, CLEAN_NP),
	SAVE(g_pat, CLEAN_NP),
	SAVE(cr0, CLEAN_CRX),
	SAVE(cr3, CLEAN_CRX),
	SAVE(cr4, CLEAN_CRX),
	SAVE(efer, CLEAN_CRX),
	SAVE(dr6, CLEAN_DRX),
	SAVE(dr7, CLEAN_DRX),
	SAVE(gdtr, CLEAN_DT),
	SAVE(idtr, CLEAN_DT),
	SAVE(cs, CLEAN_SEG),
	SAVE(ds, CLEAN_SEG),
	SAVE(ss, CLEAN_SEG),
	SAVE(es, CLEAN_SEG),
	SAVE(cpl, CLEAN_SEG),
	SAVE(cr2, CLEAN_CR2),
	SAVE(debugctl, CLEAN_LBR),
};

u32 vmcb_changed_groups(const struct vmcb *a, const struct vmcb *b)
{
	u32 groups = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (memcmp((const u8 *)a + fields[i].offset,
			   (const u8 *)b + fields[i].offset, fields[i].size))
			groups |= 1U << fields[i].group;
	return groups;
}

/* ---- event injection ---- */

static bool exception_pushes_error(u8 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

u32 event_encode(u8 type, u8 vector, bool has_error, bool protmode)
{
	u32 event = EVENT_VALID | (u32)type << EVENT_TYPE_SHIFT | vector;

	switch (type) {
	case EVENT_TYPE_INTR:
	case EVENT_TYPE_SOFT:
		return has_error ? 0 : event;
	case EVENT_TYPE_NMI:
		/* The vector is ignored; 2 keeps traces readable. */
		return has_error ? 0 : (event & ~EVENT_VECTOR_MASK) | 2;
	case EVENT_TYPE_EXCEPTION:
		/* Vector 2 is no exception; 3 and 4 are software's. */
		if (vector == 2 || vector >= 32)
			return 0;
		if (has_error && (!exception_pushes_error(vector) || !protmode))
			return 0;
		return has_error ? event | EVENT_HAS_ERROR : event;
	default:
		return 0;
	}
}

/* ---- intercepts ---- */

/*
 * #UD may be the other vendor's hypercall. #AC and #DB can be raised by
 * microcode without end while they are being delivered; #MC belongs to the
 * host. SMI, INIT and the shutdown must not reach the machine. All of SVM
 * faults: there are no nested guests.
 */
static const u8 always[] = {
	INTERCEPT_CR0_SEL_WRITE, INTERCEPT_CR4_READ, INTERCEPT_CR4_WRITE,
	INTERCEPT_EXCEPTION + 1, INTERCEPT_EXCEPTION + 6,
	INTERCEPT_EXCEPTION + 17, INTERCEPT_EXCEPTION + 18,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD,
	INTERCEPT_HLT, INTERCEPT_INVLPGA, INTERCEPT_IOIO, INTERCEPT_MSR,
	INTERCEPT_TASK_SWITCH, INTERCEPT_SHUTDOWN,
	INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD,
	INTERCEPT_VMSAVE, INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT,
	INTERCEPT_WBINVD, INTERCEPT_MONITOR, INTERCEPT_MWAIT,
	INTERCEPT_XSETBV, INTERCEPT_RDPRU,
};

void vmcb_init_intercepts(struct vmcb_control *c)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(always); i++)
		vmcb_intercept(c, always[i]);
	for (i = INTERCEPT_DR_FIRST; i <= INTERCEPT_DR_LAST; i++)
		vmcb_intercept(c, i);
}

void vmcb_hide_instructions(struct vmcb_control *c, bool rdtscp, bool invpcid)
{
	vmcb_intercept_if(c, INTERCEPT_RDTSCP, rdtscp);
	vmcb_intercept_if(c, INTERCEPT_INVPCID, invpcid);
}

/* ---- decode assists ---- */

u8 vmcb_insn_bytes(const struct vmcb_control *c, u8 bytes[15])
{
	u8 len = c->insn_len & 0xf;

	if (c->exit_code != SVM_EXIT_NPF || !len)
		return 0;
	memcpy(bytes, c->insn_bytes, sizeof(c->insn_bytes));
	return len;
}

/* ---- MSR permission map ---- */

int msrpm_offset(u32 msr)
{
	static const u32 base[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(base); i++)
		if (msr >= base[i] && msr < base[i] + 0x2000)
			return (i * 0x2000 + (msr - base[i])) * 2;
	return -1;
}

void msrpm_set(u8 *msrpm, u32 msr, bool intercept_read, bool intercept_write)
{
	int bit = msrpm_offset(msr);
	u8 mask, value;

	if (bit < 0)
		return;
	mask = 3 << (bit % 8);
	value = (intercept_read | intercept_write << 1) << (bit % 8);
	msrpm[bit / 8] = (msrpm[bit / 8] & ~mask) | value;
}
