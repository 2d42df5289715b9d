// SPDX-License-Identifier: GPL-2.0-only
/* Hypercalls: Documentation/virt/kvm/x86/hypercalls.rst. */
#include <linux/export.h>

#include "cpuid_logic.h"
#include "irqchip/lapic.h"
#include "trace.h"
#include "x86.h"

#define HC_VAPIC_POLL_IRQ	1
#define HC_KICK_CPU		5
#define HC_CLOCK_PAIRING	9
#define HC_SEND_IPI		10
#define HC_SCHED_YIELD		11
#define HC_EPERM		1
#define HC_EINVAL		22
#define HC_EOPNOTSUPP		95
#define HC_ENOSYS		1000

static long kick_apic_id(struct x86_vcpu *v, u32 apic_id)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu_by_id(v->vcpu.kvm, apic_id);

	if (!x86_pv_has(v, CPUID_PV_UNHALT))
		return -HC_ENOSYS;
	if (vcpu) {
		WRITE_ONCE(to_x86(vcpu)->pv_unhalted, true);
		kvm_make_request(X86_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
	}
	return 0;
}

/* The caller waits for a vCPU that has no CPU: let it have ours. */
static long yield_to_apic_id(struct x86_vcpu *v, u32 apic_id)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu_by_id(v->vcpu.kvm, apic_id);

	if (!x86_pv_has(v, CPUID_PV_SCHED_YIELD))
		return -HC_ENOSYS;
	if (vcpu && vcpu != &v->vcpu && READ_ONCE(vcpu->preempted))
		kvm_vcpu_yield_to(vcpu);
	return 0;
}

/* To the APIC ids whose bits are set, the first of them least; by an ICR. */
static long send_ipi(struct x86_vcpu *v, const u64 bits[2], int width,
		     u32 least, u32 icr)
{
	struct apic_irq irq = {
		.vector = icr & 0xff,
		.mode = icr >> 8 & 7,
		.assert = icr & BIT(14),
		.level_trig = icr & BIT(15),
		.ipi = true,
	};
	long ret;

	if (!x86_pv_has(v, CPUID_PV_SEND_IPI))
		return -HC_ENOSYS;
	/* No shorthand, no logical destination: the bits are it. */
	if (icr & (BIT(11) | GENMASK(19, 18)))
		return -HC_EINVAL;
	ret = x86_apic_deliver_bits(to_x86_vm(v->vcpu.kvm), bits, width, least,
				    &irq);
	return ret < 0 ? -HC_EOPNOTSUPP : ret;
}

int x86_emulate_hypercall(struct x86_vcpu *v)
{
	bool wide = is_64bit_mode(v);
	u64 mask = wide ? U64_MAX : U32_MAX;
	u64 nr = v->gpr[REG_RAX] & mask;
	u64 b = v->gpr[REG_RBX] & mask, c = v->gpr[REG_RCX] & mask;
	u64 d = v->gpr[REG_RDX] & mask, s = v->gpr[REG_RSI] & mask;
	long ret = x86_find_next_rip(v);

	v->vcpu.stat.hypercalls++;
	if (ret != 1)
		return ret;
	trace_kvm_hypercall(nr, b, c, d, s);
	if (x86_op(get_cpl)(v))
		ret = -HC_EPERM;
	else if (nr == HC_VAPIC_POLL_IRQ)
		ret = 0;
	else if (nr == HC_KICK_CPU)
		ret = kick_apic_id(v, c);
	else if (nr == HC_CLOCK_PAIRING)
		ret = x86_clock_pairing(v, b, c);
	else if (nr == HC_SEND_IPI)
		ret = send_ipi(v, (u64[]){ b, c }, wide ? 64 : 32, d, s);
	else if (nr == HC_SCHED_YIELD)
		ret = yield_to_apic_id(v, b);
	else
		ret = -HC_ENOSYS;
	v->gpr[REG_RAX] = wide ? ret : (u32)ret;
	return x86_advance_rip(v, v->next_rip);
}
EXPORT_SYMBOL_GPL(x86_emulate_hypercall);
