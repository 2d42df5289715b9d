/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the option ROM puts things below 1 MiB, for C, assembly and linker.
 *
 * SeaBIOS keeps 0-0x7bff (vectors, BIOS data, boot stack) and everything from
 * the extended BIOS data area near 0x9fc00 up; the rest is ours.
 */
#ifndef LINUXBOOT_LAYOUT_H
#define LINUXBOOT_LAYOUT_H

/* The kernel's real-mode part: 64 KiB segment of code, heap and stack. */
#define SETUP_SEG	0x1000
#define SETUP_PHYS	0x10000
/* Stack top in that segment, as the boot protocol's own sample has it. */
#define SETUP_STACK	0xe000

#define CMDLINE_PHYS	0x20000
#define CMDLINE_ROOM	0x10000

/* The loader runs from a copy of itself here: option ROMs become read-only. */
#define LOADER_SEG	0x3000
#define LOADER_PHYS	0x30000
#define LOADER_STACK	0xfff0

/* Staging for port reads that end above 1 MiB. */
#define BOUNCE_PHYS	0x40000
#define BOUNCE_SIZE	0x8000

/* End of what we touch; conventional memory must reach this far. */
#define LOW_END		(BOUNCE_PHYS + BOUNCE_SIZE)

#endif
