// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest: puts values into every kind of state, exits, and looks at them
 * again. It must not notice that it is in another VM then.
 */
#include <stdbool.h>
#include <stdint.h>

#include "shared.h"

#define VECTOR_SELF	0x41
#define VECTOR_TIMER	0x42
#define VECTOR_LINE	0x43
#define APIC		0xfee00000UL
#define IOAPIC		0xfec00000UL
#define CHECK(good) do { if (!(good)) fail(__LINE__); } while (0)

struct frame;
typedef uint64_t u64;
typedef uint32_t u32;

static struct { uint16_t low, selector, flags, mid; u32 high, zero; } idt[256];
static u64 gdt[8] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
static u32 tss[26];
static volatile u32 selfs, ticks, lines, nmis, nesting;

/* ---- the processor ---- */

static void outl(uint16_t port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static uint8_t inb(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void step(u32 what)
{
	outl(PORT_STEP, what);
}

static void fail(u32 line)
{
	for (;;)
		outl(PORT_FAIL, line);
}

static u64 rdmsr(u32 index)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return low | (u64)high << 32;
}

static void wrmsr(u32 index, u64 value)
{
	asm volatile("wrmsr" : : "c"(index), "a"((u32)value),
		     "d"((u32)(value >> 32)) : "memory");
}

static u64 rdtsc(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

static u32 apic_read(u32 reg)
{
	return *(volatile u32 *)(APIC + reg);
}

static void apic_write(u32 reg, u32 value)
{
	*(volatile u32 *)(APIC + reg) = value;
}

static u32 ioapic_read(u32 index)
{
	*(volatile u32 *)IOAPIC = index;
	return *(volatile u32 *)(IOAPIC + 0x10);
}

static void ioapic_write(u32 index, u32 value)
{
	*(volatile u32 *)IOAPIC = index;
	*(volatile u32 *)(IOAPIC + 0x10) = value;
}

/* ---- interrupts; the handlers are moved, too ---- */

__attribute__((interrupt)) static void on_self(struct frame *f)
{
	(void)f;
	selfs++;
	step(__LINE__);
	apic_write(0xb0, 0);
}

__attribute__((interrupt)) static void on_timer(struct frame *f)
{
	(void)f;
	/* On a slow host the next tick is always due: stop by ourselves. */
	if (++ticks == 5)
		apic_write(0x320, 0x10000 | VECTOR_TIMER);
	step(__LINE__);
	apic_write(0xb0, 0);
}

__attribute__((interrupt)) static void on_line(struct frame *f)
{
	(void)f;
	lines++;
	step(__LINE__);
	step(ASK_LINE_DOWN);
	apic_write(0xb0, 0);
}

/* A second NMI comes while the first is in service: after its IRET only. */
__attribute__((interrupt)) static void on_nmi(struct frame *f)
{
	(void)f;
	CHECK(!nesting++);
	if (!nmis++) {
		step(ASK_NMI);
		step(__LINE__);
		CHECK(nmis == 1);
	}
	nesting--;
}

static void set_gate(int vector, void (*handler)(struct frame *))
{
	u64 at = (u64)handler;

	idt[vector].low = at;
	idt[vector].selector = 8;
	idt[vector].flags = 0x8e00;
	idt[vector].mid = at >> 16;
	idt[vector].high = at >> 32;
}

static void load_tables(void)
{
	struct { uint16_t limit; u64 base; } __attribute__((packed))
		g = { sizeof(gdt) - 1, (u64)gdt }, i = { sizeof(idt) - 1, (u64)idt };
	u64 t = (u64)tss;

	gdt[3] = (sizeof(tss) - 1) | (t & 0xffffff) << 16 | 0x89ULL << 40 |
		 (t >> 24 & 0xff) << 56;
	gdt[4] = t >> 32;
	set_gate(2, on_nmi);
	set_gate(VECTOR_SELF, on_self);
	set_gate(VECTOR_TIMER, on_timer);
	set_gate(VECTOR_LINE, on_line);
	asm volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(g), "m"(i), "r"(0x18));
}

static void tables(void)
{
	struct { uint16_t limit; u64 base; } __attribute__((packed)) g, i;
	uint16_t tr;

	step(__LINE__);
	asm volatile("sgdt %0; sidt %1; str %w2" : "=m"(g), "=m"(i), "=r"(tr));
	CHECK(g.base == (u64)gdt && g.limit == sizeof(gdt) - 1);
	CHECK(i.base == (u64)idt && i.limit == sizeof(idt) - 1 && tr == 0x18);
}

/* ---- registers ---- */

static void general_registers(void)
{
	u64 bad;

	asm volatile("push %%rbp\n"
		     "mov $0x1111111111111111, %%rcx\n"
		     "mov $0x2222222222222222, %%rdx\n"
		     "mov $0x3333333333333333, %%rsi\n"
		     "mov $0x4444444444444444, %%rdi\n"
		     "mov $0x5555555555555555, %%rbp\n"
		     "mov $0x6666666666666666, %%r8\n"
		     "mov $0x7777777777777777, %%r15\n"
		     "mov $0x9999999999999999, %%r12\n"
		     "stc; std\n"
		     "out %%eax, $0xe9\n"
		     "mov $1, %%eax\n"
		     "jnc 1f\n"
		     "pushf; pop %%rbx; test $0x400, %%ebx; jz 1f\n"
		     "mov $0x1111111111111111, %%rbx; cmp %%rbx, %%rcx; jne 1f\n"
		     "mov $0x2222222222222222, %%rbx; cmp %%rbx, %%rdx; jne 1f\n"
		     "mov $0x3333333333333333, %%rbx; cmp %%rbx, %%rsi; jne 1f\n"
		     "mov $0x4444444444444444, %%rbx; cmp %%rbx, %%rdi; jne 1f\n"
		     "mov $0x5555555555555555, %%rbx; cmp %%rbx, %%rbp; jne 1f\n"
		     "mov $0x6666666666666666, %%rbx; cmp %%rbx, %%r8; jne 1f\n"
		     "mov $0x7777777777777777, %%rbx; cmp %%rbx, %%r15; jne 1f\n"
		     "mov $0x9999999999999999, %%rbx; cmp %%rbx, %%r12; jne 1f\n"
		     "xor %%eax, %%eax\n"
		     "1: cld; pop %%rbp\n"
		     : "=a"(bad) : "a"(0)
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r12", "r15",
		       "memory", "cc");
	CHECK(!bad);
}

static void control_registers(void)
{
	u64 cr0, cr2 = 0x123456789000, cr3, cr4, cr8 = 5, again;

	asm volatile("mov %%cr0, %0; mov %%cr3, %1; mov %%cr4, %2"
		     : "=r"(cr0), "=r"(cr3), "=r"(cr4));
	asm volatile("mov %0, %%cr2; mov %1, %%cr8" : : "r"(cr2), "r"(cr8));
	step(__LINE__);
	asm volatile("mov %%cr0, %0" : "=r"(again));
	CHECK(again == cr0);
	asm volatile("mov %%cr2, %0" : "=r"(again));
	CHECK(again == cr2);
	asm volatile("mov %%cr3, %0" : "=r"(again));
	CHECK(again == cr3);
	asm volatile("mov %%cr4, %0" : "=r"(again));
	CHECK(again == cr4);
	asm volatile("mov %%cr8, %0" : "=r"(again));
	CHECK(again == cr8 && apic_read(0x80) == 0x50);
	asm volatile("mov %0, %%cr8" : : "r"(0UL));
}

static void debug_registers(void)
{
	u64 d0, d1, d2, d3, d6, d7;

	asm volatile("mov %0, %%db0; mov %1, %%db1; mov %2, %%db2; mov %3, %%db3"
		     : : "r"(0x1111UL), "r"(0x2222UL), "r"(0x3333UL),
			 "r"(0xffff800000004444UL));
	asm volatile("mov %0, %%db6; mov %1, %%db7"
		     : : "r"(0xffff4ff5UL), "r"(0x402UL));
	step(__LINE__);
	asm volatile("mov %%db0, %0; mov %%db1, %1; mov %%db2, %2; mov %%db3, %3"
		     : "=r"(d0), "=r"(d1), "=r"(d2), "=r"(d3));
	asm volatile("mov %%db6, %0; mov %%db7, %1" : "=r"(d6), "=r"(d7));
	CHECK(d0 == 0x1111 && d1 == 0x2222 && d2 == 0x3333);
	CHECK(d3 == 0xffff800000004444 && d6 == 0xffff4ff5 && d7 == 0x402);
	asm volatile("mov %0, %%db7" : : "r"(0x400UL));
}

static void fpu(void)
{
	static uint8_t in[512] __attribute__((aligned(16)));
	static uint8_t out[512] __attribute__((aligned(16)));
	int i;

	asm volatile("fninit; fldpi; fld1; fldl2e; fxsave %0" : "=m"(in));
	for (i = 160; i < 416; i++)
		in[i] = i * 7;
	in[0] = 0x7f;			/* FCW */
	in[1] = 0x02;
	in[25] = 0x3f;			/* MXCSR: flags clear, rounding */
	asm volatile("fxrstor %0" : : "m"(in));
	step(__LINE__);
	asm volatile("fxsave %0" : "=m"(out));
	for (i = 0; i < 8; i++)
		CHECK(in[i] == out[i]);
	CHECK(in[24] == out[24] && in[25] == out[25]);
	for (i = 32; i < 416; i++)	/* ST(n) has 10 bytes of its 16 */
		CHECK(in[i] == out[i] || (i < 160 && i % 16 > 9));
}

static void xcr0(void)
{
	u32 a, d;

	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	CHECK(a == 1);
	asm volatile("xsetbv" : : "a"(3), "d"(0), "c"(0));
	step(__LINE__);
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	CHECK(a == 3 && !d);
}

static void msrs(void)
{
	static const struct { u32 index; u64 value; } set[] = {
		{ 0xc0000081, 0x0023001000000000 },	/* STAR */
		{ 0xc0000082, 0xffffffff81000000 },	/* LSTAR */
		{ 0xc0000083, 0xffffffff81001000 },	/* CSTAR */
		{ 0xc0000084, 0x47700 },		/* SFMASK */
		{ 0xc0000102, 0xffff888012345000 },	/* KERNEL_GS_BASE */
		{ 0xc0000100, 0x00007f0012345000 },	/* FS base */
		{ 0x174, 0x10 }, { 0x175, 0xffff888000001000 },
		{ 0x176, 0xffffffff81002000 },		/* SYSENTER */
		{ 0x277, 0x0007010600070106 },		/* PAT */
		{ 0x200, 0x80000000 }, { 0x201, 0xff80000800 },
		{ 0x250, 0x0606060606060606 }, { 0x2ff, 0xc06 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		wrmsr(set[i].index, set[i].value);
	step(__LINE__);
	for (i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		if (rdmsr(set[i].index) != set[i].value)
			fail(set[i].index);
}

/* ---- time ---- */

struct pvclock {
	u32 version, pad;
	u64 tsc, ns;
	u32 mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};

static u64 kvmclock(void)
{
	volatile struct pvclock *c = (volatile struct pvclock *)CLOCK_PAGE;
	u64 ns, delta;
	u32 version;

	do {
		version = c->version;
		asm volatile("lfence" : : : "memory");
		delta = rdtsc() - c->tsc;
		delta = c->shift < 0 ? delta >> -c->shift : delta << c->shift;
		ns = c->ns + (u64)((unsigned __int128)delta * c->mul >> 32);
		asm volatile("lfence" : : : "memory");
	} while (version & 1 || version != c->version);
	return ns;
}

static void clocks(void)
{
	u64 tsc, ns, tsc2, ns2;
	int i;

	wrmsr(0x4b564d01, CLOCK_PAGE | 1);
	for (i = 0; i < 4; i++) {
		tsc = rdtsc();
		ns = kvmclock();
		step(__LINE__);
		tsc2 = rdtsc();
		ns2 = kvmclock();
		CHECK(tsc2 > tsc && ns2 >= ns);
		CHECK(ns2 - ns < 60000000000ULL);
	}
	CHECK(rdmsr(0x4b564d01) == (CLOCK_PAGE | 1));
}

/* ---- interrupt chips ---- */

static void self_ipi(void)
{
	apic_write(0xf0, 0x1ff);
	apic_write(0x80, 0x10);
	apic_write(0xd0, 0x01000000);		/* LDR */
	apic_write(0x350, 0x10700);		/* LINT0: masked ExtINT */
	apic_write(0x300, 0x44000 | VECTOR_SELF);
	step(__LINE__);
	CHECK(!selfs && apic_read(0x220) == 1U << (VECTOR_SELF & 31));
	CHECK(apic_read(0x80) == 0x10 && apic_read(0xd0) == 0x01000000);
	CHECK(apic_read(0x350) == 0x10700 && apic_read(0xf0) == 0x1ff);
	asm volatile("sti; nop; nop; cli");
	CHECK(selfs == 1);
	step(__LINE__);
	asm volatile("sti; nop; nop; cli");
	CHECK(selfs == 1 && !apic_read(0x120) && !apic_read(0x220));
	apic_write(0x80, 0);
}

static void wait_for(volatile u32 *counter, u32 value)
{
	asm volatile("cli");
	while (*counter < value)
		asm volatile("sti; hlt; cli" : : : "memory");
}

static void apic_timer(void)
{
	u32 before, after;
	u64 deadline;

	apic_write(0x3e0, 0xb);
	apic_write(0x320, 0x10000 | VECTOR_TIMER);	/* masked, one shot */
	apic_write(0x380, 0xf0000000);
	before = apic_read(0x390);
	step(__LINE__);
	after = apic_read(0x390);
	CHECK(after && after <= before && apic_read(0x380) == 0xf0000000);
	apic_write(0x320, 0x20000 | VECTOR_TIMER);	/* periodic */
	apic_write(0x380, 20000000);
	wait_for(&ticks, 5);
	apic_write(0x320, 0x40000 | VECTOR_TIMER);	/* TSC deadline */
	ticks = 0;
	deadline = rdtsc() + 50000000;
	wrmsr(0x6e0, deadline);
	step(__LINE__);
	wait_for(&ticks, 1);
	CHECK(ticks == 1 && rdtsc() >= deadline && !rdmsr(0x6e0));
	apic_write(0x320, 0x10000);
}

static void level_interrupt(void)
{
	u32 high, low;

	ioapic_write(0x10 + 2 * LINE_GSI + 1, 0);
	ioapic_write(0x10 + 2 * LINE_GSI, 0x8000 | VECTOR_LINE);
	ioapic_write(0x10 + 2 * 5 + 1, 0x03000000);
	ioapic_write(0x10 + 2 * 5, 0x1a955);
	high = ioapic_read(0x10 + 2 * 5 + 1);
	low = ioapic_read(0x10 + 2 * 5);
	step(ASK_LINE_UP);
	CHECK(ioapic_read(0x10 + 2 * LINE_GSI) & 0x4000);	/* remote IRR */
	CHECK(ioapic_read(0x10 + 2 * 5) == low);
	CHECK(ioapic_read(0x10 + 2 * 5 + 1) == high);
	wait_for(&lines, 1);
	step(__LINE__);
	asm volatile("sti; nop; nop; cli");
	CHECK(lines == 1 && !(ioapic_read(0x10 + 2 * LINE_GSI) & 0x4000));
}

static void halted(void)
{
	lines = 0;
	step(ASK_WAKE);
	wait_for(&lines, 1);
	CHECK(lines == 1);
}

static void pic(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0x50);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, 0x58);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0xa5);
	outb(0xa1, 0x5a);
	outb(0x4d0, 0x20);
	outb(0x4d1, 0x0c);
	step(__LINE__);
	CHECK(inb(0x21) == 0xa5 && inb(0xa1) == 0x5a);
	CHECK(inb(0x4d0) == 0x20 && inb(0x4d1) == 0x0c);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static void pit(void)
{
	outb(0x43, 0x34);		/* channel 0, both bytes, mode 2 */
	outb(0x40, 0x00);
	outb(0x40, 0x80);
	outb(0x43, 0xb6);		/* channel 2, mode 3 */
	outb(0x42, 0x34);
	step(__LINE__);			/* between two bytes */
	outb(0x42, 0x12);
	outb(0x43, 0xe2);		/* status of channel 0 */
	CHECK((inb(0x40) & 0x3f) == 0x34);
	outb(0x43, 0xe8);		/* and of 2 */
	step(__LINE__);
	CHECK((inb(0x42) & 0x3f) == 0x36);
}

static void nmi(void)
{
	step(ASK_NMI);
	step(__LINE__);
	CHECK(nmis == 2);
}

void start(void)
{
	load_tables();
	tables();
	general_registers();
	control_registers();
	debug_registers();
	fpu();
	xcr0();
	msrs();
	clocks();
	self_ipi();
	apic_timer();
	level_interrupt();
	halted();
	pic();
	pit();
	nmi();
	for (;;)
		outl(PORT_DONE, 0);
}
