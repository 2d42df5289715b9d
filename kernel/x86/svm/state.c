// SPDX-License-Identifier: GPL-2.0-only
/* The VMCB of a vCPU: set-up, permission maps, registers that it holds. */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "../cpuid_logic.h"
#include "svm.h"

#define MSRPM_ORDER	get_order(MSRPM_SIZE)
#define IOPM_ORDER	get_order(IOPM_SIZE)

#define PAT_RESET	0x0007040600070406ULL

/* Attribute word of a segment register in the VMCB. */
#define ATTR_CODE	0x9b	/* present, code, readable, accessed */
#define ATTR_DATA	0x93	/* present, data, writable, accessed */
#define ATTR_LDT	0x82
#define ATTR_TSS16_BUSY	0x83

/* Every port intercepts, for every guest. */
static void *iopm;
static hpa_t iopm_pa;

int svm_iopm_alloc(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, IOPM_ORDER);

	if (!page)
		return -ENOMEM;
	iopm = page_address(page);
	memset(iopm, 0xff, IOPM_SIZE);
	iopm_pa = __sme_set(page_to_phys(page));
	return 0;
}

void svm_iopm_free(void)
{
	free_pages((unsigned long)iopm, IOPM_ORDER);
}

/*
 * A page that VMRUN names. Where SEV-SNP is on, one that is aligned to 2 MiB
 * may make all of those look in use, and the host's writes to them fault.
 */
struct page *svm_page_alloc(gfp_t gfp)
{
	struct page *pair = alloc_pages(gfp | __GFP_ZERO, 1);

	if (!pair)
		return NULL;
	split_page(pair, 1);
	__free_page(pair);
	return pair + 1;
}

/* ---- MSRs that the guest may touch without an exit ---- */

static const u32 passthrough_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/* AMD's processors keep 32 bits of these, Intel's all. */
static bool is_narrow(u32 msr)
{
	return msr == MSR_IA32_SYSENTER_ESP || msr == MSR_IA32_SYSENTER_EIP;
}

void svm_set_msr_filter(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	int i;

	for (i = 0; i < ARRAY_SIZE(passthrough_msrs); i++) {
		u32 msr = passthrough_msrs[i];
		bool ours = v->cpuid.intel && is_narrow(msr);

		msrpm_set(svm->msrpm, msr, ours ||
			  x86_msr_filtered(v, msr, KVM_MSR_FILTER_READ), ours ||
			  x86_msr_filtered(v, msr, KVM_MSR_FILTER_WRITE));
	}
	vmcb_dirty(svm->vmcb, CLEAN_PERM);
}

void svm_cpuid_changed(struct x86_vcpu *v)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	svm_set_msr_filter(v);
	vmcb_hide_instructions(&vmcb->control,
		boot_cpu_has(X86_FEATURE_RDTSCP) &&
		!x86_guest_has(v, 0x80000001, 0, CPUID_REG_EDX,
			       CPUID_8000_0001_EDX_RDTSCP),
		boot_cpu_has(X86_FEATURE_INVPCID) &&
		!x86_guest_has(v, 7, 0, CPUID_REG_EBX, CPUID_7_EBX_INVPCID));
	vmcb_dirty(vmcb, CLEAN_INTERCEPTS);
}

int svm_get_msr(struct x86_vcpu *v, u32 index, u64 *data)
{
	struct svm_vcpu *svm = to_svm(v);
	struct vmcb_save *s = &svm->vmcb->save;

	switch (index) {
	case MSR_STAR:
		*data = s->star;
		return 0;
	case MSR_LSTAR:
		*data = s->lstar;
		return 0;
	case MSR_CSTAR:
		*data = s->cstar;
		return 0;
	case MSR_SYSCALL_MASK:
		*data = s->sfmask;
		return 0;
	case MSR_FS_BASE:
		*data = s->fs.base;
		return 0;
	case MSR_GS_BASE:
		*data = s->gs.base;
		return 0;
	case MSR_KERNEL_GS_BASE:
		*data = s->kernel_gs_base;
		return 0;
	case MSR_IA32_SYSENTER_CS:
		*data = s->sysenter_cs;
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		*data = s->sysenter_esp | (u64)svm->sysenter_esp_hi << 32;
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		*data = s->sysenter_eip | (u64)svm->sysenter_eip_hi << 32;
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		*data = s->debugctl;
		return 0;
	case MSR_TSC_AUX:
		*data = v->msrs.tsc_aux;
		return 0;
	default:
		return 1;
	}
}

/* The guest's value is in the register from its first entry until a put. */
static void set_tsc_aux(struct x86_vcpu *v, u32 value)
{
	v->msrs.tsc_aux = value;
	preempt_disable();
	if (this_cpu_read(svm_cpu.guest_tsc_aux) &&
	    kvm_get_running_vcpu() == &v->vcpu)
		wrmsrl(MSR_TSC_AUX, value);
	preempt_enable();
}

/* The common code has checked that addresses are canonical. */
int svm_set_msr(struct x86_vcpu *v, u32 index, u64 data)
{
	struct svm_vcpu *svm = to_svm(v);
	struct vmcb_save *s = &svm->vmcb->save;

	switch (index) {
	case MSR_STAR:
		s->star = data;
		return 0;
	case MSR_LSTAR:
		s->lstar = data;
		return 0;
	case MSR_CSTAR:
		s->cstar = data;
		return 0;
	case MSR_SYSCALL_MASK:
		s->sfmask = data;
		return 0;
	case MSR_FS_BASE:
		s->fs.base = data;
		return 0;
	case MSR_GS_BASE:
		s->gs.base = data;
		return 0;
	case MSR_KERNEL_GS_BASE:
		s->kernel_gs_base = data;
		return 0;
	case MSR_IA32_SYSENTER_CS:
		s->sysenter_cs = data;
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		s->sysenter_esp = data;
		svm->sysenter_esp_hi = v->cpuid.intel ? data >> 32 : 0;
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		s->sysenter_eip = data;
		svm->sysenter_eip_hi = v->cpuid.intel ? data >> 32 : 0;
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		/* LBR and BTF, which nothing reads without LBR virtualization */
		s->debugctl = data & 3;
		vmcb_dirty(svm->vmcb, CLEAN_LBR);
		return 0;
	case MSR_TSC_AUX:
		set_tsc_aux(v, data);
		return 0;
	default:
		return 1;
	}
}

/* ---- creation and reset ---- */

static void init_control(struct svm_vcpu *svm)
{
	struct vmcb_control *c = &svm->vmcb->control;

	vmcb_init_intercepts(c);
	if (to_x86_vm(svm->x86.vcpu.kvm)->hlt_in_guest)
		vmcb_no_intercept(c, INTERCEPT_HLT);
	c->iopm_base_pa = iopm_pa;
	c->msrpm_base_pa = __sme_set(virt_to_phys(svm->msrpm));
	c->int_ctl = V_INTR_MASKING;
	c->nested_ctl = NESTED_CTL_NP;
}

int svm_vcpu_create(struct x86_vcpu *v)
{
	struct page *page = svm_page_alloc(GFP_KERNEL_ACCOUNT);
	struct svm_vcpu *svm = to_svm(v);

	svm->vmcb = page ? page_address(page) : NULL;
	svm->shadow = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	svm->msrpm = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT, MSRPM_ORDER);
	if (!svm->vmcb || !svm->shadow || !svm->msrpm) {
		svm_vcpu_destroy(v);
		return -ENOMEM;
	}
	memset(svm->msrpm, 0xff, MSRPM_SIZE);
	svm->vmcb_pa = __sme_set(virt_to_phys(svm->vmcb));
	init_control(svm);
	svm_set_msr_filter(v);
	return 0;
}

void svm_vcpu_destroy(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	int cpu;

	/* The page may come back as another guest's VMCB: no false match. */
	for_each_possible_cpu(cpu)
		cmpxchg(&per_cpu(svm_cpu, cpu).last_vmcb, svm->vmcb, NULL);
	free_page((unsigned long)svm->vmcb);
	free_page((unsigned long)svm->shadow);
	free_pages((unsigned long)svm->msrpm, MSRPM_ORDER);
	svm->vmcb = svm->shadow = NULL;
	svm->msrpm = NULL;
}

static void reset_seg(struct vmcb_seg *seg, u16 attrib)
{
	*seg = (struct vmcb_seg) { .attrib = attrib, .limit = 0xffff };
}

/* APM vol. 2 table 14-1. RIP, RFLAGS, CRs are the common code's. */
void svm_vcpu_reset(struct x86_vcpu *v, bool init)
{
	struct svm_vcpu *svm = to_svm(v);
	struct vmcb_save *s = &svm->vmcb->save;
	struct vmcb_control *c = &svm->vmcb->control;

	reset_seg(&s->es, ATTR_DATA);
	reset_seg(&s->ss, ATTR_DATA);
	reset_seg(&s->ds, ATTR_DATA);
	reset_seg(&s->fs, ATTR_DATA);
	reset_seg(&s->gs, ATTR_DATA);
	reset_seg(&s->cs, ATTR_CODE);
	s->cs.selector = 0xf000;
	s->cs.base = 0xffff0000;
	reset_seg(&s->ldtr, ATTR_LDT);
	reset_seg(&s->tr, ATTR_TSS16_BUSY);
	reset_seg(&s->gdtr, 0);
	reset_seg(&s->idtr, 0);
	s->cpl = 0;
	s->debugctl = 0;
	if (!init) {
		s->star = s->lstar = s->cstar = s->sfmask = 0;
		s->kernel_gs_base = 0;
		s->sysenter_cs = s->sysenter_esp = s->sysenter_eip = 0;
		svm->sysenter_esp_hi = svm->sysenter_eip_hi = 0;
	}
	s->g_pat = v->msrs.pat ?: PAT_RESET;
	c->event_inj = 0;
	c->int_state = 0;
	svm->nmi_masked = svm->iret_pending = svm->nmi_singlestep = false;
	svm->soft_event = false;
	svm->soft_len = 0;
	svm_disable_irq_window(svm);
	svm_cr0_changed(v);
	svm_cr3_changed(v);
	svm_cr4_changed(v);
	svm_efer_changed(v);
	svm_dr_changed(v);
	c->clean = 0;
}

/* ---- segments ---- */

static struct vmcb_seg *seg_of(struct x86_vcpu *v, enum x86_seg seg)
{
	struct vmcb_save *s = &to_svm(v)->vmcb->save;

	switch (seg) {
	case SEG_ES:
		return &s->es;
	case SEG_CS:
		return &s->cs;
	case SEG_SS:
		return &s->ss;
	case SEG_DS:
		return &s->ds;
	case SEG_FS:
		return &s->fs;
	case SEG_GS:
		return &s->gs;
	case SEG_LDTR:
		return &s->ldtr;
	default:
		return &s->tr;
	}
}

void svm_get_segment(struct x86_vcpu *v, enum x86_seg seg,
		     struct kvm_segment *out)
{
	const struct vmcb_seg *s = seg_of(v, seg);

	*out = (struct kvm_segment) {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->attrib & 0xf,
		.s = s->attrib >> 4 & 1,
		.dpl = s->attrib >> 5 & 3,
		.present = s->attrib >> 7 & 1,
		.avl = s->attrib >> 8 & 1,
		.l = s->attrib >> 9 & 1,
		.db = s->attrib >> 10 & 1,
		.g = s->attrib >> 11 & 1,
		.unusable = !(s->attrib >> 7 & 1),
	};
	/* The processor keeps CPL, not SS.DPL; user space knows only DPL. */
	if (seg == SEG_SS)
		out->dpl = to_svm(v)->vmcb->save.cpl;
	/* A loaded TR is busy, whatever the processor stores. */
	if (seg == SEG_TR)
		out->type |= 2;
}

void svm_set_segment(struct x86_vcpu *v, enum x86_seg seg,
		     const struct kvm_segment *in)
{
	struct vmcb_seg *s = seg_of(v, seg);

	s->base = in->base;
	s->limit = in->limit;
	s->selector = in->selector;
	s->attrib = 0;
	if (!in->unusable)
		s->attrib = (in->type & 0xf) | (in->s & 1) << 4 |
			    (in->dpl & 3) << 5 | (in->present & 1) << 7 |
			    (in->avl & 1) << 8 | (in->l & 1) << 9 |
			    (in->db & 1) << 10 | (in->g & 1) << 11;
	if (seg == SEG_SS)
		to_svm(v)->vmcb->save.cpl = in->dpl & 3;
	vmcb_dirty(to_svm(v)->vmcb, CLEAN_SEG);
}

void svm_get_gdt(struct x86_vcpu *v, struct kvm_dtable *dt)
{
	const struct vmcb_seg *s = &to_svm(v)->vmcb->save.gdtr;

	*dt = (struct kvm_dtable) { .base = s->base, .limit = s->limit };
}

void svm_set_gdt(struct x86_vcpu *v, const struct kvm_dtable *dt)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	vmcb->save.gdtr.base = dt->base;
	vmcb->save.gdtr.limit = dt->limit;
	vmcb_dirty(vmcb, CLEAN_DT);
}

void svm_get_idt(struct x86_vcpu *v, struct kvm_dtable *dt)
{
	const struct vmcb_seg *s = &to_svm(v)->vmcb->save.idtr;

	*dt = (struct kvm_dtable) { .base = s->base, .limit = s->limit };
}

void svm_set_idt(struct x86_vcpu *v, const struct kvm_dtable *dt)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	vmcb->save.idtr.base = dt->base;
	vmcb->save.idtr.limit = dt->limit;
	vmcb_dirty(vmcb, CLEAN_DT);
}

u8 svm_get_cpl(struct x86_vcpu *v)
{
	return to_svm(v)->vmcb->save.cpl;
}

u64 svm_get_exit_rip(struct x86_vcpu *v)
{
	return to_svm(v)->vmcb->save.rip;
}

/* ---- control and debug registers ---- */

/*
 * CD and NW would really switch caching off: the guest sees them set, the
 * processor does not. Then reads must exit, or the guest sees our value.
 */
void svm_cr0_changed(struct x86_vcpu *v)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;
	u64 hidden = X86_CR0_CD | X86_CR0_NW;

	vmcb->save.cr0 = v->cr0 & ~hidden;
	vmcb_intercept_if(&vmcb->control, INTERCEPT_CR0_READ, v->cr0 & hidden);
	vmcb_intercept_if(&vmcb->control, INTERCEPT_CR0_WRITE, v->cr0 & hidden);
	vmcb_dirty(vmcb, CLEAN_CRX);
	vmcb_dirty(vmcb, CLEAN_INTERCEPTS);
}

void svm_cr3_changed(struct x86_vcpu *v)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	vmcb->save.cr3 = v->cr3;
	vmcb_dirty(vmcb, CLEAN_CRX);
}

/* A machine check while the guest runs must reach us, not shut it down. */
void svm_cr4_changed(struct x86_vcpu *v)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;
	u64 mce = cr4_read_shadow() & X86_CR4_MCE;

	vmcb->save.cr4 = v->cr4 | mce;
	/* Reads exit only while the guest would see a bit it did not set. */
	vmcb_intercept_if(&vmcb->control, INTERCEPT_CR4_READ, mce & ~v->cr4);
	vmcb_dirty(vmcb, CLEAN_CRX);
	vmcb_dirty(vmcb, CLEAN_INTERCEPTS);
}

void svm_efer_changed(struct x86_vcpu *v)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	vmcb->save.efer = v->efer | EFER_SVME;
	vmcb_dirty(vmcb, CLEAN_CRX);
}

void svm_dr_changed(struct x86_vcpu *v)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	vmcb->save.dr7 = v->guest_debug & KVM_GUESTDBG_USE_HW_BP ?
			 v->guest_debug_dr7 : v->dr7;
	vmcb_intercept_if(&vmcb->control, INTERCEPT_EXCEPTION + BP_VECTOR,
			  v->guest_debug & KVM_GUESTDBG_USE_SW_BP);
	vmcb_dirty(vmcb, CLEAN_DRX);
	vmcb_dirty(vmcb, CLEAN_INTERCEPTS);
}

void svm_write_tsc_offset(struct x86_vcpu *v, u64 offset)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	vmcb->control.tsc_offset = offset;
	vmcb_dirty(vmcb, CLEAN_INTERCEPTS);
}

/* The walk has as many levels as the host's own, 15.25.3. */
void svm_load_npt(struct x86_vcpu *v, hpa_t root, int levels)
{
	struct vmcb *vmcb = to_svm(v)->vmcb;

	vmcb->control.nested_cr3 = root;
	vmcb_dirty(vmcb, CLEAN_NP);
}
