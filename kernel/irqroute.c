// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a GSI to the pins and messages it drives, and back.
 *
 * The table is replaced whole by its writers (irq_lock) and read under
 * irq_srcu. User space with a split irqchip replaces it hundreds of times
 * while a guest boots, so old tables are freed by a callback; only one who
 * does nothing else is made to wait.
 */

#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "kvm_internal.h"
#include "trace.h"

#define MAX_ROUTES_PER_GSI	KVM_NR_IRQCHIPS
#define NR_PINS			KVM_IOAPIC_NUM_PINS	/* the widest chip */

/* Tables replaced between two waits for the readers. */
#define UPDATES_PER_WAIT	64

struct kvm_irq_routes {
	struct rcu_head rcu;
	u32 generation;
	u32 nr_gsis;
	s16 pin_gsi[KVM_NR_IRQCHIPS][NR_PINS];	/* -1: none */
	u32 *first;			/* by gsi, nr_gsis + 1: into route */
	struct kvm_irq_route route[];	/* sorted by gsi, stably */
};
static_assert(KVM_MAX_GSI <= S16_MAX);

/* ---- the table ---- */

static struct kvm_irq_routes *routes_alloc(u32 nr, u32 nr_gsis)
{
	struct kvm_irq_routes *t;
	size_t size = struct_size(t, route, nr);

	t = kvzalloc(size + ((size_t)nr_gsis + 1) * sizeof(*t->first),
		     GFP_KERNEL_ACCOUNT);
	if (!t)
		return NULL;
	t->first = (u32 *)((u8 *)t + size);
	t->nr_gsis = nr_gsis;
	memset(t->pin_gsi, 0xff, sizeof(t->pin_gsi));
	return t;
}

static void routes_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct kvm_irq_routes, rcu));
}

static int entry_check(struct kvm *kvm, const struct kvm_irq_routing_entry *e)
{
	/* A device id means nothing here, and does no harm. */
	u32 known = e->type == KVM_IRQ_ROUTING_MSI ? KVM_MSI_VALID_DEVID : 0;

	if (e->gsi >= KVM_MAX_GSI || e->flags & ~known)
		return -EINVAL;
	return kvm_arch_irq_route_valid(kvm, e) ? 0 : -EINVAL;
}

static void route_fill(struct kvm_irq_route *r,
		       const struct kvm_irq_routing_entry *e)
{
	r->gsi = e->gsi;
	r->type = e->type;
	if (e->type == KVM_IRQ_ROUTING_MSI) {
		r->msi.address = (u64)e->u.msi.address_hi << 32 |
				 e->u.msi.address_lo;
		r->msi.data = e->u.msi.data;
	} else {
		r->irqchip.irqchip = e->u.irqchip.irqchip;
		r->irqchip.pin = e->u.irqchip.pin;
	}
}

/*
 * A GSI drives either one message, or at most one pin of each chip: the rule
 * that bounds the work of kvm_set_irq().
 */
static bool routes_compatible(const struct kvm_irq_route *a,
			      const struct kvm_irq_route *b)
{
	return a->type == KVM_IRQ_ROUTING_IRQCHIP &&
	       b->type == KVM_IRQ_ROUTING_IRQCHIP &&
	       a->irqchip.irqchip != b->irqchip.irqchip;
}

/* Enter one route at *end, behind those of its GSI. */
static int route_enter(struct kvm_irq_routes *t, u32 *end,
		       const struct kvm_irq_routing_entry *e)
{
	struct kvm_irq_route *r = &t->route[*end];
	u32 i;

	route_fill(r, e);
	for (i = t->first[e->gsi]; i < *end; i++)
		if (!routes_compatible(&t->route[i], r))
			return -EINVAL;
	++*end;
	if (e->type == KVM_IRQ_ROUTING_IRQCHIP)
		t->pin_gsi[e->u.irqchip.irqchip][e->u.irqchip.pin] = e->gsi;
	return 0;
}

/* A counting sort. @next: scratch, nr_gsis entries. */
static int routes_fill(struct kvm_irq_routes *t, u32 *next,
		       const struct kvm_irq_routing_entry *entries, u32 nr)
{
	u32 i;
	int ret;

	for (i = 0; i < nr; i++)
		t->first[entries[i].gsi + 1]++;
	for (i = 0; i < t->nr_gsis; i++) {
		t->first[i + 1] += t->first[i];
		next[i] = t->first[i];
	}
	for (i = 0; i < nr; i++) {
		ret = route_enter(t, &next[entries[i].gsi], &entries[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static struct kvm_irq_routes *
routes_build(struct kvm *kvm, const struct kvm_irq_routing_entry *entries,
	     u32 nr)
{
	struct kvm_irq_routes *t;
	u32 i, nr_gsis = 0, *next;
	int ret;

	for (i = 0; i < nr; i++) {
		ret = entry_check(kvm, &entries[i]);
		if (ret)
			return ERR_PTR(ret);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}
	t = routes_alloc(nr, nr_gsis);
	next = kvcalloc(nr_gsis + 1, sizeof(*next), GFP_KERNEL);
	ret = t && next ? routes_fill(t, next, entries, nr) : -ENOMEM;
	kvfree(next);
	if (!ret)
		return t;
	kvfree(t);
	return ERR_PTR(ret);
}

int kvm_irq_routes_set(struct kvm *kvm,
		       const struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct kvm_irq_routes *new, *old;
	bool wait;

	if (nr > KVM_MAX_GSI)
		return -EINVAL;
	new = routes_build(kvm, entries, nr);
	if (IS_ERR(new))
		return PTR_ERR(new);

	mutex_lock(&kvm->irq_lock);
	old = rcu_dereference_protected(kvm->irq_routes,
					lockdep_is_held(&kvm->irq_lock));
	new->generation = old->generation + 1;
	rcu_assign_pointer(kvm->irq_routes, new);
	kvm_irqfds_routing_update(kvm);
	kvm_arch_irq_routes_changed(kvm);
	wait = new->generation % UPDATES_PER_WAIT == 0;
	mutex_unlock(&kvm->irq_lock);

	call_srcu(&kvm->irq_srcu, &old->rcu, routes_free_rcu);
	if (wait)
		synchronize_srcu_expedited(&kvm->irq_srcu);
	return 0;
}

static const struct kvm_irq_routes *routes_read(struct kvm *kvm)
{
	return srcu_dereference_check(kvm->irq_routes, &kvm->irq_srcu,
				      lockdep_is_held(&kvm->irq_lock));
}

int kvm_irq_routes_get(struct kvm *kvm, u32 gsi, struct kvm_irq_route *routes,
		       int max)
{
	const struct kvm_irq_routes *t = routes_read(kvm);
	int n;

	if (gsi >= t->nr_gsis)
		return 0;
	gsi = array_index_nospec(gsi, t->nr_gsis);
	n = t->first[gsi + 1] - t->first[gsi];
	memcpy(routes, &t->route[t->first[gsi]],
	       min(n, max) * sizeof(*routes));
	return min(n, max);
}

int kvm_irq_pin_to_gsi(struct kvm *kvm, u32 irqchip, u32 pin)
{
	const struct kvm_irq_routes *t = routes_read(kvm);

	if (irqchip >= KVM_NR_IRQCHIPS || pin >= NR_PINS)
		return -1;
	return t->pin_gsi[irqchip][pin];
}

/* ---- driving ---- */

static int route_drive(struct kvm *kvm, enum kvm_irq_source source,
		       const struct kvm_irq_route *r, int level)
{
	if (r->type == KVM_IRQ_ROUTING_MSI)	/* an edge: only up counts */
		return level ? kvm_arch_msi_deliver(kvm, r->msi.address,
						    r->msi.data) : -1;
	return kvm_arch_irqchip_set(kvm, source, r->irqchip.irqchip,
				    r->irqchip.pin, level);
}

int kvm_set_irq(struct kvm *kvm, enum kvm_irq_source source, u32 gsi,
		int level)
{
	const struct kvm_irq_routes *t;
	int idx, ret = -1, r;
	u32 i;

	trace_kvm_set_irq(gsi, level, source);
	idx = srcu_read_lock(&kvm->irq_srcu);
	t = routes_read(kvm);
	if (gsi >= t->nr_gsis)
		goto out;
	gsi = array_index_nospec(gsi, t->nr_gsis);
	for (i = t->first[gsi]; i < t->first[gsi + 1]; i++) {
		r = route_drive(kvm, source, &t->route[i], level);
		if (r >= 0)
			ret = max(ret, 0) + r;
	}
out:
	srcu_read_unlock(&kvm->irq_srcu, idx);
	return ret;
}

int kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi)
{
	u64 address = (u64)msi->address_hi << 32 | msi->address_lo;

	if (!kvm_arch_irqchip_in_kernel(kvm) ||
	    msi->flags & ~KVM_MSI_VALID_DEVID)
		return -EINVAL;
	return kvm_arch_msi_deliver(kvm, address, msi->data);
}

/* ---- acknowledge notifiers ---- */

void kvm_irq_ack(struct kvm *kvm, u32 irqchip, u32 pin)
{
	struct kvm_irq_ack_notifier *kian;
	int idx, gsi;

	trace_kvm_ack_irq(irqchip, pin);
	idx = srcu_read_lock(&kvm->irq_srcu);
	gsi = kvm_irq_pin_to_gsi(kvm, irqchip, pin);
	if (gsi >= 0)
		hlist_for_each_entry_srcu(kian, &kvm->irq_ack_notifiers, link,
					  srcu_read_lock_held(&kvm->irq_srcu))
			if (kian->gsi == gsi)
				kian->irq_acked(kian);
	srcu_read_unlock(&kvm->irq_srcu, idx);
}

void kvm_irq_ack_register(struct kvm *kvm, struct kvm_irq_ack_notifier *kian)
{
	mutex_lock(&kvm->irq_lock);
	hlist_add_head_rcu(&kian->link, &kvm->irq_ack_notifiers);
	mutex_unlock(&kvm->irq_lock);
}

void kvm_irq_ack_unregister(struct kvm *kvm, struct kvm_irq_ack_notifier *kian)
{
	mutex_lock(&kvm->irq_lock);
	hlist_del_init_rcu(&kian->link);
	mutex_unlock(&kvm->irq_lock);
	synchronize_srcu_expedited(&kvm->irq_srcu);
}

/* ---- lifetime ---- */

int kvm_irq_routes_init(struct kvm *kvm)
{
	struct kvm_irq_routes *t = routes_alloc(0, 0);

	if (!t)
		return -ENOMEM;
	RCU_INIT_POINTER(kvm->irq_routes, t);
	return 0;
}

void kvm_irq_routes_destroy(struct kvm *kvm)
{
	/* Replaced tables on their way out belong to callbacks of this srcu. */
	srcu_barrier(&kvm->irq_srcu);
	kvfree(rcu_dereference_protected(kvm->irq_routes, true));
	RCU_INIT_POINTER(kvm->irq_routes, NULL);
}
