/* SPDX-License-Identifier: GPL-2.0-only */
/* What the benchmark's guest and the program around it agree on. */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

/* guest-physical addresses; below LOW_SIZE is memory, all is mapped 1:1 */
#define GDT		0x1000
#define IDT		0x2000
#define PML4		0x3000
#define PDPT		0x4000
#define PDS		0x5000		/* four of them */
#define FLAG		0xa000
#define READY		0xa008
#define CODE		0x10000
#define STACKS		0x20000		/* a page for each CPU, downwards */
#define RESULTS		0x30000
#define LOW_SIZE	0x100000
#define TOUCHED		0x40000000	/* the memory to be touched */
#define NOTHING		0xd0000000	/* no memory, no device */

#define BENCH_PORT	0x10
#define DONE_PORT	0x11

#define TIMER_VECTOR	0x40
#define IPI_VECTOR	0x41
#define LVTT_DEADLINE	0x40000

#define MSR_APIC_BASE		0x1b
#define MSR_TSC_ADJUST		0x3b
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC_EOI		0x80b
#define MSR_X2APIC_SVR		0x80f
#define MSR_X2APIC_ICR		0x830
#define MSR_X2APIC_LVTT		0x832

#endif
