/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The front ring: VM and vCPU objects, memory slots, buses, interrupt routes.
 *
 * Nothing here knows x86. An architecture embeds struct kvm and struct
 * kvm_vcpu at the start of its own objects and implements the kvm_arch_*
 * functions at the end of this file; the front calls nothing else of it.
 */
#ifndef UNIKVM_KVM_INTERNAL_H
#define UNIKVM_KVM_INTERNAL_H

#include <linux/fs.h>
#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include <unikvm/kvm.h>

#include "compat.h"

typedef u64 gpa_t;	/* guest physical address, bytes */
typedef u64 gva_t;	/* guest virtual (linear) address, bytes */
typedef u64 gfn_t;	/* guest physical page number */
typedef u64 hpa_t;	/* host physical address, bytes */
typedef u64 kpfn_t;	/* host physical page number */

#define INVALID_GPA		(~(gpa_t)0)

#define KVM_MAX_VCPUS		1024
#define KVM_MAX_VCPU_IDS	4096
#define KVM_MAX_MEMSLOTS	32764
#define KVM_MAX_MEMSLOT_PAGES	((1UL << 31) - 1)
#define KVM_MAX_GSI		4096	/* routing entries and GSI numbers */

struct kvm;
struct kvm_vcpu;

/* ---- requests: what a vCPU must do before it enters the guest again ---- */

/* Kick-only bits of kvm_vcpu.requests; an arch adds its own from _ARCH on. */
enum {
	KVM_REQ_TLB_FLUSH,	/* all guest translations of this vCPU */
	KVM_REQ_VM_DEAD,
	KVM_REQ_ARCH,
};

enum kvm_vcpu_mode {
	OUTSIDE_GUEST_MODE,
	IN_GUEST_MODE,
	EXITING_GUEST_MODE,
};

/* ---- statistics: for debugfs and the stats file alike, see stats.c ---- */

/* X(name, kind) in the order they are shown; the names are KVM's. */
#define KVM_VM_STATS(X)							\
	X(remote_tlb_flush, COUNTER)					\
	X(remote_tlb_flush_requests, COUNTER)				\
	X(pages_4k, INSTANT) X(pages_2m, INSTANT) X(pages_1g, INSTANT)

/* Nothing polls, so what counts polls stays 0. */
#define KVM_VCPU_STATS(X)						\
	X(halt_successful_poll, COUNTER) X(halt_attempted_poll, COUNTER)\
	X(halt_poll_invalid, COUNTER) X(halt_wakeup, COUNTER)		\
	X(halt_poll_success_ns, NS) X(halt_poll_fail_ns, NS)		\
	X(halt_wait_ns, NS) X(halt_poll_success_hist, HIST)		\
	X(halt_poll_fail_hist, HIST) X(halt_wait_hist, HIST)		\
	X(blocking, BOOL)						\
	X(exits, COUNTER) X(io_exits, COUNTER) X(mmio_exits, COUNTER)	\
	X(irq_exits, COUNTER) X(irq_window_exits, COUNTER)		\
	X(nmi_window_exits, COUNTER) X(halt_exits, COUNTER)		\
	X(signal_exits, COUNTER) X(request_irq_exits, COUNTER)		\
	X(hypercalls, COUNTER) X(insn_emulation, COUNTER)		\
	X(insn_emulation_fail, COUNTER) X(irq_injections, COUNTER)	\
	X(nmi_injections, COUNTER) X(tlb_flush, COUNTER)		\
	X(invlpg, COUNTER) X(pf_taken, COUNTER) X(pf_fixed, COUNTER)	\
	X(host_state_reload, COUNTER) X(cpuid_exits, COUNTER)		\
	X(msr_exits, COUNTER)

#define KVM_STAT_BUCKETS	32	/* of a histogram: by power of two */
#define KVM_STAT_DIM_COUNTER
#define KVM_STAT_DIM_INSTANT
#define KVM_STAT_DIM_NS
#define KVM_STAT_DIM_BOOL
#define KVM_STAT_DIM_HIST	[KVM_STAT_BUCKETS]

#define X(name, kind) u64 name KVM_STAT_DIM_##kind;
struct kvm_vm_stats {
	KVM_VM_STATS(X)
};

struct kvm_vcpu_stats {
	KVM_VCPU_STATS(X)
};
#undef X

/* ---- memory slots (memslot.c, notifier.c) ---- */

struct kvm_memslot {
	gfn_t base_gfn;
	u64 npages;
	unsigned long userspace_addr;
	u32 flags;			/* KVM_MEM_* */
	u32 id;
	unsigned long *dirty_bitmap;	/* npages bits, or NULL */
	struct interval_tree_node by_gfn[2];	/* its pages, in each table */
	struct interval_tree_node by_hva;	/* its bytes */
};

/*
 * The slot table: no two slots overlap. A VM has two, alike but while they
 * change: the one in kvm->memslots is read under kvm->srcu and stays as it is.
 */
struct kvm_memslots {
	struct rb_root_cached by_gfn;
	unsigned int nr;		/* which of slot->by_gfn */
};

/* ---- in-kernel device buses (iobus.c) ---- */

enum kvm_bus {
	KVM_MMIO_BUS,
	KVM_PIO_BUS,
	KVM_NR_BUSES
};

struct kvm_io_device;

struct kvm_io_device_ops {
	/* Both return 0 if handled, -EOPNOTSUPP to let the next one try. */
	int (*read)(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		    gpa_t addr, int len, void *val);
	int (*write)(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		     gpa_t addr, int len, const void *val);
	/* Frees the device when it leaves the bus; may be NULL. */
	void (*destructor)(struct kvm_io_device *dev);
	bool uncounted;		/* not one of the KVM_MAX_IO_DEVICES */
};

struct kvm_io_device {
	const struct kvm_io_device_ops *ops;
};

struct kvm_io_bus;		/* iobus.c */
struct kvm_irq_routes;		/* irqroute.c */

/* One resolved route of a GSI. */
struct kvm_irq_route {
	u32 gsi;
	u32 type;		/* KVM_IRQ_ROUTING_* */
	union {
		struct { u32 irqchip, pin; } irqchip;
		struct { u64 address; u32 data; } msi;
	};
};

/* Who drives a line: the line's level is the OR over the sources. */
enum kvm_irq_source {
	KVM_IRQ_SOURCE_USER,
	KVM_IRQ_SOURCE_RESAMPLE,
	KVM_IRQ_SOURCE_PIT,
	KVM_NR_IRQ_SOURCES
};

struct kvm_irq_ack_notifier {
	struct hlist_node link;
	u32 gsi;
	void (*irq_acked)(struct kvm_irq_ack_notifier *kian);
};

/* ---- the VM ---- */

struct kvm {
	struct mm_struct *mm;
	refcount_t users;		/* VM fd, vCPU fds, stats fds */
	struct mutex lock;		/* vCPU creation, irqchip creation */
	struct mutex slots_lock;	/* slot and bus changes */
	struct srcu_struct srcu;	/* readers of memslots and buses */
	struct kvm_memslots __rcu *memslots;	/* one of slot_tables */
	struct kvm_memslots slot_tables[2];
	struct xarray slots_by_id;	/* slots_lock */
	struct rb_root_cached slots_by_hva;	/* mmu_lock */
	struct list_head vm_list;
	struct kvm_vm_stats stat;	/* mmu_lock */
	pid_t creator;
	bool dead;			/* our own bug hit this VM: run no more */

	/* Second-level page tables and invalidation, see docs/locking.md. */
	rwlock_t mmu_lock;
	struct mmu_notifier mmu_notifier;
	bool mmu_notifier_registered;
	unsigned long mmu_invalidate_seq;
	long mmu_invalidate_in_progress;
	unsigned long mmu_invalidate_start;	/* hva */
	unsigned long mmu_invalidate_end;

	struct xarray vcpus;		/* by vcpu_idx */
	atomic_t online_vcpus;
	u32 created_vcpus;
	u32 max_vcpu_id;
	u32 boot_vcpu_id;

	struct kvm_io_bus __rcu *buses[KVM_NR_BUSES];
	struct list_head ioeventfds;
	struct list_head coalesced_zones;
	spinlock_t ring_lock;		/* producer side of the coalesced ring */
	struct kvm_coalesced_mmio_ring *coalesced_ring;

	struct mutex irq_lock;		/* writers of irq_routes, ack notifiers */
	struct srcu_struct irq_srcu;	/* readers of irq_routes, ack notifiers */
	struct kvm_irq_routes __rcu *irq_routes;
	struct hlist_head irq_ack_notifiers;
	spinlock_t irqfds_lock;
	struct list_head irqfds;
	struct mutex resampler_lock;
	struct list_head resamplers;

	u32 manual_dirty_log;		/* KVM_DIRTY_LOG_* */
	struct dentry *debugfs;
};

/* ---- the vCPU ---- */

struct kvm_vcpu {
	struct kvm *kvm;
	u32 vcpu_id;			/* the user's number (APIC id on x86) */
	u32 vcpu_idx;			/* dense, 0..online_vcpus-1 */
	int cpu;			/* loaded on, or last loaded on; -1 never */
	int mode;			/* enum kvm_vcpu_mode */
	u64 requests;			/* KVM_REQ_*, atomic bit operations */
	struct mutex mutex;		/* one ioctl at a time */
	struct kvm_run *run;		/* shared with user space */
	void *pio_page;			/* page KVM_PIO_PAGE_OFFSET of it */
	struct preempt_notifier preempt_notifier;
	bool sampled;			/* an interrupt now is the guest's, perf.c */
	bool preempted;
	bool scheduled_out;
	struct pid __rcu *pid;		/* of the thread that last ran it */
	struct rcuwait wait;
	int srcu_idx;			/* of kvm->srcu while in KVM_RUN */
	bool sigset_active;
	sigset_t sigset;
	struct kvm_vcpu_stats stat;
	struct dentry *debugfs;
};

/* main.c */
extern bool kvm_hardware_enable_failed;
int kvm_front_init(struct module *vendor);
void kvm_front_exit(void);
bool kvm_hardware_on(void);	/* irqs off: is virtualisation on here? */
int kvm_hardware_wait(void);	/* it was not: 1 to try again, or -errno */
/*
 * Kick every vCPU out of guest mode and wait until it left (mmu, slots). True
 * if one was in it.
 */
bool kvm_kick_all_vcpus(struct kvm *kvm, unsigned int req);

/* vm.c */
long kvm_vm_create(unsigned long type);
void kvm_get(struct kvm *kvm);
void kvm_put(struct kvm *kvm);
struct kvm_vcpu *kvm_get_vcpu(struct kvm *kvm, u32 idx);
struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, u32 id);
/* Fail this VM only, once, with a warning: for bugs of our own. */
void kvm_vm_bug(struct kvm *kvm, const char *what);

/* An empty range while none is online: one in creation may yet go away. */
#define kvm_for_each_vcpu(idx, vcpu, kvm)				\
	xa_for_each_range(&(kvm)->vcpus, idx, vcpu,			\
		!atomic_read(&(kvm)->online_vcpus),			\
		(atomic_read(&(kvm)->online_vcpus) ?			\
		 atomic_read(&(kvm)->online_vcpus) - 1 : 0))

/* vcpu.c */
int kvm_vcpu_create(struct kvm *kvm, u32 id);
void kvm_vcpus_destroy(struct kvm *kvm);
void kvm_vcpu_load(struct kvm_vcpu *vcpu);
void kvm_vcpu_put(struct kvm_vcpu *vcpu);
void kvm_vcpu_kick(struct kvm_vcpu *vcpu);	/* out of guest mode or of block */
void kvm_vcpu_block(struct kvm_vcpu *vcpu);	/* until runnable or a signal */
void kvm_vcpu_yield_to(struct kvm_vcpu *vcpu);	/* the CPU, to its thread */
void kvm_sigset_activate(struct kvm_vcpu *vcpu);
void kvm_sigset_deactivate(struct kvm_vcpu *vcpu);
struct kvm_vcpu *kvm_get_running_vcpu(void);

static inline void kvm_make_request(unsigned int req, struct kvm_vcpu *vcpu)
{
	/* Pairs with the barrier in kvm_check_request(). */
	smp_wmb();
	set_bit(req, (unsigned long *)&vcpu->requests);
}

static inline bool kvm_request_pending(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests);
}

static inline bool kvm_test_request(unsigned int req, struct kvm_vcpu *vcpu)
{
	return test_bit(req, (unsigned long *)&vcpu->requests);
}

static inline bool kvm_check_request(unsigned int req, struct kvm_vcpu *vcpu)
{
	if (!kvm_test_request(req, vcpu))
		return false;
	clear_bit(req, (unsigned long *)&vcpu->requests);
	/* Pairs with the barrier in kvm_make_request(). */
	smp_mb__after_atomic();
	return true;
}

/*
 * memslot.c: memslot_set and dirty_log_* take slots_lock themselves; callers of
 * the rest hold kvm->srcu (vCPUs do while in KVM_RUN), slots_lock or mmu_lock.
 */
void kvm_memslots_init(struct kvm *kvm);
void kvm_memslots_destroy(struct kvm *kvm);
int kvm_memslot_set(struct kvm *kvm,
		    const struct kvm_userspace_memory_region *region);
struct kvm_memslots *kvm_memslots(struct kvm *kvm);
int kvm_dirty_log_get(struct kvm *kvm, struct kvm_dirty_log *log);
int kvm_dirty_log_clear(struct kvm *kvm, struct kvm_clear_dirty_log *log);
void kvm_mark_page_dirty(struct kvm *kvm, struct kvm_memslot *slot, gfn_t gfn);
/* Copy from or to guest memory; may sleep; 0 or -EFAULT; crosses pages. */
int kvm_read_guest(struct kvm *kvm, gpa_t gpa, void *data, size_t len);
int kvm_write_guest(struct kvm *kvm, gpa_t gpa, const void *data, size_t len);
/*
 * Compare and exchange 1, 2, 4 or 8 naturally aligned bytes of guest memory.
 * 0 if done, -EAGAIN if the old value differs, -EFAULT if there is no memory
 * (or it is read-only).
 */
int kvm_cmpxchg_guest(struct kvm *kvm, gpa_t gpa, u64 old, u64 new, int len);
/* 0 if there is no slot; *writable may be NULL */
unsigned long kvm_gfn_to_hva(struct kvm *kvm, gfn_t gfn, bool *writable);

/* notifier.c: the mmu notifier, hva ranges to gfn ranges */
int kvm_notifier_register(struct kvm *kvm);
void kvm_notifier_unregister(struct kvm *kvm);
/*
 * True if a translation of hva taken when the sequence count was seq may no
 * longer be installed. Caller holds mmu_lock.
 */
bool kvm_mmu_invalidate_retry(struct kvm *kvm, unsigned long seq,
			      unsigned long hva);

/* iobus.c: changes need slots_lock, accesses kvm->srcu */
#define KVM_MAX_IO_DEVICES	1000
#define KVM_IO_WHOLE_BUS	0	/* len: asked first, whatever the address */
int kvm_io_buses_init(struct kvm *kvm);
void kvm_io_buses_destroy(struct kvm *kvm);
int kvm_io_bus_register(struct kvm *kvm, enum kvm_bus bus, gpa_t addr,
			int len, struct kvm_io_device *dev);
int kvm_io_bus_unregister(struct kvm *kvm, enum kvm_bus bus,
			  struct kvm_io_device *dev);
/* 0 if some in-kernel device took it, -EOPNOTSUPP if none did */
int kvm_io_bus_read(struct kvm_vcpu *vcpu, enum kvm_bus bus, gpa_t addr,
		    int len, void *val);
int kvm_io_bus_write(struct kvm_vcpu *vcpu, enum kvm_bus bus, gpa_t addr,
		     int len, const void *val);

/* coalesced.c */
void kvm_coalesced_init(struct kvm *kvm);
void kvm_coalesced_destroy(struct kvm *kvm);
int kvm_coalesced_register(struct kvm *kvm,
			   const struct kvm_coalesced_mmio_zone *zone);
int kvm_coalesced_unregister(struct kvm *kvm,
			     const struct kvm_coalesced_mmio_zone *zone);

/* eventfd.c */
int kvm_eventfd_module_init(void);
void kvm_eventfd_module_exit(void);
void kvm_eventfd_init(struct kvm *kvm);
int kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args);
void kvm_irqfds_release(struct kvm *kvm);
int kvm_ioeventfd(struct kvm *kvm, const struct kvm_ioeventfd *args);
/* Re-read the routes of all irqfds; irq_lock held. */
void kvm_irqfds_routing_update(struct kvm *kvm);

/* irqroute.c */
int kvm_irq_routes_init(struct kvm *kvm);	/* an empty table */
void kvm_irq_routes_destroy(struct kvm *kvm);
int kvm_irq_routes_set(struct kvm *kvm,
		       const struct kvm_irq_routing_entry *entries, u32 nr);
/* Copies at most max routes of gsi; returns their number. irq_srcu held. */
int kvm_irq_routes_get(struct kvm *kvm, u32 gsi, struct kvm_irq_route *routes,
		       int max);
/* -1: no GSI leads there. irq_srcu held. */
int kvm_irq_pin_to_gsi(struct kvm *kvm, u32 irqchip, u32 pin);
/*
 * Drive gsi. Returns <0 if masked or no route, 0 coalesced with one already
 * pending, >0 number of vCPUs reached.
 */
int kvm_set_irq(struct kvm *kvm, enum kvm_irq_source source, u32 gsi,
		int level);
int kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi);
void kvm_irq_ack(struct kvm *kvm, u32 irqchip, u32 pin);
void kvm_irq_ack_register(struct kvm *kvm, struct kvm_irq_ack_notifier *kian);
void kvm_irq_ack_unregister(struct kvm *kvm, struct kvm_irq_ack_notifier *kian);

/* ---- what an architecture implements; see x86/x86.h for the x86 side ---- */

int kvm_arch_hardware_enable(void);	/* on each CPU, irqs off or pinned */
void kvm_arch_hardware_disable(void);
void kvm_arch_resume(void);	/* from sleep, on the boot CPU, irqs off */

long kvm_arch_dev_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);
int kvm_arch_check_extension(struct kvm *kvm, long cap);

struct kvm *kvm_arch_vm_alloc(void);	/* zeroed, accounted */
void kvm_arch_vm_free(struct kvm *kvm);
int kvm_arch_vm_init(struct kvm *kvm, unsigned long type);
void kvm_arch_vm_pre_destroy(struct kvm *kvm);	/* before vCPUs are freed */
void kvm_arch_vm_destroy(struct kvm *kvm);	/* after vCPUs are freed */
long kvm_arch_vm_ioctl(struct kvm *kvm, unsigned int cmd, unsigned long arg);

/* Allocates the arch vCPU and returns its front part, or an ERR_PTR. */
struct kvm_vcpu *kvm_arch_vcpu_alloc(struct kvm *kvm, u32 id);
int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu);	/* front part is set up */
void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu);	/* undoes _create */
void kvm_arch_vcpu_free(struct kvm_vcpu *vcpu);		/* undoes _alloc */
long kvm_arch_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int cmd,
			 unsigned long arg);
int kvm_arch_vcpu_run(struct kvm_vcpu *vcpu);
void kvm_arch_vcpu_load(struct kvm_vcpu *vcpu, int cpu);
void kvm_arch_vcpu_put(struct kvm_vcpu *vcpu);
bool kvm_arch_vcpu_runnable(struct kvm_vcpu *vcpu);
bool kvm_arch_vcpu_in_kernel(struct kvm_vcpu *vcpu);
unsigned long kvm_arch_vcpu_exit_ip(struct kvm_vcpu *vcpu);

/* Second-level page tables. mmu_lock is held for writing. */
bool kvm_arch_mmu_unmap(struct kvm *kvm, gfn_t start, gfn_t end);
bool kvm_arch_mmu_age(struct kvm *kvm, gfn_t start, gfn_t end);
bool kvm_arch_mmu_test_age(struct kvm *kvm, gfn_t start, gfn_t end);
/* Make every mapping of [start, end) read-only and 4 KiB (dirty log). */
bool kvm_arch_mmu_write_protect(struct kvm *kvm, gfn_t start, gfn_t end);
/*
 * Make vCPUs forget the translations removed under mmu_lock. Called before
 * mmu_lock is dropped: whoever takes it next finds nothing stale.
 */
void kvm_arch_mmu_flush(struct kvm *kvm);
/* paranoid: warn if something was removed and not flushed; mmu_lock held. */
void kvm_arch_mmu_check_flushed(struct kvm *kvm, const char *where);
gfn_t kvm_arch_mmu_max_gfn(void);	/* the last one that can be mapped */

bool kvm_arch_irqchip_in_kernel(struct kvm *kvm);
bool kvm_arch_irqfd_allowed(struct kvm *kvm, bool resample);
bool kvm_arch_irq_route_valid(struct kvm *kvm,
			      const struct kvm_irq_routing_entry *e);
/* Return as kvm_set_irq(). May be called from irqs-off context. */
int kvm_arch_irqchip_set(struct kvm *kvm, enum kvm_irq_source source,
			 u32 irqchip, u32 pin, int level);
int kvm_arch_msi_deliver(struct kvm *kvm, u64 address, u32 data);
/* The routes changed (x86: which vectors need an EOI exit). */
void kvm_arch_irq_routes_changed(struct kvm *kvm);

#endif
