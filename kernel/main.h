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

/* stats.c */
void kvm_debugfs_init_totals(void);
void kvm_debugfs_vm_create(struct kvm *kvm);
void kvm_debugfs_vcpu_create(struct kvm_vcpu *vcpu);

/* vm.c: sum of a counter over all vCPUs of all VMs, alive and gone */
u64 kvm_stat_total(size_t offset);

#endif
