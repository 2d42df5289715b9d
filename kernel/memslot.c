// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-physical memory: the slot table and copies to and from guest memory.
 *
 * The table is immutable and replaced whole. It is published under mmu_lock
 * together with the removal of the translations the change makes wrong; a
 * fault handler installs a translation only if the table it used is still the
 * current one. So there is no moment at which a translation exists that the
 * current table does not explain, and the mmu notifier always finds it.
 */
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "memslot.h"

#define SLOT_FLAGS	(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

/* ---- the table ---- */

struct kvm_memslots *kvm_memslots(struct kvm *kvm)
{
	return srcu_dereference_check(kvm->memslots, &kvm->srcu,
				      lockdep_is_held(&kvm->slots_lock) ||
				      lockdep_is_held(&kvm->mmu_lock) ||
				      !refcount_read(&kvm->users));
}
EXPORT_SYMBOL_GPL(kvm_memslots);

/* Empty, with room for nr slots. */
static struct kvm_memslots *table_alloc(u32 nr)
{
	struct kvm_memslots *table;

	table = kvmalloc(struct_size(table, by_gfn, nr), GFP_KERNEL_ACCOUNT);
	if (table)
		*table = (struct kvm_memslots) {};
	return table;
}

int kvm_memslots_init(struct kvm *kvm)
{
	struct kvm_memslots *table = table_alloc(0);

	if (!table)
		return -ENOMEM;
	rcu_assign_pointer(kvm->memslots, table);
	xa_init(&kvm->slots_by_id);
	return 0;
}

static void slot_free(struct kvm_memslot *slot)
{
	if (!slot)
		return;
	kvfree(slot->dirty_bitmap);
	kfree(slot);
}

void kvm_memslots_destroy(struct kvm *kvm)
{
	struct kvm_memslots *table =
		rcu_dereference_protected(kvm->memslots, 1);
	u32 i;

	if (!table)
		return;
	rcu_assign_pointer(kvm->memslots, NULL);
	for (i = 0; i < table->nr; i++)
		slot_free(table->by_gfn[i]);
	kvfree(table);
	xa_destroy(&kvm->slots_by_id);
}

/* Number of slots that begin at or below gfn. */
static u32 table_upper(const struct kvm_memslots *table, gfn_t gfn)
{
	u32 lo = 0, hi = table->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (table->by_gfn[mid]->base_gfn <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct kvm_memslot *kvm_memslot_in(const struct kvm_memslots *table, gfn_t gfn)
{
	u32 n = table_upper(table, gfn);
	struct kvm_memslot *slot;

	if (!n)
		return NULL;
	slot = table->by_gfn[n - 1];
	return gfn - slot->base_gfn < slot->npages ? slot : NULL;
}

struct kvm_memslot *kvm_memslot_find(struct kvm *kvm, gfn_t gfn)
{
	return kvm_memslot_in(kvm_memslots(kvm), gfn);
}
EXPORT_SYMBOL_GPL(kvm_memslot_find);

static bool overlaps(const struct kvm_memslots *table,
		     const struct kvm_memslot *except, gfn_t start, u64 npages)
{
	u32 n = table_upper(table, start + npages - 1);

	/* Slots do not overlap each other, so the last two can decide. */
	while (n--) {
		const struct kvm_memslot *slot = table->by_gfn[n];

		if (slot == except)
			continue;
		return slot->base_gfn + slot->npages > start;
	}
	return false;
}

/* A copy of the table without old (if any) and with new (if any). */
static struct kvm_memslots *table_replace(const struct kvm_memslots *table,
					  const struct kvm_memslot *old,
					  struct kvm_memslot *new)
{
	struct kvm_memslots *copy = table_alloc(table->nr + 1);
	struct kvm_memslot **at;
	u32 n;

	if (!copy)
		return NULL;
	copy->generation = table->generation + 1;
	copy->nr = table->nr;
	/* Moved as blocks: a VM may have 32764 slots, set one by one. */
	memcpy(copy->by_gfn, table->by_gfn, copy->nr * sizeof(*at));
	if (old) {
		n = table_upper(copy, old->base_gfn);
		at = copy->by_gfn + n - 1;
		memmove(at, at + 1, (copy->nr - n) * sizeof(*at));
		copy->nr--;
	}
	if (new) {
		n = table_upper(copy, new->base_gfn);
		at = copy->by_gfn + n;
		memmove(at + 1, at, (copy->nr - n) * sizeof(*at));
		*at = new;
		copy->nr++;
	}
	return copy;
}

/*
 * Make new take old's place. Translations of old are removed if zap; they
 * are of the wrong pages, or have the wrong rights or size.
 */
static int publish(struct kvm *kvm, struct kvm_memslot *old,
		   struct kvm_memslot *new, bool zap)
{
	struct kvm_memslots *before = kvm_memslots(kvm), *after;
	u32 id = new ? new->id : old->id;
	int ret = new ? xa_reserve(&kvm->slots_by_id, id, GFP_KERNEL_ACCOUNT) :
			0;

	if (ret)
		return ret;
	after = table_replace(before, old, new);
	if (!after)
		return -ENOMEM;
	/* Room was reserved: cannot fail. */
	xa_store(&kvm->slots_by_id, id, new, GFP_KERNEL_ACCOUNT);
	write_lock(&kvm->mmu_lock);
	rcu_assign_pointer(kvm->memslots, after);
	if (zap && kvm_arch_mmu_unmap(kvm, old->base_gfn,
				      old->base_gfn + old->npages))
		kvm_arch_mmu_flush(kvm);
	kvm_arch_mmu_check_flushed(kvm, "slot change");
	write_unlock(&kvm->mmu_lock);

	if (new && !zap)
		kvm_dirty_log_protect_new(kvm, old, new);
	/* Readers of the old table, among them writers of its dirty bitmap. */
	synchronize_srcu_expedited(&kvm->srcu);
	kvfree(before);
	return 0;
}

/* ---- KVM_SET_USER_MEMORY_REGION ---- */

static int region_check(const struct kvm_userspace_memory_region *r)
{
	u64 npages = r->memory_size >> PAGE_SHIFT;

	if (r->flags & ~SLOT_FLAGS)
		return -EINVAL;
	if (r->slot >= KVM_MAX_MEMSLOTS)
		return -EINVAL;
	if (!PAGE_ALIGNED(r->memory_size) || !PAGE_ALIGNED(r->guest_phys_addr) ||
	    !PAGE_ALIGNED(r->userspace_addr))
		return -EINVAL;
	if (r->memory_size != (unsigned long)r->memory_size ||
	    r->userspace_addr != (unsigned long)r->userspace_addr)
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	if (npages > KVM_MAX_MEMSLOT_PAGES)
		return -EINVAL;
	if (!access_ok((void __user *)(unsigned long)r->userspace_addr,
		       r->memory_size))
		return -EINVAL;
	return 0;
}

static int slot_delete(struct kvm *kvm, struct kvm_memslot *old)
{
	int ret;

	if (!old)
		return -EINVAL;
	ret = publish(kvm, old, NULL, true);
	if (!ret)
		slot_free(old);
	return ret;
}

static struct kvm_memslot *
slot_alloc(const struct kvm_userspace_memory_region *r)
{
	struct kvm_memslot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->id = r->slot;
	slot->flags = r->flags;
	slot->base_gfn = r->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = r->memory_size >> PAGE_SHIFT;
	slot->userspace_addr = r->userspace_addr;
	return slot;
}

/* old's bitmap goes on being used if both log; otherwise make or drop one. */
static int bitmap_prepare(struct kvm *kvm, const struct kvm_memslot *old,
			  struct kvm_memslot *new)
{
	if (!(new->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	if (old && old->dirty_bitmap) {
		new->dirty_bitmap = old->dirty_bitmap;
		return 0;
	}
	return kvm_dirty_bitmap_alloc(kvm, new);
}

/* Put new in old's place (old may be NULL); frees old, or new on failure. */
static int slot_replace(struct kvm *kvm, struct kvm_memslot *old,
			struct kvm_memslot *new, bool zap)
{
	int ret = bitmap_prepare(kvm, old, new);
	struct kvm_memslot *gone;

	if (!ret)
		ret = publish(kvm, old, new, zap);
	gone = ret ? new : old;
	if (old && old->dirty_bitmap == new->dirty_bitmap)
		gone->dirty_bitmap = NULL;
	slot_free(gone);
	return ret;
}

static int slot_create(struct kvm *kvm,
		       const struct kvm_userspace_memory_region *r)
{
	struct kvm_memslot *new;

	new = slot_alloc(r);
	return new ? slot_replace(kvm, NULL, new, false) : -ENOMEM;
}

/* An existing slot may be moved, or its dirty log switched; nothing else. */
static int slot_modify(struct kvm *kvm, struct kvm_memslot *old,
		       const struct kvm_userspace_memory_region *r)
{
	bool move = r->guest_phys_addr >> PAGE_SHIFT != old->base_gfn;
	bool log_off = old->flags & ~r->flags & KVM_MEM_LOG_DIRTY_PAGES;
	struct kvm_memslot *new;

	if (r->userspace_addr != old->userspace_addr ||
	    r->memory_size >> PAGE_SHIFT != old->npages ||
	    (r->flags ^ old->flags) & KVM_MEM_READONLY)
		return -EINVAL;
	if (!move && r->flags == old->flags)
		return 0;
	if (move && overlaps(kvm_memslots(kvm), old,
			     r->guest_phys_addr >> PAGE_SHIFT, old->npages))
		return -EEXIST;
	new = slot_alloc(r);
	if (!new)
		return -ENOMEM;
	/* Without a log, huge mappings may come back: let them fault in. */
	return slot_replace(kvm, old, new, move || log_off);
}

static int memslot_set_locked(struct kvm *kvm,
			      const struct kvm_userspace_memory_region *r)
{
	struct kvm_memslots *table = kvm_memslots(kvm);
	struct kvm_memslot *old = xa_load(&kvm->slots_by_id, r->slot);
	gfn_t gfn = r->guest_phys_addr >> PAGE_SHIFT;
	u64 npages = r->memory_size >> PAGE_SHIFT;

	if (!npages)
		return slot_delete(kvm, old);
	if (gfn + npages - 1 > kvm_arch_mmu_max_gfn())
		return -EINVAL;
	if (old)
		return slot_modify(kvm, old, r);
	if (overlaps(table, NULL, gfn, npages))
		return -EEXIST;
	return slot_create(kvm, r);
}

int kvm_memslot_set(struct kvm *kvm,
		    const struct kvm_userspace_memory_region *region)
{
	int ret = region_check(region);

	if (ret)
		return ret;
	mutex_lock(&kvm->slots_lock);
	ret = memslot_set_locked(kvm, region);
	mutex_unlock(&kvm->slots_lock);
	return ret;
}

/* ---- copies ---- */

unsigned long kvm_memslot_hva(const struct kvm_memslot *slot, gfn_t gfn)
{
	return slot->userspace_addr + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

unsigned long kvm_gfn_to_hva(struct kvm *kvm, gfn_t gfn, bool *writable)
{
	struct kvm_memslot *slot = kvm_memslot_find(kvm, gfn);

	if (!slot)
		return 0;
	if (writable)
		*writable = !(slot->flags & KVM_MEM_READONLY);
	return kvm_memslot_hva(slot, gfn);
}
EXPORT_SYMBOL_GPL(kvm_gfn_to_hva);

int kvm_read_guest(struct kvm *kvm, gpa_t gpa, void *data, size_t len)
{
	unsigned long hva;
	size_t n;

	/* Entries of page tables are most of what is read. */
	if (len == sizeof(u64) && !(gpa & 7)) {
		hva = kvm_gfn_to_hva(kvm, gpa >> PAGE_SHIFT, NULL);
		return hva ? __get_user(*(u64 *)data, (u64 __user *)
					(hva + offset_in_page(gpa))) : -EFAULT;
	}
	for (; len; gpa += n, data += n, len -= n) {
		n = min_t(size_t, len, PAGE_SIZE - offset_in_page(gpa));
		hva = kvm_gfn_to_hva(kvm, gpa >> PAGE_SHIFT, NULL);
		if (!hva || __copy_from_user(data, (void __user *)
					     (hva + offset_in_page(gpa)), n))
			return -EFAULT;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_read_guest);

static struct kvm_memslot *writable_slot(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memslot *slot = kvm_memslot_find(kvm, gfn);

	return slot && !(slot->flags & KVM_MEM_READONLY) ? slot : NULL;
}

int kvm_write_guest(struct kvm *kvm, gpa_t gpa, const void *data, size_t len)
{
	while (len) {
		size_t n = min_t(size_t, len, PAGE_SIZE - offset_in_page(gpa));
		gfn_t gfn = gpa >> PAGE_SHIFT;
		struct kvm_memslot *slot = writable_slot(kvm, gfn);

		if (!slot || __copy_to_user((void __user *)
					    (kvm_memslot_hva(slot, gfn) +
					     offset_in_page(gpa)), data, n))
			return -EFAULT;
		kvm_mark_page_dirty(kvm, slot, gfn);
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_write_guest);

static int cmpxchg_at(void *p, u64 old, u64 new, int len)
{
	switch (len) {
	case 1:
		return cmpxchg((u8 *)p, (u8)old, (u8)new) == (u8)old ?
			0 : -EAGAIN;
	case 2:
		return cmpxchg((u16 *)p, (u16)old, (u16)new) == (u16)old ?
			0 : -EAGAIN;
	case 4:
		return cmpxchg((u32 *)p, (u32)old, (u32)new) == (u32)old ?
			0 : -EAGAIN;
	case 8:
		return cmpxchg((u64 *)p, old, new) == old ? 0 : -EAGAIN;
	default:
		return -EFAULT;
	}
}

int kvm_cmpxchg_guest(struct kvm *kvm, gpa_t gpa, u64 old, u64 new, int len)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;
	struct kvm_memslot *slot = writable_slot(kvm, gfn);
	struct page *page;
	void *map;
	int ret;

	if (!slot || len <= 0 || gpa & (len - 1))
		return -EFAULT;
	if (pin_user_pages_fast(kvm_memslot_hva(slot, gfn), 1, FOLL_WRITE,
				&page) != 1)
		return -EFAULT;
	map = kmap_local_page(page);
	ret = cmpxchg_at(map + offset_in_page(gpa), old, new, len);
	kunmap_local(map);
	unpin_user_pages_dirty_lock(&page, 1, !ret);
	if (!ret)
		kvm_mark_page_dirty(kvm, slot, gfn);
	return ret;
}
EXPORT_SYMBOL_GPL(kvm_cmpxchg_guest);
