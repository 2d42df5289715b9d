// SPDX-License-Identifier: GPL-2.0-only
/* Corners of the ABI: HLT without exits, paired clocks, limits. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

/* ---- the guest halts the processor itself, and only signals end that ---- */

static void ignore(int sig)
{
	(void)sig;
}

/* errno of a run that a signal ends after a second, if nothing does before */
static int halt(struct machine *m, int cpu)
{
	static const uint8_t code[] = { 0xf4, 0xeb, 0xfd };	/* again */
	struct sigaction action = { .sa_handler = ignore };	/* no restart */
	struct kvm_regs regs = { .rip = SCRATCH, .rflags = 2 };
	int ret;

	memcpy(m->ram + SCRATCH, code, sizeof(code));
	MUST(m->cpu[cpu], KVM_SET_REGS, &regs);
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	ret = ERROR_OF(m->cpu[cpu], KVM_RUN, 0);
	alarm(0);
	return ret;
}

static void halts_by_itself(struct machine *m)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS,
				      .args[0] = 16 };

	EQUAL(ERROR_OF(m->vm, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = MUST(m->kvm, KVM_CHECK_EXTENSION, cap.cap);
	CHECK(cap.args[0] & KVM_X86_DISABLE_EXITS_HLT);
	MUST(m->vm, KVM_ENABLE_CAP, &cap);
	machine_add_cpu(m);
	EQUAL(halt(m, 0), 0);		/* made before: it exits */
	EQUAL(m->run[0]->exit_reason, KVM_EXIT_HLT);
	EQUAL(halt(m, 1), EINTR);
	EQUAL(m->run[1]->exit_reason, KVM_EXIT_INTR);
}

/* ---- a moment of both clocks ---- */

struct pairing {
	int64_t sec, nsec;
	uint64_t tsc;
	uint32_t flags, pad[9];
};

static void clocks_are_paired(struct machine *m)
{
	struct regs32 r = { .eax = 9, .ebx = SCRATCH, .ecx = 1 };
	struct pairing pair;
	struct timespec before, after;

	guest_run(m, 0, INSN_VMMCALL, &r);
	EQUAL(r.eax, (uint32_t)-EOPNOTSUPP);
	clock_gettime(CLOCK_REALTIME, &before);
	r = (struct regs32) { .eax = 9, .ebx = SCRATCH };
	memset(m->ram + SCRATCH, 0xff, sizeof(pair));
	guest_run(m, 0, INSN_VMMCALL, &r);
	clock_gettime(CLOCK_REALTIME, &after);
	if (r.eax == (uint32_t)-EOPNOTSUPP)	/* the host's clock is another */
		return;
	EQUAL(r.eax, 0);
	memcpy(&pair, m->ram + SCRATCH, sizeof(pair));
	CHECK(pair.sec >= before.tv_sec && pair.sec <= after.tv_sec);
	CHECK(pair.nsec >= 0 && pair.nsec < 1000000000);
	EQUAL(pair.flags, 0);
	CHECK(pair.tsc);
}

/* ---- small ones ---- */

static void limits(struct machine *m)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP,
				      .args[0] = 4097 };
	struct kvm_vapic_addr vapic = { .vapic_addr = 1ULL << 40 };
	int vm = MUST(m->kvm, KVM_CREATE_VM, 0), cpu;

	EQUAL(ERROR_OF(vm, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 4096;
	EQUAL(ERROR_OF(vm, KVM_ENABLE_CAP, &cap), 0);
	EQUAL(ERROR_OF(m->vm, KVM_ENABLE_CAP, &cap), EEXIST);
	cap = (struct kvm_enable_cap) { .cap = KVM_CAP_MAX_VCPU_ID };
	EQUAL(ERROR_OF(vm, KVM_ENABLE_CAP, &cap), 0);
	cap.args[0] = 10;
	EQUAL(ERROR_OF(vm, KVM_ENABLE_CAP, &cap), 0);
	EQUAL(ERROR_OF(vm, KVM_ENABLE_CAP, &cap), 0);
	cap.args[0] = 11;
	EQUAL(ERROR_OF(vm, KVM_ENABLE_CAP, &cap), EINVAL);
	cpu = MUST(vm, KVM_CREATE_VCPU, 0);
	EQUAL(ERROR_OF(cpu, KVM_SET_VAPIC_ADDR, &vapic), EINVAL);
	close(cpu);
	close(vm);
}

static void new_vcpu(struct machine *m)
{
	int cpu = MUST(m->vm, KVM_CREATE_VCPU, 5);
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;

	MUST(cpu, KVM_GET_FPU, &fpu);
	EQUAL(fpu.fcw, 0x37f);
	MUST(cpu, KVM_GET_SREGS, &sregs);
	EQUAL(sregs.apic_base, 0xfee00800);	/* on, though user space has it */
	close(cpu);
}

static void cpuid_before_entry(struct machine *m)
{
	struct kvm_cpuid_entry2 *e = cpuid_entry(m, 0x80000002, 0);

	m->run[0]->immediate_exit = 1;
	EQUAL(ERROR_OF(m->cpu[0], KVM_RUN, 0), EINTR);
	e->eax ^= 1;
	MUST(m->cpu[0], KVM_SET_CPUID2, &m->cpuid);
}

static void features_of_one_vcpu(struct machine *m)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
				      .args[0] = 1 };
	uint64_t data;

	cpuid_entry(m, 0x40000001, 0)->eax = 0;
	MUST(m->cpu[0], KVM_SET_CPUID2, &m->cpuid);
	MUST(m->cpu[1], KVM_SET_CPUID2, &m->cpuid);
	MUST(m->cpu[0], KVM_ENABLE_CAP, &cap);
	CHECK(!host_rdmsr(m, 0, 0x4b564d01, &data));
	CHECK(host_rdmsr(m, 1, 0x4b564d01, &data));
}

const struct check abi_checks[] = {
	COMMON("abi: HLT without an exit", 1, halts_by_itself),
	COMMON("abi: clocks are paired", 1, clocks_are_paired),
	COMMON("abi: limits", 1, limits),
	COMMON("abi: a new vCPU", 1, new_vcpu),
	COMMON("abi: what one vCPU is told to enforce", 2,
	       features_of_one_vcpu),
	COMMON("abi: CPUID is free until the first entry", 1,
	       cpuid_before_entry),
	END_OF_CHECKS
};
