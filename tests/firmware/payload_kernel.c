// SPDX-License-Identifier: GPL-2.0-only
/*
 * The protected-mode half of the reporting bzImage, linked at 1 MiB. Prints
 * "payload: NAME=VALUE" lines on the debug console, then leaves QEMU through
 * its isa-debug-exit port.
 */
typedef unsigned char u8;
typedef unsigned int u32;

#define DEBUGCON	0x402
#define EXIT_PORT	0xf4

static void outb(unsigned short port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void put(const char *s)
{
	while (*s)
		outb(DEBUGCON, *s++);
}

static void report(const char *name, u32 value)
{
	int shift;

	put("payload: ");
	put(name);
	outb(DEBUGCON, '=');
	for (shift = 28; shift >= 0; shift -= 4)
		outb(DEBUGCON, "0123456789abcdef"[value >> shift & 15]);
	outb(DEBUGCON, '\n');
}

/* CRC-32 as in zlib, bit by bit: no table to get wrong. */
static u32 crc32(const u8 *p, u32 len)
{
	u32 crc = ~0u;

	while (len--) {
		int bit;

		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static u32 field(const u8 *setup, u32 offset)
{
	return *(const u32 *)(setup + offset);
}

void payload_main(const u8 *setup, u32 stack)
{
	const char *cmdline = (const char *)field(setup, 0x228);

	report("setup", (u32)setup);
	report("stack", stack);
	report("loader", setup[0x210]);
	report("loadflags", setup[0x211]);
	report("heap_end", field(setup, 0x224) & 0xffff);
	report("code32_start", field(setup, 0x214));
	report("kernel_crc", crc32((const u8 *)0x100000 + field(setup, 0x248),
				   field(setup, 0x24c)));
	report("initrd", field(setup, 0x218));
	report("initrd_size", field(setup, 0x21c));
	report("initrd_crc", crc32((const u8 *)field(setup, 0x218),
				   field(setup, 0x21c)));
	put("payload: cmdline=");
	put(cmdline);
	put("\npayload: done\n");
	outb(EXIT_PORT, 0x21);
	for (;;)
		asm volatile("hlt");
}

asm(".section .start, \"ax\"\n"
    "	movw	$0x10, %ax\n"
    "	movw	%ax, %ds\n"
    "	movw	%ax, %es\n"
    "	movw	%ax, %ss\n"
    "	movl	$0x90000, %esp\n"
    "	pushl	%ebp\n"
    "	pushl	%esi\n"
    "	call	payload_main\n");
