// SPDX-License-Identifier: GPL-2.0-only
/*
 * stihlt: an interrupt is pending when the guest does STI; HLT. It must be
 * taken after the HLT, not between the two, or the guest sleeps for ever.
 * Prints how many interrupts the guest counted.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "l1.h"

#define RAM_SIZE	0x10000
#define CODE		0x1000
#define HANDLER		0x1100
#define RAISE		0x300	/* ports: the line goes up, down; the count */
#define LOWER		0x301
#define REPORT		0x302
#define GSI		4

static const unsigned char code[] = {
	0xb0, 0x11, 0xe6, 0x20,		/* 8259: ICW1 */
	0xb0, 0x20, 0xe6, 0x21,		/* ICW2: vectors from 20h */
	0xb0, 0x04, 0xe6, 0x21,		/* ICW3 */
	0xb0, 0x01, 0xe6, 0x21,		/* ICW4 */
	0xb0, 0xef, 0xe6, 0x21,		/* only line 4 */
	0xb9, 0x03, 0x00,		/* mov cx, 3 */
	0xba, 0x00, 0x03,		/* 1: mov dx, RAISE */
	0xee,				/* out dx, al */
	0xfb,				/* sti, first after an entry */
	0xf4,				/* hlt */
	0xfa,				/* cli */
	0xe2, 0xf7,			/* loop 1b */
	0xba, 0x02, 0x03,		/* mov dx, REPORT */
	0x88, 0xd8,			/* mov al, bl */
	0xee,				/* out dx, al */
};

static const unsigned char handler[] = {
	0xfe, 0xc3,			/* inc bl */
	0x52,				/* push dx */
	0xba, 0x01, 0x03,		/* mov dx, LOWER */
	0xee,				/* out dx, al */
	0xb0, 0x20, 0xe6, 0x20,		/* EOI */
	0x5a,				/* pop dx */
	0xcf,				/* iret */
};

static void set_line(int vm, int level)
{
	struct kvm_irq_level line = { .irq = GSI, .level = level };

	CALL(vm, KVM_IRQ_LINE, &line);
}

static void load(unsigned char *ram)
{
	unsigned short vector[2] = { HANDLER, 0 };

	memcpy(ram + CODE, code, sizeof(code));
	memcpy(ram + HANDLER, handler, sizeof(handler));
	memcpy(ram + 4 * (0x20 + GSI), vector, sizeof(vector));
}

int main(void)
{
	int kvm = l1_open_kvm();
	int vm = CALL(kvm, KVM_CREATE_VM, 0);
	unsigned char *ram = l1_memory(RAM_SIZE);
	struct kvm_run *run;
	int vcpu;

	load(ram);
	l1_set_slot(vm, 0, 0, 0, ram, RAM_SIZE);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	run = l1_map_run(kvm, vcpu);
	l1_start_real_mode(vcpu, CODE, 0x800);

	alarm(10);		/* asleep for ever ends by SIGALRM */
	while (!ioctl(vcpu, KVM_RUN, 0) && run->exit_reason == KVM_EXIT_IO) {
		if (run->io.port == REPORT) {
			printf("%d\n", *((unsigned char *)run + run->io.data_offset));
			return 0;
		}
		set_line(vm, run->io.port == RAISE);
	}
	perror("KVM_RUN");
	return 1;
}
