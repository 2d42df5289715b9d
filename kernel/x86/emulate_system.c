// SPDX-License-Identifier: GPL-2.0-only
/* Flags, control and debug registers, descriptor tables. */
#include "emulate_internal.h"

#define CR4_DE	0x08ULL
#define DR6_BD	0x2000ULL
#define DR7_GD	0x2000ULL

enum emul_result emul_nop(struct emulator *e)
{
	(void)e;
	return EMUL_OK;
}

/* F5 CMC, F8 CLC, F9 STC, FC CLD, FD STD */
enum emul_result emul_flag_op(struct emulator *e)
{
	switch (e->insn.opcode) {
	case 0xf5:
		e->rflags ^= FL_CF;
		break;
	case 0xf8:
		e->rflags &= ~FL_CF;
		break;
	case 0xf9:
		e->rflags |= FL_CF;
		break;
	case 0xfc:
		e->rflags &= ~FL_DF;
		break;
	case 0xfd:
		e->rflags |= FL_DF;
		break;
	}
	return EMUL_OK;
}

/* FA CLI, FB STI; virtual interrupts (VME, PVI) are left to the processor. */
enum emul_result emul_cli_sti(struct emulator *e)
{
	if (emul_is_protected(e) && e->cpl > emul_iopl(e)) {
		if (e->cr4 & (emul_is_vm86(e) ? CR4_VME : CR4_PVI))
			return EMUL_UNHANDLED;
		return emul_gp(e);
	}
	if (e->insn.opcode == 0xfa) {
		e->rflags &= ~FL_IF;
		return EMUL_OK;
	}
	if (!(e->rflags & FL_IF))
		e->shadow = KVM_X86_SHADOW_INT_STI;
	e->rflags |= FL_IF;
	return EMUL_OK;
}

enum emul_result emul_lahf_sahf(struct emulator *e)
{
	u64 change = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF;
	u64 *rax = &e->gpr[REG_RAX];

	if (e->insn.opcode == 0x9e)
		e->rflags = (e->rflags & ~change) | (*rax >> 8 & change);
	else
		*rax = (*rax & ~0xff00ULL) |
		       ((e->rflags & change) | FL_ONE) << 8;
	return EMUL_OK;
}

static u8 native_size(const struct emulator *e)
{
	return emul_is_64(e) ? 8 : 4;
}

/* The number in ModRM.reg; AMD lets LOCK MOV CR0 mean CR8. */
static int control_register(const struct emulator *e)
{
	int cr = e->insn.reg;

	return cr == 0 && e->insn.lock ? 8 : cr;
}

/* 0F 20: from, 0F 22: to a control register */
enum emul_result emul_mov_cr(struct emulator *e)
{
	int cr = control_register(e);
	u8 size = native_size(e);
	u64 value;

	if (cr != 0 && cr != 2 && cr != 3 && cr != 4 && cr != 8)
		return emul_raise(e, UD_VECTOR);
	if (e->cpl)
		return emul_gp(e);
	if (!(e->insn.opcode & 2)) {
		emul_gpr_write(e, e->insn.rm, size, e->ops->get_cr(e, cr));
		return EMUL_OK;
	}
	value = emul_gpr_read(e, e->insn.rm, size);
	return e->ops->set_cr(e, cr, value) ? emul_gp(e) : EMUL_OK;
}

/* 0F 21: from, 0F 23: to a debug register */
enum emul_result emul_mov_dr(struct emulator *e)
{
	u8 size = native_size(e);
	int dr = e->insn.reg;
	int vector;

	if (dr > 7 || ((dr == 4 || dr == 5) && (e->cr4 & CR4_DE)))
		return emul_raise(e, UD_VECTOR);
	if (e->cpl)
		return emul_gp(e);
	if (e->ops->get_dr(e, 7) & DR7_GD) {
		emul_raise(e, DB_VECTOR);
		e->fault.cr2 = DR6_BD;
		return EMUL_FAULT;
	}
	if (!(e->insn.opcode & 2)) {
		emul_gpr_write(e, e->insn.rm, size, e->ops->get_dr(e, dr));
		return EMUL_OK;
	}
	vector = e->ops->set_dr(e, dr, emul_gpr_read(e, e->insn.rm, size));
	if (!vector)
		return EMUL_OK;
	return vector == GP_VECTOR ? emul_gp(e) : emul_raise(e, (u8)vector);
}

enum emul_result emul_clts(struct emulator *e)
{
	if (e->cpl)
		return emul_gp(e);
	return e->ops->set_cr(e, 0, e->ops->get_cr(e, 0) & ~CR0_TS) ?
		emul_gp(e) : EMUL_OK;
}

/* User code may not look at system registers under CR4.UMIP. */
static bool umip_blocks(const struct emulator *e)
{
	return (e->cr4 & CR4_UMIP) && e->cpl;
}

/* 0F 00: SLDT STR LLDT LTR */
enum emul_result emul_group6(struct emulator *e)
{
	u8 size = x86_insn_has_mem(&e->insn) ? 2 : e->insn.op_size;
	u32 op = e->insn.reg & 7;
	enum x86_seg seg = op & 1 ? SEG_TR : SEG_LDTR;
	enum emul_result r;
	u64 selector;

	if (emul_is_real_style(e))
		return emul_raise(e, UD_VECTOR);
	if (op > 3)
		return EMUL_UNHANDLED;
	if (op < 2)
		return umip_blocks(e) ? emul_gp(e) :
			emul_rm_write(e, size, emul_seg(e, seg)->selector);
	if (e->cpl)
		return emul_gp(e);
	r = emul_rm_read(e, 2, &selector);
	return r == EMUL_OK ? emul_load_system(e, seg, (u16)selector) : r;
}

/* Limit, then base: 8 bytes in 64-bit mode, 3 of 4 with 16-bit operands. */
static enum emul_result store_table(struct emulator *e, bool idt)
{
	u8 base_size = native_size(e);
	struct kvm_dtable dt;
	u8 data[10];
	u64 base;

	if (umip_blocks(e))
		return emul_gp(e);
	e->ops->get_table(e, idt, &dt);
	base = dt.base;
	if (!emul_is_64(e) && e->insn.word_size == 2)
		base &= 0xffffff;
	memcpy(data, &dt.limit, 2);
	memcpy(data + 2, &base, 8);
	return emul_write(e, e->insn.seg, e->offset, data, 2 + base_size);
}

static enum emul_result load_table(struct emulator *e, bool idt)
{
	u8 base_size = native_size(e);
	struct kvm_dtable dt = { 0 };
	u8 data[10] = { 0 };
	enum emul_result r;
	u64 base;

	if (e->cpl)
		return emul_gp(e);
	r = emul_read(e, e->insn.seg, e->offset, data, 2 + base_size, 0);
	if (r != EMUL_OK)
		return r;
	memcpy(&dt.limit, data, 2);
	memcpy(&base, data + 2, 8);
	if (!emul_is_64(e) && e->insn.word_size == 2)
		base &= 0xffffff;
	if (emul_is_64(e) && !emul_canonical(e, base))
		return emul_gp(e);
	dt.base = base;
	e->ops->set_table(e, idt, &dt);
	return EMUL_OK;
}

static enum emul_result smsw(struct emulator *e)
{
	u8 size = x86_insn_has_mem(&e->insn) ? 2 : e->insn.op_size;

	if (umip_blocks(e))
		return emul_gp(e);
	return emul_rm_write(e, size, e->ops->get_cr(e, 0));
}

/* The low four bits of CR0; it can set PE but not clear it. */
static enum emul_result lmsw(struct emulator *e)
{
	enum emul_result r;
	u64 value, cr0;

	if (e->cpl)
		return emul_gp(e);
	r = emul_rm_read(e, 2, &value);
	if (r != EMUL_OK)
		return r;
	cr0 = (e->ops->get_cr(e, 0) & ~0xeULL) | (value & 0xf);
	return e->ops->set_cr(e, 0, cr0) ? emul_gp(e) : EMUL_OK;
}

static enum emul_result invlpg(struct emulator *e)
{
	u64 linear = e->offset;

	if (e->cpl)
		return emul_gp(e);
	if (!emul_is_64(e))
		linear = (u32)(linear + emul_seg(e, e->insn.seg)->base);
	else if (e->insn.seg == SEG_FS || e->insn.seg == SEG_GS)
		linear += emul_seg(e, e->insn.seg)->base;
	e->ops->invlpg(e, linear);
	return EMUL_OK;
}

/* 0F 01; the register forms other than SMSW and LMSW are not ours. */
enum emul_result emul_group7(struct emulator *e)
{
	u32 op = e->insn.reg & 7;

	if (op == 4)
		return smsw(e);
	if (op == 6)
		return lmsw(e);
	if (!x86_insn_has_mem(&e->insn) || op == 5)
		return EMUL_UNHANDLED;
	if (op == 7)
		return invlpg(e);
	return op & 2 ? load_table(e, op & 1) : store_table(e, op & 1);
}

enum emul_result emul_cpuid(struct emulator *e)
{
	u32 regs[4] = {
		(u32)e->gpr[REG_RAX], 0, (u32)e->gpr[REG_RCX], 0
	};

	e->ops->cpuid(e, regs);
	e->gpr[REG_RAX] = regs[0];
	e->gpr[REG_RBX] = regs[1];
	e->gpr[REG_RCX] = regs[2];
	e->gpr[REG_RDX] = regs[3];
	return EMUL_OK;
}

enum emul_result emul_rdtsc(struct emulator *e)
{
	u64 tsc;

	if ((e->cr4 & CR4_TSD) && e->cpl)
		return emul_gp(e);
	tsc = e->ops->rdtsc(e);
	e->gpr[REG_RAX] = (u32)tsc;
	e->gpr[REG_RDX] = tsc >> 32;
	return EMUL_OK;
}
