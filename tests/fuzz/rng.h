/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers that a seed reproduces, and values at which programs break. */
#ifndef FUZZ_RNG_H
#define FUZZ_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* A stream of its own for each (seed, part). */
struct rng rng_of(uint64_t seed, uint64_t part);
uint64_t rnd(struct rng *r);
/* 0 <= result < n */
uint64_t below(struct rng *r, uint64_t n);
bool chance(struct rng *r, unsigned int percent);
/* Small numbers, powers of two and their neighbours, all ones, anything. */
uint64_t odd_value(struct rng *r);
/* A guest-physical address worth a try: RAM, devices, holes, the far end. */
uint64_t odd_gpa(struct rng *r);
/* An MSR that exists, or might. */
uint32_t odd_msr(struct rng *r);
void random_bytes(struct rng *r, void *buffer, size_t size);
/* Overwrite up to three places of a buffer with odd values. */
void mutate(struct rng *r, void *buffer, size_t size);

#endif
