/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files behind x86_regs_ioctl() offer one another. */
#ifndef UNIKVM_X86_REGS_IOCTL_H
#define UNIKVM_X86_REGS_IOCTL_H

#include "x86.h"

/* regs.c */
int x86_get_sregs2(struct x86_vcpu *v, struct kvm_sregs2 *s);
int x86_set_sregs2(struct x86_vcpu *v, const struct kvm_sregs2 *s);
/* As x86_set_efer(), with all that the host can do, shown in CPUID or not. */
int x86_set_efer_host(struct x86_vcpu *v, u64 value);

/* debugregs.c */
long x86_get_debugregs(struct x86_vcpu *v, struct kvm_debugregs __user *arg);
long x86_set_debugregs(struct x86_vcpu *v,
		       const struct kvm_debugregs __user *arg);
long x86_set_guest_debug(struct x86_vcpu *v,
			 const struct kvm_guest_debug __user *arg);

#endif
