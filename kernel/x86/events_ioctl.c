// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS. */
#include "x86.h"

#define NMI_VECTOR		2
#define LAST_EXCEPTION		31
#define MAX_NMI_PENDING		2

#define EVENTS_FLAGS_KNOWN						\
	(KVM_VCPUEVENT_VALID_NMI_PENDING |				\
	 KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SHADOW |	\
	 KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_PAYLOAD |	\
	 KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

static bool payload_enabled(struct x86_vcpu *v)
{
	return to_x86_vm(v->vcpu.kvm)->exception_payload_enabled;
}

static void get_exception(struct x86_vcpu *v, struct kvm_vcpu_events *ev)
{
	struct x86_exception *e = &v->exception;

	/* Who does not know payloads must find CR2 and DR6 changed already. */
	if (e->pending && e->has_payload && !payload_enabled(v))
		x86_deliver_payload(v);
	ev->exception.injected = e->injected;
	ev->exception.pending = e->pending;
	/* Nor does it know "pending". */
	if (!payload_enabled(v))
		ev->exception.injected |= e->pending;
	ev->exception.nr = e->vector;
	ev->exception.has_error_code = e->has_error_code;
	ev->exception.error_code = e->error_code;
	ev->exception_has_payload = e->has_payload;
	ev->exception_payload = e->payload;
}

int x86_get_vcpu_events(struct x86_vcpu *v, struct kvm_vcpu_events *ev)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	unsigned int nmis;

	memset(ev, 0, sizeof(*ev));
	get_exception(v, ev);
	ev->interrupt.injected = v->interrupt.injected;
	ev->interrupt.soft = v->interrupt.injected && v->interrupt.soft;
	ev->interrupt.nr = v->interrupt.vector;
	ev->interrupt.shadow = x86_ops->get_interrupt_shadow(v);
	nmis = v->nmi_pending + atomic_read(&v->nmi_queued);
	ev->nmi.injected = v->nmi_injected;
	ev->nmi.pending = min(nmis, (unsigned int)MAX_NMI_PENDING);
	ev->nmi.masked = x86_ops->get_nmi_mask(v);
	if (v->lapic)
		ev->smi.latched_init = x86_lapic_get_latched_init(v);
	/* The SIPI vector travels in the LAPIC's state, not here. */
	ev->flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	if (payload_enabled(v))
		ev->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vm->triple_fault_event) {
		ev->triple_fault.pending =
			kvm_test_request(X86_REQ_TRIPLE_FAULT, &v->vcpu);
		ev->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
	return 0;
}

static bool exception_valid(struct x86_vcpu *v,
			    const struct kvm_vcpu_events *ev)
{
	bool with_payload = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD;
	bool any = ev->exception.injected ||
		   (with_payload && ev->exception.pending);

	if (with_payload && !payload_enabled(v))
		return false;
	return !any || (ev->exception.nr <= LAST_EXCEPTION &&
			ev->exception.nr != NMI_VECTOR);
}

static bool events_valid(struct x86_vcpu *v, const struct kvm_vcpu_events *ev)
{
	if (ev->flags & ~EVENTS_FLAGS_KNOWN || !exception_valid(v, ev))
		return false;
	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT &&
	    !to_x86_vm(v->vcpu.kvm)->triple_fault_event)
		return false;
	/* There is no SMM here to be in. */
	return !(ev->flags & KVM_VCPUEVENT_VALID_SMM) ||
	       !(ev->smi.smm || ev->smi.pending || ev->smi.smm_inside_nmi);
}

static void set_exception(struct x86_vcpu *v, const struct kvm_vcpu_events *ev)
{
	struct x86_exception *e = &v->exception;
	bool with_payload = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD;

	*e = (struct x86_exception) {
		.pending = with_payload && ev->exception.pending,
		.vector = ev->exception.nr,
		.has_error_code = ev->exception.has_error_code,
		.error_code = ev->exception.error_code,
	};
	/* Never both: a pending one was not handed to the processor yet. */
	e->injected = ev->exception.injected && !e->pending;
	if (e->pending && ev->exception_has_payload) {
		e->has_payload = true;
		e->payload = ev->exception_payload;
	}
}

static void set_nmi(struct x86_vcpu *v, const struct kvm_vcpu_events *ev)
{
	v->nmi_injected = ev->nmi.injected;
	if (ev->flags & KVM_VCPUEVENT_VALID_NMI_PENDING) {
		v->nmi_pending = 0;
		atomic_set(&v->nmi_queued,
			   min_t(u8, ev->nmi.pending, MAX_NMI_PENDING));
		if (ev->nmi.pending)
			kvm_make_request(X86_REQ_NMI, &v->vcpu);
	}
	x86_ops->set_nmi_mask(v, ev->nmi.masked);
}

static void set_triple_fault(struct x86_vcpu *v, bool pending)
{
	if (pending)
		kvm_make_request(X86_REQ_TRIPLE_FAULT, &v->vcpu);
	else
		kvm_check_request(X86_REQ_TRIPLE_FAULT, &v->vcpu);
}

int x86_set_vcpu_events(struct x86_vcpu *v, const struct kvm_vcpu_events *ev)
{
	if (!events_valid(v, ev))
		return -EINVAL;
	set_exception(v, ev);
	v->interrupt.injected = ev->interrupt.injected;
	v->interrupt.vector = ev->interrupt.nr;
	v->interrupt.soft = ev->interrupt.soft;
	if (ev->flags & KVM_VCPUEVENT_VALID_SHADOW)
		x86_ops->set_interrupt_shadow(v, ev->interrupt.shadow);
	set_nmi(v, ev);
	if (ev->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR && v->lapic)
		v->sipi_vector = ev->sipi_vector;
	if (ev->flags & KVM_VCPUEVENT_VALID_SMM && v->lapic)
		x86_lapic_set_latched_init(v, ev->smi.latched_init);
	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		set_triple_fault(v, ev->triple_fault.pending);
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
	return 0;
}
