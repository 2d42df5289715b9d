/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instruction decoder: bytes to one struct x86_insn. Pure logic.
 *
 * It finds the length of every integer, x87, MMX, SSE, AVX, AVX-512 and XOP
 * instruction (AMD64 APM vol. 3, chapters 1 and A), because a processor
 * without NRIPS leaves it to us to skip what it intercepted, and it splits
 * integer instructions into the fields that the emulator executes.
 */
#ifndef UNIKVM_DECODE_H
#define UNIKVM_DECODE_H

#include "../shim.h"

#define X86_MAX_INSN_LEN 15

enum x86_reg {		/* in the order of instruction encodings */
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	NR_GPRS
};

enum x86_seg {		/* in the order of instruction encodings */
	SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR,
	NR_SEGS
};

enum x86_insn_mode {	/* from CS and EFER */
	X86_INSN_16,
	X86_INSN_32,
	X86_INSN_64
};

enum x86_insn_map {	/* which opcode map "opcode" indexes */
	X86_MAP_1BYTE,
	X86_MAP_0F,
	X86_MAP_0F38,
	X86_MAP_0F3A,
	X86_MAP_3DNOW,
	X86_MAP_VECTOR	/* VEX, EVEX or XOP encoded: only the length counts */
};

/* What x86_insn_decode() returns instead of a length. */
enum {
	X86_INSN_TRUNCATED = -1,	/* more bytes are needed */
	X86_INSN_INVALID = -2,		/* no instruction: #UD */
	X86_INSN_TOO_LONG = -3		/* more than 15 bytes: #GP */
};

#define X86_NO_REG 0xff

struct x86_insn {
	u8 len;			/* bytes, 1..15 */
	u8 mode;		/* enum x86_insn_mode */
	u8 map;			/* enum x86_insn_map */
	u8 opcode;		/* last opcode byte */

	u8 op_size;		/* operand size, bytes: 1, 2, 4, 8 */
	u8 word_size;		/* the same, had it not been a byte opcode */
	u8 addr_size;		/* address size, bytes: 2, 4, 8 */
	u8 rep;			/* 0, 0xf2 or 0xf3: the last one given */
	bool lock;
	bool op_prefix;		/* 66 was given */
	u8 rex;			/* 0x40..0x4f, or 0 */
	u8 seg_override;	/* enum x86_seg, or X86_NO_REG */

	bool has_modrm;
	u8 modrm;		/* raw byte; mod, reg and rm are split below */
	u8 mod;			/* 3: rm is a register */
	u8 reg;			/* with REX.R, 0..15 */
	u8 rm;			/* with REX.B, 0..15; register if mod is 3 */
	/* The memory operand, if has_modrm and mod is not 3. */
	u8 base;		/* enum x86_reg or X86_NO_REG */
	u8 index;		/* the same */
	u8 scale;		/* shift of the index: 0..3 */
	bool rip_relative;
	u8 seg;			/* segment of memory operand, overrides applied */
	s32 disp;
	u8 disp_len;		/* bytes: 0, 1, 2, 4 */

	u8 imm_len;		/* bytes of imm: 0, 1, 2, 4, 8 */
	u8 imm2_len;		/* bytes of imm2: 0, 1, 2 */
	u16 imm2;		/* selector of a far pointer, level of ENTER */
	u64 imm;		/* sign-extended; offset of moffs and far ptr */
};

/*
 * Decode the instruction that starts at bytes, of which len are readable.
 * Returns its length, or one of the three negatives above.
 */
int x86_insn_decode(struct x86_insn *insn, const u8 *bytes, unsigned int len,
		    enum x86_insn_mode mode);

/* The register fields of opcodes that hold a register in their low bits. */
static inline u8 x86_insn_opcode_reg(const struct x86_insn *insn)
{
	return (insn->opcode & 7) | (insn->rex & 1) << 3;
}

static inline bool x86_insn_has_mem(const struct x86_insn *insn)
{
	return insn->has_modrm && insn->mod != 3;
}

#endif
