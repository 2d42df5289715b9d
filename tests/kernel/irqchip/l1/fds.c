// SPDX-License-Identifier: GPL-2.0-only
/* Routes, irqfds, ioeventfds and coalesced zones. */
#include "cases.h"

#include <poll.h>
#include <sys/mman.h>

#define LAPIC_ON	{ WRITE32, LAPIC(0xf0), 0x1ff }

static int event(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void signal_event(int fd)
{
	uint64_t one = 1;

	CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 10000) == 1;
}

/* ---- routes ---- */

void routes(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1), *none = vm_new(CHIPS_NONE, 1);
	struct kvm_irq_routing_entry good[] = {
		route_pin(0, 0, 0), route_pin(0, 2, 2), route_pin(9, 1, 1),
		route_pin(9, 2, 9), route_msi(4095, 0xfee00000, 0x30),
	};
	struct kvm_irq_routing_entry bad;
	int i;

	CHECK(vm_route(vm, good, 5) == 0);
	CHECK(vm_route(vm, NULL, 0) == 0);
	CHECK(vm_route(none, good, 1) == -EINVAL);
	bad = route_pin(1, 0, 8);			/* no such pin */
	CHECK(vm_route(vm, &bad, 1) == -EINVAL);
	bad = route_pin(1, 2, 24);
	CHECK(vm_route(vm, &bad, 1) == -EINVAL);
	bad = route_pin(1, 3, 0);			/* no such chip */
	CHECK(vm_route(vm, &bad, 1) == -EINVAL);
	bad = route_pin(4096, 2, 1);			/* no such GSI */
	CHECK(vm_route(vm, &bad, 1) == -EINVAL);
	bad = route_pin(1, 2, 1);
	bad.flags = 4;
	CHECK(vm_route(vm, &bad, 1) == -EINVAL);
	bad.flags = 0;
	bad.type = 77;
	CHECK(vm_route(vm, &bad, 1) == -EINVAL);
	good[1] = good[0];				/* one chip twice */
	CHECK(vm_route(vm, good, 2) == -EINVAL);
	good[0] = route_msi(0, 0xfee00000, 0x30);	/* a message and a pin */
	CHECK(vm_route(vm, good, 2) == -EINVAL);
	/* Hundreds a boot: must be cheap. */
	good[0] = route_pin(0, 0, 0);
	double start = seconds();

	for (i = 0; i < 1000; i++)
		CHECK(vm_route(vm, good, 1) == 0);
	printf("note 1000 KVM_SET_GSI_ROUTING took %.3f s\n",
	       seconds() - start);
	CHECK(seconds() - start < 10);
	vm_free(vm);
	vm_free(none);
}

/* ---- irqfd ---- */

void irqfd_message(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	struct kvm_irq_routing_entry route = route_msi(30, 0xfee00000, 0x81);
	struct kvm_irq_routing_entry moved = route_msi(30, 0xfee00000, 0x82);
	int fd = event(), other = event();

	vm_eoi(vm, 0x81, EOI_LAPIC);
	vm_eoi(vm, 0x82, EOI_LAPIC);
	RUN(vm, LAPIC_ON);
	CHECK(vm_route(vm, &route, 1) == 0);
	CHECK(vm_irqfd(vm, fd, 30, 0, 0) == 0);
	CHECK(vm_irqfd(vm, fd, 30, 0, 0) == -EBUSY);
	signal_event(fd);
	RUN(vm, { WAIT, COUNTS + 0x81 * 4, 1 });
	CHECK(drain(fd) == 0);				/* consumed */
	CHECK(vm_route(vm, &moved, 1) == 0);		/* followed at once */
	signal_event(fd);
	RUN(vm, { WAIT, COUNTS + 0x82 * 4, 1 });
	CHECK(vm_count(vm, 0x81) == 1 && vm_count(vm, 0x82) == 1);
	CHECK(vm_irqfd(vm, fd, 30, KVM_IRQFD_FLAG_DEASSIGN, 0) == 0);
	signal_event(fd);
	CHECK(drain(fd) == 1);				/* nobody took it */
	/* One signalled before it is assigned counts. */
	signal_event(other);
	CHECK(vm_irqfd(vm, other, 30, 0, 0) == 0);
	RUN(vm, { WAIT, COUNTS + 0x82 * 4, 2 });
	close(other);		/* ends it: the kernel holds no file */
	close(fd);
	vm_free(vm);
}

void irqfd_line(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	int fd = event();

	vm_eoi(vm, 0x60, EOI_LAPIC);
	RUN(vm, LAPIC_ON, { OUT8, 0x21, 0xff }, { OUT8, 0xa1, 0xff },
	    { WRITE32, IOREGSEL, 0x22 }, { WRITE32, IOWIN, 0x60 });
	CHECK(vm_irqfd(vm, fd, 9, 0, 0) == 0);
	signal_event(fd);
	RUN(vm, { WAIT, COUNTS + 0x60 * 4, 1 });
	signal_event(fd);
	RUN(vm, { WAIT, COUNTS + 0x60 * 4, 2 });
	CHECK(vm_count(vm, 0x60) == 2);
	close(fd);
	vm_free(vm);
}

void irqfd_resample(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	int fd = event(), resample = event(), fd2 = event(), re2 = event();

	vm_eoi(vm, 0x61, EOI_LAPIC);
	RUN(vm, LAPIC_ON, { OUT8, 0x21, 0xff }, { OUT8, 0xa1, 0xff },
	    { WRITE32, IOREGSEL, 0x24 }, { WRITE32, IOWIN, 0x8061 });
	CHECK(vm_irqfd(vm, fd, 10, KVM_IRQFD_FLAG_RESAMPLE, resample) == 0);
	CHECK(vm_irqfd(vm, fd2, 10, KVM_IRQFD_FLAG_RESAMPLE, re2) == 0);
	signal_event(fd);
	RUN(vm, { WAIT, COUNTS + 0x61 * 4, 1 }, { STI }, { CLI });
	/* The EOI lowered the line and told everyone on it. */
	CHECK(readable(resample) && drain(resample) == 1);
	CHECK(readable(re2) && drain(re2) == 1);
	CHECK(vm_count(vm, 0x61) == 1);
	signal_event(fd2);
	RUN(vm, { WAIT, COUNTS + 0x61 * 4, 2 });
	CHECK(readable(resample) && drain(resample) == 1);
	CHECK(vm_irqfd(vm, fd, 10, KVM_IRQFD_FLAG_DEASSIGN, 0) == 0);
	signal_event(fd2);
	RUN(vm, { WAIT, COUNTS + 0x61 * 4, 3 });
	CHECK(readable(re2));
	close(fd);
	close(resample);
	close(fd2);
	close(re2);
	vm_free(vm);
}

void irqfd_bad_arguments(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1), *none = vm_new(CHIPS_NONE, 1);
	struct vm *split = vm_new(CHIPS_SPLIT, 1);
	int fd = event(), pipefd[2];

	CHECK(pipe(pipefd) == 0);
	CHECK(vm_irqfd(vm, -1, 5, 0, 0) == -EBADF);
	CHECK(vm_irqfd(vm, pipefd[0], 5, 0, 0) == -EINVAL);
	CHECK(vm_irqfd(vm, fd, 5, 8, 0) == -EINVAL);
	CHECK(vm_irqfd(vm, fd, 5, KVM_IRQFD_FLAG_RESAMPLE, -1) == -EBADF);
	CHECK(vm_irqfd(vm, fd, 5, KVM_IRQFD_FLAG_DEASSIGN, 0) == 0);
	CHECK(vm_irqfd(none, fd, 5, 0, 0) == -EINVAL);
	CHECK(vm_irqfd(split, fd, 5, KVM_IRQFD_FLAG_RESAMPLE, fd) == -EINVAL);
	CHECK(vm_irqfd(split, fd, 5, 0, 0) == 0);
	close(fd);
	close(pipefd[0]);
	close(pipefd[1]);
	vm_free(vm);
	vm_free(none);
	vm_free(split);
}

/* ---- ioeventfd ---- */

static int ioevent(struct vm *vm, int fd, uint64_t addr, uint32_t len,
		   uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd args = { .fd = fd, .addr = addr, .len = len,
				      .flags = flags, .datamatch = match };

	return try_ioctl(vm->fd, KVM_IOEVENTFD, &args);
}

#define PIO	KVM_IOEVENTFD_FLAG_PIO
#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define REMOVE	KVM_IOEVENTFD_FLAG_DEASSIGN

void ioeventfd_forms(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	int port = event(), match7 = event(), match9 = event(), any = event();
	const uint32_t at = 0x40000000;

	CHECK(ioevent(vm, port, 0x500, 2, PIO, 0) == 0);
	CHECK(ioevent(vm, match7, at, 4, MATCH, 7) == 0);
	CHECK(ioevent(vm, match9, at, 4, MATCH, 9) == 0);
	CHECK(ioevent(vm, any, at + 16, 0, 0, 0) == 0);
	RUN(vm, { OUT16, 0x500, 1 }, { OUT16, 0x500, 2 }, { OUT8, 0x500, 3 },
	    { WRITE32, at, 7 }, { WRITE32, at, 9 }, { WRITE32, at, 9 },
	    { WRITE32, at, 8 }, { WRITE16, at, 7 }, { WRITE32, at + 4, 7 },
	    { WRITE8, at + 16, 1 }, { WRITE16, at + 16, 2 },
	    { WRITE32, at + 16, 3 });
	CHECK(drain(port) == 2 && drain(match7) == 1 && drain(match9) == 2);
	CHECK(drain(any) == 3);
	/* What matched none went to user space, in order. */
	CHECK(vm->nseen == 4);
	CHECK(!vm->seen[0].mmio && vm->seen[0].addr == 0x500 &&
	      vm->seen[0].value == 3);
	CHECK(vm->seen[1].addr == at && vm->seen[1].value == 8);
	CHECK(vm->seen[2].addr == at && vm->seen[2].len == 2);
	CHECK(vm->seen[3].addr == at + 4);
	CHECK(ioevent(vm, match7, at, 4, MATCH | REMOVE, 7) == 0);
	CHECK(ioevent(vm, match7, at, 4, MATCH | REMOVE, 7) == -ENOENT);
	RUN(vm, { WRITE32, at, 7 }, { WRITE32, at, 9 });
	CHECK(drain(match7) == 0 && drain(match9) == 1 && vm->nseen == 5);
	close(port);
	close(match7);
	close(match9);
	close(any);
	vm_free(vm);
}

void ioeventfd_bad_arguments(void)
{
	struct vm *vm = vm_new(CHIPS_NONE, 1);
	int fd = event();

	CHECK(ioevent(vm, fd, 0x500, 3, PIO, 0) == -EINVAL);
	CHECK(ioevent(vm, fd, 0x500, 16, PIO, 0) == -EINVAL);
	CHECK(ioevent(vm, fd, 0x500, 0, PIO | MATCH, 0) == -EINVAL);
	CHECK(ioevent(vm, fd, ~0ULL, 4, 0, 0) == -EINVAL);
	CHECK(ioevent(vm, fd, 0x500, 2, 1 << 20, 0) == -EINVAL);
	CHECK(ioevent(vm, -1, 0x500, 2, PIO, 0) == -EBADF);
	CHECK(ioevent(vm, fd, 0x500, 2, PIO, 0) == 0);
	CHECK(ioevent(vm, fd, 0x500, 2, PIO, 0) == -EEXIST);
	CHECK(ioevent(vm, fd, 0x500, 2, PIO | MATCH, 5) == -EEXIST);
	CHECK(ioevent(vm, fd, 0x500, 4, PIO, 0) == 0);
	CHECK(ioevent(vm, fd, 0x500, 2, 0, 0) == 0);	/* memory, not port */
	CHECK(ioevent(vm, fd, 0x600, 2, PIO | REMOVE, 0) == -ENOENT);
	close(fd);
	vm_free(vm);
}

/* ---- coalesced zones ---- */

#define RING_ENTRIES	((4096 - 8) / sizeof(struct kvm_coalesced_mmio))

static struct kvm_coalesced_mmio_ring *ring_of(struct vm *vm)
{
	return (void *)((uint8_t *)vm->cpu[0].run +
			KVM_COALESCED_MMIO_PAGE_OFFSET * 4096);
}

static int zone(struct vm *vm, unsigned long request, uint64_t addr,
		uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone z = { .addr = addr, .size = size,
					     .pio = pio };

	return try_ioctl(vm->fd, request, &z);
}

void coalesced_writes(void)
{
	struct vm *vm = vm_new(CHIPS_NONE, 1);
	struct kvm_coalesced_mmio_ring *ring = ring_of(vm);
	const uint32_t at = 0x50000000;

	CHECK(zone(vm, KVM_REGISTER_COALESCED_MMIO, at, 0x800, 0) == 0);
	CHECK(zone(vm, KVM_REGISTER_COALESCED_MMIO, 0x700, 4, 1) == 0);
	CHECK(zone(vm, KVM_REGISTER_COALESCED_MMIO, 0, 4, 2) == -EINVAL);
	RUN(vm, { WRITE32, at, 0x11111111 }, { WRITE8, at + 0x7ff, 0x22 },
	    { OUT16, 0x702, 0x3333 }, { WRITE32, at + 0x7fe, 4 },
	    { OUT32, 0x702, 5 }, { WRITE32, at + 0x800, 6 });
	CHECK(ring->first == 0 && ring->last == 3);
	CHECK(ring->coalesced_mmio[0].phys_addr == at &&
	      ring->coalesced_mmio[0].len == 4 &&
	      !memcmp(ring->coalesced_mmio[0].data, "\x11\x11\x11\x11", 4));
	CHECK(ring->coalesced_mmio[1].phys_addr == at + 0x7ff &&
	      ring->coalesced_mmio[1].len == 1);
	CHECK(ring->coalesced_mmio[2].phys_addr == 0x702 &&
	      ring->coalesced_mmio[2].pio == 1);
	CHECK(vm->nseen == 3);		/* what reaches out of its zone */
	vm->nseen = 0;
	CHECK(zone(vm, KVM_UNREGISTER_COALESCED_MMIO, at, 0x800, 0) == 0);
	RUN(vm, { WRITE32, at, 6 });
	CHECK(vm->nseen == 1 && ring->last == 3);
	vm_free(vm);
}

/* One slot of the ring stays empty, wherever the end is. */
void coalesced_ring_full(void)
{
	struct vm *vm = vm_new(CHIPS_NONE, 1);
	struct kvm_coalesced_mmio_ring *ring = ring_of(vm);
	const uint32_t at = 0x50000000;

	CHECK(zone(vm, KVM_REGISTER_COALESCED_MMIO, at, 0x800, 0) == 0);
	ring->last = RING_ENTRIES - 2;
	RUN(vm, { WRITE32, at, 3 }, { WRITE32, at, 4 });
	CHECK(vm->nseen == 1 && vm->seen[0].value == 4 &&
	      ring->last == RING_ENTRIES - 1);
	ring->first = 5;
	RUN(vm, { WRITE32, at, 5 });
	CHECK(vm->nseen == 1 && ring->last == 0);
	vm_free(vm);
}

/* Indices that make no sense: user space handles the write itself. */
void coalesced_hostile_ring(void)
{
	struct vm *vm = vm_new(CHIPS_NONE, 1);
	struct kvm_coalesced_mmio_ring *ring = ring_of(vm);
	const uint32_t at = 0x50000000;

	CHECK(zone(vm, KVM_REGISTER_COALESCED_MMIO, at, 0x800, 0) == 0);
	ring->first = 0xffffffff;
	RUN(vm, { WRITE32, at, 1 });
	ring->first = 0;
	ring->last = RING_ENTRIES + 5;
	RUN(vm, { WRITE32, at, 2 });
	CHECK(vm->nseen == 2 && ring->last == RING_ENTRIES + 5);
	vm_free(vm);
}

void coalesced_limit(void)
{
	struct vm *vm = vm_new(CHIPS_NONE, 1);
	int i, ret = 0;

	for (i = 0; i < 2000 && !ret; i++)
		ret = zone(vm, KVM_REGISTER_COALESCED_MMIO,
			   0x50000000 + i * 0x1000ULL, 0x1000, 0);
	CHECK(ret == -ENOSPC && i == 1001);
	vm_free(vm);
}

/* ---- everything at once ---- */

struct noise {
	struct vm *vm;
	int kind;
	volatile bool stop;
	pthread_t thread;
};

static void make_noise(struct vm *vm, int kind, unsigned i)
{
	struct kvm_irq_routing_entry r[] = {
		route_pin(10, 2, 10), route_msi(30, 0xfee00000, 0x81 + i % 2),
	};
	int fd;

	switch (kind) {
	case 0:
		CHECK(vm_route(vm, r, 2) == 0);
		break;
	case 1:
		fd = event();
		CHECK(vm_irqfd(vm, fd, i % 2 ? 30 : 10, 0, 0) == 0);
		signal_event(fd);
		if (i % 3)
			vm_irqfd(vm, fd, i % 2 ? 30 : 10,
				 KVM_IRQFD_FLAG_DEASSIGN, 0);
		close(fd);
		break;
	case 2:
		vm_line(vm, 10, i & 1);
		break;
	case 3:
		fd = event();
		CHECK(ioevent(vm, fd, 0x500, 2, PIO, 0) == 0);
		CHECK(ioevent(vm, fd, 0x500, 2, PIO | REMOVE, 0) == 0);
		close(fd);
		break;
	}
}

static void *noise_main(void *arg)
{
	struct noise *n = arg;
	unsigned i;

	for (i = 0; !n->stop; i++)
		make_noise(n->vm, n->kind, i);
	return NULL;
}

/* Everything changes while two vCPUs take interrupts from everywhere. */
void storm_of_changes(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 2);
	struct instruction loop[] = {
		LAPIC_ON, { WRITE32, IOREGSEL, 0x24 }, { WRITE32, IOWIN, 0x8061 },
		{ WRITE32, LAPIC(0x300), 0xc4500 },
		{ WRITE32, LAPIC(0x300), 0xc4608 }, { STI },
		/* the loop: IPIs, EOIs, a new LDR, the IOAPIC, ports */
		{ WRITE32, LAPIC(0x300), 0x44090 },
		{ WRITE32, LAPIC(0x300), 0xc4400 },
		{ WRITE32, LAPIC(0xd0), 0x01000000 },
		{ WRITE32, LAPIC(0xd0), 0x02000000 },
		{ WRITE32, IOREGSEL, 0x24 }, { WRITE32, IOWIN, 0x18061 },
		{ WRITE32, IOREGSEL, 0x24 }, { WRITE32, IOWIN, 0x8061 },
		{ OUT16, 0x500, 1 }, { OUT8, 0x43, 0x34 }, { OUT8, 0x40, 1 },
		{ OUT8, 0x40, 0 }, { READ32, COUNTS + 4 * 0x90, RESULT },
		{ JUMP, SCRIPT + 6 * 16 },
	};
	struct noise noise[4];
	struct kvm_irqchip chip = { .chip_id = 2 };
	uint32_t ivt = AP_CODE + 0x20;
	int i;

	memcpy(vm->memory + 2 * 4, &ivt, 4);	/* the other one's NMI */
	for (i = 0x20; i < 0x100; i++)
		vm_eoi(vm, i, EOI_LAPIC);
	vm_script(vm, loop, sizeof(loop) / sizeof(loop[0]));
	vcpu_start(&vm->cpu[0]);
	vcpu_start(&vm->cpu[1]);
	for (i = 0; i < 4; i++) {
		noise[i] = (struct noise) { .vm = vm, .kind = i };
		pthread_create(&noise[i].thread, NULL, noise_main, &noise[i]);
	}
	for (i = 0; i < 40; i++) {
		usleep(50000);
		CALL(vm->fd, KVM_GET_IRQCHIP, &chip);
		CALL(vm->fd, KVM_SET_IRQCHIP, &chip);
	}
	for (i = 0; i < 4; i++)
		noise[i].stop = true;
	for (i = 0; i < 4; i++)
		pthread_join(noise[i].thread, NULL);
	CHECK(vm_count(vm, 0x90) > 10);
	CHECK((vm_word(vm, 0x504) & 0xffff) > 10);
	CHECK(vm_count(vm, 0x81) + vm_count(vm, 0x82) > 10);
	vm_free(vm);
}
