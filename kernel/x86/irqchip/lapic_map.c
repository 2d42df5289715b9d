// SPDX-License-Identifier: GPL-2.0-only
/* Finding local APICs by destination, and delivering to them. */

#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "lapic.h"

/* ---- building ---- */

static void map_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct apic_map, rcu));
}

static struct apic_map *current_map(struct x86_vm *vm)
{
	return rcu_dereference_protected(vm->apic_map,
				lockdep_is_held(&vm->apic_map_lock));
}

static struct apic_map *map_alloc(struct x86_vm *vm, u32 nr, u32 max_id)
{
	struct apic_map *map;

	map = kvzalloc(struct_size(map, vcpus, (size_t)nr + max_id + 1),
		       GFP_KERNEL_ACCOUNT);
	if (!map)
		return NULL;
	map->vm = vm;
	map->nr = nr;
	map->max_id = max_id;
	map->physical_exact = true;
	map->logical_exact = true;
	return map;
}

static void enter_id(struct apic_map *map, struct x86_vcpu *v, u32 id)
{
	struct x86_vcpu **slot = &map->vcpus[map->nr + id];

	if (*slot && *slot != v)
		map->physical_exact = false;
	*slot = v;
}

static void enter_physical(struct apic_map *map, struct x86_vcpu *v)
{
	const struct lapic_logic *l = &v->lapic->logic;

	/* See match_physical(): IDs beyond eight bits count in both modes. */
	if (l->x2apic || l->x2apic_id > XAPIC_BROADCAST)
		enter_id(map, v, l->x2apic_id);
	if (!l->x2apic)
		enter_id(map, v, lapic_get(l, LAPIC_ID) >> 24);
}

/* All enabled local APICs must read logical destinations alike. */
static void enter_logical(struct apic_map *map, struct x86_vcpu *v, bool first)
{
	const struct lapic_logic *l = &v->lapic->logic;
	bool cluster = lapic_get(l, LAPIC_DFR) >> 28 != 0xf;
	u32 ldr = lapic_get(l, LAPIC_LDR) >> 24, bits;
	struct x86_vcpu **slot;

	if (first) {
		map->x2apic = l->x2apic;
		map->cluster = cluster;
	}
	if (map->x2apic != l->x2apic || (!l->x2apic && map->cluster != cluster))
		map->logical_exact = false;
	if (l->x2apic || !map->logical_exact)
		return;
	bits = cluster ? ldr & 0xf : ldr;
	if (!bits)
		return;
	slot = &map->xapic_logical[cluster ? ldr >> 4 : 0][__ffs(bits)];
	if (*slot || bits & (bits - 1))
		map->logical_exact = false;
	*slot = v;
}

static u32 highest_id(const struct apic_map *old, struct x86_vcpu *extra)
{
	u32 i, max_id = XAPIC_BROADCAST;

	if (extra)
		max_id = max(max_id, extra->lapic->logic.x2apic_id);
	for (i = 0; old && i < old->nr; i++)
		if (old->vcpus[i])
			max_id = max(max_id,
				     old->vcpus[i]->lapic->logic.x2apic_id);
	return max_id;
}

static void map_fill(struct apic_map *map)
{
	bool first = true;
	u32 i;

	for (i = 0; i < map->nr; i++) {
		struct x86_vcpu *v = map->vcpus[i];

		if (!v || !v->lapic->logic.hw_enabled)
			continue;
		enter_physical(map, v);
		enter_logical(map, v, first);
		first = false;
	}
}

/* A new map: the old one's vCPUs, plus @add, minus @drop. */
static struct apic_map *map_build(struct x86_vm *vm, struct x86_vcpu *add,
				  struct x86_vcpu *drop)
{
	const struct apic_map *old = current_map(vm);
	u32 i, n = 0, nr = (old ? old->nr : 0) + !!add - !!drop;
	struct apic_map *map = map_alloc(vm, nr, highest_id(old, add));

	if (!map)
		return NULL;
	for (i = 0; old && i < old->nr; i++)
		if (old->vcpus[i] && old->vcpus[i] != drop)
			map->vcpus[n++] = old->vcpus[i];
	if (add)
		map->vcpus[n++] = add;
	map_fill(map);
	return map;
}

static void map_publish(struct x86_vm *vm, struct apic_map *map)
{
	struct apic_map *old = current_map(vm);

	rcu_assign_pointer(vm->apic_map, map);
	if (old)
		call_rcu(&old->rcu, map_free_rcu);
}

int apic_map_add(struct x86_vcpu *v)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	struct apic_map *map;

	mutex_lock(&vm->apic_map_lock);
	map = map_build(vm, v, NULL);
	if (map)
		map_publish(vm, map);
	mutex_unlock(&vm->apic_map_lock);
	return map ? 0 : -ENOMEM;
}

/*
 * Without memory for a new map the old one stays, and every delivery looks at
 * the registers themselves: slow, but right.
 */
static void map_degrade(struct apic_map *map, struct x86_vcpu *drop)
{
	u32 i;

	WRITE_ONCE(map->physical_exact, false);
	WRITE_ONCE(map->logical_exact, false);
	for (i = 0; drop && i < map->nr; i++)
		if (map->vcpus[i] == drop)
			WRITE_ONCE(map->vcpus[i], NULL);
}

void apic_map_rebuild(struct x86_vm *vm)
{
	struct apic_map *map, *old;

	mutex_lock(&vm->apic_map_lock);
	old = current_map(vm);
	if (!old)
		goto out;
	map = map_build(vm, NULL, NULL);
	if (map)
		map_publish(vm, map);
	else
		map_degrade(old, NULL);
	/*
	 * A guest may rewrite its LDR in a loop: bound the maps that wait for
	 * their grace period. As a rule the one of 256 maps ago is over.
	 */
	if (++vm->apic_map_builds % 256 == 0) {
		cond_synchronize_rcu(vm->apic_map_period);
		vm->apic_map_period = get_state_synchronize_rcu();
	}
out:
	mutex_unlock(&vm->apic_map_lock);
}

/* Nothing can find v afterwards; at the end of a VM all go at once. */
void apic_map_remove(struct x86_vcpu *v)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);
	bool last = !refcount_read(&vm->kvm.users);
	struct apic_map *map, *old;

	mutex_lock(&vm->apic_map_lock);
	old = current_map(vm);
	if (!old)
		goto out;
	last |= old->nr == 1;
	map = last ? NULL : map_build(vm, NULL, v);
	if (map || last)
		map_publish(vm, map);
	else
		map_degrade(old, v);
	synchronize_rcu();
	/* The callbacks are code of this module, which may go next. */
	if (last)
		rcu_barrier();
out:
	mutex_unlock(&vm->apic_map_lock);
}

/* ---- delivery ---- */

/* The candidates of a destination: bits of a table, or every vCPU. */
struct targets {
	struct x86_vcpu *const *set;
	u32 mask;		/* bits of set to take */
	u32 nr, pos;		/* !mask_valid: all nr, if they match */
	bool mask_valid;
};

static bool broadcast(const struct apic_irq *irq)
{
	return irq->dest == X2APIC_BROADCAST || irq->dest == XAPIC_BROADCAST;
}

static void physical_targets(const struct apic_map *map,
			     const struct apic_irq *irq, struct targets *t)
{
	if (!READ_ONCE(map->physical_exact))
		return;
	t->mask_valid = true;
	t->mask = irq->dest <= map->max_id;
	t->set = apic_map_by_id(map);
	if (t->mask)
		t->set += array_index_nospec(irq->dest, map->max_id + 1);
}

static void logical_targets(const struct apic_map *map,
			    const struct apic_irq *irq, struct targets *t)
{
	u64 first = (u64)(irq->dest >> 16) << 4;

	if (!READ_ONCE(map->logical_exact) ||
	    (map->x2apic && !READ_ONCE(map->physical_exact)))
		return;
	t->mask_valid = true;
	if (!map->x2apic) {
		t->mask = map->cluster ? irq->dest & 0xf : irq->dest & 0xff;
		t->set = map->xapic_logical[map->cluster ?
					    irq->dest >> 4 & 0xf : 0];
		return;
	}
	t->set = apic_map_by_id(map);
	if (first > map->max_id)
		return;		/* no such cluster: empty mask */
	first = array_index_nospec(first, (u64)map->max_id + 1);
	t->mask = irq->dest & 0xffff;
	t->set += first;
	if (map->max_id - first < 15)
		t->mask &= GENMASK_ULL(map->max_id - first, 0);
}

static void targets_init(const struct apic_map *map,
			 const struct apic_irq *irq, struct targets *t)
{
	*t = (struct targets) { .set = map->vcpus, .nr = map->nr };
	if (irq->shorthand != LAPIC_DEST_FIELD || broadcast(irq))
		return;
	if (irq->logical)
		logical_targets(map, irq, t);
	else
		physical_targets(map, irq, t);
}

static bool wanted(const struct apic_map *map, struct x86_vcpu *v,
		   struct x86_vcpu *src, const struct apic_irq *irq)
{
	const struct lapic_logic *l = &v->lapic->logic;

	if (irq->shorthand == LAPIC_DEST_ALL)
		return l->hw_enabled;
	if (irq->shorthand == LAPIC_DEST_OTHERS)
		return l->hw_enabled && v != src;
	return l->hw_enabled &&
	       lapic_logic_match(l, irq,
				 !map->vm->x2apic_broadcast_quirk_disabled);
}

static struct x86_vcpu *next_target(const struct apic_map *map,
				    struct x86_vcpu *src,
				    const struct apic_irq *irq,
				    struct targets *t)
{
	struct x86_vcpu *v;

	while (t->mask_valid && t->mask) {
		v = t->set[__ffs(t->mask)];
		t->mask &= t->mask - 1;
		if (v)
			return v;
	}
	while (!t->mask_valid && t->pos < t->nr) {
		v = READ_ONCE(t->set[t->pos++]);
		if (v && wanted(map, v, src, irq))
			return v;
	}
	return NULL;
}

static int deliver_all(const struct apic_map *map, struct x86_vcpu *src,
		       const struct apic_irq *irq)
{
	struct x86_vcpu *v;
	struct targets t;
	int reached = 0;

	targets_init(map, irq, &t);
	while ((v = next_target(map, src, irq, &t)))
		reached += lapic_accept(v, irq);
	return reached;
}

/*
 * Lowest priority: one of the enabled candidates. Which one is the bus's
 * business; the vector decides, so that one device stays on one vCPU.
 */
static int deliver_lowest(const struct apic_map *map, struct x86_vcpu *src,
			  const struct apic_irq *irq)
{
	struct x86_vcpu *v, *chosen = NULL;
	u32 able = 0, seen = 0, pick;
	struct targets t;

	targets_init(map, irq, &t);
	while ((v = next_target(map, src, irq, &t)))
		able += lapic_sw_enabled(&v->lapic->logic);
	if (!able)
		return 0;
	pick = irq->vector % able;
	targets_init(map, irq, &t);
	while ((v = next_target(map, src, irq, &t))) {
		if (!lapic_sw_enabled(&v->lapic->logic))
			continue;
		chosen = v;
		if (seen++ == pick)
			break;
	}
	return chosen ? lapic_accept(chosen, irq) : 0;
}

int x86_apic_deliver(struct x86_vm *vm, struct x86_vcpu *src,
		     const struct apic_irq *irq)
{
	const struct apic_map *map;
	int ret = -1;

	if (irq->shorthand == LAPIC_DEST_SELF)
		return src ? lapic_accept(src, irq) : -1;
	rcu_read_lock();
	map = rcu_dereference(vm->apic_map);
	if (map)
		ret = irq->mode == LAPIC_MODE_LOWEST || irq->lowest_hint ?
		      deliver_lowest(map, src, irq) :
		      deliver_all(map, src, irq);
	rcu_read_unlock();
	return ret;
}

/* An ID that several share has one of them here: their owner's own fault. */
static int deliver_by_id(const struct apic_map *map, u64 id,
			 const struct apic_irq *irq)
{
	struct x86_vcpu *v;

	if (id > map->max_id)
		return 0;
	id = array_index_nospec(id, (u64)map->max_id + 1);
	v = apic_map_by_id(map)[id];
	return v ? lapic_accept(v, irq) : 0;
}

int x86_apic_deliver_bits(struct x86_vm *vm, const u64 bits[2], int width,
			  u32 first, const struct apic_irq *irq)
{
	const struct apic_map *map;
	int i, reached = 0;

	rcu_read_lock();
	map = rcu_dereference(vm->apic_map);
	for (i = 0; map && i < 2 * width; i++)
		if (bits[i / width] >> (i % width) & 1)
			reached += deliver_by_id(map, (u64)first + i, irq);
	rcu_read_unlock();
	return map ? reached : -1;
}

void x86_apic_kick_pic_listeners(struct x86_vm *vm)
{
	const struct apic_map *map;
	u32 i;

	rcu_read_lock();
	map = rcu_dereference(vm->apic_map);
	for (i = 0; map && i < map->nr; i++) {
		struct x86_vcpu *v = map->vcpus[i];

		if (!v || !x86_lapic_accepts_pic(v))
			continue;
		kvm_make_request(X86_REQ_EVENT, &v->vcpu);
		kvm_vcpu_kick(&v->vcpu);
	}
	rcu_read_unlock();
}
