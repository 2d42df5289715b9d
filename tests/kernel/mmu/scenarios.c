// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a host does to memory, done under a guest that uses it.
 *
 *	npt_guest [-c CPUS] [-d DIRECTORY] SCENARIO...
 *
 * Exit status 0, 1 (with the reason), or 77 if the host cannot do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static int ncpus = 1;
static const char *directory = "/tmp";

/* ---- helpers ---- */

static void *map_flags(size_t bytes, int flags)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Anonymous memory, 2 MiB aligned, huge pages only if asked for later. */
static void *map_data(size_t bytes)
{
	uint8_t *p = map_flags(bytes + HUGE, 0);

	check(p);
	p = (uint8_t *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	check(!madvise(p, bytes, MADV_NOHUGEPAGE));
	return p;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static long read_number(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	char line[256];
	long value = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key))) {
			value = strtol(line + strlen(key), NULL, 10);
			break;
		}
	if (f)
		fclose(f);
	return value;
}

/* A field of the smaps entry that holds addr, KiB. */
static long smaps(const void *addr, const char *key)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	bool inside = false;
	char line[512];
	long sum = 0;

	check(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)addr >= from && (uintptr_t)addr < to;
		else if (inside && !strncmp(line, key, strlen(key)))
			sum = strtol(line + strlen(key), NULL, 10);
	}
	fclose(f);
	return sum;
}

static uint64_t frame_of(const void *addr)
{
	static int fd = -1;
	uint64_t entry = 0;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pread(fd, &entry, 8, (uintptr_t)addr / PAGE * 8) != 8)
		return 0;
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static struct guest *guest_on(void *data, size_t npages)
{
	struct guest *g = guest_new(data, npages, ncpus, 0);

	fill(g, 0, npages);
	return g;
}

/* The guest counted all it wrote, and the host sees all of it. */
static void finish(struct guest *g)
{
	guest_passes(g, 1);
	guest_stop(g);
	guest_check(g);
	check_counts(g, 0, g->npages, guest_total_passes(g));
	guest_free(g);
}

/* ---- scenarios ---- */

static void plain(void)
{
	struct guest *g = guest_on(map_data(4 * HUGE), 2048);

	guest_start(g, COUNT);
	guest_passes(g, 3);
	finish(g);
}

/*
 * Twice: pages that the guest used since the last look are kept once, and only
 * their accessed bits are cleared.
 */
static long page_out(struct guest *g)
{
	check(!madvise(g->data, g->npages * PAGE, MADV_PAGEOUT));
	check(!madvise(g->data, g->npages * PAGE, MADV_PAGEOUT));
	return smaps(g->data, "Swap:");
}

static void swap(void)
{
	struct guest *g = guest_on(map_data(4 * HUGE), 2048);
	long out = 0;
	int i;

	if (read_number("/proc/meminfo", "SwapTotal:") <= 0)
		skip("no swap space");
	/* By turns under the running guest, and all of it under a stopped one. */
	for (i = 0; i < 6; i++) {
		guest_start(g, COUNT);
		guest_passes(g, 1);
		page_out(g);
		guest_passes(g, 1);
		guest_stop(g);
		out = page_out(g);
		printf("swap: %ld of 8192 KiB out\n", out);
	}
	if (out < 4096)
		die("only %ld KiB were swapped out", out);
	guest_start(g, COUNT);
	finish(g);
}

static void ksm(void)
{
	const size_t pages = 512;
	uint8_t *data = map_data(pages * PAGE);
	struct guest *g = guest_new(data, pages, ncpus, 0);
	long sharing = 0;
	size_t i;

	for (i = 0; i < pages; i++) {
		fill_page(data + i * PAGE, 7);
		g->expected[i] = page_sum(7);
	}
	if (!write_file("/sys/kernel/mm/ksm/pages_to_scan", "4000") ||
	    !write_file("/sys/kernel/mm/ksm/sleep_millisecs", "5") ||
	    !write_file("/sys/kernel/mm/ksm/run", "1"))
		skip("no KSM");
	check(!madvise(data, pages * PAGE, MADV_MERGEABLE));
	guest_start(g, CHECK);
	for (i = 0; i < 1500 && sharing < (long)pages / 2; i++) {
		usleep(20000);
		sharing = read_number("/sys/kernel/mm/ksm/pages_sharing", "");
	}
	if (sharing < (long)pages / 2)
		die("KSM shares only %ld of %zu pages", sharing, pages);
	guest_stop(g);
	guest_check(g);
	printf("ksm: %ld pages shared\n", sharing);
	for (i = 0; i < g->ncpus; i++)
		g->cpu[i].control->passes = 0;
	/* Each pass breaks what was merged; KSM goes on merging. */
	guest_start(g, COUNT);
	guest_passes(g, 6);
	write_file("/sys/kernel/mm/ksm/run", "2");
	guest_passes(g, 1);
	write_file("/sys/kernel/mm/ksm/run", "0");
	finish(g);
}

/* Move pages to the other node if there is one, else by soft off-lining. */
static void migrate_some(uint8_t *data, size_t npages, int round)
{
	static void *pages[MAX_PAGES];
	static int nodes[MAX_PAGES], status[MAX_PAGES];
	size_t i;

	if (!access("/sys/devices/system/node/node1", F_OK)) {
		for (i = 0; i < npages; i++) {
			pages[i] = data + i * PAGE;
			nodes[i] = round % 2;
		}
		check(syscall(SYS_move_pages, 0, npages, pages, nodes, status,
			      2 /* MPOL_MF_MOVE */) >= 0);
		return;
	}
	for (i = 0; i < 4; i++)
		madvise(data + (round * 4 + i) * 97 % npages * PAGE, PAGE,
			MADV_SOFT_OFFLINE);
}

static void migrate(void)
{
	const size_t pages = 1024;
	uint8_t *data = map_data(pages * PAGE);
	static uint64_t before[1024];
	struct guest *g = guest_on(data, pages);
	size_t i, moved = 0;
	int round;

	if (!frame_of(data))
		skip("no page frame numbers in pagemap (not root)");
	for (i = 0; i < pages; i++)
		before[i] = frame_of(data + i * PAGE);
	guest_start(g, COUNT);
	guest_passes(g, 1);
	for (round = 1; round < 6; round++) {
		migrate_some(data, pages, round);
		guest_passes(g, 1);
	}
	for (i = 0; i < pages; i++)
		moved += before[i] != frame_of(data + i * PAGE);
	if (!moved)
		skip("no page could be moved");
	printf("migrate: %zu pages moved\n", moved);
	finish(g);
}

static void thp(void)
{
	uint8_t *data = map_data(4 * HUGE);
	long whole, split, again;
	struct guest *g;
	int i;

	check(!madvise(data, 4 * HUGE, MADV_HUGEPAGE));
	g = guest_on(data, 2048);
	whole = smaps(data, "AnonHugePages:");
	if (whole < 2048)
		skip("no transparent huge pages");
	guest_start(g, COUNT);
	for (i = 0; i < 4; i++) {
		guest_passes(g, 1);
		/* A VMA border inside a huge page splits its mapping. */
		check(!madvise(data + 2 * HUGE + 37 * PAGE, PAGE, MADV_DONTFORK));
		split = smaps(data + 2 * HUGE + 37 * PAGE, "AnonHugePages:");
		check(!split);
		guest_passes(g, 1);
		check(!madvise(data + 2 * HUGE + 37 * PAGE, PAGE, MADV_DOFORK));
		if (madvise(data, 4 * HUGE, MADV_COLLAPSE) && errno != EINVAL &&
		    errno != EAGAIN)
			die("MADV_COLLAPSE");
		again = smaps(data, "AnonHugePages:");
		printf("thp: %ld, split, %ld KiB\n", whole, again);
	}
	check(!madvise(data, 4 * HUGE, MADV_PAGEOUT));
	finish(g);
}

/* Drop pages under a stopped guest; it must see and write the new ones. */
static void drop_rounds(struct guest *g, size_t unit)
{
	size_t first = unit, i;

	guest_start(g, COUNT);
	guest_passes(g, 1);
	for (i = 0; i < 4; i++, first += unit) {
		uint64_t before, after;

		guest_stop(g);
		guest_check(g);
		before = guest_total_passes(g);
		check(!madvise(g->data + first * PAGE, unit * PAGE,
			       MADV_DONTNEED));
		/* First as zeroes, by the guest alone; then refilled. */
		memset(&g->expected[first], 0, unit * sizeof(uint64_t));
		guest_start(g, COUNT);
		guest_passes(g, 1);
		guest_stop(g);
		guest_check(g);
		after = guest_total_passes(g);
		check_counts(g, first, unit, after - before);
		check_counts(g, 0, unit, after);
		fill(g, first, unit);
		for (size_t page = first; page < first + unit; page++)
			*(uint64_t *)(g->data + page * PAGE) = after;
		guest_start(g, COUNT);
	}
	finish(g);
}

static void dontneed(void)
{
	drop_rounds(guest_on(map_data(4 * HUGE), 2048), 100);
}

/* The child's view of a private mapping must not change after fork(). */
static void fork_round(struct guest *g, size_t step)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (!pid) {
		static uint64_t first[MAX_PAGES];
		size_t i;
		int round;

		for (i = 0; i < g->npages; i += step)
			first[i] = *(uint64_t *)(g->data + i * PAGE);
		for (round = 0; round < 10; round++) {
			usleep(20000);
			for (i = 0; i < g->npages; i += step)
				if (*(volatile uint64_t *)
				    (g->data + i * PAGE) != first[i])
					_exit(1);
		}
		_exit(0);
	}
	guest_passes(g, 2);
	check(waitpid(pid, &status, 0) == pid);
	if (status)
		die("the guest wrote to the child's copy (status %x)", status);
}

static void fork_cow(void)
{
	struct guest *g = guest_on(map_data(2 * HUGE), 1024);
	int i;

	guest_start(g, COUNT);
	guest_passes(g, 1);
	for (i = 0; i < 5; i++)
		fork_round(g, 1);
	finish(g);
}

static void *map_hugetlb(size_t count)
{
	if (read_number("/proc/meminfo", "HugePages_Free:") < (long)count)
		write_file("/proc/sys/vm/nr_hugepages", "12");
	return map_flags(count * HUGE, MAP_HUGETLB);
}

static void hugetlb(void)
{
	uint8_t *data = map_hugetlb(5);
	struct guest *g;

	if (!data)
		skip("no hugetlb pages");
	g = guest_on(data, 5 * 512);
	guest_start(g, COUNT);
	guest_passes(g, 1);
	fork_round(g, 64);
	guest_stop(g);
	drop_rounds(g, 512);
	munmap(data, 5 * HUGE);
	write_file("/proc/sys/vm/nr_hugepages", "0");
}

/* ---- userfaultfd ---- */

struct uffd {
	int fd;
	uint8_t *data;
	size_t npages;
	uint64_t count;		/* word 0 of pages made from now on */
	volatile size_t served;
	volatile bool quit;
	pthread_t thread;
};

static void uffd_serve(struct uffd *u, uint64_t address)
{
	static uint64_t page[512];
	struct uffdio_copy copy = {
		.dst = address & ~(PAGE - 1), .src = (uintptr_t)page, .len = PAGE,
	};

	fill_page(page, (copy.dst - (uintptr_t)u->data) / PAGE);
	page[0] = u->count;
	/* Counted first: the copy lets the guest go on. */
	u->served++;
	if (ioctl(u->fd, UFFDIO_COPY, &copy) && errno != EEXIST)
		die("UFFDIO_COPY");
}

static void *uffd_thread(void *arg)
{
	struct uffd *u = arg;
	struct pollfd poll_for = { .fd = u->fd, .events = POLLIN };
	struct uffd_msg msg;

	while (!u->quit) {
		if (poll(&poll_for, 1, 50) <= 0)
			continue;
		if (read(u->fd, &msg, sizeof(msg)) == sizeof(msg) &&
		    msg.event == UFFD_EVENT_PAGEFAULT)
			uffd_serve(u, msg.arg.pagefault.address);
	}
	return NULL;
}

static void uffd_open(struct uffd *u, void *data, size_t npages)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)data, .len = npages * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	u->data = data;
	u->npages = npages;
	u->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (u->fd < 0 || ioctl(u->fd, UFFDIO_API, &api))
		skip("no userfaultfd");
	check(!ioctl(u->fd, UFFDIO_REGISTER, &reg));
	check(!pthread_create(&u->thread, NULL, uffd_thread, u));
}

static void userfault(void)
{
	const size_t pages = 512;
	uint8_t *data = map_data(pages * PAGE);
	struct guest *g = guest_new(data, pages, ncpus, 0);
	struct uffd u = { 0 };
	size_t i;

	uffd_open(&u, data, pages);
	for (i = 0; i < pages; i++)
		g->expected[i] = page_sum(i);
	guest_start(g, COUNT);
	guest_passes(g, 1);
	if (u.served < pages)
		die("userfaultfd served %zu pages", u.served);
	guest_stop(g);
	guest_check(g);
	/* Take pages away; they come back with the count they should have. */
	u.count = guest_total_passes(g);
	check(!madvise(data, 100 * PAGE, MADV_DONTNEED));
	guest_start(g, COUNT);
	guest_passes(g, 2);
	check(u.served >= pages + 100);
	finish(g);
	u.quit = true;
	pthread_join(u.thread, NULL);
	close(u.fd);
}

/* ---- files ---- */

static int temp_file(size_t npages)
{
	static uint64_t page[512];
	char path[4096];
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "%s/npt-XXXXXX", directory);
	fd = mkstemp(path);
	if (fd < 0)
		die("%s", path);
	unlink(path);
	for (i = 0; i < npages; i++) {
		fill_page(page, i);
		check(write(fd, page, PAGE) == PAGE);
	}
	return fd;
}

/* A new pattern in page i of the file, by write(). */
static void rewrite(struct guest *g, int fd, size_t i, uint64_t seed)
{
	static uint64_t page[512];

	fill_page(page, seed);
	check(pwrite(fd, page, PAGE, i * PAGE) == PAGE);
	g->expected[i] = page_sum(seed);
}

static struct guest *read_only_guest(int fd, size_t pages, unsigned int flags)
{
	void *data = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct guest *g;
	size_t i;

	check(data != MAP_FAILED);
	g = guest_new(data, pages, 1, flags);
	for (i = 0; i < pages; i++)
		g->expected[i] = page_sum(i);
	guest_start(g, CHECK);
	guest_passes(g, 2);
	guest_stop(g);
	guest_check(g);
	for (i = 0; i < pages; i += 3)
		rewrite(g, fd, i, i + 1000);
	guest_start(g, CHECK);
	guest_passes(g, 1);
	guest_stop(g);
	guest_check(g);
	for (i = 0; i < pages; i += 3)
		rewrite(g, fd, i, i);
	return g;
}

static void file_unchanged(int fd, size_t pages)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < pages; i++) {
		check(pread(fd, &word, 8, i * PAGE) == 8);
		if (word)
			die("page %zu of a read-only file was written", i);
	}
}

static void rofile(void)
{
	const size_t pages = 256;
	int fd = temp_file(pages);
	struct guest *g = read_only_guest(fd, pages, 0);

	/* The slot is writable, its mapping is not: user space is told. */
	guest_start(g, STORE);
	guest_stop(g);
	if (g->cpu[0].run_errno != EFAULT)
		die("a write to a read-only mapping: %s",
		    strerror(g->cpu[0].run_errno));
	file_unchanged(fd, pages);
	guest_free(g);

	/* A read-only slot: writes are MMIO, reads are memory. */
	g = read_only_guest(fd, pages, KVM_MEM_READONLY);
	guest_start(g, STORE);
	guest_stop(g);
	guest_check(g);
	if (g->cpu[0].mmio_writes < pages || g->cpu[0].mmio_reads)
		die("%llu MMIO writes, %llu reads of a read-only slot",
		    (unsigned long long)g->cpu[0].mmio_writes,
		    (unsigned long long)g->cpu[0].mmio_reads);
	check(g->cpu[0].mmio_addr == DATA_GPA + (pages - 1) * PAGE);
	check(g->cpu[0].mmio_data == pages - 1);
	file_unchanged(fd, pages);
	guest_free(g);
	close(fd);
}

/* A shared file: writeback takes write access away, again and again. */
static void shared_file(void)
{
	const size_t pages = 512;
	int fd = temp_file(pages);
	void *data = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, 0);
	struct guest *g;
	uint64_t total, word;
	size_t i;

	check(data != MAP_FAILED);
	g = guest_on(data, pages);
	guest_start(g, COUNT);
	for (i = 0; i < 6; i++) {
		guest_passes(g, 1);
		check(!msync(data, pages * PAGE, MS_SYNC));
	}
	guest_passes(g, 1);
	guest_stop(g);
	guest_check(g);
	total = guest_total_passes(g);
	guest_free(g);
	munmap(data, pages * PAGE);
	check(!fsync(fd));
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (i = 0; i < pages; i++) {
		check(pread(fd, &word, 8, i * PAGE) == 8);
		if (word != total)
			die("page %zu in the file: %llu of %llu writes", i,
			    (unsigned long long)word, (unsigned long long)total);
	}
	close(fd);
}

/* ---- slots and the dirty log ---- */

static size_t dirty_pages(struct guest *g, uint8_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	size_t i, n = 0;

	memset(bitmap, 0, MAX_PAGES / 8);
	if (ioctl(g->vm, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
	for (i = 0; i < g->npages; i++)
		n += bitmap[i / 8] >> i % 8 & 1;
	return n;
}

static void one_pass(struct guest *g, enum mode mode, size_t npages)
{
	int i;

	for (i = 0; i < g->ncpus; i++)
		g->cpu[i].control->npages = npages;
	guest_start(g, mode);
	guest_stop(g);
	guest_check(g);
}

static int set_log(struct guest *g, bool on)
{
	return guest_slot(g, 1, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, DATA_GPA,
			  g->npages * PAGE, g->data);
}

static void clear_log(struct guest *g, uint64_t first, uint32_t count,
		      void *bitmap)
{
	struct kvm_clear_dirty_log clear = {
		.slot = 1, .first_page = first, .num_pages = count,
		.dirty_bitmap = bitmap,
	};

	if (ioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear))
		die("KVM_CLEAR_DIRTY_LOG");
}

static void dirty_log_auto(struct guest *g)
{
	uint8_t bitmap[MAX_PAGES / 8];

	one_pass(g, COUNT, g->npages);
	check(!set_log(g, true));
	check(dirty_pages(g, bitmap) == 0);
	one_pass(g, CHECK, g->npages);
	check(dirty_pages(g, bitmap) == 0);
	one_pass(g, STORE, 70);
	check(dirty_pages(g, bitmap) == 70 && bitmap[0] == 0xff &&
	      bitmap[8] == 0x3f);
	check(dirty_pages(g, bitmap) == 0);
	one_pass(g, STORE, g->npages);
	check(dirty_pages(g, bitmap) == g->npages);
	one_pass(g, STORE, 3);
	check(dirty_pages(g, bitmap) == 3);
	check(!set_log(g, false));
	one_pass(g, STORE, g->npages);
	check(!set_log(g, true));
	check(dirty_pages(g, bitmap) == 0);
	one_pass(g, STORE, 5);
	check(dirty_pages(g, bitmap) == 5);
	check(!set_log(g, false));
}

static void dirty_log_manual(struct guest *g, uint64_t how)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { how },
	};
	uint8_t bitmap[MAX_PAGES / 8], ones[MAX_PAGES / 8];

	memset(ones, 0xff, sizeof(ones));
	check(!ioctl(g->vm, KVM_ENABLE_CAP, &cap));
	one_pass(g, STORE, g->npages);
	check(!set_log(g, true));
	check(dirty_pages(g, bitmap) ==
	      (how & KVM_DIRTY_LOG_INITIALLY_SET ? g->npages : 0));
	clear_log(g, 0, g->npages, ones);
	check(dirty_pages(g, bitmap) == 0);
	one_pass(g, STORE, 200);
	/* Reading does not clear. */
	check(dirty_pages(g, bitmap) == 200);
	check(dirty_pages(g, bitmap) == 200);
	clear_log(g, 64, 64, ones);
	check(dirty_pages(g, bitmap) == 136);
	one_pass(g, STORE, 65);
	check(dirty_pages(g, bitmap) == 137);
	check(!set_log(g, false));
}

static void dirty_log(void)
{
	uint8_t *data = map_data(4 * HUGE);
	struct guest *g;

	check(!madvise(data, 4 * HUGE, MADV_HUGEPAGE));
	g = guest_on(data, 2048);
	dirty_log_auto(g);
	dirty_log_manual(g, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	guest_free(g);
	g = guest_on(data, 2048);
	dirty_log_manual(g, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			 KVM_DIRTY_LOG_INITIALLY_SET);
	guest_free(g);
}

/* Moved and deleted slots leave no translation behind. */
static void slots(void)
{
	const size_t pages = 1024, bytes = pages * PAGE;
	uint8_t *data = map_data(bytes);
	struct guest *g = guest_on(data, pages);
	struct vcpu *c = &g->cpu[0];
	uint64_t to = DATA_GPA + 4 * HUGE;
	int i;

	one_pass(g, COUNT, pages);
	check(!guest_slot(g, 1, 0, to, bytes, data));
	one_pass(g, LOAD, pages);
	check(c->mmio_reads >= pages);
	check(c->mmio_addr == DATA_GPA + (pages - 1) * PAGE);
	for (i = 0; i < g->ncpus; i++)
		g->cpu[i].control->base = to;
	c->mmio_reads = 0;
	one_pass(g, CHECK, pages);
	check(!c->mmio_reads);
	check(!guest_slot(g, 1, 0, to, 0, data));
	one_pass(g, STORE, pages);
	check(c->mmio_writes >= pages);
	check(!guest_slot(g, 1, 0, to, bytes, data));
	one_pass(g, CHECK, pages);
	check(!c->mmio_reads);
	guest_free(g);
}

static void check_pass_at(struct guest *g, uint64_t base)
{
	int i;

	for (i = 0; i < g->ncpus; i++)
		g->cpu[i].control->base = base;
	one_pass(g, CHECK, g->npages);
}

/* Pages shown in two slots, among many: what the host drops goes from both. */
static void mirrors(void)
{
	const size_t pages = 256, others = 500, bytes = pages * PAGE;
	const uint64_t mirror = DATA_GPA + 4 * HUGE, far = DATA_GPA + 8 * HUGE;
	uint8_t *data = map_data(bytes), *other = map_data(others * PAGE);
	struct guest *g = guest_on(data, pages);
	size_t i;

	for (i = 0; i < others; i++)
		check(!guest_slot(g, 10 + i, 0, far + 2 * i * PAGE, PAGE,
				  other + i * 7 % others * PAGE));
	check(guest_slot(g, 2, 0, far - PAGE, 2 * PAGE, data) == EEXIST);
	check(!guest_slot(g, 2, 0, mirror, bytes, data));
	check_pass_at(g, DATA_GPA);
	check_pass_at(g, mirror);
	for (i = 0; i < 2; i++) {
		check(!madvise(data + i * bytes / 2, bytes / 2, MADV_DONTNEED));
		memset(&g->expected[i * pages / 2], 0,
		       pages / 2 * sizeof(uint64_t));
		check_pass_at(g, i ? DATA_GPA : mirror);
		check_pass_at(g, i ? mirror : DATA_GPA);
	}
	for (i = 0; i < others; i++)
		check(!guest_slot(g, 10 + i * 7 % others, 0, 0, 0, NULL));
	check_pass_at(g, mirror);
	check(guest_slot(g, 2, 0, DATA_GPA, bytes, data) == EEXIST);
	check(!g->cpu[0].mmio_reads);
	guest_free(g);
}

/* Slots come, go and move while the guest runs on another one. */
static void slot_stress(void)
{
	const size_t pages = 256;
	struct guest *g = guest_on(map_data(pages * PAGE), pages);
	uint8_t *other = map_data(64 * PAGE);
	int i;

	guest_start(g, COUNT);
	guest_passes(g, 1);
	for (i = 0; i < 300; i++) {
		uint64_t at = DATA_GPA + 8 * HUGE + (i % 7) * PAGE;

		check(!guest_slot(g, 2 + i % 5, 0, at, 64 * PAGE, other));
		check(!guest_slot(g, 2 + i % 5, 0, at + 256 * PAGE, 64 * PAGE,
				  other));
		check(!guest_slot(g, 2 + i % 5, 0, 0, 0, NULL));
	}
	finish(g);
}

/* Huge pages below are used as such: a fault for 512 pages, not for each. */
static void huge_faults(void)
{
	static const char counter[] = "/sys/kernel/debug/kvm/pf_fixed";
	uint8_t *data = map_data(4 * HUGE);
	struct guest *g;
	long faults;

	check(!madvise(data, 4 * HUGE, MADV_HUGEPAGE));
	g = guest_on(data, 2048);
	faults = read_number(counter, "");
	if (smaps(data, "AnonHugePages:") < 8192 || faults < 0)
		skip("no transparent huge pages, or no %s", counter);
	one_pass(g, COUNT, 2048);
	faults = read_number(counter, "") - faults;
	printf("huge: %ld faults for 2048 pages\n", faults);
	if (faults < 4 || faults > 32)
		die("%ld faults for 4 huge pages", faults);
	guest_free(g);
}

/* KVM_TRANSLATE: linear to guest-physical, through the guest's tables. */
static void translate(void)
{
	struct guest *g = guest_on(map_data(HUGE), 512);
	struct kvm_translation t = { .linear_address = DATA_GPA + 0x12345 };

	check(!ioctl(g->cpu[0].fd, KVM_TRANSLATE, &t));
	check(t.valid && t.physical_address == DATA_GPA + 0x12345);
	t.linear_address = 3UL << 30;
	check(!ioctl(g->cpu[0].fd, KVM_TRANSLATE, &t));
	check(!t.valid);
	t.linear_address = 1UL << 47;	/* not canonical */
	check(!ioctl(g->cpu[0].fd, KVM_TRANSLATE, &t));
	check(!t.valid);
	guest_free(g);
}

static void errnos(void)
{
	const size_t pages = 16, bytes = pages * PAGE;
	uint8_t *data = map_data(bytes);
	struct guest *g = guest_new(data, pages, 1, 0);
	uint64_t far = DATA_GPA + HUGE;
	const struct {
		unsigned int slot, flags;
		uint64_t gpa, bytes;
		void *hva;
		int want;
	} table[] = {
		{ 2, 0, far + 1, PAGE, data, EINVAL },
		{ 2, 0, far, PAGE + 1, data, EINVAL },
		{ 2, 0, far, PAGE, data + 1, EINVAL },
		{ 2, 4, far, PAGE, data, EINVAL },
		{ 40000, 0, far, PAGE, data, EINVAL },
		{ 0x50001, 0, far, PAGE, data, EINVAL },
		{ 2, 0, ~0xfffULL, 2 * PAGE, data, EINVAL },
		{ 2, 0, 1ULL << 62, PAGE, data, EINVAL },
		{ 2, 0, far, PAGE, (void *)0xffff800000000000ULL, EINVAL },
		{ 2, 0, far, 1ULL << 44, NULL, EINVAL },
		{ 2, 0, far, 0, data, EINVAL },		/* none to delete */
		{ 2, 0, DATA_GPA + PAGE, PAGE, data, EEXIST },
		{ 2, 0, DATA_GPA - PAGE, 2 * PAGE, data, EEXIST },
		{ 2, 0, 0, 4 * HUGE, data, EEXIST },
		{ 1, 0, DATA_GPA, bytes - PAGE, data, EINVAL },	/* resize */
		{ 1, 0, DATA_GPA, bytes, data + PAGE, EINVAL },
		{ 1, KVM_MEM_READONLY, DATA_GPA, bytes, data, EINVAL },
		{ 1, 0, DATA_GPA, bytes, data, 0 },		/* no change */
		{ 1, 0, HUGE - PAGE, bytes, data, EEXIST },	/* move */
		{ 1, 0, DATA_GPA + PAGE, bytes, data, 0 },	/* over itself */
		{ 2, 0, DATA_GPA, PAGE, data, 0 },
		{ 2, 0, DATA_GPA, 0, data, 0 },
	};
	uint8_t bitmap[512];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = {
		.slot = 1, .num_pages = pages, .dirty_bitmap = bitmap,
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int got = guest_slot(g, table[i].slot, table[i].flags,
				     table[i].gpa, table[i].bytes,
				     table[i].hva);

		if (got != table[i].want)
			die("line %zu: %s instead of %s", i, strerror(got),
			    strerror(table[i].want));
	}
	check(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log) && errno == ENOENT);
	check(ioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear) && errno == ENOENT);
	log.slot = 40000;
	check(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log) && errno == EINVAL);
	check(!guest_slot(g, 1, KVM_MEM_LOG_DIRTY_PAGES, DATA_GPA + PAGE,
			  bytes, data));
	log.slot = 1;
	log.dirty_bitmap = NULL;
	check(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log) && errno == EFAULT);
	clear.first_page = 1;
	check(ioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear) && errno == EINVAL);
	clear.first_page = 64;
	check(ioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear) && errno == EINVAL);
	clear.first_page = 0;
	clear.num_pages = pages + 1;
	check(ioctl(g->vm, KVM_CLEAR_DIRTY_LOG, &clear) && errno == EINVAL);
	guest_free(g);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "plain", plain }, { "swap", swap }, { "ksm", ksm },
	{ "migrate", migrate }, { "thp", thp }, { "dontneed", dontneed },
	{ "fork", fork_cow }, { "hugetlb", hugetlb },
	{ "userfault", userfault }, { "rofile", rofile },
	{ "sharedfile", shared_file }, { "dirtylog", dirty_log },
	{ "huge", huge_faults }, { "slots", slots },
	{ "slotstress", slot_stress }, { "mirrors", mirrors },
	{ "errnos", errnos },
	{ "translate", translate },
};

static void run_named(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (!strcmp(name, scenarios[i].name)) {
			scenarios[i].run();
			printf("ok %s\n", name);
			fflush(stdout);
			return;
		}
	die("no scenario %s", name);
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "c:d:")) != -1) {
		if (opt == 'c')
			ncpus = atoi(optarg);
		else if (opt == 'd')
			directory = optarg;
		else
			return 2;
	}
	if (ncpus < 1 || ncpus > MAX_CPUS || optind == argc)
		return 2;
	for (; optind < argc; optind++)
		run_named(argv[optind]);
	return 0;
}
