// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the chips meet: creation, state ioctls, routes to pins and messages,
 * and the one answer to "is there an interrupt for this vCPU".
 */

#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../trace.h"
#include "ioapic.h"
#include "lapic.h"
#include "pic.h"
#include "pit.h"

/* ---- interrupts for a vCPU ---- */

static bool external_pending(struct x86_vcpu *v)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);

	if (vm->irqchip == X86_IRQCHIP_KERNEL)
		return x86_pic_pending(vm) && x86_lapic_accepts_pic(v);
	return v->pending_external_vector >= 0 && x86_lapic_accepts_pic(v);
}

bool x86_irq_pending(struct x86_vcpu *v)
{
	return external_pending(v) || x86_lapic_pending_irq(v) >= 0;
}

int x86_irq_ack(struct x86_vcpu *v)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	int vector;

	if (!external_pending(v))
		return x86_lapic_ack_irq(v);
	if (vm->irqchip == X86_IRQCHIP_KERNEL)
		return x86_pic_ack(vm);
	vector = v->pending_external_vector;
	v->pending_external_vector = -1;
	return vector;
}

/* ---- what the front asks of the architecture ---- */

bool kvm_arch_irqfd_allowed(struct kvm *kvm, bool resample)
{
	enum x86_irqchip_mode mode = READ_ONCE(to_x86_vm(kvm)->irqchip);

	/* Who resamples must see the EOI, so the IOAPIC must be ours. */
	return resample ? mode == X86_IRQCHIP_KERNEL :
			  mode != X86_IRQCHIP_NONE;
}

static bool irqchip_route_valid(struct x86_vm *vm,
				const struct kvm_irq_routing_irqchip *r)
{
	if (READ_ONCE(vm->irqchip) == X86_IRQCHIP_SPLIT)
		return false;
	switch (r->irqchip) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		return r->pin < PIC_NR_PINS / 2;
	case KVM_IRQCHIP_IOAPIC:
		return r->pin < IOAPIC_NR_PINS;
	default:
		return false;
	}
}

bool kvm_arch_irq_route_valid(struct kvm *kvm,
			      const struct kvm_irq_routing_entry *e)
{
	struct x86_vm *vm = to_x86_vm(kvm);

	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		return irqchip_route_valid(vm, &e->u.irqchip);
	case KVM_IRQ_ROUTING_MSI:
		/* Bits 7:0 of the high half carry no destination bits. */
		return !vm->x2apic_format || !(e->u.msi.address_hi & 0xff);
	default:
		return false;
	}
}

int kvm_arch_irqchip_set(struct kvm *kvm, enum kvm_irq_source source,
			 u32 irqchip, u32 pin, int level)
{
	struct x86_vm *vm = to_x86_vm(kvm);

	/* Pairs with the release in KVM_CREATE_IRQCHIP. */
	if (smp_load_acquire(&vm->irqchip) != X86_IRQCHIP_KERNEL)
		return -1;
	if (irqchip == KVM_IRQCHIP_IOAPIC)
		return x86_ioapic_set(vm->ioapic, source, pin, level);
	return x86_pic_set(vm->pic, source, irqchip * 8 + pin, level);
}

int kvm_arch_msi_deliver(struct kvm *kvm, u64 address, u32 data)
{
	struct x86_vm *vm = to_x86_vm(kvm);
	struct apic_irq irq;

	if (READ_ONCE(vm->irqchip) == X86_IRQCHIP_NONE)
		return -1;
	if (vm->x2apic_format && address >> 32 & 0xff)
		return -1;
	trace_kvm_msi_set_irq(address, data);
	lapic_msi_decode(address, data, vm->x2apic_format, &irq);
	return x86_apic_deliver(vm, NULL, &irq);
}

void kvm_arch_irq_routes_changed(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (READ_ONCE(to_x86_vm(kvm)->irqchip) != X86_IRQCHIP_SPLIT)
		return;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(X86_REQ_LOAD_EOI_BITMAP, vcpu);
		kvm_vcpu_kick(vcpu);
	}
}

/* ---- split irqchip: which EOIs user space's IOAPIC must see ---- */

static bool in_flight(const struct lapic_logic *l, u8 vector)
{
	return lapic_vector_test(l, LAPIC_IRR, vector) ||
	       lapic_vector_test(l, LAPIC_ISR, vector);
}

static void mark_route(struct x86_vcpu *v, const struct kvm_irq_route *route,
		       u64 *bitmap)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	const struct lapic_logic *l = &v->lapic->logic;
	struct apic_irq irq;

	if (route->type != KVM_IRQ_ROUTING_MSI)
		return;
	lapic_msi_decode(route->msi.address, route->msi.data,
			 vm->x2apic_format, &irq);
	if (!irq.level_trig)
		return;
	/* Moved away from here while one is in service: its EOI counts too. */
	if (in_flight(l, irq.vector) ||
	    lapic_logic_match(l, &irq, !vm->x2apic_broadcast_quirk_disabled))
		bitmap[irq.vector / 64] |= BIT_ULL(irq.vector % 64);
}

void x86_load_eoi_bitmap(struct x86_vcpu *v)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	struct kvm_irq_route routes[KVM_NR_IRQCHIPS];
	u64 bitmap[4] = {};
	int idx, n, i;
	u32 gsi;

	if (!v->lapic || vm->irqchip != X86_IRQCHIP_SPLIT)
		return;
	idx = srcu_read_lock(&vm->kvm.irq_srcu);
	for (gsi = 0; gsi < vm->nr_ioapic_pins; gsi++) {
		n = kvm_irq_routes_get(&vm->kvm, gsi, routes,
				       ARRAY_SIZE(routes));
		for (i = 0; i < n; i++)
			mark_route(v, &routes[i], bitmap);
	}
	srcu_read_unlock(&vm->kvm.irq_srcu, idx);
	memcpy(v->eoi_exit_bitmap, bitmap, sizeof(bitmap));
}

/* ---- state ioctls ---- */

static int get_chip(struct x86_vm *vm, struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		x86_pic_get_state(vm->pic, chip->chip_id, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		x86_ioapic_get_state(vm->ioapic, &chip->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}

static int set_chip(struct x86_vm *vm, const struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		x86_pic_set_state(vm->pic, chip->chip_id, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_IOAPIC:
		x86_ioapic_set_state(vm->ioapic, &chip->chip.ioapic);
		break;
	default:
		return -EINVAL;
	}
	x86_pit_restart_reinject(vm);
	return 0;
}

static long chip_ioctl(struct x86_vm *vm, unsigned int cmd, void __user *argp)
{
	struct kvm_irqchip *chip;
	long ret = -ENXIO;

	chip = memdup_user(argp, sizeof(*chip));
	if (IS_ERR(chip))
		return PTR_ERR(chip);
	if (smp_load_acquire(&vm->irqchip) == X86_IRQCHIP_KERNEL)
		ret = cmd == KVM_GET_IRQCHIP ? get_chip(vm, chip) :
					       set_chip(vm, chip);
	if (!ret && cmd == KVM_GET_IRQCHIP &&
	    copy_to_user(argp, chip, sizeof(*chip)))
		ret = -EFAULT;
	kfree(chip);
	return ret;
}

static long pit_get(struct pit *pit, void __user *argp, size_t size)
{
	struct kvm_pit_state2 state;

	x86_pit_get_state(pit, &state);
	return copy_to_user(argp, &state, size) ? -EFAULT : 0;
}

/* The old form is a prefix of the new one, with the flags kept. */
static long pit_set(struct pit *pit, const void __user *argp, size_t size)
{
	struct kvm_pit_state2 state;

	x86_pit_get_state(pit, &state);
	if (copy_from_user(&state, argp, size))
		return -EFAULT;
	x86_pit_set_state(pit, &state);
	return 0;
}

static long pit_reinject(struct pit *pit, const void __user *argp)
{
	struct kvm_reinject_control control;

	if (copy_from_user(&control, argp, sizeof(control)))
		return -EFAULT;
	x86_pit_set_reinject(pit, control.pit_reinject);
	return 0;
}

static long pit_ioctl(struct x86_vm *vm, unsigned int cmd, void __user *argp)
{
	struct pit *pit = smp_load_acquire(&vm->pit);

	if (!pit)
		return -ENXIO;
	switch (cmd) {
	case KVM_GET_PIT:
		return pit_get(pit, argp, sizeof(struct kvm_pit_state));
	case KVM_SET_PIT:
		return pit_set(pit, argp, sizeof(struct kvm_pit_state));
	case KVM_GET_PIT2:
		return pit_get(pit, argp, sizeof(struct kvm_pit_state2));
	case KVM_SET_PIT2:
		return pit_set(pit, argp, sizeof(struct kvm_pit_state2));
	default:
		return pit_reinject(pit, argp);
	}
}

long x86_irqchip_vm_ioctl(struct x86_vm *vm, unsigned int cmd,
			  void __user *argp)
{
	switch (cmd) {
	case KVM_GET_IRQCHIP:
	case KVM_SET_IRQCHIP:
		return chip_ioctl(vm, cmd, argp);
	case KVM_GET_PIT:
	case KVM_SET_PIT:
	case KVM_GET_PIT2:
	case KVM_SET_PIT2:
	case KVM_REINJECT_CONTROL:
		return pit_ioctl(vm, cmd, argp);
	default:
		return -ENOIOCTLCMD;
	}
}

/* ---- lifetime; the caller holds kvm->lock and publishes vm->irqchip ---- */

/* GSI n is pin n of the PICs, as far as they go, and of the IOAPIC. */
static int set_default_routes(struct kvm *kvm)
{
	struct kvm_irq_routing_entry *e, *entries;
	u32 gsi;
	int ret;

	entries = kcalloc(PIC_NR_PINS + IOAPIC_NR_PINS, sizeof(*entries),
			  GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (gsi = 0, e = entries; gsi < IOAPIC_NR_PINS; gsi++, e++) {
		e->gsi = gsi;
		e->type = KVM_IRQ_ROUTING_IRQCHIP;
		e->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e->u.irqchip.pin = gsi;
		if (gsi >= PIC_NR_PINS)
			continue;
		e++;
		e->gsi = gsi;
		e->type = KVM_IRQ_ROUTING_IRQCHIP;
		e->u.irqchip.irqchip = gsi / 8;	/* master, slave */
		e->u.irqchip.pin = gsi % 8;
	}
	ret = kvm_irq_routes_set(kvm, entries, PIC_NR_PINS + IOAPIC_NR_PINS);
	kfree(entries);
	return ret;
}

/* One device answers for whichever vCPU asks, wherever its page is. */
static int register_lapic_window(struct x86_vm *vm)
{
	vm->lapic_dev.ops = &lapic_mmio_ops;
	return kvm_io_bus_register(&vm->kvm, KVM_MMIO_BUS, 0,
				   KVM_IO_WHOLE_BUS, &vm->lapic_dev);
}

static int create_chips(struct x86_vm *vm)
{
	struct kvm *kvm = &vm->kvm;
	struct ioapic *ioapic;
	struct pic *pic;
	int ret;

	pic = x86_pic_create(vm);
	if (IS_ERR(pic))
		return PTR_ERR(pic);
	ioapic = x86_ioapic_create(vm);
	if (IS_ERR(ioapic)) {
		ret = PTR_ERR(ioapic);
		goto out_pic;
	}
	ret = register_lapic_window(vm);
	if (ret)
		goto out_ioapic;
	ret = set_default_routes(kvm);
	if (ret)
		goto out_lapic;
	vm->pic = pic;
	vm->ioapic = ioapic;
	return 0;

out_lapic:
	kvm_io_bus_unregister(kvm, KVM_MMIO_BUS, &vm->lapic_dev);
out_ioapic:
	x86_ioapic_destroy(ioapic);
out_pic:
	x86_pic_destroy(pic);
	return ret;
}

int x86_irqchip_create(struct x86_vm *vm)
{
	int ret;

	lockdep_assert_held(&vm->kvm.lock);
	mutex_lock(&vm->kvm.slots_lock);
	ret = create_chips(vm);
	mutex_unlock(&vm->kvm.slots_lock);
	return ret;
}

void x86_irqchip_destroy(struct x86_vm *vm)
{
	x86_pit_destroy(vm);
	mutex_lock(&vm->kvm.slots_lock);
	if (vm->lapic_dev.ops)
		kvm_io_bus_unregister(&vm->kvm, KVM_MMIO_BUS, &vm->lapic_dev);
	if (vm->ioapic)
		x86_ioapic_destroy(vm->ioapic);
	if (vm->pic)
		x86_pic_destroy(vm->pic);
	vm->ioapic = NULL;
	vm->pic = NULL;
	mutex_unlock(&vm->kvm.slots_lock);
}

int x86_split_irqchip_enable(struct x86_vm *vm, u32 pins)
{
	int ret;

	lockdep_assert_held(&vm->kvm.lock);
	mutex_lock(&vm->kvm.slots_lock);
	ret = register_lapic_window(vm);
	mutex_unlock(&vm->kvm.slots_lock);
	if (!ret)
		vm->nr_ioapic_pins = pins;
	return ret;
}
