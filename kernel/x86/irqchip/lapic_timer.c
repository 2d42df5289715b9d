// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LAPIC timer over an hrtimer: one-shot, periodic and TSC deadline.
 *
 * The callback only leaves a mark and kicks the vCPU, which raises the vector
 * in its own thread. So only that thread touches the registers, and cancelling
 * cannot wait for a lock that the callback wants.
 */

#include <linux/export.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>

#include "../time_logic.h"
#include "lapic.h"

static int timer_advance_ns = -1;
module_param_named(lapic_timer_advance_ns, timer_advance_ns, int, 0444);
MODULE_PARM_DESC(lapic_timer_advance_ns,
		 "Fire TSC deadlines so much early and wait, up to 5000 (default: as it turns out)");

unsigned int x86_min_timer_period_us = 200;
module_param_named(min_timer_period_us, x86_min_timer_period_us, uint, 0644);
MODULE_PARM_DESC(min_timer_period_us,
		 "Shortest period of an emulated periodic timer, microseconds");

static enum hrtimer_restart timer_fn(struct hrtimer *timer)
{
	struct lapic *apic = container_of(timer, struct lapic, timer);
	struct kvm_vcpu *vcpu = &apic->v->vcpu;
	u64 period = READ_ONCE(apic->period_ns);

	atomic_set(&apic->timer_pending, 1);
	kvm_make_request(X86_REQ_APIC_TIMER, vcpu);
	kvm_vcpu_kick(vcpu);
	if (!period)
		return HRTIMER_NORESTART;
	/* Ticks that the host missed are dropped, as a slow CPU's would be. */
	hrtimer_forward_now(timer, ns_to_ktime(period));
	return HRTIMER_RESTART;
}

void lapic_timer_init(struct lapic *apic)
{
	hrtimer_setup(&apic->timer, timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	apic->advance_ns = clamp(timer_advance_ns, 0, TIMER_ADVANCE_MAX);
}

void lapic_timer_cancel(struct lapic *apic)
{
	hrtimer_cancel(&apic->timer);
	atomic_set(&apic->timer_pending, 0);
	apic->period_ns = 0;
	apic->fired_deadline = 0;
}

static void start_in(struct lapic *apic, u64 ns)
{
	ktime_t expires = ktime_add_safe(ktime_get(), ns_to_ktime(ns));

	hrtimer_start(&apic->timer, expires, HRTIMER_MODE_ABS);
}

void lapic_timer_start(struct lapic *apic, u32 count)
{
	struct lapic_logic *l = &apic->logic;
	u32 mode = lapic_timer_mode(l);
	u64 period = lapic_timer_period_ns(l);
	u64 first = (u64)count << lapic_timer_shift(l);

	if (mode == LAPIC_TIMER_DEADLINE)
		return;
	/* A tick that is due already happened before this write. */
	x86_lapic_timer_fired(apic->v);
	lapic_timer_cancel(apic);
	if (!period)
		return;
	if (mode == LAPIC_TIMER_PERIODIC) {
		period = max(period, x86_min_timer_period_us * 1000ULL);
		apic->period_ns = period;
		if (!count || count >= lapic_get(l, LAPIC_TMICT))
			first = period;
	} else if (!count) {
		return;		/* a shot that has gone off */
	}
	start_in(apic, first);
}

u32 lapic_timer_read(struct lapic *apic)
{
	ktime_t left;
	u32 count;

	if (lapic_timer_mode(&apic->logic) == LAPIC_TIMER_DEADLINE ||
	    !hrtimer_active(&apic->timer))
		return 0;
	left = hrtimer_get_remaining(&apic->timer);
	if (left <= 0)
		return 0;
	/* A period below our minimum was stretched: never show more than it. */
	count = lapic_timer_count(&apic->logic, ktime_to_ns(left));
	return min(count, lapic_get(&apic->logic, LAPIC_TMICT));
}

void lapic_timer_disarm(struct lapic *apic)
{
	lapic_timer_cancel(apic);
	apic->tsc_deadline = 0;
	lapic_put(&apic->logic, LAPIC_TMICT, 0);
}

/* ---- TSC deadline, SDM vol. 3A "TSC-Deadline Mode" ---- */

static u32 khz_of(const struct x86_vcpu *v)
{
	return v->tsc_khz ? v->tsc_khz : x86_host.tsc_khz;
}

/* Nanoseconds until the timer has to fire; 0: now */
static u64 deadline_ns(struct lapic *apic)
{
	struct x86_vcpu *v = apic->v;
	u64 now = x86_guest_tsc(v, rdtsc()), ns;

	if (apic->tsc_deadline <= now)
		return 0;
	ns = lapic_tsc_to_ns(apic->tsc_deadline - now, khz_of(v)) + 1;
	return ns > apic->advance_ns ? ns - apic->advance_ns : 0;
}

/*
 * The guest must not see the interrupt before its TSC reaches the deadline.
 * Interrupts are off, the entry comes next; waits no longer than the advance.
 */
void x86_lapic_await_deadline(struct x86_vcpu *v)
{
	struct lapic *apic = v->lapic;
	u64 deadline, now, most;
	s64 late;

	if (!apic || likely(!apic->fired_deadline))
		return;
	deadline = apic->fired_deadline;
	apic->fired_deadline = 0;
	now = x86_guest_tsc(v, rdtsc());
	late = now - deadline;
	most = time_ns_to_ticks(apic->advance_ns, khz_of(v)) + 1;
	if (timer_advance_ns < 0)
		apic->advance_ns = timer_advance_next(apic->advance_ns,
			late < 0 ? -(s64)lapic_tsc_to_ns(-late, khz_of(v)) :
				   lapic_tsc_to_ns(late, khz_of(v)));
	/* Far off: the guest's TSC was written meanwhile. */
	if (late >= 0 || -late > most)
		return;
	while ((s64)(x86_guest_tsc(v, rdtsc()) - deadline) < 0)
		cpu_relax();
}
EXPORT_SYMBOL_GPL(x86_lapic_await_deadline);

u64 x86_lapic_get_tscdeadline(struct x86_vcpu *v)
{
	struct lapic *apic = v->lapic;

	if (!apic || lapic_timer_mode(&apic->logic) != LAPIC_TIMER_DEADLINE)
		return 0;
	return apic->tsc_deadline;
}

void x86_lapic_set_tscdeadline(struct x86_vcpu *v, u64 data)
{
	struct lapic *apic = v->lapic;
	u64 ns;

	if (!apic || lapic_timer_mode(&apic->logic) != LAPIC_TIMER_DEADLINE)
		return;
	x86_lapic_timer_fired(v);
	lapic_timer_cancel(apic);
	apic->tsc_deadline = data;
	if (!data)
		return;
	ns = deadline_ns(apic);
	if (ns) {
		start_in(apic, ns);
	} else {
		atomic_set(&apic->timer_pending, 1);
		x86_lapic_timer_fired(v);
	}
}

/* ---- the vCPU's side of an expiry ---- */

static void raise_timer_vector(struct lapic *apic)
{
	u32 lvt = lapic_get(&apic->logic, LAPIC_LVT_TIMER);
	struct apic_irq irq = {
		.vector = lvt & 0xff,
		.mode = LAPIC_MODE_FIXED,
	};

	if (apic->logic.hw_enabled && !(lvt & LAPIC_LVT_MASKED))
		lapic_accept(apic->v, &irq);
}

void x86_lapic_timer_fired(struct x86_vcpu *v)
{
	struct lapic *apic = v->lapic;
	u64 early;

	if (!apic || !atomic_xchg(&apic->timer_pending, 0))
		return;
	if (lapic_timer_mode(&apic->logic) == LAPIC_TIMER_DEADLINE) {
		/* The host's clock and TSC drift apart; the TSC counts. */
		early = apic->tsc_deadline ? deadline_ns(apic) : 0;
		if (early) {
			start_in(apic, early);
			return;
		}
		apic->fired_deadline = apic->tsc_deadline;
		apic->tsc_deadline = 0;
	}
	raise_timer_vector(apic);
}

bool x86_lapic_timer_pending(struct x86_vcpu *v)
{
	return v->lapic && atomic_read(&v->lapic->timer_pending);
}

/* Bring the timer to the CPU that the vCPU runs on now. */
void x86_lapic_migrate_timer(struct x86_vcpu *v)
{
	struct lapic *apic = v->lapic;

	if (apic && hrtimer_cancel(&apic->timer))
		hrtimer_start_expires(&apic->timer, HRTIMER_MODE_ABS);
}
