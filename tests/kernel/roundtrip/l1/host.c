// SPDX-License-Identifier: GPL-2.0-only
/*
 * roundtrip [-n] GUEST: runs GUEST, and after each of its exits moves it to a
 * fresh VM (-n: leaves it where it is). All state is read, set, read again and
 * compared, and the guest checks it from inside. Says how many moves it made.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "l1.h"
#include "shared.h"

#define RAM		0x200000
#define PML4		0x1000
#define PATIENCE	120		/* seconds, for all of it */
#define MAX_MSRS	256
#define MSR_TSC		0x10
#define MSR_APICBASE	0x1b
#define MSR_DEADLINE	0x6e0
#define MTRR_VAR	0x200		/* 16 of them */

static int kvm_fd;
static uint8_t *ram;
static struct l1_cpuid cpuid;
static struct {
	struct kvm_msr_list head;
	uint32_t index[MAX_MSRS];
} msr_list;

struct machine {
	int vm, vcpu;
	struct kvm_run *run;
};

struct msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[MAX_MSRS];
};

/* Everything, in the order in which it is set. */
struct state {
	struct kvm_sregs sregs;
	struct msrs msrs;
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_irqchip chip[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct kvm_regs regs;
	struct kvm_mp_state mp;
	struct kvm_vcpu_events events;
};

/* ---- a machine ---- */

static struct machine new_machine(void)
{
	struct kvm_pit_config pit = { .flags = 0 };
	struct machine m;

	m.vm = CALL(kvm_fd, KVM_CREATE_VM, 0);
	l1_set_slot(m.vm, 0, 0, 0, ram, RAM);
	CALL(m.vm, KVM_CREATE_IRQCHIP, 0);
	CALL(m.vm, KVM_CREATE_PIT2, &pit);
	m.vcpu = CALL(m.vm, KVM_CREATE_VCPU, 0);
	m.run = l1_map_run(kvm_fd, m.vcpu);
	CALL(m.vcpu, KVM_SET_CPUID2, &cpuid);
	return m;
}

static void end_machine(struct machine *m)
{
	munmap(m->run, l1_run_size(kvm_fd));
	close(m->vcpu);
	close(m->vm);
}

/* ---- its state ---- */

static void get_msrs(struct machine *m, struct msrs *msrs)
{
	uint32_t i, n = msr_list.head.nmsrs;

	msrs->head.nmsrs = n;
	for (i = 0; i < n; i++)
		msrs->entry[i].index = msr_list.index[i];
	if (ioctl(m->vcpu, KVM_GET_MSRS, msrs) != (int)n)
		errx(1, "KVM_GET_MSRS: not all of them");
}

static void set_msrs(struct machine *m, struct msrs *msrs)
{
	int n = ioctl(m->vcpu, KVM_SET_MSRS, msrs);

	if (n != (int)msrs->head.nmsrs)
		errx(1, "KVM_SET_MSRS: not MSR %x", msrs->entry[n].index);
}

static void set_one_msr(struct machine *m, const struct msrs *from,
			uint32_t index)
{
	struct msrs one = { .head.nmsrs = 1 };
	uint32_t i;

	for (i = 0; i < from->head.nmsrs; i++)
		if (from->entry[i].index == index) {
			one.entry[0] = from->entry[i];
			set_msrs(m, &one);
		}
}

static void get_state(struct machine *m, struct state *s)
{
	int i;

	memset(s, 0, sizeof(*s));
	CALL(m->vcpu, KVM_GET_MP_STATE, &s->mp);
	CALL(m->vcpu, KVM_GET_VCPU_EVENTS, &s->events);
	CALL(m->vcpu, KVM_GET_REGS, &s->regs);
	CALL(m->vcpu, KVM_GET_SREGS, &s->sregs);
	CALL(m->vcpu, KVM_GET_XCRS, &s->xcrs);
	CALL(m->vcpu, KVM_GET_XSAVE, &s->xsave);
	CALL(m->vcpu, KVM_GET_DEBUGREGS, &s->debugregs);
	CALL(m->vcpu, KVM_GET_LAPIC, &s->lapic);
	for (i = 0; i < 3; i++) {
		s->chip[i].chip_id = i;
		CALL(m->vm, KVM_GET_IRQCHIP, &s->chip[i]);
	}
	CALL(m->vm, KVM_GET_PIT2, &s->pit);
	CALL(m->vm, KVM_GET_CLOCK, &s->clock);
	get_msrs(m, &s->msrs);
}

static void set_state(struct machine *m, struct state *s)
{
	struct kvm_clock_data clock = { .clock = s->clock.clock };
	int i;

	CALL(m->vcpu, KVM_SET_SREGS, &s->sregs);
	CALL(m->vm, KVM_SET_CLOCK, &clock);
	set_msrs(m, &s->msrs);
	CALL(m->vcpu, KVM_SET_XCRS, &s->xcrs);
	CALL(m->vcpu, KVM_SET_XSAVE, &s->xsave);
	CALL(m->vcpu, KVM_SET_DEBUGREGS, &s->debugregs);
	for (i = 0; i < 3; i++)
		CALL(m->vm, KVM_SET_IRQCHIP, &s->chip[i]);
	CALL(m->vm, KVM_SET_PIT2, &s->pit);
	CALL(m->vcpu, KVM_SET_LAPIC, &s->lapic);
	set_one_msr(m, &s->msrs, MSR_DEADLINE);	/* the LAPIC's mode first */
	CALL(m->vcpu, KVM_SET_REGS, &s->regs);
	CALL(m->vcpu, KVM_SET_MP_STATE, &s->mp);
	CALL(m->vcpu, KVM_SET_VCPU_EVENTS, &s->events);
}

/* ---- comparing ---- */

static void same(const char *what, const void *a, const void *b, size_t size)
{
	const uint8_t *x = a, *y = b;
	size_t i;

	for (i = 0; i < size; i++)
		if (x[i] != y[i])
			errx(1, "%s differs at byte %zu: %02x, then %02x",
			     what, i, x[i], y[i]);
}

#define SAME(member) same(#member, &a->member, &b->member, sizeof(a->member))

/* Values that go on by themselves; the guest checks those. */
static void forget_time(struct state *s)
{
	uint32_t i;

	memset(s->lapic.regs + 0x390, 0, 4);
	for (i = 0; i < s->msrs.head.nmsrs; i++)
		if (s->msrs.entry[i].index == MSR_TSC)
			s->msrs.entry[i].data = 0;
	for (i = 0; i < 3; i++)
		s->pit.channels[i].count_load_time = 0;
}

static void compare(struct state *a, struct state *b)
{
	uint32_t i;

	if (b->clock.clock < a->clock.clock)
		errx(1, "the clock went back");
	forget_time(a);
	forget_time(b);
	SAME(regs);
	SAME(sregs);
	for (i = 0; i < a->msrs.head.nmsrs; i++)
		if (a->msrs.entry[i].data != b->msrs.entry[i].data)
			errx(1, "MSR %x: %llx, then %llx",
			     a->msrs.entry[i].index,
			     (unsigned long long)a->msrs.entry[i].data,
			     (unsigned long long)b->msrs.entry[i].data);
	SAME(xcrs);
	SAME(xsave);
	SAME(debugregs);
	SAME(lapic);
	SAME(chip);
	SAME(pit);
	SAME(events);
	SAME(mp);
}

/* ---- moving ---- */

static void step_out(struct machine *m)
{
	m->run->immediate_exit = 1;
	if (!ioctl(m->vcpu, KVM_RUN, 0) || errno != EINTR)
		errx(1, "the port write was not finished at once");
	m->run->immediate_exit = 0;
}

static void move(struct machine *m)
{
	static struct state before, after;
	struct machine fresh = new_machine();

	get_state(m, &before);
	set_state(&fresh, &before);
	get_state(&fresh, &after);
	/* A timer may fire in between, and then it is no longer the same. */
	if (after.lapic.regs[0x220] == before.lapic.regs[0x220])
		compare(&before, &after);
	end_machine(m);
	*m = fresh;
}

static void line(struct machine *m, uint32_t level)
{
	struct kvm_irq_level l = { .irq = LINE_GSI, .level = level };

	CALL(m->vm, KVM_IRQ_LINE, &l);
}

/* The guest is about to halt: move it while it does. */
static void move_halted(struct machine *m, bool stay)
{
	struct itimerval soon = { .it_value.tv_usec = 300000 };

	setitimer(ITIMER_REAL, &soon, NULL);
	if (!ioctl(m->vcpu, KVM_RUN, 0) || errno != EINTR)
		errx(1, "no EINTR while halted: exit %u", m->run->exit_reason);
	if (!stay)
		move(m);
	line(m, 1);
}

static void after_step(struct machine *m, uint32_t value, bool stay)
{
	if (value == ASK_LINE_UP || value == ASK_LINE_DOWN)
		line(m, value == ASK_LINE_UP);
	if (value == ASK_NMI)
		CALL(m->vcpu, KVM_NMI, 0);
	step_out(m);
	if (!stay)
		move(m);
	if (value == ASK_WAKE)
		move_halted(m, stay);
}

/* ---- the first machine ---- */

/* MTRRs are not in the list: whoever shows them in CPUID saves them. */
static void list_msrs(void)
{
	static const uint32_t mtrrs[] = {
		0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d,
		0x26e, 0x26f, 0x277, 0x2ff,
	};
	const uint32_t fixed = sizeof(mtrrs) / sizeof(mtrrs[0]);
	uint32_t i, n;

	msr_list.head.nmsrs = MAX_MSRS - fixed - 16;
	CALL(kvm_fd, KVM_GET_MSR_INDEX_LIST, &msr_list);
	n = msr_list.head.nmsrs;
	for (i = 0; i < 16; i++)
		msr_list.index[n++] = MTRR_VAR + i;
	for (i = 0; i < fixed; i++)
		msr_list.index[n++] = mtrrs[i];
	msr_list.head.nmsrs = n;
}

/* The LAPIC's TSC deadline is a capability, and ours to show in CPUID. */
static void get_cpuid(void)
{
	uint32_t i;

	l1_get_cpuid(kvm_fd, &cpuid);
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == 1)
			cpuid.entries[i].ecx |= 1 << 24;
}

static void load(const char *name)
{
	static uint8_t file[0x40000];
	const Elf64_Ehdr *head = (const void *)file;
	const Elf64_Phdr *p = (const void *)(file + sizeof(*head));
	int i, fd = open(name, O_RDONLY);

	if (fd < 0 || read(fd, file, sizeof(file)) < (int)sizeof(*head))
		err(1, "%s", name);
	for (i = 0; i < head->e_phnum; i++, p++)
		if (p->p_type == PT_LOAD)
			memcpy(ram + p->p_paddr, file + p->p_offset,
			       p->p_filesz);
	close(fd);
	*(uint64_t *)ram = head->e_entry;
}

static void start(struct machine *m)
{
	struct kvm_regs regs = {
		.rip = *(uint64_t *)ram, .rsp = STACK_TOP - 8, .rflags = 2,
	};
	struct kvm_sregs s;

	l1_identity_tables(ram, PML4);
	CALL(m->vcpu, KVM_GET_SREGS, &s);
	l1_flat_segments(&s, 64);
	s.cr3 = PML4;
	s.cr4 = 0x40620;		/* OSXSAVE, OSXMMEXCPT, OSFXSR, PAE */
	s.efer = 0x500;
	s.cr0 = 0x80000033;
	CALL(m->vcpu, KVM_SET_SREGS, &s);
	CALL(m->vcpu, KVM_SET_REGS, &regs);
}

/*
 * Far from 0, where a VM is created: a TSC that user space sets within a second
 * of that is taken for the same one, and then time would go back with a move.
 */
static void start_tsc(struct machine *m)
{
	struct msrs tsc = {
		.head.nmsrs = 1,
		.entry[0] = { .index = MSR_TSC, .data = 1ULL << 40 },
	};

	set_msrs(m, &tsc);
}

static void wake(int sig)
{
	(void)sig;
}

static void give_up(int sig)
{
	(void)sig;
	_exit(3);
}

static uint32_t run(struct machine *m, uint16_t *port)
{
	uint32_t value;

	if (ioctl(m->vcpu, KVM_RUN, 0))
		err(1, "KVM_RUN");
	if (m->run->exit_reason != KVM_EXIT_IO || m->run->io.size != 4)
		errx(1, "exit %u", m->run->exit_reason);
	*port = m->run->io.port;
	memcpy(&value, (uint8_t *)m->run + m->run->io.data_offset, 4);
	return value;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = wake };
	bool stay = argc == 3 && !strcmp(argv[1], "-n");
	struct machine m;
	unsigned int steps = 0;
	uint32_t value;
	uint16_t port;

	if (argc != 2 + stay)
		errx(2, "usage: roundtrip [-n] GUEST");
	sigaction(SIGALRM, &action, NULL);
	action.sa_handler = give_up;
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &(struct itimerval){ .it_value.tv_sec =
						       PATIENCE }, NULL);
	kvm_fd = l1_open_kvm();
	ram = l1_memory(RAM);
	get_cpuid();
	list_msrs();
	load(argv[argc - 1]);
	m = new_machine();
	start(&m);
	start_tsc(&m);
	while ((value = run(&m, &port)), port == PORT_STEP) {
		steps++;
		after_step(&m, value, stay);
	}
	if (port != PORT_DONE)
		errx(1, "the guest noticed: line or MSR %u (%#x) after %u steps",
		     value, value, steps);
	printf("%u moves\n", stay ? 0 : steps);
	return 0;
}
