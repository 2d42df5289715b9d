// SPDX-License-Identifier: GPL-2.0-only
/*
 * smallguest N: N times, make a VM with everything a VM can have, run a small
 * real-mode guest in it, and let it all go. Exits with 0 if each guest did its
 * work, which is to add up what it reads from 256 of its pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <unikvm/kvm.h>

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

static int call(int fd, unsigned long request, const char *name, void *arg)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		exit(1);
	}
	return ret;
}
#define CALL(fd, request, arg)	call(fd, request, #request, (void *)(arg))

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

static void set_start(int vcpu)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rsp = 0x800 };
	struct kvm_sregs sregs;

	CALL(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	CALL(vcpu, KVM_SET_SREGS, &sregs);
	CALL(vcpu, KVM_SET_REGS, &regs);
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
	int mapped = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	char *ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.flags = KVM_MEM_LOG_DIRTY_PAGES, .memory_size = RAM_SIZE,
		.userspace_addr = (unsigned long)ram,
	};
	struct kvm_pit_config pit = { 0 };
	int efd = eventfd(0, 0);
	struct kvm_run *shared;
	int vcpu, sum;

	memcpy(ram + CODE, code, sizeof(code));
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	CALL(vm, KVM_CREATE_PIT2, &pit);
	add_eventfds(vm, efd);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	shared = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	set_start(vcpu);
	sum = run(vcpu, shared);

	munmap(shared, mapped);
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
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		perror("/dev/kvm");
		return 1;
	}
	while (count-- > 0)
		if (one_guest(kvm))
			return 1;
	return 0;
}
