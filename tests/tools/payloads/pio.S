/* SPDX-License-Identifier: GPL-2.0-only */
/* Port I/O of every width, single and repeated, in real mode. */
	.code16
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	cld

	mov	$0x200, %dx
	mov	$0x11, %al
	out	%al, %dx
	mov	$0x2233, %ax
	out	%ax, %dx
	mov	$0x44556677, %eax
	out	%eax, %dx
	out	%al, $0x80

	/* What comes in goes out again one port further. */
	in	%dx, %al
	inc	%dx
	out	%al, %dx
	dec	%dx
	in	%dx, %ax
	inc	%dx
	out	%ax, %dx
	dec	%dx
	in	%dx, %eax
	inc	%dx
	out	%eax, %dx

	mov	$text, %si
	mov	$5, %cx
	mov	$0x210, %dx
	rep outsb
	mov	$words, %si
	mov	$2, %cx
	rep outsw
	mov	$words, %si
	mov	$1, %cx
	rep outsl

	/* INS through a buffer, then OUTS of what arrived. */
	mov	$0x220, %dx
	mov	$buffer, %di
	mov	$4, %cx
	rep insb
	mov	$2, %cx
	rep insw
	mov	$2, %cx
	rep insl
	mov	$buffer, %si
	mov	$16, %cx
	mov	$0x230, %dx
	rep outsb

	/* Backwards. */
	std
	mov	$text + 4, %si
	mov	$5, %cx
	mov	$0x210, %dx
	rep outsb
	cld

	/* A word over the end of a window, and a port nobody has. */
	mov	$0x20f, %dx
	mov	$0xbbaa, %ax
	out	%ax, %dx
	mov	$0x5555, %dx
	in	%dx, %eax
	mov	$0x211, %dx
	out	%eax, %dx
	hlt

text:	.ascii	"hello"
words:	.word	0x1234, 0x5678
buffer:	.skip	16
