// SPDX-License-Identifier: GPL-2.0-only
/* What a request's argument looks like when it is to get somewhere. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "fuzz.h"

#define MAX_MSRS	512
#define MAX_CPUID	128
#define MAX_ROUTES	64
#define SIGSET_SIZE	8

static struct rng *rng(struct call *c)
{
	return &c->t->rng;
}

static void scalar(struct call *c, unsigned long value)
{
	c->scalar = value;
	c->is_scalar = true;
}

static void no_argument(struct call *c)
{
	scalar(c, chance(rng(c), 95) ? 0 : odd_value(rng(c)));
}

static void small_number(struct call *c)
{
	scalar(c, below(rng(c), 300));
}

static void vcpu_id(struct call *c)
{
	scalar(c, chance(rng(c), 90) ? below(rng(c), 24) : odd_value(rng(c)));
}

/* Without TSC scaling only the frequency there is, or one near it, will do. */
static void tsc_khz(struct call *c)
{
	int now = ioctl(c->fd, KVM_GET_TSC_KHZ, 0);

	scalar(c, chance(rng(c), 80) ? (unsigned long)now :
				       odd_value(rng(c)));
}

static void mmu_pages(struct call *c)
{
	scalar(c, below(rng(c), 4096));
}

static void tss_address(struct call *c)
{
	scalar(c, chance(rng(c), 80) ? 0xfffbd000 : odd_value(rng(c)));
}

static void one_address(struct call *c)
{
	*(uint64_t *)call_room(c, 8) = odd_gpa(rng(c)) & ~0xfffull;
}

/* It has to be in memory, which slot 0 usually has from 0 on. */
static void vapic_page(struct call *c)
{
	one_address(c);
	if (chance(rng(c), 70))
		*(uint64_t *)call_room(c, 8) = below(rng(c), AREA_SIZE >> 12) << 12;
}

static int event(struct call *c)
{
	int fd = world_file(c->t->world, rng(c), KIND_EVENT);

	if (fd >= 0 && chance(rng(c), 80))
		return fd;
	fd = eventfd(below(rng(c), 2), EFD_CLOEXEC | EFD_NONBLOCK);
	world_keep(c->t->world, rng(c), KIND_EVENT, fd);
	return fd;
}

/* ---- memory ---- */

static void memory_region(struct call *c)
{
	struct kvm_userspace_memory_region *m = call_room(c, sizeof(*m));
	struct rng *r = rng(c);

	m->slot = chance(r, 95) ? below(r, 8) : odd_value(r);
	m->flags = below(r, 4);
	m->guest_phys_addr = below(r, 64) * 0x100000;
	if (chance(r, 20))
		m->guest_phys_addr = odd_gpa(r) & ~0xfffull;
	m->memory_size = chance(r, 25) ? 0 :
		chance(r, 60) ? AREA_SIZE : (1 + below(r, 511)) << 12;
	m->userspace_addr = (unsigned long)world_area(c->t->world, r);
	if (chance(r, 20))
		m->userspace_addr += below(r, 512) << 12;
	/* Slot 0 holds the guests' code: usually it comes back, and is logged. */
	if (!m->slot && chance(r, 80)) {
		m->guest_phys_addr = 0;
		m->memory_size = AREA_SIZE;
		m->flags = KVM_MEM_LOG_DIRTY_PAGES;
	}
}

static void dirty_log(struct call *c)
{
	struct kvm_dirty_log *d = call_room(c, sizeof(*d));

	d->slot = chance(rng(c), 90) ? 0 : below(rng(c), 8);
	d->dirty_bitmap = c->t->argument;
}

static void clear_dirty_log(struct call *c)
{
	struct kvm_clear_dirty_log *d = call_room(c, sizeof(*d));

	d->slot = chance(rng(c), 90) ? 0 : below(rng(c), 8);
	d->first_page = below(rng(c), 8) * 64;
	d->num_pages = chance(rng(c), 80) ? 64 : below(rng(c), 1024);
	d->dirty_bitmap = c->t->argument;
	random_bytes(rng(c), c->t->argument, 128);
}

static void coalesced_zone(struct call *c)
{
	struct kvm_coalesced_mmio_zone *z = call_room(c, sizeof(*z));

	z->pio = chance(rng(c), 30);
	z->addr = z->pio ? 0x80 + below(rng(c), 4) :
			   0xe0000000 + below(rng(c), 2) * 0x1000;
	z->size = z->pio ? 1 : 0x1000;
}

/* ---- interrupts ---- */

static void irq_level(struct call *c)
{
	struct kvm_irq_level *l = call_room(c, sizeof(*l));

	l->irq = below(rng(c), chance(rng(c), 90) ? 26 : 5000);
	l->level = below(rng(c), 2);
}

static void irqchip(struct call *c)
{
	((struct kvm_irqchip *)c->arg)->chip_id = below(rng(c), 3);
}

/* GET first for the same chip that SET will name. */
static void set_irqchip(struct call *c)
{
	irqchip(c);
	ioctl(c->fd, KVM_GET_IRQCHIP, c->arg);
}

static void pit_config(struct call *c)
{
	((struct kvm_pit_config *)call_room(c, 64))->flags = below(rng(c), 2);
}

static void reinject(struct call *c)
{
	struct kvm_reinject_control *p = call_room(c, sizeof(*p));

	p->pit_reinject = below(rng(c), 2);
}

/* A GSI may go to one pin of a chip: entry i has that of GSI i. */
static void one_route(struct rng *r, struct kvm_irq_routing_entry *e, int i)
{
	e->gsi = i;
	if (chance(r, 50)) {
		e->type = KVM_IRQ_ROUTING_IRQCHIP;
		e->u.irqchip.irqchip = below(r, 3);
		e->u.irqchip.pin = below(r, e->u.irqchip.irqchip == 2 ? 24 : 8);
	} else {
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = 0xfee00000 | (rnd(r) & 0xff00c);
		e->u.msi.data = rnd(r) & 0xc7ff;
	}
}

static void routing(struct call *c)
{
	int n = below(rng(c), chance(rng(c), 80) ? 24 : MAX_ROUTES);
	struct kvm_irq_routing *table = call_room(c, sizeof(*table) +
						  n * sizeof(*table->entries));

	for (table->nr = 0; (int)table->nr < n; table->nr++)
		one_route(rng(c), &table->entries[table->nr], table->nr);
	if (n && chance(rng(c), 20))
		table->entries[below(rng(c), n)].gsi = below(rng(c), 5000);
}

static void msi(struct call *c)
{
	struct kvm_msi *m = call_room(c, sizeof(*m));

	m->address_lo = 0xfee00000 | (rnd(rng(c)) & 0xff00c);
	m->data = rnd(rng(c)) & 0xc7ff;
}

static void irqfd(struct call *c)
{
	struct kvm_irqfd *i = call_room(c, sizeof(*i));

	i->fd = event(c);
	i->gsi = below(rng(c), 24);
	i->flags = below(rng(c), 4);
	if (chance(rng(c), 50))
		i->flags &= ~KVM_IRQFD_FLAG_DEASSIGN;
	i->resamplefd = event(c);
}

static void ioeventfd(struct call *c)
{
	static const uint32_t widths[] = { 0, 1, 2, 4, 8 };
	struct kvm_ioeventfd *e = call_room(c, sizeof(*e));

	e->flags = below(rng(c), 8);
	if (chance(rng(c), 50))
		e->flags &= ~KVM_IOEVENTFD_FLAG_DEASSIGN;
	e->len = widths[below(rng(c), 5)];
	if (!e->len)
		e->flags &= ~KVM_IOEVENTFD_FLAG_DATAMATCH;
	e->addr = e->flags & KVM_IOEVENTFD_FLAG_PIO ? 0x510 :
		  0xe0000000 + below(rng(c), 16) * 8;
	e->datamatch = below(rng(c), 4);
	e->fd = event(c);
}

static void interrupt(struct call *c)
{
	((struct kvm_interrupt *)call_room(c, 4))->irq = below(rng(c), 257);
}

/* ---- capabilities and attributes ---- */

static void enable_cap(struct call *c)
{
	static const uint32_t caps[] = {
		KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_DISABLE_QUIRKS,
		KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_X2APIC_API,
		KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_USER_SPACE_MSR,
		KVM_CAP_MSR_PLATFORM_INFO, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_MAX_VCPU_ID,
		KVM_CAP_X86_TRIPLE_FAULT_EVENT,
	};
	struct kvm_enable_cap *e = call_room(c, sizeof(*e));

	e->cap = chance(rng(c), 90) ?
		 caps[below(rng(c), ARRAY_SIZE(caps))] : below(rng(c), 256);
	e->args[0] = e->cap == KVM_CAP_SPLIT_IRQCHIP ? 24 : below(rng(c), 8);
}

static void device_attr(struct call *c)
{
	struct kvm_device_attr *a = call_room(c, sizeof(*a));

	a->addr = (unsigned long)c->t->argument;
	*(uint64_t *)c->t->argument = odd_value(rng(c));
}

/* ---- lists ---- */

static void msr_list(struct call *c)
{
	struct kvm_msr_list *l = call_room(c, 4 + 4 * MAX_MSRS);

	l->nmsrs = chance(rng(c), 90) ? MAX_MSRS : below(rng(c), 64);
}

static void cpuid_room(struct call *c)
{
	struct kvm_cpuid2 *l = call_room(c, sizeof(*l) + MAX_CPUID *
					 sizeof(struct kvm_cpuid_entry2));

	l->nent = chance(rng(c), 90) ? MAX_CPUID : below(rng(c), 20);
}

static void set_cpuid2(struct call *c)
{
	const struct kvm_cpuid2 *known = c->t->world->cpuid;
	size_t size = sizeof(*known) + known->nent * sizeof(*known->entries);

	memcpy(call_room(c, size), known, size);
	if (chance(rng(c), 20))
		((struct kvm_cpuid2 *)c->arg)->nent = below(rng(c), 300);
}

static void set_cpuid(struct call *c)
{
	const struct kvm_cpuid2 *known = c->t->world->cpuid;
	struct kvm_cpuid *l = call_room(c, sizeof(*l) + known->nent *
					sizeof(*l->entries));
	const struct kvm_cpuid_entry2 *e;

	for (e = known->entries; e < known->entries + known->nent; e++)
		l->entries[l->nent++] = (struct kvm_cpuid_entry){
			e->function, e->eax, e->ebx, e->ecx, e->edx, 0 };
}

static void msrs(struct call *c)
{
	int n = below(rng(c), chance(rng(c), 90) ? 32 : MAX_MSRS);
	struct kvm_msrs *m = call_room(c, sizeof(*m) + n * sizeof(*m->entries));

	for (m->nmsrs = 0; (int)m->nmsrs < n; m->nmsrs++)
		m->entries[m->nmsrs] = (struct kvm_msr_entry){
			odd_msr(rng(c)), 0, odd_value(rng(c)) };
}

static void msr_filter(struct call *c)
{
	struct kvm_msr_filter *f = call_room(c, sizeof(*f));
	int n = below(rng(c), KVM_MSR_FILTER_MAX_RANGES + 1);

	f->flags = chance(rng(c), 20);
	while (n-- > 0)
		f->ranges[n] = (struct kvm_msr_filter_range){
			.flags = 1 + below(rng(c), 3),
			.nmsrs = 1 + below(rng(c), 200),
			.base = odd_msr(rng(c)),
			.bitmap = c->t->argument,
		};
	random_bytes(rng(c), c->t->argument, 32);
}

/* ---- a vCPU's state ---- */

static void signal_mask(struct call *c)
{
	struct kvm_signal_mask *m = call_room(c, sizeof(*m) + SIGSET_SIZE);

	m->len = SIGSET_SIZE;
	if (chance(rng(c), 10))
		random_bytes(rng(c), m->sigset, SIGSET_SIZE);
}

static void translate(struct call *c)
{
	struct kvm_translation *t = call_room(c, sizeof(*t));

	t->linear_address = odd_gpa(rng(c));
}

static void mp_state(struct call *c)
{
	((struct kvm_mp_state *)call_room(c, 4))->mp_state =
		chance(rng(c), 60) ? 0 : below(rng(c), 6);
}

static void guest_debug(struct call *c)
{
	struct kvm_guest_debug *d = call_room(c, sizeof(*d));
	struct rng *r = rng(c);

	d->control = chance(r, 60) ? 0 : KVM_GUESTDBG_ENABLE |
		(rnd(r) & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
			   KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_BLOCKIRQ));
	if (chance(r, 10))
		d->control |= 1u << below(r, 32);
	d->arch.debugreg[0] = 0x20000 + below(r, 0x4000);
	d->arch.debugreg[7] = chance(r, 60) ? 0x401 : rnd(r);
}

static void mce_setup(struct call *c)
{
	*(uint64_t *)call_room(c, 8) = 0x1000100 | below(rng(c), 40);
}

static void mce(struct call *c)
{
	struct kvm_x86_mce *m = call_room(c, sizeof(*m));

	m->status = 1ull << 63 | (chance(rng(c), 40) ? 1ull << 61 : 0) |
		    below(rng(c), 65536);
	m->bank = below(rng(c), 34);
}

static void tpr_access(struct call *c)
{
	struct kvm_tpr_access_ctl *t = call_room(c, sizeof(*t));

	t->enabled = below(rng(c), 2);
}

static void xcrs(struct call *c)
{
	struct kvm_xcrs *x = (struct kvm_xcrs *)c->arg;

	if (chance(rng(c), 30) && x->nr_xcrs)
		x->xcrs[0].value = 1 | (rnd(rng(c)) & 0x2e7);
}

static void set_clock(struct call *c)
{
	struct kvm_clock_data *d = (struct kvm_clock_data *)c->arg;

	d->flags &= KVM_CLOCK_REALTIME;
	memset(d->pad, 0, sizeof(d->pad));
}

/* Events as they are say what is valid; setting them says it again. */
static void events(struct call *c)
{
	struct kvm_vcpu_events *e = (struct kvm_vcpu_events *)c->arg;

	if (chance(rng(c), 20))
		e->flags = rnd(rng(c)) & 0x2f;
	if (chance(rng(c), 10)) {
		e->exception.pending = 1;
		e->exception.nr = below(rng(c), 32);
	}
}

#define KVM	(1u << KIND_KVM)
#define VM	(1u << KIND_VM)
#define VCPU	(1u << KIND_VCPU)
#define OP(name)	#name, 0

const struct op op_details[] = {
	{ OP(KVM_GET_API_VERSION), KVM, no_argument },
	{ OP(KVM_CREATE_VM), KVM, no_argument },
	{ OP(KVM_GET_MSR_INDEX_LIST), KVM, msr_list },
	{ OP(KVM_CHECK_EXTENSION), KVM | VM, small_number },
	{ OP(KVM_GET_VCPU_MMAP_SIZE), KVM, no_argument },
	{ OP(KVM_GET_SUPPORTED_CPUID), KVM, cpuid_room },
	{ OP(KVM_GET_EMULATED_CPUID), KVM, cpuid_room },
	{ OP(KVM_GET_MSR_FEATURE_INDEX_LIST), KVM, msr_list },
	{ OP(KVM_X86_GET_MCE_CAP_SUPPORTED), KVM },

	{ OP(KVM_CREATE_VCPU), VM, vcpu_id },
	{ OP(KVM_GET_DIRTY_LOG), VM, dirty_log },
	{ OP(KVM_SET_NR_MMU_PAGES), VM, mmu_pages },
	{ OP(KVM_GET_NR_MMU_PAGES), VM, no_argument },
	{ OP(KVM_SET_USER_MEMORY_REGION), VM, memory_region },
	{ OP(KVM_SET_TSS_ADDR), VM, tss_address },
	{ OP(KVM_SET_IDENTITY_MAP_ADDR), VM, one_address },
	{ OP(KVM_CREATE_IRQCHIP), VM, no_argument },
	{ OP(KVM_IRQ_LINE), VM, irq_level },
	{ OP(KVM_GET_IRQCHIP), VM, irqchip },
	{ OP(KVM_SET_IRQCHIP), VM, set_irqchip },
	{ OP(KVM_CREATE_PIT), VM, no_argument },
	{ OP(KVM_GET_PIT), VM },
	{ OP(KVM_SET_PIT), VM, NULL, KVM_GET_PIT },
	{ OP(KVM_IRQ_LINE_STATUS), VM, irq_level },
	{ OP(KVM_REGISTER_COALESCED_MMIO), VM, coalesced_zone },
	{ OP(KVM_UNREGISTER_COALESCED_MMIO), VM, coalesced_zone },
	{ OP(KVM_SET_GSI_ROUTING), VM, routing },
	{ OP(KVM_REINJECT_CONTROL), VM, reinject },
	{ OP(KVM_IRQFD), VM, irqfd },
	{ OP(KVM_CREATE_PIT2), VM, pit_config },
	{ OP(KVM_SET_BOOT_CPU_ID), VM, vcpu_id },
	{ OP(KVM_IOEVENTFD), VM, ioeventfd },
	{ OP(KVM_SET_CLOCK), VM, set_clock, KVM_GET_CLOCK },
	{ OP(KVM_GET_CLOCK), VM },
	{ OP(KVM_GET_PIT2), VM },
	{ OP(KVM_SET_PIT2), VM, NULL, KVM_GET_PIT2 },
	{ OP(KVM_SET_TSC_KHZ), VM | VCPU, tsc_khz },
	{ OP(KVM_GET_TSC_KHZ), VM | VCPU, no_argument },
	{ OP(KVM_SIGNAL_MSI), VM, msi },
	{ OP(KVM_CLEAR_DIRTY_LOG), VM, clear_dirty_log },
	{ OP(KVM_X86_SET_MSR_FILTER), VM, msr_filter },
	{ OP(KVM_GET_STATS_FD), VM | VCPU, no_argument },
	{ OP(KVM_SET_DEVICE_ATTR), VCPU, device_attr },
	{ OP(KVM_GET_DEVICE_ATTR), KVM | VCPU, device_attr },
	{ OP(KVM_HAS_DEVICE_ATTR), KVM | VCPU, device_attr },

	{ OP(KVM_RUN), VCPU, no_argument, 0, true },
	{ OP(KVM_GET_REGS), VCPU },
	{ OP(KVM_SET_REGS), VCPU, NULL, KVM_GET_REGS },
	{ OP(KVM_GET_SREGS), VCPU },
	{ OP(KVM_SET_SREGS), VCPU, NULL, KVM_GET_SREGS },
	{ OP(KVM_TRANSLATE), VCPU, translate },
	{ OP(KVM_INTERRUPT), VCPU, interrupt },
	{ OP(KVM_GET_MSRS), KVM | VCPU, msrs },
	{ OP(KVM_SET_MSRS), VCPU, msrs },
	{ OP(KVM_SET_CPUID), VCPU, set_cpuid },
	{ OP(KVM_SET_SIGNAL_MASK), VCPU, signal_mask },
	{ OP(KVM_GET_FPU), VCPU },
	{ OP(KVM_SET_FPU), VCPU, NULL, KVM_GET_FPU },
	{ OP(KVM_GET_LAPIC), VCPU },
	{ OP(KVM_SET_LAPIC), VCPU, NULL, KVM_GET_LAPIC },
	{ OP(KVM_SET_CPUID2), VCPU, set_cpuid2 },
	{ OP(KVM_GET_CPUID2), VCPU, cpuid_room },
	{ OP(KVM_TPR_ACCESS_REPORTING), VCPU, tpr_access },
	{ OP(KVM_SET_VAPIC_ADDR), VCPU, vapic_page },
	{ OP(KVM_GET_MP_STATE), VCPU },
	{ OP(KVM_SET_MP_STATE), VCPU, mp_state },
	{ OP(KVM_NMI), VCPU, no_argument },
	{ OP(KVM_SET_GUEST_DEBUG), VCPU, guest_debug },
	{ OP(KVM_X86_SETUP_MCE), VCPU, mce_setup },
	{ OP(KVM_X86_SET_MCE), VCPU, mce },
	{ OP(KVM_GET_VCPU_EVENTS), VCPU },
	{ OP(KVM_SET_VCPU_EVENTS), VCPU, events, KVM_GET_VCPU_EVENTS },
	{ OP(KVM_GET_DEBUGREGS), VCPU },
	{ OP(KVM_SET_DEBUGREGS), VCPU, NULL, KVM_GET_DEBUGREGS },
	{ OP(KVM_ENABLE_CAP), VM | VCPU, enable_cap },
	{ OP(KVM_GET_XSAVE), VCPU },
	{ OP(KVM_SET_XSAVE), VCPU, NULL, KVM_GET_XSAVE },
	{ OP(KVM_GET_XCRS), VCPU },
	{ OP(KVM_SET_XCRS), VCPU, xcrs, KVM_GET_XCRS },
	{ OP(KVM_KVMCLOCK_CTRL), VCPU, no_argument },
	{ OP(KVM_GET_SREGS2), VCPU },
	{ OP(KVM_SET_SREGS2), VCPU, NULL, KVM_GET_SREGS2 },
	{ OP(KVM_GET_XSAVE2), VCPU },
	{ NULL },
};
