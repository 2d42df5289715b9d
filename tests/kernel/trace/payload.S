/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * 32-bit protected mode, flat, no paging, at BASE: does once what each
 * tracepoint tells of. traceguest.c sets up tables and answers ports and MMIO.
 */
#define BASE		0x1000
#define AT(label)	(label - payload + BASE)
#define APIC		0xfee00000
#define IOAPIC		0xfec00000
#define FLAGS		0x7000		/* one byte an interrupt seen */
#define SPINS		0x7010		/* from traceguest.c */

	.section .rodata
	.globl payload, payload_end, handlers
	.code32
payload:
	mov	SPINS, %ecx		/* time of the guest's own */
0:	dec	%ecx
	jns	0b

	mov	$0x40000000, %eax
	xor	%ecx, %ecx
	cpuid

	mov	$0x8b, %ecx
	rdmsr
	mov	$0x2ff, %ecx
	mov	$0xc06, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0xdead1234, %ecx
	rdmsr				/* #GP: the handler skips it */

	mov	$0x5a, %al
	out	%al, $0x80
	in	$0x81, %al
	mov	$0xff, %al
	out	%al, $0xa1		/* in the kernel */
	in	$0xa1, %al

	movl	$0x11223344, 0xd0000000
	mov	0xd0000004, %eax

	mov	$1, %eax
	mov	$2, %ebx
	mov	$3, %ecx
	mov	$4, %edx
	mov	$5, %esi
	vmmcall

	mov	%cr0, %eax
	or	$0x10000, %eax		/* WP */
	mov	%eax, %cr0

	movl	$0x1ff, APIC + 0xf0
	mov	APIC + 0x30, %eax
	sti
	movl	$0x44040, APIC + 0x300	/* to myself, vector 40h */
1:	cmpb	$0, FLAGS + 0
	je	1b

	movl	$0x1b, IOAPIC		/* pin 5: to APIC 0, edge, 45h */
	movl	$0, IOAPIC + 0x10
	movl	$0x1a, IOAPIC
	movl	$0x45, IOAPIC + 0x10
	out	%al, $0x82		/* now raise GSI 5, send an MSI */
2:	cmpb	$0, FLAGS + 5
	je	2b
3:	cmpb	$0, FLAGS + 6
	je	3b

	cli
	movl	$0x47, APIC + 0x320	/* timer, one shot */
	movl	$0x1000000, APIC + 0x380
4:	sti
	hlt
	cli
	cmpb	$0, FLAGS + 7
	je	4b
	out	%al, $0xf0
	hlt

gp:	add	$4, %esp
	addl	$2, (%esp)
	iret

.macro HANDLER n
handler\n:
	movb	$1, FLAGS + \n
	movl	$0, APIC + 0xb0
	iret
.endm
	HANDLER 0
	HANDLER 5
	HANDLER 6
	HANDLER 7
payload_end:

	.balign 4
handlers:				/* vector, address */
	.long	13, AT(gp), 0x40, AT(handler0), 0x45, AT(handler5)
	.long	0x46, AT(handler6), 0x47, AT(handler7), 0, 0

	.section .note.GNU-stack, "", @progbits
