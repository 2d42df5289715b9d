// SPDX-License-Identifier: GPL-2.0-only
/* The guest's page tables as a vCPU sees them, and copies by linear address. */
#include <linux/mm.h>

#include <asm/processor.h>

#include "walk.h"
#include "../x86.h"

static_assert(X86_ACCESS_WRITE == PF_WRITE && X86_ACCESS_USER == PF_USER &&
	      X86_ACCESS_FETCH == PF_FETCH &&
	      X86_ACCESS_IMPLICIT == WALK_IMPLICIT);

static int read_entry(void *ctx, u64 gpa, void *val, int size)
{
	return kvm_read_guest(ctx, gpa, val, size);
}

static int cmpxchg_entry(void *ctx, u64 gpa, u64 old, u64 new, int size)
{
	return kvm_cmpxchg_guest(ctx, gpa, old, new, size);
}

static const struct walk_ops guest_tables = {
	.read = read_entry,
	.cmpxchg = cmpxchg_entry,
};

/* For a debugger's look: leaves accessed and dirty bits alone. */
static const struct walk_ops guest_tables_ro = {
	.read = read_entry,
};

/*
 * Limits are the processor's, not those that CPUID shows to the guest: the
 * walk has to agree with the one that the processor made before the exit.
 */
static void walk_cpu_of(struct x86_vcpu *v, struct walk_cpu *cpu)
{
	*cpu = (struct walk_cpu) {
		.cr0 = v->cr0,
		.cr3 = v->cr3,
		.cr4 = v->cr4,
		.efer = v->efer,
		.ac = v->rflags & X86_EFLAGS_AC,
		.pkru = v->pkru,
		.maxphyaddr = clamp_t(u8, x86_host.maxphyaddr, 32, 52),
		.gbpages = boot_cpu_has(X86_FEATURE_GBPAGES),
		.amd = boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
		       boot_cpu_data.x86_vendor == X86_VENDOR_HYGON,
	};
}

/* What the access is, given who makes it. */
static u32 access_of(struct x86_vcpu *v, u32 access)
{
	if (access & X86_ACCESS_IMPLICIT)
		return access & ~X86_ACCESS_USER;
	return x86_op(get_cpl)(v) == 3 ? access | X86_ACCESS_USER : access;
}

int x86_gva_to_gpa(struct x86_vcpu *v, gva_t gva, u32 access, gpa_t *gpa,
		   struct emul_fault *fault)
{
	struct walk_result res;
	struct walk_cpu cpu;

	walk_cpu_of(v, &cpu);
	if (x86_walk(&cpu, &guest_tables, v->vcpu.kvm, gva,
		     access_of(v, access), &res, fault))
		return 1;
	*gpa = res.gpa;
	return 0;
}

typedef int (*copy_fn)(struct kvm *kvm, gpa_t gpa, void *data, u32 len);

static int copy_in(struct kvm *kvm, gpa_t gpa, void *data, u32 len)
{
	return kvm_read_guest(kvm, gpa, data, len);
}

static int copy_out(struct kvm *kvm, gpa_t gpa, void *data, u32 len)
{
	return kvm_write_guest(kvm, gpa, data, len);
}

/* Only translate: a fault on any page comes before the first byte moves. */
static int copy_probe(struct kvm *kvm, gpa_t gpa, void *data, u32 len)
{
	return 0;
}

static int for_each_page(struct x86_vcpu *v, gva_t gva, void *data, u32 len,
			 u32 access, struct emul_fault *fault, copy_fn copy)
{
	while (len) {
		u32 n = min_t(u32, len, PAGE_SIZE - offset_in_page(gva));
		gpa_t gpa;
		int ret;

		ret = x86_gva_to_gpa(v, gva, access, &gpa, fault);
		if (!ret)
			ret = copy(v->vcpu.kvm, gpa, data, n);
		if (ret)
			return ret;
		gva += n;
		/* Without long mode linear addresses wrap at 4 GiB. */
		if (!is_long_mode(v))
			gva = (u32)gva;
		data += n;
		len -= n;
	}
	return 0;
}

int x86_write_gva(struct x86_vcpu *v, gva_t gva, const void *data, u32 len,
		  u32 access, struct emul_fault *fault)
{
	int ret = 0;

	access |= X86_ACCESS_WRITE;
	if (offset_in_page(gva) + (u64)len > PAGE_SIZE)
		ret = for_each_page(v, gva, NULL, len, access, fault,
				    copy_probe);
	if (ret)
		return ret;
	return for_each_page(v, gva, (void *)data, len, access, fault,
			     copy_out);
}

int x86_fetch_gva(struct x86_vcpu *v, gva_t gva, void *data, u32 len,
		  struct emul_fault *fault)
{
	return for_each_page(v, gva, data, len, X86_ACCESS_FETCH, fault,
			     copy_in);
}

/* KVM_TRANSLATE: a debugger's question, so rights do not matter. */
int x86_translate(struct x86_vcpu *v, struct kvm_translation *tr)
{
	struct emul_fault fault;
	struct walk_result res;
	struct walk_cpu cpu;
	int idx, failed;

	walk_cpu_of(v, &cpu);
	cpu.ac = true;
	cpu.pkru = 0;
	idx = srcu_read_lock(&v->vcpu.kvm->srcu);
	failed = x86_walk(&cpu, &guest_tables_ro, v->vcpu.kvm,
			  tr->linear_address, 0, &res, &fault);
	srcu_read_unlock(&v->vcpu.kvm->srcu, idx);

	tr->physical_address = failed ? ~0ULL : res.gpa;
	tr->valid = !failed;
	tr->writeable = !failed && res.writable;
	tr->usermode = !failed && res.user;
	return 0;
}
