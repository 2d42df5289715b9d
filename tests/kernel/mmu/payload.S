/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest: goes over its data pages for ever, in long mode, on its own.
 * rdi: struct control of guest.h. Each pass ends with a look at control.stop;
 * if set, an OUT to port 0x10 hands over to the host.
 *
 * mode 0: sum words 1, 33, 65... of each page and compare with expected[page];
 * 1: that, and a locked increment of word 0; 2: store the page's number to
 * word 0; 3: load word 0.
 */
	.section .rodata, "a"
	.globl	payload_start, payload_end
	.code64
	.balign	16
payload_start:
pass:
	mov	40(%rdi), %rsi		/* base */
	xor	%r8d, %r8d		/* page number */
page:
	cmpq	$2, 64(%rdi)
	je	store
	ja	load
	xor	%eax, %eax
	mov	$1, %edx
1:	add	(%rsi,%rdx,8), %rax
	add	$32, %edx
	cmp	$512, %edx
	jb	1b
	mov	56(%rdi), %rbx		/* expected */
	cmp	(%rbx,%r8,8), %rax
	je	2f
	incq	16(%rdi)		/* errors */
	mov	%r8, 24(%rdi)
	mov	%rax, 32(%rdi)
2:	cmpq	$0, 64(%rdi)
	je	next
	lock incq (%rsi)
	jmp	next
store:
	mov	%r8, (%rsi)
	jmp	next
load:
	mov	(%rsi), %rax
next:
	add	$4096, %rsi
	inc	%r8
	cmp	48(%rdi), %r8		/* npages */
	jb	page
	incq	8(%rdi)			/* passes */
	cmpq	$0, (%rdi)		/* stop */
	je	pass
	out	%al, $0x10
	jmp	pass
payload_end:

	.section .note.GNU-stack, "", @progbits
