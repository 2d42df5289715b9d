// SPDX-License-Identifier: GPL-2.0-only
/* The front's module part: /dev/kvm, virtualisation on every CPU, kicks. */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/debugfs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>

#include "main.h"

struct dentry *kvm_debugfs_root;

static DEFINE_PER_CPU(bool, hardware_enabled);
static DEFINE_MUTEX(usage_lock);
static unsigned int usage_count;	/* VMs that need virtualisation on */
static bool rebooting;
static enum cpuhp_state cpuhp_state;

/* ---- virtualisation on each CPU: on while there is a VM ---- */

static int hardware_enable_local(void)
{
	int ret;

	if (__this_cpu_read(hardware_enabled))
		return 0;
	ret = kvm_arch_hardware_enable();
	if (!ret)
		__this_cpu_write(hardware_enabled, true);
	return ret;
}

static void hardware_disable_local(void *unused)
{
	if (!__this_cpu_read(hardware_enabled))
		return;
	/* First, as we may be preempted: see kvm_hardware_on(). */
	__this_cpu_write(hardware_enabled, false);
	barrier();
	kvm_arch_hardware_disable();
}

/*
 * Interrupts off: may this CPU enter a guest? Not if it is going offline or
 * the machine reboots; either happens on this very CPU, so the answer holds
 * until interrupts are on again.
 */
bool kvm_hardware_on(void)
{
	return __this_cpu_read(hardware_enabled);
}

/* After kvm_hardware_on() said no: 1 to try on another CPU, or -errno. */
int kvm_hardware_wait(void)
{
	if (READ_ONCE(rebooting))
		return -EIO;
	schedule_timeout_uninterruptible(1);
	return 1;
}

static void hardware_enable_ipi(void *failed)
{
	if (hardware_enable_local())
		atomic_inc(failed);
}

/* Turn virtualisation on for one more VM; -EBUSY if some CPU refuses. */
int kvm_hardware_get(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	int ret = 0;

	/* cpus_read_lock() first: hotplug callbacks take usage_lock inside. */
	cpus_read_lock();
	mutex_lock(&usage_lock);
	if (rebooting) {
		ret = -EIO;
	} else if (!usage_count++) {
		on_each_cpu(hardware_enable_ipi, &failed, 1);
		if (atomic_read(&failed)) {
			on_each_cpu(hardware_disable_local, NULL, 1);
			usage_count--;
			ret = -EBUSY;
		}
	}
	mutex_unlock(&usage_lock);
	cpus_read_unlock();
	return ret;
}

void kvm_hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&usage_lock);
	if (!--usage_count)
		on_each_cpu(hardware_disable_local, NULL, 1);
	mutex_unlock(&usage_lock);
	cpus_read_unlock();
}

static int kvm_cpu_online(unsigned int cpu)
{
	int ret = 0;

	mutex_lock(&usage_lock);
	if (usage_count && !rebooting)
		ret = hardware_enable_local();
	mutex_unlock(&usage_lock);
	return ret;
}

static int kvm_cpu_offline(unsigned int cpu)
{
	mutex_lock(&usage_lock);
	hardware_disable_local(NULL);
	mutex_unlock(&usage_lock);
	return 0;
}

/* The boot CPU sleeps and wakes outside CPU hotplug; single threaded here. */
static int kvm_suspend(COMPAT_SYSCORE_ARG)
{
	hardware_disable_local(NULL);
	return 0;
}

static void kvm_resume(COMPAT_SYSCORE_ARG)
{
	if (usage_count)
		WARN_ON_ONCE(hardware_enable_local());
	kvm_arch_resume();
}

static struct syscore_ops kvm_syscore_ops = {
	.suspend = kvm_suspend,
	.resume = kvm_resume,
};

static struct syscore kvm_syscore = {
	.ops = &kvm_syscore_ops,
};

/* A machine that reboots with virtualisation on may hang in its firmware. */
static int kvm_reboot(struct notifier_block *nb, unsigned long val, void *v)
{
	/* Whoever turns it on comes before, or finds that it is too late. */
	mutex_lock(&usage_lock);
	WRITE_ONCE(rebooting, true);
	on_each_cpu(hardware_disable_local, NULL, 1);
	mutex_unlock(&usage_lock);
	return NOTIFY_OK;
}

static struct notifier_block kvm_reboot_notifier = {
	.notifier_call = kvm_reboot,
};

/* ---- kicks ---- */

static void kick_ipi(void *unused)
{
	/* The interrupt itself made the CPU leave the guest. */
}

/*
 * Make request req of every vCPU and wait until those in guest mode have
 * left it: after the return none runs on state from before the request.
 */
bool kvm_kick_all_vcpus(struct kvm *kvm, unsigned int req)
{
	struct kvm_vcpu *vcpu;
	bool kicked = false;
	unsigned long i;
	int me, cpu;

	/*
	 * Called under mmu_lock too, so without allocation: one IPI a vCPU.
	 */
	me = get_cpu();
	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(req, vcpu);
		/*
		 * Pairs with the barrier between mode = IN_GUEST_MODE and the
		 * look at requests in the run loop: one of us sees the other.
		 */
		smp_mb();
		if (READ_ONCE(vcpu->mode) == OUTSIDE_GUEST_MODE)
			continue;
		kicked = true;
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu >= 0 && cpu != me && cpu_online(cpu))
			smp_call_function_single(cpu, kick_ipi, NULL, 1);
	}
	put_cpu();
	return kicked;
}

/* ---- /dev/kvm ---- */

static long kvm_dev_ioctl(struct file *filp, unsigned int cmd,
			  unsigned long arg)
{
	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return kvm_vm_create(arg);
	case KVM_CHECK_EXTENSION:
		return kvm_check_extension(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : KVM_VCPU_MMAP_PAGES * PAGE_SIZE;
	default:
		return kvm_arch_dev_ioctl(filp, cmd, arg);
	}
}

static struct file_operations kvm_chardev_ops = {
	.unlocked_ioctl = kvm_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice kvm_dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &kvm_chardev_ops,
};

/* Undo what kvm_front_init() hooks into the host. */
static void leave_host(void)
{
	kvm_perf_unregister();
	preempt_notifier_dec();
	debugfs_remove_recursive(kvm_debugfs_root);
	unregister_syscore(&kvm_syscore);
	unregister_reboot_notifier(&kvm_reboot_notifier);
	cpuhp_remove_state_nocalls(cpuhp_state);
}

/*
 * Bring the front up for a vendor module, which then owns every file opened
 * on our behalf: it cannot be unloaded while a VM, vCPU or stats file lives.
 * /dev/kvm appears last, when everything behind it works.
 */
int kvm_front_init(struct module *vendor)
{
	int ret;

	ret = kvm_eventfd_module_init();
	if (ret)
		return ret;
	ret = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "kvm:online",
					kvm_cpu_online, kvm_cpu_offline);
	if (ret < 0)
		goto out_eventfd;
	cpuhp_state = ret;
	register_reboot_notifier(&kvm_reboot_notifier);
	register_syscore(&kvm_syscore);
	preempt_notifier_inc();
	kvm_perf_register();
	kvm_debugfs_root = debugfs_create_dir("kvm", NULL);
	kvm_stats_init_totals();

	kvm_chardev_ops.owner = vendor;
	kvm_set_file_owner(vendor);
	ret = misc_register(&kvm_dev);
	if (ret) {
		pr_err("kvm: /dev/kvm: error %d\n", ret);
		goto out_undo;
	}
	return 0;

out_undo:
	leave_host();
out_eventfd:
	kvm_eventfd_module_exit();
	return ret;
}

void kvm_front_exit(void)
{
	misc_deregister(&kvm_dev);
	leave_host();
	on_each_cpu(hardware_disable_local, NULL, 1);
	kvm_eventfd_module_exit();
}
