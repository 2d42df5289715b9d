// SPDX-License-Identifier: GPL-2.0-only
/*
 * See guestcode.h. The code is a mix of random bytes and of instructions that
 * make a hypervisor work, with random operands. Everything the processor looks
 * up in memory (tables, code) lies where that code writes, too.
 */
#include <string.h>

#include "guestcode.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Guest-physical layout. */
#define IDT		0x2000
#define GDT		0x3000
#define TSS		0x4000
#define TABLES		0x10000		/* root, pointers, directory, table */
#define HIGH_DIR	(TABLES + 0x4000)	/* maps the APIC's and IOAPIC's page */
#define NR_TABLES	5
#define CODE		0x20000
#define CODE_SIZE	0x4000
#define STACK		0x50000

#define CR0_PE		(1ull << 0)
#define CR0_ET		(1ull << 4)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_PG		(1ull << 31)
#define CR4_PSE		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXSAVE	(1ull << 18)
#define EFER_SCE	(1ull << 0)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define EFER_NX		(1ull << 11)

#define PTE_TABLE	0x67	/* present, writable, user, accessed, dirty */
#define PTE_LARGE	0x80

const char *const guest_mode_names[NR_GUEST_MODES] = {
	"real", "protected16", "protected32", "paged32", "pae",
	"compatibility", "long",
};

/* ---- code ---- */

struct code {
	struct rng *r;
	uint8_t *at;
	int bits;		/* 16, 32 or 64: default operand size class */
};

static void byte(struct code *c, uint8_t value)
{
	*c->at++ = value;
}

static void bytes(struct code *c, const void *data, size_t size)
{
	memcpy(c->at, data, size);
	c->at += size;
}

#define BYTES(c, ...)							\
	bytes(c, (const uint8_t[]){ __VA_ARGS__ },			\
	      sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* mov reg, imm32 in any mode */
static void load(struct code *c, int reg, uint32_t value)
{
	if (c->bits == 16)
		byte(c, 0x66);
	byte(c, 0xb8 + reg);
	bytes(c, &value, 4);
}

enum { EAX, ECX, EDX, EBX };

static void emit_msr(struct code *c)
{
	load(c, ECX, odd_msr(c->r));
	if (chance(c->r, 50)) {
		load(c, EAX, odd_value(c->r));
		load(c, EDX, chance(c->r, 60) ? 0 : odd_value(c->r));
		BYTES(c, 0x0f, 0x30);
	} else {
		BYTES(c, 0x0f, 0x32);
	}
}

/* Flip one bit of a control register, or give it any value. */
static void emit_cr(struct code *c)
{
	static const uint8_t which[] = { 0, 0, 2, 3, 3, 4, 4, 8, 1, 15 };
	uint8_t cr = which[below(c->r, ARRAY_SIZE(which))];
	uint32_t flip = 1u << below(c->r, 32);

	if (chance(c->r, 60)) {
		BYTES(c, 0x0f, 0x20, 0xc0 | (cr & 7) << 3);
		if (c->bits == 16)
			byte(c, 0x66);
		byte(c, 0x35);			/* xor eax, imm32 */
		bytes(c, &flip, 4);
	} else {
		load(c, EAX, cr == 3 ? TABLES + below(c->r, 8) * 0x1000 :
			     odd_value(c->r));
	}
	if (cr >= 8 && c->bits == 64)
		byte(c, 0x44);
	BYTES(c, 0x0f, 0x22, 0xc0 | (cr & 7) << 3);
}

static void emit_dr(struct code *c)
{
	load(c, EAX, odd_value(c->r));
	BYTES(c, 0x0f, chance(c->r, 60) ? 0x23 : 0x21,
	      0xc0 | below(c->r, 8) << 3);
}

static void emit_port(struct code *c)
{
	static const uint16_t ports[] = {
		0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70,
		0x71, 0x4d0, 0x4d1, 0x3f8, 0x60, 0x64, 0x80, 0xcf8, 0xcfc,
		0x510, 0xffff, 0xfffe,
	};
	static const uint8_t plain[] = { 0xec, 0xed, 0xee, 0xef };
	static const uint8_t string[] = { 0x6c, 0x6d, 0x6e, 0x6f };

	load(c, EAX, rnd(c->r));
	load(c, EDX, chance(c->r, 80) ?
		     ports[below(c->r, ARRAY_SIZE(ports))] : below(c->r, 65536));
	if (chance(c->r, 70)) {
		byte(c, plain[below(c->r, 4)]);
		return;
	}
	load(c, ECX, below(c->r, chance(c->r, 90) ? 64 : 65536));
	load(c, 7, below(c->r, GUEST_SIZE));
	load(c, 6, below(c->r, GUEST_SIZE));
	if (chance(c->r, 20))
		byte(c, 0x66);
	if (chance(c->r, 70))
		byte(c, 0xf3);
	byte(c, string[below(c->r, 4)]);
}

static uint32_t device_address(struct rng *r)
{
	switch (below(r, 4)) {
	case 0: return 0xfec00000 + below(r, 3) * 0x10;
	case 1: return 0xe0000000 + below(r, 0x2000);
	default: return 0xfee00000 + below(r, 0x40) * 0x10 +
			(chance(r, 10) ? below(r, 16) : 0);
	}
}

/* An access through [rbx] (through [ebx] in 16-bit code). */
static void emit_memory(struct code *c)
{
	static const uint8_t plain[] = {
		0x89, 0x8b, 0x88, 0x8a, 0x01, 0x03, 0x09, 0x21, 0x31, 0x39,
		0x85, 0x87, 0xff, 0xf7, 0x8f, 0x86, 0x80, 0x83, 0xc7, 0xd3,
	};
	static const uint8_t escaped[] = {
		0xb0, 0xb1, 0xc0, 0xc1, 0xb6, 0xb7, 0xbe, 0xbf, 0xab, 0xb3,
		0xbb, 0xa3, 0x28, 0x29, 0x10, 0x11, 0x6f, 0x7f, 0xc7, 0xae,
	};

	load(c, EBX, chance(c->r, 60) ? device_address(c->r) :
		     (uint32_t)odd_gpa(c->r));
	load(c, EAX, odd_value(c->r));
	if (c->bits == 16)
		byte(c, 0x67);
	if (chance(c->r, 10))
		byte(c, 0xf0);
	if (chance(c->r, 20))
		byte(c, 0x66);
	if (c->bits == 64 && chance(c->r, 30))
		byte(c, 0x48);
	if (chance(c->r, 60)) {
		byte(c, plain[below(c->r, ARRAY_SIZE(plain))]);
	} else {
		byte(c, 0x0f);
		byte(c, escaped[below(c->r, ARRAY_SIZE(escaped))]);
	}
	byte(c, below(c->r, 8) << 3 | 3);
	byte(c, rnd(c->r));		/* an immediate, where there is one */
}

static void emit_string(struct code *c)
{
	static const uint8_t ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab,
				       0xac, 0xad, 0xae, 0xaf };

	load(c, 6, chance(c->r, 30) ? device_address(c->r) : odd_gpa(c->r));
	load(c, 7, chance(c->r, 30) ? device_address(c->r) : odd_gpa(c->r));
	load(c, ECX, below(c->r, 512));
	if (c->bits == 16)
		byte(c, 0x67);
	byte(c, chance(c->r, 80) ? 0xf3 : 0xf2);
	byte(c, ops[below(c->r, ARRAY_SIZE(ops))]);
}

/* Instructions that hardware gives to the hypervisor, or that break a mode. */
static void emit_special(struct code *c)
{
	static const struct { uint8_t size, code[6]; } list[] = {
		{ 2, { 0x0f, 0xa2 } },		/* cpuid */
		{ 1, { 0xf4 } },		/* hlt */
		{ 2, { 0xfb, 0xf4 } },		/* sti; hlt */
		{ 2, { 0xf3, 0x90 } },		/* pause */
		{ 2, { 0x0f, 0x08 } },		/* invd */
		{ 2, { 0x0f, 0x09 } },		/* wbinvd */
		{ 3, { 0x0f, 0x01, 0x3b } },	/* invlpg */
		{ 3, { 0x0f, 0x01, 0xc1 } },	/* vmcall */
		{ 3, { 0x0f, 0x01, 0xd9 } },	/* vmmcall */
		{ 3, { 0x0f, 0x01, 0xd8 } },	/* vmrun */
		{ 3, { 0x0f, 0x01, 0xda } },	/* vmload */
		{ 3, { 0x0f, 0x01, 0xdb } },	/* vmsave */
		{ 3, { 0x0f, 0x01, 0xdc } },	/* stgi */
		{ 3, { 0x0f, 0x01, 0xdd } },	/* clgi */
		{ 3, { 0x0f, 0x01, 0xde } },	/* skinit */
		{ 3, { 0x0f, 0x01, 0xdf } },	/* invlpga */
		{ 3, { 0x0f, 0x01, 0xd1 } },	/* xsetbv */
		{ 3, { 0x0f, 0x01, 0xd0 } },	/* xgetbv */
		{ 3, { 0x0f, 0x01, 0xf9 } },	/* rdtscp */
		{ 3, { 0x0f, 0x01, 0xf8 } },	/* swapgs */
		{ 3, { 0x0f, 0x01, 0xc8 } },	/* monitor */
		{ 3, { 0x0f, 0x01, 0xc9 } },	/* mwait */
		{ 2, { 0x0f, 0x31 } },		/* rdtsc */
		{ 2, { 0x0f, 0x33 } },		/* rdpmc */
		{ 2, { 0x0f, 0x06 } },		/* clts */
		{ 2, { 0x0f, 0xaa } },		/* rsm */
		{ 2, { 0x0f, 0x05 } },		/* syscall */
		{ 2, { 0x0f, 0x07 } },		/* sysret */
		{ 2, { 0x0f, 0x34 } },		/* sysenter */
		{ 2, { 0x0f, 0x35 } },		/* sysexit */
		{ 3, { 0x0f, 0x01, 0x13 } },	/* lgdt */
		{ 3, { 0x0f, 0x01, 0x1b } },	/* lidt */
		{ 3, { 0x0f, 0x01, 0x03 } },	/* sgdt */
		{ 3, { 0x0f, 0x01, 0xf0 } },	/* lmsw ax */
		{ 3, { 0x0f, 0x00, 0xd0 } },	/* lldt ax */
		/* or al, 8; ltr ax: of no task, QEMU 7.2 aborts some day */
		{ 5, { 0x0c, 0x08, 0x0f, 0x00, 0xd8 } },
		{ 3, { 0x0f, 0x00, 0xc8 } },	/* str ax */
		{ 1, { 0xfa } },		/* cli */
		{ 1, { 0xfb } },		/* sti */
		{ 1, { 0x9d } },		/* popf */
		{ 1, { 0x9c } },		/* pushf */
		{ 1, { 0xcf } },		/* iret */
		{ 1, { 0xcc } },		/* int3 */
		{ 1, { 0xf1 } },		/* icebp */
		{ 1, { 0xce } },		/* into */
		{ 2, { 0x0f, 0x0b } },		/* ud2 */
		{ 1, { 0xcb } },		/* retf */
		{ 2, { 0x8e, 0xd8 } },		/* mov ds, ax */
		{ 2, { 0x8e, 0xd0 } },		/* mov ss, ax */
		{ 2, { 0x8e, 0xe8 } },		/* mov gs, ax */
		{ 2, { 0x0f, 0x77 } },		/* emms */
		{ 3, { 0x0f, 0xae, 0x03 } },	/* fxsave */
		{ 3, { 0x0f, 0xae, 0x0b } },	/* fxrstor */
		{ 3, { 0x0f, 0xae, 0x23 } },	/* xsave */
		{ 3, { 0x0f, 0xae, 0x2b } },	/* xrstor */
		{ 2, { 0xdb, 0xe3 } },		/* fninit */
		{ 2, { 0x9b, 0xd9 } },		/* wait; x87 */
		{ 6, { 0x66, 0x0f, 0x38, 0x82, 0x03, 0x90 } },	/* invpcid */
	};
	size_t n = below(c->r, ARRAY_SIZE(list));

	load(c, EAX, chance(c->r, 50) ? below(c->r, 16) << 3 :
		     odd_value(c->r));
	load(c, ECX, chance(c->r, 70) ? below(c->r, 4) : odd_value(c->r));
	load(c, EBX, odd_gpa(c->r));
	bytes(c, list[n].code, list[n].size);
}

/* mov dword [tables + random], random: one half of a page-table entry */
static void emit_table_write(struct code *c)
{
	uint32_t value = chance(c->r, 70) ?
		(uint32_t)((odd_gpa(c->r) & ~0xfffull) | (rnd(c->r) & 0xfff)) :
		(uint32_t)odd_value(c->r);

	load(c, EBX, TABLES + below(c->r, NR_TABLES * 0x400) * 4);
	load(c, EAX, value);
	if (c->bits == 16)
		BYTES(c, 0x66, 0x67);
	BYTES(c, 0x89, 0x03);
	if (chance(c->r, 30))
		BYTES(c, 0x0f, 0x01, 0x3b);	/* invlpg [ebx] */
}

static void emit_interrupt(struct code *c)
{
	BYTES(c, 0xcd, below(c->r, 256));
}

/* An IPI or another register of the local APIC in x2APIC's manner. */
static void emit_x2apic(struct code *c)
{
	load(c, ECX, 0x800 + below(c->r, 0x40));
	load(c, EAX, chance(c->r, 50) ? (uint32_t)rnd(c->r) & 0xcffff :
		     (uint32_t)odd_value(c->r));
	load(c, EDX, chance(c->r, 70) ? below(c->r, 4) : odd_value(c->r));
	BYTES(c, 0x0f, 0x30);
}

static void emit_random(struct code *c)
{
	int count = 1 + below(c->r, 15);

	random_bytes(c->r, c->at, count);
	c->at += count;
}

static void emit(struct code *c)
{
	static void (*const kinds[])(struct code *) = {
		emit_random, emit_random, emit_random, emit_msr, emit_msr,
		emit_cr, emit_cr, emit_dr, emit_port, emit_port, emit_memory,
		emit_memory, emit_memory, emit_string, emit_special,
		emit_special, emit_special, emit_table_write, emit_interrupt,
		emit_x2apic,
	};

	kinds[below(c->r, ARRAY_SIZE(kinds))](c);
}

static int bits_of(enum guest_mode mode)
{
	if (mode == MODE_LONG)
		return 64;
	return mode == MODE_REAL || mode == MODE_PROTECTED16 ? 16 : 32;
}

/*
 * Pieces of up to 40 instructions, each at a multiple of 256 bytes so that
 * gates can point to it, each ending in a jump to another one.
 */
static void write_code(struct rng *r, enum guest_mode mode, uint8_t *memory)
{
	struct code c = { r, NULL, bits_of(mode) };
	uint32_t piece, to;
	int room;

	for (piece = 0; piece < CODE_SIZE; piece += 256) {
		c.at = memory + CODE + piece;
		room = below(r, 20);
		while (room-- > 0 &&
		       c.at < memory + CODE + piece + 256 - 48)
			emit(&c);
		to = below(r, CODE_SIZE / 256) * 256 -
		     (c.at - memory - CODE) - (c.bits == 16 ? 3 : 5);
		byte(&c, 0xe9);
		bytes(&c, &to, c.bits == 16 ? 2 : 4);
	}
}

/* ---- tables ---- */

static void put64(uint8_t *memory, uint32_t address, uint64_t value)
{
	memcpy(memory + address, &value, 8);
}

static void put32(uint8_t *memory, uint32_t address, uint32_t value)
{
	memcpy(memory + address, &value, 4);
}

/* Null, code and data of each width, TSS; the rest at random. */
static void write_gdt(struct rng *r, uint8_t *memory)
{
	static const uint64_t fixed[] = {
		0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff,
		0x008f9b000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff,
		0x0000890040000067, 0,
	};
	size_t i;

	memcpy(memory + GDT, fixed, sizeof(fixed));
	for (i = ARRAY_SIZE(fixed); i < 32; i++)
		put64(memory, GDT + i * 8, rnd(r));
	random_bytes(r, memory + TSS, 104);
}

static void write_idt(struct rng *r, enum guest_mode mode, uint8_t *memory)
{
	uint64_t gate, handler;
	uint8_t type;
	int i;

	for (i = 0; i < 256; i++) {
		handler = CODE + below(r, CODE_SIZE / 256) * 256;
		if (mode == MODE_REAL) {
			put32(memory, i * 4, (handler >> 4) << 16);
			continue;
		}
		type = chance(r, 90) ? 0x8e : rnd(r);
		gate = (handler & 0xffff) | (handler >> 16) << 48 |
		       (uint64_t)type << 40 |
		       (mode >= MODE_COMPATIBILITY ? 0x18 : 8) << 16;
		if (mode >= MODE_COMPATIBILITY) {
			put64(memory, IDT + i * 16, gate);
			put64(memory, IDT + i * 16 + 8, 0);
		} else {
			put64(memory, IDT + i * 8, gate);
		}
	}
}

/* Identity map of RAM by 4 KiB pages, and of the interrupt chips' pages. */
static void write_tables64(uint8_t *memory)
{
	uint64_t address;
	int i;

	put64(memory, TABLES, (TABLES + 0x1000) | PTE_TABLE);
	put64(memory, TABLES + 0x1000, (TABLES + 0x2000) | PTE_TABLE);
	put64(memory, TABLES + 0x1018, HIGH_DIR | PTE_TABLE);
	put64(memory, TABLES + 0x2000, (TABLES + 0x3000) | PTE_TABLE);
	for (i = 0; i < 512; i++)
		put64(memory, TABLES + 0x3000 + i * 8,
		      (uint64_t)i << 12 | PTE_TABLE);
	for (address = 0xc0000000; address < 0x100000000; address += 0x200000)
		put64(memory, HIGH_DIR + ((address >> 21) & 511) * 8,
		      address | PTE_TABLE | PTE_LARGE);
}

/* PAE's top table has four entries with most bits reserved. */
static void write_tables_pae(uint8_t *memory)
{
	write_tables64(memory);
	put64(memory, TABLES, (TABLES + 0x2000) | 1);
	put64(memory, TABLES + 8, 0);
	put64(memory, TABLES + 16, 0);
	put64(memory, TABLES + 24, HIGH_DIR | 1);
}

static void write_tables32(uint8_t *memory)
{
	uint64_t address;
	int i;

	put32(memory, TABLES, (TABLES + 0x3000) | PTE_TABLE);
	for (i = 0; i < 1024; i++)
		put32(memory, TABLES + 0x3000 + i * 4, i << 12 | PTE_TABLE);
	for (address = 0xc0000000; address < 0x100000000; address += 0x400000)
		put32(memory, TABLES + (address >> 22) * 4,
		      address | PTE_TABLE | PTE_LARGE);
}

/* Entries that point anywhere, with any bits. */
static void spoil_tables(struct rng *r, enum guest_mode mode, uint8_t *memory)
{
	int count = below(r, 3) ? below(r, 16) : 0;
	uint32_t at;
	uint64_t value;

	while (count-- > 0) {
		at = TABLES + below(r, NR_TABLES * 0x200) * 8;
		value = (odd_gpa(r) & ~0xfffull) | (rnd(r) & 0xfff);
		if (chance(r, 30))
			value |= 1ull << (40 + below(r, 24));
		if (mode == MODE_PAGED32)
			put32(memory, at, value);
		else
			put64(memory, at, value);
	}
}

void guest_memory(struct rng *r, enum guest_mode mode, uint8_t *memory)
{
	memset(memory + TABLES, 0, NR_TABLES * 0x1000);
	write_gdt(r, memory);
	write_idt(r, mode, memory);
	if (mode == MODE_PAGED32)
		write_tables32(memory);
	else if (mode == MODE_PAE)
		write_tables_pae(memory);
	else if (mode >= MODE_COMPATIBILITY)
		write_tables64(memory);
	write_code(r, mode, memory);
	if (mode >= MODE_PAGED32)
		spoil_tables(r, mode, memory);
}

/* ---- registers ---- */

static struct kvm_segment flat(enum guest_mode mode, bool code)
{
	bool wide = bits_of(mode) != 16;

	return (struct kvm_segment){
		.limit = wide ? 0xffffffff : 0xffff,
		.selector = code ? (mode == MODE_LONG ? 0x18 : 8) : 0x10,
		.type = code ? 11 : 3, .present = 1, .s = 1,
		.l = code && mode == MODE_LONG,
		.db = wide && !(code && mode == MODE_LONG), .g = wide,
	};
}

static void set_segments(struct rng *r, enum guest_mode mode,
			 struct kvm_sregs *s)
{
	s->cs = flat(mode, true);
	s->ds = s->es = s->fs = s->gs = s->ss = flat(mode, false);
	if (bits_of(mode) == 16) {
		s->cs.base = CODE;
		s->cs.selector = CODE >> 4;
		/* "Unreal": the chips' pages are within reach. */
		if (chance(r, 60))
			s->ds.limit = s->es.limit = 0xffffffff,
			s->ds.g = s->es.g = 1;
	}
	if (mode != MODE_REAL) {
		s->gdt = (struct kvm_dtable){ .base = GDT, .limit = 0xff };
		s->idt = (struct kvm_dtable){ .base = IDT, .limit = 0xfff };
	}
}

/*
 * QEMU's emulation ends altogether ("invalid tss type") when a guest changes
 * its privilege on a task whose cached type is busy, as processors have it;
 * KVM keeps the type as given, and shows it as busy.
 */
static void set_task(struct kvm_sregs *s)
{
	s->tr = (struct kvm_segment){
		.base = TSS, .limit = 103, .selector = 0x38, .type = 9,
		.present = 1,
	};
}

static void set_control(enum guest_mode mode, struct kvm_sregs *s)
{
	s->cr0 = CR0_ET | CR0_NE;
	s->cr4 = CR4_OSFXSR;
	s->efer = 0;
	s->cr3 = TABLES;
	if (mode != MODE_REAL)
		s->cr0 |= CR0_PE;
	if (mode >= MODE_PAGED32)
		s->cr0 |= CR0_PG | CR0_WP;
	if (mode == MODE_PAGED32)
		s->cr4 |= CR4_PSE;
	if (mode >= MODE_PAE)
		s->cr4 |= CR4_PAE;
	if (mode >= MODE_COMPATIBILITY)
		s->efer = EFER_LME | EFER_LMA | EFER_NX | EFER_SCE;
}

void guest_registers(struct rng *r, enum guest_mode mode,
		     struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	set_segments(r, mode, sregs);
	set_control(mode, sregs);
	if (chance(r, 10))
		mutate(r, sregs, sizeof(*sregs));
	set_task(sregs);
	random_bytes(r, regs, sizeof(*regs));
	regs->rip = bits_of(mode) == 16 ? 0 : CODE;
	regs->rip += below(r, CODE_SIZE / 256) * 256;
	regs->rsp = bits_of(mode) == 16 ? 0x8000 : STACK;
	regs->rflags = 2 | (chance(r, 50) ? 0x200 : 0);
	if (chance(r, 10))
		regs->rflags |= rnd(r) & 0x277fd5;
}
