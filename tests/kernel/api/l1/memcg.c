// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a user can make grow counts to the user's memory cgroup.
 *
 * One line for each kind of object: "ok NAME" or "not ok NAME: BYTES of MINIMUM",
 * kernel memory charged while so many of them exist.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l1.h"

#define ROOT		"/sys/fs/cgroup"
#define GROUP		ROOT "/unikvm-memcg"
#define VMS		16
#define VCPUS		64
#define SLOTS		4000
#define EVENTS		900
#define ROUTES		4096
#define FILTER_BYTES	0x600

static int kvm, vm, vcpu[VCPUS], vms[VMS], events[EVENTS];
static uint8_t *memory;

static void put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", file);
	close(fd);
}

static void enter_group(void)
{
	struct stat st;

	if (stat(ROOT "/cgroup.controllers", &st))
		mount("none", ROOT, "cgroup2", 0, NULL);
	put(ROOT "/cgroup.subtree_control", "+memory");
	if (mkdir(GROUP, 0755) && errno != EEXIST)
		err(1, GROUP);
	put(GROUP "/cgroup.procs", "0");
}

/* Bytes of kernel memory that count to the group. */
static long charged(void)
{
	char line[128];
	long bytes = -1;
	FILE *f = fopen(GROUP "/memory.stat", "r");

	if (!f)
		err(1, "memory.stat");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "kernel %ld", &bytes) == 1)
			break;
	fclose(f);
	if (bytes < 0)
		errx(1, "memory.stat has no line for the kernel");
	return bytes;
}

/* What earlier steps gave up is freed some time later: wait until it is. */
static long settled(void)
{
	long now = charged(), before;
	int i;

	for (i = 0; i < 20; i++) {
		before = now;
		usleep(200000);
		now = charged();
		if (now == before)
			break;
	}
	return now;
}

/* ---- things to have many of ---- */

static void make_vms(void)
{
	int i;

	for (i = 0; i < VMS; i++)
		vms[i] = CALL(kvm, KVM_CREATE_VM, 0);
}

static void make_vcpus(void)
{
	long i;

	for (i = 0; i < VCPUS; i++)
		vcpu[i] = CALL(vm, KVM_CREATE_VCPU, i);
}

static void make_cpuids(void)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) +
				      256 * sizeof(c->entries[0]));
	int i;

	c->nent = 256;
	for (i = 0; i < 256; i++)
		c->entries[i].function = 0x90000000u + i;
	for (i = 0; i < VCPUS; i++)
		CALL(vcpu[i], KVM_SET_CPUID2, c);
	free(c);
}

static void make_slots(void)
{
	uint32_t slot;

	for (slot = 1; slot <= SLOTS; slot++)
		l1_set_slot(vm, slot, 0, (1ULL << 32) + 8192ULL * slot, memory,
			    4096);
}

static void make_dirty_log(void)
{
	l1_set_slot(vm, SLOTS + 1, KVM_MEM_LOG_DIRTY_PAGES, 1UL << 36, memory,
		    1UL << 32);
}

static void make_routes(void)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) +
					   ROUTES * sizeof(r->entries[0]));
	uint32_t i;

	r->nr = ROUTES;
	for (i = 0; i < ROUTES; i++) {
		r->entries[i].gsi = i;
		r->entries[i].type = KVM_IRQ_ROUTING_MSI;
		r->entries[i].u.msi.address_lo = 0xfee00000;
		r->entries[i].u.msi.data = 0x4041;
	}
	CALL(vm, KVM_SET_GSI_ROUTING, r);
	free(r);
}

static void make_irqfds(void)
{
	struct kvm_irqfd irqfd = { .gsi = 0 };
	int i;

	for (i = 0; i < EVENTS; i++) {
		irqfd.fd = events[i];
		irqfd.gsi = i;
		CALL(vm, KVM_IRQFD, &irqfd);
	}
}

static void make_ioeventfds(void)
{
	struct kvm_ioeventfd e = { .len = 4 };
	int i;

	for (i = 0; i < EVENTS; i++) {
		e.fd = events[i];
		e.addr = 0xd0000000u + 8u * i;
		CALL(vm, KVM_IOEVENTFD, &e);
	}
}

static void make_filter(void)
{
	static uint8_t bitmap[FILTER_BYTES];
	struct kvm_msr_filter f = { .flags = 0 };
	int i;

	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		f.ranges[i].flags = KVM_MSR_FILTER_READ;
		f.ranges[i].base = 0x10000u * (i + 1);
		f.ranges[i].nmsrs = FILTER_BYTES * 8;
		f.ranges[i].bitmap = bitmap;
	}
	CALL(vm, KVM_X86_SET_MSR_FILTER, &f);
}

/* What is kept of each at least; the rest is the implementation's. */
static const struct kind {
	const char *name;
	void (*make)(void);
	long minimum;
} kinds[] = {
	{ "VMs", make_vms, VMS * 2048L },
	{ "vCPUs", make_vcpus, VCPUS * 3 * 4096L },
	{ "CPUID", make_cpuids, VCPUS * 256L * 32 },
	{ "memory slots", make_slots, SLOTS * 48L },
	{ "dirty log", make_dirty_log, 1L << 17 },
	{ "routes", make_routes, ROUTES * 24L },
	{ "irqfds", make_irqfds, EVENTS * 64L },
	{ "ioeventfds", make_ioeventfds, EVENTS * 64L },
	{ "MSR filter", make_filter, KVM_MSR_FILTER_MAX_RANGES * FILTER_BYTES },
};

int main(void)
{
	struct rlimit files = { 8192, 8192 };
	unsigned int i;
	int failed = 0;

	setrlimit(RLIMIT_NOFILE, &files);
	enter_group();
	kvm = l1_open_kvm();
	memory = l1_memory(1UL << 32);
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	for (i = 0; i < EVENTS; i++) {
		events[i] = eventfd(0, 0);
		if (events[i] < 0)
			err(1, "eventfd");
	}
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		long grown = -settled();

		kinds[i].make();
		grown += settled();
		if (grown >= kinds[i].minimum) {
			printf("ok %s\n", kinds[i].name);
		} else {
			printf("not ok %s: %ld of %ld\n", kinds[i].name, grown,
			       kinds[i].minimum);
			failed = 1;
		}
		fflush(stdout);
	}
	put(ROOT "/cgroup.procs", "0");
	return failed;
}
