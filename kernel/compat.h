/* SPDX-License-Identifier: GPL-2.0-only */
/* Differences between the kernels we build against, and nothing else. */
#ifndef UNIKVM_COMPAT_H
#define UNIKVM_COMPAT_H

#include <linux/syscore_ops.h>
#include <linux/version.h>

/* Since 6.4 smp_send_reschedule() traces itself; the event is declared here. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <trace/events/ipi.h>
#endif

/* Callbacks of suspend with an argument, and an object to register (6.19). */
#ifdef COMPAT_SYSCORE
#define COMPAT_SYSCORE_ARG void *unused
#else
#define COMPAT_SYSCORE_ARG void
struct syscore {
	struct syscore_ops *ops;
};
#define register_syscore(core)		register_syscore_ops((core)->ops)
#define unregister_syscore(core)	unregister_syscore_ops((core)->ops)
#endif

/* eventfd_signal() lost its count, which was always 1, in 6.8. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define kvm_eventfd_signal(ctx)	((void)eventfd_signal(ctx, 1))
#else
#define kvm_eventfd_signal(ctx)	eventfd_signal(ctx)
#endif

#include <linux/mm.h>

/* ---- get_user_pages ---- */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define COMPAT_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define COMPAT_FOLL_INTERRUPTIBLE	0
#endif

/* Since 6.17 pages of devices (DAX) look like any other to us. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define COMPAT_DEVMAP(level, entry)	false
#else
#define COMPAT_DEVMAP(level, entry)	level##_devmap(entry)
#endif

/*
 * The page number at addr of a VM_IO or VM_PFNMAP vma, as far as it is mapped;
 * mmap_lock is held. 0 or -errno.
 */
static inline int compat_follow_pfn(struct vm_area_struct *vma,
				    unsigned long addr, u64 *pfn,
				    bool *writable)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
	return 0;
#else
	spinlock_t *lock;
	pte_t *pte;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	int ret = follow_pte(vma, addr, &pte, &lock);
#else
	int ret = follow_pte(vma->vm_mm, addr, &pte, &lock);
#endif

	if (ret)
		return ret;
	*pfn = pte_pfn(*pte);
	*writable = pte_write(*pte);
	pte_unmap_unlock(pte, lock);
	return 0;
#endif
}

#endif
