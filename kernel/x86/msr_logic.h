/* SPDX-License-Identifier: GPL-2.0-only */
/* Which values MSRs take, and which accesses user space filters. Pure logic. */
#ifndef UNIKVM_MSR_LOGIC_H
#define UNIKVM_MSR_LOGIC_H

#include "../shim.h"

#include <unikvm/kvm.h>

/* ---- memory types; APM vol. 2 section 7.7 (MTRRs) and 7.8 (PAT) ---- */

#define MSR_MTRR_CAP		0xfe
#define MSR_MTRR_VAR_FIRST	0x200	/* base and mask, in turn */
#define MSR_MTRR_VAR_END	0x210
#define MSR_PAT			0x277
#define MSR_MTRR_DEF_TYPE	0x2ff

#define MTRR_CAP_VALUE		0x508	/* WC, fixed ranges, 8 variable ones */
#define NR_FIXED_MTRR		11
#define PAT_RESET		0x0007040600070406ULL

/* Index into the 11 fixed-range MTRRs, or -1. */
int mtrr_fixed_index(u32 msr);
/* Index into base0, mask0, base1, ...; or -1. */
int mtrr_var_index(u32 msr);
bool mtrr_value_valid(u32 msr, u64 data, u8 maxphyaddr);
bool pat_value_valid(u64 data);

/* ---- SPEC_CTRL ---- */

/* Bits of it that exist with these features; APM vol. 3, 80000008 ebx. */
u64 spec_ctrl_bits(u32 ebx);

/* ---- KVM_X86_SET_MSR_FILTER ---- */

struct msr_filter_range {
	u32 flags;		/* KVM_MSR_FILTER_READ, _WRITE */
	u32 base;
	u32 nmsrs;
	const u8 *bitmap;	/* nmsrs bits, little endian; 1 allows */
};

bool msr_filter_allows(const struct msr_filter_range *ranges, u32 nr,
		       bool default_allow, u32 index, u32 access);

/* Bytes of bitmap that nmsrs needs: whole u64, as user space lays it out. */
u64 msr_filter_bitmap_size(u32 nmsrs);

#endif
