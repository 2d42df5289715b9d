// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bystander: a guest that adds up pseudo-random numbers in its memory and
 * reports each result, which must be what this process computes as well.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define RAM_SIZE	0x200000
#define CODE		0x1000
#define WINDOW		0x100000	/* gpa and bytes of what is added to */
#define LOOPS		4096
#define RESULT_PORT	0x80
#define START		0x12345678

/* Flat 32-bit code; EBX is the random state, ESI the sum. */
static const uint8_t code[] = {
	0xb9, 0x00, 0x10, 0x00, 0x00,		/* start: mov ecx, LOOPS */
	0x89, 0xd8,				/* 1: mov eax, ebx */
	0xc1, 0xe0, 0x0d,			/* shl eax, 13 */
	0x31, 0xc3,				/* xor ebx, eax */
	0x89, 0xd8,				/* mov eax, ebx */
	0xc1, 0xe8, 0x11,			/* shr eax, 17 */
	0x31, 0xc3,				/* xor ebx, eax */
	0x89, 0xd8,				/* mov eax, ebx */
	0xc1, 0xe0, 0x05,			/* shl eax, 5 */
	0x31, 0xc3,				/* xor ebx, eax */
	0x89, 0xd8,				/* mov eax, ebx */
	0x25, 0xfc, 0xff, 0x0f, 0x00,		/* and eax, WINDOW - 4 */
	0x01, 0x98, 0x00, 0x00, 0x10, 0x00,	/* add [eax + WINDOW], ebx */
	0x03, 0xb0, 0x00, 0x00, 0x10, 0x00,	/* add esi, [eax + WINDOW] */
	0xe2, 0xd6,				/* loop 1b */
	0x89, 0xf0,				/* mov eax, esi */
	0xe7, RESULT_PORT,			/* out RESULT_PORT, eax */
	0xeb, 0xcb,				/* jmp start */
};

struct model {
	uint32_t state, sum;
	uint32_t words[WINDOW / 4];
};

static uint32_t next_sum(struct model *m)
{
	uint32_t *word;
	int i;

	for (i = 0; i < LOOPS; i++) {
		m->state ^= m->state << 13;
		m->state ^= m->state >> 17;
		m->state ^= m->state << 5;
		word = &m->words[m->state % WINDOW / 4];
		*word += m->state;
		m->sum += *word;
	}
	return m->sum;
}

static void give_up(const char *what)
{
	perror(what);
	exit(3);
}

static void set_registers(int vcpu)
{
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1,
		.s = 1, .db = 1, .g = 1,
	};
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rbx = START };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		give_up("healthy guest: KVM_GET_SREGS");
	sregs.ds = sregs.es = sregs.ss = data;
	sregs.cs = data;
	sregs.cs.type = 11;
	sregs.cs.selector = 8;
	sregs.cr0 |= 1;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu, KVM_SET_REGS, &regs))
		give_up("healthy guest: registers");
}

static int make_vcpu(struct kvm_run **run)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	uint8_t *ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)ram,
	};
	int vcpu, size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (vm < 0 || ram == MAP_FAILED ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) ||
	    ioctl(vm, KVM_CREATE_IRQCHIP, 0))
		give_up("healthy guest: VM");
	memcpy(ram + CODE, code, sizeof(code));
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	*run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (vcpu < 0 || *run == MAP_FAILED)
		give_up("healthy guest: vCPU");
	set_registers(vcpu);
	return vcpu;
}

void healthy_main(void)
{
	static struct model model;
	struct kvm_run *run;
	int vcpu = make_vcpu(&run);
	uint32_t told = 0, expected;

	model.state = START;
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0))
			give_up("healthy guest: KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO)
			break;
		memcpy(&told, (char *)run + run->io.data_offset, 4);
		expected = next_sum(&model);
		if (told != expected)
			break;
		atomic_fetch_add(&shared->healthy_blocks, 1);
	}
	fprintf(stderr, "healthy guest: exit reason %u, result %#x\n",
		run->exit_reason, told);
	atomic_store(&shared->healthy_wrong, true);
	exit(1);
}
