// SPDX-License-Identifier: GPL-2.0-only
/* PUSH, POP and what builds stack frames. */
#include "emulate_internal.h"

enum emul_result emul_push_reg(struct emulator *e)
{
	u8 size = e->insn.op_size;

	return emul_push(e, size, emul_gpr_read(e, x86_insn_opcode_reg(&e->insn),
						size));
}

enum emul_result emul_pop_reg(struct emulator *e)
{
	u64 value;
	enum emul_result r = emul_pop(e, e->insn.op_size, &value);

	if (r == EMUL_OK)
		emul_gpr_write(e, x86_insn_opcode_reg(&e->insn),
			       e->insn.op_size, value);
	return r;
}

enum emul_result emul_push_imm(struct emulator *e)
{
	return emul_push(e, e->insn.op_size, e->insn.imm);
}

/* An address that uses rSP uses the one after the pop. */
enum emul_result emul_pop_rm(struct emulator *e)
{
	u64 value;
	enum emul_result r = emul_pop(e, e->insn.op_size, &value);

	if (r != EMUL_OK)
		return r;
	emul_compute_offset(e);
	return emul_rm_write(e, e->insn.op_size, value);
}

static u8 pushed_segment(const struct x86_insn *insn)
{
	if (insn->map == X86_MAP_0F)
		return insn->opcode & 8 ? SEG_GS : SEG_FS;
	return insn->opcode >> 3 & 3;
}

enum emul_result emul_push_seg(struct emulator *e)
{
	return emul_push(e, e->insn.op_size,
			 emul_seg(e, pushed_segment(&e->insn))->selector);
}

enum emul_result emul_pop_seg(struct emulator *e)
{
	u8 seg = pushed_segment(&e->insn);
	u64 value;
	enum emul_result r = emul_pop(e, e->insn.op_size, &value);

	if (r == EMUL_OK)
		r = emul_load_segment(e, seg, (u16)value);
	if (r == EMUL_OK && seg == SEG_SS)
		e->shadow = KVM_X86_SHADOW_INT_MOV_SS;
	return r;
}

enum emul_result emul_pusha(struct emulator *e)
{
	u64 sp = e->gpr[REG_RSP];
	u8 size = e->insn.op_size;
	enum emul_result r = EMUL_OK;
	int reg;

	for (reg = REG_RAX; r == EMUL_OK && reg <= REG_RDI; reg++)
		r = emul_push(e, size, reg == REG_RSP ? sp :
			      emul_gpr_read(e, reg, size));
	return r;
}

enum emul_result emul_popa(struct emulator *e)
{
	u8 size = e->insn.op_size;
	enum emul_result r = EMUL_OK;
	u64 value;
	int reg;

	for (reg = REG_RDI; reg >= REG_RAX; reg--) {
		r = emul_pop(e, size, &value);
		if (r != EMUL_OK)
			return r;
		if (reg != REG_RSP)
			emul_gpr_write(e, reg, size, value);
	}
	return r;
}

/* Virtual-8086 mode below IOPL 3: #GP, or the VME extensions we leave. */
static enum emul_result check_vm86_iopl(struct emulator *e)
{
	if (!emul_is_vm86(e) || emul_iopl(e) == 3)
		return EMUL_OK;
	return e->cr4 & CR4_VME ? EMUL_UNHANDLED : emul_gp(e);
}

enum emul_result emul_pushf(struct emulator *e)
{
	enum emul_result r = check_vm86_iopl(e);

	if (r != EMUL_OK)
		return r;
	return emul_push(e, e->insn.op_size, e->rflags & ~(FL_RF | FL_VM));
}

enum emul_result emul_popf(struct emulator *e)
{
	u64 change = FL_ARITH | FL_TF | FL_DF | FL_NT;
	enum emul_result r = check_vm86_iopl(e);
	u64 value;

	if (r == EMUL_OK)
		r = emul_pop(e, e->insn.op_size, &value);
	if (r != EMUL_OK)
		return r;
	if (e->insn.op_size > 2)
		change |= FL_AC | FL_ID;
	if (e->cpl == 0 || !emul_is_protected(e))
		change |= FL_IOPL;
	if (e->cpl <= emul_iopl(e) || !emul_is_protected(e))
		change |= FL_IF;
	e->rflags = (e->rflags & ~change) | (value & change) | FL_ONE;
	return EMUL_OK;
}

/* Nested levels copy frame pointers, which no device code does. */
enum emul_result emul_enter(struct emulator *e)
{
	u32 width = emul_stack_size(e);
	u8 size = e->insn.op_size;
	enum emul_result r;
	u64 frame;

	if (e->insn.imm2 & 31)
		return EMUL_UNHANDLED;
	r = emul_push(e, size, emul_gpr_read(e, REG_RBP, size));
	if (r != EMUL_OK)
		return r;
	frame = emul_gpr_read(e, REG_RSP, width);
	emul_gpr_write(e, REG_RBP, min_t(u32, size, width), frame);
	emul_gpr_write(e, REG_RSP, width, frame - e->insn.imm);
	return EMUL_OK;
}

enum emul_result emul_leave(struct emulator *e)
{
	u32 width = emul_stack_size(e);
	u8 size = e->insn.op_size;
	enum emul_result r;
	u64 value;

	emul_gpr_write(e, REG_RSP, width, emul_gpr_read(e, REG_RBP, width));
	r = emul_pop(e, size, &value);
	if (r == EMUL_OK)
		emul_gpr_write(e, REG_RBP, size, value);
	return r;
}
