// SPDX-License-Identifier: GPL-2.0-only
/*
 * PV EOI: the guest ends an interrupt by clearing a bit in its memory, without
 * an exit (Documentation/virt/kvm/x86/msr.rst, MSR 4b564d04).
 *
 * The bit is set only from an entry to the exit that follows: between exits
 * the LAPIC is what it seems, to user space as to other vCPUs.
 */
#include "ioapic.h"
#include "lapic.h"

#define PV_EOI_ENABLE	BIT_ULL(0)
#define PV_EOI_RESERVED	BIT_ULL(1)

int x86_pv_eoi_set(struct x86_vcpu *v, u64 data)
{
	if (data & PV_EOI_RESERVED)
		return 1;
	v->pv.eoi_msr = data;
	return 0;
}

static gpa_t flag_gpa(const struct x86_vcpu *v)
{
	return v->pv.eoi_msr & ~(PV_EOI_ENABLE | PV_EOI_RESERVED);
}

/* Would the EOI do anything but clear a bit of ISR? */
static bool eoi_is_plain(struct lapic *apic)
{
	struct x86_vcpu *v = apic->v;
	int vector = lapic_highest_vector(&apic->logic, LAPIC_ISR);

	/* One that waits needs the exit, to come next. */
	if (vector < 0 || x86_lapic_highest_irr(v) >= 0 ||
	    lapic_vector_test(&apic->logic, LAPIC_TMR, vector))
		return false;
	return !x86_ioapic_has_vector(to_x86_vm(v->vcpu.kvm), vector) &&
	       !(v->eoi_exit_bitmap[vector / 64] >> (vector % 64) & 1);
}

void x86_pv_eoi_enter(struct x86_vcpu *v)
{
	struct lapic *apic = v->lapic;
	u8 flag = 1;

	if (!apic || !(v->pv.eoi_msr & PV_EOI_ENABLE) || !eoi_is_plain(apic))
		return;
	v->pv.eoi_offered = !kvm_write_guest(v->vcpu.kvm, flag_gpa(v), &flag, 1);
}

/* The other bits of the byte are the guest's, and nobody else's just now. */
void x86_pv_eoi_exit(struct x86_vcpu *v)
{
	struct kvm *kvm = v->vcpu.kvm;
	u8 flag;

	v->pv.eoi_offered = false;
	if (kvm_read_guest(kvm, flag_gpa(v), &flag, 1))
		return;
	if (flag & 1) {
		flag &= ~1;
		kvm_write_guest(kvm, flag_gpa(v), &flag, 1);
	} else if (v->lapic) {
		lapic_end_of_interrupt(v->lapic);
	}
}
