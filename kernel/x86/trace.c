// SPDX-License-Identifier: GPL-2.0-only
/* The x86 ring's tracepoints become code; the vendor module uses two. */
#include <linux/export.h>

#include "x86.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

EXPORT_TRACEPOINT_SYMBOL_GPL(kvm_entry);
EXPORT_TRACEPOINT_SYMBOL_GPL(kvm_exit);
