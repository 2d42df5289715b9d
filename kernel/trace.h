/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of the front ring. System, names and fields are KVM's, because
 * perf, trace-cmd and kvm_stat read them; docs/tracing.md lists all.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(UNIKVM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UNIKVM_TRACE_H

#include <linux/errno.h>
#include <linux/tracepoint.h>

#include <unikvm/kvm.h>

/* KVM_RUN returns to user space: with an exit reason, or with -errno. */
TRACE_EVENT(kvm_userspace_exit,
	TP_PROTO(u32 reason, int error),
	TP_ARGS(reason, error),
	TP_STRUCT__entry(
		__field(u32, reason)
		__field(int, errno)
	),
	TP_fast_assign(
		__entry->reason = reason;
		__entry->errno = error;
	),
	TP_printk("reason %s (%d)",
		  /* parentheses: trace-cmd reads chains of ?: from the left */
		  __entry->errno < 0 ?
		  (__entry->errno == -EINTR ? "restart" : "error") :
		  __print_symbolic(__entry->reason,
			{ KVM_EXIT_UNKNOWN, "KVM_EXIT_UNKNOWN" },
			{ KVM_EXIT_IO, "KVM_EXIT_IO" },
			{ KVM_EXIT_DEBUG, "KVM_EXIT_DEBUG" },
			{ KVM_EXIT_HLT, "KVM_EXIT_HLT" },
			{ KVM_EXIT_MMIO, "KVM_EXIT_MMIO" },
			{ KVM_EXIT_IRQ_WINDOW_OPEN, "KVM_EXIT_IRQ_WINDOW_OPEN" },
			{ KVM_EXIT_SHUTDOWN, "KVM_EXIT_SHUTDOWN" },
			{ KVM_EXIT_FAIL_ENTRY, "KVM_EXIT_FAIL_ENTRY" },
			{ KVM_EXIT_INTR, "KVM_EXIT_INTR" },
			{ KVM_EXIT_SET_TPR, "KVM_EXIT_SET_TPR" },
			{ KVM_EXIT_TPR_ACCESS, "KVM_EXIT_TPR_ACCESS" },
			{ KVM_EXIT_INTERNAL_ERROR, "KVM_EXIT_INTERNAL_ERROR" },
			{ KVM_EXIT_SYSTEM_EVENT, "KVM_EXIT_SYSTEM_EVENT" },
			{ KVM_EXIT_IOAPIC_EOI, "KVM_EXIT_IOAPIC_EOI" },
			{ KVM_EXIT_X86_RDMSR, "KVM_EXIT_X86_RDMSR" },
			{ KVM_EXIT_X86_WRMSR, "KVM_EXIT_X86_WRMSR" }),
		  __entry->errno < 0 ? -__entry->errno : __entry->reason)
);

/* A halted vCPU goes on. valid: polling pays (always, as nothing polls). */
TRACE_EVENT(kvm_vcpu_wakeup,
	TP_PROTO(u64 ns, bool waited, bool valid),
	TP_ARGS(ns, waited, valid),
	TP_STRUCT__entry(
		__field(u64, ns)
		__field(bool, waited)
		__field(bool, valid)
	),
	TP_fast_assign(
		__entry->ns = ns;
		__entry->waited = waited;
		__entry->valid = valid;
	),
	TP_printk("%s time %lld ns, polling %s",
		  __entry->waited ? "wait" : "poll", __entry->ns,
		  __entry->valid ? "valid" : "invalid")
);

TRACE_EVENT(kvm_set_irq,
	TP_PROTO(unsigned int gsi, int level, int source),
	TP_ARGS(gsi, level, source),
	TP_STRUCT__entry(
		__field(unsigned int, gsi)
		__field(int, level)
		__field(int, irq_source_id)
	),
	TP_fast_assign(
		__entry->gsi = gsi;
		__entry->level = level;
		__entry->irq_source_id = source;
	),
	TP_printk("gsi %u level %d source %d",
		  __entry->gsi, __entry->level, __entry->irq_source_id)
);

TRACE_EVENT(kvm_ack_irq,
	TP_PROTO(unsigned int irqchip, unsigned int pin),
	TP_ARGS(irqchip, pin),
	TP_STRUCT__entry(
		__field(unsigned int, irqchip)
		__field(unsigned int, pin)
	),
	TP_fast_assign(
		__entry->irqchip = irqchip;
		__entry->pin = pin;
	),
	TP_printk("irqchip %s pin %u",
		  __print_symbolic(__entry->irqchip,
			{ 0, "PIC master" }, { 1, "PIC slave" }, { 2, "IOAPIC" }),
		  __entry->pin)
);

/* kvm_mmio.type: a read that user space must answer, answered, a write */
#define KVM_TRACE_MMIO_READ_UNSATISFIED	0
#define KVM_TRACE_MMIO_READ		1
#define KVM_TRACE_MMIO_WRITE		2

TRACE_EVENT(kvm_mmio,
	TP_PROTO(u32 type, u32 len, u64 gpa, const void *data),
	TP_ARGS(type, len, gpa, data),
	TP_STRUCT__entry(
		__field(u32, type)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = 0;
		if (data)
			memcpy(&__entry->val, data,
			       min_t(u32, len, sizeof(__entry->val)));
	),
	TP_printk("mmio %s len %u gpa 0x%llx val 0x%llx",
		  __print_symbolic(__entry->type,
			{ KVM_TRACE_MMIO_READ_UNSATISFIED, "unsatisfied-read" },
			{ KVM_TRACE_MMIO_READ, "read" },
			{ KVM_TRACE_MMIO_WRITE, "write" }),
		  __entry->len, __entry->gpa, __entry->val)
);

#endif

/* Found by -I of the kernel directory, see Kbuild. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
