// SPDX-License-Identifier: GPL-2.0-only
/* Register values that are taken or refused, and what kvm_run holds at an exit. */
#include <stdio.h>
#include <string.h>

#include "answers.h"

static char name[128];

#define NAME(...)	(snprintf(name, sizeof(name), __VA_ARGS__), name)

/* ---- registers ---- */

static void set_sregs(struct vm *vm, const char *what,
		      const struct kvm_sregs *sregs)
{
	struct kvm_sregs now;

	if (answer(what, vm->cpu, KVM_SET_SREGS, sregs))
		return;
	must(!ioctl(vm->cpu, KVM_GET_SREGS, &now), "sregs");
	fact("  then", "cr0 %llx cr4 %llx efer %llx cr8 %llx base %llx",
	     (unsigned long long)now.cr0, (unsigned long long)now.cr4,
	     (unsigned long long)now.efer, (unsigned long long)now.cr8,
	     (unsigned long long)now.apic_base);
}

#define SREGS(what, field, value)					\
	do {								\
		struct kvm_sregs s_ = before;				\
		s_.field = (value);					\
		set_sregs(&vm, what, &s_);				\
	} while (0)

static void system_registers(bool cpuid)
{
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_sregs before, s;
	struct kvm_sregs2 s2;
	int bit;

	if (cpuid)
		vm_set_cpuid(&vm);
	must(!ioctl(vm.cpu, KVM_GET_SREGS, &before), "sregs");
	section("system registers %s", cpuid ? "with CPUID" : "without CPUID");
	for (bit = 0; bit < 64; bit++)
		SREGS(NAME("cr0 bit %d", bit), cr0, 1ULL << bit);
	for (bit = 0; bit < 64; bit++)
		SREGS(NAME("cr4 bit %d", bit), cr4, 1ULL << bit);
	for (bit = 0; bit < 64; bit++)
		SREGS(NAME("efer bit %d", bit), efer, 1ULL << bit);
	for (bit = 0; bit < 64; bit++)
		SREGS(NAME("apic base bit %d", bit), apic_base, 1ULL << bit);
	SREGS("apic base xapic", apic_base, 0xfee00900);
	SREGS("apic base x2apic", apic_base, 0xfee00d00);
	SREGS("apic base moved", apic_base, 0xfed00900);
	SREGS("cr0 paging", cr0, 0x80000001);
	SREGS("cr0 caches", cr0, 0x60000010);
	SREGS("cr3 bit 63", cr3, 1ULL << 63);
	SREGS("cr3 bit 52", cr3, 1ULL << 52);
	s = before;
	s.cr0 = 0x80000011;
	s.cr4 = 0x20;
	s.efer = 0x500;
	set_sregs(&vm, "long mode", &s);
	s.efer = 0x100;
	set_sregs(&vm, "long mode without lma", &s);
	s.efer = 0x500;
	s.cr4 = 0;
	set_sregs(&vm, "long mode without pae", &s);
	s = before;
	s.cs.l = 1;
	set_sregs(&vm, "64-bit code in real mode", &s);
	must(!ioctl(vm.cpu, KVM_SET_SREGS, &before), "sregs");
	must(!ioctl(vm.cpu, KVM_GET_SREGS2, &s2), "sregs2");
	s2.flags = 1;
	answer("sregs2 pdptrs in real mode", vm.cpu, KVM_SET_SREGS2, &s2);
	s2.flags = 2;
	answer("sregs2 flags 2", vm.cpu, KVM_SET_SREGS2, &s2);
	vm_free(&vm);
}

static void segments(void)
{
	struct vm vm = vm_new(NO_CHIPS);
	struct kvm_sregs before, s, now;
	int type;

	must(!ioctl(vm.cpu, KVM_GET_SREGS, &before), "sregs");
	for (type = 0; type < 16; type++) {
		s = before;
		s.ds.type = s.cs.type = s.ss.type = s.tr.type = type;
		s.ds.unusable = type & 1;
		s.ds.limit = 0x12345;
		s.ss.dpl = type & 3;
		s.cs.padding = 7;
		must(!ioctl(vm.cpu, KVM_SET_SREGS, &s), "sregs");
		must(!ioctl(vm.cpu, KVM_GET_SREGS, &now), "sregs");
		words(NAME("segments of type %d", type), &now,
		      offsetof(struct kvm_sregs, gdt));
	}
	vm_free(&vm);
}

static void extended_state(bool cpuid)
{
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };
	struct kvm_xsave xsave;
	struct kvm_fpu fpu;
	uint64_t *area = (uint64_t *)&xsave;
	int value, bit;

	if (cpuid)
		vm_set_cpuid(&vm);
	section("extended state %s", cpuid ? "with CPUID" : "without CPUID");
	for (value = 0; value < 8; value++) {
		xcrs.xcrs[0].value = value;
		answer(NAME("xcr0 %d", value), vm.cpu, KVM_SET_XCRS, &xcrs);
	}
	for (bit = 3; bit < 64; bit++) {
		xcrs.xcrs[0].value = 7 | 1ULL << bit;
		answer(NAME("xcr0 bit %d", bit), vm.cpu, KVM_SET_XCRS, &xcrs);
	}
	xcrs.xcrs[0] = (struct kvm_xcr){ .xcr = 1, .value = 1 };
	answer("xcr1", vm.cpu, KVM_SET_XCRS, &xcrs);
	xcrs.nr_xcrs = 0;
	answer("no xcr", vm.cpu, KVM_SET_XCRS, &xcrs);
	xcrs.nr_xcrs = 17;
	answer("17 xcrs", vm.cpu, KVM_SET_XCRS, &xcrs);
	xcrs.nr_xcrs = 1;
	xcrs.flags = 1;
	answer("xcrs flags", vm.cpu, KVM_SET_XCRS, &xcrs);
	for (bit = 0; bit < 64; bit++) {
		must(!ioctl(vm.cpu, KVM_GET_XSAVE, &xsave), "xsave");
		area[64] = 1ULL << bit;
		answer(NAME("xsave component %d", bit), vm.cpu, KVM_SET_XSAVE,
		       &xsave);
	}
	must(!ioctl(vm.cpu, KVM_GET_XSAVE, &xsave), "xsave");
	area[65] = 1ULL << 63;
	answer("xsave compacted", vm.cpu, KVM_SET_XSAVE, &xsave);
	area[65] = 0;
	area[64] = 3;
	area[3] = 0xffffffff;
	answer("xsave mxcsr", vm.cpu, KVM_SET_XSAVE, &xsave);
	must(!ioctl(vm.cpu, KVM_GET_FPU, &fpu), "fpu");
	fpu.mxcsr = 0xffffffff;
	fpu.fcw = 0xffff;
	fpu.ftwx = 0xff;
	answer("fpu mxcsr", vm.cpu, KVM_SET_FPU, &fpu);
	must(!ioctl(vm.cpu, KVM_GET_FPU, &fpu), "fpu");
	words("fpu then", &fpu, sizeof(fpu));
	vm_free(&vm);
}

static void debug_registers(void)
{
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_guest_debug debug = { 0 };
	struct kvm_debugregs d = { .flags = 1 };
	uint64_t values[] = { 0, 0xffffffff, 1ULL << 32 };
	int i;

	answer("debug registers flags", vm.cpu, KVM_SET_DEBUGREGS, &d);
	for (i = 0; i < 3; i++) {
		d = (struct kvm_debugregs){ .dr6 = values[i],
					    .db[0] = 1ULL << 63 };
		answer(NAME("dr6 %llx", (long long)values[i]), vm.cpu,
		       KVM_SET_DEBUGREGS, &d);
		d = (struct kvm_debugregs){ .dr7 = values[i] };
		answer(NAME("dr7 %llx", (long long)values[i]), vm.cpu,
		       KVM_SET_DEBUGREGS, &d);
		must(!ioctl(vm.cpu, KVM_GET_DEBUGREGS, &d), "debug registers");
		words("  then", &d, sizeof(d));
	}
	for (i = 0; i < 32; i++) {
		struct kvm_vcpu_events none = { 0 };

		debug.control = 1u << i;
		answer(NAME("guest debug bit %d", i), vm.cpu,
		       KVM_SET_GUEST_DEBUG, &debug);
		ioctl(vm.cpu, KVM_SET_VCPU_EVENTS, &none);
	}
	vm_free(&vm);
}

/* ---- events ---- */

static void show_events(struct vm *vm)
{
	struct kvm_vcpu_events ev;

	must(!ioctl(vm->cpu, KVM_GET_VCPU_EVENTS, &ev), "events");
	words("  then", &ev, sizeof(ev));
}

static void set_events(struct vm *vm, const char *what,
		       struct kvm_vcpu_events ev)
{
	struct kvm_vcpu_events none = { .flags = KVM_VCPUEVENT_VALID_SHADOW |
					KVM_VCPUEVENT_VALID_NMI_PENDING };

	if (!answer(what, vm->cpu, KVM_SET_VCPU_EVENTS, &ev))
		show_events(vm);
	must(!ioctl(vm->cpu, KVM_SET_VCPU_EVENTS, &none), "events");
}

#define EVENTS(what, ...)						\
	set_events(&vm, what, (struct kvm_vcpu_events){ __VA_ARGS__ })

static void events(bool payload)
{
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD,
				      .args[0] = 1 };
	int bit, nr;

	section("events %s", payload ? "with payloads" : "without payloads");
	if (payload)
		must(!ioctl(vm.fd, KVM_ENABLE_CAP, &cap), "payload");
	for (bit = 0; bit < 32; bit++)
		EVENTS(NAME("events flag %d", bit), .flags = 1u << bit);
	for (nr = 0; nr < 34; nr++)
		EVENTS(NAME("exception %d", nr), .exception = {
		       .injected = 1, .nr = nr });
	EVENTS("exception with code", .exception = {
	       .injected = 1, .nr = 13, .has_error_code = 1,
	       .error_code = 0x1234 });
	EVENTS("exception pending", .flags = KVM_VCPUEVENT_VALID_PAYLOAD,
	       .exception = { .pending = 1, .nr = 14 },
	       .exception_has_payload = 1, .exception_payload = 0x777);
	EVENTS("exception both", .flags = KVM_VCPUEVENT_VALID_PAYLOAD,
	       .exception = { .pending = 1, .injected = 1, .nr = 14 });
	EVENTS("interrupt", .interrupt = { .injected = 1, .nr = 77 });
	EVENTS("interrupt by software",
	       .interrupt = { .injected = 1, .nr = 77, .soft = 1 });
	EVENTS("shadow", .flags = KVM_VCPUEVENT_VALID_SHADOW,
	       .interrupt.shadow = 3);
	EVENTS("nmi", .flags = KVM_VCPUEVENT_VALID_NMI_PENDING,
	       .nmi = { .injected = 1, .pending = 9, .masked = 1 });
	EVENTS("sipi", .flags = KVM_VCPUEVENT_VALID_SIPI_VECTOR,
	       .sipi_vector = 0x99);
	EVENTS("latched init", .flags = KVM_VCPUEVENT_VALID_SMM,
	       .smi.latched_init = 1);
	vm_free(&vm);
}

/* ---- CPUID ---- */

static void set_cpuid(struct vm *vm, const char *what, uint32_t nent,
		      struct kvm_cpuid_entry2 first)
{
	struct l1_cpuid cpuid = { .head.nent = nent, .entries[0] = first };

	answer(what, vm->cpu, KVM_SET_CPUID2, &cpuid);
}

#define WIDTH(bits)	(struct kvm_cpuid_entry2){			\
	.function = 0x80000008, .eax = (bits) << 8 | 40 }

static void cpuid_arguments(void)
{
	struct vm vm = vm_new(ALL_CHIPS);
	struct l1_cpuid *cpuid, small = { .head.nent = 1 };
	int width;

	set_cpuid(&vm, "cpuid of none", 0, WIDTH(0));
	set_cpuid(&vm, "cpuid of 257", 257, WIDTH(0));
	for (width = 0; width < 65; width++)
		set_cpuid(&vm, NAME("cpuid linear %d", width), 1, WIDTH(width));
	answer("supported cpuid in 1", kvm, KVM_GET_SUPPORTED_CPUID, &small);
	fact("supported cpuid in 1 says", "%u", small.head.nent);
	small.head.nent = 0;
	answer("supported cpuid in 0", kvm, KVM_GET_SUPPORTED_CPUID, &small);
	vm_set_cpuid(&vm);
	small.head.nent = 1;
	answer("cpuid in 1", vm.cpu, KVM_GET_CPUID2, &small);
	fact("cpuid in 1 says", "%d", small.head.nent > 1);
	vm.run->immediate_exit = 1;
	ioctl(vm.cpu, KVM_RUN, 0);
	cpuid = cpuid_supported();
	answer("same cpuid after run", vm.cpu, KVM_SET_CPUID2, cpuid);
	cpuid->entries[0].ebx ^= 1;
	answer("other cpuid after run", vm.cpu, KVM_SET_CPUID2, cpuid);
	vm_free(&vm);
}

/* ---- kvm_run at an exit ---- */

static void show_run(struct vm *vm, const char *what)
{
	struct kvm_run *run = vm->run;
	struct kvm_regs regs;

	must(!ioctl(vm->cpu, KVM_GET_REGS, &regs), "regs");
	fact(what, "exit %u if %u ready %u cr8 %llx base %llx flags %x rip %llx",
	     run->exit_reason, run->if_flag, run->ready_for_interrupt_injection,
	     (unsigned long long)run->cr8, (unsigned long long)run->apic_base,
	     run->flags, (unsigned long long)regs.rip);
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		fact("  port", "%x out %u size %u count %u at %llx data %x",
		     run->io.port, run->io.direction, run->io.size,
		     run->io.count, (unsigned long long)run->io.data_offset,
		     run->io.direction ? *(uint32_t *)((char *)run +
						       run->io.data_offset) : 0);
		break;
	case KVM_EXIT_MMIO:
		fact("  mmio", "%llx len %u write %u",
		     (unsigned long long)run->mmio.phys_addr, run->mmio.len,
		     run->mmio.is_write);
		if (run->mmio.is_write)
			words("  data", run->mmio.data, run->mmio.len);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fact("  error", "%u", run->internal.suberror);
		break;
	}
}

static void steps(const char *what, enum chips kind, const void *code,
		  size_t size, int exits)
{
	struct vm vm = vm_new(kind);
	int ret, i;

	vm_set_cpuid(&vm);
	vm_code(&vm, code, size);
	for (i = 0; i < exits; i++) {
		ret = ioctl(vm.cpu, KVM_RUN, 0);
		fact(NAME("run %s", what), "%d", ret);
		show_run(&vm, NAME("run %s %d", what, i));
	}
	vm_free(&vm);
}

#define STEPS(what, kind, exits, ...)					\
	do {								\
		static const uint8_t code_[] = { __VA_ARGS__, 0xf4 };	\
		steps(what, kind, code_, sizeof(code_), exits);		\
	} while (0)

static void exits(void)
{
	STEPS("hlt", NO_CHIPS, 2, 0xfb, 0x90);
	STEPS("out al", NO_CHIPS, 2, 0xe6, 0x77);
	STEPS("out ax", NO_CHIPS, 2, 0xe7, 0x77);
	STEPS("out eax", NO_CHIPS, 2, 0x66, 0xe7, 0x77);
	STEPS("in al", NO_CHIPS, 2, 0xe4, 0x77);
	/* mov dx, 0x123; mov cx, 5000; rep outsb */
	STEPS("rep outsb", NO_CHIPS, 4, 0xba, 0x23, 0x01, 0xb9, 0x88, 0x13,
	      0xf3, 0x6e);
	/* the same, to memory */
	STEPS("rep insb", NO_CHIPS, 4, 0xba, 0x23, 0x01, 0xb9, 0x88, 0x13,
	      0xbf, 0x00, 0x20, 0xf3, 0x6c);
	/* mov ax, 0xf000; mov ds, ax; mov [0x10], eax; mov eax, [0x10] */
	STEPS("mmio", NO_CHIPS, 3, 0xb8, 0x00, 0xf0, 0x8e, 0xd8, 0x66, 0xa3,
	      0xf0, 0xff, 0xb8, 0xff, 0xff, 0x8e, 0xd8, 0x66, 0xa3, 0x10,
	      0x00, 0x66, 0xa1, 0x10, 0x00);
	/* fnsave [0x20] of memory that is not there */
	STEPS("mmio fnsave", NO_CHIPS, 2, 0xb8, 0xff, 0xff, 0x8e, 0xd8, 0xdd,
	      0x36, 0x20, 0x00);
	/* lidt of nothing, ud2 */
	STEPS("triple fault", NO_CHIPS, 2, 0x0f, 0x01, 0x1e, 0x00, 0x30, 0x0f,
	      0x0b);
	STEPS("int3", ALL_CHIPS, 0, 0xcc);
	/* sti; out with chips */
	STEPS("out with chips", ALL_CHIPS, 2, 0xfb, 0x90, 0xe6, 0x77, 0xe6,
	      0x77);
	STEPS("out with split chips", SPLIT_CHIPS, 2, 0xfb, 0x90, 0xe6, 0x77,
	      0xe6, 0x77);
}

static void run_arguments(void)
{
	struct vm vm = vm_new(NO_CHIPS);
	static const uint8_t hlt[] = { 0xf4 };
	int bit;

	vm_set_cpuid(&vm);
	for (bit = 0; bit < 5; bit++) {
		vm_code(&vm, hlt, 1);
		vm.run->kvm_valid_regs = 1 << bit;
		answer(NAME("run with valid register set %d", bit), vm.cpu,
		       KVM_RUN, 0);
		vm.run->kvm_dirty_regs = 1 << bit;
		answer(NAME("run with dirty register set %d", bit), vm.cpu,
		       KVM_RUN, 0);
		vm.run->kvm_valid_regs = vm.run->kvm_dirty_regs = 0;
	}
	vm_code(&vm, hlt, 1);
	vm.run->cr8 = 16;
	answer("run with cr8 16", vm.cpu, KVM_RUN, 0);
	vm.run->cr8 = 5;
	vm_code(&vm, hlt, 1);
	answer("run with cr8 5", vm.cpu, KVM_RUN, 0);
	show_run(&vm, "run with cr8 5 ends");
	vm.run->immediate_exit = 1;
	vm.run->exit_reason = 99;
	vm_code(&vm, hlt, 1);
	answer("run with immediate exit", vm.cpu, KVM_RUN, 0);
	show_run(&vm, "immediate exit");
	vm_free(&vm);
}

/* Numbers of hypercalls that exist or not; what is in RAX then. */
static void hypercalls(void)
{
	static const uint8_t code[] = { 0x0f, 0x01, 0xd9, 0xf4 };
	struct vm vm = vm_new(NO_CHIPS);
	struct kvm_regs regs;
	unsigned int nr;

	vm_set_cpuid(&vm);
	for (nr = 0; nr < 16; nr++) {
		vm_code(&vm, code, sizeof(code));
		must(!ioctl(vm.cpu, KVM_GET_REGS, &regs), "regs");
		regs.rax = nr;
		regs.rbx = 0x4000;
		must(!ioctl(vm.cpu, KVM_SET_REGS, &regs), "regs");
		must(!ioctl(vm.cpu, KVM_RUN, 0), "KVM_RUN");
		must(!ioctl(vm.cpu, KVM_GET_REGS, &regs), "regs");
		fact(NAME("hypercall %u", nr), "%d, exit %u", (int)regs.rax,
		     vm.run->exit_reason);
	}
	vm_free(&vm);
}

void run_answers(void)
{
	system_registers(false);
	system_registers(true);
	section("segments");
	segments();
	extended_state(false);
	extended_state(true);
	section("debug registers");
	debug_registers();
	events(false);
	events(true);
	section("cpuid");
	cpuid_arguments();
	section("exits");
	exits();
	section("arguments of KVM_RUN");
	run_arguments();
	section("hypercalls");
	hypercalls();
}
