// SPDX-License-Identifier: GPL-2.0-only
/* Port I/O: IN, OUT, and INS and OUTS in batches of up to a page. */
#include "emulate_internal.h"

#define PAGE_BYTES	4096U

/* I/O permission bitmap of the TSS: APM vol. 2, 12.2.4 and 13.2.2 */
static enum emul_result check_bitmap(struct emulator *e, u16 port, u8 size)
{
	const struct kvm_segment *tr = emul_seg(e, SEG_TR);
	u16 base, bits;
	enum emul_result r;

	/* type 9 or 11: only the wide TSS has a bitmap */
	if (tr->unusable || !tr->present || !(tr->type & 8) || tr->limit < 103)
		return emul_gp(e);
	r = emul_linear_read(e, tr->base + 102, &base, 2, EMUL_SYSTEM);
	if (r != EMUL_OK)
		return r;
	if ((u32)base + port / 8 + 1 > tr->limit)
		return emul_gp(e);
	r = emul_linear_read(e, tr->base + base + port / 8, &bits, 2,
			     EMUL_SYSTEM);
	if (r != EMUL_OK)
		return r;
	return bits >> (port & 7) & ((1U << size) - 1) ? emul_gp(e) : EMUL_OK;
}

static enum emul_result check_port(struct emulator *e, u16 port, u8 size)
{
	if (!emul_is_protected(e))
		return EMUL_OK;
	if (e->cpl <= emul_iopl(e) && !emul_is_vm86(e))
		return EMUL_OK;
	return check_bitmap(e, port, size);
}

/* Ports are at most 4 bytes wide, whatever REX.W says. */
static u8 port_size(const struct emulator *e)
{
	return min_t(u8, 4, e->insn.op_size);
}

/* Answer from a device in the kernel, or what user space left in the buffer. */
static enum emul_result port_in(struct emulator *e, u16 port, u8 size,
				u32 *count)
{
	struct emul_pio *p = &e->pio;

	if (p->answered && p->in && p->port == port && p->size == size) {
		p->answered = false;
		*count = min_t(u32, *count, p->count);
		p->count = 0;
		return EMUL_OK;
	}
	p->answered = false;
	p->count = 0;
	if (!e->ops->port_read(e, port, p->data, size)) {
		*count = 1;
		return EMUL_OK;
	}
	p->port = port;
	p->size = size;
	p->count = *count;
	p->in = true;
	return EMUL_IO_NEEDED;
}

/* What is in the buffer goes to a device in the kernel, or waits for the exit. */
static void port_out(struct emulator *e, u16 port, u8 size)
{
	struct emul_pio *p = &e->pio;

	if (!e->ops->port_write(e, port, p->data, size))
		return;
	p->port = port;
	p->size = size;
	p->count = 1;
	p->in = false;
}

/* How many elements from linear on lie in its page and in the buffer. */
static u32 batch_size(const struct emulator *e, u64 linear, u8 size)
{
	u32 room = (PAGE_BYTES - (linear & (PAGE_BYTES - 1))) / size;
	u64 left = emul_rep_count(e);

	if ((e->rflags & FL_DF) || !room)
		return 1;
	return left < room ? left : room;
}

/* The whole batch has to pass the segment check, else go one by one. */
static enum emul_result batch_linear(struct emulator *e, u8 seg, u8 reg,
				     u32 access, u64 *linear, u32 *count)
{
	u64 offset = emul_index(e, reg);
	u8 size = port_size(e);
	enum emul_result r;
	u64 ignored;

	r = emul_linear(e, seg, offset, size, access, linear);
	if (r != EMUL_OK)
		return r;
	*count = batch_size(e, *linear, size);
	if (offset + (u64)*count * size > size_mask(e->insn.addr_size) ||
	    emul_linear(e, seg, offset, *count * size, access,
			&ignored) != EMUL_OK)
		*count = 1;
	return EMUL_OK;
}

static enum emul_result ins_batch(struct emulator *e, u16 port)
{
	u8 size = port_size(e);
	enum emul_result r;
	bool memory = true;
	u64 linear;
	u32 count;

	r = batch_linear(e, SEG_ES, REG_RDI, EMUL_WRITE, &linear, &count);
	/* What the port gives must not get lost in a fault. */
	if (r == EMUL_OK)
		r = emul_linear_probe(e, linear, count * size, 0, &memory);
	if (!memory)
		count = 1;
	if (r == EMUL_OK)
		r = port_in(e, port, size, &count);
	if (r == EMUL_OK)
		r = emul_linear_write(e, linear, e->pio.data, count * size, 0);
	if (r != EMUL_OK)
		return r;
	emul_index_add(e, REG_RDI, (s64)count * size);
	emul_rep_done(e, count);
	return EMUL_OK;
}

/*
 * An exit for each element: user space that takes what an exit brings for one
 * access, however wide, is used to that from KVM.
 */
static enum emul_result outs_one(struct emulator *e, u16 port)
{
	u8 seg = e->insn.seg_override == X86_NO_REG ? SEG_DS :
						      e->insn.seg_override;
	u8 size = port_size(e);
	enum emul_result r;
	u64 linear;

	r = emul_linear(e, seg, emul_index(e, REG_RSI), size, 0, &linear);
	if (r == EMUL_OK)
		r = emul_linear_read(e, linear, e->pio.data, size, 0);
	if (r != EMUL_OK)
		return r;
	port_out(e, port, size);
	emul_index_add(e, REG_RSI, size);
	emul_rep_done(e, 1);
	return EMUL_OK;
}

static enum emul_result string_io(struct emulator *e,
				  enum emul_result (*move)(struct emulator *,
							   u16))
{
	u16 port = (u16)e->gpr[REG_RDX];
	enum emul_result r;

	r = check_port(e, port, port_size(e));
	if (r != EMUL_OK || !emul_rep_count(e))
		return r;
	r = move(e, port);
	e->rep_pending = r == EMUL_OK && e->insn.rep && emul_rep_count(e);
	return r;
}

enum emul_result emul_ins(struct emulator *e)
{
	return string_io(e, ins_batch);
}

enum emul_result emul_outs(struct emulator *e)
{
	return string_io(e, outs_one);
}

/* E4-E7: port in the instruction; EC-EF: in DX */
static u16 named_port(const struct emulator *e)
{
	return e->insn.opcode & 8 ? (u16)e->gpr[REG_RDX] : (u16)e->insn.imm;
}

enum emul_result emul_in(struct emulator *e)
{
	u8 size = port_size(e);
	u16 port = named_port(e);
	u32 value = 0, count = 1;
	enum emul_result r;

	r = check_port(e, port, size);
	if (r == EMUL_OK)
		r = port_in(e, port, size, &count);
	if (r != EMUL_OK)
		return r;
	memcpy(&value, e->pio.data, size);
	emul_gpr_write(e, REG_RAX, size, value);
	return EMUL_OK;
}

enum emul_result emul_out(struct emulator *e)
{
	u8 size = port_size(e);
	u16 port = named_port(e);
	enum emul_result r = check_port(e, port, size);

	if (r != EMUL_OK)
		return r;
	memcpy(e->pio.data, &e->gpr[REG_RAX], size);
	port_out(e, port, size);
	return EMUL_OK;
}
