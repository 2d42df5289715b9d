/* SPDX-License-Identifier: GPL-2.0-only */
/* The virtual machine control block; APM vol. 2 appendix B and C. */
#ifndef UNIKVM_SVM_VMCB_H
#define UNIKVM_SVM_VMCB_H

#include "../../shim.h"

/* Intercepts: bit numbers over the six words at offsets 0 to 14h. */
enum {
	INTERCEPT_CR0_READ = 0,		/* word 0: CRn reads, then writes */
	INTERCEPT_CR4_READ = 4,
	INTERCEPT_CR0_WRITE = 16,
	INTERCEPT_CR4_WRITE = 20,
	INTERCEPT_CR8_WRITE = 24,
	INTERCEPT_DR_FIRST = 32,	/* word 1: DRn reads, then writes */
	INTERCEPT_DR_LAST = 63,
	INTERCEPT_EXCEPTION = 64,	/* word 2: by vector */
	INTERCEPT_INTR = 96,		/* word 3 */
	INTERCEPT_NMI,
	INTERCEPT_SMI,
	INTERCEPT_INIT,
	INTERCEPT_VINTR,
	INTERCEPT_CR0_SEL_WRITE,
	INTERCEPT_IDTR_READ,
	INTERCEPT_GDTR_READ,
	INTERCEPT_LDTR_READ,
	INTERCEPT_TR_READ,
	INTERCEPT_IDTR_WRITE,
	INTERCEPT_GDTR_WRITE,
	INTERCEPT_LDTR_WRITE,
	INTERCEPT_TR_WRITE,
	INTERCEPT_RDTSC,
	INTERCEPT_RDPMC,
	INTERCEPT_PUSHF,
	INTERCEPT_POPF,
	INTERCEPT_CPUID,
	INTERCEPT_RSM,
	INTERCEPT_IRET,
	INTERCEPT_INTN,
	INTERCEPT_INVD,
	INTERCEPT_PAUSE,
	INTERCEPT_HLT,
	INTERCEPT_INVLPG,
	INTERCEPT_INVLPGA,
	INTERCEPT_IOIO,
	INTERCEPT_MSR,
	INTERCEPT_TASK_SWITCH,
	INTERCEPT_FERR_FREEZE,
	INTERCEPT_SHUTDOWN,
	INTERCEPT_VMRUN = 128,		/* word 4 */
	INTERCEPT_VMMCALL,
	INTERCEPT_VMLOAD,
	INTERCEPT_VMSAVE,
	INTERCEPT_STGI,
	INTERCEPT_CLGI,
	INTERCEPT_SKINIT,
	INTERCEPT_RDTSCP,
	INTERCEPT_ICEBP,
	INTERCEPT_WBINVD,
	INTERCEPT_MONITOR,
	INTERCEPT_MWAIT,
	INTERCEPT_MWAIT_ARMED,
	INTERCEPT_XSETBV,
	INTERCEPT_RDPRU,
	INTERCEPT_EFER_WRITE_TRAP,
	INTERCEPT_INVLPGB = 160,	/* word 5 */
	INTERCEPT_INVLPGB_ILLEGAL,
	INTERCEPT_INVPCID,
	INTERCEPT_MCOMMIT,
	INTERCEPT_TLBSYNC,
};
#define NR_INTERCEPT_WORDS	6

/* tlb_control, 15.16.1 */
#define TLB_CONTROL_NOTHING	0
#define TLB_CONTROL_FLUSH_ALL	1	/* every ASID */
#define TLB_CONTROL_FLUSH_ASID	3	/* with FlushByASID */

/* int_ctl, 15.21 and 15.33 */
#define V_TPR_MASK		0x0f
#define V_IRQ			BIT(8)
#define V_GIF			BIT(9)
#define V_INTR_PRIO_SHIFT	16
#define V_INTR_PRIO_MASK	(0xfU << V_INTR_PRIO_SHIFT)
#define V_IGN_TPR		BIT(20)
#define V_INTR_MASKING		BIT(24)
#define V_GIF_ENABLE		BIT(25)

/* int_state */
#define INT_STATE_SHADOW	BIT(0)

/* event_inj and exit_int_info, 15.20 and 15.7.2 */
#define EVENT_VECTOR_MASK	0xff
#define EVENT_TYPE_SHIFT	8
#define EVENT_TYPE_MASK		(7U << EVENT_TYPE_SHIFT)
#define EVENT_TYPE_INTR		0
#define EVENT_TYPE_NMI		2
#define EVENT_TYPE_EXCEPTION	3
#define EVENT_TYPE_SOFT		4
#define EVENT_HAS_ERROR		BIT(11)
#define EVENT_VALID		BIT(31)

#define NESTED_CTL_NP		BIT(0)

/* Clean bits, 15.15.3: set means "the processor may keep its copy". */
enum vmcb_clean {
	CLEAN_INTERCEPTS,	/* intercepts, TSC offset, pause filter */
	CLEAN_PERM,		/* IOPM and MSRPM base */
	CLEAN_ASID,
	CLEAN_TPR,		/* int_ctl, int_vector */
	CLEAN_NP,		/* nested CR3, guest PAT */
	CLEAN_CRX,		/* CR0, CR3, CR4, EFER */
	CLEAN_DRX,
	CLEAN_DT,		/* GDTR, IDTR */
	CLEAN_SEG,		/* CS, DS, SS, ES, CPL */
	CLEAN_CR2,
	CLEAN_LBR,
	CLEAN_AVIC,
	NR_CLEAN
};

struct vmcb_seg {
	u16 selector;
	u16 attrib;		/* descriptor bits 55:52 and 47:40 */
	u32 limit;
	u64 base;
} __attribute__((packed));

struct vmcb_control {
	u32 intercepts[NR_INTERCEPT_WORDS];	/* 000 */
	u8 reserved_018[0x3c - 0x18];
	u16 pause_filter_thresh;	/* 03c */
	u16 pause_filter_count;		/* 03e */
	u64 iopm_base_pa;		/* 040 */
	u64 msrpm_base_pa;		/* 048 */
	u64 tsc_offset;			/* 050 */
	u32 asid;			/* 058 */
	u8 tlb_control;			/* 05c */
	u8 reserved_05d[3];
	u32 int_ctl;			/* 060 */
	u32 int_vector;			/* 064 */
	u32 int_state;			/* 068 */
	u32 reserved_06c;
	u64 exit_code;			/* 070 */
	u64 exit_info_1;		/* 078 */
	u64 exit_info_2;		/* 080 */
	u32 exit_int_info;		/* 088 */
	u32 exit_int_info_err;		/* 08c */
	u64 nested_ctl;			/* 090 */
	u64 avic_vapic_bar;		/* 098 */
	u64 ghcb_pa;			/* 0a0 */
	u32 event_inj;			/* 0a8 */
	u32 event_inj_err;		/* 0ac */
	u64 nested_cr3;			/* 0b0 */
	u64 virt_ext;			/* 0b8 */
	u32 clean;			/* 0c0 */
	u32 reserved_0c4;
	u64 next_rip;			/* 0c8 */
	u8 insn_len;			/* 0d0 */
	u8 insn_bytes[15];		/* 0d1 */
	u64 avic_backing_page;		/* 0e0 */
	u8 reserved_0e8[8];
	u64 avic_logical_id;		/* 0f0 */
	u64 avic_physical_id;		/* 0f8 */
	u8 reserved_100[0x400 - 0x100];
} __attribute__((packed));
static_assert(sizeof(struct vmcb_control) == 0x400, "VMCB control area");
static_assert(offsetof(struct vmcb_control, int_ctl) == 0x60, "int_ctl");
static_assert(offsetof(struct vmcb_control, exit_int_info) == 0x88, "exit_int_info");
static_assert(offsetof(struct vmcb_control, event_inj) == 0xa8, "event_inj");
static_assert(offsetof(struct vmcb_control, clean) == 0xc0, "clean");
static_assert(offsetof(struct vmcb_control, insn_bytes) == 0xd1, "insn_bytes");

struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds, fs, gs;	/* 400 */
	struct vmcb_seg gdtr, ldtr, idtr, tr;	/* 460 */
	u8 reserved_0a0[0xcb - 0xa0];
	u8 cpl;				/* 4cb */
	u32 reserved_0cc;
	u64 efer;			/* 4d0 */
	u8 reserved_0d8[0x148 - 0xd8];
	u64 cr4;			/* 548 */
	u64 cr3;
	u64 cr0;
	u64 dr7;			/* 560 */
	u64 dr6;
	u64 rflags;			/* 570 */
	u64 rip;
	u8 reserved_180[0x1d8 - 0x180];
	u64 rsp;			/* 5d8 */
	u64 s_cet, ssp, isst_addr;
	u64 rax;			/* 5f8 */
	u64 star, lstar, cstar, sfmask;	/* 600 */
	u64 kernel_gs_base;		/* 620 */
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2;			/* 640 */
	u8 reserved_248[0x268 - 0x248];
	u64 g_pat;			/* 668 */
	u64 debugctl;			/* 670 */
	u64 br_from, br_to, last_excp_from, last_excp_to;
	u8 reserved_298[0x2e0 - 0x298];
	u64 spec_ctrl;			/* 6e0 */
	u8 reserved_2e8[0xc00 - 0x2e8];
} __attribute__((packed));
static_assert(offsetof(struct vmcb_save, cpl) == 0xcb, "cpl");
static_assert(offsetof(struct vmcb_save, cr4) == 0x148, "cr4");
static_assert(offsetof(struct vmcb_save, rsp) == 0x1d8, "rsp");
static_assert(offsetof(struct vmcb_save, rax) == 0x1f8, "rax");
static_assert(offsetof(struct vmcb_save, kernel_gs_base) == 0x220, "kernel_gs_base");
static_assert(offsetof(struct vmcb_save, cr2) == 0x240, "cr2");
static_assert(offsetof(struct vmcb_save, g_pat) == 0x268, "g_pat");
static_assert(offsetof(struct vmcb_save, spec_ctrl) == 0x2e0, "spec_ctrl");

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save save;
} __attribute__((packed));
static_assert(sizeof(struct vmcb) == 4096, "VMCB page");

/* Exit codes, appendix C. */
enum svm_exit {
	SVM_EXIT_CR0_READ = 0x000,
	SVM_EXIT_CR0_WRITE = 0x010,
	SVM_EXIT_CR4_WRITE = 0x014,
	SVM_EXIT_CR8_WRITE = 0x018,
	SVM_EXIT_DR_READ = 0x020,	/* to 2f */
	SVM_EXIT_DR_WRITE = 0x030,	/* to 3f */
	SVM_EXIT_EXCEPTION = 0x040,	/* to 5f */
	SVM_EXIT_INTR = 0x060,
	SVM_EXIT_NMI = 0x061,
	SVM_EXIT_SMI = 0x062,
	SVM_EXIT_INIT = 0x063,
	SVM_EXIT_VINTR = 0x064,
	SVM_EXIT_CR0_SEL_WRITE = 0x065,
	SVM_EXIT_RDPMC = 0x06f,
	SVM_EXIT_CPUID = 0x072,
	SVM_EXIT_RSM = 0x073,
	SVM_EXIT_IRET = 0x074,
	SVM_EXIT_INVD = 0x076,
	SVM_EXIT_PAUSE = 0x077,
	SVM_EXIT_HLT = 0x078,
	SVM_EXIT_INVLPG = 0x079,
	SVM_EXIT_INVLPGA = 0x07a,
	SVM_EXIT_IOIO = 0x07b,
	SVM_EXIT_MSR = 0x07c,
	SVM_EXIT_TASK_SWITCH = 0x07d,
	SVM_EXIT_FERR_FREEZE = 0x07e,
	SVM_EXIT_SHUTDOWN = 0x07f,
	SVM_EXIT_VMRUN = 0x080,
	SVM_EXIT_VMMCALL = 0x081,
	SVM_EXIT_VMLOAD = 0x082,
	SVM_EXIT_VMSAVE = 0x083,
	SVM_EXIT_STGI = 0x084,
	SVM_EXIT_CLGI = 0x085,
	SVM_EXIT_SKINIT = 0x086,
	SVM_EXIT_RDTSCP = 0x087,
	SVM_EXIT_ICEBP = 0x088,
	SVM_EXIT_WBINVD = 0x089,
	SVM_EXIT_MONITOR = 0x08a,
	SVM_EXIT_MWAIT = 0x08b,
	SVM_EXIT_MWAIT_COND = 0x08c,
	SVM_EXIT_XSETBV = 0x08d,
	SVM_EXIT_RDPRU = 0x08e,
	SVM_EXIT_INVPCID = 0x0a2,
	SVM_EXIT_NPF = 0x400,
	SVM_NR_EXITS = 0x401,
};
#define SVM_EXIT_INVALID	(~0ULL)		/* VMEXIT_INVALID, -1 */
#define SVM_EXIT_BUSY		(~0ULL - 1)

/* exit_info_1 of IOIO, 15.10.2 */
#define IOIO_IN			BIT(0)
/* EXITINFO2 of SVM_EXIT_TASK_SWITCH; 15.14.1 */
#define TASK_BY_IRET		BIT_ULL(36)
#define TASK_BY_JMP		BIT_ULL(38)
#define TASK_HAS_ERROR		BIT_ULL(44)

#define IOIO_STRING		BIT(2)
#define IOIO_REP		BIT(3)
#define IOIO_SIZE_SHIFT		4
#define IOIO_SIZE_MASK		(7U << IOIO_SIZE_SHIFT)
#define IOIO_PORT_SHIFT		16

/* exit_info_2 of TASK_SWITCH, 15.14.1 */
#define TASK_SWITCH_IRET	BIT_ULL(36)
#define TASK_SWITCH_FAR_JMP	BIT_ULL(38)
#define TASK_SWITCH_HAS_ERROR	BIT_ULL(44)

static inline void vmcb_intercept(struct vmcb_control *c, unsigned int bit)
{
	c->intercepts[bit / 32] |= 1U << (bit % 32);
}

static inline void vmcb_no_intercept(struct vmcb_control *c, unsigned int bit)
{
	c->intercepts[bit / 32] &= ~(1U << (bit % 32));
}

static inline void vmcb_intercept_if(struct vmcb_control *c, unsigned int bit,
				     bool on)
{
	if (on)
		vmcb_intercept(c, bit);
	else
		vmcb_no_intercept(c, bit);
}

static inline bool vmcb_intercepts(const struct vmcb_control *c,
				   unsigned int bit)
{
	return c->intercepts[bit / 32] >> (bit % 32) & 1;
}

#endif
