// SPDX-License-Identifier: GPL-2.0-only
/* The guest walk over a flat piece of memory, for Python. */
#include "../../../kernel/x86/mmu/walk.h"

struct flat {
	u8 *mem;
	u64 size;
	int reads;
	int busy;	/* this many compare-exchanges fail, as if raced */
};

static int flat_read(void *ctx, u64 gpa, void *val, int size)
{
	struct flat *f = ctx;

	f->reads++;
	if (gpa > f->size || f->size - gpa < (u64)size)
		return -EFAULT;
	memcpy(val, f->mem + gpa, size);
	return 0;
}

static int flat_cmpxchg(void *ctx, u64 gpa, u64 old, u64 new, int size)
{
	struct flat *f = ctx;
	u64 now = 0;

	if (gpa > f->size || f->size - gpa < (u64)size)
		return -EFAULT;
	memcpy(&now, f->mem + gpa, size);
	if (now != old)
		return -EINVAL;
	if (f->busy) {
		f->busy--;
		return -EAGAIN;
	}
	memcpy(f->mem + gpa, &new, size);
	return 0;
}

/* regs: cr0 cr3 cr4 efer pkru maxphyaddr ac gbpages amd */
int glue_walk(const u64 *regs, u8 *mem, u64 size, u64 gva, u32 access,
	      int busy, int set_bits, u64 *out);

/* Returns 0 with out = {gpa, page size, w, u, x, reads}, or 1 with
 * out = {vector, error code, cr2, has error code, 0, reads}.
 */
int glue_walk(const u64 *regs, u8 *mem, u64 size, u64 gva, u32 access,
	      int busy, int set_bits, u64 *out)
{
	struct walk_cpu cpu = {
		.cr0 = regs[0], .cr3 = regs[1], .cr4 = regs[2], .efer = regs[3],
		.pkru = regs[4], .maxphyaddr = regs[5], .ac = regs[6],
		.gbpages = regs[7], .amd = regs[8],
	};
	struct walk_ops ops = {
		.read = flat_read,
		.cmpxchg = set_bits ? flat_cmpxchg : NULL,
	};
	struct flat flat = { .mem = mem, .size = size, .busy = busy };
	struct emul_fault fault = { 0 };
	struct walk_result res = { 0 };
	int ret = x86_walk(&cpu, &ops, &flat, gva, access, &res, &fault);

	if (ret) {
		out[0] = fault.vector;
		out[1] = fault.error_code;
		out[2] = fault.cr2;
		out[3] = fault.has_error_code;
		out[4] = 0;
	} else {
		out[0] = res.gpa;
		out[1] = res.page_size;
		out[2] = res.writable;
		out[3] = res.user;
		out[4] = res.exec;
	}
	out[5] = flat.reads;
	return ret;
}
