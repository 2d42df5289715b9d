// SPDX-License-Identifier: GPL-2.0-only
/* The chips seen by a guest: timers, lines, messages, other processors. */
#include "cases.h"

/* 8259 pair at 20h and 28h, only the given master inputs open */
#define PIC_INIT(mask)							\
	{ OUT8, 0x20, 0x11 }, { OUT8, 0x21, 0x20 }, { OUT8, 0x21, 4 },	\
	{ OUT8, 0x21, 1 }, { OUT8, 0xa0, 0x11 }, { OUT8, 0xa1, 0x28 },	\
	{ OUT8, 0xa1, 2 }, { OUT8, 0xa1, 1 }, { OUT8, 0xa1, 0xff },	\
	{ OUT8, 0x21, (uint8_t)~(mask) }
#define LAPIC_ON	{ WRITE32, LAPIC(0xf0), 0x1ff }
#define IOAPIC_ENTRY(pin, low)						\
	{ WRITE32, IOREGSEL, 0x11 + 2 * (pin) }, { WRITE32, IOWIN, 0 },	\
	{ WRITE32, IOREGSEL, 0x10 + 2 * (pin) }, { WRITE32, IOWIN, (low) }

/* 50 ticks of 1 ms through the PIC, in HLT */
void pit_ticks_through_pic(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	double start = seconds(), took;

	vm_eoi(vm, 0x20, EOI_MASTER);
	RUN(vm, PIC_INIT(1), { OUT8, 0x43, 0x34 }, { OUT8, 0x40, 0xa9 },
	    { OUT8, 0x40, 0x04 }, { WAIT, COUNTS + 0x20 * 4, 50 });
	took = seconds() - start;
	CHECK(vm_count(vm, 0x20) >= 50);
	CHECK(took > 0.040 && took < 20);
	vm_free(vm);
}

/* Ticks that the guest was too slow for come later, none is lost. */
void pit_reinjects(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	vm_eoi(vm, 0x20, EOI_MASTER);
	/* Interrupts off for 100 ms by channel 2, at 1 kHz. */
	RUN(vm, PIC_INIT(1), { OUT8, 0x43, 0x34 }, { OUT8, 0x40, 0xa9 },
	    { OUT8, 0x40, 0x04 },
	    { OUT8, 0x61, 1 }, { OUT8, 0x43, 0xb0 }, { OUT8, 0x42, 0xff },
	    { OUT8, 0x42, 0xff }, { INWAIT, 0x61, 0x20, 0x20 },
	    { OUT8, 0x43, 0x30 },		/* stop: no new ticks */
	    { STI }, { CLI });
	CHECK(vm_count(vm, 0x20) >= 1);
	vm_free(vm);
}

void pit_one_shot(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	vm_eoi(vm, 0x20, EOI_MASTER);
	RUN(vm, PIC_INIT(1), { OUT8, 0x43, 0x30 }, { OUT8, 0x40, 0xa9 },
	    { OUT8, 0x40, 0x04 }, { WAIT, COUNTS + 0x20 * 4, 1 },
	    { OUT8, 0x61, 1 }, { OUT8, 0x43, 0xb0 }, { OUT8, 0x42, 0xff },
	    { OUT8, 0x42, 0x7f }, { STI }, { INWAIT, 0x61, 0x20, 0x20 });
	CHECK(vm_count(vm, 0x20) == 1);
	vm_free(vm);
}

/* As kvmtool starts: LINT0 opened by SET_LAPIC, the guest never touches it. */
void pic_through_lint0_of_user_space(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	struct kvm_lapic_state lapic;
	uint32_t extint = 0x700, closed = 0x10700;

	vm_eoi(vm, 0x23, EOI_MASTER);
	CALL(vm->cpu[0].fd, KVM_GET_LAPIC, &lapic);
	memcpy(lapic.regs + 0x350, &closed, 4);
	CALL(vm->cpu[0].fd, KVM_SET_LAPIC, &lapic);
	RUN(vm, PIC_INIT(1 << 3));
	vm_line(vm, 3, 1);
	RUN(vm, { STI }, { CLI });
	CHECK(vm_count(vm, 0x23) == 0);
	memcpy(lapic.regs + 0x350, &extint, 4);
	CALL(vm->cpu[0].fd, KVM_SET_LAPIC, &lapic);
	RUN(vm, { WAIT, COUNTS + 0x23 * 4, 1 });
	CHECK(vm_count(vm, 0x23) == 1);
	vm_free(vm);
}

void lapic_timer(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	vm_eoi(vm, 0x40, EOI_LAPIC);
	vm_eoi(vm, 0x41, EOI_LAPIC);
	vm_eoi(vm, 0x42, EOI_LAPIC);
	/* one-shot, 1 ms */
	RUN(vm, LAPIC_ON, { WRITE32, LAPIC(0x3e0), 0xb },
	    { WRITE32, LAPIC(0x320), 0x40 }, { WRITE32, LAPIC(0x380), 1000000 },
	    { WAIT, COUNTS + 0x40 * 4, 1 },
	    { READ32, LAPIC(0x390), RESULT });
	CHECK(vm_count(vm, 0x40) == 1 && vm_word(vm, RESULT) == 0);
	/* periodic, 1 ms */
	RUN(vm, { WRITE32, LAPIC(0x320), 0x20041 },
	    { WRITE32, LAPIC(0x380), 1000000 }, { WAIT, COUNTS + 0x41 * 4, 20 },
	    { WRITE32, LAPIC(0x380), 0 });
	CHECK(vm_count(vm, 0x41) >= 20 && vm_count(vm, 0x40) == 1);
	/* TSC deadline */
	RUN(vm, { WRITE32, LAPIC(0x320), 0x40042 }, { DEADLINE, 2000000 },
	    { WAIT, COUNTS + 0x42 * 4, 1 }, { RDMSR, 0x6e0, RESULT },
	    { DEADLINE, 1 }, { WAIT, COUNTS + 0x42 * 4, 2 });
	CHECK(vm_count(vm, 0x42) == 2 && vm_word(vm, RESULT) == 0);
	vm_free(vm);
}

/*
 * One-shot and periodic differ in what comes after 0 alone. The period is long,
 * so that the change comes before its end on a busy host, too.
 */
void lapic_timer_changes_mode(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	uint32_t left, period = 500000000;

	vm_eoi(vm, 0x40, EOI_LAPIC);
	RUN(vm, LAPIC_ON, { WRITE32, LAPIC(0x3e0), 0xb },
	    { WRITE32, LAPIC(0x320), 0x40 }, { WRITE32, LAPIC(0x380), period });
	usleep(110000);
	RUN(vm, { WRITE32, LAPIC(0x320), 0x20040 },
	    { READ32, LAPIC(0x390), RESULT },
	    { READ32, LAPIC(0x380), RESULT + 4 },
	    { WAIT, COUNTS + 0x40 * 4, 2 });
	left = vm_word(vm, RESULT);
	CHECK(left < period * 4 / 5 && vm_word(vm, RESULT + 4) == period);
	/* The last shot; it does not start again as a period would. */
	RUN(vm, { WRITE32, LAPIC(0x320), 0x40 });
	usleep(700000);
	RUN(vm, { STI }, { CLI }, { READ32, COUNTS + 0x40 * 4, RESULT },
	    { READ32, LAPIC(0x390), RESULT + 4 },
	    { WRITE32, LAPIC(0x320), 0x20040 },
	    { READ32, LAPIC(0x390), RESULT + 8 });
	CHECK(vm_word(vm, RESULT) >= 2);
	CHECK(vm_word(vm, RESULT + 4) == 0 && vm_word(vm, RESULT + 8) == 0);
	usleep(700000);
	RUN(vm, { STI }, { CLI });
	CHECK(vm_count(vm, 0x40) == vm_word(vm, RESULT));
	vm_free(vm);
}

/* Nothing is ever late here; but who asks for asynchronous faults may. */
void async_page_faults_asked_for(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} reserved = { { .nmsrs = 1 }, { 0x4b564d02, 0, RESULT | 0x11 } };

	RUN(vm, { WRMSR, 0x4b564d02, (RESULT + 64) | 3 },
	    { RDMSR, 0x4b564d02, RESULT });
	CHECK(vm_word(vm, RESULT) == ((RESULT + 64) | 3));
	CHECK(try_ioctl(vm->cpu[0].fd, KVM_SET_MSRS, &reserved) == 0);
	RUN(vm, { WRMSR, 0x4b564d02, 0 });
	vm_free(vm);
}

void priorities_hold_interrupts(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	vm_eoi(vm, 0x50, EOI_LAPIC);
	vm_eoi(vm, 0x90, EOI_LAPIC);
	/* Self IPIs 50h and 90h under TPR 60h: only 90h until it is lowered. */
	RUN(vm, LAPIC_ON, { WRITE32, LAPIC(0x80), 0x60 },
	    { WRITE32, LAPIC(0x300), 0x44050 },
	    { WRITE32, LAPIC(0x300), 0x44090 }, { STI },
	    { READ32, COUNTS + 0x50 * 4, RESULT }, { CLI },
	    { READ32, LAPIC(0x220), RESULT + 4 },
	    { WRITE32, LAPIC(0x80), 0 }, { STI }, { CLI });
	CHECK(vm_word(vm, RESULT) == 0 && vm_word(vm, RESULT + 4) == 1 << 16);
	CHECK(vm_count(vm, 0x50) == 1 && vm_count(vm, 0x90) == 1);
	CHECK(vm_log(vm, 0) == 0x90 && vm_log(vm, 1) == 0x50);
	vm_free(vm);
}

void x2apic_registers(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	vm_eoi(vm, 0x55, EOI_X2APIC);
	RUN(vm, { WRMSR, 0x1b, 0xfee00d00, 0 }, { WRMSR, 0x80f, 0x1ff, 0 },
	    { WRMSR, 0x83f, 0x55, 0 }, { WAIT, COUNTS + 0x55 * 4, 1 },
	    { RDMSR, 0x802, RESULT }, { RDMSR, 0x80d, RESULT + 8 },
	    { WRMSR, 0x830, 0x44055, 0 }, { WAIT, COUNTS + 0x55 * 4, 2 },
	    { READ32, LAPIC(0x30), RESULT + 16 });
	CHECK(vm_count(vm, 0x55) == 2);
	CHECK(vm_word(vm, RESULT) == 0 && vm_word(vm, RESULT + 8) == 1);
	CHECK(vm_word(vm, RESULT + 16) == 0xffffffff);	/* the hole */
	vm_free(vm);
}

static void lower_line_10(struct vm *vm)
{
	vm_line(vm, 10, 0);
}

void ioapic_edge_and_level(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	vm_eoi(vm, 0x60, EOI_LAPIC);
	vm_eoi(vm, 0x61, EOI_ASK);
	vm->asked = lower_line_10;
	RUN(vm, PIC_INIT(0), LAPIC_ON, IOAPIC_ENTRY(9, 0x60),
	    IOAPIC_ENTRY(10, 0x8061));
	CHECK(vm_line(vm, 9, 1) > 0);
	CHECK(vm_line(vm, 9, 1) == 0);
	vm_line(vm, 9, 0);
	RUN(vm, { WAIT, COUNTS + 0x60 * 4, 1 }, { STI }, { CLI });
	CHECK(vm_count(vm, 0x60) == 1);
	CHECK(vm_line(vm, 10, 1) > 0);
	RUN(vm, { WAIT, COUNTS + 0x61 * 4, 1 }, { STI }, { CLI },
	    { WRITE32, IOREGSEL, 0x24 }, { READ32, IOWIN, RESULT });
	CHECK(vm_count(vm, 0x61) == 1);
	CHECK(vm_word(vm, RESULT) == 0x8061);
	vm_free(vm);
}

/* A level that stays comes again after each EOI, and may not hang the host. */
void ioapic_level_storm(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	vm_eoi(vm, 0x61, EOI_LAPIC);
	RUN(vm, PIC_INIT(0), LAPIC_ON, IOAPIC_ENTRY(10, 0x8061));
	vm_line(vm, 10, 1);
	RUN(vm, { WAIT, COUNTS + 0x61 * 4, 1000 });
	CHECK(vm_count(vm, 0x61) >= 1000);
	vm_line(vm, 10, 0);
	vm_free(vm);
}

void messages(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x71 };
	struct kvm_msi nobody = { .address_lo = 0xfee42000, .data = 0x71 };
	struct kvm_msi flags = { .address_lo = 0xfee00000, .flags = 2 };

	vm_eoi(vm, 0x71, EOI_LAPIC);
	RUN(vm, LAPIC_ON);
	CHECK(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) == 1);
	CHECK(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &nobody) == 0);
	CHECK(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &flags) == -EINVAL);
	RUN(vm, { WAIT, COUNTS + 0x71 * 4, 1 });
	CHECK(vm_count(vm, 0x71) == 1);
	vm_free(vm);
}

static void settle(struct vm *vm, uint32_t addr, uint32_t want)
{
	double end = seconds() + 20;

	while ((vm_word(vm, addr) & 0xffff) < want && seconds() < end)
		usleep(1000);
}

void init_sipi_and_ipi(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 3);
	struct kvm_mp_state mp;
	uint32_t ivt = AP_CODE + 0x20;
	int i;

	memcpy(vm->memory + 0x40 * 4, &ivt, 4);		/* IVT: 0:8020h */
	for (i = 1; i < 3; i++) {
		CALL(vm->cpu[i].fd, KVM_GET_MP_STATE, &mp);
		CHECK(mp.mp_state == KVM_MP_STATE_UNINITIALIZED);
		vcpu_start(&vm->cpu[i]);
	}
	RUN(vm, LAPIC_ON, { WRITE32, LAPIC(0x300), 0xc4500 },
	    { WRITE32, LAPIC(0x300), 0xc4608 });
	settle(vm, 0x500, 2);
	CHECK((vm_word(vm, 0x500) & 0xffff) == 2);
	/* Their local APICs are off after INIT: this one is not taken. */
	RUN(vm, { WRITE32, LAPIC(0x310), 1 << 24 },
	    { WRITE32, LAPIC(0x300), 0x4040 });
	usleep(20000);
	CHECK((vm_word(vm, 0x504) & 0xffff) == 0);
	/* NMI does not ask: vector 2 of the IVT. */
	memcpy(vm->memory + 2 * 4, &ivt, 4);
	RUN(vm, { WRITE32, LAPIC(0x310), 2 << 24 },
	    { WRITE32, LAPIC(0x300), 0x4400 });
	settle(vm, 0x504, 1);
	CHECK((vm_word(vm, 0x504) & 0xffff) == 1);
	/* A second INIT and SIPI start them over. */
	RUN(vm, { WRITE32, LAPIC(0x300), 0xc4500 },
	    { WRITE32, LAPIC(0x300), 0xc4608 });
	settle(vm, 0x500, 4);
	CHECK((vm_word(vm, 0x500) & 0xffff) == 4);
	vm_free(vm);
}

/* KVM_HC_SEND_IPI in 32-bit mode; the result is left at RESULT. */
static int send_ipis(struct vm *vm, uint32_t low, uint32_t high, uint32_t min,
		     uint32_t icr)
{
	const uint32_t args[] = { low, high, min, icr };

	memcpy(vm->memory + RESULT + 16, args, sizeof(args));
	RUN(vm, { VMMCALL, 10, RESULT + 16, RESULT });
	return vm_word(vm, RESULT);
}

static uint32_t nmis_of(struct vcpu *v)
{
	struct kvm_vcpu_events ev;

	CALL(v->fd, KVM_GET_VCPU_EVENTS, &ev);
	return ev.nmi.pending;
}

static bool waits(struct vm *vm, int cpu, int vector)
{
	struct kvm_lapic_state lapic;
	uint32_t word;

	CALL(vm->cpu[cpu].fd, KVM_GET_LAPIC, &lapic);
	memcpy(&word, lapic.regs + 0x200 + vector / 32 * 16, 4);
	return word >> vector % 32 & 1;
}

/* The other vCPUs do not run: what was sent waits for them. */
void ipis_by_hypercall(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 4);
	struct kvm_lapic_state lapic;
	struct vcpu far = { .vm = vm };
	const uint32_t on = 0x1ff;
	int i;

	vm_eoi(vm, 0x51, EOI_LAPIC);
	RUN(vm, LAPIC_ON);
	for (i = 1; i < 4; i++) {
		CALL(vm->cpu[i].fd, KVM_GET_LAPIC, &lapic);
		memcpy(lapic.regs + 0xf0, &on, 4);
		CALL(vm->cpu[i].fd, KVM_SET_LAPIC, &lapic);
	}
	/* 1 and 3, counted from 1; nobody is at 34, nor above the last. */
	CHECK(send_ipis(vm, 1 | 1 << 2, 1 << 1, 1, 0x50) == 2);
	CHECK(waits(vm, 1, 0x50) && !waits(vm, 2, 0x50) && waits(vm, 3, 0x50));
	CHECK(send_ipis(vm, ~0u, ~0u, 0x7fffffff, 0x50) == 0);
	CHECK(send_ipis(vm, ~0u, ~0u, 0xfffffff0, 0x50) == 0);
	CHECK(!waits(vm, 2, 0x50));
	/* the second word begins at 32 */
	far.fd = ioctl(vm->fd, KVM_CREATE_VCPU, 35);
	CHECK(send_ipis(vm, 0, 1, 0, 0x50) == 0);
	CHECK(send_ipis(vm, 0, 1 << 3, 0, 0x400) == 1);
	CHECK(nmis_of(&far) == 1);
	close(far.fd);
	/* to itself, and an NMI */
	CHECK(send_ipis(vm, 1, 0, 0, 0x51) == 1);
	RUN(vm, { WAIT, COUNTS + 0x51 * 4, 1 });
	CHECK(send_ipis(vm, 1 << 2, 0, 0, 0x400) == 1);
	CHECK(nmis_of(&vm->cpu[1]) == 0 && nmis_of(&vm->cpu[2]) == 1);
	/* a shorthand, a logical destination */
	CHECK(send_ipis(vm, 2, 0, 0, 0x80052) == -EINVAL);
	CHECK(send_ipis(vm, 2, 0, 0, 0x852) == -EINVAL);
	CHECK(!waits(vm, 1, 0x52));
	vm_free(vm);
}

/* Logical destinations of messages, by what the guest wrote to its LDRs. */
void logical_destinations(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 4);
	struct kvm_msi flat = { .address_lo = 0xfee06004, .data = 0x71 };
	struct kvm_msi lowest = { .address_lo = 0xfee0600c, .data = 0x172 };
	struct kvm_msi all = { .address_lo = 0xfeeff000, .data = 0x73 };
	struct kvm_lapic_state lapic;
	uint32_t value;
	int i;

	for (i = 0; i < 4; i++) {
		CALL(vm->cpu[i].fd, KVM_GET_LAPIC, &lapic);
		value = 0x1ff;
		memcpy(lapic.regs + 0xf0, &value, 4);
		value = 1 << (24 + i);
		memcpy(lapic.regs + 0xd0, &value, 4);
		CALL(vm->cpu[i].fd, KVM_SET_LAPIC, &lapic);
	}
	CHECK(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &flat) == 2);
	CHECK(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &lowest) == 1);
	CHECK(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &all) == 4);
	for (i = 0; i < 4; i++) {
		CALL(vm->cpu[i].fd, KVM_GET_LAPIC, &lapic);
		memcpy(&value, lapic.regs + 0x230, 4);	/* IRR 60h..7fh */
		CHECK(!!(value & 1 << 0x11) == (i == 1 || i == 2));
		CHECK(value & 1 << 0x13);
		if (value & 1 << 0x12)
			CHECK(i == 1 || i == 2);
	}
	vm_free(vm);
}

/* The LAPIC page goes where the guest puts it, for this vCPU alone. */
void lapic_page_moves(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);

	RUN(vm, LAPIC_ON, { WRMSR, 0x1b, 0xd0000900, 0 },
	    { READ32, 0xd0000030, RESULT }, { WRITE32, LAPIC(0x80), 0x20 },
	    { READ32, 0xd0000080, RESULT + 4 });
	CHECK((vm_word(vm, RESULT) & 0xff) == 0x14);
	CHECK(vm_word(vm, RESULT + 4) == 0);
	CHECK(vm->nseen == 1 && vm->seen[0].addr == LAPIC(0x80));
	vm_free(vm);
}

/* Split: user space's IOAPIC hears of the EOI of a level message. */
void split_eoi_exit(void)
{
	struct vm *vm = vm_new(CHIPS_SPLIT, 1);
	struct kvm_irq_routing_entry routes[] = {
		route_msi(4, 0xfee00000, 0x72),
		route_msi(5, 0xfee00000, 0xc073),
		route_msi(6, 0xfee02004, 0xc074),	/* logical */
	};
	struct kvm_irq_routing_entry pin = route_pin(6, 2, 6);

	vm_eoi(vm, 0x72, EOI_LAPIC);
	vm_eoi(vm, 0x73, EOI_LAPIC);
	vm_eoi(vm, 0x74, EOI_LAPIC);
	RUN(vm, LAPIC_ON);
	CHECK(vm_route(vm, &pin, 1) == -EINVAL);
	CHECK(vm_route(vm, routes, 3) == 0);
	CHECK(vm_line(vm, 4, 1) == 1);
	CHECK(vm_line(vm, 5, 1) == 1);
	RUN(vm, { WAIT, COUNTS + 0x72 * 4, 1 }, { WAIT, COUNTS + 0x73 * 4, 1 });
	CHECK(vm->neoi == 1 && vm->eoi_exits[0] == 0x73);
	/* The guest becomes the destination of a route that is long there. */
	RUN(vm, { WRITE32, LAPIC(0xd0), 0x02000000 });
	CHECK(vm_line(vm, 6, 1) == 1);
	RUN(vm, { WAIT, COUNTS + 0x74 * 4, 1 });
	CHECK(vm->neoi == 2 && vm->eoi_exits[1] == 0x74);
	vm_free(vm);
}

/* Split: the PIC's vectors come by KVM_INTERRUPT, through LINT0. */
void split_external_interrupt(void)
{
	struct vm *vm = vm_new(CHIPS_SPLIT, 1);
	struct kvm_interrupt irq = { .irq = 0x33 };

	RUN(vm, LAPIC_ON, { WRITE32, LAPIC(0x350), 0x700 });
	CHECK(try_ioctl(vm->cpu[0].fd, KVM_INTERRUPT, &irq) == 0);
	CHECK(try_ioctl(vm->cpu[0].fd, KVM_INTERRUPT, &irq) == -EEXIST);
	RUN(vm, { WAIT, COUNTS + 0x33 * 4, 1 });
	CHECK(vm_count(vm, 0x33) == 1);
	vm_free(vm);
}

/* ---- state ---- */

static void round_trip_chip(struct vm *vm, uint32_t id)
{
	struct kvm_irqchip a = { .chip_id = id }, b = { .chip_id = id };

	CALL(vm->fd, KVM_GET_IRQCHIP, &a);
	CALL(vm->fd, KVM_SET_IRQCHIP, &a);
	CALL(vm->fd, KVM_GET_IRQCHIP, &b);
	CHECK(!memcmp(&a, &b, sizeof(a)));
}

void state_round_trips(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	struct kvm_irqchip bad = { .chip_id = 3 };
	struct kvm_lapic_state lapic, again;
	struct kvm_pit_state2 pit, pit2;
	uint32_t id;

	RUN(vm, PIC_INIT(1), LAPIC_ON, IOAPIC_ENTRY(10, 0x18061),
	    { WRITE32, LAPIC(0x320), 0x20041 },
	    { OUT8, 0x43, 0x36 }, { OUT8, 0x40, 0x34 }, { OUT8, 0x40, 0x12 });
	for (id = 0; id < 3; id++)
		round_trip_chip(vm, id);
	CHECK(try_ioctl(vm->fd, KVM_GET_IRQCHIP, &bad) == -EINVAL);
	CALL(vm->cpu[0].fd, KVM_GET_LAPIC, &lapic);
	CALL(vm->cpu[0].fd, KVM_SET_LAPIC, &lapic);
	CALL(vm->cpu[0].fd, KVM_GET_LAPIC, &again);
	CHECK(!memcmp(&lapic, &again, sizeof(lapic)));
	CALL(vm->fd, KVM_GET_PIT2, &pit);
	CHECK(pit.channels[0].count == 0x1234 && pit.channels[0].mode == 3);
	CALL(vm->fd, KVM_SET_PIT2, &pit);
	CALL(vm->fd, KVM_GET_PIT2, &pit2);
	for (id = 0; id < 3; id++)
		pit2.channels[id].count_load_time =
			pit.channels[id].count_load_time;
	CHECK(!memcmp(&pit, &pit2, sizeof(pit)));
	vm_free(vm);
}

/* A timer that runs when the state is read runs on when it is put back. */
void lapic_timer_survives_set(void)
{
	struct vm *vm = vm_new(CHIPS_KERNEL, 1);
	struct kvm_lapic_state lapic;

	vm_eoi(vm, 0x41, EOI_LAPIC);
	RUN(vm, LAPIC_ON, { WRITE32, LAPIC(0x3e0), 0xb },
	    { WRITE32, LAPIC(0x320), 0x20041 },
	    { WRITE32, LAPIC(0x380), 2000000 });
	CALL(vm->cpu[0].fd, KVM_GET_LAPIC, &lapic);
	CALL(vm->cpu[0].fd, KVM_SET_LAPIC, &lapic);
	RUN(vm, { WAIT, COUNTS + 0x41 * 4, 5 });
	CHECK(vm_count(vm, 0x41) >= 5);
	vm_eoi(vm, 0x42, EOI_LAPIC);
	RUN(vm, { WRITE32, LAPIC(0x320), 0x40042 }, { DEADLINE, 100000000 });
	CALL(vm->cpu[0].fd, KVM_GET_LAPIC, &lapic);
	CALL(vm->cpu[0].fd, KVM_SET_LAPIC, &lapic);
	RUN(vm, { WAIT, COUNTS + 0x42 * 4, 1 });
	CHECK(vm_count(vm, 0x42) == 1);
	vm_free(vm);
}
