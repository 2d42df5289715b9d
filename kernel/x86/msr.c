// SPDX-License-Identifier: GPL-2.0-only
/* Model-specific registers: what guest and user space read and write. */
#include <linux/bits.h>
#include <linux/moduleparam.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tsc.h>

#include "cpuid_logic.h"
#include "msr.h"
#include "msr_logic.h"
#include "regs_ioctl.h"

#define MSR_TSC			0x10
#define MSR_PV_WALL_CLOCK	0x11
#define MSR_PV_SYSTEM_TIME	0x12
#define MSR_APIC_BASE		0x1b
#define MSR_TSC_ADJUST		0x3b
#define MSR_SPEC_CTRL		0x48
#define MSR_PRED_CMD		0x49
#define MSR_UCODE_REV		0x8b
#define MSR_PLATFORM		0xce
#define MSR_MISC_FEATURES	0x140
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MISC_ENABLE		0x1a0
#define MSR_POWER_CTL		0x1fc
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC_FIRST	0x800
#define MSR_X2APIC_LAST		0x8ff
#define MSR_HWCR		0xc0010015
#define MSR_OSVW_LENGTH		0xc0010140
#define MSR_OSVW_STATUS		0xc0010141
#define MSR_DE_CFG		0xc0011029
#define MSR_PV_CLOCKS		0x4b564d00
#define MSR_PV_EOI		0x4b564d04

#define APIC_BASE_BSP		BIT_ULL(8)
#define APIC_BASE_X2APIC	BIT_ULL(10)
#define APIC_BASE_ENABLE	BIT_ULL(11)
#define APIC_BASE_MODE		(APIC_BASE_ENABLE | APIC_BASE_X2APIC)

/* Debug and branch trace stores do not exist: the guest cannot say else. */
#define MISC_ENABLE_NO_BTS	BIT_ULL(11)
#define MISC_ENABLE_NO_PEBS	BIT_ULL(12)
#define MISC_ENABLE_FIXED	(MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS)

/* McStatusWrEn, TscFreqSel; the rest is stored nowhere and ignored. */
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(6) | \
				 BIT_ULL(8))
#define HWCR_STORED		(BIT_ULL(18) | BIT_ULL(24))

#define PRED_CMD_IBPB_BIT	BIT_ULL(0)

/* PLATFORM_INFO: CPUID can be made to fault (SDM vol. 4, MSR 140h). */
#define PLATFORM_CPUID_FAULT	BIT_ULL(31)

/*
 * Errata that an operating system works around by itself (PPR, C001_0140): of
 * the first three, those of HLT and I/O (1 and 2) do not show in a guest.
 */
#define OSVW_LENGTH		3
#define OSVW_HOST		BIT_ULL(0)

/* ---- APIC base ---- */

static bool apic_base_allowed(struct x86_vcpu *v, u64 value, bool host)
{
	u64 reserved = v->cpuid.reserved_gpa_bits | 0x2ff;
	u64 old = v->apic_base & APIC_BASE_MODE;
	u64 new = value & APIC_BASE_MODE;

	if (v->cpuid.entries &&
	    !x86_guest_has(v, 1, 0, CPUID_REG_ECX, CPUID_1_ECX_X2APIC))
		reserved |= APIC_BASE_X2APIC;
	/* x2APIC without the enable bit is no mode (SDM vol. 3 10.12.1). */
	if (value & reserved || new == APIC_BASE_X2APIC)
		return false;
	if (host)
		return true;
	/* Out of x2APIC only through disabled, into it only from xAPIC. */
	if (old == APIC_BASE_MODE)
		return new != APIC_BASE_ENABLE;
	return old == APIC_BASE_ENABLE || new != APIC_BASE_MODE;
}

int x86_set_apic_base(struct x86_vcpu *v, u64 value, bool host)
{
	if (!apic_base_allowed(v, value, host))
		return 1;
	x86_lapic_set_base(v, value);
	x86_cpuid_update_runtime(v);
	return 0;
}

/* ---- MSRs that exist, do nothing and read as a constant ---- */

/*
 * Firmware and kernels touch these without a fault handler in place. Writes
 * are dropped. Sources: BKDG and PPR of AMD family 10h to 19h, SDM vol. 4.
 */
static const struct {
	u32 first, last;
	u64 value;
} quiet_msrs[] = {
	{ 0x0, 0x1, 0 },			/* P5_MC_ADDR, _TYPE */
	{ 0x17, 0x17, 0 },			/* PLATFORM_ID */
	{ 0x2a, 0x2a, 0 },			/* EBL_CR_POWERON */
	{ 0x2c, 0x2c, 1 << 24 },		/* EBC_FREQUENCY_ID */
	{ 0x79, 0x79, 0 },			/* UCODE_WRITE */
	{ 0xc1, 0xc2, 0 },			/* two old counters */
	{ 0xcd, 0xcd, 3 },			/* FSB_FREQ */
	{ 0x11e, 0x11e, 0xbe702111 },		/* BBL_CR_CTL3 */
	{ 0x186, 0x187, 0 },			/* what the two count */
	/* PERF_STATUS, multiplier 4: who divides by it must not get 0 */
	{ 0x198, 0x198, 4ULL << 40 | 1000 },
	{ 0x199, 0x199, 0 },			/* PERF_CTL */
	{ 0x1d9, 0x1d9, 0 },			/* DEBUGCTL */
	{ 0x1db, 0x1de, 0 },			/* last branch, exception */
	{ 0x606, 0x606, 0 },			/* power and energy, ... */
	{ 0x611, 0x611, 0 },
	{ 0x619, 0x619, 0 },
	{ 0x639, 0x639, 0 },
	{ 0x641, 0x641, 0 },			/* ... as far as read */
	{ 0xc0010000, 0xc0010007, 0 },		/* four old counters */
	{ 0xc0010010, 0xc0010010, 0 },		/* SYSCFG */
	{ 0xc001001b, 0xc001001b, 1 << 29 },	/* CLK_CTL: ramp-up count */
	{ 0xc001001f, 0xc001001f, 0 },		/* NB_CFG */
	{ 0xc0010020, 0xc0010020, 0 },		/* PATCH_LOADER */
	{ 0xc0010055, 0xc0010055, 0 },		/* INT_PENDING_MSG */
	{ 0xc0010058, 0xc0010058, 0 },		/* MMCONFIG base */
	{ 0xc0010112, 0xc0010113, 0 },		/* TSEG: none */
	{ 0xc0010114, 0xc0010115, 0 },		/* VM_CR, IGNNE */
	{ 0xc0010117, 0xc0010117, 0 },		/* VM_HSAVE_PA */
	{ 0xc0011020, 0xc0011023, 0 },		/* LS, IC, DC, BU configuration */
	{ 0xc001102a, 0xc001102a, 0 },		/* BU_CFG2 */
	{ 0xc001102c, 0xc001102c, 0 },		/* EX_CFG */
};

static bool quiet_msr(u32 index, u64 *value)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(quiet_msrs); i++) {
		if (index < quiet_msrs[i].first || index > quiet_msrs[i].last)
			continue;
		*value = quiet_msrs[i].value;
		return true;
	}
	return false;
}

/* ---- memory types ---- */

static u64 *memory_type_msr(struct x86_vcpu *v, u32 index)
{
	int i = mtrr_fixed_index(index);

	if (i >= 0)
		return &v->msrs.mtrr_fixed[i];
	i = mtrr_var_index(index);
	if (i >= 0)
		return &v->msrs.mtrr_var[i];
	if (index == MSR_MTRR_DEF_TYPE)
		return &v->msrs.mtrr_def_type;
	return NULL;
}

static int memory_type_set(struct x86_vcpu *v, u32 index, u64 data, bool host)
{
	u8 width = v->cpuid.maxphyaddr;

	/* State is restored before CPUID tells the width, sometimes. */
	if (host)
		width = max(width, x86_host.maxphyaddr);
	if (!mtrr_value_valid(index, data, width))
		return MSR_INVALID;
	*memory_type_msr(v, index) = data;
	return MSR_OK;
}

static int pat_set(struct x86_vcpu *v, u64 data)
{
	if (!pat_value_valid(data))
		return MSR_INVALID;
	v->msrs.pat = data;	/* the vendor looks at every entry */
	return MSR_OK;
}

/* ---- by group: MSR_UNKNOWN if index is not of the group ---- */

static bool guest_has_tsc_adjust(struct x86_vcpu *v)
{
	return x86_guest_has(v, 7, 0, CPUID_REG_EBX, CPUID_7_EBX_TSC_ADJUST);
}

static int time_get(struct x86_vcpu *v, u32 index, u64 *data, bool host)
{
	switch (index) {
	case MSR_TSC:
		*data = x86_guest_tsc(v, rdtsc());
		return MSR_OK;
	case MSR_TSC_ADJUST:
		*data = v->msrs.tsc_adjust;
		return MSR_OK;
	case MSR_TSC_DEADLINE:
		*data = v->lapic ? x86_lapic_get_tscdeadline(v) : 0;
		return MSR_OK;
	case MSR_PV_WALL_CLOCK:
	case MSR_PV_SYSTEM_TIME:
	case MSR_PV_CLOCKS ... MSR_PV_CLOCKS + 1:
	case MSR_ASYNC_PF ... MSR_PV_EOI:
	case MSR_ASYNC_PF_INT ... MSR_ASYNC_PF_ACK:
		return x86_pv_msr_get(v, index, data);
	}
	return MSR_UNKNOWN;
}

static int time_set(struct x86_vcpu *v, u32 index, u64 data, bool host)
{
	switch (index) {
	case MSR_TSC:
		x86_guest_tsc_write(v, data, host);
		return MSR_OK;
	case MSR_TSC_ADJUST:
		if (host)
			v->msrs.tsc_adjust = data;
		else if (guest_has_tsc_adjust(v))
			x86_tsc_adjust_write(v, data);
		return MSR_OK;		/* else dropped, as by KVM */
	case MSR_TSC_DEADLINE:
		if (v->lapic)
			x86_lapic_set_tscdeadline(v, data);
		return MSR_OK;
	case MSR_PV_WALL_CLOCK:
	case MSR_PV_SYSTEM_TIME:
	case MSR_PV_CLOCKS ... MSR_PV_CLOCKS + 1:
	case MSR_ASYNC_PF ... MSR_PV_EOI:
	case MSR_ASYNC_PF_INT ... MSR_ASYNC_PF_ACK:
		return x86_pv_msr_set(v, index, data);
	}
	return MSR_UNKNOWN;
}

/*
 * What the guest may switch on, by its own CPUID; user space restores state
 * within what the host has. 0: there is no such MSR.
 */
static u64 spec_ctrl_allowed(struct x86_vcpu *v, bool host)
{
	const struct kvm_cpuid_entry2 *e;

	if (!boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		return 0;
	if (host)
		return spec_ctrl_bits(cpuid_ebx(0x80000008));
	e = x86_cpuid_find(v, 0x80000008, 0);
	return e ? spec_ctrl_bits(e->ebx & cpuid_ebx(0x80000008)) : 0;
}

static bool guest_has_osvw(struct x86_vcpu *v)
{
	return x86_guest_has(v, 0x80000001, 0, CPUID_REG_ECX,
			     CPUID_8000_0001_ECX_OSVW);
}

static int system_get(struct x86_vcpu *v, u32 index, u64 *data, bool host)
{
	struct x86_vm *vm = to_x86_vm(v->vcpu.kvm);

	switch (index) {
	case MSR_APIC_BASE:
		*data = v->apic_base;
		return MSR_OK;
	case MSR_EFER:
		*data = v->efer;
		return MSR_OK;
	case MSR_SPEC_CTRL:
		*data = v->msrs.spec_ctrl;
		return spec_ctrl_allowed(v, host) ? MSR_OK : MSR_INVALID;
	case MSR_UCODE_REV:
		*data = v->msrs.microcode;
		return MSR_OK;
	case MSR_PLATFORM:
		*data = v->msrs.platform_info;
		return host || vm->guest_can_read_platform_info ?
			MSR_OK : MSR_INVALID;
	case MSR_MISC_FEATURES:
		*data = v->msrs.misc_features;
		return MSR_OK;
	case MSR_OSVW_LENGTH:
		*data = v->msrs.osvw_length;
		return host || guest_has_osvw(v) ? MSR_OK : MSR_INVALID;
	case MSR_OSVW_STATUS:
		*data = v->msrs.osvw_status;
		return host || guest_has_osvw(v) ? MSR_OK : MSR_INVALID;
	case MSR_MISC_ENABLE:
		*data = v->msrs.misc_enable;
		return MSR_OK;
	case MSR_POWER_CTL:
		*data = v->msrs.power_ctl;
		return MSR_OK;
	case MSR_HWCR:
		*data = v->msrs.hwcr;
		return MSR_OK;
	case MSR_DE_CFG:
		*data = v->msrs.de_cfg;
		return MSR_OK;
	case MSR_PAT:
		*data = v->msrs.pat;
		return MSR_OK;
	case MSR_MTRR_CAP:
		*data = MTRR_CAP_VALUE;
		return MSR_OK;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		return v->lapic && !x86_lapic_msr_read(v, index, data) ?
			MSR_OK : MSR_INVALID;
	}
	return MSR_UNKNOWN;
}

static int misc_enable_set(struct x86_vcpu *v, u64 data, bool host)
{
	u64 *stored = &v->msrs.misc_enable;

	if (!host)
		data = (data & ~MISC_ENABLE_FIXED) |
		       (*stored & MISC_ENABLE_FIXED);
	*stored = data;
	x86_cpuid_update_runtime(v);
	return MSR_OK;
}

/* Nothing but CPUID faulting, and that only where PLATFORM_INFO says so. */
static int misc_features_set(struct x86_vcpu *v, u64 data, bool host)
{
	if (data & ~MISC_FEATURES_CPUID_FAULT)
		return MSR_INVALID;
	if (data && !host && !(v->msrs.platform_info & PLATFORM_CPUID_FAULT))
		return MSR_INVALID;
	v->msrs.misc_features = data;
	return MSR_OK;
}

static int hwcr_set(struct x86_vcpu *v, u64 data)
{
	data &= ~HWCR_IGNORED;
	if (data & ~HWCR_STORED)
		return MSR_INVALID;
	v->msrs.hwcr = data;
	return MSR_OK;
}

/* Bits of it mend this processor's faults; only the one we know is kept. */
static int de_cfg_set(struct x86_vcpu *v, u64 data, bool host)
{
	u64 supported;

	if (!x86_msr_feature(MSR_DE_CFG, &supported))
		supported = 0;
	if (host && data & ~supported)
		return MSR_INVALID;
	if (host)
		v->msrs.de_cfg = data;
	/* By the guest: LFENCE stays serialising, whatever it writes. */
	return MSR_OK;
}

static int spec_ctrl_set(struct x86_vcpu *v, u64 data, bool host)
{
	u64 allowed = spec_ctrl_allowed(v, host);

	if (!allowed || data & ~allowed)
		return MSR_INVALID;
	v->msrs.spec_ctrl = data;	/* in force from the next entry */
	return MSR_OK;
}

/* Indirect branch prediction barrier, for the guest on this very CPU. */
static int pred_cmd_set(struct x86_vcpu *v, u64 data, bool host)
{
	if (!host && !x86_guest_has(v, 0x80000008, 0, CPUID_REG_EBX,
				    CPUID_8000_0008_EBX_IBPB))
		return MSR_INVALID;
	if (data & ~PRED_CMD_IBPB_BIT || !boot_cpu_has(X86_FEATURE_IBPB))
		return MSR_INVALID;
	if (data)
		wrmsrl(MSR_PRED_CMD, PRED_CMD_IBPB_BIT);
	return MSR_OK;
}

static int system_set(struct x86_vcpu *v, u32 index, u64 data, bool host)
{
	switch (index) {
	case MSR_APIC_BASE:
		return x86_set_apic_base(v, data, host) ? MSR_INVALID : MSR_OK;
	case MSR_EFER:
		return (host ? x86_set_efer_host(v, data) :
			       x86_set_efer(v, data)) ?
			MSR_INVALID : MSR_OK;
	case MSR_SPEC_CTRL:
		return spec_ctrl_set(v, data, host);
	case MSR_PRED_CMD:
		return pred_cmd_set(v, data, host);
	case MSR_UCODE_REV:
		/* The guest clears it before it asks for the revision. */
		if (host)
			v->msrs.microcode = data;
		return MSR_OK;
	case MSR_PLATFORM:
		if (!host)
			return MSR_INVALID;
		v->msrs.platform_info = data;
		return MSR_OK;
	case MSR_MISC_FEATURES:
		return misc_features_set(v, data, host);
	case MSR_OSVW_LENGTH:
		if (!host)
			return MSR_INVALID;
		v->msrs.osvw_length = data;
		return MSR_OK;
	case MSR_OSVW_STATUS:
		if (!host)
			return MSR_INVALID;
		v->msrs.osvw_status = data;
		return MSR_OK;
	case MSR_MISC_ENABLE:
		return misc_enable_set(v, data, host);
	case MSR_POWER_CTL:
		v->msrs.power_ctl = data;
		return MSR_OK;
	case MSR_HWCR:
		return hwcr_set(v, data);
	case MSR_DE_CFG:
		return de_cfg_set(v, data, host);
	case MSR_PAT:
		return pat_set(v, data);
	case MSR_MTRR_CAP:
		return host && data == MTRR_CAP_VALUE ? MSR_OK : MSR_INVALID;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		return v->lapic && !x86_lapic_msr_write(v, index, data) ?
			MSR_OK : MSR_INVALID;
	}
	return MSR_UNKNOWN;
}

/* ---- the vendor's, with what all vendors check alike ---- */

static bool canonical(struct x86_vcpu *v, u64 address)
{
	unsigned int bits = v->cr4 & BIT_ULL(12) ? 57 : 48;	/* CR4.LA57 */

	return sign_extend64(address, bits - 1) == address;
}

static bool guest_has_tsc_aux(struct x86_vcpu *v)
{
	return x86_guest_has(v, 0x80000001, 0, CPUID_REG_EDX,
			     CPUID_8000_0001_EDX_RDTSCP) ||
	       x86_guest_has(v, 7, 0, CPUID_REG_ECX, CPUID_7_ECX_RDPID);
}

static int vendor_get(struct x86_vcpu *v, u32 index, u64 *data, bool host)
{
	if (index == MSR_TSC_AUX && !host && !guest_has_tsc_aux(v))
		return MSR_INVALID;
	if (!x86_ops->get_msr(v, index, data))
		return MSR_OK;
	return quiet_msr(index, data) ? MSR_OK : MSR_UNKNOWN;
}

static int vendor_set(struct x86_vcpu *v, u32 index, u64 data, bool host)
{
	u64 ignored;

	switch (index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_LSTAR:
	case MSR_CSTAR:
		if (!canonical(v, data))
			return MSR_INVALID;
		break;
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
		/* AMD keeps 32 bits and never faults; the rest must not harm. */
		data = sign_extend64(data, 47);
		break;
	case MSR_TSC_AUX:
		if (!host && !guest_has_tsc_aux(v))
			return MSR_INVALID;
		data = (u32)data;
		break;
	}
	if (!x86_ops->set_msr(v, index, data))
		return MSR_OK;
	return quiet_msr(index, &ignored) ? MSR_OK : MSR_UNKNOWN;
}

/* ---- all of them ---- */

static bool ignore_msrs;
module_param(ignore_msrs, bool, 0644);
MODULE_PARM_DESC(ignore_msrs, "Unknown MSRs read as 0 and swallow writes");

static bool report_ignored_msrs = true;
module_param(report_ignored_msrs, bool, 0644);
MODULE_PARM_DESC(report_ignored_msrs, "Log such accesses");

/* The answer of the last one asked, unless the administrator knows better. */
static int last_answer(int ret, u32 index, const char *access)
{
	if (ret != MSR_UNKNOWN || !READ_ONCE(ignore_msrs))
		return ret;
	if (READ_ONCE(report_ignored_msrs))
		pr_info_ratelimited("kvm: %s of unknown MSR %#x ignored\n",
				    access, index);
	return MSR_OK;
}

static int msr_read(struct x86_vcpu *v, u32 index, u64 *data, bool host)
{
	u64 *stored;
	int ret;

	ret = time_get(v, index, data, host);
	if (ret == MSR_UNKNOWN)
		ret = system_get(v, index, data, host);
	if (ret != MSR_UNKNOWN)
		return ret;
	if (x86_is_mce_msr(v, index))
		return x86_mce_msr_get(v, index, data, host);
	stored = memory_type_msr(v, index);
	if (stored) {
		*data = *stored;
		return MSR_OK;
	}
	*data = 0;
	return last_answer(vendor_get(v, index, data, host), index, "read");
}

static int msr_write(struct x86_vcpu *v, u32 index, u64 data, bool host)
{
	int ret;

	ret = time_set(v, index, data, host);
	if (ret == MSR_UNKNOWN)
		ret = system_set(v, index, data, host);
	if (ret != MSR_UNKNOWN)
		return ret;
	if (x86_is_mce_msr(v, index))
		return x86_mce_msr_set(v, index, data, host);
	if (memory_type_msr(v, index))
		return memory_type_set(v, index, data, host);
	return last_answer(vendor_set(v, index, data, host), index, "write");
}

/* What x86_get_msr() and x86_set_msr() promise the run loop. */
static int guest_answer(struct x86_vcpu *v, int ret)
{
	u32 mask = to_x86_vm(v->vcpu.kvm)->user_space_msr_mask;
	u32 reason;

	if (ret == MSR_OK)
		return 0;
	reason = ret == MSR_UNKNOWN ? KVM_MSR_EXIT_REASON_UNKNOWN :
				      KVM_MSR_EXIT_REASON_INVAL;
	return mask & reason ? reason << 8 : 1;
}

static int filter_answer(struct x86_vcpu *v)
{
	u32 mask = to_x86_vm(v->vcpu.kvm)->user_space_msr_mask;

	return mask & KVM_MSR_EXIT_REASON_FILTER ?
		KVM_MSR_EXIT_REASON_FILTER << 8 : 1;
}

int x86_get_msr(struct x86_vcpu *v, u32 index, u64 *data)
{
	if (x86_msr_filtered(v, index, KVM_MSR_FILTER_READ))
		return filter_answer(v);
	return guest_answer(v, msr_read(v, index, data, false));
}

int x86_set_msr(struct x86_vcpu *v, u32 index, u64 data)
{
	if (x86_msr_filtered(v, index, KVM_MSR_FILTER_WRITE))
		return filter_answer(v);
	return guest_answer(v, msr_write(v, index, data, false));
}

int x86_get_msr_host(struct x86_vcpu *v, u32 index, u64 *data)
{
	return msr_read(v, index, data, true) != MSR_OK;
}

int x86_set_msr_host(struct x86_vcpu *v, u32 index, u64 data)
{
	return msr_write(v, index, data, true) != MSR_OK;
}

void x86_msr_reset(struct x86_vcpu *v, bool init)
{
	struct x86_msr_state *m = &v->msrs;

	/* INIT leaves memory types, TSC and its like alone (table 14-1). */
	if (init)
		return;
	m->pat = PAT_RESET;
	m->misc_enable = MISC_ENABLE_FIXED;
	m->power_ctl = 0;
	m->mtrr_def_type = 0;
	memset(m->mtrr_fixed, 0, sizeof(m->mtrr_fixed));
	memset(m->mtrr_var, 0, sizeof(m->mtrr_var));
	m->tsc_adjust = 0;
	m->hwcr = 0;
	m->spec_ctrl = 0;
	m->platform_info = PLATFORM_CPUID_FAULT;
	m->misc_features = 0;
	m->osvw_length = OSVW_LENGTH;
	m->osvw_status = 0;
	if (boot_cpu_has(X86_FEATURE_OSVW))
		rdmsrl(MSR_OSVW_STATUS, m->osvw_status);
	m->osvw_status &= OSVW_HOST;
	x86_msr_feature(MSR_UCODE_REV, &m->microcode);
	x86_msr_feature(MSR_DE_CFG, &m->de_cfg);
	x86_mce_reset(v);
}
