# SPDX-License-Identifier: GPL-2.0-only
"""The command line: one file a verb, each with add_arguments(parser) and main(args)."""

import argparse
import importlib
import signal
import sys
import traceback
from collections.abc import Sequence

from unikvm.core.errors import UserError

VERBS = {
    "run": "boot a guest through the whole stack; a shell in it, or --exec CMD",
    "lab": "a shell, or a command, in a lab machine with the kernel half loaded",
    "test": "run the tests",
    "bench": "measure the kernel half beside stock: bench exits",
    "conformance": "run other people's tests on stock and on ours: KVM's selftests, QEMU",
    "fuzz": "random user space, or a hostile guest, against the kernel half in the lab",
    "build": "build kernel modules, VMM and firmware",
    "probe": "what this host and its /dev/kvm can do",
    "version": "versions and hashes of all three parts",
}

EXIT_FAILURE, EXIT_USAGE, EXIT_GUEST_DIED, EXIT_INTERRUPTED = 1, 2, 255, 130


class UsageError(Exception):
    """The command line asks for something that cannot be; exit status 2."""


def overview() -> str:
    """What `unikvm --help` prints."""
    lines = ["usage: unikvm VERB [options]; unikvm VERB --help explains a verb", ""]
    return "\n".join(lines + [f"  {verb:12} {what}" for verb, what in VERBS.items()])


def complain(line: str) -> None:
    """The one clear line."""
    print(f"unikvm: {line}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else EXIT_USAGE
    verb, rest = words[0], words[1:]
    if verb == "--version":
        verb = "version"
    if verb not in VERBS:
        complain(f"no verb {verb!r}; there are: {', '.join(VERBS)}")
        return EXIT_USAGE
    return call(verb, rest)


def call(verb: str, words: Sequence[str]) -> int:
    """Parse and run one verb; every error ends as one line and a status."""
    module = importlib.import_module(f"unikvm.cli.{verb}")
    parser = argparse.ArgumentParser(prog=f"unikvm {verb}", description=VERBS[verb],
                                     allow_abbrev=False)
    module.add_arguments(parser)
    # Politely ended, too, we clean up behind us.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        if hasattr(module, "REST"):
            # What the verb does not know is for the program it calls.
            args, rest = parser.parse_known_args(words)
            setattr(args, module.REST, rest)
        else:
            args = parser.parse_args(words)
        return module.main(args)
    except UsageError as error:
        complain(f"{error} (see unikvm {verb} --help)")
        return EXIT_USAGE
    except UserError as error:
        complain(str(error))
        return EXIT_FAILURE
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILURE
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        complain(f"{name}{error.strerror or error}")
        return EXIT_FAILURE
    except Exception as error:  # our own bug: the traceback belongs in a log
        return internal_error(error)


def internal_error(error: Exception) -> int:
    """Write the traceback where a report can quote it."""
    from unikvm.lab import places
    text = "".join(traceback.format_exception(error))
    try:
        path = places.log_path("crash")
        path.write_text(text, encoding="utf-8")
        complain(f"internal error: {type(error).__name__}: {error}; traceback: {path}")
    except (UserError, OSError):
        complain(f"internal error: {type(error).__name__}: {error}")
    return EXIT_FAILURE
