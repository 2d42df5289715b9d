/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The real-mode half of a bzImage that reports what its boot loader did.
 * Header: Linux Documentation/arch/x86/boot.rst. kernels.py fills the fields
 * that vary between tests. The rest of the report is payload_kernel.c's.
 */
	.code16
	.section .setup, "ax"
	.globl	setup_start
setup_start:
	.org	0x1f1
	.byte	1			/* setup_sects */
	.org	0x1fe
	.word	0xaa55
	jmp	start			/* 0x200: short jump; its offset = header end */
	.ascii	"HdrS"
	.word	0x020f			/* protocol 2.15 */
	.org	0x211
	.byte	0x01			/* loadflags: LOADED_HIGH */
	.org	0x214
	.long	0x100000		/* code32_start */
	.org	0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x1000			/* kernel_alignment */
	.byte	0			/* not relocatable */
	.org	0x238
	.long	255			/* cmdline_size */
	.org	0x258
	.quad	0x100000		/* pref_address */
	.long	0x1000			/* init_size */
	.org	0x268

start:
	/* Entered with CS = segment of the setup code + 0x20. */
	cli
	cld
	/* Tell a wrong segment or stack by its silence: nothing is printed. */
	movw	%cs, %ax
	subw	$0x20, %ax
	movw	%ds, %bx
	cmpw	%ax, %bx
	jne	dead
	movw	%ss, %bx
	cmpw	%ax, %bx
	jne	dead
	movzwl	%ax, %esi
	shll	$4, %esi		/* the setup header's linear address */
	movl	%esp, %ebp		/* the stack the loader gave */

	leal	gdt - setup_start(%esi), %eax
	movl	%eax, gdt_base - setup_start
	lgdtl	gdt_desc - setup_start
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x08, $0x100000
dead:
	hlt
	jmp	dead

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x08: flat 32-bit code */
	.quad	0x00cf93000000ffff	/* 0x10: flat data */
gdt_desc:
	.word	. - gdt - 1
gdt_base:
	.long	0
	.org	0x400
	.section .note.GNU-stack, "", @progbits
