// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds as interrupts (irqfd, with resampling for level lines) and guest
 * writes as eventfd signals (ioeventfd).
 */

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "kvm_internal.h"

/* ---- irqfd ---- */

/* All level irqfds of one GSI: one line, lowered and asked again on EOI. */
struct resampler {
	struct kvm *kvm;
	struct list_head irqfds;	/* RCU, irq_srcu; resampler_lock */
	struct kvm_irq_ack_notifier notifier;
	struct list_head link;		/* kvm->resamplers */
};

struct irqfd {
	struct kvm *kvm;
	u32 gsi;
	wait_queue_entry_t wait;
	poll_table poll;
	/* The route, for the wake-up: it may be a message or not. */
	seqcount_spinlock_t route_seq;
	struct kvm_irq_route route;	/* irqfds_lock */
	struct eventfd_ctx *eventfd;
	struct work_struct inject;
	struct work_struct shutdown;
	struct list_head link;		/* kvm->irqfds; empty: shutting down */
	struct resampler *resampler;	/* NULL: an edge */
	struct eventfd_ctx *resamplefd;
	struct list_head resampler_link;
};

static struct workqueue_struct *cleanup_wq;

static void inject_fn(struct work_struct *work)
{
	struct irqfd *f = container_of(work, struct irqfd, inject);

	if (f->resampler) {
		kvm_set_irq(f->kvm, KVM_IRQ_SOURCE_RESAMPLE, f->gsi, 1);
		return;
	}
	kvm_set_irq(f->kvm, KVM_IRQ_SOURCE_USER, f->gsi, 1);
	kvm_set_irq(f->kvm, KVM_IRQ_SOURCE_USER, f->gsi, 0);
}

/* ---- resampling ---- */

static void resampler_acked(struct kvm_irq_ack_notifier *kian)
{
	struct resampler *r = container_of(kian, struct resampler, notifier);
	struct irqfd *f;
	int idx;

	kvm_set_irq(r->kvm, KVM_IRQ_SOURCE_RESAMPLE, r->notifier.gsi, 0);
	idx = srcu_read_lock(&r->kvm->irq_srcu);
	list_for_each_entry_srcu(f, &r->irqfds, resampler_link,
				 srcu_read_lock_held(&r->kvm->irq_srcu))
		kvm_eventfd_signal(f->resamplefd);
	srcu_read_unlock(&r->kvm->irq_srcu, idx);
}

static struct resampler *resampler_get(struct kvm *kvm, u32 gsi)
{
	struct resampler *r;

	lockdep_assert_held(&kvm->resampler_lock);
	list_for_each_entry(r, &kvm->resamplers, link)
		if (r->notifier.gsi == gsi)
			return r;
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return NULL;
	r->kvm = kvm;
	INIT_LIST_HEAD(&r->irqfds);
	r->notifier.gsi = gsi;
	r->notifier.irq_acked = resampler_acked;
	list_add(&r->link, &kvm->resamplers);
	kvm_irq_ack_register(kvm, &r->notifier);
	return r;
}

static int resampler_join(struct irqfd *f)
{
	struct kvm *kvm = f->kvm;
	struct resampler *r;

	mutex_lock(&kvm->resampler_lock);
	r = resampler_get(kvm, f->gsi);
	if (r) {
		list_add_rcu(&f->resampler_link, &r->irqfds);
		f->resampler = r;
	}
	mutex_unlock(&kvm->resampler_lock);
	return r ? 0 : -ENOMEM;
}

/* The last one out takes the line down and the resampler away. */
static void resampler_leave(struct irqfd *f)
{
	struct resampler *r = f->resampler;
	struct kvm *kvm = f->kvm;

	mutex_lock(&kvm->resampler_lock);
	list_del_rcu(&f->resampler_link);
	if (list_empty(&r->irqfds)) {
		list_del(&r->link);
		kvm_irq_ack_unregister(kvm, &r->notifier);
		kvm_set_irq(kvm, KVM_IRQ_SOURCE_RESAMPLE, f->gsi, 0);
		kfree(r);
	} else {
		synchronize_srcu_expedited(&kvm->irq_srcu);
	}
	mutex_unlock(&kvm->resampler_lock);
}

/* ---- shutdown ---- */

static void irqfd_free(struct irqfd *f)
{
	if (f->resampler)
		resampler_leave(f);
	if (f->resamplefd)
		eventfd_ctx_put(f->resamplefd);
	if (f->eventfd)
		eventfd_ctx_put(f->eventfd);
	kfree(f);
}

static void shutdown_fn(struct work_struct *work)
{
	struct irqfd *f = container_of(work, struct irqfd, shutdown);
	u64 count;

	/* No wake-up comes after this, so no new injection either. */
	eventfd_ctx_remove_wait_queue(f->eventfd, &f->wait, &count);
	flush_work(&f->inject);
	irqfd_free(f);
}

/* Once, whoever comes first: deassign, the eventfd's end, or the VM's. */
static void irqfd_deactivate(struct irqfd *f)
{
	lockdep_assert_held(&f->kvm->irqfds_lock);
	if (list_empty(&f->link))
		return;
	list_del_init(&f->link);
	queue_work(cleanup_wq, &f->shutdown);
}

/* ---- wake-ups: the eventfd's lock is held, interrupts are off ---- */

static struct kvm_irq_route route_snapshot(struct irqfd *f)
{
	struct kvm_irq_route route;
	unsigned int seq;

	do {
		seq = read_seqcount_begin(&f->route_seq);
		route = f->route;
	} while (read_seqcount_retry(&f->route_seq, seq));
	return route;
}

static void irqfd_signalled(struct irqfd *f)
{
	struct kvm_irq_route route = route_snapshot(f);
	u64 count;

	eventfd_ctx_do_read(f->eventfd, &count);
	if (!f->resampler && route.type == KVM_IRQ_ROUTING_MSI)
		kvm_arch_msi_deliver(f->kvm, route.msi.address,
				     route.msi.data);
	else
		schedule_work(&f->inject);
}

static int irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync,
			void *key)
{
	struct irqfd *f = container_of(wait, struct irqfd, wait);
	__poll_t flags = key_to_poll(key);
	unsigned long irqflags;

	if (flags & EPOLLIN)
		irqfd_signalled(f);
	if (flags & EPOLLHUP) {
		spin_lock_irqsave(&f->kvm->irqfds_lock, irqflags);
		irqfd_deactivate(f);
		spin_unlock_irqrestore(&f->kvm->irqfds_lock, irqflags);
	}
	return !!(flags & EPOLLIN);
}

static void irqfd_queue(struct file *file, wait_queue_head_t *wqh,
			poll_table *poll)
{
	struct irqfd *f = container_of(poll, struct irqfd, poll);

	/* Before ordinary readers: an interrupt is not theirs to take. */
	add_wait_queue_priority(wqh, &f->wait);
}

/* ---- routes ---- */

static void irqfd_update_route(struct irqfd *f)
{
	struct kvm_irq_route route = {};
	int idx, n;

	lockdep_assert_held(&f->kvm->irqfds_lock);
	idx = srcu_read_lock(&f->kvm->irq_srcu);
	n = kvm_irq_routes_get(f->kvm, f->gsi, &route, 1);
	srcu_read_unlock(&f->kvm->irq_srcu, idx);
	write_seqcount_begin(&f->route_seq);
	f->route = route;
	if (!n)
		f->route.type = 0;	/* none: the slow way finds that out */
	write_seqcount_end(&f->route_seq);
}

void kvm_irqfds_routing_update(struct kvm *kvm)
{
	struct irqfd *f;

	lockdep_assert_held(&kvm->irq_lock);
	spin_lock_irq(&kvm->irqfds_lock);
	list_for_each_entry(f, &kvm->irqfds, link)
		irqfd_update_route(f);
	spin_unlock_irq(&kvm->irqfds_lock);
}

/* ---- assign ---- */

static struct irqfd *irqfd_alloc(struct kvm *kvm, u32 gsi)
{
	struct irqfd *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return NULL;
	f->kvm = kvm;
	f->gsi = gsi;
	INIT_LIST_HEAD(&f->link);
	INIT_WORK(&f->inject, inject_fn);
	INIT_WORK(&f->shutdown, shutdown_fn);
	seqcount_spinlock_init(&f->route_seq, &kvm->irqfds_lock);
	init_waitqueue_func_entry(&f->wait, irqfd_wakeup);
	init_poll_funcptr(&f->poll, irqfd_queue);
	return f;
}

static int irqfd_set_resample(struct irqfd *f, int fd)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(fd);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	f->resamplefd = ctx;
	return resampler_join(f);
}

/* One eventfd may be one interrupt only. */
static int irqfd_insert(struct irqfd *f)
{
	struct kvm *kvm = f->kvm;
	struct irqfd *other;
	int ret = 0;

	spin_lock_irq(&kvm->irqfds_lock);
	list_for_each_entry(other, &kvm->irqfds, link)
		if (other->eventfd == f->eventfd)
			ret = -EBUSY;
	if (!ret) {
		irqfd_update_route(f);
		list_add_tail(&f->link, &kvm->irqfds);
	}
	spin_unlock_irq(&kvm->irqfds_lock);
	return ret;
}

/*
 * irq_lock is held until the wait entry is queued: a deassign in between
 * would remove it before it is there.
 */
static int irqfd_publish(struct irqfd *f, struct file *file)
{
	int ret;

	mutex_lock(&f->kvm->irq_lock);
	ret = irqfd_insert(f);
	if (!ret && vfs_poll(file, &f->poll) & EPOLLIN)
		schedule_work(&f->inject);	/* signalled before we came */
	mutex_unlock(&f->kvm->irq_lock);
	return ret;
}

static int irqfd_assign(struct kvm *kvm, const struct kvm_irqfd *args)
{
	bool resample = args->flags & KVM_IRQFD_FLAG_RESAMPLE;
	struct eventfd_ctx *ctx;
	struct file *file;
	struct irqfd *f;
	int ret = 0;

	if (!kvm_arch_irqfd_allowed(kvm, resample))
		return -EINVAL;
	f = irqfd_alloc(kvm, args->gsi);
	if (!f)
		return -ENOMEM;
	file = fget(args->fd);
	if (!file) {
		kfree(f);
		return -EBADF;
	}
	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx)) {
		ret = PTR_ERR(ctx);
		goto out;
	}
	f->eventfd = ctx;
	if (resample)
		ret = irqfd_set_resample(f, args->resamplefd);
	if (!ret)
		ret = irqfd_publish(f, file);
out:
	if (ret)
		irqfd_free(f);
	/* Until here the file lives, so its end cannot race with us. */
	fput(file);
	return ret;
}

/* Silent if nothing matches (ABI). Done when it returns. */
static int irqfd_deassign(struct kvm *kvm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct irqfd *f, *next;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	mutex_lock(&kvm->irq_lock);
	spin_lock_irq(&kvm->irqfds_lock);
	list_for_each_entry_safe(f, next, &kvm->irqfds, link)
		if (f->eventfd == ctx && f->gsi == args->gsi)
			irqfd_deactivate(f);
	spin_unlock_irq(&kvm->irqfds_lock);
	mutex_unlock(&kvm->irq_lock);
	eventfd_ctx_put(ctx);
	flush_workqueue(cleanup_wq);
	return 0;
}

int kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->gsi >= KVM_MAX_GSI)
		return -EINVAL;
	return args->flags & KVM_IRQFD_FLAG_DEASSIGN ?
	       irqfd_deassign(kvm, args) : irqfd_assign(kvm, args);
}

/* The VM's file is closed: no new ones can come. */
void kvm_irqfds_release(struct kvm *kvm)
{
	struct irqfd *f, *next;

	spin_lock_irq(&kvm->irqfds_lock);
	list_for_each_entry_safe(f, next, &kvm->irqfds, link)
		irqfd_deactivate(f);
	spin_unlock_irq(&kvm->irqfds_lock);
	flush_workqueue(cleanup_wq);
}

/* ---- ioeventfd ---- */

struct ioeventfd {
	struct kvm_io_device dev;
	struct list_head link;		/* kvm->ioeventfds; slots_lock */
	struct eventfd_ctx *eventfd;
	enum kvm_bus bus;
	gpa_t addr;
	u32 len;			/* bytes; 0: any width */
	bool wildcard;			/* any value */
	u64 datamatch;
};

static u64 value_of(const void *val, int len)
{
	u64 value = 0;

	memcpy(&value, val, len);	/* little-endian, as the ABI's hosts */
	return value;
}

static bool ioeventfd_matches(const struct ioeventfd *e, gpa_t addr, int len,
			      const void *val)
{
	if (addr != e->addr)
		return false;
	if (!e->len)
		return true;
	if (len != e->len)
		return false;
	return e->wildcard || value_of(val, len) == e->datamatch;
}

static int ioeventfd_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			   gpa_t addr, int len, const void *val)
{
	struct ioeventfd *e = container_of(dev, struct ioeventfd, dev);

	if (!ioeventfd_matches(e, addr, len, val))
		return -EOPNOTSUPP;
	kvm_eventfd_signal(e->eventfd);
	return 0;
}

static void ioeventfd_destructor(struct kvm_io_device *dev)
{
	struct ioeventfd *e = container_of(dev, struct ioeventfd, dev);

	list_del(&e->link);
	eventfd_ctx_put(e->eventfd);
	kfree(e);
}

static const struct kvm_io_device_ops ioeventfd_ops = {
	.write = ioeventfd_write,
	.destructor = ioeventfd_destructor,
	.uncounted = true,
};

static int ioeventfd_check(const struct kvm_ioeventfd *args)
{
	const u32 valid = KVM_IOEVENTFD_FLAG_DATAMATCH |
			  KVM_IOEVENTFD_FLAG_PIO |
			  KVM_IOEVENTFD_FLAG_DEASSIGN;

	if (args->flags & ~valid)
		return -EINVAL;
	switch (args->len) {
	case 0:
		return args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH ? -EINVAL : 0;
	case 1:
	case 2:
	case 4:
	case 8:
		return args->addr + args->len < args->addr ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static struct ioeventfd *ioeventfd_new(const struct kvm_ioeventfd *args)
{
	struct ioeventfd *e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);

	if (!e)
		return NULL;
	e->dev.ops = &ioeventfd_ops;
	e->bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? KVM_PIO_BUS :
							KVM_MMIO_BUS;
	e->addr = args->addr;
	e->len = args->len;
	e->wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	e->datamatch = args->datamatch;
	return e;
}

/* Would one write signal both? */
static bool ioeventfd_collides(const struct ioeventfd *a,
			       const struct ioeventfd *b)
{
	if (a->bus != b->bus || a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->wildcard || b->wildcard ||
				    a->datamatch == b->datamatch);
}

static int ioeventfd_add(struct kvm *kvm, struct ioeventfd *e)
{
	struct ioeventfd *other;
	int ret;

	lockdep_assert_held(&kvm->slots_lock);
	list_for_each_entry(other, &kvm->ioeventfds, link)
		if (ioeventfd_collides(other, e))
			return -EEXIST;
	/* Matched by its first address only, so one byte is its range. */
	ret = kvm_io_bus_register(kvm, e->bus, e->addr, 1, &e->dev);
	if (!ret)
		list_add_tail(&e->link, &kvm->ioeventfds);
	return ret;
}

static int ioeventfd_assign(struct kvm *kvm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct ioeventfd *e;
	int ret = -ENOMEM;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	e = ioeventfd_new(args);
	if (!e)
		goto out;
	e->eventfd = ctx;
	mutex_lock(&kvm->slots_lock);
	ret = ioeventfd_add(kvm, e);
	mutex_unlock(&kvm->slots_lock);
	if (!ret)
		return 0;
	kfree(e);
out:
	eventfd_ctx_put(ctx);
	return ret;
}

static bool ioeventfd_same(const struct ioeventfd *a, const struct ioeventfd *b)
{
	return a->bus == b->bus && a->addr == b->addr && a->len == b->len &&
	       a->eventfd == b->eventfd && a->wildcard == b->wildcard &&
	       (a->wildcard || a->datamatch == b->datamatch);
}

static int ioeventfd_deassign(struct kvm *kvm,
			      const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct ioeventfd *e, *wanted;
	int ret = -ENOENT;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	wanted = ioeventfd_new(args);
	if (!wanted) {
		eventfd_ctx_put(ctx);
		return -ENOMEM;
	}
	wanted->eventfd = ctx;
	mutex_lock(&kvm->slots_lock);
	list_for_each_entry(e, &kvm->ioeventfds, link) {
		if (!ioeventfd_same(e, wanted))
			continue;
		ret = kvm_io_bus_unregister(kvm, e->bus, &e->dev);
		break;		/* e is gone */
	}
	mutex_unlock(&kvm->slots_lock);
	kfree(wanted);
	eventfd_ctx_put(ctx);
	return ret;
}

int kvm_ioeventfd(struct kvm *kvm, const struct kvm_ioeventfd *args)
{
	int ret = ioeventfd_check(args);

	if (ret)
		return ret;
	return args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN ?
	       ioeventfd_deassign(kvm, args) : ioeventfd_assign(kvm, args);
}

/* ---- lifetime ---- */

void kvm_eventfd_init(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->ioeventfds);
}

int kvm_eventfd_module_init(void)
{
	cleanup_wq = alloc_workqueue("kvm-irqfd-cleanup", WQ_PERCPU, 0);
	return cleanup_wq ? 0 : -ENOMEM;
}

void kvm_eventfd_module_exit(void)
{
	destroy_workqueue(cleanup_wq);
}
