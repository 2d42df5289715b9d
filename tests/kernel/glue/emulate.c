// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small machine around the emulator, for tests of the host library.
 *
 * Linear pages map to themselves unless told otherwise. Memory is one array
 * at guest-physical 0; beyond it are two devices, one "in the kernel" that
 * answers at once, and "user space" behind exits. Every device access is
 * logged in order.
 */
#include <stdlib.h>

#include "../../../kernel/x86/emulate.h"

#define RAM_BYTES	(4U << 20)
#define LINEAR_PAGES	8192U		/* 32 MiB, then the top 64 KiB */
#define KERNEL_DEVICE	0x01000000ULL	/* 1 MiB, answered in place */
#define USER_DEVICE	0x01100000ULL	/* all above: user space */
#define KERNEL_PORT	0x100		/* 100..1ff are answered in place */
#define LOG_ENTRIES	64

enum { PAGE_ABSENT = 1, PAGE_READ_ONLY = 2, PAGE_SUPERVISOR = 4 };
enum { LOG_KERNEL_READ, LOG_KERNEL_WRITE, LOG_PORT_READ, LOG_PORT_WRITE };

struct log_entry {
	u64 kind, address, len, data;
};

struct machine {
	struct emulator e;
	u8 ram[RAM_BYTES];
	u8 pio[EMUL_PIO_BYTES];
	u8 page_flags[LINEAR_PAGES];
	u32 page_map[LINEAR_PAGES];	/* guest-physical page number */
	u32 read_only_gpa;		/* a page whose writes are MMIO; 0: none */
	struct kvm_segment seg[NR_SEGS];
	struct kvm_dtable gdt, idt;
	u64 cr[16], dr[8];
	u8 xmm[16][16];
	u64 mm[8];
	bool x87_pending;
	u64 invalidated;
	u32 cmpxchg_interference;	/* fail that many exchanges */
	u32 walks;			/* translations asked for */
	struct log_entry log[LOG_ENTRIES];
	u32 log_len;
	u32 device_counter;
};

static struct machine *machine_of(struct emulator *e)
{
	return e->ctx;
}

static enum emul_result op_translate(struct emulator *e, u64 linear,
				     u32 access, u64 *gpa)
{
	struct machine *m = machine_of(e);
	u64 page = linear >> 12;
	u8 flags = page < LINEAR_PAGES ? m->page_flags[page] : 0;

	m->walks++;
	if ((flags & PAGE_ABSENT) ||
	    ((flags & PAGE_READ_ONLY) && (access & EMUL_WRITE)) ||
	    ((flags & PAGE_SUPERVISOR) && (access & EMUL_USER))) {
		e->fault = (struct emul_fault){
			.vector = PF_VECTOR, .has_error_code = true,
			.error_code = (access & 7) | !(flags & PAGE_ABSENT),
			.cr2 = linear,
		};
		return EMUL_FAULT;
	}
	if (page < LINEAR_PAGES)
		*gpa = (u64)m->page_map[page] << 12 | (linear & 0xfff);
	else
		*gpa = linear & 0xffffffff;
	return EMUL_OK;
}

static int op_phys_read(struct emulator *e, u64 gpa, void *data, u32 len)
{
	if (gpa + len > RAM_BYTES)
		return -1;
	memcpy(data, machine_of(e)->ram + gpa, len);
	return 0;
}

static bool op_phys_writable(struct emulator *e, u64 gpa)
{
	struct machine *m = machine_of(e);

	return gpa < RAM_BYTES &&
	       !(m->read_only_gpa && gpa >> 12 == m->read_only_gpa >> 12);
}

static int op_phys_write(struct emulator *e, u64 gpa, const void *data,
			 u32 len)
{
	if (gpa + len > RAM_BYTES || !op_phys_writable(e, gpa))
		return -1;
	memcpy(machine_of(e)->ram + gpa, data, len);
	return 0;
}

static int op_phys_cmpxchg(struct emulator *e, u64 gpa, const void *old,
			   const void *new, u32 len)
{
	struct machine *m = machine_of(e);

	if (gpa + len > RAM_BYTES || !op_phys_writable(e, gpa))
		return -1;
	if (m->cmpxchg_interference) {
		m->cmpxchg_interference--;
		m->ram[gpa] ^= 0x80;
	}
	if (memcmp(m->ram + gpa, old, len))
		return 1;
	memcpy(m->ram + gpa, new, len);
	return 0;
}

static void log_access(struct machine *m, u64 kind, u64 address,
		       const void *data, u32 len)
{
	struct log_entry *entry;

	if (m->log_len == LOG_ENTRIES)
		abort();
	entry = &m->log[m->log_len++];
	*entry = (struct log_entry){ kind, address, len, 0 };
	memcpy(&entry->data, data, len);
}

/* Each answer differs, so that a second read of a device shows. */
static void device_answer(struct machine *m, void *data, u32 len)
{
	u32 i;

	m->device_counter++;
	for (i = 0; i < len; i++)
		((u8 *)data)[i] = (u8)(m->device_counter * 16 + i);
}

static bool is_kernel_device(u64 gpa)
{
	return gpa >= KERNEL_DEVICE && gpa < USER_DEVICE;
}

static int op_mmio_read(struct emulator *e, u64 gpa, void *data, u32 len)
{
	if (!is_kernel_device(gpa))
		return -1;
	device_answer(machine_of(e), data, len);
	log_access(machine_of(e), LOG_KERNEL_READ, gpa, data, len);
	return 0;
}

static int op_mmio_write(struct emulator *e, u64 gpa, const void *data,
			 u32 len)
{
	if (!is_kernel_device(gpa))
		return -1;
	log_access(machine_of(e), LOG_KERNEL_WRITE, gpa, data, len);
	return 0;
}

static int op_port_read(struct emulator *e, u16 port, void *data, u32 len)
{
	if (port < KERNEL_PORT || port >= 2 * KERNEL_PORT)
		return -1;
	device_answer(machine_of(e), data, len);
	log_access(machine_of(e), LOG_PORT_READ, port, data, len);
	return 0;
}

static int op_port_write(struct emulator *e, u16 port, const void *data,
			 u32 len)
{
	if (port < KERNEL_PORT || port >= 2 * KERNEL_PORT)
		return -1;
	log_access(machine_of(e), LOG_PORT_WRITE, port, data, len);
	return 0;
}

static void op_get_segment(struct emulator *e, enum x86_seg seg,
			   struct kvm_segment *out)
{
	*out = machine_of(e)->seg[seg];
}

static void op_set_segment(struct emulator *e, enum x86_seg seg,
			   const struct kvm_segment *in)
{
	machine_of(e)->seg[seg] = *in;
}

static void op_get_table(struct emulator *e, bool idt, struct kvm_dtable *dt)
{
	*dt = idt ? machine_of(e)->idt : machine_of(e)->gdt;
}

static void op_set_table(struct emulator *e, bool idt,
			 const struct kvm_dtable *dt)
{
	if (idt)
		machine_of(e)->idt = *dt;
	else
		machine_of(e)->gdt = *dt;
}

static u64 op_get_cr(struct emulator *e, int cr)
{
	return machine_of(e)->cr[cr];
}

/* Refuses bit 63 of anything, so that a test can see #GP come back. */
static int op_set_cr(struct emulator *e, int cr, u64 value)
{
	if (value >> 63)
		return 1;
	machine_of(e)->cr[cr] = value;
	return 0;
}

static u64 op_get_dr(struct emulator *e, int dr)
{
	return machine_of(e)->dr[dr];
}

static int op_set_dr(struct emulator *e, int dr, u64 value)
{
	if (value >> 63)
		return GP_VECTOR;
	machine_of(e)->dr[dr] = value;
	return 0;
}

static void op_get_xmm(struct emulator *e, int reg, u8 data[16])
{
	memcpy(data, machine_of(e)->xmm[reg], 16);
}

static void op_set_xmm(struct emulator *e, int reg, const u8 data[16])
{
	memcpy(machine_of(e)->xmm[reg], data, 16);
}

static int op_move_mm(struct emulator *e, int reg, u64 *data, bool load)
{
	struct machine *m = machine_of(e);

	if (load && !m->x87_pending)
		memcpy(&m->mm[reg], data, 8);
	else if (!m->x87_pending)
		memcpy(data, &m->mm[reg], 8);
	return m->x87_pending;
}

static void op_cpuid(struct emulator *e, u32 regs[4])
{
	u32 leaf = regs[0], index = regs[2], i;

	(void)e;
	for (i = 0; i < 4; i++)
		regs[i] = leaf * 16 + index * 4 + i;
}

static u64 op_rdtsc(struct emulator *e)
{
	(void)e;
	return 0x1122334455667788ULL;
}

static void op_invlpg(struct emulator *e, u64 linear)
{
	machine_of(e)->invalidated = linear;
}

static const struct emul_ops ops = {
	.translate = op_translate,
	.phys_read = op_phys_read,
	.phys_write = op_phys_write,
	.phys_writable = op_phys_writable,
	.phys_cmpxchg = op_phys_cmpxchg,
	.mmio_read = op_mmio_read,
	.mmio_write = op_mmio_write,
	.port_read = op_port_read,
	.port_write = op_port_write,
	.get_segment = op_get_segment,
	.set_segment = op_set_segment,
	.get_table = op_get_table,
	.set_table = op_set_table,
	.get_cr = op_get_cr,
	.set_cr = op_set_cr,
	.get_dr = op_get_dr,
	.set_dr = op_set_dr,
	.get_xmm = op_get_xmm,
	.set_xmm = op_set_xmm,
	.move_mm = op_move_mm,
	.cpuid = op_cpuid,
	.rdtsc = op_rdtsc,
	.invlpg = op_invlpg,
};

/* ---- what Python calls ---- */

struct machine *glue_machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));
	u32 i;

	if (!m)
		return NULL;
	m->e.ops = &ops;
	m->e.ctx = m;
	m->e.pio.data = m->pio;
	for (i = 0; i < LINEAR_PAGES; i++)
		m->page_map[i] = i;
	return m;
}

void glue_machine_free(struct machine *m)
{
	free(m);
}

void *glue_machine_ram(struct machine *m)
{
	return m->ram;
}

void *glue_machine_pio(struct machine *m)
{
	return m->pio;
}

u64 *glue_machine_gpr(struct machine *m)
{
	return m->e.gpr;
}

u64 *glue_machine_cr(struct machine *m)
{
	return m->cr;
}

u64 *glue_machine_dr(struct machine *m)
{
	return m->dr;
}

void *glue_machine_xmm(struct machine *m)
{
	return m->xmm;
}

u64 *glue_machine_mm(struct machine *m)
{
	return m->mm;
}

void glue_machine_x87_pending(struct machine *m, u32 pending)
{
	m->x87_pending = pending;
}

struct kvm_segment *glue_machine_seg(struct machine *m, u32 seg)
{
	return &m->seg[seg];
}

struct kvm_dtable *glue_machine_table(struct machine *m, u32 idt)
{
	return idt ? &m->idt : &m->gdt;
}

void glue_machine_set_state(struct machine *m, u64 rip, u64 rflags, u64 efer,
			    u32 cpl)
{
	m->e.rip = rip;
	m->e.rflags = rflags;
	m->e.cr0 = m->cr[0];
	m->e.cr4 = m->cr[4];
	m->e.efer = efer;
	m->e.cpl = cpl;
}

void glue_machine_page(struct machine *m, u32 page, u32 flags, u32 gpa_page)
{
	m->page_flags[page] = flags;
	m->page_map[page] = gpa_page;
}

void glue_machine_read_only(struct machine *m, u32 gpa)
{
	m->read_only_gpa = gpa;
}

void glue_machine_interfere(struct machine *m, u32 times)
{
	m->cmpxchg_interference = times;
}

/* Decode for this machine; a length or a negative reason. */
int glue_machine_decode(struct machine *m, const u8 *bytes, u32 len, u32 mode)
{
	emul_begin(&m->e);
	return x86_insn_decode(&m->e.insn, bytes, len, mode);
}

/* The decoded instruction exited, for its access to gpa. */
void glue_machine_exit_at(struct machine *m, u64 gpa, u32 write)
{
	m->e.exit_gpa = gpa;
	m->e.exit_write = write;
}

u32 glue_machine_walks(struct machine *m)
{
	return m->walks;
}

int glue_machine_run(struct machine *m)
{
	return emul_run(&m->e);
}

/* rip, rflags, progress, rep_pending, shadow, vector, has code, code, cr2 */
void glue_machine_result(struct machine *m, u64 out[9])
{
	const struct emulator *e = &m->e;

	out[0] = e->rip;
	out[1] = e->rflags;
	out[2] = e->progress;
	out[3] = e->rep_pending;
	out[4] = e->shadow;
	out[5] = e->fault.vector;
	out[6] = e->fault.has_error_code;
	out[7] = e->fault.error_code;
	out[8] = e->fault.cr2;
}

/* 1 and {gpa, len} if user space has to answer a read */
int glue_machine_waiting(struct machine *m, u64 out[2])
{
	const struct emul_mmio_access *a = emul_mmio_waiting(&m->e);

	if (!a)
		return 0;
	out[0] = a->gpa;
	out[1] = a->len;
	return 1;
}

void glue_machine_answer(struct machine *m, const u8 data[8])
{
	emul_mmio_answer(&m->e, data);
}

/* 1 and {gpa, len, data} while posted writes are left */
int glue_machine_next_write(struct machine *m, u64 out[3])
{
	const struct emul_mmio_access *a = emul_mmio_next_write(&m->e);

	if (!a)
		return 0;
	out[0] = a->gpa;
	out[1] = a->len;
	out[2] = 0;
	memcpy(&out[2], a->data, a->len);
	return 1;
}

/* {port, size, count, in} of the port access that waits; count 0: none */
void glue_machine_port(struct machine *m, u64 out[4])
{
	out[0] = m->e.pio.port;
	out[1] = m->e.pio.size;
	out[2] = m->e.pio.count;
	out[3] = m->e.pio.in;
}

void glue_machine_port_answered(struct machine *m)
{
	m->e.pio.answered = true;
}

void glue_machine_port_done(struct machine *m)
{
	m->e.pio.count = 0;
}

u32 glue_machine_log(struct machine *m, const struct log_entry **log)
{
	*log = m->log;
	return m->log_len;
}

void glue_machine_log_clear(struct machine *m)
{
	m->log_len = 0;
}

u64 glue_machine_invalidated(struct machine *m)
{
	return m->invalidated;
}

/* Fields of one decoded instruction, in the order of decoder.py. */
int glue_decode(const u8 *bytes, u32 len, u32 mode, s64 out[20])
{
	struct x86_insn i;
	int ret = x86_insn_decode(&i, bytes, len, mode);
	const s64 fields[20] = {
		i.map, i.opcode, i.op_size, i.addr_size, i.rep, i.lock,
		i.op_prefix, i.rex, i.has_modrm ? i.modrm : -1, i.mod, i.reg,
		i.rm, i.base, i.index, i.scale, i.rip_relative,
		i.has_modrm && i.mod != 3 ? i.seg : -1, i.disp, (s64)i.imm,
		i.disp_len << 16 | i.imm_len << 8 | i.imm2_len
	};

	memcpy(out, fields, sizeof(fields));
	return ret;
}

int glue_machine_task(struct machine *m, u32 selector, u32 source,
		      u32 has_error_code, u32 error_code, u32 *trap)
{
	struct emul_task task = {
		.selector = (u16)selector, .source = source,
		.has_error_code = has_error_code, .error_code = error_code,
	};
	int ret;

	m->e.cr0 = m->cr[0];
	m->e.cr4 = m->cr[4];
	emul_begin(&m->e);
	ret = emul_task_switch(&m->e, &task);
	*trap = task.trap;
	return ret;
}
