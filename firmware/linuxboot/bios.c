// SPDX-License-Identifier: GPL-2.0-only
/* The BIOS services the loader uses, and copies below 1 MiB. */
#include "loader.h"

#define SMAP	0x534d4150

/* Conventional memory in bytes (INT 12h). */
u32 bios_low_memory(void)
{
	u16 kib;

	asm volatile("int $0x12" : "=a"(kib) : : "memory", "cc");
	return (u32)kib << 10;
}

/* Fill @table with at most @room entries of the memory map; returns how many. */
u32 bios_e820(struct e820_entry *table, u32 room)
{
	u32 next = 0, n = 0;

	do {
		u32 magic = 0xe820, len = sizeof(*table);
		u8 carry;

		asm volatile("int $0x15; setc %0"
			     : "=qm"(carry), "+a"(magic), "+b"(next), "+c"(len)
			     : "d"(SMAP), "D"(&table[n])
			     : "memory", "cc");
		if (carry || magic != SMAP || len < sizeof(*table))
			break;
		n++;
	} while (next && n < room);
	return n;
}

/* A segment descriptor as INT 15h AH=87h takes it: 64 KiB, writable data. */
static void set_descriptor(u8 *desc, u32 base)
{
	desc[0] = 0xff;
	desc[1] = 0xff;
	desc[2] = base;
	desc[3] = base >> 8;
	desc[4] = base >> 16;
	desc[5] = 0x93;
	desc[6] = 0;
	desc[7] = base >> 24;
}

/*
 * Copy between any two places below 4 GiB (INT 15h AH=87h). Moves whole
 * 16-bit words, so an odd @bytes touches one byte more. Returns 0, or the
 * BIOS's error code.
 */
int bios_move(u32 dst, u32 src, u16 bytes)
{
	u8 gdt[48] = { 0 };
	u16 ax = 0x8700;

	set_descriptor(gdt + 0x10, src);
	set_descriptor(gdt + 0x18, dst);
	asm volatile("int $0x15"
		     : "+a"(ax)
		     : "c"((bytes + 1) / 2), "S"(gdt)
		     : "memory", "cc");
	return ax >> 8;
}

/* One character in teletype mode (INT 10h AH=0Eh); a no-op without video. */
void bios_putc(char c)
{
	asm volatile("int $0x10"
		     : : "a"(0x0e00 | (u8)c), "b"(0x0007)
		     : "memory", "cc");
}

/* Copy below 1 MiB, physical addresses, by one string instruction. */
void low_copy(u32 dst, u32 src, u16 bytes)
{
	u16 di = dst & 15, si = src & 15;

	asm volatile("pushw %%ds\n\t"
		     "pushw %%es\n\t"
		     "movw %w3, %%ds\n\t"
		     "movw %w4, %%es\n\t"
		     "rep movsb\n\t"
		     "popw %%es\n\t"
		     "popw %%ds"
		     : "+D"(di), "+S"(si), "+c"(bytes)
		     : "r"((u16)(src >> 4)), "r"((u16)(dst >> 4))
		     : "memory");
}
