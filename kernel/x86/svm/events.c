// SPDX-License-Identifier: GPL-2.0-only
/* Event injection, windows, and events that an exit interrupted; 15.20. */
#include <asm/processor-flags.h>

#include "svm.h"

/* ---- injection ---- */

static void inject(struct svm_vcpu *svm, u8 type, u8 vector, bool has_error,
		   u32 error)
{
	struct vmcb_control *c = &svm->vmcb->control;
	u32 event = event_encode(type, vector, has_error,
				 is_protmode(&svm->x86));

	/*
	 * User space sets events freely, and the mode after them: what the
	 * processor would refuse goes without its error code, or not at all.
	 */
	if (!event && has_error)
		event = event_encode(type, vector, false, true);
	c->event_inj = event;
	c->event_inj_err = event & EVENT_HAS_ERROR ? error : 0;
}

static bool is_software(u8 vector)
{
	return vector == BP_VECTOR || vector == OF_VECTOR;
}

/* Of an event in EXITINTINFO: did an INT n, INT3 or INTO raise it? */
bool svm_event_is_software(u32 info)
{
	u8 type = (info & EVENT_TYPE_MASK) >> EVENT_TYPE_SHIFT;

	return type == EVENT_TYPE_SOFT ||
	       (type == EVENT_TYPE_EXCEPTION &&
		is_software(info & EVENT_VECTOR_MASK));
}

static void set_soft(struct svm_vcpu *svm, u8 vector)
{
	svm->soft_event = true;
	svm->soft_len = x86_int_length(&svm->x86, vector);
}

/*
 * Software events return behind their instruction, and user space hands them
 * in while RIP is still at it; svm_load_rip() does the rest.
 */
void svm_inject_exception(struct x86_vcpu *v)
{
	const struct x86_exception *e = &v->exception;

	if (is_software(e->vector))
		set_soft(to_svm(v), e->vector);
	inject(to_svm(v), EVENT_TYPE_EXCEPTION, e->vector, e->has_error_code,
	       e->error_code);
}

void svm_inject_interrupt(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);

	if (v->interrupt.soft)
		set_soft(svm, v->interrupt.vector);
	inject(svm, svm->soft_len ? EVENT_TYPE_SOFT : EVENT_TYPE_INTR,
	       v->interrupt.vector, false, 0);
}

void svm_inject_nmi(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);

	inject(svm, EVENT_TYPE_NMI, 2, false, 0);
	svm_set_nmi_mask(v, true);
}

/* The entry does not happen: what was handed over goes back. */
void svm_cancel_injection(struct x86_vcpu *v)
{
	to_svm(v)->vmcb->control.event_inj = 0;
	to_svm(v)->soft_event = false;
	to_svm(v)->soft_len = 0;
}

/* ---- after an exit ---- */

static void nmi_iret_done(struct svm_vcpu *svm)
{
	if (!svm->iret_pending || svm->x86.rip == svm->iret_rip)
		return;
	svm->iret_pending = false;
	svm->nmi_masked = false;
	kvm_make_request(X86_REQ_EVENT, &svm->x86.vcpu);
}

/*
 * Where the guest goes on when the event going in returns: NRIP tells the
 * processor, 15.20; one without it gets the RIP behind the instruction.
 */
void svm_load_rip(struct svm_vcpu *svm)
{
	struct vmcb *vmcb = svm->vmcb;
	u64 next = svm->x86.rip + svm->soft_len;

	svm->entry_rip = svm->x86.rip;
	vmcb->save.rip = svm_nrips ? svm->entry_rip : next;
	if (unlikely(svm->soft_event))
		vmcb->control.next_rip = next;
}

/* Did the software event that went in not arrive? Then RIP goes back. */
static bool soft_interrupted(struct svm_vcpu *svm)
{
	const struct vmcb_control *c = &svm->vmcb->control;
	u8 type = (c->exit_int_info & EVENT_TYPE_MASK) >> EVENT_TYPE_SHIFT;
	u64 rip = svm->entry_rip + (svm_nrips ? 0 : svm->soft_len);
	bool delivering = c->exit_int_info & EVENT_VALID &&
			  (type == EVENT_TYPE_EXCEPTION ||
			   type == EVENT_TYPE_SOFT);

	if (svm->x86.rip != rip ||
	    !(delivering || c->exit_code == SVM_EXIT_INVALID))
		return false;
	svm->x86.rip = svm->entry_rip;
	return true;
}

/*
 * What was being delivered when the guest exited is delivered again. An INT n,
 * INT3 or INTO of the guest's own is not: RIP still points to it, and it simply
 * runs again.
 */
void svm_complete_events(struct svm_vcpu *svm)
{
	struct vmcb_control *c = &svm->vmcb->control;
	struct x86_vcpu *v = &svm->x86;
	u32 info = c->exit_int_info;
	u8 vector = info & EVENT_VECTOR_MASK;
	bool again = unlikely(svm->soft_event) && soft_interrupted(svm);

	svm->soft_event = false;
	svm->soft_len = 0;
	x86_clear_injected(v);
	nmi_iret_done(svm);
	if (!(info & EVENT_VALID))
		return;
	switch ((info & EVENT_TYPE_MASK) >> EVENT_TYPE_SHIFT) {
	case EVENT_TYPE_NMI:
		x86_requeue_nmi(v);
		break;
	case EVENT_TYPE_EXCEPTION:
		if (again || !is_software(vector))
			x86_requeue_exception(v, vector,
					      info & EVENT_HAS_ERROR,
					      c->exit_int_info_err);
		break;
	case EVENT_TYPE_INTR:
		x86_requeue_interrupt(v, vector, false);
		break;
	case EVENT_TYPE_SOFT:
		if (again)
			x86_requeue_interrupt(v, vector, true);
		break;
	default:
		break;
	}
}

/* ---- interrupts ---- */

u8 svm_get_interrupt_shadow(struct x86_vcpu *v)
{
	/* The processor does not tell MOV SS from STI: report both. */
	return to_svm(v)->vmcb->control.int_state & INT_STATE_SHADOW ?
	       KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS : 0;
}

void svm_set_interrupt_shadow(struct x86_vcpu *v, u8 mask)
{
	struct vmcb_control *c = &to_svm(v)->vmcb->control;

	if (mask)
		c->int_state |= INT_STATE_SHADOW;
	else
		c->int_state &= ~INT_STATE_SHADOW;
}

bool svm_interrupt_allowed(struct x86_vcpu *v)
{
	return v->rflags & X86_EFLAGS_IF && !svm_get_interrupt_shadow(v);
}

/*
 * A virtual interrupt of no meaning: its intercept tells when IF is set. QEMU's
 * emulation up to 7.2 aborts on a write to CR8 meanwhile: do not let it see one.
 */
void svm_enable_irq_window(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	struct vmcb_control *c = &svm->vmcb->control;

	if (vmcb_intercepts(c, INTERCEPT_VINTR))
		return;
	vmcb_intercept(c, INTERCEPT_VINTR);
	vmcb_intercept(c, INTERCEPT_CR8_WRITE);
	c->int_ctl = (c->int_ctl & ~V_INTR_PRIO_MASK) | V_IRQ |
		     V_IGN_TPR | 0xfU << V_INTR_PRIO_SHIFT;
	c->int_vector = 0;
	vmcb_dirty(svm->vmcb, CLEAN_INTERCEPTS);
	vmcb_dirty(svm->vmcb, CLEAN_TPR);
}

void svm_disable_irq_window(struct svm_vcpu *svm)
{
	struct vmcb_control *c = &svm->vmcb->control;

	vmcb_no_intercept(c, INTERCEPT_VINTR);
	vmcb_no_intercept(c, INTERCEPT_CR8_WRITE);
	c->int_ctl &= ~(V_IRQ | V_IGN_TPR | V_INTR_PRIO_MASK);
	vmcb_dirty(svm->vmcb, CLEAN_INTERCEPTS);
	vmcb_dirty(svm->vmcb, CLEAN_TPR);
}

void svm_update_cr8_intercept(struct x86_vcpu *v, int tpr_threshold)
{
	struct svm_vcpu *svm = to_svm(v);
	struct vmcb_control *c = &svm->vmcb->control;
	bool want = tpr_threshold >= 0 || vmcb_intercepts(c, INTERCEPT_VINTR);

	if (vmcb_intercepts(c, INTERCEPT_CR8_WRITE) == want)
		return;
	vmcb_intercept_if(c, INTERCEPT_CR8_WRITE, want);
	vmcb_dirty(svm->vmcb, CLEAN_INTERCEPTS);
}

/* ---- NMIs: the guest's IRET is intercepted to see when they unblock ---- */

bool svm_get_nmi_mask(struct x86_vcpu *v)
{
	return to_svm(v)->nmi_masked;
}

void svm_set_nmi_mask(struct x86_vcpu *v, bool masked)
{
	struct svm_vcpu *svm = to_svm(v);

	svm->nmi_masked = masked;
	svm->iret_pending = false;
	vmcb_intercept_if(&svm->vmcb->control, INTERCEPT_IRET, masked);
	vmcb_dirty(svm->vmcb, CLEAN_INTERCEPTS);
}

bool svm_nmi_allowed(struct x86_vcpu *v)
{
	return !to_svm(v)->nmi_masked && !svm_get_interrupt_shadow(v);
}

void svm_enable_nmi_window(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);

	if (svm->nmi_masked && !svm->iret_pending)
		return;		/* the intercepted IRET will tell */
	if (svm->nmi_singlestep)
		return;
	/* One instruction further: the IRET is done, or the shadow over. */
	svm->nmi_singlestep = true;
}
