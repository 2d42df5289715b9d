// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boot the kernel, initrd and command line that the host left in fw_cfg, by
 * the 16-bit entry of the Linux/x86 boot protocol: the kernel's own setup code
 * then asks the BIOS for the memory map, as on any machine.
 *
 * Only sizes and data come from fw_cfg. Where things go is decided here, and
 * the setup header's loader fields are filled here, so the hand-over's address
 * keys (0x07, 0x0a, 0x13, 0x16) are not read.
 */
#include "setup_header.h"

#define KERNEL_PHYS	0x100000
#define PAGE		0x1000u

/* boot.rst: setup_sects is at most 63 behind the boot sector. */
#define SETUP_MAX	0x8000

/* What older protocols imply where the header has no field for it. */
#define OLD_INITRD_MAX	0x37ffffffu
#define OLD_CMDLINE_MAX	255u

static struct setup_header header;
static struct e820_entry memory_map[64];
static u32 memory_ranges;

/* Clip RAM range @r to below 4 GiB; returns 0 if there is nothing of it. */
static int ram_range(const struct e820_entry *r, u64 *start, u64 *end)
{
	u64 limit = 1ull << 32;

	if (r->type != E820_RAM || r->addr >= limit)
		return 0;
	*start = r->addr;
	*end = r->len < limit - r->addr ? r->addr + r->len : limit;
	return 1;
}

/* End of the RAM range that holds @addr, or 0 if none does. */
static u64 ram_end_at(u32 addr)
{
	u64 start, end;
	u32 i;

	for (i = 0; i < memory_ranges; i++)
		if (ram_range(&memory_map[i], &start, &end) &&
		    start <= addr && addr < end)
			return end;
	return 0;
}

/* Highest page-aligned home for @size bytes of RAM in [@floor, @ceiling). */
static u32 find_high(u32 size, u64 floor, u64 ceiling)
{
	u64 start, end, best = 0;
	u32 i;

	for (i = 0; i < memory_ranges; i++) {
		u64 at;

		if (!ram_range(&memory_map[i], &start, &end))
			continue;
		if (end > ceiling)
			end = ceiling;
		if (start < floor)
			start = floor;
		if (end < start || end - start < size)
			continue;
		at = (end - size) & ~(u64)(PAGE - 1);
		if (at >= start && at > best)
			best = at;
	}
	return best;
}

/* The kernel's setup code goes to its place; its header to @header. */
static void load_setup(void)
{
	u32 size = fwcfg_u32(FWCFG_SETUP_SIZE);

	if (!size)
		fail("no kernel in fw_cfg");
	if (size < HEADER_OFFSET + sizeof(header) || size > SETUP_MAX)
		fail("kernel setup of %u bytes is not a bzImage's", size);
	fwcfg_read(FWCFG_SETUP_DATA, SETUP_PHYS, size);
	low_copy(phys_of(&header), SETUP_PHYS + HEADER_OFFSET, sizeof(header));
}

static void check_header(void)
{
	if (header.boot_flag != BOOT_FLAG || header.magic != HEADER_MAGIC)
		fail("the kernel is not a Linux bzImage");
	if (header.version < 0x202)
		fail("boot protocol %x is too old", header.version);
	if (!(header.loadflags & LOADFLAG_HIGH))
		fail("the kernel is a zImage, which loads low");
}

/* Load the kernel proper; returns the end of the memory it runs in. */
static u64 load_kernel(void)
{
	u32 size = fwcfg_u32(FWCFG_KERNEL_SIZE);
	u64 ram_end = ram_end_at(KERNEL_PHYS);
	u64 end = (u64)KERNEL_PHYS + size;

	if (!size)
		fail("the kernel has no code behind its setup");
	/* Decompression starts at pref_address, or where we loaded if higher. */
	if (header.version >= 0x20a) {
		u64 run = header.pref_address;

		if (run < KERNEL_PHYS)
			run = KERNEL_PHYS;
		run += header.init_size;
		if (run > end)
			end = run;
	}
	if (end > ram_end)
		fail("the kernel needs RAM from %x up to %u MiB, there is "
		     "%u MiB", KERNEL_PHYS, (u32)((end + 0xfffff) >> 20),
		     (u32)(ram_end >> 20));
	fwcfg_read(FWCFG_KERNEL_DATA, KERNEL_PHYS, size);
	header.code32_start = KERNEL_PHYS;
	say("kernel: %u bytes at %x, protocol %x", size, KERNEL_PHYS,
	    header.version);
	return end;
}

/* As high as the kernel allows, so that it is out of the kernel's way. */
static void load_initrd(u64 floor)
{
	u32 size = fwcfg_u32(FWCFG_INITRD_SIZE);
	u32 max = header.version >= 0x203 ? header.initrd_addr_max :
					    OLD_INITRD_MAX;
	u32 at = 0;

	if (size) {
		at = find_high(size, floor, (u64)max + 1);
		if (!at)
			fail("no RAM for an initrd of %u bytes between %u MiB "
			     "and %x", size, (u32)(floor >> 20), max);
		fwcfg_read(FWCFG_INITRD_DATA, at, size);
	}
	header.ramdisk_image = at;
	header.ramdisk_size = size;
	say("initrd: %u bytes at %x", size, at);
}

static void load_cmdline(void)
{
	u32 size = fwcfg_u32(FWCFG_CMDLINE_SIZE);
	u32 max = header.version >= 0x206 ? header.cmdline_size :
					    OLD_CMDLINE_MAX;
	static const char nul;

	if (max > CMDLINE_ROOM - 1)
		max = CMDLINE_ROOM - 1;
	/* @max is without the NUL, which the host may have counted. */
	if (size > max + 1)
		fail("command line of %u bytes, this kernel takes %u", size,
		     max);
	fwcfg_read(FWCFG_CMDLINE_DATA, CMDLINE_PHYS, size);
	low_copy(CMDLINE_PHYS + (size < max ? size : max), phys_of(&nul), 1);
	header.cmd_line_ptr = CMDLINE_PHYS;
	say("command line: %u bytes at %x", size, CMDLINE_PHYS);
}

/* The fields that the boot protocol marks for the loader to write. */
static void store_header(void)
{
	header.type_of_loader = LOADER_UNDEFINED;
	header.loadflags |= LOADFLAG_HEAP;
	header.heap_end_ptr = SETUP_STACK - 0x200;
	low_copy(SETUP_PHYS + HEADER_OFFSET, phys_of(&header), sizeof(header));
}

void loader_main(void)
{
	u64 kernel_end;

	say("fw_cfg by %s", fwcfg_init() ? "DMA" : "port");
	if (bios_low_memory() < LOW_END)
		fail("%u KiB of conventional memory, %u needed",
		     bios_low_memory() >> 10, LOW_END >> 10);
	memory_ranges = bios_e820(memory_map, ARRAY_SIZE(memory_map));
	load_setup();
	check_header();
	kernel_end = load_kernel();
	load_initrd(kernel_end);
	load_cmdline();
	store_header();
	say("entering the kernel");
	enter_kernel();
}
