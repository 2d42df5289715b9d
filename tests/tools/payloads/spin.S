/* SPDX-License-Identifier: GPL-2.0-only */
/* Port writes without end, for measuring and for stopping. */
	.code16
	mov	$0x200, %dx
1:	out	%al, %dx
	jmp	1b
