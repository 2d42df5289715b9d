// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic on values, with the flags it leaves: APM vol. 3, chapter 3.
 * Sizes are in bytes. Flags that the manual calls undefined come out as the
 * plain computation gives them.
 */
#include "emulate_internal.h"

static void put(u64 *flags, u64 flag, bool set)
{
	*flags = set ? *flags | flag : *flags & ~flag;
}

static bool even_parity(u8 v)
{
	v ^= v >> 4;
	v ^= v >> 2;
	v ^= v >> 1;
	return !(v & 1);
}

static void put_szp(u64 *flags, u64 result, u32 size)
{
	put(flags, FL_ZF, !(result & size_mask(size)));
	put(flags, FL_SF, result & sign_bit(size));
	put(flags, FL_PF, even_parity((u8)result));
}

void alu_logic_flags(u64 result, u32 size, u64 *flags)
{
	*flags &= ~(FL_CF | FL_OF | FL_AF);
	put_szp(flags, result, size);
}

static u64 add(u64 a, u64 b, u64 carry, u32 size, u64 *flags)
{
	u64 r = (a + b + carry) & size_mask(size);

	put(flags, FL_CF, ((a & b) | ((a | b) & ~r)) & sign_bit(size));
	put(flags, FL_OF, (a ^ r) & (b ^ r) & sign_bit(size));
	put(flags, FL_AF, (a ^ b ^ r) & 0x10);
	put_szp(flags, r, size);
	return r;
}

static u64 sub(u64 a, u64 b, u64 borrow, u32 size, u64 *flags)
{
	u64 r = (a - b - borrow) & size_mask(size);

	put(flags, FL_CF, ((~a & b) | ((~a | b) & r)) & sign_bit(size));
	put(flags, FL_OF, (a ^ b) & (a ^ r) & sign_bit(size));
	put(flags, FL_AF, (a ^ b ^ r) & 0x10);
	put_szp(flags, r, size);
	return r;
}

static u64 logic(u64 r, u32 size, u64 *flags)
{
	alu_logic_flags(r, size, flags);
	return r;
}

/* The result; for ALU_CMP that is the difference, which nobody stores. */
u64 alu_binary(u32 op, u64 a, u64 b, u32 size, u64 *flags)
{
	u64 carry = *flags & FL_CF;

	a &= size_mask(size);
	b &= size_mask(size);
	switch (op) {
	case ALU_ADD:
		return add(a, b, 0, size, flags);
	case ALU_OR:
		return logic(a | b, size, flags);
	case ALU_ADC:
		return add(a, b, carry, size, flags);
	case ALU_SBB:
		return sub(a, b, carry, size, flags);
	case ALU_AND:
		return logic(a & b, size, flags);
	case ALU_XOR:
		return logic(a ^ b, size, flags);
	default:
		return sub(a, b, 0, size, flags);
	}
}

u64 alu_incdec(u64 a, bool dec, u32 size, u64 *flags)
{
	u64 carry = *flags & FL_CF;
	u64 r = alu_binary(dec ? ALU_SUB : ALU_ADD, a, 1, size, flags);

	*flags = (*flags & ~FL_CF) | carry;
	return r;
}

static u64 rol(u64 a, u32 count, u32 size, u64 *flags)
{
	u32 width = 8 * size;
	u32 n = count % width;
	u64 r = n ? (a << n | a >> (width - n)) & size_mask(size) : a;

	put(flags, FL_CF, r & 1);
	put(flags, FL_OF, !!(r & sign_bit(size)) != (r & 1));
	return r;
}

static u64 ror(u64 a, u32 count, u32 size, u64 *flags)
{
	u32 width = 8 * size;
	u32 n = count % width;
	u64 r = n ? (a >> n | a << (width - n)) & size_mask(size) : a;
	bool top = r & sign_bit(size);

	put(flags, FL_CF, top);
	put(flags, FL_OF, top != !!(r & sign_bit(size) >> 1));
	return r;
}

/* One bit at a time through carry; at most 63 steps. */
static u64 rcl(u64 a, u32 count, u32 size, u64 *flags)
{
	bool carry = *flags & FL_CF;
	bool top;

	for (count %= 8 * size + 1; count; count--) {
		top = a & sign_bit(size);
		a = (a << 1 | carry) & size_mask(size);
		carry = top;
	}
	put(flags, FL_CF, carry);
	put(flags, FL_OF, !!(a & sign_bit(size)) != carry);
	return a;
}

static u64 rcr(u64 a, u32 count, u32 size, u64 *flags)
{
	bool carry = *flags & FL_CF;
	bool low;

	for (count %= 8 * size + 1; count; count--) {
		low = a & 1;
		a = a >> 1 | (carry ? sign_bit(size) : 0);
		carry = low;
	}
	put(flags, FL_CF, carry);
	put(flags, FL_OF, !!(a & sign_bit(size)) != !!(a & sign_bit(size) >> 1));
	return a;
}

static u64 shl(u64 a, u32 count, u32 size, u64 *flags)
{
	u32 width = 8 * size;
	u64 r = count < width ? (a << count) & size_mask(size) : 0;
	bool carry = count <= width && (a >> (width - count) & 1);

	put(flags, FL_CF, carry);
	put(flags, FL_OF, !!(r & sign_bit(size)) != carry);
	put_szp(flags, r, size);
	return r;
}

static u64 shr(u64 a, u32 count, u32 size, u64 *flags)
{
	u64 r = count < 8 * size ? a >> count : 0;

	put(flags, FL_CF, count <= 8 * size && (a >> (count - 1) & 1));
	put(flags, FL_OF, a & sign_bit(size));
	put_szp(flags, r, size);
	return r;
}

static u64 sar(u64 a, u32 count, u32 size, u64 *flags)
{
	s64 value = (s64)sign_extend_size(a, size);
	u64 r = (u64)(value >> count) & size_mask(size);

	put(flags, FL_CF, value >> (count - 1) & 1);
	put(flags, FL_OF, false);
	put_szp(flags, r, size);
	return r;
}

/* op as in ModRM.reg of group 2: ROL ROR RCL RCR SHL SHR SAL SAR */
u64 alu_shift(u32 op, u64 a, u32 count, u32 size, u64 *flags)
{
	static u64 (*const shift[8])(u64, u32, u32, u64 *) = {
		rol, ror, rcl, rcr, shl, shr, shl, sar
	};

	count &= size == 8 ? 63 : 31;
	a &= size_mask(size);
	return count ? shift[op & 7](a, count, size, flags) : a;
}

/* a takes count bits in from b: from its top (left) or its bottom (right). */
u64 alu_double_shift(bool right, u64 a, u64 b, u32 count, u32 size,
		     u64 *flags)
{
	u32 width = 8 * size;
	u64 r;
	bool carry;

	count &= size == 8 ? 63 : 31;
	a &= size_mask(size);
	b &= size_mask(size);
	if (!count || count > width)
		return a;	/* beyond the width all is undefined */
	if (right) {
		r = count < width ? a >> count | b << (width - count) : b;
		carry = a >> (count - 1) & 1;
	} else {
		r = count < width ? a << count | b >> (width - count) : b;
		carry = a >> (width - count) & 1;
	}
	r &= size_mask(size);
	put(flags, FL_CF, carry);
	put(flags, FL_OF, (a ^ r) & sign_bit(size));
	put_szp(flags, r, size);
	return r;
}

static u64 mul_high(u64 a, u64 b, bool is_signed)
{
	u64 high = mul_u64_u64_shr(a, b, 64);

	if (is_signed) {
		high -= (s64)a < 0 ? b : 0;
		high -= (s64)b < 0 ? a : 0;
	}
	return high;
}

/* CF and OF say whether the high half holds more than the sign. */
void alu_mul(u64 a, u64 b, u32 size, bool is_signed, u64 *low, u64 *high,
	     u64 *flags)
{
	u64 lo, hi, mask = size_mask(size);
	bool big;

	a = is_signed ? sign_extend_size(a, size) : a & mask;
	b = is_signed ? sign_extend_size(b, size) : b & mask;
	lo = a * b;
	hi = size == 8 ? mul_high(a, b, is_signed) : lo >> (8 * size);
	*low = lo & mask;
	*high = hi & mask;
	big = *high != (is_signed && (*low & sign_bit(size)) ? mask : 0);
	put_szp(flags, *low, size);
	put(flags, FL_CF, big);
	put(flags, FL_OF, big);
}

/* 128 by 64 bits, bit by bit; high < b, so the quotient fits. */
static u64 div_wide(u64 high, u64 low, u64 b, u64 *rest)
{
	u64 q = 0;
	bool carry;
	int i;

	for (i = 0; i < 64; i++) {
		carry = high >> 63;
		high = high << 1 | low >> 63;
		low <<= 1;
		q <<= 1;
		if (carry || high >= b) {
			high -= b;
			q |= 1;
		}
	}
	*rest = high;
	return q;
}

static bool div_unsigned(u64 *low, u64 *high, u64 b, u32 size)
{
	u64 value, q;

	if (!b || *high >= b)
		return false;
	if (size == 8) {
		*low = div_wide(*high, *low, b, high);
		return true;
	}
	value = *high << (8 * size) | *low;
	q = div64_u64(value, b);
	*high = value - q * b;
	*low = q;
	return true;
}

/* Negate the double-width number in high:low. */
static void negate_pair(u64 *low, u64 *high, u32 size)
{
	*low = -*low & size_mask(size);
	*high = (~*high + !*low) & size_mask(size);
}

static bool div_signed(u64 *low, u64 *high, u64 b, u32 size)
{
	bool neg = *high & sign_bit(size);
	bool neg_b = b & sign_bit(size);
	u64 limit = sign_bit(size);

	if (neg)
		negate_pair(low, high, size);
	if (neg_b)
		b = -b & size_mask(size);
	if (!div_unsigned(low, high, b, size))
		return false;
	/* The magnitude may reach 2^(n-1) only if the quotient is negative. */
	if (*low > limit || (*low == limit && neg == neg_b))
		return false;
	if (neg != neg_b)
		*low = -*low & size_mask(size);
	if (neg)
		*high = -*high & size_mask(size);
	return true;
}

bool alu_div(u64 *low, u64 *high, u64 b, u32 size, bool is_signed)
{
	b &= size_mask(size);
	return is_signed ? div_signed(low, high, b, size) :
			   div_unsigned(low, high, b, size);
}
