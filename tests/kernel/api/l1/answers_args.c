// SPDX-License-Identifier: GPL-2.0-only
/* Requests with arguments that are odd, too big, too late, or wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "answers.h"

static char key_text[160];

static const char *key(const char *format, unsigned long long value)
{
	snprintf(key_text, sizeof(key_text), format, value);
	return key_text;
}

#define KEY(format, value)	key(format, (unsigned long long)(value))
#define ASK(what, fd, request, ...)					\
	answer(what, fd, request, &(__VA_ARGS__))

static int enable(int fd, const char *what, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap e = { .cap = cap, .args[0] = arg };

	return answer(what, fd, KVM_ENABLE_CAP, &e);
}

/* ---- creation, and what must come before or after what ---- */

static void creation(void)
{
	struct vm vm = vm_bare();
	uint64_t ids[] = { 1023, 1024, 4095, 4096, 1ULL << 32 };
	unsigned int i;

	answer("create vm type 1", kvm, KVM_CREATE_VM, (void *)1);
	answer("create vm type 3", kvm, KVM_CREATE_VM, (void *)3);
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		fact(KEY("create vcpu %llu", ids[i]), "%d",
		     ioctl(vm.fd, KVM_CREATE_VCPU, ids[i]) >= 0);
	answer("create vcpu twice", vm.fd, KVM_CREATE_VCPU, (void *)1023);
	answer("irqchip after vcpu", vm.fd, KVM_CREATE_IRQCHIP, 0);
	enable(vm.fd, "split after vcpu", KVM_CAP_SPLIT_IRQCHIP, 24);
	enable(vm.fd, "vcpu id limit after vcpu", KVM_CAP_MAX_VCPU_ID, 10);
	answer("boot cpu after vcpu", vm.fd, KVM_SET_BOOT_CPU_ID, (void *)1);
	vm_free(&vm);

	vm = vm_bare();
	answer("irqchip", vm.fd, KVM_CREATE_IRQCHIP, 0);
	answer("irqchip twice", vm.fd, KVM_CREATE_IRQCHIP, 0);
	enable(vm.fd, "split after irqchip", KVM_CAP_SPLIT_IRQCHIP, 24);
	answer("boot cpu 7", vm.fd, KVM_SET_BOOT_CPU_ID, (void *)7);
	answer("boot cpu 99999", vm.fd, KVM_SET_BOOT_CPU_ID, (void *)99999);
	vm_free(&vm);
}

static void split_pins(void)
{
	uint64_t pins[] = { 0, 24, 1024, 1025, 4096, 4097, ~0ULL };
	unsigned int i;
	struct vm vm;

	for (i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
		section("split pins %llx", (unsigned long long)pins[i]);
		vm = vm_bare();
		enable(vm.fd, KEY("split pins %llx", pins[i]),
		       KVM_CAP_SPLIT_IRQCHIP, pins[i]);
		answer("irqchip after it", vm.fd, KVM_CREATE_IRQCHIP, 0);
		answer("pit after it", vm.fd, KVM_CREATE_PIT, 0);
		vm_free(&vm);
	}
}

static void capabilities(void)
{
	static const uint32_t vm_caps[] = {
		KVM_CAP_X2APIC_API, KVM_CAP_DISABLE_QUIRKS,
		KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_EXCEPTION_PAYLOAD,
		KVM_CAP_X86_TRIPLE_FAULT_EVENT,
		KVM_CAP_EXIT_ON_EMULATION_FAILURE,
		KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_MSR_PLATFORM_INFO,
		KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_X86_DISABLE_EXITS,
		KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_IRQCHIP,
	};
	uint64_t args[] = { 0, 1, 2, 3, 4, 7, 8, 15, 127, 128, 256, 1ULL << 32,
			    ~0ULL };
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_enable_cap flagged = { .flags = 1 };
	unsigned int i, j;

	for (i = 0; i < sizeof(vm_caps) / sizeof(vm_caps[0]); i++) {
		struct vm fresh = vm_bare();

		for (j = 0; j < sizeof(args) / sizeof(args[0]); j++) {
			snprintf(key_text, sizeof(key_text),
				 "enable cap %u of vm, %llx", vm_caps[i],
				 (unsigned long long)args[j]);
			enable(fresh.fd, key_text, vm_caps[i], args[j]);
		}
		flagged.cap = vm_caps[i];
		answer(KEY("enable cap %llu of vm, flags", vm_caps[i]),
		       fresh.fd, KVM_ENABLE_CAP, &flagged);
		enable(vm.cpu, KEY("enable cap %llu of vcpu", vm_caps[i]),
		       vm_caps[i], 1);
		vm_free(&fresh);
	}
	flagged.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
	ASK("enforce pv flags", vm.cpu, KVM_ENABLE_CAP, flagged);
	vm_free(&vm);
}

static void vcpu_id_limit(void)
{
	uint64_t args[] = { 0, 4097, 10, 10, 11, 0 };
	struct vm vm = vm_bare();
	unsigned int i;

	for (i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		enable(vm.fd, KEY("limit %llu", i * 10000 + args[i]),
		       KVM_CAP_MAX_VCPU_ID, args[i]);
	fact("vcpu 10 of 10", "%d", ioctl(vm.fd, KVM_CREATE_VCPU, 10) >= 0);
	fact("vcpu 9 of 10", "%d", ioctl(vm.fd, KVM_CREATE_VCPU, 9) >= 0);
	vm_free(&vm);
}

/* ---- memory ---- */

#define REGION(what, ...)						\
	ASK("memory " what, vm.fd, KVM_SET_USER_MEMORY_REGION,		\
	    (struct kvm_userspace_memory_region){ __VA_ARGS__ })

static void memory(void)
{
	struct vm vm = vm_new(NO_CHIPS);
	uint64_t at = (uintptr_t)vm.ram, size = RAM_SIZE;

	REGION("removed that is not", .slot = 7);
	REGION("slot 32763", .slot = 32763, .guest_phys_addr = 1 << 24,
	       .memory_size = size, .userspace_addr = at);
	REGION("slot 32764", .slot = 32764, .guest_phys_addr = 1 << 25,
	       .memory_size = size, .userspace_addr = at);
	REGION("space 1", .slot = 65536, .memory_size = size,
	       .userspace_addr = at);
	REGION("space 2", .slot = 131072, .memory_size = size,
	       .userspace_addr = at);
	REGION("overlap", .slot = 1, .guest_phys_addr = 0x80000,
	       .memory_size = size, .userspace_addr = at);
	REGION("odd size", .slot = 1, .guest_phys_addr = size,
	       .memory_size = 100, .userspace_addr = at);
	REGION("odd address", .slot = 1, .guest_phys_addr = size + 1,
	       .memory_size = size, .userspace_addr = at);
	REGION("odd host address", .slot = 1, .guest_phys_addr = size,
	       .memory_size = size, .userspace_addr = at + 1);
	REGION("kernel's", .slot = 1, .guest_phys_addr = size,
	       .memory_size = size, .userspace_addr = 1ULL << 63);
	REGION("beyond", .slot = 1, .guest_phys_addr = 1ULL << 52,
	       .memory_size = size, .userspace_addr = at);
	REGION("around", .slot = 1, .guest_phys_addr = -4096ULL,
	       .memory_size = 8192, .userspace_addr = at);
	REGION("flags 4", .slot = 1, .guest_phys_addr = size, .flags = 4,
	       .memory_size = size, .userspace_addr = at);
	REGION("resized", .memory_size = size / 2, .userspace_addr = at);
	REGION("elsewhere in the host", .memory_size = size,
	       .userspace_addr = at + 4096);
	REGION("now read-only", .memory_size = size, .userspace_addr = at,
	       .flags = KVM_MEM_READONLY);
	REGION("same again", .memory_size = size, .userspace_addr = at);
	REGION("logged", .memory_size = size, .userspace_addr = at,
	       .flags = KVM_MEM_LOG_DIRTY_PAGES);
	REGION("moved", .guest_phys_addr = 1 << 26, .memory_size = size,
	       .userspace_addr = at);
	REGION("moved onto another", .guest_phys_addr = 1 << 24,
	       .memory_size = size, .userspace_addr = at);
	vm_free(&vm);
}

#define CLEAR(what, ...)						\
	ASK("clear log " what, vm.fd, KVM_CLEAR_DIRTY_LOG,		\
	    (struct kvm_clear_dirty_log){ .dirty_bitmap = bits, __VA_ARGS__ })

static void dirty_log(void)
{
	struct vm vm = vm_new(NO_CHIPS);
	static uint64_t bits[16];
	struct kvm_dirty_log log = { .dirty_bitmap = bits };
	struct kvm_userspace_memory_region region = {
		.memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)vm.ram,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
	};

	ASK("log that is off", vm.fd, KVM_GET_DIRTY_LOG, log);
	CLEAR("without manual", .num_pages = 64);
	enable(vm.fd, "manual log", KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1);
	ASK("logged", vm.fd, KVM_SET_USER_MEMORY_REGION, region);
	log.slot = 5;
	ASK("log of no slot", vm.fd, KVM_GET_DIRTY_LOG, log);
	log.slot = 32764;
	ASK("log of slot 32764", vm.fd, KVM_GET_DIRTY_LOG, log);
	log.slot = 131072;
	ASK("log of space 2", vm.fd, KVM_GET_DIRTY_LOG, log);
	log = (struct kvm_dirty_log){ .dirty_bitmap = (void *)NOWHERE };
	ASK("log to nowhere", vm.fd, KVM_GET_DIRTY_LOG, log);
	CLEAR("whole", .num_pages = 256);
	CLEAR("from 1", .first_page = 1, .num_pages = 64);
	CLEAR("32 pages", .num_pages = 32);
	CLEAR("too many", .num_pages = 320);
	CLEAR("beyond", .first_page = 320);
	CLEAR("at the end", .first_page = 256);
	CLEAR("none", .num_pages = 0);
	CLEAR("of no slot", .slot = 9, .num_pages = 64);
	CLEAR("of slot 32764", .slot = 32764, .num_pages = 64);
	vm_free(&vm);
}

#define ZONE(what, request, ...)					\
	ASK("zone " what, vm.fd, request,				\
	    (struct kvm_coalesced_mmio_zone){ __VA_ARGS__ })

static void coalesced(void)
{
	struct vm vm = vm_new(NO_CHIPS);

	ZONE("ports", KVM_REGISTER_COALESCED_MMIO, .addr = 0x70, .size = 1,
	     .pio = 1);
	ZONE("pio 2", KVM_REGISTER_COALESCED_MMIO, .addr = 0x70, .size = 1,
	     .pio = 2);
	ZONE("twice", KVM_REGISTER_COALESCED_MMIO, .addr = 0x70, .size = 1,
	     .pio = 1);
	ZONE("gone", KVM_UNREGISTER_COALESCED_MMIO, .addr = 0x70, .size = 1,
	     .pio = 1);
	ZONE("gone twice", KVM_UNREGISTER_COALESCED_MMIO, .addr = 0x70,
	     .size = 1, .pio = 1);
	ZONE("gone pio 2", KVM_UNREGISTER_COALESCED_MMIO, .pio = 2);
	vm_free(&vm);
}

/* ---- eventfds ---- */

#define IRQFD(what, ...)						\
	ASK("irqfd " what, vm.fd, KVM_IRQFD, (struct kvm_irqfd){ __VA_ARGS__ })

static void irqfds(const char *chips, enum chips kind)
{
	struct vm vm = vm_new(kind);
	int fd = eventfd(0, 0), other = eventfd(0, 0);

	section("irqfds, %s", chips);
	IRQFD("flags 4", .fd = fd, .gsi = 5, .flags = 4);
	IRQFD("no file", .fd = 999, .gsi = 5);
	IRQFD("other file", .fd = kvm, .gsi = 5);
	IRQFD("gsi 4095", .fd = fd, .gsi = 4095);
	IRQFD("same eventfd", .fd = fd, .gsi = 6);
	IRQFD("gsi 4096", .fd = other, .gsi = 4096);
	IRQFD("gone", .fd = fd, .gsi = 4095, .flags = KVM_IRQFD_FLAG_DEASSIGN);
	IRQFD("gone twice", .fd = fd, .gsi = 4095,
	      .flags = KVM_IRQFD_FLAG_DEASSIGN);
	IRQFD("resample", .fd = fd, .gsi = 5, .resamplefd = other,
	      .flags = KVM_IRQFD_FLAG_RESAMPLE);
	IRQFD("resample to no file", .fd = other, .gsi = 5, .resamplefd = 999,
	      .flags = KVM_IRQFD_FLAG_RESAMPLE);
	IRQFD("gone, no file", .fd = 999, .gsi = 5,
	      .flags = KVM_IRQFD_FLAG_DEASSIGN);
	close(fd);
	close(other);
	vm_free(&vm);
}

#define IOEVENTFD(what, at, ...)					\
	ASK("ioeventfd " what, vm.fd, KVM_IOEVENTFD,			\
	    (struct kvm_ioeventfd){ .addr = (at), __VA_ARGS__ })
#define AT	0x2000000
#define DATA	KVM_IOEVENTFD_FLAG_DATAMATCH
#define GONE	KVM_IOEVENTFD_FLAG_DEASSIGN

static void ioeventfds(void)
{
	struct vm vm = vm_new(NO_CHIPS);
	int fd = eventfd(0, 0);

	IOEVENTFD("length 3", AT, .fd = fd, .len = 3);
	IOEVENTFD("length 16", AT, .fd = fd, .len = 16);
	IOEVENTFD("flags 32", AT, .fd = fd, .len = 4, .flags = 32);
	IOEVENTFD("any length of a value", AT, .fd = fd, .flags = DATA);
	IOEVENTFD("no file", AT, .fd = 999, .len = 4);
	IOEVENTFD("other file", AT, .fd = kvm, .len = 4);
	IOEVENTFD("around", -4ULL, .fd = fd, .len = 8);
	IOEVENTFD("1 of 4", AT, .fd = fd, .len = 4, .flags = DATA, .datamatch = 1);
	IOEVENTFD("2 of 4", AT, .fd = fd, .len = 4, .flags = DATA, .datamatch = 2);
	IOEVENTFD("1 of 4 again", AT, .fd = fd, .len = 4, .flags = DATA,
		  .datamatch = 1);
	IOEVENTFD("all of 4", AT, .fd = fd, .len = 4);
	IOEVENTFD("1 of 2", AT, .fd = fd, .len = 2, .flags = DATA, .datamatch = 1);
	IOEVENTFD("any length", AT, .fd = fd);
	IOEVENTFD("3 gone", AT, .fd = fd, .len = 4, .flags = DATA | GONE,
		  .datamatch = 3);
	IOEVENTFD("1 gone", AT, .fd = fd, .len = 4, .flags = DATA | GONE,
		  .datamatch = 1);
	IOEVENTFD("port", 0x80, .fd = fd, .len = 1,
		  .flags = KVM_IOEVENTFD_FLAG_PIO);
	IOEVENTFD("port gone as memory", 0x80, .fd = fd, .len = 1,
		  .flags = GONE);
	close(fd);
	vm_free(&vm);
}

/* ---- routes and lines ---- */

#define ROUTES	2

struct routes {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry entries[ROUTES];
};

#define MSI(n, ...)	{ .gsi = (n), .type = KVM_IRQ_ROUTING_MSI, __VA_ARGS__ }
#define PIN(n, chip, p)	{ .gsi = (n), .type = KVM_IRQ_ROUTING_IRQCHIP,	\
			  .u.irqchip = { (chip), (p) } }
#define ROUTE(what, n, ...)						\
	ASK("routes " what, vm.fd, KVM_SET_GSI_ROUTING,			\
	    (struct routes){ .head.nr = (n), .entries = { __VA_ARGS__ } })

static void routes(const char *chips, enum chips kind)
{
	static struct { struct kvm_irq_routing head;
			struct kvm_irq_routing_entry entries[4097]; } many;
	struct vm vm = vm_new(kind);
	uint32_t i;

	section("routes, %s", chips);
	ROUTE("none", 0, MSI(0));
	ROUTE("type 0", 1, { .gsi = 1 });
	ROUTE("type 5", 1, { .gsi = 1, .type = 5 });
	ROUTE("type 9", 1, { .gsi = 1, .type = 9 });
	ROUTE("gsi 4095", 1, MSI(4095));
	ROUTE("gsi 4096", 1, MSI(4096));
	ROUTE("flags", 1, MSI(1, .flags = 1));
	ROUTE("flags 2", 1, MSI(1, .flags = 2));
	ROUTE("high address", 1, MSI(1, .u.msi.address_hi = 0x100));
	ROUTE("high address, low byte", 1, MSI(1, .u.msi.address_hi = 1));
	ROUTE("pic pin 7", 1, PIN(1, 0, 7));
	ROUTE("pic pin 8", 1, PIN(1, 0, 8));
	ROUTE("slave pin 8", 1, PIN(1, 1, 8));
	ROUTE("ioapic pin 23", 1, PIN(1, 2, 23));
	ROUTE("ioapic pin 24", 1, PIN(1, 2, 24));
	ROUTE("chip 3", 1, PIN(1, 3, 0));
	ROUTE("two pins of a chip", 2, PIN(1, 2, 3), PIN(1, 2, 4));
	ROUTE("pins of two", 2, PIN(1, 2, 3), PIN(1, 0, 4));
	ROUTE("two messages", 2, MSI(1), MSI(1));
	ROUTE("pin and message", 2, PIN(1, 2, 3), MSI(1));
	many.head.nr = 4096;
	for (i = 0; i < 4097; i++)
		many.entries[i] = (struct kvm_irq_routing_entry)MSI(i);
	answer("routes 4096", vm.fd, KVM_SET_GSI_ROUTING, &many);
	many.head.nr = 4097;
	answer("routes 4097", vm.fd, KVM_SET_GSI_ROUTING, &many);
	many.head.nr = 1;
	many.head.flags = 1;
	answer("routes flagged", vm.fd, KVM_SET_GSI_ROUTING, &many);
	vm_free(&vm);
}

static void lines(void)
{
	uint32_t irqs[] = { 0, 1, 2, 8, 23, 24, 4095, 4096, ~0u };
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_irq_level line;
	unsigned int i;

	for (i = 0; i < sizeof(irqs) / sizeof(irqs[0]); i++) {
		section("line %d", (int)irqs[i]);
		line = (struct kvm_irq_level){ .irq = irqs[i], .level = 1 };
		ASK("raised", vm.fd, KVM_IRQ_LINE_STATUS, line);
		fact("raised status", "%d", line.status);
		line = (struct kvm_irq_level){ .irq = irqs[i], .level = 5 };
		ASK("again at 5", vm.fd, KVM_IRQ_LINE_STATUS, line);
		fact("again status", "%d", line.status);
		line = (struct kvm_irq_level){ .irq = irqs[i] };
		ASK("lowered", vm.fd, KVM_IRQ_LINE_STATUS, line);
		fact("lowered status", "%d", line.status);
	}
	vm_free(&vm);
}

#define SEND(what, ...)							\
	ASK("msi " what, vm.fd, KVM_SIGNAL_MSI, (struct kvm_msi){ __VA_ARGS__ })

static void messages(const char *chips, enum chips kind)
{
	struct vm vm = vm_new(kind);

	section("messages, %s", chips);
	SEND("fixed, LAPIC off", .address_lo = 0xfee00000, .data = 0x41);
	SEND("to nobody", .address_lo = 0xfee55000, .data = 0x41);
	SEND("to all", .address_lo = 0xfeeff000, .data = 0x41);
	SEND("nmi", .address_lo = 0xfee00000, .data = 0x400);
	SEND("reserved mode", .address_lo = 0xfee00000, .data = 0x341);
	SEND("elsewhere", .address_lo = 0x12345000, .data = 0x41);
	SEND("high", .address_lo = 0xfee00000, .address_hi = 0x100,
	     .data = 0x41);
	SEND("flags 1", .address_lo = 0xfee00000, .data = 0x41, .flags = 1);
	SEND("flags 2", .address_lo = 0xfee00000, .data = 0x41, .flags = 2);
	vm_free(&vm);
}

/* ---- chips ---- */

static void chips(void)
{
	struct vm vm = vm_new(ALL_CHIPS), bare = vm_bare();
	struct kvm_irqchip chip = { .chip_id = 3 };
	struct kvm_pit_config config = { .flags = 2 };
	struct kvm_reinject_control reinject = { .pit_reinject = 1 };
	struct kvm_pit_state2 pit;
	struct kvm_lapic_state lapic;

	ASK("get chip 3", vm.fd, KVM_GET_IRQCHIP, chip);
	ASK("set chip 3", vm.fd, KVM_SET_IRQCHIP, chip);
	chip.chip_id = ~0u;
	ASK("get chip -1", vm.fd, KVM_GET_IRQCHIP, chip);
	must(!ioctl(bare.fd, KVM_CREATE_IRQCHIP, 0), "chips");
	config.flags = 1;
	ASK("pit with speaker", bare.fd, KVM_CREATE_PIT2, config);
	ASK("pit twice", bare.fd, KVM_CREATE_PIT2, config);
	ASK("reinject", bare.fd, KVM_REINJECT_CONTROL, reinject);
	must(!ioctl(vm.fd, KVM_GET_PIT2, &pit), "pit");
	pit.flags = 1;
	ASK("pit flags 1", vm.fd, KVM_SET_PIT2, pit);
	pit.flags = 0;
	pit.channels[0].mode = 9;
	ASK("pit mode 9", vm.fd, KVM_SET_PIT2, pit);
	pit.channels[0].mode = 2;
	pit.channels[0].count = 0;
	ASK("pit count 0", vm.fd, KVM_SET_PIT2, pit);
	must(!ioctl(vm.fd, KVM_GET_PIT2, &pit), "pit");
	fact("pit count then", "%x", pit.channels[0].count);
	must(!ioctl(vm.cpu, KVM_GET_LAPIC, &lapic), "lapic");
	lapic.regs[0x23] = 7;
	ASK("lapic id 7", vm.cpu, KVM_SET_LAPIC, lapic);
	must(!ioctl(vm.cpu, KVM_GET_LAPIC, &lapic), "lapic");
	words("lapic id then", lapic.regs + 0x20, 8);
	vm_free(&bare);
	vm_free(&vm);
}

/* ---- time ---- */

static void set_clock(int fd, uint32_t flags)
{
	struct kvm_clock_data data = { .clock = 1000000000, .flags = flags };

	answer(KEY("set clock flags %llx", flags), fd, KVM_SET_CLOCK, &data);
}

static void attribute(int fd, const char *what, uint32_t flags, uint32_t group,
		      uint64_t attr, const void *at)
{
	struct kvm_device_attr a = { .flags = flags, .group = group,
				     .attr = attr, .addr = (uintptr_t)at };

	section("attribute, %s", what);
	ASK("has attribute", fd, KVM_HAS_DEVICE_ATTR, a);
	ASK("get attribute", fd, KVM_GET_DEVICE_ATTR, a);
	if (group > 1 || attr || fd == kvm)
		ASK("set attribute", fd, KVM_SET_DEVICE_ATTR, a);
}

static void time_requests(void)
{
	struct vm vm = vm_new(ALL_CHIPS);
	uint32_t flags[] = { 0, 1, 2, 4, 8, 14, 16, 1u << 31 };
	uint64_t value = 0;
	unsigned int i;
	long khz = ioctl(vm.cpu, KVM_GET_TSC_KHZ, 0);

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		set_clock(vm.fd, flags[i]);
	answer("khz same", vm.cpu, KVM_SET_TSC_KHZ, (void *)khz);
	answer("khz +1", vm.cpu, KVM_SET_TSC_KHZ, (void *)(khz + 1));
	answer("khz 0", vm.cpu, KVM_SET_TSC_KHZ, (void *)0);
	answer("khz half", vm.cpu, KVM_SET_TSC_KHZ, (void *)(khz / 2));
	answer("khz 2^40", vm.cpu, KVM_SET_TSC_KHZ, (void *)(1L << 40));
	answer("khz of vm same", vm.fd, KVM_SET_TSC_KHZ, (void *)khz);
	attribute(vm.cpu, "tsc offset", 0, 0, 0, &value);
	attribute(vm.cpu, "tsc offset to nowhere", 0, 0, 0, (void *)NOWHERE);
	attribute(vm.cpu, "tsc offset, flags", 1, 0, 0, &value);
	attribute(vm.cpu, "group 1", 0, 1, 0, &value);
	attribute(vm.cpu, "group 2", 0, 2, 0, &value);
	attribute(vm.cpu, "attribute 1", 0, 0, 1, &value);
	attribute(kvm, "xcomp", 0, 0, 0, &value);
	fact("xcomp value", "%llx", (unsigned long long)value);
	attribute(kvm, "xcomp to nowhere", 0, 0, 0, (void *)NOWHERE);
	attribute(kvm, "xcomp, flags", 1, 0, 0, &value);
	attribute(kvm, "dev group 1", 0, 1, 0, &value);
	attribute(kvm, "dev attribute 1", 0, 0, 1, &value);
	answer("clock ctrl", vm.cpu, KVM_KVMCLOCK_CTRL, 0);
	vm_free(&vm);
}

/* ---- vCPU: interrupts, life, odds and ends ---- */

static void interrupts(const char *chips, enum chips kind)
{
	uint32_t irqs[] = { 0, 32, 255, 256, ~0u };
	struct vm vm = vm_new(kind);
	unsigned int i;

	section("interrupts, %s", chips);
	for (i = 0; i < sizeof(irqs) / sizeof(irqs[0]); i++)
		answer(KEY("interrupt %llu", irqs[i]), vm.cpu, KVM_INTERRUPT,
		       &irqs[i]);
	vm_free(&vm);
}

static void lives(const char *chips, enum chips kind)
{
	struct vm vm = vm_new(kind);
	struct kvm_mp_state mp;

	section("lives, %s", chips);
	for (mp.mp_state = 0; mp.mp_state < 12; mp.mp_state++)
		answer(KEY("life %llu", mp.mp_state), vm.cpu, KVM_SET_MP_STATE,
		       &mp);
	vm_free(&vm);
}

static void odds(void)
{
	struct vm vm = vm_new(ALL_CHIPS), plain = vm_new(NO_CHIPS);
	struct kvm_tpr_access_ctl tpr = { .enabled = 1, .flags = 1 };
	struct { uint32_t len; uint8_t set[16]; } mask = { .len = 4 };
	struct kvm_vapic_addr vapic = { .vapic_addr = 0x2000 };
	struct kvm_translation tr = { .linear_address = 0x12345 };
	struct { struct kvm_msrs head; struct kvm_msr_entry e[2]; } msrs = {
		.head.nmsrs = 257,
	};

	tpr.flags = 0;
	ASK("tpr", vm.cpu, KVM_TPR_ACCESS_REPORTING, tpr);
	ASK("vapic", vm.cpu, KVM_SET_VAPIC_ADDR, vapic);
	vapic.vapic_addr = -1ULL;
	ASK("vapic nowhere", vm.cpu, KVM_SET_VAPIC_ADDR, vapic);
	ASK("vapic without lapic", plain.cpu, KVM_SET_VAPIC_ADDR, vapic);
	ASK("signal mask 4", vm.cpu, KVM_SET_SIGNAL_MASK, mask);
	mask.len = 16;
	ASK("signal mask 16", vm.cpu, KVM_SET_SIGNAL_MASK, mask);
	mask.len = 8;
	ASK("signal mask 8", vm.cpu, KVM_SET_SIGNAL_MASK, mask);
	ASK("translate", vm.cpu, KVM_TRANSLATE, tr);
	fact("translated", "%llx %u", (unsigned long long)tr.physical_address,
	     tr.valid);
	ASK("257 msrs", vm.cpu, KVM_GET_MSRS, msrs);
	msrs.head.nmsrs = 2;
	msrs.e[0].index = 0x12345;
	ASK("unknown msr first", vm.cpu, KVM_GET_MSRS, msrs);
	msrs.e[0].index = 0x277;
	msrs.e[1].index = 0x12345;
	ASK("unknown msr second", vm.cpu, KVM_GET_MSRS, msrs);
	msrs.e[0].data = 7;
	ASK("bad value first", vm.cpu, KVM_SET_MSRS, msrs);
	answer("nmi without lapic", plain.cpu, KVM_NMI, 0);
	vm_free(&vm);
	vm_free(&plain);
}

static void mce(void)
{
	struct vm vm = vm_new(ALL_CHIPS);
	uint64_t caps[] = { 0, 1, 10, 32, 33, 255, 10 | 1 << 8, 10 | 1 << 9,
			    10 | 1 << 10, 10 | 1 << 16, 10 | 1 << 24,
			    10 | 1 << 27, 10 | 1ULL << 40, 10 };
	struct kvm_x86_mce m = { .status = 1ULL << 63 };
	uint64_t cap = 0;
	unsigned int i;

	must(!ioctl(kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap), "MCE");
	fact("mce supported", "%llx", (unsigned long long)cap);
	for (i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		answer(KEY("mce cap %llx", caps[i]), vm.cpu, KVM_X86_SETUP_MCE,
		       &caps[i]);
	ASK("mce bank 0", vm.cpu, KVM_X86_SET_MCE, m);
	m.bank = 10;
	ASK("mce bank 10", vm.cpu, KVM_X86_SET_MCE, m);
	m.bank = 255;
	ASK("mce bank 255", vm.cpu, KVM_X86_SET_MCE, m);
	m = (struct kvm_x86_mce){ .status = 1 };
	ASK("mce invalid", vm.cpu, KVM_X86_SET_MCE, m);
	vm_free(&vm);
}

static void msr_filters(void)
{
	static uint8_t bitmap[0x600];
	struct vm vm = vm_new(ALL_CHIPS);
	struct kvm_msr_filter f = { .flags = 1 };
	uint32_t counts[] = { 1, 0x600 * 8, 0x600 * 8 + 1, ~0u };
	unsigned int i;

	ASK("filter denies all", vm.fd, KVM_X86_SET_MSR_FILTER, f);
	f.flags = 2;
	ASK("filter flags 2", vm.fd, KVM_X86_SET_MSR_FILTER, f);
	f.flags = 0;
	f.ranges[0].bitmap = bitmap;
	for (i = 0; i < 4; i++) {
		f.ranges[0].flags = 3;
		f.ranges[0].nmsrs = counts[i];
		ASK(KEY("filter of %llu", counts[i]), vm.fd,
		    KVM_X86_SET_MSR_FILTER, f);
	}
	f.ranges[0].nmsrs = 8;
	f.ranges[0].flags = 0;
	ASK("filter of nothing", vm.fd, KVM_X86_SET_MSR_FILTER, f);
	f.ranges[0].flags = 4;
	ASK("filter range flags 4", vm.fd, KVM_X86_SET_MSR_FILTER, f);
	f.ranges[0].flags = 1;
	f.ranges[0].bitmap = (void *)NOWHERE;
	ASK("filter from nowhere", vm.fd, KVM_X86_SET_MSR_FILTER, f);
	f.ranges[0].nmsrs = 0;
	f.ranges[0].flags = 4;
	ASK("filter empty, flags 4", vm.fd, KVM_X86_SET_MSR_FILTER, f);
	vm_free(&vm);
}

void argument_answers(void)
{
	section("creation");
	creation();
	split_pins();
	section("capabilities");
	capabilities();
	section("vcpu id limit");
	vcpu_id_limit();
	section("memory");
	memory();
	section("dirty log");
	dirty_log();
	section("zones");
	coalesced();
	irqfds("no chips", NO_CHIPS);
	irqfds("chips", ALL_CHIPS);
	irqfds("split chips", SPLIT_CHIPS);
	section("ioeventfds");
	ioeventfds();
	routes("no chips", NO_CHIPS);
	routes("chips", ALL_CHIPS);
	routes("split chips", SPLIT_CHIPS);
	lines();
	messages("no chips", NO_CHIPS);
	messages("chips", ALL_CHIPS);
	messages("split chips", SPLIT_CHIPS);
	section("chips");
	chips();
	section("time");
	time_requests();
	interrupts("no chips", NO_CHIPS);
	interrupts("chips", ALL_CHIPS);
	interrupts("split chips", SPLIT_CHIPS);
	lives("no chips", NO_CHIPS);
	lives("chips", ALL_CHIPS);
	section("odds");
	odds();
	section("mce");
	mce();
	section("msr filters");
	msr_filters();
}
