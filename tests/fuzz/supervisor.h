/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes that come and go for a time, and the healthy guest beside them. */
#ifndef FUZZ_SUPERVISOR_H
#define FUZZ_SUPERVISOR_H

#include <stdint.h>

struct options {
	uint64_t seed;
	int seconds;
	int processes;
	int64_t only;		/* run this round alone; -1: all */
};

struct outcome {
	unsigned int rounds, killed, ended, broken;
	const char *failure;	/* NULL: all is well */
};

/* A round: the life of one process; must not return. */
typedef void (*round_fn)(uint64_t seed, uint64_t round, int milliseconds);

/* Reads --seed, --seconds, --processes, --round; prints the seed. */
struct options options_read(int argc, char **argv);
void shared_make(void);
struct outcome supervise(const struct options *o, round_fn round);
/* The closing lines that every fuzzer has; returns the exit status. */
int conclude(const struct options *o, const struct outcome *out);
/* Exits to user space by reason. */
void print_exits(void);

#endif
