// SPDX-License-Identifier: GPL-2.0-only
/* fpuload: load the x87 state, again and again, until it is killed. */
#include <stdint.h>

int main(void)
{
	static uint8_t state[512] __attribute__((aligned(16)));

	asm volatile("fxsave %0" : "=m" (state));
	for (;;)
		asm volatile("fxrstor %0" : : "m" (state));
}
