// SPDX-License-Identifier: GPL-2.0-only
/* TSC and kvmclock of a guest. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b
#define MSR_WALL	0x4b564d00
#define MSR_CLOCK	0x4b564d01
#define MSR_STEAL	0x4b564d03
#define UNIT		(1ULL << 36)	/* more than a guest runs here */
#define NEAR		(1ULL << 33)	/* ticks: seconds under emulation */

static bool host_clock_is_tsc(void)
{
	char name[16] = "";
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/"
			"current_clocksource", "r");

	if (f) {
		if (!fgets(name, sizeof(name), f))
			name[0] = 0;
		fclose(f);
	}
	return !strcmp(name, "tsc\n");
}

static uint64_t guest_tsc(struct machine *m, int cpu)
{
	struct regs32 r = { 0 };

	guest_run(m, cpu, INSN_RDTSC, &r);
	return r.eax | (uint64_t)r.edx << 32;
}

static uint64_t msr(struct machine *m, int cpu, uint32_t index)
{
	uint64_t data;

	CHECK(host_rdmsr(m, cpu, index, &data));
	return data;
}

static bool near(uint64_t value, uint64_t expected)
{
	return value - expected < NEAR;
}

static void tsc_by_the_guest(struct machine *m)
{
	uint64_t data;

	CHECK(near(guest_tsc(m, 0), 0));
	CHECK(guest_wrmsr(m, MSR_TSC, UNIT));
	CHECK(near(guest_tsc(m, 0), UNIT));
	CHECK(guest_rdmsr(m, MSR_TSC_ADJUST, &data));
	CHECK(near(UNIT - data, 0));	/* it was a little above 0 before */
	CHECK(guest_wrmsr(m, MSR_TSC_ADJUST, data + UNIT));
	CHECK(near(guest_tsc(m, 0), 2 * UNIT));
	CHECK(near(msr(m, 0, MSR_TSC), 2 * UNIT));
	EQUAL(msr(m, 0, MSR_TSC_ADJUST), data + UNIT);
}

static void tsc_by_the_host(struct machine *m)
{
	CHECK(host_wrmsr(m, 0, MSR_TSC_ADJUST, 12345));
	CHECK(near(guest_tsc(m, 0), 0));
	EQUAL(msr(m, 0, MSR_TSC_ADJUST), 12345);
	CHECK(host_wrmsr(m, 0, MSR_TSC, 3 * UNIT));
	CHECK(near(guest_tsc(m, 0), 3 * UNIT));
	EQUAL(msr(m, 0, MSR_TSC_ADJUST), 12345);
}

static uint64_t tsc_offset(struct machine *m, int cpu)
{
	uint64_t offset;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	MUST(m->cpu[cpu], KVM_GET_DEVICE_ATTR, &attr);
	return offset;
}

/* Exactly, where the host trusts its own TSC; else as well as it can tell. */
static bool same_clock(struct machine *m)
{
	uint64_t difference = tsc_offset(m, 0) - tsc_offset(m, 1);
	uint64_t slack = host_clock_is_tsc() ? 0 : NEAR;

	return difference + slack <= 2 * slack;
}

static void tsc_of_two(struct machine *m)
{
	uint64_t far = 7 * UNIT;

	CHECK(same_clock(m));
	/* the same value a moment later means the same clock */
	CHECK(host_wrmsr(m, 0, MSR_TSC, far));
	usleep(20000);
	CHECK(host_wrmsr(m, 1, MSR_TSC, far));
	CHECK(same_clock(m));
	/* another value means another clock */
	CHECK(host_wrmsr(m, 1, MSR_TSC, 2 * far));
	CHECK(tsc_offset(m, 0) != tsc_offset(m, 1));
	CHECK(near(guest_tsc(m, 0), far));
	CHECK(near(guest_tsc(m, 1), 2 * far));
}

static void tsc_offset_attribute(struct machine *m)
{
	uint64_t offset = tsc_offset(m, 0) + 5 * UNIT;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	MUST(m->cpu[0], KVM_HAS_DEVICE_ATTR, &attr);
	MUST(m->cpu[0], KVM_SET_DEVICE_ATTR, &attr);
	CHECK(near(offset, tsc_offset(m, 0)) || near(tsc_offset(m, 0), offset));
	CHECK(near(guest_tsc(m, 0), 5 * UNIT));
	attr.attr = 77;
	EQUAL(ERROR_OF(m->cpu[0], KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	attr.attr = KVM_VCPU_TSC_OFFSET;
	attr.addr = 16;
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_DEVICE_ATTR, &attr), EFAULT);
}

static void tsc_rate(struct machine *m)
{
	long khz = MUST(m->cpu[0], KVM_GET_TSC_KHZ, 0);

	CHECK(khz > 1000);
	MUST(m->cpu[0], KVM_SET_TSC_KHZ, khz);
	MUST(m->cpu[0], KVM_SET_TSC_KHZ, 0);
	EQUAL(MUST(m->cpu[0], KVM_GET_TSC_KHZ, 0), khz);
}

static void no_scaling(struct machine *m)
{
	long khz = MUST(m->cpu[0], KVM_GET_TSC_KHZ, 0);

	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_TSC_KHZ, 2 * khz), EINVAL);
	EQUAL(ERROR_OF(m->cpu[0], KVM_SET_TSC_KHZ, khz / 2), EINVAL);
}

/* ---- kvmclock ---- */

struct clock_page {
	uint32_t version, pad0;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad[2];
} __attribute__((packed));

static struct clock_page *clock_page(struct machine *m)
{
	return (struct clock_page *)(m->ram + SCRATCH);
}

static uint64_t page_ns(const struct clock_page *p, uint64_t tsc)
{
	uint64_t ticks = tsc - p->tsc;

	ticks = p->shift < 0 ? ticks >> -p->shift : ticks << p->shift;
	return p->ns + (uint64_t)((unsigned __int128)ticks * p->mul >> 32);
}

static uint64_t get_clock(struct machine *m)
{
	struct kvm_clock_data data;

	memset(&data, 0xff, sizeof(data));
	MUST(m->vm, KVM_GET_CLOCK, &data);
	return data.clock;
}

static void start_clock(struct machine *m)
{
	struct regs32 r = { 0 };

	CHECK(guest_wrmsr(m, MSR_CLOCK, SCRATCH | 1));
	guest_run(m, 0, INSN_NOP, &r);
}

/* Guest time and the VM's, read around each other. */
static void check_same_time(struct machine *m)
{
	struct clock_page *p = clock_page(m);
	uint64_t before, guest, after;

	before = get_clock(m);
	guest = page_ns(p, guest_tsc(m, 0));
	after = get_clock(m);
	/* a millisecond for what rounds differently */
	if (guest + 1000000 < before || guest > after + 1000000)
		fail(__FILE__, __LINE__, "guest %llu not in %llu..%llu",
		     (unsigned long long)guest, (unsigned long long)before,
		     (unsigned long long)after);
}

static void clock_runs(struct machine *m)
{
	struct clock_page *p = clock_page(m);
	uint64_t first;

	p->version = 41;		/* odd: as if its writer died */
	start_clock(m);
	CHECK(!(p->version & 1) && p->version > 41);
	CHECK(p->mul >> 31);
	check_same_time(m);
	first = page_ns(p, guest_tsc(m, 0));
	usleep(30000);
	CHECK(page_ns(p, guest_tsc(m, 0)) >= first + 30000000);
	check_same_time(m);
	EQUAL(msr(m, 0, MSR_CLOCK), SCRATCH | 1);
	CHECK(guest_wrmsr(m, MSR_CLOCK, 0));
	memset(p, 0, sizeof(*p));
	guest_tsc(m, 0);
	EQUAL(p->version, 0);
}

static void clock_is_stable(struct machine *m)
{
	struct kvm_clock_data data;
	struct clock_page *p = clock_page(m);
	uint8_t stable = host_clock_is_tsc() ? 1 : 0;

	start_clock(m);
	EQUAL(p->flags & 1, stable);
	MUST(m->vm, KVM_GET_CLOCK, &data);
	EQUAL(!!(data.flags & KVM_CLOCK_TSC_STABLE), stable);
	EQUAL(!!(data.flags & KVM_CLOCK_HOST_TSC), stable);
	/* two TSCs cannot share one page */
	CHECK(guest_wrmsr(m, MSR_TSC, UNIT));
	guest_tsc(m, 0);
	EQUAL(p->flags & 1, 0);
	check_same_time(m);
	MUST(m->vm, KVM_GET_CLOCK, &data);
	EQUAL(data.flags & KVM_CLOCK_TSC_STABLE, 0);
}

static void clock_follows_the_tsc(struct machine *m)
{
	start_clock(m);
	CHECK(guest_wrmsr(m, MSR_TSC, UNIT));
	check_same_time(m);
	CHECK(host_wrmsr(m, 0, MSR_TSC, 9 * UNIT));
	guest_tsc(m, 0);
	check_same_time(m);
}

static void clock_set(struct machine *m)
{
	uint64_t hour = 3600ULL * 1000000000;
	struct kvm_clock_data data = { .clock = hour };

	start_clock(m);
	MUST(m->vm, KVM_SET_CLOCK, &data);
	CHECK(get_clock(m) - hour < 10000000000ULL);
	guest_tsc(m, 0);
	check_same_time(m);
	CHECK(clock_page(m)->ns >= hour);
	data.flags = 1;
	EQUAL(ERROR_OF(m->vm, KVM_SET_CLOCK, &data), EINVAL);
}

static void clock_stopped(struct machine *m)
{
	struct clock_page *p = clock_page(m);

	EQUAL(ERROR_OF(m->cpu[0], KVM_KVMCLOCK_CTRL, 0), EINVAL);
	start_clock(m);
	CHECK(!(p->flags & 2));
	MUST(m->cpu[0], KVM_KVMCLOCK_CTRL, 0);
	guest_tsc(m, 0);
	CHECK(p->flags & 2);
}

static void wall_clock(struct machine *m)
{
	struct { uint32_t version, sec, nsec; } *w;
	uint64_t now = (uint64_t)time(NULL);

	w = (void *)(m->ram + SCRATCH + 256);
	memset(w, 0, sizeof(*w));
	CHECK(guest_wrmsr(m, MSR_WALL, SCRATCH + 256));
	CHECK(w->version && !(w->version & 1));
	CHECK(w->sec <= now + 1 && w->sec + 600 > now);
	CHECK(w->nsec < 1000000000);
	EQUAL(msr(m, 0, MSR_WALL), SCRATCH + 256);
}

static void outside_memory(struct machine *m)
{
	/* Pages that are not there are the guest's own trouble. */
	struct regs32 r = { 0 };

	CHECK(guest_wrmsr(m, MSR_WALL, 1ULL << 45));
	CHECK(guest_wrmsr(m, MSR_CLOCK, 1ULL << 45 | 1));
	CHECK(guest_wrmsr(m, MSR_CLOCK, ~0ULL));
	guest_run(m, 0, INSN_NOP, &r);
}

static void steal_time(struct machine *m)
{
	struct { uint64_t steal; uint32_t version, flags; uint8_t preempted; }
		*p = (void *)(m->ram + SCRATCH + 512);
	struct regs32 r = { 0 };

	if (!(cpuid_entry(m, 0x40000001, 0)->eax & 1 << 5))
		return;
	CHECK(!guest_wrmsr(m, MSR_STEAL, (SCRATCH + 512) | 3));
	p->version = 7;
	p->steal = 1000;
	CHECK(guest_wrmsr(m, MSR_STEAL, (SCRATCH + 512) | 1));
	guest_run(m, 0, INSN_NOP, &r);
	CHECK(!(p->version & 1) && p->version > 7);
	CHECK(p->steal >= 1000);
}

const struct check time_checks[] = {
	COMMON("tsc: written by the guest", 1, tsc_by_the_guest),
	COMMON("tsc: written by the host", 1, tsc_by_the_host),
	COMMON("tsc: of two vCPUs", 2, tsc_of_two),
	COMMON("tsc: offset attribute", 1, tsc_offset_attribute),
	COMMON("tsc: rate", 1, tsc_rate),
	OURS("tsc: no scaling", 1, no_scaling),
	COMMON("clock: runs with the VM's", 1, clock_runs),
	OURS("clock: stable with one TSC", 2, clock_is_stable),
	OURS("clock: follows the TSC", 1, clock_follows_the_tsc),
	COMMON("clock: set", 1, clock_set),
	COMMON("clock: stopped", 1, clock_stopped),
	COMMON("clock: wall time", 1, wall_clock),
	COMMON("clock: page outside memory", 1, outside_memory),
	COMMON("clock: steal time", 1, steal_time),
	END_OF_CHECKS
};
