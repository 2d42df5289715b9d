/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instruction emulator: one decoded instruction over callbacks. Pure logic.
 *
 * The emulator works on its own copy of the registers. Nothing the guest can
 * see changes before everything that may fault has been tried, so the caller
 * drops the copy on a fault and takes it over on success. A string
 * instruction with a repeat prefix takes over after each element.
 *
 * A read that only user space can answer ends the run with EMUL_IO_NEEDED.
 * The caller fetches the answer and runs the same instruction again from its
 * start: reads answered before are taken from struct emul_mmio, so that no
 * device sees an access twice. Writes to user space are posted there and are
 * delivered after the instruction is done.
 */
#ifndef UNIKVM_EMULATE_H
#define UNIKVM_EMULATE_H

#include <unikvm/kvm.h>

#include "decode.h"

/* An exception that an emulated instruction or a table walk raises. */
struct emul_fault {
	u8 vector;
	bool has_error_code;
	u32 error_code;
	u64 cr2;		/* of #PF; of #DB its cause in DR6 */
};

enum emul_result {
	EMUL_OK,
	EMUL_FAULT,		/* emulator.fault is filled */
	EMUL_IO_NEEDED,		/* mmio or pio waits for user space's answer */
	EMUL_RETRY,		/* lost a race: let the guest try again */
	EMUL_UNHANDLED		/* not an instruction we emulate */
};

/* Access bits as in a #PF error code, and one of ours. */
#define EMUL_WRITE	0x02
#define EMUL_USER	0x04
#define EMUL_SYSTEM	0x100	/* descriptor tables and TSS: never as user */

#define EMUL_NO_GPA	(~0ULL)

#define EMUL_MMIO_READS		16
#define EMUL_MMIO_WRITES	16
#define EMUL_PIO_BYTES		4096	/* of the pio buffer */

/* One access of at most 8 bytes to where no memory is. */
struct emul_mmio_access {
	u64 gpa;
	u8 len;
	u8 data[8];
};

struct emul_mmio {
	struct emul_mmio_access read[EMUL_MMIO_READS];
	u8 nr_reads;		/* answered */
	u8 next_read;		/* the next to be consumed by this run */
	bool waiting;		/* read[nr_reads] waits for its answer */
	struct emul_mmio_access write[EMUL_MMIO_WRITES];
	u8 nr_writes;		/* posted by this run */
	u8 next_write;		/* the next to be handed to user space */
};

/* Port access that no in-kernel device took. */
struct emul_pio {
	u8 *data;		/* EMUL_PIO_BYTES; user space may write to it */
	u32 count;		/* elements; 0: none */
	u16 port;
	u8 size;		/* bytes of one element */
	bool in;
	bool answered;		/* data holds the answer to an IN */
};

/* A memory write that waits for the instruction to be past its faults. */
struct emul_write {
	u64 linear;
	u32 access;
	u8 len;			/* at most 16 */
	bool locked;		/* only if memory still holds "old" */
	u8 data[16];
	u8 old[16];
};

#define EMUL_WRITES	10	/* PUSHA needs 8 */

struct emulator;

/* The surroundings. Integer results: 0 for success, nonzero for "no". */
struct emul_ops {
	/* The walk of the guest's page tables; EMUL_OK or EMUL_FAULT */
	enum emul_result (*translate)(struct emulator *e, u64 linear,
				      u32 access, u64 *gpa);
	/* Guest memory within one page; nonzero if there is none at gpa */
	int (*phys_read)(struct emulator *e, u64 gpa, void *data, u32 len);
	int (*phys_write)(struct emulator *e, u64 gpa, const void *data,
			  u32 len);
	bool (*phys_writable)(struct emulator *e, u64 gpa);
	/* 1 if memory no longer holds old, <0 if there is no memory at gpa */
	int (*phys_cmpxchg)(struct emulator *e, u64 gpa, const void *old,
			    const void *new, u32 len);
	/* In-kernel devices, at most 8 bytes; nonzero if none is there */
	int (*mmio_read)(struct emulator *e, u64 gpa, void *data, u32 len);
	int (*mmio_write)(struct emulator *e, u64 gpa, const void *data,
			  u32 len);
	int (*port_read)(struct emulator *e, u16 port, void *data, u32 len);
	int (*port_write)(struct emulator *e, u16 port, const void *data,
			  u32 len);

	void (*get_segment)(struct emulator *e, enum x86_seg seg,
			    struct kvm_segment *out);
	void (*set_segment)(struct emulator *e, enum x86_seg seg,
			    const struct kvm_segment *in);
	void (*get_table)(struct emulator *e, bool idt, struct kvm_dtable *dt);
	void (*set_table)(struct emulator *e, bool idt,
			  const struct kvm_dtable *dt);
	u64 (*get_cr)(struct emulator *e, int cr);
	int (*set_cr)(struct emulator *e, int cr, u64 value);	/* no: #GP */
	u64 (*get_dr)(struct emulator *e, int dr);
	int (*set_dr)(struct emulator *e, int dr, u64 value);	/* no: vector */
	void (*get_xmm)(struct emulator *e, int reg, u8 data[16]);
	void (*set_xmm)(struct emulator *e, int reg, const u8 data[16]);
	/* MMX; nonzero, and nothing is done: an x87 exception is pending */
	int (*move_mm)(struct emulator *e, int reg, u64 *data, bool load);
	void (*cpuid)(struct emulator *e, u32 regs[4]);	/* eax ebx ecx edx */
	u64 (*rdtsc)(struct emulator *e);
	void (*invlpg)(struct emulator *e, u64 linear);
};

struct emulator {
	const struct emul_ops *ops;
	void *ctx;		/* the caller's */
	struct x86_insn insn;
	u8 bytes[X86_MAX_INSN_LEN];	/* it was decoded from; for reports */
	u8 nr_bytes;

	/* State at the start of the run, set by the caller. */
	u64 gpr[NR_GPRS];
	u64 rip;		/* of the instruction; after it when done */
	u64 rflags;
	u64 cr0, cr4, efer;
	u8 cpl;

	/*
	 * Where the processor's own walk led the access that exited, and
	 * whether that was a write. EMUL_NO_GPA: the exit did not tell.
	 */
	u64 exit_gpa;
	bool exit_write;

	/* What came of it. */
	struct emul_fault fault;
	bool progress;		/* not EMUL_OK, but gpr and rflags count */
	bool rep_pending;	/* EMUL_OK, but the string is not finished */
	u8 shadow;		/* KVM_X86_SHADOW_INT_* that starts now */
	struct emul_mmio mmio;
	struct emul_pio pio;

	/* Scratch. */
	u64 start_rip;
	u64 offset;		/* of the memory operand in its segment */
	u8 nr_writes;
	struct emul_write writes[EMUL_WRITES];
	u32 seg_cached;		/* bit per enum x86_seg */
	struct kvm_segment seg[NR_SEGS];
};

/*
 * Forget answers of an earlier instruction; the caller has then to fill insn
 * and the state, and may set exit_gpa and exit_write. emul_run() may be called
 * again after EMUL_IO_NEEDED with the state filled anew, once
 * emul_mmio_answer() was called or pio.answered set.
 */
void emul_begin(struct emulator *e);
enum emul_result emul_run(struct emulator *e);

enum emul_task_source { TASK_CALL, TASK_JMP, TASK_IRET, TASK_GATE };

struct emul_task {
	u16 selector;		/* of the incoming TSS */
	enum emul_task_source source;	/* TASK_GATE: an event, by the IDT */
	bool has_error_code;
	u32 error_code;
	bool trap;		/* set: the new task starts with a #DB (BT) */
};

/*
 * Leave the current task at e->rip for another. As emul_run(): after a fault
 * with e->progress the new task is there, and the fault is its own.
 */
enum emul_result emul_task_switch(struct emulator *e, struct emul_task *task);

/* The read that user space has to answer, or NULL. */
const struct emul_mmio_access *emul_mmio_waiting(const struct emulator *e);
void emul_mmio_answer(struct emulator *e, const void *data);
/* The next posted write, or NULL when all have been handed out. */
const struct emul_mmio_access *emul_mmio_next_write(struct emulator *e);

#endif
