// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linear addresses to guest memory, in-kernel devices and user space.
 *
 * Each access is cut at page boundaries, and what is not memory again into at
 * most 8 bytes, the most that a bus access or an exit can carry. A read that
 * was answered once, by a device or by user space, is remembered until the
 * instruction is done, so that running it again disturbs no device.
 */
#include "emulate_internal.h"

#define PAGE_BYTES	4096U

struct piece {
	u64 gpa;
	u32 len;
};

static u64 wrap_linear(const struct emulator *e, u64 linear)
{
	return emul_is_64(e) ? linear : (u32)linear;
}

static u32 effective_access(const struct emulator *e, u32 access)
{
	if (!(access & EMUL_SYSTEM) && e->cpl == 3)
		access |= EMUL_USER;
	return access;
}

/* Does no part of it touch memory besides the ModRM operand, but tables? */
static bool one_operand(const struct x86_insn *insn)
{
	bool stack = insn->map == X86_MAP_1BYTE &&
		     (insn->opcode == 0x8f ||
		      (insn->opcode == 0xff && (insn->reg & 7) >= 2));

	return x86_insn_has_mem(insn) && !stack;
}

/* Is this what the processor translated, and with these rights, at the exit? */
static bool exit_knows(const struct emulator *e, u64 linear, u32 access)
{
	return e->exit_gpa != EMUL_NO_GPA && one_operand(&e->insn) &&
	       !((linear ^ e->exit_gpa) & (PAGE_BYTES - 1)) &&
	       !(access & EMUL_SYSTEM) &&
	       (e->exit_write || !(access & EMUL_WRITE));
}

/* One piece, or two if the range crosses a page; at most a page long. */
static enum emul_result translate(struct emulator *e, u64 linear, u32 len,
				  u32 access, struct piece piece[2])
{
	u32 first = min_t(u32, len, PAGE_BYTES - (linear & (PAGE_BYTES - 1)));
	enum emul_result r;

	access = effective_access(e, access);
	piece[0].len = first;
	piece[1].len = len - first;
	if (first == len && exit_knows(e, linear, access)) {
		piece[0].gpa = e->exit_gpa;
		return EMUL_OK;
	}
	r = e->ops->translate(e, linear, access, &piece[0].gpa);
	if (r != EMUL_OK || first == len)
		return r;
	return e->ops->translate(e, wrap_linear(e, linear + first), access,
				 &piece[1].gpa);
}

static enum emul_result mmio_read(struct emulator *e, u64 gpa, void *data,
				  u32 len)
{
	struct emul_mmio *m = &e->mmio;
	struct emul_mmio_access *a = &m->read[m->next_read];

	if (m->next_read < m->nr_reads && a->gpa == gpa && a->len == len) {
		m->next_read++;
		memcpy(data, a->data, len);
		return EMUL_OK;
	}
	/* Page tables changed in between: later answers are another's. */
	m->nr_reads = m->next_read;
	if (m->nr_reads == EMUL_MMIO_READS)
		return EMUL_UNHANDLED;
	a = &m->read[m->nr_reads];
	a->gpa = gpa;
	a->len = len;
	if (e->ops->mmio_read(e, gpa, a->data, len)) {
		m->waiting = true;
		return EMUL_IO_NEEDED;
	}
	m->next_read = ++m->nr_reads;
	memcpy(data, a->data, len);
	return EMUL_OK;
}

static enum emul_result mmio_write(struct emulator *e, u64 gpa,
				   const void *data, u32 len)
{
	struct emul_mmio *m = &e->mmio;
	struct emul_mmio_access *a;

	if (!e->ops->mmio_write(e, gpa, data, len))
		return EMUL_OK;
	if (m->nr_writes == EMUL_MMIO_WRITES)
		return EMUL_UNHANDLED;
	a = &m->write[m->nr_writes++];
	a->gpa = gpa;
	a->len = len;
	memcpy(a->data, data, len);
	return EMUL_OK;
}

static enum emul_result piece_read(struct emulator *e, const struct piece *p,
				   u8 *data)
{
	enum emul_result r = EMUL_OK;
	u32 done, n;

	if (!p->len || !e->ops->phys_read(e, p->gpa, data, p->len))
		return EMUL_OK;
	for (done = 0; r == EMUL_OK && done < p->len; done += n) {
		n = min_t(u32, 8, p->len - done);
		r = mmio_read(e, p->gpa + done, data + done, n);
	}
	return r;
}

static enum emul_result piece_write(struct emulator *e, const struct piece *p,
				    const u8 *data)
{
	enum emul_result r = EMUL_OK;
	u32 done, n;

	if (!p->len || !e->ops->phys_write(e, p->gpa, data, p->len))
		return EMUL_OK;
	for (done = 0; r == EMUL_OK && done < p->len; done += n) {
		n = min_t(u32, 8, p->len - done);
		r = mmio_write(e, p->gpa + done, data + done, n);
	}
	return r;
}

enum emul_result emul_linear_read(struct emulator *e, u64 linear, void *data,
				  u32 len, u32 access)
{
	struct piece piece[2];
	enum emul_result r = translate(e, linear, len, access, piece);

	if (r == EMUL_OK)
		r = piece_read(e, &piece[0], data);
	if (r == EMUL_OK)
		r = piece_read(e, &piece[1], (u8 *)data + piece[0].len);
	return r;
}

enum emul_result emul_linear_probe(struct emulator *e, u64 linear, u32 len,
				   u32 access, bool *memory)
{
	struct piece piece[2];
	enum emul_result r;

	r = translate(e, linear, len, access | EMUL_WRITE, piece);
	if (r == EMUL_OK && memory)
		*memory = e->ops->phys_writable(e, piece[0].gpa) &&
			  (!piece[1].len ||
			   e->ops->phys_writable(e, piece[1].gpa));
	return r;
}

enum emul_result emul_linear_write(struct emulator *e, u64 linear,
				   const void *data, u32 len, u32 access)
{
	struct piece piece[2];
	enum emul_result r;

	r = translate(e, linear, len, access | EMUL_WRITE, piece);
	if (r == EMUL_OK)
		r = piece_write(e, &piece[0], data);
	if (r == EMUL_OK)
		r = piece_write(e, &piece[1], (const u8 *)data + piece[0].len);
	return r;
}

/*
 * Atomic where one aligned access can be; a locked access that crosses its
 * alignment, or has no memory behind it, is a plain write.
 */
enum emul_result emul_linear_cmpxchg(struct emulator *e,
				     const struct emul_write *w)
{
	struct piece piece[2];
	enum emul_result r;
	int changed;

	if (w->linear & (w->len - 1))
		return emul_linear_write(e, w->linear, w->data, w->len,
					 w->access);
	r = translate(e, w->linear, w->len, w->access | EMUL_WRITE, piece);
	if (r != EMUL_OK)
		return r;
	changed = e->ops->phys_cmpxchg(e, piece[0].gpa, w->old, w->data,
				       w->len);
	if (changed > 0)
		return EMUL_RETRY;
	return changed ? piece_write(e, &piece[0], w->data) : EMUL_OK;
}

void emul_mmio_forget_reads(struct emulator *e)
{
	e->mmio.nr_reads = 0;
	e->mmio.next_read = 0;
}

const struct emul_mmio_access *emul_mmio_waiting(const struct emulator *e)
{
	return e->mmio.waiting ? &e->mmio.read[e->mmio.nr_reads] : NULL;
}

void emul_mmio_answer(struct emulator *e, const void *data)
{
	struct emul_mmio *m = &e->mmio;
	struct emul_mmio_access *a = &m->read[m->nr_reads];

	if (!m->waiting)
		return;
	memcpy(a->data, data, a->len);
	m->nr_reads++;
	m->waiting = false;
}

const struct emul_mmio_access *emul_mmio_next_write(struct emulator *e)
{
	struct emul_mmio *m = &e->mmio;

	return m->next_write < m->nr_writes ? &m->write[m->next_write++] : NULL;
}
