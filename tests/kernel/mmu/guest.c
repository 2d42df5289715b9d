// SPDX-License-Identifier: GPL-2.0-only
/* The guest: its VM, vCPU threads, and the pattern in its pages. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "l1.h"

#define LOW_BYTES	HUGE
#define PML4		0x1000UL
#define PDPT		0x2000UL
#define PD		0x3000UL	/* two of them: 2 GiB */
#define CODE		0x10000UL
#define CONTROL		0x20000UL	/* one page a vCPU */
#define EXPECTED	0x40000UL
#define PASS_SECONDS	240		/* for anything that is waited for */

extern const uint8_t payload_start[], payload_end[];

static void complain(const char *kind, const char *format, va_list args)
{
	fprintf(stderr, "%s: ", kind);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void die_at(const char *file, int line, const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	complain("FAIL", format, args);
	va_end(args);
	fprintf(stderr, "  at %s:%d, errno %d (%s)\n", file, line, error,
		strerror(error));
	_exit(1);
}

void skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain("SKIP", format, args);
	va_end(args);
	_exit(77);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* ---- the pattern ---- */

void fill_page(void *page, uint64_t i)
{
	uint64_t *word = page;
	int j;

	word[0] = 0;
	for (j = 1; j < 512; j++)
		word[j] = (i << 32) + j;
}

uint64_t page_sum(uint64_t i)
{
	uint64_t sum = 0;
	int j;

	for (j = 1; j < 512; j += 32)
		sum += (i << 32) + j;
	return sum;
}

void fill(struct guest *g, size_t first, size_t count)
{
	size_t i;

	for (i = first; i < first + count; i++) {
		fill_page(g->data + i * PAGE, i);
		g->expected[i] = page_sum(i);
	}
}

void check_counts(struct guest *g, size_t first, size_t count, uint64_t want)
{
	size_t i;

	for (i = first; i < first + count; i++) {
		uint64_t got = *(volatile uint64_t *)(g->data + i * PAGE);

		if (got != want)
			die("page %zu was written %llu times, the guest says %llu",
			    i, (unsigned long long)got,
			    (unsigned long long)want);
	}
}

/* ---- the VM ---- */

int guest_slot(struct guest *g, unsigned int slot, unsigned int flags,
	       uint64_t gpa, uint64_t bytes, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = bytes, .userspace_addr = (uintptr_t)hva,
	};

	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region) ? errno : 0;
}

/* Identity, 2 GiB, in 2 MiB pages. */
static void make_tables(uint8_t *low)
{
	uint64_t *pd = (uint64_t *)(low + PD);
	uint64_t i;

	*(uint64_t *)(low + PML4) = PDPT | 7;
	((uint64_t *)(low + PDPT))[0] = PD | 7;
	((uint64_t *)(low + PDPT))[1] = (PD + PAGE) | 7;
	for (i = 0; i < 1024; i++)
		pd[i] = i * HUGE | 0x87;
}

static void set_cpuid(struct vcpu *c)
{
	struct l1_cpuid cpuid;

	l1_get_cpuid(c->guest->kvm, &cpuid);
	CALL(c->fd, KVM_SET_CPUID2, &cpuid);
}

static void set_long_mode(struct vcpu *c)
{
	struct kvm_sregs sregs;

	CALL(c->fd, KVM_GET_SREGS, &sregs);
	l1_flat_segments(&sregs, 64);
	sregs.cr3 = PML4;
	sregs.cr4 = 0x20;
	sregs.cr0 = 0x80010031;
	sregs.efer = 0x500;
	CALL(c->fd, KVM_SET_SREGS, &sregs);
}

static void vcpu_new(struct guest *g, int i)
{
	struct vcpu *c = &g->cpu[i];
	struct kvm_regs regs = {
		.rip = CODE, .rdi = CONTROL + i * PAGE, .rflags = 2,
	};

	c->guest = g;
	c->fd = CALL(g->vm, KVM_CREATE_VCPU, i);
	c->run = l1_map_run(g->kvm, c->fd);
	set_cpuid(c);
	set_long_mode(c);
	CALL(c->fd, KVM_SET_REGS, &regs);
	c->control = (struct control *)(g->low + CONTROL + i * PAGE);
	c->control->base = DATA_GPA;
	c->control->npages = g->npages;
	c->control->expected = EXPECTED;
	c->parked = true;
}

struct guest *guest_new(void *data, size_t npages, int ncpus,
			unsigned int slot_flags)
{
	struct guest *g = calloc(1, sizeof(*g));
	int i;

	check(g && npages <= MAX_PAGES && ncpus <= MAX_CPUS);
	g->kvm = l1_open_kvm();
	g->vm = CALL(g->kvm, KVM_CREATE_VM, 0);
	g->ncpus = ncpus;
	g->data = data;
	g->npages = npages;
	g->low = l1_memory(LOW_BYTES);
	/* A child of fork() must not share what vCPUs write. */
	check(!madvise(g->low, LOW_BYTES, MADV_DONTFORK));
	g->expected = (uint64_t *)(g->low + EXPECTED);
	make_tables(g->low);
	memcpy(g->low + CODE, payload_start, payload_end - payload_start);
	check(!guest_slot(g, 0, 0, 0, LOW_BYTES, g->low));
	if (data)
		check(!guest_slot(g, 1, slot_flags, DATA_GPA, npages * PAGE,
				  data));
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	for (i = 0; i < ncpus; i++)
		vcpu_new(g, i);
	return g;
}

/* ---- running ---- */

static void on_mmio(struct vcpu *c)
{
	c->mmio_addr = c->run->mmio.phys_addr;
	if (c->run->mmio.is_write) {
		c->mmio_writes++;
		memcpy(&c->mmio_data, c->run->mmio.data, 8);
	} else {
		c->mmio_reads++;
		memset(c->run->mmio.data, 0xff, 8);
	}
}

/* Until the guest hands over, or KVM_RUN fails. */
static void run(struct vcpu *c)
{
	for (;;) {
		if (ioctl(c->fd, KVM_RUN, 0L) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			c->run_errno = errno;
			return;
		}
		switch (c->run->exit_reason) {
		case KVM_EXIT_IO:
			return;
		case KVM_EXIT_MMIO:
			on_mmio(c);
			break;
		case KVM_EXIT_INTR:
			break;
		default:
			die("exit %u, rip unknown", c->run->exit_reason);
		}
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *c = arg;
	struct guest *g = c->guest;

	pthread_mutex_lock(&g->lock);
	while (!c->quit) {
		if (c->parked) {
			pthread_cond_wait(&g->changed, &g->lock);
			continue;
		}
		pthread_mutex_unlock(&g->lock);
		run(c);
		pthread_mutex_lock(&g->lock);
		c->parked = true;
		pthread_cond_broadcast(&g->changed);
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

void guest_start(struct guest *g, enum mode mode)
{
	int i;

	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->ncpus; i++) {
		struct vcpu *c = &g->cpu[i];

		c->control->stop = 0;
		c->control->mode = mode;
		c->run_errno = 0;
		c->parked = false;
		if (!c->started)
			check(!pthread_create(&c->thread, NULL, vcpu_thread, c));
		c->started = true;
	}
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void wait_changed(struct guest *g, double deadline)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 1;
	pthread_cond_timedwait(&g->changed, &g->lock, &t);
	if (now() > deadline)
		die("a vCPU does not come to the end of a pass");
}

void guest_stop(struct guest *g)
{
	double deadline = now() + PASS_SECONDS;
	int i;

	for (i = 0; i < g->ncpus; i++)
		g->cpu[i].control->stop = 1;
	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->ncpus; i++)
		while (!g->cpu[i].parked)
			wait_changed(g, deadline);
	pthread_mutex_unlock(&g->lock);
}

void guest_passes(struct guest *g, unsigned int n)
{
	double deadline = now() + PASS_SECONDS;
	int i;

	for (i = 0; i < g->ncpus; i++) {
		uint64_t from = g->cpu[i].control->passes;

		while (g->cpu[i].control->passes < from + n) {
			if (g->cpu[i].parked)
				die("vCPU %d stopped: errno %d", i,
				    g->cpu[i].run_errno);
			if (now() > deadline)
				die("vCPU %d does not get on", i);
			usleep(1000);
		}
	}
}

uint64_t guest_total_passes(struct guest *g)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < g->ncpus; i++)
		sum += g->cpu[i].control->passes;
	return sum;
}

void guest_check(struct guest *g)
{
	int i;

	for (i = 0; i < g->ncpus; i++) {
		struct control *k = g->cpu[i].control;

		if (g->cpu[i].run_errno)
			die("KVM_RUN: %s", strerror(g->cpu[i].run_errno));
		if (k->errors)
			die("vCPU %d found %llu bad pages, last %llu: sum %llx",
			    i, (unsigned long long)k->errors,
			    (unsigned long long)k->bad_page,
			    (unsigned long long)k->bad_sum);
	}
}

void guest_free(struct guest *g)
{
	int i;

	guest_stop(g);
	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->ncpus; i++)
		g->cpu[i].quit = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	for (i = 0; i < g->ncpus; i++) {
		if (g->cpu[i].started)
			pthread_join(g->cpu[i].thread, NULL);
		close(g->cpu[i].fd);
		munmap(g->cpu[i].run, ioctl(g->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	}
	close(g->vm);
	close(g->kvm);
	munmap(g->low, LOW_BYTES);
	free(g);
}
