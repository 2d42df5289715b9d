/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nested page tables (APM vol. 2 15.25): guest physical to host physical.
 *
 * One tree a VM, indexed by gfn, in the format and depth of the host's own
 * long-mode tables. All changes are made under kvm->mmu_lock held for writing;
 * the processor sets accessed and dirty bits at any time, so entries change
 * by atomic operations only.
 *
 * A table or entry that was taken out may still be in a TLB, or under a table
 * walk in progress. Tables therefore wait on npt->pending until the flush, and
 * every piece of code that removes or narrows entries flushes before it drops
 * mmu_lock.
 */
#ifndef UNIKVM_NPT_H
#define UNIKVM_NPT_H

#include <linux/mm.h>

#include "../x86.h"


/* Bits of an entry, APM vol. 2 5.3.3 and 15.25.5. */
#define NPT_P		BIT_ULL(0)
#define NPT_W_BIT	1
#define NPT_W		BIT_ULL(NPT_W_BIT)
#define NPT_U		BIT_ULL(2)	/* every nested access is a user's */
#define NPT_A_BIT	5
#define NPT_A		BIT_ULL(NPT_A_BIT)
#define NPT_D		BIT_ULL(6)
#define NPT_PS		BIT_ULL(7)
#define NPT_ADDR	GENMASK_ULL(51, 12)
#define NPT_TABLE	(NPT_P | NPT_W | NPT_U | NPT_A)

struct npt {
	struct kvm *kvm;
	struct page *root;
	int levels;

	spinlock_t pool_lock;		/* inside mmu_lock */
	struct list_head pool;		/* zeroed tables, by page->lru */
	int pool_nr;

	struct list_head pending;	/* taken out, to be freed by a flush */
	/*
	 * Bumped by each removal or narrowing of an entry; flushed_gen follows
	 * when all vCPUs forgot what was cached before. Equal whenever
	 * mmu_lock is free. They begin at 1: a vCPU's 0 means "never ran".
	 */
	u64 removed_gen;
	u64 flushed_gen;
};

static inline struct npt *npt_of(struct kvm *kvm)
{
	return to_x86_vm(kvm)->npt;
}

/* Number of guest pages that one entry at level (1: 4 KiB) covers. */
static inline gfn_t npt_span(int level)
{
	return 1ULL << (9 * (level - 1));
}

static inline int npt_index(gfn_t gfn, int level)
{
	return gfn >> (9 * (level - 1)) & 511;
}

static inline bool npt_is_leaf(u64 entry, int level)
{
	return level == 1 || entry & NPT_PS;
}

/* The table that a present entry above level 1 points to. */
struct page *npt_entry_page(u64 entry);

static inline u64 *npt_entry_table(u64 entry)
{
	return page_address(npt_entry_page(entry));
}

/* A leaf came (1) or went (-1): pages_4k, pages_2m, pages_1g; mmu_lock. */
static inline void npt_count(struct npt *npt, int level, int change)
{
	(&npt->kvm->stat.pages_4k)[level - 1] += change;
}

/* npt.c */
int npt_pool_fill(struct npt *npt);
struct page *npt_pool_take(struct npt *npt);	/* NULL: fill, and fault again */
u64 npt_table_entry(struct page *page);
/* Make *entry non-present; a table below it goes to pending. */
void npt_remove(struct npt *npt, u64 *entry, int level);
void npt_free_pending(struct npt *npt);

/* npt_host.c */

/* What the host's page tables say about one address. */
struct npt_host_map {
	kpfn_t pfn;		/* of the 4 KiB page at the address */
	bool writable;
	bool huge;		/* by a 2 MiB or larger entry */
};

/*
 * Look hva up in mm; false if nothing normal is mapped there, or not with
 * write access if write. The answer holds while mmu_lock is held and no
 * invalidation of hva is in progress; no reference is taken.
 */
bool npt_host_lookup(struct mm_struct *mm, unsigned long hva, bool write,
		     struct npt_host_map *map);

#endif
