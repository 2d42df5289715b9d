// SPDX-License-Identifier: GPL-2.0-only
/* Parameters of kvm.ko that tell what it always does; see params.h. */
#include <linux/export.h>
#include <linux/printk.h>

#include "params.h"

static int fixed_set(const char *val, const struct kernel_param *kp)
{
	pr_notice("kvm: parameter %s is fixed: \"%s\" ignored\n", kp->name,
		  val ?: "");
	return 0;
}

const struct kernel_param_ops x86_fixed_bool_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = fixed_set,
	.get = param_get_bool,
};
EXPORT_SYMBOL_GPL(x86_fixed_bool_ops);

const struct kernel_param_ops x86_fixed_int_ops = {
	.set = fixed_set,
	.get = param_get_int,
};
EXPORT_SYMBOL_GPL(x86_fixed_int_ops);

/* A halted vCPU sleeps at once. */
FIXED_PARAM(halt_poll_ns, int, 0);
FIXED_PARAM(halt_poll_ns_grow, int, 0);
FIXED_PARAM(halt_poll_ns_grow_start, int, 0);
FIXED_PARAM(halt_poll_ns_shrink, int, 0);

/* Nested page tables only, huge where the host's are; split when written. */
FIXED_PARAM(tdp_mmu, bool, true);
FIXED_PARAM(nx_huge_pages, bool, false);
FIXED_PARAM(eager_page_split, bool, false);

/* Lowest priority goes by the vector, see irqchip/lapic_map.c. */
FIXED_PARAM(vector_hashing, bool, true);

FIXED_PARAM(enable_pmu, bool, false);
FIXED_PARAM(enable_vmware_backdoor, bool, false);
