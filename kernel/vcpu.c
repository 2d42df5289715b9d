// SPDX-License-Identifier: GPL-2.0-only
/* vCPU objects: creation, the shared mapping, load and put, block and kick. */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "main.h"
#include "trace.h"

static DEFINE_PER_CPU(struct kvm_vcpu *, running_vcpu);

struct kvm_vcpu *kvm_get_running_vcpu(void)
{
	struct kvm_vcpu *vcpu;

	preempt_disable();
	vcpu = __this_cpu_read(running_vcpu);
	preempt_enable();
	return vcpu;
}
EXPORT_SYMBOL_GPL(kvm_get_running_vcpu);

/* ---- load and put: the vCPU's state is on this CPU between them ---- */

static void sched_in(struct preempt_notifier *pn, int cpu)
{
	struct kvm_vcpu *vcpu =
		container_of(pn, struct kvm_vcpu, preempt_notifier);

	WRITE_ONCE(vcpu->preempted, false);
	__this_cpu_write(running_vcpu, vcpu);
	kvm_arch_vcpu_load(vcpu, cpu);
	WRITE_ONCE(vcpu->scheduled_out, false);
}

static void sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct kvm_vcpu *vcpu =
		container_of(pn, struct kvm_vcpu, preempt_notifier);

	WRITE_ONCE(vcpu->scheduled_out, true);
	if (task_is_running(current))
		WRITE_ONCE(vcpu->preempted, true);
	kvm_arch_vcpu_put(vcpu);
	__this_cpu_write(running_vcpu, NULL);
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

void kvm_vcpu_load(struct kvm_vcpu *vcpu)
{
	int cpu = get_cpu();

	__this_cpu_write(running_vcpu, vcpu);
	preempt_notifier_register(&vcpu->preempt_notifier);
	kvm_arch_vcpu_load(vcpu, cpu);
	put_cpu();
}

void kvm_vcpu_put(struct kvm_vcpu *vcpu)
{
	preempt_disable();
	kvm_arch_vcpu_put(vcpu);
	preempt_notifier_unregister(&vcpu->preempt_notifier);
	__this_cpu_write(running_vcpu, NULL);
	preempt_enable();
}

/* ---- block, wake up, kick ---- */

static bool must_wake(struct kvm_vcpu *vcpu)
{
	return kvm_arch_vcpu_runnable(vcpu) ||
	       kvm_test_request(KVM_REQ_VM_DEAD, vcpu) ||
	       signal_pending(current);
}

static void count_wait(struct kvm_vcpu *vcpu, u64 ns)
{
	unsigned int bucket = min_t(unsigned int, fls64(ns),
				    KVM_STAT_BUCKETS - 1);

	vcpu->stat.halt_wakeup++;
	vcpu->stat.halt_wait_ns += ns;
	vcpu->stat.halt_wait_hist[bucket]++;
}

void kvm_vcpu_block(struct kvm_vcpu *vcpu)
{
	ktime_t start = ktime_get();
	bool waited = false;
	u64 ns;

	vcpu->stat.blocking = 1;
	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		/* Before the look: a waker that we miss sees us and wakes. */
		set_current_state(TASK_INTERRUPTIBLE);
		if (must_wake(vcpu))
			break;
		waited = true;
		schedule();
	}
	finish_rcuwait(&vcpu->wait);
	vcpu->stat.blocking = 0;
	ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	if (waited)
		count_wait(vcpu, ns);
	trace_kvm_vcpu_wakeup(ns, waited, true);
}

/* Callable from any context: never waits. */
void kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
	int me, cpu;

	if (rcuwait_wake_up(&vcpu->wait))
		return;
	me = get_cpu();
	/*
	 * The caller's request was made before; pairs with the barrier after
	 * mode = IN_GUEST_MODE in the run loop.
	 */
	smp_mb();
	if (READ_ONCE(vcpu->mode) == IN_GUEST_MODE) {
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu != me && cpu >= 0 && cpu_online(cpu))
			smp_send_reschedule(cpu);
	}
	put_cpu();
}

void kvm_vcpu_yield_to(struct kvm_vcpu *vcpu)
{
	struct task_struct *task;

	rcu_read_lock();
	task = get_pid_task(rcu_dereference(vcpu->pid), PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return;
	yield_to(task, true);
	put_task_struct(task);
}

void kvm_sigset_activate(struct kvm_vcpu *vcpu)
{
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
}

void kvm_sigset_deactivate(struct kvm_vcpu *vcpu)
{
	if (!vcpu->sigset_active)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

/* ---- creation ---- */

static int vcpu_pages_alloc(struct kvm_vcpu *vcpu)
{
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vcpu->run && vcpu->pio_page ? 0 : -ENOMEM;
}

static void vcpu_free(struct kvm_vcpu *vcpu)
{
	free_page((unsigned long)vcpu->run);
	free_page((unsigned long)vcpu->pio_page);
	put_pid(rcu_dereference_protected(vcpu->pid, 1));
	kvm_arch_vcpu_free(vcpu);
}

static struct kvm_vcpu *vcpu_alloc(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu = kvm_arch_vcpu_alloc(kvm, id);
	int ret;

	if (IS_ERR(vcpu))
		return vcpu;
	vcpu->kvm = kvm;
	vcpu->vcpu_id = id;
	vcpu->cpu = -1;
	mutex_init(&vcpu->mutex);
	rcuwait_init(&vcpu->wait);
	preempt_notifier_init(&vcpu->preempt_notifier, &preempt_ops);
	ret = vcpu_pages_alloc(vcpu);
	if (!ret)
		ret = kvm_arch_vcpu_create(vcpu);
	if (ret) {
		vcpu_free(vcpu);
		return ERR_PTR(ret);
	}
	return vcpu;
}

/*
 * Give the vCPU its index and its file; kvm->lock held. The file can be used
 * from the moment it is there, so vcpu->mutex keeps ioctls out until whoever
 * kicks all vCPUs finds this one, too.
 */
static long vcpu_publish(struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	long fd;

	lockdep_assert_held(&kvm->lock);
	if (kvm_get_vcpu_by_id(kvm, vcpu->vcpu_id))
		return -EEXIST;
	vcpu->vcpu_idx = atomic_read(&kvm->online_vcpus);
	fd = xa_err(xa_store(&kvm->vcpus, vcpu->vcpu_idx, vcpu,
			     GFP_KERNEL_ACCOUNT));
	if (fd)
		return fd;
	kvm_get(kvm);
	mutex_lock(&vcpu->mutex);
	fd = kvm_vcpu_file_create(vcpu);
	if (fd >= 0) {
		/* Pairs with the read barrier in kvm_get_vcpu(). */
		smp_wmb();
		atomic_inc(&kvm->online_vcpus);
	}
	mutex_unlock(&vcpu->mutex);
	if (fd < 0) {
		xa_erase(&kvm->vcpus, vcpu->vcpu_idx);
		kvm_put(kvm);
	}
	return fd;
}

/* KVM_CREATE_VCPU: returns a new file descriptor. */
int kvm_vcpu_create(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu;
	long ret;

	if (id >= KVM_MAX_VCPU_IDS)
		return -EINVAL;

	mutex_lock(&kvm->lock);
	if (kvm->created_vcpus >= KVM_MAX_VCPUS || id >= kvm->max_vcpu_id) {
		mutex_unlock(&kvm->lock);
		return -EINVAL;
	}
	kvm->created_vcpus++;
	mutex_unlock(&kvm->lock);

	vcpu = vcpu_alloc(kvm, id);
	if (IS_ERR(vcpu)) {
		ret = PTR_ERR(vcpu);
		goto out_count;
	}
	mutex_lock(&kvm->lock);
	ret = vcpu_publish(kvm, vcpu);
	mutex_unlock(&kvm->lock);
	if (ret < 0)
		goto out_destroy;
	kvm_stats_vcpu_add(vcpu);
	return ret;

out_destroy:
	kvm_arch_vcpu_destroy(vcpu);
	vcpu_free(vcpu);
out_count:
	mutex_lock(&kvm->lock);
	kvm->created_vcpus--;
	mutex_unlock(&kvm->lock);
	return ret;
}

void kvm_vcpus_destroy(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	xa_for_each(&kvm->vcpus, i, vcpu) {
		kvm_arch_vcpu_destroy(vcpu);
		vcpu_free(vcpu);
		xa_erase(&kvm->vcpus, i);
	}
	atomic_set(&kvm->online_vcpus, 0);
}

/* ---- the vCPU file ---- */

static int set_signal_mask(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_signal_mask mask;
	sigset_t sigset;

	if (!argp) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&mask, argp, sizeof(mask)))
		return -EFAULT;
	if (mask.len != sizeof(sigset))
		return -EINVAL;
	if (copy_from_user(&sigset, argp + sizeof(mask), sizeof(sigset)))
		return -EFAULT;
	sigdelsetmask(&sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = sigset;
	vcpu->sigset_active = true;
	return 0;
}

/* Remember which thread runs the vCPU (for tools; not for correctness). */
static void vcpu_note_pid(struct kvm_vcpu *vcpu)
{
	struct pid *old = rcu_access_pointer(vcpu->pid);
	struct pid *new = task_pid(current);

	if (likely(old == new))
		return;
	rcu_assign_pointer(vcpu->pid, get_pid(new));
	if (old)
		synchronize_rcu();
	put_pid(old);
}

static long vcpu_ioctl_locked(struct kvm_vcpu *vcpu, unsigned int cmd,
			      unsigned long arg)
{
	int ret;

	switch (cmd) {
	case KVM_RUN:
		if (arg)
			return -EINVAL;
		vcpu_note_pid(vcpu);
		ret = kvm_arch_vcpu_run(vcpu);
		trace_kvm_userspace_exit(vcpu->run->exit_reason, ret);
		return ret;
	case KVM_GET_STATS_FD:
		return kvm_stats_file_create(vcpu->kvm, vcpu);
	case KVM_SET_SIGNAL_MASK:
		return set_signal_mask(vcpu, (void __user *)arg);
	default:
		return kvm_arch_vcpu_ioctl(vcpu, cmd, arg);
	}
}

static long kvm_vcpu_ioctl(struct file *filp, unsigned int cmd,
			   unsigned long arg)
{
	struct kvm_vcpu *vcpu = filp->private_data;
	long ret;

	if (vcpu->kvm->mm != current->mm || READ_ONCE(vcpu->kvm->dead))
		return -EIO;
	if (_IOC_TYPE(cmd) != KVMIO)
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	ret = vcpu_ioctl_locked(vcpu, cmd, arg);
	mutex_unlock(&vcpu->mutex);
	return ret;
}

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct kvm_vcpu *vcpu = vmf->vma->vm_file->private_data;
	void *page;

	switch (vmf->pgoff) {
	case 0:
		page = vcpu->run;
		break;
	case KVM_PIO_PAGE_OFFSET:
		page = vcpu->pio_page;
		break;
	case KVM_COALESCED_MMIO_PAGE_OFFSET:
		page = vcpu->kvm->coalesced_ring;
		break;
	default:
		page = NULL;
	}
	if (!page)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(page);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_fault,
};

static int kvm_vcpu_mmap(struct file *filp, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int kvm_vcpu_release(struct inode *inode, struct file *filp)
{
	struct kvm_vcpu *vcpu = filp->private_data;

	kvm_put(vcpu->kvm);
	return 0;
}

struct file_operations kvm_vcpu_fops = {
	.release = kvm_vcpu_release,
	.unlocked_ioctl = kvm_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = kvm_vcpu_mmap,
	.llseek = noop_llseek,
};
