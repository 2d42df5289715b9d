// SPDX-License-Identifier: GPL-2.0-only
/* The 8259A pair at work: ports, lines, acknowledge cycles. */

#include <linux/slab.h>

#include "../trace.h"
#include "lapic.h"
#include "pic.h"
#include "pit.h"

/* What is to be told outside the lock after an operation inside it. */
struct outcome {
	u16 acked;
	u16 unmasked;
	bool output;
	u16 imr_before;
};

static unsigned long pic_lock(struct pic *pic, struct outcome *o)
	__acquires(&pic->lock)
{
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	o->imr_before = pic_logic_imr(&pic->logic);
	return flags;
}

/*
 * Ends the locked part. Notifiers may drive lines of this chip again, so they
 * run without the lock. A listener is kicked whenever INTR is up, not just
 * when it rises: it may have looked at it masked before.
 */
static void pic_unlock(struct pic *pic, unsigned long flags, struct outcome *o)
	__releases(&pic->lock)
{
	struct kvm *kvm = &pic->vm->kvm;
	unsigned int pin;

	o->acked = pic->logic.acked;
	pic->logic.acked = 0;
	o->unmasked = o->imr_before & ~pic_logic_imr(&pic->logic);
	o->output = pic->logic.output;
	spin_unlock_irqrestore(&pic->lock, flags);

	if (o->output)
		x86_apic_kick_pic_listeners(pic->vm);
	for (pin = 0; (o->acked | o->unmasked) && pin < PIC_NR_PINS; pin++) {
		if (o->unmasked >> pin & 1)
			x86_pit_pin_unmasked(pic->vm, pin / 8, pin % 8);
		if (o->acked >> pin & 1)
			kvm_irq_ack(kvm, pin / 8, pin % 8);
	}
}

int x86_pic_set(struct pic *pic, enum kvm_irq_source source, unsigned int pin,
		int level)
{
	unsigned long flags;
	struct outcome o;
	int ret;

	if (pin >= PIC_NR_PINS)
		return -1;
	flags = pic_lock(pic, &o);
	if (level)
		pic->sources[pin] |= BIT(source);
	else
		pic->sources[pin] &= ~BIT(source);
	ret = pic_logic_set_line(&pic->logic, pin, pic->sources[pin]);
	trace_kvm_pic_set_irq(&pic->logic.chip[pin / 8], pin / 8, pin % 8,
			      !ret);
	pic_unlock(pic, flags, &o);
	return ret;
}

bool x86_pic_pending(struct x86_vm *vm)
{
	return vm->pic && READ_ONCE(vm->pic->logic.output);
}

int x86_pic_ack(struct x86_vm *vm)
{
	struct pic *pic = vm->pic;
	unsigned long flags;
	struct outcome o;
	int vector;

	flags = pic_lock(pic, &o);
	vector = pic_logic_inta(&pic->logic);
	pic_unlock(pic, flags, &o);
	return vector;
}

/* ---- ports: wider accesses are bytes at consecutive ports ---- */

static int pic_port_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			 gpa_t addr, int len, void *val)
{
	struct pic_ports *ports = container_of(dev, struct pic_ports, dev);
	struct pic *pic = ports->pic;
	unsigned long flags;
	struct outcome o;
	u8 *byte = val;
	int i;

	flags = pic_lock(pic, &o);
	for (i = 0; i < len; i++)
		byte[i] = addr + i < ports->base + PIC_PORTS ?
			  pic_logic_read(&pic->logic, addr + i) : 0xff;
	pic_unlock(pic, flags, &o);
	return 0;
}

static int pic_port_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			  gpa_t addr, int len, const void *val)
{
	struct pic_ports *ports = container_of(dev, struct pic_ports, dev);
	struct pic *pic = ports->pic;
	unsigned long flags;
	const u8 *byte = val;
	struct outcome o;
	int i;

	flags = pic_lock(pic, &o);
	for (i = 0; i < len && addr + i < ports->base + PIC_PORTS; i++)
		pic_logic_write(&pic->logic, addr + i, byte[i]);
	pic_unlock(pic, flags, &o);
	return 0;
}

static const struct kvm_io_device_ops pic_ops = {
	.read = pic_port_read,
	.write = pic_port_write,
};

/* ---- state and lifetime ---- */

void x86_pic_get_state(struct pic *pic, unsigned int chip,
		       struct kvm_pic_state *s)
{
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	pic_logic_get(&pic->logic, chip, s);
	spin_unlock_irqrestore(&pic->lock, flags);
}

void x86_pic_set_state(struct pic *pic, unsigned int chip,
		       const struct kvm_pic_state *s)
{
	unsigned long flags;
	struct outcome o;

	flags = pic_lock(pic, &o);
	pic_logic_set(&pic->logic, chip, s);
	pic_unlock(pic, flags, &o);
}

static void unregister_ports(struct pic *pic)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pic->ports); i++)
		kvm_io_bus_unregister(&pic->vm->kvm, KVM_PIO_BUS,
				      &pic->ports[i].dev);
}

struct pic *x86_pic_create(struct x86_vm *vm)
{
	static const u16 bases[] = { 0x20, 0xa0, 0x4d0 };
	struct pic *pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);
	unsigned int i;
	int ret = 0;

	if (!pic)
		return ERR_PTR(-ENOMEM);
	pic->vm = vm;
	spin_lock_init(&pic->lock);
	pic_logic_init(&pic->logic);
	for (i = 0; i < ARRAY_SIZE(bases) && !ret; i++) {
		pic->ports[i] = (struct pic_ports) {
			.dev.ops = &pic_ops, .pic = pic, .base = bases[i],
		};
		ret = kvm_io_bus_register(&vm->kvm, KVM_PIO_BUS, bases[i],
					  PIC_PORTS, &pic->ports[i].dev);
	}
	if (ret) {
		unregister_ports(pic);
		kfree(pic);
		return ERR_PTR(ret);
	}
	return pic;
}

void x86_pic_destroy(struct pic *pic)
{
	unregister_ports(pic);
	kfree(pic);
}
