// SPDX-License-Identifier: GPL-2.0-only
/*
 * asyncpf CASE: a guest with asynchronous page faults, on memory whose pages
 * this program hands out. Prints what the guest says, in order: "not present
 * N", N counting its #PFs, "ready N" or "ready all", "value N" of page N.
 *
 * one:     page 0 is missing; the guest hears of it, and when it comes.
 * two:     so is page 1, which the guest reads meanwhile, and which comes first.
 * deaf:    the guest has interrupts off, and just waits.
 * again:   the guest reads page 0 again while it is on its way, and waits.
 * masked:  only user mode may be interrupted, and the guest is in its kernel.
 * gone:    the page never comes, and the program ends.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "l1.h"

#define RAM_SIZE	0x10000
#define CODE		0x1000
#define WORDS		0x3000		/* flags, token */
#define IDT		0x4000
#define GDT		0x5000
#define STACK		0x7f00
#define TABLES		0x8000
#define MISSING		0x10000
#define PAGES		4
#define PAGE		4096
#define VECTOR		0x41
#define ANYWHERE	0xb		/* MSR 4b564d02: enable, by interrupt */
#define USER_ONLY	0x9
#define NO_ANSWER	100000		/* us until a page that is asked for */

extern const unsigned char guest[], page_fault[], ready[], guest_end[];

/*
 * Ports: 10 #PF with the token, 11 interrupt with the token, 12 value, 13 end,
 * 14 at the beginning. R12: what the first #PF does: 0 waits, 1 reads page 1,
 * 2 reads page 0 again. R13: for MSR 4b564d02.
 */
asm(".pushsection .rodata\n"
    "guest:\n"
    "	mov $0x80f, %ecx\n"		/* x2APIC SVR: on */
    "	mov $0x1ff, %eax\n"
    "	xor %edx, %edx\n"
    "	wrmsr\n"
    "	mov $0x4b564d06, %ecx\n"
    "	mov $0x41, %eax\n"
    "	wrmsr\n"
    "	mov $0x4b564d02, %ecx\n"
    "	mov %r13d, %eax\n"
    "	wrmsr\n"
    "	sti\n"
    "	nop\n"				/* the token for all comes here */
    "	nop\n"
    "	out %al, $0x14\n"
    "	movb 0x10000, %al\n"
    "	out %al, $0x12\n"
    "	out %al, $0x13\n"
    "page_fault:\n"
    "	movl $0, 0x3000\n"
    "	mov %cr2, %rax\n"
    "	out %eax, $0x10\n"
    "	mov %eax, %ebx\n"		/* the token we wait for */
    "	sti\n"
    "	cmp $1, %r12\n"
    "	jne 1f\n"
    "	xor %r12d, %r12d\n"
    "	push %rbx\n"
    "	movb 0x11000, %al\n"
    "	pop %rbx\n"
    "	out %al, $0x12\n"
    "1:	cmp $2, %r12\n"
    "	jne 2f\n"
    "	xor %r12d, %r12d\n"
    "	movb 0x10001, %al\n"
    "	out %al, $0x12\n"
    "2:	cli\n"
    "	cmp %ebx, 0x3010\n"		/* the last that is ready */
    "	je 3f\n"
    "	cmp %ebx, 0x3014\n"		/* and the one before */
    "	je 3f\n"
    "	sti\n"
    "	hlt\n"
    "	jmp 2b\n"
    "3:	add $8, %rsp\n"			/* the error code */
    "	iretq\n"
    "ready:\n"
    "	push %rax\n"
    "	push %rcx\n"
    "	push %rdx\n"
    "	mov 0x3004, %eax\n"
    "	mov 0x3010, %ecx\n"
    "	mov %ecx, 0x3014\n"
    "	mov %eax, 0x3010\n"
    "	out %eax, $0x11\n"
    "	movl $0, 0x3004\n"
    "	mov $0x4b564d07, %ecx\n"	/* ACK */
    "	mov $1, %eax\n"
    "	xor %edx, %edx\n"
    "	wrmsr\n"
    "	mov $0x80b, %ecx\n"		/* EOI */
    "	xor %eax, %eax\n"
    "	wrmsr\n"
    "	pop %rdx\n"
    "	pop %rcx\n"
    "	pop %rax\n"
    "	iretq\n"
    "guest_end:\n"
    ".popsection\n");

static int kvm, vcpu, uffd;
static struct kvm_run *run;
static unsigned char *ram, *missing;
static unsigned int tokens[8], nr_tokens;

/* ---- the memory whose pages come when we say so ---- */

static void open_missing(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	missing = l1_memory(PAGES * PAGE);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		err(1, "userfaultfd");
	CALL(uffd, UFFDIO_API, &api);
	reg.range.start = (uintptr_t)missing;
	reg.range.len = PAGES * PAGE;
	CALL(uffd, UFFDIO_REGISTER, &reg);
}

static void supply(int page)
{
	static unsigned char data[PAGE];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)missing + page * PAGE,
		.src = (uintptr_t)data, .len = PAGE,
	};

	memset(data, 0x50 + page, sizeof(data));
	CALL(uffd, UFFDIO_COPY, &copy);
}

/* For a vCPU that waits in KVM_RUN: the page comes a while later. */
static void *supply_soon(void *page)
{
	usleep(NO_ANSWER);
	supply((int)(intptr_t)page);
	return NULL;
}

static void soon(int page)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, supply_soon, (void *)(intptr_t)page))
		errx(1, "no thread");
	pthread_detach(thread);
}

/* ---- the guest ---- */

static void set_vector(int vector, const unsigned char *handler)
{
	uint64_t gate = (CODE + (handler - guest)) | 0x8e0000080000;

	memcpy(ram + IDT + 16 * vector, &gate, sizeof(gate));
}

static void set_memory(void)
{
	static const uint64_t gdt[] = { 0, 0xaf9b000000ffff, 0xcf93000000ffff };

	memcpy(ram + CODE, guest, guest_end - guest);
	memcpy(ram + GDT, gdt, sizeof(gdt));
	l1_identity_tables(ram, TABLES);
	set_vector(14, page_fault);
	set_vector(VECTOR, ready);
}

static void set_registers(const char *name)
{
	struct kvm_regs regs = {
		.rip = CODE, .rsp = STACK, .rflags = 2,
		.r12 = !strcmp(name, "two") ? 1 : !strcmp(name, "again") ? 2 : 0,
		.r13 = WORDS | (!strcmp(name, "masked") ? USER_ONLY : ANYWHERE),
	};
	struct kvm_sregs sregs;

	CALL(vcpu, KVM_GET_SREGS, &sregs);
	l1_flat_segments(&sregs, 64);
	sregs.gdt.base = GDT;
	sregs.gdt.limit = 23;
	sregs.idt.base = IDT;
	sregs.idt.limit = 0xfff;
	sregs.cr0 = 0x80000033;
	sregs.cr3 = TABLES;
	sregs.cr4 = 0x20;
	sregs.efer = 0x500;
	sregs.apic_base = 0xfee00d00;	/* x2APIC, first CPU */
	CALL(vcpu, KVM_SET_SREGS, &sregs);
	CALL(vcpu, KVM_SET_REGS, &regs);
}

static void set_up(const char *name)
{
	int vm = CALL(kvm, KVM_CREATE_VM, 0);
	struct l1_cpuid cpuid;

	l1_set_slot(vm, 0, 0, 0, ram, RAM_SIZE);
	l1_set_slot(vm, 1, 0, MISSING, missing, PAGES * PAGE);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	run = l1_map_run(kvm, vcpu);
	l1_get_cpuid(kvm, &cpuid);
	CALL(vcpu, KVM_SET_CPUID2, &cpuid);
	set_memory();
	set_registers(name);
}

static void interrupts_off(void)
{
	struct kvm_regs regs;

	CALL(vcpu, KVM_GET_REGS, &regs);
	regs.rflags &= ~0x200ULL;
	CALL(vcpu, KVM_SET_REGS, &regs);
}

static unsigned int number_of(unsigned int token)
{
	unsigned int i;

	for (i = 0; i < nr_tokens; i++)
		if (tokens[i] == token)
			return i + 1;
	return 0;
}

static unsigned int port_data(void)
{
	unsigned int data = 0;

	memcpy(&data, (char *)run + run->io.data_offset, run->io.size);
	return data;
}

/* The guest was told that a page is not there. */
static void not_present(const char *name)
{
	if (nr_tokens == 8)
		errx(1, "too many tokens");
	tokens[nr_tokens++] = port_data();
	printf("not present %u\n", nr_tokens);
	if (!strcmp(name, "gone")) {
		fflush(stdout);
		exit(0);
	}
	if (!strcmp(name, "one"))
		supply(0);
	if (!strcmp(name, "again"))
		soon(0);
	if (!strcmp(name, "two") && nr_tokens == 2)
		supply(1);
}

static void serve(const char *name)
{
	for (;;) {
		CALL(vcpu, KVM_RUN, 0);
		if (run->exit_reason != KVM_EXIT_IO)
			errx(1, "exit %u", run->exit_reason);
		switch (run->io.port) {
		case 0x10:
			not_present(name);
			break;
		case 0x11:
			if (port_data() == ~0U)
				printf("ready all\n");
			else
				printf("ready %u\n", number_of(port_data()));
			break;
		case 0x12:
			printf("value %u\n", port_data() - 0x50);
			if (!strcmp(name, "two") && port_data() == 0x51)
				supply(0);
			break;
		case 0x13:
			return;
		case 0x14:
			if (!strcmp(name, "deaf"))
				interrupts_off();
			if (!strcmp(name, "deaf") || !strcmp(name, "masked"))
				soon(0);
			break;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: asyncpf CASE");
	ram = l1_memory(RAM_SIZE);
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_missing();
	kvm = l1_open_kvm();
	set_up(argv[1]);
	alarm(30);
	serve(argv[1]);
	return 0;
}
