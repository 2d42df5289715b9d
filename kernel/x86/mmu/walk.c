// SPDX-License-Identifier: GPL-2.0-only
/* Walk of the guest's page tables. Pure logic, see walk.h. */
#include "walk.h"

#define CR0_WP		BIT_ULL(16)
#define CR0_PG		BIT_ULL(31)
#define CR4_PSE		BIT_ULL(4)
#define CR4_PAE		BIT_ULL(5)
#define CR4_LA57	BIT_ULL(12)
#define CR4_SMEP	BIT_ULL(20)
#define CR4_SMAP	BIT_ULL(21)
#define CR4_PKE		BIT_ULL(22)
#define EFER_LMA	BIT_ULL(10)
#define EFER_NXE	BIT_ULL(11)

#define PTE_P		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_U		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_NX		BIT_ULL(63)

#define VEC_GP		13
#define VEC_PF		14

#define MAX_LEVELS	5
/* Walks begun again because another vCPU changed an entry under us. */
#define MAX_RESTARTS	8

enum paging { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_LONG };

struct walk_step {
	u64 addr;		/* of the entry, guest physical */
	u64 entry;
};

struct walk {
	const struct walk_cpu *cpu;
	const struct walk_ops *ops;
	void *ctx;
	u64 gva;
	u32 access;
	enum paging mode;
	int levels;
	int size;		/* of an entry, bytes */
	int bits;		/* of the address, that one level takes */
	struct walk_step step[MAX_LEVELS];	/* from the root down */
	int nsteps;
	int level;		/* of the leaf; 1 is 4 KiB */
	u64 rights;		/* AND of W, U and A; NX if any entry has it */
	u32 error;		/* error code when the walk failed */
	u64 reserved;		/* bits that no entry may have (not of 32-bit) */
};

static enum paging paging_mode(const struct walk_cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PG))
		return PAGING_NONE;
	if (cpu->efer & EFER_LMA)
		return PAGING_LONG;
	return cpu->cr4 & CR4_PAE ? PAGING_PAE : PAGING_32;
}

/* Bits low..high, empty if high < low. */
static u64 mask(int low, int high)
{
	return high < low ? 0 : GENMASK_ULL(high, low);
}

static void walk_init(struct walk *w)
{
	w->mode = paging_mode(w->cpu);
	w->size = w->mode == PAGING_32 ? 4 : 8;
	w->bits = w->mode == PAGING_32 ? 10 : 9;
	w->levels = w->mode == PAGING_32 ? 2 : 3;
	if (w->mode == PAGING_LONG)
		w->levels = w->cpu->cr4 & CR4_LA57 ? 5 : 4;
	w->reserved = mask(w->cpu->maxphyaddr, 51);
	if (w->mode == PAGING_PAE)
		w->reserved |= mask(52, 62);
	if (!(w->cpu->efer & EFER_NXE))
		w->reserved |= PTE_NX;
}

static __always_inline bool is_large_page(const struct walk *w,
					  enum paging mode, int level)
{
	switch (mode) {
	case PAGING_32:
		return w->cpu->cr4 & CR4_PSE;
	case PAGING_PAE:
		return level == 2;
	default:
		return level == 2 || (level == 3 && w->cpu->gbpages);
	}
}

static __always_inline bool is_leaf(const struct walk *w, enum paging mode,
				    int level, u64 entry)
{
	return level == 1 || (entry & PTE_PS && is_large_page(w, mode, level));
}

/*
 * A PAE page-directory-pointer entry has no rights and few free bits. Bit 5 is
 * no accessed bit there, but QEMU's emulation sets it: what the processor did
 * must not make our walk fault where its own does not.
 */
static u64 reserved_pdpte(const struct walk_cpu *cpu)
{
	return mask(1, 2) | mask(6, 8) | mask(cpu->maxphyaddr, 63);
}

static u64 reserved_32(const struct walk_cpu *cpu, bool leaf, int level)
{
	/* A 4 MiB entry: bits 13..20 are address bits 32..39 (PSE-36). */
	if (!leaf || level == 1)
		return 0;
	return BIT_ULL(21) | mask(cpu->maxphyaddr - 32 + 13, 20);
}

static __always_inline u64 reserved_bits(const struct walk *w,
					 enum paging mode, int level, bool leaf)
{
	const struct walk_cpu *cpu = w->cpu;
	u64 bits = w->reserved;

	if (mode == PAGING_32)
		return reserved_32(cpu, leaf, level);
	if (mode == PAGING_PAE && level == 3)
		return reserved_pdpte(cpu);

	if (leaf && level > 1)
		bits |= mask(13, 12 + 9 * (level - 1) - 1);
	if (!leaf && level > 2)
		bits |= PTE_PS;
	if (!leaf && level > 2 && cpu->amd)
		bits |= BIT_ULL(8);
	return bits;
}

static __always_inline u64 entry_address(enum paging mode, u64 entry)
{
	return entry & (mode == PAGING_32 ? mask(12, 31) : mask(12, 51));
}

static __always_inline u64 root_address(const struct walk *w, enum paging mode)
{
	if (mode == PAGING_PAE)
		return w->cpu->cr3 & mask(5, 31);
	return entry_address(mode, w->cpu->cr3);
}

static __always_inline bool read_entry(const struct walk *w, enum paging mode,
				       u64 addr, u64 *entry)
{
	u32 e32 = 0;

	if (mode != PAGING_32)
		return !w->ops->read(w->ctx, addr, entry, 8);
	if (w->ops->read(w->ctx, addr, &e32, 4))
		return false;
	*entry = e32;
	return true;
}

/* What is left of rights below entry. */
static __always_inline u64 narrow_rights(enum paging mode, int level,
					 u64 rights, u64 entry)
{
	/* PAE's top level says nothing about rights. */
	if (mode == PAGING_PAE && level == 3)
		return rights;
	rights &= entry | ~(PTE_W | PTE_U | PTE_A);
	return mode == PAGING_32 ? rights : rights | (entry & PTE_NX);
}

/*
 * From the root to a leaf; false with w->error set if there is none. The mode
 * is a constant to the compiler: this loop is most of a walk.
 */
static __always_inline bool descend_in(struct walk *w, enum paging mode)
{
	u64 table = root_address(w, mode), rights = PTE_W | PTE_U | PTE_A;
	int level, bits = mode == PAGING_32 ? 10 : 9;
	struct walk_step *step = w->step;

	w->error = 0;
	for (level = w->levels; ; level--, step++) {
		u64 index = w->gva >> (12 + bits * (level - 1)), entry;
		bool leaf;

		index &= mode == PAGING_PAE && level == 3 ? 3 :
			 (1 << bits) - 1;
		step->addr = table + index * (mode == PAGING_32 ? 4 : 8);
		if (!read_entry(w, mode, step->addr, &entry) ||
		    !(entry & PTE_P))
			return false;
		leaf = is_leaf(w, mode, level, entry);
		if (entry & reserved_bits(w, mode, level, leaf)) {
			w->error = PF_PRESENT | PF_RSVD;
			return false;
		}
		step->entry = entry;
		rights = narrow_rights(mode, level, rights, entry);
		if (leaf)
			break;
		table = entry_address(mode, entry);
	}
	w->nsteps = step - w->step + 1;
	w->rights = rights;
	w->level = level;
	return true;
}

static bool descend(struct walk *w)
{
	return w->mode == PAGING_LONG ? descend_in(w, PAGING_LONG) :
	       w->mode == PAGING_PAE ? descend_in(w, PAGING_PAE) :
				       descend_in(w, PAGING_32);
}

static bool fetch_denied(const struct walk *w)
{
	if (w->rights & PTE_NX)
		return true;
	if (w->access & PF_USER)
		return !(w->rights & PTE_U);
	return w->rights & PTE_U && w->cpu->cr4 & CR4_SMEP;
}

static bool smap_denied(const struct walk *w)
{
	if (!(w->cpu->cr4 & CR4_SMAP) || !(w->rights & PTE_U))
		return false;
	return w->access & WALK_IMPLICIT || !w->cpu->ac;
}

static bool data_denied(const struct walk *w)
{
	bool user = w->access & PF_USER;

	if (user ? !(w->rights & PTE_U) : smap_denied(w))
		return true;
	return w->access & PF_WRITE && !(w->rights & PTE_W) &&
	       (user || w->cpu->cr0 & CR0_WP);
}

/* Protection keys: user pages in long mode, data only. SDM vol. 3 4.6.2. */
static bool key_denied(const struct walk *w)
{
	const struct walk_cpu *cpu = w->cpu;
	u64 leaf = w->step[w->nsteps - 1].entry;
	u32 key;

	if (w->mode != PAGING_LONG || !(cpu->cr4 & CR4_PKE) ||
	    !(w->rights & PTE_U) || w->access & PF_FETCH)
		return false;
	key = cpu->pkru >> (2 * (leaf >> 59 & 15)) & 3;
	if (key & 1)
		return true;
	return key & 2 && w->access & PF_WRITE &&
	       (w->access & PF_USER || cpu->cr0 & CR0_WP);
}

static bool permitted(struct walk *w)
{
	bool denied = w->access & PF_FETCH ? fetch_denied(w) : data_denied(w);
	bool key = key_denied(w);

	if (!denied && !key)
		return true;
	w->error = PF_PRESENT | (key ? PF_PK : 0);
	return false;
}

/* 0 done (or cannot be), -EAGAIN if an entry changed since it was read. */
static int set_bits(struct walk *w, struct walk_step *step, u64 bits)
{
	int ret;

	if ((step->entry & bits) == bits)
		return 0;
	/* In parentheses, for Linux may have a macro of that name. */
	ret = (w->ops->cmpxchg)(w->ctx, step->addr, step->entry,
				step->entry | bits, w->size);
	/* Tables in read-only memory keep what they have. */
	return ret == -EAGAIN ? ret : 0;
}

static int set_accessed_dirty(struct walk *w)
{
	u64 leaf_entry = w->step[w->nsteps - 1].entry;
	int i, ret = 0;

	if (w->rights & PTE_A &&
	    (!(w->access & PF_WRITE) || leaf_entry & PTE_D))
		return 0;	/* nearly always */
	if (!w->ops->cmpxchg)
		return 0;
	for (i = 0; !ret && i < w->nsteps; i++) {
		bool leaf = i == w->nsteps - 1;
		bool pdpte = w->mode == PAGING_PAE && i == 0;

		if (!pdpte)
			ret = set_bits(w, &w->step[i], PTE_A |
				       (leaf && w->access & PF_WRITE ?
					PTE_D : 0));
	}
	return ret;
}

static void fill_result(const struct walk *w, struct walk_result *res)
{
	u64 leaf = w->step[w->nsteps - 1].entry;
	int shift = 12 + w->bits * (w->level - 1);
	u64 base = entry_address(w->mode, leaf) & ~mask(0, shift - 1);

	/* PSE-36: bits 13..20 of a 4 MiB entry are address bits 32..39. */
	if (w->mode == PAGING_32 && w->level == 2)
		base |= (leaf >> 13 & 0xff) << 32;
	res->page_size = 1ULL << shift;
	res->gpa = base | (w->gva & mask(0, shift - 1));
	res->writable = w->rights & PTE_W;
	res->user = w->rights & PTE_U;
	res->exec = !(w->rights & PTE_NX);
}

static bool canonical(u64 gva, int levels)
{
	int shift = 64 - (12 + 9 * levels);

	return (u64)((s64)(gva << shift) >> shift) == gva;
}

static int page_fault(const struct walk *w, struct emul_fault *fault)
{
	const struct walk_cpu *cpu = w->cpu;
	/* The fetch bit exists only where fetches can be told apart. */
	bool nx = cpu->efer & EFER_NXE && w->size == 8;
	u32 error = w->error | (w->access & (PF_WRITE | PF_USER));

	if (w->access & PF_FETCH && (nx || cpu->cr4 & CR4_SMEP))
		error |= PF_FETCH;
	*fault = (struct emul_fault) {
		.vector = VEC_PF,
		.has_error_code = true,
		.error_code = error,
		.cr2 = w->gva,
	};
	return 1;
}

static int not_canonical(struct emul_fault *fault)
{
	*fault = (struct emul_fault) {
		.vector = VEC_GP,
		.has_error_code = true,
	};
	return 1;
}

static int no_paging(u64 gva, struct walk_result *res)
{
	*res = (struct walk_result) {
		.gpa = (u32)gva,
		.writable = true,
		.user = true,
		.exec = true,
	};
	return 0;
}

int x86_walk(const struct walk_cpu *cpu, const struct walk_ops *ops, void *ctx,
	     u64 gva, u32 access, struct walk_result *res,
	     struct emul_fault *fault)
{
	struct walk w no_init;
	int tries;

	w.cpu = cpu;
	w.ops = ops;
	w.ctx = ctx;
	w.gva = gva;
	w.access = access;
	walk_init(&w);
	if (w.mode == PAGING_NONE)
		return no_paging(gva, res);
	if (w.mode == PAGING_LONG && !canonical(gva, w.levels))
		return not_canonical(fault);
	if (w.mode != PAGING_LONG)
		w.gva = (u32)gva;
	for (tries = 0; tries < MAX_RESTARTS; tries++) {
		if (!descend(&w) || !permitted(&w))
			return page_fault(&w, fault);
		if (!set_accessed_dirty(&w))
			break;
	}
	fill_result(&w, res);
	return 0;
}
