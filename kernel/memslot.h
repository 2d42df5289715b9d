/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory slots, as their own files see them; others use kvm_internal.h. */
#ifndef UNIKVM_MEMSLOT_H
#define UNIKVM_MEMSLOT_H

#include "kvm_internal.h"

/* memslot.c */
struct kvm_memslot *kvm_memslot_in(const struct kvm_memslots *table, gfn_t gfn);
/* slot covers gfn; the result is page aligned */
unsigned long kvm_memslot_hva(const struct kvm_memslot *slot, gfn_t gfn);

/* dirtylog.c; slots_lock held */
int kvm_dirty_bitmap_alloc(struct kvm *kvm, struct kvm_memslot *slot);
/* new took old's place without its translations going: catch writes if it
 * logs and old (may be NULL) did not.
 */
void kvm_dirty_log_protect_new(struct kvm *kvm, const struct kvm_memslot *old,
			       const struct kvm_memslot *new);

#endif
