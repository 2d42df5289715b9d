/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files behind msr.c offer one another. */
#ifndef UNIKVM_X86_MSR_H
#define UNIKVM_X86_MSR_H

#include "x86.h"

/*
 * An access answers 0, or why not: a value or a bit that is not allowed, or
 * an MSR that does not exist. User space may ask for either kind.
 */
enum msr_answer {
	MSR_OK = 0,
	MSR_INVALID = 1,
	MSR_UNKNOWN = 2,
};

#define MISC_FEATURES_CPUID_FAULT	BIT_ULL(0)	/* of MSR 140h */

/* mce.c: machine check banks */
bool x86_is_mce_msr(struct x86_vcpu *v, u32 index);
int x86_mce_msr_get(struct x86_vcpu *v, u32 index, u64 *data, bool host);
int x86_mce_msr_set(struct x86_vcpu *v, u32 index, u64 data, bool host);
void x86_mce_reset(struct x86_vcpu *v);
long x86_mce_dev_ioctl(unsigned int cmd, void __user *argp);
long x86_mce_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			void __user *argp);

/* msr_ioctl.c */
/* The value a processor of this host would have; false if it is none. */
bool x86_msr_feature(u32 index, u64 *data);

#endif
