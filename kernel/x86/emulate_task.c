// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches; APM vol. 2 chapter 12. Never in long mode.
 *
 * The processor checked the task gate and the incoming TSS before it exited
 * (15.14.1). Up to commit() nothing is changed; what is wrong with the new
 * task's segments is the new task's fault, and raised in it.
 */
#include "emulate_internal.h"

#define TSS_TYPE_32	0x8
#define TSS_TYPE_BUSY	0x2
#define TSS_BYTES_32	0x68
#define TSS_BYTES_16	0x2c
#define DR7_LOCAL	0x155ULL

/* Where things are in a TSS of either width: figures 12-6 and 12-8. */
struct tss_layout {
	u8 size, limit, ip, flags, gpr, seg, nr_segs, ldt, first, last;
};

static const struct tss_layout layout_16 = {
	.size = 2, .limit = TSS_BYTES_16 - 1, .ip = 0x0e, .flags = 0x10,
	.gpr = 0x12, .seg = 0x22, .nr_segs = 4, .ldt = 0x2a,
	.first = 0x0e, .last = 0x29,
};

static const struct tss_layout layout_32 = {
	.size = 4, .limit = TSS_BYTES_32 - 1, .ip = 0x20, .flags = 0x24,
	.gpr = 0x28, .seg = 0x48, .nr_segs = 6, .ldt = 0x60,
	.first = 0x20, .last = 0x5f,
};

struct task_switch {
	const struct emul_task *task;
	const struct tss_layout *old_layout, *new_layout;
	struct kvm_segment tr, new_tr;
	u64 old_descriptor, new_descriptor;	/* linear addresses */
	u8 old_type, new_type;		/* the bytes with P, DPL, type */
	u8 old[TSS_BYTES_32], new[TSS_BYTES_32];
};

static const struct tss_layout *layout_of(const struct kvm_segment *tss)
{
	return tss->type & TSS_TYPE_32 ? &layout_32 : &layout_16;
}

static u32 tss_get(const u8 *tss, u32 at, u32 size)
{
	u32 value = 0;

	memcpy(&value, tss + at, size);
	return value;
}

/* ---- before: everything that can fail ---- */

static bool leaves_for_good(enum emul_task_source source)
{
	return source == TASK_JMP || source == TASK_IRET;
}

static enum emul_result read_new_tss(struct emulator *e, struct task_switch *s)
{
	u16 selector = s->task->selector;
	enum emul_result r;
	u64 descriptor;

	if (selector & 4 || selector < 4)
		return emul_raise_code(e, TS_VECTOR, selector & ~3);
	r = emul_descriptor_address(e, selector, 8, &s->new_descriptor);
	if (r == EMUL_OK)
		r = emul_linear_read(e, s->new_descriptor, &descriptor, 8,
				     EMUL_SYSTEM);
	if (r != EMUL_OK)
		return r;
	emul_unpack_descriptor(descriptor, selector, &s->new_tr);
	s->new_type = descriptor >> 40;
	s->new_layout = layout_of(&s->new_tr);
	if (s->new_tr.s || (s->new_tr.type & 5) != 1 ||
	    s->new_tr.limit < s->new_layout->limit)
		return emul_raise_code(e, TS_VECTOR, selector & ~3);
	return emul_linear_read(e, s->new_tr.base, s->new,
				s->new_layout->limit + 1, EMUL_SYSTEM);
}

/* The outgoing TSS and both descriptors must be there to be written. */
static enum emul_result check_writes(struct emulator *e, struct task_switch *s)
{
	enum emul_result r;

	r = emul_linear_read(e, s->tr.base, s->old, s->old_layout->limit + 1,
			     EMUL_SYSTEM);
	if (r == EMUL_OK)
		r = emul_linear_probe(e, s->tr.base, s->old_layout->limit + 1,
				      EMUL_SYSTEM, NULL);
	if (r == EMUL_OK && leaves_for_good(s->task->source))
		r = emul_descriptor_address(e, s->tr.selector, 8,
					    &s->old_descriptor);
	if (r == EMUL_OK && s->old_descriptor)
		r = emul_linear_read(e, s->old_descriptor + 5, &s->old_type, 1,
				     EMUL_SYSTEM);
	if (r == EMUL_OK && s->old_descriptor)
		r = emul_linear_probe(e, s->old_descriptor + 5, 1, EMUL_SYSTEM,
				      NULL);
	if (r == EMUL_OK)
		r = emul_linear_probe(e, s->new_descriptor + 5, 1, EMUL_SYSTEM,
				      NULL);
	if (r == EMUL_OK && !leaves_for_good(s->task->source))
		r = emul_linear_probe(e, s->new_tr.base, 2, EMUL_SYSTEM, NULL);
	return r;
}

/* ---- commit: memory, then registers ---- */

static void save_old(struct emulator *e, struct task_switch *s)
{
	const struct tss_layout *l = s->old_layout;
	u64 flags = e->rflags;
	u32 i;

	if (s->task->source == TASK_IRET)
		flags &= ~FL_NT;
	memcpy(s->old + l->ip, &e->rip, l->size);
	memcpy(s->old + l->flags, &flags, l->size);
	for (i = 0; i < 8; i++)
		memcpy(s->old + l->gpr + i * l->size, &e->gpr[i], l->size);
	for (i = 0; i < l->nr_segs; i++)
		memcpy(s->old + l->seg + i * l->size,
		       &emul_seg(e, i)->selector, 2);
}

static enum emul_result write_memory(struct emulator *e, struct task_switch *s)
{
	const struct tss_layout *l = s->old_layout;
	u8 busy = s->new_type | TSS_TYPE_BUSY;
	u8 available = s->old_type & ~TSS_TYPE_BUSY;
	enum emul_result r;

	save_old(e, s);
	r = emul_linear_write(e, s->tr.base + l->first, s->old + l->first,
			      l->last - l->first + 1, EMUL_SYSTEM);
	if (r == EMUL_OK && s->old_descriptor)
		r = emul_linear_write(e, s->old_descriptor + 5, &available, 1,
				      EMUL_SYSTEM);
	/* Where it came from, for its IRET. */
	if (r == EMUL_OK && !leaves_for_good(s->task->source))
		r = emul_linear_write(e, s->new_tr.base, &s->tr.selector, 2,
				      EMUL_SYSTEM);
	if (r == EMUL_OK && s->task->source != TASK_IRET)
		r = emul_linear_write(e, s->new_descriptor + 5, &busy, 1,
				      EMUL_SYSTEM);
	return r;
}

static enum emul_result load_registers(struct emulator *e,
				       struct task_switch *s)
{
	const struct tss_layout *l = s->new_layout;
	u32 i, upper = l->size == 2 ? 0xffff0000 : 0;

	s->new_tr.type |= TSS_TYPE_BUSY;
	emul_set_seg(e, SEG_TR, &s->new_tr);
	e->ops->set_cr(e, 0, e->cr0 | CR0_TS);
	e->cr0 |= CR0_TS;
	e->ops->set_dr(e, 7, e->ops->get_dr(e, 7) & ~DR7_LOCAL);
	e->rip = tss_get(s->new, l->ip, l->size);
	e->rflags = tss_get(s->new, l->flags, l->size) | FL_ONE;
	if (!leaves_for_good(s->task->source))
		e->rflags |= FL_NT;
	for (i = 0; i < 8; i++)
		e->gpr[i] = tss_get(s->new, l->gpr + i * l->size, l->size) |
			    upper;
	if (l->size == 4 && e->cr0 >> 31 & 1 &&
	    e->ops->set_cr(e, 3, tss_get(s->new, 0x1c, 4)))
		return emul_raise_code(e, TS_VECTOR, s->new_tr.selector & ~3);
	return EMUL_OK;
}

/* ---- after: the new task's segments; its own exceptions ---- */

static enum emul_result ts_fault(struct emulator *e, u16 selector)
{
	return emul_raise_code(e, TS_VECTOR, selector & ~3);
}

static bool task_segment_allowed(const struct emulator *e, enum x86_seg seg,
				 const struct kvm_segment *s)
{
	u8 rpl = s->selector & 3;
	bool code = s->s && s->type & 8, conforming = code && s->type & 4;

	if (seg == SEG_LDTR)
		return !s->s && s->type == 2;
	if (seg == SEG_CS)
		return code && (conforming ? s->dpl <= rpl : s->dpl == rpl);
	if (seg == SEG_SS)
		return s->s && !code && s->type & 2 && s->dpl == e->cpl &&
		       rpl == e->cpl;
	return s->s && (!code || s->type & 2) &&
	       (conforming || (s->dpl >= e->cpl && s->dpl >= rpl));
}

static enum emul_result load_null(struct emulator *e, enum x86_seg seg,
				  u16 selector)
{
	struct kvm_segment null = { .selector = selector, .unusable = 1 };

	if (seg == SEG_CS || seg == SEG_SS)
		return ts_fault(e, selector);
	emul_set_seg(e, seg, &null);
	return EMUL_OK;
}

static enum emul_result load_segment(struct emulator *e, enum x86_seg seg,
				     u16 selector)
{
	struct kvm_segment s;
	enum emul_result r;
	u64 linear, descriptor;

	if (selector < 4)
		return load_null(e, seg, selector);
	if (seg == SEG_LDTR && selector & 4)
		return ts_fault(e, selector);
	r = emul_descriptor_address(e, selector, 8, &linear);
	if (r != EMUL_OK)
		return ts_fault(e, selector);
	r = emul_linear_read(e, linear, &descriptor, 8, EMUL_SYSTEM);
	if (r != EMUL_OK)
		return r;
	emul_unpack_descriptor(descriptor, selector, &s);
	if (!task_segment_allowed(e, seg, &s))
		return ts_fault(e, selector);
	if (!s.present)
		return emul_raise_code(e, seg == SEG_SS ? SS_VECTOR :
				       seg == SEG_LDTR ? TS_VECTOR : NP_VECTOR,
				       selector & ~3);
	if (seg != SEG_LDTR) {
		r = emul_mark_descriptor(e, linear, descriptor,
					 DESC_ACCESSED);
		s.type |= 1;
	}
	if (r == EMUL_OK)
		emul_set_seg(e, seg, &s);
	return r;
}

/* Virtual-8086 code has no descriptors: APM vol. 2, 10.5. */
static void load_vm86_segment(struct emulator *e, enum x86_seg seg,
			      u16 selector)
{
	struct kvm_segment s = {
		.selector = selector, .base = (u32)selector << 4,
		.limit = 0xffff, .type = 3, .present = 1, .s = 1, .dpl = 3,
	};

	emul_set_seg(e, seg, &s);
}

static enum emul_result load_segments(struct emulator *e, struct task_switch *s)
{
	static const enum x86_seg order[] = { SEG_CS, SEG_SS, SEG_ES, SEG_DS,
					      SEG_FS, SEG_GS };
	const struct tss_layout *l = s->new_layout;
	enum emul_result r;
	u16 selector;
	u32 i;

	/* Until they are loaded, none of the old task's may be used. */
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		selector = order[i] < l->nr_segs ?
			   tss_get(s->new, l->seg + order[i] * l->size, 2) : 0;
		emul_set_seg(e, order[i], &(struct kvm_segment){
				.selector = selector, .unusable = 1,
				.dpl = order[i] == SEG_SS ? e->cpl : 0 });
	}
	r = load_segment(e, SEG_LDTR, tss_get(s->new, l->ldt, 2));
	e->cpl = e->rflags & FL_VM ? 3 :
		 tss_get(s->new, l->seg + SEG_CS * l->size, 2) & 3;
	for (i = 0; r == EMUL_OK && i < ARRAY_SIZE(order); i++) {
		selector = e->seg[order[i]].selector;
		if (e->rflags & FL_VM)
			load_vm86_segment(e, order[i], selector);
		else
			r = load_segment(e, order[i], selector);
	}
	return r;
}

static enum emul_result finish(struct emulator *e, struct task_switch *s)
{
	const struct emul_task *t = s->task;
	enum emul_result r = EMUL_OK;

	/* The width of the push is the TSS's, not that of CS. */
	if (t->has_error_code)
		r = emul_push(e, s->new_layout->size, t->error_code);
	if (r == EMUL_OK)
		r = emul_flush_writes(e);
	if (r == EMUL_OK && e->rip > emul_seg(e, SEG_CS)->limit)
		r = emul_gp(e);
	return r;
}

enum emul_result emul_task_switch(struct emulator *e, struct emul_task *task)
{
	struct task_switch s = { .task = task };
	enum emul_result r;

	e->progress = false;
	e->nr_writes = 0;
	e->seg_cached = 0;
	e->mmio.nr_writes = 0;
	e->insn.mode = X86_INSN_32;	/* linear addresses have 32 bits */
	s.tr = *emul_seg(e, SEG_TR);
	s.old_layout = layout_of(&s.tr);
	if (s.tr.limit < s.old_layout->limit)
		return emul_raise_code(e, TS_VECTOR, s.tr.selector & ~3);
	r = read_new_tss(e, &s);
	if (r == EMUL_OK)
		r = check_writes(e, &s);
	if (r == EMUL_OK)
		r = write_memory(e, &s);
	if (r != EMUL_OK)
		return r;
	e->progress = true;
	r = load_registers(e, &s);
	if (r == EMUL_OK)
		r = load_segments(e, &s);
	if (r == EMUL_OK)
		r = finish(e, &s);
	task->trap = r == EMUL_OK && s.new_layout == &layout_32 &&
		     s.new[0x64] & 1;
	return r;
}
