/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of the interrupt tests: an interpreter for scripts of 16-byte
 * operations, in flat 32-bit mode. ESI: the script, EDI: scratch of the vCPU.
 * Addresses are those of harness.h.
 */
#define COUNTS	0x20000		/* a 32-bit counter a vector */
#define EOIS	0x21000		/* a byte a vector: how the handler ends it */
#define LOG	0x22000		/* number of entries, then a byte each */

	.data
	.globl payload, payload_end, payload_isr, payload_ap, payload_ap_end
	.code32
payload:
next:
	mov	(%esi), %ecx
	mov	4(%esi), %edx		/* a */
	mov	8(%esi), %eax		/* b */
	mov	12(%esi), %ebx		/* c */
	add	$16, %esi
	jmp	*table - payload + 0x1000(, %ecx, 4)

op_end:	out	%al, $0xf4
	jmp	op_end
op_out8: out	%al, %dx
	jmp	next
op_out16: out	%ax, %dx
	jmp	next
op_out32: out	%eax, %dx
	jmp	next
op_in8:	mov	%eax, %ebx
	in	%dx, %al
	movzx	%al, %eax
	mov	%eax, (%ebx)
	jmp	next
op_write32: mov	%eax, (%edx)
	jmp	next
op_write16: mov	%ax, (%edx)
	jmp	next
op_write8: mov	%al, (%edx)
	jmp	next
op_read32: mov	(%edx), %edx
	mov	%edx, (%eax)
	jmp	next
op_wait: cli				/* HLT until *a >= b */
	cmp	%eax, (%edx)
	jae	next
	sti
	hlt
	jmp	op_wait
op_wrmsr: mov	%edx, %ecx
	mov	%ebx, %edx
	wrmsr
	jmp	next
op_rdmsr: mov	%edx, %ecx
	mov	%eax, %ebx
	rdmsr
	mov	%eax, (%ebx)
	mov	%edx, 4(%ebx)
	jmp	next
op_sti:	sti
	nop
	jmp	next
op_cli:	cli
	jmp	next
op_spin: pause				/* until *a >= b */
	cmp	%eax, (%edx)
	jb	op_spin
	jmp	next
op_inwait: mov	%eax, %ecx		/* until (in a) & b == c */
1:	in	%dx, %al
	and	%cl, %al
	cmp	%bl, %al
	jne	1b
	jmp	next
op_deadline: mov	%edx, %ebx	/* TSC deadline, a ticks from now */
	rdtsc
	add	%ebx, %eax
	adc	$0, %edx
	mov	$0x6e0, %ecx
	wrmsr
	jmp	next
op_jump: mov	%edx, %esi
	jmp	next
op_vmmcall: push %esi			/* number a, 4 words at b; result to c */
	push	%ebx
	mov	%eax, %edi
	mov	%edx, %eax
	mov	(%edi), %ebx
	mov	4(%edi), %ecx
	mov	8(%edi), %edx
	mov	12(%edi), %esi
	vmmcall
	pop	%ebx
	mov	%eax, (%ebx)
	pop	%esi
	jmp	next

	.balign 4
table:	.irp	op, end, out8, out16, out32, in8, write32, write16, write8, read32, wait, wrmsr, rdmsr, sti, cli, spin, inwait, deadline, jump, vmmcall
	.long	op_\op - payload + 0x1000
	.endr

/* Every gate's stub pushes its vector and comes here. */
payload_isr:
	push	%eax
	push	%ebx
	push	%ecx
	push	%edx
	mov	16(%esp), %ebx
	mov	LOG, %eax
	incl	LOG
	and	$0xfff, %eax
	mov	%bl, LOG + 4(%eax)
	movzbl	EOIS(%ebx), %ecx
	cmp	$1, %ecx
	je	eoi_lapic
	cmp	$2, %ecx
	je	eoi_master
	cmp	$3, %ecx
	je	eoi_slave
	cmp	$4, %ecx
	je	eoi_x2apic
	cmp	$5, %ecx
	jne	done
	out	%al, $0xf6		/* ask user space first */
eoi_lapic:
	movl	$0, 0xfee000b0
	jmp	done
eoi_x2apic:
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	jmp	done
eoi_slave:
	mov	$0x20, %al
	out	%al, $0xa0
eoi_master:
	mov	$0x20, %al
	out	%al, $0x20
done:	incl	COUNTS(, %ebx, 4)
	pop	%edx
	pop	%ecx
	pop	%ebx
	pop	%eax
	add	$4, %esp
	iret
payload_end:

/* A second processor after its SIPI: real mode, at a page of its own. */
	.code16
payload_ap:
	lock incw 0x500
	sti
1:	hlt
	jmp	1b
	.org	payload_ap + 0x20	/* the handler that the IVT points to */
	lock incw 0x504
	iret
payload_ap_end:
	.section .note.GNU-stack, "", @progbits
