// SPDX-License-Identifier: GPL-2.0-only
/* One run of the emulator: from opcode to handler, from handler to result. */
#include "emulate_internal.h"

static const emul_handler map_1byte[256] = {
	[0x00 ... 0x03] = emul_alu_rm, [0x04 ... 0x05] = emul_alu_acc_imm,
	[0x08 ... 0x0b] = emul_alu_rm, [0x0c ... 0x0d] = emul_alu_acc_imm,
	[0x10 ... 0x13] = emul_alu_rm, [0x14 ... 0x15] = emul_alu_acc_imm,
	[0x18 ... 0x1b] = emul_alu_rm, [0x1c ... 0x1d] = emul_alu_acc_imm,
	[0x20 ... 0x23] = emul_alu_rm, [0x24 ... 0x25] = emul_alu_acc_imm,
	[0x28 ... 0x2b] = emul_alu_rm, [0x2c ... 0x2d] = emul_alu_acc_imm,
	[0x30 ... 0x33] = emul_alu_rm, [0x34 ... 0x35] = emul_alu_acc_imm,
	[0x38 ... 0x3b] = emul_alu_rm, [0x3c ... 0x3d] = emul_alu_acc_imm,
	[0x06] = emul_push_seg, [0x07] = emul_pop_seg,
	[0x0e] = emul_push_seg,
	[0x16] = emul_push_seg, [0x17] = emul_pop_seg,
	[0x1e] = emul_push_seg, [0x1f] = emul_pop_seg,
	[0x40 ... 0x4f] = emul_incdec_reg,
	[0x50 ... 0x57] = emul_push_reg, [0x58 ... 0x5f] = emul_pop_reg,
	[0x60] = emul_pusha, [0x61] = emul_popa,
	[0x63] = emul_movsxd,
	[0x68] = emul_push_imm, [0x6a] = emul_push_imm,
	[0x69] = emul_imul_imm, [0x6b] = emul_imul_imm,
	[0x6c ... 0x6d] = emul_ins, [0x6e ... 0x6f] = emul_outs,
	[0x70 ... 0x7f] = emul_jcc,
	[0x80 ... 0x83] = emul_group1,
	[0x84 ... 0x85] = emul_test_rm_reg, [0x86 ... 0x87] = emul_xchg_rm,
	[0x88 ... 0x89] = emul_mov_rm_reg, [0x8a ... 0x8b] = emul_mov_reg_rm,
	[0x8c] = emul_mov_rm_sreg, [0x8d] = emul_lea,
	[0x8e] = emul_mov_sreg_rm, [0x8f] = emul_pop_rm,
	[0x90 ... 0x97] = emul_xchg_rax,
	[0x98] = emul_cbw, [0x99] = emul_cwd, [0x9a] = emul_far_ptr,
	[0x9c] = emul_pushf, [0x9d] = emul_popf,
	[0x9e ... 0x9f] = emul_lahf_sahf,
	[0xa0 ... 0xa3] = emul_mov_moffs, [0xa4 ... 0xa7] = emul_string,
	[0xa8 ... 0xa9] = emul_test_acc_imm, [0xaa ... 0xaf] = emul_string,
	[0xb0 ... 0xbf] = emul_mov_reg_imm,
	[0xc0 ... 0xc1] = emul_group2, [0xc2 ... 0xc3] = emul_ret,
	[0xc4 ... 0xc5] = emul_load_far, [0xc6 ... 0xc7] = emul_mov_rm_imm,
	[0xc8] = emul_enter, [0xc9] = emul_leave,
	[0xca ... 0xcb] = emul_far_ret, [0xcc ... 0xce] = emul_int_n,
	[0xcf] = emul_iret,
	[0xd0 ... 0xd3] = emul_group2, [0xd7] = emul_xlat,
	[0xe0 ... 0xe3] = emul_loop, [0xe4 ... 0xe5] = emul_in,
	[0xe6 ... 0xe7] = emul_out, [0xe8] = emul_call_rel,
	[0xe9] = emul_jmp_rel, [0xea] = emul_far_ptr, [0xeb] = emul_jmp_rel,
	[0xec ... 0xed] = emul_in, [0xee ... 0xef] = emul_out,
	[0xf5] = emul_flag_op, [0xf6 ... 0xf7] = emul_group3,
	[0xf8 ... 0xf9] = emul_flag_op, [0xfa ... 0xfb] = emul_cli_sti,
	[0xfc ... 0xfd] = emul_flag_op,
	[0xfe] = emul_group4, [0xff] = emul_group5,
};

static const emul_handler map_0f[256] = {
	[0x00] = emul_group6, [0x01] = emul_group7, [0x06] = emul_clts,
	[0x0d] = emul_nop,			/* PREFETCH */
	[0x10 ... 0x11] = emul_sse_mov,
	[0x18 ... 0x1f] = emul_nop,		/* hints, long NOP */
	[0x20] = emul_mov_cr, [0x21] = emul_mov_dr,
	[0x22] = emul_mov_cr, [0x23] = emul_mov_dr,
	[0x28 ... 0x29] = emul_sse_mov, [0x2b] = emul_sse_mov,
	[0x31] = emul_rdtsc,
	[0x40 ... 0x4f] = emul_cmov,
	[0x6f] = emul_sse_mov, [0x7f] = emul_sse_mov,
	[0x80 ... 0x8f] = emul_jcc, [0x90 ... 0x9f] = emul_setcc,
	[0xa0] = emul_push_seg, [0xa1] = emul_pop_seg, [0xa2] = emul_cpuid,
	[0xa3] = emul_bt_reg, [0xa4 ... 0xa5] = emul_shld_shrd,
	[0xa8] = emul_push_seg, [0xa9] = emul_pop_seg,
	[0xab] = emul_bt_reg, [0xac ... 0xad] = emul_shld_shrd,
	[0xaf] = emul_imul_reg,
	[0xb0 ... 0xb1] = emul_cmpxchg, [0xb2] = emul_load_far,
	[0xb3] = emul_bt_reg, [0xb4 ... 0xb5] = emul_load_far,
	[0xb6 ... 0xb7] = emul_movzx,
	[0xba] = emul_bt_imm, [0xbb] = emul_bt_reg,
	[0xbc ... 0xbd] = emul_bit_scan, [0xbe ... 0xbf] = emul_movsx,
	[0xc0 ... 0xc1] = emul_xadd, [0xc3] = emul_movnti,
	[0xc7] = emul_group9, [0xc8 ... 0xcf] = emul_bswap,
	[0xe7] = emul_sse_mov,
};

static emul_handler find_handler(const struct x86_insn *insn)
{
	switch (insn->map) {
	case X86_MAP_1BYTE:
		return map_1byte[insn->opcode];
	case X86_MAP_0F:
		return map_0f[insn->opcode];
	case X86_MAP_0F38:
		return insn->opcode == 0xf0 || insn->opcode == 0xf1 ?
			emul_movbe : NULL;
	}
	return NULL;
}

static bool lock_allowed_1byte(u8 op, u8 reg)
{
	if (op < 0x38)
		return (op & 7) < 2;
	if (op >= 0x80 && op <= 0x83)
		return reg != ALU_CMP;
	if (op == 0xf6 || op == 0xf7)
		return reg == 2 || reg == 3;
	if (op == 0xfe || op == 0xff)
		return reg < 2;
	return op == 0x86 || op == 0x87;
}

/* APM vol. 3, 1.2.5: LOCK elsewhere is #UD. */
static bool lock_allowed(const struct x86_insn *insn)
{
	u8 op = insn->opcode, reg = insn->reg & 7;

	if (insn->map == X86_MAP_0F && (op == 0x20 || op == 0x22))
		return insn->reg == 0;
	if (!x86_insn_has_mem(insn))
		return false;
	if (insn->map == X86_MAP_1BYTE)
		return lock_allowed_1byte(op, reg);
	if (insn->map != X86_MAP_0F)
		return false;
	return op == 0xab || op == 0xb3 || op == 0xbb ||
	       (op == 0xba && reg >= 5) || op == 0xb0 || op == 0xb1 ||
	       op == 0xc0 || op == 0xc1 || (op == 0xc7 && reg == 1);
}

static u64 next_rip(const struct emulator *e)
{
	static const u64 mask[3] = {
		[X86_INSN_16] = 0xffff,
		[X86_INSN_32] = 0xffffffff,
		[X86_INSN_64] = ~0ULL
	};

	return (e->rip + e->insn.len) & mask[e->insn.mode];
}

void emul_begin(struct emulator *e)
{
	e->exit_gpa = EMUL_NO_GPA;
	e->mmio.nr_reads = 0;
	e->mmio.waiting = false;
	e->pio.count = 0;
	e->pio.answered = false;
}

static void start_run(struct emulator *e)
{
	e->progress = false;
	e->rep_pending = false;
	e->shadow = 0;
	e->nr_writes = 0;
	e->seg_cached = 0;
	e->mmio.next_read = 0;
	e->mmio.waiting = false;
	e->mmio.nr_writes = 0;
	e->mmio.next_write = 0;
	e->start_rip = e->rip;
	e->rip = next_rip(e);
}

enum emul_result emul_run(struct emulator *e)
{
	emul_handler handler = find_handler(&e->insn);
	enum emul_result r = EMUL_UNHANDLED;

	start_run(e);
	if (e->insn.lock && !lock_allowed(&e->insn)) {
		r = emul_raise(e, UD_VECTOR);
	} else if (handler) {
		if (x86_insn_has_mem(&e->insn))
			emul_compute_offset(e);
		r = handler(e);
	}
	if (r == EMUL_OK)
		r = emul_flush_writes(e);
	if (r != EMUL_OK || e->rep_pending)
		e->rip = e->start_rip;
	else
		e->rflags &= ~FL_RF;
	return r;
}
