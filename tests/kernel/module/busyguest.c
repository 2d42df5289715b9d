// SPDX-License-Identifier: GPL-2.0-only
/*
 * busyguest FILE: a guest of two vCPUs that works until something is wrong. One
 * sleeps between its rounds until the PIT's next interrupt, the other never
 * does. Each sees that its TSC never goes back, and the host that no round is
 * missing, and that what KVM_GET_MSRS says of the TSC and KVM_GET_CLOCK of the
 * time does not go back. FILE always holds how many rounds each has done.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "l1.h"

#define RAM_SIZE	0x10000
#define CODE		0x1000
#define STATE		0x500	/* of vCPU 0; the other's is 100h further */
#define ROUND		0x80	/* port: a round is done, and its number */
#define BACK		0x84	/* port: the TSC went back */
#define TSC		0x10

/* BX: a counter, the last TSC, the number of rounds. */
asm(".pushsection .rodata\n"
    ".code16\n"
    "guest:\n"
    "	cmpw	$0x500, %bx\n"
    "	jne	3f\n"
    /* Vector 20h is the PIT's; 100 interrupts a second. */
    "	movw	$(0x1000 + tick - guest), 0x80\n"
    "	movw	$0, 0x82\n"
    "	movb	$0x11, %al\n	outb	%al, $0x20\n"
    "	movb	$0x20, %al\n	outb	%al, $0x21\n"
    "	movb	$0x04, %al\n	outb	%al, $0x21\n"
    "	movb	$0x01, %al\n	outb	%al, $0x21\n"
    "	movb	$0xfe, %al\n	outb	%al, $0x21\n"
    "	movb	$0x34, %al\n	outb	%al, $0x43\n"
    "	movb	$0x9c, %al\n	outb	%al, $0x40\n"
    "	movb	$0x2e, %al\n	outb	%al, $0x40\n"
    "1:	call	4f\n"
    "	sti\n"
    "	hlt\n"
    "	jmp	1b\n"
    "3:	call	4f\n"
    "	jmp	3b\n"
    "4:\n"
    "	movl	$20000, %ecx\n"
    "2:	addl	$1, (%bx)\n"
    "	decl	%ecx\n"
    "	jnz	2b\n"
    "	rdtsc\n"
    "	cmpl	8(%bx), %edx\n"
    "	jb	6f\n"
    "	ja	5f\n"
    "	cmpl	4(%bx), %eax\n"
    "	jb	6f\n"
    "5:	movl	%eax, 4(%bx)\n"
    "	movl	%edx, 8(%bx)\n"
    "	incl	12(%bx)\n"
    "	movl	12(%bx), %eax\n"
    "	outl	%eax, $0x80\n"
    "	ret\n"
    "6:	outl	%eax, $0x84\n"
    "	hlt\n"
    "tick:\n"
    "	pushw	%ax\n"
    "	movb	$0x20, %al\n"
    "	outb	%al, $0x20\n"
    "	popw	%ax\n"
    "	iretw\n"
    "guest_end:\n"
    ".code64\n"
    ".popsection\n");
extern const char guest[], guest_end[];

struct worker {
	pthread_t thread;
	int index, fd;
	struct kvm_run *run;
	uint32_t rounds;
	uint64_t tsc, clock;
};

static struct worker workers[2];
static int vm, progress;

static void tell(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%10u %10u\n", workers[0].rounds,
		 workers[1].rounds);
	if (pwrite(progress, text, strlen(text), 0) < 0)
		perror("progress");
}

static void look_at_tsc(struct worker *w)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} tsc = { .head.nmsrs = 1, .entry.index = TSC };

	CALL(w->fd, KVM_GET_MSRS, &tsc);
	if ((int64_t)(tsc.entry.data - w->tsc) < 0) {
		fprintf(stderr, "busyguest: vCPU %d: TSC %#llx after %#llx\n",
			w->index, (unsigned long long)tsc.entry.data,
			(unsigned long long)w->tsc);
		exit(1);
	}
	w->tsc = tsc.entry.data;
}

static void look_at_clock(struct worker *w)
{
	struct kvm_clock_data data;

	CALL(vm, KVM_GET_CLOCK, &data);
	if (data.clock < w->clock) {
		fprintf(stderr, "busyguest: vCPU %d: clock %llu after %llu\n",
			w->index, (unsigned long long)data.clock,
			(unsigned long long)w->clock);
		exit(1);
	}
	w->clock = data.clock;
}

static void round_done(struct worker *w)
{
	uint32_t said;

	memcpy(&said, (char *)w->run + w->run->io.data_offset, 4);
	if (w->run->exit_reason != KVM_EXIT_IO || w->run->io.port != ROUND ||
	    said != w->rounds + 1) {
		fprintf(stderr, "busyguest: vCPU %d: exit %u, port %#x, round %u after %u\n",
			w->index, w->run->exit_reason, w->run->io.port, said,
			w->rounds);
		exit(1);
	}
	w->rounds = said;
	look_at_tsc(w);
	look_at_clock(w);
	if (w->index == 0 || said % 16 == 0)
		tell();
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		if (!ioctl(w->fd, KVM_RUN, 0))
			round_done(w);
		else if (errno != EINTR && errno != EAGAIN)
			err(1, "KVM_RUN");
	}
	return NULL;
}

static void start(struct worker *w, int kvm)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs;

	w->fd = CALL(vm, KVM_CREATE_VCPU, w->index);
	w->run = l1_map_run(kvm, w->fd);
	l1_start_real_mode(w->fd, CODE, 0x900 + 0x100 * w->index);
	CALL(w->fd, KVM_GET_REGS, &regs);
	regs.rbx = STATE + 0x100 * w->index;
	CALL(w->fd, KVM_SET_REGS, &regs);
	CALL(w->fd, KVM_SET_MP_STATE, &runnable);
}

int main(int argc, char **argv)
{
	struct kvm_pit_config pit = { 0 };
	int kvm = l1_open_kvm(), i;
	char *ram = l1_memory(RAM_SIZE);

	progress = argc == 2 ? open(argv[1], O_CREAT | O_WRONLY, 0644) : -1;
	if (progress < 0)
		err(1, "busyguest FILE");
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	memcpy(ram + CODE, guest, guest_end - guest);
	l1_set_slot(vm, 0, 0, 0, ram, RAM_SIZE);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	CALL(vm, KVM_CREATE_PIT2, &pit);
	for (i = 0; i < 2; i++) {
		workers[i].index = i;
		start(&workers[i], kvm);
	}
	for (i = 0; i < 2; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			err(1, "pthread_create");
	pause();
	return 1;
}
