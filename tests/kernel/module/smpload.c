// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's load for as many threads as it has CPUs, for a number of seconds:
 * translations that must be forgotten everywhere (one thread remaps a page, the
 * others read it), a clock that must not run backwards between CPUs, threads
 * that wake each other. Prints what it did; status 1 with a line when wrong.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_CPUS	128
#define PAGE		4096
#define PATIENCE	20000000	/* nanoseconds to wait for one's turn */

static volatile uint64_t *page;		/* holds its generation */
static uint64_t generation;		/* the oldest that page may hold */
static uint64_t latest;			/* nanoseconds that some CPU has seen */
static uint32_t turn;			/* whose turn it is to wake the next */
static uint64_t remaps, reads, times, wakes;
static uint64_t longest;		/* nanoseconds a sleep of PATIENCE took */
static int cpus, stop;

static void die(const char *what, uint64_t a, uint64_t b)
{
	printf("smpload: %s: %llu, %llu\n", what, (unsigned long long)a,
	       (unsigned long long)b);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity", cpu, errno);
}

/* A page of another frame at the same address; who knows of it reads it. */
static void remap(void)
{
	uint64_t next = __atomic_load_n(&generation, __ATOMIC_RELAXED) + 1;
	uint64_t *fresh = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fresh == MAP_FAILED)
		die("mmap", next, errno);
	*fresh = next;
	if (mremap(fresh, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (void *)page) == MAP_FAILED)
		die("mremap", next, errno);
	__atomic_store_n(&generation, next, __ATOMIC_RELEASE);
	remaps++;
}

/*
 * mremap() takes the old page and puts the new one under one lock, for which a
 * fault in between waits.
 */
static void read_page(void)
{
	uint64_t oldest = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
	uint64_t found;

	found = *page;
	if (found < oldest)
		die("a translation of a page that is gone", found, oldest);
	__atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
}

static void look_at_clock(void)
{
	uint64_t before = __atomic_load_n(&latest, __ATOMIC_ACQUIRE);
	uint64_t t = now();

	if (t < before)
		die("the clock went backwards", t, before);
	while (before < t &&
	       !__atomic_compare_exchange_n(&latest, &before, t, 0,
					    __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE))
		;
	__atomic_fetch_add(&times, 1, __ATOMIC_RELAXED);
}

/* Until it is our turn, or for as long as we are patient: the timer wakes us. */
static void sleep_on(uint32_t whose)
{
	struct timespec patience = { .tv_nsec = PATIENCE };
	uint64_t began = now(), took;

	syscall(SYS_futex, &turn, FUTEX_WAIT, whose, &patience);
	took = now() - began;
	if (took > __atomic_load_n(&longest, __ATOMIC_RELAXED))
		__atomic_store_n(&longest, took, __ATOMIC_RELAXED);
}

/* Sleep until it is our turn, then wake the next CPU's thread. */
static void pass_on(int me)
{
	uint32_t whose = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);

	if ((int)(whose % cpus) != me) {
		sleep_on(whose);
		return;
	}
	__atomic_store_n(&turn, whose + 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &turn, FUTEX_WAKE, cpus);
	__atomic_fetch_add(&wakes, 1, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	int me = (intptr_t)arg;
	unsigned int round = 0;

	pin(me);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (me == 0)
			remap();
		else
			read_page();
		look_at_clock();
		pass_on(me);
		/* Now and then on another CPU. */
		if (++round % 50 == 0)
			pin((me + round / 50) % cpus);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_CPUS];
	intptr_t i;

	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (argc != 2 || cpus > MAX_CPUS)
		die("usage: smpload SECONDS; CPUs", argc, cpus);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		die("mmap", 0, errno);
	for (i = 0; i < cpus; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			die("pthread_create", i, errno);
	sleep(atoi(argv[1]));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < cpus; i++)
		pthread_join(threads[i], NULL);
	if (!remaps || !times || !wakes || (cpus > 1 && !reads))
		die("some work was never done", remaps, wakes);
	printf("smpload ok: %d CPUs, %llu remaps, %llu reads, %llu times, %llu wakes, longest sleep %llu ms\n",
	       cpus, (unsigned long long)remaps, (unsigned long long)reads,
	       (unsigned long long)times, (unsigned long long)wakes,
	       (unsigned long long)longest / 1000000);
	return 0;
}
