// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults: while the host fetches a page from disk, the guest
 * runs another task (Documentation/virt/kvm/x86/msr.rst, MSRs 4b564d02,
 * 4b564d06 and 4b564d07).
 *
 * The guest hears of it twice: by a #PF with a token in CR2, at which it puts
 * the task to sleep, and by an interrupt with the token in its memory when the
 * page is there. A work item fetches the page; all else is the vCPU's thread.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "cpuid_logic.h"
#include "irqchip/lapic.h"
#include "trace.h"
#include "x86.h"

#define APF_ENABLE		BIT_ULL(0)
#define APF_SEND_ALWAYS		BIT_ULL(1)	/* in the guest's kernel, too */
#define APF_AS_PF_VMEXIT	BIT_ULL(2)	/* for its own hypervisor */
#define APF_AS_INT		BIT_ULL(3)	/* a page came: by interrupt */
#define APF_RESERVED		0x30ULL
#define APF_IN_USE		(APF_ENABLE | APF_AS_INT)
#define APF_VECTOR_RESERVED	(~0xffULL)
#define APF_ACK			BIT_ULL(0)

#define MAX_FETCHES		64		/* of a vCPU */
#define ID_SHIFT		12		/* token: id, then the vCPU's */
#define LAST_ID			0xffffeU
#define TOKEN_WAKE_ALL		(~0U)
#define PAGE_NOT_PRESENT	1U

/* What host and guest share, at the address in MSR 4b564d02. */
struct apf_words {
	u32 flags;	/* at a #PF: why; the guest clears it */
	u32 token;	/* at the interrupt: which; the guest clears it */
};

/*
 * A page on its way. Nobody waits for it: user space, which may be what brings
 * it, could be waiting for us. A vCPU that goes leaves it to itself.
 */
struct fetch {
	struct work_struct work;
	struct list_head link;		/* in apf.fetches: the vCPU's thread */
	struct mm_struct *mm;		/* a reference to the struct is held */
	gfn_t gfn;
	unsigned long hva;
	bool write;
	u32 token;			/* 0: the guest has forgotten */
	/* fetch_lock */
	struct x86_vcpu *v;		/* NULL: gone */
	bool done, failed;
};

static DEFINE_SPINLOCK(fetch_lock);
static struct workqueue_struct *fetch_wq;

static bool in_use(const struct x86_vcpu *v)
{
	return (v->apf.msr & APF_IN_USE) == APF_IN_USE;
}

static gpa_t words_gpa(const struct x86_vcpu *v)
{
	return v->apf.msr & ~0x3fULL;
}

/* ---- fetching ---- */

static bool bring_in(const struct fetch *f)
{
	bool unlocked = false;
	int ret;

	if (!mmget_not_zero(f->mm))
		return false;
	mmap_read_lock(f->mm);
	ret = fixup_user_fault(f->mm, f->hva, f->write ? FAULT_FLAG_WRITE : 0,
			       &unlocked);
	mmap_read_unlock(f->mm);
	mmput(f->mm);
	return !ret;
}

static void fetch_free(struct fetch *f)
{
	mmdrop(f->mm);
	kfree(f);
	/* Then the modules may go, but for fetch_work() itself: they wait. */
	module_put(x86_ops->owner);
}

static void fetch_work(struct work_struct *work)
{
	struct fetch *f = container_of(work, struct fetch, work);
	bool good = bring_in(f), wanted;

	trace_kvm_async_pf_completed(f->hva, f->gfn << PAGE_SHIFT);
	spin_lock(&fetch_lock);
	wanted = f->v;
	if (wanted) {
		f->failed = !good;
		f->done = true;
		kvm_make_request(X86_REQ_APF_READY, &f->v->vcpu);
		kvm_vcpu_kick(&f->v->vcpu);
	}
	spin_unlock(&fetch_lock);
	/* Else the vCPU frees it, and may have done so by now. */
	if (!wanted)
		fetch_free(f);
}

static struct fetch *fetch_alloc(struct x86_vcpu *v, gfn_t gfn,
				 unsigned long hva, bool write)
{
	struct fetch *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);

	if (!f)
		return NULL;
	__module_get(x86_ops->owner);
	INIT_WORK(&f->work, fetch_work);
	f->mm = v->vcpu.kvm->mm;
	mmgrab(f->mm);
	f->gfn = gfn;
	f->hva = hva;
	f->write = write;
	f->v = v;
	return f;
}

static void fetch_unlink(struct x86_vcpu *v, struct fetch *f)
{
	list_del(&f->link);
	v->apf.nr_fetches--;
}

/* Those that cannot be called off stay on the list, and count, but silent. */
static void forget(struct x86_vcpu *v)
{
	struct fetch *f, *next;

	list_for_each_entry_safe(f, next, &v->apf.fetches, link) {
		f->token = 0;
		if (cancel_work(&f->work)) {
			fetch_unlink(v, f);
			fetch_free(f);
		}
	}
	v->apf.wake_all = false;
	v->apf.unacked = false;
}

/* True: the work is over, or never began. */
static bool leave_alone(struct fetch *f)
{
	bool over = cancel_work(&f->work);

	spin_lock(&fetch_lock);
	f->v = NULL;
	over |= f->done;
	spin_unlock(&fetch_lock);
	return over;
}

void x86_async_pf_destroy(struct x86_vcpu *v)
{
	struct fetch *f, *next;

	list_for_each_entry_safe(f, next, &v->apf.fetches, link) {
		fetch_unlink(v, f);
		if (leave_alone(f))
			fetch_free(f);
	}
}

int x86_async_pf_module_init(void)
{
	fetch_wq = alloc_workqueue("kvm-async-pf", WQ_UNBOUND, 0);
	return fetch_wq ? 0 : -ENOMEM;
}

void x86_async_pf_module_exit(void)
{
	destroy_workqueue(fetch_wq);
}

/* ---- a page is not there ---- */

/*
 * May the guest take a #PF here that its instruction did not raise? Without
 * paging it has no handler, and a debugger's step is not to end in one.
 */
static bool may_interrupt(struct x86_vcpu *v)
{
	if (v->exception.pending || v->exception.injected ||
	    v->interrupt.injected || v->nmi_injected ||
	    !(v->cr0 & X86_CR0_PG) || v->guest_debug & KVM_GUESTDBG_BLOCKIRQ ||
	    !x86_op(interrupt_allowed)(v))
		return false;
	return v->apf.msr & APF_SEND_ALWAYS || x86_op(get_cpl)(v);
}

bool x86_async_pf_possible(struct x86_vcpu *v)
{
	return in_use(v) && v->lapic && v->apf.nr_fetches < MAX_FETCHES &&
	       may_interrupt(v);
}

/* A second fault on a page under way waits, as does one that failed. */
static bool wait_for(struct x86_vcpu *v, gfn_t gfn)
{
	const struct fetch *f;

	if (v->apf.failed_gfn == gfn) {
		v->apf.failed_gfn = INVALID_GPA;
		return true;
	}
	list_for_each_entry(f, &v->apf.fetches, link)
		if (f->gfn == gfn)
			return true;
	return false;
}

/* False if the guest has not seen the last #PF yet, or took the memory away. */
static bool tell_not_present(struct x86_vcpu *v)
{
	gpa_t gpa = words_gpa(v) + offsetof(struct apf_words, flags);
	struct kvm *kvm = v->vcpu.kvm;
	u32 flags;

	if (kvm_read_guest(kvm, gpa, &flags, sizeof(flags)) || flags)
		return false;
	flags = PAGE_NOT_PRESENT;
	return !kvm_write_guest(kvm, gpa, &flags, sizeof(flags));
}

static u32 new_token(struct x86_vcpu *v)
{
	v->apf.id = v->apf.id < LAST_ID ? v->apf.id + 1 : 1;
	return v->apf.id << ID_SHIFT | v->vcpu.vcpu_id;
}

bool x86_async_pf_start(struct x86_vcpu *v, gfn_t gfn, unsigned long hva,
			bool write)
{
	struct fetch *f;

	trace_kvm_try_async_get_page(gfn << PAGE_SHIFT, gfn);
	if (wait_for(v, gfn))
		return false;
	f = fetch_alloc(v, gfn, hva, write);
	if (!f)
		return false;
	if (!tell_not_present(v)) {
		fetch_free(f);
		return false;
	}
	f->token = new_token(v);
	list_add_tail(&f->link, &v->apf.fetches);
	v->apf.nr_fetches++;
	trace_kvm_async_pf_not_present(f->token, gfn << PAGE_SHIFT);
	x86_queue_page_fault(v, f->token, 0);
	queue_work(fetch_wq, &f->work);
	return true;
}

/* ---- a page came ---- */

static struct fetch *first_done(struct x86_vcpu *v)
{
	struct fetch *f, *found = NULL;

	spin_lock(&fetch_lock);
	list_for_each_entry(f, &v->apf.fetches, link)
		if (f->done) {
			found = f;
			break;
		}
	spin_unlock(&fetch_lock);
	return found;
}

/* The guest takes one token at a time; what it does not take, it lost. */
static bool token_free(struct x86_vcpu *v)
{
	gpa_t gpa = words_gpa(v) + offsetof(struct apf_words, token);
	u32 token;

	return !kvm_read_guest(v->vcpu.kvm, gpa, &token, sizeof(token)) &&
	       !token;
}

static void tell_ready(struct x86_vcpu *v, u32 token)
{
	gpa_t gpa = words_gpa(v) + offsetof(struct apf_words, token);
	const struct apic_irq irq = {
		.vector = (u8)v->apf.vector_msr,
		.mode = LAPIC_MODE_FIXED,
	};

	if (kvm_write_guest(v->vcpu.kvm, gpa, &token, sizeof(token)))
		return;
	v->apf.unacked = true;
	lapic_accept(v, &irq);
}

/* The next token that the guest is to hear; 0: none. */
static u32 next_token(struct x86_vcpu *v)
{
	struct fetch *f;
	u32 token = 0;

	if (v->apf.wake_all) {
		v->apf.wake_all = false;
		trace_kvm_async_pf_ready(TOKEN_WAKE_ALL, 0);
		return TOKEN_WAKE_ALL;
	}
	while (!token && (f = first_done(v))) {
		token = f->token;
		trace_kvm_async_pf_ready(token, f->gfn << PAGE_SHIFT);
		if (f->failed)
			v->apf.failed_gfn = f->gfn;
		fetch_unlink(v, f);
		fetch_free(f);
	}
	return token;
}

void x86_async_pf_deliver(struct x86_vcpu *v)
{
	u32 token;

	if (!in_use(v) || !v->lapic || !lapic_sw_enabled(&v->lapic->logic) ||
	    v->apf.unacked || !token_free(v))
		return;
	token = next_token(v);
	if (token)
		tell_ready(v, token);
}

/* ---- MSRs ---- */

static int set_enable(struct x86_vcpu *v, u64 data)
{
	bool writable;

	if (data & APF_RESERVED ||
	    (data & APF_AS_PF_VMEXIT && !x86_pv_has(v, CPUID_PV_ASYNC_PF_VMEXIT)) ||
	    (data & APF_AS_INT && !x86_pv_has(v, CPUID_PV_ASYNC_PF_INT)))
		return 1;
	if (!v->lapic)
		return data ? 1 : 0;
	forget(v);
	v->apf.msr = data;
	if (!in_use(v))
		return 0;
	if (!kvm_gfn_to_hva(v->vcpu.kvm, words_gpa(v) >> PAGE_SHIFT, &writable))
		return 1;
	/* Tasks that sleep for a host that this guest has left. */
	v->apf.wake_all = true;
	kvm_make_request(X86_REQ_APF_READY, &v->vcpu);
	return 0;
}

static int set_vector(struct x86_vcpu *v, u64 data)
{
	if (data & APF_VECTOR_RESERVED || (data && !v->lapic))
		return 1;
	v->apf.vector_msr = data;
	return 0;
}

static int acknowledge(struct x86_vcpu *v, u64 data)
{
	if (data & APF_ACK) {
		v->apf.unacked = false;
		kvm_make_request(X86_REQ_APF_READY, &v->vcpu);
	}
	return 0;
}

int x86_async_pf_msr_set(struct x86_vcpu *v, u32 index, u64 data)
{
	switch (index) {
	case MSR_ASYNC_PF:
		return set_enable(v, data);
	case MSR_ASYNC_PF_INT:
		return set_vector(v, data);
	default:
		return acknowledge(v, data);
	}
}

u64 x86_async_pf_msr_get(const struct x86_vcpu *v, u32 index)
{
	switch (index) {
	case MSR_ASYNC_PF:
		return v->apf.msr;
	case MSR_ASYNC_PF_INT:
		return v->apf.vector_msr;
	default:
		return 0;
	}
}

/* ---- life of a vCPU ---- */

void x86_async_pf_init(struct x86_vcpu *v)
{
	INIT_LIST_HEAD(&v->apf.fetches);
}

void x86_async_pf_reset(struct x86_vcpu *v)
{
	forget(v);
	v->apf.msr = 0;
	v->apf.vector_msr = 0;
	v->apf.failed_gfn = INVALID_GPA;
}
