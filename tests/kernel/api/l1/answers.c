// SPDX-License-Identifier: GPL-2.0-only
/* The machines that answers are asked of, and how they are printed. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answers.h"

int kvm;

void must(bool good, const char *what)
{
	if (!good)
		err(1, "%s", what);
}

void section(const char *format, ...)
{
	va_list args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void fact(const char *key, const char *format, ...)
{
	va_list args;

	printf("%s = ", key);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

int answer(const char *key, int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		fact(key, "%s", strerrorname_np(errno));
	else
		fact(key, "%d", ret);
	return ret;
}

void words(const char *key, const void *data, size_t size)
{
	char name[128];
	uint64_t word;
	size_t at;

	for (at = 0; at < size; at += sizeof(word)) {
		word = 0;
		memcpy(&word, data + at,
		       size - at < sizeof(word) ? size - at : sizeof(word));
		if (!word)
			continue;
		snprintf(name, sizeof(name), "%s+%03zx", key, at);
		fact(name, "%016llx", (unsigned long long)word);
	}
}

struct l1_cpuid *cpuid_supported(void)
{
	static struct l1_cpuid cpuid;

	l1_get_cpuid(kvm, &cpuid);
	return &cpuid;
}

struct vm vm_bare(void)
{
	struct vm vm = { .fd = ioctl(kvm, KVM_CREATE_VM, 0), .cpu = -1 };

	must(vm.fd >= 0, "KVM_CREATE_VM");
	return vm;
}

static void add_memory(struct vm *vm)
{
	vm->ram = l1_memory(RAM_SIZE);
	memset(vm->ram, 0xf4, RAM_SIZE);	/* HLT: who gets lost stops */
	l1_set_slot(vm->fd, 0, 0, 0, vm->ram, RAM_SIZE);
}

static void add_chips(struct vm *vm, enum chips chips)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24,
	};
	struct kvm_pit_config pit = { .flags = 0 };

	if (chips == ALL_CHIPS) {
		must(!ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), "chips");
		must(!ioctl(vm->fd, KVM_CREATE_PIT2, &pit), "PIT");
	} else if (chips == SPLIT_CHIPS) {
		must(!ioctl(vm->fd, KVM_ENABLE_CAP, &split), "split chips");
	}
}

void vm_add_cpu(struct vm *vm)
{
	vm->cpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	must(vm->cpu >= 0, "KVM_CREATE_VCPU");
	vm->run = l1_map_run(kvm, vm->cpu);
}

struct vm vm_new(enum chips chips)
{
	struct vm vm = vm_bare();

	add_memory(&vm);
	add_chips(&vm, chips);
	vm_add_cpu(&vm);
	return vm;
}

void vm_set_cpuid(struct vm *vm)
{
	must(!ioctl(vm->cpu, KVM_SET_CPUID2, cpuid_supported()), "CPUID");
}

void vm_free(struct vm *vm)
{
	if (vm->run)
		munmap(vm->run, l1_run_size(kvm));
	if (vm->cpu >= 0)
		close(vm->cpu);
	close(vm->fd);
	if (vm->ram)
		munmap(vm->ram, RAM_SIZE);
}

void vm_code(struct vm *vm, const void *code, size_t size)
{
	memcpy(vm->ram + CODE, code, size);
	l1_start_real_mode(vm->cpu, CODE, 0x8000);
}

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = {
	{ "state", state_answers },
	{ "msr", msr_answers },
	{ "arg", argument_answers },
	{ "run", run_answers },
};

/* answers [PART...]: all, or those named */
int main(int argc, char **argv)
{
	unsigned int i;
	int n;

	setvbuf(stdout, NULL, _IOLBF, 0);
	kvm = l1_open_kvm();
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		bool wanted = argc == 1;

		for (n = 1; n < argc; n++)
			wanted |= !strcmp(argv[n], parts[i].name);
		if (wanted)
			parts[i].run();
	}
	return 0;
}
