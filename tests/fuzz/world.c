// SPDX-License-Identifier: GPL-2.0-only
/* Files, memory and VMs of one fuzzing process. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "guestcode.h"

#define MAX_CPUID	256

int world_file(struct world *w, struct rng *r, enum kind kind)
{
	int start = below(r, POOL_SIZE), i, fd = -1;

	for (i = 0; fd < 0 && i < POOL_SIZE; i++)
		fd = atomic_load(&w->files[kind][(start + i) % POOL_SIZE]);
	return fd;
}

/* Whoever still writes there faults, and recovers. */
static void drop_mapping(struct world *w, int index, struct kvm_run *now)
{
	struct kvm_run *old = atomic_exchange(&w->vcpus[index].run, now);

	if (old)
		munmap(old, w->run_size);
}

int world_keep(struct world *w, struct rng *r, enum kind kind, int fd)
{
	int index = below(r, POOL_SIZE), i, old;
	struct kvm_run *run;

	for (i = 0; i < POOL_SIZE; i++)
		if (atomic_load(&w->files[kind][i]) < 0)
			index = i;
	old = atomic_exchange(&w->files[kind][index], fd);
	if (kind == KIND_VCPU) {
		run = mmap(NULL, w->run_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
		drop_mapping(w, index, run == MAP_FAILED ? NULL : run);
	}
	if (old >= 0)
		close(old);
	return index;
}

uint8_t *world_area(struct world *w, struct rng *r)
{
	return w->areas + below(r, NR_AREAS) * AREA_SIZE;
}

static long counted(int fd, unsigned long request, unsigned long arg)
{
	long result = ioctl(fd, request, arg);

	op_count(request, result);
	return result;
}
#define COUNTED(fd, request, arg) \
	counted(fd, request, (unsigned long)(arg))

/* As a guest does that uses kvmclock. */
static void set_clock_page(int fd)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} clock = { { 1, 0 }, { 0x4b564d01, 0, 0x60001 } };

	COUNTED(fd, KVM_SET_MSRS, &clock);
}

void world_add_vcpu(struct world *w, struct rng *r, int vm, unsigned int id)
{
	int fd = COUNTED(vm, KVM_CREATE_VCPU, id);
	enum guest_mode mode = below(r, NR_GUEST_MODES);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (fd < 0)
		return;
	atomic_fetch_add(&shared->vcpus, 1);
	COUNTED(fd, KVM_SET_CPUID2, w->cpuid);
	if (!COUNTED(fd, KVM_GET_SREGS, &sregs)) {
		guest_registers(r, mode, &sregs, &regs);
		COUNTED(fd, KVM_SET_SREGS, &sregs);
		COUNTED(fd, KVM_SET_REGS, &regs);
	}
	if (chance(r, 50))
		set_clock_page(fd);
	if (chance(r, 80))
		COUNTED(fd, KVM_SET_MP_STATE,
			&(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE });
	guest_memory(r, mode, w->areas);
	world_keep(w, r, KIND_VCPU, fd);
}

static void add_chips(struct rng *r, int vm)
{
	struct kvm_pit_config pit = { 0 };
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 },
	};

	if (chance(r, 20)) {
		COUNTED(vm, KVM_ENABLE_CAP, &split);
	} else if (chance(r, 85)) {
		COUNTED(vm, KVM_CREATE_IRQCHIP, 0);
		if (chance(r, 50))
			COUNTED(vm, KVM_CREATE_PIT2, &pit);
		else if (chance(r, 50))
			COUNTED(vm, KVM_CREATE_PIT, 0);
	}
}

void world_make_vm(struct world *w, struct rng *r)
{
	int kvm = world_file(w, r, KIND_KVM);
	int vm = COUNTED(kvm, KVM_CREATE_VM, 0);
	struct kvm_userspace_memory_region slot = {
		.flags = chance(r, 75) ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.memory_size = GUEST_SIZE,
		.userspace_addr = (unsigned long)w->areas,
	};
	int count = 1 + below(r, 4), id;

	if (vm < 0)
		return;
	atomic_fetch_add(&shared->vms, 1);
	COUNTED(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	if (chance(r, 30))
		COUNTED(vm, KVM_SET_BOOT_CPU_ID, below(r, 4));
	if (chance(r, 30))
		COUNTED(vm, KVM_SET_IDENTITY_MAP_ADDR,
			&(uint64_t){ 0xfffbc000 });
	add_chips(r, vm);
	for (id = 0; id < count; id++)
		world_add_vcpu(w, r, vm, id);
	world_keep(w, r, KIND_VM, vm);
}

static void make_areas(struct world *w)
{
	size_t size = (NR_AREAS + 1) * (size_t)AREA_SIZE;
	uint8_t *at = mmap(NULL, size, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		exit(3);
	w->areas = (uint8_t *)(((uintptr_t)at + AREA_SIZE - 1) &
			       ~(uintptr_t)(AREA_SIZE - 1));
	mprotect(w->areas, NR_AREAS * (size_t)AREA_SIZE,
		 PROT_READ | PROT_WRITE);
	w->memory_file = memfd_create("areas", MFD_CLOEXEC);
	if (ftruncate(w->memory_file, AREA_SIZE * 2l))
		exit(3);
}

void world_init(struct world *w, struct rng *r)
{
	int kind, i, kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	for (kind = 0; kind < NR_KINDS; kind++)
		for (i = 0; i < POOL_SIZE; i++)
			atomic_init(&w->files[kind][i], -1);
	if (kvm < 0)
		exit(3);
	for (i = 0; i < POOL_SIZE; i++)
		atomic_store(&w->files[KIND_KVM][i], i ? dup(kvm) : kvm);
	for (i = 0; i < 4; i++)
		world_keep(w, r, KIND_EVENT, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	w->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	w->cpuid = calloc(1, sizeof(*w->cpuid) +
			  MAX_CPUID * sizeof(*w->cpuid->entries));
	if (!w->cpuid || w->run_size <= 0)
		exit(3);
	w->cpuid->nent = MAX_CPUID;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, w->cpuid) < 0)
		exit(3);
	make_areas(w);
	world_make_vm(w, r);
	if (chance(r, 50))
		world_make_vm(w, r);
}
