// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs short pieces of guest code over the KVM ABI and prints every exit.
 *
 * Standard input holds one case a line: NAME MODE CODE [REG=VALUE]... with MODE
 * 16, 32 or 64, CODE in hex. The code runs at 1000 and ends with HLT. Exceptions
 * arrive at HLTs at 5000 + 16 * vector. Besides registers: at=ADDRESS moves the
 * code, step=1 single-steps, moverip=ADDRESS moves RIP at the first exit,
 * bp=ADDRESS sets a debugger's breakpoint until it is hit, csbase=ADDRESS gives
 * CS a base, levels=5 pages with five levels and maps all a second time at 2^48,
 * msrs=1 sends unknown MSRs here, nmi=1 sends an NMI in the shadow of an STI,
 * event=N hands in exception N as being delivered. twin=1 makes a device of
 * 10000000..1000ffff that answers as memory at 0..ffff would, and twin=2 memory:
 * instead of these exits the trace has their number, and the bytes at 9000..afff.
 * "TF" after an exit: KVM_GET_REGS shows a flag that the guest never set.
 * Memory: RAM 0..9ffff and 100000..1fffff, read-only slot c0000..cffff; the rest
 * is user space's, and answers reads with bytes that count up. At the end come
 * the registers that changed, also the debug registers, and the bytes at 7000 that
 * are not 0.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "l1.h"

#define RAM		0x200000
#define CODE		0x1000
#define GDT		0x3000
#define IDT		0x4000
#define HANDLERS	0x5000
#define PAGE_TABLES	0x10000
#define FIFTH_LEVEL	0x16000
#define WINDOW		0x7000	/* 16 bytes that the trace shows */
#define TWIN		0x10000000
#define TWIN_SHOWN	0x9000	/* two pages */
#define MAX_EXITS	60
#define MAX_TWIN_EXITS	5000
#define PATIENCE	10	/* seconds, for one case */
#define NR_REGS		18

static const char *const reg_names[NR_REGS] = {
	"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9",
	"r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"
};

struct test {
	int mode;
	uint8_t code[256];
	size_t code_len;
	uint64_t at, step, moverip, bp, csbase, msrs, nmi, event, twin, levels;
	union {
		struct kvm_regs regs;
		uint64_t reg[NR_REGS];
	};
};

static uint8_t *ram;
static int kvm_fd, vm, vcpu;
static struct kvm_run *run;
static unsigned int answers, twin_exits;

static void set_slot(uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size)
{
	l1_set_slot(vm, slot, flags, gpa, ram + gpa, size);
}

static void new_vm(void)
{
	static struct l1_cpuid cpuid;

	ram = l1_memory(RAM);
	vm = CALL(kvm_fd, KVM_CREATE_VM, 0);
	set_slot(0, 0, 0, 0xa0000);
	set_slot(1, KVM_MEM_READONLY, 0xc0000, 0x10000);
	set_slot(2, 0, 0x100000, 0x100000);
	vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
	run = l1_map_run(kvm_fd, vcpu);
	l1_get_cpuid(kvm_fd, &cpuid);
	CALL(vcpu, KVM_SET_CPUID2, &cpuid);
}

static void end_vm(void)
{
	munmap(run, l1_run_size(kvm_fd));
	close(vcpu);
	close(vm);
	munmap(ram, RAM);
}

/* ---- the guest's tables ---- */

static void put64(uint64_t at, uint64_t value)
{
	memcpy(ram + at, &value, 8);
}

/*
 * 4 GiB one to one in 2 MiB pages; 600000..7fffff is absent, 1000000 is 0 again,
 * and the twin, if it is memory
 */
static void build_page_tables(bool twin_memory)
{
	uint64_t i;

	put64(PAGE_TABLES, (PAGE_TABLES + 0x1000) | 7);
	put64(FIFTH_LEVEL, PAGE_TABLES | 7);
	put64(FIFTH_LEVEL + 8, PAGE_TABLES | 7);
	for (i = 0; i < 4; i++)
		put64(PAGE_TABLES + 0x1000 + 8 * i,
		      (PAGE_TABLES + 0x2000 + 0x1000 * i) | 7);
	for (i = 0; i < 2048; i++)
		put64(PAGE_TABLES + 0x2000 + 8 * i,
		      i == 3 ? 0 : i == 8 ? 0x87 : i << 21 | 0x87);
	if (twin_memory)
		put64(PAGE_TABLES + 0x2000 + 8 * (TWIN >> 21), 0x87);
}

static void build_handlers(int mode)
{
	uint64_t i, at;

	memset(ram + HANDLERS, 0xf4, 0x1000);
	put64(GDT + 8, mode == 64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	put64(GDT + 16, 0x00cf93000000ffff);
	for (i = 0; i < 64; i++) {
		at = HANDLERS + 16 * i;
		if (mode == 16) {
			memcpy(ram + 4 * i, &(uint32_t){ at }, 4);
		} else if (mode == 32) {
			put64(IDT + 8 * i, at | 0x8e0000080000);
		} else {
			put64(IDT + 16 * i, at | 0x8e0000080000);
			put64(IDT + 16 * i + 8, 0);
		}
	}
}

static void set_mode(const struct test *t)
{
	bool five = t->levels == 5;
	struct kvm_sregs s;

	CALL(vcpu, KVM_GET_SREGS, &s);
	s.idt.base = t->mode == 16 ? 0 : IDT;
	s.idt.limit = 0x3ff;
	s.gdt.base = GDT;
	s.gdt.limit = 23;
	if (t->mode == 16) {
		s.cs.base = s.cs.selector = 0;
	} else {
		l1_flat_segments(&s, t->mode);
		s.cr0 = 0x33;
		s.cr4 = 0x600;
	}
	s.cs.base = t->csbase;
	if (t->mode == 64) {
		s.cr3 = five ? FIFTH_LEVEL : PAGE_TABLES;
		s.cr4 = five ? 0x1620 : 0x620;
		s.efer = 0x500;
		s.cr0 = 0x80000033;
	}
	CALL(vcpu, KVM_SET_SREGS, &s);
}

static void set_debug(struct test *t)
{
	struct kvm_guest_debug debug = { .control = 0 };

	if (t->step)
		debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (t->bp) {
		debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
		debug.arch.debugreg[0] = t->bp;
		debug.arch.debugreg[7] = 0x401;
	}
	CALL(vcpu, KVM_SET_GUEST_DEBUG, &debug);
}

static void set_events(const struct test *t)
{
	struct kvm_vcpu_events exception = {
		.exception = { .injected = 1, .nr = t->event },
	};
	struct kvm_vcpu_events ev = {
		.flags = KVM_VCPUEVENT_VALID_SHADOW,
		.interrupt.shadow = KVM_X86_SHADOW_INT_STI,
	};
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { 7 },
	};

	if (t->msrs && ioctl(vm, KVM_ENABLE_CAP, &cap))
		err(1, "KVM_CAP_X86_USER_SPACE_MSR");
	if (t->event && ioctl(vcpu, KVM_SET_VCPU_EVENTS, &exception))
		err(1, "exception");
	if (t->nmi && (ioctl(vcpu, KVM_SET_VCPU_EVENTS, &ev) ||
		       ioctl(vcpu, KVM_NMI, 0)))
		err(1, "NMI");
}

static void start(struct test *t)
{
	uint32_t i;

	build_page_tables(t->twin == 2);
	build_handlers(t->mode);
	for (i = 0; i < 0x1000; i++)
		ram[0x8000 + i] = ram[0xc0000 + i] = (uint8_t)(i * 7);
	memcpy(ram + t->at, t->code, t->code_len);
	set_mode(t);
	t->regs.rip = t->at - t->csbase;
	CALL(vcpu, KVM_SET_REGS, &t->regs);
	if (t->step || t->bp)
		set_debug(t);
	set_events(t);
	answers = twin_exits = 0;
}

/* ---- exits ---- */

static void print_bytes(const uint8_t *data, size_t len)
{
	while (len--)
		printf("%02x", *data++);
}

static void answer(uint8_t *data, size_t len)
{
	while (len--)
		*data++ = (uint8_t)++answers;
}

static void print_io(void)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	size_t len = (size_t)run->io.size * run->io.count;

	printf(" | io %s %x %u*%u", run->io.direction ? "out" : "in",
	       run->io.port, run->io.size, run->io.count);
	if (run->io.direction == KVM_EXIT_IO_IN) {
		answer(data, len);
		return;
	}
	printf(" ");
	print_bytes(data, len);
}

static void print_mmio(void)
{
	printf(" | mmio %s %llx %u", run->mmio.is_write ? "w" : "r",
	       (unsigned long long)run->mmio.phys_addr, run->mmio.len);
	if (!run->mmio.is_write) {
		answer(run->mmio.data, run->mmio.len);
		return;
	}
	printf(" ");
	print_bytes(run->mmio.data, run->mmio.len);
}

/* The access was to the twin, and has been made. */
static bool twin_access(const struct test *t)
{
	uint64_t at = run->mmio.phys_addr - TWIN;

	if (!t->twin || run->exit_reason != KVM_EXIT_MMIO ||
	    at + run->mmio.len > 0x10000)
		return false;
	if (run->mmio.is_write)
		memcpy(ram + at, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, ram + at, run->mmio.len);
	return ++twin_exits < MAX_TWIN_EXITS;
}

static void print_error(void)
{
	printf(" | error %u", run->internal.suberror);
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
		return;
	if (run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & 1))
		return;
	printf(" ");
	print_bytes(run->emulation_failure.insn_bytes, 4);
}

/* True while the guest is to go on. */
static bool print_exit(void)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		print_io();
		return true;
	case KVM_EXIT_MMIO:
		print_mmio();
		return true;
	case KVM_EXIT_DEBUG:
		printf(" | debug %llx",
		       (unsigned long long)run->debug.arch.pc);
		return true;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		printf(" | msr %x", run->msr.index);
		return true;
	case KVM_EXIT_INTERNAL_ERROR:
		print_error();
		return false;
	case KVM_EXIT_HLT:
		printf(" | hlt");
		return false;
	}
	printf(" | exit %u", run->exit_reason);
	return false;
}

static void print_memory(int from, int end)
{
	for (; from < end; from++)
		if (ram[from])
			printf(" %x=%02x", from, ram[from]);
}

static void print_debugregs(void)
{
	struct kvm_debugregs d;
	int i;

	CALL(vcpu, KVM_GET_DEBUGREGS, &d);
	for (i = 0; i < 4; i++)
		if (d.db[i])
			printf(" dr%d=%llx", i, (unsigned long long)d.db[i]);
	if (d.dr6 != 0xffff0ff0)
		printf(" dr6=%llx", (unsigned long long)d.dr6);
	if (d.dr7 != 0x400)
		printf(" dr7=%llx", (unsigned long long)d.dr7);
}

static void print_changes(const struct test *t)
{
	struct test after;
	int i;

	CALL(vcpu, KVM_GET_REGS, &after.regs);
	printf(" |");
	for (i = 0; i < NR_REGS; i++)
		if (after.reg[i] != t->reg[i])
			printf(" %s=%llx", reg_names[i],
			       (unsigned long long)after.reg[i]);
	print_debugregs();
	print_memory(WINDOW, WINDOW + 16);
	if (t->twin) {
		print_memory(TWIN_SHOWN, TWIN_SHOWN + 0x2000);
		printf(" | twin %u", twin_exits);
	}
	printf("\n");
}

static void move_rip(const struct test *t)
{
	struct kvm_regs regs;

	CALL(vcpu, KVM_GET_REGS, &regs);
	regs.rip = t->moverip;
	CALL(vcpu, KVM_SET_REGS, &regs);
}

/*
 * QEMU's processor keeps a breakpoint on code past the end of its guest, for
 * all code at that address, until a MOV to DR7 takes it back.
 */
static void take_breakpoints_back(void)
{
	static const uint8_t code[] = { 0x0f, 0x23, 0xf8, 0xf4 };
	struct kvm_regs regs = { .rax = 0x400, .rip = CODE, .rflags = 2 };
	struct kvm_debugregs d;

	CALL(vcpu, KVM_GET_DEBUGREGS, &d);
	if (!(d.dr7 & 0xff))
		return;
	memcpy(ram + CODE, code, sizeof(code));	/* MOV DR7, RAX; HLT */
	CALL(vcpu, KVM_SET_REGS, &regs);
	CALL(vcpu, KVM_RUN, 0);
	CALL(vcpu, KVM_GET_DEBUGREGS, &d);
	if (d.dr7 != 0x400)
		errx(1, "DR7 is %llx yet", (unsigned long long)d.dr7);
}

/* What the guest is not to see: TF, where it never set it. */
static void print_flags(struct test *t)
{
	struct kvm_regs regs;

	CALL(vcpu, KVM_GET_REGS, &regs);
	if (regs.rflags & 0x100 & ~t->regs.rflags)
		printf(" TF");
	if (run->exit_reason == KVM_EXIT_DEBUG && t->bp) {
		t->bp = 0;
		set_debug(t);
	}
}

/* A guest that never exits: KVM_RUN returns EINTR. */
static void on_alarm(int sig)
{
	(void)sig;
}

static void run_test(const char *name, struct test *t)
{
	int exits;

	new_vm();
	start(t);
	alarm(PATIENCE);
	printf("%s:", name);
	for (exits = 0; exits < MAX_EXITS; exits++) {
		if (ioctl(vcpu, KVM_RUN, 0)) {
			printf(" | errno %d", errno);
			break;
		}
		if (twin_access(t)) {
			exits--;
			continue;
		}
		if (!print_exit())
			break;
		print_flags(t);
		if (t->moverip && !exits)
			move_rip(t);
	}
	print_changes(t);
	take_breakpoints_back();
	end_vm();
}

/* ---- cases ---- */

static void set_word(struct test *t, const char *word)
{
	const char *equals = strchr(word, '=');
	uint64_t value;
	int i;

	if (!equals)
		errx(2, "%s: no value", word);
	value = strtoull(equals + 1, NULL, 16);
	for (i = 0; i < NR_REGS; i++)
		if (strlen(reg_names[i]) == (size_t)(equals - word) &&
		    !memcmp(reg_names[i], word, equals - word)) {
			t->reg[i] = value;
			return;
		}
	if (!strncmp(word, "at=", 3))
		t->at = value;
	else if (!strncmp(word, "step=", 5))
		t->step = value;
	else if (!strncmp(word, "moverip=", 8))
		t->moverip = value;
	else if (!strncmp(word, "bp=", 3))
		t->bp = value;
	else if (!strncmp(word, "csbase=", 7))
		t->csbase = value;
	else if (!strncmp(word, "msrs=", 5))
		t->msrs = value;
	else if (!strncmp(word, "event=", 6))
		t->event = value;
	else if (!strncmp(word, "twin=", 5))
		t->twin = value;
	else if (!strncmp(word, "levels=", 7))
		t->levels = value;
	else if (!strncmp(word, "nmi=", 4))
		t->nmi = value;
	else
		errx(2, "%s: what is that", word);
}

static void set_code(struct test *t, const char *hex)
{
	unsigned int byte;

	for (; hex[0] && hex[1] && t->code_len < sizeof(t->code); hex += 2) {
		if (sscanf(hex, "%2x", &byte) != 1)
			errx(2, "%s: no hex", hex);
		t->code[t->code_len++] = byte;
	}
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	char line[2048];

	sigaction(SIGALRM, &action, NULL);
	kvm_fd = l1_open_kvm();
	while (fgets(line, sizeof(line), stdin)) {
		struct test t = { .at = CODE };
		char *name = strtok(line, " \n");
		char *word = strtok(NULL, " \n");

		t.regs.rsp = 0x8000;
		t.regs.rflags = 2;
		if (!name || !word)
			errx(2, "a line without a mode");
		t.mode = atoi(word);
		word = strtok(NULL, " \n");
		if (!word)
			errx(2, "%s: no code", name);
		set_code(&t, word);
		while ((word = strtok(NULL, " \n")))
			set_word(&t, word);
		run_test(name, &t);
		fflush(stdout);
	}
	return 0;
}
