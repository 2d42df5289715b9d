/* SPDX-License-Identifier: GPL-2.0-only */
/* CPUID: what of the host a guest may see, and what follows. Pure logic. */
#ifndef UNIKVM_CPUID_LOGIC_H
#define UNIKVM_CPUID_LOGIC_H

#include "../shim.h"

#include <unikvm/kvm.h>

/* The four registers in the order CPUID documentation names them. */
enum cpuid_reg {
	CPUID_REG_EAX, CPUID_REG_EBX, CPUID_REG_ECX, CPUID_REG_EDX
};

/* Bit numbers, APM vol. 3 appendix E; the register is in the name. */
#define CPUID_1_ECX_MONITOR		3
#define CPUID_1_ECX_PCID		17
#define CPUID_1_ECX_X2APIC		21
#define CPUID_1_ECX_TSC_DEADLINE	24
#define CPUID_1_ECX_XSAVE		26
#define CPUID_1_ECX_OSXSAVE		27
#define CPUID_1_ECX_HYPERVISOR		31
#define CPUID_1_EDX_VME			0
#define CPUID_1_EDX_DE			2
#define CPUID_1_EDX_PSE			3
#define CPUID_1_EDX_APIC		9
#define CPUID_1_EDX_FXSR		24
#define CPUID_1_EDX_SSE			25
#define CPUID_7_EBX_FSGSBASE		0
#define CPUID_7_EBX_TSC_ADJUST		1
#define CPUID_7_EBX_SMEP		7
#define CPUID_7_EBX_INVPCID		10
#define CPUID_7_EBX_SMAP		20
#define CPUID_7_ECX_UMIP		2
#define CPUID_7_ECX_PKU			3
#define CPUID_7_ECX_OSPKE		4
#define CPUID_7_ECX_LA57		16
#define CPUID_7_ECX_RDPID		22
#define CPUID_D_1_EAX_XSAVEC		1
#define CPUID_8000_0001_ECX_SVM		2
#define CPUID_8000_0001_ECX_OSVW	9
#define CPUID_8000_0001_EDX_SYSCALL	11
#define CPUID_8000_0001_EDX_NX		20
#define CPUID_8000_0001_EDX_FXSR_OPT	25
#define CPUID_8000_0001_EDX_RDTSCP	27
#define CPUID_8000_0001_EDX_LM		29
#define CPUID_8000_0008_EBX_IBPB	12
#define CPUID_8000_0008_EBX_IBRS	14
#define CPUID_8000_0008_EBX_STIBP	15
#define CPUID_8000_0008_EBX_SSBD	24
#define CPUID_8000_0008_EBX_PSFD	28
#define CPUID_8000_0021_EAX_LFENCE_RDTSC 2

/* XCR0 components, APM vol. 2 section 11.5.2. */
#define CPUID_XCR0_X87		BIT_ULL(0)
#define CPUID_XCR0_SSE		BIT_ULL(1)
#define CPUID_XCR0_AVX		BIT_ULL(2)
#define CPUID_XCR0_AVX512	(BIT_ULL(5) | BIT_ULL(6) | BIT_ULL(7))
#define CPUID_XCR0_PKRU		BIT_ULL(9)

/* Everything this hypervisor knows how to save, restore and migrate. */
#define CPUID_XCR0_KNOWN	(CPUID_XCR0_X87 | CPUID_XCR0_SSE |	\
				 CPUID_XCR0_AVX | CPUID_XCR0_AVX512 |	\
				 CPUID_XCR0_PKRU)

/* KVM's paravirtual features, leaf 40000001 eax. */
#define CPUID_PV_CLOCKSOURCE		0
#define CPUID_PV_NOP_IO_DELAY		1
#define CPUID_PV_CLOCKSOURCE2		3
#define CPUID_PV_ASYNC_PF		4
#define CPUID_PV_STEAL_TIME		5
#define CPUID_PV_EOI			6
#define CPUID_PV_UNHALT			7
#define CPUID_PV_ASYNC_PF_VMEXIT	10
#define CPUID_PV_SEND_IPI		11
#define CPUID_PV_SCHED_YIELD		13
#define CPUID_PV_ASYNC_PF_INT		14
#define CPUID_PV_CLOCKSOURCE_STABLE	24

#define CPUID_PV_SIGNATURE_LEAF	0x40000000u
#define CPUID_PV_FEATURES_LEAF	0x40000001u

#define CPUID_MAX_ENTRIES	256

/* Reads CPUID of the host: r[] by enum cpuid_reg. ctx is the caller's. */
typedef void (*cpuid_read_fn)(void *ctx, u32 function, u32 index, u32 r[4]);

struct cpuid_env {
	cpuid_read_fn read;
	void *ctx;
	u64 guest_xcr0;		/* components a guest may enable; 0: no XSAVE */
	u32 pv_features;	/* leaf 40000001 eax */
};

/*
 * Fill entries with everything a guest may be shown. Returns their number, or
 * -E2BIG if there are more than max.
 */
int cpuid_supported(const struct cpuid_env *env,
		    struct kvm_cpuid_entry2 *entries, u32 max);

/* The entry of a leaf, or NULL. index counts only where the entry says so. */
const struct kvm_cpuid_entry2 *
cpuid_find(const struct kvm_cpuid_entry2 *entries, u32 nent, u32 function,
	   u32 index);
u32 cpuid_entry_reg(const struct kvm_cpuid_entry2 *e, int reg);
bool cpuid_has(const struct kvm_cpuid_entry2 *entries, u32 nent, u32 function,
	       u32 index, int reg, u32 bit);

/* The entry that answers the instruction: maybe another leaf's, or NULL. */
const struct kvm_cpuid_entry2 *
cpuid_find_answer(const struct kvm_cpuid_entry2 *entries, u32 nent,
		  u32 function, u32 index);
/* The instruction: answers r[] for function and index. */
void cpuid_query(const struct kvm_cpuid_entry2 *entries, u32 nent,
		 u32 function, u32 index, u32 r[4]);
/* AMD answers zeros beyond the last leaf, others the last basic leaf. */
bool cpuid_vendor_zeroes_unknown(const struct kvm_cpuid_entry2 *entries,
				 u32 nent);

/* State of the vCPU that some bits follow. */
struct cpuid_runtime {
	bool osxsave;		/* CR4.OSXSAVE */
	bool pke;		/* CR4.PKE */
	bool apic_enabled;	/* APIC base bit 11 */
	bool mwait_follows;	/* quirk: MONITOR follows MISC_ENABLE */
	bool mwait;		/* MISC_ENABLE bit 18 */
	u64 xcr0;
};

void cpuid_apply_runtime(struct kvm_cpuid_entry2 *entries, u32 nent,
			 const struct cpuid_runtime *rt);

/* Bytes of an XSAVE area with these components; sizes from leaf d. */
u32 cpuid_xsave_size(const struct cpuid_env *env, u64 xcr0, bool compacted);

/* Bits of CR4 and EFER that this guest must not set. */
u64 cpuid_cr4_reserved(const struct kvm_cpuid_entry2 *entries, u32 nent);
u64 cpuid_efer_reserved(const struct kvm_cpuid_entry2 *entries, u32 nent);
u8 cpuid_maxphyaddr(const struct kvm_cpuid_entry2 *entries, u32 nent);
/* Linear address width is one a processor can have (or not told). */
bool cpuid_linear_width_ok(const struct kvm_cpuid_entry2 *entries, u32 nent);
/* eax of KVM's feature leaf, wherever user space put it; 0 if nowhere. */
u32 cpuid_pv_features(const struct kvm_cpuid_entry2 *entries, u32 nent);
bool cpuid_xcr0_valid(u64 xcr0, u64 supported);

#endif
