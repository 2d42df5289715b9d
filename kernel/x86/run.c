// SPDX-License-Identifier: GPL-2.0-only
/* The run loop: KVM_RUN, entry and exit, halting, requests. */
#include <linux/export.h>
#include <linux/hw_breakpoint.h>
#include <linux/sched/signal.h>

#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/msr.h>

#include "../hostwork.h"
#include "msr.h"
#include "trace.h"
#include "x86.h"

const struct x86_ops *x86_ops;
EXPORT_SYMBOL_GPL(x86_ops);

static bool irqchip_in_kernel(struct x86_vcpu *v)
{
	return to_x86_vm(v->vcpu.kvm)->irqchip != X86_IRQCHIP_NONE;
}

bool x86_vcpu_is_bsp(struct x86_vcpu *v)
{
	return v->vcpu.vcpu_id == v->vcpu.kvm->boot_vcpu_id;
}

/* ---- exits to user space ---- */

int x86_exit_complete_later(struct x86_vcpu *v, x86_complete_fn fn)
{
	v->io.complete = fn;
	return 0;
}

int x86_exit_internal_error(struct x86_vcpu *v, u32 suberror)
{
	struct kvm_run *run = v->vcpu.run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = 0;
	return 0;
}
EXPORT_SYMBOL_GPL(x86_exit_internal_error);

int x86_exit_unknown(struct x86_vcpu *v, u64 hardware_reason)
{
	v->vcpu.run->exit_reason = KVM_EXIT_UNKNOWN;
	v->vcpu.run->hw.hardware_exit_reason = hardware_reason;
	return 0;
}
EXPORT_SYMBOL_GPL(x86_exit_unknown);

/* An instruction ended under KVM_GUESTDBG_SINGLESTEP: tell the debugger. */
int x86_singlestep_done(struct x86_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = DB_VECTOR;
	run->debug.arch.pc = x86_linear_rip(v);
	run->debug.arch.dr6 = DR6_BS | DR6_ONES;
	run->debug.arch.dr7 = v->guest_debug_dr7;
	return 0;
}

/*
 * ---- instructions that exit and need no operands decoded ----
 *
 * Finding their end may fault, and then they run again: it comes first.
 */

int x86_emulate_nop(struct x86_vcpu *v)
{
	return x86_skip_insn(v);
}
EXPORT_SYMBOL_GPL(x86_emulate_nop);

static int inject_gp(struct x86_vcpu *v)
{
	x86_queue_exception_e(v, GP_VECTOR, 0);
	return 1;
}

int x86_emulate_cpuid(struct x86_vcpu *v)
{
	u32 a = v->gpr[REG_RAX], b, c = v->gpr[REG_RCX], d;
	int ret = x86_find_next_rip(v);

	v->vcpu.stat.cpuid_exits++;
	if (ret != 1)
		return ret;
	if (v->msrs.misc_features & MISC_FEATURES_CPUID_FAULT &&
	    x86_op(get_cpl)(v))
		return inject_gp(v);
	x86_cpuid_query(v, &a, &b, &c, &d);
	v->gpr[REG_RAX] = a;
	v->gpr[REG_RBX] = b;
	v->gpr[REG_RCX] = c;
	v->gpr[REG_RDX] = d;
	return x86_advance_rip(v, v->next_rip);
}
EXPORT_SYMBOL_GPL(x86_emulate_cpuid);

static int complete_msr(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	struct kvm_run *run = vcpu->run;
	u64 data = READ_ONCE(run->msr.data);
	bool error = READ_ONCE(run->msr.error);

	/* User space may have reset the vCPU instead of answering. */
	if (v->rip != v->io.rip)
		return 1;
	trace_kvm_msr(v->io.is_write, v->gpr[REG_RCX], data, error);
	if (error)
		return inject_gp(v);
	if (!v->io.is_write) {
		v->gpr[REG_RAX] = (u32)data;
		v->gpr[REG_RDX] = data >> 32;
	}
	return x86_advance_rip(v, v->io.next_rip);
}

/* User space asked to answer for MSRs that we refuse, or that it filters. */
static int exit_msr(struct x86_vcpu *v, bool write, u32 index, u64 data,
		    u32 reason)
{
	struct kvm_run *run = v->vcpu.run;

	v->io.is_write = write;
	v->io.rip = v->rip;
	v->io.next_rip = v->next_rip;
	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = index;
	run->msr.data = data;
	return x86_exit_complete_later(v, complete_msr);
}

int x86_emulate_rdmsr(struct x86_vcpu *v)
{
	u32 index = v->gpr[REG_RCX];
	u64 data = 0;
	int ret = x86_find_next_rip(v);

	v->vcpu.stat.msr_exits++;
	if (ret != 1)
		return ret;
	ret = x86_get_msr(v, index, &data);
	if (ret > 1)
		return exit_msr(v, false, index, 0, ret >> 8);
	trace_kvm_msr(false, index, data, ret);
	if (ret)
		return inject_gp(v);
	v->gpr[REG_RAX] = (u32)data;
	v->gpr[REG_RDX] = data >> 32;
	return x86_advance_rip(v, v->next_rip);
}
EXPORT_SYMBOL_GPL(x86_emulate_rdmsr);

int x86_emulate_wrmsr(struct x86_vcpu *v)
{
	u32 index = v->gpr[REG_RCX];
	u64 data = (u32)v->gpr[REG_RAX] | v->gpr[REG_RDX] << 32;
	int ret = x86_find_next_rip(v);

	v->vcpu.stat.msr_exits++;
	if (ret != 1)
		return ret;
	ret = x86_set_msr(v, index, data);
	if (ret > 1)
		return exit_msr(v, true, index, data, ret >> 8);
	trace_kvm_msr(true, index, data, ret);
	if (ret)
		return inject_gp(v);
	return x86_advance_rip(v, v->next_rip);
}
EXPORT_SYMBOL_GPL(x86_emulate_wrmsr);

int x86_emulate_hlt(struct x86_vcpu *v)
{
	int ret = x86_skip_insn(v);

	v->vcpu.stat.halt_exits++;
	/* A debugger's step past the HLT (0, KVM_EXIT_DEBUG) halts all the same. */
	if (ret != 1 && (ret || v->vcpu.run->exit_reason != KVM_EXIT_DEBUG))
		return ret;
	if (irqchip_in_kernel(v)) {
		v->mp_state = KVM_MP_STATE_HALTED;
		return ret;
	}
	v->vcpu.run->exit_reason = KVM_EXIT_HLT;
	return 0;
}
EXPORT_SYMBOL_GPL(x86_emulate_hlt);

int x86_emulate_xsetbv(struct x86_vcpu *v)
{
	u64 value = (u32)v->gpr[REG_RAX] | v->gpr[REG_RDX] << 32;
	int ret = x86_find_next_rip(v);

	if (ret != 1)
		return ret;
	if (x86_op(get_cpl)(v) ||
	    x86_set_xcr(v, v->gpr[REG_RCX], value))
		return inject_gp(v);
	return x86_advance_rip(v, v->next_rip);
}
EXPORT_SYMBOL_GPL(x86_emulate_xsetbv);

/* ---- requests ---- */

static int exit_shutdown(struct x86_vcpu *v)
{
	v->vcpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

static int exit_ioapic_eoi(struct x86_vcpu *v)
{
	v->vcpu.run->exit_reason = KVM_EXIT_IOAPIC_EOI;
	v->vcpu.run->eoi.vector = v->pending_ioapic_eoi;
	return 0;
}

static void load_npt(struct x86_vcpu *v)
{
	int levels;
	hpa_t root = x86_npt_root(to_x86_vm(v->vcpu.kvm), &levels);

	x86_ops->load_npt(v, root, levels);
}

static int handle_requests(struct x86_vcpu *v)
{
	struct kvm_vcpu *vcpu = &v->vcpu;

	if (kvm_test_request(KVM_REQ_VM_DEAD, vcpu))
		return -EIO;
	if (kvm_check_request(X86_REQ_MMU_RELOAD, vcpu))
		load_npt(v);
	if (kvm_check_request(KVM_REQ_TLB_FLUSH, vcpu)) {
		vcpu->stat.tlb_flush++;
		x86_npt_note_flush(v);
		x86_ops->flush_tlb(v);
	}
	if (kvm_check_request(X86_REQ_MASTERCLOCK_UPDATE, vcpu))
		x86_masterclock_update(to_x86_vm(vcpu->kvm));
	if (kvm_check_request(X86_REQ_CLOCK_UPDATE, vcpu))
		x86_clock_update(v);
	if (kvm_check_request(X86_REQ_STEAL_UPDATE, vcpu))
		x86_steal_time_update(v);
	if (kvm_check_request(X86_REQ_MSR_FILTER, vcpu))
		x86_ops->set_msr_filter(v);
	if (kvm_check_request(X86_REQ_APF_READY, vcpu))
		x86_async_pf_deliver(v);
	if (kvm_check_request(X86_REQ_LOAD_EOI_BITMAP, vcpu))
		x86_load_eoi_bitmap(v);
	if (kvm_check_request(X86_REQ_TRIPLE_FAULT, vcpu))
		return exit_shutdown(v);
	if (kvm_check_request(X86_REQ_IOAPIC_EOI_EXIT, vcpu))
		return exit_ioapic_eoi(v);
	if (kvm_check_request(X86_REQ_APIC_TIMER, vcpu) && v->lapic)
		x86_lapic_timer_fired(v);
	if (kvm_check_request(X86_REQ_NMI, vcpu))
		kvm_make_request(X86_REQ_EVENT, vcpu);
	return 1;
}

/* ---- one entry ---- */

/*
 * Not while the LAPIC masks the PIC: an open window ends every entry, and this
 * one would never be served.
 */
static bool user_wants_irq_window(struct x86_vcpu *v)
{
	return READ_ONCE(v->vcpu.run->request_interrupt_window) &&
	       x86_accepts_user_irq(v);
}

static void sync_tpr(struct x86_vcpu *v)
{
	int irr;

	if (!v->lapic)
		return;
	v->cr8 = x86_lapic_get_tpr(v) >> 4;
	irr = x86_lapic_highest_irr(v);
	/* A pending vector that the priority masks: exit when it is lowered. */
	x86_op(update_cr8_intercept)(v, irr >= 0 && irr >> 4 <= v->cr8 ?
				      irr >> 4 : -1);
}

/* 1: go on to the entry; 0 or <0: leave the loop; 2: look again */
static int prepare_events(struct x86_vcpu *v)
{
	bool window = user_wants_irq_window(v);
	int ret;

	if (!kvm_check_request(X86_REQ_EVENT, &v->vcpu) && !window &&
	    !v->exception.pending)
		return 1;
	if (v->lapic) {
		ret = x86_lapic_accept_events(v);
		if (ret < 0)
			return ret;
		if (v->mp_state == KVM_MP_STATE_INIT_RECEIVED)
			return 2;
	}
	ret = x86_event_inject(v);
	if (ret < 0)
		return ret;
	if (window)
		x86_ops->enable_irq_window(v);
	sync_tpr(v);
	x86_pv_eoi_enter(v);
	return 1;
}

/*
 * The guest's breakpoints live in DR0-3, which the processor does not switch.
 * The host's own are put back from its bookkeeping.
 */
static void debugregs_enter(struct x86_vcpu *v)
{
	const u64 *db = v->guest_debug & KVM_GUESTDBG_USE_HW_BP ?
			v->guest_debug_db : v->db;

	set_debugreg(0, 7);
	set_debugreg(db[0], 0);
	set_debugreg(db[1], 1);
	set_debugreg(db[2], 2);
	set_debugreg(db[3], 3);
}

static bool debugregs_needed(struct x86_vcpu *v)
{
	u64 dr7 = v->guest_debug & KVM_GUESTDBG_USE_HW_BP ?
		  v->guest_debug_dr7 : v->dr7;

	return dr7 & 0xff;
}

/* Interrupts off. */
static void enter_guest(struct x86_vcpu *v)
{
	bool guest_debugregs = debugregs_needed(v);

	fpregs_assert_state_consistent();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (unlikely(guest_debugregs))
		debugregs_enter(v);
	guest_timing_enter();
	x86_xcr0_enter(v);
	x86_op(run)(v);
	x86_xcr0_exit(v);
	if (unlikely(guest_debugregs) || hw_breakpoint_active())
		hw_breakpoint_restore();
}

/* Take host interrupts that came while the guest ran; account its time. */
static void leave_guest(struct x86_vcpu *v)
{
	v->vcpu.mode = OUTSIDE_GUEST_MODE;
	/* mode before what follows; pairs with kvm_kick_all_vcpus() */
	smp_wmb();
	x86_op(handle_exit_irqoff)(v);
	compat_guest_ran();
	/* The tick that ended the guest's slice is charged to the guest. */
	WRITE_ONCE(v->vcpu.sampled, true);
	local_irq_enable();
	/* STI takes effect after one more instruction: not the CLI. */
	v->vcpu.stat.exits++;
	barrier();
	local_irq_disable();
	WRITE_ONCE(v->vcpu.sampled, false);
	guest_timing_exit();
	local_irq_enable();
	preempt_enable();
}

/* Requests, or work of the host, came after they were last looked at. */
static bool must_not_enter(struct x86_vcpu *v)
{
	return kvm_request_pending(&v->vcpu) || hostwork_pending() ||
	       unlikely(!kvm_hardware_on());
}

/* The entry is called off. 1 to look again, or -errno. */
static int entry_cancelled(struct x86_vcpu *v)
	__acquires(&v->vcpu.kvm->srcu)
{
	bool hardware_on = kvm_hardware_on();

	v->vcpu.mode = OUTSIDE_GUEST_MODE;
	/* mode before what follows; pairs with kvm_kick_all_vcpus() */
	smp_wmb();
	local_irq_enable();
	preempt_enable();
	v->vcpu.srcu_idx = srcu_read_lock(&v->vcpu.kvm->srcu);
	if (v->pv.eoi_offered)
		x86_pv_eoi_exit(v);
	x86_ops->cancel_injection(v);
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
	return likely(hardware_on) ? 1 : kvm_hardware_wait();
}

static int vcpu_enter(struct x86_vcpu *v)
	__must_hold(&v->vcpu.kvm->srcu)
{
	struct kvm_vcpu *vcpu = &v->vcpu;
	int ret = 1;

	if (kvm_request_pending(vcpu)) {
		ret = handle_requests(v);
		if (ret <= 0)
			return ret;
	}
	ret = prepare_events(v);
	if (ret != 1)
		return ret > 0 ? 1 : ret;

	preempt_disable();
	x86_op(prepare_entry)(v);
	local_irq_disable();
	vcpu->mode = IN_GUEST_MODE;
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
	/*
	 * mode before requests: whoever makes a request after our look sees
	 * IN_GUEST_MODE and sends an interrupt, which waits for the entry.
	 */
	smp_mb();
	if (must_not_enter(v))
		return entry_cancelled(v);
	enter_guest(v);
	leave_guest(v);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	if (v->pv.eoi_offered)
		x86_pv_eoi_exit(v);
	return x86_op(handle_exit)(v);
}

/* ---- the loop ---- */

static bool vcpu_running(struct x86_vcpu *v)
{
	return v->mp_state == KVM_MP_STATE_RUNNABLE;
}

bool kvm_arch_vcpu_runnable(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	if (vcpu_running(v))
		return true;
	if (v->lapic && x86_lapic_has_events(v))
		return true;
	return v->mp_state == KVM_MP_STATE_HALTED &&
	       (READ_ONCE(v->pv_unhalted) || x86_event_pending(v) ||
		kvm_test_request(X86_REQ_APF_READY, vcpu));
}

static int vcpu_halt(struct x86_vcpu *v)
{
	struct kvm_vcpu *vcpu = &v->vcpu;
	int ret;

	if (!kvm_arch_vcpu_runnable(vcpu)) {
		srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
		kvm_vcpu_block(vcpu);
		vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	}
	if (v->lapic) {
		ret = x86_lapic_accept_events(v);
		if (ret < 0)
			return ret;
		if (x86_lapic_timer_pending(v))
			x86_lapic_timer_fired(v);
	}
	if (kvm_check_request(X86_REQ_APF_READY, vcpu))
		x86_async_pf_deliver(v);
	if (v->mp_state == KVM_MP_STATE_HALTED &&
	    (READ_ONCE(v->pv_unhalted) || x86_event_pending(v))) {
		WRITE_ONCE(v->pv_unhalted, false);
		v->mp_state = KVM_MP_STATE_RUNNABLE;
		kvm_make_request(X86_REQ_EVENT, vcpu);
	}
	return kvm_test_request(KVM_REQ_VM_DEAD, vcpu) ? -EIO : 1;
}

static int run_loop(struct x86_vcpu *v)
{
	struct kvm_vcpu *vcpu = &v->vcpu;
	int ret;

	for (;;) {
		ret = vcpu_running(v) ? vcpu_enter(v) : vcpu_halt(v);
		if (ret <= 0)
			return ret;
		if (v->lapic && x86_lapic_timer_pending(v))
			x86_lapic_timer_fired(v);
		if (user_wants_irq_window(v) && x86_ready_for_interrupt(v)) {
			vcpu->stat.request_irq_exits++;
			vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
			return 0;
		}
		if (hostwork_due()) {
			srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
			ret = hostwork_handle(v->hostwork);
			vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
			if (ret) {
				vcpu->stat.signal_exits++;
				return ret;
			}
		}
	}
}

/* ---- KVM_RUN ---- */

/* An AP that never got its SIPI: wait for it, let user space retry. */
static int wait_for_sipi(struct x86_vcpu *v)
{
	struct kvm_vcpu *vcpu = &v->vcpu;

	if (READ_ONCE(vcpu->run->immediate_exit))
		return -EINTR;
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
	kvm_vcpu_block(vcpu);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	if (v->lapic) {
		int ret = x86_lapic_accept_events(v);

		if (ret < 0)
			return ret;
	}
	if (!signal_pending(current))
		return -EAGAIN;
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	vcpu->stat.signal_exits++;
	return -EINTR;
}

static int load_user_state(struct x86_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;
	u64 valid = READ_ONCE(run->kvm_valid_regs);
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);
	int ret;

	if ((valid | dirty) & ~KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	if (dirty) {
		ret = x86_sync_regs_load(v);
		if (ret)
			return ret;
	}
	if (!irqchip_in_kernel(v) && x86_set_cr8(v, READ_ONCE(run->cr8)))
		return -EINVAL;
	return 0;
}

static void store_user_state(struct x86_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;

	run->if_flag = !!(v->rflags & X86_EFLAGS_IF);
	run->flags = 0;
	run->cr8 = x86_get_cr8(v);
	run->apic_base = v->apic_base;
	run->ready_for_interrupt_injection = x86_ready_for_interrupt(v);
	if (READ_ONCE(run->kvm_valid_regs) & KVM_SYNC_X86_VALID_FIELDS)
		x86_sync_regs_store(v);
}

static int run_loaded(struct x86_vcpu *v)
{
	x86_complete_fn complete;
	int ret;

	if (v->mp_state == KVM_MP_STATE_UNINITIALIZED)
		return wait_for_sipi(v);
	ret = load_user_state(v);
	if (ret)
		return ret;
	complete = v->io.complete;
	if (complete) {
		v->io.complete = NULL;
		ret = complete(&v->vcpu);
		if (ret <= 0)
			return ret;
	}
	if (READ_ONCE(v->vcpu.run->immediate_exit))
		return -EINTR;
	v->ran_once = true;
	return run_loop(v);
}

int kvm_arch_vcpu_run(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	int ret;

	kvm_vcpu_load(vcpu);
	kvm_sigset_activate(vcpu);
	x86_fpu_load_guest(v);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = run_loaded(v);
	store_user_state(v);
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
	x86_fpu_put_guest(v);
	kvm_sigset_deactivate(vcpu);
	kvm_vcpu_put(vcpu);
	return ret;
}

/* ---- RESET and INIT; APM vol. 2 table 14-1 ---- */

void x86_vcpu_reset(struct x86_vcpu *v, bool init)
{
	memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[REG_RDX] = 0x600;	/* family 6, as RESET leaves it in DX */
	if (v->cpuid.entries) {
		const struct kvm_cpuid_entry2 *e = x86_cpuid_find(v, 1, 0);

		if (e)
			v->gpr[REG_RDX] = e->eax;
	}
	v->rip = 0xfff0;
	v->rflags = X86_EFLAGS_FIXED;
	v->cr0 = init ? (v->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET :
			X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	v->cr2 = v->cr3 = v->cr4 = v->cr8 = 0;
	v->efer = 0;
	memset(v->db, 0, sizeof(v->db));
	v->dr6 = DR6_ONES;
	v->dr7 = 0x400;
	memset(&v->exception, 0, sizeof(v->exception));
	memset(&v->interrupt, 0, sizeof(v->interrupt));
	v->nmi_injected = false;
	v->nmi_pending = 0;
	atomic_set(&v->nmi_queued, 0);
	v->pending_external_vector = -1;
	x86_async_pf_reset(v);
	x86_lapic_reset(v, init);
	x86_msr_reset(v, init);
	x86_fpu_reset(v, init);
	x86_ops->vcpu_reset(v, init);
	if (v->cpuid.entries)
		x86_cpuid_update_runtime(v);
	kvm_make_request(KVM_REQ_TLB_FLUSH, &v->vcpu);
	kvm_make_request(X86_REQ_EVENT, &v->vcpu);
}
EXPORT_SYMBOL_GPL(x86_vcpu_reset);
