// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2, and the instruction. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define CR4_OSXSAVE	(1u << 18)

static void too_little_room(struct machine *m)
{
	uint32_t n = m->cpuid.head.nent;

	CHECK(n > 20);
	m->cpuid.head.nent = n - 1;
	EQUAL(ERROR_OF(m->kvm, KVM_GET_SUPPORTED_CPUID, &m->cpuid), E2BIG);
	EQUAL(ERROR_OF(m->cpu[0], KVM_GET_CPUID2, &m->cpuid), E2BIG);
	EQUAL(m->cpuid.head.nent, n - 1);
	m->cpuid.head.nent = 0;
	EQUAL(ERROR_OF(m->kvm, KVM_GET_SUPPORTED_CPUID, &m->cpuid), E2BIG);
	m->cpuid.head.nent = MAX_CPUID + 1;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_CPUID2, &m->cpuid), E2BIG);
}

static void length_comes_back(struct machine *m)
{
	uint32_t n = m->cpuid.head.nent;

	m->cpuid.head.nent = MAX_CPUID;
	MUST(m->cpu[0], KVM_GET_CPUID2, &m->cpuid);
	EQUAL(m->cpuid.head.nent, n);
	CHECK(cpuid_entry(m, 1, 0)->ecx & 1u << 31);	/* hypervisor */
}

static void guest_sees_what_was_set(struct machine *m)
{
	struct kvm_cpuid_entry2 *e;
	uint32_t i;

	MUST(m->cpu[0], KVM_GET_CPUID2, &m->cpuid);
	for (i = 0; i < m->cpuid.head.nent; i++) {
		struct regs32 r = { 0 };

		e = &m->cpuid.entries[i];
		r.eax = e->function;
		r.ecx = e->index;
		guest_run(m, 0, INSN_CPUID, &r);
		if (r.eax != e->eax || r.ebx != e->ebx || r.ecx != e->ecx ||
		    r.edx != e->edx)
			fail(__FILE__, __LINE__, "leaf %#x.%u: %#x %#x %#x %#x",
			     e->function, e->index, r.eax, r.ebx, r.ecx, r.edx);
	}
}

static void fixed_after_run(struct machine *m)
{
	struct regs32 r = { 0 };

	guest_run(m, 0, INSN_NOP, &r);
	MUST(m->cpu[0], KVM_SET_CPUID2, &m->cpuid);
	cpuid_entry(m, 7, 0)->eax ^= 1;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_CPUID2, &m->cpuid), EINVAL);
	cpuid_entry(m, 7, 0)->eax ^= 1;
	m->cpuid.head.nent--;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_CPUID2, &m->cpuid), EINVAL);
}

static void osxsave_follows_cr4(struct machine *m)
{
	struct regs32 cr4 = { .eax = CR4_OSXSAVE }, leaf;

	if (!(cpuid_entry(m, 1, 0)->ecx & 1u << 26))
		return;
	leaf = (struct regs32) { .eax = 1 };
	guest_run(m, 0, INSN_CPUID, &leaf);
	CHECK(!(leaf.ecx & 1u << 27));
	guest_run(m, 0, INSN_CR4_WRITE, &cr4);
	CHECK(!cr4.faulted);
	leaf = (struct regs32) { .eax = 1 };
	guest_run(m, 0, INSN_CPUID, &leaf);
	CHECK(leaf.ecx & 1u << 27);
}

static void xsave_size_follows_xcr0(struct machine *m)
{
	struct regs32 cr4 = { .eax = CR4_OSXSAVE }, r;
	uint32_t all;

	if (!(cpuid_entry(m, 1, 0)->ecx & 1u << 26))
		return;
	all = cpuid_entry(m, 0xd, 0)->eax;
	guest_run(m, 0, INSN_CR4_WRITE, &cr4);
	r = (struct regs32) { .eax = 0xd };
	guest_run(m, 0, INSN_CPUID, &r);
	EQUAL(r.ebx, 576);
	r = (struct regs32) { .eax = all };
	guest_run(m, 0, INSN_XSETBV, &r);
	CHECK(!r.faulted);
	r = (struct regs32) { .eax = 0xd };
	guest_run(m, 0, INSN_CPUID, &r);
	EQUAL(r.ebx, r.ecx);
	/* no x87; a bit that no processor has; an XCR that is not there */
	r = (struct regs32) { .eax = 2 };
	guest_run(m, 0, INSN_XSETBV, &r);
	CHECK(r.faulted);
	r = (struct regs32) { .eax = all, .edx = 1u << 30 };
	guest_run(m, 0, INSN_XSETBV, &r);
	CHECK(r.faulted);
	r = (struct regs32) { .eax = 1, .ecx = 7 };
	guest_run(m, 0, INSN_XSETBV, &r);
	CHECK(r.faulted);
}

static void cr4_needs_the_feature(struct machine *m)
{
	struct regs32 r;
	bool umip = cpuid_entry(m, 7, 0)->ecx & 1u << 2;

	r = (struct regs32) { .eax = 1u << 11 };
	guest_run(m, 0, INSN_CR4_WRITE, &r);
	EQUAL(r.faulted, !umip);
	r = (struct regs32) { .eax = 1u << 13 };	/* VMXE */
	guest_run(m, 0, INSN_CR4_WRITE, &r);
	CHECK(r.faulted);
	r = (struct regs32) { .eax = 1u << 31 };
	guest_run(m, 0, INSN_CR4_WRITE, &r);
	CHECK(r.faulted);
}

static void signature_and_features(struct machine *m)
{
	struct kvm_cpuid_entry2 *e = cpuid_entry(m, 0x40000000, 0);

	CHECK(e && !memcmp(&e->ebx, "KVMKVMKVM\0\0\0", 12));
	e = cpuid_entry(m, 0x40000001, 0);
	CHECK((e->eax & 0x0100004b) == 0x0100004b);
	CHECK(cpuid_entry(m, 1, 0)->ecx & 1u << 21);	/* x2APIC */
}

static void no_nested_svm(struct machine *m)
{
	CHECK(!(cpuid_entry(m, 0x80000001, 0)->ecx & 4));
	CHECK(!(cpuid_entry(m, 1, 0)->ecx & (1u << 3 | 1u << 24)));
}

static void before_any_model(struct machine *m)
{
	struct kvm_sregs s;
	int cpu = MUST(m->vm, KVM_CREATE_VCPU, 1);

	/* CR4 bits of the supported model, without KVM_SET_CPUID2 */
	MUST(cpu, KVM_GET_SREGS, &s);
	s.cr4 |= 0x7ff;
	if (cpuid_entry(m, 1, 0)->ecx & 1u << 26)
		s.cr4 |= CR4_OSXSAVE;
	MUST(cpu, KVM_SET_SREGS, &s);
	s.cr4 |= 1u << 13;
	EQUAL(ERROR_OF(cpu, KVM_SET_SREGS, &s), EINVAL);
}

const struct check cpuid_checks[] = {
	COMMON("cpuid: too little room", 1, too_little_room),
	OURS("cpuid: the length comes back", 1, length_comes_back),
	COMMON("cpuid: the guest sees what was set", 1, guest_sees_what_was_set),
	COMMON("cpuid: fixed after KVM_RUN", 1, fixed_after_run),
	COMMON("cpuid: OSXSAVE follows CR4", 1, osxsave_follows_cr4),
	OURS("cpuid: XSAVE size follows XCR0", 1, xsave_size_follows_xcr0),
	COMMON("cpuid: CR4 needs the feature", 1, cr4_needs_the_feature),
	COMMON("cpuid: KVM's leaves", 1, signature_and_features),
	OURS("cpuid: no nested SVM, no MONITOR", 1, no_nested_svm),
	COMMON("cpuid: CR4 before any model", 1, before_any_model),
	END_OF_CHECKS
};
