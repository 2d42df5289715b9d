// SPDX-License-Identifier: GPL-2.0-only
/*
 * IN and OUT in register form, without the emulator.
 *
 * RIP moves at the next KVM_RUN, and only if user space did not move it: a
 * reset by a port write must not be skipped over.
 */
#include <linux/export.h>

#include "../trace.h"
#include "trace.h"
#include "emulation.h"

#define PORT_QUIRK_7E	0x7e

int x86_exit_pio(struct x86_vcpu *v, bool in, u16 port, u8 size, u32 count,
		 x86_complete_fn complete)
{
	struct kvm_run *run = v->vcpu.run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return x86_exit_complete_later(v, complete);
}

/* As processors do: 4 bytes clear the upper half, 1 and 2 leave the rest. */
static void set_rax(struct x86_vcpu *v, u8 size, u32 value)
{
	if (size == 4)
		v->gpr[REG_RAX] = value;
	else
		memcpy(&v->gpr[REG_RAX], &value, size);
}

static int complete_out(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);

	return v->rip == v->io.rip ? x86_advance_rip(v, v->io.next_rip) : 1;
}

static int complete_in(struct kvm_vcpu *vcpu)
{
	struct x86_vcpu *v = to_x86(vcpu);
	u32 value = 0;

	if (v->rip != v->io.rip)
		return 1;
	trace_kvm_pio(KVM_PIO_IN, v->io.port, v->io.size, 1, vcpu->pio_page);
	memcpy(&value, vcpu->pio_page, v->io.size);
	set_rax(v, v->io.size, value);
	return x86_advance_rip(v, v->io.next_rip);
}

/* Old firmware tables count on port 7e being past the OUT at the exit. */
static bool out_7e_quirk(struct x86_vcpu *v, u16 port)
{
	return port == PORT_QUIRK_7E &&
	       !(to_x86_vm(v->vcpu.kvm)->disabled_quirks &
		 KVM_X86_QUIRK_OUT_7E_INC_RIP);
}

static int nothing_left(struct kvm_vcpu *vcpu)
{
	return 1;
}

static int pio_out(struct x86_vcpu *v, u16 port, u8 size)
{
	u32 value = (u32)v->gpr[REG_RAX];

	trace_kvm_pio(KVM_PIO_OUT, port, size, 1, &value);
	if (!kvm_io_bus_write(&v->vcpu, KVM_PIO_BUS, port, size, &value))
		return x86_advance_rip(v, v->io.next_rip);
	memcpy(v->vcpu.pio_page, &value, size);
	if (out_7e_quirk(v, port)) {
		x86_advance_rip(v, v->io.next_rip);
		return x86_exit_pio(v, false, port, size, 1, nothing_left);
	}
	return x86_exit_pio(v, false, port, size, 1, complete_out);
}

static int pio_in(struct x86_vcpu *v, u16 port, u8 size)
{
	u32 value = 0;

	if (kvm_io_bus_read(&v->vcpu, KVM_PIO_BUS, port, size, &value))
		return x86_exit_pio(v, true, port, size, 1, complete_in);
	trace_kvm_pio(KVM_PIO_IN, port, size, 1, &value);
	set_rax(v, size, value);
	return x86_advance_rip(v, v->io.next_rip);
}

int x86_emulate_pio(struct x86_vcpu *v, u16 port, int size, bool in,
		    u64 next_rip)
{
	if (size != 1 && size != 2 && size != 4)
		return x86_exit_internal_error(v, KVM_INTERNAL_ERROR_EMULATION);
	v->io.rip = v->rip;
	v->io.next_rip = next_rip;
	v->io.port = port;
	v->io.size = size;
	return in ? pio_in(v, port, size) : pio_out(v, port, size);
}
EXPORT_SYMBOL_GPL(x86_emulate_pio);
