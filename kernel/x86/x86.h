/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The x86 ring: state of a VM and a vCPU, the vendor ops table, and every
 * function that the files of x86/ offer one another.
 *
 * The vendor ring (svm/) is called only through struct x86_ops, and calls up
 * only to what is declared here. Each block names the file that implements it.
 */
#ifndef UNIKVM_X86_H
#define UNIKVM_X86_H

#include <linux/static_call.h>

#include <asm/fpu/api.h>

#include "../kvm_internal.h"
#include "decode.h"
#include "emulate.h"

struct lapic;		/* irqchip/lapic.h */
struct ioapic;		/* irqchip/ioapic.h */
struct pic;		/* irqchip/pic.h */
struct pit;		/* irqchip/pit.h */
struct npt;		/* mmu/npt.h */

/* Requests of this architecture, after the front's. */
enum {
	X86_REQ_EVENT = KVM_REQ_ARCH,	/* look at pending events again */
	X86_REQ_TRIPLE_FAULT,
	X86_REQ_NMI,
	X86_REQ_CLOCK_UPDATE,		/* rewrite the kvmclock page */
	X86_REQ_MASTERCLOCK_UPDATE,
	X86_REQ_MMU_RELOAD,		/* load the NPT root again */
	X86_REQ_APIC_TIMER,		/* the LAPIC timer fired */
	X86_REQ_IOAPIC_EOI_EXIT,	/* KVM_EXIT_IOAPIC_EOI is due */
	X86_REQ_LOAD_EOI_BITMAP,
	X86_REQ_STEAL_UPDATE,
	X86_REQ_MSR_FILTER,		/* ops->set_msr_filter() is due */
	X86_REQ_APF_READY,		/* x86_async_pf_deliver() is due */
};

/*
 * One event on its way into the guest. "pending" was raised and may still be
 * replaced or intercepted; "injected" was handed to the processor and must be
 * handed again if delivery itself exited (APM vol. 2 15.20, EXITINTINFO).
 */
struct x86_exception {
	bool pending;
	bool injected;
	u8 vector;
	bool has_error_code;
	u32 error_code;
	bool has_payload;	/* CR2 of #PF or DR6 bits of #DB */
	u64 payload;
};

struct x86_interrupt {
	bool injected;
	bool soft;		/* INT n: next_rip is the return address */
	u8 vector;
};

/* What SET_CPUID2 and the guest's control registers imply; cpuid.c. */
struct x86_cpuid {
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	u8 maxphyaddr;
	u64 reserved_gpa_bits;
	u64 cr4_reserved;	/* bits of CR4 the guest may not set */
	u64 efer_reserved;
	u64 xcr0_supported;	/* guest XCR0 may have these bits */
	u32 pv_features;	/* KVM's feature leaf (40000001) eax */
	bool intel;		/* more precisely: not AMD's, nor Hygon's */
};

/* Completion of an exit to user space, run at the next KVM_RUN. */
typedef int (*x86_complete_fn)(struct kvm_vcpu *vcpu);

/* An instruction whose MSR, memory or port access went to user space. */
struct x86_io_state {
	x86_complete_fn complete;
	bool is_write;
	u16 port;
	u8 size;
	u64 rip, next_rip;	/* of what user space completes: IN, OUT, MSRs */
	bool step_pending;	/* a debugger's step ends when writes are out */
};

#define X86_MAX_MCE_BANKS	32
#define X86_NR_VAR_MTRR		8

/* Per-vCPU MSRs that are only stored; msr.c. */
struct x86_msr_state {
	u64 pat;
	u64 misc_enable;
	u64 power_ctl;		/* 1fc */
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_var[2 * X86_NR_VAR_MTRR];
	u64 mcg_cap, mcg_status, mcg_ctl;
	u64 mce_banks[4 * X86_MAX_MCE_BANKS];
	u64 tsc_adjust;
	u64 platform_info;
	u64 microcode;
	u64 spec_ctrl;
	u64 tsc_aux;
	u64 misc_features;	/* 140 */
	u64 hwcr;		/* c0010015 */
	u64 osvw_length;	/* c0010140 */
	u64 osvw_status;	/* c0010141 */
	u64 de_cfg;		/* c0011029 */
};

/* kvmclock of one vCPU; time.c. */
struct x86_pvclock {
	u64 system_time_msr;	/* MSR 4b564d01: gpa | enable */
	bool guest_stopped;	/* KVM_KVMCLOCK_CTRL */
	u64 steal_msr;		/* MSR 4b564d03 */
	u64 steal_last;		/* run_delay already reported, ns */
	u64 eoi_msr;		/* MSR 4b564d04; irqchip/pv_eoi.c */
	bool eoi_offered;	/* the guest's flag is set */
};

/* Asynchronous page faults of one vCPU; async_pf.c. */
struct x86_async_pf {
	u64 msr;		/* MSR 4b564d02: gpa | flags */
	u64 vector_msr;		/* MSR 4b564d06 */
	struct list_head fetches;	/* the vCPU's thread only */
	u32 nr_fetches;
	u32 id;			/* of the last token */
	bool wake_all;		/* the token for all is due */
	bool unacked;		/* the guest works on a token */
	gfn_t failed_gfn;	/* the next fault on it waits */
};

struct x86_vcpu {
	struct kvm_vcpu vcpu;		/* first: the front casts */

	/*
	 * Registers as of the last exit. The vendor code fills and loads
	 * them around every entry, so common code just uses them.
	 */
	u64 gpr[NR_GPRS];
	u64 rip;
	u64 rflags;
	u64 cr0, cr2, cr3, cr4, cr8;	/* the guest's own view */
	u64 efer;
	u64 xcr0;
	u64 db[4];
	u64 dr6;
	u64 dr7;
	u64 apic_base;			/* MSR 1b */

	/* Facts of the last exit, filled by the vendor code. */
	u64 next_rip;			/* 0: unknown, decode to find it */
	u8 insn_bytes[15];		/* fetched by the CPU (decode assist) */
	u8 insn_len;			/* 0: none */
	bool forced;			/* emulation: by the guest's prefix */

	struct x86_exception exception;
	struct x86_interrupt interrupt;
	bool nmi_injected;
	u8 nmi_pending;			/* at most 2 */
	atomic_t nmi_queued;		/* from other threads */
	u32 mp_state;			/* KVM_MP_STATE_* */
	u8 sipi_vector;
	bool pv_unhalted;

	struct x86_cpuid cpuid;
	struct x86_msr_state msrs;
	struct x86_pvclock pv;
	struct x86_async_pf apf;
	struct x86_io_state io;
	struct emulator emul;		/* emulate.h: scratch of one emulation */

	struct lapic *lapic;		/* NULL without an in-kernel LAPIC */
	u64 eoi_exit_bitmap[4];
	u8 pending_ioapic_eoi;
	int pending_external_vector;	/* KVM_INTERRUPT, split irqchip; -1 none */

	struct fpu_guest guest_fpu;
	bool guest_fpu_loaded;
	bool xcr0_switched;		/* between x86_xcr0_enter and _exit */
	bool pkru_switched;
	u32 pkru;			/* the guest's */
	u32 host_pkru;
	u64 host_xcr0;
	u32 guest_debug;		/* KVM_GUESTDBG_* */
	u64 guest_debug_dr7;
	u64 guest_debug_db[4];

	/* TSC: guest = host + tsc_offset (no scaling here). */
	u64 tsc_offset;
	u32 tsc_khz;
	u64 last_host_tsc;
	int tsc_cpu;			/* where the clock page was computed */
	bool enforce_pv_cpuid;
	bool ran_once;			/* the guest was entered: CPUID is fixed */
	void *hostwork;			/* hostwork.c */
	u64 npt_seen_gen;		/* paranoid: x86_npt_note_flush() */
};

enum x86_irqchip_mode {
	X86_IRQCHIP_NONE,
	X86_IRQCHIP_KERNEL,
	X86_IRQCHIP_SPLIT
};

struct x86_vm {
	struct kvm kvm;			/* first: the front casts */

	struct npt *npt;		/* mmu/npt.c: one per address space */
	enum x86_irqchip_mode irqchip;	/* written once, kvm->lock, then read */
	u32 nr_ioapic_pins;		/* reserved for a split irqchip */
	struct pic *pic;
	struct ioapic *ioapic;
	struct pit *pit;
	struct apic_map __rcu *apic_map;	/* irqchip/lapic_map.c */
	struct mutex apic_map_lock;
	u32 apic_map_builds;		/* apic_map_lock */
	unsigned long apic_map_period;	/* RCU's, at the last 256th of them */
	struct kvm_io_device lapic_dev;	/* every vCPU's LAPIC page */

	u64 disabled_quirks;
	bool exception_payload_enabled;
	bool triple_fault_event;
	bool exit_on_emulation_failure;
	bool hlt_in_guest;		/* KVM_CAP_X86_DISABLE_EXITS */
	bool guest_can_read_platform_info;
	u32 user_space_msr_mask;	/* KVM_MSR_EXIT_REASON_* */
	struct x86_msr_filter __rcu *msr_filter;
	bool x2apic_format;		/* KVM_CAP_X2APIC_API */
	bool x2apic_broadcast_quirk_disabled;
	u32 default_tsc_khz;

	/* time.c: one clock of the whole VM */
	raw_spinlock_t tsc_lock;
	u64 last_tsc_nsec, last_tsc_write;
	u64 cur_tsc_offset, cur_tsc_generation;
	seqcount_raw_spinlock_t clock_seq;
	s64 kvmclock_offset;		/* ns, added to the host's boot clock */
	bool use_master_clock;		/* one pair of TSC and ns for all vCPUs */
	u64 master_kernel_ns, master_cycle_now;
	gpa_t wall_clock_gpa;
	struct mutex clock_lock;	/* orders whole clock updates */
	struct list_head clock_list;	/* of all VMs, for clocksource changes */
};

static inline struct x86_vcpu *to_x86(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu, struct x86_vcpu, vcpu);
}

static inline struct x86_vm *to_x86_vm(struct kvm *kvm)
{
	return container_of(kvm, struct x86_vm, kvm);
}

/* ---- the vendor ops table ---- */

struct x86_ops {
	const char *name;
	struct module *owner;
	size_t vm_size;			/* of the vendor's VM, x86_vm first */
	size_t vcpu_size;		/* of the vendor's vCPU, x86_vcpu first */

	int (*hardware_enable)(void);
	void (*hardware_disable)(void);

	int (*vm_init)(struct x86_vm *vm);		/* may be NULL */
	void (*vm_destroy)(struct x86_vm *vm);		/* may be NULL */
	int (*vcpu_create)(struct x86_vcpu *v);
	void (*vcpu_destroy)(struct x86_vcpu *v);
	/* RESET (init false) or INIT state of vendor-held registers. */
	void (*vcpu_reset)(struct x86_vcpu *v, bool init);
	void (*vcpu_load)(struct x86_vcpu *v);
	void (*vcpu_put)(struct x86_vcpu *v);
	void (*cpuid_changed)(struct x86_vcpu *v);

	/* Preemption off. */
	void (*prepare_entry)(struct x86_vcpu *v);
	/* Interrupts off: one entry and the exit after it; fills the regs. */
	void (*run)(struct x86_vcpu *v);
	/* Interrupts off, right after run(): NMI and #MC for the host. */
	void (*handle_exit_irqoff)(struct x86_vcpu *v);
	/* 1 enter again, 0 exit to user space (run is filled), <0 errno. */
	int (*handle_exit)(struct x86_vcpu *v);
	/* Undo an injection whose entry did not happen. */
	void (*cancel_injection)(struct x86_vcpu *v);

	void (*get_segment)(struct x86_vcpu *v, enum x86_seg seg,
			    struct kvm_segment *out);
	void (*set_segment)(struct x86_vcpu *v, enum x86_seg seg,
			    const struct kvm_segment *in);
	void (*get_gdt)(struct x86_vcpu *v, struct kvm_dtable *dt);
	void (*set_gdt)(struct x86_vcpu *v, const struct kvm_dtable *dt);
	void (*get_idt)(struct x86_vcpu *v, struct kvm_dtable *dt);
	void (*set_idt)(struct x86_vcpu *v, const struct kvm_dtable *dt);
	u8 (*get_cpl)(struct x86_vcpu *v);	/* any context */
	/* NMI context: RIP of the last exit, before run() put it in v->rip */
	u64 (*get_exit_rip)(struct x86_vcpu *v);
	/* The common code has checked the value and stored it in v->crN. */
	void (*cr0_changed)(struct x86_vcpu *v);
	void (*cr3_changed)(struct x86_vcpu *v);
	void (*cr4_changed)(struct x86_vcpu *v);
	void (*efer_changed)(struct x86_vcpu *v);
	void (*dr_changed)(struct x86_vcpu *v);	/* db[], dr6, dr7, guest_debug */

	/* 0, or 1 if the vendor does not know the MSR (then common code tries) */
	int (*get_msr)(struct x86_vcpu *v, u32 index, u64 *data);
	int (*set_msr)(struct x86_vcpu *v, u32 index, u64 data);
	void (*write_tsc_offset)(struct x86_vcpu *v, u64 offset);
	void (*set_msr_filter)(struct x86_vcpu *v);	/* re-read the filter */

	/* Hand v->exception, v->interrupt, NMI to the processor. */
	void (*inject_exception)(struct x86_vcpu *v);
	void (*inject_interrupt)(struct x86_vcpu *v);
	void (*inject_nmi)(struct x86_vcpu *v);
	bool (*interrupt_allowed)(struct x86_vcpu *v);
	bool (*nmi_allowed)(struct x86_vcpu *v);
	bool (*get_nmi_mask)(struct x86_vcpu *v);
	void (*set_nmi_mask)(struct x86_vcpu *v, bool masked);
	void (*enable_irq_window)(struct x86_vcpu *v);
	void (*enable_nmi_window)(struct x86_vcpu *v);
	u8 (*get_interrupt_shadow)(struct x86_vcpu *v);	/* KVM_X86_SHADOW_* */
	void (*set_interrupt_shadow)(struct x86_vcpu *v, u8 mask);
	/* Exit when the guest lowers CR8 to or below tpr_threshold; -1 never. */
	void (*update_cr8_intercept)(struct x86_vcpu *v, int tpr_threshold);

	void (*flush_tlb)(struct x86_vcpu *v);		/* all of this guest */
	void (*flush_tlb_gva)(struct x86_vcpu *v, gva_t gva);
	void (*load_npt)(struct x86_vcpu *v, hpa_t root, int levels);
};

extern const struct x86_ops *x86_ops;	/* run.c; set once by the vendor */

/*
 * Those of every exit are called directly, patched in when the vendor comes:
 * an indirect call, with what protects it, costs as much as the rest of some.
 */
#define X86_HOT_OPS(X)							\
	X(prepare_entry) X(run) X(handle_exit_irqoff) X(handle_exit)	\
	X(get_segment) X(get_cpl) X(set_interrupt_shadow)		\
	X(interrupt_allowed) X(update_cr8_intercept)
#define X(op) DECLARE_STATIC_CALL(x86_op_##op, *((struct x86_ops *)0)->op);
X86_HOT_OPS(X)
#undef X
#define x86_op(op)	static_call(x86_op_##op)

/* vendor.c: called by the vendor module's init and exit */
int x86_vendor_init(const struct x86_ops *ops);
void x86_vendor_exit(void);

/* Facts of the host CPU, read once; cpuid.c */
struct x86_host {
	u64 xcr0;		/* what the host enabled */
	u64 guest_xcr0;		/* what a guest may enable */
	u64 xss;		/* the host's; a guest's is always 0 */
	u64 cr4_reserved;	/* not even with every CPUID bit set */
	u64 efer_reserved;
	u32 xsave_size;		/* standard format, of guest_xcr0 */
	u8 maxphyaddr;
	u32 tsc_khz;
};
extern struct x86_host x86_host;

/* Module parameters; params in module.c, readable names as in KVM. */
extern bool x86_paranoid;	/* check our own use of the hardware */
/* Break a rule on purpose; tests only, without effect unless paranoid. */
extern uint x86_paranoid_break;
#define X86_BREAK_NPT_FLUSH	BIT(0)	/* no flush after an unmap */
#define X86_BREAK_CLEAN_BITS	BIT(1)	/* change a field that is "clean" */

/* ---- run.c: the run loop and what exits share ---- */

/* Ask for a completion at the next KVM_RUN and leave to user space. */
int x86_exit_complete_later(struct x86_vcpu *v, x86_complete_fn fn);
int x86_exit_internal_error(struct x86_vcpu *v, u32 suberror);
int x86_exit_unknown(struct x86_vcpu *v, u64 hardware_reason);
/* CPUID, RDMSR, WRMSR, HLT, XSETBV, WBINVD, VMMCALL, PAUSE...: return as
 * handle_exit(); they skip the instruction themselves.
 */
int x86_emulate_cpuid(struct x86_vcpu *v);
int x86_emulate_rdmsr(struct x86_vcpu *v);
int x86_emulate_wrmsr(struct x86_vcpu *v);
int x86_emulate_hlt(struct x86_vcpu *v);
int x86_emulate_xsetbv(struct x86_vcpu *v);
int x86_emulate_hypercall(struct x86_vcpu *v);	/* hypercall.c */
int x86_emulate_nop(struct x86_vcpu *v);	/* skip only */
bool x86_vcpu_is_bsp(struct x86_vcpu *v);
void x86_vcpu_reset(struct x86_vcpu *v, bool init);

/* ---- event.c: one function decides event priority ---- */

/* Inject what is pending, open windows for what must wait; <0 on a bug. */
int x86_event_inject(struct x86_vcpu *v);
bool x86_event_pending(struct x86_vcpu *v);	/* would end a HLT */
void x86_queue_exception(struct x86_vcpu *v, u8 vector);
void x86_queue_exception_e(struct x86_vcpu *v, u8 vector, u32 error_code);
void x86_queue_exception_p(struct x86_vcpu *v, u8 vector, u64 payload);
/* An event whose delivery exited; to be handed to the processor again. */
void x86_requeue_exception(struct x86_vcpu *v, u8 vector, bool has_error_code,
			   u32 error_code);
void x86_requeue_interrupt(struct x86_vcpu *v, u8 vector, bool soft);
void x86_requeue_nmi(struct x86_vcpu *v);
void x86_clear_injected(struct x86_vcpu *v);
/* CR2/DR6 take effect when the exception is delivered (or read out). */
void x86_deliver_payload(struct x86_vcpu *v);
void x86_inject_nmi(struct x86_vcpu *v);		/* from any thread */
void x86_queue_page_fault(struct x86_vcpu *v, u64 cr2, u32 error_code);
/* A real-mode or protected-mode fault by an emulated instruction. */
void x86_queue_emul_fault(struct x86_vcpu *v, const struct emul_fault *f);
bool x86_accepts_user_irq(struct x86_vcpu *v);
bool x86_ready_for_interrupt(struct x86_vcpu *v);

/* ---- regs.c: control registers, and GET/SET of register state ---- */

/* 0, or 1 if the value must raise #GP */
int x86_set_cr0(struct x86_vcpu *v, u64 value);
int x86_set_cr3(struct x86_vcpu *v, u64 value);
int x86_set_cr4(struct x86_vcpu *v, u64 value);
int x86_set_cr8(struct x86_vcpu *v, u64 value);
u64 x86_get_cr8(struct x86_vcpu *v);
int x86_set_efer(struct x86_vcpu *v, u64 value);
int x86_set_dr(struct x86_vcpu *v, int dr, u64 value);	/* 0, or vector */
u64 x86_get_dr(struct x86_vcpu *v, int dr);
int x86_get_sregs(struct x86_vcpu *v, struct kvm_sregs *sregs);
int x86_set_sregs(struct x86_vcpu *v, const struct kvm_sregs *sregs);
int x86_get_vcpu_events(struct x86_vcpu *v, struct kvm_vcpu_events *ev);
int x86_set_vcpu_events(struct x86_vcpu *v, const struct kvm_vcpu_events *ev);
/* All register ioctls of a vCPU; -ENOIOCTLCMD if cmd is not one of them. */
long x86_regs_ioctl(struct x86_vcpu *v, unsigned int cmd, void __user *argp);
void x86_sync_regs_store(struct x86_vcpu *v);		/* at exit */
int x86_sync_regs_load(struct x86_vcpu *v);		/* at entry */

static inline bool is_protmode(const struct x86_vcpu *v)
{
	return v->cr0 & 1;	/* CR0.PE */
}

static inline bool is_paging(const struct x86_vcpu *v)
{
	return v->cr0 >> 31 & 1;	/* CR0.PG */
}

static inline bool is_long_mode(const struct x86_vcpu *v)
{
	return v->efer >> 10 & 1;	/* EFER.LMA */
}

/* APM vol. 2 13.1.1.3: bits of DR6 that exist, and those that read 1. */
#define DR6_CAUSES	0xe00fULL	/* BT, BS, BD, B3 to B0 */
#define DR6_BS		BIT(14)
#define DR6_BT		BIT(15)
#define DR6_ONES	0xffff0ff0ULL

/* What KVM_SET_GUEST_DEBUG takes. */
#define GUESTDBG_VALID	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |    \
			 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP |  \
			 KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |  \
			 KVM_GUESTDBG_BLOCKIRQ)

bool is_64bit_mode(struct x86_vcpu *v);		/* LMA and CS.L */

/* ---- cpuid.c (filter logic pure in cpuid_logic.c) ---- */

int x86_cpuid_module_init(void);	/* fills x86_host */
long x86_cpuid_dev_ioctl(unsigned int cmd, void __user *argp);
long x86_cpuid_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			  void __user *argp);
void x86_cpuid_init(struct x86_vcpu *v);	/* limits before SET_CPUID */
void x86_cpuid_free(struct x86_vcpu *v);
/* What CPUID with eax=*a, ecx=*c answers to the guest now. */
void x86_cpuid_query(struct x86_vcpu *v, u32 *a, u32 *b, u32 *c, u32 *d);
/* CR4, XCR0, APIC base or MISC_ENABLE changed: bits that follow them. */
void x86_cpuid_update_runtime(struct x86_vcpu *v);
const struct kvm_cpuid_entry2 *x86_cpuid_find(struct x86_vcpu *v, u32 function,
					      u32 index);
/* Does the guest's CPUID show this feature? reg: enum cpuid_reg */
bool x86_guest_has(struct x86_vcpu *v, u32 function, u32 index, int reg,
		   u32 bit);

/* ---- msr.c ---- */

long x86_msr_dev_ioctl(unsigned int cmd, void __user *argp);
long x86_msr_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			void __user *argp);
long x86_msr_vm_ioctl(struct x86_vm *vm, unsigned int cmd, void __user *argp);
void x86_msr_vm_destroy(struct x86_vm *vm);
void x86_msr_reset(struct x86_vcpu *v, bool init);
/* By the guest: 0, 1 for #GP, or a KVM_MSR_EXIT_REASON_* << 8 to ask user. */
int x86_get_msr(struct x86_vcpu *v, u32 index, u64 *data);
int x86_set_msr(struct x86_vcpu *v, u32 index, u64 data);
/* By user space: no filter, read-only MSRs may be written. 0 or 1. */
int x86_get_msr_host(struct x86_vcpu *v, u32 index, u64 *data);
int x86_set_msr_host(struct x86_vcpu *v, u32 index, u64 data);
bool x86_msr_filtered(struct x86_vcpu *v, u32 index, u32 flags);
/* 0, or 1 for #GP (guest) or EINVAL (host) */
int x86_set_apic_base(struct x86_vcpu *v, u64 value, bool host);

/* ---- fpu.c ---- */

int x86_fpu_create(struct x86_vcpu *v);
void x86_fpu_free(struct x86_vcpu *v);
void x86_fpu_reset(struct x86_vcpu *v, bool init);
void x86_fpu_load_guest(struct x86_vcpu *v);	/* around the run loop */
void x86_fpu_put_guest(struct x86_vcpu *v);
void x86_xcr0_enter(struct x86_vcpu *v);	/* irqs off, right before run */
void x86_xcr0_exit(struct x86_vcpu *v);		/* irqs off, right after */
int x86_set_xcr(struct x86_vcpu *v, u32 index, u64 value);	/* 0 or 1: #GP */
long x86_fpu_ioctl(struct x86_vcpu *v, unsigned int cmd, void __user *argp);
int x86_xsave2_size(struct kvm *kvm);		/* bytes, at least 4096 */

/* ---- time.c: TSC; kvmclock.c: the paravirtual clock ---- */

int x86_time_module_init(void);
void x86_time_module_exit(void);
void x86_time_vm_init(struct x86_vm *vm);
void x86_time_vm_destroy(struct x86_vm *vm);	/* undoes _init */
void x86_time_vcpu_init(struct x86_vcpu *v);	/* after the vendor's create */
void x86_time_vcpu_load(struct x86_vcpu *v, int cpu);
void x86_host_tsc_back(struct x86_vcpu *v, u64 ticks);
void x86_time_vcpu_put(struct x86_vcpu *v);
u64 x86_guest_tsc(struct x86_vcpu *v, u64 host_tsc);
void x86_guest_tsc_write(struct x86_vcpu *v, u64 value, bool host);
void x86_tsc_adjust_write(struct x86_vcpu *v, u64 value);	/* by the guest */
long x86_tsc_vm_ioctl(struct x86_vm *vm, unsigned int cmd, unsigned long arg);
int x86_clock_update(struct x86_vcpu *v);	/* X86_REQ_CLOCK_UPDATE */
void x86_masterclock_update(struct x86_vm *vm);
void x86_steal_time_update(struct x86_vcpu *v);
/* 0, 1 for #GP */
int x86_pv_msr_get(struct x86_vcpu *v, u32 index, u64 *data);
int x86_pv_msr_set(struct x86_vcpu *v, u32 index, u64 data);
/* bit: CPUID_PV_*; false if user space hides it and wants that enforced */
bool x86_pv_has(struct x86_vcpu *v, u32 bit);
long x86_time_vm_ioctl(struct x86_vm *vm, unsigned int cmd, unsigned long arg);
long x86_time_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			 unsigned long arg);
long x86_clock_pairing(struct x86_vcpu *v, gpa_t gpa, u64 type);

/* ---- async_pf.c: other work for the guest while a page is fetched ---- */

#define MSR_ASYNC_PF		0x4b564d02
#define MSR_ASYNC_PF_INT	0x4b564d06
#define MSR_ASYNC_PF_ACK	0x4b564d07

int x86_async_pf_module_init(void);
void x86_async_pf_module_exit(void);
void x86_async_pf_init(struct x86_vcpu *v);
void x86_async_pf_reset(struct x86_vcpu *v);
void x86_async_pf_destroy(struct x86_vcpu *v);
/* Can the guest be told, here and now, that a page is not there? */
bool x86_async_pf_possible(struct x86_vcpu *v);
/* Fetch the page and tell the guest so. False: it has to wait, after all. */
bool x86_async_pf_start(struct x86_vcpu *v, gfn_t gfn, unsigned long hva,
			bool write);
void x86_async_pf_deliver(struct x86_vcpu *v);	/* X86_REQ_APF_READY */
u64 x86_async_pf_msr_get(const struct x86_vcpu *v, u32 index);
int x86_async_pf_msr_set(struct x86_vcpu *v, u32 index, u64 data); /* 1: #GP */

/* ---- mmu/npt.c: the nested page table of a VM ---- */

int x86_npt_vm_init(struct x86_vm *vm);
void x86_npt_vm_destroy(struct x86_vm *vm);
hpa_t x86_npt_root(struct x86_vm *vm, int *levels);
/* #NPF error code, APM vol. 2 15.25.6; the rest as in #PF. */
#define NPF_WRITE	BIT_ULL(1)
#define NPF_RSVD	BIT_ULL(3)
#define NPF_FETCH	BIT_ULL(4)
#define NPF_FINAL	BIT_ULL(32)	/* not of the walk to the guest's tables */

/*
 * #NPF at gpa, error code as above. Returns 1 to enter again
 * (mapped now, or raced), 0 if gpa has no memory behind it that allows the
 * access (the caller emulates the instruction as MMIO), <0 errno.
 */
int x86_npt_fault(struct x86_vcpu *v, gpa_t gpa, u64 error_code);
/*
 * The vCPU is about to flush its TLB for KVM_REQ_TLB_FLUSH: call after the
 * request was taken (kvm_check_request), before or after ops->flush_tlb().
 */
void x86_npt_note_flush(struct x86_vcpu *v);
/*
 * paranoid, irqs off, after the last look at requests: warn if this vCPU
 * missed the flush of a removed entry.
 */
void x86_npt_paranoid_check(struct x86_vcpu *v);

/* ---- mmu/walk.c: the guest's own page tables (pure), and copies ---- */

#define X86_ACCESS_WRITE	0x02	/* as in a #PF error code */
#define X86_ACCESS_USER		0x04
#define X86_ACCESS_FETCH	0x10
#define X86_ACCESS_IMPLICIT	0x100	/* descriptor tables: SMAP ignores AC */

/* 0 and *gpa, or 1 and *fault filled in. May set accessed and dirty bits. */
int x86_gva_to_gpa(struct x86_vcpu *v, gva_t gva, u32 access, gpa_t *gpa,
		   struct emul_fault *fault);
/* Linear address space copies with the access rights of the current CPL;
 * 0, 1 and *fault, or -EFAULT where there is no memory (MMIO) behind.
 */
int x86_write_gva(struct x86_vcpu *v, gva_t gva, const void *data, u32 len,
		  u32 access, struct emul_fault *fault);
int x86_fetch_gva(struct x86_vcpu *v, gva_t gva, void *data, u32 len,
		  struct emul_fault *fault);
int x86_translate(struct x86_vcpu *v, struct kvm_translation *tr);

/* ---- emulation*.c: the emulator at work on a vCPU ---- */

/*
 * Emulate the instruction at RIP. gpa: where its access led that exited, a
 * write or not; INVALID_GPA if that is not known. Returns as handle_exit();
 * fills run on exits.
 */
int x86_emulate_insn(struct x86_vcpu *v, gpa_t gpa, bool write);
u64 x86_linear_rip(struct x86_vcpu *v);
u8 x86_int_length(struct x86_vcpu *v, u8 vector);
/*
 * Fill v->next_rip, decoding the instruction of the exit if the processor did
 * not tell. 1, or for handle_exit() to return: above 1, it runs again.
 */
int x86_find_next_rip(struct x86_vcpu *v);
/*
 * A hardware task switch. skip: by an instruction, which the task returns
 * behind. Returns as handle_exit().
 */
int x86_emulate_task_switch(struct x86_vcpu *v, struct emul_task *task,
			    bool skip);
/* Advance RIP over the instruction of the exit; 1, or as handle_exit(). */
int x86_skip_insn(struct x86_vcpu *v);
/* IN/OUT exit, register form: port, size in bytes; next_rip is known. */
int x86_emulate_pio(struct x86_vcpu *v, u16 port, int size, bool in,
		    u64 next_rip);
/*
 * The guest's #UD: KVM turns the other vendor's hypercall instruction into
 * ours in place; anything else stays the guest's exception. Returns 1.
 */
int x86_ud_intercepted(struct x86_vcpu *v, const u8 other[3], const u8 ours[3]);
/* Shadow and TF after an instruction; 1, or 0 if a debugger single-steps. */
int x86_advance_rip(struct x86_vcpu *v, u64 next_rip);
/* run.c: the KVM_EXIT_DEBUG that ends a debugger's single step; returns 0. */
int x86_singlestep_done(struct x86_vcpu *v);

/* ---- irqchip/: glue.c, lapic*.c, ioapic*.c, pic*.c, pit*.c ---- */

int x86_irqchip_create(struct x86_vm *vm);		/* PIC + IOAPIC */
void x86_irqchip_destroy(struct x86_vm *vm);
long x86_irqchip_vm_ioctl(struct x86_vm *vm, unsigned int cmd,
			  void __user *argp);
int x86_pit_create(struct x86_vm *vm, u32 flags);
void x86_pit_destroy(struct x86_vm *vm);
int x86_split_irqchip_enable(struct x86_vm *vm, u32 pins);

int x86_lapic_create(struct x86_vcpu *v);
void x86_lapic_free(struct x86_vcpu *v);
void x86_lapic_reset(struct x86_vcpu *v, bool init);
long x86_lapic_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			  void __user *argp);
void x86_lapic_set_base(struct x86_vcpu *v, u64 value);	/* MSR 1b changed */
int x86_lapic_msr_read(struct x86_vcpu *v, u32 index, u64 *data); /* x2APIC */
int x86_lapic_msr_write(struct x86_vcpu *v, u32 index, u64 data);
u64 x86_lapic_get_tscdeadline(struct x86_vcpu *v);
void x86_lapic_set_tscdeadline(struct x86_vcpu *v, u64 data);
void x86_lapic_set_tpr(struct x86_vcpu *v, u8 tpr);	/* CR8 << 4 */
u8 x86_lapic_get_tpr(struct x86_vcpu *v);
/* Highest pending vector above the processor priority, or -1. */
int x86_lapic_pending_irq(struct x86_vcpu *v);
/* Highest IRR vector whatever the priority, or -1 (for the CR8 intercept). */
int x86_lapic_highest_irr(struct x86_vcpu *v);
int x86_lapic_ack_irq(struct x86_vcpu *v);	/* IRR to ISR; vector or -1 */
void x86_lapic_timer_fired(struct x86_vcpu *v);	/* X86_REQ_APIC_TIMER */
bool x86_lapic_timer_pending(struct x86_vcpu *v);
void x86_lapic_await_deadline(struct x86_vcpu *v);	/* irqs off */
void x86_lapic_migrate_timer(struct x86_vcpu *v);
bool x86_lapic_accepts_pic(struct x86_vcpu *v);	/* LINT0 is ExtINT */
/* INIT and SIPI that wait in the LAPIC; returns 0 or <0 */
int x86_lapic_accept_events(struct x86_vcpu *v);
bool x86_lapic_has_events(struct x86_vcpu *v);
u32 x86_lapic_get_latched_init(struct x86_vcpu *v);
void x86_lapic_set_latched_init(struct x86_vcpu *v, bool latched);
void x86_ioapic_eoi(struct x86_vm *vm, u8 vector, int trigger_level);
bool x86_ioapic_has_vector(struct x86_vm *vm, u8 vector);
int x86_pv_eoi_set(struct x86_vcpu *v, u64 data);	/* 1: #GP */
void x86_pv_eoi_enter(struct x86_vcpu *v);
void x86_pv_eoi_exit(struct x86_vcpu *v);	/* if pv.eoi_offered */
void x86_load_eoi_bitmap(struct x86_vcpu *v);
bool x86_pic_pending(struct x86_vm *vm);	/* the PIC's INTR output */
int x86_pic_ack(struct x86_vm *vm);		/* vector */
/* Any interrupt for the vCPU, from whichever chip; vector or -1 */
bool x86_irq_pending(struct x86_vcpu *v);
int x86_irq_ack(struct x86_vcpu *v);

#endif
