// SPDX-License-Identifier: GPL-2.0-only
/* fuzz-ioctl [--seconds N] [--seed N] [--processes N] [--round N] */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "supervisor.h"

#define ENOUGH	100	/* successes that a long run owes each implemented request */

static void print_tally(const struct op *op, struct tally *tally)
{
	unsigned int most, shown;
	int e, best;

	printf("%-32s %9u %9u ", op->name, tally->calls, tally->ok);
	for (shown = 0; shown < 4; shown++) {
		most = 0;
		for (e = 1; e < MAX_ERRNO; e++)
			if (tally->errors[e] > most)
				most = tally->errors[best = e];
		if (!most)
			break;
		printf(" %s:%u", strerrorname_np(best) ?: "?", most);
		tally->errors[best] = 0;
	}
	printf("\n");
}

static void print_table(void)
{
	int i, few = 0;

	printf("%-32s %9s %9s  most frequent errors\n", "request", "calls",
	       "successes");
	for (i = 0; i < nr_ops; i++)
		print_tally(&ops[i], &shared->tally[i]);
	for (i = 0; i < nr_ops; i++)
		if (!ops[i].unknown && shared->tally[i].ok < ENOUGH)
			printf("%s%s", few++ ? " " : "fewer than 100 successes: ",
			       ops[i].name);
	printf("%s\n", few ? "" : "each implemented request succeeded 100 times");
}

static void put(const char *folder, const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;		/* no debug kernel: nothing is made to fail */
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

/* Let ordinary allocations fail where a thread asks for it, and say nothing. */
static void prepare_injection(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc",
					     "fail_usercopy" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		put(kinds[i], "verbose", "0");
		put(kinds[i], "ignore-gfp-wait", "N");
	}
}

int main(int argc, char **argv)
{
	struct options o = options_read(argc, argv);
	struct outcome out;

	shared_make();
	ops_init();
	prepare_injection();
	out = supervise(&o, process_main);
	print_table();
	print_exits();
	printf("VMs %u, vCPUs %u beside those made at random\n", shared->vms,
	       shared->vcpus);
	return conclude(&o, &out);
}
