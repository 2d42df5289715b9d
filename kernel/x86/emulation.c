// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator at work on a vCPU: fetching, skipping, port I/O and MMIO exits.
 *
 * Contract of exits: an MMIO read leaves with nothing changed and is run again
 * once user space answered; a write leaves when the instruction is already
 * done. RIP of an IN or OUT moves at the next KVM_RUN, and only if user space
 * did not move it (a reset by a port write must not be skipped over).
 */
#include <linux/export.h>

#include <asm/msr.h>

#include "../trace.h"
#include "trace.h"
#include "x86.h"

#define RFLAGS_TF	BIT(8)
#define RFLAGS_RF	BIT(16)
#define RFLAGS_VM	BIT(17)
#define FSW_ES		BIT(7)
#define PORT_QUIRK_7E	0x7e

static_assert(EMUL_WRITE == X86_ACCESS_WRITE);
static_assert(EMUL_USER == X86_ACCESS_USER);
static_assert(EMUL_SYSTEM == X86_ACCESS_IMPLICIT);
static_assert(EMUL_NO_GPA == INVALID_GPA);
static_assert(EMUL_PIO_BYTES <= PAGE_SIZE);

/* ---- where the vCPU is ---- */

struct code_position {
	enum x86_insn_mode mode;
	u64 linear;		/* of RIP */
};

static struct code_position code_position(struct x86_vcpu *v)
{
	struct kvm_segment cs;

	x86_op(get_segment)(v, SEG_CS, &cs);
	if (is_long_mode(v) && cs.l)
		return (struct code_position){ X86_INSN_64, v->rip };
	return (struct code_position){
		.mode = cs.db && !(v->rflags & RFLAGS_VM) ? X86_INSN_32 :
							    X86_INSN_16,
		.linear = (u32)(cs.base + v->rip),
	};
}

u64 x86_linear_rip(struct x86_vcpu *v)
{
	return code_position(v).linear;
}
EXPORT_SYMBOL_GPL(x86_linear_rip);

static u64 wrap_rip(u64 rip, enum x86_insn_mode mode)
{
	return mode == X86_INSN_64 ? rip : mode == X86_INSN_32 ? (u32)rip :
								 (u16)rip;
}

/* ---- fetch and decode ---- */

#define FAULT_QUEUED	2	/* an exception is queued: enter the guest */

static int emulation_failed(struct x86_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;
	const struct emulator *e = &v->emul;
	int ret;

	v->vcpu.stat.insn_emulation_fail++;
	trace_kvm_emulate_insn(v, true);
	if (v->forced ||
	    (x86_op(get_cpl)(v) &&
	     !to_x86_vm(v->vcpu.kvm)->exit_on_emulation_failure)) {
		x86_queue_exception(v, UD_VECTOR);
		return FAULT_QUEUED;
	}
	ret = x86_exit_internal_error(v, KVM_INTERNAL_ERROR_EMULATION);
	run->emulation_failure.flags = 0;
	run->emulation_failure.ndata = 1;
	if (e->nr_bytes) {
		run->emulation_failure.ndata = 3;
		run->emulation_failure.flags =
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = e->nr_bytes;
		memcpy(run->emulation_failure.insn_bytes, e->bytes,
		       sizeof(e->bytes));
	}
	return ret;
}

/*
 * Append len bytes at linear to those already fetched. 1 is good; all else is
 * for handle_exit() to return. The processor executed what is there just now,
 * so code outside memory means that the guest pulled it away: report.
 */
static int fetch_more(struct x86_vcpu *v, u64 linear, u32 len)
{
	struct emulator *e = &v->emul;
	struct emul_fault fault;
	int ret;

	ret = x86_fetch_gva(v, linear, e->bytes + e->nr_bytes, len, &fault);
	if (ret > 0) {
		x86_queue_emul_fault(v, &fault);
		return FAULT_QUEUED;
	}
	if (ret < 0)
		return emulation_failed(v);
	e->nr_bytes += len;
	return 1;
}

/* What of it is on its first page. */
static int fetch_first(struct x86_vcpu *v, const struct code_position *at)
{
	v->emul.nr_bytes = 0;
	return fetch_more(v, at->linear,
			  min_t(u32, X86_MAX_INSN_LEN,
				PAGE_SIZE - (at->linear & ~PAGE_MASK)));
}

static int decode_fetched(struct x86_vcpu *v, const struct code_position *at,
			  struct x86_insn *insn)
{
	struct emulator *e = &v->emul;
	u32 first = e->nr_bytes;
	u64 rest;
	int ret;

	ret = x86_insn_decode(insn, e->bytes, first, at->mode);
	if (ret == X86_INSN_TRUNCATED) {
		rest = at->linear + first;
		if (at->mode != X86_INSN_64)
			rest = (u32)rest;
		ret = fetch_more(v, rest, X86_MAX_INSN_LEN - first);
		if (ret != 1)
			return ret;
		ret = x86_insn_decode(insn, e->bytes, X86_MAX_INSN_LEN,
				      at->mode);
	}
	return ret > 0 ? 1 : emulation_failed(v);
}

static int decode_at(struct x86_vcpu *v, const struct code_position *at,
		     struct x86_insn *insn)
{
	struct emulator *e = &v->emul;
	int ret;

	if (v->insn_len) {
		e->nr_bytes = v->insn_len;
		memcpy(e->bytes, v->insn_bytes, sizeof(e->bytes));
		if (x86_insn_decode(insn, e->bytes, e->nr_bytes, at->mode) > 0)
			return 1;
	}
	ret = fetch_first(v, at);
	return ret == 1 ? decode_fetched(v, at, insn) : ret;
}

/*
 * Length of the INT n, INT3 or INTO at RIP that raises vector; 0 if there is
 * none. Quiet: nothing is queued if it cannot be fetched.
 */
u8 x86_int_length(struct x86_vcpu *v, u8 vector)
{
	u64 linear = code_position(v).linear;
	struct emul_fault fault;
	u8 code[2];

	if (x86_fetch_gva(v, linear, code, 1, &fault))
		return 0;
	if ((vector == BP_VECTOR && code[0] == 0xcc) ||
	    (vector == OF_VECTOR && code[0] == 0xce))
		return 1;
	if (code[0] != 0xcd || x86_fetch_gva(v, linear + 1, code + 1, 1, &fault))
		return 0;
	return code[1] == vector ? 2 : 0;
}
EXPORT_SYMBOL_GPL(x86_int_length);

/* ---- the end of an instruction ---- */

/* tf: RFLAGS.TF as the instruction began */
static int trap_after(struct x86_vcpu *v, bool tf)
{
	if (unlikely(v->guest_debug & KVM_GUESTDBG_SINGLESTEP))
		return x86_singlestep_done(v);
	if (unlikely(tf))
		x86_queue_exception_p(v, DB_VECTOR, DR6_BS);
	return 1;
}

int x86_advance_rip(struct x86_vcpu *v, u64 next_rip)
{
	v->rip = next_rip;
	v->rflags &= ~RFLAGS_RF;
	x86_op(set_interrupt_shadow)(v, 0);
	return trap_after(v, v->rflags & RFLAGS_TF);
}

/*
 * Length of what exits most, the same in every mode: HLT, CPUID, RDMSR, WRMSR
 * without prefixes. 0: decode it.
 */
static u32 common_length(const struct emulator *e)
{
	const u8 *b = e->bytes;

	if (e->nr_bytes < 2)
		return 0;
	if (b[0] == 0xf4)
		return 1;
	return b[0] == 0x0f && (b[1] == 0xa2 || b[1] == 0x30 ||
				b[1] == 0x32) ? 2 : 0;
}

int x86_find_next_rip(struct x86_vcpu *v)
{
	struct code_position at;
	struct x86_insn insn;
	u32 len;
	int ret;

	if (v->next_rip)
		return 1;
	at = code_position(v);
	ret = fetch_first(v, &at);
	if (ret != 1)
		return ret;
	len = common_length(&v->emul);
	if (!len) {
		ret = decode_fetched(v, &at, &insn);
		if (ret != 1)
			return ret;
		len = insn.len;
	}
	v->next_rip = wrap_rip(v->rip + len, at.mode);
	return 1;
}

int x86_skip_insn(struct x86_vcpu *v)
{
	int ret = x86_find_next_rip(v);

	return ret == 1 ? x86_advance_rip(v, v->next_rip) : ret;
}

/* ---- UD2 "kvm", for tests: the instruction behind it is emulated ---- */

#define FORCE_CLEAR_RF	2

static int force_emulation;
module_param_named(force_emulation_prefix, force_emulation, int, 0644);
MODULE_PARM_DESC(force_emulation_prefix,
	"Emulate what guests put behind UD2 \"kvm\" (2: with RFLAGS.RF clear)");

/* The guest's own breakpoints on executing what is at linear: bits of DR6. */
static u64 breakpoints_at(const struct x86_vcpu *v, u64 linear)
{
	u64 hit = 0;
	int i;

	for (i = 0; i < 4 && !(v->rflags & RFLAGS_RF); i++)
		if (v->dr7 >> 2 * i & 3 && !(v->dr7 >> (16 + 4 * i) & 3) &&
		    v->db[i] == linear)
			hit |= BIT(i);
	return hit;
}

/* What is intercepted always is not the emulator's. */
static int emulate_forced_insn(struct x86_vcpu *v)
{
	struct code_position at = code_position(v);
	struct x86_insn insn;
	int ret = decode_at(v, &at, &insn);

	if (ret != 1 || insn.map != X86_MAP_0F || (insn.opcode & ~2) != 0x30)
		return ret == 1 ? x86_emulate_insn(v, INVALID_GPA, false) : ret;
	if (x86_op(get_cpl)(v)) {
		x86_queue_exception_e(v, GP_VECTOR, 0);
		return 1;
	}
	return insn.opcode & 2 ? x86_emulate_rdmsr(v) : x86_emulate_wrmsr(v);
}

/* False if there is no prefix to take; *ret is for handle_exit() to return. */
static bool emulate_forced(struct x86_vcpu *v, int *ret)
{
	static const u8 prefix[5] = { 0x0f, 0x0b, 'k', 'v', 'm' };
	struct code_position at = code_position(v);
	int param = READ_ONCE(force_emulation);
	struct emul_fault fault;
	u8 code[sizeof(prefix)];
	u64 hit;

	if (!param || x86_fetch_gva(v, at.linear, code, sizeof(code), &fault) ||
	    memcmp(code, prefix, sizeof(prefix)))
		return false;
	v->rip = wrap_rip(v->rip + sizeof(prefix), at.mode);
	v->next_rip = 0;
	if (param & FORCE_CLEAR_RF)
		v->rflags &= ~RFLAGS_RF;
	*ret = 1;
	hit = breakpoints_at(v, x86_linear_rip(v));
	if (hit) {
		x86_queue_exception_p(v, DB_VECTOR, hit);
		return true;
	}
	v->forced = true;
	*ret = emulate_forced_insn(v);
	v->forced = false;
	return true;
}

/* ---- hypercalls of the other vendor ---- */

int x86_ud_intercepted(struct x86_vcpu *v, const u8 other[3], const u8 ours[3])
{
	u64 linear = code_position(v).linear;
	struct emul_fault fault;
	u8 insn[3];
	int ret;

	if (emulate_forced(v, &ret))
		return ret;
	if (to_x86_vm(v->vcpu.kvm)->disabled_quirks &
	    KVM_X86_QUIRK_FIX_HYPERCALL_INSN ||
	    x86_fetch_gva(v, linear, insn, sizeof(insn), &fault) ||
	    memcmp(insn, other, sizeof(insn))) {
		x86_queue_exception(v, UD_VECTOR);
		return 1;
	}
	ret = x86_write_gva(v, linear, ours, sizeof(insn), X86_ACCESS_WRITE,
			    &fault);
	if (ret > 0)
		x86_queue_emul_fault(v, &fault);
	else if (ret)
		x86_queue_exception(v, UD_VECTOR);
	return 1;
}
EXPORT_SYMBOL_GPL(x86_ud_intercepted);

/* ---- IN and OUT in register form, without the emulator ---- */

static int exit_pio(struct x86_vcpu *v, bool in, u16 port, u8 size, u32 count,
		    x86_complete_fn complete)
{
	struct kvm_run *run = v->vcpu.run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return x86_exit_complete_later(v, complete);
}

/* As processors do: 4 bytes clear the upper half, 1 and 2 leave the rest. */
static void set_rax(struct x86_vcpu *v, u8 size, u32 value)
{
	if (size == 4)
		v->gpr[REG_RAX] = value;
	else
		memcpy(&v->gpr[REG_RAX], &value, size);
}

static int complete_out(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	return v->rip == v->io.rip ? x86_advance_rip(v, v->io.next_rip) : 1;
}

static int complete_in(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	u32 value = 0;

	if (v->rip != v->io.rip)
		return 1;
	trace_kvm_pio(KVM_PIO_IN, v->io.port, v->io.size, 1, vcpu->pio_page);
	memcpy(&value, vcpu->pio_page, v->io.size);
	set_rax(v, v->io.size, value);
	return x86_advance_rip(v, v->io.next_rip);
}

/* Old firmware tables count on port 7e being past the OUT at the exit. */
static bool out_7e_quirk(struct x86_vcpu *v, u16 port)
{
	return port == PORT_QUIRK_7E &&
	       !(to_x86_vm(v->vcpu.kvm)->disabled_quirks &
		 KVM_X86_QUIRK_OUT_7E_INC_RIP);
}

static int nothing_left(struct kvm_vcpu *vcpu)
{
	return 1;
}

static int pio_out(struct x86_vcpu *v, u16 port, u8 size)
{
	u32 value = (u32)v->gpr[REG_RAX];

	trace_kvm_pio(KVM_PIO_OUT, port, size, 1, &value);
	if (!kvm_io_bus_write(&v->vcpu, KVM_PIO_BUS, port, size, &value))
		return x86_advance_rip(v, v->io.next_rip);
	memcpy(v->vcpu.pio_page, &value, size);
	if (out_7e_quirk(v, port)) {
		x86_advance_rip(v, v->io.next_rip);
		return exit_pio(v, false, port, size, 1, nothing_left);
	}
	return exit_pio(v, false, port, size, 1, complete_out);
}

static int pio_in(struct x86_vcpu *v, u16 port, u8 size)
{
	u32 value = 0;

	if (kvm_io_bus_read(&v->vcpu, KVM_PIO_BUS, port, size, &value))
		return exit_pio(v, true, port, size, 1, complete_in);
	trace_kvm_pio(KVM_PIO_IN, port, size, 1, &value);
	set_rax(v, size, value);
	return x86_advance_rip(v, v->io.next_rip);
}

int x86_emulate_pio(struct x86_vcpu *v, u16 port, int size, bool in,
		    u64 next_rip)
{
	if (size != 1 && size != 2 && size != 4)
		return x86_exit_internal_error(v, KVM_INTERNAL_ERROR_EMULATION);
	v->io.rip = v->rip;
	v->io.next_rip = next_rip;
	v->io.port = port;
	v->io.size = size;
	return in ? pio_in(v, port, size) : pio_out(v, port, size);
}
EXPORT_SYMBOL_GPL(x86_emulate_pio);

/* ---- what the emulator asks of the vCPU ---- */

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

static const struct emul_ops emul_ops = {
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

/* ---- running it, and the exits that come of it ---- */

static int run_emulator(struct x86_vcpu *v);

static int exit_mmio(struct x86_vcpu *v, const struct emul_mmio_access *a,
		     bool is_write, x86_complete_fn complete)
{
	struct kvm_run *run = v->vcpu.run;

	v->vcpu.stat.mmio_exits++;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = a->gpa;
	run->mmio.len = a->len;
	run->mmio.is_write = is_write;
	if (is_write)
		memcpy(run->mmio.data, a->data, sizeof(run->mmio.data));
	return x86_exit_complete_later(v, complete);
}

/* User space may have reset the vCPU instead of answering. */
static bool insn_abandoned(struct x86_vcpu *v)
{
	return v->rip != v->emul.start_rip;
}

static int complete_mmio_read(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	const struct emul_mmio_access *a = emul_mmio_waiting(&v->emul);

	if (insn_abandoned(v))
		return 1;
	if (a)
		trace_kvm_mmio(KVM_TRACE_MMIO_READ, a->len, a->gpa,
			       vcpu->run->mmio.data);
	emul_mmio_answer(&v->emul, vcpu->run->mmio.data);
	return run_emulator(v);
}

/* The elements that user space carries out at once; the first is shown. */
static void trace_pio_batch(struct x86_vcpu *v, unsigned int rw)
{
	const struct emul_pio *p = &v->emul.pio;

	trace_kvm_pio(rw, p->port, p->size, p->count, p->data);
}

static int complete_pio_in(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	if (insn_abandoned(v))
		return 1;
	trace_pio_batch(v, KVM_PIO_IN);
	v->emul.pio.answered = true;
	return run_emulator(v);
}

/* After the last write a debugger gets the step it asked for. */
static int writes_done(struct x86_vcpu *v)
{
	if (!v->io.step_pending)
		return 1;
	v->io.step_pending = false;
	return trap_after(v, false);
}

static int complete_pio_out(struct kvm_vcpu *vcpu)
{
	return writes_done(to_x86(vcpu));
}

static int complete_mmio_write(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	const struct emul_mmio_access *a = emul_mmio_next_write(&v->emul);

	if (!a)
		return writes_done(v);
	return exit_mmio(v, a, true, complete_mmio_write);
}

static int exit_for_answer(struct x86_vcpu *v)
{
	const struct emul_mmio_access *a = emul_mmio_waiting(&v->emul);
	const struct emul_pio *p = &v->emul.pio;

	if (a)
		return exit_mmio(v, a, false, complete_mmio_read);
	return exit_pio(v, true, p->port, p->size, p->count, complete_pio_in);
}

/* Writes that user space has to carry out, or 1 if there are none. */
static int exit_for_writes(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;

	if (e->pio.count) {
		trace_pio_batch(v, KVM_PIO_OUT);
		return exit_pio(v, false, e->pio.port, e->pio.size,
				e->pio.count, complete_pio_out);
	}
	return complete_mmio_write(&v->vcpu);
}

static void take_over_registers(struct x86_vcpu *v)
{
	memcpy(v->gpr, v->emul.gpr, sizeof(v->gpr));
	v->rflags = v->emul.rflags;
	v->rip = v->emul.rip;
}

static int insn_done(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;
	bool tf = v->rflags & RFLAGS_TF;
	bool writes = e->mmio.nr_writes || e->pio.count;

	take_over_registers(v);
	if (!e->rep_pending)
		x86_op(set_interrupt_shadow)(v, e->shadow);
	if (e->shadow & KVM_X86_SHADOW_INT_MOV_SS)
		tf = false;
	if (!writes)
		return trap_after(v, tf);
	v->io.step_pending = v->guest_debug & KVM_GUESTDBG_SINGLESTEP;
	if (!v->io.step_pending)
		trap_after(v, tf);
	return exit_for_writes(v);
}

static void load_emulator(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;

	memcpy(e->gpr, v->gpr, sizeof(e->gpr));
	e->rip = v->rip;
	e->rflags = v->rflags;
	e->cr0 = v->cr0;
	e->cr4 = v->cr4;
	e->efer = v->efer;
	e->cpl = x86_op(get_cpl)(v);
}

static int run_emulator(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;
	enum emul_result r;

	load_emulator(v);
	r = emul_run(e);
	if (r != EMUL_OK && e->progress)
		take_over_registers(v);
	switch (r) {
	case EMUL_OK:
		return insn_done(v);
	case EMUL_FAULT:
		x86_queue_emul_fault(v, &e->fault);
		return 1;
	case EMUL_IO_NEEDED:
		return exit_for_answer(v);
	case EMUL_RETRY:
		return 1;
	default:
		return emulation_failed(v);
	}
}

int x86_emulate_insn(struct x86_vcpu *v, gpa_t gpa, bool write)
{
	struct code_position at = code_position(v);
	struct emulator *e = &v->emul;
	int ret;

	v->vcpu.stat.insn_emulation++;
	ret = decode_at(v, &at, &e->insn);
	if (ret != 1)
		return ret;
	trace_kvm_emulate_insn(v, false);
	emul_begin(e);
	e->exit_gpa = gpa;
	e->exit_write = write;
	e->ops = &emul_ops;
	e->pio.data = v->vcpu.pio_page;
	return run_emulator(v);
}
EXPORT_SYMBOL_GPL(x86_emulate_insn);

int x86_emulate_task_switch(struct x86_vcpu *v, struct emul_task *task,
			    bool skip)
{
	struct emulator *e = &v->emul;
	enum emul_result r;
	int ret = skip ? x86_find_next_rip(v) : 1;

	if (ret != 1)
		return ret;
	load_emulator(v);
	emul_begin(e);
	e->ops = &emul_ops;
	if (skip)
		e->rip = v->next_rip;
	r = emul_task_switch(e, task);
	if (r != EMUL_OK && r != EMUL_FAULT)
		return emulation_failed(v);
	if (r == EMUL_OK || e->progress) {
		/* The event that came through a task gate has arrived. */
		x86_clear_injected(v);
		take_over_registers(v);
		x86_ops->set_interrupt_shadow(v, 0);
	}
	if (r == EMUL_FAULT)
		x86_queue_emul_fault(v, &e->fault);
	else if (task->trap)
		x86_queue_exception_p(v, DB_VECTOR, DR6_BT);
	return 1;
}
EXPORT_SYMBOL_GPL(x86_emulate_task_switch);
