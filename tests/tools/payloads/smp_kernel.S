/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A kernel image's protected-mode part that starts every processor. The command
 * line is a letter and two digits, the number of processors: each of the others
 * counts itself and adds to a sum, then answers ROUNDS interrupts out of HLT.
 * The last one then does what the letter says: p(ower off), k(eyboard reset),
 * t(riple fault), while the rest spins; s: all spin. Says on the serial port the
 * letter, or '!' and how far it came. All APICs are in x2APIC mode, where real
 * mode reaches them, too.
 */
	.equ	TRAMPOLINE, 0x30000
	.equ	STACKS, 0x40000		/* 256 bytes each */
	.equ	COUNT, 0x6000		/* processors that began */
	.equ	READY, 0x6004		/* that wait for interrupts */
	.equ	SUM, 0x6008
	.equ	ANSWERS, 0x600c
	.equ	ADDITIONS, 1000
	.equ	ROUNDS, 20
	.equ	PATIENCE, 1 << 34	/* TSC cycles for one step */

	.equ	MSR_APIC_BASE, 0x1b
	.equ	MSR_SVR, 0x80f
	.equ	MSR_EOI, 0x80b
	.equ	MSR_ICR, 0x830
	.equ	OTHERS, 0x000c0000	/* shorthand */
	.equ	INIT, 0x4500
	.equ	SIPI, 0x4600
	.equ	PING, 0x40
	.equ	POWER_OFF, 0x41
	.equ	KEYBOARD, 0x42
	.equ	TRIPLE, 0x43
	.equ	SPIN, 0x44

	.code64
	.skip	0x200
	mov	0x228(%rsi), %ebp	/* cmd_line_ptr */
	movzbl	1(%rbp), %eax
	movzbl	2(%rbp), %ebx
	imul	$10, %eax
	lea	-11 * '0' - 1(%rax,%rbx), %ebx	/* the others */
	lea	trampoline(%rip), %rsi
	mov	$TRAMPOLINE, %edi
	mov	$trampoline_end - trampoline, %ecx
	rep movsb
	xor	%eax, %eax
	mov	$COUNT, %edi
	mov	$4, %ecx
	rep stosl
	lea	vectors(%rip), %rsi
	mov	$4 * PING, %edi		/* the real-mode vector table */
	mov	$5, %ecx
	rep movsl
	call	enable_apic

	mov	$'i', %r15b
	mov	$OTHERS | INIT, %eax
	call	send
	mov	$OTHERS | SIPI | TRAMPOLINE >> 12, %eax
	call	send
	mov	$OTHERS | SIPI | TRAMPOLINE >> 12, %eax
	call	send
	mov	$READY, %edi
	mov	%ebx, %esi
	call	wait_for
	mov	$'c', %r15b
	cmp	COUNT, %ebx
	jne	failed
	mov	$'s', %r15b
	imul	$ADDITIONS, %ebx, %eax
	cmp	SUM, %eax
	jne	failed

	mov	$'r', %r15b
	mov	$ROUNDS, %r12d
	xor	%esi, %esi
1:	mov	$OTHERS | PING, %eax
	call	send
	mov	$ANSWERS, %edi
	add	%ebx, %esi
	call	wait_for
	dec	%r12d
	jnz	1b

	mov	(%rbp), %al
	call	print
	mov	(%rbp), %cl
	mov	$POWER_OFF, %eax
	cmp	$'p', %cl
	je	2f
	mov	$KEYBOARD, %eax
	cmp	$'k', %cl
	je	2f
	mov	$TRIPLE, %eax
	cmp	$'t', %cl
	je	2f
	mov	$OTHERS | SPIN, %eax
	mov	$0, %ebx
2:	mov	%ebx, %edx		/* APIC id: the last one's number */
	mov	$MSR_ICR, %ecx
	wrmsr
3:	jmp	3b

wait_for:	/* until the word at %rdi is %esi */
	rdtsc
	shl	$32, %rdx
	lea	(%rdx,%rax), %r13
	mov	$PATIENCE, %rax
	add	%rax, %r13
4:	cmp	%esi, (%rdi)
	je	5f
	pause
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	cmp	%r13, %rax
	jb	4b
failed:
	mov	$'!', %al
	call	print
	mov	%r15b, %al
	call	print
	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
	jmp	.
5:	ret

send:	/* %eax to the ICR, shorthand */
	xor	%edx, %edx
	mov	$MSR_ICR, %ecx
	wrmsr
	ret

print:
	mov	$0x3f8, %dx
	out	%al, %dx
	ret

	.macro	apic_on
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$MSR_SVR, %ecx
	xor	%edx, %edx
	mov	$0x1ff, %eax
	wrmsr
	.endm

enable_apic:
	apic_on
	ret

vectors:	/* offset and segment of each handler */
	.irp	name, ping, power_off, keyboard, triple, spin
	.word	\name - trampoline, TRAMPOLINE >> 4
	.endr

	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	$STACKS >> 4, %ax
	mov	%ax, %ss
	mov	$1, %ax
	lock xadd	%ax, COUNT
	shl	$8, %ax
	add	$0x100, %ax
	mov	%ax, %sp
	apic_on
	mov	$ADDITIONS, %cx
6:	lock incl	SUM
	loop	6b
	sti
	lock incl	READY
7:	hlt
	jmp	7b

ping:
	lock incl	ANSWERS
	mov	$MSR_EOI, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	iret
power_off:
	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
	jmp	spin
keyboard:
	mov	$0xfe, %al
	out	%al, $0x64
	jmp	spin
triple:
	lidtl	%cs:none - trampoline
	lgdtl	%cs:table - trampoline
	mov	$1, %eax		/* some KVMs emulate real mode, and UD2 not in it */
	mov	%eax, %cr0
	ljmpl	$8, $TRAMPOLINE + 8f - trampoline
	.code32
8:	ud2
	.code16
spin:	jmp	spin
none:	.word	0
	.long	0
gdt:	.quad	0, 0x00cf9b000000ffff	/* flat code */
table:	.word	15
	.long	TRAMPOLINE + gdt - trampoline
trampoline_end:
