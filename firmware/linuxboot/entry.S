/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Option ROM header with a bootstrap entry vector, and the two far jumps:
 * into our RAM copy and into the kernel's setup code.
 *
 * Layouts: BIOS Boot Specification 1.01 sections 3.3 and 6.4; Plug and Play
 * BIOS Specification 1.0A section 3.2 (expansion header).
 */
#include "layout.h"

	.code16
	.section .header, "ax"
	.globl	rom_start
rom_start:
	.word	0xaa55
	.byte	0			/* length / 512: mkrom.py */
	.byte	0xe9			/* init vector: a near jump, */
	.word	rom_init - . - 2	/* three bytes whatever the distance */
	.org	0x18
	.word	0			/* no PCI data: we belong to no device */
	.word	pnp_header

	.balign	16
pnp_header:
	.ascii	"$PnP"
	.byte	0x01			/* structure revision */
	.byte	(pnp_end - pnp_header) / 16
	.word	0			/* no further header */
	.byte	0
	.byte	0			/* header checksum: mkrom.py */
	.long	0			/* device identifier */
	.word	manufacturer
	.word	product
	.byte	0x01, 0x80, 0x00	/* type: mass storage, other */
	.byte	0x64			/* shadowable, cacheable, IPL device */
	.word	0			/* boot connection vector */
	.word	0			/* disconnect vector */
	.word	boot			/* bootstrap entry vector */
	.word	0
	.word	0			/* static resource vector */
pnp_end:

manufacturer:
	.asciz	"unikvm"
product:
	.asciz	"unikvm-linuxboot"

	.text
/* Far-called once during POST. There is nothing to hook. */
rom_init:
	movw	$0x0020, %ax		/* an IPL device is attached */
	lret

/* The BIOS chose us in INT 19h: move to RAM and run the C loader. */
boot:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	movw	$LOADER_SEG, %ax
	movw	%ax, %es
	xorw	%si, %si
	xorw	%di, %di
	movw	$__image_dwords, %cx
	rep movsl
	ljmp	$LOADER_SEG, $1f
1:
	movw	%ax, %ds
	movw	%ax, %ss
	movl	$LOADER_STACK, %esp
	movw	$__bss_start, %di
	movw	$__bss_size, %cx
	xorw	%ax, %ax
	rep stosb
	sti
	calll	loader_main		/* does not return */

/* halt(): the machine stops here, interrupts off, so that nothing follows. */
	.globl	halt
halt:
	cli
2:
	hlt
	jmp	2b

/* enter_kernel(): boot protocol, "Running the Kernel" (16-bit entry). */
	.globl	enter_kernel
enter_kernel:
	cli
	movw	$SETUP_SEG, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movl	$SETUP_STACK, %esp
	ljmp	$(SETUP_SEG + 0x20), $0

	.section .note.GNU-stack, "", @progbits
