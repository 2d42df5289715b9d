// SPDX-License-Identifier: GPL-2.0-only
/* MSRs: lists, what VMMs and guests use, filters, machine checks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

struct list {
	struct kvm_msr_list head;
	uint32_t indices[512];
};

static void lists(struct machine *m)
{
	struct list list = { .head.nmsrs = 0 };
	uint64_t data;
	uint32_t i, n;

	EQUAL(ERROR_OF(m->kvm, KVM_GET_MSR_INDEX_LIST, &list), E2BIG);
	n = list.head.nmsrs;
	CHECK(n > 10 && n < ARRAY_SIZE(list.indices));
	list.head.nmsrs = ARRAY_SIZE(list.indices);
	MUST(m->kvm, KVM_GET_MSR_INDEX_LIST, &list);
	EQUAL(list.head.nmsrs, n);
	for (i = 0; i < n; i++) {
		if (!host_rdmsr(m, 0, list.indices[i], &data) ||
		    !host_wrmsr(m, 0, list.indices[i], data))
			fail(__FILE__, __LINE__, "MSR %#x: %#llx",
			     list.indices[i], (unsigned long long)data);
	}
}

static void feature_list(struct machine *m)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr;
	struct list list = { .head.nmsrs = 0 };
	uint32_t i;

	EQUAL(ERROR_OF(m->kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, &list), E2BIG);
	list.head.nmsrs = ARRAY_SIZE(list.indices);
	MUST(m->kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, &list);
	for (i = 0; i < list.head.nmsrs; i++) {
		memset(&msr, 0, sizeof(msr));
		msr.head.nmsrs = 1;
		msr.entry.index = list.indices[i];
		EQUAL(MUST(m->kvm, KVM_GET_MSRS, &msr), 1);
	}
	msr.entry.index = 0xc0012345;
	EQUAL(MUST(m->kvm, KVM_GET_MSRS, &msr), 0);
}

static void what_vmms_write(struct machine *m)
{
	/* kvmtool's ten, Firecracker's one more, QEMU's for a machine check */
	static const struct { uint32_t index; uint64_t data; } msrs[] = {
		{ 0x174, 0 }, { 0x175, 0 }, { 0x176, 0 }, { 0xc0000081, 0 },
		{ 0xc0000082, 0 }, { 0xc0000083, 0 }, { 0xc0000084, 0 },
		{ 0xc0000102, 0 }, { 0x10, 0 }, { 0x1a0, 1 }, { 0x2ff, 0xc06 },
		{ 0x200, 0x80000006 }, { 0x201, 0xff80000800 },
		{ 0x250, 0x0606060606060606 }, { 0x26f, 0x0505050505050505 },
		{ 0x277, 0x0007040600070406 }, { 0x3b, 0 }, { 0x8b, 0x65 },
		{ 0x17a, 0 }, { 0x6e0, 0 }, { 0x11, 0 }, { 0x12, 0 },
		{ 0x4b564d00, 0 }, { 0x4b564d01, 0 }, { 0x403, 0 },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (!host_wrmsr(m, 0, msrs[i].index, msrs[i].data))
			fail(__FILE__, __LINE__, "MSR %#x refused",
			     msrs[i].index);
	}
}

static void what_guests_touch(struct machine *m)
{
	/* by the Debian 6.1 guest, see the exit trace in the reference */
	static const uint32_t reads[] = {
		0x10, 0x1b, 0x3b, 0x8b, 0xfe, 0x200, 0x20f, 0x250, 0x258,
		0x259, 0x268, 0x26f, 0x277, 0x2ff, 0x6e0, 0xc0000080,
		0xc0010000, 0xc0010003, 0xc0010010, 0xc0010015, 0xc0010055,
		0xc0011029, 0x179, 0x17a,
		/* by others, see their sources */
		0x0, 0x1, 0x17, 0x2a, 0xc1, 0x186, 0x606, 0x641, 0xc0010112,
		0xc0010113, 0xc001102c,
	};
	uint64_t data;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(reads); i++) {
		if (!guest_rdmsr(m, reads[i], &data))
			fail(__FILE__, __LINE__, "MSR %#x faults", reads[i]);
	}
	CHECK(guest_rdmsr(m, 0xfe, &data));
	EQUAL(data, 0x508);
	CHECK(guest_rdmsr(m, 0x198, &data));
	EQUAL(data, 4ULL << 40 | 1000);
	CHECK(guest_rdmsr(m, 0xc001001b, &data));
	EQUAL(data, 1 << 29);
	CHECK(guest_rdmsr(m, 0x11e, &data));
	EQUAL(data, 0xbe702111);
	CHECK(guest_wrmsr(m, 0xc0010007, 0));
	CHECK(guest_wrmsr(m, 0x8b, 0));
	CHECK(guest_wrmsr(m, 0x1fc, 0x1234));
	CHECK(guest_rdmsr(m, 0x1fc, &data));
	EQUAL(data, 0x1234);
	CHECK(!guest_rdmsr(m, 0xc0012345, &data));
	CHECK(!guest_wrmsr(m, 0xc0012345, 0));
	CHECK(!guest_wrmsr(m, 0xfe, 0x508));
}

static void values_are_checked(struct machine *m)
{
	uint64_t data;

	CHECK(!guest_wrmsr(m, 0x2ff, 0x02));
	CHECK(!guest_wrmsr(m, 0x277, 0x2));
	CHECK(!guest_wrmsr(m, 0x200, 0x100));
	/* The guest's own writes of these may not exit: the processor checks. */
	CHECK(!host_wrmsr(m, 0, 0xc0000082, 1ULL << 48));
	CHECK(!host_wrmsr(m, 0, 0xc0000102, 1ULL << 63));
	CHECK(!guest_wrmsr(m, 0xc0000080, 1ULL << 40));
	CHECK(!guest_wrmsr(m, 0x1b, 1 << 10));
	/* PV EOI: four-byte aligned, on or off */
	CHECK(!guest_wrmsr(m, 0x4b564d04, SCRATCH | 3));
	CHECK(guest_wrmsr(m, 0x4b564d04, SCRATCH | 1));
	CHECK(host_rdmsr(m, 0, 0x4b564d04, &data));
	EQUAL(data, SCRATCH | 1);
	CHECK(!host_wrmsr(m, 0, 0x2ff, 0x02));
	CHECK(guest_wrmsr(m, 0xc0000082, 0xffff800000000000));
	CHECK(guest_rdmsr(m, 0xc0000082, &data));
	EQUAL(data, 0xffff800000000000);
	CHECK(host_rdmsr(m, 0, 0xc0000082, &data));
	EQUAL(data, 0xffff800000000000);
}

static void counts(struct machine *m)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[3];
	} msrs = { { .nmsrs = 3 },
		   { { .index = 0x174, .data = 7 },
		     { .index = 0xc0012345 },
		     { .index = 0x175, .data = 8 } } };
	struct kvm_msrs many = { .nmsrs = 300 };

	EQUAL(MUST(m->cpu[0], KVM_SET_MSRS, &msrs), 1);
	msrs.e[0].data = 0;
	EQUAL(MUST(m->cpu[0], KVM_GET_MSRS, &msrs), 1);
	EQUAL(msrs.e[0].data, 7);
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_MSRS, &many), E2BIG);
}

static void enable(struct machine *m, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	MUST(m->vm, KVM_ENABLE_CAP, &c);
}

static void filter_to_user(struct machine *m)
{
	uint8_t bitmap[8] = { 0xfd };		/* 175h denied */
	struct kvm_msr_filter filter = {
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ, .nmsrs = 8,
			       .base = 0x174, .bitmap = bitmap },
	};
	struct kvm_regs regs;
	struct regs32 r = { .ecx = 0x175 };
	uint64_t data;

	enable(m, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
	MUST(m->vm, KVM_X86_SET_MSR_FILTER, &filter);
	CHECK(guest_rdmsr(m, 0x174, &data));
	EQUAL(guest_exec(m, 0, INSN_RDMSR, &r), KVM_EXIT_X86_RDMSR);
	EQUAL(m->run[0]->msr.index, 0x175);
	EQUAL(m->run[0]->msr.reason, KVM_MSR_EXIT_REASON_FILTER);
	m->run[0]->msr.data = 0x1122334455667788;
	MUST(m->cpu[0], KVM_RUN, 0);
	EQUAL(m->run[0]->exit_reason, KVM_EXIT_HLT);
	MUST(m->cpu[0], KVM_GET_REGS, &regs);
	EQUAL(regs.rax, 0x55667788);
	EQUAL(regs.rdx, 0x11223344);
	CHECK(guest_wrmsr(m, 0x175, 0));	/* only reads are filtered */
	memset(&filter, 0, sizeof(filter));
	MUST(m->vm, KVM_X86_SET_MSR_FILTER, &filter);
	CHECK(guest_rdmsr(m, 0x175, &data));
}

static void filter_refuses(struct machine *m)
{
	static uint8_t bitmap[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	struct kvm_msr_filter filter = { .flags = 1 };

	EQUAL(ERROR_OF(m->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	filter.flags = 2;
	EQUAL(ERROR_OF(m->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	filter.flags = 0;
	filter.ranges[3] = (struct kvm_msr_filter_range) {
		.flags = 3, .nmsrs = 8 * sizeof(bitmap) + 1, .bitmap = bitmap,
	};
	EQUAL(ERROR_OF(m->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	filter.ranges[3].nmsrs = 8;
	filter.ranges[3].flags = 4;
	EQUAL(ERROR_OF(m->vm, KVM_X86_SET_MSR_FILTER, &filter), EINVAL);
	filter.ranges[3].flags = 3;
	filter.ranges[3].bitmap = (uint8_t *)16;
	EQUAL(ERROR_OF(m->vm, KVM_X86_SET_MSR_FILTER, &filter), EFAULT);
}

static void unknown_to_user(struct machine *m)
{
	struct regs32 r = { .ecx = 0xc0012345, .eax = 5, .edx = 6 };

	enable(m, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	EQUAL(guest_exec(m, 0, INSN_WRMSR, &r), KVM_EXIT_X86_WRMSR);
	EQUAL(m->run[0]->msr.reason, KVM_MSR_EXIT_REASON_UNKNOWN);
	EQUAL(m->run[0]->msr.data, 0x600000005);
	m->run[0]->msr.error = 1;
	MUST(m->cpu[0], KVM_RUN, 0);
	EQUAL(m->run[0]->exit_reason, KVM_EXIT_HLT);
	CHECK(!guest_wrmsr(m, 0x2ff, 0x02));	/* invalid is another reason */
}

static void machine_checks(struct machine *m)
{
	struct kvm_x86_mce mce = { .status = 1ULL << 63, .addr = 0x1234,
				   .bank = 2 };
	uint64_t cap, data;

	CHECK(host_rdmsr(m, 0, 0x17b, &data));
	CHECK(guest_rdmsr(m, 0x400, &data));
	EQUAL(data, 0);			/* reporting is off at first */
	MUST(m->kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap);
	CHECK(cap & 1 << 8);
	cap |= 10;
	MUST(m->cpu[0], KVM_X86_SETUP_MCE, &cap);
	CHECK(host_rdmsr(m, 0, 0x179, &data));
	EQUAL(data & 0xff, 10);
	CHECK(host_wrmsr(m, 0, 0x17b, ~0ULL));
	CHECK(!host_wrmsr(m, 0, 0x17b, 5));
	CHECK(host_wrmsr(m, 0, 0x400 + 4 * 9 + 3, 1));
	CHECK(!host_wrmsr(m, 0, 0x400 + 4 * 10, 0));
	MUST(m->cpu[0], KVM_X86_SET_MCE, &mce);
	CHECK(guest_rdmsr(m, 0x400 + 4 * 2 + 1, &data));
	EQUAL(data, 1ULL << 63);
	CHECK(!guest_wrmsr(m, 0x400 + 4 * 2 + 1, 1));
	CHECK(guest_wrmsr(m, 0x400 + 4 * 2 + 1, 0));
	mce.bank = 10;
	EQUAL(ERROR_OF(m->cpu[0], KVM_X86_SET_MCE, &mce), EINVAL);
	cap = 33;
	EQUAL(ERROR_OF(m->cpu[0], KVM_X86_SETUP_MCE, &cap), EINVAL);
}

static void platform_info(struct machine *m)
{
	uint64_t data;

	/* CPUID can be made to fault, if this says so. */
	CHECK(guest_rdmsr(m, 0xce, &data));
	EQUAL(data, 1u << 31);
	CHECK(guest_wrmsr(m, 0x140, 1));
	CHECK(!guest_wrmsr(m, 0x140, 2));
	CHECK(guest_wrmsr(m, 0x140, 0));
	CHECK(host_wrmsr(m, 0, 0xce, 0xff00));
	CHECK(guest_rdmsr(m, 0xce, &data));
	EQUAL(data, 0xff00);
	CHECK(!guest_wrmsr(m, 0xce, 0));
	CHECK(!guest_wrmsr(m, 0x140, 1));
	enable(m, KVM_CAP_MSR_PLATFORM_INFO, 0);
	CHECK(!guest_rdmsr(m, 0xce, &data));
}

#define USER_CS		0x1b
#define USER_SS		0x23

/* A #GP in user mode stays there: no task state is needed. */
static void user_mode(struct machine *m)
{
	static const uint64_t segments[] = { 0x00cffb000000ffff,
					     0x00cff3000000ffff };
	uint64_t handler = SCRATCH + 0x10;
	uint64_t gate = (handler & 0xffff) | (uint64_t)USER_CS << 16 |
			0xee00ULL << 32 | handler >> 16 << 48;
	struct kvm_sregs sregs;

	MUST(m->cpu[0], KVM_GET_SREGS, &sregs);
	memcpy(m->ram + sregs.gdt.base + 0x18, segments, sizeof(segments));
	memcpy(m->ram + sregs.idt.base + 8 * 13, &gate, sizeof(gate));
	sregs.gdt.limit = 0x27;
	sregs.cs.dpl = sregs.ss.dpl = 3;
	sregs.cs.selector = USER_CS;
	sregs.ss.selector = USER_SS;
	MUST(m->cpu[0], KVM_SET_SREGS, &sregs);
}

/* CPUID in user mode, which has all ports: the port that it ends at. */
static int cpuid_ends_at(struct machine *m)
{
	static const uint8_t code[] = { 0x0f, 0xa2, 0xe6, 0x77 };
	static const uint8_t fault[] = { 0xe6, 0x78 };
	struct kvm_regs regs = { .rip = SCRATCH, .rsp = SCRATCH + 0x1000,
				 .rflags = 0x3002 };

	memcpy(m->ram + SCRATCH, code, sizeof(code));
	memcpy(m->ram + SCRATCH + 0x10, fault, sizeof(fault));
	user_mode(m);
	MUST(m->cpu[0], KVM_SET_REGS, &regs);
	MUST(m->cpu[0], KVM_RUN, 0);
	EQUAL(m->run[0]->exit_reason, KVM_EXIT_IO);
	return m->run[0]->io.port;
}

static void cpuid_faults(struct machine *m)
{
	EQUAL(cpuid_ends_at(m), 0x77);
	CHECK(host_wrmsr(m, 0, 0x140, 1));
	EQUAL(cpuid_ends_at(m), 0x78);
}

/* KVM's unit tests write it whatever CPUID says. */
static void tsc_adjust_without_cpuid(struct machine *m)
{
	uint64_t data;

	cpuid_entry(m, 7, 0)->ebx &= ~2;
	MUST(m->cpu[0], KVM_SET_CPUID2, &m->cpuid);
	CHECK(guest_wrmsr(m, 0x3b, 1ULL << 40));
	CHECK(guest_rdmsr(m, 0x3b, &data));
	EQUAL(data, 0);
	CHECK(guest_rdmsr(m, 0x10, &data));
	CHECK(data < 1ULL << 40);
}

static unsigned long msr_exits(void)
{
	unsigned long count = 0;
	FILE *f = fopen("/sys/kernel/debug/kvm/msr_exits", "r");

	CHECK(f && fscanf(f, "%lu", &count) == 1);
	fclose(f);
	return count;
}

/* AMD's processors keep 32 bits of it. */
static void sysenter_of_an_intel_guest(struct machine *m)
{
	uint64_t data, wide = 0x123456789abc;
	struct kvm_cpuid_entry2 *vendor = cpuid_entry(m, 0, 0);
	unsigned long before;
	uint32_t msr;

	vendor->ebx = 0x756e6547;		/* GenuineIntel */
	vendor->edx = 0x49656e69;
	vendor->ecx = 0x6c65746e;
	MUST(m->cpu[0], KVM_SET_CPUID2, &m->cpuid);
	before = msr_exits();
	for (msr = 0x175; msr <= 0x176; msr++) {
		CHECK(guest_wrmsr(m, msr, wide));
		CHECK(guest_rdmsr(m, msr, &data));
		EQUAL(data, wide);
		CHECK(host_rdmsr(m, 0, msr, &data));
		EQUAL(data, wide);
	}
	EQUAL(msr_exits(), before + 4);
}

const struct check msr_checks[] = {
	OURS("msr: the list reads and writes back", 1, lists),
	COMMON("msr: features", 1, feature_list),
	COMMON("msr: what VMMs write", 1, what_vmms_write),
	COMMON("msr: what guests touch", 1, what_guests_touch),
	COMMON("msr: values are checked", 1, values_are_checked),
	COMMON("msr: partial counts", 1, counts),
	COMMON("msr: filter to user space", 1, filter_to_user),
	COMMON("msr: filter refuses", 1, filter_refuses),
	COMMON("msr: unknown to user space", 1, unknown_to_user),
	COMMON("msr: machine check banks", 1, machine_checks),
	COMMON("msr: platform info", 1, platform_info),
	COMMON("msr: CPUID faults in user mode", 1, cpuid_faults),
	COMMON("msr: TSC_ADJUST without its CPUID bit", 1,
	       tsc_adjust_without_cpuid),
	OURS("msr: SYSENTER of an Intel guest", 1, sysenter_of_an_intel_guest),
	END_OF_CHECKS
};
