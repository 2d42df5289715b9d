/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of the benchmark: 64-bit code, one entry point a row.
 *
 * r12: where the results go, 8 bytes a round; r13: operations in a round;
 * r14: rounds; r15: an address that the row uses. A round's result is its TSC
 * cycles. A byte to port DONE ends the run.
 */
#include "guest.h"

	.section .rodata, "a"
	.globl guest_start, guest_end
	.p2align 4
guest_start:

/* The TSC in \to; rax and rdx are lost. */
.macro TSC to
	lfence
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, \to
.endm

/* A row's loop: what stands between ROW and END_ROW is one operation. */
.macro ROW name
	.globl guest_\name
guest_\name:
1:	TSC %r8
	mov %r13, %r9
2:
.endm

.macro END_ROW
	dec %r9
	jnz 2b
	TSC %r10
	sub %r8, %r10
	mov %r10, (%r12)
	add $8, %r12
	dec %r14
	jnz 1b
	jmp done
.endm

done:	out %al, $DONE_PORT
	jmp done

/* wrmsr of a value below 4 GiB */
.macro SET_MSR msr, value
	mov $\msr, %ecx
	mov $\value, %eax
	xor %edx, %edx
	wrmsr
.endm

ROW cpuid
	mov $1, %eax
	xor %ecx, %ecx
	cpuid
END_ROW

ROW rdmsr
	mov $MSR_APIC_BASE, %ecx
	rdmsr
END_ROW

ROW wrmsr
	SET_MSR MSR_TSC_ADJUST, 0
END_ROW

ROW pio
	out %al, $BENCH_PORT
END_ROW

ROW mmio
	mov %eax, (%r15)
END_ROW

/* A page each time. */
ROW touch
	movb $1, (%r15)
	add $4096, %r15
END_ROW

/* ---- interrupts: x2APIC ---- */

	.globl guest_on_timer, guest_on_ipi
/* The time of the handler's first instruction goes to rbx. */
guest_on_timer:
	TSC %rbx
	SET_MSR MSR_X2APIC_EOI, 0
	iretq

guest_on_ipi:
	push %rax
	push %rcx
	push %rdx
	movq $1, FLAG
	SET_MSR MSR_X2APIC_EOI, 0
	pop %rdx
	pop %rcx
	pop %rax
	iretq

.macro APIC_ON
	SET_MSR MSR_X2APIC_SVR, 0x1ff
.endm

/* Sets the timer r15 cycles ahead; r8 is the deadline. */
.macro ARM_TIMER
	TSC %r8
	add %r15, %r8
	xor %ebx, %ebx
	mov %r8, %rax
	mov %r8, %rdx
	shr $32, %rdx
	mov $MSR_TSC_DEADLINE, %ecx
	wrmsr
.endm

/* From the deadline to the handler, the guest busy all the while. */
	.globl guest_timer
guest_timer:
	APIC_ON
	SET_MSR MSR_X2APIC_LVTT, LVTT_DEADLINE | TIMER_VECTOR
	sti
1:	ARM_TIMER
2:	pause
	test %rbx, %rbx
	jz 2b
	sub %r8, %rbx
	mov %rbx, (%r12)
	add $8, %r12
	dec %r14
	jnz 1b
	jmp done

/* The same, the guest asleep. */
	.globl guest_timer_hlt
guest_timer_hlt:
	APIC_ON
	SET_MSR MSR_X2APIC_LVTT, LVTT_DEADLINE | TIMER_VECTOR
1:	cli
	ARM_TIMER
	sti
	hlt
	test %rbx, %rbx
	jz 1b
	sub %r8, %rbx
	mov %rbx, (%r12)
	add $8, %r12
	dec %r14
	jnz 1b
	jmp done

/* From sending the IPI to seeing what its handler on the sleeping CPU 1 did. */
	.globl guest_ipi, guest_sleeper
guest_ipi:
	APIC_ON
1:	pause
	cmpq $0, READY
	je 1b
1:	TSC %r8
	add %r15, %r8
2:	pause			/* until CPU 1 sleeps for sure */
	TSC %r10
	cmp %r8, %r10
	jb 2b
	movq $0, FLAG
	mov $MSR_X2APIC_ICR, %ecx
	mov $IPI_VECTOR, %eax
	mov $1, %edx
	mov %rax, %rdi
	mov %rdx, %rsi
	TSC %r8
	mov %rdi, %rax
	mov %rsi, %rdx
	wrmsr
3:	pause
	cmpq $0, FLAG
	je 3b
	TSC %r10
	sub %r8, %r10
	mov %r10, (%r12)
	add $8, %r12
	dec %r14
	jnz 1b
	jmp done

guest_sleeper:
	APIC_ON
	movq $1, READY
	sti
1:	hlt
	jmp 1b

guest_end:

	.section .note.GNU-stack, "", @progbits
