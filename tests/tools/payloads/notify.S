/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes that event descriptors wait for: ports 0x500 (words 1, 2, 1) and, in
 * long mode, memory at 0x80000000; then one exit to port 0x600.
 */
	.code64
	mov	$0x500, %dx
	mov	$1, %ax
	out	%ax, %dx
	mov	$2, %ax
	out	%ax, %dx
	mov	$1, %ax
	out	%ax, %dx
	mov	$0x80000000, %ebx
	movw	$7, (%rbx)
	movw	$8, 2(%rbx)
	movl	$9, 4(%rbx)
	mov	$0x600, %dx
	out	%al, %dx
1:	hlt
	jmp	1b
