// SPDX-License-Identifier: GPL-2.0-only
/* Events on their way into the guest: queues, priority, windows. */
#include <linux/export.h>

#include "x86.h"
#include "event_logic.h"
#include "trace.h"

#define DR7_GD		BIT(13)

/* ---- raising ---- */

void x86_deliver_payload(struct x86_vcpu *v)
{
	struct x86_exception *e = &v->exception;

	if (!e->has_payload)
		return;
	if (e->vector == PF_VECTOR) {
		v->cr2 = e->payload;
	} else if (e->vector == DB_VECTOR) {
		/* The four breakpoint bits are replaced, the rest added. */
		v->dr6 = (v->dr6 & ~0xfULL) | DR6_ONES |
			 (e->payload & DR6_CAUSES);
		x86_ops->dr_changed(v);
	}
	e->has_payload = false;
}

static void set_exception(struct x86_vcpu *v, u8 vector, bool has_error,
			  u32 error, bool has_payload, u64 payload)
{
	v->exception = (struct x86_exception) {
		.pending = true,
		.vector = vector,
		.has_error_code = has_error && is_protmode(v),
		.error_code = error,
		.has_payload = has_payload,
		.payload = payload,
	};
	/*
	 * User space that does not know payloads must find CR2 and DR6
	 * already changed when it reads the registers.
	 */
	if (!to_x86_vm(v->vcpu.kvm)->exception_payload_enabled)
		x86_deliver_payload(v);
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
}

static void raise(struct x86_vcpu *v, u8 vector, bool has_error, u32 error,
		  bool has_payload, u64 payload)
{
	struct x86_exception *e = &v->exception;

	if (e->pending || e->injected) {
		switch (exception_merge(e->vector, vector)) {
		case MERGE_TRIPLE_FAULT:
			e->pending = e->injected = false;
			kvm_make_request(X86_REQ_TRIPLE_FAULT, &v->vcpu);
			return;
		case MERGE_DOUBLE_FAULT:
			set_exception(v, DF_VECTOR, true, 0, false, 0);
			return;
		case MERGE_REPLACE:
			break;
		}
	}
	set_exception(v, vector, has_error, error, has_payload, payload);
}

void x86_queue_exception(struct x86_vcpu *v, u8 vector)
{
	raise(v, vector, false, 0, false, 0);
}
EXPORT_SYMBOL_GPL(x86_queue_exception);

void x86_queue_exception_e(struct x86_vcpu *v, u8 vector, u32 error_code)
{
	raise(v, vector, true, error_code, false, 0);
}
EXPORT_SYMBOL_GPL(x86_queue_exception_e);

void x86_queue_exception_p(struct x86_vcpu *v, u8 vector, u64 payload)
{
	raise(v, vector, false, 0, true, payload);
}
EXPORT_SYMBOL_GPL(x86_queue_exception_p);

void x86_queue_page_fault(struct x86_vcpu *v, u64 cr2, u32 error_code)
{
	raise(v, PF_VECTOR, true, error_code, true, cr2);
}

void x86_queue_emul_fault(struct x86_vcpu *v, const struct emul_fault *f)
{
	if (f->vector == PF_VECTOR)
		x86_queue_page_fault(v, f->cr2, f->error_code);
	else if (f->vector == DB_VECTOR)
		x86_queue_exception_p(v, DB_VECTOR, f->cr2);
	else if (f->has_error_code)
		x86_queue_exception_e(v, f->vector, f->error_code);
	else
		x86_queue_exception(v, f->vector);
}

/* ---- events whose delivery exited ---- */

void x86_requeue_exception(struct x86_vcpu *v, u8 vector, bool has_error_code,
			   u32 error_code)
{
	v->exception = (struct x86_exception) {
		.injected = true,
		.vector = vector,
		.has_error_code = has_error_code,
		.error_code = error_code,
	};
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
}
EXPORT_SYMBOL_GPL(x86_requeue_exception);

void x86_requeue_interrupt(struct x86_vcpu *v, u8 vector, bool soft)
{
	v->interrupt.injected = true;
	v->interrupt.soft = soft;
	v->interrupt.vector = vector;
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
}
EXPORT_SYMBOL_GPL(x86_requeue_interrupt);

void x86_requeue_nmi(struct x86_vcpu *v)
{
	v->nmi_injected = true;
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
}
EXPORT_SYMBOL_GPL(x86_requeue_nmi);

/* Delivered, or about to be reported again by the exit: forget them. */
void x86_clear_injected(struct x86_vcpu *v)
{
	v->exception.injected = false;
	v->interrupt.injected = false;
	v->nmi_injected = false;
}
EXPORT_SYMBOL_GPL(x86_clear_injected);

/* ---- NMI ---- */

void x86_inject_nmi(struct x86_vcpu *v)
{
	atomic_inc(&v->nmi_queued);
	kvm_make_request(X86_REQ_NMI, &v->vcpu);
	kvm_vcpu_kick(&v->vcpu);
}

/*
 * One NMI may wait behind one in service (APM vol. 2 8.2.3): more collapse.
 * With none in service two may be pending, the second latched by the first.
 */
static void collect_nmis(struct x86_vcpu *v)
{
	unsigned int limit = 2;
	unsigned int queued = atomic_xchg(&v->nmi_queued, 0);

	if (v->nmi_injected || x86_ops->get_nmi_mask(v))
		limit = 1;
	v->nmi_pending = min(v->nmi_pending + queued, limit);
}

/* ---- what is pending ---- */

bool x86_event_pending(struct x86_vcpu *v)
{
	if (v->exception.pending ||
	    kvm_test_request(X86_REQ_TRIPLE_FAULT, &v->vcpu))
		return true;
	if (atomic_read(&v->nmi_queued) ||
	    (v->nmi_pending && x86_ops->nmi_allowed(v)))
		return true;
	if (x86_irq_pending(v) && x86_op(interrupt_allowed)(v))
		return true;
	return v->lapic && x86_lapic_timer_pending(v);
}

/* Is there a way in for interrupts of user space's own PIC? */
bool x86_accepts_user_irq(struct x86_vcpu *v)
{
	enum x86_irqchip_mode mode = to_x86_vm(v->vcpu.kvm)->irqchip;

	if (mode == X86_IRQCHIP_SPLIT)
		return x86_lapic_accepts_pic(v) &&
		       v->pending_external_vector == -1;
	return mode != X86_IRQCHIP_KERNEL;
}

/* May user space hand an interrupt in with KVM_INTERRUPT now? */
bool x86_ready_for_interrupt(struct x86_vcpu *v)
{
	if (to_x86_vm(v->vcpu.kvm)->irqchip == X86_IRQCHIP_KERNEL)
		return true;
	if (!x86_accepts_user_irq(v))
		return false;
	return x86_op(interrupt_allowed)(v) && !v->interrupt.injected &&
	       !v->exception.pending && !v->exception.injected &&
	       !v->nmi_injected;
}

/* ---- injection, in the order of APM vol. 2 table 8-9 ---- */

static void inject_pending_exception(struct x86_vcpu *v)
{
	struct x86_exception *e = &v->exception;

	if (exception_is_fault(e->vector))
		v->rflags |= X86_EFLAGS_RF;
	x86_deliver_payload(v);
	if (e->vector == DB_VECTOR && v->dr7 & DR7_GD) {
		v->dr7 &= ~DR7_GD;
		x86_ops->dr_changed(v);
	}
	e->pending = false;
	e->injected = true;
	trace_kvm_inj_exception(e, false);
	x86_ops->inject_exception(v);
}

/* Hand what was under way to the processor again. True if there was one. */
static bool reinject(struct x86_vcpu *v)
{
	if (v->exception.injected) {
		trace_kvm_inj_exception(&v->exception, true);
		x86_ops->inject_exception(v);
	} else if (v->nmi_injected) {
		x86_ops->inject_nmi(v);
	} else if (v->interrupt.injected) {
		trace_kvm_inj_virq(v->interrupt.vector, v->interrupt.soft,
				   true);
		x86_ops->inject_interrupt(v);
	} else {
		return false;
	}
	return true;
}

static bool inject_nmi(struct x86_vcpu *v, bool can_inject)
{
	if (!v->nmi_pending)
		return can_inject;
	if (can_inject && x86_ops->nmi_allowed(v)) {
		v->nmi_pending--;
		v->nmi_injected = true;
		v->vcpu.stat.nmi_injections++;
		x86_ops->inject_nmi(v);
		can_inject = false;
	}
	if (v->nmi_pending)
		x86_ops->enable_nmi_window(v);
	return can_inject;
}

static int inject_irq(struct x86_vcpu *v, bool can_inject)
{
	int vector;

	if (!x86_irq_pending(v))
		return 0;
	if (can_inject && x86_op(interrupt_allowed)(v)) {
		vector = x86_irq_ack(v);
		if (vector < 0)		/* withdrawn since we looked */
			return 0;
		v->interrupt = (struct x86_interrupt) {
			.injected = true,
			.vector = vector,
		};
		v->vcpu.stat.irq_injections++;
		trace_kvm_inj_virq(vector, false, false);
		x86_ops->inject_interrupt(v);
	}
	if (x86_irq_pending(v))
		x86_ops->enable_irq_window(v);
	return 0;
}

/*
 * At most one event goes in per entry; for each that must wait, a window is
 * opened, so that we exit as soon as the guest can take it.
 */
int x86_event_inject(struct x86_vcpu *v)
{
	bool can_inject = !reinject(v);

	collect_nmis(v);
	if (v->exception.pending && can_inject) {
		inject_pending_exception(v);
		can_inject = false;
	} else if (v->exception.pending && v->exception.injected) {
		kvm_vm_bug(v->vcpu.kvm, "exception both pending and injected");
		return -EIO;
	}
	if (v->exception.pending)
		return 0;	/* behind a reinjected NMI or interrupt */
	/* A debugger's single step holds asynchronous events back. */
	if (v->guest_debug & KVM_GUESTDBG_BLOCKIRQ)
		return 0;
	can_inject = inject_nmi(v, can_inject);
	return inject_irq(v, can_inject);
}
