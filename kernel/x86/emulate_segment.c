// SPDX-License-Identifier: GPL-2.0-only
/* Segmentation: limits, types, canonical addresses; APM vol. 2 chapter 4. */
#include "emulate_internal.h"

#define TYPE_CODE	0x8
#define TYPE_DOWN	0x4	/* data: expands down; code: conforming */
#define TYPE_RW		0x2	/* data: writable; code: readable */

const struct kvm_segment *emul_seg(struct emulator *e, enum x86_seg seg)
{
	if (!(e->seg_cached & (1U << seg))) {
		e->ops->get_segment(e, seg, &e->seg[seg]);
		e->seg_cached |= 1U << seg;
	}
	return &e->seg[seg];
}

void emul_set_seg(struct emulator *e, enum x86_seg seg,
		  const struct kvm_segment *s)
{
	e->seg[seg] = *s;
	e->seg_cached |= 1U << seg;
	e->ops->set_segment(e, seg, s);
}

bool emul_canonical(const struct emulator *e, u64 address)
{
	u32 shift = e->cr4 & CR4_LA57 ? 7 : 16;

	return (u64)((s64)(address << shift) >> shift) == address;
}

static enum emul_result segment_fault(struct emulator *e, enum x86_seg seg)
{
	return emul_raise_code(e, seg == SEG_SS ? SS_VECTOR : GP_VECTOR, 0);
}

static bool limit_ok(const struct kvm_segment *s, u64 offset, u32 len,
		     bool expands_down)
{
	u64 last = offset + len - 1;

	if (!expands_down)
		return last <= s->limit;
	return offset > s->limit && last <= (s->db ? 0xffffffffULL : 0xffff);
}

static bool type_ok(const struct kvm_segment *s, u32 access)
{
	if (s->unusable || !s->present)
		return false;
	if (access & EMUL_WRITE)
		return (s->type & (TYPE_CODE | TYPE_RW)) == TYPE_RW;
	return !(s->type & TYPE_CODE) || (s->type & TYPE_RW);
}

static enum emul_result linear_64(struct emulator *e, enum x86_seg seg,
				  u64 offset, u32 len, u64 *linear)
{
	if (seg == SEG_FS || seg == SEG_GS)
		offset += emul_seg(e, seg)->base;
	if (!emul_canonical(e, offset) || !emul_canonical(e, offset + len - 1))
		return segment_fault(e, seg);
	*linear = offset;
	return EMUL_OK;
}

enum emul_result emul_linear(struct emulator *e, enum x86_seg seg, u64 offset,
			     u32 len, u32 access, u64 *linear)
{
	const struct kvm_segment *s;
	bool down = false;

	if (emul_is_64(e))
		return linear_64(e, seg, offset, len, linear);
	s = emul_seg(e, seg);
	if (!emul_is_real_style(e)) {
		if (!type_ok(s, access))
			return segment_fault(e, seg);
		down = (s->type & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN;
	}
	if (!limit_ok(s, offset, len, down))
		return segment_fault(e, seg);
	*linear = (u32)(s->base + offset);
	return EMUL_OK;
}

enum emul_result emul_read(struct emulator *e, enum x86_seg seg, u64 offset,
			   void *data, u32 len, u32 access)
{
	u64 linear;
	enum emul_result r = emul_linear(e, seg, offset, len, access, &linear);

	return r == EMUL_OK ? emul_linear_read(e, linear, data, len, access) : r;
}

static enum emul_result queue_write(struct emulator *e, enum x86_seg seg,
				    u64 offset, const void *old,
				    const void *data, u32 len)
{
	struct emul_write *w = &e->writes[e->nr_writes];
	enum emul_result r;

	if (e->nr_writes == EMUL_WRITES || len > sizeof(w->data))
		return EMUL_UNHANDLED;
	r = emul_linear(e, seg, offset, len, EMUL_WRITE, &w->linear);
	if (r != EMUL_OK)
		return r;
	w->access = EMUL_WRITE;
	w->len = len;
	w->locked = old != NULL;
	memcpy(w->data, data, len);
	if (old)
		memcpy(w->old, old, len);
	e->nr_writes++;
	return EMUL_OK;
}

enum emul_result emul_write(struct emulator *e, enum x86_seg seg, u64 offset,
			    const void *data, u32 len)
{
	return queue_write(e, seg, offset, NULL, data, len);
}

enum emul_result emul_write_locked(struct emulator *e, enum x86_seg seg,
				   u64 offset, const void *old,
				   const void *data, u32 len)
{
	return queue_write(e, seg, offset, old, data, len);
}

enum emul_result emul_flush_writes(struct emulator *e)
{
	enum emul_result r = EMUL_OK;
	struct emul_write *w;
	u32 i;

	/* A single write checks both its pages before it touches one. */
	for (i = 0; r == EMUL_OK && e->nr_writes > 1 && i < e->nr_writes; i++) {
		w = &e->writes[i];
		r = emul_linear_probe(e, w->linear, w->len, w->access, NULL);
	}
	for (i = 0; r == EMUL_OK && i < e->nr_writes; i++) {
		w = &e->writes[i];
		if (w->locked)
			r = emul_linear_cmpxchg(e, w);
		else
			r = emul_linear_write(e, w->linear, w->data, w->len,
					      w->access);
	}
	e->nr_writes = 0;
	return r;
}

/* Real mode keeps limit and attributes that protected mode left behind. */
static void load_real_style(struct emulator *e, enum x86_seg seg, u16 selector)
{
	struct kvm_segment s = *emul_seg(e, seg);

	s.selector = selector;
	s.base = (u64)selector << 4;
	if (emul_is_vm86(e))
		s.limit = 0xffff;
	emul_set_seg(e, seg, &s);
}

enum emul_result emul_descriptor_address(struct emulator *e, u16 selector,
					 u32 bytes, u64 *linear)
{
	struct kvm_dtable gdt;
	u32 limit;

	if (selector & 4) {
		const struct kvm_segment *ldt = emul_seg(e, SEG_LDTR);

		*linear = ldt->base;
		limit = ldt->limit;
		if (ldt->unusable || !ldt->present)
			return emul_raise_code(e, GP_VECTOR, selector & ~3);
	} else {
		e->ops->get_table(e, false, &gdt);
		*linear = gdt.base;
		limit = gdt.limit;
	}
	if ((selector & ~7U) + bytes - 1 > limit)
		return emul_raise_code(e, GP_VECTOR, selector & ~3);
	*linear += selector & ~7;
	return EMUL_OK;
}

void emul_unpack_descriptor(u64 d, u16 selector, struct kvm_segment *s)
{
	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
	s->limit = (d & 0xffff) | (d >> 32 & 0xf0000);
	s->type = d >> 40 & 15;
	s->s = d >> 44 & 1;
	s->dpl = d >> 45 & 3;
	s->present = d >> 47 & 1;
	s->avl = d >> 52 & 1;
	s->l = d >> 53 & 1;
	s->db = d >> 54 & 1;
	s->g = d >> 55 & 1;
	if (s->g)
		s->limit = s->limit << 12 | 0xfff;
}

/* APM vol. 2, 4.8 and the pages of MOV and POP in vol. 3. */
static bool data_segment_allowed(const struct emulator *e, enum x86_seg seg,
				 const struct kvm_segment *s)
{
	u8 rpl = s->selector & 3;
	bool code = s->type & TYPE_CODE;

	if (!s->s)
		return false;
	if (seg == SEG_SS)
		return rpl == e->cpl && s->dpl == e->cpl && !code &&
		       (s->type & TYPE_RW);
	if (code && !(s->type & TYPE_RW))
		return false;
	if (code && (s->type & TYPE_DOWN))
		return true;
	return s->dpl >= rpl && s->dpl >= e->cpl;
}

static enum emul_result load_null(struct emulator *e, enum x86_seg seg,
				  u16 selector)
{
	struct kvm_segment s = *emul_seg(e, seg);

	/* A null SS is legal only in 64-bit mode below CPL 3. */
	if (seg == SEG_SS && (!emul_is_64(e) || e->cpl == 3 ||
			      (selector & 3) != e->cpl))
		return emul_gp(e);
	s.selector = selector;
	s.unusable = 1;
	s.present = 0;
	s.base = 0;
	if (seg == SEG_SS)
		s.dpl = e->cpl;
	emul_set_seg(e, seg, &s);
	return EMUL_OK;
}

enum emul_result emul_mark_descriptor(struct emulator *e, u64 linear, u64 old,
				      u64 bit)
{
	struct emul_write w = {
		.linear = linear,
		.access = EMUL_WRITE | EMUL_SYSTEM,
		.len = 8,
		.locked = true,
	};
	u64 new = old | bit;

	if (old == new)
		return EMUL_OK;
	memcpy(w.old, &old, 8);
	memcpy(w.data, &new, 8);
	return emul_linear_cmpxchg(e, &w);
}

static enum emul_result read_descriptor(struct emulator *e, u16 selector,
					u32 bytes, u64 *linear,
					u64 descriptor[2],
					struct kvm_segment *s)
{
	enum emul_result r;

	r = emul_descriptor_address(e, selector, bytes, linear);
	if (r == EMUL_OK)
		r = emul_linear_read(e, *linear, descriptor, bytes,
				     EMUL_SYSTEM);
	if (r != EMUL_OK)
		return r;
	emul_unpack_descriptor(descriptor[0], selector, s);
	if (bytes == 16)
		s->base |= descriptor[1] << 32;
	return EMUL_OK;
}

enum emul_result emul_load_segment(struct emulator *e, enum x86_seg seg,
				   u16 selector)
{
	struct kvm_segment s;
	enum emul_result r;
	u64 linear, descriptor[2];

	if (emul_is_real_style(e)) {
		load_real_style(e, seg, selector);
		return EMUL_OK;
	}
	if (selector <= 3)
		return load_null(e, seg, selector);
	r = read_descriptor(e, selector, 8, &linear, descriptor, &s);
	if (r != EMUL_OK)
		return r;
	if (!data_segment_allowed(e, seg, &s))
		return emul_raise_code(e, GP_VECTOR, selector & ~3);
	if (!s.present)
		return emul_raise_code(e, seg == SEG_SS ? SS_VECTOR : NP_VECTOR,
				       selector & ~3);
	r = emul_mark_descriptor(e, linear, descriptor[0], DESC_ACCESSED);
	if (r != EMUL_OK)
		return r;
	s.type |= 1;
	emul_set_seg(e, seg, &s);
	return EMUL_OK;
}

enum emul_result emul_load_system(struct emulator *e, enum x86_seg seg,
				  u16 selector)
{
	struct kvm_segment s = { .selector = selector, .unusable = 1 };
	bool wide = e->efer & EFER_LMA, tr = seg == SEG_TR;
	enum emul_result r;
	u64 linear, descriptor[2];

	if (selector <= 3 && tr)
		return emul_gp(e);
	if (selector <= 3) {
		emul_set_seg(e, seg, &s);
		return EMUL_OK;
	}
	if (selector & 4)
		return emul_raise_code(e, GP_VECTOR, selector & ~3);
	r = read_descriptor(e, selector, wide ? 16 : 8, &linear, descriptor,
			    &s);
	if (r != EMUL_OK)
		return r;
	if (s.s || (tr ? (s.type | (wide ? 0 : 8)) != 9 : s.type != 2) ||
	    (wide && !emul_canonical(e, s.base)))
		return emul_raise_code(e, GP_VECTOR, selector & ~3);
	if (!s.present)
		return emul_raise_code(e, NP_VECTOR, selector & ~3);
	if (tr) {
		r = emul_mark_descriptor(e, linear, descriptor[0], DESC_BUSY);
		s.type |= 2;
	}
	if (r == EMUL_OK)
		emul_set_seg(e, seg, &s);
	return r;
}

/* Code that runs at the CPL as it is; APM vol. 2, 4.9. */
static bool code_segment_allowed(const struct emulator *e,
				 const struct kvm_segment *s, bool is_return)
{
	u8 rpl = s->selector & 3;

	if (!s->s || !(s->type & TYPE_CODE) || (is_return && rpl < e->cpl) ||
	    (e->efer & EFER_LMA && s->l && s->db))
		return false;
	if (s->type & TYPE_DOWN)
		return s->dpl <= e->cpl;
	return s->dpl == e->cpl && rpl <= e->cpl;
}

enum emul_result emul_far_jump(struct emulator *e, u16 selector, u64 offset,
			       bool is_return)
{
	struct kvm_segment s;
	enum emul_result r;
	u64 linear, descriptor[2];

	if (emul_is_real_style(e))
		return emul_real_far_jump(e, selector, offset);
	if (selector <= 3)
		return emul_gp(e);
	r = read_descriptor(e, selector, 8, &linear, descriptor, &s);
	if (r != EMUL_OK)
		return r;
	/* Gates and tasks; an outer privilege level. */
	if (is_return ? (selector & 3) > e->cpl : !s.s)
		return EMUL_UNHANDLED;
	if (!code_segment_allowed(e, &s, is_return))
		return emul_raise_code(e, GP_VECTOR, selector & ~3);
	if (!s.present)
		return emul_raise_code(e, NP_VECTOR, selector & ~3);
	if (e->efer & EFER_LMA && s.l ? !emul_canonical(e, offset) :
					offset > s.limit)
		return emul_gp(e);
	r = emul_mark_descriptor(e, linear, descriptor[0], DESC_ACCESSED);
	if (r == EMUL_OK)
		r = emul_flush_writes(e);
	if (r != EMUL_OK)
		return r;
	s.type |= 1;
	s.selector = (selector & ~3) | e->cpl;
	emul_set_seg(e, SEG_CS, &s);
	e->rip = offset;
	return EMUL_OK;
}

enum emul_result emul_real_far_jump(struct emulator *e, u16 selector,
				    u64 offset)
{
	enum emul_result r;

	if (offset > emul_seg(e, SEG_CS)->limit)
		return emul_gp(e);
	r = emul_flush_writes(e);
	if (r != EMUL_OK)
		return r;
	load_real_style(e, SEG_CS, selector);
	e->rip = offset;
	return EMUL_OK;
}
