// SPDX-License-Identifier: GPL-2.0-only
/* See rng.h. The generator is splitmix64 (public domain, S. Vigna). */
#include <string.h>

#include "rng.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

uint64_t rnd(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

struct rng rng_of(uint64_t seed, uint64_t part)
{
	struct rng r = { seed };

	r.state = rnd(&r) ^ (part * 0xd6e8feb86659fd93);
	return r;
}

uint64_t below(struct rng *r, uint64_t n)
{
	return rnd(r) % n;
}

bool chance(struct rng *r, unsigned int percent)
{
	return below(r, 100) < percent;
}

uint64_t odd_value(struct rng *r)
{
	switch (below(r, 6)) {
	case 0: return below(r, 8);
	case 1: return 1ull << below(r, 64);
	case 2: return (1ull << below(r, 64)) - 1;
	case 3: return -below(r, 4096);
	case 4: return below(r, 1 << 20) << 12;
	default: return rnd(r) >> below(r, 64);
	}
}

uint64_t odd_gpa(struct rng *r)
{
	static const uint64_t places[] = {
		0, 0x1000, 0xa0000, 0x200000, 0xfec00000, 0xfee00000,
		0xfffff000, 0x100000000, 1ull << 39, 1ull << 40, 1ull << 51,
	};

	if (chance(r, 60))
		return below(r, 0x400000);
	if (chance(r, 70))
		return places[below(r, ARRAY_SIZE(places))] + below(r, 0x2000);
	return odd_value(r);
}

uint32_t odd_msr(struct rng *r)
{
	static const uint32_t known[] = {
		0x10, 0x11, 0x12, 0x17, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x79,
		0x8b, 0xc1, 0xe7, 0xe8, 0xfe, 0x10a, 0x140, 0x174, 0x175,
		0x176, 0x179, 0x17a, 0x186, 0x198, 0x1a0, 0x1d9, 0x277, 0x2ff,
		0x345, 0x38f, 0x48d, 0x6e0, 0x800, 0xda0, 0xc0000080,
		0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
		0xc0000101, 0xc0000102, 0xc0000103, 0xc0000104, 0xc0010000,
		0xc0010010, 0xc0010015, 0xc0010055, 0xc0010058, 0xc0010063,
		0xc0010064, 0xc0010112, 0xc0010114, 0xc0010115, 0xc0010117,
		0xc001011f, 0xc0011020, 0xc0011022, 0xc0011029, 0x4b564d00,
		0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05,
		0x4b564d06, 0x4b564d07, 0x40000000, 0x40000001, 0x40000070,
	};
	/* Runs of registers: MTRRs, machine check, x2APIC. */
	static const struct { uint32_t from, count; } runs[] = {
		{ 0x200, 16 }, { 0x250, 32 }, { 0x400, 128 }, { 0x800, 64 },
		{ 0x280, 32 }, { 0xc0000080, 8 }, { 0xc0010000, 0x120 },
	};
	size_t n;

	switch (below(r, 4)) {
	case 0:
		n = below(r, ARRAY_SIZE(runs));
		return runs[n].from + below(r, runs[n].count);
	case 1:
		return odd_value(r);
	default:
		return known[below(r, ARRAY_SIZE(known))];
	}
}

void random_bytes(struct rng *r, void *buffer, size_t size)
{
	uint8_t *bytes = buffer;
	uint64_t value;
	size_t i;

	for (i = 0; i + 8 <= size; i += 8) {
		value = rnd(r);
		memcpy(bytes + i, &value, 8);
	}
	for (; i < size; i++)
		bytes[i] = rnd(r);
}

void mutate(struct rng *r, void *buffer, size_t size)
{
	static const size_t widths[] = { 1, 2, 4, 8 };
	int count = below(r, 4);
	uint64_t value;
	size_t width;

	while (count-- > 0 && size) {
		width = widths[below(r, 4)];
		if (width > size)
			width = 1;
		value = odd_value(r);
		memcpy((char *)buffer + below(r, size / width) * width, &value,
		       width);
	}
}
