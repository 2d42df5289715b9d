// SPDX-License-Identifier: GPL-2.0-only
/* The guest's TSC: offsets, synchronisation between vCPUs, rates. */
#include <linux/uaccess.h>

#include <asm/msr.h>
#include <asm/tsc.h>

#include "time_logic.h"
#include "x86.h"

u64 x86_guest_tsc(struct x86_vcpu *v, u64 host_tsc)
{
	return host_tsc + v->tsc_offset;
}

/*
 * The clock page names a guest TSC value, so it is stale now; and whether one
 * page serves all vCPUs depends on all offsets being the same.
 */
static void set_offset(struct x86_vcpu *v, u64 offset)
{
	WRITE_ONCE(v->tsc_offset, offset);
	x86_ops->write_tsc_offset(v, offset);
	kvm_make_request(X86_REQ_MASTERCLOCK_UPDATE, &v->vcpu);
	kvm_make_request(X86_REQ_CLOCK_UPDATE, &v->vcpu);
}

/* A new value for the whole VM, which the other vCPUs may follow. */
static void remember_write(struct x86_vm *vm, u64 data, u64 ns, u64 offset)
{
	lockdep_assert_held(&vm->tsc_lock);
	vm->last_tsc_write = data;
	vm->last_tsc_nsec = ns;
	vm->cur_tsc_offset = offset;
	vm->cur_tsc_generation++;
}

/*
 * User space writes the TSC of one vCPU after the other and means the same
 * value on all: a write close to the last one takes over its offset.
 */
static void synchronize(struct x86_vcpu *v, u64 data)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	u64 host_tsc, ns, elapsed, offset;
	unsigned long flags;
	bool matches;

	raw_spin_lock_irqsave(&vm->tsc_lock, flags);
	host_tsc = rdtsc();
	ns = ktime_get_raw_ns();
	/* Never negative: as u64 it would overflow the division and trap. */
	elapsed = max_t(s64, ns - vm->last_tsc_nsec, 0);
	matches = vm->cur_tsc_generation &&
		  tsc_write_matches(data, vm->last_tsc_write, elapsed,
				    v->tsc_khz);
	if (matches && !check_tsc_unstable()) {
		offset = vm->cur_tsc_offset;
		vm->last_tsc_write = data;
		vm->last_tsc_nsec = ns;
	} else {
		if (matches)
			data += time_ns_to_ticks(elapsed, v->tsc_khz);
		offset = data - host_tsc;
		remember_write(vm, data, ns, offset);
	}
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
	set_offset(v, offset);
}

/* SDM vol. 3 17.17.3: what the guest writes shows up in TSC_ADJUST as well. */
void x86_guest_tsc_write(struct x86_vcpu *v, u64 value, bool host)
{
	u64 delta;

	if (host) {
		synchronize(v, value);
		return;
	}
	delta = value - x86_guest_tsc(v, rdtsc());
	v->msrs.tsc_adjust += delta;
	set_offset(v, v->tsc_offset + delta);
}

/* By the guest; user space restores the number alone. */
void x86_tsc_adjust_write(struct x86_vcpu *v, u64 value)
{
	u64 delta = value - v->msrs.tsc_adjust;

	v->msrs.tsc_adjust = value;
	if (delta)
		set_offset(v, v->tsc_offset + delta);
}

/* ---- a vCPU's life ---- */

void x86_time_vcpu_init(struct x86_vcpu *v)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);

	v->tsc_khz = READ_ONCE(vm->default_tsc_khz);
	v->tsc_cpu = -1;
	synchronize(v, 0);
}

/* On a host without a common TSC, at least never let the guest's go back. */
static void compensate_unstable(struct x86_vcpu *v)
{
	u64 now = rdtsc();

	if (v->last_host_tsc && (s64)(now - v->last_host_tsc) < 0)
		set_offset(v, v->tsc_offset + v->last_host_tsc - now);
}

/* The host's TSC is `ticks` less than it would be; the vCPU does not run. */
void x86_host_tsc_back(struct x86_vcpu *v, u64 ticks)
{
	v->last_host_tsc = 0;
	set_offset(v, v->tsc_offset + ticks);
}

void x86_time_vcpu_load(struct x86_vcpu *v, int cpu)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);

	if (v->pv.steal_msr & 1)
		kvm_make_request(X86_REQ_STEAL_UPDATE, &v->vcpu);
	if (v->tsc_cpu == cpu)
		return;
	if (check_tsc_unstable())
		compensate_unstable(v);
	if (!READ_ONCE(vm->use_master_clock))
		kvm_make_request(X86_REQ_CLOCK_UPDATE, &v->vcpu);
	v->tsc_cpu = cpu;
}

void x86_time_vcpu_put(struct x86_vcpu *v)
{
	v->last_host_tsc = rdtsc();
}

/* ---- ioctls ---- */

/* No scaling here: only the host's own rate, or "as it is" (0). */
static long set_khz(u32 *khz, unsigned long wanted)
{
	if (wanted > U32_MAX)
		return -EINVAL;
	if (!wanted)
		wanted = x86_host.tsc_khz;
	if (!tsc_khz_acceptable(wanted, x86_host.tsc_khz))
		return -EINVAL;
	WRITE_ONCE(*khz, x86_host.tsc_khz);
	return 0;
}

long x86_tsc_vm_ioctl(struct x86_vm *vm, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case KVM_SET_TSC_KHZ:
		return set_khz(&vm->default_tsc_khz, arg);
	case KVM_GET_TSC_KHZ:
		return READ_ONCE(vm->default_tsc_khz);
	}
	return -ENOIOCTLCMD;
}

static long set_offset_attr(struct x86_vcpu *v, u64 __user *addr)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	unsigned long flags;
	u64 offset;

	if (get_user(offset, addr))
		return -EFAULT;
	raw_spin_lock_irqsave(&vm->tsc_lock, flags);
	remember_write(vm, rdtsc() + offset, ktime_get_raw_ns(), offset);
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
	set_offset(v, offset);
	return 0;
}

static long vcpu_attr(struct x86_vcpu *v, unsigned int cmd, void __user *argp)
{
	struct kvm_device_attr attr;
	u64 __user *addr;

	if (copy_from_user(&attr, argp, sizeof(attr)))
		return -EFAULT;
	if (attr.group != KVM_VCPU_TSC_CTRL || attr.attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	addr = u64_to_user_ptr(attr.addr);
	switch (cmd) {
	case KVM_GET_DEVICE_ATTR:
		return put_user(v->tsc_offset, addr);
	case KVM_SET_DEVICE_ATTR:
		return set_offset_attr(v, addr);
	default:
		return 0;
	}
}

static long kvmclock_ctrl(struct x86_vcpu *v)
{
	if (!(v->pv.system_time_msr & 1))
		return -EINVAL;
	v->pv.guest_stopped = true;
	kvm_make_request(X86_REQ_CLOCK_UPDATE, &v->vcpu);
	return 0;
}

long x86_time_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			 unsigned long arg)
{
	switch (cmd) {
	case KVM_SET_TSC_KHZ:
		return set_khz(&v->tsc_khz, arg);
	case KVM_GET_TSC_KHZ:
		return v->tsc_khz;
	case KVM_KVMCLOCK_CTRL:
		return kvmclock_ctrl(v);
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return vcpu_attr(v, cmd, (void __user *)arg);
	}
	return -ENOIOCTLCMD;
}
