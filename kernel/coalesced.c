// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced writes: a guest's writes to some zones are queued in a ring page
 * and handled by user space whenever it next leaves the kernel.
 *
 * The ring is user's memory in all but name: both indices are read once and
 * bounded before use, and nothing is believed that was written earlier.
 */

#include <linux/limits.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "kvm_internal.h"

#define RING_ENTRIES							\
	((PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) /		\
	 sizeof(struct kvm_coalesced_mmio))

struct coalesced_zone {
	struct kvm_io_device dev;
	struct list_head link;
	struct kvm *kvm;
	struct kvm_coalesced_mmio_zone zone;
};

static bool zone_holds(const struct coalesced_zone *z, gpa_t addr, u64 len)
{
	u64 offset = addr - z->zone.addr;

	return offset < z->zone.size && len <= z->zone.size - offset;
}

/* Queue one write; false if the ring is full or broken. */
static bool ring_put(struct kvm_coalesced_mmio_ring *ring, u32 pio, gpa_t addr,
		     int len, const void *val)
{
	u32 first = READ_ONCE(ring->first), last = READ_ONCE(ring->last);
	struct kvm_coalesced_mmio *entry;

	if (first >= RING_ENTRIES || last >= RING_ENTRIES ||
	    (last + 1) % RING_ENTRIES == first)
		return false;
	entry = &ring->coalesced_mmio[last];
	entry->phys_addr = addr;
	entry->len = len;
	entry->pio = pio;
	memcpy(entry->data, val, len);
	/* The entry before the index, for a reader without our lock. */
	smp_store_release(&ring->last, (last + 1) % RING_ENTRIES);
	return true;
}

static int coalesced_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			   gpa_t addr, int len, const void *val)
{
	struct coalesced_zone *z = container_of(dev, struct coalesced_zone, dev);
	struct kvm *kvm = z->kvm;
	bool queued;

	if (len > sizeof_field(struct kvm_coalesced_mmio, data) ||
	    !zone_holds(z, addr, len))
		return -EOPNOTSUPP;
	spin_lock(&kvm->ring_lock);
	queued = ring_put(kvm->coalesced_ring, z->zone.pio, addr, len, val);
	spin_unlock(&kvm->ring_lock);
	return queued ? 0 : -EOPNOTSUPP;
}

static void coalesced_destructor(struct kvm_io_device *dev)
{
	struct coalesced_zone *z = container_of(dev, struct coalesced_zone, dev);

	list_del(&z->link);
	kfree(z);
}

static const struct kvm_io_device_ops coalesced_ops = {
	.write = coalesced_write,
	.destructor = coalesced_destructor,
};

static enum kvm_bus zone_bus(const struct kvm_coalesced_mmio_zone *zone)
{
	return zone->pio ? KVM_PIO_BUS : KVM_MMIO_BUS;
}

int kvm_coalesced_register(struct kvm *kvm,
			   const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone *z;
	int ret;

	if (zone->pio > 1 || !zone->size || zone->size > INT_MAX)
		return -EINVAL;
	if (!kvm->coalesced_ring)
		return -ENOMEM;
	z = kzalloc(sizeof(*z), GFP_KERNEL_ACCOUNT);
	if (!z)
		return -ENOMEM;
	z->dev.ops = &coalesced_ops;
	z->kvm = kvm;
	z->zone = *zone;
	mutex_lock(&kvm->slots_lock);
	ret = kvm_io_bus_register(kvm, zone_bus(zone), zone->addr, zone->size,
				  &z->dev);
	if (!ret)
		list_add_tail(&z->link, &kvm->coalesced_zones);
	mutex_unlock(&kvm->slots_lock);
	if (ret)
		kfree(z);
	return ret;
}

/* Removes every zone that holds the given one; none is no error (ABI). */
int kvm_coalesced_unregister(struct kvm *kvm,
			     const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone *z, *next;

	if (zone->pio > 1)
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	list_for_each_entry_safe(z, next, &kvm->coalesced_zones, link)
		if (z->zone.pio == zone->pio &&
		    zone_holds(z, zone->addr, zone->size))
			kvm_io_bus_unregister(kvm, zone_bus(zone), &z->dev);
	mutex_unlock(&kvm->slots_lock);
	return 0;
}

/* Without a page there is no ring, and no zone can be registered. */
void kvm_coalesced_init(struct kvm *kvm)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	spin_lock_init(&kvm->ring_lock);
	INIT_LIST_HEAD(&kvm->coalesced_zones);
	kvm->coalesced_ring = page ? page_address(page) : NULL;
}

void kvm_coalesced_destroy(struct kvm *kvm)
{
	if (kvm->coalesced_ring)
		free_page((unsigned long)kvm->coalesced_ring);
}
