// SPDX-License-Identifier: GPL-2.0-only
/* The guest's #UD: forced emulation's prefix, another vendor's hypercall. */
#include <linux/export.h>
#include <linux/moduleparam.h>

#include "emulation.h"

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

	for (i = 0; i < 4 && !(v->rflags & X86_EFLAGS_RF); i++)
		if (v->dr7 >> 2 * i & 3 && !(v->dr7 >> (16 + 4 * i) & 3) &&
		    v->db[i] == linear)
			hit |= BIT(i);
	return hit;
}

/* What is intercepted always is not the emulator's. */
static int emulate_forced_insn(struct x86_vcpu *v)
{
	struct code_position at = x86_code_position(v);
	struct x86_insn insn;
	int ret = x86_decode_at(v, &at, &insn);

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
	struct code_position at = x86_code_position(v);
	int param = READ_ONCE(force_emulation);
	struct emul_fault fault;
	u8 code[sizeof(prefix)];
	u64 hit;

	if (!param || x86_fetch_gva(v, at.linear, code, sizeof(code), &fault) ||
	    memcmp(code, prefix, sizeof(prefix)))
		return false;
	v->rip = x86_wrap_rip(v->rip + sizeof(prefix), at.mode);
	v->next_rip = 0;
	if (param & FORCE_CLEAR_RF)
		v->rflags &= ~X86_EFLAGS_RF;
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
	u64 linear = x86_code_position(v).linear;
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
