// SPDX-License-Identifier: GPL-2.0-only
/* KVM_X86_SET_MSR_FILTER: which MSRs of the guest user space answers. */
#include <linux/compat.h>
#include <linux/export.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "msr_logic.h"
#include "x86.h"

#define X2APIC_MSR_FIRST	0x800
#define X2APIC_MSR_LAST		0x8ff

/* Immutable once published; read under kvm->srcu. */
struct x86_msr_filter {
	bool default_allow;
	u32 nr;
	struct msr_filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

static void filter_free(struct x86_msr_filter *filter)
{
	u32 i;

	if (!filter)
		return;
	for (i = 0; i < filter->nr; i++)
		kfree(filter->ranges[i].bitmap);
	kfree(filter);
}

/* flags: KVM_MSR_FILTER_READ or _WRITE. True if the guest may not. */
bool x86_msr_filtered(struct x86_vcpu *v, u32 index, u32 flags)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	struct x86_msr_filter *filter;

	/* The LAPIC in the kernel is never user space's to answer for. */
	if (index >= X2APIC_MSR_FIRST && index <= X2APIC_MSR_LAST)
		return false;
	filter = srcu_dereference(vm->msr_filter, &vm->kvm.srcu);
	return filter && !msr_filter_allows(filter->ranges, filter->nr,
					    filter->default_allow, index,
					    flags);
}
EXPORT_SYMBOL_GPL(x86_msr_filtered);

static int filter_add(struct x86_msr_filter *filter,
		     const struct kvm_msr_filter_range *user)
{
	struct msr_filter_range *range = &filter->ranges[filter->nr];
	u64 size = msr_filter_bitmap_size(user->nmsrs);
	void *bitmap;

	if (!user->nmsrs)	/* an unused slot */
		return 0;
	if (user->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE))
		return -EINVAL;
	if (!user->flags || size > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	bitmap = kmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!bitmap)
		return -ENOMEM;
	if (copy_from_user(bitmap, (const void __user *)user->bitmap, size)) {
		kfree(bitmap);
		return -EFAULT;
	}
	*range = (struct msr_filter_range) {
		.flags = user->flags,
		.base = user->base,
		.nmsrs = user->nmsrs,
		.bitmap = bitmap,
	};
	filter->nr++;
	return 0;
}

static struct x86_msr_filter *
filter_from_user(const struct kvm_msr_filter *user)
{
	struct x86_msr_filter *filter;
	int i, ret = 0;

	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return ERR_PTR(-EINVAL);
	filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->default_allow = !(user->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES && !ret; i++)
		ret = filter_add(filter, &user->ranges[i]);
	/* Without any range "deny" would deny all, which nobody means. */
	if (!ret && !filter->nr && !filter->default_allow)
		ret = -EINVAL;
	if (ret) {
		filter_free(filter);
		return ERR_PTR(ret);
	}
	return filter;
}

/* The argument of a 32-bit program, whose pointers are narrower. */
struct msr_filter_32 {
	u32 flags;
	struct {
		u32 flags, nmsrs, base, bitmap;
	} ranges[KVM_MSR_FILTER_MAX_RANGES];
};
#define SET_MSR_FILTER_32	_IOW(KVMIO, 0xc6, struct msr_filter_32)

static struct kvm_msr_filter *copy_argument_32(const void __user *argp)
{
	struct msr_filter_32 *narrow = memdup_user(argp, sizeof(*narrow));
	struct kvm_msr_filter *user;
	int i;

	if (IS_ERR(narrow))
		return ERR_CAST(narrow);
	user = kzalloc(sizeof(*user), GFP_KERNEL);
	for (i = 0; user && i < KVM_MSR_FILTER_MAX_RANGES; i++)
		user->ranges[i] = (struct kvm_msr_filter_range) {
			.flags = narrow->ranges[i].flags,
			.nmsrs = narrow->ranges[i].nmsrs,
			.base = narrow->ranges[i].base,
			.bitmap = (void *)(unsigned long)narrow->ranges[i].bitmap,
		};
	if (user)
		user->flags = narrow->flags;
	kfree(narrow);
	return user ?: ERR_PTR(-ENOMEM);
}

static long set_filter(struct x86_vm *vm, struct kvm_msr_filter *user)
{
	struct x86_msr_filter *filter, *old;

	if (IS_ERR(user))
		return PTR_ERR(user);
	filter = filter_from_user(user);
	kfree(user);
	if (IS_ERR(filter))
		return PTR_ERR(filter);

	mutex_lock(&vm->kvm.lock);
	old = rcu_replace_pointer(vm->msr_filter, filter,
				  lockdep_is_held(&vm->kvm.lock));
	mutex_unlock(&vm->kvm.lock);
	synchronize_srcu(&vm->kvm.srcu);
	filter_free(old);
	/* Each vCPU rebuilds what the processor checks by itself. */
	kvm_kick_all_vcpus(&vm->kvm, X86_REQ_MSR_FILTER);
	return 0;
}

long x86_msr_vm_ioctl(struct x86_vm *vm, unsigned int cmd, void __user *argp)
{
	if (cmd == KVM_X86_SET_MSR_FILTER)
		return set_filter(vm, memdup_user(argp,
						  sizeof(struct kvm_msr_filter)));
	if (cmd == SET_MSR_FILTER_32 && in_compat_syscall())
		return set_filter(vm, copy_argument_32(argp));
	return -ENOIOCTLCMD;
}

void x86_msr_vm_destroy(struct x86_vm *vm)
{
	filter_free(rcu_dereference_protected(vm->msr_filter, true));
	RCU_INIT_POINTER(vm->msr_filter, NULL);
}
