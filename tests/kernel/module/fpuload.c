// SPDX-License-Identifier: GPL-2.0-only
/* fpuload CPU: load the x87 state on that CPU, again and again, until it is killed. */
#include <err.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	static uint8_t state[512] __attribute__((aligned(16)));
	cpu_set_t set;

	if (argc != 2)
		errx(2, "which CPU?");
	CPU_ZERO(&set);
	CPU_SET(atoi(argv[1]), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(2, "CPU %s", argv[1]);
	asm volatile("fxsave %0" : "=m" (state));
	for (;;)
		asm volatile("fxrstor %0" : : "m" (state));
}
