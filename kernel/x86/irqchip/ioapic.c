// SPDX-License-Identifier: GPL-2.0-only
/* The IOAPIC at work: memory window, delivery to local APICs, EOI. */

#include <linux/slab.h>

#include "../trace.h"
#include "ioapic.h"
#include "lapic.h"
#include "pit.h"

#define RETRY_DELAY	(HZ / 100 ? HZ / 100 : 1)	/* jiffies */

static int send(struct ioapic_logic *l, const struct apic_irq *irq)
{
	struct ioapic *ioapic = container_of(l, struct ioapic, logic);

	return x86_apic_deliver(ioapic->vm, NULL, irq);
}

/* What the lockless readers see. */
static void publish_entries(struct ioapic *ioapic)
{
	u64 vectors[4] = {}, extint = 0;
	unsigned int i;

	for (i = 0; i < IOAPIC_NR_PINS; i++) {
		u64 rte = ioapic->logic.rte[i];

		vectors[(rte & 0xff) / 64] |= BIT_ULL(rte & 63);
		if ((rte >> 8 & 7) == LAPIC_MODE_EXTINT &&
		    !(rte & IOAPIC_RTE_MASKED))
			extint = rte;
	}
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		WRITE_ONCE(ioapic->vectors[i], vectors[i]);
	WRITE_ONCE(ioapic->extint_rte, extint);
}

bool ioapic_extint_to(struct x86_vm *vm, const struct lapic_logic *l)
{
	struct apic_irq irq;
	u64 rte;

	if (!vm->ioapic || !lapic_sw_enabled(l))
		return false;
	rte = READ_ONCE(vm->ioapic->extint_rte);
	if (!rte)
		return false;
	ioapic_rte_decode(rte, &irq);
	return lapic_logic_match(l, &irq, !vm->x2apic_broadcast_quirk_disabled);
}

/* ---- lines ---- */

int x86_ioapic_set(struct ioapic *ioapic, enum kvm_irq_source source,
		   unsigned int pin, int level)
{
	unsigned long flags;
	int ret;

	if (pin >= IOAPIC_NR_PINS)
		return -1;
	spin_lock_irqsave(&ioapic->lock, flags);
	if (level)
		ioapic->sources[pin] |= BIT(source);
	else
		ioapic->sources[pin] &= ~BIT(source);
	ret = ioapic_logic_set_line(&ioapic->logic, pin, ioapic->sources[pin]);
	if (level)
		trace_kvm_ioapic_set_irq(ioapic->logic.rte[pin], pin, !ret);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

/* ---- EOI ---- */

static void retry_fn(struct work_struct *work)
{
	struct ioapic *ioapic = container_of(to_delayed_work(work),
					     struct ioapic, retry_work);
	unsigned long flags;

	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic_logic_retry(&ioapic->logic, ioapic->retry_pins);
	ioapic->retry_pins = 0;
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* Does a pin send this vector, so that its EOI is told to others? */
bool x86_ioapic_has_vector(struct x86_vm *vm, u8 vector)
{
	struct ioapic *ioapic = vm->ioapic;

	return ioapic &&
	       READ_ONCE(ioapic->vectors[vector / 64]) >> (vector % 64) & 1;
}

void x86_ioapic_eoi(struct x86_vm *vm, u8 vector, int trigger_level)
{
	struct ioapic *ioapic = vm->ioapic;
	unsigned long flags;
	unsigned int pin;
	u32 pins, later;

	if (!x86_ioapic_has_vector(vm, vector))
		return;
	spin_lock_irqsave(&ioapic->lock, flags);
	pins = ioapic_logic_vector_pins(&ioapic->logic, vector);
	spin_unlock_irqrestore(&ioapic->lock, flags);

	/* Without the lock: a notifier may lower the line, in this chip. */
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		if (pins >> pin & 1)
			kvm_irq_ack(&vm->kvm, KVM_IRQCHIP_IOAPIC, pin);
	if (!trigger_level)
		return;

	spin_lock_irqsave(&ioapic->lock, flags);
	later = ioapic_logic_eoi(&ioapic->logic, pins);
	ioapic->retry_pins |= later;
	spin_unlock_irqrestore(&ioapic->lock, flags);
	if (later)
		schedule_delayed_work(&ioapic->retry_work, RETRY_DELAY);
}

/* ---- memory window ---- */

static int ioapic_mmio_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			    gpa_t addr, int len, void *val)
{
	struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
	unsigned long flags;
	u32 word;

	if (addr - IOAPIC_BASE >= IOAPIC_SIZE)
		return -EOPNOTSUPP;
	spin_lock_irqsave(&ioapic->lock, flags);
	word = ioapic_logic_read(&ioapic->logic, addr - IOAPIC_BASE);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	memset(val, 0, len);
	memcpy(val, &word, min_t(int, len, sizeof(word)));
	return 0;
}

static int ioapic_mmio_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			     gpa_t addr, int len, const void *val)
{
	struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
	u32 word = 0, unmasked;
	unsigned long flags;
	unsigned int pin;

	if (addr - IOAPIC_BASE >= IOAPIC_SIZE)
		return -EOPNOTSUPP;
	memcpy(&word, val, min_t(int, len, sizeof(word)));
	spin_lock_irqsave(&ioapic->lock, flags);
	unmasked = ioapic_logic_write(&ioapic->logic, addr - IOAPIC_BASE, word);
	if (addr - IOAPIC_BASE == 0x10)
		publish_entries(ioapic);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		if (unmasked >> pin & 1)
			x86_pit_pin_unmasked(ioapic->vm, KVM_IRQCHIP_IOAPIC,
					     pin);
	return 0;
}

static const struct kvm_io_device_ops ioapic_ops = {
	.read = ioapic_mmio_read,
	.write = ioapic_mmio_write,
};

/* ---- state and lifetime ---- */

void x86_ioapic_get_state(struct ioapic *ioapic, struct kvm_ioapic_state *s)
{
	unsigned long flags;

	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic_logic_get(&ioapic->logic, s);
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

void x86_ioapic_set_state(struct ioapic *ioapic,
			  const struct kvm_ioapic_state *s)
{
	unsigned long flags;

	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic_logic_set(&ioapic->logic, s);
	publish_entries(ioapic);
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

struct ioapic *x86_ioapic_create(struct x86_vm *vm)
{
	struct ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!ioapic)
		return ERR_PTR(-ENOMEM);
	ioapic->vm = vm;
	ioapic->dev.ops = &ioapic_ops;
	ioapic->logic.send = send;
	spin_lock_init(&ioapic->lock);
	INIT_DELAYED_WORK(&ioapic->retry_work, retry_fn);
	ioapic_logic_reset(&ioapic->logic);
	publish_entries(ioapic);
	ret = kvm_io_bus_register(&vm->kvm, KVM_MMIO_BUS, IOAPIC_BASE,
				  IOAPIC_SIZE, &ioapic->dev);
	if (ret) {
		kfree(ioapic);
		return ERR_PTR(ret);
	}
	return ioapic;
}

void x86_ioapic_destroy(struct ioapic *ioapic)
{
	cancel_delayed_work_sync(&ioapic->retry_work);
	kvm_io_bus_unregister(&ioapic->vm->kvm, KVM_MMIO_BUS, &ioapic->dev);
	kfree(ioapic);
}
