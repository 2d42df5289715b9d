// SPDX-License-Identifier: GPL-2.0-only
/*
 * Branches. Far ones stay at their privilege level, and interrupts in real and
 * virtual-8086 mode: no device lies behind a gate.
 */
#include "emulate_internal.h"

enum emul_result emul_jmp_rel(struct emulator *e)
{
	return emul_jump(e, e->rip + e->insn.imm);
}

enum emul_result emul_jcc(struct emulator *e)
{
	if (!emul_condition(e->rflags, e->insn.opcode & 15))
		return EMUL_OK;
	return emul_jmp_rel(e);
}

static enum emul_result call_near(struct emulator *e, u64 target)
{
	enum emul_result r = emul_push(e, e->insn.word_size, e->rip);

	return r == EMUL_OK ? emul_jump(e, target) : r;
}

enum emul_result emul_call_rel(struct emulator *e)
{
	return call_near(e, e->rip + e->insn.imm);
}

static void release_stack(struct emulator *e, u64 bytes)
{
	u32 width = emul_stack_size(e);

	emul_gpr_write(e, REG_RSP, width, e->gpr[REG_RSP] + bytes);
}

/* C2 has an immediate, C3 leaves it 0 */
enum emul_result emul_ret(struct emulator *e)
{
	u64 target;
	enum emul_result r = emul_pop(e, e->insn.word_size, &target);

	if (r != EMUL_OK)
		return r;
	release_stack(e, e->insn.imm);
	return emul_jump(e, target);
}

/* LOOPNE, LOOPE, LOOP, JrCXZ: the counter is as wide as an address. */
enum emul_result emul_loop(struct emulator *e)
{
	u8 size = e->insn.addr_size;
	u64 count = emul_gpr_read(e, REG_RCX, size);
	bool taken = !count;

	if (e->insn.opcode != 0xe3) {
		count = (count - 1) & size_mask(size);
		emul_gpr_write(e, REG_RCX, size, count);
		taken = count;
		if (e->insn.opcode < 0xe2)
			taken &= !!(e->rflags & FL_ZF) == (e->insn.opcode & 1);
	}
	return taken ? emul_jmp_rel(e) : EMUL_OK;
}

static enum emul_result far_transfer(struct emulator *e, bool call,
				     u16 selector, u64 offset)
{
	u8 size = e->insn.word_size;
	enum emul_result r = EMUL_OK;

	if (call)
		r = emul_push(e, size, emul_seg(e, SEG_CS)->selector);
	if (call && r == EMUL_OK)
		r = emul_push(e, size, e->rip);
	return r == EMUL_OK ? emul_far_jump(e, selector, offset, false) : r;
}

/* 9A CALL, EA JMP */
enum emul_result emul_far_ptr(struct emulator *e)
{
	return far_transfer(e, e->insn.opcode == 0x9a, e->insn.imm2,
			    e->insn.imm);
}

/* A pointer has 8 bytes with REX.W, as Intel's and KVM's; AMD's has 4. */
static enum emul_result far_indirect(struct emulator *e, bool call)
{
	u8 size = e->insn.word_size;
	u64 offset = 0, selector = 0;
	enum emul_result r;

	if (!x86_insn_has_mem(&e->insn))
		return emul_raise(e, UD_VECTOR);
	r = emul_read(e, e->insn.seg, e->offset, &offset, size, 0);
	if (r == EMUL_OK)
		r = emul_read(e, e->insn.seg, (e->offset + size) &
			      size_mask(e->insn.addr_size), &selector, 2, 0);
	if (r != EMUL_OK)
		return r;
	return far_transfer(e, call, (u16)selector, offset);
}

/* CA, CB */
enum emul_result emul_far_ret(struct emulator *e)
{
	u8 size = e->insn.word_size;
	u64 offset, selector;
	enum emul_result r;

	r = emul_pop(e, size, &offset);
	if (r == EMUL_OK)
		r = emul_pop(e, size, &selector);
	if (r != EMUL_OK)
		return r;
	release_stack(e, e->insn.imm);
	return emul_far_jump(e, (u16)selector, offset, true);
}

static enum emul_result real_interrupt(struct emulator *e, u8 vector)
{
	struct kvm_dtable idt;
	enum emul_result r;
	u32 entry;

	e->ops->get_table(e, true, &idt);
	if (vector * 4 + 3 > idt.limit)
		return emul_gp(e);
	r = emul_linear_read(e, (u32)idt.base + vector * 4, &entry, 4,
			     EMUL_SYSTEM);
	if (r == EMUL_OK)
		r = emul_push(e, 2, e->rflags);
	if (r == EMUL_OK)
		r = emul_push(e, 2, emul_seg(e, SEG_CS)->selector);
	if (r == EMUL_OK)
		r = emul_push(e, 2, e->rip);
	if (r == EMUL_OK)
		r = emul_real_far_jump(e, entry >> 16, entry & 0xffff);
	if (r == EMUL_OK)
		e->rflags &= ~(FL_IF | FL_TF | FL_AC | FL_RF);
	return r;
}

/* CC INT3, CD INT n, CE INTO; in real mode only */
enum emul_result emul_int_n(struct emulator *e)
{
	if (emul_is_protected(e))
		return EMUL_UNHANDLED;
	if (e->insn.opcode == 0xcc)
		return real_interrupt(e, BP_VECTOR);
	if (e->insn.opcode == 0xcd)
		return real_interrupt(e, (u8)e->insn.imm);
	return e->rflags & FL_OF ? real_interrupt(e, OF_VECTOR) : EMUL_OK;
}

enum emul_result emul_iret(struct emulator *e)
{
	u64 change = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT;
	u8 size = e->insn.word_size;
	u64 offset, selector, flags;
	enum emul_result r;

	if (emul_is_protected(e))
		return EMUL_UNHANDLED;
	r = emul_pop(e, size, &offset);
	if (r == EMUL_OK)
		r = emul_pop(e, size, &selector);
	if (r == EMUL_OK)
		r = emul_pop(e, size, &flags);
	if (r == EMUL_OK)
		r = emul_real_far_jump(e, (u16)selector, offset);
	if (r != EMUL_OK)
		return r;
	if (size > 2)
		change |= FL_RF | FL_AC | FL_ID;
	e->rflags = (e->rflags & ~change) | (flags & change) | FL_ONE;
	return EMUL_OK;
}

/* FF: INC DEC CALL CALLF JMP JMPF PUSH */
enum emul_result emul_group5(struct emulator *e)
{
	u32 op = e->insn.reg & 7;
	enum emul_result r;
	u64 value;

	if (op < 2)
		return emul_group4(e);
	if (op == 3 || op == 5)
		return far_indirect(e, op == 3);
	r = emul_rm_read(e, e->insn.op_size, &value);
	if (r != EMUL_OK)
		return r;
	if (op == 6)
		return emul_push(e, e->insn.op_size, value);
	return op == 2 ? call_near(e, value) : emul_jump(e, value);
}
