// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page tables: reading the host's page tables of the VMM.
 *
 * The tables cannot be freed under us: with interrupts off the TLB shootdown
 * that precedes freeing waits. What an entry says stays true while mmu_lock is
 * held, because every change that takes rights away tells the notifier first.
 */
#include <linux/pgtable.h>

#include "npt.h"

static bool map_4k(pte_t pte, struct npt_host_map *map)
{
	/* Special pages have no struct page that may be used. */
	if (!pte_access_permitted(pte, false) || pte_special(pte) ||
	    COMPAT_DEVMAP(pte, pte))
		return false;
	map->pfn = pte_pfn(pte);
	map->writable = pte_access_permitted(pte, true);
	map->huge = false;
	return true;
}

static bool map_2m(pmd_t pmd, unsigned long hva, struct npt_host_map *map)
{
	if (!pmd_access_permitted(pmd, false) || COMPAT_DEVMAP(pmd, pmd))
		return false;
	map->pfn = pmd_pfn(pmd) + ((hva & ~PMD_MASK) >> PAGE_SHIFT);
	map->writable = pmd_access_permitted(pmd, true);
	map->huge = true;
	return true;
}

static bool map_1g(pud_t pud, unsigned long hva, struct npt_host_map *map)
{
	if (!pud_access_permitted(pud, false) || COMPAT_DEVMAP(pud, pud))
		return false;
	map->pfn = pud_pfn(pud) + ((hva & ~PUD_MASK) >> PAGE_SHIFT);
	map->writable = pud_access_permitted(pud, true);
	map->huge = true;
	return true;
}

static bool lookup(struct mm_struct *mm, unsigned long hva,
		   struct npt_host_map *map)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	if (!pgd_present(pgd))
		return false;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (!p4d_present(p4d))
		return false;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (!pud_present(pud))
		return false;
	if (pud_leaf(pud))
		return map_1g(pud, hva, map);
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_present(pmd))
		return false;
	if (pmd_leaf(pmd))
		return map_2m(pmd, hva, map);
	return map_4k(READ_ONCE(*pte_offset_kernel(&pmd, hva)), map);
}

bool npt_host_lookup(struct mm_struct *mm, unsigned long hva, bool write,
		     struct npt_host_map *map)
{
	unsigned long flags;
	bool found;

	local_irq_save(flags);
	found = lookup(mm, hva, map);
	local_irq_restore(flags);
	return found && (map->writable || !write) && pfn_valid(map->pfn);
}
