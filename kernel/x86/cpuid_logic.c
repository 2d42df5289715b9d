// SPDX-License-Identifier: GPL-2.0-only
/* CPUID: what of the host a guest may see, and what follows. Pure logic. */
#include "cpuid_logic.h"

/* ---- which host bits pass, APM vol. 3 appendix E ---- */

#define B(n)	(1u << (n))

/*
 * Not here although processors have them: MONITOR and MWAIT (would stop the
 * host's CPU), PMU and debug extensions, SVM (nesting comes later), TSC
 * deadline (a capability: only VMMs with an in-kernel LAPIC may add it),
 * OSXSAVE and OSPKE (follow CR4).
 */
#define MASK_1_ECX (B(0) | B(1) | B(9) | B(12) | B(13) |		\
	B(CPUID_1_ECX_PCID) | B(19) | B(20) | B(CPUID_1_ECX_X2APIC) |	\
	B(22) | B(23) | B(25) | B(CPUID_1_ECX_XSAVE) | B(28) | B(29) |	\
	B(30) | B(CPUID_1_ECX_HYPERVISOR))
#define MASK_1_EDX (B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) |	\
	B(7) | B(8) | B(9) | B(11) | B(12) | B(13) | B(14) | B(15) |	\
	B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27))
#define MASK_7_EBX (B(CPUID_7_EBX_FSGSBASE) | B(CPUID_7_EBX_TSC_ADJUST) | \
	B(3) | B(5) | B(6) | B(CPUID_7_EBX_SMEP) | B(8) | B(9) | B(10) | \
	B(13) | B(16) | B(17) | B(18) | B(19) | B(CPUID_7_EBX_SMAP) |	\
	B(21) | B(23) | B(24) | B(28) | B(29) | B(30) | B(31))
#define MASK_7_ECX (B(1) | B(CPUID_7_ECX_UMIP) | B(CPUID_7_ECX_PKU) |	\
	B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) |		\
	B(CPUID_7_ECX_LA57) | B(CPUID_7_ECX_RDPID) | B(25) | B(27) | B(28))
#define MASK_7_EDX (B(4) | B(8) | B(14) | B(23))
#define MASK_7_1_EAX (B(4) | B(5) | B(10) | B(11) | B(12) | B(23))
#define MASK_D_1_EAX (B(0) | B(CPUID_D_1_EAX_XSAVEC) | B(2))
#define MASK_8000_0001_ECX (B(0) | B(1) | B(4) | B(5) | B(6) | B(7) |	\
	B(8) | B(CPUID_8000_0001_ECX_OSVW) | B(11) | B(16) | B(21) | B(22))
#define MASK_8000_0001_EDX ((MASK_1_EDX & 0x0183f3ff & ~B(11)) |	\
	B(CPUID_8000_0001_EDX_SYSCALL) | B(CPUID_8000_0001_EDX_NX) |	\
	B(22) | B(CPUID_8000_0001_EDX_FXSR_OPT) | B(26) |		\
	B(CPUID_8000_0001_EDX_RDTSCP) | B(CPUID_8000_0001_EDX_LM) |	\
	B(30) | B(31))
#define MASK_8000_0007_EDX B(8)			/* invariant TSC */
#define MASK_8000_0008_EBX (B(0) | B(2) | B(9) | B(CPUID_8000_0008_EBX_IBPB) | \
	B(CPUID_8000_0008_EBX_IBRS) | B(CPUID_8000_0008_EBX_STIBP) |	\
	B(17) | B(CPUID_8000_0008_EBX_SSBD) | B(26) |			\
	B(CPUID_8000_0008_EBX_PSFD) | B(29) | B(30))
#define MASK_8000_0021_EAX (B(0) | B(CPUID_8000_0021_EAX_LFENCE_RDTSC) | \
	B(5) | B(6) | B(28) | B(29))
#define MASK_8000_0021_ECX (B(1) | B(2))

/* Instructions on registers that only these XCR0 components hold. */
#define AVX_1_ECX		(B(12) | B(28) | B(29))
#define AVX_7_EBX		B(5)
#define AVX_7_ECX		(B(9) | B(10))
#define AVX_7_1_EAX		(B(4) | B(23))
#define AVX_8000_0001_ECX	(B(11) | B(16))
#define AVX512_7_EBX		(B(16) | B(17) | B(21) | B(28) | B(30) | B(31))
#define AVX512_7_ECX		(B(1) | B(6) | B(11) | B(12) | B(14))
#define AVX512_7_EDX		(B(8) | B(23))
#define AVX512_7_1_EAX		B(5)

#define LAST_BASIC_LEAF		0xdu
#define LAST_EXTENDED_LEAF	0x80000021u

struct builder {
	const struct cpuid_env *env;
	struct kvm_cpuid_entry2 *entries;
	u32 max;
	u32 nent;
	bool full;		/* an entry did not fit */
};

/*
 * Appends the host's answer and returns it for filtering. Without room it
 * returns NULL, and the caller of the whole gets -E2BIG.
 */
static struct kvm_cpuid_entry2 *add(struct builder *b, u32 function, u32 index,
				    bool indexed)
{
	struct kvm_cpuid_entry2 *e;
	u32 r[4];

	if (b->nent >= b->max) {
		b->full = true;
		return NULL;
	}
	b->env->read(b->env->ctx, function, index, r);
	e = &b->entries[b->nent++];
	memset(e, 0, sizeof(*e));
	e->function = function;
	e->index = index;
	e->flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
	e->eax = r[CPUID_REG_EAX];
	e->ebx = r[CPUID_REG_EBX];
	e->ecx = r[CPUID_REG_ECX];
	e->edx = r[CPUID_REG_EDX];
	return e;
}

static void add_empty(struct builder *b, u32 function, bool indexed)
{
	struct kvm_cpuid_entry2 *e = add(b, function, 0, indexed);

	if (e)
		e->eax = e->ebx = e->ecx = e->edx = 0;
}

static bool has_xcr0(const struct builder *b, u64 mask)
{
	return (b->env->guest_xcr0 & mask) == mask;
}

static void add_leaf_1(struct builder *b)
{
	struct kvm_cpuid_entry2 *e = add(b, 1, 0, false);

	if (!e)
		return;
	/* One logical processor, APIC id 0, until user space says more. */
	e->ebx = (e->ebx & 0xff00) | (1 << 16);
	e->ecx &= MASK_1_ECX;
	/* Emulated whatever the host has. */
	e->ecx |= B(CPUID_1_ECX_X2APIC) | B(CPUID_1_ECX_HYPERVISOR);
	if (!has_xcr0(b, CPUID_XCR0_X87 | CPUID_XCR0_SSE))
		e->ecx &= ~B(CPUID_1_ECX_XSAVE);
	if (!has_xcr0(b, CPUID_XCR0_AVX))
		e->ecx &= ~AVX_1_ECX;
	e->edx &= MASK_1_EDX;
}

/* Caches, one entry for each until the type field says none. */
static void add_cache_leaf(struct builder *b, u32 function)
{
	struct kvm_cpuid_entry2 *e;
	u32 i;

	for (i = 0; i < 8; i++) {
		e = add(b, function, i, true);
		if (!e || !(e->eax & 0x1f))
			return;
		/* Shared with no other logical processor. */
		e->eax &= 0x3ff;
	}
}

static void add_leaf_6(struct builder *b)
{
	struct kvm_cpuid_entry2 *e = add(b, 6, 0, false);

	if (!e)
		return;
	e->eax = B(2);		/* ARAT: the emulated timer never stops */
	e->ebx = e->ecx = e->edx = 0;
}

static void filter_leaf_7_0(struct builder *b, struct kvm_cpuid_entry2 *e)
{
	e->ebx = (e->ebx & MASK_7_EBX) | B(CPUID_7_EBX_TSC_ADJUST);
	/* OSPKE of the host tells whether the host manages PKRU at all. */
	if (!(e->ecx & B(CPUID_7_ECX_OSPKE)) || !has_xcr0(b, CPUID_XCR0_PKRU))
		e->ecx &= ~B(CPUID_7_ECX_PKU);
	e->ecx &= MASK_7_ECX;
	e->edx &= MASK_7_EDX;
	if (!has_xcr0(b, CPUID_XCR0_AVX)) {
		e->ebx &= ~AVX_7_EBX;
		e->ecx &= ~AVX_7_ECX;
	}
	if (!has_xcr0(b, CPUID_XCR0_AVX | CPUID_XCR0_AVX512)) {
		e->ebx &= ~AVX512_7_EBX;
		e->ecx &= ~AVX512_7_ECX;
		e->edx &= ~AVX512_7_EDX;
	}
}

static void filter_leaf_7_1(struct builder *b, struct kvm_cpuid_entry2 *e)
{
	e->eax &= MASK_7_1_EAX;
	e->ebx = e->ecx = e->edx = 0;
	if (!has_xcr0(b, CPUID_XCR0_AVX))
		e->eax &= ~AVX_7_1_EAX;
	if (!has_xcr0(b, CPUID_XCR0_AVX | CPUID_XCR0_AVX512))
		e->eax &= ~AVX512_7_1_EAX;
}

static void add_leaf_7(struct builder *b)
{
	struct kvm_cpuid_entry2 *e = add(b, 7, 0, true);
	u32 last;

	if (!e)
		return;
	last = min_t(u32, e->eax, 1);
	e->eax = last;
	filter_leaf_7_0(b, e);
	if (!last)
		return;
	e = add(b, 7, 1, true);
	if (e)
		filter_leaf_7_1(b, e);
}

static void add_leaf_d_components(struct builder *b)
{
	struct kvm_cpuid_entry2 *e;
	u32 i;

	for (i = 2; i < 63; i++) {
		if (!(b->env->guest_xcr0 & BIT_ULL(i)))
			continue;
		e = add(b, 0xd, i, true);
		if (!e)
			return;
		e->ecx &= B(1);		/* align to 64 when compacted */
		e->edx = 0;
	}
}

static void add_leaf_d(struct builder *b)
{
	u64 xcr0 = b->env->guest_xcr0;
	struct kvm_cpuid_entry2 *e = add(b, 0xd, 0, true);

	if (!e)
		return;
	e->eax = (u32)xcr0;
	e->edx = (u32)(xcr0 >> 32);
	e->ecx = xcr0 ? cpuid_xsave_size(b->env, xcr0, false) : 0;
	/* Follows XCR0, which is 1 after reset. */
	e->ebx = xcr0 ? cpuid_xsave_size(b->env, CPUID_XCR0_X87, false) : 0;
	if (!xcr0)
		return;
	e = add(b, 0xd, 1, true);
	if (!e)
		return;
	e->eax &= MASK_D_1_EAX;
	e->ebx = e->eax & B(CPUID_D_1_EAX_XSAVEC) ?
		cpuid_xsave_size(b->env, CPUID_XCR0_X87, true) : 0;
	e->ecx = e->edx = 0;
	add_leaf_d_components(b);
}

static void add_basic(struct builder *b)
{
	struct kvm_cpuid_entry2 *e = add(b, 0, 0, false);
	u32 last;

	if (!e)
		return;
	last = min_t(u32, e->eax, LAST_BASIC_LEAF);
	e->eax = last;
	add_leaf_1(b);
	if (last >= 2)
		add(b, 2, 0, false);
	if (last >= 4)
		add_cache_leaf(b, 4);
	if (last >= 5)
		add_empty(b, 5, false);
	if (last >= 6)
		add_leaf_6(b);
	if (last >= 7)
		add_leaf_7(b);
	/* The topology is user space's to tell; the entry says there is one. */
	if (last >= 0xb)
		add_empty(b, 0xb, true);
	if (last >= 0xd)
		add_leaf_d(b);
}

static void add_pv(struct builder *b)
{
	struct kvm_cpuid_entry2 *e;

	add_empty(b, CPUID_PV_SIGNATURE_LEAF, false);
	add_empty(b, CPUID_PV_FEATURES_LEAF, false);
	if (b->full)
		return;
	e = &b->entries[b->nent - 2];
	e->eax = CPUID_PV_FEATURES_LEAF;
	e->ebx = 0x4b4d564b;		/* "KVMK" */
	e->ecx = 0x564b4d56;		/* "VMKV" */
	e->edx = 0x4d;			/* "M" */
	e[1].eax = b->env->pv_features;
}

static void filter_8000_0001(struct builder *b, struct kvm_cpuid_entry2 *e)
{
	e->ecx &= MASK_8000_0001_ECX;
	e->edx &= MASK_8000_0001_EDX;
	if (!has_xcr0(b, CPUID_XCR0_AVX))
		e->ecx &= ~AVX_8000_0001_ECX;
}

static void filter_8000_0008(struct kvm_cpuid_entry2 *e)
{
	u32 phys = e->eax & 0xff;
	u32 linear = min_t(u32, (e->eax >> 8) & 0xff, 57);

	e->eax = phys | linear << 8;
	e->ebx &= MASK_8000_0008_EBX;
	e->ecx = e->edx = 0;		/* one core; the VMM knows better */
}

static void filter_extended(struct builder *b, struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0x80000001:
		filter_8000_0001(b, e);
		break;
	case 0x80000007:
		e->eax = e->ebx = e->ecx = 0;
		e->edx &= MASK_8000_0007_EDX;
		break;
	case 0x80000008:
		filter_8000_0008(e);
		break;
	case 0x8000001a:
		e->eax &= 0x7;		/* performance hints */
		e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x8000001e:
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x80000021:
		e->eax &= MASK_8000_0021_EAX;
		e->ecx &= MASK_8000_0021_ECX;
		e->ebx = e->edx = 0;
		break;
	}
}

static void add_extended(struct builder *b)
{
	/* Brand, caches and TLBs (2..6, 19) pass as they are. */
	static const u32 leaves[] = {
		0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000005,
		0x80000006, 0x80000007, 0x80000008, 0x80000019, 0x8000001a,
		0x8000001d, 0x8000001e, 0x80000021,
	};
	struct kvm_cpuid_entry2 *e = add(b, 0x80000000, 0, false);
	u32 i, last;

	if (!e)
		return;
	last = min_t(u32, e->eax, LAST_EXTENDED_LEAF);
	if (last < 0x80000000)
		last = 0x80000000;
	e->eax = last;
	for (i = 0; i < ARRAY_SIZE(leaves) && leaves[i] <= last; i++) {
		if (leaves[i] == 0x8000001d) {
			add_cache_leaf(b, leaves[i]);
			continue;
		}
		e = add(b, leaves[i], 0, false);
		if (!e)
			return;
		filter_extended(b, e);
	}
}

int cpuid_supported(const struct cpuid_env *env,
		    struct kvm_cpuid_entry2 *entries, u32 max)
{
	struct builder b = { .env = env, .entries = entries, .max = max };

	add_basic(&b);
	add_pv(&b);
	add_extended(&b);
	return b.full ? -E2BIG : (int)b.nent;
}

/* ---- look-up ---- */

const struct kvm_cpuid_entry2 *
cpuid_find(const struct kvm_cpuid_entry2 *entries, u32 nent, u32 function,
	   u32 index)
{
	u32 i;

	for (i = 0; i < nent; i++) {
		const struct kvm_cpuid_entry2 *e = &entries[i];

		if (e->function != function)
			continue;
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		    e->index == index)
			return e;
	}
	return NULL;
}

u32 cpuid_entry_reg(const struct kvm_cpuid_entry2 *e, int reg)
{
	switch (reg) {
	case CPUID_REG_EAX:
		return e->eax;
	case CPUID_REG_EBX:
		return e->ebx;
	case CPUID_REG_ECX:
		return e->ecx;
	default:
		return e->edx;
	}
}

bool cpuid_has(const struct kvm_cpuid_entry2 *entries, u32 nent, u32 function,
	       u32 index, int reg, u32 bit)
{
	const struct kvm_cpuid_entry2 *e;

	e = cpuid_find(entries, nent, function, index);
	return e && cpuid_entry_reg(e, reg) >> (bit & 31) & 1;
}

bool cpuid_vendor_zeroes_unknown(const struct kvm_cpuid_entry2 *entries,
				 u32 nent)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(entries, nent, 0, 0);

	if (!e)
		return true;
	/* "AuthenticAMD", "HygonGenuine" */
	return (e->ebx == 0x68747541 && e->edx == 0x69746e65 &&
		e->ecx == 0x444d4163) ||
	       (e->ebx == 0x6f677948 && e->edx == 0x6e65476e &&
		e->ecx == 0x656e6975);
}

/* Beyond the last leaf of its range? (SDM vol. 2, CPUID; not on AMD) */
static bool beyond_range(const struct kvm_cpuid_entry2 *entries, u32 nent,
			 u32 function)
{
	const struct kvm_cpuid_entry2 *e;
	u32 base = 0;

	if (function >= 0x40000000 && function <= 0x4fffffff)
		base = function & 0xffffff00;
	else if (function >= 0x80000000)
		base = function & 0xffff0000;
	e = cpuid_find(entries, nent, base, 0);
	return !e || function > e->eax;
}

const struct kvm_cpuid_entry2 *
cpuid_find_answer(const struct kvm_cpuid_entry2 *entries, u32 nent,
		  u32 function, u32 index)
{
	const struct kvm_cpuid_entry2 *e;

	e = cpuid_find(entries, nent, function, index);
	if (e || cpuid_vendor_zeroes_unknown(entries, nent) ||
	    !beyond_range(entries, nent, function))
		return e;
	e = cpuid_find(entries, nent, 0, 0);
	return e ? cpuid_find(entries, nent, e->eax, index) : NULL;
}

void cpuid_query(const struct kvm_cpuid_entry2 *entries, u32 nent,
		 u32 function, u32 index, u32 r[4])
{
	const struct kvm_cpuid_entry2 *e;
	int reg;

	e = cpuid_find_answer(entries, nent, function, index);
	for (reg = CPUID_REG_EAX; reg <= CPUID_REG_EDX; reg++)
		r[reg] = e ? cpuid_entry_reg(e, reg) : 0;
	if (e || (function != 0xb && function != 0x1f))
		return;
	/* A level that is not there still tells its number and the APIC id. */
	e = cpuid_find(entries, nent, function, 0);
	if (e) {
		r[CPUID_REG_ECX] = index & 0xff;
		r[CPUID_REG_EDX] = e->edx;
	}
}

/* ---- what follows the vCPU's registers ---- */

u32 cpuid_xsave_size(const struct cpuid_env *env, u64 xcr0, bool compacted)
{
	u32 size = 512 + 64;	/* legacy region and header */
	u32 r[4], i, offset;

	for (i = 2; i < 63; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		env->read(env->ctx, 0xd, i, r);
		offset = r[CPUID_REG_EBX];
		if (compacted) {
			offset = size;
			if (r[CPUID_REG_ECX] & B(1))
				offset = ALIGN(offset, 64);
		}
		size = max(size, offset + r[CPUID_REG_EAX]);
	}
	return size;
}

static struct kvm_cpuid_entry2 *find_mut(struct kvm_cpuid_entry2 *entries,
					 u32 nent, u32 function, u32 index)
{
	return (struct kvm_cpuid_entry2 *)cpuid_find(entries, nent, function,
						     index);
}

static void set_bit_to(u32 *reg, u32 bit, bool value)
{
	*reg = value ? *reg | B(bit) : *reg & ~B(bit);
}

/* Sizes come from the guest's own leaf d, so that one model stays one model. */
struct guest_d {
	const struct kvm_cpuid_entry2 *entries;
	u32 nent;
};

static void read_guest_d(void *ctx, u32 function, u32 index, u32 r[4])
{
	const struct guest_d *g = ctx;

	cpuid_query(g->entries, g->nent, function, index, r);
}

static void apply_xcr0(struct kvm_cpuid_entry2 *entries, u32 nent, u64 xcr0)
{
	struct guest_d guest = { .entries = entries, .nent = nent };
	struct cpuid_env env = { .read = read_guest_d, .ctx = &guest };
	struct kvm_cpuid_entry2 *e = find_mut(entries, nent, 0xd, 0);

	if (!e)
		return;
	e->ebx = e->eax ? cpuid_xsave_size(&env, xcr0, false) : 0;
	e = find_mut(entries, nent, 0xd, 1);
	if (e && e->eax & B(CPUID_D_1_EAX_XSAVEC))
		e->ebx = cpuid_xsave_size(&env, xcr0, true);
}

void cpuid_apply_runtime(struct kvm_cpuid_entry2 *entries, u32 nent,
			 const struct cpuid_runtime *rt)
{
	struct kvm_cpuid_entry2 *e = find_mut(entries, nent, 1, 0);

	if (e) {
		set_bit_to(&e->ecx, CPUID_1_ECX_OSXSAVE,
			   rt->osxsave && e->ecx & B(CPUID_1_ECX_XSAVE));
		set_bit_to(&e->edx, CPUID_1_EDX_APIC, rt->apic_enabled);
		if (rt->mwait_follows)
			set_bit_to(&e->ecx, CPUID_1_ECX_MONITOR, rt->mwait);
	}
	e = find_mut(entries, nent, 7, 0);
	if (e)
		set_bit_to(&e->ecx, CPUID_7_ECX_OSPKE,
			   rt->pke && e->ecx & B(CPUID_7_ECX_PKU));
	apply_xcr0(entries, nent, rt->xcr0);
}

/* ---- what follows from the leaves ---- */

u64 cpuid_cr4_reserved(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	static const struct {
		u32 function;
		u8 reg, bit, cr4;
	} needs[] = {
		{ 1, CPUID_REG_ECX, CPUID_1_ECX_PCID, 17 },
		{ 1, CPUID_REG_ECX, CPUID_1_ECX_XSAVE, 18 },
		{ 7, CPUID_REG_EBX, CPUID_7_EBX_FSGSBASE, 16 },
		{ 7, CPUID_REG_EBX, CPUID_7_EBX_SMEP, 20 },
		{ 7, CPUID_REG_EBX, CPUID_7_EBX_SMAP, 21 },
		{ 7, CPUID_REG_ECX, CPUID_7_ECX_UMIP, 11 },
		{ 7, CPUID_REG_ECX, CPUID_7_ECX_PKU, 22 },
		{ 7, CPUID_REG_ECX, CPUID_7_ECX_LA57, 12 },
	};
	/* Bits 0..10 are those of the first x86-64 processors. */
	u64 reserved = ~0x7ffULL;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		if (cpuid_has(entries, nent, needs[i].function, 0,
			      needs[i].reg, needs[i].bit))
			reserved &= ~BIT_ULL(needs[i].cr4);
	}
	return reserved;
}

u64 cpuid_efer_reserved(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	static const struct {
		u8 bit;
		u64 efer;
	} needs[] = {
		{ CPUID_8000_0001_EDX_SYSCALL, BIT_ULL(0) },
		{ CPUID_8000_0001_EDX_LM, BIT_ULL(8) | BIT_ULL(10) },
		{ CPUID_8000_0001_EDX_NX, BIT_ULL(11) },
		{ CPUID_8000_0001_EDX_FXSR_OPT, BIT_ULL(14) },
	};
	u64 reserved = ~0ULL;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		if (cpuid_has(entries, nent, 0x80000001, 0, CPUID_REG_EDX,
			      needs[i].bit))
			reserved &= ~needs[i].efer;
	}
	return reserved;
}

u8 cpuid_maxphyaddr(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	const struct kvm_cpuid_entry2 *e;

	e = cpuid_find(entries, nent, 0x80000000, 0);
	if (!e || e->eax < 0x80000008)
		return 36;
	e = cpuid_find(entries, nent, 0x80000008, 0);
	if (!e)
		return 36;
	/* No page table entry holds more than 52 bits of address. */
	return min_t(u32, e->eax & 0xff, 52);
}

bool cpuid_linear_width_ok(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	const struct kvm_cpuid_entry2 *e;
	u32 width;

	e = cpuid_find(entries, nent, 0x80000008, 0);
	if (!e)
		return true;
	width = (e->eax >> 8) & 0xff;
	return width == 0 || width == 48 || width == 57;
}

/* Hypervisor leaves stand at 40000000 or a multiple of 100h above it. */
u32 cpuid_pv_features(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	const struct kvm_cpuid_entry2 *f;
	u32 i;

	for (i = 0; i < nent; i++) {
		const struct kvm_cpuid_entry2 *e = &entries[i];

		if (e->function < 0x40000000 || e->function >= 0x40010000 ||
		    e->function & 0xff || e->ebx != 0x4b4d564b ||
		    e->ecx != 0x564b4d56 || e->edx != 0x4d)
			continue;
		f = cpuid_find(entries, nent, e->function + 1, 0);
		return f ? f->eax : 0;
	}
	return 0;
}

/* APM vol. 2 11.5.2: x87 always; AVX needs SSE; AVX-512 all three and AVX. */
bool cpuid_xcr0_valid(u64 xcr0, u64 supported)
{
	u64 avx512 = xcr0 & CPUID_XCR0_AVX512;

	if (!(xcr0 & CPUID_XCR0_X87) || xcr0 & ~(supported | CPUID_XCR0_X87))
		return false;
	if (xcr0 & CPUID_XCR0_AVX && !(xcr0 & CPUID_XCR0_SSE))
		return false;
	return !avx512 || (avx512 == CPUID_XCR0_AVX512 &&
			   xcr0 & CPUID_XCR0_AVX);
}
