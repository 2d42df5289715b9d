// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one file that sees the kernel's own <linux/kvm_host.h>.
 *
 * The kernel handles pending signals, task work and rescheduling before a
 * guest entry for its own struct kvm_vcpu, and writes the exit reason and one
 * counter there. It is given such an object whose run page is ours; nothing
 * else of it is used.
 */
#include <linux/export.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>

/* Renamed, and without the vCPU in its call, in 6.19. */
#ifdef COMPAT_ENTRY_VIRT
#include <linux/entry-virt.h>
#define handle_work	kvm_xfer_to_guest_mode_handle_work
#else
#include <linux/entry-kvm.h>
#define handle_work	xfer_to_guest_mode_handle_work
#endif

#include "hostwork.h"

void *hostwork_alloc(void *run)
{
	struct kvm_vcpu *work = kzalloc(sizeof(*work), GFP_KERNEL_ACCOUNT);

	if (work)
		work->run = run;
	return work;
}

void hostwork_free(void *work)
{
	kfree(work);
}

bool hostwork_pending(void)
{
	xfer_to_guest_mode_prepare();
	return __xfer_to_guest_mode_work_pending();
}

bool hostwork_due(void)
{
	return __xfer_to_guest_mode_work_pending();
}

int hostwork_handle(void *work)
{
	return handle_work(work);
}

void guest_timing_enter(void)
{
	guest_timing_enter_irqoff();
}

void guest_timing_exit(void)
{
	guest_timing_exit_irqoff();
}

noinstr void guest_state_enter(void)
{
	guest_state_enter_irqoff();
}
EXPORT_SYMBOL_GPL(guest_state_enter);

noinstr void guest_state_exit(void)
{
	guest_state_exit_irqoff();
}
EXPORT_SYMBOL_GPL(guest_state_exit);
