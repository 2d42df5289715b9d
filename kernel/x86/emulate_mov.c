// SPDX-License-Identifier: GPL-2.0-only
/* Moves: MOV and its relatives, XCHG, LEA, conversions. */
#include "emulate_internal.h"

enum emul_result emul_mov_rm_reg(struct emulator *e)
{
	u8 size = e->insn.op_size;

	return emul_rm_write(e, size, emul_reg_read(e, e->insn.reg, size));
}

enum emul_result emul_mov_reg_rm(struct emulator *e)
{
	u64 value;
	enum emul_result r = emul_rm_read(e, e->insn.op_size, &value);

	if (r == EMUL_OK)
		emul_reg_write(e, e->insn.reg, e->insn.op_size, value);
	return r;
}

enum emul_result emul_mov_rm_imm(struct emulator *e)
{
	if (e->insn.reg & 7)	/* XABORT, XBEGIN */
		return EMUL_UNHANDLED;
	return emul_rm_write(e, e->insn.op_size, e->insn.imm);
}

enum emul_result emul_mov_reg_imm(struct emulator *e)
{
	emul_reg_write(e, x86_insn_opcode_reg(&e->insn), e->insn.op_size,
		       e->insn.imm);
	return EMUL_OK;
}

enum emul_result emul_mov_moffs(struct emulator *e)
{
	u8 seg = e->insn.seg_override == X86_NO_REG ? SEG_DS :
						      e->insn.seg_override;
	u8 size = e->insn.op_size;
	u64 value = emul_gpr_read(e, REG_RAX, size);
	enum emul_result r;

	if (e->insn.opcode & 2)
		return emul_write(e, seg, e->insn.imm, &value, size);
	value = 0;
	r = emul_read(e, seg, e->insn.imm, &value, size, 0);
	if (r == EMUL_OK)
		emul_gpr_write(e, REG_RAX, size, value);
	return r;
}

enum emul_result emul_mov_rm_sreg(struct emulator *e)
{
	u8 size = x86_insn_has_mem(&e->insn) ? 2 : e->insn.op_size;

	return emul_rm_write(e, size, emul_seg(e, e->insn.reg & 7)->selector);
}

enum emul_result emul_mov_sreg_rm(struct emulator *e)
{
	u64 value;
	enum emul_result r = emul_rm_read(e, 2, &value);

	if (r == EMUL_OK)
		r = emul_load_segment(e, e->insn.reg & 7, (u16)value);
	if (r == EMUL_OK && (e->insn.reg & 7) == SEG_SS)
		e->shadow = KVM_X86_SHADOW_INT_MOV_SS;
	return r;
}

/* Source size of 0F B6, B7, BE, BF. */
static u8 extend_size(const struct emulator *e)
{
	return e->insn.opcode & 1 ? 2 : 1;
}

enum emul_result emul_movzx(struct emulator *e)
{
	u64 value;
	enum emul_result r = emul_rm_read(e, extend_size(e), &value);

	if (r == EMUL_OK)
		emul_reg_write(e, e->insn.reg, e->insn.op_size, value);
	return r;
}

enum emul_result emul_movsx(struct emulator *e)
{
	u8 from = extend_size(e);
	u64 value;
	enum emul_result r = emul_rm_read(e, from, &value);

	if (r == EMUL_OK)
		emul_reg_write(e, e->insn.reg, e->insn.op_size,
			       sign_extend_size(value, from));
	return r;
}

enum emul_result emul_movsxd(struct emulator *e)
{
	u8 from = min_t(u8, 4, e->insn.op_size);
	enum emul_result r;
	u64 value;

	if (!emul_is_64(e))	/* ARPL */
		return EMUL_UNHANDLED;
	r = emul_rm_read(e, from, &value);
	if (r == EMUL_OK)
		emul_reg_write(e, e->insn.reg, e->insn.op_size,
			       sign_extend_size(value, from));
	return r;
}

static u64 swap_bytes(u64 value, u32 size)
{
	u64 out = 0;
	u32 i;

	for (i = 0; i < size; i++)
		out |= (value >> (8 * i) & 0xff) << (8 * (size - 1 - i));
	return out;
}

enum emul_result emul_movbe(struct emulator *e)
{
	u8 size = e->insn.op_size;
	enum emul_result r;
	u64 value;

	if (e->insn.rep)	/* CRC32 */
		return EMUL_UNHANDLED;
	if (!x86_insn_has_mem(&e->insn))
		return emul_raise(e, UD_VECTOR);
	if (e->insn.opcode & 1) {
		value = emul_reg_read(e, e->insn.reg, size);
		return emul_rm_write(e, size, swap_bytes(value, size));
	}
	r = emul_rm_read(e, size, &value);
	if (r == EMUL_OK)
		emul_reg_write(e, e->insn.reg, size, swap_bytes(value, size));
	return r;
}

enum emul_result emul_movnti(struct emulator *e)
{
	u8 size = max_t(u8, 4, e->insn.op_size);

	if (!x86_insn_has_mem(&e->insn) || e->insn.rep || e->insn.op_prefix)
		return emul_raise(e, UD_VECTOR);
	return emul_rm_write(e, size, emul_reg_read(e, e->insn.reg, size));
}

enum emul_result emul_lea(struct emulator *e)
{
	if (!x86_insn_has_mem(&e->insn))
		return emul_raise(e, UD_VECTOR);
	emul_reg_write(e, e->insn.reg, e->insn.op_size, e->offset);
	return EMUL_OK;
}

static u8 far_load_segment(const struct x86_insn *insn)
{
	if (insn->map == X86_MAP_1BYTE)
		return insn->opcode == 0xc4 ? SEG_ES : SEG_DS;
	return insn->opcode == 0xb2 ? SEG_SS :
	       insn->opcode == 0xb4 ? SEG_FS : SEG_GS;
}

/* LES, LDS, LSS, LFS, LGS */
enum emul_result emul_load_far(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 offset = 0, selector = 0;
	enum emul_result r;

	if (!x86_insn_has_mem(&e->insn))
		return emul_raise(e, UD_VECTOR);
	if (size == 8)
		size = 4;	/* AMD knows no 16:64 pointers here */
	r = emul_read(e, e->insn.seg, e->offset, &offset, size, 0);
	if (r == EMUL_OK)
		r = emul_read(e, e->insn.seg, (e->offset + size) &
			      size_mask(e->insn.addr_size), &selector, 2, 0);
	if (r == EMUL_OK)
		r = emul_load_segment(e, far_load_segment(&e->insn),
				      (u16)selector);
	if (r == EMUL_OK)
		emul_reg_write(e, e->insn.reg, e->insn.op_size, offset);
	return r;
}

/* Always locked where it touches memory. */
enum emul_result emul_xchg_rm(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 reg = emul_reg_read(e, e->insn.reg, size);
	enum emul_result r;
	u64 old;

	r = emul_rm_read_rmw(e, size, &old);
	if (r != EMUL_OK)
		return r;
	if (x86_insn_has_mem(&e->insn))
		r = emul_write_locked(e, e->insn.seg, e->offset, &old, &reg,
				      size);
	else
		r = emul_rm_write(e, size, reg);
	if (r == EMUL_OK)
		emul_reg_write(e, e->insn.reg, size, old);
	return r;
}

enum emul_result emul_xchg_rax(struct emulator *e)
{
	u8 reg = x86_insn_opcode_reg(&e->insn);
	u8 size = e->insn.op_size;
	u64 other = emul_gpr_read(e, reg, size);

	if (reg == REG_RAX)	/* NOP, which does not even clear the top */
		return EMUL_OK;
	emul_gpr_write(e, reg, size, emul_gpr_read(e, REG_RAX, size));
	emul_gpr_write(e, REG_RAX, size, other);
	return EMUL_OK;
}

enum emul_result emul_xlat(struct emulator *e)
{
	u8 seg = e->insn.seg_override == X86_NO_REG ? SEG_DS :
						      e->insn.seg_override;
	u64 offset = e->gpr[REG_RBX] + (e->gpr[REG_RAX] & 0xff);
	u64 value = 0;
	enum emul_result r;

	r = emul_read(e, seg, offset & size_mask(e->insn.addr_size), &value, 1,
		      0);
	if (r == EMUL_OK)
		emul_gpr_write(e, REG_RAX, 1, value);
	return r;
}

enum emul_result emul_bswap(struct emulator *e)
{
	u8 reg = x86_insn_opcode_reg(&e->insn);
	u8 size = e->insn.op_size;

	if (size == 2)		/* undefined; what processors do is clear it */
		emul_gpr_write(e, reg, 2, 0);
	else
		emul_gpr_write(e, reg, size,
			       swap_bytes(emul_gpr_read(e, reg, size), size));
	return EMUL_OK;
}

/* Reads memory, and clears the top of a 32-bit register, in any case. */
enum emul_result emul_cmov(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 value;
	enum emul_result r = emul_rm_read(e, size, &value);

	if (r != EMUL_OK)
		return r;
	if (!emul_condition(e->rflags, e->insn.opcode & 15))
		value = emul_reg_read(e, e->insn.reg, size);
	emul_reg_write(e, e->insn.reg, size, value);
	return EMUL_OK;
}

enum emul_result emul_setcc(struct emulator *e)
{
	return emul_rm_write(e, 1, emul_condition(e->rflags,
						  e->insn.opcode & 15));
}

/* CBW, CWDE, CDQE */
enum emul_result emul_cbw(struct emulator *e)
{
	u8 size = e->insn.op_size;

	emul_gpr_write(e, REG_RAX, size,
		       sign_extend_size(e->gpr[REG_RAX], size / 2));
	return EMUL_OK;
}

/* CWD, CDQ, CQO */
enum emul_result emul_cwd(struct emulator *e)
{
	u8 size = e->insn.op_size;
	bool negative = e->gpr[REG_RAX] & sign_bit(size);

	emul_gpr_write(e, REG_RDX, size, negative ? ~0ULL : 0);
	return EMUL_OK;
}
