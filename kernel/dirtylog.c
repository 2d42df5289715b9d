// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty log of a memory slot: one bit a page, set when the page is written.
 *
 * Pages whose bit is clear are write-protected in the second-level tables, so
 * the first write faults. A bit and the protection of its page change under
 * mmu_lock together. The work is cut into pieces so that mmu_lock is not held
 * for long; each piece ends with a flush.
 */
#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "memslot.h"

/* Pages write-protected under one hold of mmu_lock; a multiple of 64. */
#define PIECE	(1UL << 15)

static size_t bitmap_bytes(u64 npages)
{
	return ALIGN(npages, BITS_PER_LONG) / 8;
}

/*
 * The second half of the allocation is where KVM_GET_DIRTY_LOG gathers what
 * it copies out; slots_lock is its lock.
 */
int kvm_dirty_bitmap_alloc(struct kvm *kvm, struct kvm_memslot *slot)
{
	slot->dirty_bitmap = kvzalloc(2 * bitmap_bytes(slot->npages),
				      GFP_KERNEL_ACCOUNT);
	if (!slot->dirty_bitmap)
		return -ENOMEM;
	if (kvm->manual_dirty_log & KVM_DIRTY_LOG_INITIALLY_SET)
		bitmap_set(slot->dirty_bitmap, 0, slot->npages);
	return 0;
}

void kvm_mark_page_dirty(struct kvm *kvm, struct kvm_memslot *slot, gfn_t gfn)
{
	if (slot->dirty_bitmap)
		set_bit_le(gfn - slot->base_gfn, slot->dirty_bitmap);
}

void kvm_dirty_log_protect_new(struct kvm *kvm, const struct kvm_memslot *old,
			       const struct kvm_memslot *new)
{
	gfn_t gfn = new->base_gfn, end = gfn + new->npages;

	if (!old || old->dirty_bitmap || !new->dirty_bitmap)
		return;
	/* All is dirty already; protection comes with each clear. */
	if (kvm->manual_dirty_log & KVM_DIRTY_LOG_INITIALLY_SET)
		return;
	for (; gfn < end; gfn += PIECE) {
		write_lock(&kvm->mmu_lock);
		if (kvm_arch_mmu_write_protect(kvm, gfn, min(gfn + PIECE, end)))
			kvm_arch_mmu_flush(kvm);
		write_unlock(&kvm->mmu_lock);
		cond_resched();
	}
}

/* Protect the pages of one word of the bitmap that begins at page first. */
static bool protect_mask(struct kvm *kvm, const struct kvm_memslot *slot,
			 u64 first, unsigned long mask)
{
	gfn_t base = slot->base_gfn + first;
	bool flush = false;

	while (mask) {
		unsigned int from = __ffs(mask);
		unsigned int to = ~(mask >> from) ?
			from + __ffs(~(mask >> from)) : BITS_PER_LONG;

		flush |= kvm_arch_mmu_write_protect(kvm, base + from,
						    base + to);
		mask = to < BITS_PER_LONG ? mask >> to << to : 0;
	}
	return flush;
}

/*
 * Take the bits in [first, last) that are set in want (NULL: all) out of the
 * log, and protect their pages; got (may be NULL) receives them. Bit numbers
 * are of the slot, want and got begin at bit first, which is a multiple of 64.
 */
static void log_take(struct kvm *kvm, struct kvm_memslot *slot, u64 first,
		     u64 last, const unsigned long *want, unsigned long *got)
{
	unsigned long *log = slot->dirty_bitmap + first / BITS_PER_LONG;
	u64 words = DIV_ROUND_UP(last - first, BITS_PER_LONG);
	u64 i = 0, end;
	bool flush;

	while (i < words) {
		end = min(i + PIECE / BITS_PER_LONG, words);
		flush = false;
		write_lock(&kvm->mmu_lock);
		for (; i < end; i++) {
			unsigned long mask = want ? want[i] : ~0UL;

			mask &= READ_ONCE(log[i]);
			if (mask)
				mask &= atomic_long_fetch_andnot(mask,
						(atomic_long_t *)&log[i]);
			if (mask)
				flush |= protect_mask(kvm, slot,
						      first + i * BITS_PER_LONG,
						      mask);
			if (got)
				got[i] = mask;
		}
		if (flush)
			kvm_arch_mmu_flush(kvm);
		write_unlock(&kvm->mmu_lock);
		cond_resched();
	}
}

static struct kvm_memslot *logged_slot(struct kvm *kvm, u32 id)
{
	struct kvm_memslot *slot;

	if (id >= KVM_MAX_MEMSLOTS)
		return ERR_PTR(-EINVAL);
	slot = xa_load(&kvm->slots_by_id, id);
	return slot && slot->dirty_bitmap ? slot : ERR_PTR(-ENOENT);
}

/* A 32-bit program fills the lower half of the field alone. */
static void __user *user_bitmap(void *bitmap)
{
	unsigned long at = (unsigned long)bitmap;

	return (void __user *)(in_compat_syscall() ? (u32)at : at);
}

static int log_get_locked(struct kvm *kvm, struct kvm_dirty_log *log)
{
	struct kvm_memslot *slot = logged_slot(kvm, log->slot);
	unsigned long *out;
	size_t bytes;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	bytes = bitmap_bytes(slot->npages);
	out = slot->dirty_bitmap;
	if (!kvm->manual_dirty_log) {
		out += bytes / sizeof(long);
		log_take(kvm, slot, 0, slot->npages, NULL, out);
	}
	return copy_to_user(user_bitmap(log->dirty_bitmap), out, bytes) ?
	       -EFAULT : 0;
}

int kvm_dirty_log_get(struct kvm *kvm, struct kvm_dirty_log *log)
{
	int ret;

	mutex_lock(&kvm->slots_lock);
	ret = log_get_locked(kvm, log);
	mutex_unlock(&kvm->slots_lock);
	return ret;
}

static int log_clear_locked(struct kvm *kvm, struct kvm_clear_dirty_log *log)
{
	struct kvm_memslot *slot = logged_slot(kvm, log->slot);
	u64 first = log->first_page, count = log->num_pages;
	unsigned long *want;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (first % 64 || first > slot->npages || count > slot->npages - first)
		return -EINVAL;
	/* Whole words, unless the range ends where the slot does. */
	if (count % 64 && count < slot->npages - first)
		return -EINVAL;
	if (!count)
		return 0;
	want = slot->dirty_bitmap +
	       bitmap_bytes(slot->npages) / sizeof(long);
	if (copy_from_user(want, user_bitmap(log->dirty_bitmap),
			   bitmap_bytes(count)))
		return -EFAULT;
	log_take(kvm, slot, first, first + count, want, NULL);
	return 0;
}

int kvm_dirty_log_clear(struct kvm *kvm, struct kvm_clear_dirty_log *log)
{
	int ret;

	mutex_lock(&kvm->slots_lock);
	ret = log_clear_locked(kvm, log);
	mutex_unlock(&kvm->slots_lock);
	return ret;
}
