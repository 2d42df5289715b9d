/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The KVM ABI, once, for the kernel half, the VMM and the tests.
 *
 * Names, numbers and layouts are those of Linux's <linux/kvm.h>; a test holds
 * every one of them against the host's header. Only what unikvm uses or
 * answers stands here. Never include it together with <linux/kvm.h>.
 */
#ifndef UNIKVM_UAPI_KVM_H
#define UNIKVM_UAPI_KVM_H

#include "kvm_x86.h"

#define KVM_API_VERSION	12
#define KVMIO		0xAE

/* Exit reasons: kvm_run.exit_reason */
#define KVM_EXIT_UNKNOWN		0
#define KVM_EXIT_EXCEPTION		1
#define KVM_EXIT_IO			2
#define KVM_EXIT_HYPERCALL		3
#define KVM_EXIT_DEBUG			4
#define KVM_EXIT_HLT			5
#define KVM_EXIT_MMIO			6
#define KVM_EXIT_IRQ_WINDOW_OPEN	7
#define KVM_EXIT_SHUTDOWN		8
#define KVM_EXIT_FAIL_ENTRY		9
#define KVM_EXIT_INTR			10
#define KVM_EXIT_SET_TPR		11
#define KVM_EXIT_TPR_ACCESS		12
#define KVM_EXIT_NMI			16
#define KVM_EXIT_INTERNAL_ERROR		17
#define KVM_EXIT_SYSTEM_EVENT		24
#define KVM_EXIT_IOAPIC_EOI		26
#define KVM_EXIT_X86_RDMSR		29
#define KVM_EXIT_X86_WRMSR		30

#define KVM_INTERNAL_ERROR_EMULATION			1
#define KVM_INTERNAL_ERROR_SIMUL_EX			2
#define KVM_INTERNAL_ERROR_DELIVERY_EV			3
#define KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON	4
#define KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES (1ULL << 0)

#define KVM_EXIT_IO_IN	0
#define KVM_EXIT_IO_OUT	1

#define KVM_SYSTEM_EVENT_SHUTDOWN	1
#define KVM_SYSTEM_EVENT_RESET		2
#define KVM_SYSTEM_EVENT_CRASH		3

#define KVM_MSR_EXIT_REASON_INVAL	(1 << 0)
#define KVM_MSR_EXIT_REASON_UNKNOWN	(1 << 1)
#define KVM_MSR_EXIT_REASON_FILTER	(1 << 2)

#define SYNC_REGS_SIZE_BYTES	2048

/* The first page of the vCPU mapping. User space may change it at any time. */
struct kvm_run {
	/* in */
	__u8 request_interrupt_window;
	__u8 immediate_exit;
	__u8 padding1[6];
	/* out */
	__u32 exit_reason;
	__u8 ready_for_interrupt_injection;
	__u8 if_flag;
	__u16 flags;
	/* in and out */
	__u64 cr8;
	__u64 apic_base;
	union {
		struct {	/* KVM_EXIT_UNKNOWN */
			__u64 hardware_exit_reason;
		} hw;
		struct {	/* KVM_EXIT_FAIL_ENTRY */
			__u64 hardware_entry_failure_reason;
			__u32 cpu;
		} fail_entry;
		struct {	/* KVM_EXIT_EXCEPTION */
			__u32 exception;
			__u32 error_code;
		} ex;
		struct {	/* KVM_EXIT_IO */
			__u8 direction;
			__u8 size;		/* bytes of one access */
			__u16 port;
			__u32 count;
			__u64 data_offset;	/* from the start of kvm_run */
		} io;
		struct {	/* KVM_EXIT_DEBUG */
			struct kvm_debug_exit_arch arch;
		} debug;
		struct {	/* KVM_EXIT_MMIO */
			__u64 phys_addr;
			__u8 data[8];
			__u32 len;		/* bytes, at most 8 */
			__u8 is_write;
		} mmio;
		struct {	/* KVM_EXIT_HYPERCALL */
			__u64 nr;
			__u64 args[6];
			__u64 ret;
			__u32 longmode;
			__u32 pad;
		} hypercall;
		struct {	/* KVM_EXIT_TPR_ACCESS */
			__u64 rip;
			__u32 is_write;
			__u32 pad;
		} tpr_access;
		struct {	/* KVM_EXIT_INTERNAL_ERROR */
			__u32 suberror;
			__u32 ndata;		/* valid entries of data */
			__u64 data[16];
		} internal;
		struct {	/* overlay of internal for suberror EMULATION */
			__u32 suberror;
			__u32 ndata;
			__u64 flags;
			struct {
				__u8 insn_size;
				__u8 insn_bytes[15];
			};
		} emulation_failure;
		struct {	/* KVM_EXIT_SYSTEM_EVENT */
			__u32 type;
			__u32 ndata;
			union {
				__u64 flags;
				__u64 data[16];
			};
		} system_event;
		struct {	/* KVM_EXIT_IOAPIC_EOI */
			__u8 vector;
		} eoi;
		struct {	/* KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR */
			__u8 error;		/* from user space */
			__u8 pad[7];
			__u32 reason;
			__u32 index;
			__u64 data;
		} msr;
		char padding[256];
	};
	__u64 kvm_valid_regs;
	__u64 kvm_dirty_regs;
	union {
		struct kvm_sync_regs regs;
		char padding[SYNC_REGS_SIZE_BYTES];
	} s;
};
KVM_ABI_SIZE(struct kvm_run, 2352);
KVM_ABI_OFFSET(struct kvm_run, exit_reason, 8);
KVM_ABI_OFFSET(struct kvm_run, cr8, 16);
KVM_ABI_OFFSET(struct kvm_run, io, 32);
KVM_ABI_OFFSET(struct kvm_run, io.data_offset, 40);
KVM_ABI_OFFSET(struct kvm_run, mmio.data, 40);
KVM_ABI_OFFSET(struct kvm_run, mmio.is_write, 52);
KVM_ABI_OFFSET(struct kvm_run, emulation_failure.insn_bytes, 49);
KVM_ABI_OFFSET(struct kvm_run, kvm_valid_regs, 288);
KVM_ABI_OFFSET(struct kvm_run, s, 304);

/* KVM_SET_USER_MEMORY_REGION */
#define KVM_MEM_LOG_DIRTY_PAGES	(1UL << 0)
#define KVM_MEM_READONLY	(1UL << 1)
struct kvm_userspace_memory_region {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;	/* bytes, page aligned */
	__u64 memory_size;	/* bytes, page aligned; 0 deletes the slot */
	__u64 userspace_addr;	/* page aligned */
};
KVM_ABI_SIZE(struct kvm_userspace_memory_region, 32);

/* KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG */
struct kvm_dirty_log {
	__u32 slot;
	__u32 padding1;
	union {
		void *dirty_bitmap;
		__u64 padding2;
	};
};
KVM_ABI_SIZE(struct kvm_dirty_log, 16);

struct kvm_clear_dirty_log {
	__u32 slot;
	__u32 num_pages;
	__u64 first_page;
	union {
		void *dirty_bitmap;
		__u64 padding2;
	};
};
KVM_ABI_SIZE(struct kvm_clear_dirty_log, 24);
#define KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE	(1 << 0)
#define KVM_DIRTY_LOG_INITIALLY_SET		(1 << 1)

/* KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS */
struct kvm_irq_level {
	union {
		__u32 irq;	/* gsi */
		__s32 status;	/* out, KVM_IRQ_LINE_STATUS */
	};
	__u32 level;
};
KVM_ABI_SIZE(struct kvm_irq_level, 8);

/* KVM_GET_IRQCHIP, KVM_SET_IRQCHIP */
struct kvm_irqchip {
	__u32 chip_id;
	__u32 pad;
	union {
		char dummy[512];
		struct kvm_pic_state pic;
		struct kvm_ioapic_state ioapic;
	} chip;
};
KVM_ABI_SIZE(struct kvm_irqchip, 520);

/* KVM_CREATE_PIT2 */
#define KVM_PIT_SPEAKER_DUMMY	1
struct kvm_pit_config {
	__u32 flags;
	__u32 pad[15];
};
KVM_ABI_SIZE(struct kvm_pit_config, 64);

/* KVM_SET_GSI_ROUTING */
#define KVM_IRQ_ROUTING_IRQCHIP	1
#define KVM_IRQ_ROUTING_MSI	2
struct kvm_irq_routing_irqchip {
	__u32 irqchip;
	__u32 pin;
};
struct kvm_irq_routing_msi {
	__u32 address_lo;
	__u32 address_hi;
	__u32 data;
	union {
		__u32 pad;
		__u32 devid;
	};
};
struct kvm_irq_routing_entry {
	__u32 gsi;
	__u32 type;
	__u32 flags;
	__u32 pad;
	union {
		struct kvm_irq_routing_irqchip irqchip;
		struct kvm_irq_routing_msi msi;
		__u32 pad[8];
	} u;
};
KVM_ABI_SIZE(struct kvm_irq_routing_entry, 48);

struct kvm_irq_routing {
	__u32 nr;
	__u32 flags;
	struct kvm_irq_routing_entry entries[];
};
KVM_ABI_SIZE(struct kvm_irq_routing, 8);

/* KVM_SIGNAL_MSI; flags of it, and of a route to a message */
#define KVM_MSI_VALID_DEVID	(1U << 0)

struct kvm_msi {
	__u32 address_lo;
	__u32 address_hi;
	__u32 data;
	__u32 flags;
	__u32 devid;
	__u8 pad[12];
};
KVM_ABI_SIZE(struct kvm_msi, 32);

/* KVM_IRQFD */
#define KVM_IRQFD_FLAG_DEASSIGN	(1 << 0)
#define KVM_IRQFD_FLAG_RESAMPLE	(1 << 1)
struct kvm_irqfd {
	__u32 fd;
	__u32 gsi;
	__u32 flags;
	__u32 resamplefd;
	__u8 pad[16];
};
KVM_ABI_SIZE(struct kvm_irqfd, 32);

/* KVM_IOEVENTFD */
#define KVM_IOEVENTFD_FLAG_DATAMATCH	(1 << 0)
#define KVM_IOEVENTFD_FLAG_PIO		(1 << 1)
#define KVM_IOEVENTFD_FLAG_DEASSIGN	(1 << 2)
struct kvm_ioeventfd {
	__u64 datamatch;
	__u64 addr;
	__u32 len;	/* bytes: 0, 1, 2, 4 or 8; 0 matches any width */
	__s32 fd;
	__u32 flags;
	__u8 pad[36];
};
KVM_ABI_SIZE(struct kvm_ioeventfd, 64);

/* KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO */
struct kvm_coalesced_mmio_zone {
	__u64 addr;
	__u32 size;
	union {
		__u32 pad;
		__u32 pio;
	};
};
KVM_ABI_SIZE(struct kvm_coalesced_mmio_zone, 16);

struct kvm_coalesced_mmio {
	__u64 phys_addr;
	__u32 len;
	union {
		__u32 pad;
		__u32 pio;
	};
	__u8 data[8];
};
KVM_ABI_SIZE(struct kvm_coalesced_mmio, 24);

/* At KVM_COALESCED_MMIO_PAGE_OFFSET; last is the kernel's, first the user's. */
struct kvm_coalesced_mmio_ring {
	__u32 first, last;
	struct kvm_coalesced_mmio coalesced_mmio[];
};
KVM_ABI_SIZE(struct kvm_coalesced_mmio_ring, 8);

/* KVM_GET_CLOCK, KVM_SET_CLOCK */
#define KVM_CLOCK_TSC_STABLE	2
#define KVM_CLOCK_REALTIME	(1 << 2)
#define KVM_CLOCK_HOST_TSC	(1 << 3)
struct kvm_clock_data {
	__u64 clock;		/* ns */
	__u32 flags;
	__u32 pad0;
	__u64 realtime;		/* ns since the epoch */
	__u64 host_tsc;
	__u32 pad[4];
};
KVM_ABI_SIZE(struct kvm_clock_data, 48);

/* KVM_TRANSLATE */
struct kvm_translation {
	__u64 linear_address;
	__u64 physical_address;
	__u8 valid;
	__u8 writeable;
	__u8 usermode;
	__u8 pad[5];
};
KVM_ABI_SIZE(struct kvm_translation, 24);

/* KVM_INTERRUPT */
struct kvm_interrupt {
	__u32 irq;	/* vector */
};
KVM_ABI_SIZE(struct kvm_interrupt, 4);

/* KVM_SET_SIGNAL_MASK: len is the size of the kernel's sigset, 8 */
struct kvm_signal_mask {
	__u32 len;
	__u8 sigset[];
};
KVM_ABI_SIZE(struct kvm_signal_mask, 4);

/* KVM_GET_MP_STATE, KVM_SET_MP_STATE */
#define KVM_MP_STATE_RUNNABLE		0
#define KVM_MP_STATE_UNINITIALIZED	1
#define KVM_MP_STATE_INIT_RECEIVED	2
#define KVM_MP_STATE_HALTED		3
#define KVM_MP_STATE_SIPI_RECEIVED	4
struct kvm_mp_state {
	__u32 mp_state;
};
KVM_ABI_SIZE(struct kvm_mp_state, 4);

/* KVM_SET_GUEST_DEBUG */
#define KVM_GUESTDBG_ENABLE	0x00000001
#define KVM_GUESTDBG_SINGLESTEP	0x00000002
struct kvm_guest_debug {
	__u32 control;
	__u32 pad;
	struct kvm_guest_debug_arch arch;
};
KVM_ABI_SIZE(struct kvm_guest_debug, 72);

/* KVM_TPR_ACCESS_REPORTING, KVM_SET_VAPIC_ADDR */
struct kvm_tpr_access_ctl {
	__u32 enabled;
	__u32 flags;
	__u32 reserved[8];
};
KVM_ABI_SIZE(struct kvm_tpr_access_ctl, 40);

struct kvm_vapic_addr {
	__u64 vapic_addr;
};
KVM_ABI_SIZE(struct kvm_vapic_addr, 8);

/* KVM_ENABLE_CAP */
struct kvm_enable_cap {
	__u32 cap;
	__u32 flags;
	__u64 args[4];
	__u8 pad[64];
};
KVM_ABI_SIZE(struct kvm_enable_cap, 104);

/* KVM_{SET,GET,HAS}_DEVICE_ATTR */
struct kvm_device_attr {
	__u32 flags;
	__u32 group;
	__u64 attr;
	__u64 addr;	/* user address of the attribute's value */
};
KVM_ABI_SIZE(struct kvm_device_attr, 24);

/* Capabilities: KVM_CHECK_EXTENSION */
#define KVM_CAP_IRQCHIP				0
#define KVM_CAP_HLT				1
#define KVM_CAP_USER_MEMORY			3
#define KVM_CAP_SET_TSS_ADDR			4
#define KVM_CAP_VAPIC				6
#define KVM_CAP_EXT_CPUID			7
#define KVM_CAP_CLOCKSOURCE			8
#define KVM_CAP_NR_VCPUS			9
#define KVM_CAP_NR_MEMSLOTS			10
#define KVM_CAP_PIT				11
#define KVM_CAP_NOP_IO_DELAY			12
#define KVM_CAP_MP_STATE			14
#define KVM_CAP_COALESCED_MMIO			15
#define KVM_CAP_SYNC_MMU			16
#define KVM_CAP_DESTROY_MEMORY_REGION_WORKS	21
#define KVM_CAP_USER_NMI			22
#define KVM_CAP_SET_GUEST_DEBUG			23
#define KVM_CAP_REINJECT_CONTROL		24
#define KVM_CAP_IRQ_ROUTING			25
#define KVM_CAP_IRQ_INJECT_STATUS		26
#define KVM_CAP_JOIN_MEMORY_REGIONS_WORKS	30
#define KVM_CAP_MCE				31
#define KVM_CAP_IRQFD				32
#define KVM_CAP_PIT2				33
#define KVM_CAP_SET_BOOT_CPU_ID			34
#define KVM_CAP_PIT_STATE2			35
#define KVM_CAP_IOEVENTFD			36
#define KVM_CAP_SET_IDENTITY_MAP_ADDR		37
#define KVM_CAP_ADJUST_CLOCK			39
#define KVM_CAP_INTERNAL_ERROR_DATA		40
#define KVM_CAP_VCPU_EVENTS			41
#define KVM_CAP_INTR_SHADOW			49
#define KVM_CAP_DEBUGREGS			50
#define KVM_CAP_X86_ROBUST_SINGLESTEP		51
#define KVM_CAP_ENABLE_CAP			54
#define KVM_CAP_XSAVE				55
#define KVM_CAP_XCRS				56
#define KVM_CAP_ASYNC_PF			59
#define KVM_CAP_TSC_CONTROL			60
#define KVM_CAP_GET_TSC_KHZ			61
#define KVM_CAP_MAX_VCPUS			66
#define KVM_CAP_TSC_DEADLINE_TIMER		72
#define KVM_CAP_SYNC_REGS			74
#define KVM_CAP_KVMCLOCK_CTRL			76
#define KVM_CAP_SIGNAL_MSI			77
#define KVM_CAP_READONLY_MEM			81
#define KVM_CAP_IRQFD_RESAMPLE			82
#define KVM_CAP_DEVICE_CTRL			89
#define KVM_CAP_IOAPIC_POLARITY_IGNORED		97
#define KVM_CAP_EXT_EMUL_CPUID			95
#define KVM_CAP_ENABLE_CAP_VM			98
#define KVM_CAP_IOEVENTFD_NO_LENGTH		100
#define KVM_CAP_CHECK_EXTENSION_VM		105
#define KVM_CAP_DISABLE_QUIRKS			116
#define KVM_CAP_X86_SMM				117
#define KVM_CAP_MULTI_ADDRESS_SPACE		118
#define KVM_CAP_SPLIT_IRQCHIP			121
#define KVM_CAP_IOEVENTFD_ANY_LENGTH		122
#define KVM_CAP_VCPU_ATTRIBUTES			127
#define KVM_CAP_MAX_VCPU_ID			128
#define KVM_CAP_X2APIC_API			129
#define KVM_CAP_IMMEDIATE_EXIT			136
#define KVM_CAP_X86_DISABLE_EXITS		143
#define KVM_CAP_GET_MSR_FEATURES		153
#define KVM_CAP_MSR_PLATFORM_INFO		159
#define KVM_CAP_COALESCED_PIO			162
#define KVM_CAP_EXCEPTION_PAYLOAD		164
#define KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2	168
#define KVM_CAP_ASYNC_PF_INT			183
#define KVM_CAP_LAST_CPU			184
#define KVM_CAP_STEAL_TIME			187
#define KVM_CAP_X86_USER_SPACE_MSR		188
#define KVM_CAP_X86_MSR_FILTER			189
#define KVM_CAP_ENFORCE_PV_FEATURE_CPUID	190
#define KVM_CAP_SET_GUEST_DEBUG2		195
#define KVM_CAP_SREGS2				200
#define KVM_CAP_BINARY_STATS_FD			203
#define KVM_CAP_EXIT_ON_EMULATION_FAILURE	204
#define KVM_CAP_XSAVE2				208
#define KVM_CAP_SYS_ATTRIBUTES			209
#define KVM_CAP_DISABLE_QUIRKS2			213
#define KVM_CAP_X86_TRIPLE_FAULT_EVENT		218

/* The file of KVM_GET_STATS_FD: this, then an id, descriptors and values. */
struct kvm_stats_header {
	__u32 flags;
	__u32 name_size;	/* bytes, of the id and of each name */
	__u32 num_desc;
	__u32 id_offset;	/* bytes from the start of the file */
	__u32 desc_offset;
	__u32 data_offset;
};

#define KVM_STATS_TYPE_SHIFT		0
#define KVM_STATS_TYPE_MASK		(0xF << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_CUMULATIVE	(0x0 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_INSTANT		(0x1 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_PEAK		(0x2 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_LINEAR_HIST	(0x3 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_LOG_HIST		(0x4 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_MAX		KVM_STATS_TYPE_LOG_HIST

#define KVM_STATS_UNIT_SHIFT		4
#define KVM_STATS_UNIT_MASK		(0xF << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_NONE		(0x0 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_BYTES		(0x1 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_SECONDS		(0x2 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_CYCLES		(0x3 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_BOOLEAN		(0x4 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_MAX		KVM_STATS_UNIT_BOOLEAN

#define KVM_STATS_BASE_SHIFT		8
#define KVM_STATS_BASE_MASK		(0xF << KVM_STATS_BASE_SHIFT)
#define KVM_STATS_BASE_POW10		(0x0 << KVM_STATS_BASE_SHIFT)
#define KVM_STATS_BASE_POW2		(0x1 << KVM_STATS_BASE_SHIFT)
#define KVM_STATS_BASE_MAX		KVM_STATS_BASE_POW2

struct kvm_stats_desc {
	__u32 flags;		/* type, unit and base of the exponent */
	__s16 exponent;
	__u16 size;		/* values of 8 bytes */
	__u32 offset;		/* bytes from data_offset */
	__u32 bucket_size;	/* of a linear histogram */
	char name[];		/* name_size */
};

/* Requests on /dev/kvm */
#define KVM_GET_API_VERSION		_IO(KVMIO, 0x00)
#define KVM_CREATE_VM			_IO(KVMIO, 0x01)
#define KVM_GET_MSR_INDEX_LIST		_IOWR(KVMIO, 0x02, struct kvm_msr_list)
#define KVM_CHECK_EXTENSION		_IO(KVMIO, 0x03) /* also on a VM */
#define KVM_GET_VCPU_MMAP_SIZE		_IO(KVMIO, 0x04)
#define KVM_GET_SUPPORTED_CPUID		_IOWR(KVMIO, 0x05, struct kvm_cpuid2)
#define KVM_GET_EMULATED_CPUID		_IOWR(KVMIO, 0x09, struct kvm_cpuid2)
#define KVM_GET_MSR_FEATURE_INDEX_LIST	_IOWR(KVMIO, 0x0a, struct kvm_msr_list)

/* Requests on a VM */
#define KVM_CREATE_VCPU			_IO(KVMIO, 0x41)
#define KVM_GET_DIRTY_LOG		_IOW(KVMIO, 0x42, struct kvm_dirty_log)
#define KVM_SET_NR_MMU_PAGES		_IO(KVMIO, 0x44)
#define KVM_GET_NR_MMU_PAGES		_IO(KVMIO, 0x45)
#define KVM_SET_USER_MEMORY_REGION \
	_IOW(KVMIO, 0x46, struct kvm_userspace_memory_region)
#define KVM_SET_TSS_ADDR		_IO(KVMIO, 0x47)
#define KVM_SET_IDENTITY_MAP_ADDR	_IOW(KVMIO, 0x48, __u64)
#define KVM_CREATE_IRQCHIP		_IO(KVMIO, 0x60)
#define KVM_IRQ_LINE			_IOW(KVMIO, 0x61, struct kvm_irq_level)
#define KVM_GET_IRQCHIP			_IOWR(KVMIO, 0x62, struct kvm_irqchip)
#define KVM_SET_IRQCHIP			_IOR(KVMIO, 0x63, struct kvm_irqchip)
#define KVM_CREATE_PIT			_IO(KVMIO, 0x64)
#define KVM_GET_PIT			_IOWR(KVMIO, 0x65, struct kvm_pit_state)
#define KVM_SET_PIT			_IOR(KVMIO, 0x66, struct kvm_pit_state)
#define KVM_IRQ_LINE_STATUS		_IOWR(KVMIO, 0x67, struct kvm_irq_level)
#define KVM_REGISTER_COALESCED_MMIO \
	_IOW(KVMIO, 0x67, struct kvm_coalesced_mmio_zone)
#define KVM_UNREGISTER_COALESCED_MMIO \
	_IOW(KVMIO, 0x68, struct kvm_coalesced_mmio_zone)
#define KVM_SET_GSI_ROUTING		_IOW(KVMIO, 0x6a, struct kvm_irq_routing)
#define KVM_REINJECT_CONTROL		_IO(KVMIO, 0x71)
#define KVM_IRQFD			_IOW(KVMIO, 0x76, struct kvm_irqfd)
#define KVM_CREATE_PIT2			_IOW(KVMIO, 0x77, struct kvm_pit_config)
#define KVM_SET_BOOT_CPU_ID		_IO(KVMIO, 0x78)
#define KVM_IOEVENTFD			_IOW(KVMIO, 0x79, struct kvm_ioeventfd)
#define KVM_SET_CLOCK			_IOW(KVMIO, 0x7b, struct kvm_clock_data)
#define KVM_GET_CLOCK			_IOR(KVMIO, 0x7c, struct kvm_clock_data)
#define KVM_GET_PIT2			_IOR(KVMIO, 0x9f, struct kvm_pit_state2)
#define KVM_SET_PIT2			_IOW(KVMIO, 0xa0, struct kvm_pit_state2)
#define KVM_SET_TSC_KHZ			_IO(KVMIO, 0xa2) /* also on a vCPU */
#define KVM_GET_TSC_KHZ			_IO(KVMIO, 0xa3) /* also on a vCPU */
#define KVM_SIGNAL_MSI			_IOW(KVMIO, 0xa5, struct kvm_msi)
#define KVM_CLEAR_DIRTY_LOG		_IOWR(KVMIO, 0xc0, struct kvm_clear_dirty_log)
#define KVM_X86_SET_MSR_FILTER		_IOW(KVMIO, 0xc6, struct kvm_msr_filter)
#define KVM_GET_STATS_FD		_IO(KVMIO, 0xce) /* also on a vCPU */
#define KVM_SET_DEVICE_ATTR		_IOW(KVMIO, 0xe1, struct kvm_device_attr)
#define KVM_GET_DEVICE_ATTR		_IOW(KVMIO, 0xe2, struct kvm_device_attr)
#define KVM_HAS_DEVICE_ATTR		_IOW(KVMIO, 0xe3, struct kvm_device_attr)

/* Requests on a vCPU */
#define KVM_RUN				_IO(KVMIO, 0x80)
#define KVM_GET_REGS			_IOR(KVMIO, 0x81, struct kvm_regs)
#define KVM_SET_REGS			_IOW(KVMIO, 0x82, struct kvm_regs)
#define KVM_GET_SREGS			_IOR(KVMIO, 0x83, struct kvm_sregs)
#define KVM_SET_SREGS			_IOW(KVMIO, 0x84, struct kvm_sregs)
#define KVM_TRANSLATE			_IOWR(KVMIO, 0x85, struct kvm_translation)
#define KVM_INTERRUPT			_IOW(KVMIO, 0x86, struct kvm_interrupt)
#define KVM_GET_MSRS			_IOWR(KVMIO, 0x88, struct kvm_msrs)
#define KVM_SET_MSRS			_IOW(KVMIO, 0x89, struct kvm_msrs)
#define KVM_SET_CPUID			_IOW(KVMIO, 0x8a, struct kvm_cpuid)
#define KVM_SET_SIGNAL_MASK		_IOW(KVMIO, 0x8b, struct kvm_signal_mask)
#define KVM_GET_FPU			_IOR(KVMIO, 0x8c, struct kvm_fpu)
#define KVM_SET_FPU			_IOW(KVMIO, 0x8d, struct kvm_fpu)
#define KVM_GET_LAPIC			_IOR(KVMIO, 0x8e, struct kvm_lapic_state)
#define KVM_SET_LAPIC			_IOW(KVMIO, 0x8f, struct kvm_lapic_state)
#define KVM_SET_CPUID2			_IOW(KVMIO, 0x90, struct kvm_cpuid2)
#define KVM_GET_CPUID2			_IOWR(KVMIO, 0x91, struct kvm_cpuid2)
#define KVM_TPR_ACCESS_REPORTING	_IOWR(KVMIO, 0x92, struct kvm_tpr_access_ctl)
#define KVM_SET_VAPIC_ADDR		_IOW(KVMIO, 0x93, struct kvm_vapic_addr)
#define KVM_GET_MP_STATE		_IOR(KVMIO, 0x98, struct kvm_mp_state)
#define KVM_SET_MP_STATE		_IOW(KVMIO, 0x99, struct kvm_mp_state)
#define KVM_NMI				_IO(KVMIO, 0x9a)
#define KVM_SET_GUEST_DEBUG		_IOW(KVMIO, 0x9b, struct kvm_guest_debug)
#define KVM_X86_SETUP_MCE		_IOW(KVMIO, 0x9c, __u64)
#define KVM_X86_GET_MCE_CAP_SUPPORTED	_IOR(KVMIO, 0x9d, __u64) /* /dev/kvm */
#define KVM_X86_SET_MCE			_IOW(KVMIO, 0x9e, struct kvm_x86_mce)
#define KVM_GET_VCPU_EVENTS		_IOR(KVMIO, 0x9f, struct kvm_vcpu_events)
#define KVM_SET_VCPU_EVENTS		_IOW(KVMIO, 0xa0, struct kvm_vcpu_events)
#define KVM_GET_DEBUGREGS		_IOR(KVMIO, 0xa1, struct kvm_debugregs)
#define KVM_SET_DEBUGREGS		_IOW(KVMIO, 0xa2, struct kvm_debugregs)
#define KVM_ENABLE_CAP			_IOW(KVMIO, 0xa3, struct kvm_enable_cap)
#define KVM_GET_XSAVE			_IOR(KVMIO, 0xa4, struct kvm_xsave)
#define KVM_SET_XSAVE			_IOW(KVMIO, 0xa5, struct kvm_xsave)
#define KVM_GET_XCRS			_IOR(KVMIO, 0xa6, struct kvm_xcrs)
#define KVM_SET_XCRS			_IOW(KVMIO, 0xa7, struct kvm_xcrs)
#define KVM_KVMCLOCK_CTRL		_IO(KVMIO, 0xad)
#define KVM_SMI				_IO(KVMIO, 0xb7)
#define KVM_GET_SREGS2			_IOR(KVMIO, 0xcc, struct kvm_sregs2)
#define KVM_SET_SREGS2			_IOW(KVMIO, 0xcd, struct kvm_sregs2)
#define KVM_GET_XSAVE2			_IOR(KVMIO, 0xcf, struct kvm_xsave)

#endif /* UNIKVM_UAPI_KVM_H */
