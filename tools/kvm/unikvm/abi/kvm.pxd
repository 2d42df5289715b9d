# SPDX-License-Identifier: GPL-2.0-only
"""include/uapi/unikvm/kvm.h as Cython sees it.

Layouts come from the C header at compile time; the fields listed here are
those the VMM touches.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "unikvm/kvm.h" nogil:
    # Members of kvm_run's unnamed union; the names on the left are only
    # Cython's, they never reach the C compiler.
    struct _run_hw:
        uint64_t hardware_exit_reason

    struct _run_fail_entry:
        uint64_t hardware_entry_failure_reason
        uint32_t cpu

    struct _run_io:
        uint8_t direction
        uint8_t size
        uint16_t port
        uint32_t count
        uint64_t data_offset

    struct _run_mmio:
        uint64_t phys_addr
        uint8_t data[8]
        uint32_t len
        uint8_t is_write

    struct _run_internal:
        uint32_t suberror
        uint32_t ndata
        uint64_t data[16]

    struct _run_system_event:
        uint32_t type
        uint32_t ndata

    struct _run_debug_arch:
        uint32_t exception
        uint64_t pc
        uint64_t dr6
        uint64_t dr7

    struct _run_debug:
        _run_debug_arch arch

    struct kvm_run:
        uint8_t request_interrupt_window
        uint8_t immediate_exit
        uint32_t exit_reason
        uint8_t ready_for_interrupt_injection
        uint8_t if_flag
        uint16_t flags
        uint64_t cr8
        uint64_t apic_base
        _run_hw hw
        _run_fail_entry fail_entry
        _run_io io
        _run_mmio mmio
        _run_internal internal
        _run_system_event system_event
        _run_debug debug

    struct kvm_regs:
        uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp
        uint64_t r8, r9, r10, r11, r12, r13, r14, r15
        uint64_t rip, rflags

    struct kvm_segment:
        uint64_t base
        uint32_t limit
        uint16_t selector
        uint8_t type
        uint8_t present, dpl, db, s, l, g, avl
        uint8_t unusable

    struct kvm_dtable:
        uint64_t base
        uint16_t limit

    struct kvm_sregs:
        kvm_segment cs, ds, es, fs, gs, ss, tr, ldt
        kvm_dtable gdt, idt
        uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base
        uint64_t interrupt_bitmap[4]

    struct kvm_fpu:
        uint16_t fcw
        uint32_t mxcsr

    struct kvm_msr_entry:
        uint32_t index
        uint64_t data

    struct kvm_msrs:
        uint32_t nmsrs
        kvm_msr_entry entries[0]

    struct kvm_msr_list:
        uint32_t nmsrs
        uint32_t indices[0]

    struct kvm_cpuid_entry2:
        uint32_t function
        uint32_t index
        uint32_t flags
        uint32_t eax, ebx, ecx, edx

    struct kvm_cpuid2:
        uint32_t nent
        kvm_cpuid_entry2 entries[0]

    struct kvm_lapic_state:
        char regs[0x400]

    struct kvm_mp_state:
        uint32_t mp_state

    struct kvm_userspace_memory_region:
        uint32_t slot
        uint32_t flags
        uint64_t guest_phys_addr
        uint64_t memory_size
        uint64_t userspace_addr

    struct kvm_irq_level:
        uint32_t irq
        uint32_t level

    struct kvm_pit_config:
        uint32_t flags

    struct kvm_irq_routing_irqchip:
        uint32_t irqchip
        uint32_t pin

    struct kvm_irq_routing_msi:
        uint32_t address_lo
        uint32_t address_hi
        uint32_t data

    union _routing_u:
        kvm_irq_routing_irqchip irqchip
        kvm_irq_routing_msi msi

    struct kvm_irq_routing_entry:
        uint32_t gsi
        uint32_t type
        uint32_t flags
        _routing_u u

    struct kvm_irq_routing:
        uint32_t nr
        uint32_t flags
        kvm_irq_routing_entry entries[0]

    struct kvm_msi:
        uint32_t address_lo
        uint32_t address_hi
        uint32_t data
        uint32_t flags

    struct kvm_irqfd:
        uint32_t fd
        uint32_t gsi
        uint32_t flags
        uint32_t resamplefd

    struct kvm_ioeventfd:
        uint64_t datamatch
        uint64_t addr
        uint32_t len
        int32_t fd
        uint32_t flags

    struct kvm_coalesced_mmio_zone:
        uint64_t addr
        uint32_t size

    enum:
        KVM_API_VERSION
        KVM_EXIT_UNKNOWN
        KVM_EXIT_IO
        KVM_EXIT_DEBUG
        KVM_EXIT_HLT
        KVM_EXIT_MMIO
        KVM_EXIT_IRQ_WINDOW_OPEN
        KVM_EXIT_SHUTDOWN
        KVM_EXIT_FAIL_ENTRY
        KVM_EXIT_INTR
        KVM_EXIT_INTERNAL_ERROR
        KVM_EXIT_SYSTEM_EVENT
        KVM_EXIT_IO_OUT
        KVM_SYSTEM_EVENT_SHUTDOWN
        KVM_SYSTEM_EVENT_RESET
        KVM_IRQ_ROUTING_IRQCHIP
        KVM_IRQ_ROUTING_MSI
        KVM_IRQFD_FLAG_DEASSIGN
        KVM_IRQFD_FLAG_RESAMPLE
        KVM_IOEVENTFD_FLAG_DATAMATCH
        KVM_IOEVENTFD_FLAG_PIO
        KVM_IOEVENTFD_FLAG_DEASSIGN

    unsigned long KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_GET_MSR_INDEX_LIST
    unsigned long KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE
    unsigned long KVM_GET_SUPPORTED_CPUID
    unsigned long KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_SET_TSS_ADDR
    unsigned long KVM_SET_IDENTITY_MAP_ADDR, KVM_CREATE_IRQCHIP, KVM_IRQ_LINE
    unsigned long KVM_SET_GSI_ROUTING, KVM_IRQFD, KVM_CREATE_PIT2, KVM_IOEVENTFD
    unsigned long KVM_SIGNAL_MSI, KVM_REGISTER_COALESCED_MMIO
    unsigned long KVM_RUN, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS
    unsigned long KVM_SET_SREGS, KVM_GET_MSRS, KVM_SET_MSRS, KVM_GET_FPU
    unsigned long KVM_SET_FPU, KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_SET_CPUID2
    unsigned long KVM_GET_MP_STATE, KVM_SET_MP_STATE
