// SPDX-License-Identifier: GPL-2.0-only
/*
 * MOVS, CMPS, STOS, LODS, SCAS, alone and repeated.
 *
 * Each element is an instruction of its own: when it is done, its registers
 * stay, whatever the next one runs into. One call does a bounded number; the
 * guest then executes the rest, so interrupts and kills get in between.
 */
#include "emulate_internal.h"

#define ELEMENTS_PER_CALL 256

u64 emul_rep_count(const struct emulator *e)
{
	if (!e->insn.rep)
		return 1;
	return emul_gpr_read(e, REG_RCX, e->insn.addr_size);
}

void emul_rep_done(struct emulator *e, u64 elements)
{
	u8 size = e->insn.addr_size;

	if (e->insn.rep)
		emul_gpr_write(e, REG_RCX, size,
			       emul_gpr_read(e, REG_RCX, size) - elements);
}

u64 emul_index(const struct emulator *e, u8 reg)
{
	return emul_gpr_read(e, reg, e->insn.addr_size);
}

/* Forwards or, with DF, backwards. */
void emul_index_add(struct emulator *e, u8 reg, s64 bytes)
{
	u64 index = emul_index(e, reg);

	index += e->rflags & FL_DF ? -(u64)bytes : (u64)bytes;
	emul_gpr_write(e, reg, e->insn.addr_size, index);
}

static u8 source_segment(const struct emulator *e)
{
	return e->insn.seg_override == X86_NO_REG ? SEG_DS :
						    e->insn.seg_override;
}

static enum emul_result read_source(struct emulator *e, u64 *value)
{
	*value = 0;
	return emul_read(e, source_segment(e), emul_index(e, REG_RSI), value,
			 e->insn.op_size, 0);
}

static enum emul_result read_dest(struct emulator *e, u64 *value)
{
	*value = 0;
	return emul_read(e, SEG_ES, emul_index(e, REG_RDI), value,
			 e->insn.op_size, 0);
}

static enum emul_result write_dest(struct emulator *e, u64 value)
{
	enum emul_result r;

	r = emul_write(e, SEG_ES, emul_index(e, REG_RDI), &value,
		       e->insn.op_size);
	return r == EMUL_OK ? emul_flush_writes(e) : r;
}

static enum emul_result element(struct emulator *e)
{
	u8 size = e->insn.op_size;
	u64 a = emul_gpr_read(e, REG_RAX, size), b = 0;
	u8 op = e->insn.opcode & 0xfe;
	enum emul_result r = EMUL_OK;

	if (op == 0xa4 || op == 0xa6 || op == 0xac)
		r = read_source(e, &a);
	if (r == EMUL_OK && (op == 0xa6 || op == 0xae))
		r = read_dest(e, &b);
	if (r == EMUL_OK && (op == 0xa4 || op == 0xaa))
		r = write_dest(e, a);
	if (r != EMUL_OK)
		return r;
	if (op == 0xa6 || op == 0xae)
		alu_binary(ALU_CMP, a, b, size, &e->rflags);
	if (op == 0xac)
		emul_gpr_write(e, REG_RAX, size, a);
	if (op == 0xa4 || op == 0xa6 || op == 0xac)
		emul_index_add(e, REG_RSI, size);
	if (op != 0xac)
		emul_index_add(e, REG_RDI, size);
	return EMUL_OK;
}

/* CMPS and SCAS also stop when ZF says so. */
static bool stop_by_flag(const struct emulator *e)
{
	u8 op = e->insn.opcode & 0xfe;

	if (op != 0xa6 && op != 0xae)
		return false;
	return !!(e->rflags & FL_ZF) != (e->insn.rep == 0xf3);
}

enum emul_result emul_string(struct emulator *e)
{
	enum emul_result r;
	u32 n;

	if (!e->insn.rep)
		return element(e);
	for (n = 0; n < ELEMENTS_PER_CALL && emul_rep_count(e); n++) {
		r = element(e);
		if (r != EMUL_OK)
			return r;
		emul_rep_done(e, 1);
		e->progress = true;
		emul_mmio_forget_reads(e);
		if (stop_by_flag(e))
			return EMUL_OK;
		if (e->mmio.nr_writes)	/* one exit to user space at a time */
			break;
	}
	e->rep_pending = emul_rep_count(e);
	return EMUL_OK;
}
