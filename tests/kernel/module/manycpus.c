// SPDX-License-Identifier: GPL-2.0-only
/*
 * manycpus [-x] [-m] [-z] [-l] CPUS SECONDS: run the guest of manycpus.S. -x:
 * with x2APICs; -m: move the vCPUs between CPUs all the time; -z: take away all
 * translations of its memory all the time; -l: locked accesses that are not
 * aligned. Prints what was done; status 1 with a line when something is wrong,
 * 2 for a wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <unikvm/kvm.h>

#include "manycpus.h"

extern const unsigned char guest_code[], guest_code_end[];
extern const unsigned char guest_exceptions[], guest_next[], guest_timer[];
extern const unsigned char guest_spurious[];

#define PATIENCE	240	/* seconds without any progress */

struct cpu {
	int number, fd;
	struct kvm_run *run;
	pthread_t thread;
	pid_t tid;
	int done;
};

static struct cpu cpus[MAX_CPUS];
static int count, vm;
static int x2apic, moving, zapping, split;
static unsigned char *ram;
static volatile int up;
static unsigned long moves, zaps;

static int call(int fd, unsigned long request, const char *name, void *arg)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0) {
		printf("%s: %s\n", name, strerror(errno));
		exit(1);
	}
	return ret;
}
#define CALL(fd, request, arg) \
	call(fd, request, #request, (void *)(uintptr_t)(arg))

static volatile uint32_t *word(uint32_t address)
{
	return (volatile uint32_t *)(ram + address);
}

/* ---- the VM ---- */

static void make_ram(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_SIZE };
	int fd = memfd_create("ram", 0);

	/* In a file, so that dropping translations loses nothing. */
	if (fd < 0 || ftruncate(fd, RAM_SIZE)) {
		perror("memfd");
		exit(1);
	}
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	slot.userspace_addr = (unsigned long)ram;
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

/* A 32-bit interrupt gate. */
static void set_gate(int vector, const unsigned char *entry)
{
	uint32_t address = CODE + (entry - guest_code);

	word(IDT)[vector * 2] = 8 << 16 | (address & 0xffff);
	word(IDT)[vector * 2 + 1] = (address & 0xffff0000) | 0x8e00;
}

static void fill_ram(void)
{
	int i;

	memcpy(ram + CODE, guest_code, guest_code_end - guest_code);
	for (i = 0; i < 32; i++)
		set_gate(i, guest_exceptions + i * STUB_SIZE);
	set_gate(VECTOR_NEXT, guest_next);
	set_gate(VECTOR_TIMER, guest_timer);
	set_gate(VECTOR_SPURIOUS, guest_spurious);
	*word(CPUS) = count;
	*word(X2APIC) = x2apic;
	*word(DATA_MASK) = split ? DATA_SIZE - 1 : DATA_SIZE - 4;
	*word(TIMER_COUNT) = count * 2000000;	/* 500 a second altogether */
}

static void set_cpuid(int kvm, struct cpu *cpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[100];
	} cpuid;
	unsigned int i;

	cpuid.head.nent = 100;
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (i = 0; i < cpuid.head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid.entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0xffffff) | cpu->number << 24;
		else if (e->function == 0xb)
			e->edx = cpu->number;
	}
	CALL(cpu->fd, KVM_SET_CPUID2, &cpuid);
}

/* The first CPU starts where, and as, SIPI makes the others start. */
static void set_start(int fd)
{
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;

	CALL(fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = CODE;
	sregs.cs.selector = CODE >> 4;
	CALL(fd, KVM_SET_SREGS, &sregs);
	CALL(fd, KVM_SET_REGS, &regs);
}

static void make_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int i, mapped;

	if (kvm < 0) {
		perror("/dev/kvm");
		exit(1);
	}
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	mapped = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	make_ram();
	fill_ram();
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	for (i = 0; i < count; i++) {
		struct cpu *cpu = &cpus[i];

		cpu->number = i;
		cpu->fd = CALL(vm, KVM_CREATE_VCPU, i);
		cpu->run = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
				MAP_SHARED, cpu->fd, 0);
		set_cpuid(kvm, cpu);
	}
	set_start(cpus[0].fd);
}

/* ---- its CPUs ---- */

static void tell_state(struct cpu *cpu)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	CALL(cpu->fd, KVM_GET_REGS, &r);
	CALL(cpu->fd, KVM_GET_SREGS, &s);
	printf("CPU %d: eip %llx flags %llx esp %llx eax %llx ebx %llx ecx %llx edx %llx esi %llx edi %llx ebp %llx cs %x cr0 %llx cr3 %llx\n",
	       cpu->number, r.rip, r.rflags, r.rsp, r.rax, r.rbx, r.rcx, r.rdx,
	       r.rsi, r.rdi, r.rbp, s.cs.selector, s.cr0, s.cr3);
}

static void die(struct cpu *cpu, const char *what, uint32_t value)
{
	struct kvm_run *run = cpu->run;

	printf("manycpus: CPU %d of %d: %s %#x\n", cpu->number, count, what,
	       value);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		printf("suberror %u\n", run->internal.suberror);
	tell_state(cpu);
	exit(1);
}

/* 1 when the guest is done with this CPU */
static int port_out(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint32_t value;

	memcpy(&value, (char *)run + run->io.data_offset, sizeof(value));
	if (run->io.port == PORT_UP)
		up = 1;
	else if (run->io.port == PORT_ERROR)
		die(cpu, "error", value);
	else if (run->io.port != PORT_DONE)
		die(cpu, "port", run->io.port);
	return run->io.port == PORT_DONE;
}

static void *run_cpu(void *arg)
{
	struct cpu *cpu = arg;

	cpu->tid = syscall(SYS_gettid);
	while (!cpu->done) {
		if (ioctl(cpu->fd, KVM_RUN, 0)) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			die(cpu, "KVM_RUN: errno", errno);
		}
		if (cpu->run->exit_reason != KVM_EXIT_IO)
			die(cpu, "exit", cpu->run->exit_reason);
		if (port_out(cpu))
			cpu->done = 1;
	}
	return NULL;
}

/* ---- what happens to it ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void move(unsigned int turn)
{
	struct cpu *cpu = &cpus[turn % count];
	int to = (turn / count + turn) % sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(to, &set);
	if (cpu->tid && !sched_setaffinity(cpu->tid, sizeof(set), &set))
		moves++;
}

static void disturb(unsigned int turn)
{
	if (moving)
		move(turn);
	if (zapping && turn % 4 == 0) {
		madvise(ram, RAM_SIZE, MADV_DONTNEED);
		zaps++;
	}
	usleep(moving || zapping ? 500 : 50000);
}

static unsigned long sum(uint32_t address)
{
	unsigned long total = 0;
	int i;

	for (i = 0; i < count; i++)
		total += word(address)[i];
	return total;
}

static int all_done(void)
{
	int i, done = 0;

	for (i = 0; i < count; i++)
		done += cpus[i].done;
	return done == count;
}

static int all_took_part(void)
{
	int i;

	for (i = 0; i < count; i++)
		if (!word(TICKS)[i] || !word(SENT)[i])
			return 0;
	return 1;
}

/* As long as something moves inside; a wedge is told with each CPU's counts. */
static void watch(int seconds)
{
	double started = 0, progress = now();
	unsigned long before = 0, is;
	unsigned int turn;
	int i;

	for (turn = 0; !all_done(); turn++) {
		disturb(turn);
		if (up && !started)
			started = now();
		/* On a busy host some come late to their first turn. */
		if (started && now() - started > seconds &&
		    (all_took_part() || now() - started > seconds + PATIENCE))
			*word(STOP) = 1;
		is = sum(TICKS) + sum(HANDLED) + *word(UP) + *word(FINISHED);
		if (is != before)
			progress = now();
		before = is;
		if (now() - progress < PATIENCE)
			continue;
		printf("manycpus: stuck with %u up, %u finished\n", *word(UP),
		       *word(FINISHED));
		for (i = 0; i < count; i++)
			printf("CPU %d: sent %u handled %u ticks %u\n", i,
			       word(SENT)[i], word(HANDLED)[i], word(TICKS)[i]);
		exit(1);
	}
}

static void judge(void)
{
	int i;

	for (i = 0; i < count; i++) {
		if (word(SENT)[i] != word(HANDLED)[(i + 1) % count])
			die(&cpus[i], "interrupts handled of those sent",
			    word(SENT)[i]);
		if (!word(TICKS)[i] || !word(SENT)[i])
			die(&cpus[i], "never a tick or an interrupt", 0);
	}
	printf("manycpus ok: %d CPUs, %lu interrupts, %lu ticks, %lu moves, %lu zaps\n",
	       count, sum(HANDLED), sum(TICKS), moves, zaps);
}

int main(int argc, char **argv)
{
	int option, i;

	while ((option = getopt(argc, argv, "xmzl")) != -1) {
		x2apic |= option == 'x';
		moving |= option == 'm';
		zapping |= option == 'z';
		split |= option == 'l';
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: manycpus [-x] [-m] [-z] [-l] CPUS SECONDS\n");
		return 2;
	}
	count = atoi(argv[optind]);
	if (count < 1 || count > MAX_CPUS)
		return 2;
	setlinebuf(stdout);
	make_vm();
	for (i = 0; i < count; i++)
		if (pthread_create(&cpus[i].thread, NULL, run_cpu, &cpus[i]))
			return 1;
	watch(atoi(argv[optind + 1]));
	judge();
	return 0;
}
