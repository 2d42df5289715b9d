// SPDX-License-Identifier: GPL-2.0-only
/* Registers of a local APIC: reads, writes, priorities, destinations. */

#include "lapic_logic.h"

#ifdef __KERNEL__
/* Not in shim.h: there cmpxchg() would be a macro for every pure file. */
#include <linux/atomic.h>
#endif

#define LAPIC_VERSION_VALUE	0x00050014	/* six LVT entries, xAPIC */
#define LAPIC_DFR_ONES		0x0fffffff
#define LAPIC_SVR_MASK		0x3ff
#define LAPIC_TDCR_MASK		0xb

static const u16 lvt_regs[] = {
	LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL, LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0, LAPIC_LVT_LINT1, LAPIC_LVT_ERROR
};

/* ---- vector bitmaps ---- */

#ifdef __KERNEL__

static void word_set(u32 *word, unsigned int bit)
{
	set_bit(bit, (unsigned long *)word);
}

static void word_clear(u32 *word, unsigned int bit)
{
	clear_bit(bit, (unsigned long *)word);
}

static unsigned int highest_bit(u32 word)
{
	return __fls(word);
}

static u32 take_pending_errors(struct lapic_logic *l)
{
	return xchg(&l->esr_pending, 0);
}

static void add_pending_error(struct lapic_logic *l, unsigned int bit)
{
	set_bit(bit, &l->esr_pending);
}

#else

static void word_set(u32 *word, unsigned int bit)
{
	__atomic_fetch_or(word, 1U << bit, __ATOMIC_SEQ_CST);
}

static void word_clear(u32 *word, unsigned int bit)
{
	__atomic_fetch_and(word, ~(1U << bit), __ATOMIC_SEQ_CST);
}

static unsigned int highest_bit(u32 word)
{
	return 31 - __builtin_clz(word);
}

static u32 take_pending_errors(struct lapic_logic *l)
{
	return __atomic_exchange_n(&l->esr_pending, 0, __ATOMIC_SEQ_CST);
}

static void add_pending_error(struct lapic_logic *l, unsigned int bit)
{
	__atomic_fetch_or(&l->esr_pending, 1UL << bit, __ATOMIC_SEQ_CST);
}

#endif

/* 32 vectors a register, registers 16 bytes apart */
static u32 *vector_word(struct lapic_logic *l, u32 base, u8 vector)
{
	return &l->reg[(base + (vector / 32) * 0x10) / 4];
}

void lapic_vector_set(struct lapic_logic *l, u32 base, u8 vector)
{
	word_set(vector_word(l, base, vector), vector % 32);
}

void lapic_vector_clear(struct lapic_logic *l, u32 base, u8 vector)
{
	word_clear(vector_word(l, base, vector), vector % 32);
}

bool lapic_vector_test(const struct lapic_logic *l, u32 base, u8 vector)
{
	return lapic_get(l, base + (vector / 32) * 0x10) >> (vector % 32) & 1;
}

int lapic_highest_vector(const struct lapic_logic *l, u32 base)
{
	int i;

	for (i = 7; i >= 0; i--) {
		u32 word = lapic_get(l, base + i * 0x10);

		if (word)
			return i * 32 + highest_bit(word);
	}
	return -1;
}

/* ---- priorities ---- */

/* SDM vol. 3A "Task and Processor Priorities" */
u32 lapic_logic_ppr(const struct lapic_logic *l)
{
	u32 tpr = lapic_get(l, LAPIC_TPR);
	int isr = lapic_highest_vector(l, LAPIC_ISR);
	u32 class = isr < 0 ? 0 : isr & 0xf0;

	return (tpr & 0xf0) >= class ? tpr : class;
}

int lapic_logic_pending(const struct lapic_logic *l)
{
	int irr = lapic_highest_vector(l, LAPIC_IRR);

	if (irr < 0 || (irr & 0xf0) <= (lapic_logic_ppr(l) & 0xf0))
		return -1;
	return irr;
}

int lapic_logic_ack(struct lapic_logic *l)
{
	int vector = lapic_logic_pending(l);

	if (vector >= 0) {
		lapic_vector_clear(l, LAPIC_IRR, vector);
		lapic_vector_set(l, LAPIC_ISR, vector);
	}
	return vector;
}

int lapic_logic_eoi(struct lapic_logic *l, bool *level)
{
	int vector = lapic_highest_vector(l, LAPIC_ISR);

	*level = false;
	if (vector < 0)
		return -1;
	/* First: once it is out of service, the next one may write its TMR. */
	*level = lapic_vector_test(l, LAPIC_TMR, vector);
	lapic_vector_clear(l, LAPIC_ISR, vector);
	return vector;
}

void lapic_logic_error(struct lapic_logic *l, u32 esr_bits)
{
	add_pending_error(l, highest_bit(esr_bits));
}

/* ---- reset and mode changes ---- */

/* Bits 31:16 the cluster, one of bits 15:0 the place in it */
static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1U << (id & 0xf);
}

static void set_fixed_registers(struct lapic_logic *l)
{
	lapic_put(l, LAPIC_VERSION, LAPIC_VERSION_VALUE);
	if (l->x2apic) {
		lapic_put(l, LAPIC_ID, l->x2apic_id);
		lapic_put(l, LAPIC_LDR, x2apic_ldr(l->x2apic_id));
	}
}

static void mask_lvts(struct lapic_logic *l)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lvt_regs); i++)
		lapic_put(l, lvt_regs[i],
			  lapic_get(l, lvt_regs[i]) | LAPIC_LVT_MASKED);
}

/* SDM vol. 3A "Local APIC State After Power-Up or Reset", "... INIT Reset" */
void lapic_logic_reset(struct lapic_logic *l, bool init, bool lint0_extint)
{
	u32 id = init ? lapic_get(l, LAPIC_ID) : l->x2apic_id << 24;
	unsigned int i;

	/* Word by word: other threads may be reading. */
	for (i = 0; i < ARRAY_SIZE(l->reg); i++)
		WRITE_ONCE(l->reg[i], 0);
	take_pending_errors(l);
	lapic_put(l, LAPIC_ID, id);
	lapic_put(l, LAPIC_DFR, 0xffffffff);
	lapic_put(l, LAPIC_SVR, 0xff);
	mask_lvts(l);
	if (lint0_extint)
		lapic_put(l, LAPIC_LVT_LINT0, LAPIC_MODE_EXTINT << 8);
	set_fixed_registers(l);
}

u32 lapic_logic_set_base(struct lapic_logic *l, u64 old, u64 base)
{
	u64 changed = old ^ base;

	l->hw_enabled = base & LAPIC_BASE_ENABLE;
	l->x2apic = l->hw_enabled && base & LAPIC_BASE_X2APIC;
	if (!(changed & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)))
		return 0;
	if (l->hw_enabled && changed & LAPIC_BASE_ENABLE) {
		lapic_put(l, LAPIC_ID, l->x2apic_id << 24);
		lapic_put(l, LAPIC_LDR, 0);
	}
	set_fixed_registers(l);
	return LAPIC_DO_MAP | LAPIC_DO_EVENT |
	       (l->hw_enabled ? 0 : LAPIC_DO_DISARM);
}

/* ---- register access ---- */

static u32 lvt_mask(const struct lapic_logic *l, u32 reg)
{
	u32 mode = l->has_deadline ? LAPIC_LVT_MODE_MASK : LAPIC_TIMER_PERIODIC;

	switch (reg) {
	case LAPIC_LVT_TIMER:
		return LAPIC_LVT_MASKED | mode | 0xff;
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
		return LAPIC_LVT_MASKED | 0x7ff;
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
		return LAPIC_LVT_MASKED | BIT(15) | BIT(13) | 0x7ff;
	default:
		return LAPIC_LVT_MASKED | 0xff;
	}
}

static u32 lvt_sanitize(const struct lapic_logic *l, u32 reg, u32 value)
{
	value &= lvt_mask(l, reg);
	if (reg == LAPIC_LVT_TIMER && (value & LAPIC_LVT_MODE_MASK) ==
				      LAPIC_LVT_MODE_MASK)
		value &= ~LAPIC_LVT_MODE_MASK;	/* reserved: as one-shot */
	return value;
}

u32 lapic_logic_read(const struct lapic_logic *l, u32 reg, u32 tmcct)
{
	switch (reg) {
	case LAPIC_PPR:
		return lapic_logic_ppr(l);
	case LAPIC_TMCCT:
		return tmcct;
	case LAPIC_EOI:
	case LAPIC_SELF_IPI:
		return 0;	/* write only */
	default:
		if (reg >= KVM_APIC_REG_SIZE)
			return 0;
		return lapic_get(l, array_index_nospec(reg, KVM_APIC_REG_SIZE));
	}
}

static u32 write_lvt(struct lapic_logic *l, u32 reg, u32 value)
{
	u32 old = lapic_get(l, reg);

	value = lvt_sanitize(l, reg, value);
	if (!lapic_sw_enabled(l))
		value |= LAPIC_LVT_MASKED;
	lapic_put(l, reg, value);
	if (reg != LAPIC_LVT_TIMER || !((old ^ value) & LAPIC_LVT_MODE_MASK))
		return LAPIC_DO_EVENT;
	/* SDM vol. 3A "TSC-Deadline Mode"; the other two share one count. */
	return (old ^ value) & LAPIC_TIMER_DEADLINE ? LAPIC_DO_DISARM :
						      LAPIC_DO_GO_ON;
}

static u32 write_svr(struct lapic_logic *l, u32 value)
{
	lapic_put(l, LAPIC_SVR, value & LAPIC_SVR_MASK);
	if (!lapic_sw_enabled(l))
		mask_lvts(l);
	return LAPIC_DO_EVENT;
}

static u32 write_icr(struct lapic_logic *l, u32 value)
{
	u32 mode = value >> 8 & 7;

	/* Delivery is complete before the guest can look: never busy. */
	lapic_put(l, LAPIC_ICR, value & ~LAPIC_ICR_BUSY);
	if (mode > LAPIC_MODE_LOWEST || (value & 0xff) >= 16)
		return LAPIC_DO_IPI;
	lapic_logic_error(l, LAPIC_ESR_SEND_ILLEGAL);
	return LAPIC_DO_ERROR;
}

static u32 write_if_changed(struct lapic_logic *l, u32 reg, u32 value)
{
	if (lapic_get(l, reg) == value)
		return 0;
	lapic_put(l, reg, value);
	return LAPIC_DO_MAP;
}

static u32 write_tmict(struct lapic_logic *l, u32 value)
{
	/* SDM vol. 3A "TSC-Deadline Mode": writes are ignored there. */
	if (lapic_timer_mode(l) == LAPIC_TIMER_DEADLINE)
		return 0;
	lapic_put(l, LAPIC_TMICT, value);
	return LAPIC_DO_TIMER;
}

static bool is_lvt(u32 reg)
{
	return reg >= LAPIC_LVT_TIMER && reg <= LAPIC_LVT_ERROR;
}

static bool is_read_only(u32 reg)
{
	return reg == LAPIC_VERSION || reg == LAPIC_APR || reg == LAPIC_PPR ||
	       reg == LAPIC_TMCCT || (reg >= LAPIC_ISR && reg < LAPIC_ESR);
}

/* Registers that both modes write the same way. */
static u32 write_common(struct lapic_logic *l, u32 reg, u32 value)
{
	if (is_lvt(reg))
		return write_lvt(l, reg, value);
	switch (reg) {
	case LAPIC_TPR:
		lapic_put(l, reg, value & 0xff);
		return LAPIC_DO_EVENT;
	case LAPIC_EOI:
		return LAPIC_DO_EOI;
	case LAPIC_SVR:
		return write_svr(l, value);
	case LAPIC_ESR:
		lapic_put(l, reg, take_pending_errors(l));
		return 0;
	case LAPIC_ICR:
		return write_icr(l, value);
	case LAPIC_TMICT:
		return write_tmict(l, value);
	case LAPIC_TDCR:
		lapic_put(l, reg, value & LAPIC_TDCR_MASK);
		return LAPIC_DO_GO_ON;
	}
	if (is_read_only(reg))
		return 0;
	lapic_logic_error(l, LAPIC_ESR_REGISTER);
	return LAPIC_DO_ERROR;
}

u32 lapic_logic_write(struct lapic_logic *l, u32 reg, u32 value)
{
	switch (reg) {
	case LAPIC_ID:
		return write_if_changed(l, reg, value & 0xff000000);
	case LAPIC_LDR:
		return write_if_changed(l, reg, value & 0xff000000);
	case LAPIC_DFR:
		return write_if_changed(l, reg, value | LAPIC_DFR_ONES);
	case LAPIC_ICR2:
		lapic_put(l, reg, value & 0xff000000);
		return 0;
	case LAPIC_SELF_IPI:		/* reserved in xAPIC mode */
		lapic_logic_error(l, LAPIC_ESR_REGISTER);
		return LAPIC_DO_ERROR;
	default:
		return write_common(l, reg, value);
	}
}

/* ---- x2APIC, SDM vol. 3A table "Local APIC Register Address Map" ---- */

static bool x2apic_readable(u32 reg)
{
	switch (reg) {
	case LAPIC_ID:
	case LAPIC_VERSION:
	case LAPIC_TPR:
	case LAPIC_PPR:
	case LAPIC_LDR:
	case LAPIC_SVR:
	case LAPIC_ESR:
	case LAPIC_ICR:
	case LAPIC_TMICT:
	case LAPIC_TMCCT:
	case LAPIC_TDCR:
		return true;
	default:
		return is_lvt(reg) || (reg >= LAPIC_ISR && reg < LAPIC_ESR);
	}
}

static bool x2apic_writable(u32 reg)
{
	switch (reg) {
	case LAPIC_TPR:
	case LAPIC_EOI:
	case LAPIC_SVR:
	case LAPIC_ESR:
	case LAPIC_ICR:
	case LAPIC_TMICT:
	case LAPIC_TDCR:
	case LAPIC_SELF_IPI:
		return true;
	default:
		return is_lvt(reg);
	}
}

int lapic_logic_msr_read(const struct lapic_logic *l, u32 msr, u32 tmcct,
			 u64 *data)
{
	u32 reg = (msr - X2APIC_MSR_BASE) << 4;

	if (msr < X2APIC_MSR_BASE || !l->x2apic || !x2apic_readable(reg))
		return 1;
	*data = lapic_logic_read(l, reg, tmcct);
	if (reg == LAPIC_ICR)
		*data |= (u64)lapic_get(l, LAPIC_ICR2) << 32;
	return 0;
}

static u32 write_self_ipi(struct lapic_logic *l, u32 value)
{
	if ((value & 0xff) < 16) {
		lapic_logic_error(l, LAPIC_ESR_SEND_ILLEGAL);
		return LAPIC_DO_ERROR;
	}
	lapic_put(l, LAPIC_SELF_IPI, value & 0xff);
	return LAPIC_DO_SELF;
}

int lapic_logic_msr_write(struct lapic_logic *l, u32 msr, u64 data,
			  u32 *actions)
{
	u32 reg = (msr - X2APIC_MSR_BASE) << 4;

	*actions = 0;
	if (msr < X2APIC_MSR_BASE || !l->x2apic || !x2apic_writable(reg))
		return 1;
	if (reg == LAPIC_ICR) {
		lapic_put(l, LAPIC_ICR2, data >> 32);
		*actions = write_icr(l, data);
		return 0;
	}
	if (data >> (reg == LAPIC_SELF_IPI ? 8 : 32) ||
	    (data && (reg == LAPIC_EOI || reg == LAPIC_ESR)))
		return 1;
	*actions = reg == LAPIC_SELF_IPI ? write_self_ipi(l, data) :
					   write_common(l, reg, data);
	return 0;
}

/* ---- destinations ---- */

static bool is_broadcast(const struct lapic_logic *l, u32 dest, bool quirk)
{
	if (dest == X2APIC_BROADCAST)
		return true;
	return dest == XAPIC_BROADCAST && (!l->x2apic || quirk);
}

static bool match_physical(const struct lapic_logic *l, u32 dest)
{
	/*
	 * An ID that eight bits cannot hold names its vCPU in either mode:
	 * that is how one hot-plugged behind number 255 is started.
	 */
	if (l->x2apic || dest > XAPIC_BROADCAST)
		return dest == l->x2apic_id;
	return dest == lapic_get(l, LAPIC_ID) >> 24;
}

static bool match_logical(const struct lapic_logic *l, u32 dest)
{
	u32 ldr = lapic_get(l, LAPIC_LDR);

	if (l->x2apic)
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	ldr >>= 24;
	switch (lapic_get(l, LAPIC_DFR) >> 28) {
	case 0xf:	/* flat */
		return ldr & dest & 0xff;
	case 0x0:	/* cluster */
		return ldr >> 4 == (dest >> 4 & 0xf) && (ldr & dest & 0xf);
	default:
		return false;
	}
}

bool lapic_logic_match(const struct lapic_logic *l, const struct apic_irq *irq,
		       bool broadcast_quirk)
{
	if (is_broadcast(l, irq->dest, broadcast_quirk && !irq->ipi))
		return true;
	return irq->logical ? match_logical(l, irq->dest) :
			      match_physical(l, irq->dest);
}

void lapic_icr_decode(const struct lapic_logic *l, struct apic_irq *irq)
{
	u32 icr = lapic_get(l, LAPIC_ICR), icr2 = lapic_get(l, LAPIC_ICR2);

	*irq = (struct apic_irq) {
		.dest = l->x2apic ? icr2 : icr2 >> 24,
		.vector = icr & 0xff,
		.mode = icr >> 8 & 7,
		.logical = icr & BIT(11),
		.assert = icr & BIT(14),
		.level_trig = icr & BIT(15),
		.shorthand = icr >> 18 & 3,
		.ipi = true,
	};
}

/* SDM vol. 3A "Message Signalled Interrupts"; dest32: KVM_CAP_X2APIC_API */
void lapic_msi_decode(u64 address, u32 data, bool dest32, struct apic_irq *irq)
{
	*irq = (struct apic_irq) {
		.dest = address >> 12 & 0xff,
		.vector = data & 0xff,
		.mode = data >> 8 & 7,
		.logical = address & BIT(2),
		.lowest_hint = address & BIT(3),
		.assert = true,
		.level_trig = data & BIT(15),
		.shorthand = LAPIC_DEST_FIELD,
	};
	if (dest32)
		irq->dest |= (address >> 32) & 0xffffff00;
}

/* ---- timer ---- */

/* SDM vol. 3A "Divide Configuration Register": 111b is 1, 000b is 2, ... */
unsigned int lapic_timer_shift(const struct lapic_logic *l)
{
	u32 tdcr = lapic_get(l, LAPIC_TDCR);

	return (((tdcr & 3) | (tdcr & 8) >> 1) + 1) & 7;
}

u64 lapic_timer_period_ns(const struct lapic_logic *l)
{
	return (u64)lapic_get(l, LAPIC_TMICT) << lapic_timer_shift(l);
}

u32 lapic_timer_count(const struct lapic_logic *l, u64 remaining_ns)
{
	u64 count = remaining_ns >> lapic_timer_shift(l);

	return min_t(u64, count, U32_MAX);
}

u64 lapic_tsc_to_ns(u64 ticks, u32 tsc_khz)
{
	const u64 limit_ms = 1ULL << 40;

	/* Bounded first: the kernel's 128-bit division traps on overflow. */
	if (!tsc_khz || ticks / tsc_khz >= limit_ms)
		return limit_ms * 1000000;
	return mul_u64_u32_div(ticks, 1000000, tsc_khz);
}

/* ---- state ---- */

static void state_put(struct kvm_lapic_state *state, u32 reg, u32 value)
{
	memcpy(state->regs + reg, &value, sizeof(value));
}

static u32 state_word(const struct kvm_lapic_state *state, u32 reg)
{
	u32 value;

	memcpy(&value, state->regs + reg, sizeof(value));
	return value;
}

void lapic_state_get(const struct lapic_logic *l, u32 tmcct, bool dest32,
		     struct kvm_lapic_state *state)
{
	u32 reg;

	for (reg = 0; reg < KVM_APIC_REG_SIZE; reg += 4)
		state_put(state, reg, lapic_get(l, reg));
	state_put(state, LAPIC_PPR, lapic_logic_ppr(l));
	state_put(state, LAPIC_TMCCT, tmcct);
	if (l->x2apic && !dest32)
		state_put(state, LAPIC_ID, l->x2apic_id << 24);
}

/*
 * Values that no register can hold must not get in this way. But an LVT may
 * be open while the APIC is disabled by software, as it is after RESET: VMMs
 * wire LINT0 to the PIC like that before the guest runs.
 */
static void state_sanitize(struct lapic_logic *l)
{
	unsigned int i;

	lapic_put(l, LAPIC_SVR, lapic_get(l, LAPIC_SVR) & LAPIC_SVR_MASK);
	for (i = 0; i < ARRAY_SIZE(lvt_regs); i++)
		lapic_put(l, lvt_regs[i],
			  lvt_sanitize(l, lvt_regs[i],
				       lapic_get(l, lvt_regs[i])));
	lapic_put(l, LAPIC_TPR, lapic_get(l, LAPIC_TPR) & 0xff);
	lapic_put(l, LAPIC_TDCR, lapic_get(l, LAPIC_TDCR) & LAPIC_TDCR_MASK);
	lapic_put(l, LAPIC_ICR, lapic_get(l, LAPIC_ICR) & ~LAPIC_ICR_BUSY);
	/*
	 * Vectors 0 to 15 are reserved. In the IRR they are below every
	 * priority and harmless, and KVM's users may read them back.
	 */
	lapic_put(l, LAPIC_ISR, lapic_get(l, LAPIC_ISR) & 0xffff0000);
	lapic_put(l, LAPIC_TMR, lapic_get(l, LAPIC_TMR) & 0xffff0000);
	if (l->x2apic)
		return;
	lapic_put(l, LAPIC_ID, lapic_get(l, LAPIC_ID) & 0xff000000);
	lapic_put(l, LAPIC_LDR, lapic_get(l, LAPIC_LDR) & 0xff000000);
	lapic_put(l, LAPIC_DFR, lapic_get(l, LAPIC_DFR) | LAPIC_DFR_ONES);
	lapic_put(l, LAPIC_ICR2, lapic_get(l, LAPIC_ICR2) & 0xff000000);
}

int lapic_state_set(struct lapic_logic *l, bool dest32,
		    const struct kvm_lapic_state *state)
{
	u32 reg;

	if (l->x2apic && dest32 && state_word(state, LAPIC_ID) != l->x2apic_id)
		return -EINVAL;
	for (reg = 0; reg < KVM_APIC_REG_SIZE; reg += 4)
		lapic_put(l, reg, state_word(state, reg));
	state_sanitize(l);
	set_fixed_registers(l);
	return 0;
}
