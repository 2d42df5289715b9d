/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Registers of a local APIC, without timers, locks or vCPUs.
 *
 * Sources: Intel SDM vol. 3A chapter "Advanced Programmable Interrupt
 * Controller" (325462-079), APM vol. 2 chapter 16 (24593 rev. 3.40). The
 * register array has the layout of the xAPIC page, which is also that of
 * struct kvm_lapic_state.
 *
 * Who may touch what: everything belongs to the vCPU's own thread, except IRR,
 * TMR and esr_pending, which other threads change by atomic bit operations
 * only, and LDR, DFR, ID and SVR, which other threads read.
 */
#ifndef UNIKVM_LAPIC_LOGIC_H
#define UNIKVM_LAPIC_LOGIC_H

#include "../../shim.h"

#include <unikvm/kvm.h>

/* Offsets in the xAPIC page; an x2APIC MSR is 0x800 + offset / 16. */
enum lapic_reg {
	LAPIC_ID		= 0x020,
	LAPIC_VERSION		= 0x030,
	LAPIC_TPR		= 0x080,
	LAPIC_APR		= 0x090,
	LAPIC_PPR		= 0x0a0,
	LAPIC_EOI		= 0x0b0,
	LAPIC_LDR		= 0x0d0,
	LAPIC_DFR		= 0x0e0,
	LAPIC_SVR		= 0x0f0,
	LAPIC_ISR		= 0x100,
	LAPIC_TMR		= 0x180,
	LAPIC_IRR		= 0x200,
	LAPIC_ESR		= 0x280,
	LAPIC_ICR		= 0x300,
	LAPIC_ICR2		= 0x310,
	LAPIC_LVT_TIMER		= 0x320,
	LAPIC_LVT_THERMAL	= 0x330,
	LAPIC_LVT_PERF		= 0x340,
	LAPIC_LVT_LINT0		= 0x350,
	LAPIC_LVT_LINT1		= 0x360,
	LAPIC_LVT_ERROR		= 0x370,
	LAPIC_TMICT		= 0x380,
	LAPIC_TMCCT		= 0x390,
	LAPIC_TDCR		= 0x3e0,
	LAPIC_SELF_IPI		= 0x3f0,	/* x2APIC only */
};

#define LAPIC_PAGE_SIZE		0x1000	/* bytes claimed in memory space */
#define LAPIC_DEFAULT_BASE	0xfee00000ULL
#define X2APIC_MSR_BASE		0x800

/* MSR 1b, APM vol. 2 16.3.1 */
#define LAPIC_BASE_BSP		BIT_ULL(8)
#define LAPIC_BASE_X2APIC	BIT_ULL(10)
#define LAPIC_BASE_ENABLE	BIT_ULL(11)
#define LAPIC_BASE_ADDR_MASK	(~0xfffULL)

#define LAPIC_SVR_ENABLE	BIT(8)
#define LAPIC_LVT_MASKED	BIT(16)
#define LAPIC_LVT_MODE_MASK	(3UL << 17)	/* timer LVT */
#define LAPIC_TIMER_ONESHOT	(0UL << 17)
#define LAPIC_TIMER_PERIODIC	(1UL << 17)
#define LAPIC_TIMER_DEADLINE	(2UL << 17)
#define LAPIC_ICR_BUSY		BIT(12)

#define LAPIC_ESR_SEND_ILLEGAL	BIT(5)
#define LAPIC_ESR_RECV_ILLEGAL	BIT(6)
#define LAPIC_ESR_REGISTER	BIT(7)

/* Delivery modes: ICR, LVT, MSI data and IOAPIC entries share them. */
enum lapic_delivery_mode {
	LAPIC_MODE_FIXED,
	LAPIC_MODE_LOWEST,
	LAPIC_MODE_SMI,
	LAPIC_MODE_RESERVED,
	LAPIC_MODE_NMI,
	LAPIC_MODE_INIT,
	LAPIC_MODE_SIPI,
	LAPIC_MODE_EXTINT
};

enum lapic_shorthand {
	LAPIC_DEST_FIELD,
	LAPIC_DEST_SELF,
	LAPIC_DEST_ALL,
	LAPIC_DEST_OTHERS
};

#define XAPIC_BROADCAST		0xffU
#define X2APIC_BROADCAST	0xffffffffU

/* One interrupt message on its way to local APICs. */
struct apic_irq {
	u32 dest;
	u8 vector;
	u8 mode;		/* enum lapic_delivery_mode */
	u8 shorthand;		/* enum lapic_shorthand */
	bool logical;		/* destination mode */
	bool level_trig;
	bool assert;		/* meaningful for level_trig */
	bool lowest_hint;	/* MSI redirection hint */
	bool ipi;		/* sent by a local APIC, not by a device */
};

struct lapic_logic {
	/* word 2 * n of a 64-bit aligned array: atomic bit operations */
	u32 reg[KVM_APIC_REG_SIZE / 4] __attribute__((aligned(8)));
	u32 x2apic_id;
	unsigned long esr_pending;	/* latched into ESR by a write to it */
	bool hw_enabled;		/* MSR 1b bit 11 */
	bool x2apic;
	bool has_deadline;		/* the guest's CPUID offers the mode */
};

/* What the owner has to do after a register write. */
enum lapic_action {
	LAPIC_DO_EOI	= BIT(0),
	LAPIC_DO_IPI	= BIT(1),	/* send what ICR says */
	LAPIC_DO_SELF	= BIT(2),	/* self IPI; vector in SELF_IPI */
	LAPIC_DO_MAP	= BIT(3),	/* destination lookup changed */
	LAPIC_DO_TIMER	= BIT(4),	/* start from TMICT */
	LAPIC_DO_GO_ON	= BIT(5),	/* from TMCCT: new divider or mode */
	LAPIC_DO_DISARM	= BIT(6),	/* into or out of deadline mode */
	LAPIC_DO_EVENT	= BIT(7),	/* something may be deliverable now */
	LAPIC_DO_ERROR	= BIT(8),	/* raise the error LVT */
};

static inline u32 lapic_get(const struct lapic_logic *l, u32 reg)
{
	return READ_ONCE(l->reg[reg / 4]);
}

static inline void lapic_put(struct lapic_logic *l, u32 reg, u32 value)
{
	WRITE_ONCE(l->reg[reg / 4], value);
}

static inline bool lapic_sw_enabled(const struct lapic_logic *l)
{
	return lapic_get(l, LAPIC_SVR) & LAPIC_SVR_ENABLE;
}

static inline u32 lapic_timer_mode(const struct lapic_logic *l)
{
	return lapic_get(l, LAPIC_LVT_TIMER) & LAPIC_LVT_MODE_MASK;
}

/* @lint0_extint: the boot processor's virtual wire after RESET */
void lapic_logic_reset(struct lapic_logic *l, bool init, bool lint0_extint);
/* MSR 1b changed; returns actions. */
u32 lapic_logic_set_base(struct lapic_logic *l, u64 old, u64 base);

/* Register reads; the caller answers TMCCT and passes it in. */
u32 lapic_logic_read(const struct lapic_logic *l, u32 reg, u32 tmcct);
/* An xAPIC register write; returns actions. */
u32 lapic_logic_write(struct lapic_logic *l, u32 reg, u32 value);
/* x2APIC MSRs: 0, or 1 for #GP */
int lapic_logic_msr_read(const struct lapic_logic *l, u32 msr, u32 tmcct,
			 u64 *data);
int lapic_logic_msr_write(struct lapic_logic *l, u32 msr, u64 data,
			  u32 *actions);

/* Vector bitmaps: @base is LAPIC_ISR, LAPIC_TMR or LAPIC_IRR. */
void lapic_vector_set(struct lapic_logic *l, u32 base, u8 vector);
void lapic_vector_clear(struct lapic_logic *l, u32 base, u8 vector);
bool lapic_vector_test(const struct lapic_logic *l, u32 base, u8 vector);
int lapic_highest_vector(const struct lapic_logic *l, u32 base); /* or -1 */

u32 lapic_logic_ppr(const struct lapic_logic *l);
/* Highest pending vector above the processor priority, or -1. */
int lapic_logic_pending(const struct lapic_logic *l);
int lapic_logic_ack(struct lapic_logic *l);	/* IRR to ISR; vector or -1 */
/* Vector ended, or -1; *level: it was level-triggered. */
int lapic_logic_eoi(struct lapic_logic *l, bool *level);
void lapic_logic_error(struct lapic_logic *l, u32 esr_bits);

/* Destination matching, SDM vol. 3A "Determining IPI Destination" */
bool lapic_logic_match(const struct lapic_logic *l, const struct apic_irq *irq,
		       bool broadcast_quirk);
void lapic_icr_decode(const struct lapic_logic *l, struct apic_irq *irq);
void lapic_msi_decode(u64 address, u32 data, bool dest32, struct apic_irq *irq);

/* Timer arithmetic; the APIC bus runs at 1 GHz, one tick a nanosecond. */
unsigned int lapic_timer_shift(const struct lapic_logic *l);
u64 lapic_timer_period_ns(const struct lapic_logic *l);
u32 lapic_timer_count(const struct lapic_logic *l, u64 remaining_ns);
/* Guest TSC ticks to ns, saturating at about 34 years. */
u64 lapic_tsc_to_ns(u64 ticks, u32 tsc_khz);

/* KVM_GET_LAPIC, KVM_SET_LAPIC. @dest32: KVM_CAP_X2APIC_API's id format */
void lapic_state_get(const struct lapic_logic *l, u32 tmcct, bool dest32,
		     struct kvm_lapic_state *state);
int lapic_state_set(struct lapic_logic *l, bool dest32,
		    const struct kvm_lapic_state *state);

#endif
