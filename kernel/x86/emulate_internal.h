/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the emulator offer one another. */
#ifndef UNIKVM_EMULATE_INTERNAL_H
#define UNIKVM_EMULATE_INTERNAL_H

#include "emulate.h"

#define FL_CF	0x0001ULL
#define FL_PF	0x0004ULL
#define FL_AF	0x0010ULL
#define FL_ZF	0x0040ULL
#define FL_SF	0x0080ULL
#define FL_TF	0x0100ULL
#define FL_IF	0x0200ULL
#define FL_DF	0x0400ULL
#define FL_OF	0x0800ULL
#define FL_IOPL	0x3000ULL
#define FL_NT	0x4000ULL
#define FL_RF	0x10000ULL
#define FL_VM	0x20000ULL
#define FL_AC	0x40000ULL
#define FL_VIF	0x80000ULL
#define FL_VIP	0x100000ULL
#define FL_ID	0x200000ULL
#define FL_ONE	0x0002ULL	/* always reads as 1 */
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define CR0_PE		0x01ULL
#define CR0_TS		0x08ULL
#define CR0_EM		0x04ULL
#define CR4_VME		0x01ULL
#define CR4_PVI		0x02ULL
#define CR4_TSD		0x04ULL
#define CR4_OSFXSR	0x200ULL
#define CR4_UMIP	0x800ULL
#define CR4_LA57	0x1000ULL
#define EFER_LMA	0x400ULL

typedef enum emul_result (*emul_handler)(struct emulator *e);

static inline u64 size_mask(u32 size)
{
	return size >= 8 ? ~0ULL : (1ULL << (8 * size)) - 1;
}

static inline u64 sign_bit(u32 size)
{
	return 1ULL << (8 * size - 1);
}

static inline u64 sign_extend_size(u64 value, u32 size)
{
	u32 shift = 64 - 8 * size;

	return (u64)((s64)(value << shift) >> shift);
}

static inline bool emul_is_64(const struct emulator *e)
{
	return e->insn.mode == X86_INSN_64;
}

static inline bool emul_is_protected(const struct emulator *e)
{
	return e->cr0 & CR0_PE;
}

static inline bool emul_is_vm86(const struct emulator *e)
{
	return emul_is_protected(e) && (e->rflags & FL_VM);
}

/* Segments are selector << 4, and there are no descriptors to read. */
static inline bool emul_is_real_style(const struct emulator *e)
{
	return !emul_is_protected(e) || (e->rflags & FL_VM);
}

static inline u32 emul_iopl(const struct emulator *e)
{
	return (e->rflags & FL_IOPL) >> 12;
}

/* Exceptions without an error code (#UD, #DE, #NM...). */
static inline enum emul_result emul_raise(struct emulator *e, u8 vector)
{
	e->fault = (struct emul_fault){ .vector = vector };
	return EMUL_FAULT;
}

/* Exceptions with one; real mode pushes none. */
static inline enum emul_result emul_raise_code(struct emulator *e, u8 vector,
					       u32 code)
{
	e->fault = (struct emul_fault){
		.vector = vector,
		.has_error_code = emul_is_protected(e),
		.error_code = code,
	};
	return EMUL_FAULT;
}

static inline enum emul_result emul_gp(struct emulator *e)
{
	return emul_raise_code(e, GP_VECTOR, 0);
}

/* emulate_access.c: linear addresses to memory, devices, user space */
enum emul_result emul_linear_read(struct emulator *e, u64 linear, void *data,
				  u32 len, u32 access);
/*
 * Do the page tables let the range be written? Changes nothing. *memory, if
 * not NULL, says whether all of it is guest memory.
 */
enum emul_result emul_linear_probe(struct emulator *e, u64 linear, u32 len,
				   u32 access, bool *memory);
enum emul_result emul_linear_write(struct emulator *e, u64 linear,
				   const void *data, u32 len, u32 access);
enum emul_result emul_linear_cmpxchg(struct emulator *e,
				     const struct emul_write *w);
/* A new element of a string: earlier answers belong to earlier elements. */
void emul_mmio_forget_reads(struct emulator *e);

/* emulate_segment.c: segment:offset to linear, and loading segments */
const struct kvm_segment *emul_seg(struct emulator *e, enum x86_seg seg);
void emul_set_seg(struct emulator *e, enum x86_seg seg,
		  const struct kvm_segment *s);
/* Where the descriptor of that many bytes is, or a #GP(selector). */
enum emul_result emul_descriptor_address(struct emulator *e, u16 selector,
					 u32 bytes, u64 *linear);
void emul_unpack_descriptor(u64 d, u16 selector, struct kvm_segment *s);
/* Set a bit of the descriptor at linear, which is old. */
#define DESC_ACCESSED	(1ULL << 40)
#define DESC_BUSY	(1ULL << 41)
enum emul_result emul_mark_descriptor(struct emulator *e, u64 linear, u64 old,
				      u64 bit);
bool emul_canonical(const struct emulator *e, u64 address);
enum emul_result emul_linear(struct emulator *e, enum x86_seg seg, u64 offset,
			     u32 len, u32 access, u64 *linear);
enum emul_result emul_read(struct emulator *e, enum x86_seg seg, u64 offset,
			   void *data, u32 len, u32 access);
/* Checks now, writes when emul_flush_writes() comes. */
enum emul_result emul_write(struct emulator *e, enum x86_seg seg, u64 offset,
			    const void *data, u32 len);
enum emul_result emul_write_locked(struct emulator *e, enum x86_seg seg,
				   u64 offset, const void *old,
				   const void *data, u32 len);
enum emul_result emul_flush_writes(struct emulator *e);
/* MOV and POP to, or LDS of, a data or stack segment. */
enum emul_result emul_load_segment(struct emulator *e, enum x86_seg seg,
				   u16 selector);
/* LLDT and LTR */
enum emul_result emul_load_system(struct emulator *e, enum x86_seg seg,
				  u16 selector);
/* CS and RIP of a far transfer within the privilege level, but by a gate. */
enum emul_result emul_far_jump(struct emulator *e, u16 selector, u64 offset,
			       bool is_return);
/* The same to real-style code. */
enum emul_result emul_real_far_jump(struct emulator *e, u16 selector,
				    u64 offset);

/* emulate_operand.c: registers, ModRM operands, stack, branch targets */
u64 emul_reg_read(const struct emulator *e, u8 reg, u32 size);
void emul_reg_write(struct emulator *e, u8 reg, u32 size, u64 value);
/* A whole register by width, never AH..BH. */
u64 emul_gpr_read(const struct emulator *e, u8 reg, u32 size);
void emul_gpr_write(struct emulator *e, u8 reg, u32 size, u64 value);
void emul_compute_offset(struct emulator *e);
enum emul_result emul_rm_read(struct emulator *e, u32 size, u64 *value);
/* The same, and faults if it could not be written afterwards. */
enum emul_result emul_rm_read_rmw(struct emulator *e, u32 size, u64 *value);
enum emul_result emul_rm_write(struct emulator *e, u32 size, u64 value);
/* Write back; atomic against "old" under a LOCK prefix. */
enum emul_result emul_rm_write_rmw(struct emulator *e, u32 size, u64 old,
				   u64 value);
/* The same; the flags count if it is done. */
enum emul_result emul_rm_update(struct emulator *e, u32 size, u64 old,
				u64 value, u64 flags);
u32 emul_stack_size(struct emulator *e);
enum emul_result emul_push(struct emulator *e, u32 size, u64 value);
enum emul_result emul_pop(struct emulator *e, u32 size, u64 *value);
enum emul_result emul_jump(struct emulator *e, u64 target);
bool emul_condition(u64 rflags, u8 cc);

/* emulate_alu.c: values and flags, no operands */
u64 alu_binary(u32 op, u64 a, u64 b, u32 size, u64 *flags);
u64 alu_incdec(u64 a, bool dec, u32 size, u64 *flags);
u64 alu_shift(u32 op, u64 a, u32 count, u32 size, u64 *flags);
u64 alu_double_shift(bool right, u64 a, u64 b, u32 count, u32 size,
		     u64 *flags);
void alu_mul(u64 a, u64 b, u32 size, bool is_signed, u64 *low, u64 *high,
	     u64 *flags);
/* False if the quotient does not fit or b is 0: #DE. */
bool alu_div(u64 *low, u64 *high, u64 b, u32 size, bool is_signed);
void alu_logic_flags(u64 result, u32 size, u64 *flags);

enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

/* Handlers, one file an idea. */
enum emul_result emul_mov_rm_reg(struct emulator *e);	/* emulate_mov.c */
enum emul_result emul_mov_reg_rm(struct emulator *e);
enum emul_result emul_mov_rm_imm(struct emulator *e);
enum emul_result emul_mov_reg_imm(struct emulator *e);
enum emul_result emul_mov_moffs(struct emulator *e);
enum emul_result emul_mov_rm_sreg(struct emulator *e);
enum emul_result emul_mov_sreg_rm(struct emulator *e);
enum emul_result emul_movzx(struct emulator *e);
enum emul_result emul_movsx(struct emulator *e);
enum emul_result emul_movsxd(struct emulator *e);
enum emul_result emul_movbe(struct emulator *e);
enum emul_result emul_movnti(struct emulator *e);
enum emul_result emul_lea(struct emulator *e);
enum emul_result emul_load_far(struct emulator *e);
enum emul_result emul_xchg_rm(struct emulator *e);
enum emul_result emul_xchg_rax(struct emulator *e);
enum emul_result emul_xlat(struct emulator *e);
enum emul_result emul_bswap(struct emulator *e);
enum emul_result emul_cmov(struct emulator *e);
enum emul_result emul_setcc(struct emulator *e);
enum emul_result emul_cbw(struct emulator *e);
enum emul_result emul_cwd(struct emulator *e);
enum emul_result emul_sse_mov(struct emulator *e);	/* emulate_sse.c */
enum emul_result emul_alu_rm(struct emulator *e);	/* emulate_arith.c */
enum emul_result emul_alu_acc_imm(struct emulator *e);
enum emul_result emul_group1(struct emulator *e);
enum emul_result emul_test_rm_reg(struct emulator *e);
enum emul_result emul_test_acc_imm(struct emulator *e);
enum emul_result emul_group3(struct emulator *e);
enum emul_result emul_group4(struct emulator *e);
enum emul_result emul_incdec_reg(struct emulator *e);
enum emul_result emul_imul_reg(struct emulator *e);
enum emul_result emul_imul_imm(struct emulator *e);
enum emul_result emul_cmpxchg(struct emulator *e);
enum emul_result emul_xadd(struct emulator *e);
enum emul_result emul_group9(struct emulator *e);
enum emul_result emul_group2(struct emulator *e);	/* emulate_bits.c */
enum emul_result emul_shld_shrd(struct emulator *e);
enum emul_result emul_bt_reg(struct emulator *e);
enum emul_result emul_bt_imm(struct emulator *e);
enum emul_result emul_bit_scan(struct emulator *e);
enum emul_result emul_push_reg(struct emulator *e);	/* emulate_stack.c */
enum emul_result emul_pop_reg(struct emulator *e);
enum emul_result emul_push_imm(struct emulator *e);
enum emul_result emul_pop_rm(struct emulator *e);
enum emul_result emul_push_seg(struct emulator *e);
enum emul_result emul_pop_seg(struct emulator *e);
enum emul_result emul_pusha(struct emulator *e);
enum emul_result emul_popa(struct emulator *e);
enum emul_result emul_pushf(struct emulator *e);
enum emul_result emul_popf(struct emulator *e);
enum emul_result emul_enter(struct emulator *e);
enum emul_result emul_leave(struct emulator *e);
enum emul_result emul_jcc(struct emulator *e);		/* emulate_branch.c */
enum emul_result emul_jmp_rel(struct emulator *e);
enum emul_result emul_call_rel(struct emulator *e);
enum emul_result emul_ret(struct emulator *e);
enum emul_result emul_loop(struct emulator *e);
enum emul_result emul_far_ptr(struct emulator *e);
enum emul_result emul_far_ret(struct emulator *e);
enum emul_result emul_int_n(struct emulator *e);
enum emul_result emul_iret(struct emulator *e);
enum emul_result emul_group5(struct emulator *e);
enum emul_result emul_string(struct emulator *e);	/* emulate_string.c */
enum emul_result emul_ins(struct emulator *e);		/* emulate_io.c */
enum emul_result emul_outs(struct emulator *e);
enum emul_result emul_in(struct emulator *e);
enum emul_result emul_out(struct emulator *e);
enum emul_result emul_flag_op(struct emulator *e);	/* emulate_system.c */
enum emul_result emul_cli_sti(struct emulator *e);
enum emul_result emul_lahf_sahf(struct emulator *e);
enum emul_result emul_nop(struct emulator *e);
enum emul_result emul_group6(struct emulator *e);
enum emul_result emul_group7(struct emulator *e);
enum emul_result emul_mov_cr(struct emulator *e);
enum emul_result emul_mov_dr(struct emulator *e);
enum emul_result emul_clts(struct emulator *e);
enum emul_result emul_cpuid(struct emulator *e);
enum emul_result emul_rdtsc(struct emulator *e);

/* REP: elements left, and their bookkeeping; emulate_string.c */
u64 emul_rep_count(const struct emulator *e);
void emul_rep_done(struct emulator *e, u64 elements);
void emul_index_add(struct emulator *e, u8 reg, s64 bytes);
u64 emul_index(const struct emulator *e, u8 reg);

#endif
