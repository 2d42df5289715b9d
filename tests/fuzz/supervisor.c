// SPDX-License-Identifier: GPL-2.0-only
/* See supervisor.h. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "supervisor.h"

#define MAX_PROCESSES	8
#define REPORT_EVERY	10000		/* ms */
#define STUCK_AFTER	90000		/* ms: generous, for the host may be busy */

struct shared *shared;

struct child {
	pid_t pid;
	long kill_at;			/* ms; when it is killed, at the latest */
	long killed_at;			/* 0: not yet */
};

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct options options_read(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "processes", required_argument, NULL, 'p' },
		{ "round", required_argument, NULL, 'r' },
		{ 0 },
	};
	struct options o = { time(NULL), 20, 2, -1 };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		switch (c) {
		case 's': o.seed = strtoull(optarg, NULL, 0); break;
		case 't': o.seconds = atoi(optarg); break;
		case 'p': o.processes = atoi(optarg); break;
		case 'r': o.only = atoll(optarg); break;
		default: exit(2);
		}
	}
	if (o.processes < 1 || o.processes > MAX_PROCESSES)
		o.processes = 2;
	printf("seed %llu\n", (unsigned long long)o.seed);
	fflush(stdout);
	return o;
}

void shared_make(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		exit(3);
	}
}

static pid_t forked(void)
{
	pid_t pid = fork();

	if (pid < 0) {
		perror("fork");
		exit(3);
	}
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Some rounds end by themselves, most are killed at some moment. */
static struct child start_round(const struct options *o, struct outcome *out,
				round_fn round)
{
	uint64_t number = o->only < 0 ? out->rounds : (uint64_t)o->only;
	struct rng r = rng_of(o->seed, ~number);
	int life = 100 + below(&r, 3000);
	struct child child = { .kill_at = now_ms() + STUCK_AFTER };

	out->rounds++;
	if (chance(&r, 60))
		child.kill_at = now_ms() + below(&r, life);
	child.pid = forked();
	if (!child.pid)
		round(o->seed, number, life);
	return child;
}

/* True when the slot is free again. */
static bool look_after(struct child *child, struct outcome *out)
{
	int status;

	if (!child->pid)
		return true;
	if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
		child->pid = 0;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			out->killed++;
		else if (WIFEXITED(status) && !WEXITSTATUS(status))
			out->ended++;
		else
			out->broken++;
		return true;
	}
	if (!child->killed_at && now_ms() > child->kill_at) {
		kill(child->pid, SIGKILL);
		child->killed_at = now_ms();
	}
	if (child->killed_at && now_ms() > child->killed_at + STUCK_AFTER)
		out->failure = "a killed process does not end";
	return false;
}

static unsigned long all_calls(void)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < MAX_OPS; i++)
		sum += shared->tally[i].calls;
	return sum;
}

/* The bystander must get on, and be right. */
static void watch_healthy(struct outcome *out, pid_t pid, long now)
{
	static unsigned int seen;
	static long since;

	if (shared->healthy_blocks != seen || !since) {
		seen = shared->healthy_blocks;
		since = now;
	}
	if (shared->healthy_wrong)
		out->failure = "the healthy guest computed something wrong";
	else if (waitpid(pid, NULL, WNOHANG) == pid)
		out->failure = "the healthy guest died";
	else if (now - since > STUCK_AFTER)
		out->failure = "the healthy guest makes no progress";
}

static void report(const struct outcome *out, long elapsed)
{
	fprintf(stderr, "fuzz: %ld s: %u rounds, %lu calls, %u blocks by the healthy guest\n",
		elapsed / 1000, out->rounds, all_calls(),
		shared->healthy_blocks);
}

static void end_all(struct child *children, int count, struct outcome *out)
{
	int i, left = count;

	for (i = 0; i < count; i++)
		children[i].kill_at = 0;
	while (left && !out->failure) {
		usleep(10000);
		for (i = left = 0; i < count; i++)
			left += !look_after(&children[i], out);
	}
}

struct outcome supervise(const struct options *o, round_fn round)
{
	struct child children[MAX_PROCESSES] = { 0 };
	struct outcome out = { 0 };
	long start = now_ms(), now = start, reported = start;
	pid_t healthy;
	int i;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	healthy = forked();
	if (!healthy)
		healthy_main();
	while (now < start + o->seconds * 1000l && !out.failure) {
		for (i = 0; i < o->processes; i++)
			if (look_after(&children[i], &out))
				children[i] = start_round(o, &out, round);
		watch_healthy(&out, healthy, now);
		if (now > reported + REPORT_EVERY) {
			report(&out, now - start);
			reported = now;
		}
		usleep(5000);
		now = now_ms();
	}
	end_all(children, o->processes, &out);
	kill(healthy, SIGKILL);
	/* Those that borrowed files of a killed process hold them a little longer. */
	while (!out.failure && waitpid(-1, NULL, 0) > 0)
		;
	return out;
}

void print_exits(void)
{
	int i;

	printf("exits to user space by reason:");
	for (i = 0; i < 64; i++)
		if (shared->exits[i])
			printf(" %d:%u", i, shared->exits[i]);
	printf("\n");
}

int conclude(const struct options *o, const struct outcome *out)
{
	const char *failure = out->failure;

	printf("%u rounds: %u killed, %u ended, %u could not start or broke\n",
	       out->rounds, out->killed, out->ended, out->broken);
	printf("healthy guest: %u results, all right: %s\n",
	       shared->healthy_blocks, shared->healthy_wrong ? "no" : "yes");
	if (!failure && !shared->healthy_blocks)
		failure = "the healthy guest computed nothing";
	if (!failure && out->broken > out->rounds / 2)
		failure = "most rounds could not start or broke";
	if (failure)
		printf("FAILED: %s; seed %llu\n", failure,
		       (unsigned long long)o->seed);
	return failure ? 1 : 0;
}
