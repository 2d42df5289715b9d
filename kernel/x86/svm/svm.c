// SPDX-License-Identifier: GPL-2.0-only
/* kvm-amd.ko: what this processor offers, SVM on each CPU, the ops table. */
#include <linux/io.h>
#include <linux/mem_encrypt.h>
#include <linux/module.h>
#include <linux/percpu.h>

#include <asm/cpu_device_id.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/reboot.h>

#include "../params.h"
#include "svm.h"

#define VM_CR_SVM_DISABLE	BIT(4)
#define CPUID_SVM		0x8000000a

/* 0 or 1, as KVM shows it. */
int svm_nrips = 1;
module_param_named(nrips, svm_nrips, int, 0444);
MODULE_PARM_DESC(nrips, "Use the next instruction pointer saved by the CPU");

bool svm_flush_by_asid = true;
module_param_named(flushbyasid, svm_flush_by_asid, bool, 0444);
MODULE_PARM_DESC(flushbyasid, "Flush one guest's translations by its ASID");

bool svm_decode_assists = true;
module_param_named(decode_assists, svm_decode_assists, bool, 0444);
MODULE_PARM_DESC(decode_assists, "Use the instruction bytes saved by the CPU");

/* What we always, and what we never use of the processor. */
FIXED_PARAM(npt, bool, true);
FIXED_PARAM(intercept_smi, bool, true);
FIXED_PARAM(nested, int, 0);
FIXED_PARAM(avic, bool, false);
FIXED_PARAM(vgif, int, 0);
FIXED_PARAM(vls, int, 0);
FIXED_PARAM(vnmi, bool, false);
FIXED_PARAM(lbrv, int, 0);
FIXED_PARAM(tsc_scaling, int, 0);
FIXED_PARAM(pause_filter_thresh, int, 0);
FIXED_PARAM(pause_filter_count, int, 0);
FIXED_PARAM(sev, bool, false);
FIXED_PARAM(sev_es, bool, false);
FIXED_PARAM(sev_snp, bool, false);

DEFINE_PER_CPU(struct svm_cpu, svm_cpu);

/* ---- SVM on one CPU; APM vol. 2 15.4 and 15.30.4 ---- */

static int svm_hardware_enable(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpu);
	int ret = compat_svm_on();

	if (ret) {
		pr_err_ratelimited("kvm_amd: CPU %d: SVM is in use already\n",
				   smp_processor_id());
		return ret;
	}
	asid_pool_init(&cpu->asids, cpuid_ebx(CPUID_SVM) - 1);
	cpu->last_vmcb = NULL;
	compat_bp_spec_reduce(true);
	wrmsrl(MSR_VM_HSAVE_PA, __sme_set(page_to_phys(cpu->hsave)));
	return 0;
}

/* Also called on a crash, in NMI context: only registers. */
static void svm_off(void)
{
	wrmsrl(MSR_VM_HSAVE_PA, 0);
	compat_svm_off();
}

static void svm_hardware_disable(void)
{
	svm_off();
	compat_bp_spec_reduce(false);
}

static void svm_cpus_free(void)
{
	int i;

	for_each_possible_cpu(i) {
		struct svm_cpu *cpu = &per_cpu(svm_cpu, i);

		if (cpu->hsave)
			__free_page(cpu->hsave);
		if (cpu->host_vmcb)
			__free_page(cpu->host_vmcb);
		cpu->hsave = cpu->host_vmcb = NULL;
	}
}

static int svm_cpus_alloc(void)
{
	int i;

	for_each_possible_cpu(i) {
		struct svm_cpu *cpu = &per_cpu(svm_cpu, i);

		cpu->hsave = svm_page_alloc(GFP_KERNEL);
		cpu->host_vmcb = svm_page_alloc(GFP_KERNEL);
		if (!cpu->hsave || !cpu->host_vmcb) {
			svm_cpus_free();
			return -ENOMEM;
		}
		cpu->host_vmcb_pa = __sme_set(page_to_phys(cpu->host_vmcb));
	}
	return 0;
}

/* ---- what the processor can do ---- */

static int svm_check_host(void)
{
	u64 vm_cr;

	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("kvm_amd: this processor has no SVM\n");
		return -EOPNOTSUPP;
	}
	rdmsrl(MSR_VM_CR, vm_cr);
	if (vm_cr & VM_CR_SVM_DISABLE) {
		pr_err("kvm_amd: SVM is switched off in the firmware\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_NPT)) {
		pr_err("kvm_amd: this processor has no nested paging\n");
		return -EOPNOTSUPP;
	}
	svm_nrips = svm_nrips && boot_cpu_has(X86_FEATURE_NRIPS);
	svm_flush_by_asid &= boot_cpu_has(X86_FEATURE_FLUSHBYASID);
	svm_decode_assists &= boot_cpu_has(X86_FEATURE_DECODEASSISTS);
	return 0;
}

static const struct x86_ops svm_ops = {
	.name = "kvm_amd",
	.owner = THIS_MODULE,
	.vm_size = sizeof(struct x86_vm),
	.vcpu_size = sizeof(struct svm_vcpu),
	.hardware_enable = svm_hardware_enable,
	.hardware_disable = svm_hardware_disable,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.cpuid_changed = svm_cpuid_changed,
	.prepare_entry = svm_prepare_entry,
	.run = svm_run,
	.handle_exit_irqoff = svm_handle_exit_irqoff,
	.handle_exit = svm_handle_exit,
	.cancel_injection = svm_cancel_injection,
	.get_segment = svm_get_segment,
	.set_segment = svm_set_segment,
	.get_gdt = svm_get_gdt,
	.set_gdt = svm_set_gdt,
	.get_idt = svm_get_idt,
	.set_idt = svm_set_idt,
	.get_cpl = svm_get_cpl,
	.get_exit_rip = svm_get_exit_rip,
	.cr0_changed = svm_cr0_changed,
	.cr3_changed = svm_cr3_changed,
	.cr4_changed = svm_cr4_changed,
	.efer_changed = svm_efer_changed,
	.dr_changed = svm_dr_changed,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.write_tsc_offset = svm_write_tsc_offset,
	.set_msr_filter = svm_set_msr_filter,
	.inject_exception = svm_inject_exception,
	.inject_interrupt = svm_inject_interrupt,
	.inject_nmi = svm_inject_nmi,
	.interrupt_allowed = svm_interrupt_allowed,
	.nmi_allowed = svm_nmi_allowed,
	.get_nmi_mask = svm_get_nmi_mask,
	.set_nmi_mask = svm_set_nmi_mask,
	.enable_irq_window = svm_enable_irq_window,
	.enable_nmi_window = svm_enable_nmi_window,
	.get_interrupt_shadow = svm_get_interrupt_shadow,
	.set_interrupt_shadow = svm_set_interrupt_shadow,
	.update_cr8_intercept = svm_update_cr8_intercept,
	.flush_tlb = svm_flush_tlb,
	.flush_tlb_gva = svm_flush_tlb_gva,
	.load_npt = svm_load_npt,
};

static int __init svm_init(void)
{
	int ret = svm_check_host();

	if (ret)
		return ret;
	ret = svm_cpus_alloc();
	if (ret)
		return ret;
	ret = svm_iopm_alloc();
	if (ret)
		goto out_cpus;
	compat_emergency_register(svm_off);
	ret = x86_vendor_init(&svm_ops);
	if (ret)
		goto out_emergency;
	return 0;

out_emergency:
	compat_emergency_unregister(svm_off);
	svm_iopm_free();
out_cpus:
	svm_cpus_free();
	return ret;
}

static void __exit svm_exit(void)
{
	x86_vendor_exit();
	compat_emergency_unregister(svm_off);
	svm_iopm_free();
	svm_cpus_free();
}

/* udev loads the module where a processor has this, as it does KVM's. */
static const struct x86_cpu_id svm_cpus[] = {
	X86_MATCH_FEATURE(X86_FEATURE_SVM, NULL),
	{ }
};
MODULE_DEVICE_TABLE(x86cpu, svm_cpus);

module_init(svm_init);
module_exit(svm_exit);
MODULE_DESCRIPTION("unikvm: KVM on AMD SVM");
MODULE_AUTHOR("The unikvm authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(UNIKVM_VERSION);
