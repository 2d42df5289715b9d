// SPDX-License-Identifier: GPL-2.0-only
/* Runs the cases named, or all: a line each, status 1 if one failed. */
#include "cases.h"

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
#define X(name) { #name, name },
	CASES(X)
#undef X
};

static bool wanted(int argc, char **argv, const char *name)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	size_t i;
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!wanted(argc, argv, cases[i].name))
			continue;
		failures = 0;
		alarm(20);	/* a guest that waits for ever ends the run */
		cases[i].run();
		alarm(0);
		printf("%s %s\n", failures ? "failed" : "ok", cases[i].name);
		failed += !!failures;
	}
	return !!failed;
}
