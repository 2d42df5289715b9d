/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The setup header of a bzImage, Linux Documentation/arch/x86/boot.rst,
 * "The Real-Mode Kernel Header". Offsets below are those of the document,
 * from the start of the setup code.
 */
#ifndef LINUXBOOT_SETUP_HEADER_H
#define LINUXBOOT_SETUP_HEADER_H

#include "loader.h"

#define HEADER_OFFSET	0x1f1

struct setup_header {
	u8 setup_sects;			/* 0x1f1 */
	u8 unused_1f2[12];
	u16 boot_flag;			/* 0x1fe */
	u16 jump;			/* 0x200 */
	u32 magic;			/* 0x202 */
	u16 version;			/* 0x206 */
	u8 unused_208[8];
	u8 type_of_loader;		/* 0x210 */
	u8 loadflags;			/* 0x211 */
	u16 setup_move_size;		/* 0x212 */
	u32 code32_start;		/* 0x214 */
	u32 ramdisk_image;		/* 0x218 */
	u32 ramdisk_size;		/* 0x21c */
	u32 bootsect_kludge;		/* 0x220 */
	u16 heap_end_ptr;		/* 0x224 */
	u16 ext_loader;			/* 0x226 */
	u32 cmd_line_ptr;		/* 0x228 */
	u32 initrd_addr_max;		/* 0x22c, from 2.03 */
	u8 unused_230[8];
	u32 cmdline_size;		/* 0x238, from 2.06 */
	u8 unused_23c[28];
	u64 pref_address;		/* 0x258, from 2.10 */
	u32 init_size;			/* 0x260, from 2.10 */
} __attribute__((packed));

#define HEADER_AT(field, offset)					\
	_Static_assert(__builtin_offsetof(struct setup_header, field) +	\
		       HEADER_OFFSET == (offset), #field)
HEADER_AT(boot_flag, 0x1fe);
HEADER_AT(version, 0x206);
HEADER_AT(code32_start, 0x214);
HEADER_AT(cmd_line_ptr, 0x228);
HEADER_AT(cmdline_size, 0x238);
HEADER_AT(init_size, 0x260);

#define BOOT_FLAG		0xaa55
#define HEADER_MAGIC		0x53726448	/* "HdrS" */

#define LOADFLAG_HIGH		0x01		/* bzImage: loads at 1 MiB */
#define LOADFLAG_HEAP		0x80		/* heap_end_ptr is valid */

#define LOADER_UNDEFINED	0xff		/* a loader without an id */

#endif
