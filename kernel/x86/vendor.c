// SPDX-License-Identifier: GPL-2.0-only
/* kvm.ko itself: parameters, and bringing the rings up for a vendor module. */
#include <linux/module.h>

#include "x86.h"

bool x86_paranoid;
EXPORT_SYMBOL_GPL(x86_paranoid);
module_param_named(paranoid, x86_paranoid, bool, 0644);
MODULE_PARM_DESC(paranoid,
	"Check every entry against the rules of clean bits and TLB flushes");

unsigned int x86_paranoid_break;
EXPORT_SYMBOL_GPL(x86_paranoid_break);
module_param_named(paranoid_break, x86_paranoid_break, uint, 0644);
MODULE_PARM_DESC(paranoid_break,
	"With paranoid: break a rule on purpose (1 NPT flush, 2 clean bit)");

#define X(op) DEFINE_STATIC_CALL_NULL(x86_op_##op, *((struct x86_ops *)0)->op);
X86_HOT_OPS(X)
#undef X

static void patch_hot_ops(const struct x86_ops *ops)
{
#define X(op) static_call_update(x86_op_##op, ops->op);
	X86_HOT_OPS(X)
#undef X
}

/* The vendor's module_init calls this last: it opens /dev/kvm to users. */
int x86_vendor_init(const struct x86_ops *ops)
{
	int ret;

	if (x86_ops) {
		pr_err("kvm: %s is in charge already\n", x86_ops->name);
		return -EEXIST;
	}
	x86_ops = ops;
	patch_hot_ops(ops);
	ret = x86_cpuid_module_init();
	if (ret)
		goto out_ops;
	ret = x86_time_module_init();
	if (ret)
		goto out_ops;
	ret = x86_async_pf_module_init();
	if (ret)
		goto out_time;
	ret = kvm_front_init(ops->owner);
	if (ret)
		goto out_async_pf;
	return 0;

out_async_pf:
	x86_async_pf_module_exit();
out_time:
	x86_time_module_exit();
out_ops:
	x86_ops = NULL;
	return ret;
}
EXPORT_SYMBOL_GPL(x86_vendor_init);

void x86_vendor_exit(void)
{
	kvm_front_exit();
	x86_async_pf_module_exit();
	x86_time_module_exit();
	x86_ops = NULL;
}
EXPORT_SYMBOL_GPL(x86_vendor_exit);

MODULE_DESCRIPTION("unikvm: the common half of KVM for x86");
MODULE_AUTHOR("The unikvm authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(UNIKVM_VERSION);
