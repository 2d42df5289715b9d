// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mmu notifier: what the host does to the VMM's memory, done to the
 * guest's translations of it.
 *
 * Between invalidate_range_start and _end no translation of the range may be
 * installed, and none installed may come from a lookup that began before _end;
 * mmu_invalidate_in_progress and mmu_invalidate_seq tell the fault handler.
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>

#include "memslot.h"

typedef bool (*range_fn)(struct kvm *kvm, gfn_t start, gfn_t end);

static struct kvm *to_kvm(struct mmu_notifier *mn)
{
	return container_of(mn, struct kvm, mmu_notifier);
}

/*
 * Call fn for the guest pages of [start, end), in every slot that shows it.
 * mmu_lock is held, so the slots are those that explain all translations.
 */
static bool for_each_gfn_range(struct kvm *kvm, unsigned long start,
			       unsigned long end, range_fn fn)
{
	struct interval_tree_node *node;
	bool ret = false;

	for (node = interval_tree_iter_first(&kvm->slots_by_hva, start, end - 1);
	     node; node = interval_tree_iter_next(node, start, end - 1)) {
		struct kvm_memslot *slot = container_of(node,
						struct kvm_memslot, by_hva);
		unsigned long hva = slot->userspace_addr;
		unsigned long from = max(start, hva);
		unsigned long to = min(end, node->last + 1);

		ret |= fn(kvm,
			  slot->base_gfn + ((from - hva) >> PAGE_SHIFT),
			  slot->base_gfn + (PAGE_ALIGN(to - hva) >> PAGE_SHIFT));
	}
	return ret;
}

static void invalidate_begin(struct kvm *kvm, unsigned long start,
			     unsigned long end)
{
	if (!kvm->mmu_invalidate_in_progress++) {
		kvm->mmu_invalidate_start = start;
		kvm->mmu_invalidate_end = end;
		return;
	}
	kvm->mmu_invalidate_start = min(kvm->mmu_invalidate_start, start);
	kvm->mmu_invalidate_end = max(kvm->mmu_invalidate_end, end);
}

/*
 * Never sleeps (a flush waits for interrupts to be taken elsewhere, no more),
 * so that it need not look at mmu_notifier_range_blockable().
 */
static int invalidate_range_start(struct mmu_notifier *mn,
				  const struct mmu_notifier_range *range)
{
	struct kvm *kvm = to_kvm(mn);

	write_lock(&kvm->mmu_lock);
	invalidate_begin(kvm, range->start, range->end);
	if (for_each_gfn_range(kvm, range->start, range->end,
			       kvm_arch_mmu_unmap))
		kvm_arch_mmu_flush(kvm);
	write_unlock(&kvm->mmu_lock);
	return 0;
}

static void invalidate_range_end(struct mmu_notifier *mn,
				 const struct mmu_notifier_range *range)
{
	struct kvm *kvm = to_kvm(mn);

	write_lock(&kvm->mmu_lock);
	/* The pages may have gone by now: the last moment to have flushed. */
	kvm_arch_mmu_check_flushed(kvm, "notifier");
	WRITE_ONCE(kvm->mmu_invalidate_seq, kvm->mmu_invalidate_seq + 1);
	kvm->mmu_invalidate_in_progress--;
	write_unlock(&kvm->mmu_lock);
}

static compat_young_t age_range(struct mmu_notifier *mn, unsigned long start,
				unsigned long end, range_fn fn)
{
	struct kvm *kvm = to_kvm(mn);
	bool young;

	write_lock(&kvm->mmu_lock);
	young = for_each_gfn_range(kvm, start, end, fn);
	write_unlock(&kvm->mmu_lock);
	return young;
}

/*
 * No flush: a translation in a TLB leaves the accessed bit clear for a while,
 * so a page in use may look old once. That costs a fault, a flush costs more.
 */
static compat_young_t clear_flush_young(struct mmu_notifier *mn,
					struct mm_struct *mm,
					unsigned long start, unsigned long end)
{
	return age_range(mn, start, end, kvm_arch_mmu_age);
}

static compat_young_t clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
				  unsigned long start, unsigned long end)
{
	return age_range(mn, start, end, kvm_arch_mmu_age);
}

static compat_young_t test_young(struct mmu_notifier *mn, struct mm_struct *mm,
				 unsigned long address)
{
	return age_range(mn, address, address + 1, kvm_arch_mmu_test_age);
}

/* The address space goes: no thread of it runs, so no vCPU does. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct kvm *kvm = to_kvm(mn);

	write_lock(&kvm->mmu_lock);
	if (kvm_arch_mmu_unmap(kvm, 0, kvm_arch_mmu_max_gfn() + 1))
		kvm_arch_mmu_flush(kvm);
	kvm_arch_mmu_check_flushed(kvm, "release");
	write_unlock(&kvm->mmu_lock);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_range_start,
	.invalidate_range_end = invalidate_range_end,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.release = release,
};

bool kvm_mmu_invalidate_retry(struct kvm *kvm, unsigned long seq,
			      unsigned long hva)
{
	lockdep_assert_held(&kvm->mmu_lock);
	if (kvm->mmu_invalidate_in_progress &&
	    hva >= kvm->mmu_invalidate_start && hva < kvm->mmu_invalidate_end)
		return true;
	return kvm->mmu_invalidate_seq != seq;
}

int kvm_notifier_register(struct kvm *kvm)
{
	int ret;

	kvm->mmu_notifier.ops = &notifier_ops;
	ret = mmu_notifier_register(&kvm->mmu_notifier, kvm->mm);
	kvm->mmu_notifier_registered = !ret;
	return ret;
}

void kvm_notifier_unregister(struct kvm *kvm)
{
	if (!kvm->mmu_notifier_registered)
		return;
	mmu_notifier_unregister(&kvm->mmu_notifier, kvm->mm);
	kvm->mmu_notifier_registered = false;
}
