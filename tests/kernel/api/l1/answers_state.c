// SPDX-License-Identifier: GPL-2.0-only
/* What is supported, and the state of what was just created. */
#include <stdio.h>
#include <string.h>

#include "answers.h"

static void cpuid_list(const char *key, const struct l1_cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *e = cpuid->entries;
	char name[64];
	uint32_t i;

	for (i = 0; i < cpuid->head.nent; i++, e++) {
		snprintf(name, sizeof(name), "%s %08x.%x", key, e->function,
			 e->index);
		fact(name, "%08x %08x %08x %08x flags %x", e->eax, e->ebx,
		     e->ecx, e->edx, e->flags);
	}
}

static void emulated_cpuid(void)
{
	static struct l1_cpuid cpuid;

	cpuid.head.nent = L1_MAX_CPUID;
	if (!answer("emulated cpuid", kvm, KVM_GET_EMULATED_CPUID, &cpuid))
		cpuid_list("emulated", &cpuid);
}

struct list {
	struct kvm_msr_list head;
	uint32_t indices[1024];
};

static void feature_value(uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { { .nmsrs = 1 }, { .index = index } };
	char name[64];

	snprintf(name, sizeof(name), "feature msr %08x", index);
	if (ioctl(kvm, KVM_GET_MSRS, &msr) == 1)
		fact(name, "%016llx", (unsigned long long)msr.entry.data);
	else
		fact(name, "unreadable");
}

static void msr_lists(void)
{
	struct list list = { .head.nmsrs = 1024 };
	char name[64];
	uint32_t i;

	must(!ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &list), "MSR list");
	for (i = 0; i < list.head.nmsrs; i++) {
		snprintf(name, sizeof(name), "saved msr %08x", list.indices[i]);
		fact(name, "listed");
	}
	list.head.nmsrs = 1024;
	must(!ioctl(kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, &list), "MSR list");
	for (i = 0; i < list.head.nmsrs; i++)
		feature_value(list.indices[i]);
	feature_value(0x345);
	feature_value(0x10a);
}

static void name_of(char *out, size_t size, const char *chips, const char *what)
{
	snprintf(out, size, "new %s %s", chips, what);
}

#define STATE(request, type)						\
	do {								\
		type state_ = { 0 };					\
		name_of(name, sizeof(name), chips, #request);		\
		if (!answer(name, vm.cpu, request, &state_))		\
			words(name, &state_, sizeof(state_));		\
	} while (0)

struct area { uint8_t byte[4096]; };

static void new_vcpu(const char *chips, enum chips kind)
{
	struct vm vm = vm_new(kind);
	char name[96];

	STATE(KVM_GET_REGS, struct kvm_regs);
	STATE(KVM_GET_SREGS, struct kvm_sregs);
	STATE(KVM_GET_SREGS2, struct kvm_sregs2);
	STATE(KVM_GET_FPU, struct kvm_fpu);
	STATE(KVM_GET_XSAVE, struct area);
	STATE(KVM_GET_XSAVE2, struct area);
	STATE(KVM_GET_XCRS, struct kvm_xcrs);
	STATE(KVM_GET_DEBUGREGS, struct kvm_debugregs);
	STATE(KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events);
	STATE(KVM_GET_MP_STATE, struct kvm_mp_state);
	STATE(KVM_GET_LAPIC, struct kvm_lapic_state);
	name_of(name, sizeof(name), chips, "kvm_run");
	words(name, vm.run, 256);
	vm_free(&vm);
}

static void new_second_vcpu(void)
{
	struct vm vm = vm_new(ALL_CHIPS), second = vm;
	const char *chips = "second";
	char name[96];

	second.cpu = ioctl(vm.fd, KVM_CREATE_VCPU, 5);
	vm.cpu = second.cpu;
	STATE(KVM_GET_REGS, struct kvm_regs);
	STATE(KVM_GET_SREGS, struct kvm_sregs);
	STATE(KVM_GET_MP_STATE, struct kvm_mp_state);
	STATE(KVM_GET_LAPIC, struct kvm_lapic_state);
	vm_free(&vm);
}

static void new_chips(void)
{
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_clock_data clock = { 0 };
	struct kvm_pit_state2 pit;
	struct kvm_irqchip chip;
	char name[64];
	uint32_t id;

	for (id = 0; id < 4; id++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = id;
		snprintf(name, sizeof(name), "new chip %u", id);
		if (!answer(name, vm.fd, KVM_GET_IRQCHIP, &chip))
			words(name, &chip, sizeof(chip));
	}
	must(!ioctl(vm.fd, KVM_GET_PIT2, &pit), "PIT");
	for (id = 0; id < 3; id++)
		pit.channels[id].count_load_time = 0;
	words("new pit", &pit, sizeof(pit));
	must(!ioctl(vm.fd, KVM_GET_CLOCK, &clock), "clock");
	fact("new clock flags", "%x", clock.flags);
	fact("new clock below a minute", "%d", clock.clock < 60000000000ULL);
	vm_free(&vm);
}

void state_answers(void)
{
	section("state");
	cpuid_list("cpuid", cpuid_supported());
	emulated_cpuid();
	msr_lists();
	new_vcpu("plain", NO_CHIPS);
	new_vcpu("chips", ALL_CHIPS);
	new_vcpu("split", SPLIT_CHIPS);
	new_second_vcpu();
	new_chips();
}
