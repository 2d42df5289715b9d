// SPDX-License-Identifier: GPL-2.0-only
/* What the front asks of x86: objects, capabilities, ioctl dispatch. */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../hostwork.h"
#include "x86.h"

#define TSS_ADDR_MAX		((1ULL << 32) - 3 * PAGE_SIZE)
#define MIN_MMU_PAGES		64
#define QUIRKS_VALID		(KVM_X86_QUIRK_LINT0_REENABLED |	\
				 KVM_X86_QUIRK_CD_NW_CLEARED |		\
				 KVM_X86_QUIRK_LAPIC_MMIO_HOLE |	\
				 KVM_X86_QUIRK_OUT_7E_INC_RIP |		\
				 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |	\
				 KVM_X86_QUIRK_FIX_HYPERCALL_INSN |	\
				 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)
#define MSR_EXITS_VALID		(KVM_MSR_EXIT_REASON_INVAL |		\
				 KVM_MSR_EXIT_REASON_UNKNOWN |		\
				 KVM_MSR_EXIT_REASON_FILTER)
#define X2APIC_API_FLAGS	3ULL	/* 32-bit ids; no broadcast quirk */
/* PAUSE is never intercepted, and processor states (C) are Intel's MSRs. */
#define DISABLE_EXITS_WORK	(KVM_X86_DISABLE_EXITS_HLT |		\
				 KVM_X86_DISABLE_EXITS_PAUSE |		\
				 KVM_X86_DISABLE_EXITS_CSTATE)

/* ---- capabilities ---- */

int kvm_arch_check_extension(struct kvm *kvm, long cap)
{
	switch (cap) {
	case KVM_CAP_IRQCHIP:
	case KVM_CAP_HLT:
	case KVM_CAP_SET_TSS_ADDR:
	case KVM_CAP_EXT_CPUID:
	case KVM_CAP_EXT_EMUL_CPUID:
	case KVM_CAP_CLOCKSOURCE:
	case KVM_CAP_PIT:
	case KVM_CAP_NOP_IO_DELAY:
	case KVM_CAP_ASYNC_PF:
	case KVM_CAP_ASYNC_PF_INT:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_USER_NMI:
	case KVM_CAP_REINJECT_CONTROL:
	case KVM_CAP_IRQ_INJECT_STATUS:
	case KVM_CAP_PIT2:
	case KVM_CAP_SET_BOOT_CPU_ID:
	case KVM_CAP_PIT_STATE2:
	case KVM_CAP_SET_IDENTITY_MAP_ADDR:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_INTR_SHADOW:
	case KVM_CAP_DEBUGREGS:
	case KVM_CAP_ENABLE_CAP:
	case KVM_CAP_XSAVE:
	case KVM_CAP_XCRS:
	case KVM_CAP_GET_TSC_KHZ:
	case KVM_CAP_TSC_DEADLINE_TIMER:
	case KVM_CAP_KVMCLOCK_CTRL:
	case KVM_CAP_IOAPIC_POLARITY_IGNORED:
	case KVM_CAP_DISABLE_QUIRKS:
	case KVM_CAP_SPLIT_IRQCHIP:
	case KVM_CAP_GET_MSR_FEATURES:
	case KVM_CAP_MSR_PLATFORM_INFO:
	case KVM_CAP_EXCEPTION_PAYLOAD:
	case KVM_CAP_LAST_CPU:
	case KVM_CAP_X86_MSR_FILTER:
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
	case KVM_CAP_SREGS2:
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
	case KVM_CAP_VCPU_ATTRIBUTES:
	case KVM_CAP_X86_ROBUST_SINGLESTEP:
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
	case KVM_CAP_SYS_ATTRIBUTES:
	case KVM_CAP_SET_GUEST_DEBUG:
	case KVM_CAP_X86_USER_SPACE_MSR:
		return 1;
	case KVM_CAP_SET_GUEST_DEBUG2:
		return GUESTDBG_VALID;
	case KVM_CAP_STEAL_TIME:
		return IS_ENABLED(CONFIG_SCHED_INFO);
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME |
		       KVM_CLOCK_HOST_TSC;
	case KVM_CAP_SYNC_REGS:
		return KVM_SYNC_X86_VALID_FIELDS;
	case KVM_CAP_NR_VCPUS:
		return min_t(int, num_online_cpus(), KVM_MAX_VCPUS);
	case KVM_CAP_MCE:
		return X86_MAX_MCE_BANKS;
	case KVM_CAP_X2APIC_API:
		return X2APIC_API_FLAGS;
	case KVM_CAP_XSAVE2:
		return x86_xsave2_size(kvm);
	case KVM_CAP_X86_DISABLE_EXITS:
		return DISABLE_EXITS_WORK;
	case KVM_CAP_DISABLE_QUIRKS2:
		return QUIRKS_VALID;
	default:
		return 0;
	}
}

/* ---- /dev/kvm ---- */

int kvm_arch_hardware_enable(void)
{
	return x86_ops->hardware_enable();
}

void kvm_arch_hardware_disable(void)
{
	x86_ops->hardware_disable();
}

long kvm_arch_dev_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	long ret = x86_cpuid_dev_ioctl(cmd, argp);

	if (ret == -ENOIOCTLCMD)
		ret = x86_msr_dev_ioctl(cmd, argp);
	return ret == -ENOIOCTLCMD ? -EINVAL : ret;
}

/* ---- VM ---- */

struct kvm *kvm_arch_vm_alloc(void)
{
	struct x86_vm *vm = kvzalloc(x86_ops->vm_size, GFP_KERNEL_ACCOUNT);

	return vm ? &vm->kvm : NULL;
}

void kvm_arch_vm_free(struct kvm *kvm)
{
	kvfree(to_x86_vm(kvm));
}

int kvm_arch_vm_init(struct kvm *kvm, unsigned long type)
{
	struct x86_vm *vm = to_x86_vm(kvm);
	int ret;

	if (type)
		return -EINVAL;
	mutex_init(&vm->apic_map_lock);
	vm->wall_clock_gpa = INVALID_GPA;
	vm->guest_can_read_platform_info = true;
	x86_time_vm_init(vm);
	ret = x86_npt_vm_init(vm);
	if (ret)
		goto out_time;
	if (x86_ops->vm_init) {
		ret = x86_ops->vm_init(vm);
		if (ret)
			goto out_npt;
	}
	return 0;

out_npt:
	x86_npt_vm_destroy(vm);
out_time:
	x86_time_vm_destroy(vm);
	return ret;
}

void kvm_arch_vm_pre_destroy(struct kvm *kvm)
{
	x86_pit_destroy(to_x86_vm(kvm));	/* its timer kicks vCPUs */
	x86_time_vm_destroy(to_x86_vm(kvm));
}

void kvm_arch_vm_destroy(struct kvm *kvm)
{
	struct x86_vm *vm = to_x86_vm(kvm);

	x86_irqchip_destroy(vm);
	x86_msr_vm_destroy(vm);
	if (x86_ops->vm_destroy)
		x86_ops->vm_destroy(vm);
	x86_npt_vm_destroy(vm);
}

bool kvm_arch_irqchip_in_kernel(struct kvm *kvm)
{
	return READ_ONCE(to_x86_vm(kvm)->irqchip) != X86_IRQCHIP_NONE;
}

static int create_irqchip(struct x86_vm *vm)
{
	int ret;

	if (vm->irqchip != X86_IRQCHIP_NONE)
		return -EEXIST;
	if (vm->kvm.created_vcpus)
		return -EINVAL;
	ret = x86_irqchip_create(vm);
	if (!ret)
		/* Published whole: readers look at the mode without a lock. */
		smp_store_release(&vm->irqchip, X86_IRQCHIP_KERNEL);
	return ret;
}

static int create_pit(struct x86_vm *vm, u32 flags)
{
	if (vm->pit)
		return -EEXIST;
	if (vm->irqchip != X86_IRQCHIP_KERNEL)
		return -ENOENT;
	if (flags & ~KVM_PIT_SPEAKER_DUMMY)
		return -EINVAL;
	return x86_pit_create(vm, flags);
}

static int enable_split_irqchip(struct x86_vm *vm, u64 pins)
{
	int ret;

	if (pins > KVM_MAX_GSI)
		return -EINVAL;
	if (vm->irqchip != X86_IRQCHIP_NONE || vm->kvm.created_vcpus)
		return -EEXIST;
	ret = x86_split_irqchip_enable(vm, pins);
	if (!ret)
		smp_store_release(&vm->irqchip, X86_IRQCHIP_SPLIT);
	return ret;
}

static int set_max_vcpu_id(struct x86_vm *vm, u64 id)
{
	struct kvm *kvm = &vm->kvm;

	if (id > KVM_MAX_VCPU_IDS)
		return -EINVAL;
	/* 0 and KVM_MAX_VCPU_IDS: no limit, which may yet be set. */
	id = id ?: KVM_MAX_VCPU_IDS;
	if (id == kvm->max_vcpu_id)
		return 0;
	if (kvm->created_vcpus || kvm->max_vcpu_id != KVM_MAX_VCPU_IDS)
		return -EINVAL;
	kvm->max_vcpu_id = id;
	return 0;
}

static int vm_enable_cap(struct x86_vm *vm, const struct kvm_enable_cap *cap)
{
	u64 arg = cap->args[0];

	switch (cap->cap) {
	case KVM_CAP_DISABLE_QUIRKS2:
		if (arg & ~(u64)QUIRKS_VALID)
			return -EINVAL;
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		vm->disabled_quirks = arg & QUIRKS_VALID;
		return 0;
	case KVM_CAP_SPLIT_IRQCHIP:
		return enable_split_irqchip(vm, arg);
	case KVM_CAP_X2APIC_API:
		if (arg & ~X2APIC_API_FLAGS)
			return -EINVAL;
		vm->x2apic_format |= arg & 1;
		vm->x2apic_broadcast_quirk_disabled |= !!(arg & 2);
		return 0;
	case KVM_CAP_MSR_PLATFORM_INFO:
		vm->guest_can_read_platform_info = arg;
		return 0;
	case KVM_CAP_EXCEPTION_PAYLOAD:
		vm->exception_payload_enabled = arg;
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->triple_fault_event = arg;
		return 0;
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (arg & ~1ULL)
			return -EINVAL;
		vm->exit_on_emulation_failure = arg;
		return 0;
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (arg & ~(u64)MSR_EXITS_VALID)
			return -EINVAL;
		vm->user_space_msr_mask = arg;
		return 0;
	case KVM_CAP_MAX_VCPU_ID:
		return set_max_vcpu_id(vm, arg);
	case KVM_CAP_X86_DISABLE_EXITS:
		/* MWAIT is taken as well, and exits: no guest may have it. */
		if (arg & ~(u64)(DISABLE_EXITS_WORK |
				 KVM_X86_DISABLE_EXITS_MWAIT))
			return -EINVAL;
		vm->hlt_in_guest |= !!(arg & KVM_X86_DISABLE_EXITS_HLT);
		return 0;
	default:
		return -EINVAL;
	}
}

static long vm_ioctl_enable_cap(struct x86_vm *vm, void __user *argp)
{
	struct kvm_enable_cap cap;
	long ret;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	if (cap.flags)
		return -EINVAL;
	mutex_lock(&vm->kvm.lock);
	ret = vm_enable_cap(vm, &cap);
	mutex_unlock(&vm->kvm.lock);
	return ret;
}

static long vm_ioctl_create_pit2(struct x86_vm *vm, void __user *argp)
{
	struct kvm_pit_config config;
	long ret;

	if (copy_from_user(&config, argp, sizeof(config)))
		return -EFAULT;
	mutex_lock(&vm->kvm.lock);
	ret = create_pit(vm, config.flags);
	mutex_unlock(&vm->kvm.lock);
	return ret;
}

static long vm_ioctl_identity_map(struct x86_vm *vm, void __user *argp)
{
	u64 addr;
	long ret = -EINVAL;

	if (copy_from_user(&addr, argp, sizeof(addr)))
		return -EFAULT;
	mutex_lock(&vm->kvm.lock);
	if (!vm->kvm.created_vcpus)
		ret = 0;
	mutex_unlock(&vm->kvm.lock);
	return ret;
}

/* Requests that need kvm->lock and no argument beyond a number. */
static long vm_ioctl_locked(struct x86_vm *vm, unsigned int cmd,
			    unsigned long arg)
{
	long ret = 0;

	mutex_lock(&vm->kvm.lock);
	switch (cmd) {
	case KVM_CREATE_IRQCHIP:
		ret = create_irqchip(vm);
		break;
	case KVM_CREATE_PIT:
		ret = create_pit(vm, 0);
		break;
	case KVM_SET_BOOT_CPU_ID:
		if (vm->kvm.created_vcpus)
			ret = -EBUSY;
		else
			vm->kvm.boot_vcpu_id = arg;
		break;
	}
	mutex_unlock(&vm->kvm.lock);
	return ret;
}

long kvm_arch_vm_ioctl(struct kvm *kvm, unsigned int cmd, unsigned long arg)
{
	struct x86_vm *vm = to_x86_vm(kvm);
	void __user *argp = (void __user *)arg;
	long ret;

	switch (cmd) {
	case KVM_CREATE_IRQCHIP:
	case KVM_CREATE_PIT:
	case KVM_SET_BOOT_CPU_ID:
		return vm_ioctl_locked(vm, cmd, arg);
	case KVM_CREATE_PIT2:
		return vm_ioctl_create_pit2(vm, argp);
	case KVM_ENABLE_CAP:
		return vm_ioctl_enable_cap(vm, argp);
	case KVM_SET_TSS_ADDR:
		/* Only processors without unrestricted guests need one. */
		return arg > TSS_ADDR_MAX ? -EINVAL : 0;
	case KVM_SET_IDENTITY_MAP_ADDR:
		return vm_ioctl_identity_map(vm, argp);
	case KVM_SET_NR_MMU_PAGES:
		return arg < MIN_MMU_PAGES ? -EINVAL : 0;
	case KVM_GET_NR_MMU_PAGES:
		return 0;	/* no limit: table pages are accounted memory */
	}
	ret = x86_irqchip_vm_ioctl(vm, cmd, argp);
	if (ret == -ENOIOCTLCMD)
		ret = x86_time_vm_ioctl(vm, cmd, arg);
	if (ret == -ENOIOCTLCMD)
		ret = x86_msr_vm_ioctl(vm, cmd, argp);
	return ret == -ENOIOCTLCMD ? -ENOTTY : ret;
}

/* ---- vCPU ---- */

struct kvm_vcpu *kvm_arch_vcpu_alloc(struct kvm *kvm, u32 id)
{
	struct x86_vcpu *v = kvzalloc(x86_ops->vcpu_size, GFP_KERNEL_ACCOUNT);

	return v ? &v->vcpu : ERR_PTR(-ENOMEM);
}

void kvm_arch_vcpu_free(struct kvm_vcpu *vcpu)
{
	kvfree(to_x86(vcpu));
}

static u32 initial_mp_state(struct x86_vcpu *v)
{
	if (!kvm_arch_irqchip_in_kernel(v->vcpu.kvm) || x86_vcpu_is_bsp(v))
		return KVM_MP_STATE_RUNNABLE;
	return KVM_MP_STATE_UNINITIALIZED;
}

int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	int ret, idx;

	x86_cpuid_init(v);
	x86_async_pf_init(v);
	v->hostwork = hostwork_alloc(vcpu->run);
	if (!v->hostwork)
		return -ENOMEM;
	ret = x86_fpu_create(v);
	if (ret)
		goto out_hostwork;
	if (kvm_arch_irqchip_in_kernel(vcpu->kvm)) {
		ret = x86_lapic_create(v);
		if (ret)
			goto out_fpu;
	}
	/* It reads the MSR filter, which may be replaced meanwhile. */
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = x86_ops->vcpu_create(v);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	if (ret)
		goto out_lapic;
	v->mp_state = initial_mp_state(v);
	kvm_vcpu_load(vcpu);
	x86_vcpu_reset(v, false);
	x86_time_vcpu_init(v);
	kvm_vcpu_put(vcpu);
	kvm_make_request(X86_REQ_MMU_RELOAD, vcpu);
	/* One that was replaced before the vCPU could be found by the kick. */
	kvm_make_request(X86_REQ_MSR_FILTER, vcpu);
	return 0;

out_lapic:
	x86_lapic_free(v);
out_fpu:
	x86_fpu_free(v);
out_hostwork:
	hostwork_free(v->hostwork);
	return ret;
}

void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	x86_async_pf_destroy(v);
	x86_ops->vcpu_destroy(v);
	x86_lapic_free(v);
	x86_fpu_free(v);
	x86_cpuid_free(v);
	hostwork_free(v->hostwork);
}

void kvm_arch_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	x86_ops->vcpu_load(v);
	x86_time_vcpu_load(v, cpu);
	if (v->lapic && vcpu->cpu != cpu)
		x86_lapic_migrate_timer(v);
	vcpu->cpu = cpu;
}

void kvm_arch_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	x86_time_vcpu_put(v);
	x86_ops->vcpu_put(v);
}

unsigned long kvm_arch_vcpu_exit_ip(struct kvm_vcpu *vcpu)
{
	return x86_ops->get_exit_rip(to_x86(vcpu));
}

bool kvm_arch_vcpu_in_kernel(struct kvm_vcpu *vcpu)
{
	return x86_op(get_cpl)(to_x86(vcpu)) == 0;
}

static long ioctl_interrupt(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_interrupt irq;

	if (copy_from_user(&irq, argp, sizeof(irq)))
		return -EFAULT;
	if (irq.irq >= KVM_NR_INTERRUPTS)
		return -EINVAL;
	switch (to_x86_vm(v->vcpu.kvm)->irqchip) {
	case X86_IRQCHIP_NONE:
		x86_requeue_interrupt(v, irq.irq, false);
		return 0;
	case X86_IRQCHIP_SPLIT:
		if (v->pending_external_vector != -1)
			return -EEXIST;
		v->pending_external_vector = irq.irq;
		kvm_make_request(X86_REQ_EVENT, &v->vcpu);
		return 0;
	default:
		return -ENXIO;
	}
}

static long ioctl_tpr_access(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_tpr_access_ctl ctl;

	if (copy_from_user(&ctl, argp, sizeof(ctl)))
		return -EFAULT;
	if (ctl.flags)
		return -EINVAL;
	return copy_to_user(argp, &ctl, sizeof(ctl)) ? -EFAULT : 0;
}

static long ioctl_vapic_addr(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_vapic_addr va;

	if (!v->lapic)
		return -EINVAL;
	if (copy_from_user(&va, argp, sizeof(va)))
		return -EFAULT;
	return va.vapic_addr && !kvm_gfn_to_hva(v->vcpu.kvm,
						va.vapic_addr >> PAGE_SHIFT,
						NULL) ? -EINVAL : 0;
}

static long ioctl_enable_cap(struct x86_vcpu *v, void __user *argp)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	if (cap.flags || cap.cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	v->enforce_pv_cpuid = cap.args[0];
	return 0;
}

/* The vCPU is loaded, its mutex and srcu are held. */
static long vcpu_ioctl_loaded(struct x86_vcpu *v, unsigned int cmd,
			      unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	long ret;

	switch (cmd) {
	case KVM_INTERRUPT:
		return ioctl_interrupt(v, argp);
	case KVM_NMI:
		x86_inject_nmi(v);
		return 0;
	case KVM_TPR_ACCESS_REPORTING:
		return ioctl_tpr_access(v, argp);
	case KVM_SET_VAPIC_ADDR:
		return ioctl_vapic_addr(v, argp);
	case KVM_ENABLE_CAP:
		return ioctl_enable_cap(v, argp);
	}
	ret = x86_regs_ioctl(v, cmd, argp);
	if (ret == -ENOIOCTLCMD)
		ret = x86_cpuid_vcpu_ioctl(v, cmd, argp);
	if (ret == -ENOIOCTLCMD)
		ret = x86_msr_vcpu_ioctl(v, cmd, argp);
	if (ret == -ENOIOCTLCMD)
		ret = x86_fpu_ioctl(v, cmd, argp);
	if (ret == -ENOIOCTLCMD)
		ret = x86_lapic_vcpu_ioctl(v, cmd, argp);
	if (ret == -ENOIOCTLCMD)
		ret = x86_time_vcpu_ioctl(v, cmd, arg);
	return ret == -ENOIOCTLCMD ? -EINVAL : ret;
}

long kvm_arch_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int cmd,
			 unsigned long arg)
{
	int idx;
	long ret;

	kvm_vcpu_load(vcpu);
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = vcpu_ioctl_loaded(to_x86(vcpu), cmd, arg);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	kvm_vcpu_put(vcpu);
	return ret;
}
