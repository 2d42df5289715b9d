// SPDX-License-Identifier: GPL-2.0-only
/*
 * pveoi: a guest with PV EOI sends itself three interrupts of one vector, whose
 * handler ends them by the flag where it is set, by the LAPIC where not; then
 * three more, whose handler leaves to user space first. Prints how each ended,
 * and what was seen from user space: flags that were set, vectors in service.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "l1.h"

#define RAM_SIZE	0x10000
#define CODE		0x1000
#define FLAG		0x3000
#define VECTOR		0x41
#define APIC_ISR	0x100

extern const unsigned char guest[], handler[], guest_end[];

/* BL: ended by the flag, BH: by the LAPIC; BP: leave to user space first */
asm(".pushsection .rodata\n"
    ".code16\n"
    "guest:\n"
    "	movl $0x80f, %ecx\n"		/* x2APIC SVR: on */
    "	movl $0x1ff, %eax\n"
    "	xorl %edx, %edx\n"
    "	wrmsr\n"
    "	movb $0, 0x3000\n"		/* no fault on it later */
    "	sti\n"
    "1:	xorw %bx, %bx\n"
    "	movw $3, %si\n"
    "2:	movl $0x83f, %ecx\n"		/* SELF IPI */
    "	movl $0x41, %eax\n"
    "	wrmsr\n"
    "	nop\n"
    "	decw %si\n"
    "	jnz 2b\n"
    "	movw %bx, %ax\n"
    "	outw %ax, $0x10\n"
    "	incw %bp\n"
    "	jmp 1b\n"
    "handler:\n"
    "	testw %bp, %bp\n"
    "	jz 3f\n"
    "	outb %al, $0x11\n"
    "3:	btrw $0, 0x3000\n"
    "	jnc 4f\n"
    "	incb %bl\n"
    "	iret\n"
    "4:	incb %bh\n"
    "	movl $0x80b, %ecx\n"		/* EOI */
    "	xorl %eax, %eax\n"
    "	wrmsr\n"
    "	iret\n"
    "guest_end:\n"
    ".code64\n"
    ".popsection\n");

static void set_msr(int vcpu, unsigned int index, unsigned long long data)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { { .nmsrs = 1 }, { .index = index, .data = data } };

	if (CALL(vcpu, KVM_SET_MSRS, &msr) != 1)
		errx(1, "MSR %x", index);
}

static void set_up(int kvm, int vcpu, unsigned char *ram)
{
	struct l1_cpuid cpuid;
	unsigned short at[2] = { CODE + (handler - guest), 0 };

	memcpy(ram + CODE, guest, guest_end - guest);
	memcpy(ram + 4 * VECTOR, at, sizeof(at));
	l1_get_cpuid(kvm, &cpuid);
	CALL(vcpu, KVM_SET_CPUID2, &cpuid);
	l1_start_real_mode(vcpu, CODE, 0x800);
	set_msr(vcpu, 0x1b, 0xfee00d00);	/* x2APIC, first CPU */
	set_msr(vcpu, 0x4b564d04, FLAG | 1);
}

static int in_service(int vcpu)
{
	struct kvm_lapic_state lapic;

	CALL(vcpu, KVM_GET_LAPIC, &lapic);
	return lapic.regs[APIC_ISR + VECTOR / 32 * 16 + VECTOR % 32 / 8] >>
	       VECTOR % 8 & 1;
}

int main(void)
{
	int kvm = l1_open_kvm(), vm = CALL(kvm, KVM_CREATE_VM, 0);
	unsigned char *ram = l1_memory(RAM_SIZE);
	int vcpu, done = 0, flags = 0, vectors = 0;
	unsigned char ended[2][2];
	struct kvm_run *run;

	l1_set_slot(vm, 0, 0, 0, ram, RAM_SIZE);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	run = l1_map_run(kvm, vcpu);
	set_up(kvm, vcpu, ram);
	alarm(30);
	while (done < 2) {
		CALL(vcpu, KVM_RUN, 0);
		if (run->exit_reason != KVM_EXIT_IO)
			errx(1, "exit %u", run->exit_reason);
		if (run->io.port == 0x10) {
			memcpy(ended[done++], (char *)run + run->io.data_offset,
			       2);
			continue;
		}
		flags += ram[FLAG] & 1;
		vectors += in_service(vcpu);
	}
	printf("at once: skipped %u, written %u; after an exit: skipped %u, written %u, flag %d, in service %d\n",
	       ended[0][0], ended[0][1], ended[1][0], ended[1][1], flags,
	       vectors);
	return 0;
}
