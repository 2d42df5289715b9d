// SPDX-License-Identifier: GPL-2.0-only
/*
 * state [-s] [NAME...]: check what KVM keeps of a vCPU, one line a check.
 *
 * -s leaves out what only unikvm answers so. Exit status 1 if any failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "l1.h"
#include "machine.h"

#define GDT		0x2000
#define IDT		0x3000
#define CODE		0x4000
#define CODE_STEP	0x20
#define GP_HANDLER	0x5000
#define UD_HANDLER	0x5040
#define STACK		0x9000
#define CR0_PE		1
#define CR0_ET		0x10

/* 32-bit code */
static const uint8_t insns[NR_INSNS][8] = {
	[INSN_NOP] = { 0x90, 0xf4 },
	[INSN_CPUID] = { 0x0f, 0xa2, 0xf4 },
	[INSN_RDMSR] = { 0x0f, 0x32, 0xf4 },
	[INSN_WRMSR] = { 0x0f, 0x30, 0xf4 },
	[INSN_RDTSC] = { 0x0f, 0x31, 0xf4 },
	[INSN_XSETBV] = { 0x0f, 0x01, 0xd1, 0xf4 },
	[INSN_CR4_WRITE] = { 0x0f, 0x22, 0xe0, 0xf4 },
	[INSN_CR4_READ] = { 0x0f, 0x20, 0xe0, 0xf4 },
	[INSN_VMMCALL] = { 0x0f, 0x01, 0xd9, 0xf4 },
};

/* edi = 1, skip to the HLT: it follows two or three bytes later */
static const uint8_t gp_handler[] = {
	0xbf, 1, 0, 0, 0,		/* mov edi, 1 */
	0xf4,				/* hlt */
};

static jmp_buf give_up;
static char reason[512];

void fail(const char *file, int line, const char *format, ...)
{
	va_list args;
	int n = snprintf(reason, sizeof(reason), "%s:%d: ",
			 strrchr(file, '/') ? strrchr(file, '/') + 1 : file,
			 line);

	va_start(args, format);
	vsnprintf(reason + n, sizeof(reason) - n, format, args);
	va_end(args);
	longjmp(give_up, 1);
}

int error_of(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? errno : 0;
}

int must(int fd, unsigned long request, void *arg, const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		fail(__FILE__, __LINE__, "%s: %s", what, strerror(errno));
	return ret;
}

/* ---- the guest ---- */

static void set_gate(struct machine *m, int vector, uint32_t target)
{
	uint64_t gate = (target & 0xffffULL) | 0x8ULL << 16 |
			0x8e00ULL << 32 | (uint64_t)(target >> 16) << 48;

	memcpy(m->ram + IDT + 8 * vector, &gate, sizeof(gate));
}

static void load_guest(struct machine *m)
{
	static const uint64_t gdt[] = {
		0, 0x00cf9b000000ffff, 0x00cf93000000ffff,
	};
	int i;

	memcpy(m->ram + GDT, gdt, sizeof(gdt));
	for (i = 0; i < NR_INSNS; i++)
		memcpy(m->ram + CODE + i * CODE_STEP, insns[i],
		       sizeof(insns[i]));
	memcpy(m->ram + GP_HANDLER, gp_handler, sizeof(gp_handler));
	memcpy(m->ram + UD_HANDLER, gp_handler, sizeof(gp_handler));
	set_gate(m, 6, UD_HANDLER);
	set_gate(m, 13, GP_HANDLER);
}

static void set_mode(struct machine *m, int cpu)
{
	struct kvm_sregs s;

	MUST(m->cpu[cpu], KVM_GET_SREGS, &s);
	l1_flat_segments(&s, 32);
	s.gdt = (struct kvm_dtable) { .base = GDT, .limit = 23 };
	s.idt = (struct kvm_dtable) { .base = IDT, .limit = 0x7ff };
	s.cr0 = CR0_PE | CR0_ET;
	MUST(m->cpu[cpu], KVM_SET_SREGS, &s);
}

int guest_exec(struct machine *m, int cpu, enum insn insn, struct regs32 *r)
{
	struct kvm_regs regs = {
		.rax = r->eax, .rbx = r->ebx, .rcx = r->ecx, .rdx = r->edx,
		.rip = CODE + insn * CODE_STEP, .rsp = STACK, .rflags = 2,
	};

	MUST(m->cpu[cpu], KVM_SET_REGS, &regs);
	MUST(m->cpu[cpu], KVM_RUN, 0);
	MUST(m->cpu[cpu], KVM_GET_REGS, &regs);
	*r = (struct regs32) { regs.rax, regs.rbx, regs.rcx, regs.rdx,
			       regs.rdi == 1 };
	return m->run[cpu]->exit_reason;
}

void guest_run(struct machine *m, int cpu, enum insn insn, struct regs32 *r)
{
	int exit_reason = guest_exec(m, cpu, insn, r);

	if (exit_reason != KVM_EXIT_HLT)
		fail(__FILE__, __LINE__, "instruction %d ended with exit %d",
		     insn, exit_reason);
}

bool guest_rdmsr(struct machine *m, uint32_t index, uint64_t *data)
{
	struct regs32 r = { .ecx = index };

	guest_run(m, 0, INSN_RDMSR, &r);
	*data = r.eax | (uint64_t)r.edx << 32;
	return !r.faulted;
}

bool guest_wrmsr(struct machine *m, uint32_t index, uint64_t data)
{
	struct regs32 r = { .ecx = index, .eax = data, .edx = data >> 32 };

	guest_run(m, 0, INSN_WRMSR, &r);
	return !r.faulted;
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

bool host_rdmsr(struct machine *m, int cpu, uint32_t index, uint64_t *data)
{
	struct one_msr msr = { { .nmsrs = 1 }, { .index = index } };
	bool done = MUST(m->cpu[cpu], KVM_GET_MSRS, &msr) == 1;

	*data = msr.entry.data;
	return done;
}

bool host_wrmsr(struct machine *m, int cpu, uint32_t index, uint64_t data)
{
	struct one_msr msr = { { .nmsrs = 1 },
			       { .index = index, .data = data } };

	return MUST(m->cpu[cpu], KVM_SET_MSRS, &msr) == 1;
}

struct kvm_cpuid_entry2 *cpuid_entry(struct machine *m, uint32_t function,
				     uint32_t index)
{
	uint32_t i;

	for (i = 0; i < m->cpuid.head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &m->cpuid.entries[i];

		if (e->function == function && e->index == index)
			return e;
	}
	return NULL;
}

/* ---- a VM's life ---- */

void machine_add_cpu(struct machine *m)
{
	int cpu = m->ncpus;

	m->cpu[cpu] = MUST(m->vm, KVM_CREATE_VCPU, cpu);
	m->run[cpu] = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED, m->cpu[cpu], 0);
	CHECK(m->run[cpu] != MAP_FAILED);
	MUST(m->cpu[cpu], KVM_SET_CPUID2, &m->cpuid);
	set_mode(m, cpu);
	m->ncpus++;
}

struct machine *machine_new(int ncpus)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct kvm_userspace_memory_region region;
	int i;

	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	CHECK(m->kvm >= 0);
	m->vm = MUST(m->kvm, KVM_CREATE_VM, 0);
	m->run_size = MUST(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(m->ram != MAP_FAILED);
	region = (struct kvm_userspace_memory_region) {
		.memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)m->ram,
	};
	MUST(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
	m->cpuid.head.nent = MAX_CPUID;
	MUST(m->kvm, KVM_GET_SUPPORTED_CPUID, &m->cpuid);
	load_guest(m);
	for (i = 0; i < ncpus; i++)
		machine_add_cpu(m);
	return m;
}

void machine_free(struct machine *m)
{
	int i;

	for (i = 0; i < m->ncpus; i++) {
		munmap(m->run[i], m->run_size);
		close(m->cpu[i]);
	}
	munmap(m->ram, RAM_SIZE);
	close(m->vm);
	close(m->kvm);
	free(m);
}

/* ---- running them ---- */

static bool run_check(const struct check *check)
{
	struct machine *volatile m = NULL;
	volatile bool good = false;

	if (!setjmp(give_up)) {
		m = machine_new(check->ncpus);
		check->run(m);
		good = true;
	}
	if (m)
		machine_free(m);
	printf("%s %s%s%s\n", good ? "ok" : "not ok", check->name,
	       good ? "" : ": ", good ? "" : reason);
	fflush(stdout);
	return good;
}

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = optind; i < argc; i++) {
		if (!strcmp(name, argv[i]))
			return true;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	static const struct check *const groups[] = {
		cpuid_checks, msr_checks, time_checks, regs_checks, abi_checks,
	};
	bool stock = false;
	int failed = 0;
	size_t i;

	while (getopt(argc, argv, "s") == 's')
		stock = true;
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		const struct check *c;

		for (c = groups[i]; c->name; c++) {
			if (stock && c->ours_only)
				continue;
			if (wanted(c->name, argc, argv))
				failed += !run_check(c);
		}
	}
	return failed != 0;
}
