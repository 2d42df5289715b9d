// SPDX-License-Identifier: GPL-2.0-only
/* The one-byte and 0F opcode maps: APM vol. 3, tables. */
#include "decode_tables.h"

#define M	OP_MODRM
#define MB	(OP_MODRM | OP_BYTE)
#define B	OP_BYTE
#define P	OP_PREFIX
#define U	OP_UD
#define IB	IMM_B
#define JB	(IMM_B | OP_D64)
#define JZ	(IMM_Z | OP_D64)
#define D64	OP_D64
#define I64	OP_I64

/* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP */
#define ALU(prefix_or_seg_a, prefix_or_seg_b) \
	MB, M, MB, M, IB | B, IMM_Z, prefix_or_seg_a, prefix_or_seg_b

const u16 x86_table_1byte[256] = {
/* 00 */ ALU(I64, I64),
/* 08 */ ALU(I64, OP_ESCAPE),
/* 10 */ ALU(I64, I64),
/* 18 */ ALU(I64, I64),
/* 20 */ ALU(P, I64),
/* 28 */ ALU(P, I64),
/* 30 */ ALU(P, I64),
/* 38 */ ALU(P, I64),
/* 40 */ 0, 0, 0, 0, 0, 0, 0, 0,
/* 48 */ 0, 0, 0, 0, 0, 0, 0, 0,
/* 50 */ D64, D64, D64, D64, D64, D64, D64, D64,
/* 58 */ D64, D64, D64, D64, D64, D64, D64, D64,
/* 60 */ I64, I64, M | I64, M, P, P, P, P,
/* 68 */ IMM_Z | D64, M | IMM_Z, IB | D64, M | IB, B, 0, B, 0,
/* 70 */ JB, JB, JB, JB, JB, JB, JB, JB,
/* 78 */ JB, JB, JB, JB, JB, JB, JB, JB,
/* 80 */ MB | IB, M | IMM_Z, MB | IB | I64, M | IB, MB, M, MB, M,
/* 88 */ MB, M, MB, M, M, M, M, M | D64,
/* 90 */ 0, 0, 0, 0, 0, 0, 0, 0,
/* 98 */ 0, 0, IMM_FAR | I64, 0, D64, D64, 0, 0,
/* a0 */ IMM_MOFFS | B, IMM_MOFFS, IMM_MOFFS | B, IMM_MOFFS, B, 0, B, 0,
/* a8 */ IB | B, IMM_Z, B, 0, B, 0, B, 0,
/* b0 */ IB | B, IB | B, IB | B, IB | B, IB | B, IB | B, IB | B, IB | B,
/* b8 */ IMM_V, IMM_V, IMM_V, IMM_V, IMM_V, IMM_V, IMM_V, IMM_V,
/* c0 */ MB | IMM_UB, M | IMM_UB, IMM_W | D64, D64,
	 M | I64, M | I64, MB | IB, M | IMM_Z,
/* c8 */ IMM_ENTER | D64, D64, IMM_W, 0, 0, IMM_UB, I64, 0,
/* d0 */ MB, M, MB, M, IMM_UB | I64, IMM_UB | I64, I64, B,
/* d8 */ M, M, M, M, M, M, M, M,
/* e0 */ JB, JB, JB, JB, IMM_UB | B, IMM_UB, IMM_UB | B, IMM_UB,
/* e8 */ JZ, JZ, IMM_FAR | I64, JB, B, 0, B, 0,
/* f0 */ P, 0, P, P, 0, 0, MB | IMM_GRP3, M | IMM_GRP3,
/* f8 */ 0, 0, 0, 0, 0, 0, MB, M,
};

#define R	(OP_MODRM | OP_REGS)
#define M8	M, M, M, M, M, M, M, M

const u16 x86_table_0f[256] = {
/* 00 */ M, M, M, M, U, 0, 0, 0,
/* 08 */ 0, 0, U, 0, U, M, 0, M | IMM_UB,
/* 10 */ M8,
/* 18 */ M8,
/* 20 */ R, R, R, R, U, U, U, U,
/* 28 */ M8,
/* 30 */ 0, 0, 0, 0, 0, 0, U, 0,
/* 38 */ OP_ESCAPE, U, OP_ESCAPE, U, U, U, U, U,
/* 40 */ M8,
/* 48 */ M8,
/* 50 */ M8,
/* 58 */ M8,
/* 60 */ M8,
/* 68 */ M8,
/* 70 */ M | IMM_UB, M | IMM_UB, M | IMM_UB, M | IMM_UB, M, M, M, 0,
/* 78 */ M | IMM_SSE4A, M, U, U, M, M, M, M,
/* 80 */ JZ, JZ, JZ, JZ, JZ, JZ, JZ, JZ,
/* 88 */ JZ, JZ, JZ, JZ, JZ, JZ, JZ, JZ,
/* 90 */ MB, MB, MB, MB, MB, MB, MB, MB,
/* 98 */ MB, MB, MB, MB, MB, MB, MB, MB,
/* a0 */ D64, D64, 0, M, M | IMM_UB, M, U, U,
/* a8 */ D64, D64, 0, M, M | IMM_UB, M, M, M,
/* b0 */ MB, M, M, M, M, M, M, M,
/* b8 */ M, M, M | IMM_UB, M, M, M, M, M,
/* c0 */ MB, M, M | IMM_UB, M, M | IMM_UB, M | IMM_UB, M | IMM_UB, M,
/* c8 */ 0, 0, 0, 0, 0, 0, 0, 0,
/* d0 */ M8,
/* d8 */ M8,
/* e0 */ M8,
/* e8 */ M8,
/* f0 */ M8,
/* f8 */ M8,
};
