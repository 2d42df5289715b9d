/* SPDX-License-Identifier: GPL-2.0-only */
/* VMs for the interrupt tests: a script guest, and ioctls that must succeed. */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "l1.h"

#define MEMORY_SIZE	0x100000UL
#define CODE		0x1000		/* guest addresses, as in payload.S */
#define GDT		0x2000
#define IDT		0x3000
#define STUBS		0x4000
#define AP_CODE		0x8000
#define SCRIPT		0x10000
#define COUNTS		0x20000
#define EOIS		0x21000
#define LOG		0x22000
#define RESULT		0x30000		/* where scripts store what they read */
#define STACK_TOP	0x80000

#define LAPIC(reg)	(0xfee00000u + (reg))
#define IOREGSEL	0xfec00000u
#define IOWIN		0xfec00010u

enum op { END, OUT8, OUT16, OUT32, IN8, WRITE32, WRITE16, WRITE8, READ32, WAIT,
	  WRMSR, RDMSR, STI, CLI, SPIN, INWAIT, DEADLINE, JUMP,
	  VMMCALL };
enum eoi { EOI_NONE, EOI_LAPIC, EOI_MASTER, EOI_SLAVE, EOI_X2APIC, EOI_ASK };

struct instruction {
	uint32_t op, a, b, c;
};

#define MAX_CPUS	4
#define MAX_EXITS	64

struct vm;

struct vcpu {
	struct vm *vm;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool threaded;
	volatile bool stop;
	int again;		/* KVM_RUN said EAGAIN */
};

struct seen {			/* an exit that no in-kernel device took */
	bool mmio;
	uint64_t addr, value;
	uint32_t len;
};

struct vm {
	int kvm, fd;
	uint8_t *memory;
	struct vcpu cpu[MAX_CPUS];
	int ncpus;
	struct seen seen[MAX_EXITS];
	int nseen;
	uint8_t eoi_exits[MAX_EXITS];	/* vectors of KVM_EXIT_IOAPIC_EOI */
	int neoi;
	void (*asked)(struct vm *vm);	/* the guest wrote port f6h */
};

enum chips { CHIPS_KERNEL, CHIPS_SPLIT, CHIPS_NONE };

struct vm *vm_new(enum chips chips, int ncpus);
void vm_free(struct vm *vm);
void vm_script(struct vm *vm, const struct instruction *script, size_t n);
/* Run vCPU 0 until the script ends. */
void vm_run(struct vm *vm);
void vcpu_start(struct vcpu *v);	/* a thread that runs it until stopped */
void vcpu_stop(struct vcpu *v);
void vm_eoi(struct vm *vm, int vector, enum eoi how);
uint32_t vm_count(struct vm *vm, int vector);
uint32_t vm_word(struct vm *vm, uint32_t addr);
int vm_log(struct vm *vm, int index);	/* vector of the n-th interrupt */

int vm_route(struct vm *vm, const struct kvm_irq_routing_entry *e, unsigned n);
struct kvm_irq_routing_entry route_pin(uint32_t gsi, uint32_t chip,
				       uint32_t pin);
struct kvm_irq_routing_entry route_msi(uint32_t gsi, uint32_t address,
				       uint32_t data);
int vm_irqfd(struct vm *vm, int fd, uint32_t gsi, uint32_t flags, int resample);
int vm_line(struct vm *vm, uint32_t gsi, uint32_t level);

/* As ioctl(), but negative errno. */
int try_ioctl(int fd, unsigned long request, void *arg);
double seconds(void);
/* Counts an eventfd's signals and clears it; 0 if there were none. */
uint64_t drain(int fd);

extern int failures;
#define CHECK(condition)						\
	do {								\
		if (!(condition)) {					\
			printf("FAIL %s:%d: %s\n", __func__, __LINE__,	\
			       #condition);				\
			failures++;					\
		}							\
	} while (0)
#define RUN(vm, ...)							\
	do {								\
		const struct instruction _s[] = { __VA_ARGS__, { END } };\
		vm_script(vm, _s, sizeof(_s) / sizeof(_s[0]));		\
		vm_run(vm);						\
	} while (0)

#endif
