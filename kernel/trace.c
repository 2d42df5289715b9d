// SPDX-License-Identifier: GPL-2.0-only
/* The one place where the front's tracepoints become code. */
#include "kvm_internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
