// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit program's requests: each goes the way of its system calls (int 80h),
 * with what they point to below 4 GiB. One line, "ok", if all is as it should.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "l1.h"

#define NR_IOCTL	54
#define PAGE		0x1000UL
#define MSR		0x174		/* SYSENTER_CS, which the guest reads */
#define ANSWER		0x1234

struct msr_filter_32 {
	uint32_t flags;
	struct {
		uint32_t flags, nmsrs, base, bitmap;
	} ranges[KVM_MSR_FILTER_MAX_RANGES];
};

static long call(int fd, uint32_t request, const char *name, uint64_t arg)
{
	int ret;

	asm volatile("int $0x80" : "=a"(ret)
		     : "a"(NR_IOCTL), "b"(fd), "c"(request), "d"((uint32_t)arg)
		     : "memory", "r8", "r9", "r10", "r11");
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", name);
	}
	return ret;
}
#define CALL32(fd, request, arg) call(fd, request, #request, (uintptr_t)(arg))

/* mov %al, 0x2000; mov $MSR, %ecx; rdmsr; hlt */
static const uint8_t code[] = { 0xa2, 0, 0x20, 0x66, 0xb9, MSR & 0xff, MSR >> 8,
				0, 0, 0x0f, 0x32, 0xf4 };

static struct {			/* below 4 GiB, with the page behind it for RAM */
	struct kvm_userspace_memory_region region;
	struct kvm_dirty_log log;
	struct kvm_clear_dirty_log clear;
	struct kvm_enable_cap cap;
	struct msr_filter_32 filter;
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) mask;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t bitmap;
	uint8_t no_msrs[8];
} *low;
static struct kvm_run *run;

static int start(int kvm, int vm, uint8_t *ram)
{
	int vcpu;

	memcpy(ram + PAGE, code, sizeof(code));
	low->region = (struct kvm_userspace_memory_region) {
		.flags = KVM_MEM_LOG_DIRTY_PAGES, .memory_size = 4 * PAGE,
		.userspace_addr = (uintptr_t)ram,
	};
	CALL32(vm, KVM_SET_USER_MEMORY_REGION, &low->region);
	vcpu = CALL32(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, CALL32(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap of a vCPU");
	CALL32(vcpu, KVM_GET_SREGS, &low->sregs);
	low->sregs.cs.base = low->sregs.cs.selector = 0;
	CALL32(vcpu, KVM_SET_SREGS, &low->sregs);
	low->regs = (struct kvm_regs) { .rip = PAGE, .rflags = 2 };
	CALL32(vcpu, KVM_SET_REGS, &low->regs);
	return vcpu;
}

static void filter_msr(int vm, int vcpu)
{
	low->cap = (struct kvm_enable_cap) {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { KVM_MSR_EXIT_REASON_FILTER },
	};
	CALL32(vm, KVM_ENABLE_CAP, &low->cap);
	low->filter.ranges[0].flags = KVM_MSR_FILTER_READ;
	low->filter.ranges[0].nmsrs = 1;
	low->filter.ranges[0].base = MSR;
	low->filter.ranges[0].bitmap = (uintptr_t)low->no_msrs;
	CALL32(vm, _IOW(KVMIO, 0xc6, struct msr_filter_32), &low->filter);
	low->mask.head.len = 8;
	CALL32(vcpu, KVM_SET_SIGNAL_MASK, &low->mask);
}

static void guest_runs(int vcpu)
{
	CALL32(vcpu, KVM_RUN, 0);
	if (run->exit_reason != KVM_EXIT_X86_RDMSR || run->msr.index != MSR)
		errx(1, "exit %u instead of RDMSR", run->exit_reason);
	run->msr.data = ANSWER;
	CALL32(vcpu, KVM_RUN, 0);
	CALL32(vcpu, KVM_GET_REGS, &low->regs);
	if (run->exit_reason != KVM_EXIT_HLT || low->regs.rax != ANSWER)
		errx(1, "exit %u, rax %#llx", run->exit_reason,
		     (unsigned long long)low->regs.rax);
}

/* Its compiler knows nothing of the upper half of the pointer. */
static uint64_t bitmap_pointer(void)
{
	return (uintptr_t)&low->bitmap | 0xdeadbeef00000000;
}

static void dirty_log(int vm)
{
	low->cap = (struct kvm_enable_cap) {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 },
	};
	CALL32(vm, KVM_ENABLE_CAP, &low->cap);
	low->log.padding2 = bitmap_pointer();
	CALL32(vm, KVM_GET_DIRTY_LOG, &low->log);
	if (!(low->bitmap & 4))
		errx(1, "dirty pages %#llx", (unsigned long long)low->bitmap);
	low->clear.num_pages = 4;
	low->clear.padding2 = bitmap_pointer();
	CALL32(vm, KVM_CLEAR_DIRTY_LOG, &low->clear);
	CALL32(vm, KVM_GET_DIRTY_LOG, &low->log);
	if (low->bitmap)
		errx(1, "still dirty: %#llx", (unsigned long long)low->bitmap);
}

int main(void)
{
	int kvm = l1_open_kvm(), vm, vcpu;
	uint8_t *ram = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			    MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (ram == MAP_FAILED)
		err(1, "memory");
	low = (void *)(ram + 4 * PAGE);
	if (CALL32(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		errx(1, "API version");
	vm = CALL32(kvm, KVM_CREATE_VM, 0);
	vcpu = start(kvm, vm, ram);
	filter_msr(vm, vcpu);
	guest_runs(vcpu);
	dirty_log(vm);
	puts("ok");
	return 0;
}
