// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench-exits ROW ROUNDS ITERS: run one row of the benchmark on /dev/kvm.
 *
 * Prints the TSC cycles of one operation, a line for each round; for the rows
 * that touch memory first "resident KIB", what the host had to give for it.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <unikvm/kvm.h>

#include "guest.h"

#define PAGE		4096UL
#define HUGE_PAGE	(2UL << 20)
#define MAX_CPUID	256
#define MAX_ROUNDS	512
#define MAX_TOUCHED	(1UL << 30)
#define APIC_BASE	0xfee00000ULL
#define X2APIC_ON	0xc00
#define IS_BSP		0x100
#define CPUID_X2APIC	(1U << 21)
#define CPUID_DEADLINE	(1U << 24)
/* far enough ahead for the instruction that sets it to be over */
#define TIMER_AHEAD	2000000
/* and for a CPU to fall asleep */
#define IPI_PAUSE	5000000
#define PATIENCE	180	/* seconds for all */

extern const uint8_t guest_start[], guest_end[], guest_cpuid[], guest_rdmsr[],
	guest_wrmsr[], guest_pio[], guest_mmio[], guest_touch[],
	guest_timer[], guest_timer_hlt[], guest_ipi[], guest_sleeper[],
	guest_on_timer[], guest_on_ipi[];

enum memory { NO_MEMORY, SMALL_PAGES, HUGE_PAGES };

static const struct row {
	const char *name;
	const uint8_t *entry;
	uint64_t address;	/* in r15 */
	enum memory memory;	/* to touch */
	bool two_cpus;
} rows[] = {
	{ .name = "cpuid", .entry = guest_cpuid },
	{ .name = "rdmsr", .entry = guest_rdmsr },
	{ .name = "wrmsr", .entry = guest_wrmsr },
	{ .name = "hlt-ipi", .entry = guest_ipi, .address = IPI_PAUSE,
	  .two_cpus = true },
	{ .name = "timer", .entry = guest_timer, .address = TIMER_AHEAD },
	{ .name = "timer-hlt", .entry = guest_timer_hlt,
	  .address = TIMER_AHEAD },
	{ .name = "pio", .entry = guest_pio },
	{ .name = "mmio", .entry = guest_mmio, .address = NOTHING },
	{ .name = "touch-4k", .entry = guest_touch, .address = TOUCHED,
	  .memory = SMALL_PAGES },
	{ .name = "touch-2m", .entry = guest_touch, .address = TOUCHED,
	  .memory = HUGE_PAGES },
};

struct machine {
	int kvm, vm;
	uint8_t *low;
	uint8_t *touched;
	size_t touched_size;
};

struct cpu {
	int fd;
	struct kvm_run *run;
};

static int call(int fd, unsigned long request, const char *name, void *arg)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", name);
	return ret;
}
#define CALL(fd, request, arg) \
	call(fd, request, #request, (void *)(uintptr_t)(arg))

static uint64_t gpa_of(const uint8_t *symbol)
{
	return CODE + (symbol - guest_start);
}

/* ---- memory ---- */

static void add_slot(struct machine *m, uint32_t slot, uint64_t gpa,
		     void *memory, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	CALL(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Memory that is not there before it is touched, at a multiple of 2 MiB. */
static uint8_t *fresh_memory(size_t size)
{
	uint8_t *memory = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return (uint8_t *)(((uintptr_t)memory + HUGE_PAGE - 1) &
			   ~(HUGE_PAGE - 1));
}

static void set_gate(uint8_t *low, int vector, const uint8_t *handler)
{
	uint64_t target = gpa_of(handler);
	uint64_t gate = (target & 0xffff) | 8ULL << 16 | 0x8e00ULL << 32 |
			(target >> 16 & 0xffff) << 48;

	memcpy(low + IDT + 16 * vector, &gate, sizeof(gate));
}

static void fill_low(uint8_t *low)
{
	static const uint64_t gdt[] = {
		0, 0x00af9b000000ffff, 0x00cf93000000ffff,
	};
	uint64_t *pml4 = (uint64_t *)(low + PML4);
	uint64_t *pdpt = (uint64_t *)(low + PDPT);
	uint64_t *pds = (uint64_t *)(low + PDS);
	int i;

	memcpy(low + GDT, gdt, sizeof(gdt));
	set_gate(low, TIMER_VECTOR, guest_on_timer);
	set_gate(low, IPI_VECTOR, guest_on_ipi);
	pml4[0] = PDPT | 7;
	for (i = 0; i < 4; i++)
		pdpt[i] = (PDS + i * PAGE) | 7;
	for (i = 0; i < 4 * 512; i++)
		pds[i] = i * HUGE_PAGE | 0x87;
	memcpy(low + CODE, guest_start, guest_end - guest_start);
}

static void add_memory(struct machine *m, const struct row *row,
		       size_t touched)
{
	m->low = fresh_memory(LOW_SIZE);
	fill_low(m->low);
	add_slot(m, 0, 0, m->low, LOW_SIZE);
	if (row->memory == NO_MEMORY)
		return;
	m->touched_size = (touched + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	m->touched = fresh_memory(m->touched_size);
	if (madvise(m->touched, m->touched_size,
		    row->memory == HUGE_PAGES ? MADV_HUGEPAGE :
						MADV_NOHUGEPAGE))
		err(1, "madvise");
	add_slot(m, 1, TOUCHED, m->touched, m->touched_size);
}

static size_t resident_kib(const struct machine *m)
{
	size_t pages = m->touched_size / PAGE, found = 0, i;
	unsigned char *map = calloc(pages, 1);

	if (!map || mincore(m->touched, m->touched_size, map))
		err(1, "mincore");
	for (i = 0; i < pages; i++)
		found += map[i] & 1;
	free(map);
	return found * PAGE / 1024;
}

/* ---- CPUs ---- */

static void set_cpuid(const struct machine *m, int fd, int id)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[MAX_CPUID];
	} cpuid = { .head.nent = MAX_CPUID };
	uint32_t i;

	CALL(m->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (i = 0; i < cpuid.head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid.entries[i];

		if (e->function == 1) {
			e->ecx |= CPUID_X2APIC | CPUID_DEADLINE;
			e->ebx = (e->ebx & 0xffffff) | (uint32_t)id << 24;
		}
		if (e->function == 0xb)
			e->edx = id;
	}
	CALL(fd, KVM_SET_CPUID2, &cpuid);
}

static void set_sregs(int fd)
{
	struct kvm_segment code = {
		.limit = ~0U, .selector = 8, .type = 11, .present = 1,
		.s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = ~0U, .selector = 16, .type = 3, .present = 1,
		.s = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs s;

	CALL(fd, KVM_GET_SREGS, &s);
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt = (struct kvm_dtable) { .base = GDT, .limit = 23 };
	s.idt = (struct kvm_dtable) { .base = IDT, .limit = 0xfff };
	s.cr3 = PML4;
	s.cr4 = 0x620;			/* PAE, OSFXSR, OSXMMEXCPT */
	s.cr0 = 0x80010033;		/* PG, WP, NE, ET, MP, PE */
	s.efer = 0x500;			/* LMA, LME */
	CALL(fd, KVM_SET_SREGS, &s);
}

static void set_x2apic(int fd, int id)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = {
		{ .nmsrs = 1 },
		{ .index = MSR_APIC_BASE,
		  .data = APIC_BASE | X2APIC_ON | (id ? 0 : IS_BSP) },
	};

	if (CALL(fd, KVM_SET_MSRS, &msr) != 1)
		errx(1, "no x2APIC");
}

static struct cpu cpu_new(const struct machine *m, int id,
			  struct kvm_regs regs)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	size_t size = CALL(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct cpu cpu = { .fd = CALL(m->vm, KVM_CREATE_VCPU, id) };

	cpu.run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       cpu.fd, 0);
	if (cpu.run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	set_cpuid(m, cpu.fd, id);
	set_sregs(cpu.fd);
	set_x2apic(cpu.fd, id);
	regs.rsp = STACKS + (id + 1) * PAGE;
	regs.rflags = 2;
	CALL(cpu.fd, KVM_SET_REGS, &regs);
	CALL(cpu.fd, KVM_SET_MP_STATE, &runnable);
	return cpu;
}

/* The host CPU for this thread; a machine with less runs it where it may. */
static void pin(int id)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(id, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void run(const struct cpu *cpu)
{
	const struct kvm_run *r = cpu->run;

	for (;;) {
		CALL(cpu->fd, KVM_RUN, 0);
		if (r->exit_reason == KVM_EXIT_MMIO)
			continue;
		if (r->exit_reason != KVM_EXIT_IO)
			errx(1, "the guest ended with exit %u",
			     r->exit_reason);
		if (r->io.port == DONE_PORT)
			return;
	}
}

static void *run_sleeper(void *arg)
{
	pin(1);
	run(arg);
	errx(1, "CPU 1 came to an end");
}

/* ---- a row ---- */

static void measure(const struct row *row, uint64_t rounds, uint64_t iters)
{
	struct kvm_regs regs = {
		.rip = gpa_of(row->entry), .r12 = RESULTS, .r13 = iters,
		.r14 = rounds, .r15 = row->address,
	};
	struct machine m = { .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC) };
	struct cpu cpu, sleeper;
	const uint64_t *results;
	pthread_t thread;
	uint64_t i;

	if (m.kvm < 0)
		err(1, "/dev/kvm");
	m.vm = CALL(m.kvm, KVM_CREATE_VM, 0);
	CALL(m.vm, KVM_CREATE_IRQCHIP, 0);
	add_memory(&m, row, rounds * iters * PAGE);
	cpu = cpu_new(&m, 0, regs);
	if (row->two_cpus) {
		regs.rip = gpa_of(guest_sleeper);
		sleeper = cpu_new(&m, 1, regs);
		if (pthread_create(&thread, NULL, run_sleeper, &sleeper))
			errx(1, "no thread");
	}
	pin(0);
	run(&cpu);
	if (row->memory != NO_MEMORY)
		printf("resident %zu\n", resident_kib(&m));
	results = (const uint64_t *)(m.low + RESULTS);
	for (i = 0; i < rounds; i++)
		printf("%" PRIu64 "\n", results[i] / iters);
	/* CPU 1 sleeps for ever. */
	fflush(stdout);
	_exit(0);
}

static uint64_t number(const char *text, uint64_t max)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*end || !value || value > max)
		errx(2, "%s is no number from 1 to %" PRIu64, text, max);
	return value;
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc != 4)
		errx(2, "usage: bench-exits ROW ROUNDS ITERS");
	alarm(PATIENCE);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t rounds = number(argv[2], MAX_ROUNDS);
		uint64_t iters = number(argv[3], MAX_TOUCHED / PAGE / rounds);

		if (!strcmp(argv[1], rows[i].name))
			measure(&rows[i], rounds, iters);
	}
	errx(2, "no row %s", argv[1]);
}
