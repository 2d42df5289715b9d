// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two ends of a comparison of clocks. In a guest, clockline say SECONDS prints
 * its monotonic clock in nanoseconds every 50 ms. In the host, clockline hear
 * copies each line with the host's own clock before it, as soon as it comes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_US	50000

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int say(uint64_t seconds)
{
	uint64_t end = now() + seconds * 1000000000ULL;

	while (now() < end) {
		printf("%llu\n", (unsigned long long)now());
		fflush(stdout);
		usleep(PERIOD_US);
	}
	return 0;
}

static int hear(void)
{
	char line[256];

	/* Unbuffered: a line that waits in a buffer would come late. */
	setbuf(stdin, NULL);
	while (fgets(line, sizeof(line), stdin))
		printf("%llu %s", (unsigned long long)now(), line);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "say"))
		return say(strtoull(argv[2], NULL, 10));
	if (argc == 2 && !strcmp(argv[1], "hear"))
		return hear();
	fprintf(stderr, "usage: clockline say SECONDS | hear\n");
	return 2;
}
