/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* The x86 part of the KVM ABI: register, interrupt-chip and event layouts. */
#ifndef UNIKVM_UAPI_KVM_X86_H
#define UNIKVM_UAPI_KVM_X86_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Layout proofs. The structs below are shared by two programs built by
 * different compilers at different times; a wrong offset must not compile.
 */
#define KVM_ABI_SIZE(type, bytes)					\
	_Static_assert(sizeof(type) == (bytes), #type ": ABI size")
#define KVM_ABI_OFFSET(type, member, bytes)				\
	_Static_assert(__builtin_offsetof(type, member) == (bytes),	\
		       #type "." #member ": ABI offset")

/* Page indices inside the vCPU mapping (mmap of a vCPU fd). */
#define KVM_PIO_PAGE_OFFSET		1
#define KVM_COALESCED_MMIO_PAGE_OFFSET	2

#define KVM_NR_INTERRUPTS		256

/* Exception vectors, APM vol. 2 table 8-1. */
#define DE_VECTOR	0
#define DB_VECTOR	1
#define BP_VECTOR	3
#define OF_VECTOR	4
#define BR_VECTOR	5
#define UD_VECTOR	6
#define NM_VECTOR	7
#define DF_VECTOR	8
#define TS_VECTOR	10
#define NP_VECTOR	11
#define SS_VECTOR	12
#define GP_VECTOR	13
#define PF_VECTOR	14
#define MF_VECTOR	16
#define AC_VECTOR	17
#define MC_VECTOR	18
#define XM_VECTOR	19
#define VE_VECTOR	20

/* KVM_GET_REGS, KVM_SET_REGS */
struct kvm_regs {
	__u64 rax, rbx, rcx, rdx;
	__u64 rsi, rdi, rsp, rbp;
	__u64 r8, r9, r10, r11;
	__u64 r12, r13, r14, r15;
	__u64 rip, rflags;
};
KVM_ABI_SIZE(struct kvm_regs, 144);
KVM_ABI_OFFSET(struct kvm_regs, rip, 128);

struct kvm_segment {
	__u64 base;
	__u32 limit;
	__u16 selector;
	__u8 type;
	__u8 present, dpl, db, s, l, g, avl;
	__u8 unusable;
	__u8 padding;
};
KVM_ABI_SIZE(struct kvm_segment, 24);
KVM_ABI_OFFSET(struct kvm_segment, type, 14);
KVM_ABI_OFFSET(struct kvm_segment, unusable, 22);

struct kvm_dtable {
	__u64 base;
	__u16 limit;
	__u16 padding[3];
};
KVM_ABI_SIZE(struct kvm_dtable, 16);

/* KVM_GET_SREGS, KVM_SET_SREGS */
struct kvm_sregs {
	struct kvm_segment cs, ds, es, fs, gs, ss;
	struct kvm_segment tr, ldt;
	struct kvm_dtable gdt, idt;
	__u64 cr0, cr2, cr3, cr4, cr8;
	__u64 efer;
	__u64 apic_base;
	__u64 interrupt_bitmap[(KVM_NR_INTERRUPTS + 63) / 64];
};
KVM_ABI_SIZE(struct kvm_sregs, 312);
KVM_ABI_OFFSET(struct kvm_sregs, cr0, 224);
KVM_ABI_OFFSET(struct kvm_sregs, interrupt_bitmap, 280);

/* KVM_GET_SREGS2, KVM_SET_SREGS2 */
struct kvm_sregs2 {
	struct kvm_segment cs, ds, es, fs, gs, ss;
	struct kvm_segment tr, ldt;
	struct kvm_dtable gdt, idt;
	__u64 cr0, cr2, cr3, cr4, cr8;
	__u64 efer;
	__u64 apic_base;
	__u64 flags;
	__u64 pdptrs[4];
};
KVM_ABI_SIZE(struct kvm_sregs2, 320);
KVM_ABI_OFFSET(struct kvm_sregs2, flags, 280);
#define KVM_SREGS2_FLAGS_PDPTRS_VALID	1

/* KVM_GET_FPU, KVM_SET_FPU */
struct kvm_fpu {
	__u8 fpr[8][16];
	__u16 fcw;
	__u16 fsw;
	__u8 ftwx;
	__u8 pad1;
	__u16 last_opcode;
	__u64 last_ip;
	__u64 last_dp;
	__u8 xmm[16][16];
	__u32 mxcsr;
	__u32 pad2;
};
KVM_ABI_SIZE(struct kvm_fpu, 416);
KVM_ABI_OFFSET(struct kvm_fpu, mxcsr, 408);

/* KVM_GET_MSRS, KVM_SET_MSRS */
struct kvm_msr_entry {
	__u32 index;
	__u32 reserved;
	__u64 data;
};
KVM_ABI_SIZE(struct kvm_msr_entry, 16);

struct kvm_msrs {
	__u32 nmsrs;
	__u32 pad;
	struct kvm_msr_entry entries[];
};
KVM_ABI_SIZE(struct kvm_msrs, 8);

/* KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST */
struct kvm_msr_list {
	__u32 nmsrs;
	__u32 indices[];
};
KVM_ABI_SIZE(struct kvm_msr_list, 4);

/* KVM_X86_SET_MSR_FILTER */
#define KVM_MSR_FILTER_MAX_BITMAP_SIZE	0x600
#define KVM_MSR_FILTER_MAX_RANGES	16
#define KVM_MSR_FILTER_READ		(1 << 0)
#define KVM_MSR_FILTER_WRITE		(1 << 1)
#define KVM_MSR_FILTER_DEFAULT_ALLOW	(0 << 0)
#define KVM_MSR_FILTER_DEFAULT_DENY	(1 << 0)
struct kvm_msr_filter_range {
	__u32 flags;
	__u32 nmsrs;
	__u32 base;
	__u8 *bitmap;
};
KVM_ABI_SIZE(struct kvm_msr_filter_range, 24);

struct kvm_msr_filter {
	__u32 flags;
	struct kvm_msr_filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};
KVM_ABI_SIZE(struct kvm_msr_filter, 392);

/* KVM_SET_CPUID (the old form without subleaves) */
struct kvm_cpuid_entry {
	__u32 function;
	__u32 eax, ebx, ecx, edx;
	__u32 padding;
};
KVM_ABI_SIZE(struct kvm_cpuid_entry, 24);

struct kvm_cpuid {
	__u32 nent;
	__u32 padding;
	struct kvm_cpuid_entry entries[];
};
KVM_ABI_SIZE(struct kvm_cpuid, 8);

/* KVM_SET_CPUID2, KVM_GET_CPUID2, KVM_GET_SUPPORTED_CPUID */
struct kvm_cpuid_entry2 {
	__u32 function;
	__u32 index;
	__u32 flags;
	__u32 eax, ebx, ecx, edx;
	__u32 padding[3];
};
KVM_ABI_SIZE(struct kvm_cpuid_entry2, 40);
#define KVM_CPUID_FLAG_SIGNIFCANT_INDEX	(1 << 0)
#define KVM_CPUID_FLAG_STATEFUL_FUNC	(1 << 1)
#define KVM_CPUID_FLAG_STATE_READ_NEXT	(1 << 2)

struct kvm_cpuid2 {
	__u32 nent;
	__u32 padding;
	struct kvm_cpuid_entry2 entries[];
};
KVM_ABI_SIZE(struct kvm_cpuid2, 8);

/* One 8259A, by KVM_GET_IRQCHIP / KVM_SET_IRQCHIP */
struct kvm_pic_state {
	__u8 last_irr;
	__u8 irr;
	__u8 imr;
	__u8 isr;
	__u8 priority_add;
	__u8 irq_base;
	__u8 read_reg_select;
	__u8 poll;
	__u8 special_mask;
	__u8 init_state;
	__u8 auto_eoi;
	__u8 rotate_on_auto_eoi;
	__u8 special_fully_nested_mode;
	__u8 init4;
	__u8 elcr;
	__u8 elcr_mask;
};
KVM_ABI_SIZE(struct kvm_pic_state, 16);

#define KVM_IOAPIC_NUM_PINS	24
struct kvm_ioapic_state {
	__u64 base_address;
	__u32 ioregsel;
	__u32 id;
	__u32 irr;
	__u32 pad;
	union {
		__u64 bits;
		struct {
			__u8 vector;
			__u8 delivery_mode:3;
			__u8 dest_mode:1;
			__u8 delivery_status:1;
			__u8 polarity:1;
			__u8 remote_irr:1;
			__u8 trig_mode:1;
			__u8 mask:1;
			__u8 reserve:7;
			__u8 reserved[4];
			__u8 dest_id;
		} fields;
	} redirtbl[KVM_IOAPIC_NUM_PINS];
};
KVM_ABI_SIZE(struct kvm_ioapic_state, 216);
KVM_ABI_OFFSET(struct kvm_ioapic_state, redirtbl, 24);

#define KVM_IRQCHIP_PIC_MASTER	0
#define KVM_IRQCHIP_PIC_SLAVE	1
#define KVM_IRQCHIP_IOAPIC	2
#define KVM_NR_IRQCHIPS		3

/* KVM_GET_LAPIC, KVM_SET_LAPIC: the xAPIC register page's first KiB */
#define KVM_APIC_REG_SIZE	0x400
struct kvm_lapic_state {
	char regs[KVM_APIC_REG_SIZE];
};
KVM_ABI_SIZE(struct kvm_lapic_state, 1024);

/* KVM_GET_PIT2, KVM_SET_PIT2 */
struct kvm_pit_channel_state {
	__u32 count;		/* 0 is stored as 65536 */
	__u16 latched_count;
	__u8 count_latched;
	__u8 status_latched;
	__u8 status;
	__u8 read_state;
	__u8 write_state;
	__u8 write_latch;
	__u8 rw_mode;
	__u8 mode;
	__u8 bcd;
	__u8 gate;
	__s64 count_load_time;	/* ns, CLOCK_MONOTONIC of the host */
};
KVM_ABI_SIZE(struct kvm_pit_channel_state, 24);

struct kvm_pit_state {
	struct kvm_pit_channel_state channels[3];
};
KVM_ABI_SIZE(struct kvm_pit_state, 72);

#define KVM_PIT_FLAGS_HPET_LEGACY	0x00000001
#define KVM_PIT_FLAGS_SPEAKER_DATA_ON	0x00000002
struct kvm_pit_state2 {
	struct kvm_pit_channel_state channels[3];
	__u32 flags;
	__u32 reserved[9];
};
KVM_ABI_SIZE(struct kvm_pit_state2, 112);

struct kvm_reinject_control {
	__u8 pit_reinject;
	__u8 reserved[31];
};
KVM_ABI_SIZE(struct kvm_reinject_control, 32);

/* KVM_EXIT_DEBUG, KVM_SET_GUEST_DEBUG */
struct kvm_debug_exit_arch {
	__u32 exception;
	__u32 pad;
	__u64 pc;
	__u64 dr6;
	__u64 dr7;
};
KVM_ABI_SIZE(struct kvm_debug_exit_arch, 32);

#define KVM_GUESTDBG_USE_SW_BP		0x00010000
#define KVM_GUESTDBG_USE_HW_BP		0x00020000
#define KVM_GUESTDBG_INJECT_DB		0x00040000
#define KVM_GUESTDBG_INJECT_BP		0x00080000
#define KVM_GUESTDBG_BLOCKIRQ		0x00100000
struct kvm_guest_debug_arch {
	__u64 debugreg[8];
};
KVM_ABI_SIZE(struct kvm_guest_debug_arch, 64);

/* KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS */
#define KVM_VCPUEVENT_VALID_NMI_PENDING		0x00000001
#define KVM_VCPUEVENT_VALID_SIPI_VECTOR		0x00000002
#define KVM_VCPUEVENT_VALID_SHADOW		0x00000004
#define KVM_VCPUEVENT_VALID_SMM			0x00000008
#define KVM_VCPUEVENT_VALID_PAYLOAD		0x00000010
#define KVM_VCPUEVENT_VALID_TRIPLE_FAULT	0x00000020
#define KVM_X86_SHADOW_INT_MOV_SS		0x01
#define KVM_X86_SHADOW_INT_STI			0x02
struct kvm_vcpu_events {
	struct {
		__u8 injected;
		__u8 nr;
		__u8 has_error_code;
		__u8 pending;
		__u32 error_code;
	} exception;
	struct {
		__u8 injected;
		__u8 nr;
		__u8 soft;
		__u8 shadow;
	} interrupt;
	struct {
		__u8 injected;
		__u8 pending;
		__u8 masked;
		__u8 pad;
	} nmi;
	__u32 sipi_vector;
	__u32 flags;
	struct {
		__u8 smm;
		__u8 pending;
		__u8 smm_inside_nmi;
		__u8 latched_init;
	} smi;
	struct {
		__u8 pending;
	} triple_fault;
	__u8 reserved[26];
	__u8 exception_has_payload;
	__u64 exception_payload;
};
KVM_ABI_SIZE(struct kvm_vcpu_events, 64);
KVM_ABI_OFFSET(struct kvm_vcpu_events, sipi_vector, 16);
KVM_ABI_OFFSET(struct kvm_vcpu_events, triple_fault, 28);
KVM_ABI_OFFSET(struct kvm_vcpu_events, exception_payload, 56);

/* KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS */
struct kvm_debugregs {
	__u64 db[4];
	__u64 dr6;
	__u64 dr7;
	__u64 flags;
	__u64 reserved[9];
};
KVM_ABI_SIZE(struct kvm_debugregs, 128);

/* KVM_GET_XSAVE, KVM_GET_XSAVE2, KVM_SET_XSAVE: standard (not compacted) */
struct kvm_xsave {
	__u32 region[1024];
	__u32 extra[];
};
KVM_ABI_SIZE(struct kvm_xsave, 4096);

#define KVM_MAX_XCRS	16
struct kvm_xcr {
	__u32 xcr;
	__u32 reserved;
	__u64 value;
};
KVM_ABI_SIZE(struct kvm_xcr, 16);

struct kvm_xcrs {
	__u32 nr_xcrs;
	__u32 flags;
	struct kvm_xcr xcrs[KVM_MAX_XCRS];
	__u64 padding[16];
};
KVM_ABI_SIZE(struct kvm_xcrs, 392);

/* KVM_CAP_SYNC_REGS: hostile to the kernel, which reads each field once */
#define KVM_SYNC_X86_REGS	(1UL << 0)
#define KVM_SYNC_X86_SREGS	(1UL << 1)
#define KVM_SYNC_X86_EVENTS	(1UL << 2)
#define KVM_SYNC_X86_VALID_FIELDS \
	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
struct kvm_sync_regs {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
};
KVM_ABI_SIZE(struct kvm_sync_regs, 520);

#define KVM_RUN_X86_SMM		(1 << 0)
#define KVM_RUN_X86_BUS_LOCK	(1 << 1)

/* KVM_CAP_X86_DISABLE_EXITS */
#define KVM_X86_DISABLE_EXITS_MWAIT		(1 << 0)
#define KVM_X86_DISABLE_EXITS_HLT		(1 << 1)
#define KVM_X86_DISABLE_EXITS_PAUSE		(1 << 2)
#define KVM_X86_DISABLE_EXITS_CSTATE		(1 << 3)

/* KVM_CAP_DISABLE_QUIRKS, KVM_CAP_DISABLE_QUIRKS2 */
#define KVM_X86_QUIRK_LINT0_REENABLED		(1 << 0)
#define KVM_X86_QUIRK_CD_NW_CLEARED		(1 << 1)
#define KVM_X86_QUIRK_LAPIC_MMIO_HOLE		(1 << 2)
#define KVM_X86_QUIRK_OUT_7E_INC_RIP		(1 << 3)
#define KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT	(1 << 4)
#define KVM_X86_QUIRK_FIX_HYPERCALL_INSN	(1 << 5)
#define KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS	(1 << 6)

/* KVM_{GET,SET,HAS}_DEVICE_ATTR on /dev/kvm (group 0) and on a vCPU */
#define KVM_X86_XCOMP_GUEST_SUPP	0
#define KVM_VCPU_TSC_CTRL		0
#define KVM_VCPU_TSC_OFFSET		0

/* KVM_X86_SET_MCE */
struct kvm_x86_mce {
	__u64 status;
	__u64 addr;
	__u64 misc;
	__u64 mcg_status;
	__u8 bank;
	__u8 pad1[7];
	__u64 pad2[3];
};
KVM_ABI_SIZE(struct kvm_x86_mce, 64);

#endif /* UNIKVM_UAPI_KVM_X86_H */
