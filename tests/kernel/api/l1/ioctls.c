// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls every request and asks for every capability of a <linux/kvm.h>.
 *
 * requests.h is made by the test from the host's header: REQUEST(name) and
 * CAPABILITY(name) for each that is defined there; types.h has the types that
 * other architectures define. One line a request, machine and kind of file:
 * MACHINE KIND NAME BAD ZERO NULL, the results with a pointer to nowhere, to
 * zeroes, and with 0; one line a capability: cap NAME DEV VM. A machine is
 * "plain", or "chips" with interrupt chips and PIT in the kernel.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "types.h"

#define NOWHERE		8UL		/* in the page that is never mapped */
#define BUFFER		0x10000
#define NR_KINDS	4

enum { DEV, VM, VCPU, DEVICE };

struct named {
	const char *name;
	unsigned long value;
};

#define REQUEST(name)		{ #name, (unsigned long)(name) },
#define CAPABILITY(name)
static const struct named requests[] = {
#include "requests.h"
};

#undef REQUEST
#undef CAPABILITY
#define REQUEST(name)
#define CAPABILITY(name)	{ #name, (unsigned long)(name) },
static const struct named capabilities[] = {
#include "requests.h"
};

static const char *const kinds[NR_KINDS] = { "dev", "vm", "vcpu", "device" };
static int fds[NR_KINDS];
static struct kvm_run *run;
static size_t run_size;
static uint8_t *buffer;
static bool used;		/* a call succeeded: the next needs a new VM */

static void must(bool good, const char *what)
{
	if (!good)
		err(1, "%s", what);
}

static void new_machine(bool chips)
{
	struct kvm_pit_config pit = { .flags = 0 };
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	fds[VM] = ioctl(fds[DEV], KVM_CREATE_VM, 0);
	must(fds[VM] >= 0, "KVM_CREATE_VM");
	if (chips) {
		must(!ioctl(fds[VM], KVM_CREATE_IRQCHIP, 0), "irqchip");
		must(!ioctl(fds[VM], KVM_CREATE_PIT2, &pit), "PIT");
	}
	fds[VCPU] = ioctl(fds[VM], KVM_CREATE_VCPU, 0);
	must(fds[VCPU] >= 0, "KVM_CREATE_VCPU");
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fds[VCPU], 0);
	must(run != MAP_FAILED, "mmap");
	run->immediate_exit = 1;
	fds[DEVICE] = ioctl(fds[VM], KVM_CREATE_DEVICE, &device) ? -1 :
		      (int)device.fd;
	used = false;
}

static void end_machine(void)
{
	munmap(run, run_size);
	close(fds[VCPU]);
	if (fds[DEVICE] >= 0)
		close(fds[DEVICE]);
	close(fds[VM]);
}

static bool makes_fd(const char *name)
{
	return !strcmp(name, "KVM_CREATE_VM") ||
	       !strcmp(name, "KVM_CREATE_VCPU") ||
	       !strcmp(name, "KVM_GET_STATS_FD");
}

static void call(int kind, const struct named *request, unsigned long arg)
{
	int ret = ioctl(fds[kind], request->value, arg);

	if (ret < 0) {
		printf(" %s", strerrorname_np(errno));
		return;
	}
	if (request->value != KVM_CHECK_EXTENSION)
		used = true;
	if (makes_fd(request->name)) {
		close(ret);
		printf(" fd");
	} else {
		printf(" %d", ret);
	}
}

/* Zeroes; but stock 6.1 hangs the machine over an all-zero LAPIC. */
static void fill_buffer(const struct named *request)
{
	memset(buffer, 0, BUFFER);
	if (request->value == KVM_SET_LAPIC)
		ioctl(fds[VCPU], KVM_GET_LAPIC, buffer);
}

static void call_on_all(bool chips, const struct named *request)
{
	int kind;

	for (kind = 0; kind < NR_KINDS; kind++) {
		if (fds[kind] < 0)
			continue;
		printf("%s %s %s", chips ? "chips" : "plain", kinds[kind],
		       request->name);
		call(kind, request, NOWHERE);
		fill_buffer(request);
		call(kind, request, (uintptr_t)buffer);
		call(kind, request, 0);
		printf("\n");
	}
	fflush(stdout);
	if (used) {
		end_machine();
		new_machine(chips);
	}
}

int main(void)
{
	const size_t nr = sizeof(requests) / sizeof(requests[0]);
	const size_t caps = sizeof(capabilities) / sizeof(capabilities[0]);
	size_t i;
	int chips;

	buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(buffer != MAP_FAILED, "buffer");
	fds[DEV] = open("/dev/kvm", O_RDWR);
	must(fds[DEV] >= 0, "/dev/kvm");
	run_size = ioctl(fds[DEV], KVM_GET_VCPU_MMAP_SIZE, 0);
	for (chips = 0; chips < 2; chips++) {
		new_machine(chips);
		for (i = 0; i < nr; i++)
			call_on_all(chips, &requests[i]);
		end_machine();
	}
	new_machine(false);
	for (i = 0; i < caps; i++)
		printf("cap %s %d %d\n", capabilities[i].name,
		       ioctl(fds[DEV], KVM_CHECK_EXTENSION,
			     capabilities[i].value),
		       ioctl(fds[VM], KVM_CHECK_EXTENSION,
			     capabilities[i].value));
	end_machine();
	return 0;
}
