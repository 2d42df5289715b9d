/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host kernel wants done around a guest entry; see hostwork.c. */
#ifndef UNIKVM_HOSTWORK_H
#define UNIKVM_HOSTWORK_H

#include <linux/types.h>

/* One per vCPU; run is its shared page. NULL if there is no memory. */
void *hostwork_alloc(void *run);
void hostwork_free(void *work);
/* With irqs off: must hostwork_handle() run before the entry? */
bool hostwork_pending(void);
bool hostwork_due(void);	/* the same question, at any time */
/* 0, or -EINTR after filling run for KVM_EXIT_INTR */
int hostwork_handle(void *work);

void guest_timing_enter(void);		/* irqs off */
void guest_timing_exit(void);		/* irqs off, after they were on */
/* RCU and lockdep: the guest runs with interrupts on. irqs off, no trace. */
void guest_state_enter(void);
void guest_state_exit(void);

#endif
