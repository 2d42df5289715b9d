/* SPDX-License-Identifier: GPL-2.0-only */
/* What manycpus.c and the guest in manycpus.S agree upon: guest addresses, ports. */
#ifndef MANYCPUS_H
#define MANYCPUS_H

#define RAM_SIZE	0x400000
#define MAX_CPUS	254		/* one-byte APIC ids, none of them 255 */

#define CODE		0x1000		/* also where SIPI sends the others */
#define IDT		0x4000
#define CPUS		0x5000		/* words written by the host */
#define X2APIC		0x5004
#define TIMER_COUNT	0x5008		/* of the bus clock, 1 GHz */
#define STOP		0x500c
#define DATA_MASK	0x5010		/* of the offsets written */
#define UP		0x5020		/* words written by the guest */
#define GO		0x5024
#define FINISHED	0x5028
#define SENT		0x6000		/* one word a CPU: interrupts to the next */
#define HANDLED		0x7000		/* those from the one before */
#define TICKS		0x8000		/* those of the timer */
#define STACKS		0x100000
#define STACK_SHIFT	12
#define DATA		0x200000	/* written all over */
#define DATA_SIZE	0x100000

#define VECTOR_NEXT	0x60
#define VECTOR_TIMER	0x70
#define VECTOR_SPURIOUS	0xff
#define STUB_SIZE	16		/* of each exception's entry */

#define PORT_UP		0x80
#define PORT_DONE	0x81
#define PORT_ERROR	0x82		/* EAX: one of these, or an exception's vector */
#define ERROR_MASKED	0x100		/* an interrupt while the processor masks it */
#define ERROR_TWICE	0x101		/* an interrupt more often than it was sent */
#define ERROR_REGISTER	0x102		/* a register changed */

#endif
