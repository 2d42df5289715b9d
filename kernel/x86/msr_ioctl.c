// SPDX-License-Identifier: GPL-2.0-only
/* MSR ioctls: the lists, and reading and writing many at once. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "msr.h"

#define MAX_MSRS_AT_ONCE	256

/* ---- lists ---- */

/*
 * What a snapshot holds: each can be read, and written with the value read.
 * VMMs derive from it what they write at every reset, so it stays small;
 * MTRRs and machine check banks they know from CPUID and KVM_CAP_MCE.
 */
static const u32 saved_msrs[] = {
	0x10, 0x3b, 0x6e0,			/* TSC, TSC_ADJUST, deadline */
	0x11, 0x12, 0x4b564d00, 0x4b564d01,	/* kvmclock */
	0x4b564d02, 0x4b564d06, 0x4b564d07,	/* asynchronous page faults */
	0x4b564d04,				/* PV EOI */
	0x8b, 0xce, 0x140, 0x1a0,		/* ucode, platform, misc */
	0x17a, 0x17b,				/* MCG_STATUS, MCG_CTL */
	0x174, 0x175, 0x176, 0x277,		/* SYSENTER, PAT */
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102,
	0x1fc, 0xc0010015,			/* POWER_CTL, HWCR */
};

/* Saved only where the host or this build has them. */
#define MSR_TSC_AUX_INDEX	0xc0000103
#define MSR_STEAL_INDEX		0x4b564d03
#define MSR_SPEC_CTRL_INDEX	0x48
#define MAX_SAVED		(ARRAY_SIZE(saved_msrs) + 3)

static const u32 feature_msrs[] = {
	0x8b,					/* UCODE_REV */
	0xc0011029,				/* DE_CFG */
};

bool x86_msr_feature(u32 index, u64 *data)
{
	switch (index) {
	case 0x8b:
		/* In the upper half on Intel, in the lower on AMD. */
		*data = boot_cpu_data.microcode;
		if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
			*data <<= 32;
		return true;
	case 0xc0011029:
		/* LFENCE waits for all instructions before it. */
		*data = boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? BIT(1) : 0;
		return true;
	case 0x345:
		/* PERF_CAPABILITIES: VMMs ask without looking at the list. */
		*data = 0;
		return true;
	}
	return false;
}

static u32 saved_list(u32 *list)
{
	u32 nr = ARRAY_SIZE(saved_msrs);

	memcpy(list, saved_msrs, sizeof(saved_msrs));
	if (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID))
		list[nr++] = MSR_TSC_AUX_INDEX;
	if (IS_ENABLED(CONFIG_SCHED_INFO))
		list[nr++] = MSR_STEAL_INDEX;
	if (boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		list[nr++] = MSR_SPEC_CTRL_INDEX;
	return nr;
}

/* The length goes out even if the caller's room is too small. */
static long copy_list(struct kvm_msr_list __user *arg, const u32 *list, u32 nr)
{
	u32 room;

	if (get_user(room, &arg->nmsrs) || put_user(nr, &arg->nmsrs))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;
	return copy_to_user(arg->indices, list, nr * sizeof(*list)) ?
		-EFAULT : 0;
}

static long get_index_list(void __user *argp)
{
	u32 list[MAX_SAVED];
	u32 nr = saved_list(list);

	return copy_list(argp, list, nr);
}

/* ---- many at once ---- */

/* Nonzero stops the walk; how many came before it is what user space gets. */
typedef int (*msr_entry_fn)(struct x86_vcpu *v, struct kvm_msr_entry *e);

static int feature_entry(struct x86_vcpu *v, struct kvm_msr_entry *e)
{
	return !x86_msr_feature(e->index, &e->data);
}

static int get_entry(struct x86_vcpu *v, struct kvm_msr_entry *e)
{
	return x86_get_msr_host(v, e->index, &e->data);
}

static int set_entry(struct x86_vcpu *v, struct kvm_msr_entry *e)
{
	return x86_set_msr_host(v, e->index, e->data);
}

static long walk(struct x86_vcpu *v, struct kvm_msrs __user *arg,
		 msr_entry_fn fn, bool copy_back)
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	long done;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs > MAX_MSRS_AT_ONCE)
		return -E2BIG;
	size = array_size(head.nmsrs, sizeof(*entries));
	entries = memdup_user(arg->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (done = 0; done < head.nmsrs; done++) {
		if (fn(v, &entries[done]))
			break;
	}
	if (copy_back && copy_to_user(arg->entries, entries, size))
		done = -EFAULT;
	kfree(entries);
	return done;
}

long x86_msr_dev_ioctl(unsigned int cmd, void __user *argp)
{
	switch (cmd) {
	case KVM_GET_MSR_INDEX_LIST:
		return get_index_list(argp);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return copy_list(argp, feature_msrs, ARRAY_SIZE(feature_msrs));
	case KVM_GET_MSRS:
		return walk(NULL, argp, feature_entry, true);
	}
	return x86_mce_dev_ioctl(cmd, argp);
}

long x86_msr_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			void __user *argp)
{
	switch (cmd) {
	case KVM_GET_MSRS:
		return walk(v, argp, get_entry, true);
	case KVM_SET_MSRS:
		return walk(v, argp, set_entry, false);
	}
	return x86_mce_vcpu_ioctl(v, cmd, argp);
}
