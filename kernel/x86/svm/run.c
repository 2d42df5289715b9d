// SPDX-License-Identifier: GPL-2.0-only
/* Entry into and exit from the guest, and what a change of CPU asks for. */
#include <linux/smp.h>

#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/spec-ctrl.h>

#include "../../hostwork.h"
#include "../trace.h"
#include "svm.h"

#define ALL_CLEAN	((1U << NR_CLEAN) - 1)

/* ---- on which CPU ---- */

/*
 * Without LBR virtualization the guest would run under it: a bus lock of its
 * user's, or a branch that a debugger of the VMM waits for, would trap there.
 */
static u64 host_debugctl(void)
{
	u64 value = 0;

	if (boot_cpu_has(X86_FEATURE_BUS_LOCK_DETECT) ||
	    test_thread_flag(TIF_BLOCKSTEP))
		rdmsrl(MSR_IA32_DEBUGCTLMSR, value);
	return value;
}

void svm_vcpu_load(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);

	sc->debugctl = host_debugctl();
	if (sc->last_vmcb != svm->vmcb) {
		sc->last_vmcb = svm->vmcb;
		indirect_branch_prediction_barrier();
	}
}

/*
 * TSC_AUX is the host's CPU number for its user space only: the guest's
 * value may stay until the vCPU leaves the CPU.
 */
static void load_tsc_aux(struct x86_vcpu *v, struct svm_cpu *sc)
{
	if (!boot_cpu_has(X86_FEATURE_RDTSCP) &&
	    !boot_cpu_has(X86_FEATURE_RDPID))
		return;
	if (!sc->guest_tsc_aux) {
		rdmsrl(MSR_TSC_AUX, sc->tsc_aux);
		sc->guest_tsc_aux = true;
		wrmsrl(MSR_TSC_AUX, v->msrs.tsc_aux);
	}
}

void svm_vcpu_put(struct x86_vcpu *v)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);

	if (sc->guest_tsc_aux) {
		wrmsrl(MSR_TSC_AUX, sc->tsc_aux);
		sc->guest_tsc_aux = false;
	}
}

/* ---- translations ---- */

void svm_flush_tlb(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	u8 control = asid_flush(&svm->asid, svm_flush_by_asid);

	svm->tlb_control = max(svm->tlb_control, control);
}

void svm_flush_tlb_gva(struct x86_vcpu *v, gva_t gva)
{
	svm_flush_tlb(v);	/* rare: INVLPG is not intercepted */
}

static void assign_asid(struct svm_vcpu *svm, struct svm_cpu *sc)
{
	u8 control = asid_assign(&sc->asids, &svm->asid);

	/* FLUSH_ALL of the pool includes FLUSH_ASID of this guest. */
	svm->vmcb->control.tlb_control = control ?: svm->tlb_control;
	if (svm->vmcb->control.asid != svm->asid.value) {
		svm->vmcb->control.asid = svm->asid.value;
		vmcb_dirty(svm->vmcb, CLEAN_ASID);
	}
}

/* Preemption is off: this is the CPU that the entry will be on. */
void svm_prepare_entry(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);

	/*
	 * Another processor's copies and ASIDs mean nothing here. Not at the
	 * load, which may come while the thread changes either.
	 */
	if (svm->cpu != v->vcpu.cpu) {
		svm->cpu = v->vcpu.cpu;
		svm->vmcb->control.clean = 0;
		svm->asid.generation = 0;
	}
	assign_asid(svm, sc);
	load_tsc_aux(v, sc);
}

/* ---- paranoid: did we say "clean" of something that we changed? ---- */

static void paranoid_check(struct svm_vcpu *svm)
{
	struct vmcb *vmcb = svm->vmcb;
	u32 lies;

	if (x86_paranoid_break & X86_BREAK_CLEAN_BITS &&
	    vmcb->control.clean & 1U << CLEAN_TPR) {
		x86_paranoid_break &= ~X86_BREAK_CLEAN_BITS;
		vmcb->control.int_vector ^= 1;
	}
	/* The check may have been switched on since the last exit. */
	lies = svm->shadow_valid ? vmcb->control.clean &
		vmcb_changed_groups(vmcb, svm->shadow) : 0;
	if (lies) {
		pr_warn_ratelimited("unikvm paranoid: VMCB groups %#x changed under set clean bits (rip %#llx, exit %#llx)\n",
				    lies, svm->x86.rip,
				    vmcb->control.exit_code);
		vmcb->control.clean &= ~lies;
	}
	x86_npt_paranoid_check(&svm->x86);
}

/* ---- registers between the vCPU and its VMCB ---- */

/* TF is to be ours for this entry; v->rflags has only the guest's own. */
static bool steps_for_us(const struct svm_vcpu *svm)
{
	return (svm->x86.guest_debug & KVM_GUESTDBG_SINGLESTEP ||
		svm->nmi_singlestep) && !svm->guest_tf;
}

static void load_registers(struct svm_vcpu *svm)
{
	struct x86_vcpu *v = &svm->x86;
	struct vmcb *vmcb = svm->vmcb;
	struct vmcb_save *s = &vmcb->save;
	u32 int_ctl = (vmcb->control.int_ctl & ~V_TPR_MASK) |
		      (v->cr8 & V_TPR_MASK);

	s->rax = v->gpr[REG_RAX];
	s->rsp = v->gpr[REG_RSP];
	svm_load_rip(svm);
	s->rflags = v->rflags;
	svm->guest_tf = v->rflags & X86_EFLAGS_TF;
	if (unlikely(steps_for_us(svm)))
		s->rflags |= X86_EFLAGS_TF;
	if (s->cr2 != v->cr2) {
		s->cr2 = v->cr2;
		vmcb_dirty(vmcb, CLEAN_CR2);
	}
	/* Empty, so that a #DB tells its own causes; the guest's is in v. */
	if (s->dr6 != DR6_ONES) {
		s->dr6 = DR6_ONES;
		vmcb_dirty(vmcb, CLEAN_DRX);
	}
	if (s->g_pat != v->msrs.pat) {
		s->g_pat = v->msrs.pat;
		vmcb_dirty(vmcb, CLEAN_NP);
	}
	if (vmcb->control.int_ctl != int_ctl) {
		vmcb->control.int_ctl = int_ctl;
		vmcb_dirty(vmcb, CLEAN_TPR);
	}
}

static void store_cr8(struct svm_vcpu *svm)
{
	struct x86_vcpu *v = &svm->x86;
	u64 cr8 = svm->vmcb->control.int_ctl & V_TPR_MASK;

	if (v->cr8 == cr8)
		return;
	v->cr8 = cr8;
	if (v->lapic)
		x86_lapic_set_tpr(v, cr8 << 4);
}

/* An IRET that was stepped over has loaded the guest's flags. */
static bool tf_is_ours(const struct svm_vcpu *svm)
{
	return steps_for_us(svm) &&
	       !(svm->iret_pending && svm->x86.rip != svm->iret_rip);
}

static void store_registers(struct svm_vcpu *svm)
{
	struct x86_vcpu *v = &svm->x86;
	const struct vmcb_save *s = &svm->vmcb->save;
	const struct vmcb_control *c = &svm->vmcb->control;
	u64 hidden = X86_CR0_CD | X86_CR0_NW;

	v->gpr[REG_RAX] = s->rax;
	v->gpr[REG_RSP] = s->rsp;
	v->rip = s->rip;
	v->rflags = s->rflags;
	if (unlikely(tf_is_ours(svm)))
		v->rflags &= ~(u64)X86_EFLAGS_TF;
	v->cr0 = (v->cr0 & hidden) | (s->cr0 & ~hidden);
	v->cr2 = s->cr2;
	v->cr3 = s->cr3;
	v->next_rip = svm_nrips ? c->next_rip : 0;
	v->insn_len = svm_decode_assists ? vmcb_insn_bytes(c, v->insn_bytes) : 0;
	store_cr8(svm);
}

/* ---- the switch ---- */

static noinstr void enter(struct svm_vcpu *svm, hpa_t host_pa)
{
	guest_state_enter();
	svm_enter(svm->x86.gpr, svm->vmcb_pa, host_pa);
	guest_state_exit();
}

/*
 * The guest's SPEC_CTRL is added to the host's, as processors do that switch
 * it by themselves: what protects the host stays on.
 */
static void spec_ctrl_switch(struct x86_vcpu *v, bool guest)
{
	u64 host;

	/* The old interface to SSBD alone, by another MSR. */
	x86_virt_spec_ctrl(v->msrs.spec_ctrl, guest);
	if (!boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		return;
	host = this_cpu_read(x86_spec_ctrl_current);
	if (v->msrs.spec_ctrl & ~host)
		wrmsrl(MSR_IA32_SPEC_CTRL,
		       guest ? host | v->msrs.spec_ctrl : host);
}

/*
 * An event goes in while we single-step for the NMI window: the TF that is
 * ours would be saved on the guest's stack. Step later; the interrupt that we
 * send to ourselves ends the guest right after the delivery.
 */
static void postpone_singlestep(struct svm_vcpu *svm)
{
	svm->nmi_singlestep = false;
	kvm_make_request(X86_REQ_EVENT, &svm->x86.vcpu);
	smp_send_reschedule(smp_processor_id());
}

/* Interrupts off. */
void svm_run(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	struct vmcb_control *c = &svm->vmcb->control;
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);
	bool paranoid = READ_ONCE(x86_paranoid);
	bool immediate_exit = false;

	if (unlikely(svm->nmi_singlestep) && c->event_inj & EVENT_VALID) {
		postpone_singlestep(svm);
		immediate_exit = true;
	}
	trace_kvm_entry(v, immediate_exit);
	load_registers(svm);
	if (unlikely(paranoid))
		paranoid_check(svm);
	x86_lapic_await_deadline(v);
	spec_ctrl_switch(v, true);
	if (unlikely(sc->debugctl))
		wrmsrl(MSR_IA32_DEBUGCTLMSR, 0);
	/* An NMI that ended the guest comes at the STGI inside. */
	WRITE_ONCE(v->vcpu.sampled, true);
	enter(svm, sc->host_vmcb_pa);
	WRITE_ONCE(v->vcpu.sampled, false);
	spec_ctrl_switch(v, false);
	if (unlikely(sc->debugctl))
		wrmsrl(MSR_IA32_DEBUGCTLMSR, sc->debugctl);
	/* The processor keeps it, and the causes of a #DB only add up there. */
	if (unlikely(svm->vmcb->save.dr6 != DR6_ONES))
		set_debugreg(DR6_ONES, 6);
	c->clean = c->exit_code == SVM_EXIT_INVALID ? 0 : ALL_CLEAN;
	/* Only now have the flushes happened: an entry may be called off. */
	if (c->exit_code != SVM_EXIT_INVALID) {
		asid_entered(&sc->asids);
		svm->tlb_control = TLB_CONTROL_NOTHING;
	}
	c->tlb_control = TLB_CONTROL_NOTHING;
	c->event_inj = 0;
	svm->shadow_valid = paranoid;
	if (unlikely(paranoid))
		memcpy(svm->shadow, svm->vmcb, sizeof(*svm->shadow));
	store_registers(svm);
	trace_kvm_exit(v, KVM_ISA_SVM, c->exit_code, c->exit_info_1,
		       c->exit_info_2, c->exit_int_info, c->exit_int_info_err);
	svm_complete_events(svm);
}
