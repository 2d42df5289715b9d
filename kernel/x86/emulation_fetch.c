// SPDX-License-Identifier: GPL-2.0-only
/* The instruction a vCPU is at: fetched, decoded, skipped. */
#include <linux/export.h>

#include "trace.h"
#include "emulation.h"

#define FAULT_QUEUED	2	/* an exception is queued: enter the guest */

/* ---- where the vCPU is ---- */

struct code_position x86_code_position(struct x86_vcpu *v)
{
	struct kvm_segment cs;

	x86_op(get_segment)(v, SEG_CS, &cs);
	if (is_long_mode(v) && cs.l)
		return (struct code_position){ X86_INSN_64, v->rip };
	return (struct code_position){
		.mode = cs.db && !(v->rflags & X86_EFLAGS_VM) ? X86_INSN_32 :
							    X86_INSN_16,
		.linear = (u32)(cs.base + v->rip),
	};
}

u64 x86_linear_rip(struct x86_vcpu *v)
{
	return x86_code_position(v).linear;
}
EXPORT_SYMBOL_GPL(x86_linear_rip);

u64 x86_wrap_rip(u64 rip, enum x86_insn_mode mode)
{
	return mode == X86_INSN_64 ? rip : mode == X86_INSN_32 ? (u32)rip :
								 (u16)rip;
}

/* ---- fetch and decode ---- */

int x86_emulation_failed(struct x86_vcpu *v)
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
		return x86_emulation_failed(v);
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
	return ret > 0 ? 1 : x86_emulation_failed(v);
}

int x86_decode_at(struct x86_vcpu *v, const struct code_position *at,
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
	u64 linear = x86_code_position(v).linear;
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

int x86_trap_after(struct x86_vcpu *v, bool tf)
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
	v->rflags &= ~X86_EFLAGS_RF;
	x86_op(set_interrupt_shadow)(v, 0);
	return x86_trap_after(v, v->rflags & X86_EFLAGS_TF);
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
	at = x86_code_position(v);
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
	v->next_rip = x86_wrap_rip(v->rip + len, at.mode);
	return 1;
}

int x86_skip_insn(struct x86_vcpu *v)
{
	int ret = x86_find_next_rip(v);

	return ret == 1 ? x86_advance_rip(v, v->next_rip) : ret;
}
