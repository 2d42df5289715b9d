/* SPDX-License-Identifier: GPL-2.0-only */
/* One VM whose guest executes single instructions that a check asks for. */
#ifndef STATE_MACHINE_H
#define STATE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <unikvm/kvm.h>

#define RAM_SIZE	0x100000
#define SCRATCH		0x20000		/* gpa for the checks' own use */
#define MAX_CPUS	2
#define MAX_CPUID	256

struct machine {
	int kvm, vm;
	uint8_t *ram;
	size_t run_size;
	int ncpus;
	int cpu[MAX_CPUS];
	struct kvm_run *run[MAX_CPUS];
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[MAX_CPUID];
	} cpuid;			/* as supported, and as set */
};

/* Instructions in the guest; each ends in HLT. See machine.c. */
enum insn { INSN_NOP, INSN_CPUID, INSN_RDMSR, INSN_WRMSR, INSN_RDTSC,
	    INSN_XSETBV, INSN_CR4_WRITE, INSN_CR4_READ, INSN_VMMCALL,
	    NR_INSNS };

struct regs32 {
	uint32_t eax, ebx, ecx, edx;
	bool faulted;			/* #GP or #UD */
};

struct machine *machine_new(int ncpus);
void machine_free(struct machine *m);
void machine_add_cpu(struct machine *m);
/* Enter the guest for one instruction; the exit reason that ended it. */
int guest_exec(struct machine *m, int cpu, enum insn insn, struct regs32 *r);
/* As above, and the exit must be HLT. */
void guest_run(struct machine *m, int cpu, enum insn insn, struct regs32 *r);
bool guest_rdmsr(struct machine *m, uint32_t index, uint64_t *data);
bool guest_wrmsr(struct machine *m, uint32_t index, uint64_t data);
/* KVM_GET_MSRS and KVM_SET_MSRS of one: true if it was done */
bool host_rdmsr(struct machine *m, int cpu, uint32_t index, uint64_t *data);
bool host_wrmsr(struct machine *m, int cpu, uint32_t index, uint64_t data);
struct kvm_cpuid_entry2 *cpuid_entry(struct machine *m, uint32_t function,
				     uint32_t index);
/* ioctl that must succeed; returns its result */
int must(int fd, unsigned long request, void *arg, const char *what);
#define MUST(fd, request, arg)	must(fd, request, (void *)(uintptr_t)(arg), #request)
/* errno of an ioctl, 0 if it succeeded */
int error_of(int fd, unsigned long request, void *arg);
#define ERROR_OF(fd, request, arg)	error_of(fd, request, (void *)(uintptr_t)(arg))

/* ---- checks ---- */

/* Gives up the running check, with the place and what was found there. */
void fail(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
#define CHECK(condition)						\
	do {								\
		if (!(condition))					\
			fail(__FILE__, __LINE__, "%s", #condition);	\
	} while (0)
#define EQUAL(a, b)							\
	do {								\
		unsigned long long a_ = (a), b_ = (b);			\
		if (a_ != b_)						\
			fail(__FILE__, __LINE__, "%s is %#llx, not %#llx", \
			     #a, a_, b_);				\
	} while (0)

struct check {
	const char *name;
	int ncpus;
	void (*run)(struct machine *m);
	bool ours_only;		/* stock KVM answers differently on this bench */
};

#define COMMON(...)	{ __VA_ARGS__, false }
#define OURS(...)	{ __VA_ARGS__, true }
#define END_OF_CHECKS	{ NULL, 0, NULL, false }

extern const struct check cpuid_checks[], msr_checks[], time_checks[],
	regs_checks[], abi_checks[];

#endif
