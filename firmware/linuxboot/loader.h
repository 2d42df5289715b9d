/* SPDX-License-Identifier: GPL-2.0-only */
/* The option ROM's own declarations: types, console, BIOS calls, fw_cfg. */
#ifndef LINUXBOOT_LOADER_H
#define LINUXBOOT_LOADER_H

#include "layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* BIOS memory map entry, INT 15h AX=E820h. */
struct e820_entry {
	u64 addr;
	u64 len;
	u32 type;
} __attribute__((packed));

#define E820_RAM	1

/* The selector keys of the kernel hand-over (QEMU docs/specs/fw_cfg). */
enum fwcfg_key {
	FWCFG_SIGNATURE		= 0x00,
	FWCFG_ID		= 0x01,
	FWCFG_KERNEL_SIZE	= 0x08,
	FWCFG_INITRD_SIZE	= 0x0b,
	FWCFG_KERNEL_DATA	= 0x11,
	FWCFG_INITRD_DATA	= 0x12,
	FWCFG_CMDLINE_SIZE	= 0x14,
	FWCFG_CMDLINE_DATA	= 0x15,
	FWCFG_SETUP_SIZE	= 0x17,
	FWCFG_SETUP_DATA	= 0x18,
};

/* Guest-physical address of an object of ours. */
static inline u32 phys_of(const volatile void *p)
{
	return LOADER_PHYS + (u32)p;
}

static inline void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(u16 port, u16 value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* entry.S */
void halt(void) __attribute__((noreturn));
void enter_kernel(void) __attribute__((noreturn));

/* main.c */
void loader_main(void) __attribute__((noreturn));

/* console.c */
void say(const char *fmt, ...);
void fail(const char *fmt, ...) __attribute__((noreturn));

/* bios.c */
u32 bios_low_memory(void);
u32 bios_e820(struct e820_entry *table, u32 room);
int bios_move(u32 dst, u32 src, u16 bytes);
void bios_putc(char c);
void low_copy(u32 dst, u32 src, u16 bytes);

/* fwcfg.c */
int fwcfg_init(void);
u32 fwcfg_u32(enum fwcfg_key key);
void fwcfg_read(enum fwcfg_key key, u32 phys, u32 len);

#endif
