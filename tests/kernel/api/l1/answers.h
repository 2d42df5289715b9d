/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a KVM answers, to compare two halves by: a line a fact, "KEY = VALUE". A
 * key that begins with blanks belongs to the one before; "# ..." heads facts.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "l1.h"

#define RAM_SIZE	0x100000	/* at guest-physical 0 */
#define CODE		0x1000
#define NOWHERE		8UL		/* in the page that is never mapped */

enum chips { NO_CHIPS, ALL_CHIPS, SPLIT_CHIPS };

struct vm {
	int fd, cpu;
	struct kvm_run *run;
	uint8_t *ram;
};

extern int kvm;				/* /dev/kvm */

struct vm vm_bare(void);			/* without vCPU, memory, chips */
struct vm vm_new(enum chips chips);		/* memory and a vCPU without CPUID */
void vm_add_cpu(struct vm *vm);
void vm_set_cpuid(struct vm *vm);		/* all that is supported */
void vm_free(struct vm *vm);
/* Real-mode code at CODE, and the vCPU at its first byte. */
void vm_code(struct vm *vm, const void *code, size_t size);
struct l1_cpuid *cpuid_supported(void);

void must(bool good, const char *what);
/* What follows is about this. */
void section(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fact(const char *key, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The result of a request, as a fact: a number or the name of its error. */
int answer(const char *key, int fd, unsigned long request, const void *arg);
/* Bytes of a state, each 8-byte word that is not 0: "KEY+OFFSET = WORD" */
void words(const char *key, const void *data, size_t size);

void state_answers(void);
void msr_answers(void);
void argument_answers(void);
void run_answers(void);

#endif
