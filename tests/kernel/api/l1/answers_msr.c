// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every MSR that anybody reads or writes: by user space, without and with CPUID,
 * and by the guest.
 */
#include <stdio.h>
#include <string.h>

#include "answers.h"

static const struct {
	uint32_t first, last;
} ranges[] = {
	{ 0x0, 0x3ff }, { 0x400, 0x4ff }, { 0x500, 0x5ff }, { 0x600, 0x7ff },
	{ 0x800, 0x8ff }, { 0xc80, 0xc9f }, { 0xd90, 0xda0 },
	{ 0x40000000, 0x40000005 }, { 0x4b564d00, 0x4b564d0f },
	{ 0xc0000080, 0xc0000104 }, { 0xc0000300, 0xc0000303 },
	{ 0xc0010000, 0xc0010140 }, { 0xc0010200, 0xc001020f },
	{ 0xc0010290, 0xc001029f }, { 0xc0011000, 0xc001103f },
};

struct one {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static bool get(int fd, uint32_t index, uint64_t *data)
{
	struct one msr = { { .nmsrs = 1 }, { .index = index } };
	bool good = ioctl(fd, KVM_GET_MSRS, &msr) == 1;

	*data = msr.entry.data;
	return good;
}

static bool set(int fd, uint32_t index, uint64_t data)
{
	struct one msr = { { .nmsrs = 1 }, { .index = index, .data = data } };

	return ioctl(fd, KVM_SET_MSRS, &msr) == 1;
}

static bool ticks(uint32_t index)
{
	return index == 0x10 || index == 0xe7 || index == 0xe8;
}

/* Written to each: what of it is taken and what is read back, if anything. */
static const uint64_t values[] = { 0, 1, 0x1000, 0x0606060606060606, ~0ULL };
#define NR_VALUES	(sizeof(values) / sizeof(values[0]))

static void host_writes(int cpu, uint32_t index, char *out, size_t size)
{
	uint64_t before, now;
	size_t n = 0;
	unsigned int i;

	get(cpu, index, &before);
	for (i = 0; i < NR_VALUES; i++) {
		if (!set(cpu, index, values[i])) {
			n += snprintf(out + n, size - n, " -");
			continue;
		}
		if (ticks(index) || !get(cpu, index, &now) || now == values[i])
			n += snprintf(out + n, size - n, " +");
		else
			n += snprintf(out + n, size - n, " %llx",
				      (unsigned long long)now);
	}
	set(cpu, index, before);
}

static void host_one(const char *key, int cpu, uint32_t index)
{
	char name[64], writes[256] = "";
	bool readable;
	uint64_t data;

	readable = get(cpu, index, &data);
	host_writes(cpu, index, writes, sizeof(writes));
	if (!readable && !strpbrk(writes, "+0123456789"))
		return;
	snprintf(name, sizeof(name), "%s msr %08x", key, index);
	if (!readable)
		fact(name, "unreadable, set%s", writes);
	else if (ticks(index))
		fact(name, "ticks, set%s", writes);
	else
		fact(name, "%llx, set%s", (unsigned long long)data, writes);
}

/* ---- by the guest: refused ones end in an exit that says why ---- */

static const uint8_t rdmsr_code[] = { 0x0f, 0x32, 0xf4 };
static const uint8_t wrmsr_code[] = { 0x0f, 0x30, 0xf4 };

/* Says so, and ends the instruction; the next registers drop its fault. */
static void refused(struct vm *vm, char *out, size_t size)
{
	snprintf(out, size, "%s", vm->run->msr.reason ==
		 KVM_MSR_EXIT_REASON_UNKNOWN ? "unknown" : "invalid");
	vm->run->msr.error = 1;
	vm->run->immediate_exit = 1;
	must(ioctl(vm->cpu, KVM_RUN, 0) < 0, "end of MSR exit");
	vm->run->immediate_exit = 0;
}

/* As text: a value, "done", "unknown" or "invalid". */
static void guest_one(struct vm *vm, uint32_t index, const uint64_t *data,
		      char *out, size_t size)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rcx = index };

	memcpy(vm->ram + CODE, data ? wrmsr_code : rdmsr_code, 3);
	if (data) {
		regs.rax = (uint32_t)*data;
		regs.rdx = *data >> 32;
	}
	must(!ioctl(vm->cpu, KVM_SET_REGS, &regs), "regs");
	must(!ioctl(vm->cpu, KVM_RUN, 0), "KVM_RUN");
	must(!ioctl(vm->cpu, KVM_GET_REGS, &regs), "regs");
	if (vm->run->exit_reason == KVM_EXIT_HLT && data)
		snprintf(out, size, "done");
	else if (vm->run->exit_reason == KVM_EXIT_HLT && ticks(index))
		snprintf(out, size, "ticks");
	else if (vm->run->exit_reason == KVM_EXIT_HLT)
		snprintf(out, size, "%llx", (unsigned long long)
			 (regs.rdx << 32 | (uint32_t)regs.rax));
	else if (vm->run->exit_reason != KVM_EXIT_X86_RDMSR &&
		 vm->run->exit_reason != KVM_EXIT_X86_WRMSR)
		snprintf(out, size, "exit %u", vm->run->exit_reason);
	else
		refused(vm, out, size);
}

/* Interrupts and a LAPIC in user space: HLT exits. */
static struct vm guest_machine(void)
{
	struct vm vm = vm_new(NO_CHIPS);
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args[0] = KVM_MSR_EXIT_REASON_UNKNOWN |
			   KVM_MSR_EXIT_REASON_INVAL,
	};

	vm_set_cpuid(&vm);
	must(!ioctl(vm.fd, KVM_ENABLE_CAP, &cap), "MSR exits");
	vm_code(&vm, rdmsr_code, sizeof(rdmsr_code));
	return vm;
}

/* These change how the rest of the test runs. */
static bool guest_skips_write(uint32_t index)
{
	return index == 0xc0000080 || index == 0x1b ||
	       (index >= 0x4b564d00 && index <= 0x4b564dff) ||
	       index == 0x11 || index == 0x12;
}

static void guest_sweep(struct vm *vm, uint32_t index)
{
	static const uint64_t writes[] = { 0, 1, ~0ULL };
	char name[64], text[128], *at = text, read[64];
	unsigned int i;
	bool any;

	guest_one(vm, index, NULL, read, sizeof(read));
	any = strcmp(read, "unknown");
	*at = 0;
	for (i = 0; i < 3 && !guest_skips_write(index); i++) {
		char result[32];

		guest_one(vm, index, &writes[i], result, sizeof(result));
		any |= !!strcmp(result, "unknown");
		at += snprintf(at, text + sizeof(text) - at, " %s", result);
	}
	if (!any)
		return;
	snprintf(name, sizeof(name), "guest msr %08x", index);
	fact(name, "%s, wrmsr%s", read, text);
}

void msr_answers(void)
{
	struct vm bare = vm_new(ALL_CHIPS), full = vm_new(ALL_CHIPS);
	struct vm guest = guest_machine();
	unsigned int i;
	uint32_t index;

	section("msrs");
	vm_set_cpuid(&full);
	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		index = ranges[i].first;
		do {
			host_one("bare", bare.cpu, index);
			host_one("full", full.cpu, index);
			guest_sweep(&guest, index);
		} while (index++ < ranges[i].last);
	}
	vm_free(&bare);
	vm_free(&full);
	vm_free(&guest);
}
