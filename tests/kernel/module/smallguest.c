// SPDX-License-Identifier: GPL-2.0-only
/*
 * smallguest N: N times, make a VM with everything a VM can have, run a small
 * real-mode guest in it, and let it all go. Exits with 0 if each guest did its
 * work, which is to add up what it reads from 256 of its pages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "l1.h"

#define RAM_SIZE	(1 << 20)
#define CODE		0x1000
#define RESULT_PORT	0x80

/*
 * ES walks from 2000h in steps of 100h paragraphs (4 KiB): write a byte to
 * each of 128 pages, read it back, sum up in BX; then two bytes out.
 */
static const unsigned char code[] = {
	0x31, 0xdb,			/* xor bx, bx */
	0xb9, 0x80, 0x00,		/* mov cx, 128 */
	0xb8, 0x00, 0x12,		/* mov ax, 1200h */
	0x8e, 0xc0,			/* 1: mov es, ax */
	0x26, 0x88, 0x0e, 0x00, 0x00,	/* mov es:[0], cl */
	0x26, 0x02, 0x1e, 0x00, 0x00,	/* add bl, es:[0] */
	0x80, 0xd7, 0x00,		/* adc bh, 0 */
	0x05, 0x00, 0x01,		/* add ax, 100h */
	0xe2, 0xec,			/* loop 1b */
	0x89, 0xd8,			/* mov ax, bx */
	0xe7, RESULT_PORT,		/* out RESULT_PORT, ax */
	0xf4,				/* hlt */
};
#define EXPECTED	(128 * 129 / 2)

static void add_eventfds(int vm, int efd)
{
	struct kvm_irqfd irqfd = { .fd = efd, .gsi = 5 };
	struct kvm_ioeventfd ioeventfd = {
		.addr = 0x500, .len = 2, .fd = efd,
		.flags = KVM_IOEVENTFD_FLAG_PIO,
	};
	struct kvm_coalesced_mmio_zone zone = {
		.addr = 0xe0000000, .size = 4096,
	};

	CALL(vm, KVM_IRQFD, &irqfd);
	CALL(vm, KVM_IOEVENTFD, &ioeventfd);
	CALL(vm, KVM_REGISTER_COALESCED_MMIO, &zone);
}

static int run(int vcpu, struct kvm_run *run)
{
	CALL(vcpu, KVM_RUN, 0);
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != RESULT_PORT) {
		fprintf(stderr, "exit %u\n", run->exit_reason);
		return -1;
	}
	return *(unsigned short *)((char *)run + run->io.data_offset);
}

static int one_guest(int kvm)
{
	int vm = CALL(kvm, KVM_CREATE_VM, 0);
	char *ram = l1_memory(RAM_SIZE);
	struct kvm_pit_config pit = { 0 };
	int efd = eventfd(0, 0);
	struct kvm_run *shared;
	int vcpu, sum;

	memcpy(ram + CODE, code, sizeof(code));
	l1_set_slot(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, ram, RAM_SIZE);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	CALL(vm, KVM_CREATE_PIT2, &pit);
	add_eventfds(vm, efd);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	shared = l1_map_run(kvm, vcpu);
	l1_start_real_mode(vcpu, CODE, 0x800);
	sum = run(vcpu, shared);

	munmap(shared, l1_run_size(kvm));
	munmap(ram, RAM_SIZE);
	close(efd);
	close(vcpu);
	close(vm);
	if (sum != EXPECTED)
		fprintf(stderr, "sum %d, expected %d\n", sum, EXPECTED);
	return sum == EXPECTED ? 0 : 1;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;
	int kvm = l1_open_kvm();

	while (count-- > 0)
		if (one_guest(kvm))
			return 1;
	return 0;
}
