// SPDX-License-Identifier: GPL-2.0-only
/*
 * The buses of a VM: from an address to the in-kernel device behind it.
 *
 * A bus is an array sorted by start address, replaced whole to add a device
 * and read under kvm->srcu. To remove one its pointer is cleared in place,
 * which needs no memory and so cannot fail; the next addition closes the gap.
 */

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "kvm_internal.h"

/* Of every kind; what is not counted is bounded by file descriptors. */
#define MAX_RANGES	65536

struct kvm_io_range {
	gpa_t start;
	gpa_t last;			/* inclusive */
	gpa_t max_last;			/* highest last of this and all before */
	struct kvm_io_device *dev;	/* NULL: removed */
};

struct kvm_io_bus {
	struct rcu_head rcu;
	u32 nr;
	struct kvm_io_device *whole;	/* KVM_IO_WHOLE_BUS */
	struct kvm_io_range range[];
};

static struct kvm_io_bus *bus_locked(struct kvm *kvm, enum kvm_bus bus)
{
	return rcu_dereference_protected(kvm->buses[bus],
				lockdep_is_held(&kvm->slots_lock) ||
				!refcount_read(&kvm->users));
}

static void bus_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct kvm_io_bus, rcu));
}

/* ---- accesses ---- */

/* Index of the last range that starts at or below addr, or -1. */
static int range_find(const struct kvm_io_bus *b, gpa_t addr)
{
	int low = 0, high = b->nr;

	while (low < high) {
		int mid = low + (high - low) / 2;

		if (b->range[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low - 1;
}

/*
 * Walk the devices at addr, nearest start first: a device inside a wider
 * range wins. Ends where no earlier range can reach addr any more.
 */
static struct kvm_io_device *device_at(const struct kvm_io_bus *b, gpa_t addr,
				       int *pos)
{
	for (; *pos >= 0 && b->range[*pos].max_last >= addr; --*pos) {
		const struct kvm_io_range *r = &b->range[*pos];
		struct kvm_io_device *dev = READ_ONCE(r->dev);

		if (dev && r->last >= addr) {
			--*pos;
			return dev;
		}
	}
	return NULL;
}

static int device_access(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			 gpa_t addr, int len, void *in, const void *out)
{
	if (in)
		return dev->ops->read ?
		       dev->ops->read(vcpu, dev, addr, len, in) : -EOPNOTSUPP;
	return dev->ops->write ?
	       dev->ops->write(vcpu, dev, addr, len, out) : -EOPNOTSUPP;
}

static int bus_access(struct kvm_vcpu *vcpu, enum kvm_bus bus, gpa_t addr,
		      int len, void *in, const void *out)
{
	const struct kvm_io_bus *b;
	struct kvm_io_device *dev;
	int pos, ret = -EOPNOTSUPP;

	b = srcu_dereference(vcpu->kvm->buses[bus], &vcpu->kvm->srcu);
	if (!b || len <= 0)
		return -EOPNOTSUPP;
	dev = READ_ONCE(b->whole);
	if (dev)
		ret = device_access(vcpu, dev, addr, len, in, out);
	pos = ret == -EOPNOTSUPP ? range_find(b, addr) : -1;
	while (ret == -EOPNOTSUPP && (dev = device_at(b, addr, &pos)))
		ret = device_access(vcpu, dev, addr, len, in, out);
	return ret;
}

int kvm_io_bus_read(struct kvm_vcpu *vcpu, enum kvm_bus bus, gpa_t addr,
		    int len, void *val)
{
	return bus_access(vcpu, bus, addr, len, val, NULL);
}

int kvm_io_bus_write(struct kvm_vcpu *vcpu, enum kvm_bus bus, gpa_t addr,
		     int len, const void *val)
{
	return bus_access(vcpu, bus, addr, len, NULL, val);
}

/* ---- changes ---- */

/* Removed devices leave holes, which the next copy closes. */
static bool bus_full(const struct kvm_io_bus *b, bool uncounted)
{
	u32 i, nr = 0, counted = 0;

	for (i = 0; i < b->nr; i++) {
		nr += !!b->range[i].dev;
		counted += b->range[i].dev && !b->range[i].dev->ops->uncounted;
	}
	return nr >= MAX_RANGES || (!uncounted && counted >= KVM_MAX_IO_DEVICES);
}

static void append(struct kvm_io_bus *b, const struct kvm_io_range *r)
{
	struct kvm_io_range *slot = &b->range[b->nr];

	*slot = *r;
	slot->max_last = b->nr ? max(r->last, slot[-1].max_last) : r->last;
	b->nr++;
}

/* A copy without the removed ranges, with @add (may be NULL) in its place. */
static struct kvm_io_bus *bus_copy(const struct kvm_io_bus *old,
				   const struct kvm_io_range *add)
{
	struct kvm_io_bus *b;
	u32 i;

	b = kvzalloc(struct_size(b, range, (size_t)old->nr + 1),
		     GFP_KERNEL_ACCOUNT);
	if (!b)
		return NULL;
	b->whole = old->whole;
	for (i = 0; i < old->nr; i++) {
		if (!old->range[i].dev)
			continue;
		if (add && old->range[i].start > add->start) {
			append(b, add);
			add = NULL;
		}
		append(b, &old->range[i]);
	}
	if (add)
		append(b, add);
	return b;
}

static int register_whole(struct kvm_io_bus *b, struct kvm_io_device *dev)
{
	if (b->whole)
		return -EEXIST;
	/* Publishes the device's contents. */
	smp_store_release(&b->whole, dev);
	return 0;
}

int kvm_io_bus_register(struct kvm *kvm, enum kvm_bus bus, gpa_t addr,
			int len, struct kvm_io_device *dev)
{
	struct kvm_io_range r = { .start = addr, .dev = dev };
	struct kvm_io_bus *old, *new;

	lockdep_assert_held(&kvm->slots_lock);
	old = bus_locked(kvm, bus);
	if (!old)
		return -ENODEV;
	if (len == KVM_IO_WHOLE_BUS)
		return register_whole(old, dev);
	if (len < 0 || addr + len - 1 < addr)
		return -EINVAL;
	if (bus_full(old, dev->ops->uncounted))
		return -ENOSPC;
	r.last = addr + len - 1;
	new = bus_copy(old, &r);
	if (!new)
		return -ENOMEM;
	rcu_assign_pointer(kvm->buses[bus], new);
	call_srcu(&kvm->srcu, &old->rcu, bus_free_rcu);
	/* Bounds the copies that wait for their readers. */
	if (new->nr % 64 == 0)
		synchronize_srcu_expedited(&kvm->srcu);
	return 0;
}

static bool bus_clear(struct kvm_io_bus *b, struct kvm_io_device *dev)
{
	bool found = b->whole == dev;
	u32 i;

	if (found)
		WRITE_ONCE(b->whole, NULL);
	for (i = 0; i < b->nr; i++) {
		if (b->range[i].dev == dev) {
			WRITE_ONCE(b->range[i].dev, NULL);
			found = true;
		}
	}
	return found;
}

/* Afterwards no vCPU is in the device; its destructor has run. */
int kvm_io_bus_unregister(struct kvm *kvm, enum kvm_bus bus,
			  struct kvm_io_device *dev)
{
	struct kvm_io_bus *b;

	lockdep_assert_held(&kvm->slots_lock);
	b = bus_locked(kvm, bus);
	if (!b || !bus_clear(b, dev))
		return -ENOENT;
	/* Older copies, too, are unreachable after this. At the end of the VM
	 * nobody reads.
	 */
	if (refcount_read(&kvm->users))
		synchronize_srcu_expedited(&kvm->srcu);
	if (dev->ops->destructor)
		dev->ops->destructor(dev);
	return 0;
}

/* ---- lifetime ---- */

int kvm_io_buses_init(struct kvm *kvm)
{
	struct kvm_io_bus *b;
	unsigned int i;

	for (i = 0; i < KVM_NR_BUSES; i++) {
		b = kvzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
		if (!b)
			goto out;
		RCU_INIT_POINTER(kvm->buses[i], b);
	}
	return 0;
out:
	while (i--) {
		kvfree(rcu_dereference_protected(kvm->buses[i], true));
		RCU_INIT_POINTER(kvm->buses[i], NULL);
	}
	return -ENOMEM;
}

static void bus_destroy(struct kvm_io_bus *b)
{
	u32 i;

	for (i = 0; i < b->nr; i++) {
		struct kvm_io_device *dev = b->range[i].dev;

		if (dev && dev->ops->destructor)
			dev->ops->destructor(dev);
	}
	kvfree(b);
}

/* Nobody runs or configures the VM any more. */
void kvm_io_buses_destroy(struct kvm *kvm)
{
	struct kvm_io_bus *b;
	unsigned int i;

	/* Old copies on their way out belong to callbacks of this srcu. */
	srcu_barrier(&kvm->srcu);
	for (i = 0; i < KVM_NR_BUSES; i++) {
		b = rcu_dereference_protected(kvm->buses[i], true);
		RCU_INIT_POINTER(kvm->buses[i], NULL);
		if (b)
			bus_destroy(b);
	}
}
