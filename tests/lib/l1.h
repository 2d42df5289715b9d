/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the small VMMs that tests run in L1 have in common. They know only the
 * KVM ABI. Whatever fails ends the program with its name and the reason.
 */
#ifndef TESTS_L1_H
#define TESTS_L1_H

#include <err.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <unikvm/kvm.h>

#define L1_MAX_CPUID	256
#define L1_TABLES	0x6000		/* bytes that l1_identity_tables() fills */

struct l1_cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[L1_MAX_CPUID];
};

static inline int l1_call(int fd, unsigned long request, const char *name,
			  void *arg)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", name);
	return ret;
}
/* The result of an ioctl that must succeed. */
#define CALL(fd, request, arg) \
	l1_call(fd, request, #request, (void *)(uintptr_t)(arg))

static inline int l1_open_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		err(1, "/dev/kvm");
	return kvm;
}

/* Zeroed memory that is not there before it is touched. */
static inline void *l1_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			    MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "memory");
	return memory;
}

static inline void l1_set_slot(int vm, uint32_t slot, uint32_t flags,
			       uint64_t gpa, void *memory, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)memory,
	};

	CALL(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static inline size_t l1_run_size(int kvm)
{
	return CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

static inline struct kvm_run *l1_map_run(int kvm, int vcpu)
{
	void *run = mmap(NULL, l1_run_size(kvm), PROT_READ | PROT_WRITE,
			 MAP_SHARED, vcpu, 0);

	if (run == MAP_FAILED)
		err(1, "mmap of a vCPU");
	return run;
}

static inline void l1_get_cpuid(int kvm, struct l1_cpuid *cpuid)
{
	cpuid->head.nent = L1_MAX_CPUID;
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
}

/* CS 8 and data 16, from 0 to 4 GiB, for code of 32 or 64 bits. */
static inline void l1_flat_segments(struct kvm_sregs *s, int bits)
{
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1,
		.db = 1, .s = 1, .g = 1,
	};

	s->ds = s->es = s->fs = s->gs = s->ss = s->cs = data;
	s->cs.selector = 8;
	s->cs.type = 11;
	s->cs.db = bits == 32;
	s->cs.l = bits == 64;
}

/* 4 GiB one to one, in 2 MiB pages; the address for CR3 is `at`. */
static inline void l1_identity_tables(uint8_t *ram, uint64_t at)
{
	uint64_t *pml4 = (uint64_t *)(ram + at);
	uint64_t *pdpt = (uint64_t *)(ram + at + 0x1000);
	uint64_t *pds = (uint64_t *)(ram + at + 0x2000);
	uint64_t i;

	pml4[0] = (at + 0x1000) | 7;
	for (i = 0; i < 4; i++)
		pdpt[i] = (at + 0x2000 + 0x1000 * i) | 7;
	for (i = 0; i < 4 * 512; i++)
		pds[i] = i << 21 | 0x87;
}

/* Real mode, CS base 0. */
static inline void l1_start_real_mode(int vcpu, uint64_t rip, uint64_t rsp)
{
	struct kvm_regs regs = { .rip = rip, .rsp = rsp, .rflags = 2 };
	struct kvm_sregs sregs;

	CALL(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	CALL(vcpu, KVM_SET_SREGS, &sregs);
	CALL(vcpu, KVM_SET_REGS, &regs);
}

#endif
