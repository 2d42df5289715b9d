/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that put the emulator to work on a vCPU offer one another. */
#ifndef UNIKVM_X86_EMULATION_H
#define UNIKVM_X86_EMULATION_H

#include "x86.h"

/* ---- emulation_fetch.c ---- */

struct code_position {
	enum x86_insn_mode mode;
	u64 linear;		/* of RIP */
};

struct code_position x86_code_position(struct x86_vcpu *v);
/* A next RIP cut to the width that it has in this mode. */
u64 x86_wrap_rip(u64 rip, enum x86_insn_mode mode);
/* 1, or for handle_exit() to return; the bytes are in v->emul. */
int x86_decode_at(struct x86_vcpu *v, const struct code_position *at,
		  struct x86_insn *insn);
/* The guest gets #UD or user space the error; for handle_exit() to return. */
int x86_emulation_failed(struct x86_vcpu *v);
/* What follows an instruction; tf: RFLAGS.TF as it began. As handle_exit(). */
int x86_trap_after(struct x86_vcpu *v, bool tf);

/* ---- emulation_pio.c ---- */

/* KVM_EXIT_IO with the data in vcpu->pio_page; as handle_exit(). */
int x86_exit_pio(struct x86_vcpu *v, bool in, u16 port, u8 size, u32 count,
		 x86_complete_fn complete);

/* ---- emulation_ops.c ---- */

extern const struct emul_ops x86_emul_ops;

#endif
