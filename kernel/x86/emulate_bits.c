// SPDX-License-Identifier: GPL-2.0-only
/* Shifts, rotates and single bits. */
#include "emulate_internal.h"

/* C0, C1: by an immediate; D0, D1: by one; D2, D3: by CL */
static u32 shift_count(const struct emulator *e)
{
	if (e->insn.opcode < 0xd0)
		return e->insn.imm & 0xff;
	return e->insn.opcode & 2 ? e->gpr[REG_RCX] & 0xff : 1;
}

enum emul_result emul_group2(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 flags = e->rflags;
	enum emul_result r;
	u64 a, result;

	r = emul_rm_read_rmw(e, size, &a);
	if (r != EMUL_OK)
		return r;
	result = alu_shift(e->insn.reg & 7, a, shift_count(e), size, &flags);
	return emul_rm_update(e, size, a, result, flags);
}

/* 0F A4, A5: left; AC, AD: right; the odd ones by CL */
enum emul_result emul_shld_shrd(struct emulator *e)
{
	u32 count = e->insn.opcode & 1 ? e->gpr[REG_RCX] : e->insn.imm;
	u8 size = e->insn.op_size;
	u64 flags = e->rflags;
	enum emul_result r;
	u64 a, result;

	r = emul_rm_read_rmw(e, size, &a);
	if (r != EMUL_OK)
		return r;
	result = alu_double_shift(e->insn.opcode & 8, a,
				  emul_reg_read(e, e->insn.reg, size),
				  count & 0xff, size, &flags);
	return emul_rm_update(e, size, a, result, flags);
}

enum { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static enum emul_result bit_op(struct emulator *e, u32 op, u64 bit)
{
	u8 size = e->insn.op_size;
	u64 mask = 1ULL << (bit & (8 * size - 1));
	enum emul_result r;
	u64 a, result;

	r = op == BIT_TEST ? emul_rm_read(e, size, &a) :
			     emul_rm_read_rmw(e, size, &a);
	if (r != EMUL_OK)
		return r;
	result = op == BIT_SET ? a | mask :
		 op == BIT_RESET ? a & ~mask : a ^ mask;
	if (op != BIT_TEST)
		r = emul_rm_write_rmw(e, size, a, result);
	if (r == EMUL_OK)
		e->rflags = (e->rflags & ~FL_CF) | (a & mask ? FL_CF : 0);
	return r;
}

/* 0F A3, AB, B3, BB: the register reaches bits beyond the operand. */
enum emul_result emul_bt_reg(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 bit = emul_reg_read(e, e->insn.reg, size);
	s64 index = (s64)sign_extend_size(bit, size) >> (size == 8 ? 6 :
							 size == 4 ? 5 : 4);

	if (x86_insn_has_mem(&e->insn))
		e->offset = (e->offset + (u64)index * size) &
			    size_mask(e->insn.addr_size);
	return bit_op(e, e->insn.opcode >> 3 & 3, bit);
}

enum emul_result emul_bt_imm(struct emulator *e)
{
	return bit_op(e, e->insn.reg & 3, e->insn.imm);
}

/* BSF and BSR; with F3 these are TZCNT and LZCNT, which we leave alone. */
enum emul_result emul_bit_scan(struct emulator *e)
{
	u8 size = e->insn.op_size;
	enum emul_result r;
	u64 a, n;

	if (e->insn.rep == 0xf3)
		return EMUL_UNHANDLED;
	r = emul_rm_read(e, size, &a);
	if (r != EMUL_OK)
		return r;
	if (!a) {
		e->rflags |= FL_ZF;
		return EMUL_OK;
	}
	e->rflags &= ~FL_ZF;
	n = e->insn.opcode & 1 ? 63 - __builtin_clzll(a) : __builtin_ctzll(a);
	emul_reg_write(e, e->insn.reg, size, n);
	return EMUL_OK;
}
