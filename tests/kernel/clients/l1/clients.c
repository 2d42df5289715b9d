// SPDX-License-Identifier: GPL-2.0-only
/*
 * clients NAME...: does what a VMM that cannot be installed here does with KVM
 * until guest code runs: capabilities it insists on, calls and their order,
 * MSRs, and for those with snapshots saving and restoring. From the public
 * sources of each (2026). Any refusal ends the program with status 1.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "l1.h"

#define RAM		0x200000
#define CODE		0x100000
#define GDT		0x500
#define PML4		0x9000
#define TSS_ADDR	0xfffbd000UL
#define SERIAL		0x3f8
#define NOTIFY		0xd0000050UL	/* QueueNotify of a virtio-mmio device */
#define DOORBELL	0xe0003000UL	/* and of a PCI one */
#define MAX_CPUID	256
#define MAX_MSRS	256

struct machine {
	int vm, vcpu;
	struct kvm_run *run;
	uint8_t *ram;
};

struct msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[MAX_MSRS];
};

static const char *client;
static int kvm;
static struct l1_cpuid cpuid;
static struct {
	struct kvm_msr_list head;
	uint32_t index[MAX_MSRS];
} msr_list;

/* ---- what they have in common ---- */

static void insist(const int *caps, size_t n)
{
	size_t i;

	if (CALL(kvm, KVM_GET_API_VERSION, 0) != 12)
		errx(1, "%s: another API", client);
	for (i = 0; i < n; i++)
		if (ioctl(kvm, KVM_CHECK_EXTENSION, caps[i]) <= 0)
			errx(1, "%s: capability %d is missing", client, caps[i]);
}

static void lists(void)
{
	l1_get_cpuid(kvm, &cpuid);
	msr_list.head.nmsrs = MAX_MSRS;
	CALL(kvm, KVM_GET_MSR_INDEX_LIST, &msr_list);
}

static void add_memory(struct machine *m)
{
	if (!m->ram)
		m->ram = l1_memory(RAM);
	l1_set_slot(m->vm, 0, 0, 0, m->ram, RAM);
}

static void add_vcpu(struct machine *m)
{
	m->vcpu = CALL(m->vm, KVM_CREATE_VCPU, 0);
	m->run = l1_map_run(kvm, m->vcpu);
	CALL(m->vcpu, KVM_SET_CPUID2, &cpuid);
}

static void set_msrs(struct machine *m, const struct kvm_msr_entry *e, int n)
{
	struct msrs msrs = { .head.nmsrs = n };
	int done;

	memcpy(msrs.entry, e, n * sizeof(*e));
	done = CALL(m->vcpu, KVM_SET_MSRS, &msrs);
	if (done != n)
		errx(1, "%s: MSR %x is refused", client, e[done].index);
}

/* SYSENTER and SYSCALL, TSC, fast strings; MTRRs default to write-back. */
static void boot_msrs(struct machine *m, bool mtrr)
{
	const struct kvm_msr_entry e[] = {
		{ .index = 0x174 }, { .index = 0x175 }, { .index = 0x176 },
		{ .index = 0xc0000081 }, { .index = 0xc0000083 },
		{ .index = 0xc0000102 }, { .index = 0xc0000084 },
		{ .index = 0xc0000082 }, { .index = 0x10 },
		{ .index = 0x1a0, .data = 1 }, { .index = 0x2ff, .data = 0xc06 },
	};

	set_msrs(m, e, mtrr ? 11 : 10);
}

static void set_fpu(struct machine *m)
{
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };

	CALL(m->vcpu, KVM_SET_FPU, &fpu);
}

/* LINT0 is the PIC's, LINT1 an NMI. */
static void set_lints(struct machine *m)
{
	struct kvm_lapic_state lapic;

	CALL(m->vcpu, KVM_GET_LAPIC, &lapic);
	lapic.regs[0x351] = (lapic.regs[0x351] & ~7) | 7;
	lapic.regs[0x361] = (lapic.regs[0x361] & ~7) | 4;
	CALL(m->vcpu, KVM_SET_LAPIC, &lapic);
}

static void segments(struct kvm_sregs *s, bool wide)
{
	l1_flat_segments(s, wide ? 64 : 32);
	s->tr = (struct kvm_segment) {
		.limit = 0xfffff, .selector = 24, .type = 11, .present = 1,
		.g = 1,
	};
	s->gdt = (struct kvm_dtable) { .base = GDT, .limit = 31 };
	s->idt = (struct kvm_dtable) { .base = 0x520, .limit = 7 };
}

/* Long mode as for the Linux 64-bit protocol, or flat 32 bits as for PVH. */
static void set_start(struct machine *m, bool wide)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff,
					0x00cf93000000ffff, 0x008f8b000000ffff };
	struct kvm_regs regs = { .rip = CODE, .rsp = 0x8ff0, .rbp = 0x8ff0,
				 .rsi = 0x7000, .rflags = 2 };
	struct kvm_sregs s;

	CALL(m->vcpu, KVM_SET_REGS, &regs);
	set_fpu(m);
	CALL(m->vcpu, KVM_GET_SREGS, &s);
	memcpy(m->ram + GDT, gdt, sizeof(gdt));
	segments(&s, wide);
	s.cr0 |= 1;
	if (wide) {
		l1_identity_tables(m->ram, PML4);
		s.cr3 = PML4;
		s.cr4 |= 0x20;
		s.cr0 |= 0x80000000;
		s.efer |= 0x500;
	}
	CALL(m->vcpu, KVM_SET_SREGS, &s);
}

/*
 * For both modes: port 61 stays in the kernel, the two notifications reach
 * their eventfds, "K" comes out of the serial port, again and again.
 */
static void set_code(struct machine *m)
{
	static const uint8_t code[] = {
		0xe4, 0x61,				/* in $61, %al */
		0xbb, 0x50, 0, 0, 0xd0,			/* mov $NOTIFY, %ebx */
		0xb8, 1, 0, 0, 0,			/* mov $1, %eax */
		0x89, 0x03,				/* mov %eax, (%ebx) */
		0xbb, 0, 0x30, 0, 0xe0,			/* mov $DOORBELL, %ebx */
		0x66, 0x89, 0x03,			/* mov %ax, (%ebx) */
		0x66, 0xba, 0xf8, 0x03,			/* mov $SERIAL, %dx */
		0xb0, 'K',				/* mov $'K', %al */
		0xee,					/* out %al, %dx */
		0xeb, 0xfd,				/* jmp to the out */
	};

	memcpy(m->ram + CODE, code, sizeof(code));
}

static int new_event(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	if (fd < 0)
		err(1, "eventfd");
	return fd;
}

static void add_ioeventfds(struct machine *m, int notify, int doorbell)
{
	struct kvm_ioeventfd e = {
		.datamatch = 1, .addr = NOTIFY, .len = 4, .fd = notify,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	CALL(m->vm, KVM_IOEVENTFD, &e);
	e = (struct kvm_ioeventfd) { .addr = DOORBELL, .fd = doorbell };
	CALL(m->vm, KVM_IOEVENTFD, &e);
}

static void add_irqfd(struct machine *m, uint32_t gsi, bool resample)
{
	struct kvm_irqfd irqfd = { .fd = new_event(), .gsi = gsi };

	if (resample) {
		irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
		irqfd.resamplefd = new_event();
	}
	CALL(m->vm, KVM_IRQFD, &irqfd);
}

/* IOAPIC pins 0 to pins - 1, and one MSI behind them. */
static void set_routes(struct machine *m, uint32_t pins)
{
	static struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[32];
	} r;
	uint32_t i;

	memset(&r, 0, sizeof(r));
	for (i = 0; i < pins; i++) {
		r.entry[i].gsi = i;
		r.entry[i].type = KVM_IRQ_ROUTING_IRQCHIP;
		r.entry[i].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		r.entry[i].u.irqchip.pin = i;
	}
	r.entry[pins].gsi = 24;
	r.entry[pins].type = KVM_IRQ_ROUTING_MSI;
	r.entry[pins].u.msi.address_lo = 0xfee00000;
	r.entry[pins].u.msi.data = 0x4041;
	r.head.nr = pins + 1;
	CALL(m->vm, KVM_SET_GSI_ROUTING, &r);
}

static void expect_signal(int fd, const char *what)
{
	uint64_t count;

	if (read(fd, &count, 8) != 8 || count != 1)
		errx(1, "%s: no %s", client, what);
}

static void expect_output(struct machine *m)
{
	CALL(m->vcpu, KVM_RUN, 0);
	if (m->run->exit_reason != KVM_EXIT_IO || m->run->io.port != SERIAL ||
	    *((uint8_t *)m->run + m->run->io.data_offset) != 'K')
		errx(1, "%s: exit %u instead of output", client,
		     m->run->exit_reason);
}

static void run_guest(struct machine *m, int notify, int doorbell)
{
	expect_output(m);
	expect_signal(notify, "notification with data match");
	expect_signal(doorbell, "notification of any length");
	expect_output(m);
	/* How a vCPU thread is asked to stop: no signal gets lost. */
	m->run->immediate_exit = 1;
	if (ioctl(m->vcpu, KVM_RUN, 0) != -1 || errno != EINTR)
		errx(1, "%s: immediate_exit", client);
	m->run->immediate_exit = 0;
}

/* ---- Firecracker ---- */

static void firecracker_vm(struct machine *m)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	m->vm = CALL(kvm, KVM_CREATE_VM, 0);
	/* The last three pages below 4 GiB are what gVisor gives. */
	CALL(m->vm, KVM_SET_TSS_ADDR, 0xffffd000);
	CALL(m->vm, KVM_SET_TSS_ADDR, TSS_ADDR);
	CALL(m->vm, KVM_CREATE_IRQCHIP, 0);
	CALL(m->vm, KVM_CREATE_PIT2, &pit);
	add_memory(m);
	add_vcpu(m);
}

struct snapshot {
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave *xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct kvm_irqchip chip[3];
	struct msrs msrs;
	int khz;
};

static void firecracker_save(struct machine *m, struct snapshot *s)
{
	int i, size = CALL(m->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	/* tell the guest's clock; without one it is an error that is ignored */
	if (ioctl(m->vcpu, KVM_KVMCLOCK_CTRL, 0) && errno != EINVAL)
		err(1, "KVM_KVMCLOCK_CTRL");
	s->xsave = calloc(1, size > 4096 ? size : 4096);
	CALL(m->vcpu, KVM_GET_MP_STATE, &s->mp);
	CALL(m->vcpu, KVM_GET_REGS, &s->regs);
	CALL(m->vcpu, KVM_GET_SREGS, &s->sregs);
	CALL(m->vcpu, size ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, s->xsave);
	CALL(m->vcpu, KVM_GET_XCRS, &s->xcrs);
	CALL(m->vcpu, KVM_GET_DEBUGREGS, &s->debugregs);
	CALL(m->vcpu, KVM_GET_LAPIC, &s->lapic);
	s->khz = CALL(m->vcpu, KVM_GET_TSC_KHZ, 0);
	cpuid.head.nent = MAX_CPUID;
	CALL(m->vcpu, KVM_GET_CPUID2, &cpuid);
	s->msrs.head.nmsrs = msr_list.head.nmsrs;
	for (i = 0; i < (int)msr_list.head.nmsrs; i++)
		s->msrs.entry[i].index = msr_list.index[i];
	i = CALL(m->vcpu, KVM_GET_MSRS, &s->msrs);
	if (i != (int)msr_list.head.nmsrs)
		errx(1, "%s: MSR %x is in the list, and cannot be read",
		     client, msr_list.index[i]);
	CALL(m->vcpu, KVM_GET_VCPU_EVENTS, &s->events);
	CALL(m->vm, KVM_GET_PIT2, &s->pit);
	CALL(m->vm, KVM_GET_CLOCK, &s->clock);
	s->clock.flags &= ~KVM_CLOCK_TSC_STABLE;
	for (i = 0; i < 3; i++) {
		s->chip[i].chip_id = i;
		CALL(m->vm, KVM_GET_IRQCHIP, &s->chip[i]);
	}
}

static void firecracker_restore(struct machine *m, struct snapshot *s)
{
	int i;

	CALL(m->vcpu, KVM_SET_MP_STATE, &s->mp);
	CALL(m->vcpu, KVM_SET_REGS, &s->regs);
	CALL(m->vcpu, KVM_SET_SREGS, &s->sregs);
	CALL(m->vcpu, KVM_SET_XSAVE, s->xsave);
	CALL(m->vcpu, KVM_SET_XCRS, &s->xcrs);
	CALL(m->vcpu, KVM_SET_DEBUGREGS, &s->debugregs);
	CALL(m->vcpu, KVM_SET_LAPIC, &s->lapic);
	set_msrs(m, s->msrs.entry, s->msrs.head.nmsrs);
	CALL(m->vcpu, KVM_SET_VCPU_EVENTS, &s->events);
	CALL(m->vm, KVM_SET_PIT2, &s->pit);
	CALL(m->vm, KVM_SET_CLOCK, &s->clock);
	for (i = 0; i < 3; i++)
		CALL(m->vm, KVM_SET_IRQCHIP, &s->chip[i]);
	free(s->xsave);
}

static void firecracker(void)
{
	static const int caps[] = {
		KVM_CAP_IRQCHIP, KVM_CAP_IOEVENTFD, KVM_CAP_IRQFD,
		KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR, KVM_CAP_PIT2,
		KVM_CAP_PIT_STATE2, KVM_CAP_ADJUST_CLOCK, KVM_CAP_DEBUGREGS,
		KVM_CAP_MP_STATE, KVM_CAP_VCPU_EVENTS, KVM_CAP_XCRS,
		KVM_CAP_XSAVE, KVM_CAP_EXT_CPUID, KVM_CAP_NR_MEMSLOTS,
	};
	int notify = new_event(), doorbell = new_event();
	struct machine m = { 0 }, copy;
	static struct snapshot s;

	insist(caps, sizeof(caps) / sizeof(caps[0]));
	lists();
	firecracker_vm(&m);
	boot_msrs(&m, true);
	set_start(&m, true);
	set_lints(&m);
	set_code(&m);
	add_irqfd(&m, 5, false);
	add_ioeventfds(&m, notify, doorbell);
	set_routes(&m, 24);
	run_guest(&m, notify, doorbell);
	firecracker_save(&m, &s);
	copy = m;
	firecracker_vm(&copy);
	firecracker_restore(&copy, &s);
	close(m.vcpu);
	close(m.vm);
	expect_output(&copy);
}

/* ---- cloud-hypervisor: interrupt chips split ---- */

static void cloud_hypervisor(void)
{
	static const int caps[] = {
		KVM_CAP_ADJUST_CLOCK, KVM_CAP_EXT_CPUID, KVM_CAP_GET_TSC_KHZ,
		KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IOEVENTFD, KVM_CAP_IRQCHIP,
		KVM_CAP_IRQFD, KVM_CAP_IRQ_ROUTING, KVM_CAP_MP_STATE,
		KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_SET_TSS_ADDR,
		KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_TSC_DEADLINE_TIMER,
		KVM_CAP_USER_MEMORY, KVM_CAP_USER_NMI, KVM_CAP_VCPU_EVENTS,
		KVM_CAP_XSAVE,
	};
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP,
					.args = { 24 } };
	struct kvm_clock_data clock;
	uint64_t identity = 0xfffbc000;
	int notify = new_event(), doorbell = new_event();
	struct machine m = { 0 };

	insist(caps, sizeof(caps) / sizeof(caps[0]));
	lists();
	m.vm = CALL(kvm, KVM_CREATE_VM, 0);
	CALL(m.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	CALL(m.vm, KVM_SET_TSS_ADDR, TSS_ADDR);
	CALL(m.vm, KVM_ENABLE_CAP, &split);
	add_memory(&m);
	add_vcpu(&m);
	CALL(m.vcpu, KVM_GET_TSC_KHZ, 0);
	boot_msrs(&m, true);
	set_start(&m, false);
	set_lints(&m);
	set_code(&m);
	add_ioeventfds(&m, notify, doorbell);
	add_irqfd(&m, 24, false);
	set_routes(&m, 0);
	m.ram[CODE] = m.ram[CODE + 1] = 0x90;	/* it has no PIT, nor port 61 */
	run_guest(&m, notify, doorbell);
	CALL(m.vm, KVM_GET_CLOCK, &clock);
	clock.flags &= ~KVM_CLOCK_TSC_STABLE;
	CALL(m.vm, KVM_SET_CLOCK, &clock);
	CALL(m.vcpu, KVM_NMI, 0);
}

/* ---- crosvm ---- */

static void crosvm_mtrrs(struct machine *m)
{
	static const uint32_t fixed[] = {
		0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d,
		0x26e, 0x26f,
	};
	struct kvm_msr_entry e[29] = { { 0 } };
	int i;

	for (i = 0; i < 11; i++) {
		e[i].index = fixed[i];
		e[i].data = 0x0606060606060606;
	}
	for (i = 0; i < 16; i++)
		e[11 + i].index = 0x200 + i;
	e[11].data = 6;
	e[12].data = 0xff80000800;
	e[27].index = 0x2ff;
	e[27].data = 0xc06;
	e[28].index = 0x277;
	e[28].data = 0x0007040600070406;
	set_msrs(m, e, 29);
}

static void crosvm(void)
{
	static const int caps[] = {
		KVM_CAP_USER_MEMORY, KVM_CAP_IRQCHIP, KVM_CAP_IRQFD,
		KVM_CAP_IOEVENTFD, KVM_CAP_SIGNAL_MSI, KVM_CAP_PIT2,
		KVM_CAP_READONLY_MEM, KVM_CAP_IMMEDIATE_EXIT,
		KVM_CAP_CHECK_EXTENSION_VM, KVM_CAP_MP_STATE,
	};
	struct kvm_pit_config pit = { .flags = 0 };
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xb8000, .size = 80 };
	struct kvm_mp_state mp;
	uint64_t identity = 0xfeffc000;
	int notify = new_event(), doorbell = new_event();
	struct machine m = { 0 };

	insist(caps, sizeof(caps) / sizeof(caps[0]));
	lists();
	m.vm = CALL(kvm, KVM_CREATE_VM, 0);
	CALL(m.vm, KVM_SET_TSS_ADDR, TSS_ADDR);
	CALL(m.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	CALL(m.vm, KVM_CREATE_IRQCHIP, 0);
	CALL(m.vm, KVM_CREATE_PIT2, &pit);
	add_memory(&m);
	CALL(m.vm, KVM_REGISTER_COALESCED_MMIO, &zone);
	add_vcpu(&m);
	boot_msrs(&m, false);
	crosvm_mtrrs(&m);
	set_start(&m, true);
	set_lints(&m);
	CALL(m.vcpu, KVM_GET_MP_STATE, &mp);
	CALL(m.vcpu, KVM_SET_MP_STATE, &mp);
	set_code(&m);
	m.ram[CODE] = m.ram[CODE + 1] = 0x90;	/* port 61 is its own device */
	add_ioeventfds(&m, notify, doorbell);
	add_irqfd(&m, 5, true);
	set_routes(&m, 24);
	run_guest(&m, notify, doorbell);
	CALL(m.vm, KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

int main(int argc, char **argv)
{
	int i;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		err(1, "/dev/kvm");
	alarm(60);
	for (i = 1; i < argc; i++) {
		client = argv[i];
		if (!strcmp(client, "firecracker"))
			firecracker();
		else if (!strcmp(client, "cloud-hypervisor"))
			cloud_hypervisor();
		else if (!strcmp(client, "crosvm"))
			crosvm();
		else
			errx(2, "%s: never heard of it", client);
		printf("replayed %s\n", client);
		fflush(stdout);
	}
	return 0;
}
