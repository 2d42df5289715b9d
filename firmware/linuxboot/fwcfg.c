// SPDX-License-Identifier: GPL-2.0-only
/*
 * fw_cfg: the host's blobs, by DMA where the device has it, else byte by byte
 * through the data port. QEMU docs/specs/fw_cfg is the interface's document.
 */
#include "loader.h"

#define PORT_SELECTOR	0x510
#define PORT_DATA	0x511
#define PORT_DMA_LOW	0x518	/* low half of the DMA address, big-endian */

#define ID_DMA		(1 << 1)

#define DMA_ERROR	(1 << 0)
#define DMA_READ	(1 << 1)
#define DMA_SELECT	(1 << 3)

/* All fields big-endian. */
struct fwcfg_dma {
	u32 control;
	u32 length;
	u32 address_high;
	u32 address_low;
};

/* A device that has not answered after this many looks is not going to. */
#define DMA_PATIENCE	(1u << 27)

static int have_dma;
static volatile struct fwcfg_dma dma;

static u32 big_endian(u32 value)
{
	return __builtin_bswap32(value);
}

static void read_by_dma(enum fwcfg_key key, u32 phys, u32 len)
{
	u32 left = DMA_PATIENCE;

	dma.length = big_endian(len);
	dma.address_high = 0;
	dma.address_low = big_endian(phys);
	dma.control = big_endian((u32)key << 16 | DMA_SELECT | DMA_READ);
	asm volatile("" : : : "memory");
	/* The write of the low half starts the transfer; the high half is 0. */
	outl(PORT_DMA_LOW, big_endian(phys_of(&dma)));

	while (big_endian(dma.control) & ~DMA_ERROR) {
		if (!--left)
			fail("fw_cfg DMA of key %x never ended", key);
		asm volatile("pause" : : : "memory");
	}
	if (dma.control)
		fail("fw_cfg DMA of key %x, %u bytes to %x failed",
		     key, len, phys);
}

/* At most BOUNCE_SIZE bytes of the selected item to below 1 MiB. */
static void read_port(u32 phys, u16 len)
{
	u16 di = phys & 15;

	asm volatile("pushw %%es\n\t"
		     "movw %w3, %%es\n\t"
		     "rep insb\n\t"
		     "popw %%es"
		     : "+D"(di), "+c"(len)
		     : "d"((u16)PORT_DATA), "r"((u16)(phys >> 4))
		     : "memory");
}

static void read_by_port(enum fwcfg_key key, u32 phys, u32 len)
{
	outw(PORT_SELECTOR, key);
	while (len) {
		u32 part = len < BOUNCE_SIZE ? len : BOUNCE_SIZE;

		if (phys + part <= 0x100000) {
			read_port(phys, part);
		} else {
			read_port(BOUNCE_PHYS, part);
			if (bios_move(phys, BOUNCE_PHYS, part))
				fail("the BIOS cannot move memory to %x", phys);
		}
		phys += part;
		len -= part;
	}
}

/* Read the first @len bytes of item @key to guest-physical @phys. */
void fwcfg_read(enum fwcfg_key key, u32 phys, u32 len)
{
	if (!len)
		return;
	if (have_dma)
		read_by_dma(key, phys, len);
	else
		read_by_port(key, phys, len);
}

/* A little-endian 32-bit item: the sizes in the kernel hand-over are such. */
u32 fwcfg_u32(enum fwcfg_key key)
{
	u32 value = 0;

	fwcfg_read(key, phys_of(&value), sizeof(value));
	return value;
}

/* Find the device; returns whether it does DMA. */
int fwcfg_init(void)
{
	static const char signature[] = "QEMU";
	u32 i;

	outw(PORT_SELECTOR, FWCFG_SIGNATURE);
	for (i = 0; signature[i]; i++)
		if (inb(PORT_DATA) != signature[i])
			fail("no fw_cfg device");
	have_dma = !!(fwcfg_u32(FWCFG_ID) & ID_DMA);
	return have_dma;
}
