// SPDX-License-Identifier: GPL-2.0-only
/* Which values MSRs take, and which accesses user space filters. Pure logic. */
#include "msr_logic.h"

/* UC, WC, WT, WP, WB; PAT knows UC- (7) as well. */
#define MTRR_TYPES	(BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6))
#define PAT_TYPES	(MTRR_TYPES | BIT(7))

#define DEF_TYPE_FLAGS	(BIT_ULL(10) | BIT_ULL(11))	/* fixed, all enable */
#define VAR_MASK_VALID	BIT_ULL(11)

static bool is_type(u64 value, unsigned long types)
{
	return value < 8 && types >> value & 1;
}

static bool bytes_are_types(u64 data, unsigned long types)
{
	int i;

	for (i = 0; i < 8; i++) {
		if (!is_type(data >> (8 * i) & 0xff, types))
			return false;
	}
	return true;
}

bool pat_value_valid(u64 data)
{
	return bytes_are_types(data, PAT_TYPES);
}

int mtrr_fixed_index(u32 msr)
{
	switch (msr) {
	case 0x250:			/* 64K_00000 */
		return 0;
	case 0x258:			/* 16K_80000 */
	case 0x259:			/* 16K_A0000 */
		return msr - 0x258 + 1;
	case 0x268: case 0x269: case 0x26a: case 0x26b:	/* 4K_C0000 ... */
	case 0x26c: case 0x26d: case 0x26e: case 0x26f:	/* ... 4K_F8000 */
		return msr - 0x268 + 3;
	default:
		return -1;
	}
}

int mtrr_var_index(u32 msr)
{
	if (msr < MSR_MTRR_VAR_FIRST || msr >= MSR_MTRR_VAR_END)
		return -1;
	return array_index_nospec(msr - MSR_MTRR_VAR_FIRST,
				  MSR_MTRR_VAR_END - MSR_MTRR_VAR_FIRST);
}

bool mtrr_value_valid(u32 msr, u64 data, u8 maxphyaddr)
{
	u64 address = maxphyaddr < 64 ? ~(~0ULL << maxphyaddr) : ~0ULL;

	address &= ~0xfffULL;
	if (msr == MSR_MTRR_DEF_TYPE)
		return !(data & ~(DEF_TYPE_FLAGS | 0xff)) &&
		       is_type(data & 0xff, MTRR_TYPES);
	if (mtrr_fixed_index(msr) >= 0)
		return bytes_are_types(data, MTRR_TYPES);
	if (mtrr_var_index(msr) < 0)
		return false;
	if (mtrr_var_index(msr) & 1)
		return !(data & ~(address | VAR_MASK_VALID));
	return !(data & ~(address | 0xff)) && is_type(data & 0xff, MTRR_TYPES);
}

u64 spec_ctrl_bits(u32 ebx)
{
	u64 bits = 0;

	if (ebx & BIT(14))
		bits |= BIT_ULL(0);	/* IBRS */
	if (ebx & BIT(15))
		bits |= BIT_ULL(1);	/* STIBP */
	if (ebx & BIT(24))
		bits |= BIT_ULL(2);	/* SSBD */
	if (ebx & BIT(28))
		bits |= BIT_ULL(7);	/* PSFD */
	return bits;
}

u64 msr_filter_bitmap_size(u32 nmsrs)
{
	return ((u64)nmsrs + 63) / 64 * 8;
}

bool msr_filter_allows(const struct msr_filter_range *ranges, u32 nr,
		       bool default_allow, u32 index, u32 access)
{
	u32 i, bit;

	for (i = 0; i < nr; i++) {
		if (!(ranges[i].flags & access) || index < ranges[i].base)
			continue;
		bit = index - ranges[i].base;
		if (bit >= ranges[i].nmsrs)
			continue;
		/* The guest names the MSR. */
		bit = array_index_nospec(bit, ranges[i].nmsrs);
		return ranges[i].bitmap[bit / 8] >> (bit % 8) & 1;
	}
	return default_allow;
}
