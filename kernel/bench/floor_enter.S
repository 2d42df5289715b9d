/* SPDX-License-Identifier: GPL-2.0-only */
/* The least that an entry and the exit after it can be; APM vol. 2 15.5, 15.6. */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

.section .noinstr.text, "ax"

/* void floor_enter(hpa_t vmcb_pa, hpa_t host_pa, unsigned int times) */
SYM_FUNC_START(floor_enter)
1:
	clgi
	mov %rsi, %rax
	vmsave %rax
	mov %rdi, %rax
	vmload %rax
	vmrun %rax
	vmsave %rax
	mov %rsi, %rax
	vmload %rax
	stgi
	dec %edx
	jnz 1b
	RET
SYM_FUNC_END(floor_enter)

/* The guest, in the host's own address space. It never gets any further. */
SYM_FUNC_START(floor_guest)
	cpuid
	ud2
SYM_FUNC_END(floor_guest)
