// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's local APIC: register access, delivery, EOI, INIT and SIPI. */

#include <linux/export.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../trace.h"
#include "ioapic.h"
#include "lapic.h"

static bool has_deadline_mode(struct x86_vcpu *v)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(v, 1, 0);

	return e && e->ecx & BIT(24);
}

static void look_again(struct x86_vcpu *v)
{
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
}

/* What it answers to changed: who finds it, and whose EOIs it reports. */
static void destination_changed(struct x86_vcpu *v)
{
	apic_map_rebuild(to_x86_vm(v->vcpu.kvm));
	kvm_make_request(X86_REQ_LOAD_EOI_BITMAP, &v->vcpu);
}

/* ---- delivery, from any thread ---- */

static void raise_error_vector(struct lapic *apic)
{
	u32 lvt = lapic_get(&apic->logic, LAPIC_LVT_ERROR);
	u8 vector = lvt & 0xff;

	/* Straight into IRR: a bad error vector must not raise another. */
	if (lvt & LAPIC_LVT_MASKED || vector < 16)
		return;
	lapic_vector_clear(&apic->logic, LAPIC_TMR, vector);
	lapic_vector_set(&apic->logic, LAPIC_IRR, vector);
}

static bool accept_vector(struct lapic *apic, const struct apic_irq *irq)
{
	struct lapic_logic *l = &apic->logic;

	if (irq->level_trig && !irq->assert)
		return false;
	if (!l->hw_enabled || !lapic_sw_enabled(l))
		return false;
	if (irq->vector < 16) {
		lapic_logic_error(l, LAPIC_ESR_RECV_ILLEGAL);
		raise_error_vector(apic);
		return false;
	}
	/* TMR first: the EOI of this very interrupt reads it. */
	if (irq->level_trig)
		lapic_vector_set(l, LAPIC_TMR, irq->vector);
	else
		lapic_vector_clear(l, LAPIC_TMR, irq->vector);
	lapic_vector_set(l, LAPIC_IRR, irq->vector);
	return true;
}

static bool accept_init(struct lapic *apic, const struct apic_irq *irq)
{
	if (irq->level_trig && !irq->assert)	/* INIT level de-assert */
		return false;
	/* A SIPI from before this INIT is void. */
	clear_bit(LAPIC_EVENT_SIPI, &apic->events);
	set_bit(LAPIC_EVENT_INIT, &apic->events);
	return true;
}

static bool accept_sipi(struct lapic *apic, const struct apic_irq *irq)
{
	WRITE_ONCE(apic->sipi_vector, irq->vector);
	/* Pairs with the barrier in x86_lapic_accept_events(). */
	smp_wmb();
	set_bit(LAPIC_EVENT_SIPI, &apic->events);
	return true;
}

bool lapic_accept(struct x86_vcpu *v, const struct apic_irq *irq)
{
	struct lapic *apic = v->lapic;
	bool taken;

	trace_kvm_apic_accept_irq(v->vcpu.vcpu_id, irq->mode, irq->level_trig,
				  irq->vector);
	switch (irq->mode) {
	case LAPIC_MODE_FIXED:
	case LAPIC_MODE_LOWEST:
		taken = accept_vector(apic, irq);
		break;
	case LAPIC_MODE_NMI:
		x86_inject_nmi(v);
		return true;
	case LAPIC_MODE_INIT:
		taken = accept_init(apic, irq);
		break;
	case LAPIC_MODE_SIPI:
		taken = accept_sipi(apic, irq);
		break;
	default:	/* no SMM; ExtINT is a wire, see x86_lapic_accepts_pic() */
		return false;
	}
	if (!taken)
		return false;
	look_again(v);
	kvm_vcpu_kick(&v->vcpu);
	return true;
}

/* ---- what writes ask for, in the vCPU's thread ---- */

void lapic_end_of_interrupt(struct lapic *apic)
{
	struct x86_vcpu *v = apic->v;
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	bool level;
	int vector = lapic_logic_eoi(&apic->logic, &level);

	look_again(v);
	trace_kvm_eoi(v->vcpu.vcpu_id, vector);
	if (vector < 0)
		return;
	if (vm->irqchip == X86_IRQCHIP_KERNEL) {
		x86_ioapic_eoi(vm, vector, level);
	} else if (v->eoi_exit_bitmap[vector / 64] >> (vector % 64) & 1) {
		v->pending_ioapic_eoi = vector;
		kvm_make_request(X86_REQ_IOAPIC_EOI_EXIT, &v->vcpu);
	}
}

static void send_ipi(struct lapic *apic)
{
	struct apic_irq irq;

	lapic_icr_decode(&apic->logic, &irq);
	trace_kvm_apic_ipi(lapic_get(&apic->logic, LAPIC_ICR), irq.dest);
	x86_apic_deliver(to_x86_vm(apic->v->vcpu.kvm), apic->v, &irq);
}

static void send_self_ipi(struct lapic *apic)
{
	struct apic_irq irq = {
		.vector = lapic_get(&apic->logic, LAPIC_SELF_IPI),
		.mode = LAPIC_MODE_FIXED,
	};

	lapic_accept(apic->v, &irq);
}

/* TDCR or the mode changed: what is left goes on at the new rate. */
static void timer_go_on(struct lapic *apic)
{
	u32 count = lapic_get(&apic->logic, LAPIC_TMCCT);

	lapic_put(&apic->logic, LAPIC_TMCCT, 0);
	if (count)
		lapic_timer_start(apic, count);
	else if (lapic_timer_mode(&apic->logic) == LAPIC_TIMER_ONESHOT)
		WRITE_ONCE(apic->period_ns, 0);	/* it ends just now */
}

/* Before a write that timer_go_on() may follow. */
static void note_count(struct lapic *apic, u32 reg)
{
	if (reg == LAPIC_TDCR || reg == LAPIC_LVT_TIMER)
		lapic_put(&apic->logic, LAPIC_TMCCT, lapic_timer_read(apic));
	if (reg == LAPIC_LVT_TIMER)
		apic->logic.has_deadline = has_deadline_mode(apic->v);
}

static void do_actions(struct lapic *apic, u32 actions)
{
	if (actions & LAPIC_DO_EOI)
		lapic_end_of_interrupt(apic);
	if (actions & LAPIC_DO_IPI)
		send_ipi(apic);
	if (actions & LAPIC_DO_SELF)
		send_self_ipi(apic);
	if (actions & LAPIC_DO_DISARM)
		lapic_timer_disarm(apic);
	if (actions & LAPIC_DO_TIMER)
		lapic_timer_start(apic, lapic_get(&apic->logic, LAPIC_TMICT));
	if (actions & LAPIC_DO_GO_ON)
		timer_go_on(apic);
	if (actions & LAPIC_DO_MAP)
		destination_changed(apic->v);
	if (actions & LAPIC_DO_ERROR)
		raise_error_vector(apic);
	if (actions & (LAPIC_DO_EVENT | LAPIC_DO_ERROR))
		look_again(apic->v);
}

static void write_reg(struct lapic *apic, u32 reg, u32 value)
{
	trace_kvm_apic(true, reg, value);
	note_count(apic, reg);
	do_actions(apic, lapic_logic_write(&apic->logic, reg, value));
}

static u32 current_count(struct lapic *apic, u32 reg)
{
	return reg == LAPIC_TMCCT ? lapic_timer_read(apic) : 0;
}

/* ---- memory window ---- */

/* True if the access is in the page; *mapped: the registers are there. */
static bool in_window(struct lapic *apic, gpa_t addr, bool *mapped)
{
	struct x86_vm *vm = to_x86_vm(apic->v->vcpu.kvm);

	if (addr - (apic->base & LAPIC_BASE_ADDR_MASK) >= LAPIC_PAGE_SIZE)
		return false;
	*mapped = apic->logic.hw_enabled && !apic->logic.x2apic;
	/* With the quirk a disabled APIC leaves a hole, not user's MMIO. */
	return *mapped || !(vm->disabled_quirks & KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
}

static int lapic_mmio_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			   gpa_t addr, int len, void *val)
{
	struct lapic *apic = to_x86(vcpu)->lapic;
	u32 offset = addr & (LAPIC_PAGE_SIZE - 1), word;
	bool mapped;

	if (!apic || !in_window(apic, addr, &mapped))
		return -EOPNOTSUPP;
	if (!mapped) {
		memset(val, 0xff, len);
		return 0;
	}
	memset(val, 0, len);
	if ((offset & 0xf) + len > sizeof(word))
		return 0;	/* registers are the first word of 16 bytes */
	word = lapic_logic_read(&apic->logic, offset & ~0xf,
				current_count(apic, offset & ~0xf));
	trace_kvm_apic(false, offset & ~0xf, word);
	memcpy(val, (u8 *)&word + (offset & 0xf), len);
	return 0;
}

static int lapic_mmio_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			    gpa_t addr, int len, const void *val)
{
	struct lapic *apic = to_x86(vcpu)->lapic;
	u32 offset = addr & (LAPIC_PAGE_SIZE - 1), word;
	bool mapped;

	if (!apic || !in_window(apic, addr, &mapped))
		return -EOPNOTSUPP;
	if (!mapped || len != sizeof(word) || offset & 0xf)
		return 0;	/* undefined on hardware: ignored */
	memcpy(&word, val, sizeof(word));
	write_reg(apic, offset, word);
	return 0;
}

const struct kvm_io_device_ops lapic_mmio_ops = {
	.read = lapic_mmio_read,
	.write = lapic_mmio_write,
};

/* ---- MSRs ---- */

int x86_lapic_msr_read(struct x86_vcpu *v, u32 index, u64 *data)
{
	struct lapic *apic = v->lapic;
	u32 reg = (index - X2APIC_MSR_BASE) << 4;

	if (!apic)
		return 1;
	if (lapic_logic_msr_read(&apic->logic, index, current_count(apic, reg),
				 data))
		return 1;
	trace_kvm_apic(false, reg, *data);
	return 0;
}

int x86_lapic_msr_write(struct x86_vcpu *v, u32 index, u64 data)
{
	struct lapic *apic = v->lapic;
	u32 actions, reg = (index - X2APIC_MSR_BASE) << 4;

	if (!apic)
		return 1;
	note_count(apic, reg);
	if (lapic_logic_msr_write(&apic->logic, index, data, &actions))
		return 1;
	trace_kvm_apic(true, reg, data);
	do_actions(apic, actions);
	return 0;
}

void x86_lapic_set_base(struct x86_vcpu *v, u64 value)
{
	struct lapic *apic = v->lapic;
	u64 old;

	v->apic_base = value;
	if (!apic)
		return;
	old = apic->base;
	apic->base = value;
	do_actions(apic, lapic_logic_set_base(&apic->logic, old, value));
}

/* ---- priority and acknowledge ---- */

void x86_lapic_set_tpr(struct x86_vcpu *v, u8 tpr)
{
	struct lapic *apic = v->lapic;

	/*
	 * CR8 is the class only, and comes here after every exit: leave the
	 * sub-class alone unless the class changed.
	 */
	if (apic && tpr >> 4 != lapic_get(&apic->logic, LAPIC_TPR) >> 4)
		do_actions(apic, lapic_logic_write(&apic->logic, LAPIC_TPR,
						   tpr));
}
EXPORT_SYMBOL_GPL(x86_lapic_set_tpr);

u8 x86_lapic_get_tpr(struct x86_vcpu *v)
{
	return v->lapic ? lapic_get(&v->lapic->logic, LAPIC_TPR) : 0;
}

int x86_lapic_pending_irq(struct x86_vcpu *v)
{
	if (!v->lapic || !v->lapic->logic.hw_enabled)
		return -1;
	return lapic_logic_pending(&v->lapic->logic);
}

int x86_lapic_highest_irr(struct x86_vcpu *v)
{
	if (!v->lapic || !v->lapic->logic.hw_enabled)
		return -1;
	return lapic_highest_vector(&v->lapic->logic, LAPIC_IRR);
}

int x86_lapic_ack_irq(struct x86_vcpu *v)
{
	if (!v->lapic || !v->lapic->logic.hw_enabled)
		return -1;
	return lapic_logic_ack(&v->lapic->logic);
}

bool x86_lapic_accepts_pic(struct x86_vcpu *v)
{
	u32 lvt;

	if (!v->lapic)
		return true;
	/* Without its APIC a processor has plain INTR and NMI pins. */
	if (!v->lapic->logic.hw_enabled)
		return x86_vcpu_is_bsp(v);
	lvt = lapic_get(&v->lapic->logic, LAPIC_LVT_LINT0);
	if (!(lvt & LAPIC_LVT_MASKED) && (lvt >> 8 & 7) == LAPIC_MODE_EXTINT)
		return true;
	return ioapic_extint_to(to_x86_vm(v->vcpu.kvm), &v->lapic->logic);
}

/* ---- INIT and SIPI ---- */

bool x86_lapic_has_events(struct x86_vcpu *v)
{
	unsigned long events;

	if (!v->lapic)
		return false;
	events = READ_ONCE(v->lapic->events);
	return events & BIT(LAPIC_EVENT_INIT) ||
	       (events & BIT(LAPIC_EVENT_SIPI) &&
		v->mp_state == KVM_MP_STATE_INIT_RECEIVED);
}

u32 x86_lapic_get_latched_init(struct x86_vcpu *v)
{
	return v->lapic && test_bit(LAPIC_EVENT_INIT, &v->lapic->events);
}

void x86_lapic_set_latched_init(struct x86_vcpu *v, bool latched)
{
	if (!v->lapic)
		return;
	if (latched)
		set_bit(LAPIC_EVENT_INIT, &v->lapic->events);
	else
		clear_bit(LAPIC_EVENT_INIT, &v->lapic->events);
}

/* Real mode at vector << 12: SDM vol. 3A "Typical AP Initialization Sequence" */
static void start_at_sipi_vector(struct x86_vcpu *v, u8 vector)
{
	struct kvm_segment cs;

	x86_ops->get_segment(v, SEG_CS, &cs);
	cs.selector = vector << 8;
	cs.base = vector << 12;
	x86_ops->set_segment(v, SEG_CS, &cs);
	v->rip = 0;
	v->sipi_vector = vector;
	v->mp_state = KVM_MP_STATE_RUNNABLE;
}

int x86_lapic_accept_events(struct x86_vcpu *v)
{
	struct lapic *apic = v->lapic;

	if (!apic || !READ_ONCE(apic->events))
		return 0;
	if (test_and_clear_bit(LAPIC_EVENT_INIT, &apic->events)) {
		x86_vcpu_reset(v, true);
		v->mp_state = x86_vcpu_is_bsp(v) ? KVM_MP_STATE_RUNNABLE :
						   KVM_MP_STATE_INIT_RECEIVED;
	}
	/* One that finds the vCPU running is lost. */
	if (test_and_clear_bit(LAPIC_EVENT_SIPI, &apic->events) &&
	    v->mp_state == KVM_MP_STATE_INIT_RECEIVED) {
		/* Pairs with the barrier in accept_sipi(). */
		smp_rmb();
		start_at_sipi_vector(v, READ_ONCE(apic->sipi_vector));
	}
	return 0;
}

/* ---- lifetime ---- */

void x86_lapic_reset(struct x86_vcpu *v, bool init)
{
	struct lapic *apic = v->lapic;
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	u64 base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE |
		   (x86_vcpu_is_bsp(v) ? LAPIC_BASE_BSP : 0);
	bool lint0_extint = x86_vcpu_is_bsp(v) &&
		!(vm->disabled_quirks & KVM_X86_QUIRK_LINT0_REENABLED);

	if (!apic) {
		if (!init)
			v->apic_base = base;
		return;
	}
	lapic_timer_disarm(apic);
	v->pv.eoi_msr = 0;
	if (!init) {
		v->apic_base = apic->base = base;
		lapic_logic_set_base(&apic->logic, 0, base);
	}
	lapic_logic_reset(&apic->logic, init, lint0_extint);
	v->pending_ioapic_eoi = 0;
	destination_changed(v);
}

int x86_lapic_create(struct x86_vcpu *v)
{
	struct lapic *apic = kzalloc(sizeof(*apic), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!apic)
		return -ENOMEM;
	apic->v = v;
	apic->logic.x2apic_id = v->vcpu.vcpu_id;
	lapic_timer_init(apic);
	v->lapic = apic;
	/* Still off: the vCPU's reset, which follows, turns it on. */
	ret = apic_map_add(v);
	if (ret) {
		v->lapic = NULL;
		kfree(apic);
	}
	return ret;
}

void x86_lapic_free(struct x86_vcpu *v)
{
	struct lapic *apic = v->lapic;

	if (!apic)
		return;
	apic_map_remove(v);
	hrtimer_cancel(&apic->timer);
	v->lapic = NULL;
	kfree(apic);
}

/* ---- ioctls of the vCPU ---- */

static long get_state(struct x86_vcpu *v, struct kvm_lapic_state *state,
		      void __user *argp)
{
	struct lapic *apic = v->lapic;

	/* An expiry not yet looked at belongs in IRR, to move with it. */
	x86_lapic_timer_fired(v);
	lapic_state_get(&apic->logic, lapic_timer_read(apic),
			to_x86_vm(v->vcpu.kvm)->x2apic_format, state);
	return copy_to_user(argp, state, sizeof(*state)) ? -EFAULT : 0;
}

/* Go on where the state that was put in stopped. */
static void restart_timer(struct lapic *apic)
{
	u32 count = lapic_get(&apic->logic, LAPIC_TMCCT);

	lapic_put(&apic->logic, LAPIC_TMCCT, 0);
	if (lapic_timer_mode(&apic->logic) == LAPIC_TIMER_DEADLINE) {
		x86_lapic_set_tscdeadline(apic->v, apic->tsc_deadline);
	} else {
		apic->tsc_deadline = 0;
		lapic_timer_start(apic, count);
	}
}

static long set_state(struct x86_vcpu *v, struct kvm_lapic_state *state,
		      const void __user *argp)
{
	struct lapic *apic = v->lapic;
	int ret;

	if (copy_from_user(state, argp, sizeof(*state)))
		return -EFAULT;
	apic->logic.has_deadline = has_deadline_mode(v);
	lapic_timer_cancel(apic);
	ret = lapic_state_set(&apic->logic,
			      to_x86_vm(v->vcpu.kvm)->x2apic_format, state);
	if (ret)
		return ret;
	restart_timer(apic);
	destination_changed(v);
	look_again(v);
	return 0;
}

long x86_lapic_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			  void __user *argp)
{
	struct kvm_lapic_state *state;
	long ret;

	if (cmd != KVM_GET_LAPIC && cmd != KVM_SET_LAPIC)
		return -ENOIOCTLCMD;
	if (!v->lapic)
		return -EINVAL;
	state = kmalloc(sizeof(*state), GFP_KERNEL);
	if (!state)
		return -ENOMEM;
	ret = cmd == KVM_GET_LAPIC ? get_state(v, state, argp) :
				     set_state(v, state, argp);
	kfree(state);
	return ret;
}
