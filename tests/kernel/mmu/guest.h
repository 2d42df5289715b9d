/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small guest whose vCPUs read, check and write data pages while the test
 * does things to the host's memory below them. Knows only the KVM ABI.
 */
#ifndef GUEST_H
#define GUEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <unikvm/kvm.h>

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define DATA_GPA	(1UL << 30)	/* where the data slot begins */
#define MAX_CPUS	4
#define MAX_PAGES	4096

enum mode { CHECK, COUNT, STORE, LOAD };

/* Shared with the guest; offsets are in payload.S. */
struct control {
	volatile uint64_t stop;
	volatile uint64_t passes;
	volatile uint64_t errors;
	volatile uint64_t bad_page;
	volatile uint64_t bad_sum;
	volatile uint64_t base;		/* guest address of page 0 */
	volatile uint64_t npages;
	volatile uint64_t expected;	/* guest address of the sums */
	volatile uint64_t mode;
};

struct guest;

struct vcpu {
	struct guest *guest;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	struct control *control;
	bool started;			/* under guest->lock */
	bool parked;
	bool quit;
	int run_errno;			/* of a KVM_RUN that failed */
	uint64_t mmio_reads, mmio_writes;
	uint64_t mmio_addr, mmio_data;	/* of the last one */
};

struct guest {
	int kvm, vm;
	int ncpus;
	struct vcpu cpu[MAX_CPUS];
	uint8_t *low;			/* gpa 0: tables, code, controls */
	uint64_t *expected;
	uint8_t *data;
	size_t npages;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

#define die(...) die_at(__FILE__, __LINE__, __VA_ARGS__)
void die_at(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void skip(const char *format, ...)	/* exit status 77 */
	__attribute__((noreturn, format(printf, 1, 2)));

#define check(cond) \
	do { if (!(cond)) die("%s", #cond); } while (0)

/* data: npages pages of ours, shown at DATA_GPA; NULL: no data slot. */
struct guest *guest_new(void *data, size_t npages, int ncpus,
			unsigned int slot_flags);
void guest_free(struct guest *g);
int guest_slot(struct guest *g, unsigned int slot, unsigned int flags,
	       uint64_t gpa, uint64_t bytes, void *hva);	/* 0 or errno */

void guest_start(struct guest *g, enum mode mode);
void guest_stop(struct guest *g);	/* at the end of a pass */
/* Wait until every running vCPU has made n passes from now. */
void guest_passes(struct guest *g, unsigned int n);
uint64_t guest_total_passes(struct guest *g);
/* Every vCPU's checks held so far. */
void guest_check(struct guest *g);

/* The pattern of page number i: word j is (i << 32) + j, word 0 counts. */
void fill_page(void *page, uint64_t i);
uint64_t page_sum(uint64_t i);	/* of those the guest reads */
void fill(struct guest *g, size_t first, size_t count);	/* and expected[] */
/* Word 0 of each of the pages as the host sees them. */
void check_counts(struct guest *g, size_t first, size_t count, uint64_t want);

#endif
