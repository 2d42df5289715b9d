/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A boot sector: reads the disk's last sector by INT 13h AH=42h and prints
 * its text on the debug console, then leaves QEMU through isa-debug-exit.
 * The test writes the sector's number to 0x1b0.
 */
	.code16
	.section .setup, "ax"
	.globl	setup_start
setup_start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	cld
	movw	$0x7c00 + packet - setup_start, %si
	movb	$0x42, %ah		/* extended read; DL is the boot drive */
	int	$0x13
	jc	failed
	movw	$0x8000, %si
print:
	lodsb
	testb	%al, %al
	jz	done
	movw	$0x402, %dx
	outb	%al, %dx
	jmp	print
done:
	movw	$0xf4, %dx
	outb	%al, %dx
failed:
	hlt
	jmp	failed

	.org	0x1a8
packet:
	.byte	16, 0
	.word	1			/* sectors */
	.word	0x8000, 0		/* buffer, offset and segment */
	.quad	0			/* 0x1b0: first sector */
	.org	0x1fe
	.word	0xaa55
	.section .note.GNU-stack, "", @progbits
