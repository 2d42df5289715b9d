// SPDX-License-Identifier: GPL-2.0-only
/* What the threads of a fuzzing process do to each other. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "guestcode.h"

#define KICK_EVERY_US	3000

__thread struct thread *self;

static void step_ioctl(struct thread *t)
{
	if (chance(&t->rng, 3))
		world_make_vm(t->world, &t->rng);
	else
		op_random(t);
}

/* ---- running vCPUs ---- */

/* The kernel must take whatever stands in the shared page at any time. */
static void scribble(struct rng *r, struct kvm_run *run)
{
	run->immediate_exit = chance(r, 5);
	run->request_interrupt_window = chance(r, 10);
	if (chance(r, 20))
		run->kvm_valid_regs = rnd(r) & 7;
	if (chance(r, 10))
		run->kvm_dirty_regs = rnd(r) & 7;
	if (chance(r, 10))
		mutate(r, run, sizeof(*run));
	if (chance(r, 5))
		random_bytes(r, (char *)run + 4096, 64);
}

static void step_run(struct thread *t)
{
	int index = below(&t->rng, POOL_SIZE), spins = 1 + below(&t->rng, 20);
	int fd = atomic_load(&t->world->files[KIND_VCPU][index]);
	struct kvm_run *run = atomic_load(&t->world->vcpus[index].run);
	long result;

	if (fd < 0 || !run)
		return;
	while (spins-- > 0) {
		if (chance(&t->rng, 30))
			scribble(&t->rng, run);
		result = ioctl(fd, KVM_RUN, 0);
		op_count(KVM_RUN, result);
		if (result < 0 && errno != EINTR)
			break;
		if (result >= 0)
			atomic_fetch_add(&shared->exits[run->exit_reason & 63], 1);
		if (run->exit_reason == KVM_EXIT_SHUTDOWN ||
		    run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
			break;
	}
	run->immediate_exit = 0;
}

/* Give a vCPU new registers and code, so that some always get somewhere. */
static void restart_vcpu(struct thread *t)
{
	enum guest_mode mode = below(&t->rng, NR_GUEST_MODES);
	int fd = world_file(t->world, &t->rng, KIND_VCPU);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs))
		return;
	guest_memory(&t->rng, mode, t->world->areas);
	guest_registers(&t->rng, mode, &sregs, &regs);
	ioctl(fd, KVM_SET_SREGS, &sregs);
	ioctl(fd, KVM_SET_REGS, &regs);
}

/* ---- memory that changes and vanishes ---- */

static void map_area(struct thread *t, uint8_t *area)
{
	struct world *w = t->world;
	int protection = chance(&t->rng, 85) ? PROT_READ | PROT_WRITE :
			 below(&t->rng, 4);
	off_t offset = below(&t->rng, 2) * AREA_SIZE;

	switch (below(&t->rng, 5)) {
	case 0:		/* nothing there */
		mmap(area, AREA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_FIXED |
		     MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		break;
	case 1:
		mmap(area, AREA_SIZE, protection, MAP_SHARED | MAP_FIXED,
		     w->memory_file, offset);
		break;
	case 2:
		mmap(area, AREA_SIZE, protection, MAP_PRIVATE | MAP_FIXED,
		     w->memory_file, offset);
		break;
	default:
		mmap(area, AREA_SIZE, protection, MAP_PRIVATE | MAP_FIXED |
		     MAP_ANONYMOUS, -1, 0);
		if (chance(&t->rng, 50))
			madvise(area, AREA_SIZE, MADV_HUGEPAGE);
	}
}

/* A change to a part of an area, or to the file behind some. */
static void change_area(struct thread *t, uint8_t *area)
{
	static const int advice[] = { MADV_DONTNEED, MADV_FREE, MADV_WILLNEED,
				      MADV_HUGEPAGE, MADV_NOHUGEPAGE,
				      MADV_MERGEABLE, MADV_COLD, MADV_PAGEOUT,
				      MADV_REMOVE };
	struct rng *r = &t->rng;
	size_t start = below(r, 512) << 12;
	size_t size = below(r, 512) << 12;

	if (start + size > AREA_SIZE)
		size = AREA_SIZE - start;
	switch (below(r, 6)) {
	case 0:
		mprotect(area + start, size, below(r, 4));
		break;
	case 1:
		fallocate(t->world->memory_file, FALLOC_FL_PUNCH_HOLE |
			  FALLOC_FL_KEEP_SIZE, start, size + 4096);
		break;
	case 2:
		if (ftruncate(t->world->memory_file, below(r, 3) * AREA_SIZE))
			break;
		break;
	case 3:
		mremap(area + start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		       world_area(t->world, r));
		break;
	default:
		madvise(area + start, size, advice[below(r, ARRAY_SIZE(advice))]);
	}
}

static void step_memory(struct thread *t)
{
	uint8_t *area = world_area(t->world, &t->rng);

	switch (below(&t->rng, 8)) {
	case 0:
		map_area(t, area);
		break;
	case 1: case 2:
		change_area(t, area);
		break;
	case 3:		/* the area that the guests start from comes back */
		mmap(t->world->areas, AREA_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
		restart_vcpu(t);
		break;
	case 4: case 5:
		restart_vcpu(t);
		break;
	default:
		op_random(t);
	}
}

/* ---- files that close, move and are looked at ---- */

static int *any_file(struct thread *t)
{
	enum kind kind = 1 + below(&t->rng, NR_KINDS - 1);

	return (int *)&t->world->files[kind][below(&t->rng, POOL_SIZE)];
}

/* Send a file through a socket; perhaps nobody takes it out. */
static void pass_file(struct thread *t, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		return;
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	if (sendmsg(pair[0], &message, MSG_DONTWAIT) > 0 &&
	    chance(&t->rng, 50) &&
	    recvmsg(pair[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0 &&
	    CMSG_FIRSTHDR(&message)) {
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
		world_keep(t->world, &t->rng, KIND_OTHER, fd);
	}
	close(pair[0]);
	close(pair[1]);
}

/* Another process has the files for a moment, with another address space. */
static void lend_files(struct thread *t)
{
	int fd = world_file(t->world, &t->rng, KIND_VM);
	pid_t child = syscall(SYS_fork);

	if (!child) {
		ioctl(fd, KVM_CHECK_EXTENSION, 0);
		ioctl(fd, KVM_CREATE_VCPU, 50);
		ioctl(world_file(t->world, &t->rng, KIND_VCPU), KVM_RUN, 0);
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void look_at_file(struct thread *t, int fd)
{
	struct pollfd poll_one = { .fd = fd, .events = rnd(&t->rng) };
	char buffer[256];
	off_t offset = below(&t->rng, 6) << 12;
	void *at;

	random_bytes(&t->rng, buffer, 16);
	switch (below(&t->rng, 6)) {
	case 0:
		poll(&poll_one, 1, 0);
		break;
	case 1:
		if (pread(fd, buffer, sizeof(buffer), below(&t->rng, 4096)) < 0)
			break;
		break;
	case 2:
		if (write(fd, &(uint64_t){ below(&t->rng, 3) }, 8) < 0)
			break;
		break;
	case 3:
		at = mmap(NULL, 4096 << below(&t->rng, 3), below(&t->rng, 8),
			  chance(&t->rng, 80) ? MAP_SHARED : MAP_PRIVATE, fd,
			  offset);
		if (at != MAP_FAILED)
			munmap(at, 4096);	/* the rest stays */
		break;
	case 4:
		lseek(fd, odd_value(&t->rng), below(&t->rng, 3));
		break;
	default:
		fcntl(fd, F_SETFL, chance(&t->rng, 50) ? O_NONBLOCK : O_ASYNC);
	}
}

static void step_files(struct thread *t)
{
	int *slot = any_file(t), fd = __atomic_load_n(slot, __ATOMIC_RELAXED);

	switch (below(&t->rng, 12)) {
	case 0:		/* gone, and the others know */
		fd = __atomic_exchange_n(slot, -1, __ATOMIC_RELAXED);
		close(fd);
		break;
	case 1:		/* gone, and they do not */
		if (chance(&t->rng, 30))
			close(fd);
		break;
	case 2:
		world_keep(t->world, &t->rng, KIND_OTHER, dup(fd));
		break;
	case 3:
		pass_file(t, fd);
		break;
	case 4:
		if (chance(&t->rng, 20))
			lend_files(t);
		break;
	case 5: case 6: case 7:
		look_at_file(t, fd);
		break;
	default:
		step_ioctl(t);
	}
}

/* ---- threads ---- */

static void (*const roles[])(struct thread *) = {
	step_run, step_ioctl, step_memory, step_files, step_run, step_ioctl,
};
#define NR_THREADS	ARRAY_SIZE(roles)

static struct thread threads[NR_THREADS];
static pid_t thread_ids[NR_THREADS];

static void on_fault(int number)
{
	(void)number;
	if (self)
		siglongjmp(self->recover, 1);
	_exit(4);
}

static void on_kick(int number)
{
	(void)number;
}

static void handle(int number, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_NODEFER };

	sigaction(number, &action, NULL);
}

static void make_argument(struct thread *t)
{
	t->argument = mmap(NULL, ARG_SIZE + 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->argument == MAP_FAILED)
		_exit(3);
	mprotect(t->argument + ARG_SIZE, 4096, PROT_NONE);
}

static void *thread_main(void *data)
{
	struct thread *t = data;
	size_t index = t - threads;

	self = t;
	thread_ids[index] = syscall(SYS_gettid);
	make_argument(t);
	t->inject = open("/proc/thread-self/fail-nth", O_WRONLY | O_CLOEXEC);
	sigsetjmp(t->recover, 1);
	for (;;)
		roles[index](t);
	return NULL;
}

static long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000l + now.tv_nsec / 1000;
}

/* Signals end KVM_RUN again and again: a guest may loop for ever. */
static void kick_until(struct rng *r, long end)
{
	size_t victim;

	while (now_us() < end) {
		usleep(1 + below(r, 2 * KICK_EVERY_US));
		victim = below(r, NR_THREADS);
		if (thread_ids[victim])
			syscall(SYS_tgkill, getpid(), thread_ids[victim],
				SIGUSR1);
	}
}

void process_main(uint64_t seed, uint64_t round, int milliseconds)
{
	static struct world world;
	struct rng r = rng_of(seed, round << 8);
	long end = now_us() + milliseconds * 1000l;
	pthread_t thread;
	size_t i;

	handle(SIGSEGV, on_fault);
	handle(SIGBUS, on_fault);
	handle(SIGUSR1, on_kick);
	signal(SIGIO, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	world_init(&world, &r);
	for (i = 0; i < NR_THREADS; i++) {
		threads[i].world = &world;
		threads[i].rng = rng_of(seed, (round << 8) + 1 + i);
		if (pthread_create(&thread, NULL, thread_main, &threads[i]))
			_exit(3);
	}
	kick_until(&r, end);
	_exit(0);
}
