// SPDX-License-Identifier: GPL-2.0-only
/* Registers, events, FPU: what is set comes back, what cannot be is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define CR0_PE	(1u << 0)
#define CR0_NW	(1u << 29)
#define CR0_PG	(1u << 31)
#define CR4_PAE	(1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_SVME (1u << 12)

static void regs_round_trip(struct machine *m)
{
	struct kvm_regs in, out;
	uint64_t *word = (uint64_t *)&in;
	unsigned int i;

	for (i = 0; i < sizeof(in) / 8; i++)
		word[i] = 0x0102030405060708ULL * (i + 1);
	in.rflags = 0x246;
	MUST(m->cpu[0], KVM_SET_REGS, &in);
	MUST(m->cpu[0], KVM_GET_REGS, &out);
	CHECK(!memcmp(&in, &out, sizeof(in)));
	in.rflags = 0;
	MUST(m->cpu[0], KVM_SET_REGS, &in);
	MUST(m->cpu[0], KVM_GET_REGS, &out);
	EQUAL(out.rflags, 2);
}

static void sregs_round_trip(struct machine *m)
{
	struct kvm_sregs in, out;

	MUST(m->cpu[0], KVM_GET_SREGS, &in);
	in.cr2 = 0x123456789abc;
	in.cr3 = 0x8000;
	in.cr4 = CR4_PAE;
	in.efer = EFER_LME;
	in.fs.base = 0xffff888000000000;
	in.gdt.base = 0x7000;
	in.gdt.limit = 0x67;
	in.interrupt_bitmap[1] = 1ULL << 5;
	MUST(m->cpu[0], KVM_SET_SREGS, &in);
	MUST(m->cpu[0], KVM_GET_SREGS, &out);
	EQUAL(out.cr2, in.cr2);
	EQUAL(out.cr3, in.cr3);
	EQUAL(out.cr4, in.cr4);
	EQUAL(out.efer, in.efer);
	EQUAL(out.fs.base, in.fs.base);
	EQUAL(out.gdt.base, in.gdt.base);
	EQUAL(out.gdt.limit, in.gdt.limit);
	EQUAL(out.interrupt_bitmap[1], in.interrupt_bitmap[1]);
	EQUAL(out.cs.selector, in.cs.selector);
	EQUAL(out.cs.type, in.cs.type);
	EQUAL(out.tr.type, in.tr.type);
}

static int set_sregs_error(struct machine *m, struct kvm_sregs s)
{
	return ERROR_OF(m->cpu[0], KVM_SET_SREGS, &s);
}

static void sregs_refused(struct machine *m)
{
	struct kvm_sregs good, s;

	MUST(m->cpu[0], KVM_GET_SREGS, &good);
	s = good;
	s.cr4 |= 1ULL << 40;
	EQUAL(set_sregs_error(m, s), EINVAL);
	s = good;
	s.efer = EFER_LMA;
	EQUAL(set_sregs_error(m, s), EINVAL);
	s = good;
	s.efer = EFER_LME;
	s.cr0 |= CR0_PG;		/* long mode without PAE */
	EQUAL(set_sregs_error(m, s), EINVAL);
	s = good;
	s.efer = EFER_LME | EFER_LMA;
	s.cr0 |= CR0_PG;
	s.cr4 |= CR4_PAE;
	s.cr3 = 1ULL << 62;		/* beyond any physical address */
	EQUAL(set_sregs_error(m, s), EINVAL);
	s = good;
	s.cs.l = 1;
	EQUAL(set_sregs_error(m, s), EINVAL);
	s = good;
	s.apic_base = 1 << 10;
	EQUAL(set_sregs_error(m, s), EINVAL);
	MUST(m->cpu[0], KVM_SET_SREGS, &good);
}

static void sregs_refused_by_us(struct machine *m)
{
	struct kvm_sregs good, s;

	MUST(m->cpu[0], KVM_GET_SREGS, &good);
	s = good;
	s.efer = EFER_SVME;
	EQUAL(set_sregs_error(m, s), EINVAL);
	s = good;
	s.cr0 |= CR0_NW;		/* not write-through, yet caching */
	EQUAL(set_sregs_error(m, s), EINVAL);
	s = good;
	s.cr8 = 16;
	EQUAL(set_sregs_error(m, s), EINVAL);
}

static void sregs2(struct machine *m)
{
	static const uint64_t pdptes[4] = { 0x21001, 0x22001, 0, 0 };
	struct kvm_sregs2 s;

	MUST(m->cpu[0], KVM_GET_SREGS2, &s);
	EQUAL(s.flags, 0);
	s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_SREGS2, &s), EINVAL);
	s.flags = 4;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_SREGS2, &s), EINVAL);
	memcpy(m->ram + 0x20000, pdptes, sizeof(pdptes));
	s.flags = 0;
	s.cr3 = 0x20000;
	s.cr4 |= CR4_PAE;
	s.cr0 |= CR0_PG;
	MUST(m->cpu[0], KVM_SET_SREGS2, &s);
	memset(&s, 0, sizeof(s));
	MUST(m->cpu[0], KVM_GET_SREGS2, &s);
	EQUAL(s.flags, KVM_SREGS2_FLAGS_PDPTRS_VALID);
	CHECK(!memcmp(s.pdptrs, pdptes, sizeof(pdptes)));
}

static void debug_registers(struct machine *m)
{
	struct kvm_debugregs in = {
		.db = { 1, 2, 3, 0xffff800000000000 }, .dr6 = 0xffff4ff1,
		.dr7 = 0x00000455,
	}, out;

	MUST(m->cpu[0], KVM_SET_DEBUGREGS, &in);
	MUST(m->cpu[0], KVM_GET_DEBUGREGS, &out);
	CHECK(!memcmp(&in, &out, sizeof(in)));
	in.dr7 = 1ULL << 32;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_DEBUGREGS, &in), EINVAL);
	in.dr7 = 0;
	in.flags = 1;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_DEBUGREGS, &in), EINVAL);
}

static void events_round_trip(struct machine *m)
{
	struct kvm_vcpu_events in = {
		.exception = { .injected = 1, .nr = 13, .has_error_code = 1,
			       .error_code = 0x18 },
		.nmi = { .pending = 1, .masked = 1 },
		.interrupt = { .shadow = KVM_X86_SHADOW_INT_STI },
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
			 KVM_VCPUEVENT_VALID_SHADOW,
	}, out;

	MUST(m->cpu[0], KVM_SET_VCPU_EVENTS, &in);
	MUST(m->cpu[0], KVM_GET_VCPU_EVENTS, &out);
	EQUAL(out.exception.injected, 1);
	EQUAL(out.exception.nr, 13);
	EQUAL(out.exception.has_error_code, 1);
	EQUAL(out.exception.error_code, 0x18);
	EQUAL(out.nmi.pending, 1);
	EQUAL(out.nmi.masked, 1);
	CHECK(out.interrupt.shadow);
	CHECK(out.flags & KVM_VCPUEVENT_VALID_SHADOW);
	CHECK(!(out.flags & KVM_VCPUEVENT_VALID_PAYLOAD));
	in.flags = 1u << 20;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_VCPU_EVENTS, &in), EINVAL);
	in.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_VCPU_EVENTS, &in), EINVAL);
	in.flags = 0;
	in.exception.nr = 32;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_VCPU_EVENTS, &in), EINVAL);
	in.exception.nr = 2;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_VCPU_EVENTS, &in), EINVAL);
}

static void payloads(struct machine *m)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD,
				      .args = { 1 } };
	struct kvm_vcpu_events in = {
		.exception = { .pending = 1, .nr = 14, .has_error_code = 1 },
		.exception_has_payload = 1, .exception_payload = 0xabc123,
		.flags = KVM_VCPUEVENT_VALID_PAYLOAD,
	}, out;
	struct kvm_sregs s;

	MUST(m->vm, KVM_ENABLE_CAP, &cap);
	MUST(m->cpu[0], KVM_SET_VCPU_EVENTS, &in);
	MUST(m->cpu[0], KVM_GET_VCPU_EVENTS, &out);
	CHECK(out.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
	EQUAL(out.exception.pending, 1);
	EQUAL(out.exception.injected, 0);
	EQUAL(out.exception_has_payload, 1);
	EQUAL(out.exception_payload, 0xabc123);
	MUST(m->cpu[0], KVM_GET_SREGS, &s);
	CHECK(s.cr2 != 0xabc123);	/* not before it is delivered */
}

static void injected_fault_is_delivered(struct machine *m)
{
	struct kvm_vcpu_events ev = {
		.exception = { .injected = 1, .nr = 13, .has_error_code = 1 },
	};
	struct kvm_regs regs;

	MUST(m->cpu[0], KVM_GET_REGS, &regs);
	regs.rip = 0x4000;
	regs.rsp = 0x9000;
	regs.rdi = 0;
	MUST(m->cpu[0], KVM_SET_REGS, &regs);
	MUST(m->cpu[0], KVM_SET_VCPU_EVENTS, &ev);
	MUST(m->cpu[0], KVM_RUN, 0);
	EQUAL(m->run[0]->exit_reason, KVM_EXIT_HLT);
	MUST(m->cpu[0], KVM_GET_REGS, &regs);
	EQUAL(regs.rdi, 1);
}

static void set_regs_drops_pending(struct machine *m)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD,
				      .args = { 1 } };
	struct kvm_vcpu_events ev = {
		.exception = { .pending = 1, .nr = 13, .has_error_code = 1 },
		.flags = KVM_VCPUEVENT_VALID_PAYLOAD,
	};
	struct regs32 r = { 0 };

	MUST(m->vm, KVM_ENABLE_CAP, &cap);
	MUST(m->cpu[0], KVM_SET_VCPU_EVENTS, &ev);
	guest_run(m, 0, INSN_NOP, &r);	/* sets the registers */
	CHECK(!r.faulted);
}

static void mp_state(struct machine *m)
{
	struct kvm_mp_state mp = { .mp_state = 99 };

	MUST(m->cpu[0], KVM_GET_MP_STATE, &mp);
	EQUAL(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	/* no LAPIC in the kernel here: nothing could wake it */
	mp.mp_state = KVM_MP_STATE_HALTED;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_MP_STATE, &mp), EINVAL);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	MUST(m->cpu[0], KVM_SET_MP_STATE, &mp);
	mp.mp_state = 77;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_MP_STATE, &mp), EINVAL);
}

static void fpu(struct machine *m)
{
	struct kvm_fpu in = { .fcw = 0x27f, .fsw = 0x3800, .ftwx = 0x81,
			      .mxcsr = 0x1fa0, .last_ip = 0x1122 }, out;
	struct regs32 r = { 0 };
	int i;

	for (i = 0; i < 16; i++)
		memset(in.xmm[i], i + 1, 16);
	memset(in.fpr[0], 0x5a, 10);
	MUST(m->cpu[0], KVM_SET_FPU, &in);
	guest_run(m, 0, INSN_NOP, &r);
	MUST(m->cpu[0], KVM_GET_FPU, &out);
	EQUAL(out.fcw, in.fcw);
	EQUAL(out.fsw, in.fsw);
	EQUAL(out.ftwx, in.ftwx);
	EQUAL(out.mxcsr, in.mxcsr);
	CHECK(!memcmp(out.xmm, in.xmm, sizeof(in.xmm)));
	CHECK(!memcmp(out.fpr[0], in.fpr[0], 10));
}

static void xsave(struct machine *m)
{
	int size = MUST(m->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	struct kvm_xsave *x;
	struct kvm_fpu fpu;

	CHECK(size == 0 || size >= 4096);
	if (!size)
		size = 4096;
	x = calloc(1, size);
	MUST(m->cpu[0], KVM_GET_XSAVE, x);
	x->region[160 / 4] = 0xdeadbeef;	/* XMM0 */
	x->region[24 / 4] = 0x1f80;		/* MXCSR */
	x->region[512 / 4] |= 3;		/* XSTATE_BV */
	MUST(m->cpu[0], KVM_SET_XSAVE, x);
	MUST(m->cpu[0], KVM_GET_FPU, &fpu);
	EQUAL(*(uint32_t *)fpu.xmm[0], 0xdeadbeef);
	memset(x, 0, size);
	MUST(m->cpu[0], KVM_GET_XSAVE2, x);
	EQUAL(x->region[160 / 4], 0xdeadbeef);
	x->region[516 / 4] = 1u << 30;		/* a component from nowhere */
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_XSAVE, x), EINVAL);
	free(x);
}

static void xcrs(struct machine *m)
{
	struct kvm_xcrs x = { 0 };

	if (!(cpuid_entry(m, 1, 0)->ecx & 1u << 26))
		return;
	MUST(m->cpu[0], KVM_GET_XCRS, &x);
	EQUAL(x.nr_xcrs, 1);
	EQUAL(x.xcrs[0].value, 1);
	x.xcrs[0].value = 3;
	MUST(m->cpu[0], KVM_SET_XCRS, &x);
	memset(&x, 0, sizeof(x));
	MUST(m->cpu[0], KVM_GET_XCRS, &x);
	EQUAL(x.xcrs[0].value, 3);
	x.xcrs[0].value = 2;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_XCRS, &x), EINVAL);
	x.nr_xcrs = 17;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_XCRS, &x), EINVAL);
}

static void translate(struct machine *m)
{
	struct kvm_translation t = { .linear_address = 0x4321 };

	MUST(m->cpu[0], KVM_TRANSLATE, &t);
	EQUAL(t.valid, 1);
	EQUAL(t.physical_address, 0x4321);
}

static void guest_debug(struct machine *m)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE |
						KVM_GUESTDBG_SINGLESTEP };
	struct kvm_regs regs = { .rip = 0x4000, .rsp = 0x9000, .rflags = 2 };

	MUST(m->cpu[0], KVM_SET_REGS, &regs);
	MUST(m->cpu[0], KVM_SET_GUEST_DEBUG, &d);
	MUST(m->cpu[0], KVM_RUN, 0);
	EQUAL(m->run[0]->exit_reason, KVM_EXIT_DEBUG);
	EQUAL(m->run[0]->debug.arch.exception, DB_VECTOR);
	EQUAL(m->run[0]->debug.arch.pc, 0x4001);
	MUST(m->cpu[0], KVM_GET_REGS, &regs);
	EQUAL(regs.rflags & 1 << 8, 0);		/* TF is the debugger's */
	d.control = 0;
	MUST(m->cpu[0], KVM_SET_GUEST_DEBUG, &d);
	MUST(m->cpu[0], KVM_RUN, 0);
	EQUAL(m->run[0]->exit_reason, KVM_EXIT_HLT);
}

static void guest_debug_refused(struct machine *m)
{
	struct kvm_guest_debug d = { .control = 1u << 30 };

	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_GUEST_DEBUG, &d), EINVAL);
}

static void sync_regs(struct machine *m)
{
	struct kvm_run *run = m->run[0];
	struct regs32 r = { .ebx = 0x77 };

	run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	guest_run(m, 0, INSN_NOP, &r);
	EQUAL(run->s.regs.regs.rbx, 0x77);
	CHECK(run->s.regs.sregs.cr0 & CR0_PE);
	run->s.regs.regs.rbx = 0x88;
	run->s.regs.regs.rip = 0x4000;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	MUST(m->cpu[0], KVM_RUN, 0);
	EQUAL(run->exit_reason, KVM_EXIT_HLT);
	EQUAL(run->kvm_dirty_regs, 0);
	EQUAL(run->s.regs.regs.rbx, 0x88);
	run->kvm_dirty_regs = 1 << 10;
	EQUAL(ERROR_OF(m->cpu[0], KVM_RUN, 0), EINVAL);
	run->kvm_dirty_regs = 0;
	run->s.regs.sregs.cr4 = 1ULL << 40;
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	EQUAL(ERROR_OF(m->cpu[0], KVM_RUN, 0), EINVAL);
}

const struct check regs_checks[] = {
	COMMON("regs: general", 1, regs_round_trip),
	COMMON("regs: system", 1, sregs_round_trip),
	COMMON("regs: impossible system registers", 1, sregs_refused),
	OURS("regs: more impossible ones", 1, sregs_refused_by_us),
	COMMON("regs: SREGS2 and PDPTEs", 1, sregs2),
	COMMON("regs: debug registers", 1, debug_registers),
	COMMON("events: come back", 1, events_round_trip),
	COMMON("events: payloads", 1, payloads),
	COMMON("events: an injected fault arrives", 1, injected_fault_is_delivered),
	COMMON("events: KVM_SET_REGS drops a pending fault", 1, set_regs_drops_pending),
	COMMON("regs: MP state", 1, mp_state),
	OURS("fpu: KVM_SET_FPU", 1, fpu),
	COMMON("fpu: XSAVE area", 1, xsave),
	COMMON("fpu: XCR0", 1, xcrs),
	COMMON("regs: translate", 1, translate),
	COMMON("regs: guest debug", 1, guest_debug),
	OURS("regs: unknown guest debug", 1, guest_debug_refused),
	COMMON("regs: through kvm_run", 1, sync_regs),
	END_OF_CHECKS
};
