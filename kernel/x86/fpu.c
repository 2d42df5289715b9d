// SPDX-License-Identifier: GPL-2.0-only
/* The guest's FPU: its state, XCR0 and PKRU, and the ioctls on them. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/pkru.h>
#include <asm/special_insns.h>

#include "cpuid_logic.h"
#include "x86.h"

#define CR4_OSXSAVE	BIT_ULL(18)
#define CR4_PKE		BIT_ULL(22)

#define XSTATE_BV_FP	BIT_ULL(0)
#define XSTATE_BV_SSE	BIT_ULL(1)

int x86_fpu_create(struct x86_vcpu *v)
{
	if (!fpu_alloc_guest_fpstate(&v->guest_fpu))
		return -ENOMEM;
	v->host_xcr0 = x86_host.xcr0;
	v->xcr0 = CPUID_XCR0_X87;
	return 0;
}

void x86_fpu_free(struct x86_vcpu *v)
{
	if (v->guest_fpu.fpstate)
		fpu_free_guest_fpstate(&v->guest_fpu);
}

/* ---- switching ---- */

void x86_fpu_load_guest(struct x86_vcpu *v)
{
	/* The host's PKRU is switched around each entry, not here. */
	fpu_swap_kvm_fpstate(&v->guest_fpu, true);
	v->guest_fpu_loaded = true;
}

void x86_fpu_put_guest(struct x86_vcpu *v)
{
	fpu_swap_kvm_fpstate(&v->guest_fpu, false);
	v->guest_fpu_loaded = false;
}

/* The guest can reach PKRU by WRPKRU (CR4.PKE) or XRSTOR (XCR0). */
static bool guest_uses_pkru(const struct x86_vcpu *v)
{
	return v->cr4 & CR4_PKE ||
	       (v->cr4 & CR4_OSXSAVE && v->xcr0 & CPUID_XCR0_PKRU);
}

/*
 * Interrupts are off from here to x86_xcr0_exit(): no host code saves or
 * restores extended state while the guest's XCR0 is in force.
 */
void x86_xcr0_enter(struct x86_vcpu *v)
{
	v->pkru_switched = boot_cpu_has(X86_FEATURE_OSPKE) &&
			   guest_uses_pkru(v);
	if (v->pkru_switched) {
		v->host_pkru = rdpkru();
		if (v->pkru != v->host_pkru)
			wrpkru(v->pkru);
	}
	v->xcr0_switched = v->cr4 & CR4_OSXSAVE;
	if (v->xcr0_switched && v->xcr0 != v->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, v->xcr0);
	/* XSAVES does not exit: the host's own components are not its. */
	if (v->xcr0_switched && x86_host.xss)
		wrmsrl(MSR_IA32_XSS, 0);
}

/*
 * XSETBV is intercepted, but QEMU's emulated processors did not know that
 * before 9.1: without a look at what is there now, the guest would lose its
 * XCR0 at the next entry, and with it the SSE and AVX state of its tasks.
 */
static void adopt_xcr0(struct x86_vcpu *v, u64 value)
{
	if (cpuid_xcr0_valid(value, v->cpuid.xcr0_supported))
		x86_set_xcr(v, XCR_XFEATURE_ENABLED_MASK, value);
}

void x86_xcr0_exit(struct x86_vcpu *v)
{
	u64 value;

	if (v->xcr0_switched) {
		if (x86_host.xss)
			wrmsrl(MSR_IA32_XSS, x86_host.xss);
		value = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		if (value != v->host_xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, v->host_xcr0);
		if (unlikely(value != v->xcr0))
			adopt_xcr0(v, value);
	}
	v->xcr0_switched = false;
	if (v->pkru_switched) {
		v->pkru = rdpkru();
		if (v->pkru != v->host_pkru)
			wrpkru(v->host_pkru);
	}
	v->pkru_switched = false;
}

int x86_set_xcr(struct x86_vcpu *v, u32 index, u64 value)
{
	if (index != XCR_XFEATURE_ENABLED_MASK ||
	    !cpuid_xcr0_valid(value, v->cpuid.xcr0_supported))
		return 1;
	v->xcr0 = value;
	x86_cpuid_update_runtime(v);
	return 0;
}

/* ---- the state as user space sees it: an XSAVE area, standard format ---- */

static u64 user_xfeatures(const struct x86_vcpu *v)
{
	return v->cpuid.xcr0_supported | XSTATE_BV_FP | XSTATE_BV_SSE;
}

static size_t area_size(void)
{
	return max_t(size_t, sizeof(struct kvm_xsave), x86_host.xsave_size);
}

int x86_xsave2_size(struct kvm *kvm)
{
	return area_size();
}

static struct xregs_state *area_alloc(void)
{
	return kvzalloc(area_size(), GFP_KERNEL_ACCOUNT);
}

static void area_get(struct x86_vcpu *v, struct xregs_state *area)
{
	fpu_copy_guest_fpstate_to_uabi(&v->guest_fpu, area, area_size(),
				       user_xfeatures(v), v->pkru);
}

static int area_set(struct x86_vcpu *v, const struct xregs_state *area)
{
	return fpu_copy_uabi_to_guest_fpstate(&v->guest_fpu, area,
					      user_xfeatures(v), &v->pkru);
}

/* Both INIT components become the contents of the legacy region. */
static int legacy_set(struct x86_vcpu *v, struct xregs_state *area)
{
	area->header.xfeatures |= XSTATE_BV_FP | XSTATE_BV_SSE;
	return area_set(v, area);
}

/* At creation only: the registers are as the kernel's allocation left them. */
void x86_fpu_reset(struct x86_vcpu *v, bool init)
{
	/* INIT leaves the FPU and XCR0 as they are. */
	if (init)
		return;
	v->xcr0 = CPUID_XCR0_X87;
	v->pkru = 0;
}

static int get_fpu(struct x86_vcpu *v, struct kvm_fpu __user *arg)
{
	struct xregs_state *area = area_alloc();
	struct kvm_fpu fpu = { };
	int ret = 0;

	if (!area)
		return -ENOMEM;
	area_get(v, area);
	memcpy(fpu.fpr, area->i387.st_space, sizeof(fpu.fpr));
	memcpy(fpu.xmm, area->i387.xmm_space, sizeof(fpu.xmm));
	fpu.fcw = area->i387.cwd;
	fpu.fsw = area->i387.swd;
	fpu.ftwx = area->i387.twd;
	fpu.last_opcode = area->i387.fop;
	fpu.last_ip = area->i387.rip;
	fpu.last_dp = area->i387.rdp;
	fpu.mxcsr = area->i387.mxcsr;
	kvfree(area);
	if (copy_to_user(arg, &fpu, sizeof(fpu)))
		ret = -EFAULT;
	return ret;
}

static int set_fpu(struct x86_vcpu *v, const struct kvm_fpu __user *arg)
{
	struct xregs_state *area = area_alloc();
	struct kvm_fpu fpu;
	int ret = -EFAULT;

	if (!area)
		return -ENOMEM;
	if (copy_from_user(&fpu, arg, sizeof(fpu)))
		goto out;
	area_get(v, area);
	memcpy(area->i387.st_space, fpu.fpr, sizeof(fpu.fpr));
	memcpy(area->i387.xmm_space, fpu.xmm, sizeof(fpu.xmm));
	area->i387.cwd = fpu.fcw;
	area->i387.swd = fpu.fsw;
	area->i387.twd = fpu.ftwx;
	area->i387.fop = fpu.last_opcode;
	area->i387.rip = fpu.last_ip;
	area->i387.rdp = fpu.last_dp;
	/*
	 * kvm_fpu never had a rule for MXCSR: VMMs leave it 0 (as kvmtool
	 * does) or garbage; bits the processor lacks must not reach FXRSTOR.
	 */
	area->i387.mxcsr = fpu.mxcsr & 0xffff;
	ret = legacy_set(v, area);
out:
	kvfree(area);
	return ret;
}

static int get_xsave(struct x86_vcpu *v, void __user *arg, size_t size)
{
	struct xregs_state *area;
	int ret = 0;

	/* KVM_GET_XSAVE cannot say more than 4 KiB. */
	if (size < x86_host.xsave_size)
		return -EINVAL;
	area = area_alloc();
	if (!area)
		return -ENOMEM;
	area_get(v, area);
	if (copy_to_user(arg, area, size))
		ret = -EFAULT;
	kvfree(area);
	return ret;
}

static int set_xsave(struct x86_vcpu *v, const void __user *arg)
{
	struct xregs_state *area = area_alloc();
	int ret = -EFAULT;

	if (!area)
		return -ENOMEM;
	if (!copy_from_user(area, arg, area_size()))
		ret = area_set(v, area);
	kvfree(area);
	return ret;
}

/* ---- XCRs ---- */

static int get_xcrs(struct x86_vcpu *v, struct kvm_xcrs __user *arg)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return -EINVAL;
	xcrs.xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs.xcrs[0].value = v->xcr0;
	return copy_to_user(arg, &xcrs, sizeof(xcrs)) ? -EFAULT : 0;
}

static int set_xcrs(struct x86_vcpu *v, const struct kvm_xcrs __user *arg)
{
	struct kvm_xcrs xcrs;
	u32 i;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return -EINVAL;
	if (copy_from_user(&xcrs, arg, sizeof(xcrs)))
		return -EFAULT;
	if (xcrs.nr_xcrs > KVM_MAX_XCRS || xcrs.flags)
		return -EINVAL;
	/* Others than XCR0 do not exist and are passed over. */
	for (i = 0; i < xcrs.nr_xcrs; i++) {
		if (xcrs.xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK)
			continue;
		return x86_set_xcr(v, xcrs.xcrs[i].xcr, xcrs.xcrs[i].value) ?
			-EINVAL : 0;
	}
	return 0;
}

long x86_fpu_ioctl(struct x86_vcpu *v, unsigned int cmd, void __user *argp)
{
	switch (cmd) {
	case KVM_GET_FPU:
		return get_fpu(v, argp);
	case KVM_SET_FPU:
		return set_fpu(v, argp);
	case KVM_GET_XSAVE:
		return get_xsave(v, argp, sizeof(struct kvm_xsave));
	case KVM_GET_XSAVE2:
		return get_xsave(v, argp, area_size());
	case KVM_SET_XSAVE:
		return set_xsave(v, argp);
	case KVM_GET_XCRS:
		return get_xcrs(v, argp);
	case KVM_SET_XCRS:
		return set_xcrs(v, argp);
	}
	return -ENOIOCTLCMD;
}
