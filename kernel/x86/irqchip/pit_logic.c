// SPDX-License-Identifier: GPL-2.0-only
/* An 8254 programmable interval timer and port 61h. */

#include "pit_logic.h"

/* Halves of a count: read_state, write_state, rw_mode, count_latched (ABI) */
enum { RW_NONE, RW_LSB, RW_MSB, RW_WORD0, RW_WORD1 };

#define NS_PER_SEC		1000000000U

/* kvm_pit_channel_state.mode before the first control word */
#define NEVER_PROGRAMMED	0xff

#define PORT61_GATE2		0x01
#define PORT61_SPEAKER		0x02
#define PORT61_REFRESH		0x10
#define PORT61_OUT2		0x20

/* ---- counting ---- */

static u32 from_bcd(u32 raw)
{
	return (raw >> 12 & 0xf) * 1000 + (raw >> 8 & 0xf) * 100 +
	       (raw >> 4 & 0xf) * 10 + (raw & 0xf);
}

static u32 to_bcd(u32 count)
{
	return count / 1000 % 10 << 12 | count / 100 % 10 << 8 |
	       count / 10 % 10 << 4 | count % 10;
}

/* The programmed count in ticks, at least 1: written 0 is the largest. */
static u32 reload_ticks(const struct pit_channel *c)
{
	u32 raw = c->s.count & 0xffff;

	if (c->s.bcd)
		return raw ? from_bcd(raw) : 10000;
	return raw ? raw : 0x10000;
}

static u64 elapsed_ticks(const struct pit_channel *c, s64 now)
{
	s64 end = c->stopped ? c->stopped_at : now;

	if (end <= c->s.count_load_time)
		return 0;
	/* Unsigned: the two may lie further apart than an s64 holds. */
	return mul_u64_u32_div((u64)end - (u64)c->s.count_load_time, PIT_FREQ,
			       NS_PER_SEC);
}

static u64 ticks_to_ns(u64 ticks)
{
	/* Rounded up: at that time the tick has passed. */
	return mul_u64_u32_div(ticks, NS_PER_SEC, PIT_FREQ) + 1;
}

/* Modes 1 and 5 wait for the gate, the others for the count alone. */
static bool running(const struct pit_channel *c)
{
	bool needs_trigger = c->s.mode == 1 || c->s.mode == 5;

	return c->loaded && (!needs_trigger || c->triggered);
}

/* Data sheet "Mode Definitions" */
bool pit_channel_out(const struct pit_channel *c, s64 now)
{
	u32 n = reload_ticks(c);
	u64 d = elapsed_ticks(c, now);

	if (!running(c))
		return c->s.mode != 0;
	switch (c->s.mode) {
	case 0:
	case 1:
		return d >= n;
	case 2:
		return !c->s.gate || d % n != n - 1;
	case 3:
		return !c->s.gate || d % n < (n + 1) / 2;
	default:
		return d != n;
	}
}

/* The counting element as the guest reads it, 16 bits. */
u32 pit_channel_count(const struct pit_channel *c, s64 now)
{
	u32 n = reload_ticks(c), wrap = c->s.bcd ? 10000 : 0x10000, count;
	u64 d = running(c) ? elapsed_ticks(c, now) : 0;
	u32 high = (n + 1) / 2, phase = d % n;

	switch (c->s.mode) {
	case 2:
		count = n - phase;
		break;
	case 3:		/* from the even count, by two, once for each half */
		count = (n & ~1U) - 2 * (phase < high ? phase : phase - high);
		break;
	default:	/* goes on below zero */
		count = (n % wrap + wrap - d % wrap) % wrap;
		break;
	}
	count %= wrap;
	return c->s.bcd ? to_bcd(count) : count;
}

static void load(struct pit_channel *c, u32 raw, s64 now)
{
	c->s.count = raw ? raw : 0x10000;
	if ((c->s.mode == 1 || c->s.mode == 5) && c->triggered)
		return;		/* the running shot is not disturbed */
	c->s.count_load_time = now;
	c->stopped_at = now;
	c->loaded = true;
}

static void set_gate(struct pit_channel *c, bool gate, s64 now)
{
	bool rises = gate && !c->s.gate;

	c->s.gate = gate;
	switch (c->s.mode) {
	case 0:
	case 4:
		if (rises && c->stopped)
			c->s.count_load_time =
				(u64)c->s.count_load_time + now - c->stopped_at;
		break;
	default:
		if (rises) {
			c->s.count_load_time = now;
			c->triggered = true;
		}
		break;
	}
	/* A one-shot runs on after its trigger, whatever the gate does. */
	c->stopped = !gate && c->s.mode != 1 && c->s.mode != 5;
	c->stopped_at = now;
}

/* ---- latches ---- */

static void latch_count(struct pit_channel *c, s64 now)
{
	if (c->s.count_latched)
		return;		/* the first latch stands until it is read */
	c->s.latched_count = pit_channel_count(c, now);
	c->s.count_latched = c->s.rw_mode;
}

static void latch_status(struct pit_channel *c, s64 now)
{
	if (c->s.status_latched)
		return;
	c->s.status = pit_channel_out(c, now) << 7 | !c->loaded << 6 |
		      c->s.rw_mode << 4 | (c->s.mode & 7) << 1 | c->s.bcd;
	c->s.status_latched = 1;
}

static void read_back(struct pit_logic *p, u8 value, s64 now)
{
	unsigned int i;

	for (i = 0; i < PIT_NR_CHANNELS; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & 0x20))
			latch_count(&p->ch[i], now);
		if (!(value & 0x10))
			latch_status(&p->ch[i], now);
	}
}

/* ---- ports ---- */

static void set_mode(struct pit_channel *c, unsigned int access, u8 value,
		     s64 now)
{
	unsigned int mode = value >> 1 & 7;

	c->s.rw_mode = access;
	c->s.read_state = access;
	c->s.write_state = access;
	c->s.count_latched = 0;
	c->s.status_latched = 0;
	c->s.mode = mode > 5 ? mode & 3 : mode;	/* bit 2 is don't care */
	c->s.bcd = value & 1;
	c->loaded = false;
	c->triggered = false;
	c->stopped = !c->s.gate && c->s.mode != 1 && c->s.mode != 5;
	c->stopped_at = now;
}

/* True if channel 0 was stopped by a new mode. */
static bool write_control(struct pit_logic *p, u8 value, s64 now)
{
	unsigned int channel = value >> 6, access = value >> 4 & 3;

	if (channel == 3) {
		read_back(p, value, now);
		return false;
	}
	if (!access) {
		latch_count(&p->ch[channel], now);
		return false;
	}
	set_mode(&p->ch[channel], access, value, now);
	return channel == 0;
}

/* True if a whole count arrived. */
static bool write_count(struct pit_channel *c, u8 value, s64 now)
{
	switch (c->s.write_state) {
	case RW_LSB:
		load(c, value, now);
		return true;
	case RW_MSB:
		load(c, value << 8, now);
		return true;
	case RW_WORD0:
		c->s.write_latch = value;
		c->s.write_state = RW_WORD1;
		return false;
	case RW_WORD1:
		c->s.write_state = RW_WORD0;
		load(c, c->s.write_latch | value << 8, now);
		return true;
	default:
		return false;
	}
}

bool pit_logic_write(struct pit_logic *p, unsigned int port, u8 value, s64 now)
{
	port &= 3;
	if (port == 3)
		return write_control(p, value, now);
	return write_count(&p->ch[port], value, now) && port == 0;
}

static u8 read_latched(struct pit_channel *c)
{
	u16 count = c->s.latched_count;

	switch (c->s.count_latched) {
	case RW_WORD0:
		c->s.count_latched = RW_MSB;
		return count;
	case RW_MSB:
		c->s.count_latched = 0;
		return count >> 8;
	default:
		c->s.count_latched = 0;
		return count;
	}
}

static u8 read_counter(struct pit_channel *c, s64 now)
{
	u32 count = pit_channel_count(c, now);

	switch (c->s.read_state) {
	case RW_MSB:
		return count >> 8;
	case RW_WORD0:
		c->s.read_state = RW_WORD1;
		return count;
	case RW_WORD1:
		c->s.read_state = RW_WORD0;
		return count >> 8;
	default:
		return count;
	}
}

u8 pit_logic_read(struct pit_logic *p, unsigned int port, s64 now)
{
	struct pit_channel *c;

	port &= 3;
	if (port == 3)		/* the control word cannot be read back */
		return 0;
	c = &p->ch[port];
	if (c->s.status_latched) {
		c->s.status_latched = 0;
		return c->s.status;
	}
	return c->s.count_latched ? read_latched(c) : read_counter(c, now);
}

u8 pit_logic_speaker_read(struct pit_logic *p, s64 now)
{
	const struct pit_channel *c = &p->ch[2];
	u8 value = c->s.gate ? PORT61_GATE2 : 0;

	if (p->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON)
		value |= PORT61_SPEAKER;
	if (pit_channel_out(c, now))
		value |= PORT61_OUT2;
	/* Toggles with each memory refresh, about every 15 us. */
	if (now >> 14 & 1)
		value |= PORT61_REFRESH;
	return value;
}

void pit_logic_speaker_write(struct pit_logic *p, u8 value, s64 now)
{
	if (value & PORT61_SPEAKER)
		p->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	else
		p->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	set_gate(&p->ch[2], value & PORT61_GATE2, now);
}

/* ---- channel 0's interrupt: rising edges of OUT ---- */

bool pit_logic_plan(const struct pit_logic *p, struct pit_plan *plan)
{
	const struct pit_channel *c = &p->ch[0];
	u64 n = reload_ticks(c);

	/* With an HPET in legacy mode IRQ 0 is not ours. */
	if (p->flags & KVM_PIT_FLAGS_HPET_LEGACY || !running(c))
		return false;
	plan->period_ns = 0;
	switch (c->s.mode) {
	case 0:
		plan->delay_ns = ticks_to_ns(n);
		return true;
	case 2:
	case 3:
		plan->delay_ns = plan->period_ns = ticks_to_ns(n) - 1;
		return true;
	case 4:		/* low for one tick, then up again */
		plan->delay_ns = ticks_to_ns(n + 1);
		return true;
	default:	/* its gate is tied high and never rises */
		return false;
	}
}

/* ---- state ---- */

void pit_logic_reset(struct pit_logic *p, s64 now)
{
	unsigned int i;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < PIT_NR_CHANNELS; i++) {
		p->ch[i].s.gate = i != 2;	/* channel 2's is in port 61h */
		set_mode(&p->ch[i], RW_WORD0, 0, now);
		p->ch[i].s.mode = NEVER_PROGRAMMED;
		p->ch[i].s.count = 0x10000;
	}
}

void pit_logic_get(const struct pit_logic *p, struct kvm_pit_state2 *state)
{
	unsigned int i;

	memset(state, 0, sizeof(*state));
	for (i = 0; i < PIT_NR_CHANNELS; i++)
		state->channels[i] = p->ch[i].s;
	state->flags = p->flags;
}

static void channel_set(struct pit_channel *c, unsigned int i,
			const struct kvm_pit_channel_state *s, s64 now)
{
	c->s = *s;
	c->s.count = s->count & 0xffff ? s->count & 0xffff : 0x10000;
	if (s->mode > 5 && s->mode != NEVER_PROGRAMMED)
		c->s.mode = s->mode & 3;
	c->s.rw_mode &= 3;
	c->s.bcd = !!s->bcd;
	c->s.gate = i != 2 || s->gate;
	c->s.read_state = min_t(u8, s->read_state, RW_WORD1);
	c->s.write_state = min_t(u8, s->write_state, RW_WORD1);
	c->s.count_latched = min_t(u8, s->count_latched, RW_WORD0);
	c->s.status_latched = !!s->status_latched;
	c->s.count_load_time = now;
	c->loaded = c->s.mode != NEVER_PROGRAMMED;
	c->triggered = c->s.gate && i == 2;
	c->stopped = !c->s.gate && c->s.mode != 1 && c->s.mode != 5;
	c->stopped_at = now;
}

void pit_logic_set(struct pit_logic *p, const struct kvm_pit_state2 *state,
		   s64 now)
{
	unsigned int i;

	for (i = 0; i < PIT_NR_CHANNELS; i++)
		channel_set(&p->ch[i], i, &state->channels[i], now);
	p->flags = state->flags & (KVM_PIT_FLAGS_HPET_LEGACY |
				   KVM_PIT_FLAGS_SPEAKER_DATA_ON);
}
