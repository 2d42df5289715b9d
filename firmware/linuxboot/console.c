// SPDX-License-Identifier: GPL-2.0-only
/* Messages: to the debug console always, to the screen when we give up. */
#include <stdarg.h>

#include "loader.h"

/* SeaBIOS's and QEMU's debug console. */
#define DEBUGCON_PORT	0x402

#define PREFIX		"unikvm-linuxboot: "

static int on_screen;

static void put(char c)
{
	outb(DEBUGCON_PORT, c);
	if (!on_screen)
		return;
	if (c == '\n')
		bios_putc('\r');
	bios_putc(c);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(u32 value, u32 base)
{
	char digits[11];	/* 2^32 has ten decimal digits */
	u32 at = sizeof(digits);

	digits[--at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	put_string(digits + at);
}

/* Knows %s, %u and %x (with its 0x), all 32 bits wide. */
static void put_format(const char *fmt, va_list args)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			put_string(va_arg(args, const char *));
			break;
		case 'u':
			put_number(va_arg(args, u32), 10);
			break;
		case 'x':
			put_string("0x");
			put_number(va_arg(args, u32), 16);
			break;
		default:
			return;
		}
	}
}

/* One line of progress on the debug console. */
void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_string(PREFIX);
	put_format(fmt, args);
	put('\n');
	va_end(args);
}

/* Say why we cannot boot, on the screen too, and stop the machine. */
void fail(const char *fmt, ...)
{
	va_list args;

	on_screen = 1;
	va_start(args, fmt);
	put_string(PREFIX "error: ");
	put_format(fmt, args);
	put('\n');
	va_end(args);
	halt();
}
