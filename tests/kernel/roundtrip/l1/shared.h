/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest and its host agree on. */
#ifndef ROUNDTRIP_SHARED_H
#define ROUNDTRIP_SHARED_H

#define LOAD_ADDRESS	0x100000
#define STACK_TOP	0x80000
#define CLOCK_PAGE	0x90000
#define PORT_STEP	0xe9	/* the guest got here; the host moves it */
#define PORT_FAIL	0xea	/* line that found a difference */
#define PORT_DONE	0xeb
#define LINE_GSI	10

/* Values on PORT_STEP that ask for more than a move. */
#define ASK		0x10000
#define ASK_LINE_UP	(ASK + 1)
#define ASK_LINE_DOWN	(ASK + 2)
#define ASK_NMI		(ASK + 3)
#define ASK_WAKE	(ASK + 4)	/* move, while halted; then the line */

#endif
