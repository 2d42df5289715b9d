// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves of whole registers between memory and XMM or MMX: what drivers use to
 * copy to and from device memory. Everything else of them is not emulated.
 */
#include "emulate_internal.h"

struct sse_form {
	u8 opcode;
	u8 prefix;	/* 0, 0x66 or 0xf3 */
	bool store;
	bool aligned;
};

static const struct sse_form forms[] = {
	{ 0x10, 0x00, false, false },	/* MOVUPS */
	{ 0x11, 0x00, true, false },
	{ 0x10, 0x66, false, false },	/* MOVUPD */
	{ 0x11, 0x66, true, false },
	{ 0x28, 0x00, false, true },	/* MOVAPS */
	{ 0x29, 0x00, true, true },
	{ 0x28, 0x66, false, true },	/* MOVAPD */
	{ 0x29, 0x66, true, true },
	{ 0x2b, 0x00, true, true },	/* MOVNTPS */
	{ 0x2b, 0x66, true, true },	/* MOVNTPD */
	{ 0x6f, 0x66, false, true },	/* MOVDQA */
	{ 0x7f, 0x66, true, true },
	{ 0x6f, 0xf3, false, false },	/* MOVDQU */
	{ 0x7f, 0xf3, true, false },
	{ 0xe7, 0x66, true, true },	/* MOVNTDQ */
};

static const struct sse_form *find_form(const struct x86_insn *insn)
{
	u8 prefix = insn->rep ? insn->rep : insn->op_prefix ? 0x66 : 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].opcode == insn->opcode &&
		    forms[i].prefix == prefix)
			return &forms[i];
	return NULL;
}

static enum emul_result check_media(struct emulator *e, u64 cr4)
{
	if ((e->cr0 & CR0_EM) || (e->cr4 & cr4) != cr4)
		return emul_raise(e, UD_VECTOR);
	if (e->cr0 & CR0_TS)
		return emul_raise(e, NM_VECTOR);
	return EMUL_OK;
}

/* 0F 6F, 7F without a prefix: MOVQ; what x87 has pending comes before it. */
static enum emul_result mmx_mov(struct emulator *e)
{
	enum emul_result r = check_media(e, 0);
	int reg = e->insn.reg & 7;
	u64 data;

	if (r != EMUL_OK)
		return r;
	if (e->ops->move_mm(e, reg, &data, false))
		return emul_raise(e, MF_VECTOR);
	if (e->insn.opcode == 0x7f)
		return emul_rm_write(e, 8, data);
	r = emul_rm_read(e, 8, &data);
	if (r == EMUL_OK)
		e->ops->move_mm(e, reg, &data, true);
	return r;
}

enum emul_result emul_sse_mov(struct emulator *e)
{
	const struct sse_form *form = find_form(&e->insn);
	enum emul_result r;
	u8 data[16];

	if (!x86_insn_has_mem(&e->insn))
		return EMUL_UNHANDLED;
	if ((e->insn.opcode & 0xef) == 0x6f && !e->insn.rep &&
	    !e->insn.op_prefix)
		return mmx_mov(e);
	if (!form)
		return EMUL_UNHANDLED;
	r = check_media(e, CR4_OSFXSR);
	if (r != EMUL_OK)
		return r;
	if (form->aligned) {
		u64 linear;

		r = emul_linear(e, e->insn.seg, e->offset, 16,
				form->store ? EMUL_WRITE : 0, &linear);
		if (r != EMUL_OK)
			return r;
		if (linear & 15)
			return emul_gp(e);
	}
	if (form->store) {
		e->ops->get_xmm(e, e->insn.reg, data);
		return emul_write(e, e->insn.seg, e->offset, data, 16);
	}
	r = emul_read(e, e->insn.seg, e->offset, data, 16, 0);
	if (r == EMUL_OK)
		e->ops->set_xmm(e, e->insn.reg, data);
	return r;
}
