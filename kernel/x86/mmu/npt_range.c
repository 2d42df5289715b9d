// SPDX-License-Identifier: GPL-2.0-only
/* Nested page tables: what is done to ranges of guest pages. */
#include "npt.h"

/*
 * Work on the present entries of [start, end), top down. visit() is shown each
 * leaf, and each table that lies in the range as a whole; it says what it did.
 */
enum visit_result {
	VISIT_NOTHING,
	VISIT_DESCEND,		/* look at what is below this table */
	VISIT_CHANGED
};

typedef enum visit_result (*visit_fn)(struct npt *npt, u64 *entry, int level,
				      bool whole);

/* At most 512 entries a level but for the tables that are descended into. */
static bool walk_range(struct npt *npt, u64 *table, int level, gfn_t start,
		       gfn_t end, visit_fn visit)
{
	gfn_t span = npt_span(level), gfn, next;
	bool changed = false;

	for (gfn = start; gfn < end; gfn = next) {
		u64 *entry = &table[npt_index(gfn, level)];
		enum visit_result what = VISIT_DESCEND;
		bool whole;

		next = min((gfn | (span - 1)) + 1, end);
		whole = !(gfn & (span - 1)) && next - gfn == span;
		if (!(READ_ONCE(*entry) & NPT_P))
			continue;
		if (whole || npt_is_leaf(*entry, level))
			what = visit(npt, entry, level, whole);
		if (what == VISIT_DESCEND)
			changed |= walk_range(npt, npt_entry_table(*entry),
					      level - 1, gfn, next, visit);
		else
			changed |= what == VISIT_CHANGED;
	}
	return changed;
}

static bool for_range(struct kvm *kvm, gfn_t start, gfn_t end, visit_fn visit)
{
	struct npt *npt = npt_of(kvm);

	lockdep_assert_held_write(&kvm->mmu_lock);
	if (!npt)
		return false;
	end = min(end, npt_span(npt->levels + 1));
	return walk_range(npt, page_address(npt->root), npt->levels, start,
			  end, visit);
}

static enum visit_result visit_remove(struct npt *npt, u64 *entry, int level,
				      bool whole)
{
	npt_remove(npt, entry, level);
	return VISIT_CHANGED;
}

bool kvm_arch_mmu_unmap(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return for_range(kvm, start, end, visit_remove);
}

static enum visit_result visit_age(struct npt *npt, u64 *entry, int level,
				   bool whole)
{
	if (!npt_is_leaf(*entry, level))
		return VISIT_DESCEND;
	return test_and_clear_bit(NPT_A_BIT, (unsigned long *)entry) ?
		VISIT_CHANGED : VISIT_NOTHING;
}

bool kvm_arch_mmu_age(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return for_range(kvm, start, end, visit_age);
}

static enum visit_result visit_test_age(struct npt *npt, u64 *entry, int level,
					bool whole)
{
	if (!npt_is_leaf(*entry, level))
		return VISIT_DESCEND;
	return *entry & NPT_A ? VISIT_CHANGED : VISIT_NOTHING;
}

bool kvm_arch_mmu_test_age(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return for_range(kvm, start, end, visit_test_age);
}

/*
 * A huge leaf goes altogether, whatever part of it is meant: it comes back in
 * 4 KiB pieces, because the fault handler maps logged slots only so.
 */
static enum visit_result visit_protect(struct npt *npt, u64 *entry, int level,
				       bool whole)
{
	if (!npt_is_leaf(*entry, level))
		return VISIT_DESCEND;
	if (level > 1) {
		npt_remove(npt, entry, level);
		return VISIT_CHANGED;
	}
	if (!test_and_clear_bit(NPT_W_BIT, (unsigned long *)entry))
		return VISIT_NOTHING;
	WRITE_ONCE(npt->removed_gen, npt->removed_gen + 1);
	return VISIT_CHANGED;
}

bool kvm_arch_mmu_write_protect(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return for_range(kvm, start, end, visit_protect);
}
