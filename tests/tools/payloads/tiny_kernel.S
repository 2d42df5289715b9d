/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The protected-mode part of a kernel image, entered at its 64-bit entry: says
 * on the serial port what it was given, then ends the way the command line's
 * first letter says: p(ower off), k(eyboard reset), 9 (port 92), c (reset
 * control), t(riple fault), h(ang), e(cho: one byte from the serial port).
 */
	.code64
	.skip	0x200
	mov	%rsi, %rbx
	mov	0x228(%rbx), %ebp	/* cmd_line_ptr */
	mov	%ebp, %esi
	call	print
	mov	0x218(%rbx), %esi	/* ramdisk_image */
	test	%esi, %esi
	jz	1f
	call	print
1:	mov	(%ebp), %al
	cmp	$'p', %al
	je	power_off
	cmp	$'k', %al
	je	keyboard
	cmp	$'9', %al
	je	port92
	cmp	$'c', %al
	je	reset_control
	cmp	$'t', %al
	je	triple
	cmp	$'e', %al
	je	echo
hang:	hlt
	jmp	hang

power_off:
	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
	jmp	hang
keyboard:
	mov	$0xfe, %al
	out	%al, $0x64
	jmp	hang
port92:
	mov	$1, %al
	out	%al, $0x92
	jmp	hang
reset_control:
	mov	$0xcf9, %dx
	mov	$2, %al
	out	%al, %dx
	mov	$6, %al
	out	%al, %dx
	jmp	hang
triple:
	lidt	none(%rip)
	ud2
echo:
	mov	$0x3fd, %dx
	in	%dx, %al
	test	$1, %al
	jz	echo
	mov	$0x3f8, %dx
	in	%dx, %al
	out	%al, %dx
	jmp	power_off

print:	/* the zero-terminated text at %rsi */
	mov	$0x3f8, %dx
2:	lodsb
	test	%al, %al
	jz	3f
	out	%al, %dx
	jmp	2b
3:	ret

none:	.word	0
	.quad	0
