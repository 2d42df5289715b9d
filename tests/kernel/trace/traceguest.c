// SPDX-License-Identifier: GPL-2.0-only
/*
 * traceguest [N [SPINS]]: run the guest of payload.S N times (once), with a
 * loop of SPINS rounds (none) at its start; exits with 0.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "l1.h"

#define BASE	0x1000
#define GDT	0x2000
#define IDT	0x3000
#define SPINS	0x7010
#define RAM	0x10000
#define CODE	0x00cf9b000000ffffULL
#define DATA	0x00cf93000000ffffULL

extern const uint8_t payload[], payload_end[];
extern const uint32_t handlers[][2];

static void fill_memory(uint8_t *ram, uint32_t spins)
{
	const uint64_t gdt[] = { 0, CODE, DATA };
	int i;

	memcpy(ram + BASE, payload, payload_end - payload);
	memcpy(ram + GDT, gdt, sizeof(gdt));
	memcpy(ram + SPINS, &spins, sizeof(spins));
	for (i = 0; handlers[i][0]; i++) {
		uint32_t to = handlers[i][1];
		uint64_t gate = (to & 0xffff) | 8 << 16 | 0x8e0000000000ULL |
				(uint64_t)(to >> 16) << 48;

		memcpy(ram + IDT + 8 * handlers[i][0], &gate, sizeof(gate));
	}
}

static void set_cpuid(int vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry;
	} cpuid = {
		.head.nent = 1,
		.entry = { .function = 0x40000000, .eax = 0x40000001,
			   .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d },
	};

	CALL(vcpu, KVM_SET_CPUID2, &cpuid);
}

static void set_registers(int vcpu)
{
	struct kvm_regs regs = { .rip = BASE, .rsp = 0x8000, .rflags = 2 };
	struct kvm_sregs sregs;

	CALL(vcpu, KVM_GET_SREGS, &sregs);
	l1_flat_segments(&sregs, 32);
	sregs.gdt.base = GDT;
	sregs.gdt.limit = 23;
	sregs.idt.base = IDT;
	sregs.idt.limit = 0x7ff;
	sregs.cr0 = 0x11;
	CALL(vcpu, KVM_SET_SREGS, &sregs);
	CALL(vcpu, KVM_SET_REGS, &regs);
}

static void raise_interrupts(int vm)
{
	struct kvm_irq_level line = { .irq = 5, .level = 1 };
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x46 };

	CALL(vm, KVM_IRQ_LINE, &line);
	line.level = 0;
	CALL(vm, KVM_IRQ_LINE, &line);
	CALL(vm, KVM_SIGNAL_MSI, &msi);
}

/* 1: go on; 0: the guest is done */
static int handle_exit(int vm, struct kvm_run *run)
{
	uint8_t *io = (uint8_t *)run + run->io.data_offset;
	uint32_t answer = 0x55667788;

	if (run->exit_reason == KVM_EXIT_MMIO) {
		if (!run->mmio.is_write)
			memcpy(run->mmio.data, &answer, sizeof(answer));
		return 1;
	}
	if (run->exit_reason != KVM_EXIT_IO) {
		fprintf(stderr, "exit reason %u\n", run->exit_reason);
		exit(1);
	}
	if (run->io.direction == KVM_EXIT_IO_IN)
		*io = 0xa5;
	else if (run->io.port == 0x82)
		raise_interrupts(vm);
	return run->io.port != 0xf0;
}

static void run_guest(int kvm, uint32_t spins)
{
	int vm = CALL(kvm, KVM_CREATE_VM, 0), vcpu;
	uint8_t *ram = l1_memory(RAM);
	struct kvm_run *run;

	CALL(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	l1_set_slot(vm, 0, 0, 0, ram, RAM);
	fill_memory(ram, spins);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	run = l1_map_run(kvm, vcpu);
	set_cpuid(vcpu);
	set_registers(vcpu);
	do {
		CALL(vcpu, KVM_RUN, 0);
	} while (handle_exit(vm, run));
	munmap(run, l1_run_size(kvm));
	munmap(ram, RAM);
	close(vcpu);
	close(vm);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	uint32_t spins = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	int kvm = l1_open_kvm();

	while (n--)
		run_guest(kvm, spins);
	return 0;
}
