// SPDX-License-Identifier: GPL-2.0-only
/* kvmclock: the paravirtual clock of a VM, its pages and its ioctls. */
#include <linux/clocksource.h>
#include <linux/irq_work.h>
#include <linux/pvclock_gtod.h>
#include <linux/sched.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <asm/msr.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "cpuid_logic.h"
#include "time_logic.h"
#include "x86.h"

#define MSR_WALL_CLOCK		0x11
#define MSR_SYSTEM_TIME		0x12
#define MSR_WALL_CLOCK_NEW	0x4b564d00
#define MSR_SYSTEM_TIME_NEW	0x4b564d01
#define MSR_STEAL_TIME		0x4b564d03
#define MSR_PV_EOI		0x4b564d04

#define PV_ENABLE		1ULL
#define STEAL_RESERVED		0x3eULL		/* the page is 64-byte aligned */

/* ---- the host's clock ---- */

static DEFINE_MUTEX(clock_vms_lock);
static LIST_HEAD(clock_vms);

/* Written by the timekeeper's notifier only. */
static bool host_clock_is_tsc;
static u8 host_clock_change_seq;
static s64 host_boot_offset;	/* ns slept since boot, from raw to boot time */

/* One moment: raw-plus-slept nanoseconds, wall time, and the TSC at it. */
struct host_moment {
	u64 ns, real, tsc;
};

static u64 host_ns(void)
{
	return ktime_get_raw_ns() + READ_ONCE(host_boot_offset);
}

/* False if the host's clock does not tick by the TSC. */
static bool host_moment(struct host_moment *m)
{
	struct system_time_snapshot snap;
	ktime_t raw, real;

	if (!READ_ONCE(host_clock_is_tsc) || check_tsc_unstable())
		return false;
	compat_clock_snapshot(&snap, &raw, &real);
	/* The clocksource was switched in between: cycles are not the TSC's. */
	if (snap.cs_was_changed_seq != READ_ONCE(host_clock_change_seq))
		return false;
	m->ns = ktime_to_ns(raw) + READ_ONCE(host_boot_offset);
	m->real = ktime_to_ns(real);
	m->tsc = snap.cycles;
	return true;
}

static void clocksource_work_fn(struct work_struct *work)
{
	struct kvm_vcpu *vcpu;
	struct x86_vm *vm;
	unsigned long i;

	mutex_lock(&clock_vms_lock);
	list_for_each_entry(vm, &clock_vms, clock_list) {
		kvm_for_each_vcpu(i, vcpu, &vm->kvm) {
			kvm_make_request(X86_REQ_MASTERCLOCK_UPDATE, vcpu);
			kvm_vcpu_kick(vcpu);
		}
	}
	mutex_unlock(&clock_vms_lock);
}
static DECLARE_WORK(clocksource_work, clocksource_work_fn);

/* The notifier runs under the timekeeper's lock, where nothing may be queued. */
static void clocksource_irq_fn(struct irq_work *work)
{
	schedule_work(&clocksource_work);
}
static DEFINE_IRQ_WORK(clocksource_irq, clocksource_irq_fn);

static int timekeeper_changed(struct notifier_block *nb, unsigned long was_set,
			      void *priv)
{
	const struct timekeeper *tk = priv;
	bool is_tsc = tk->tkr_mono.clock->vdso_clock_mode ==
		      VDSO_CLOCKMODE_TSC;

	WRITE_ONCE(host_boot_offset, ktime_to_ns(tk->offs_boot));
	WRITE_ONCE(host_clock_change_seq, tk->cs_was_changed_seq);
	if (is_tsc != host_clock_is_tsc) {
		WRITE_ONCE(host_clock_is_tsc, is_tsc);
		irq_work_queue(&clocksource_irq);
	}
	return NOTIFY_OK;
}

static struct notifier_block timekeeper_nb = {
	.notifier_call = timekeeper_changed,
};

int x86_time_module_init(void)
{
	/* Calls back at once with the current state. */
	return pvclock_gtod_register_notifier(&timekeeper_nb);
}

void x86_time_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&timekeeper_nb);
	irq_work_sync(&clocksource_irq);
	cancel_work_sync(&clocksource_work);
}

/* ---- the VM's clock ---- */

void x86_time_vm_init(struct x86_vm *vm)
{
	raw_spin_lock_init(&vm->tsc_lock);
	seqcount_raw_spinlock_init(&vm->clock_seq, &vm->tsc_lock);
	mutex_init(&vm->clock_lock);
	vm->default_tsc_khz = x86_host.tsc_khz;
	vm->wall_clock_gpa = INVALID_GPA;
	vm->kvmclock_offset = -(s64)host_ns();
	mutex_lock(&clock_vms_lock);
	list_add(&vm->clock_list, &clock_vms);
	mutex_unlock(&clock_vms_lock);
}

/* Before the vCPUs are freed: the list leads to them. */
void x86_time_vm_destroy(struct x86_vm *vm)
{
	mutex_lock(&clock_vms_lock);
	list_del_init(&vm->clock_list);
	mutex_unlock(&clock_vms_lock);
}

/*
 * The host's TSC may have started anew in its sleep (S3). A guest's must not go
 * back: what is reckoned from the host's moves on. One CPU, no task runs.
 */
void kvm_arch_resume(void)
{
	u64 newest = 0, now = rdtsc();
	struct kvm_vcpu *vcpu;
	struct x86_vm *vm;
	unsigned long i;

	list_for_each_entry(vm, &clock_vms, clock_list)
		kvm_for_each_vcpu(i, vcpu, &vm->kvm)
			newest = max(newest, to_x86(vcpu)->last_host_tsc);
	if (newest <= now)
		return;
	list_for_each_entry(vm, &clock_vms, clock_list) {
		vm->cur_tsc_offset += newest - now;
		/* Its pair is of the old TSC: the vCPUs are to take a new one. */
		vm->use_master_clock = false;
		kvm_for_each_vcpu(i, vcpu, &vm->kvm)
			x86_host_tsc_back(to_x86(vcpu), newest - now);
	}
}

struct vm_clock {
	bool master;
	s64 offset;
	u64 ns, tsc;		/* of the master clock */
};

static struct vm_clock vm_clock_read(struct x86_vm *vm)
{
	struct vm_clock c;
	unsigned int seq;

	do {
		seq = read_seqcount_begin(&vm->clock_seq);
		c.master = vm->use_master_clock;
		c.offset = vm->kvmclock_offset;
		c.ns = vm->master_kernel_ns;
		c.tsc = vm->master_cycle_now;
	} while (read_seqcount_retry(&vm->clock_seq, seq));
	return c;
}

static struct pvclock_scale scale_of(u32 khz)
{
	return pvclock_scale_for((u64)khz * 1000);
}

/* Guest time at the moment; by the guest's own arithmetic if it has a TSC. */
static u64 vm_clock_at(const struct vm_clock *c, const struct host_moment *m)
{
	struct pvclock_scale scale = scale_of(x86_host.tsc_khz);
	u64 ticks = m->tsc - c->tsc;

	/* Taken just before the master clock was moved on. */
	if ((s64)ticks < 0)
		ticks = 0;
	return c->ns + c->offset + pvclock_ticks_to_ns(scale, ticks);
}

static void clock_get(struct x86_vm *vm, struct kvm_clock_data *data)
{
	struct vm_clock c = vm_clock_read(vm);
	struct host_moment m;

	memset(data, 0, sizeof(*data));
	if (!c.master || !host_moment(&m)) {
		data->clock = host_ns() + c.offset;
		return;
	}
	data->clock = vm_clock_at(&c, &m);
	data->realtime = m.real;
	data->host_tsc = m.tsc;
	data->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME |
		      KVM_CLOCK_HOST_TSC;
}

static u64 kvmclock_ns(struct x86_vm *vm)
{
	struct kvm_clock_data data;

	clock_get(vm, &data);
	return data.clock;
}

/* ---- one pair of TSC and time for all vCPUs ---- */

/* The guest's vDSO reads any CPU's TSC against the page of vCPU 0. */
static bool tscs_are_equal(struct x86_vm *vm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 first = 0;

	kvm_for_each_vcpu(i, vcpu, &vm->kvm) {
		u64 offset = READ_ONCE(to_x86(vcpu)->tsc_offset);

		if (!i)
			first = offset;
		else if (offset != first)
			return false;
	}
	return true;
}

/*
 * No vCPU may run on the old pair while another runs on the new one: all
 * leave the guest first, and none comes back before clock_lock is free,
 * because each has X86_REQ_CLOCK_UPDATE to answer.
 */
static void clock_change(struct x86_vm *vm, bool master,
			 const struct host_moment *m, const u64 *new_clock)
{
	u64 now;

	lockdep_assert_held(&vm->clock_lock);
	kvm_kick_all_vcpus(&vm->kvm, X86_REQ_CLOCK_UPDATE);
	now = master ? m->ns : host_ns();
	raw_spin_lock_irq(&vm->tsc_lock);
	write_seqcount_begin(&vm->clock_seq);
	vm->use_master_clock = master;
	if (master) {
		vm->master_kernel_ns = m->ns;
		vm->master_cycle_now = m->tsc;
	}
	if (new_clock)
		vm->kvmclock_offset = *new_clock - now;
	write_seqcount_end(&vm->clock_seq);
	raw_spin_unlock_irq(&vm->tsc_lock);
}

void x86_masterclock_update(struct x86_vm *vm)
{
	struct host_moment m = { };
	bool master;

	mutex_lock(&vm->clock_lock);
	master = tscs_are_equal(vm) && host_moment(&m);
	/* A pair once taken stays good: both sides tick by the same TSC. */
	if (master != vm->use_master_clock)
		clock_change(vm, master, &m, NULL);
	mutex_unlock(&vm->clock_lock);
}

static long set_clock(struct x86_vm *vm, const void __user *argp)
{
	struct host_moment m = { };
	struct kvm_clock_data data;
	u64 real;
	bool master;

	if (copy_from_user(&data, argp, sizeof(data)))
		return -EFAULT;
	if (data.flags & ~(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME |
			   KVM_CLOCK_HOST_TSC))
		return -EINVAL;
	mutex_lock(&vm->clock_lock);
	master = tscs_are_equal(vm) && host_moment(&m);
	real = master ? m.real : ktime_get_real_ns();
	/* Time went on while the guest was between two hosts. */
	if (data.flags & KVM_CLOCK_REALTIME && real > data.realtime)
		data.clock += real - data.realtime;
	clock_change(vm, master, &m, &data.clock);
	mutex_unlock(&vm->clock_lock);
	return 0;
}

/* ---- the pages in guest memory ---- */

/*
 * Write a structure of which `version` is a part: readers retry while it is odd
 * or has changed. It continues from what the page holds, which may come from
 * another host.
 */
static void publish(struct kvm *kvm, gpa_t gpa, void *data, u32 size,
		    u32 *version)
{
	gpa_t at = gpa + ((u8 *)version - (u8 *)data);

	*version = (*version + 1) | 1;
	kvm_write_guest(kvm, at, version, sizeof(*version));
	smp_wmb();
	kvm_write_guest(kvm, gpa, data, size);
	smp_wmb();
	++*version;
	kvm_write_guest(kvm, at, version, sizeof(*version));
}

static void clock_info(struct x86_vcpu *v, struct pvclock_vcpu_time_info *info)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	struct pvclock_scale scale = scale_of(v->tsc_khz);
	struct vm_clock c;
	unsigned long flags;

	/* Waits for a change under way, see clock_change(). */
	mutex_lock(&vm->clock_lock);
	c = vm_clock_read(vm);
	if (!c.master) {
		local_irq_save(flags);
		c.tsc = rdtsc();
		c.ns = host_ns();
		local_irq_restore(flags);
	}
	mutex_unlock(&vm->clock_lock);
	memset(info, 0, sizeof(*info));
	info->tsc_timestamp = x86_guest_tsc(v, c.tsc);
	info->system_time = c.ns + c.offset;
	info->tsc_to_system_mul = scale.mul;
	info->tsc_shift = scale.shift;
	info->flags = c.master ? PVCLOCK_TSC_STABLE_BIT : 0;
}

int x86_clock_update(struct x86_vcpu *v)
{
	struct kvm *kvm = v->vcpu.kvm;
	gpa_t gpa = v->pv.system_time_msr & ~PV_ENABLE;
	struct pvclock_vcpu_time_info info, old;

	clock_info(v, &info);
	if (!(v->pv.system_time_msr & PV_ENABLE) ||
	    kvm_read_guest(kvm, gpa, &old, sizeof(old)))
		return 0;
	info.version = old.version;
	/* The guest clears this bit when it has seen it. */
	info.flags |= old.flags & PVCLOCK_GUEST_STOPPED;
	if (v->pv.guest_stopped)
		info.flags |= PVCLOCK_GUEST_STOPPED;
	v->pv.guest_stopped = false;
	publish(kvm, gpa, &info, sizeof(info), &info.version);
	return 0;
}

/* Wall time at the moment when the guest's clock was 0. */
static void wall_clock_write(struct kvm *kvm, gpa_t gpa)
{
	struct pvclock_wall_clock wc;
	u64 ns;
	u32 rem;

	if (kvm_read_guest(kvm, gpa, &wc.version, sizeof(wc.version)))
		return;
	ns = ktime_get_real_ns() - kvmclock_ns(to_x86_vm(kvm));
	wc.sec = div_u64_rem(ns, NSEC_PER_SEC, &rem);
	wc.nsec = rem;
	publish(kvm, gpa, &wc, sizeof(wc), &wc.version);
}

/*
 * KVM_HC_CLOCK_PAIRING: the host's wall time and the guest's TSC, at once. The
 * numbers of its errors are the host's own.
 */
long x86_clock_pairing(struct x86_vcpu *v, gpa_t gpa, u64 type)
{
	struct {
		s64 sec, nsec;
		u64 tsc;
		u32 flags, pad[9];
	} pair = { };
	struct host_moment m;
	u32 rem;

	if (type || !host_moment(&m))
		return -EOPNOTSUPP;
	pair.sec = div_u64_rem(m.real, NSEC_PER_SEC, &rem);
	pair.nsec = rem;
	pair.tsc = x86_guest_tsc(v, m.tsc);
	return kvm_write_guest(v->vcpu.kvm, gpa, &pair, sizeof(pair));
}

/* ---- steal time ---- */

struct steal_page {
	u64 steal;		/* ns */
	u32 version;
	u32 flags;
	u8 preempted;
	u8 pad1[3];
	u32 pad2[11];
};
static_assert(sizeof(struct steal_page) == 64);

static u64 run_delay(void)
{
#ifdef CONFIG_SCHED_INFO
	return current->sched_info.run_delay;
#else
	return 0;
#endif
}

void x86_steal_time_update(struct x86_vcpu *v)
{
	struct kvm *kvm = v->vcpu.kvm;
	gpa_t gpa = v->pv.steal_msr & ~(PV_ENABLE | STEAL_RESERVED);
	u64 delay = run_delay();
	struct steal_page page;

	if (!(v->pv.steal_msr & PV_ENABLE) ||
	    kvm_read_guest(kvm, gpa, &page, sizeof(page)))
		return;
	page.preempted = 0;
	page.flags = 0;
	/* Another thread runs the vCPU now: its past is not the guest's. */
	if (delay > v->pv.steal_last)
		page.steal += delay - v->pv.steal_last;
	v->pv.steal_last = delay;
	publish(kvm, gpa, &page, sizeof(page), &page.version);
}

static int steal_msr_set(struct x86_vcpu *v, u64 data)
{
	if (!IS_ENABLED(CONFIG_SCHED_INFO) || data & STEAL_RESERVED)
		return 1;
	v->pv.steal_msr = data;
	v->pv.steal_last = run_delay();
	if (data & PV_ENABLE)
		kvm_make_request(X86_REQ_STEAL_UPDATE, &v->vcpu);
	return 0;
}

/* ---- MSRs ---- */

/* KVM_CAP_ENFORCE_PV_FEATURE_CPUID: what is not shown is not there. */
bool x86_pv_has(struct x86_vcpu *v, u32 bit)
{
	return !v->enforce_pv_cpuid || v->cpuid.pv_features >> bit & 1;
}

static bool pv_msr_allowed(struct x86_vcpu *v, u32 index)
{
	switch (index) {
	case MSR_WALL_CLOCK:
	case MSR_SYSTEM_TIME:
		return x86_pv_has(v, CPUID_PV_CLOCKSOURCE);
	case MSR_WALL_CLOCK_NEW:
	case MSR_SYSTEM_TIME_NEW:
		return x86_pv_has(v, CPUID_PV_CLOCKSOURCE2);
	case MSR_ASYNC_PF:
		return x86_pv_has(v, CPUID_PV_ASYNC_PF);
	case MSR_ASYNC_PF_INT:
	case MSR_ASYNC_PF_ACK:
		return x86_pv_has(v, CPUID_PV_ASYNC_PF_INT);
	case MSR_STEAL_TIME:
		return x86_pv_has(v, CPUID_PV_STEAL_TIME);
	case MSR_PV_EOI:
		return x86_pv_has(v, CPUID_PV_EOI);
	default:
		return false;
	}
}

int x86_pv_msr_get(struct x86_vcpu *v, u32 index, u64 *data)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);

	if (!pv_msr_allowed(v, index))
		return 1;
	switch (index) {
	case MSR_WALL_CLOCK:
	case MSR_WALL_CLOCK_NEW:
		*data = READ_ONCE(vm->wall_clock_gpa);
		if (*data == INVALID_GPA)
			*data = 0;
		return 0;
	case MSR_ASYNC_PF:
	case MSR_ASYNC_PF_INT:
	case MSR_ASYNC_PF_ACK:
		*data = x86_async_pf_msr_get(v, index);
		return 0;
	case MSR_STEAL_TIME:
		*data = v->pv.steal_msr;
		return 0;
	case MSR_PV_EOI:
		*data = v->pv.eoi_msr;
		return 0;
	default:
		*data = v->pv.system_time_msr;
		return 0;
	}
}

int x86_pv_msr_set(struct x86_vcpu *v, u32 index, u64 data)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);

	if (!pv_msr_allowed(v, index))
		return 1;
	switch (index) {
	case MSR_WALL_CLOCK:
	case MSR_WALL_CLOCK_NEW:
		WRITE_ONCE(vm->wall_clock_gpa, data);
		if (data)
			wall_clock_write(&vm->kvm, data);
		return 0;
	case MSR_ASYNC_PF:
	case MSR_ASYNC_PF_INT:
	case MSR_ASYNC_PF_ACK:
		return x86_async_pf_msr_set(v, index, data);
	case MSR_STEAL_TIME:
		return steal_msr_set(v, data);
	case MSR_PV_EOI:
		return x86_pv_eoi_set(v, data);
	default:
		v->pv.system_time_msr = data;
		kvm_make_request(X86_REQ_CLOCK_UPDATE, &v->vcpu);
		return 0;
	}
}

long x86_time_vm_ioctl(struct x86_vm *vm, unsigned int cmd, unsigned long arg)
{
	struct kvm_clock_data data;

	switch (cmd) {
	case KVM_GET_CLOCK:
		clock_get(vm, &data);
		return copy_to_user((void __user *)arg, &data, sizeof(data)) ?
			-EFAULT : 0;
	case KVM_SET_CLOCK:
		return set_clock(vm, (void __user *)arg);
	}
	return x86_tsc_vm_ioctl(vm, cmd, arg);
}
