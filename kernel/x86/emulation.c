// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator at work on a vCPU, and the exits that come of it.
 *
 * Contract of exits: a read of a device leaves with nothing changed and is run
 * again once user space answered; a write leaves when the instruction is
 * already done.
 */
#include <linux/export.h>

#include "../trace.h"
#include "trace.h"
#include "emulation.h"

static_assert(EMUL_WRITE == X86_ACCESS_WRITE);
static_assert(EMUL_USER == X86_ACCESS_USER);
static_assert(EMUL_SYSTEM == X86_ACCESS_IMPLICIT);
static_assert(EMUL_NO_GPA == INVALID_GPA);
static_assert(EMUL_PIO_BYTES <= PAGE_SIZE);

static int run_emulator(struct x86_vcpu *v);

static int exit_mmio(struct x86_vcpu *v, const struct emul_mmio_access *a,
		     bool is_write, x86_complete_fn complete)
{
	struct kvm_run *run = v->vcpu.run;

	v->vcpu.stat.mmio_exits++;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = a->gpa;
	run->mmio.len = a->len;
	run->mmio.is_write = is_write;
	if (is_write)
		memcpy(run->mmio.data, a->data, sizeof(run->mmio.data));
	return x86_exit_complete_later(v, complete);
}

/* User space may have reset the vCPU instead of answering. */
static bool insn_abandoned(struct x86_vcpu *v)
{
	return v->rip != v->emul.start_rip;
}

static int complete_mmio_read(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	const struct emul_mmio_access *a = emul_mmio_waiting(&v->emul);

	if (insn_abandoned(v))
		return 1;
	if (a)
		trace_kvm_mmio(KVM_TRACE_MMIO_READ, a->len, a->gpa,
			       vcpu->run->mmio.data);
	emul_mmio_answer(&v->emul, vcpu->run->mmio.data);
	return run_emulator(v);
}

/* The elements that user space carries out at once; the first is shown. */
static void trace_pio_batch(struct x86_vcpu *v, unsigned int rw)
{
	const struct emul_pio *p = &v->emul.pio;

	trace_kvm_pio(rw, p->port, p->size, p->count, p->data);
}

static int complete_pio_in(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	if (insn_abandoned(v))
		return 1;
	trace_pio_batch(v, KVM_PIO_IN);
	v->emul.pio.answered = true;
	return run_emulator(v);
}

/* After the last write a debugger gets the step it asked for. */
static int writes_done(struct x86_vcpu *v)
{
	if (!v->io.step_pending)
		return 1;
	v->io.step_pending = false;
	return x86_trap_after(v, false);
}

static int complete_pio_out(struct kvm_vcpu *vcpu)
{
	return writes_done(to_x86(vcpu));
}

static int complete_mmio_write(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	const struct emul_mmio_access *a = emul_mmio_next_write(&v->emul);

	if (!a)
		return writes_done(v);
	return exit_mmio(v, a, true, complete_mmio_write);
}

static int exit_for_answer(struct x86_vcpu *v)
{
	const struct emul_mmio_access *a = emul_mmio_waiting(&v->emul);
	const struct emul_pio *p = &v->emul.pio;

	if (a)
		return exit_mmio(v, a, false, complete_mmio_read);
	return x86_exit_pio(v, true, p->port, p->size, p->count, complete_pio_in);
}

/* Writes that user space has to carry out, or 1 if there are none. */
static int exit_for_writes(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;

	if (e->pio.count) {
		trace_pio_batch(v, KVM_PIO_OUT);
		return x86_exit_pio(v, false, e->pio.port, e->pio.size,
				e->pio.count, complete_pio_out);
	}
	return complete_mmio_write(&v->vcpu);
}

static void take_over_registers(struct x86_vcpu *v)
{
	memcpy(v->gpr, v->emul.gpr, sizeof(v->gpr));
	v->rflags = v->emul.rflags;
	v->rip = v->emul.rip;
}

static int insn_done(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;
	bool tf = v->rflags & X86_EFLAGS_TF;
	bool writes = e->mmio.nr_writes || e->pio.count;

	take_over_registers(v);
	if (!e->rep_pending)
		x86_op(set_interrupt_shadow)(v, e->shadow);
	if (e->shadow & KVM_X86_SHADOW_INT_MOV_SS)
		tf = false;
	if (!writes)
		return x86_trap_after(v, tf);
	v->io.step_pending = v->guest_debug & KVM_GUESTDBG_SINGLESTEP;
	if (!v->io.step_pending)
		x86_trap_after(v, tf);
	return exit_for_writes(v);
}

static void load_emulator(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;

	memcpy(e->gpr, v->gpr, sizeof(e->gpr));
	e->rip = v->rip;
	e->rflags = v->rflags;
	e->cr0 = v->cr0;
	e->cr4 = v->cr4;
	e->efer = v->efer;
	e->cpl = x86_op(get_cpl)(v);
}

static int run_emulator(struct x86_vcpu *v)
{
	struct emulator *e = &v->emul;
	enum emul_result r;

	load_emulator(v);
	r = emul_run(e);
	if (r != EMUL_OK && e->progress)
		take_over_registers(v);
	switch (r) {
	case EMUL_OK:
		return insn_done(v);
	case EMUL_FAULT:
		x86_queue_emul_fault(v, &e->fault);
		return 1;
	case EMUL_IO_NEEDED:
		return exit_for_answer(v);
	case EMUL_RETRY:
		return 1;
	default:
		return x86_emulation_failed(v);
	}
}

int x86_emulate_insn(struct x86_vcpu *v, gpa_t gpa, bool write)
{
	struct code_position at = x86_code_position(v);
	struct emulator *e = &v->emul;
	int ret;

	v->vcpu.stat.insn_emulation++;
	ret = x86_decode_at(v, &at, &e->insn);
	if (ret != 1)
		return ret;
	trace_kvm_emulate_insn(v, false);
	emul_begin(e);
	e->exit_gpa = gpa;
	e->exit_write = write;
	e->ops = &x86_emul_ops;
	e->pio.data = v->vcpu.pio_page;
	return run_emulator(v);
}
EXPORT_SYMBOL_GPL(x86_emulate_insn);

int x86_emulate_task_switch(struct x86_vcpu *v, struct emul_task *task,
			    bool skip)
{
	struct emulator *e = &v->emul;
	enum emul_result r;
	int ret = skip ? x86_find_next_rip(v) : 1;

	if (ret != 1)
		return ret;
	load_emulator(v);
	emul_begin(e);
	e->ops = &x86_emul_ops;
	if (skip)
		e->rip = v->next_rip;
	r = emul_task_switch(e, task);
	if (r != EMUL_OK && r != EMUL_FAULT)
		return x86_emulation_failed(v);
	if (r == EMUL_OK || e->progress) {
		/* The event that came through a task gate has arrived. */
		x86_clear_injected(v);
		take_over_registers(v);
		x86_ops->set_interrupt_shadow(v, 0);
	}
	if (r == EMUL_FAULT)
		x86_queue_emul_fault(v, &e->fault);
	else if (task->trap)
		x86_queue_exception_p(v, DB_VECTOR, DR6_BT);
	return 1;
}
EXPORT_SYMBOL_GPL(x86_emulate_task_switch);
