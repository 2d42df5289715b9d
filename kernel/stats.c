// SPDX-License-Identifier: GPL-2.0-only
/* Counters in debugfs: /sys/kernel/debug/kvm, totals and one folder a VM. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "main.h"

struct stat_desc {
	const char *name;
	size_t offset;		/* in struct kvm_vcpu_stats */
};

#define X(field) { #field, offsetof(struct kvm_vcpu_stats, field) },
static const struct stat_desc stat_descs[] = { KVM_VCPU_STATS(X) };
#undef X

static int total_get(void *data, u64 *val)
{
	const struct stat_desc *desc = data;

	*val = kvm_stat_total(desc->offset);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(total_fops, total_get, NULL, "%llu\n");

void kvm_debugfs_init_totals(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(stat_descs); i++)
		debugfs_create_file(stat_descs[i].name, 0444, kvm_debugfs_root,
				    (void *)&stat_descs[i], &total_fops);
}

/* The folder is named by the creator's pid and a number, as KVM's is. */
void kvm_debugfs_vm_create(struct kvm *kvm)
{
	static atomic_t serial = ATOMIC_INIT(0);
	char name[32];

	snprintf(name, sizeof(name), "%d-%d", task_pid_nr(current),
		 atomic_inc_return(&serial));
	kvm->debugfs = debugfs_create_dir(name, kvm_debugfs_root);
}

void kvm_debugfs_vcpu_create(struct kvm_vcpu *vcpu)
{
	char name[16];
	int i;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->vcpu_id);
	vcpu->debugfs = debugfs_create_dir(name, vcpu->kvm->debugfs);
	for (i = 0; i < ARRAY_SIZE(stat_descs); i++)
		debugfs_create_u64(stat_descs[i].name, 0444, vcpu->debugfs,
				   (u64 *)((char *)&vcpu->stat +
					   stat_descs[i].offset));
}
