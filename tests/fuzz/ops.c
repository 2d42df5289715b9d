// SPDX-License-Identifier: GPL-2.0-only
/* The table of requests, made from the ABI header, and the calling of one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

struct op ops[MAX_OPS];
int nr_ops;

static const struct {
	const char *name;
	unsigned long request;
} requests[] = {
#define REQUEST(name)	{ #name, name },
#include "requests.h"
#undef REQUEST
};

_Static_assert(ARRAY_SIZE(requests) <= MAX_OPS, "MAX_OPS");

static void add_details(struct op *op)
{
	const struct op *from;

	for (from = op_details; from->name; from++)
		if (!strcmp(from->name, op->name))
			*op = *from;
}

void ops_init(void)
{
	for (nr_ops = 0; nr_ops < (int)ARRAY_SIZE(requests); nr_ops++) {
		ops[nr_ops] = (struct op){ .name = requests[nr_ops].name,
					   .unknown = true };
		add_details(&ops[nr_ops]);
		ops[nr_ops].request = requests[nr_ops].request;
	}
}

int op_index(unsigned long request)
{
	int i;

	for (i = 0; i < nr_ops; i++)
		if (ops[i].request == request)
			return i;
	return -1;
}

static void count(int index, long result)
{
	struct tally *tally = &shared->tally[index];
	int error = errno;

	atomic_fetch_add(&tally->calls, 1);
	if (result >= 0)
		atomic_fetch_add(&tally->ok, 1);
	else if (error < MAX_ERRNO)
		atomic_fetch_add(&tally->errors[error], 1);
	errno = error;
}

void op_count(unsigned long request, long result)
{
	int index = op_index(request);

	if (index >= 0)
		count(index, result);
}

void *call_room(struct call *c, size_t size)
{
	size = size > ARG_SIZE ? ARG_SIZE : size;
	c->size = size;
	c->arg = c->t->argument + ARG_SIZE - ((size + 7) & ~7ul);
	memset(c->arg, 0, size);
	return c->arg;
}

/* Where the kernel must find nothing to read, or nothing to write. */
static void *bad_pointer(struct call *c)
{
	switch (below(&c->t->rng, 5)) {
	case 0: return NULL;
	case 1: return (void *)0xffffffff81000000;
	case 2: return c->t->argument + ARG_SIZE;
	case 3: return c->t->argument + ARG_SIZE - 1 -
			below(&c->t->rng, c->size + 1);
	default: return (void *)odd_value(&c->t->rng);
	}
}

/* Make the n-th allocation or user copy of the next system call fail. */
static void inject(struct thread *t)
{
	char text[12];
	int length;

	if (t->inject < 0 || !chance(&t->rng, 15))
		return;
	length = snprintf(text, sizeof(text), "%d", 1 + (int)below(&t->rng, 12));
	if (write(t->inject, text, length) < 0)
		t->inject = -1;
}

static void keep_result(struct call *c, long result)
{
	struct world *w = c->t->world;
	struct rng *r = &c->t->rng;

	switch (c->request) {
	case KVM_CREATE_VM:
		world_keep(w, r, KIND_VM, result);
		break;
	case KVM_CREATE_VCPU:
		world_keep(w, r, KIND_VCPU, result);
		break;
	case KVM_GET_STATS_FD:
		world_keep(w, r, KIND_OTHER, result);
		break;
	}
}

static void prepare(struct call *c, const struct op *op)
{
	struct rng *r = &c->t->rng;

	call_room(c, _IOC_SIZE(op->request));
	if (op->get && chance(r, 90)) {
		ioctl(c->fd, op->get, c->arg);
		if (op->fill)
			op->fill(c);
		if (chance(r, 60))
			mutate(r, c->arg, c->size);
	} else if (op->fill && chance(r, 97)) {
		op->fill(c);
		if (!c->is_scalar && chance(r, 15))
			mutate(r, c->arg, c->size);
	} else {
		random_bytes(r, c->arg, c->size);
		c->scalar = odd_value(r);
		c->is_scalar = !_IOC_SIZE(op->request);
	}
}

static enum kind kind_for(const struct op *op, struct rng *r)
{
	enum kind kind;

	if (!op->on || chance(r, 2))
		return below(r, NR_KINDS);
	do
		kind = below(r, NR_KINDS);
	while (!(op->on & 1u << kind));
	return kind;
}

/* Any; most of what only ever fails the same way is passed over. */
static int random_index(struct rng *r)
{
	int index;

	do
		index = below(r, nr_ops);
	while (ops[index].unknown && chance(r, 80));
	return index;
}

void op_random(struct thread *t)
{
	int index = random_index(&t->rng);
	const struct op *op = &ops[index];
	struct call c = { .t = t, .request = op->request };
	void *arg;
	long result;

	if (op->blocks)
		return;
	c.fd = world_file(t->world, &t->rng, kind_for(op, &t->rng));
	prepare(&c, op);
	arg = c.is_scalar ? (void *)c.scalar : c.arg;
	if (!c.is_scalar && chance(&t->rng, 3))
		arg = bad_pointer(&c);
	inject(t);
	result = ioctl(c.fd, c.request, arg);
	count(index, result);
	if (result >= 0)
		keep_result(&c, result);
}
