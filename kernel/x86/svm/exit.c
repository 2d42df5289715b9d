// SPDX-License-Identifier: GPL-2.0-only
/* What to do about each #VMEXIT; codes in APM vol. 2 appendix C. */
#include <linux/nospec.h>

#include <asm/mce.h>
#include <asm/processor-flags.h>
#include <asm/ptrace.h>

#include "../cpuid_logic.h"
#include "svm.h"

/* ---- instructions ---- */

static int exit_cpuid(struct svm_vcpu *svm)
{
	return x86_emulate_cpuid(&svm->x86);
}

static int exit_msr(struct svm_vcpu *svm)
{
	return svm->vmcb->control.exit_info_1 ?
	       x86_emulate_wrmsr(&svm->x86) : x86_emulate_rdmsr(&svm->x86);
}

static int exit_hlt(struct svm_vcpu *svm)
{
	return x86_emulate_hlt(&svm->x86);
}

static int exit_vmmcall(struct svm_vcpu *svm)
{
	return x86_emulate_hypercall(&svm->x86);
}

static int exit_xsetbv(struct svm_vcpu *svm)
{
	return x86_emulate_xsetbv(&svm->x86);
}

/* INVD and WBINVD: the guest's caches are the host's, and coherent. */
static int exit_skip(struct svm_vcpu *svm)
{
	return x86_emulate_nop(&svm->x86);
}

static int exit_ud(struct svm_vcpu *svm)
{
	x86_queue_exception(&svm->x86, UD_VECTOR);
	return 1;
}

static int exit_gp(struct svm_vcpu *svm)
{
	x86_queue_exception_e(&svm->x86, GP_VECTOR, 0);
	return 1;
}

/* A guest told to have no MONITOR used it all the same: KVM's old quirk. */
static int exit_monitor(struct svm_vcpu *svm)
{
	struct x86_vm *vm = to_x86_vm(svm->x86.vcpu.kvm);

	if (vm->disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS &&
	    !x86_guest_has(&svm->x86, 1, 0, CPUID_REG_ECX,
			   CPUID_1_ECX_MONITOR))
		return exit_ud(svm);
	return exit_skip(svm);
}

/* MOV to and from control and debug registers, LMSW: decoded and emulated. */
static int exit_emulate(struct svm_vcpu *svm)
{
	return x86_emulate_insn(&svm->x86, INVALID_GPA, false);
}

static int exit_ioio(struct svm_vcpu *svm)
{
	const struct vmcb_control *c = &svm->vmcb->control;
	u32 info = c->exit_info_1;

	svm->x86.vcpu.stat.io_exits++;
	if (info & IOIO_STRING)
		return exit_emulate(svm);
	return x86_emulate_pio(&svm->x86, info >> IOIO_PORT_SHIFT,
			       (info & IOIO_SIZE_MASK) >> IOIO_SIZE_SHIFT,
			       info & IOIO_IN, c->exit_info_2);
}

/* ---- memory ---- */

static int exit_npf(struct svm_vcpu *svm)
{
	const struct vmcb_control *c = &svm->vmcb->control;
	u64 gpa = c->exit_info_2, error = c->exit_info_1;
	struct x86_vcpu *v = &svm->x86;
	int ret;

	ret = x86_npt_fault(v, gpa, error);
	if (ret)
		return ret;
	/* No memory there. A stack or IDT in a device cannot be emulated. */
	if (c->exit_int_info & EVENT_VALID &&
	    (v->exception.injected || v->interrupt.injected ||
	     v->nmi_injected))
		return x86_exit_internal_error(v,
					KVM_INTERNAL_ERROR_DELIVERY_EV);
	if (!(error & NPF_FINAL) || error & NPF_FETCH)
		gpa = INVALID_GPA;
	return x86_emulate_insn(v, gpa, error & NPF_WRITE);
}

/* ---- exceptions ---- */

static int exit_debug_user(struct x86_vcpu *v, u32 vector)
{
	struct kvm_run *run = v->vcpu.run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = vector;
	run->debug.arch.pc = x86_linear_rip(v);
	run->debug.arch.dr6 = to_svm(v)->vmcb->save.dr6;
	run->debug.arch.dr7 = to_svm(v)->vmcb->save.dr7;
	return 0;
}

/* Does user space wait for one of these causes, bits of DR6? */
static bool debugger_waits(struct x86_vcpu *v, u64 causes)
{
	unsigned int i;

	if (v->guest_debug & KVM_GUESTDBG_SINGLESTEP && causes & DR6_BS)
		return true;
	if (!(v->guest_debug & KVM_GUESTDBG_USE_HW_BP))
		return false;
	for (i = 0; i < 4; i++)
		if (causes & 1U << i && v->guest_debug_dr7 >> 2 * i & 3)
			return true;
	return false;
}

static int exit_db(struct svm_vcpu *svm)
{
	struct x86_vcpu *v = &svm->x86;
	u64 causes = (svm->vmcb->save.dr6 ^ DR6_ONES) & DR6_CAUSES;
	bool nmi_step = svm->nmi_singlestep && causes & DR6_BS;

	if (nmi_step) {
		svm->nmi_singlestep = false;
		kvm_make_request(X86_REQ_EVENT, &v->vcpu);
	}
	if (debugger_waits(v, causes))
		return exit_debug_user(v, DB_VECTOR);
	if (v->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		causes &= ~0xfULL;	/* not of the guest's breakpoints */
	if (nmi_step && !svm->guest_tf) {
		causes &= ~(u64)DR6_BS;
		if (!causes)
			return 1;
	}
	x86_queue_exception_p(v, DB_VECTOR, causes);
	return 1;
}

static int exit_guest_ud(struct svm_vcpu *svm)
{
	static const u8 vmcall[3] = { 0x0f, 0x01, 0xc1 };
	static const u8 vmmcall[3] = { 0x0f, 0x01, 0xd9 };

	return x86_ud_intercepted(&svm->x86, vmcall, vmmcall);
}

static int exit_bp(struct svm_vcpu *svm)
{
	return exit_debug_user(&svm->x86, BP_VECTOR);
}

static int exit_ac(struct svm_vcpu *svm)
{
	x86_queue_exception_e(&svm->x86, AC_VECTOR, 0);
	return 1;
}

/* ---- interrupts and windows ---- */

/* The host took it when it could: nothing is left to do. */
static int exit_host_event(struct svm_vcpu *svm)
{
	svm->x86.vcpu.stat.irq_exits++;
	return 1;
}

static int exit_vintr(struct svm_vcpu *svm)
{
	svm->x86.vcpu.stat.irq_window_exits++;
	svm_disable_irq_window(svm);
	kvm_make_request(X86_REQ_EVENT, &svm->x86.vcpu);
	return 1;
}

/* The guest is about to end its NMI handler. */
static int exit_iret(struct svm_vcpu *svm)
{
	svm->x86.vcpu.stat.nmi_window_exits++;
	svm->iret_pending = true;
	svm->iret_rip = svm->x86.rip;
	vmcb_no_intercept(&svm->vmcb->control, INTERCEPT_IRET);
	vmcb_dirty(svm->vmcb, CLEAN_INTERCEPTS);
	kvm_make_request(X86_REQ_EVENT, &svm->x86.vcpu);
	return 1;
}

static int exit_cr8_write(struct svm_vcpu *svm)
{
	int ret = exit_emulate(svm);

	kvm_make_request(X86_REQ_EVENT, &svm->x86.vcpu);
	return ret;
}

/* ---- the end ---- */

/* The processor leaves the VMCB undefined: start from INIT state. */
static int exit_shutdown(struct svm_vcpu *svm)
{
	x86_vcpu_reset(&svm->x86, true);
	svm->x86.vcpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

static int exit_task_switch(struct svm_vcpu *svm)
{
	const struct vmcb_control *c = &svm->vmcb->control;
	struct emul_task task = {
		.selector = c->exit_info_1,
		.has_error_code = c->exit_info_2 & TASK_HAS_ERROR,
		.error_code = c->exit_info_2,
	};

	if (c->exit_info_2 & TASK_BY_IRET)
		task.source = TASK_IRET;
	else if (c->exit_info_2 & TASK_BY_JMP)
		task.source = TASK_JMP;
	else if (c->exit_int_info & EVENT_VALID)
		task.source = TASK_GATE;
	else
		task.source = TASK_CALL;
	/* Events return to where they came; instructions behind them. */
	return x86_emulate_task_switch(&svm->x86, &task,
				       task.source != TASK_GATE ||
				       svm_event_is_software(c->exit_int_info));
}

static int exit_invalid(struct svm_vcpu *svm)
{
	struct kvm_run *run = svm->x86.vcpu.run;
	const struct vmcb_save *s = &svm->vmcb->save;
	const struct vmcb_control *c = &svm->vmcb->control;

	pr_warn_ratelimited("kvm_amd: VMRUN refused: cr0 %llx cr3 %llx cr4 %llx efer %llx asid %u ncr3 %llx inj %x cs %x:%x\n",
			    s->cr0, s->cr3, s->cr4, s->efer, c->asid,
			    c->nested_cr3, c->event_inj, s->cs.selector,
			    s->cs.attrib);
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = c->exit_code;
	run->fail_entry.cpu = svm->x86.vcpu.cpu;
	return 0;
}

static int (*const exit_handlers[SVM_NR_EXITS])(struct svm_vcpu *) = {
	[SVM_EXIT_CR0_READ ... SVM_EXIT_CR0_WRITE + 7] = exit_emulate,
	[SVM_EXIT_CR8_WRITE] = exit_cr8_write,
	[SVM_EXIT_DR_READ ... SVM_EXIT_DR_WRITE + 15] = exit_emulate,
	[SVM_EXIT_EXCEPTION + DB_VECTOR] = exit_db,
	[SVM_EXIT_EXCEPTION + BP_VECTOR] = exit_bp,
	[SVM_EXIT_EXCEPTION + UD_VECTOR] = exit_guest_ud,
	[SVM_EXIT_EXCEPTION + AC_VECTOR] = exit_ac,
	[SVM_EXIT_EXCEPTION + MC_VECTOR] = exit_host_event,
	[SVM_EXIT_INTR] = exit_host_event,
	[SVM_EXIT_NMI] = exit_host_event,
	[SVM_EXIT_SMI] = exit_host_event,
	[SVM_EXIT_INIT] = exit_host_event,
	[SVM_EXIT_VINTR] = exit_vintr,
	[SVM_EXIT_CR0_SEL_WRITE] = exit_emulate,
	[SVM_EXIT_RDPMC] = exit_gp,
	[SVM_EXIT_CPUID] = exit_cpuid,
	[SVM_EXIT_RSM] = exit_ud,
	[SVM_EXIT_IRET] = exit_iret,
	[SVM_EXIT_INVD] = exit_skip,
	[SVM_EXIT_HLT] = exit_hlt,
	[SVM_EXIT_INVLPGA] = exit_ud,
	[SVM_EXIT_IOIO] = exit_ioio,
	[SVM_EXIT_MSR] = exit_msr,
	[SVM_EXIT_TASK_SWITCH] = exit_task_switch,
	[SVM_EXIT_SHUTDOWN] = exit_shutdown,
	[SVM_EXIT_RDTSCP] = exit_ud,
	[SVM_EXIT_INVPCID] = exit_ud,
	[SVM_EXIT_VMRUN] = exit_ud,
	[SVM_EXIT_VMMCALL] = exit_vmmcall,
	[SVM_EXIT_VMLOAD] = exit_ud,
	[SVM_EXIT_VMSAVE] = exit_ud,
	[SVM_EXIT_STGI] = exit_ud,
	[SVM_EXIT_CLGI] = exit_ud,
	[SVM_EXIT_SKINIT] = exit_ud,
	[SVM_EXIT_WBINVD] = exit_skip,
	[SVM_EXIT_MONITOR] = exit_monitor,
	[SVM_EXIT_MWAIT] = exit_monitor,
	[SVM_EXIT_XSETBV] = exit_xsetbv,
	[SVM_EXIT_RDPRU] = exit_ud,
	[SVM_EXIT_NPF] = exit_npf,
};

/* A machine check belongs to the host, as if user space had met it. */
static noinline void machine_check(void)
{
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	/* A kernel without the handler never lets one be raised (CR4.MCE). */
	if (IS_ENABLED(CONFIG_X86_MCE))
		do_machine_check(&regs);
}

void svm_handle_exit_irqoff(struct x86_vcpu *v)
{
	if (unlikely(to_svm(v)->vmcb->control.exit_code ==
		     SVM_EXIT_EXCEPTION + MC_VECTOR))
		machine_check();
}

int svm_handle_exit(struct x86_vcpu *v)
{
	struct svm_vcpu *svm = to_svm(v);
	u64 code = svm->vmcb->control.exit_code;

	if (code == SVM_EXIT_INVALID)
		return exit_invalid(svm);
	if (code >= SVM_NR_EXITS)
		return x86_exit_unknown(v, code);
	code = array_index_nospec(code, SVM_NR_EXITS);
	if (!exit_handlers[code])
		return x86_exit_unknown(v, code);
	return exit_handlers[code](svm);
}
