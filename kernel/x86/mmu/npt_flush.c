// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page tables: making vCPUs forget, and (paranoid) checking that they
 * did.
 *
 * An emulated processor flushes its nested TLB at every VMRUN, so a forgotten
 * flush shows on real ones only. The checks go by what we did, not by what the
 * processor does.
 */
#include <linux/export.h>

#include "npt.h"

void kvm_arch_mmu_flush(struct kvm *kvm)
{
	struct npt *npt = npt_of(kvm);

	lockdep_assert_held_write(&kvm->mmu_lock);
	if (!npt)
		return;
	/* Once. The tables stay on pending, so only the rule is broken. */
	if (unlikely(x86_paranoid && x86_paranoid_break & X86_BREAK_NPT_FLUSH)) {
		x86_paranoid_break &= ~X86_BREAK_NPT_FLUSH;
		return;
	}
	kvm->stat.remote_tlb_flush_requests++;
	if (kvm_kick_all_vcpus(kvm, KVM_REQ_TLB_FLUSH))
		kvm->stat.remote_tlb_flush++;
	/* Pairs with x86_npt_paranoid_check(): the requests came before. */
	smp_store_release(&npt->flushed_gen, npt->removed_gen);
	npt_free_pending(npt);
}

void kvm_arch_mmu_check_flushed(struct kvm *kvm, const char *where)
{
	struct npt *npt = npt_of(kvm);

	lockdep_assert_held_write(&kvm->mmu_lock);
	if (!x86_paranoid || !npt || npt->removed_gen == npt->flushed_gen)
		return;
	pr_warn_ratelimited("unikvm paranoid: %s: NPT entry removed without a flush (generation %llu, flushed %llu)\n",
			    where, npt->removed_gen, npt->flushed_gen);
}

/*
 * removed_gen, not flushed_gen: the flush that made the request may still be
 * waiting for other vCPUs. What was removed by now is gone from the tree, and
 * this vCPU flushes before it enters, so it will not see it.
 */
void x86_npt_note_flush(struct x86_vcpu *v)
{
	v->npt_seen_gen = READ_ONCE(npt_of(v->vcpu.kvm)->removed_gen);
}

/*
 * A flush that is complete was requested of this vCPU before it looked at its
 * requests the last time, or interrupted it after: either way it has flushed.
 */
void x86_npt_paranoid_check(struct x86_vcpu *v)
{
	u64 flushed = smp_load_acquire(&npt_of(v->vcpu.kvm)->flushed_gen);

	if (!x86_paranoid || v->npt_seen_gen >= flushed)
		return;
	if (v->npt_seen_gen && !kvm_test_request(KVM_REQ_TLB_FLUSH, &v->vcpu))
		pr_warn_ratelimited("unikvm paranoid: vCPU %u enters the guest without a flush (generation %llu, flushed %llu)\n",
				    v->vcpu.vcpu_id, v->npt_seen_gen, flushed);
	v->npt_seen_gen = flushed;
}
EXPORT_SYMBOL_GPL(x86_npt_paranoid_check);
