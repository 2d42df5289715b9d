// SPDX-License-Identifier: GPL-2.0-only
/* How exceptions combine and what they are; APM vol. 2 chapter 8. */
#include "event_logic.h"

#include <unikvm/kvm_x86.h>

enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum class class_of(u8 vector)
{
	switch (vector) {
	case DE_VECTOR:
	case TS_VECTOR:
	case NP_VECTOR:
	case SS_VECTOR:
	case GP_VECTOR:
		return CONTRIBUTORY;
	case PF_VECTOR:
		return PAGE_FAULT;
	default:
		return BENIGN;
	}
}

enum exception_merge exception_merge(u8 first, u8 second)
{
	enum class a = class_of(first), b = class_of(second);

	if (first == DF_VECTOR)
		return b == BENIGN ? MERGE_REPLACE : MERGE_TRIPLE_FAULT;
	if (a == CONTRIBUTORY && b == CONTRIBUTORY)
		return MERGE_DOUBLE_FAULT;
	if (a == PAGE_FAULT && b != BENIGN)
		return MERGE_DOUBLE_FAULT;
	return MERGE_REPLACE;
}

bool exception_is_fault(u8 vector)
{
	switch (vector) {
	case DB_VECTOR:		/* by cause; the payload decides elsewhere */
	case 2:			/* NMI */
	case BP_VECTOR:
	case OF_VECTOR:
	case DF_VECTOR:		/* abort */
	case MC_VECTOR:		/* abort */
		return false;
	default:
		return vector < 32;
	}
}
