// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one table of statistics, and what debugfs shows of it:
 * /sys/kernel/debug/kvm holds totals, one folder a VM, in it one a vCPU.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "main.h"

/* ---- the table ---- */

#define KIND_COUNTER	.flags = KVM_STATS_TYPE_CUMULATIVE, .size = 1
#define KIND_INSTANT	.flags = KVM_STATS_TYPE_INSTANT, .size = 1
#define KIND_BOOL	\
	.flags = KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN, .size = 1
#define KIND_NS		.flags = KVM_STATS_TYPE_CUMULATIVE |		\
			KVM_STATS_UNIT_SECONDS, .exponent = -9, .size = 1
#define KIND_HIST	\
	.flags = KVM_STATS_TYPE_LOG_HIST | KVM_STATS_UNIT_SECONDS,	\
	.exponent = -9, .size = KVM_STAT_BUCKETS

#define X(field, kind) \
	{ KIND_##kind, .offset = offsetof(struct kvm_vm_stats, field), \
	  .name = #field },
const struct kvm_stat_desc kvm_vm_stat_descs[] = { KVM_VM_STATS(X) };
#undef X
#define X(field, kind) \
	{ KIND_##kind, .offset = offsetof(struct kvm_vcpu_stats, field), \
	  .name = #field },
const struct kvm_stat_desc kvm_vcpu_stat_descs[] = { KVM_VCPU_STATS(X) };
#undef X

const unsigned int kvm_nr_vm_stats = ARRAY_SIZE(kvm_vm_stat_descs);
const unsigned int kvm_nr_vcpu_stats = ARRAY_SIZE(kvm_vcpu_stat_descs);

/* ---- sums ---- */

static DEFINE_MUTEX(vm_list_lock);	/* and the two below */
static LIST_HEAD(vm_list);
static struct kvm_vm_stats gone_vm;	/* of VMs and vCPUs already freed */
static struct kvm_vcpu_stats gone_vcpu;

static bool of_vm(const struct kvm_stat_desc *desc)
{
	return desc >= kvm_vm_stat_descs &&
	       desc < kvm_vm_stat_descs + ARRAY_SIZE(kvm_vm_stat_descs);
}

static u64 *stat_at(void *stats, const struct kvm_stat_desc *desc)
{
	return stats + desc->offset;
}

/* Over all vCPUs, unless it is the VM's own. */
static u64 vm_sum(struct kvm *kvm, const struct kvm_stat_desc *desc)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;

	if (of_vm(desc))
		return READ_ONCE(*stat_at(&kvm->stat, desc));
	kvm_for_each_vcpu(i, vcpu, kvm)
		sum += READ_ONCE(*stat_at(&vcpu->stat, desc));
	return sum;
}

/* Over all VMs, alive and gone. */
static u64 total(const struct kvm_stat_desc *desc)
{
	struct kvm *kvm;
	u64 sum;

	mutex_lock(&vm_list_lock);
	sum = *stat_at(of_vm(desc) ? (void *)&gone_vm : &gone_vcpu, desc);
	list_for_each_entry(kvm, &vm_list, vm_list)
		sum += vm_sum(kvm, desc);
	mutex_unlock(&vm_list_lock);
	return sum;
}

static void retire(struct kvm *kvm, const struct kvm_stat_desc *desc,
		   unsigned int nr, void *gone)
{
	for (; nr--; desc++)
		if ((desc->flags & KVM_STATS_TYPE_MASK) ==
		    KVM_STATS_TYPE_CUMULATIVE)
			*stat_at(gone, desc) += vm_sum(kvm, desc);
}

/* ---- debugfs; histograms are in the stats file only ---- */

static int stat_show(struct seq_file *m, void *unused)
{
	const struct kvm_stat_desc *desc = m->private;
	struct dentry *folder = m->file->f_path.dentry->d_parent;
	struct kvm *kvm = d_inode(folder)->i_private;

	seq_printf(m, "%llu\n", kvm ? vm_sum(kvm, desc) : total(desc));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stat);

static void create_files(struct dentry *folder,
			 const struct kvm_stat_desc *desc, unsigned int nr)
{
	for (; nr--; desc++)
		if (desc->size == 1)
			debugfs_create_file(desc->name, 0444, folder,
					    (void *)desc, &stat_fops);
}

static void create_sums(struct dentry *folder)
{
	create_files(folder, kvm_vm_stat_descs, kvm_nr_vm_stats);
	create_files(folder, kvm_vcpu_stat_descs, kvm_nr_vcpu_stats);
}

void kvm_stats_init_totals(void)
{
	create_sums(kvm_debugfs_root);
}

/* The folder is named by the creator's pid and a number, as KVM's is. */
void kvm_stats_vm_add(struct kvm *kvm)
{
	static atomic_t serial = ATOMIC_INIT(0);
	char name[32];

	mutex_lock(&vm_list_lock);
	list_add(&kvm->vm_list, &vm_list);
	mutex_unlock(&vm_list_lock);
	snprintf(name, sizeof(name), "%d-%d", kvm->creator,
		 atomic_inc_return(&serial));
	kvm->debugfs = debugfs_create_dir(name, kvm_debugfs_root);
	if (IS_ERR(kvm->debugfs))
		return;
	d_inode(kvm->debugfs)->i_private = kvm;
	create_sums(kvm->debugfs);
}

void kvm_stats_vm_remove(struct kvm *kvm)
{
	mutex_lock(&vm_list_lock);
	list_del(&kvm->vm_list);
	retire(kvm, kvm_vm_stat_descs, kvm_nr_vm_stats, &gone_vm);
	retire(kvm, kvm_vcpu_stat_descs, kvm_nr_vcpu_stats, &gone_vcpu);
	mutex_unlock(&vm_list_lock);
	debugfs_remove_recursive(kvm->debugfs);
}

void kvm_stats_vcpu_add(struct kvm_vcpu *vcpu)
{
	const struct kvm_stat_desc *desc = kvm_vcpu_stat_descs;
	unsigned int nr = kvm_nr_vcpu_stats;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->vcpu_id);
	vcpu->debugfs = debugfs_create_dir(name, vcpu->kvm->debugfs);
	for (; nr--; desc++)
		if (desc->size == 1)
			debugfs_create_u64(desc->name, 0444, vcpu->debugfs,
					   stat_at(&vcpu->stat, desc));
}
