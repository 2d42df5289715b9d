// SPDX-License-Identifier: GPL-2.0-only
/* VM objects: creation, lifetime, the VM file and its ioctls. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "main.h"

/* ---- lifetime ---- */

static struct kvm *kvm_alloc(unsigned long type)
{
	struct kvm *kvm = kvm_arch_vm_alloc();
	int ret = -ENOMEM;

	if (!kvm)
		return ERR_PTR(-ENOMEM);

	mmgrab(current->mm);
	kvm->mm = current->mm;
	kvm->creator = task_pid_nr(current);
	refcount_set(&kvm->users, 1);
	mutex_init(&kvm->lock);
	mutex_init(&kvm->slots_lock);
	mutex_init(&kvm->irq_lock);
	mutex_init(&kvm->resampler_lock);
	rwlock_init(&kvm->mmu_lock);
	spin_lock_init(&kvm->irqfds_lock);
	INIT_LIST_HEAD(&kvm->irqfds);
	INIT_LIST_HEAD(&kvm->resamplers);
	INIT_HLIST_HEAD(&kvm->irq_ack_notifiers);
	xa_init(&kvm->vcpus);
	kvm->max_vcpu_id = KVM_MAX_VCPU_IDS;
	kvm_eventfd_init(kvm);
	kvm_coalesced_init(kvm);

	if (init_srcu_struct(&kvm->srcu))
		goto out_mm;
	if (init_srcu_struct(&kvm->irq_srcu))
		goto out_srcu;
	kvm_memslots_init(kvm);
	ret = kvm_io_buses_init(kvm);
	if (ret)
		goto out_memslots;
	ret = kvm_irq_routes_init(kvm);
	if (ret)
		goto out_buses;
	ret = kvm_hardware_get();
	if (ret)
		goto out_routes;
	ret = kvm_arch_vm_init(kvm, type);
	if (ret)
		goto out_hardware;
	ret = kvm_notifier_register(kvm);
	if (ret)
		goto out_arch;
	return kvm;

out_arch:
	kvm_arch_vm_pre_destroy(kvm);
	kvm_arch_vm_destroy(kvm);
out_hardware:
	kvm_hardware_put();
out_routes:
	kvm_irq_routes_destroy(kvm);
out_buses:
	kvm_io_buses_destroy(kvm);
out_memslots:
	kvm_memslots_destroy(kvm);
	cleanup_srcu_struct(&kvm->irq_srcu);
out_srcu:
	cleanup_srcu_struct(&kvm->srcu);
out_mm:
	kvm_coalesced_destroy(kvm);
	mmdrop(kvm->mm);
	kvm_arch_vm_free(kvm);
	return ERR_PTR(ret);
}

/* The last reference went: nothing can run or reach this VM any more. */
static void kvm_free(struct kvm *kvm)
{
	struct mm_struct *mm = kvm->mm;

	kvm_stats_vm_remove(kvm);

	kvm_arch_vm_pre_destroy(kvm);
	kvm_notifier_unregister(kvm);
	kvm_vcpus_destroy(kvm);
	kvm_arch_vm_destroy(kvm);
	kvm_irq_routes_destroy(kvm);
	kvm_io_buses_destroy(kvm);
	kvm_coalesced_destroy(kvm);
	kvm_memslots_destroy(kvm);
	cleanup_srcu_struct(&kvm->irq_srcu);
	cleanup_srcu_struct(&kvm->srcu);
	xa_destroy(&kvm->vcpus);
	kvm_arch_vm_free(kvm);
	kvm_hardware_put();
	mmdrop(mm);
}

void kvm_get(struct kvm *kvm)
{
	refcount_inc(&kvm->users);
}

void kvm_put(struct kvm *kvm)
{
	if (refcount_dec_and_test(&kvm->users))
		kvm_free(kvm);
}

void kvm_vm_bug(struct kvm *kvm, const char *what)
{
	if (xchg(&kvm->dead, true))
		return;
	WARN(1, "kvm: bug, VM stopped: %s\n", what);
	kvm_kick_all_vcpus(kvm, KVM_REQ_VM_DEAD);
}

struct kvm_vcpu *kvm_get_vcpu(struct kvm *kvm, u32 idx)
{
	u32 online = atomic_read(&kvm->online_vcpus);

	if (idx >= online)
		return NULL;
	/* A guest names the index by a hypercall. */
	idx = array_index_nospec(idx, online);
	/* Pairs with the barrier in kvm_vcpu_create(). */
	smp_rmb();
	return xa_load(&kvm->vcpus, idx);
}

struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	/* Nearly every VM numbers its vCPUs densely. */
	vcpu = kvm_get_vcpu(kvm, id);
	if (vcpu && vcpu->vcpu_id == id)
		return vcpu;
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->vcpu_id == id)
			return vcpu;
	return NULL;
}

/* ---- the VM file ---- */

int kvm_check_extension(struct kvm *kvm, long cap)
{
	switch (cap) {
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
	case KVM_CAP_INTERNAL_ERROR_DATA:
	case KVM_CAP_CHECK_EXTENSION_VM:
	case KVM_CAP_ENABLE_CAP_VM:
	case KVM_CAP_IRQFD:
	case KVM_CAP_IRQFD_RESAMPLE:
	case KVM_CAP_IOEVENTFD:
	case KVM_CAP_IOEVENTFD_ANY_LENGTH:
	case KVM_CAP_IOEVENTFD_NO_LENGTH:
	case KVM_CAP_SIGNAL_MSI:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_COALESCED_PIO:
	case KVM_CAP_SYNC_MMU:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_BINARY_STATS_FD:
		return 1;
	case KVM_CAP_COALESCED_MMIO:
		return KVM_COALESCED_MMIO_PAGE_OFFSET;
	case KVM_CAP_IRQ_ROUTING:
		return KVM_MAX_GSI;
	case KVM_CAP_NR_MEMSLOTS:
		return KVM_MAX_MEMSLOTS;
	case KVM_CAP_MAX_VCPUS:
		return KVM_MAX_VCPUS;
	case KVM_CAP_MAX_VCPU_ID:
		return KVM_MAX_VCPU_IDS;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
		       KVM_DIRTY_LOG_INITIALLY_SET;
	default:
		return kvm_arch_check_extension(kvm, cap);
	}
}

static int vm_enable_cap(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	if (cap->cap != KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
		return -ENOIOCTLCMD;
	if (cap->args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (cap->flags || cap->args[0] & ~allowed)
		return -EINVAL;
	kvm->manual_dirty_log = cap->args[0];
	return 0;
}

static long vm_ioctl_enable_cap(struct kvm *kvm, void __user *argp,
				unsigned long arg)
{
	struct kvm_enable_cap cap;
	int ret;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	ret = vm_enable_cap(kvm, &cap);
	if (ret == -ENOIOCTLCMD)
		return kvm_arch_vm_ioctl(kvm, KVM_ENABLE_CAP, arg);
	return ret;
}

static long vm_ioctl_routing(struct kvm *kvm, void __user *argp)
{
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry *entries = NULL;
	long ret;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (head.nr > KVM_MAX_GSI || head.flags ||
	    !kvm_arch_irqchip_in_kernel(kvm))
		return -EINVAL;
	if (head.nr) {
		entries = vmemdup_user(argp + sizeof(head),
				       array_size(head.nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	ret = kvm_irq_routes_set(kvm, entries, head.nr);
	kvfree(entries);
	return ret;
}

static long vm_ioctl_irq_line(struct kvm *kvm, void __user *argp, bool status)
{
	struct kvm_irq_level line;
	int ret;

	if (copy_from_user(&line, argp, sizeof(line)))
		return -EFAULT;
	if (!kvm_arch_irqchip_in_kernel(kvm))
		return -ENXIO;
	ret = kvm_set_irq(kvm, KVM_IRQ_SOURCE_USER, line.irq, !!line.level);
	if (!status)
		return 0;
	line.status = ret;
	return copy_to_user(argp, &line, sizeof(line)) ? -EFAULT : 0;
}

/* Requests whose argument is one struct that is only read. */
#define VM_IN(type, call)						\
	({								\
		type _arg;						\
		copy_from_user(&_arg, argp, sizeof(_arg)) ?		\
			(long)-EFAULT : (long)(call)(kvm, &_arg);	\
	})

static long kvm_vm_ioctl(struct file *filp, unsigned int cmd,
			 unsigned long arg)
{
	struct kvm *kvm = filp->private_data;
	void __user *argp = (void __user *)arg;

	/* Guest memory is the creator's: another process may only close. */
	if (kvm->mm != current->mm || READ_ONCE(kvm->dead))
		return -EIO;

	switch (cmd) {
	case KVM_CREATE_VCPU:
		return arg > U32_MAX ? -EINVAL : kvm_vcpu_create(kvm, arg);
	case KVM_CHECK_EXTENSION:
		return kvm_check_extension(kvm, arg);
	case KVM_ENABLE_CAP:
		return vm_ioctl_enable_cap(kvm, argp, arg);
	case KVM_SET_USER_MEMORY_REGION:
		return VM_IN(struct kvm_userspace_memory_region,
			     kvm_memslot_set);
	case KVM_GET_DIRTY_LOG:
		return VM_IN(struct kvm_dirty_log, kvm_dirty_log_get);
	case KVM_CLEAR_DIRTY_LOG:
		return VM_IN(struct kvm_clear_dirty_log,
			     kvm_dirty_log_clear);
	case KVM_REGISTER_COALESCED_MMIO:
		return VM_IN(struct kvm_coalesced_mmio_zone,
			     kvm_coalesced_register);
	case KVM_UNREGISTER_COALESCED_MMIO:
		return VM_IN(struct kvm_coalesced_mmio_zone,
			     kvm_coalesced_unregister);
	case KVM_IRQFD:
		return VM_IN(struct kvm_irqfd, kvm_irqfd);
	case KVM_IOEVENTFD:
		return VM_IN(struct kvm_ioeventfd, kvm_ioeventfd);
	case KVM_SIGNAL_MSI:
		return VM_IN(struct kvm_msi, kvm_signal_msi);
	case KVM_IRQ_LINE:
		return vm_ioctl_irq_line(kvm, argp, false);
	case KVM_IRQ_LINE_STATUS:
		return vm_ioctl_irq_line(kvm, argp, true);
	case KVM_GET_STATS_FD:
		return kvm_stats_file_create(kvm, NULL);
	case KVM_SET_GSI_ROUTING:
		return vm_ioctl_routing(kvm, argp);
	default:
		return kvm_arch_vm_ioctl(kvm, cmd, arg);
	}
}

static int kvm_vm_release(struct inode *inode, struct file *filp)
{
	struct kvm *kvm = filp->private_data;

	/* irqfds hold eventfds, not the VM: end them with the VM's file. */
	kvm_irqfds_release(kvm);
	kvm_put(kvm);
	return 0;
}

static struct file_operations kvm_vm_fops = {
	.release = kvm_vm_release,
	.unlocked_ioctl = kvm_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

void kvm_set_file_owner(struct module *owner)
{
	kvm_vm_fops.owner = owner;
	kvm_vcpu_fops.owner = owner;
	kvm_stats_fops.owner = owner;
}

/* KVM_CREATE_VM: returns a new file descriptor. */
long kvm_vm_create(unsigned long type)
{
	struct kvm *kvm;
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	kvm = kvm_alloc(type);
	if (IS_ERR(kvm)) {
		put_unused_fd(fd);
		return PTR_ERR(kvm);
	}
	kvm_stats_vm_add(kvm);
	file = anon_inode_getfile("kvm-vm", &kvm_vm_fops, kvm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		kvm_put(kvm);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

/* A file for a vCPU, which holds a reference on its VM. */
long kvm_vcpu_file_create(struct kvm_vcpu *vcpu)
{
	char name[32];

	snprintf(name, sizeof(name), "kvm-vcpu:%u", vcpu->vcpu_id);
	return anon_inode_getfd(name, &kvm_vcpu_fops, vcpu,
				O_RDWR | O_CLOEXEC);
}
