// SPDX-License-Identifier: GPL-2.0-only
/* CPUID of host and guest: the ioctls, and what a guest's model implies. */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tsc.h>

#include "cpuid_logic.h"
#include "trace.h"
#include "x86.h"

struct x86_host x86_host;

/* ---- the host ---- */

static void read_host(void *ctx, u32 function, u32 index, u32 r[4])
{
	cpuid_count(function, index, &r[CPUID_REG_EAX], &r[CPUID_REG_EBX],
		    &r[CPUID_REG_ECX], &r[CPUID_REG_EDX]);
}

static u32 pv_features(void)
{
	u32 features = BIT(CPUID_PV_CLOCKSOURCE) | BIT(CPUID_PV_NOP_IO_DELAY) |
		       BIT(CPUID_PV_CLOCKSOURCE2) | BIT(CPUID_PV_EOI) |
		       BIT(CPUID_PV_ASYNC_PF) | BIT(CPUID_PV_ASYNC_PF_INT) |
		       BIT(CPUID_PV_ASYNC_PF_VMEXIT) |
		       BIT(CPUID_PV_UNHALT) | BIT(CPUID_PV_SEND_IPI) |
		       BIT(CPUID_PV_SCHED_YIELD) |
		       BIT(CPUID_PV_CLOCKSOURCE_STABLE);

	if (IS_ENABLED(CONFIG_SCHED_INFO))
		features |= BIT(CPUID_PV_STEAL_TIME);
	return features;
}

static struct cpuid_env host_env(void)
{
	return (struct cpuid_env) {
		.read = read_host,
		.guest_xcr0 = x86_host.guest_xcr0,
		.pv_features = pv_features(),
	};
}

/* What GET_SUPPORTED_CPUID shows is also the limit for what is never shown. */
static int host_limits_init(void)
{
	struct cpuid_env env = host_env();
	struct kvm_cpuid_entry2 *entries;
	int nent;

	entries = kvcalloc(CPUID_MAX_ENTRIES, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	nent = cpuid_supported(&env, entries, CPUID_MAX_ENTRIES);
	if (nent > 0) {
		x86_host.cr4_reserved = cpuid_cr4_reserved(entries, nent);
		x86_host.efer_reserved = cpuid_efer_reserved(entries, nent);
		x86_host.maxphyaddr = cpuid_maxphyaddr(entries, nent);
	}
	kvfree(entries);
	return min(nent, 0);
}

int x86_cpuid_module_init(void)
{
	struct cpuid_env env;

	if (boot_cpu_has(X86_FEATURE_OSXSAVE)) {
		x86_host.xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		x86_host.guest_xcr0 = x86_host.xcr0 & CPUID_XCR0_KNOWN &
				      xstate_get_guest_group_perm();
	}
	env = host_env();
	x86_host.xsave_size = cpuid_xsave_size(&env, x86_host.guest_xcr0,
					       false);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, x86_host.xss);
	x86_host.tsc_khz = tsc_khz;
	return host_limits_init();
}

/* ---- the guest's model ---- */

const struct kvm_cpuid_entry2 *x86_cpuid_find(struct x86_vcpu *v, u32 function,
					      u32 index)
{
	return cpuid_find(v->cpuid.entries, v->cpuid.nent, function, index);
}

bool x86_guest_has(struct x86_vcpu *v, u32 function, u32 index, int reg,
		   u32 bit)
{
	return cpuid_has(v->cpuid.entries, v->cpuid.nent, function, index, reg,
			 bit);
}
EXPORT_SYMBOL_GPL(x86_guest_has);

static void trace_query(struct x86_vcpu *v, u32 function, u32 index,
			const u32 r[4])
{
	const struct kvm_cpuid_entry2 *entries = v->cpuid.entries;
	u32 nent = v->cpuid.nent;
	bool found = cpuid_find(entries, nent, function, index);

	trace_kvm_cpuid(function, index, r, found, !found &&
			cpuid_find_answer(entries, nent, function, index));
}

void x86_cpuid_query(struct x86_vcpu *v, u32 *a, u32 *b, u32 *c, u32 *d)
{
	u32 r[4];

	cpuid_query(v->cpuid.entries, v->cpuid.nent, *a, *c, r);
	if (trace_kvm_cpuid_enabled())
		trace_query(v, *a, *c, r);
	*a = r[CPUID_REG_EAX];
	*b = r[CPUID_REG_EBX];
	*c = r[CPUID_REG_ECX];
	*d = r[CPUID_REG_EDX];
}

#define CR4_OSXSAVE		BIT_ULL(18)
#define CR4_PKE			BIT_ULL(22)
#define APIC_BASE_ENABLE	BIT_ULL(11)
#define MISC_ENABLE_MWAIT	BIT_ULL(18)

static void apply_runtime(struct x86_vcpu *v, struct kvm_cpuid_entry2 *entries,
			  u32 nent)
{
	u64 quirks_off = to_x86_vm(v->vcpu.kvm)->disabled_quirks;
	struct cpuid_runtime rt = {
		.osxsave = v->cr4 & CR4_OSXSAVE,
		.pke = v->cr4 & CR4_PKE,
		/* Without an in-kernel LAPIC the bit is user space's. */
		.apic_enabled = v->apic_base & APIC_BASE_ENABLE || !v->lapic,
		/* The quirk is that CPUID stays as user space set it. */
		.mwait_follows =
			quirks_off & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT,
		.mwait = v->msrs.misc_enable & MISC_ENABLE_MWAIT,
		.xcr0 = v->xcr0,
	};

	cpuid_apply_runtime(entries, nent, &rt);
}

void x86_cpuid_update_runtime(struct x86_vcpu *v)
{
	apply_runtime(v, v->cpuid.entries, v->cpuid.nent);
}

static u64 guest_xcr0_supported(const struct x86_cpuid *c)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(c->entries, c->nent,
						      0xd, 0);

	if (!e)
		return 0;
	return (e->eax | (u64)e->edx << 32) & x86_host.guest_xcr0;
}

static void set_maxphyaddr(struct x86_cpuid *c, u8 width)
{
	c->maxphyaddr = width;
	c->reserved_gpa_bits = ~0ULL << width;
}

/* Everything that follows from entries; the runtime bits included. */
static void model_changed(struct x86_vcpu *v)
{
	struct x86_cpuid *c = &v->cpuid;

	set_maxphyaddr(c, cpuid_maxphyaddr(c->entries, c->nent));
	c->cr4_reserved = x86_host.cr4_reserved |
			  cpuid_cr4_reserved(c->entries, c->nent);
	c->efer_reserved = x86_host.efer_reserved |
			   cpuid_efer_reserved(c->entries, c->nent);
	c->xcr0_supported = guest_xcr0_supported(c);
	c->pv_features = cpuid_pv_features(c->entries, c->nent);
	c->intel = !cpuid_vendor_zeroes_unknown(c->entries, c->nent);
	x86_cpuid_update_runtime(v);
	x86_ops->cpuid_changed(v);
}

/* State may be restored before SET_CPUID, within what the host can do. */
void x86_cpuid_init(struct x86_vcpu *v)
{
	struct x86_cpuid *c = &v->cpuid;

	set_maxphyaddr(c, x86_host.maxphyaddr);
	c->cr4_reserved = x86_host.cr4_reserved;
	c->efer_reserved = x86_host.efer_reserved;
	c->xcr0_supported = x86_host.guest_xcr0;
}

void x86_cpuid_free(struct x86_vcpu *v)
{
	kvfree(v->cpuid.entries);
	v->cpuid.entries = NULL;
	v->cpuid.nent = 0;
}

/* ---- ioctls ---- */

/* A guest that ran has seen its CPUID: only the same model may be set. */
static bool same_model(const struct x86_vcpu *v,
		       const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	u32 i;

	if (nent != v->cpuid.nent)
		return false;
	for (i = 0; i < nent; i++) {
		const struct kvm_cpuid_entry2 *a = &v->cpuid.entries[i];
		const struct kvm_cpuid_entry2 *b = &entries[i];

		if (a->function != b->function || a->index != b->index ||
		    a->flags != b->flags || a->eax != b->eax ||
		    a->ebx != b->ebx || a->ecx != b->ecx || a->edx != b->edx)
			return false;
	}
	return true;
}

/* Takes over entries, whatever it returns. */
static int set_entries(struct x86_vcpu *v, struct kvm_cpuid_entry2 *entries,
		       u32 nent)
{
	int ret = 0;

	if (!cpuid_linear_width_ok(entries, nent)) {
		ret = -EINVAL;
		goto out_free;
	}
	if (v->ran_once) {
		apply_runtime(v, entries, nent);
		if (!same_model(v, entries, nent))
			ret = -EINVAL;
		goto out_free;
	}
	kvfree(v->cpuid.entries);
	v->cpuid.entries = entries;
	v->cpuid.nent = nent;
	model_changed(v);
	return 0;

out_free:
	kvfree(entries);
	return ret;
}

static struct kvm_cpuid_entry2 *alloc_entries(u32 nent)
{
	return kvcalloc(max(nent, 1u), sizeof(struct kvm_cpuid_entry2),
			GFP_KERNEL_ACCOUNT);
}

static int set_cpuid2(struct x86_vcpu *v, struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > CPUID_MAX_ENTRIES)
		return -E2BIG;
	entries = alloc_entries(head.nent);
	if (!entries)
		return -ENOMEM;
	if (copy_from_user(entries, arg->entries,
			   array_size(head.nent, sizeof(*entries)))) {
		kvfree(entries);
		return -EFAULT;
	}
	return set_entries(v, entries, head.nent);
}

static int set_cpuid(struct x86_vcpu *v, struct kvm_cpuid __user *arg)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid_entry old;
	struct kvm_cpuid head;
	u32 i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > CPUID_MAX_ENTRIES)
		return -E2BIG;
	entries = alloc_entries(head.nent);
	if (!entries)
		return -ENOMEM;
	for (i = 0; i < head.nent; i++) {
		if (copy_from_user(&old, &arg->entries[i], sizeof(old))) {
			kvfree(entries);
			return -EFAULT;
		}
		entries[i].function = old.function;
		entries[i].eax = old.eax;
		entries[i].ebx = old.ebx;
		entries[i].ecx = old.ecx;
		entries[i].edx = old.edx;
	}
	return set_entries(v, entries, head.nent);
}

static int copy_out(struct kvm_cpuid2 __user *arg,
		    const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < nent)
		return -E2BIG;
	head.nent = nent;
	if (copy_to_user(arg->entries, entries,
			 array_size(nent, sizeof(*entries))) ||
	    copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	return 0;
}

static int get_cpuid2(struct x86_vcpu *v, struct kvm_cpuid2 __user *arg)
{
	return copy_out(arg, v->cpuid.entries, v->cpuid.nent);
}

static int get_supported(struct kvm_cpuid2 __user *arg)
{
	struct cpuid_env env = host_env();
	struct kvm_cpuid_entry2 *entries;
	int ret;

	entries = alloc_entries(CPUID_MAX_ENTRIES);
	if (!entries)
		return -ENOMEM;
	ret = cpuid_supported(&env, entries, CPUID_MAX_ENTRIES);
	if (ret > 0)
		ret = copy_out(arg, entries, ret);
	kvfree(entries);
	return ret;
}

/* Attributes of the system: so far only the XCR0 bits a guest may have. */
static long sys_attr(unsigned int cmd, void __user *argp)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, argp, sizeof(attr)))
		return -EFAULT;
	if (attr.group || attr.attr != KVM_X86_XCOMP_GUEST_SUPP)
		return -ENXIO;
	if (cmd == KVM_HAS_DEVICE_ATTR)
		return 0;
	return put_user(x86_host.guest_xcr0, (u64 __user *)u64_to_user_ptr(attr.addr));
}

long x86_cpuid_dev_ioctl(unsigned int cmd, void __user *argp)
{
	switch (cmd) {
	case KVM_GET_SUPPORTED_CPUID:
		return get_supported(argp);
	case KVM_GET_EMULATED_CPUID:
		/* Nothing is emulated that the processor does not have. */
		return copy_out(argp, NULL, 0);
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return sys_attr(cmd, argp);
	}
	return -ENOIOCTLCMD;
}

long x86_cpuid_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			  void __user *argp)
{
	switch (cmd) {
	case KVM_SET_CPUID:
		return set_cpuid(v, argp);
	case KVM_SET_CPUID2:
		return set_cpuid2(v, argp);
	case KVM_GET_CPUID2:
		return get_cpuid2(v, argp);
	}
	return -ENOIOCTLCMD;
}
