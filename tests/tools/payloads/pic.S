/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Real mode: program the master 8259 (vectors from 0x20), ask for IRQ 4 by a
 * write to port 0x300, sleep, count the interrupt, three times, and report the
 * count to port 0x302.
 */
	.code16
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	movw	$handler, 4 * 0x24
	movw	$0, 4 * 0x24 + 2
	mov	$0x11, %al
	out	%al, $0x20
	mov	$0x20, %al
	out	%al, $0x21
	mov	$0x04, %al
	out	%al, $0x21
	mov	$0x01, %al
	out	%al, $0x21
	mov	$0xef, %al		/* only IRQ 4 */
	out	%al, $0x21

	mov	$3, %cx
1:	mov	$0x300, %dx
	mov	%cl, %al
	out	%al, %dx
	sti
	hlt
	cli
	loop	1b
	mov	$0x302, %dx
	mov	count, %al
	out	%al, %dx
1:	hlt
	jmp	1b

handler:
	push	%ax
	push	%dx
	incb	count
	mov	$0x301, %dx
	out	%al, %dx
	mov	$0x20, %al		/* EOI */
	out	%al, $0x20
	pop	%dx
	pop	%ax
	iret

count:	.byte	0
