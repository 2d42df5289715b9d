// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page tables: a guest access that found no sufficient entry.
 *
 * The page is looked up without mmu_lock, then installed under it if neither
 * the slot table changed nor the notifier invalidated the address meanwhile.
 * No reference is kept: the notifier takes the entry out before the page goes.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "../../memslot.h"
#include "../trace.h"
#include "npt.h"

/* Present neighbours mapped along with a page: this many, aligned. */
#define AROUND		16

struct npt_fault {
	struct kvm *kvm;
	struct npt *npt;
	struct kvm_memslots *table;
	struct kvm_memslot *slot;
	gfn_t gfn;
	unsigned long hva;
	unsigned long seq;	/* mmu_invalidate_seq before the lookup */
	bool write;		/* what the guest wants */
	/* what the host has */
	bool was_there;		/* before this fault */
	struct page *page;	/* a reference is held; NULL: device memory */
	kpfn_t pfn;
	bool writable;
};

/* ---- the host side: from hva to a page ---- */

static int pfn_of_vma(struct npt_fault *f, struct vm_area_struct *vma)
{
	bool unlocked = false;
	int i, ret = 0;

	if (!(vma->vm_flags & VM_READ) ||
	    (f->write && !(vma->vm_flags & VM_WRITE)))
		return -EFAULT;
	for (i = 0; i < 2; i++) {
		ret = compat_follow_pfn(vma, f->hva, &f->pfn, &f->writable);
		if (!ret && (f->writable || !f->write))
			return 0;
		ret = fixup_user_fault(f->kvm->mm, f->hva,
				       f->write ? FAULT_FLAG_WRITE : 0,
				       &unlocked);
		if (ret)
			return ret;
		/* The lock was dropped: vma may be gone. */
		if (unlocked)
			return -EAGAIN;
	}
	return -EFAULT;
}

/* Memory without struct page, such as a PCI BAR that the VMM mapped. */
static int get_device_pfn(struct npt_fault *f)
{
	struct mm_struct *mm = f->kvm->mm;
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, f->hva);
	if (vma && vma->vm_flags & (VM_IO | VM_PFNMAP))
		ret = pfn_of_vma(f, vma);
	mmap_read_unlock(mm);
	return ret;
}

/* 1: the guest does something else until the page is there. */
static int get_page_of(struct x86_vcpu *v, struct npt_fault *f)
{
	unsigned int flags = f->write ? FOLL_WRITE : 0;
	long ret;

	ret = get_user_pages_fast_only(f->hva, 1, flags, &f->page);
	f->was_there = ret == 1;
	flags |= FOLL_HWPOISON;
	if (ret != 1 && x86_async_pf_possible(v)) {
		ret = get_user_pages_unlocked(f->hva, 1, &f->page,
					      flags | FOLL_NOWAIT);
		if (!ret && x86_async_pf_start(v, f->gfn, f->hva, f->write))
			return 1;
	}
	if (ret != 1)
		ret = get_user_pages_unlocked(f->hva, 1, &f->page,
					      flags | COMPAT_FOLL_INTERRUPTIBLE);
	if (ret == 1) {
		f->pfn = page_to_pfn(f->page);
		f->writable = f->write;
		return 0;
	}
	f->page = NULL;
	return ret == 0 ? -EFAULT : ret;
}

/* The meaning of a failed lookup; 1 to let the guest try again, or errno. */
static int host_error(struct x86_vcpu *v, struct npt_fault *f, int err)
{
	if (err == -EHWPOISON) {
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)f->hva,
				PAGE_SHIFT, current);
		return 1;
	}
	if (signal_pending(current)) {
		v->vcpu.run->exit_reason = KVM_EXIT_INTR;
		v->vcpu.stat.signal_exits++;
		return -EINTR;
	}
	return err == -EAGAIN ? 1 : -EFAULT;
}

static int get_host_page(struct x86_vcpu *v, struct npt_fault *f)
{
	int ret = get_page_of(v, f);

	return ret == -EFAULT ? get_device_pfn(f) : ret;
}

/* ---- the guest side: into the tree ---- */

static u64 leaf_entry(kpfn_t pfn, bool writable, bool huge, bool ram)
{
	u64 entry = (pfn << PAGE_SHIFT) | NPT_P | NPT_U;

	if (ram)
		entry = __sme_set(entry);
	if (writable)
		entry |= NPT_W;
	if (huge)
		entry |= NPT_PS;
	return entry;
}

/*
 * The entry for gfn at level target, with tables made on the way. NULL if the
 * pool ran dry; sets *flush if a larger leaf had to go.
 */
static u64 *entry_at(struct npt *npt, gfn_t gfn, int target, bool *flush)
{
	u64 *table = page_address(npt->root);
	int level;

	for (level = npt->levels; level > target; level--) {
		u64 *entry = &table[npt_index(gfn, level)];

		if (*entry & NPT_P && npt_is_leaf(*entry, level)) {
			npt_remove(npt, entry, level);
			*flush = true;
		}
		if (!(*entry & NPT_P)) {
			struct page *page = npt_pool_take(npt);

			if (!page)
				return NULL;
			WRITE_ONCE(*entry, npt_table_entry(page));
		}
		table = npt_entry_table(*entry);
	}
	return &table[npt_index(gfn, target)];
}

/* Does a leaf of any size let the access through by now? */
static bool already_mapped(struct npt_fault *f)
{
	u64 *table = page_address(f->npt->root);
	int level = f->npt->levels;
	u64 entry;

	for (;; level--) {
		entry = READ_ONCE(table[npt_index(f->gfn, level)]);
		if (!(entry & NPT_P))
			return false;
		if (npt_is_leaf(entry, level))
			break;
		table = npt_entry_table(entry);
	}
	return entry & NPT_W || !f->write;
}

/* Put leaf at *entry; whatever was there before goes. True: flush needed. */
static bool set_leaf(struct npt *npt, u64 *entry, int level, u64 leaf)
{
	u64 old = READ_ONCE(*entry);
	bool flush = false;

	if (old & NPT_P) {
		u64 same = NPT_ADDR | NPT_P | NPT_PS;

		/* The same page with one right more: nothing stale. */
		flush = !npt_is_leaf(old, level) || (old ^ leaf) & same ||
			old & ~leaf & NPT_W;
		if (flush)
			npt_remove(npt, entry, level);
	}
	if (!(*entry & NPT_P))
		npt_count(npt, level, 1);
	WRITE_ONCE(*entry, leaf);
	return flush;
}

/*
 * The host page counts as dirty from the moment the guest may write it: when
 * the host cleans it, it takes the write right away first, by the notifier.
 */
static void mark_host_dirty(kpfn_t pfn)
{
	struct page *page = pfn_to_page(pfn);
	struct folio *folio = page_folio(page);

	if (!PageReserved(page) && !folio_test_dirty(folio))
		folio_mark_dirty(folio);
}

/* May [base, base + 512) be one entry, as far as the slot goes? */
static bool huge_fits(const struct npt_fault *f)
{
	const struct kvm_memslot *slot = f->slot;
	gfn_t base = f->gfn & ~(gfn_t)511;

	return !slot->dirty_bitmap && base >= slot->base_gfn &&
	       base + 512 <= slot->base_gfn + slot->npages &&
	       !((f->gfn ^ f->hva >> PAGE_SHIFT) & 511);
}

/* Writes must fault while the log waits for the first one. */
static bool may_write(const struct npt_fault *f, bool host_writable)
{
	return host_writable && !(f->slot->flags & KVM_MEM_READONLY) &&
	       (f->write || !f->slot->dirty_bitmap);
}

/*
 * Map neighbours that the host has at hand, not those that would have to be
 * made. They are mapped as not accessed, and read-only while writes are logged.
 */
static void map_around(struct npt_fault *f, u64 *entry)
{
	gfn_t first = f->gfn & ~(gfn_t)(AROUND - 1), gfn;
	bool logged = f->slot->dirty_bitmap;

	entry -= f->gfn - first;
	for (gfn = first; gfn < first + AROUND; gfn++, entry++) {
		struct npt_host_map map;
		unsigned long hva;
		bool w;

		if (*entry & NPT_P || gfn < f->slot->base_gfn ||
		    gfn >= f->slot->base_gfn + f->slot->npages)
			continue;
		hva = kvm_memslot_hva(f->slot, gfn);
		if (kvm_mmu_invalidate_retry(f->kvm, f->seq, hva) ||
		    !npt_host_lookup(f->kvm->mm, hva, false, &map))
			continue;
		w = may_write(f, map.writable) && !logged;
		if (w)
			mark_host_dirty(map.pfn);
		WRITE_ONCE(*entry, leaf_entry(map.pfn, w, false, true));
		npt_count(f->npt, 1, 1);
	}
}

/* mmu_lock held, the lookup still true. 1, or -ENOMEM if the pool is dry. */
static int install(struct npt_fault *f)
{
	struct npt_host_map map;
	bool known = f->page &&
		     npt_host_lookup(f->kvm->mm, f->hva, f->write, &map) &&
		     map.pfn == f->pfn;
	bool huge = known && map.huge && huge_fits(f);
	bool w = may_write(f, known ? map.writable : f->writable);
	kpfn_t pfn = huge ? f->pfn & ~511ULL : f->pfn;
	int level = huge ? 2 : 1;
	bool flush = false;
	u64 *entry, leaf;

	entry = entry_at(f->npt, f->gfn, level, &flush);
	if (entry) {
		leaf = leaf_entry(pfn, w, huge, f->page) | NPT_A;
		if (w && f->page)
			mark_host_dirty(f->pfn);
		flush |= set_leaf(f->npt, entry, level, leaf);
		/* A page just made has no neighbours yet, as a rule. */
		if (!huge && f->page && f->was_there)
			map_around(f, entry);
	}
	if (flush)
		kvm_arch_mmu_flush(f->kvm);
	return entry ? 1 : -ENOMEM;
}

/* 1 if the guest may go on, be it to fault again; or -errno. */
static int map_fault(struct npt_fault *f)
{
	struct kvm *kvm = f->kvm;
	int ret = 1;

	write_lock(&kvm->mmu_lock);
	if (kvm_memslots(kvm) == f->table &&
	    !kvm_mmu_invalidate_retry(kvm, f->seq, f->hva)) {
		if (f->write)
			kvm_mark_page_dirty(kvm, f->slot, f->gfn);
		if (!already_mapped(f))
			ret = install(f);
	}
	write_unlock(&kvm->mmu_lock);
	/* Another vCPU took the last spare table: the next try makes more. */
	return ret == -ENOMEM ? 1 : ret;
}

int x86_npt_fault(struct x86_vcpu *v, gpa_t gpa, u64 error_code)
{
	struct kvm *kvm = v->vcpu.kvm;
	struct npt_fault f = {
		.kvm = kvm,
		.npt = npt_of(kvm),
		.table = kvm_memslots(kvm),
		.gfn = gpa >> PAGE_SHIFT,
		.write = error_code & NPF_WRITE,
	};
	int ret;

	trace_kvm_page_fault(v, gpa, error_code);
	f.slot = kvm_memslot_in(f.table, f.gfn);
	if (!f.slot || (f.write && f.slot->flags & KVM_MEM_READONLY))
		return 0;
	/* Not of an address that no table can hold: a guest names any. */
	if (error_code & NPF_RSVD) {
		kvm_vm_bug(kvm, "reserved bit set in a nested page table");
		return -EIO;
	}

	v->vcpu.stat.pf_taken++;
	ret = npt_pool_fill(f.npt);
	if (ret)
		return ret;
	f.hva = kvm_memslot_hva(f.slot, f.gfn);
	f.seq = READ_ONCE(kvm->mmu_invalidate_seq);
	/* The lookup after the count; pairs with mmu_lock in the notifier. */
	smp_rmb();
	ret = get_host_page(v, &f);
	if (ret)
		return ret > 0 ? 1 : host_error(v, &f, ret);
	ret = map_fault(&f);
	if (f.page)
		put_page(f.page);
	if (ret == 1)
		v->vcpu.stat.pf_fixed++;
	return ret;
}
EXPORT_SYMBOL_GPL(x86_npt_fault);
