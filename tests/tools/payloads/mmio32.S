/* SPDX-License-Identifier: GPL-2.0-only */
/* MMIO of every width in protected mode; the device is at 0x80000000. */
	.code32
	mov	$0x80000000, %ebx
	movb	$0x11, (%ebx)
	movw	$0x2233, 2(%ebx)
	movl	$0x44556677, 4(%ebx)
	mov	$0xa1a2a3a4, %eax
	mov	%al, 8(%ebx)
	mov	%ax, 8(%ebx)
	mov	%eax, 8(%ebx)

	/* Reads, each sent back to 0x40. */
	movb	(%ebx), %al
	mov	%al, 0x40(%ebx)
	movw	(%ebx), %ax
	mov	%ax, 0x40(%ebx)
	movl	(%ebx), %eax
	mov	%eax, 0x40(%ebx)
	movzbl	(%ebx), %eax
	mov	%eax, 0x40(%ebx)
	movsbl	(%ebx), %eax
	mov	%eax, 0x40(%ebx)

	mov	$words, %esi
	lea	0x50(%ebx), %edi
	mov	$2, %ecx
	cld
	rep movsl
	mov	$0x5a, %al
	lea	0x60(%ebx), %edi
	mov	$3, %ecx
	rep stosb

	/* Beyond every window: all ones. */
	mov	0x90000000, %eax
	mov	%eax, 0x40(%ebx)
	hlt
words:	.long	0x01020304, 0x05060708
