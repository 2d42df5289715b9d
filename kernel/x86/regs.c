// SPDX-License-Identifier: GPL-2.0-only
/* Control registers: which values a processor accepts, and what follows. */

#include <asm/processor-flags.h>

#include "regs_ioctl.h"
#include "x86.h"

/* APM vol. 2 3.1.1: bits of CR0 that exist; others of the low half read 0. */
#define CR0_EXISTING	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | \
			 X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | \
			 X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define CR0_FLUSHES	(X86_CR0_PG | X86_CR0_WP | X86_CR0_PE)
#define CR4_FLUSHES	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE |	\
			 X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP |	\
			 X86_CR4_PKE | X86_CR4_LA57)
#define CR4_CPUID	(X86_CR4_OSXSAVE | X86_CR4_PKE)
#define CR3_NO_FLUSH	BIT_ULL(63)
#define CR3_PCID_BITS	0xfffULL
#define EFER_LME_BIT	BIT_ULL(8)
#define EFER_LMA_BIT	BIT_ULL(10)
#define EFER_NX_BIT	BIT_ULL(11)

bool is_64bit_mode(struct x86_vcpu *v)
{
	struct kvm_segment cs;

	if (!is_long_mode(v))
		return false;
	x86_ops->get_segment(v, SEG_CS, &cs);
	return cs.l;
}

/* ---- CR0 ---- */

/* Turning paging on or off enters and leaves long mode; APM vol. 2 14.6. */
static bool cr0_paging_allowed(struct x86_vcpu *v, u64 value)
{
	struct kvm_segment cs;

	if (value & X86_CR0_PG) {
		if (is_paging(v) || !(v->efer & EFER_LME_BIT))
			return true;
		x86_ops->get_segment(v, SEG_CS, &cs);
		return v->cr4 & X86_CR4_PAE && !cs.l;
	}
	return !is_64bit_mode(v) && !(v->cr4 & X86_CR4_PCIDE);
}

static void update_lma(struct x86_vcpu *v)
{
	u64 efer = v->efer & ~EFER_LMA_BIT;

	if (efer & EFER_LME_BIT && is_paging(v))
		efer |= EFER_LMA_BIT;
	if (efer == v->efer)
		return;
	v->efer = efer;
	x86_ops->efer_changed(v);
}

static bool cr0_consistent(u64 value)
{
	if (value >> 32)
		return false;
	if (value & X86_CR0_NW && !(value & X86_CR0_CD))
		return false;
	return !(value & X86_CR0_PG) || value & X86_CR0_PE;
}

int x86_set_cr0(struct x86_vcpu *v, u64 value)
{
	u64 changed;

	if (!cr0_consistent(value) || !cr0_paging_allowed(v, value))
		return 1;
	value = (value & CR0_EXISTING) | X86_CR0_ET;
	changed = value ^ v->cr0;
	v->cr0 = value;
	update_lma(v);
	x86_ops->cr0_changed(v);
	if (changed & CR0_FLUSHES)
		x86_ops->flush_tlb(v);
	return 0;
}

/* ---- CR3 ---- */

static bool cr3_valid(const struct x86_vcpu *v, u64 efer, u64 value)
{
	return !(efer & EFER_LMA_BIT) ||
	       !(value & v->cpuid.reserved_gpa_bits);
}

int x86_set_cr3(struct x86_vcpu *v, u64 value)
{
	bool no_flush = false;

	if (v->cr4 & X86_CR4_PCIDE) {
		no_flush = value & CR3_NO_FLUSH;
		value &= ~CR3_NO_FLUSH;
	}
	if (!cr3_valid(v, v->efer, value))
		return 1;
	v->cr3 = value;
	x86_ops->cr3_changed(v);
	if (!no_flush)
		x86_ops->flush_tlb(v);
	return 0;
}

/* ---- CR4 ---- */

int x86_set_cr4(struct x86_vcpu *v, u64 value)
{
	u64 changed = value ^ v->cr4;

	if (value & v->cpuid.cr4_reserved)
		return 1;
	if (is_long_mode(v)) {
		if (!(value & X86_CR4_PAE) || changed & X86_CR4_LA57)
			return 1;
	}
	if (changed & value & X86_CR4_PCIDE &&
	    (!is_long_mode(v) || v->cr3 & CR3_PCID_BITS))
		return 1;
	v->cr4 = value;
	x86_ops->cr4_changed(v);
	if (changed & CR4_CPUID)
		x86_cpuid_update_runtime(v);
	if (changed & CR4_FLUSHES)
		x86_ops->flush_tlb(v);
	return 0;
}

/* ---- CR8: the upper half of the LAPIC's task priority ---- */

int x86_set_cr8(struct x86_vcpu *v, u64 value)
{
	if (value > 15)
		return 1;
	v->cr8 = value;
	if (v->lapic)
		x86_lapic_set_tpr(v, value << 4);
	return 0;
}

u64 x86_get_cr8(struct x86_vcpu *v)
{
	return v->lapic ? x86_lapic_get_tpr(v) >> 4 : v->cr8;
}

/* ---- EFER ---- */

static int set_efer(struct x86_vcpu *v, u64 value, u64 reserved)
{
	u64 changed;

	if (value & reserved)
		return 1;
	/* LMA is the processor's; LME may not change under paging. */
	value = (value & ~EFER_LMA_BIT) | (v->efer & EFER_LMA_BIT);
	changed = value ^ v->efer;
	if (changed & EFER_LME_BIT && is_paging(v))
		return 1;
	v->efer = value;
	x86_ops->efer_changed(v);
	if (changed & EFER_NX_BIT)
		x86_ops->flush_tlb(v);
	return 0;
}

int x86_set_efer(struct x86_vcpu *v, u64 value)
{
	return set_efer(v, value, v->cpuid.efer_reserved);
}

int x86_set_efer_host(struct x86_vcpu *v, u64 value)
{
	return set_efer(v, value, x86_host.efer_reserved);
}

/* ---- KVM_SET_SREGS: all of them at once, in any mode ---- */

/* Could a processor be in this state? (Not: could it get there from here.) */
static bool sregs_valid(struct x86_vcpu *v, const struct kvm_sregs *s)
{
	bool paging = s->cr0 & X86_CR0_PG;

	/* EFER bits that CPUID hides may be set: the host has them. */
	if (!cr0_consistent(s->cr0) || s->cr4 & v->cpuid.cr4_reserved ||
	    s->efer & x86_host.efer_reserved || s->cr8 > 15)
		return false;
	if (s->efer & EFER_LME_BIT && paging)
		return s->cr4 & X86_CR4_PAE && s->efer & EFER_LMA_BIT &&
		       cr3_valid(v, s->efer, s->cr3);
	/* 64-bit code needs long mode, and long mode needs all of the above. */
	return !(s->efer & EFER_LMA_BIT) && !s->cs.l;
}

static void set_crs(struct x86_vcpu *v, const struct kvm_sregs *s)
{
	v->efer = s->efer;
	v->cr0 = (s->cr0 & CR0_EXISTING) | X86_CR0_ET;
	v->cr2 = s->cr2;
	v->cr3 = s->cr3;
	v->cr4 = s->cr4;
	/* All stored before any is told: the vendor looks at several. */
	x86_ops->efer_changed(v);
	x86_ops->cr0_changed(v);
	x86_ops->cr4_changed(v);
	x86_ops->cr3_changed(v);
	x86_set_cr8(v, s->cr8);
}

static void set_segments(struct x86_vcpu *v, const struct kvm_sregs *s)
{
	x86_ops->set_segment(v, SEG_CS, &s->cs);
	x86_ops->set_segment(v, SEG_DS, &s->ds);
	x86_ops->set_segment(v, SEG_ES, &s->es);
	x86_ops->set_segment(v, SEG_FS, &s->fs);
	x86_ops->set_segment(v, SEG_GS, &s->gs);
	x86_ops->set_segment(v, SEG_SS, &s->ss);
	x86_ops->set_segment(v, SEG_TR, &s->tr);
	x86_ops->set_segment(v, SEG_LDTR, &s->ldt);
	x86_ops->set_gdt(v, &s->gdt);
	x86_ops->set_idt(v, &s->idt);
}

static void set_interrupt_bitmap(struct x86_vcpu *v, const u64 *bitmap)
{
	unsigned int word;

	for (word = 0; word < KVM_NR_INTERRUPTS / 64; word++) {
		if (!bitmap[word])
			continue;
		x86_requeue_interrupt(v, word * 64 + __ffs64(bitmap[word]),
				      false);
		return;
	}
}

/*
 * A VMM that resets the boot processor this way may not know KVM_SET_MP_STATE
 * and expects the halt to be over.
 */
static bool looks_like_reset(struct x86_vcpu *v, const struct kvm_sregs *s)
{
	return x86_vcpu_is_bsp(v) && v->rip == 0xfff0 &&
	       s->cs.selector == 0xf000 && !is_protmode(v);
}

static int set_sregs_common(struct x86_vcpu *v, const struct kvm_sregs *s)
{
	if (!sregs_valid(v, s) || x86_set_apic_base(v, s->apic_base, true))
		return -EINVAL;
	set_crs(v, s);
	set_segments(v, s);
	x86_cpuid_update_runtime(v);
	x86_ops->flush_tlb(v);
	if (looks_like_reset(v, s))
		v->mp_state = KVM_MP_STATE_RUNNABLE;
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
	return 0;
}

int x86_set_sregs(struct x86_vcpu *v, const struct kvm_sregs *sregs)
{
	int ret = set_sregs_common(v, sregs);

	if (!ret)
		set_interrupt_bitmap(v, sregs->interrupt_bitmap);
	return ret;
}

int x86_get_sregs(struct x86_vcpu *v, struct kvm_sregs *s)
{
	memset(s, 0, sizeof(*s));
	x86_ops->get_segment(v, SEG_CS, &s->cs);
	x86_ops->get_segment(v, SEG_DS, &s->ds);
	x86_ops->get_segment(v, SEG_ES, &s->es);
	x86_ops->get_segment(v, SEG_FS, &s->fs);
	x86_ops->get_segment(v, SEG_GS, &s->gs);
	x86_ops->get_segment(v, SEG_SS, &s->ss);
	x86_ops->get_segment(v, SEG_TR, &s->tr);
	x86_ops->get_segment(v, SEG_LDTR, &s->ldt);
	x86_ops->get_gdt(v, &s->gdt);
	x86_ops->get_idt(v, &s->idt);
	s->cr0 = v->cr0;
	s->cr2 = v->cr2;
	s->cr3 = v->cr3;
	s->cr4 = v->cr4;
	s->cr8 = x86_get_cr8(v);
	s->efer = v->efer;
	s->apic_base = v->apic_base;
	if (v->interrupt.injected && !v->interrupt.soft)
		s->interrupt_bitmap[v->interrupt.vector / 64] |=
			BIT_ULL(v->interrupt.vector % 64);
	return 0;
}

/* ---- SREGS2: PDPTEs instead of the interrupt bitmap ---- */

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE &&
	       !(efer & EFER_LMA_BIT);
}

static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) ==
	      offsetof(struct kvm_sregs2, flags));

int x86_get_sregs2(struct x86_vcpu *v, struct kvm_sregs2 *s)
{
	struct kvm_sregs old;
	gpa_t table = v->cr3 & ~0x1fULL & U32_MAX;

	x86_get_sregs(v, &old);
	memset(s, 0, sizeof(*s));
	memcpy(s, &old, offsetof(struct kvm_sregs2, flags));
	/* Under nested paging the processor reads them from memory, too. */
	if (pae_paging(v->cr0, v->cr4, v->efer) &&
	    !kvm_read_guest(v->vcpu.kvm, table, s->pdptrs, sizeof(s->pdptrs)))
		s->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	return 0;
}

int x86_set_sregs2(struct x86_vcpu *v, const struct kvm_sregs2 *s)
{
	struct kvm_sregs old = { };

	if (s->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (s->flags && !pae_paging(s->cr0, s->cr4, s->efer))
		return -EINVAL;
	memcpy(&old, s, offsetof(struct kvm_sregs2, flags));
	return set_sregs_common(v, &old);
}
