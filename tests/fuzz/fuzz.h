/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctl fuzzer: processes full of threads that call every request there is
 * on files, memory and vCPUs which other threads take away meanwhile.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <setjmp.h>
#include <stdatomic.h>

#include <unikvm/kvm.h>

#include "rng.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_OPS		160
#define MAX_ERRNO	134
#define ARG_SIZE	0x8000		/* bytes of room for one argument */

/* ---- what all processes count, in shared memory ---- */

struct tally {
	atomic_uint calls, ok;
	atomic_uint errors[MAX_ERRNO];
};

struct shared {
	struct tally tally[MAX_OPS];
	atomic_uint exits[64];		/* by exit reason */
	atomic_uint vms, vcpus;
	atomic_uint healthy_blocks;	/* results of the healthy guest */
	atomic_bool healthy_wrong;
};

extern struct shared *shared;

/* ---- what the threads of one process share ---- */

enum kind { KIND_KVM, KIND_VM, KIND_VCPU, KIND_EVENT, KIND_OTHER, NR_KINDS };

#define POOL_SIZE	12		/* files of each kind */
#define NR_AREAS	8
#define AREA_SIZE	0x200000	/* bytes; aligned as well, for huge pages */

struct vcpu_slot {
	_Atomic(struct kvm_run *) run;	/* mapping of the file of the same index */
};

struct world {
	atomic_int files[NR_KINDS][POOL_SIZE];	/* -1: none */
	struct vcpu_slot vcpus[POOL_SIZE];
	int run_size;			/* bytes of a vCPU mapping */
	uint8_t *areas;			/* NR_AREAS of AREA_SIZE, always reserved */
	int memory_file;
	struct kvm_cpuid2 *cpuid;	/* as supported */
};

struct thread {
	struct world *world;
	struct rng rng;
	sigjmp_buf recover;		/* from SIGSEGV and SIGBUS */
	uint8_t *argument;		/* ARG_SIZE bytes, then an unmapped page */
	int inject;			/* /proc/thread-self/fail-nth, or -1 */
};

extern __thread struct thread *self;

int world_file(struct world *w, struct rng *r, enum kind kind);
/* Put a file in the pool, close the one that lay there. Returns the index. */
int world_keep(struct world *w, struct rng *r, enum kind kind, int fd);
uint8_t *world_area(struct world *w, struct rng *r);
/* A VM with memory, perhaps chips, and a few vCPUs that are ready to run. */
void world_make_vm(struct world *w, struct rng *r);
void world_add_vcpu(struct world *w, struct rng *r, int vm, unsigned int id);
void world_init(struct world *w, struct rng *r);

/* ---- requests (ops.c, args.c) ---- */

struct call {
	struct thread *t;
	int fd;
	unsigned long request;
	uint8_t *arg;			/* its end is the end of mapped memory */
	size_t size;
	unsigned long scalar;
	bool is_scalar;
};

/* Room for `size` bytes, zeroed. */
void *call_room(struct call *c, size_t size);

struct op {
	const char *name;
	unsigned long request;
	unsigned int on;		/* 1 << enum kind, 0: any */
	void (*fill)(struct call *c);	/* NULL: random bytes */
	unsigned long get;		/* start from what this request tells */
	bool blocks;			/* KVM_RUN: left to threads that wait */
	bool unknown;			/* KVM has no such request on x86, or we have none */
};

extern struct op ops[MAX_OPS];
extern int nr_ops;
/* The rows of args.c: all requests that are implemented. Ended by a NULL name. */
extern const struct op op_details[];

void ops_init(void);
/* Call a random request on a random file. */
void op_random(struct thread *t);
/* Count a result: -1 and errno, or not. */
void op_count(unsigned long request, long result);
int op_index(unsigned long request);

/* ---- threads (threads.c), the healthy guest (healthy.c) ---- */

/* Life of one fuzzing process; ends itself after some milliseconds. */
void process_main(uint64_t seed, uint64_t round, int milliseconds)
	__attribute__((noreturn));
/* Computes for ever and compares with what it must be. */
void healthy_main(void) __attribute__((noreturn));

#endif
