// SPDX-License-Identifier: GPL-2.0-only
/*
 * What VMRUN and the #VMEXIT after it cost by themselves on this machine: the
 * part of an exit that no hypervisor can save.
 *
 * The guest is one CPUID in the host's own address space, below nested page
 * tables that map every address to itself. Loading the module measures;
 * parameter "cycles" then holds the TSC cycles of one entry and exit, a number
 * for each round.
 */
#include <linux/cpufeature.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>

#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tsc.h>

#include "../x86/svm/vmcb.h"

#define MAX_ROUNDS	200
#define MAX_ITERS	10000

static uint rounds = 100;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "how often to measure, up to 200");
static uint iters = 64;
module_param(iters, uint, 0444);
MODULE_PARM_DESC(iters, "entries in one round, up to 10000");
static uint nr_cycles;
static unsigned long long cycles[MAX_ROUNDS];
module_param_array(cycles, ullong, &nr_cycles, 0444);
MODULE_PARM_DESC(cycles, "the result");

#define NPT_TABLE	0x7ULL		/* present, writable, user */
#define NPT_LEAF	(NPT_TABLE | 0x80)

#define ATTR_CODE64	0xa9b		/* present, accessed, L, G */
#define ATTR_DATA	0xc93

/* What the processor is given, a page each. */
enum { VMCB, HOST, HSAVE, NPT_L5, NPT_L4, NPT_L3, NR_PAGES };
static void *page[NR_PAGES];

void floor_enter(unsigned long vmcb_pa, unsigned long host_pa,
		 unsigned int times);
void floor_guest(void);

static void pages_free(void)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		free_page((unsigned long)page[i]);
}

static int pages_alloc(void)
{
	int i;

	for (i = 0; i < NR_PAGES; i++) {
		page[i] = (void *)get_zeroed_page(GFP_KERNEL);
		if (!page[i])
			return -ENOMEM;
	}
	return 0;
}

/* Address x is address x, up to 512 GiB. Levels are the host's: 15.25.3. */
static u64 identity_map(void)
{
	u64 *l5 = page[NPT_L5], *l4 = page[NPT_L4], *l3 = page[NPT_L3], i;

	l5[0] = __sme_pa(l4) | NPT_TABLE;
	l4[0] = __sme_pa(l3) | NPT_TABLE;
	for (i = 0; i < PTRS_PER_PUD; i++)
		l3[i] = __sme_set(i << PUD_SHIFT | NPT_LEAF);
	return __sme_pa(pgtable_l5_enabled() ? l5 : l4);
}

/* ---- the guest's state: the host's ---- */

static void set_segment(struct vmcb_seg *seg, u16 selector, u16 attrib)
{
	seg->selector = selector;
	seg->attrib = attrib;
	seg->limit = ~0U;
}

static void set_table(struct vmcb_seg *seg, const struct desc_ptr *desc)
{
	seg->base = desc->address;
	seg->limit = desc->size;
}

static void set_save(struct vmcb_save *s)
{
	struct desc_ptr desc;

	set_segment(&s->cs, __KERNEL_CS, ATTR_CODE64);
	set_segment(&s->ss, __KERNEL_DS, ATTR_DATA);
	set_segment(&s->ds, __KERNEL_DS, ATTR_DATA);
	set_segment(&s->es, __KERNEL_DS, ATTR_DATA);
	native_store_gdt(&desc);
	set_table(&s->gdtr, &desc);
	store_idt(&desc);
	set_table(&s->idtr, &desc);
	rdmsrl(MSR_EFER, s->efer);
	rdmsrl(MSR_IA32_CR_PAT, s->g_pat);
	s->cr0 = read_cr0();
	s->cr3 = __read_cr3();
	s->cr4 = __read_cr4();
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->rflags = X86_EFLAGS_FIXED;
	s->rip = (unsigned long)floor_guest;
}

static void set_control(struct vmcb_control *c)
{
	vmcb_intercept(c, INTERCEPT_CPUID);
	vmcb_intercept(c, INTERCEPT_VMRUN);
	vmcb_intercept(c, INTERCEPT_INTR);
	vmcb_intercept(c, INTERCEPT_NMI);
	vmcb_intercept(c, INTERCEPT_SHUTDOWN);
	c->int_ctl = V_INTR_MASKING;
	c->asid = 1;
	c->nested_ctl = NESTED_CTL_NP;
	c->nested_cr3 = identity_map();
}

/* ---- measuring ---- */

/* One round; interrupts end the guest and are taken, and spoil the round. */
static u64 measure_round(struct vmcb *vmcb)
{
	u64 start;

	set_save(&vmcb->save);
	set_control(&vmcb->control);
	asm volatile("vmsave %%rax" : : "a"(__sme_pa(vmcb)) : "memory");
	start = rdtsc_ordered();
	floor_enter(__sme_pa(vmcb), __sme_pa(page[HOST]), iters);
	return div_u64(rdtsc_ordered() - start, iters);
}

/* Pinned to a CPU. */
static int measure_all(struct vmcb *vmcb)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;		/* a hypervisor is at home */
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __sme_pa(page[HSAVE]));
	while (nr_cycles < rounds) {
		preempt_disable();
		cycles[nr_cycles++] = measure_round(vmcb);
		preempt_enable();
	}
	wrmsrl(MSR_VM_HSAVE_PA, 0);
	wrmsrl(MSR_EFER, efer);
	if (vmcb->control.exit_code == SVM_EXIT_CPUID ||
	    vmcb->control.exit_code == SVM_EXIT_INTR)
		return 0;
	pr_err("unikvm-floor: exit code %#llx (%#llx, %#llx)\n",
	       vmcb->control.exit_code, vmcb->control.exit_info_1,
	       vmcb->control.exit_info_2);
	return -EIO;
}

static int __init floor_init(void)
{
	int ret;

	if (!boot_cpu_has(X86_FEATURE_SVM) || !boot_cpu_has(X86_FEATURE_NPT) ||
	    !boot_cpu_has(X86_FEATURE_GBPAGES))
		return -ENODEV;
	if (!rounds || rounds > MAX_ROUNDS || !iters || iters > MAX_ITERS)
		return -EINVAL;
	ret = pages_alloc();
	if (!ret) {
		migrate_disable();
		ret = measure_all(page[VMCB]);
		migrate_enable();
	}
	pages_free();
	return ret;
}

static void __exit floor_exit(void)
{
}

module_init(floor_init);
module_exit(floor_exit);

MODULE_DESCRIPTION("unikvm: the cost of VMRUN itself");
MODULE_LICENSE("GPL v2");
