// SPDX-License-Identifier: GPL-2.0-only
/* Debug registers, of the guest and of a debugger in user space. */
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include <asm/processor-flags.h>

#include "regs_ioctl.h"
#include "x86.h"

/* APM vol. 2 13.1.1.4: bits that exist, and those that read 1. */
#define DR7_EXISTING	0xffff23ffULL
#define DR7_ONES	0x400ULL

/* DR4 and DR5 are DR6 and DR7, or #UD with debugging extensions on. */
static bool resolve_alias(struct x86_vcpu *v, int *dr)
{
	if (*dr != 4 && *dr != 5)
		return true;
	if (v->cr4 & X86_CR4_DE)
		return false;
	*dr += 2;
	return true;
}

int x86_set_dr(struct x86_vcpu *v, int dr, u64 value)
{
	if (!resolve_alias(v, &dr))
		return UD_VECTOR;
	if (dr >= 6 && value >> 32)
		return GP_VECTOR;
	switch (dr) {
	case 0 ... 3:
		v->db[array_index_nospec(dr, 4)] = value;
		break;
	case 6:
		v->dr6 = (value & DR6_CAUSES) | DR6_ONES;
		break;
	default:
		v->dr7 = (value & DR7_EXISTING) | DR7_ONES;
		break;
	}
	x86_ops->dr_changed(v);
	return 0;
}

u64 x86_get_dr(struct x86_vcpu *v, int dr)
{
	switch (dr) {
	case 0 ... 3:
		return v->db[array_index_nospec(dr, 4)];
	case 4:
	case 6:
		return v->dr6;
	default:
		return v->dr7;
	}
}

long x86_get_debugregs(struct x86_vcpu *v, struct kvm_debugregs __user *arg)
{
	struct kvm_debugregs regs = { .dr6 = v->dr6, .dr7 = v->dr7 };

	memcpy(regs.db, v->db, sizeof(regs.db));
	return copy_to_user(arg, &regs, sizeof(regs)) ? -EFAULT : 0;
}

long x86_set_debugregs(struct x86_vcpu *v,
		       const struct kvm_debugregs __user *arg)
{
	struct kvm_debugregs regs;

	if (copy_from_user(&regs, arg, sizeof(regs)))
		return -EFAULT;
	if (regs.flags || regs.dr6 >> 32 || regs.dr7 >> 32)
		return -EINVAL;
	memcpy(v->db, regs.db, sizeof(v->db));
	v->dr6 = (regs.dr6 & DR6_CAUSES) | DR6_ONES;
	v->dr7 = (regs.dr7 & DR7_EXISTING) | DR7_ONES;
	x86_ops->dr_changed(v);
	return 0;
}

/* ---- KVM_SET_GUEST_DEBUG ---- */

static int inject_debug(struct x86_vcpu *v, u32 control)
{
	if (v->exception.pending)
		return -EBUSY;
	if (control & KVM_GUESTDBG_INJECT_DB)
		x86_queue_exception(v, DB_VECTOR);
	else
		x86_queue_exception(v, BP_VECTOR);
	return 0;
}

long x86_set_guest_debug(struct x86_vcpu *v,
			 const struct kvm_guest_debug __user *arg)
{
	struct kvm_guest_debug dbg;
	int ret;

	if (copy_from_user(&dbg, arg, sizeof(dbg)))
		return -EFAULT;
	if (dbg.control & ~GUESTDBG_VALID)
		return -EINVAL;
	if (dbg.control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		ret = inject_debug(v, dbg.control);
		if (ret)
			return ret;
	}
	v->guest_debug = dbg.control & KVM_GUESTDBG_ENABLE ? dbg.control : 0;
	memset(v->guest_debug_db, 0, sizeof(v->guest_debug_db));
	v->guest_debug_dr7 = 0;
	if (v->guest_debug & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(v->guest_debug_db, dbg.arch.debugreg,
		       sizeof(v->guest_debug_db));
		v->guest_debug_dr7 = (dbg.arch.debugreg[7] & DR7_EXISTING) |
				     DR7_ONES;
	}
	/* The TF of a single step is set at entry and never in v->rflags. */
	x86_ops->dr_changed(v);
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
	return 0;
}
