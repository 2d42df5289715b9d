// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-physical memory: the slot table and copies to and from guest memory.
 *
 * A change is made in the table that is not current, which then becomes it.
 * It is published under mmu_lock together with the removal of the translations
 * the change makes wrong; a fault handler installs a translation only if the
 * table it used is still the current one (it is not so again while the handler
 * holds kvm->srcu). So there is no moment at which a translation exists that
 * the current table does not explain, and the mmu notifier always finds it.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/nospec.h>
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

void kvm_memslots_init(struct kvm *kvm)
{
	xa_init(&kvm->slots_by_id);
	kvm->slots_by_hva = RB_ROOT_CACHED;
	kvm->slot_tables[0] = (struct kvm_memslots) { RB_ROOT_CACHED, 0 };
	kvm->slot_tables[1] = (struct kvm_memslots) { RB_ROOT_CACHED, 1 };
	rcu_assign_pointer(kvm->memslots, &kvm->slot_tables[0]);
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
	struct kvm_memslot *slot;
	unsigned long id;

	xa_for_each(&kvm->slots_by_id, id, slot)
		slot_free(slot);
	xa_destroy(&kvm->slots_by_id);
}

static struct kvm_memslot *slot_of(const struct kvm_memslots *table,
				   struct interval_tree_node *node)
{
	return container_of(node, struct kvm_memslot, by_gfn[table->nr]);
}

/* The plain way down: interval_tree_iter_first() asks more than is needed. */
struct kvm_memslot *kvm_memslot_in(const struct kvm_memslots *table, gfn_t gfn)
{
	struct rb_node *rb = table->by_gfn.rb_root.rb_node;

	while (rb) {
		struct interval_tree_node *node =
			rb_entry(rb, struct interval_tree_node, rb);

		if (gfn < node->start)
			rb = rb->rb_left;
		else if (gfn > node->last)
			rb = rb->rb_right;
		else
			return slot_of(table, node);
	}
	return NULL;
}

static struct kvm_memslot *memslot_find(struct kvm *kvm, gfn_t gfn)
{
	return kvm_memslot_in(kvm_memslots(kvm), gfn);
}

static bool overlaps(struct kvm_memslots *table,
		     const struct kvm_memslot *except, gfn_t start, u64 npages)
{
	gfn_t last = start + npages - 1;
	struct interval_tree_node *node =
		interval_tree_iter_first(&table->by_gfn, start, last);

	if (node && slot_of(table, node) == except)
		node = interval_tree_iter_next(node, start, last);
	return node;
}

/* Put new (if any) where old (if any) was. */
static void table_replace(struct kvm_memslots *table, struct kvm_memslot *old,
			  struct kvm_memslot *new)
{
	if (old)
		interval_tree_remove(&old->by_gfn[table->nr], &table->by_gfn);
	if (new)
		interval_tree_insert(&new->by_gfn[table->nr], &table->by_gfn);
}

/*
 * Make new take old's place. Translations of old are removed if zap; they
 * are of the wrong pages, or have the wrong rights or size.
 */
static int publish(struct kvm *kvm, struct kvm_memslot *old,
		   struct kvm_memslot *new, bool zap)
{
	struct kvm_memslots *before = kvm_memslots(kvm);
	struct kvm_memslots *after = &kvm->slot_tables[!before->nr];
	u32 id = new ? new->id : old->id;
	int ret = new ? xa_reserve(&kvm->slots_by_id, id, GFP_KERNEL_ACCOUNT) :
			0;

	if (ret)
		return ret;
	/* Room was reserved: cannot fail. */
	xa_store(&kvm->slots_by_id, id, new, GFP_KERNEL_ACCOUNT);
	table_replace(after, old, new);
	write_lock(&kvm->mmu_lock);
	rcu_assign_pointer(kvm->memslots, after);
	if (old)
		interval_tree_remove(&old->by_hva, &kvm->slots_by_hva);
	if (new)
		interval_tree_insert(&new->by_hva, &kvm->slots_by_hva);
	if (zap && kvm_arch_mmu_unmap(kvm, old->base_gfn,
				      old->base_gfn + old->npages))
		kvm_arch_mmu_flush(kvm);
	kvm_arch_mmu_check_flushed(kvm, "slot change");
	write_unlock(&kvm->mmu_lock);

	if (new && !zap)
		kvm_dirty_log_protect_new(kvm, old, new);
	/* Readers of the old table, among them writers of its dirty bitmap. */
	synchronize_srcu_expedited(&kvm->srcu);
	table_replace(before, old, new);
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
	slot->by_hva.start = r->userspace_addr;
	slot->by_hva.last = r->userspace_addr + r->memory_size - 1;
	slot->by_gfn[0].start = slot->by_gfn[1].start = slot->base_gfn;
	slot->by_gfn[0].last = slot->by_gfn[1].last =
		slot->base_gfn + slot->npages - 1;
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
	/* The guest names the page, and the search may be mispredicted. */
	u64 page = array_index_nospec(gfn - slot->base_gfn, slot->npages);

	return slot->userspace_addr + (page << PAGE_SHIFT);
}

unsigned long kvm_gfn_to_hva(struct kvm *kvm, gfn_t gfn, bool *writable)
{
	struct kvm_memslot *slot = memslot_find(kvm, gfn);

	if (!slot)
		return 0;
	if (writable)
		*writable = !(slot->flags & KVM_MEM_READONLY);
	return kvm_memslot_hva(slot, gfn);
}

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

static struct kvm_memslot *writable_slot(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memslot *slot = memslot_find(kvm, gfn);

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
