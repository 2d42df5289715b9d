/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints of the x86 and vendor rings; as in ../trace.h, all is KVM's. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(UNIKVM_X86_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UNIKVM_X86_TRACE_H

#include <linux/trace_seq.h>
#include <linux/tracepoint.h>

#include "x86.h"

/* kvm_exit.isa: which vendor's exit_reason it is */
#define KVM_ISA_VMX	1
#define KVM_ISA_SVM	2

/* The names of exit codes, APM vol. 2 appendix C, as tools show them. */
#define KVM_SVM_EXIT_NAMES						\
	{ 0x000, "read_cr0" }, { 0x002, "read_cr2" },			\
	{ 0x003, "read_cr3" }, { 0x004, "read_cr4" },			\
	{ 0x008, "read_cr8" }, { 0x010, "write_cr0" },			\
	{ 0x012, "write_cr2" }, { 0x013, "write_cr3" },			\
	{ 0x014, "write_cr4" }, { 0x018, "write_cr8" },			\
	{ 0x020, "read_dr0" }, { 0x021, "read_dr1" },			\
	{ 0x022, "read_dr2" }, { 0x023, "read_dr3" },			\
	{ 0x026, "read_dr6" }, { 0x027, "read_dr7" },			\
	{ 0x030, "write_dr0" }, { 0x031, "write_dr1" },			\
	{ 0x032, "write_dr2" }, { 0x033, "write_dr3" },			\
	{ 0x036, "write_dr6" }, { 0x037, "write_dr7" },			\
	{ 0x041, "DB excp" }, { 0x043, "BP excp" },			\
	{ 0x046, "UD excp" }, { 0x04d, "GP excp" },			\
	{ 0x04e, "PF excp" }, { 0x051, "AC excp" },			\
	{ 0x052, "MC excp" }, { 0x060, "interrupt" },			\
	{ 0x061, "nmi" }, { 0x062, "smi" }, { 0x063, "init" },		\
	{ 0x064, "vintr" }, { 0x065, "cr0_sel_write" },			\
	{ 0x06e, "rdtsc" }, { 0x06f, "rdpmc" }, { 0x072, "cpuid" },	\
	{ 0x073, "rsm" }, { 0x074, "iret" }, { 0x076, "invd" },		\
	{ 0x077, "pause" }, { 0x078, "hlt" }, { 0x079, "invlpg" },	\
	{ 0x07a, "invlpga" }, { 0x07b, "io" }, { 0x07c, "msr" },	\
	{ 0x07d, "task_switch" }, { 0x07e, "ferr_freeze" },		\
	{ 0x07f, "shutdown" }, { 0x080, "vmrun" },			\
	{ 0x081, "hypercall" }, { 0x082, "vmload" },			\
	{ 0x083, "vmsave" }, { 0x084, "stgi" }, { 0x085, "clgi" },	\
	{ 0x086, "skinit" }, { 0x087, "rdtscp" }, { 0x088, "icebp" },	\
	{ 0x089, "wbinvd" }, { 0x08a, "monitor" }, { 0x08b, "mwait" },	\
	{ 0x08c, "mwait_cond" }, { 0x08d, "xsetbv" },			\
	{ 0x08e, "rdpru" }, { 0x0a2, "invpcid" }, { 0x400, "npf" },	\
	{ 0xffffffff, "invalid_guest_state" }

/* ---- entry and exit ---- */

/* immediate_exit: an interrupt of our own ends this entry at once */
TRACE_EVENT(kvm_entry,
	TP_PROTO(struct x86_vcpu *v, bool immediate_exit),
	TP_ARGS(v, immediate_exit),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, rip)
		__field(bool, immediate_exit)
	),
	TP_fast_assign(
		__entry->vcpu_id = v->vcpu.vcpu_id;
		__entry->rip = v->rip;
		__entry->immediate_exit = immediate_exit;
	),
	TP_printk("vcpu %u, rip 0x%lx%s", __entry->vcpu_id, __entry->rip,
		  __entry->immediate_exit ? " [immediate exit]" : "")
);

TRACE_EVENT(kvm_exit,
	TP_PROTO(struct x86_vcpu *v, u32 isa, u32 reason, u64 info1, u64 info2,
		 u32 intr_info, u32 error_code),
	TP_ARGS(v, isa, reason, info1, info2, intr_info, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, exit_reason)
		__field(unsigned long, guest_rip)
		__field(u32, isa)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, intr_info)
		__field(u32, error_code)
		__field(unsigned int, vcpu_id)
	),
	TP_fast_assign(
		__entry->exit_reason = reason;
		__entry->guest_rip = v->rip;
		__entry->isa = isa;
		__entry->info1 = info1;
		__entry->info2 = info2;
		__entry->intr_info = intr_info;
		__entry->error_code = error_code;
		__entry->vcpu_id = v->vcpu.vcpu_id;
	),
	TP_printk("vcpu %u reason %s rip 0x%lx info1 0x%016llx info2 0x%016llx intr_info 0x%08x error_code 0x%08x",
		  __entry->vcpu_id,
		  __print_symbolic(__entry->exit_reason, KVM_SVM_EXIT_NAMES),
		  __entry->guest_rip, __entry->info1, __entry->info2,
		  __entry->intr_info, __entry->error_code)
);

TRACE_EVENT(kvm_page_fault,
	TP_PROTO(struct x86_vcpu *v, u64 gpa, u64 error_code),
	TP_ARGS(v, gpa, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, guest_rip)
		__field(u64, fault_address)
		__field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = v->vcpu.vcpu_id;
		__entry->guest_rip = v->rip;
		__entry->fault_address = gpa;
		__entry->error_code = error_code;
	),
	TP_printk("vcpu %u rip 0x%lx address 0x%016llx error_code 0x%llx",
		  __entry->vcpu_id, __entry->guest_rip, __entry->fault_address,
		  __entry->error_code)
);

/* ---- asynchronous page faults; gva is a guest physical address here ---- */

DECLARE_EVENT_CLASS(kvm_async_get_page_class,
	TP_PROTO(u64 gva, u64 gfn),
	TP_ARGS(gva, gfn),
	TP_STRUCT__entry(
		__field(__u64, gva)
		__field(u64, gfn)
	),
	TP_fast_assign(
		__entry->gva = gva;
		__entry->gfn = gfn;
	),
	TP_printk("gva = %#llx, gfn = %#llx", __entry->gva, __entry->gfn)
);

DEFINE_EVENT(kvm_async_get_page_class, kvm_try_async_get_page,
	TP_PROTO(u64 gva, u64 gfn),
	TP_ARGS(gva, gfn)
);

DECLARE_EVENT_CLASS(kvm_async_pf_nopresent_ready,
	TP_PROTO(u64 token, u64 gva),
	TP_ARGS(token, gva),
	TP_STRUCT__entry(
		__field(__u64, token)
		__field(__u64, gva)
	),
	TP_fast_assign(
		__entry->token = token;
		__entry->gva = gva;
	),
	TP_printk("token %#llx gva %#llx", __entry->token, __entry->gva)
);

DEFINE_EVENT(kvm_async_pf_nopresent_ready, kvm_async_pf_not_present,
	TP_PROTO(u64 token, u64 gva),
	TP_ARGS(token, gva)
);

DEFINE_EVENT(kvm_async_pf_nopresent_ready, kvm_async_pf_ready,
	TP_PROTO(u64 token, u64 gva),
	TP_ARGS(token, gva)
);

TRACE_EVENT(kvm_async_pf_completed,
	TP_PROTO(unsigned long address, u64 gva),
	TP_ARGS(address, gva),
	TP_STRUCT__entry(
		__field(unsigned long, address)
		__field(u64, gva)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->gva = gva;
	),
	TP_printk("gva %#llx address %#lx", __entry->gva, __entry->address)
);

/* ---- instructions ---- */

TRACE_EVENT(kvm_hypercall,
	TP_PROTO(unsigned long nr, unsigned long a0, unsigned long a1,
		 unsigned long a2, unsigned long a3),
	TP_ARGS(nr, a0, a1, a2, a3),
	TP_STRUCT__entry(
		__field(unsigned long, nr)
		__field(unsigned long, a0)
		__field(unsigned long, a1)
		__field(unsigned long, a2)
		__field(unsigned long, a3)
	),
	TP_fast_assign(
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->a2 = a2;
		__entry->a3 = a3;
	),
	TP_printk("nr 0x%lx a0 0x%lx a1 0x%lx a2 0x%lx a3 0x%lx",
		  __entry->nr, __entry->a0, __entry->a1, __entry->a2,
		  __entry->a3)
);

/* kvm_pio.rw */
#define KVM_PIO_IN	0
#define KVM_PIO_OUT	1

/* val: the first of count elements, size bytes each */
TRACE_EVENT(kvm_pio,
	TP_PROTO(unsigned int rw, unsigned int port, unsigned int size,
		 unsigned int count, const void *data),
	TP_ARGS(rw, port, size, count, data),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, port)
		__field(unsigned int, size)
		__field(unsigned int, count)
		__field(unsigned int, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = 0;
		memcpy(&__entry->val, data,
		       min_t(unsigned int, size, sizeof(__entry->val)));
	),
	TP_printk("pio_%s at 0x%x size %u count %u val 0x%x %s",
		  __entry->rw ? "write" : "read", __entry->port, __entry->size,
		  __entry->count, __entry->val,
		  __entry->count > 1 ? "(...)" : "")
);

TRACE_EVENT(kvm_cpuid,
	TP_PROTO(u32 function, u32 index, const u32 *r, bool found,
		 bool used_max_basic),
	TP_ARGS(function, index, r, found, used_max_basic),
	TP_STRUCT__entry(
		__field(unsigned int, function)
		__field(unsigned int, index)
		__field(unsigned long, rax)
		__field(unsigned long, rbx)
		__field(unsigned long, rcx)
		__field(unsigned long, rdx)
		__field(bool, found)
		__field(bool, used_max_basic)
	),
	TP_fast_assign(
		__entry->function = function;
		__entry->index = index;
		__entry->rax = r[0];
		__entry->rbx = r[1];
		__entry->rcx = r[2];
		__entry->rdx = r[3];
		__entry->found = found;
		__entry->used_max_basic = used_max_basic;
	),
	TP_printk("func %x idx %x rax %lx rbx %lx rcx %lx rdx %lx, cpuid entry %s%s",
		  __entry->function, __entry->index, __entry->rax,
		  __entry->rbx, __entry->rcx, __entry->rdx,
		  __entry->found ? "found" : "not found",
		  __entry->used_max_basic ? ", used max basic" : "")
);

TRACE_EVENT(kvm_msr,
	TP_PROTO(unsigned int write, u32 index, u64 data, bool exception),
	TP_ARGS(write, index, data, exception),
	TP_STRUCT__entry(
		__field(unsigned int, write)
		__field(u32, ecx)
		__field(u64, data)
		__field(u8, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = index;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("msr_%s %x = 0x%llx%s", __entry->write ? "write" : "read",
		  __entry->ecx, __entry->data,
		  __entry->exception ? " (#GP)" : "")
);

TRACE_EVENT(kvm_cr,
	TP_PROTO(unsigned int rw, unsigned int cr, unsigned long val),
	TP_ARGS(rw, cr, val),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, cr)
		__field(unsigned long, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->cr = cr;
		__entry->val = val;
	),
	TP_printk("cr_%s %x = 0x%lx", __entry->rw ? "write" : "read",
		  __entry->cr, __entry->val)
);

/* kvm_emulate_insn.flags */
#define KVM_EMUL_INSN_F_CR0_PE	BIT(0)
#define KVM_EMUL_INSN_F_EFL_VM	BIT(1)
#define KVM_EMUL_INSN_F_CS_D	BIT(2)
#define KVM_EMUL_INSN_F_CS_L	BIT(3)
#define KVM_EMUL_MODE_NAMES						\
	{ 0, "real" }, { BIT(0), "prot16" }, { BIT(0) | BIT(1), "vm16" },	\
	{ BIT(0) | BIT(2), "prot32" }, { BIT(0) | BIT(3), "prot64" }

TRACE_EVENT(kvm_emulate_insn,
	TP_PROTO(struct x86_vcpu *v, bool failed),
	TP_ARGS(v, failed),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, csbase)
		__field(u8, len)
		__array(u8, insn, X86_MAX_INSN_LEN)
		__field(u8, flags)
		__field(u8, failed)
	),
	TP_fast_assign(
		struct kvm_segment cs;

		x86_ops->get_segment(v, SEG_CS, &cs);
		__entry->rip = v->rip;
		__entry->csbase = cs.base;
		__entry->len = failed ? v->emul.nr_bytes : v->emul.insn.len;
		memcpy(__entry->insn, v->emul.bytes, sizeof(__entry->insn));
		__entry->flags =
			(is_protmode(v) ? KVM_EMUL_INSN_F_CR0_PE : 0) |
			(v->rflags & BIT(17) ? KVM_EMUL_INSN_F_EFL_VM : 0) |
			(cs.db ? KVM_EMUL_INSN_F_CS_D : 0) |
			(cs.l && is_long_mode(v) ? KVM_EMUL_INSN_F_CS_L : 0);
		__entry->failed = failed;
	),
	TP_printk("%x:%llx:%s (%s)%s", __entry->csbase, __entry->rip,
		  __print_hex(__entry->insn, __entry->len),
		  __print_symbolic(__entry->flags, KVM_EMUL_MODE_NAMES),
		  __entry->failed ? " failed" : "")
);

/* ---- events into the guest ---- */

TRACE_EVENT(kvm_inj_virq,
	TP_PROTO(unsigned int vector, bool soft, bool reinjected),
	TP_ARGS(vector, soft, reinjected),
	TP_STRUCT__entry(
		__field(unsigned int, vector)
		__field(bool, soft)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->soft = soft;
		__entry->reinjected = reinjected;
	),
	TP_printk("%s 0x%x%s", __entry->soft ? "Soft/INTn" : "IRQ",
		  __entry->vector, __entry->reinjected ? " [reinjected]" : "")
);

TRACE_EVENT(kvm_inj_exception,
	TP_PROTO(const struct x86_exception *e, bool reinjected),
	TP_ARGS(e, reinjected),
	TP_STRUCT__entry(
		__field(u8, exception)
		__field(u8, has_error)
		__field(u32, error_code)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->exception = e->vector;
		__entry->has_error = e->has_error_code;
		__entry->error_code = e->has_error_code ? e->error_code : 0;
		__entry->reinjected = reinjected;
	),
	TP_printk("%s (0x%x)%s",
		  __print_symbolic(__entry->exception,
			{ 0, "#DE" }, { 1, "#DB" }, { 3, "#BP" }, { 4, "#OF" },
			{ 5, "#BR" }, { 6, "#UD" }, { 7, "#NM" }, { 8, "#DF" },
			{ 10, "#TS" }, { 11, "#NP" }, { 12, "#SS" },
			{ 13, "#GP" }, { 14, "#PF" }, { 16, "#MF" },
			{ 17, "#AC" }, { 18, "#MC" }, { 19, "#XM" }),
		  __entry->error_code,
		  __entry->reinjected ? " [reinjected]" : "")
);

/* ---- interrupt chips ---- */

/* Registers by their offset in the page, SDM vol. 3A "Local APIC Registers" */
#define KVM_APIC_REG_NAMES						\
	{ 0x020, "APIC_ID" }, { 0x030, "APIC_LVR" },			\
	{ 0x080, "APIC_TASKPRI" }, { 0x090, "APIC_ARBPRI" },		\
	{ 0x0a0, "APIC_PROCPRI" }, { 0x0b0, "APIC_EOI" },		\
	{ 0x0c0, "APIC_RRR" }, { 0x0d0, "APIC_LDR" },			\
	{ 0x0e0, "APIC_DFR" }, { 0x0f0, "APIC_SPIV" },			\
	{ 0x100, "APIC_ISR" }, { 0x180, "APIC_TMR" },			\
	{ 0x200, "APIC_IRR" }, { 0x280, "APIC_ESR" },			\
	{ 0x2f0, "APIC_LVTCMCI" }, { 0x300, "APIC_ICR" },		\
	{ 0x310, "APIC_ICR2" }, { 0x320, "APIC_LVTT" },			\
	{ 0x330, "APIC_LVTTHMR" }, { 0x340, "APIC_LVTPC" },		\
	{ 0x350, "APIC_LVT0" }, { 0x360, "APIC_LVT1" },			\
	{ 0x370, "APIC_LVTERR" }, { 0x380, "APIC_TMICT" },		\
	{ 0x390, "APIC_TMCCT" }, { 0x3e0, "APIC_TDCR" },		\
	{ 0x3f0, "APIC_SELF_IPI" }

#define KVM_APIC_MODE_NAMES						\
	{ 0, "Fixed" }, { 1, "LowPrio" }, { 2, "SMI" }, { 3, "Res3" },	\
	{ 4, "NMI" }, { 5, "INIT" }, { 6, "SIPI" }, { 7, "ExtINT" }

TRACE_EVENT(kvm_apic,
	TP_PROTO(unsigned int rw, unsigned int reg, u64 val),
	TP_ARGS(rw, reg, val),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, reg)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->reg = reg;
		__entry->val = val;
	),
	TP_printk("apic_%s %s = 0x%llx", __entry->rw ? "write" : "read",
		  __print_symbolic(__entry->reg, KVM_APIC_REG_NAMES),
		  __entry->val)
);

TRACE_EVENT(kvm_apic_ipi,
	TP_PROTO(u32 icr_low, u32 dest_id),
	TP_ARGS(icr_low, dest_id),
	TP_STRUCT__entry(
		__field(u32, icr_low)
		__field(u32, dest_id)
	),
	TP_fast_assign(
		__entry->icr_low = icr_low;
		__entry->dest_id = dest_id;
	),
	TP_printk("dst %x vec %u (%s|%s|%s|%s|%s)", __entry->dest_id,
		  __entry->icr_low & 0xff,
		  __print_symbolic(__entry->icr_low >> 8 & 7,
				   KVM_APIC_MODE_NAMES),
		  __entry->icr_low & BIT(11) ? "logical" : "physical",
		  __entry->icr_low & BIT(14) ? "assert" : "de-assert",
		  __entry->icr_low & BIT(15) ? "level" : "edge",
		  __print_symbolic(__entry->icr_low >> 18 & 3,
			{ 0, "dst" }, { 1, "self" }, { 2, "all" },
			{ 3, "all-but-self" }))
);

TRACE_EVENT(kvm_apic_accept_irq,
	TP_PROTO(u32 apicid, u16 mode, u16 trigger, u8 vector),
	TP_ARGS(apicid, mode, trigger, vector),
	TP_STRUCT__entry(
		__field(u32, apicid)
		__field(u16, dm)
		__field(u16, tm)
		__field(u8, vec)
	),
	TP_fast_assign(
		__entry->apicid = apicid;
		__entry->dm = mode << 8;
		__entry->tm = trigger;
		__entry->vec = vector;
	),
	TP_printk("apicid %x vec %u (%s|%s)", __entry->apicid, __entry->vec,
		  __print_symbolic(__entry->dm >> 8 & 7, KVM_APIC_MODE_NAMES),
		  __entry->tm ? "level" : "edge")
);

TRACE_EVENT(kvm_eoi,
	TP_PROTO(u32 apicid, int vector),
	TP_ARGS(apicid, vector),
	TP_STRUCT__entry(
		__field(u32, apicid)
		__field(int, vector)
	),
	TP_fast_assign(
		__entry->apicid = apicid;
		__entry->vector = vector;
	),
	TP_printk("apicid %x vector %d", __entry->apicid, __entry->vector)
);

TRACE_EVENT(kvm_msi_set_irq,
	TP_PROTO(u64 address, u64 data),
	TP_ARGS(address, data),
	TP_STRUCT__entry(
		__field(u64, address)
		__field(u64, data)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->data = data;
	),
	TP_printk("dst %llx vec %u (%s|%s|%s%s)",
		  (__entry->address >> 12 & 0xff) |
		  (__entry->address >> 32 & 0xffffff00),
		  (u8)__entry->data,
		  __print_symbolic(__entry->data >> 8 & 7, KVM_APIC_MODE_NAMES),
		  __entry->address & BIT(2) ? "logical" : "physical",
		  __entry->data & BIT(15) ? "level" : "edge",
		  __entry->address & BIT(3) ? "|rh" : "")
);

TRACE_EVENT(kvm_ioapic_set_irq,
	TP_PROTO(u64 rte, int pin, bool coalesced),
	TP_ARGS(rte, pin, coalesced),
	TP_STRUCT__entry(
		__field(u64, e)
		__field(int, pin)
		__field(bool, coalesced)
	),
	TP_fast_assign(
		__entry->e = rte;
		__entry->pin = pin;
		__entry->coalesced = coalesced;
	),
	TP_printk("pin %u dst %x vec %u (%s|%s|%s%s)%s", __entry->pin,
		  (u8)(__entry->e >> 56), (u8)__entry->e,
		  __print_symbolic(__entry->e >> 8 & 7, KVM_APIC_MODE_NAMES),
		  __entry->e & BIT(11) ? "logical" : "physical",
		  __entry->e & BIT(15) ? "level" : "edge",
		  __entry->e & BIT(16) ? "|masked" : "",
		  __entry->coalesced ? " (coalesced)" : "")
);

TRACE_EVENT(kvm_pic_set_irq,
	TP_PROTO(const struct kvm_pic_state *chip, u8 number, u8 pin,
		 bool coalesced),
	TP_ARGS(chip, number, pin, coalesced),
	TP_STRUCT__entry(
		__field(u8, chip)
		__field(u8, pin)
		__field(u8, elcr)
		__field(u8, imr)
		__field(bool, coalesced)
	),
	TP_fast_assign(
		__entry->chip = number;
		__entry->pin = pin;
		__entry->elcr = chip->elcr;
		__entry->imr = chip->imr;
		__entry->coalesced = coalesced;
	),
	TP_printk("chip %u pin %u (%s%s)%s", __entry->chip, __entry->pin,
		  __entry->elcr & (1 << __entry->pin) ? "level" : "edge",
		  __entry->imr & (1 << __entry->pin) ? "|masked" : "",
		  __entry->coalesced ? " (coalesced)" : "")
);

#endif

/* Found by -I of the kernel directory, see Kbuild. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH x86
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
