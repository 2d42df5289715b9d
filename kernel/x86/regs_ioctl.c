// SPDX-License-Identifier: GPL-2.0-only
/* Register ioctls of a vCPU, and the registers shared through kvm_run. */
#include <linux/export.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/processor-flags.h>

#include "regs_ioctl.h"
#include "x86.h"

/* ---- general registers ---- */

static int get_regs(struct x86_vcpu *v, struct kvm_regs *regs)
{
	*regs = (struct kvm_regs) {
		.rax = v->gpr[REG_RAX], .rbx = v->gpr[REG_RBX],
		.rcx = v->gpr[REG_RCX], .rdx = v->gpr[REG_RDX],
		.rsi = v->gpr[REG_RSI], .rdi = v->gpr[REG_RDI],
		.rsp = v->gpr[REG_RSP], .rbp = v->gpr[REG_RBP],
		.r8 = v->gpr[REG_R8], .r9 = v->gpr[REG_R9],
		.r10 = v->gpr[REG_R10], .r11 = v->gpr[REG_R11],
		.r12 = v->gpr[REG_R12], .r13 = v->gpr[REG_R13],
		.r14 = v->gpr[REG_R14], .r15 = v->gpr[REG_R15],
		.rip = v->rip,
		.rflags = v->rflags,
	};
	return 0;
}

static int set_regs(struct x86_vcpu *v, const struct kvm_regs *regs)
{
	v->gpr[REG_RAX] = regs->rax;
	v->gpr[REG_RBX] = regs->rbx;
	v->gpr[REG_RCX] = regs->rcx;
	v->gpr[REG_RDX] = regs->rdx;
	v->gpr[REG_RSI] = regs->rsi;
	v->gpr[REG_RDI] = regs->rdi;
	v->gpr[REG_RSP] = regs->rsp;
	v->gpr[REG_RBP] = regs->rbp;
	v->gpr[REG_R8] = regs->r8;
	v->gpr[REG_R9] = regs->r9;
	v->gpr[REG_R10] = regs->r10;
	v->gpr[REG_R11] = regs->r11;
	v->gpr[REG_R12] = regs->r12;
	v->gpr[REG_R13] = regs->r13;
	v->gpr[REG_R14] = regs->r14;
	v->gpr[REG_R15] = regs->r15;
	v->rip = regs->rip;
	v->next_rip = 0;	/* of the instruction that was left */
	v->insn_len = 0;
	v->rflags = regs->rflags | X86_EFLAGS_FIXED;
	/* It was raised by the instruction that user space moved away from. */
	v->exception.pending = false;
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
	return 0;
}

static long ioctl_get_regs(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_regs regs;

	get_regs(v, &regs);
	return copy_to_user(argp, &regs, sizeof(regs)) ? -EFAULT : 0;
}

static long ioctl_set_regs(struct x86_vcpu *v, const void __user *argp)
{
	struct kvm_regs regs;

	if (copy_from_user(&regs, argp, sizeof(regs)))
		return -EFAULT;
	return set_regs(v, &regs);
}

/* ---- system registers ---- */

static long ioctl_get_sregs(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_sregs sregs;

	x86_get_sregs(v, &sregs);
	return copy_to_user(argp, &sregs, sizeof(sregs)) ? -EFAULT : 0;
}

static long ioctl_set_sregs(struct x86_vcpu *v, const void __user *argp)
{
	struct kvm_sregs sregs;

	if (copy_from_user(&sregs, argp, sizeof(sregs)))
		return -EFAULT;
	return x86_set_sregs(v, &sregs);
}

static long ioctl_get_sregs2(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_sregs2 sregs;

	x86_get_sregs2(v, &sregs);
	return copy_to_user(argp, &sregs, sizeof(sregs)) ? -EFAULT : 0;
}

static long ioctl_set_sregs2(struct x86_vcpu *v, const void __user *argp)
{
	struct kvm_sregs2 sregs;

	if (copy_from_user(&sregs, argp, sizeof(sregs)))
		return -EFAULT;
	return x86_set_sregs2(v, &sregs);
}

/* ---- where the vCPU is in its life ---- */

static long ioctl_get_mp_state(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_mp_state mp;
	int ret;

	/* An INIT or SIPI that waits has happened, as far as a VMM can see. */
	if (v->lapic) {
		ret = x86_lapic_accept_events(v);
		if (ret < 0)
			return ret;
	}
	mp.mp_state = v->mp_state;
	if (mp.mp_state == KVM_MP_STATE_HALTED && READ_ONCE(v->pv_unhalted))
		mp.mp_state = KVM_MP_STATE_RUNNABLE;
	return copy_to_user(argp, &mp, sizeof(mp)) ? -EFAULT : 0;
}

/* Restored from before KVM kept a waiting SIPI in the LAPIC: it starts now. */
static void deliver_sipi(struct x86_vcpu *v)
{
	struct kvm_segment cs;

	x86_ops->get_segment(v, SEG_CS, &cs);
	cs.selector = v->sipi_vector << 8;
	cs.base = v->sipi_vector << 12;
	x86_ops->set_segment(v, SEG_CS, &cs);
	v->rip = 0;
	v->mp_state = KVM_MP_STATE_RUNNABLE;
}

static long ioctl_set_mp_state(struct x86_vcpu *v, const void __user *argp)
{
	struct kvm_mp_state mp;

	if (copy_from_user(&mp, argp, sizeof(mp)))
		return -EFAULT;
	if (mp.mp_state > KVM_MP_STATE_SIPI_RECEIVED)
		return -EINVAL;
	/* Without a LAPIC in the kernel nothing here could wake it. */
	if (!v->lapic && mp.mp_state != KVM_MP_STATE_RUNNABLE)
		return -EINVAL;
	v->mp_state = mp.mp_state;
	if (mp.mp_state == KVM_MP_STATE_SIPI_RECEIVED)
		deliver_sipi(v);
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
	return 0;
}

/* ---- the rest ---- */

static long ioctl_translate(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_translation tr;
	int ret;

	if (copy_from_user(&tr, argp, sizeof(tr)))
		return -EFAULT;
	ret = x86_translate(v, &tr);
	if (ret)
		return ret;
	return copy_to_user(argp, &tr, sizeof(tr)) ? -EFAULT : 0;
}

static long ioctl_get_events(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_vcpu_events ev;

	x86_get_vcpu_events(v, &ev);
	return copy_to_user(argp, &ev, sizeof(ev)) ? -EFAULT : 0;
}

static long ioctl_set_events(struct x86_vcpu *v, const void __user *argp)
{
	struct kvm_vcpu_events ev;

	if (copy_from_user(&ev, argp, sizeof(ev)))
		return -EFAULT;
	return x86_set_vcpu_events(v, &ev);
}

long x86_regs_ioctl(struct x86_vcpu *v, unsigned int cmd, void __user *argp)
{
	switch (cmd) {
	case KVM_GET_REGS:
		return ioctl_get_regs(v, argp);
	case KVM_SET_REGS:
		return ioctl_set_regs(v, argp);
	case KVM_GET_SREGS:
		return ioctl_get_sregs(v, argp);
	case KVM_SET_SREGS:
		return ioctl_set_sregs(v, argp);
	case KVM_GET_SREGS2:
		return ioctl_get_sregs2(v, argp);
	case KVM_SET_SREGS2:
		return ioctl_set_sregs2(v, argp);
	case KVM_GET_VCPU_EVENTS:
		return ioctl_get_events(v, argp);
	case KVM_SET_VCPU_EVENTS:
		return ioctl_set_events(v, argp);
	case KVM_GET_DEBUGREGS:
		return x86_get_debugregs(v, argp);
	case KVM_SET_DEBUGREGS:
		return x86_set_debugregs(v, argp);
	case KVM_SET_GUEST_DEBUG:
		return x86_set_guest_debug(v, argp);
	case KVM_GET_MP_STATE:
		return ioctl_get_mp_state(v, argp);
	case KVM_SET_MP_STATE:
		return ioctl_set_mp_state(v, argp);
	case KVM_TRANSLATE:
		return ioctl_translate(v, argp);
	}
	return -ENOIOCTLCMD;
}

/* ---- KVM_CAP_SYNC_REGS: the same through the shared page ---- */

void x86_sync_regs_store(struct x86_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;
	u64 valid = READ_ONCE(run->kvm_valid_regs);
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (valid & KVM_SYNC_X86_REGS) {
		get_regs(v, &regs);
		run->s.regs.regs = regs;
	}
	if (valid & KVM_SYNC_X86_SREGS) {
		x86_get_sregs(v, &sregs);
		run->s.regs.sregs = sregs;
	}
	if (valid & KVM_SYNC_X86_EVENTS) {
		x86_get_vcpu_events(v, &events);
		run->s.regs.events = events;
	}
}

/* Another thread may write the page meanwhile: copy first, check the copy. */
int x86_sync_regs_load(struct x86_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int ret;

	if (dirty & ~KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	if (dirty & KVM_SYNC_X86_REGS) {
		memcpy(&regs, &run->s.regs.regs, sizeof(regs));
		barrier();	/* no second look at the page */
		set_regs(v, &regs);
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		memcpy(&sregs, &run->s.regs.sregs, sizeof(sregs));
		barrier();	/* as above */
		ret = x86_set_sregs(v, &sregs);
		if (ret)
			return ret;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		memcpy(&events, &run->s.regs.events, sizeof(events));
		barrier();	/* as above */
		ret = x86_set_vcpu_events(v, &events);
		if (ret)
			return ret;
	}
	WRITE_ONCE(run->kvm_dirty_regs, 0);
	return 0;
}
