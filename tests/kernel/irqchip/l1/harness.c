// SPDX-License-Identifier: GPL-2.0-only
/* VMs for the interrupt tests. */
#include "harness.h"

#include <signal.h>

extern const uint8_t payload[], payload_end[], payload_isr[];
extern const uint8_t payload_ap[], payload_ap_end[];

int failures;

int try_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

uint64_t drain(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* ---- memory ---- */

static void put32(struct vm *vm, uint32_t addr, uint32_t value)
{
	memcpy(vm->memory + addr, &value, 4);
}

static void load_tables(struct vm *vm)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff,
					0x00cf93000000ffff };
	uint32_t isr = CODE + (payload_isr - payload);
	int i;

	memcpy(vm->memory + CODE, payload, payload_end - payload);
	memcpy(vm->memory + AP_CODE, payload_ap, payload_ap_end - payload_ap);
	memcpy(vm->memory + GDT, gdt, sizeof(gdt));
	for (i = 0; i < 256; i++) {
		uint32_t stub = STUBS + i * 16;
		uint8_t *code = vm->memory + stub;

		code[0] = 0x68;				/* push imm32 */
		put32(vm, stub + 1, i);
		code[5] = 0xe9;				/* jmp rel32 */
		put32(vm, stub + 6, isr - (stub + 10));
		put32(vm, IDT + i * 8, 8 << 16 | (stub & 0xffff));
		put32(vm, IDT + i * 8 + 4, (stub & 0xffff0000) | 0x8e00);
	}
}

void vm_script(struct vm *vm, const struct instruction *script, size_t n)
{
	memcpy(vm->memory + SCRIPT, script, n * sizeof(*script));
}

void vm_eoi(struct vm *vm, int vector, enum eoi how)
{
	vm->memory[EOIS + vector] = how;
}

uint32_t vm_word(struct vm *vm, uint32_t addr)
{
	return *(volatile uint32_t *)(vm->memory + addr);
}

uint32_t vm_count(struct vm *vm, int vector)
{
	return vm_word(vm, COUNTS + vector * 4);
}

int vm_log(struct vm *vm, int index)
{
	return vm->memory[LOG + 4 + index];
}

/* ---- vCPUs ---- */

static void set_cpuid(struct vcpu *v)
{
	struct l1_cpuid cpuid;
	unsigned i;

	l1_get_cpuid(v->vm->kvm, &cpuid);
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == 1)
			cpuid.entries[i].ecx |= 1 << 24 | 1 << 21;
	CALL(v->fd, KVM_SET_CPUID2, &cpuid);
}

static void set_start(struct vcpu *v)
{
	struct kvm_regs regs = { .rip = CODE, .rsi = SCRIPT, .rflags = 2,
				 .rsp = STACK_TOP };
	struct kvm_sregs sregs;

	CALL(v->fd, KVM_GET_SREGS, &sregs);
	l1_flat_segments(&sregs, 32);
	sregs.gdt = (struct kvm_dtable) { .base = GDT, .limit = 23 };
	sregs.idt = (struct kvm_dtable) { .base = IDT, .limit = 0x7ff };
	sregs.cr0 |= 1;
	CALL(v->fd, KVM_SET_SREGS, &sregs);
	CALL(v->fd, KVM_SET_REGS, &regs);
}

static void vcpu_new(struct vm *vm, int id)
{
	struct vcpu *v = &vm->cpu[id];

	v->vm = vm;
	v->fd = CALL(vm->fd, KVM_CREATE_VCPU, id);
	v->run = l1_map_run(vm->kvm, v->fd);
	set_cpuid(v);
	if (id == 0)
		set_start(v);
}

static void enable_split(struct vm *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP,
				      .args = { 24 } };

	CALL(vm->fd, KVM_ENABLE_CAP, &cap);
}

static volatile sig_atomic_t time_is_up;

static void on_alarm(int signal)
{
	(void)signal;
	time_is_up = 1;
}

static void wake(int signal)
{
	(void)signal;
}

struct vm *vm_new(enum chips chips, int ncpus)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct vm *vm = calloc(1, sizeof(*vm));
	int i;

	signal(SIGUSR1, wake);
	sigaction(SIGALRM, &(struct sigaction) { .sa_handler = on_alarm },
		  NULL);
	vm->kvm = l1_open_kvm();
	vm->fd = CALL(vm->kvm, KVM_CREATE_VM, 0);
	vm->memory = l1_memory(MEMORY_SIZE);
	load_tables(vm);
	l1_set_slot(vm->fd, 0, 0, 0, vm->memory, MEMORY_SIZE);
	if (chips == CHIPS_KERNEL) {
		CALL(vm->fd, KVM_CREATE_IRQCHIP, NULL);
		CALL(vm->fd, KVM_CREATE_PIT2, &pit);
	} else if (chips == CHIPS_SPLIT) {
		enable_split(vm);
	}
	vm->ncpus = ncpus;
	for (i = 0; i < ncpus; i++)
		vcpu_new(vm, i);
	return vm;
}

void vm_free(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->ncpus; i++) {
		vcpu_stop(&vm->cpu[i]);
		munmap(vm->cpu[i].run, l1_run_size(vm->kvm));
		close(vm->cpu[i].fd);
	}
	close(vm->fd);
	close(vm->kvm);
	munmap(vm->memory, MEMORY_SIZE);
	free(vm);
}

/* ---- running ---- */

static void note(struct vm *vm, bool mmio, uint64_t addr, const void *data,
		 uint32_t len)
{
	struct seen *s = &vm->seen[vm->nseen++ % MAX_EXITS];

	*s = (struct seen) { .mmio = mmio, .addr = addr, .len = len };
	memcpy(&s->value, data, len);
}

/* False when the script has ended. */
static bool handle_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	void *data = (uint8_t *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		memset(data, 0xff, run->io.size * run->io.count);
		return true;
	}
	if (run->io.port == 0xf4)
		return false;
	if (run->io.port == 0xf6) {
		if (v->vm->asked)
			v->vm->asked(v->vm);
		return true;
	}
	note(v->vm, false, run->io.port, data, run->io.size);
	return true;
}

static bool handle_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct kvm_regs regs;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return handle_io(v);
	case KVM_EXIT_MMIO:
		if (run->mmio.is_write)
			note(v->vm, true, run->mmio.phys_addr, run->mmio.data,
			     run->mmio.len);
		return true;
	case KVM_EXIT_IOAPIC_EOI:
		v->vm->eoi_exits[v->vm->neoi++ % MAX_EXITS] = run->eoi.vector;
		return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	default:
		CALL(v->fd, KVM_GET_REGS, &regs);
		printf("FAIL exit reason %u (%u) at %#llx, script at %#llx\n",
		       run->exit_reason, run->internal.suberror, regs.rip,
		       regs.rsi);
		exit(1);
	}
}

/* A script that waits for ever: say for what, and where its interrupt is. */
static void give_up(struct vcpu *v)
{
	struct kvm_ioapic_state *io;
	struct kvm_lapic_state lapic;
	struct kvm_irqchip chip = { .chip_id = 2 };
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	uint32_t reg, word;
	int i;

	ioctl(v->fd, KVM_GET_REGS, &regs);
	ioctl(v->fd, KVM_GET_MP_STATE, &mp);
	ioctl(v->fd, KVM_GET_LAPIC, &lapic);
	printf("FAIL no end: rip %#llx rflags %#llx script %#llx a %#llx b %#llx mp %u exit %u\n",
	       regs.rip, regs.rflags, regs.rsi, regs.rdx, regs.rax, mp.mp_state,
	       v->run->exit_reason);
	for (reg = 0; reg < 0x400; reg += 16) {
		memcpy(&word, lapic.regs + reg, 4);
		if (word)
			printf("note LAPIC %#x: %#x\n", reg, word);
	}
	if (ioctl(v->vm->fd, KVM_GET_IRQCHIP, &chip) == 0) {
		io = &chip.chip.ioapic;
		printf("note IOAPIC irr %#x\n", io->irr);
		for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
			if (io->redirtbl[i].bits != 0x10000)
				printf("note IOAPIC pin %d: %#llx\n", i,
				       io->redirtbl[i].bits);
	}
	exit(1);
}

static void run_until_end(struct vcpu *v)
{
	while (!v->stop) {
		int ret = try_ioctl(v->fd, KVM_RUN, NULL);

		if (ret == -EAGAIN)
			v->again++;
		if (time_is_up)
			give_up(v);
		if (ret == -EINTR || ret == -EAGAIN)
			continue;
		if (ret < 0) {
			printf("FAIL KVM_RUN: %s\n", strerror(-ret));
			exit(1);
		}
		if (!handle_exit(v))
			return;
	}
}

void vm_run(struct vm *vm)
{
	struct kvm_regs regs;

	CALL(vm->cpu[0].fd, KVM_GET_REGS, &regs);
	regs.rip = CODE;
	regs.rsi = SCRIPT;
	CALL(vm->cpu[0].fd, KVM_SET_REGS, &regs);
	run_until_end(&vm->cpu[0]);
}

static void *thread_main(void *arg)
{
	run_until_end(arg);
	return NULL;
}

void vcpu_start(struct vcpu *v)
{
	v->stop = false;
	v->threaded = true;
	pthread_create(&v->thread, NULL, thread_main, v);
}

void vcpu_stop(struct vcpu *v)
{
	struct timespec wait = { .tv_nsec = 1000000 };

	if (!v->threaded)
		return;
	v->stop = true;
	v->run->immediate_exit = 1;
	while (pthread_kill(v->thread, SIGUSR1) == 0 &&
	       pthread_tryjoin_np(v->thread, NULL) == EBUSY)
		nanosleep(&wait, NULL);
	v->run->immediate_exit = 0;
	v->threaded = false;
}

/* ---- interrupts from outside ---- */

struct kvm_irq_routing_entry route_pin(uint32_t gsi, uint32_t chip,
				       uint32_t pin)
{
	return (struct kvm_irq_routing_entry) {
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { chip, pin },
	};
}

struct kvm_irq_routing_entry route_msi(uint32_t gsi, uint32_t address,
				       uint32_t data)
{
	return (struct kvm_irq_routing_entry) {
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = address, .data = data },
	};
}

int vm_route(struct vm *vm, const struct kvm_irq_routing_entry *e, unsigned n)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + n * sizeof(*e));
	int ret;

	r->nr = n;
	if (n)
		memcpy(r->entries, e, n * sizeof(*e));
	ret = try_ioctl(vm->fd, KVM_SET_GSI_ROUTING, r);
	free(r);
	return ret;
}

int vm_irqfd(struct vm *vm, int fd, uint32_t gsi, uint32_t flags, int resample)
{
	struct kvm_irqfd args = { .fd = fd, .gsi = gsi, .flags = flags,
				  .resamplefd = resample };

	return try_ioctl(vm->fd, KVM_IRQFD, &args);
}

int vm_line(struct vm *vm, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	CALL(vm->fd, KVM_IRQ_LINE_STATUS, &line);
	return line.status;
}
