// SPDX-License-Identifier: GPL-2.0-only
/* Arithmetic and logic with register and memory operands. */
#include "emulate_internal.h"

/* op rm, value: the ModRM operand is the destination. */
static enum emul_result alu_to_rm(struct emulator *e, u32 op, u64 b)
{
	u8 size = e->insn.op_size;
	u64 flags = e->rflags;
	enum emul_result r;
	u64 a, result;

	r = op == ALU_CMP ? emul_rm_read(e, size, &a) :
			    emul_rm_read_rmw(e, size, &a);
	if (r != EMUL_OK)
		return r;
	result = alu_binary(op, a, b, size, &flags);
	if (op != ALU_CMP)
		return emul_rm_update(e, size, a, result, flags);
	e->rflags = flags;
	return EMUL_OK;
}

/* 00-03, 08-0B ... 38-3B */
enum emul_result emul_alu_rm(struct emulator *e)
{
	u32 op = e->insn.opcode >> 3 & 7;
	u8 size = e->insn.op_size;
	u64 reg = emul_reg_read(e, e->insn.reg, size);
	enum emul_result r;
	u64 b;

	if (!(e->insn.opcode & 2))
		return alu_to_rm(e, op, reg);
	r = emul_rm_read(e, size, &b);
	if (r != EMUL_OK)
		return r;
	b = alu_binary(op, reg, b, size, &e->rflags);
	if (op != ALU_CMP)
		emul_reg_write(e, e->insn.reg, size, b);
	return EMUL_OK;
}

enum emul_result emul_alu_acc_imm(struct emulator *e)
{
	u32 op = e->insn.opcode >> 3 & 7;
	u8 size = e->insn.op_size;
	u64 a = emul_gpr_read(e, REG_RAX, size);

	a = alu_binary(op, a, e->insn.imm, size, &e->rflags);
	if (op != ALU_CMP)
		emul_gpr_write(e, REG_RAX, size, a);
	return EMUL_OK;
}

enum emul_result emul_group1(struct emulator *e)
{
	return alu_to_rm(e, e->insn.reg & 7, e->insn.imm);
}

static enum emul_result test_rm(struct emulator *e, u64 b)
{
	u64 a;
	enum emul_result r = emul_rm_read(e, e->insn.op_size, &a);

	if (r == EMUL_OK)
		alu_logic_flags(a & b, e->insn.op_size, &e->rflags);
	return r;
}

enum emul_result emul_test_rm_reg(struct emulator *e)
{
	return test_rm(e, emul_reg_read(e, e->insn.reg, e->insn.op_size));
}

enum emul_result emul_test_acc_imm(struct emulator *e)
{
	alu_logic_flags(e->gpr[REG_RAX] & e->insn.imm, e->insn.op_size,
			&e->rflags);
	return EMUL_OK;
}

static enum emul_result not_or_neg(struct emulator *e, bool neg)
{
	u8 size = e->insn.op_size;
	u64 flags = e->rflags;
	enum emul_result r;
	u64 a, result;

	r = emul_rm_read_rmw(e, size, &a);
	if (r != EMUL_OK)
		return r;
	result = neg ? alu_binary(ALU_SUB, 0, a, size, &flags) : ~a;
	return emul_rm_update(e, size, a, result, flags);
}

/* The double-width accumulator: AX for bytes, else rDX:rAX. */
static void acc_read(struct emulator *e, u32 size, u64 *low, u64 *high)
{
	*low = emul_gpr_read(e, REG_RAX, size);
	*high = size == 1 ? e->gpr[REG_RAX] >> 8 & 0xff :
			    emul_gpr_read(e, REG_RDX, size);
}

static void acc_write(struct emulator *e, u32 size, u64 low, u64 high)
{
	if (size == 1) {
		emul_gpr_write(e, REG_RAX, 2, (high & 0xff) << 8 | (low & 0xff));
		return;
	}
	emul_gpr_write(e, REG_RAX, size, low);
	emul_gpr_write(e, REG_RDX, size, high);
}

static enum emul_result mul_or_div(struct emulator *e, u32 op)
{
	u8 size = e->insn.op_size;
	bool is_signed = op & 1;
	enum emul_result r;
	u64 low, high, b;

	r = emul_rm_read(e, size, &b);
	if (r != EMUL_OK)
		return r;
	acc_read(e, size, &low, &high);
	if (op < 6)
		alu_mul(low, b, size, is_signed, &low, &high, &e->rflags);
	else if (!alu_div(&low, &high, b, size, is_signed))
		return emul_raise(e, DE_VECTOR);
	acc_write(e, size, low, high);
	return EMUL_OK;
}

/* F6, F7: TEST TEST NOT NEG MUL IMUL DIV IDIV */
enum emul_result emul_group3(struct emulator *e)
{
	u32 op = e->insn.reg & 7;

	if (op < 2)
		return test_rm(e, e->insn.imm);
	return op < 4 ? not_or_neg(e, op == 3) : mul_or_div(e, op);
}

/* FE, and the first two of FF: INC, DEC */
enum emul_result emul_group4(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 flags = e->rflags;
	enum emul_result r;
	u64 a, result;

	r = emul_rm_read_rmw(e, size, &a);
	if (r != EMUL_OK)
		return r;
	result = alu_incdec(a, e->insn.reg & 1, size, &flags);
	return emul_rm_update(e, size, a, result, flags);
}

/* 40-4F, outside 64-bit mode */
enum emul_result emul_incdec_reg(struct emulator *e)
{
	u8 reg = e->insn.opcode & 7;
	u8 size = e->insn.op_size;
	u64 a = emul_gpr_read(e, reg, size);

	emul_gpr_write(e, reg, size,
		       alu_incdec(a, e->insn.opcode & 8, size, &e->rflags));
	return EMUL_OK;
}

static enum emul_result imul_to_reg(struct emulator *e, bool by_imm)
{
	u8 size = e->insn.op_size;
	u64 a, low, high;
	enum emul_result r = emul_rm_read(e, size, &a);

	if (r != EMUL_OK)
		return r;
	alu_mul(a, by_imm ? e->insn.imm : emul_reg_read(e, e->insn.reg, size),
		size, true, &low, &high, &e->rflags);
	emul_reg_write(e, e->insn.reg, size, low);
	return EMUL_OK;
}

enum emul_result emul_imul_reg(struct emulator *e)
{
	return imul_to_reg(e, false);
}

enum emul_result emul_imul_imm(struct emulator *e)
{
	return imul_to_reg(e, true);
}

/*
 * Memory is written in either case, with the old value if they differ. A
 * register is not: its upper half, and that of rAX when equal, stay.
 */
enum emul_result emul_cmpxchg(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 acc = emul_gpr_read(e, REG_RAX, size);
	u64 flags = e->rflags;
	enum emul_result r;
	u64 old;
	bool equal;

	r = emul_rm_read_rmw(e, size, &old);
	if (r != EMUL_OK)
		return r;
	alu_binary(ALU_CMP, acc, old, size, &flags);
	equal = acc == old;
	if (equal)
		r = emul_rm_write_rmw(e, size, old,
				      emul_reg_read(e, e->insn.reg, size));
	else if (x86_insn_has_mem(&e->insn))
		r = emul_rm_write_rmw(e, size, old, old);
	if (r != EMUL_OK)
		return r;
	if (!equal)
		emul_gpr_write(e, REG_RAX, size, old);
	e->rflags = flags;
	return EMUL_OK;
}

enum emul_result emul_xadd(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 flags = e->rflags;
	u64 add = emul_reg_read(e, e->insn.reg, size);
	enum emul_result r;
	u64 old, sum;

	r = emul_rm_read_rmw(e, size, &old);
	if (r != EMUL_OK)
		return r;
	sum = alu_binary(ALU_ADD, old, add, size, &flags);
	/* With one register as both operands the sum stays. */
	if (!x86_insn_has_mem(&e->insn))
		emul_reg_write(e, e->insn.reg, size, old);
	r = emul_rm_write_rmw(e, size, old, sum);
	if (r != EMUL_OK)
		return r;
	if (x86_insn_has_mem(&e->insn))
		emul_reg_write(e, e->insn.reg, size, old);
	e->rflags = flags;
	return EMUL_OK;
}

/* CMPXCHG8B and CMPXCHG16B: two halves of "half" bytes */
static enum emul_result cmpxchg_pair(struct emulator *e, u32 half)
{
	static const u8 names[4] = { REG_RAX, REG_RDX, REG_RBX, REG_RCX };
	u8 expect[16] = { 0 }, new[16] = { 0 }, old[16] = { 0 };
	enum emul_result r;
	u64 low = 0, high = 0;
	bool equal;

	memcpy(expect, &e->gpr[names[0]], half);
	memcpy(expect + half, &e->gpr[names[1]], half);
	memcpy(new, &e->gpr[names[2]], half);
	memcpy(new + half, &e->gpr[names[3]], half);
	r = emul_read(e, e->insn.seg, e->offset, old, 2 * half, EMUL_WRITE);
	if (r != EMUL_OK)
		return r;
	equal = !memcmp(old, expect, 2 * half);
	r = emul_write_locked(e, e->insn.seg, e->offset, old,
			      equal ? new : old, 2 * half);
	if (r != EMUL_OK)
		return r;
	e->rflags = equal ? e->rflags | FL_ZF : e->rflags & ~FL_ZF;
	if (!equal) {
		memcpy(&low, old, half);
		memcpy(&high, old + half, half);
		emul_gpr_write(e, REG_RAX, half, low);
		emul_gpr_write(e, REG_RDX, half, high);
	}
	return EMUL_OK;
}

enum emul_result emul_group9(struct emulator *e)
{
	bool wide = e->insn.rex & 8;
	enum emul_result r;
	u64 linear;

	if ((e->insn.reg & 7) != 1 || !x86_insn_has_mem(&e->insn))
		return EMUL_UNHANDLED;
	if (!wide)
		return cmpxchg_pair(e, 4);
	r = emul_linear(e, e->insn.seg, e->offset, 16, EMUL_WRITE, &linear);
	if (r != EMUL_OK)
		return r;
	return linear & 15 ? emul_gp(e) : cmpxchg_pair(e, 8);
}
