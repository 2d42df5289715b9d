/* SPDX-License-Identifier: GPL-2.0-only */
/* What follows each opcode; shared by decode.c and decode_tables.c only. */
#ifndef UNIKVM_DECODE_TABLES_H
#define UNIKVM_DECODE_TABLES_H

#include "../shim.h"

/* Low four bits: which immediate follows. */
enum {
	IMM_NONE,
	IMM_B,		/* one byte, sign-extended */
	IMM_UB,		/* one byte, zero-extended: port, count, vector */
	IMM_W,		/* two bytes, zero-extended */
	IMM_Z,		/* 2 bytes, or 4 with 4 and 8 byte operands */
	IMM_D,		/* four bytes */
	IMM_V,		/* as long as the operand: 2, 4, 8 */
	IMM_ENTER,	/* two bytes, then one */
	IMM_FAR,	/* 2 or 4 byte offset, then selector */
	IMM_MOFFS,	/* as long as an address */
	IMM_GRP3,	/* F6, F7: only TEST has one */
	IMM_SSE4A,	/* 0F 78: two bytes after 66 or F2 */
	IMM_MASK = 0x0f
};

enum {
	OP_MODRM = 0x10,
	OP_BYTE = 0x20,		/* operand size is 1 */
	OP_D64 = 0x40,		/* operand size is 8 in 64-bit mode, or 2 */
	OP_I64 = 0x80,		/* invalid in 64-bit mode */
	OP_REGS = 0x100,	/* the ModRM byte names registers, whatever mod */
	OP_PREFIX = 0x200,
	OP_UD = 0x400,		/* no instruction */
	OP_ESCAPE = 0x800	/* leads to another map */
};

extern const u16 x86_table_1byte[256];
extern const u16 x86_table_0f[256];

#endif
