/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Module parameters that tools look for and whose value is not a choice here:
 * they can be read, and setting them says so and changes nothing, because a
 * modprobe.d file written for the distribution's KVM must not stop ours.
 */
#ifndef UNIKVM_X86_PARAMS_H
#define UNIKVM_X86_PARAMS_H

#include <linux/moduleparam.h>

extern const struct kernel_param_ops x86_fixed_bool_ops, x86_fixed_int_ops;

#define FIXED_PARAM(name, type, value)					\
	static type fixed_##name = value;				\
	module_param_cb(name, &x86_fixed_##type##_ops, &fixed_##name, 0444);\
	__MODULE_PARM_TYPE(name, #type);				\
	MODULE_PARM_DESC(name, "Always " #value)

#endif
