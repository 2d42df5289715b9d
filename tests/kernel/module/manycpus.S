/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of manycpus.c. Its first CPU starts the others as a PC does (INIT,
 * then SIPI; APM vol. 2 16.5). Then each CPU sends interrupts to the next one,
 * writes memory, sleeps, and counts its timer's interrupts. An interrupt is
 * acknowledged in memory before the next is sent: none may be lost or come
 * twice, and none may come while the processor masks it.
 *
 * Flat 32 bit without paging, copied to CODE. EBX is the CPU's number, EBP the
 * next one's, EDI MAGIC: who does not preserve registers is found out.
 */
#include "manycpus.h"

#define MAGIC		0x5ca1ab1e
#define APIC		0xfee00000
#define APIC_ID		0x20
#define APIC_EOI	0xb0
#define APIC_SVR	0xf0
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVT_TIMER	0x320
#define APIC_COUNT	0x380
#define APIC_DIVIDE	0x3e0
#define PERIODIC	0x20000
#define INIT_OTHERS	0xc4500
#define SIPI_OTHERS	0xc4600
#define MSR_APIC_BASE	0x1b
#define MSR_X2APIC(reg)	0x800 + (reg) / 16

#define AT(label)	CODE + (label) - guest_code

	.section .rodata
	.globl guest_code, guest_code_end
	.globl guest_exceptions, guest_next, guest_timer, guest_spurious
	.balign 16
guest_code:
	.code16
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	AT(gdtr)
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $AT(flat)

	.balign 8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdtr:	.word	gdtr - gdt - 1
	.long	AT(gdt)
idtr:	.word	256 * 8 - 1
	.long	IDT

	.code32
/* A register of the LAPIC; without a stack. */
.macro APIC_WRITE reg, value
	cmpl	$0, X2APIC
	jne	1f
	movl	\value, APIC + \reg
	jmp	2f
1:	mov	\value, %eax
	xor	%edx, %edx
	mov	$MSR_X2APIC(\reg), %ecx
	wrmsr
2:
.endm

flat:	mov	$16, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	lidt	AT(idtr)
	cmpl	$0, X2APIC
	jne	1f
	mov	APIC + APIC_ID, %ebx
	shr	$24, %ebx
	jmp	2f
1:	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$MSR_X2APIC(APIC_ID), %ecx
	rdmsr
	mov	%eax, %ebx
2:	lea	1(%ebx), %esp
	shl	$STACK_SHIFT, %esp
	add	$STACKS, %esp
	mov	$MAGIC, %edi
	lea	1(%ebx), %ebp
	cmp	CPUS, %ebp
	jb	3f
	xor	%ebp, %ebp
3:	APIC_WRITE APIC_SVR, $0x100 | VECTOR_SPURIOUS
	APIC_WRITE APIC_DIVIDE, $0xb
	APIC_WRITE APIC_LVT_TIMER, $PERIODIC | VECTOR_TIMER
	mov	TIMER_COUNT, %esi
	APIC_WRITE APIC_COUNT, %esi
	lock incl UP
	test	%ebx, %ebx
	jnz	work

	APIC_WRITE APIC_ICR, $INIT_OTHERS
	APIC_WRITE APIC_ICR, $SIPI_OTHERS | CODE >> 12
4:	pause
	mov	UP, %eax
	cmp	CPUS, %eax
	jb	4b
	out	%eax, $PORT_UP
	movl	$1, GO

work:	pause
	cmpl	$0, GO
	je	work
	mov	%ebx, %esi		/* a sequence of numbers of its own */
	sti
again:	cmpl	$0, STOP
	jne	finish
	mov	$ERROR_REGISTER, %eax
	cmp	$MAGIC, %edi
	jne	error
	mov	SENT(,%ebx,4), %eax
	cmp	HANDLED(,%ebp,4), %eax
	jne	5f
	incl	SENT(,%ebx,4)
	call	send_next
5:	imul	$1103515245, %esi
	add	$12345, %esi
	mov	%esi, %eax
	shr	$8, %eax
	and	DATA_MASK, %eax
	lock incl DATA(%eax)
	test	$0x1f0000, %esi
	jnz	again
	hlt				/* until the timer or the CPU before */
	jmp	again

/* Go only when the last one sent has arrived. */
finish:	pause
	mov	SENT(,%ebx,4), %eax
	cmp	HANDLED(,%ebp,4), %eax
	jne	finish
	lock incl FINISHED
6:	pause
	mov	FINISHED, %eax
	cmp	CPUS, %eax
	jb	6b
	cli
	out	%eax, $PORT_DONE
7:	hlt
	jmp	7b

/* EAX tells what is wrong. */
error:	cli
	out	%eax, $PORT_ERROR
8:	hlt
	jmp	8b

send_next:
	cmpl	$0, X2APIC
	jne	1f
	mov	%ebp, %eax
	shl	$24, %eax
	mov	%eax, APIC + APIC_ICR2
	movl	$VECTOR_NEXT, APIC + APIC_ICR
	ret
1:	mov	$VECTOR_NEXT, %eax
	mov	%ebp, %edx
	mov	$MSR_X2APIC(APIC_ICR), %ecx
	wrmsr
	ret

/* ---- interrupts ---- */

/* Behind the three registers saved lie EIP, CS and EFLAGS. */
.macro ENTER
	push	%eax
	push	%ecx
	push	%edx
	mov	$ERROR_MASKED, %eax
	testl	$0x200, 20(%esp)
	jz	error
.endm

.macro LEAVE
	APIC_WRITE APIC_EOI, $0
	pop	%edx
	pop	%ecx
	pop	%eax
	iret
.endm

guest_next:
	ENTER
	mov	%ebx, %ecx		/* who sent it */
	test	%ecx, %ecx
	jnz	1f
	mov	CPUS, %ecx
1:	dec	%ecx
	mov	HANDLED(,%ebx,4), %edx
	mov	$ERROR_TWICE, %eax
	cmp	SENT(,%ecx,4), %edx
	je	error
	incl	HANDLED(,%ebx,4)
	LEAVE

guest_timer:
	ENTER
	incl	TICKS(,%ebx,4)
	LEAVE

guest_spurious:
	iret

	.balign STUB_SIZE
guest_exceptions:
	.set	vector, 0
	.rept	32
	mov	$vector, %eax
	jmp	error
	.balign STUB_SIZE
	.set	vector, vector + 1
	.endr
guest_code_end:
	.section .note.GNU-stack, "", @progbits
