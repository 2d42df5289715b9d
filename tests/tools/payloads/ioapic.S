/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Long mode: a level interrupt through the IOAPIC (pin 20, vector 0x50) and a
 * message (vector 0x51).  Port 0x300 asks for one or the other, the handler's
 * write to 0x301 or 0x302 tells the device to let go; the count goes to 0x303.
 * The code selector is that of the boot protocol, 0x10.
 */
	.code64
	mov	$handler_level, %eax
	mov	$0x50, %ecx
	call	gate
	mov	$handler_message, %eax
	mov	$0x51, %ecx
	call	gate
	lidt	idtr

	mov	$0xfee00000, %ebx
	movl	$0x1ff, 0xf0(%rbx)	/* enable the local APIC */
	mov	$0xfec00000, %esi
	movl	$0x10 + 2 * 20 + 1, (%rsi)
	movl	$0, 0x10(%rsi)		/* destination 0 */
	movl	$0x10 + 2 * 20, (%rsi)
	movl	$0x8050, 0x10(%rsi)	/* level, fixed, vector 0x50 */

	mov	$0x300, %dx
	mov	$1, %al
	out	%al, %dx
	sti
	hlt
	cli
	mov	$0x300, %dx
	mov	$2, %al
	out	%al, %dx
	sti
	hlt
	cli
	mov	$0x303, %dx
	mov	count, %eax
	out	%eax, %dx
1:	hlt
	jmp	1b

gate:	/* %eax: handler, %ecx: vector */
	shl	$4, %ecx
	lea	idt(%rcx), %rdi
	mov	%ax, (%rdi)
	movw	$0x10, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	shr	$16, %eax
	mov	%ax, 6(%rdi)
	ret

handler_level:
	mov	$0x301, %dx
	out	%al, %dx
	incl	count
	movl	$0, 0xb0(%rbx)		/* EOI */
	iretq
handler_message:
	mov	$0x302, %dx
	out	%al, %dx
	addl	$0x100, count
	movl	$0, 0xb0(%rbx)
	iretq

count:	.long	0
idtr:	.word	0x52 * 16 - 1
	.quad	idt
	.balign	8
idt:	.skip	0x52 * 16
