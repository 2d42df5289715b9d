// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz-guest [--seconds N] [--seed N] [--processes N] [--round N]: hostile
 * guests. Each round is one VM whose vCPUs start again and again in random
 * modes; memory of ours around the guest's, and its ROM, must stay as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "guestcode.h"
#include "supervisor.h"

#define CANARY_SIZE	0x10000		/* bytes before and behind guest RAM */
#define ROM_SIZE	0x10000
#define ROM_GPA		0x300000
#define DEVICE_PAGE	0xd0000000	/* coalesced MMIO */
#define MAX_VCPUS	2
#define MAX_CPUID	256
#define EXITS_PER_CASE	40
#define CASE_MS		40
#define BROKEN		5		/* exit status: our memory was written */

struct guest {
	struct rng rng;
	int vm, nr_vcpus, run_size;
	bool chips;
	uint8_t *host;			/* canary, RAM, canary, ROM, canary */
	struct kvm_cpuid2 *cpuid;
	long end;			/* ms */
};

struct cpu {
	struct guest *guest;
	struct rng rng;
	int fd;
	struct kvm_run *run;
	atomic_int tid;
};

static struct counts {
	atomic_uint cases[NR_GUEST_MODES];
	atomic_uint refused, errors[MAX_ERRNO], checked, broken;
} *counts;

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint8_t *ram_of(struct guest *g)
{
	return g->host + CANARY_SIZE;
}

static uint8_t *rom_of(struct guest *g)
{
	return g->host + 2 * CANARY_SIZE + GUEST_SIZE;
}

#define HOST_SIZE	(3 * CANARY_SIZE + GUEST_SIZE + ROM_SIZE)

static uint8_t canary(size_t i)
{
	return (i * 0x9e3779b1u) >> 24;
}

/* Everything but RAM keeps a pattern that depends on the place. */
static void check_canaries(struct guest *g)
{
	size_t i;

	for (i = 0; i < HOST_SIZE; i++) {
		if (i == CANARY_SIZE)
			i += GUEST_SIZE;
		if (g->host[i] != canary(i)) {
			fprintf(stderr, "fuzz: byte %#zx of our memory was overwritten\n", i);
			atomic_fetch_add(&counts->broken, 1);
			_exit(BROKEN);
		}
	}
	atomic_fetch_add(&counts->checked, 1);
}

static void add_slot(struct guest *g, int number, uint32_t flags, uint64_t gpa,
		     uint8_t *at, size_t size)
{
	struct kvm_userspace_memory_region slot = {
		number, flags, gpa, size, (uintptr_t)at };

	if (ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &slot))
		_exit(3);
}

static void add_chips(struct guest *g)
{
	struct kvm_pit_config pit = { 0 };
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_enable_cap user_msr = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { 7 } };

	g->chips = chance(&g->rng, 85);
	if (g->chips && chance(&g->rng, 20)) {
		if (ioctl(g->vm, KVM_ENABLE_CAP, &split))
			_exit(3);
	} else if (g->chips) {
		if (ioctl(g->vm, KVM_CREATE_IRQCHIP, 0) ||
		    ioctl(g->vm, KVM_CREATE_PIT2, &pit))
			_exit(3);
	}
	if (chance(&g->rng, 30) && ioctl(g->vm, KVM_ENABLE_CAP, &user_msr))
		_exit(3);
}

static void make_vm(struct guest *g)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct kvm_coalesced_mmio_zone zone = { DEVICE_PAGE, 4096, { 0 } };
	size_t i;

	g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	g->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->cpuid = calloc(1, sizeof(*g->cpuid) +
			  MAX_CPUID * sizeof(*g->cpuid->entries));
	g->host = mmap(NULL, HOST_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->vm < 0 || !g->cpuid || g->host == MAP_FAILED)
		_exit(3);
	g->cpuid->nent = MAX_CPUID;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, g->cpuid))
		_exit(3);
	for (i = 0; i < HOST_SIZE; i++)
		g->host[i] = canary(i);
	add_slot(g, 0, chance(&g->rng, 30) ? KVM_MEM_LOG_DIRTY_PAGES : 0, 0,
		 ram_of(g), GUEST_SIZE);
	add_slot(g, 1, KVM_MEM_READONLY, ROM_GPA, rom_of(g), ROM_SIZE);
	ioctl(g->vm, KVM_REGISTER_COALESCED_MMIO, &zone);
	add_chips(g);
}

static void make_cpu(struct guest *g, struct cpu *cpu, int id)
{
	cpu->guest = g;
	cpu->rng = rng_of(rnd(&g->rng), id);
	cpu->fd = ioctl(g->vm, KVM_CREATE_VCPU, id);
	cpu->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			cpu->fd, 0);
	if (cpu->fd < 0 || cpu->run == MAP_FAILED ||
	    ioctl(cpu->fd, KVM_SET_CPUID2, g->cpuid))
		_exit(3);
}

/* What a device would answer: anything. False ends the case. */
static bool answer(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;

	atomic_fetch_add(&shared->exits[run->exit_reason & 63], 1);
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.direction == KVM_EXIT_IO_IN)
			random_bytes(&cpu->rng, (char *)run +
				     run->io.data_offset,
				     run->io.size * (size_t)run->io.count);
		return true;
	case KVM_EXIT_MMIO:
		if (!run->mmio.is_write)
			random_bytes(&cpu->rng, run->mmio.data, 8);
		return true;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		run->msr.error = chance(&cpu->rng, 50);
		run->msr.data = odd_value(&cpu->rng);
		return true;
	case KVM_EXIT_HLT:
	case KVM_EXIT_IOAPIC_EOI:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_HYPERCALL:
		return true;
	default:
		return false;
	}
}

/* Start over: registers, events and, now and then, interrupts from outside. */
static bool start_case(struct cpu *cpu)
{
	enum guest_mode mode = below(&cpu->rng, NR_GUEST_MODES);
	struct kvm_vcpu_events events = { 0 };
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events);
	ioctl(cpu->fd, KVM_SET_MP_STATE, &runnable);
	if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs))
		return false;
	sregs.apic_base = 0xfee00800 | (sregs.apic_base & 0x100);
	memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
	guest_memory(&cpu->rng, mode, ram_of(cpu->guest));
	guest_registers(&cpu->rng, mode, &sregs, &regs);
	if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) ||
	    ioctl(cpu->fd, KVM_SET_REGS, &regs)) {
		atomic_fetch_add(&counts->refused, 1);
		return false;
	}
	atomic_fetch_add(&counts->cases[mode], 1);
	if (chance(&cpu->rng, 20))
		ioctl(cpu->fd, KVM_NMI, 0);
	return true;
}

static void run_case(struct cpu *cpu)
{
	long end = now_ms() + CASE_MS;
	int exits = EXITS_PER_CASE;

	if (!start_case(cpu))
		return;
	while (exits-- > 0 && now_ms() < end) {
		cpu->run->request_interrupt_window = chance(&cpu->rng, 5);
		if (!ioctl(cpu->fd, KVM_RUN, 0)) {
			if (!answer(cpu))
				return;
		} else if (errno != EINTR) {
			atomic_fetch_add(&counts->errors[errno % MAX_ERRNO], 1);
			return;
		}
	}
}

static void *cpu_main(void *data)
{
	struct cpu *cpu = data;

	cpu->tid = syscall(SYS_gettid);
	while (now_ms() < cpu->guest->end)
		run_case(cpu);
	return NULL;
}

static void on_kick(int number)
{
	(void)number;
}

/* Interrupts from devices, and signals that end KVM_RUN. */
static void disturb(struct guest *g, struct cpu *cpus)
{
	struct kvm_irq_level line = { 0 };
	int i;

	usleep(2000 + below(&g->rng, 8000));
	if (g->chips && chance(&g->rng, 30)) {
		line.irq = below(&g->rng, 24);
		line.level = below(&g->rng, 2);
		ioctl(g->vm, KVM_IRQ_LINE, &line);
	}
	for (i = 0; i < g->nr_vcpus; i++)
		if (cpus[i].tid)
			syscall(SYS_tgkill, getpid(), cpus[i].tid, SIGUSR1);
}

static void guest_round(uint64_t seed, uint64_t round, int milliseconds)
{
	static struct guest guest;
	static struct cpu cpus[MAX_VCPUS];
	struct sigaction action = { .sa_handler = on_kick };
	pthread_t threads[MAX_VCPUS];
	int i;

	sigaction(SIGUSR1, &action, NULL);
	guest.rng = rng_of(seed, round);
	guest.end = now_ms() + milliseconds;
	make_vm(&guest);
	guest.nr_vcpus = 1 + below(&guest.rng, MAX_VCPUS);
	for (i = 0; i < guest.nr_vcpus; i++)
		make_cpu(&guest, &cpus[i], i);
	for (i = 0; i < guest.nr_vcpus; i++)
		if (pthread_create(&threads[i], NULL, cpu_main, &cpus[i]))
			_exit(3);
	while (now_ms() < guest.end) {
		disturb(&guest, cpus);
		check_canaries(&guest);
	}
	for (i = 0; i < 200; i++)	/* until both have left the guest */
		disturb(&guest, cpus);
	check_canaries(&guest);
	_exit(0);
}

static void print_counts(void)
{
	int i;

	printf("guests started by mode:");
	for (i = 0; i < NR_GUEST_MODES; i++)
		printf(" %s:%u", guest_mode_names[i], counts->cases[i]);
	printf(", refused:%u\nerrors of KVM_RUN:", counts->refused);
	for (i = 0; i < MAX_ERRNO; i++)
		if (counts->errors[i])
			printf(" %s:%u", strerrorname_np(i) ?: "?",
			       counts->errors[i]);
	printf("\nour memory checked %u times, overwritten %u times\n",
	       counts->checked, counts->broken);
	print_exits();
}

int main(int argc, char **argv)
{
	struct options o = options_read(argc, argv);
	struct outcome out;

	shared_make();
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return 3;
	out = supervise(&o, guest_round);
	if (counts->broken && !out.failure)
		out.failure = "a guest wrote to memory that is not its own";
	print_counts();
	return conclude(&o, &out);
}
