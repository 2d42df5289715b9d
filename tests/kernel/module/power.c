// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a shell cannot do to a machine:
 *   power efer				EFER of each CPU, by the msr driver
 *   power load|crash KERNEL INITRD LINE	prepare a kexec, now or in a crash
 *   power kexec				go
 *   power cmos [BYTE]			read (write) a byte that a reset keeps
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EFER	0xc0000080
#define CMOS	0x6f		/* free for anybody on a PC */

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int efer(void)
{
	char name[32];
	uint64_t value;
	int cpu, fd;

	for (cpu = 0; ; cpu++) {
		snprintf(name, sizeof(name), "/dev/cpu/%d/msr", cpu);
		fd = open(name, O_RDONLY);
		if (fd < 0)
			return cpu ? 0 : fail(name);
		if (pread(fd, &value, sizeof(value), EFER) != sizeof(value))
			return fail(name);
		printf("efer %d %#llx\n", cpu, (unsigned long long)value);
		close(fd);
	}
}

static int load(char **argv, unsigned long flags)
{
	int kernel = open(argv[0], O_RDONLY), initrd = open(argv[1], O_RDONLY);

	if (kernel < 0 || initrd < 0 ||
	    syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[2]) + 1,
		    argv[2], flags))
		return fail("kexec_file_load");
	return 0;
}

static int cmos(int argc, char **argv)
{
	if (ioperm(0x70, 2, 1))
		return fail("ioperm");
	outb(CMOS, 0x70);
	if (argc == 3)
		outb(atoi(argv[2]), 0x71);
	else
		printf("%d\n", inb(0x71));
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "efer"))
		return efer();
	if (!strcmp(verb, "load") && argc == 5)
		return load(argv + 2, 0);
	if (!strcmp(verb, "crash") && argc == 5)
		return load(argv + 2, KEXEC_FILE_ON_CRASH);
	if (!strcmp(verb, "kexec"))
		return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1,
			       LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, 0) ?
			fail("reboot") : 0;
	if (!strcmp(verb, "cmos"))
		return cmos(argc, argv);
	fprintf(stderr, "power: what?\n");
	return 1;
}
