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

#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/timekeeping.h>

/* ---- time ---- */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*fn)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#endif

/* One moment: cycles, raw and wall time; the snapshot names its clock in 7.x. */
static inline void compat_clock_snapshot(struct system_time_snapshot *snap,
					 ktime_t *raw, ktime_t *real)
{
#ifdef COMPAT_SNAPSHOT_ID
	ktime_get_snapshot_id(CLOCK_REALTIME, snap);
	*raw = snap->monoraw;
	*real = snap->systime;
#else
	ktime_get_snapshot(snap);
	*raw = snap->raw;
	*real = snap->real;
#endif
}

/* ---- mmu notifier: what its questions about young pages return ---- */

#ifdef COMPAT_YOUNG_BOOL
typedef bool compat_young_t;
#else
typedef int compat_young_t;
#endif

/* ---- workqueues: they say since 6.17 whether they are bound to CPUs ---- */

#ifndef COMPAT_WQ_PERCPU
#define WQ_PERCPU	0
#endif

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
	__acquire(lock);
	*pfn = pte_pfn(*pte);
	*writable = pte_write(*pte);
	pte_unmap_unlock(pte, lock);
	return 0;
#endif
}

/* ---- x86 ---- */

#ifdef CONFIG_X86

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/reboot.h>

#ifdef COMPAT_CPUID_API
#include <asm/cpuid/api.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define rdmsrl(msr, value)	rdmsrq(msr, value)
#define wrmsrl(msr, value)	wrmsrq(msr, value)
#endif

/*
 * A guest ran on this CPU: the kernel issues an IBPB before user space, which
 * the guest may have trained, where it has to (VMSCAPE; since 6.17 and in
 * stable kernels). Preemption is off.
 */
static inline void compat_guest_ran(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/*
 * SRSO, on processors that keep guests from training returns of the host by a
 * bit in an MSR, to be set while there are guests (since 6.14).
 */
static inline void compat_bp_spec_reduce(bool guests)
{
#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
	if (!cpu_feature_enabled(X86_FEATURE_SRSO_BP_SPEC_REDUCE))
		return;
	if (guests)
		msr_set_bit(MSR_ZEN4_BP_CFG, MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
	else
		msr_clear_bit(MSR_ZEN4_BP_CFG, MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
#endif
}

/*
 * SVM on this CPU. In 7.x the kernel keeps EFER.SVME for all hypervisors, by
 * reference, and clears it in a crash; before, a hypervisor did both.
 */
#ifdef COMPAT_VIRT_REF

#include <asm/virt.h>

static inline int compat_svm_on(void)
{
	return x86_virt_get_ref(X86_FEATURE_SVM);
}

static inline void compat_svm_off(void)
{
	x86_virt_put_ref(X86_FEATURE_SVM);
}

#define compat_emergency_register(fn)	((void)(fn))
#define compat_emergency_unregister(fn)	((void)(fn))

#else

static inline int compat_svm_on(void)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	return 0;
}

static inline void compat_svm_off(void)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME) {
		/* A CPU stopped in a guest may have interrupts held back. */
		asm volatile("stgi");
		wrmsrl(MSR_EFER, efer & ~EFER_SVME);
	}
}

#define compat_emergency_register(fn)	cpu_emergency_register_virt_callback(fn)
#define compat_emergency_unregister(fn)	cpu_emergency_unregister_virt_callback(fn)

#endif
#endif	/* CONFIG_X86 */

#endif
