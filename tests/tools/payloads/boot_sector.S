/* SPDX-License-Identifier: GPL-2.0-only */
/* A boot sector: tells the debug console that it runs, and powers off. */
	.code16
	xor	%ax, %ax
	mov	%ax, %ds
	mov	$text, %si
	mov	$0x402, %dx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
	hlt
text:	.asciz	"boot sector runs\n"
	.org	510
	.word	0xaa55
