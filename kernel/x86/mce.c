// SPDX-License-Identifier: GPL-2.0-only
/* Machine check banks of a vCPU: MSRs, and errors that user space raises. */
#include <linux/bits.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include <asm/processor-flags.h>

#include "msr.h"

#define MSR_MCG_CAP		0x179
#define MSR_MCG_STATUS		0x17a
#define MSR_MCG_CTL		0x17b
#define MSR_MC0_CTL		0x400

/* Four MSRs a bank; APM vol. 2 9.3.2 */
enum { BANK_CTL, BANK_STATUS, BANK_ADDR, BANK_MISC, BANK_MSRS };

#define MCG_CTL_P		BIT_ULL(8)
#define MCG_SER_P		BIT_ULL(24)
#define MCG_BANKS		0xffULL
#define MCG_EXT_COUNT		0xff0000ULL
#define MCE_CAP_SUPPORTED	(MCG_CTL_P | MCG_SER_P)

#define MCG_STATUS_MCIP		BIT_ULL(2)
#define STATUS_VAL		BIT_ULL(63)
#define STATUS_OVER		BIT_ULL(62)
#define STATUS_UC		BIT_ULL(61)
#define HWCR_STATUS_WRITE	BIT_ULL(18)

static unsigned int nr_banks(const struct x86_vcpu *v)
{
	return v->msrs.mcg_cap & MCG_BANKS;
}

bool x86_is_mce_msr(struct x86_vcpu *v, u32 index)
{
	return (index >= MSR_MCG_CAP && index <= MSR_MCG_CTL) ||
	       (index >= MSR_MC0_CTL &&
		index < MSR_MC0_CTL + BANK_MSRS * nr_banks(v));
}

/* Index into mce_banks of an MSR that is one of theirs, as a guest names it. */
static u32 bank_msr(const struct x86_vcpu *v, u32 index)
{
	return array_index_nospec(index - MSR_MC0_CTL,
				  BANK_MSRS * nr_banks(v));
}

int x86_mce_msr_get(struct x86_vcpu *v, u32 index, u64 *data, bool host)
{
	struct x86_msr_state *m = &v->msrs;

	switch (index) {
	case MSR_MCG_CAP:
		*data = m->mcg_cap;
		return MSR_OK;
	case MSR_MCG_STATUS:
		*data = m->mcg_status;
		return MSR_OK;
	case MSR_MCG_CTL:
		*data = m->mcg_ctl;
		return host || m->mcg_cap & MCG_CTL_P ? MSR_OK : MSR_INVALID;
	default:
		/* x86_is_mce_msr() has bounded it */
		*data = m->mce_banks[bank_msr(v, index)];
		return MSR_OK;
	}
}

static bool all_or_nothing(u64 data)
{
	return !data || data == ~0ULL;
}

static int bank_set(struct x86_vcpu *v, u32 offset, u64 data, bool host)
{
	switch (offset % BANK_MSRS) {
	case BANK_CTL:
		/* Linux clears bit 10 (GART walk errors) on some of AMD's. */
		if (!all_or_nothing(data) && (data | BIT_ULL(10)) != ~0ULL)
			return MSR_INVALID;
		break;
	case BANK_STATUS:
		if (!host && data && !(v->msrs.hwcr & HWCR_STATUS_WRITE))
			return MSR_INVALID;
		break;
	}
	v->msrs.mce_banks[offset] = data;
	return MSR_OK;
}

int x86_mce_msr_set(struct x86_vcpu *v, u32 index, u64 data, bool host)
{
	struct x86_msr_state *m = &v->msrs;

	switch (index) {
	case MSR_MCG_CAP:
		return MSR_INVALID;	/* KVM_X86_SETUP_MCE sets it */
	case MSR_MCG_STATUS:
		m->mcg_status = data;
		return MSR_OK;
	case MSR_MCG_CTL:
		if (!(m->mcg_cap & MCG_CTL_P))
			return host && !data ? MSR_OK : MSR_INVALID;
		if (!all_or_nothing(data))
			return MSR_INVALID;
		m->mcg_ctl = data;
		return MSR_OK;
	default:
		return bank_set(v, bank_msr(v, index), data, host);
	}
}

static int set_cap(struct x86_vcpu *v, u64 cap)
{
	struct x86_msr_state *m = &v->msrs;
	unsigned int bank, banks = cap & MCG_BANKS;

	if (!banks || banks > X86_MAX_MCE_BANKS ||
	    cap & ~(MCE_CAP_SUPPORTED | MCG_BANKS | MCG_EXT_COUNT))
		return -EINVAL;
	m->mcg_cap = cap;
	m->mcg_ctl = cap & MCG_CTL_P ? ~0ULL : 0;
	for (bank = 0; bank < banks; bank++)
		m->mce_banks[BANK_MSRS * bank + BANK_CTL] = ~0ULL;
	return 0;
}

void x86_mce_reset(struct x86_vcpu *v)
{
	/* Error banks survive a reset; their number is the model's. */
	if (!nr_banks(v))
		v->msrs.mcg_cap = X86_MAX_MCE_BANKS;
	v->msrs.mcg_status = 0;
}

/* ---- errors from user space ---- */

static void log_error(u64 *bank, const struct kvm_x86_mce *mce)
{
	u64 overflow = bank[BANK_STATUS] & STATUS_VAL ? STATUS_OVER : 0;

	bank[BANK_STATUS] = mce->status | overflow;
	bank[BANK_ADDR] = mce->addr;
	bank[BANK_MISC] = mce->misc;
}

static void raise_uncorrected(struct x86_vcpu *v, u64 *bank,
			      const struct kvm_x86_mce *mce)
{
	/* A second one, or one the guest cannot take: the processor stops. */
	if (v->msrs.mcg_status & MCG_STATUS_MCIP || !(v->cr4 & X86_CR4_MCE)) {
		kvm_make_request(X86_REQ_TRIPLE_FAULT, &v->vcpu);
		return;
	}
	log_error(bank, mce);
	v->msrs.mcg_status = mce->mcg_status;
	x86_queue_exception(v, MC_VECTOR);
}

static long set_mce(struct x86_vcpu *v, const void __user *argp)
{
	struct kvm_x86_mce mce;
	u64 *bank, old;

	if (copy_from_user(&mce, argp, sizeof(mce)))
		return -EFAULT;
	if (mce.bank >= nr_banks(v) || !(mce.status & STATUS_VAL))
		return -EINVAL;
	mce.bank = array_index_nospec(mce.bank, nr_banks(v));
	bank = &v->msrs.mce_banks[BANK_MSRS * mce.bank];
	if (mce.status & STATUS_UC) {
		/* Reporting switched off, for all banks or for this one. */
		if ((v->msrs.mcg_cap & MCG_CTL_P && v->msrs.mcg_ctl != ~0ULL) ||
		    bank[BANK_CTL] != ~0ULL)
			return 0;
		raise_uncorrected(v, bank, &mce);
		return 0;
	}
	old = bank[BANK_STATUS];
	if (old & STATUS_VAL && old & STATUS_UC)
		bank[BANK_STATUS] |= STATUS_OVER;	/* the worse one stays */
	else
		log_error(bank, &mce);
	return 0;
}

static long setup_mce(struct x86_vcpu *v, const void __user *argp)
{
	u64 cap;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	return set_cap(v, cap);
}

long x86_mce_dev_ioctl(unsigned int cmd, void __user *argp)
{
	u64 cap = MCE_CAP_SUPPORTED;

	if (cmd != KVM_X86_GET_MCE_CAP_SUPPORTED)
		return -ENOIOCTLCMD;
	return copy_to_user(argp, &cap, sizeof(cap)) ? -EFAULT : 0;
}

long x86_mce_vcpu_ioctl(struct x86_vcpu *v, unsigned int cmd,
			void __user *argp)
{
	switch (cmd) {
	case KVM_X86_SETUP_MCE:
		return setup_mce(v, argp);
	case KVM_X86_SET_MCE:
		return set_mce(v, argp);
	}
	return -ENOIOCTLCMD;
}
