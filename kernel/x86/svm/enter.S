/* SPDX-License-Identifier: GPL-2.0-only */
/* World switch; APM vol. 2 15.5 (VMRUN) and 15.6 (#VMEXIT). */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

/* Byte offsets in the array of general registers, enum x86_reg order. */
#define RCX_	(1 * 8)
#define RDX_	(2 * 8)
#define RBX_	(3 * 8)
#define RBP_	(5 * 8)
#define RSI_	(6 * 8)
#define RDI_	(7 * 8)
#define R8_	(8 * 8)
#define R9_	(9 * 8)
#define R10_	(10 * 8)
#define R11_	(11 * 8)
#define R12_	(12 * 8)
#define R13_	(13 * 8)
#define R14_	(14 * 8)
#define R15_	(15 * 8)

.macro LOAD_GUEST base
	mov RCX_(\base), %rcx
	mov RDX_(\base), %rdx
	mov RBX_(\base), %rbx
	mov RBP_(\base), %rbp
	mov RSI_(\base), %rsi
	mov R8_(\base), %r8
	mov R9_(\base), %r9
	mov R10_(\base), %r10
	mov R11_(\base), %r11
	mov R12_(\base), %r12
	mov R13_(\base), %r13
	mov R14_(\base), %r14
	mov R15_(\base), %r15
	mov RDI_(\base), %rdi
.endm

.macro SAVE_GUEST base
	mov %rcx, RCX_(\base)
	mov %rdx, RDX_(\base)
	mov %rbx, RBX_(\base)
	mov %rbp, RBP_(\base)
	mov %rsi, RSI_(\base)
	mov %rdi, RDI_(\base)
	mov %r8, R8_(\base)
	mov %r9, R9_(\base)
	mov %r10, R10_(\base)
	mov %r11, R11_(\base)
	mov %r12, R12_(\base)
	mov %r13, R13_(\base)
	mov %r14, R14_(\base)
	mov %r15, R15_(\base)
.endm

/* A guest's values must not be there for the host to speculate with. */
.macro CLEAR_GUEST
	xor %ecx, %ecx
	xor %edx, %edx
	xor %ebx, %ebx
	xor %ebp, %ebp
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
.endm

/*
 * What other guests and the host left in the processor's buffers must not leak
 * to this one (TSA). Changes flags only. The jump goes away, as 6.1 cannot
 * relocate an operand in a replacement.
 */
.macro CLEAR_BUFFERS
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
	ALTERNATIVE "jmp .Lno_verw", "", X86_FEATURE_CLEAR_CPU_BUF_VM
	verw x86_verw_sel(%rip)
.Lno_verw:
#endif
.endm

/*
 * Returns that the guest trained: forget them, or all predictions. Kernels
 * without a macro for guests (6.1) have the parts. Changes RAX, RCX, RDX.
 */
#if !defined(UNTRAIN_RET_VM) && defined(X86_FEATURE_IBPB_ON_VMEXIT)
.macro UNTRAIN_RET_VM
	CALL_UNTRAIN_RET
	ALTERNATIVE_2 "", "call entry_ibpb", X86_FEATURE_ENTRY_IBPB, \
			  "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
.endm
#elif !defined(UNTRAIN_RET_VM)
#define UNTRAIN_RET_VM	UNTRAIN_RET
#endif

.section .noinstr.text, "ax"

/* void svm_enter(u64 *gpr, hpa_t vmcb_pa, hpa_t host_pa) */
SYM_FUNC_START(svm_enter)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdx			/* host_pa, for the way back */
	push %rdi			/* gpr */

	/*
	 * GIF is clear: IF only decides whether INTR ends the guest. Well before
	 * VMRUN, or the shadow of the STI reaches into the guest, and its own
	 * STI, if that comes first, casts none.
	 */
	clgi
	sti
	mov %rdx, %rax
	vmsave %rax			/* FS, GS, TR, LDTR, SYSCALL MSRs */
	mov %rsi, %rax
	vmload %rax
	LOAD_GUEST %rdi
	CLEAR_BUFFERS

	vmrun %rax
	cli

	/* RAX and RSP are the host's again, GS is still the guest's. */
	vmsave %rax
	pop %rax
	SAVE_GUEST %rax
	pop %rax
	vmload %rax

	/* Before the first RET: the guest may have trained predictions. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	CLEAR_GUEST
	UNTRAIN_RET_VM
	stgi

	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET
SYM_FUNC_END(svm_enter)
