// SPDX-License-Identifier: GPL-2.0-only
/* Nested page tables: the tree, its pages, and a VM's beginning and end. */
#include <linux/io.h>
#include <linux/mem_encrypt.h>
#include <linux/slab.h>

#include <asm/cpufeature.h>
#include <asm/processor.h>

#include "npt.h"

/* ---- table pages ---- */

static struct page *table_alloc(void)
{
	return alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

struct page *npt_entry_page(u64 entry)
{
	return pfn_to_page((__sme_clr(entry) & NPT_ADDR) >> PAGE_SHIFT);
}

u64 npt_table_entry(struct page *page)
{
	return __sme_set(page_to_phys(page)) | NPT_TABLE;
}

/*
 * Have enough spare tables for one fault. Several vCPUs share the pool; who
 * finds it empty after all comes back here by faulting again.
 */
int npt_pool_fill(struct npt *npt)
{
	while (READ_ONCE(npt->pool_nr) < npt->levels) {
		struct page *page = table_alloc();

		if (!page)
			return -ENOMEM;
		spin_lock(&npt->pool_lock);
		list_add(&page->lru, &npt->pool);
		npt->pool_nr++;
		spin_unlock(&npt->pool_lock);
	}
	return 0;
}

struct page *npt_pool_take(struct npt *npt)
{
	struct page *page;

	spin_lock(&npt->pool_lock);
	page = list_first_entry_or_null(&npt->pool, struct page, lru);
	if (page) {
		list_del(&page->lru);
		npt->pool_nr--;
	}
	spin_unlock(&npt->pool_lock);
	return page;
}

/* Free a table that the processor no longer sees, and all below it. */
static void table_free(struct npt *npt, struct page *page, int level)
{
	u64 *table = page_address(page);
	int i;

	for (i = 0; i < 512; i++) {
		if (!(table[i] & NPT_P))
			continue;
		if (npt_is_leaf(table[i], level))
			npt_count(npt, level, -1);
		else
			table_free(npt, npt_entry_page(table[i]), level - 1);
	}
	__free_page(page);
}

/* page->private holds the level of a table on npt->pending. */
void npt_free_pending(struct npt *npt)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &npt->pending, lru) {
		int level = page_private(page);

		list_del(&page->lru);
		set_page_private(page, 0);
		table_free(npt, page, level);
	}
}

void npt_remove(struct npt *npt, u64 *entry, int level)
{
	u64 old = xchg(entry, 0);
	struct page *page;

	WRITE_ONCE(npt->removed_gen, npt->removed_gen + 1);
	if (npt_is_leaf(old, level)) {
		npt_count(npt, level, -1);
		return;
	}
	page = npt_entry_page(old);
	set_page_private(page, level - 1);
	list_add(&page->lru, &npt->pending);
}

/* ---- a VM's tree ---- */

/*
 * VMRUN walks nested tables in the host's current paging mode (15.25.3), and
 * the root covers 2^48 or 2^57 bytes; the processor may address less.
 */
static int host_levels(void)
{
	return pgtable_l5_enabled() ? 5 : 4;
}

gfn_t kvm_arch_mmu_max_gfn(void)
{
	int bits = min_t(int, x86_host.maxphyaddr ?: 36, 12 + 9 * host_levels());

	return (1ULL << (bits - PAGE_SHIFT)) - 1;
}

int x86_npt_vm_init(struct x86_vm *vm)
{
	struct npt *npt = kzalloc(sizeof(*npt), GFP_KERNEL_ACCOUNT);

	if (!npt)
		return -ENOMEM;
	npt->root = table_alloc();
	if (!npt->root) {
		kfree(npt);
		return -ENOMEM;
	}
	npt->kvm = &vm->kvm;
	npt->levels = host_levels();
	npt->removed_gen = npt->flushed_gen = 1;
	spin_lock_init(&npt->pool_lock);
	INIT_LIST_HEAD(&npt->pool);
	INIT_LIST_HEAD(&npt->pending);
	vm->npt = npt;
	return 0;
}

void x86_npt_vm_destroy(struct x86_vm *vm)
{
	struct npt *npt = vm->npt;
	struct page *page;

	if (!npt)
		return;
	vm->npt = NULL;
	npt_free_pending(npt);
	while ((page = npt_pool_take(npt)))
		__free_page(page);
	table_free(npt, npt->root, npt->levels);
	kfree(npt);
}

hpa_t x86_npt_root(struct x86_vm *vm, int *levels)
{
	*levels = vm->npt->levels;
	return __sme_set(page_to_phys(vm->npt->root));
}
