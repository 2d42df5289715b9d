// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose is a sample that perf takes on this CPU? The guest's if the interrupt
 * or NMI that takes it ended the guest: the run loop marks just those moments.
 */
#include <linux/perf_event.h>

#include "main.h"

/* NMI context. */
static struct kvm_vcpu *sampled_vcpu(void)
{
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();

	return vcpu && READ_ONCE(vcpu->sampled) ? vcpu : NULL;
}

static unsigned int guest_state(void)
{
	struct kvm_vcpu *vcpu = sampled_vcpu();

	if (!vcpu)
		return 0;
	return PERF_GUEST_ACTIVE |
	       (kvm_arch_vcpu_in_kernel(vcpu) ? 0 : PERF_GUEST_USER);
}

static unsigned long guest_ip(void)
{
	struct kvm_vcpu *vcpu = sampled_vcpu();

	return vcpu ? kvm_arch_vcpu_exit_ip(vcpu) : 0;
}

static struct perf_guest_info_callbacks callbacks = {
	.state = guest_state,
	.get_ip = guest_ip,
};

void kvm_perf_register(void)
{
	perf_register_guest_info_callbacks(&callbacks);
}

void kvm_perf_unregister(void)
{
	perf_unregister_guest_info_callbacks(&callbacks);
}
