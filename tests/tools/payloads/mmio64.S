/* SPDX-License-Identifier: GPL-2.0-only */
/* 8-byte MMIO and high registers in long mode, then CPUID; device at 0x80000000. */
	.code64
	mov	$0x80000000, %r11d
	mov	$0x1122334455667788, %rax
	mov	%rax, (%r11)
	mov	(%r11), %r12
	mov	%r12, 8(%r11)
	mov	%r12d, 16(%r11)

	mov	$1, %eax
	xor	%ecx, %ecx
	cpuid
	mov	%ecx, 0x20(%r11)
	mov	$0x40000000, %eax
	cpuid
	mov	%ebx, 0x24(%r11)
	hlt
