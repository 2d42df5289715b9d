/* SPDX-License-Identifier: GPL-2.0-only */
/* How exceptions combine and what they are. Pure logic. */
#ifndef UNIKVM_EVENT_LOGIC_H
#define UNIKVM_EVENT_LOGIC_H

#include "../shim.h"

enum exception_merge {
	MERGE_REPLACE,		/* deliver the second, forget the first */
	MERGE_DOUBLE_FAULT,
	MERGE_TRIPLE_FAULT,
};

/*
 * An exception @second is raised while @first is being delivered.
 * APM vol. 2 8.2.9 (#DF), table 8-2.
 */
enum exception_merge exception_merge(u8 first, u8 second);

/* Fault-type exceptions push RF set (APM vol. 2 8.2.2, 13.1.3). */
bool exception_is_fault(u8 vector);

/* Does this exception push an error code in protected mode? */

#endif
