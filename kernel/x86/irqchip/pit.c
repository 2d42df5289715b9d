// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 at work: ports, and channel 0's interrupt over an hrtimer.
 *
 * The timer's callback takes no lock of the PIT, so it may be cancelled with
 * the mutex held, and drives GSI 0 straight from its interrupt context.
 */

#include <linux/ktime.h>
#include <linux/slab.h>

#include "lapic.h"
#include "pit.h"

#define PIT_GSI		0
#define PIT_BASE	0x40
#define PIT_PORTS	4
#define SPEAKER_PORT	0x61

/* More lost ticks than a day at 1 kHz are no use to any guest. */
#define MAX_WAITING	86400000

static s64 now_ns(void)
{
	return ktime_to_ns(ktime_get());
}

/* ---- ticks ---- */

static void pulse(struct pit *pit)
{
	struct kvm *kvm = &pit->vm->kvm;
	int ret = kvm_set_irq(kvm, KVM_IRQ_SOURCE_PIT, PIT_GSI, 1);

	kvm_set_irq(kvm, KVM_IRQ_SOURCE_PIT, PIT_GSI, 0);
	/* Masked everywhere: no acknowledge will come, and none is owed. */
	if (ret < 0) {
		atomic_set(&pit->waiting, 0);
		atomic_set(&pit->acked, 1);
	}
}

static void tick(struct pit *pit, u64 n)
{
	if (!READ_ONCE(pit->reinject)) {
		pulse(pit);
		return;
	}
	if (atomic_read(&pit->waiting) < MAX_WAITING)
		atomic_add(min_t(u64, n, MAX_WAITING), &pit->waiting);
	if (atomic_xchg(&pit->acked, 0))
		pulse(pit);
}

static enum hrtimer_restart timer_fn(struct hrtimer *timer)
{
	struct pit *pit = container_of(timer, struct pit, timer);
	u64 n = 1;

	if (pit->period_ns)
		n = hrtimer_forward_now(timer, ns_to_ktime(pit->period_ns));
	tick(pit, n);
	return pit->period_ns ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

static void irq_acked(struct kvm_irq_ack_notifier *kian)
{
	struct pit *pit = container_of(kian, struct pit, ack);

	if (!READ_ONCE(pit->reinject))
		return;
	atomic_dec_if_positive(&pit->waiting);
	atomic_set(&pit->acked, 1);
	if (atomic_read(&pit->waiting) > 0 && atomic_xchg(&pit->acked, 0))
		pulse(pit);
}

void x86_pit_restart_reinject(struct x86_vm *vm)
{
	if (!vm->pit)
		return;
	atomic_set(&vm->pit->waiting, 0);
	atomic_set(&vm->pit->acked, 1);
}

void x86_pit_pin_unmasked(struct x86_vm *vm, u32 irqchip, unsigned int pin)
{
	int idx, gsi;

	if (!vm->pit)
		return;
	idx = srcu_read_lock(&vm->kvm.irq_srcu);
	gsi = kvm_irq_pin_to_gsi(&vm->kvm, irqchip, pin);
	srcu_read_unlock(&vm->kvm.irq_srcu, idx);
	if (gsi == PIT_GSI)
		x86_pit_restart_reinject(vm);
}

/* Start channel 0's timer as programmed; the mutex is held. */
static void rearm(struct pit *pit)
{
	struct pit_plan plan;
	s64 load_time = pit->logic.ch[0].s.count_load_time;

	lockdep_assert_held(&pit->lock);
	hrtimer_cancel(&pit->timer);
	x86_pit_restart_reinject(pit->vm);
	if (!pit_logic_plan(&pit->logic, &plan))
		return;
	/* A guest that asks for a storm of interrupts gets a shower. */
	if (plan.period_ns)
		plan.period_ns = max(plan.period_ns,
				     x86_min_timer_period_us * 1000ULL);
	pit->period_ns = plan.period_ns;
	hrtimer_start(&pit->timer, ns_to_ktime(load_time + plan.delay_ns),
		      HRTIMER_MODE_ABS);
}

/* ---- ports: wider accesses are bytes at consecutive ports ---- */

static int pit_port_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			 gpa_t addr, int len, void *val)
{
	struct pit *pit = container_of(dev, struct pit, dev);
	s64 now = now_ns();
	u8 *byte = val;
	int i;

	mutex_lock(&pit->lock);
	for (i = 0; i < len; i++)
		byte[i] = addr + i < PIT_BASE + PIT_PORTS ?
			  pit_logic_read(&pit->logic, addr + i, now) : 0xff;
	mutex_unlock(&pit->lock);
	return 0;
}

static int pit_port_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			  gpa_t addr, int len, const void *val)
{
	struct pit *pit = container_of(dev, struct pit, dev);
	s64 now = now_ns();
	const u8 *byte = val;
	bool changed = false;
	int i;

	mutex_lock(&pit->lock);
	for (i = 0; i < len && addr + i < PIT_BASE + PIT_PORTS; i++)
		changed |= pit_logic_write(&pit->logic, addr + i, byte[i], now);
	if (changed)
		rearm(pit);
	mutex_unlock(&pit->lock);
	return 0;
}

static int speaker_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			gpa_t addr, int len, void *val)
{
	struct pit *pit = container_of(dev, struct pit, speaker_dev);

	memset(val, 0xff, len);
	mutex_lock(&pit->lock);
	*(u8 *)val = pit_logic_speaker_read(&pit->logic, now_ns());
	mutex_unlock(&pit->lock);
	return 0;
}

static int speaker_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			 gpa_t addr, int len, const void *val)
{
	struct pit *pit = container_of(dev, struct pit, speaker_dev);

	mutex_lock(&pit->lock);
	pit_logic_speaker_write(&pit->logic, *(const u8 *)val, now_ns());
	mutex_unlock(&pit->lock);
	return 0;
}

static const struct kvm_io_device_ops pit_ops = {
	.read = pit_port_read,
	.write = pit_port_write,
};

static const struct kvm_io_device_ops speaker_ops = {
	.read = speaker_read,
	.write = speaker_write,
};

/* ---- state ---- */

void x86_pit_get_state(struct pit *pit, struct kvm_pit_state2 *s)
{
	mutex_lock(&pit->lock);
	pit_logic_get(&pit->logic, s);
	mutex_unlock(&pit->lock);
}

void x86_pit_set_state(struct pit *pit, const struct kvm_pit_state2 *s)
{
	mutex_lock(&pit->lock);
	pit_logic_set(&pit->logic, s, now_ns());
	rearm(pit);
	mutex_unlock(&pit->lock);
}

void x86_pit_set_reinject(struct pit *pit, bool reinject)
{
	mutex_lock(&pit->lock);
	if (reinject != pit->reinject) {
		x86_pit_restart_reinject(pit->vm);
		WRITE_ONCE(pit->reinject, reinject);
	}
	mutex_unlock(&pit->lock);
}

/* ---- lifetime ---- */

static int register_ports(struct pit *pit, bool speaker)
{
	struct kvm *kvm = &pit->vm->kvm;
	int ret;

	ret = kvm_io_bus_register(kvm, KVM_PIO_BUS, PIT_BASE, PIT_PORTS,
				  &pit->dev);
	if (ret || !speaker)
		return ret;
	ret = kvm_io_bus_register(kvm, KVM_PIO_BUS, SPEAKER_PORT, 1,
				  &pit->speaker_dev);
	if (ret)
		kvm_io_bus_unregister(kvm, KVM_PIO_BUS, &pit->dev);
	return ret;
}

int x86_pit_create(struct x86_vm *vm, u32 flags)
{
	struct pit *pit;
	int ret;

	lockdep_assert_held(&vm->kvm.lock);
	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	pit->vm = vm;
	pit->dev.ops = &pit_ops;
	pit->speaker_dev.ops = &speaker_ops;
	pit->reinject = true;
	atomic_set(&pit->acked, 1);
	mutex_init(&pit->lock);
	hrtimer_setup(&pit->timer, timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	pit_logic_reset(&pit->logic, now_ns());

	mutex_lock(&vm->kvm.slots_lock);
	ret = register_ports(pit, flags & KVM_PIT_SPEAKER_DUMMY);
	mutex_unlock(&vm->kvm.slots_lock);
	if (ret) {
		kfree(pit);
		return ret;
	}
	pit->ack.gsi = PIT_GSI;
	pit->ack.irq_acked = irq_acked;
	kvm_irq_ack_register(&vm->kvm, &pit->ack);
	smp_store_release(&vm->pit, pit);
	return 0;
}

void x86_pit_destroy(struct x86_vm *vm)
{
	struct pit *pit = vm->pit;

	if (!pit)
		return;
	mutex_lock(&vm->kvm.slots_lock);
	kvm_io_bus_unregister(&vm->kvm, KVM_PIO_BUS, &pit->dev);
	kvm_io_bus_unregister(&vm->kvm, KVM_PIO_BUS, &pit->speaker_dev);
	mutex_unlock(&vm->kvm.slots_lock);
	kvm_irq_ack_unregister(&vm->kvm, &pit->ack);
	hrtimer_cancel(&pit->timer);
	vm->pit = NULL;
	kfree(pit);
}
