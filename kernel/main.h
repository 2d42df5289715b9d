/* SPDX-License-Identifier: GPL-2.0-only */
/* What the front's own files (main.c, vm.c, vcpu.c, stats.c) share. */
#ifndef UNIKVM_MAIN_H
#define UNIKVM_MAIN_H

#include "kvm_internal.h"

/* kvm_run, the PIO data page, the coalesced ring */
#define KVM_VCPU_MMAP_PAGES	3

extern struct dentry *kvm_debugfs_root;

/* main.c: virtualisation on all CPUs, counted by VM */
int kvm_hardware_get(void);
void kvm_hardware_put(void);

/* vm.c */
void kvm_set_file_owner(struct module *owner);
int kvm_check_extension(struct kvm *kvm, long cap);
long kvm_vcpu_file_create(struct kvm_vcpu *vcpu);

/* vcpu.c */
extern struct file_operations kvm_vcpu_fops;

/* perf.c */
void kvm_perf_register(void);
void kvm_perf_unregister(void);

/* stats.c: from _vm_add on, and until _vm_remove, the VM counts in totals */
void kvm_stats_init_totals(void);
void kvm_stats_vm_add(struct kvm *kvm);
void kvm_stats_vm_remove(struct kvm *kvm);
void kvm_stats_vcpu_add(struct kvm_vcpu *vcpu);

/* stats_file.c: KVM_GET_STATS_FD of a VM, or of a vCPU unless NULL */
long kvm_stats_file_create(struct kvm *kvm, struct kvm_vcpu *vcpu);
extern struct file_operations kvm_stats_fops;

/* One record of the table, laid out as struct kvm_stats_desc and a name. */
#define KVM_STATS_NAME_SIZE	48
struct kvm_stat_desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset;		/* in struct kvm_vm_stats or kvm_vcpu_stats */
	u32 bucket_size;
	char name[KVM_STATS_NAME_SIZE];
};
extern const struct kvm_stat_desc kvm_vm_stat_descs[], kvm_vcpu_stat_descs[];
extern const unsigned int kvm_nr_vm_stats, kvm_nr_vcpu_stats;

#endif
