// SPDX-License-Identifier: GPL-2.0-only
/* The decoder: prefixes, opcode maps, ModRM, displacement, immediates. */
#include "decode.h"
#include "decode_tables.h"

/* The bytes not yet consumed. Reading past the end sets a sticky error. */
struct cursor {
	const u8 *bytes;
	unsigned int pos;
	unsigned int end;	/* readable bytes, at most 15 */
	int error;
};

static u8 next_byte(struct cursor *c)
{
	if (c->pos >= c->end) {
		if (!c->error)
			c->error = c->end < X86_MAX_INSN_LEN ?
				X86_INSN_TRUNCATED : X86_INSN_TOO_LONG;
		return 0;
	}
	return c->bytes[c->pos++];
}

/* The byte after those consumed, which stays unread; 0 past the end. */
static u8 peek_byte(struct cursor *c)
{
	u8 byte = next_byte(c);

	if (!c->error)
		c->pos--;
	return byte;
}

static u64 next_bytes(struct cursor *c, unsigned int len)
{
	u64 value = 0;
	unsigned int i;

	for (i = 0; i < len; i++)
		value |= (u64)next_byte(c) << (8 * i);
	return value;
}

static u64 sign_extend(u64 value, unsigned int bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return bytes ? (u64)((s64)(value << shift) >> shift) : 0;
}

static bool take_segment_prefix(struct x86_insn *insn, u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		/* 64-bit mode ignores these, even after FS or GS */
		if (insn->mode != X86_INSN_64)
			insn->seg_override = (byte >> 3) & 3;
		return true;
	case 0x64: case 0x65:
		insn->seg_override = SEG_FS + (byte & 1);
		return true;
	}
	return false;
}

static bool take_prefix(struct x86_insn *insn, u8 byte)
{
	if (take_segment_prefix(insn, byte))
		return true;
	switch (byte) {
	case 0x66:
		insn->op_prefix = true;
		return true;
	case 0x67:
		insn->addr_size = insn->mode == X86_INSN_32 ? 2 : 4;
		return true;
	case 0xf0:
		insn->lock = true;
		return true;
	case 0xf2: case 0xf3:
		insn->rep = byte;
		return true;
	}
	return false;
}

/* Consume all prefixes and return the first byte of the opcode. */
static u8 take_prefixes(struct x86_insn *insn, struct cursor *c)
{
	u8 byte;

	for (;;) {
		byte = next_byte(c);
		if (c->error)
			return 0;
		if (insn->mode == X86_INSN_64 && (byte & 0xf0) == 0x40) {
			insn->rex = byte;
			continue;
		}
		if (!take_prefix(insn, byte))
			return byte;
		insn->rex = 0;	/* REX counts only right before the opcode */
	}
}

static u8 default_seg(const struct x86_insn *insn)
{
	if (insn->seg_override != X86_NO_REG)
		return insn->seg_override;
	if (insn->base == REG_RSP || insn->base == REG_RBP)
		return SEG_SS;
	return SEG_DS;
}

static void take_disp(struct x86_insn *insn, struct cursor *c, u8 len)
{
	insn->disp_len = len;
	insn->disp = (s32)sign_extend(next_bytes(c, len), len);
}

static void take_modrm_16(struct x86_insn *insn, struct cursor *c)
{
	static const u8 base[8] = {
		REG_RBX, REG_RBX, REG_RBP, REG_RBP,
		REG_RSI, REG_RDI, REG_RBP, REG_RBX
	};
	static const u8 index[8] = {
		REG_RSI, REG_RDI, REG_RSI, REG_RDI,
		X86_NO_REG, X86_NO_REG, X86_NO_REG, X86_NO_REG
	};
	u8 rm = insn->modrm & 7;

	if (insn->mod == 0 && rm == 6) {
		take_disp(insn, c, 2);
		return;
	}
	insn->base = base[rm];
	insn->index = index[rm];
	take_disp(insn, c, insn->mod);
}

static void take_sib(struct x86_insn *insn, struct cursor *c)
{
	u8 sib = next_byte(c);
	u8 index = ((sib >> 3) & 7) | (insn->rex & 2) << 2;

	insn->scale = sib >> 6;
	if (index != REG_RSP)
		insn->index = index;
	if ((sib & 7) == 5 && insn->mod == 0)
		take_disp(insn, c, 4);
	else
		insn->base = (sib & 7) | (insn->rex & 1) << 3;
}

static void take_modrm_32(struct x86_insn *insn, struct cursor *c)
{
	u8 rm = insn->modrm & 7;

	if (rm == 4) {
		take_sib(insn, c);
	} else if (insn->mod == 0 && rm == 5) {
		insn->rip_relative = insn->mode == X86_INSN_64;
		take_disp(insn, c, 4);
	} else {
		insn->base = insn->rm;
	}
	if (insn->mod == 1)
		take_disp(insn, c, 1);
	else if (insn->mod == 2)
		take_disp(insn, c, 4);
}

static void take_modrm(struct x86_insn *insn, struct cursor *c, bool regs_only)
{
	insn->modrm = next_byte(c);
	insn->has_modrm = true;
	insn->mod = regs_only ? 3 : insn->modrm >> 6;
	insn->reg = ((insn->modrm >> 3) & 7) | (insn->rex & 4) << 1;
	insn->rm = (insn->modrm & 7) | (insn->rex & 1) << 3;
	if (insn->mod == 3)
		return;
	if (insn->addr_size == 2)
		take_modrm_16(insn, c);
	else
		take_modrm_32(insn, c);
	insn->seg = default_seg(insn);
}

static void take_imm(struct x86_insn *insn, struct cursor *c, u8 len,
		     bool is_signed)
{
	u64 value = next_bytes(c, len);

	insn->imm_len = len;
	insn->imm = is_signed ? sign_extend(value, len) : value;
}

static void take_imm2(struct x86_insn *insn, struct cursor *c, u8 len)
{
	insn->imm2_len = len;
	insn->imm2 = (u16)next_bytes(c, len);
}

/* 0F 78: EXTRQ after 66, INSERTQ after F2, both between registers only. */
static bool is_sse4a(const struct x86_insn *insn)
{
	if (insn->mod != 3 || insn->rep == 0xf3)
		return false;
	return insn->rep == 0xf2 || insn->op_prefix;
}

static void take_immediate(struct x86_insn *insn, struct cursor *c, u16 attr)
{
	u8 full = insn->word_size;
	u8 z = full == 2 ? 2 : 4;

	switch (attr & IMM_MASK) {
	case IMM_B:
		take_imm(insn, c, 1, true);
		break;
	case IMM_UB:
		take_imm(insn, c, 1, false);
		break;
	case IMM_W:
		take_imm(insn, c, 2, false);
		break;
	case IMM_Z:
		take_imm(insn, c, z, true);
		break;
	case IMM_D:
		take_imm(insn, c, 4, false);
		break;
	case IMM_V:
		take_imm(insn, c, full, true);
		break;
	case IMM_ENTER:
		take_imm(insn, c, 2, false);
		take_imm2(insn, c, 1);
		break;
	case IMM_FAR:
		take_imm(insn, c, z, false);
		take_imm2(insn, c, 2);
		break;
	case IMM_MOFFS:
		take_imm(insn, c, insn->addr_size, false);
		break;
	case IMM_GRP3:
		if ((insn->modrm & 0x30) == 0)
			take_imm(insn, c, attr & OP_BYTE ? 1 : z, true);
		break;
	case IMM_SSE4A:
		if (is_sse4a(insn)) {
			take_imm(insn, c, 1, false);
			take_imm2(insn, c, 1);
		}
		break;
	}
}

static void set_operand_size(struct x86_insn *insn, u16 attr)
{
	bool is_16 = (insn->mode == X86_INSN_16) != insn->op_prefix;

	if (insn->mode != X86_INSN_64)
		insn->word_size = is_16 ? 2 : 4;
	else if (insn->rex & 8)
		insn->word_size = 8;
	else if (insn->op_prefix)
		insn->word_size = 2;
	else
		insn->word_size = attr & OP_D64 ? 8 : 4;
	insn->op_size = attr & OP_BYTE ? 1 : insn->word_size;
}

/* Groups whose free ModRM.reg values are no instructions. */
static bool bad_group(const struct x86_insn *insn)
{
	u8 reg = insn->reg & 7;

	if (insn->map == X86_MAP_0F)
		return insn->opcode == 0xba && reg < 4;
	switch (insn->opcode) {
	case 0x8f:
		return reg != 0;
	case 0xc6: case 0xc7:	/* /7 with a register is XABORT, XBEGIN */
		return reg != 0 && insn->modrm != 0xf8;
	case 0xfe:
		return reg > 1;
	case 0xff:
		return reg == 7;
	case 0x8c:
		return reg > SEG_GS;
	case 0x8e:
		return reg > SEG_GS || reg == SEG_CS;
	}
	return false;
}

/* CALL, JMP and PUSH in group 5 work on 8 bytes in 64-bit mode. */
static u16 group5_size(const struct x86_insn *insn)
{
	u8 reg = insn->reg & 7;

	return reg == 2 || reg == 4 || reg == 6 ? OP_D64 : 0;
}

static int finish(struct x86_insn *insn, struct cursor *c, u16 attr)
{
	if (attr & OP_UD)
		return X86_INSN_INVALID;
	if ((attr & OP_I64) && insn->mode == X86_INSN_64)
		return X86_INSN_INVALID;
	if (attr & OP_MODRM) {
		take_modrm(insn, c, attr & OP_REGS);
		if (!c->error && insn->map <= X86_MAP_0F && bad_group(insn))
			return X86_INSN_INVALID;
		if (insn->map == X86_MAP_1BYTE && insn->opcode == 0xff)
			attr |= group5_size(insn);
	}
	set_operand_size(insn, attr);
	take_immediate(insn, c, attr);
	if (c->error)
		return c->error;
	insn->len = c->pos;
	return insn->len;
}

/*
 * VEX and EVEX maps 1 to 3 and 5, 6: everything has a ModRM byte but
 * VZEROUPPER and VZEROALL; map 3 and a few of map 1 have an immediate byte.
 */
static int finish_vex(struct x86_insn *insn, struct cursor *c, u8 map)
{
	u8 op = insn->opcode = next_byte(c);
	u16 attr = OP_MODRM;

	insn->map = X86_MAP_VECTOR;
	if (map == 1 && op == 0x77)
		attr = 0;
	else if (map == 3 || (map == 1 && ((op >= 0x70 && op <= 0x73) ||
					   op == 0xc2 || (op >= 0xc4 && op <= 0xc6))))
		attr |= IMM_UB;
	return finish(insn, c, attr);
}

/* Legacy prefixes and REX that make a vector instruction undefined. */
static bool vex_prefix_bad(const struct x86_insn *insn)
{
	return insn->lock || insn->rep || insn->op_prefix || insn->rex;
}

/* R, X and B are stored inverted, in bits 7, 6, 5; outside 64-bit mode void. */
static void set_vex_rex(struct x86_insn *insn, u8 byte)
{
	if (insn->mode == X86_INSN_64)
		insn->rex = 0x40 | ((u8)~byte >> 5 & 7);
}

static int decode_vex(struct x86_insn *insn, struct cursor *c, u8 lead)
{
	u8 byte = next_byte(c);
	u8 map = 1;

	if (c->error)
		return c->error;
	if (vex_prefix_bad(insn))
		return X86_INSN_INVALID;
	if (lead == 0xc4) {
		set_vex_rex(insn, byte);
		map = byte & 0x1f;
		if (map < 1 || map > 3)
			return X86_INSN_INVALID;
		next_byte(c);	/* W, vvvv, L, pp */
	}
	return finish_vex(insn, c, map);
}

static int decode_evex(struct x86_insn *insn, struct cursor *c)
{
	u8 byte = next_byte(c);
	u8 map = byte & 7;
	u8 byte2 = next_byte(c);

	next_byte(c);		/* z, L'L, b, V', aaa */
	if (c->error)
		return c->error;
	if (vex_prefix_bad(insn) || map == 0 || map == 4 || map == 7 ||
	    (byte & 8) || !(byte2 & 4))
		return X86_INSN_INVALID;
	set_vex_rex(insn, byte);
	return finish_vex(insn, c, map);
}

/* Map 8 has an immediate byte, map 9 none, map A four bytes. */
static int decode_xop(struct x86_insn *insn, struct cursor *c)
{
	u8 byte = next_byte(c);
	u8 map = byte & 0x1f;

	next_byte(c);
	insn->opcode = next_byte(c);
	if (c->error)
		return c->error;
	if (vex_prefix_bad(insn) || map > 10)
		return X86_INSN_INVALID;
	insn->map = X86_MAP_VECTOR;
	set_vex_rex(insn, byte);
	if (map == 10)
		return finish(insn, c, OP_MODRM | IMM_D);
	return finish(insn, c, OP_MODRM | (map == 8 ? IMM_UB : IMM_NONE));
}

/*
 * Bytes that lead a vector instruction are LES, LDS, BOUND or POP if what
 * follows reads as a legal ModRM byte of those.
 */
static bool is_vector_lead(struct x86_insn *insn, struct cursor *c, u8 byte)
{
	u8 next;

	if (byte != 0xc4 && byte != 0xc5 && byte != 0x62 && byte != 0x8f)
		return false;
	next = peek_byte(c);
	if (byte == 0x8f)
		return (next & 0x1f) >= 8 && !c->error;
	return (insn->mode == X86_INSN_64 || next >= 0xc0) && !c->error;
}

static int decode_vector(struct x86_insn *insn, struct cursor *c, u8 lead)
{
	if (lead == 0x62)
		return decode_evex(insn, c);
	if (lead == 0x8f)
		return decode_xop(insn, c);
	return decode_vex(insn, c, lead);
}

static int decode_0f(struct x86_insn *insn, struct cursor *c)
{
	u8 op = next_byte(c);

	insn->opcode = op;
	insn->map = X86_MAP_0F;
	if (c->error)
		return c->error;
	if (op == 0x38 || op == 0x3a) {
		insn->map = op == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
		insn->opcode = next_byte(c);
		return finish(insn, c, OP_MODRM |
			      (op == 0x3a ? IMM_UB : IMM_NONE));
	}
	if (op == 0x0f)
		insn->map = X86_MAP_3DNOW;
	return finish(insn, c, x86_table_0f[op]);
}

static void init_insn(struct x86_insn *insn, enum x86_insn_mode mode)
{
	memset(insn, 0, sizeof(*insn));
	insn->mode = mode;
	insn->addr_size = mode == X86_INSN_64 ? 8 : mode == X86_INSN_32 ? 4 : 2;
	insn->seg_override = X86_NO_REG;
	insn->base = X86_NO_REG;
	insn->index = X86_NO_REG;
}

int x86_insn_decode(struct x86_insn *insn, const u8 *bytes, unsigned int len,
		    enum x86_insn_mode mode)
{
	struct cursor c = {
		.bytes = bytes,
		.end = min_t(unsigned int, len, X86_MAX_INSN_LEN),
	};
	u8 op;

	init_insn(insn, mode);
	op = take_prefixes(insn, &c);
	if (c.error)
		return c.error;
	if (is_vector_lead(insn, &c, op))
		return decode_vector(insn, &c, op);
	if (c.error)
		return c.error;
	if (op == 0x0f)
		return decode_0f(insn, &c);
	insn->opcode = op;
	return finish(insn, &c, x86_table_1byte[op]);
}
