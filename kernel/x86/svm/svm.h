/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of svm/ share. */
#ifndef UNIKVM_SVM_H
#define UNIKVM_SVM_H

#include "../x86.h"
#include "logic.h"

struct svm_vcpu {
	struct x86_vcpu x86;		/* first: the x86 ring casts */

	struct vmcb *vmcb;		/* the current one; never embedded */
	hpa_t vmcb_pa;
	u8 *msrpm;
	int cpu;			/* of the last entry */
	struct vmcb *shadow;		/* paranoid: the VMCB after the last exit */
	bool shadow_valid;
	struct asid asid;
	u8 tlb_control;			/* of the next entry */

	/* NMI blocking without virtual NMIs: until the IRET has executed. */
	bool nmi_masked;
	bool iret_pending;		/* the IRET at iret_rip was let go */
	u64 iret_rip;
	bool nmi_singlestep;		/* one instruction, to see the IRET end */
	bool guest_tf;			/* the guest's own TF at the last entry */
	bool soft_event;		/* what goes in is an INT n, INT3 or INTO */
	u8 soft_len;			/* of that instruction; 0: it is not at RIP */
	u64 entry_rip;
	/* Upper halves of an Intel guest's, which AMD's registers lack. */
	u32 sysenter_esp_hi, sysenter_eip_hi;
};

/* One processor's SVM state. */
struct svm_cpu {
	struct asid_pool asids;
	struct page *hsave;		/* MSR VM_HSAVE_PA: the processor's own */
	struct page *host_vmcb;		/* VMSAVE and VMLOAD of the host */
	hpa_t host_vmcb_pa;
	struct vmcb *last_vmcb;		/* last one run here: IBPB on a change */
	u64 tsc_aux;			/* the host's */
	bool guest_tsc_aux;		/* MSR TSC_AUX holds a guest's */
	u64 debugctl;			/* the host's, while a vCPU is loaded */
};
DECLARE_PER_CPU(struct svm_cpu, svm_cpu);

static inline struct svm_vcpu *to_svm(struct x86_vcpu *v)
{
	return container_of(v, struct svm_vcpu, x86);
}

/* The processor must re-read this group of fields at the next VMRUN. */
static inline void vmcb_dirty(struct vmcb *vmcb, enum vmcb_clean group)
{
	vmcb->control.clean &= ~(1U << group);
}

/* Host features in use; svm.c. */
extern int svm_nrips;
extern bool svm_flush_by_asid, svm_decode_assists;

/* state.c: VMCB set-up and register access */
int svm_vcpu_create(struct x86_vcpu *v);
void svm_vcpu_destroy(struct x86_vcpu *v);
void svm_vcpu_reset(struct x86_vcpu *v, bool init);
void svm_get_segment(struct x86_vcpu *v, enum x86_seg seg,
		     struct kvm_segment *out);
void svm_set_segment(struct x86_vcpu *v, enum x86_seg seg,
		     const struct kvm_segment *in);
void svm_get_gdt(struct x86_vcpu *v, struct kvm_dtable *dt);
void svm_set_gdt(struct x86_vcpu *v, const struct kvm_dtable *dt);
void svm_get_idt(struct x86_vcpu *v, struct kvm_dtable *dt);
void svm_set_idt(struct x86_vcpu *v, const struct kvm_dtable *dt);
u8 svm_get_cpl(struct x86_vcpu *v);
u64 svm_get_exit_rip(struct x86_vcpu *v);
void svm_cr0_changed(struct x86_vcpu *v);
void svm_cr3_changed(struct x86_vcpu *v);
void svm_cr4_changed(struct x86_vcpu *v);
void svm_efer_changed(struct x86_vcpu *v);
void svm_dr_changed(struct x86_vcpu *v);
int svm_get_msr(struct x86_vcpu *v, u32 index, u64 *data);
int svm_set_msr(struct x86_vcpu *v, u32 index, u64 data);
void svm_set_msr_filter(struct x86_vcpu *v);
void svm_cpuid_changed(struct x86_vcpu *v);
void svm_write_tsc_offset(struct x86_vcpu *v, u64 offset);
void svm_load_npt(struct x86_vcpu *v, hpa_t root, int levels);
struct page *svm_page_alloc(gfp_t gfp);		/* zeroed */
int svm_iopm_alloc(void);
void svm_iopm_free(void);

/* events.c: injection, windows, what an exit interrupted */
bool svm_event_is_software(u32 info);
void svm_load_rip(struct svm_vcpu *svm);
void svm_inject_exception(struct x86_vcpu *v);
void svm_inject_interrupt(struct x86_vcpu *v);
void svm_inject_nmi(struct x86_vcpu *v);
void svm_cancel_injection(struct x86_vcpu *v);
void svm_complete_events(struct svm_vcpu *svm);
bool svm_interrupt_allowed(struct x86_vcpu *v);
bool svm_nmi_allowed(struct x86_vcpu *v);
bool svm_get_nmi_mask(struct x86_vcpu *v);
void svm_set_nmi_mask(struct x86_vcpu *v, bool masked);
void svm_enable_irq_window(struct x86_vcpu *v);
void svm_disable_irq_window(struct svm_vcpu *svm);
void svm_enable_nmi_window(struct x86_vcpu *v);
u8 svm_get_interrupt_shadow(struct x86_vcpu *v);
void svm_set_interrupt_shadow(struct x86_vcpu *v, u8 mask);
void svm_update_cr8_intercept(struct x86_vcpu *v, int tpr_threshold);

/* run.c: entry and exit */
void svm_vcpu_load(struct x86_vcpu *v);
void svm_vcpu_put(struct x86_vcpu *v);
void svm_prepare_entry(struct x86_vcpu *v);
void svm_run(struct x86_vcpu *v);
void svm_flush_tlb(struct x86_vcpu *v);
void svm_flush_tlb_gva(struct x86_vcpu *v, gva_t gva);

/* exit.c: what to do about each exit */
void svm_handle_exit_irqoff(struct x86_vcpu *v);
int svm_handle_exit(struct x86_vcpu *v);

/*
 * enter.S: VMSAVE the host to host_pa, run the guest whose VMCB is at
 * vmcb_pa with the general registers gpr (all but RAX and RSP, which live in
 * the VMCB), and undo it. Interrupts off; GIF is cleared and set inside.
 */
void svm_enter(u64 *gpr, hpa_t vmcb_pa, hpa_t host_pa);

#endif
