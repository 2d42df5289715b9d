// SPDX-License-Identifier: GPL-2.0-only
/*
 * crosscode CHANGES [beside] [remap]: a thread on CPU 0 changes an instruction
 * and says so; one on CPU 1 runs it all the time, and once it has heard of the
 * change and serialized, must find the new one (APM vol. 2, 7.6.1). beside: it
 * runs other code of that page as well. remap: each change through a new mapping.
 * Prints how many changes came too late.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE	4096
#define OTHER	256			/* where the other code of the page is */

static const uint8_t mov_ret[] = { 0xb8, 0, 0, 0, 0, 0xc3 };	/* mov $0, %eax; ret */
static volatile uint32_t said, heard, late;
static volatile bool stop;
static uint8_t *code;
static bool beside, remap;
static int memory;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(2, "CPU %d", cpu);
}

static void serialize(void)
{
	uint32_t eax = 0, ecx = 0;

	asm volatile("cpuid" : "+a" (eax), "+c" (ecx) : : "ebx", "edx", "memory");
}

static void *map(int prot)
{
	void *mapped = mmap(NULL, SIZE, prot, MAP_SHARED, memory, 0);

	if (mapped == MAP_FAILED)
		err(2, "mmap");
	return mapped;
}

static void *run(void *unused)
{
	uint32_t (*get)(void) = (void *)code;
	uint32_t (*other)(void) = (void *)(code + OTHER);

	pin(1);
	while (!stop) {
		uint32_t now = said;

		if (now != heard) {
			serialize();
			late += get() != now;
			heard = now;
		}
		get();
		if (beside)
			other();
	}
	return unused;
}

static void change(uint32_t times)
{
	uint8_t *writable = map(PROT_READ | PROT_WRITE);

	for (uint32_t i = 1; i <= times; i++) {
		if (remap) {
			munmap(writable, SIZE);
			writable = map(PROT_READ | PROT_WRITE);
		}
		/* a plain store, as Linux patches itself */
		*(volatile uint32_t *)(writable + 1) = i;
		said = i;
		while (heard != i)
			;
	}
}

int main(int argc, char **argv)
{
	pthread_t runner;

	if (argc < 2)
		errx(2, "how many changes?");
	for (int i = 2; i < argc; i++) {
		beside |= !strcmp(argv[i], "beside");
		remap |= !strcmp(argv[i], "remap");
	}
	memory = memfd_create("code", MFD_CLOEXEC);
	if (memory < 0 || pwrite(memory, mov_ret, sizeof(mov_ret), 0) < 0 ||
	    pwrite(memory, mov_ret, sizeof(mov_ret), OTHER) < 0 ||
	    ftruncate(memory, SIZE))
		err(2, "memory");
	code = map(PROT_READ | PROT_EXEC);
	if (pthread_create(&runner, NULL, run, NULL))
		errx(2, "no thread");
	pin(0);
	change(atoi(argv[1]));
	stop = true;
	pthread_join(runner, NULL);
	printf("%u late\n", late);
	return 0;
}
