// SPDX-License-Identifier: GPL-2.0-only
/* What the emulator asks of its vCPU: memory, devices, registers. */
#include <asm/msr.h>

#include "../trace.h"
#include "trace.h"
#include "emulation.h"

#define FSW_ES		BIT(7)

static struct x86_vcpu *vcpu_of(struct emulator *e)
{
	return container_of(e, struct x86_vcpu, emul);
}

static enum emul_result op_translate(struct emulator *e, u64 linear,
				     u32 access, u64 *gpa)
{
	return x86_gva_to_gpa(vcpu_of(e), linear, access, gpa, &e->fault) ?
		EMUL_FAULT : EMUL_OK;
}

static int op_phys_read(struct emulator *e, u64 gpa, void *data, u32 len)
{
	return kvm_read_guest(vcpu_of(e)->vcpu.kvm, gpa, data, len);
}

static int op_phys_write(struct emulator *e, u64 gpa, const void *data,
			 u32 len)
{
	return kvm_write_guest(vcpu_of(e)->vcpu.kvm, gpa, data, len);
}

static bool op_phys_writable(struct emulator *e, u64 gpa)
{
	bool writable = false;

	return kvm_gfn_to_hva(vcpu_of(e)->vcpu.kvm, gpa >> PAGE_SHIFT,
			      &writable) && writable;
}

/*
 * 16 bytes are written plainly: nothing on a mapped page comes here, only an
 * instruction with one foot in a device, and CMPXCHG16B has but one operand.
 */
static int op_phys_cmpxchg(struct emulator *e, u64 gpa, const void *old,
			   const void *new, u32 len)
{
	struct kvm *kvm = vcpu_of(e)->vcpu.kvm;
	u64 old_value = 0, new_value = 0;
	int ret;

	if (len > 8)
		return kvm_write_guest(kvm, gpa, new, len) ? -EFAULT : 0;
	memcpy(&old_value, old, len);
	memcpy(&new_value, new, len);
	ret = kvm_cmpxchg_guest(kvm, gpa, old_value, new_value, len);
	return ret == -EAGAIN ? 1 : ret;
}

static int op_mmio_read(struct emulator *e, u64 gpa, void *data, u32 len)
{
	int ret = kvm_io_bus_read(&vcpu_of(e)->vcpu, KVM_MMIO_BUS, gpa, len,
				  data);

	if (ret)
		trace_kvm_mmio(KVM_TRACE_MMIO_READ_UNSATISFIED, len, gpa, NULL);
	else
		trace_kvm_mmio(KVM_TRACE_MMIO_READ, len, gpa, data);
	return ret;
}

static int op_mmio_write(struct emulator *e, u64 gpa, const void *data,
			 u32 len)
{
	trace_kvm_mmio(KVM_TRACE_MMIO_WRITE, len, gpa, data);
	return kvm_io_bus_write(&vcpu_of(e)->vcpu, KVM_MMIO_BUS, gpa, len,
				data);
}

static int op_port_read(struct emulator *e, u16 port, void *data, u32 len)
{
	int ret = kvm_io_bus_read(&vcpu_of(e)->vcpu, KVM_PIO_BUS, port, len,
				  data);

	if (!ret)
		trace_kvm_pio(KVM_PIO_IN, port, len, 1, data);
	return ret;
}

static int op_port_write(struct emulator *e, u16 port, const void *data,
			 u32 len)
{
	int ret = kvm_io_bus_write(&vcpu_of(e)->vcpu, KVM_PIO_BUS, port, len,
				   data);

	if (!ret)
		trace_kvm_pio(KVM_PIO_OUT, port, len, 1, data);
	return ret;
}

static void op_get_segment(struct emulator *e, enum x86_seg seg,
			   struct kvm_segment *out)
{
	x86_op(get_segment)(vcpu_of(e), seg, out);
}

static void op_set_segment(struct emulator *e, enum x86_seg seg,
			   const struct kvm_segment *in)
{
	x86_ops->set_segment(vcpu_of(e), seg, in);
}

static void op_get_table(struct emulator *e, bool idt, struct kvm_dtable *dt)
{
	if (idt)
		x86_ops->get_idt(vcpu_of(e), dt);
	else
		x86_ops->get_gdt(vcpu_of(e), dt);
}

static void op_set_table(struct emulator *e, bool idt,
			 const struct kvm_dtable *dt)
{
	if (idt)
		x86_ops->set_idt(vcpu_of(e), dt);
	else
		x86_ops->set_gdt(vcpu_of(e), dt);
}

static u64 read_cr(struct x86_vcpu *v, int cr)
{
	switch (cr) {
	case 0:
		return v->cr0;
	case 2:
		return v->cr2;
	case 3:
		return v->cr3;
	case 4:
		return v->cr4;
	default:
		return x86_get_cr8(v);
	}
}

static u64 op_get_cr(struct emulator *e, int cr)
{
	u64 value = read_cr(vcpu_of(e), cr);

	trace_kvm_cr(false, cr, value);
	return value;
}

static int op_set_cr(struct emulator *e, int cr, u64 value)
{
	struct x86_vcpu *v = vcpu_of(e);

	trace_kvm_cr(true, cr, value);
	switch (cr) {
	case 0:
		return x86_set_cr0(v, value);
	case 2:
		v->cr2 = value;
		return 0;
	case 3:
		return x86_set_cr3(v, value);
	case 4:
		return x86_set_cr4(v, value);
	default:
		return x86_set_cr8(v, value);
	}
}

static u64 op_get_dr(struct emulator *e, int dr)
{
	return x86_get_dr(vcpu_of(e), dr);
}

static int op_set_dr(struct emulator *e, int dr, u64 value)
{
	return x86_set_dr(vcpu_of(e), dr, value);
}

#define XMM_CASES(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) \
	X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define XMM_STORE(n) \
	case n: asm volatile("movdqu %%xmm" #n ", %0" : "=m"(*x)); break;
#define XMM_LOAD(n) \
	case n: asm volatile("movdqu %0, %%xmm" #n : : "m"(*x)); break;

struct xmm_value {
	u8 data[16];
};

/* The guest's registers are the task's while in KVM_RUN; bring them in. */
static void guest_fpu_begin(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

static void op_get_xmm(struct emulator *e, int reg, u8 data[16])
{
	struct xmm_value *x = (struct xmm_value *)data;

	guest_fpu_begin();
	switch (reg & 15) {
	XMM_CASES(XMM_STORE)
	}
	fpregs_unlock();
}

static void op_set_xmm(struct emulator *e, int reg, const u8 data[16])
{
	const struct xmm_value *x = (const struct xmm_value *)data;

	guest_fpu_begin();
	switch (reg & 15) {
	XMM_CASES(XMM_LOAD)
	}
	fpregs_unlock();
}

#define MM_CASES(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define MM_MOVE(n)							\
	case n:								\
		if (load)						\
			asm volatile("movq %0, %%mm" #n : : "m"(*data));	\
		else							\
			asm volatile("movq %%mm" #n ", %0" : "=m"(*data)); \
		break;

/* With FSW.ES set the processor would raise #MF right here. */
static int op_move_mm(struct emulator *e, int reg, u64 *data, bool load)
{
	u16 pending;

	guest_fpu_begin();
	asm volatile("fnstsw %0" : "=a"(pending));
	pending &= FSW_ES;
	if (!pending)
		switch (reg & 7) {
		MM_CASES(MM_MOVE)
		}
	fpregs_unlock();
	return pending;
}

static void op_cpuid(struct emulator *e, u32 regs[4])
{
	x86_cpuid_query(vcpu_of(e), &regs[0], &regs[1], &regs[2], &regs[3]);
}

static u64 op_rdtsc(struct emulator *e)
{
	return x86_guest_tsc(vcpu_of(e), rdtsc());
}

static void op_invlpg(struct emulator *e, u64 linear)
{
	x86_ops->flush_tlb_gva(vcpu_of(e), linear);
}

const struct emul_ops x86_emul_ops = {
	.translate = op_translate,
	.phys_read = op_phys_read,
	.phys_write = op_phys_write,
	.phys_writable = op_phys_writable,
	.phys_cmpxchg = op_phys_cmpxchg,
	.mmio_read = op_mmio_read,
	.mmio_write = op_mmio_write,
	.port_read = op_port_read,
	.port_write = op_port_write,
	.get_segment = op_get_segment,
	.set_segment = op_set_segment,
	.get_table = op_get_table,
	.set_table = op_set_table,
	.get_cr = op_get_cr,
	.set_cr = op_set_cr,
	.get_dr = op_get_dr,
	.set_dr = op_set_dr,
	.get_xmm = op_get_xmm,
	.set_xmm = op_set_xmm,
	.move_mm = op_move_mm,
	.cpuid = op_cpuid,
	.rdtsc = op_rdtsc,
	.invlpg = op_invlpg,
};
