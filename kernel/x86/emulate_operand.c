// SPDX-License-Identifier: GPL-2.0-only
/* Operands: registers, ModRM memory, the stack, branch targets. */
#include "emulate_internal.h"

u64 emul_gpr_read(const struct emulator *e, u8 reg, u32 size)
{
	return e->gpr[reg & 15] & size_mask(size);
}

void emul_gpr_write(struct emulator *e, u8 reg, u32 size, u64 value)
{
	u64 *r = &e->gpr[reg & 15];

	if (size == 4)
		*r = (u32)value;
	else
		*r = (*r & ~size_mask(size)) | (value & size_mask(size));
}

/* Without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
static bool is_high_byte(const struct emulator *e, u8 reg, u32 size)
{
	return size == 1 && !e->insn.rex && reg >= 4 && reg < 8;
}

u64 emul_reg_read(const struct emulator *e, u8 reg, u32 size)
{
	if (is_high_byte(e, reg, size))
		return e->gpr[reg & 3] >> 8 & 0xff;
	return emul_gpr_read(e, reg, size);
}

void emul_reg_write(struct emulator *e, u8 reg, u32 size, u64 value)
{
	u64 *r = &e->gpr[reg & 3];

	if (is_high_byte(e, reg, size))
		*r = (*r & ~0xff00ULL) | (value & 0xff) << 8;
	else
		emul_gpr_write(e, reg, size, value);
}

void emul_compute_offset(struct emulator *e)
{
	const struct x86_insn *insn = &e->insn;
	u64 offset = (u64)(s64)insn->disp;

	if (insn->base != X86_NO_REG)
		offset += e->gpr[insn->base & 15];
	if (insn->index != X86_NO_REG)
		offset += e->gpr[insn->index & 15] << insn->scale;
	if (insn->rip_relative)
		offset += e->rip;
	e->offset = offset & size_mask(insn->addr_size);
}

static enum emul_result rm_read(struct emulator *e, u32 size, u64 *value,
				u32 access)
{
	*value = 0;
	if (x86_insn_has_mem(&e->insn))
		return emul_read(e, e->insn.seg, e->offset, value, size, access);
	*value = emul_reg_read(e, e->insn.rm, size);
	return EMUL_OK;
}

enum emul_result emul_rm_read(struct emulator *e, u32 size, u64 *value)
{
	return rm_read(e, size, value, 0);
}

enum emul_result emul_rm_read_rmw(struct emulator *e, u32 size, u64 *value)
{
	return rm_read(e, size, value, EMUL_WRITE);
}

enum emul_result emul_rm_write(struct emulator *e, u32 size, u64 value)
{
	if (x86_insn_has_mem(&e->insn))
		return emul_write(e, e->insn.seg, e->offset, &value, size);
	emul_reg_write(e, e->insn.rm, size, value);
	return EMUL_OK;
}

enum emul_result emul_rm_write_rmw(struct emulator *e, u32 size, u64 old,
				   u64 value)
{
	if (e->insn.lock && x86_insn_has_mem(&e->insn))
		return emul_write_locked(e, e->insn.seg, e->offset, &old,
					 &value, size);
	return emul_rm_write(e, size, value);
}

enum emul_result emul_rm_update(struct emulator *e, u32 size, u64 old,
				u64 value, u64 flags)
{
	enum emul_result r = emul_rm_write_rmw(e, size, old, value);

	if (r == EMUL_OK)
		e->rflags = flags;
	return r;
}

u32 emul_stack_size(struct emulator *e)
{
	if (emul_is_64(e))
		return 8;
	return emul_seg(e, SEG_SS)->db ? 4 : 2;
}

enum emul_result emul_push(struct emulator *e, u32 size, u64 value)
{
	u32 width = emul_stack_size(e);
	u64 sp = (e->gpr[REG_RSP] - size) & size_mask(width);

	emul_gpr_write(e, REG_RSP, width, sp);
	return emul_write(e, SEG_SS, sp, &value, size);
}

enum emul_result emul_pop(struct emulator *e, u32 size, u64 *value)
{
	u32 width = emul_stack_size(e);
	u64 sp = emul_gpr_read(e, REG_RSP, width);
	enum emul_result r;

	*value = 0;
	r = emul_read(e, SEG_SS, sp, value, size, 0);
	if (r == EMUL_OK)
		emul_gpr_write(e, REG_RSP, width, sp + size);
	return r;
}

/* Near branch: the target is cut to the operand size, then checked. */
enum emul_result emul_jump(struct emulator *e, u64 target)
{
	target &= size_mask(e->insn.word_size);
	if (emul_is_64(e) ? !emul_canonical(e, target) :
	    target > emul_seg(e, SEG_CS)->limit)
		return emul_gp(e);
	e->rip = target;
	return EMUL_OK;
}

bool emul_condition(u64 f, u8 cc)
{
	bool sf = f & FL_SF, of = f & FL_OF, zf = f & FL_ZF;
	bool result = false;

	switch (cc >> 1 & 7) {
	case 0:
		result = of;
		break;
	case 1:
		result = f & FL_CF;
		break;
	case 2:
		result = zf;
		break;
	case 3:
		result = f & (FL_CF | FL_ZF);
		break;
	case 4:
		result = sf;
		break;
	case 5:
		result = f & FL_PF;
		break;
	case 6:
		result = sf != of;
		break;
	case 7:
		result = zf || sf != of;
		break;
	}
	return result != (cc & 1);
}
