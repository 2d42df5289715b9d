# SPDX-License-Identifier: GPL-2.0-only
"""The way into a guest and back, as machine code: what docs/security.md says about speculation."""

import re

import pytest

from lib import tree
from lib.machinecode import Code, Insn, feature_numbers
from lib.mutant import Mutant
from unikvm.lab import headers, modules

ENTER = "svm_enter"
SAVED = ("rcx", "rdx", "rbx", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
RETURN_STACK = 32       # entries that a guest may have filled

# What has to be called after an exit, by the feature with which the kernel asks for it.
UNTRAINING = {
    "UNRET": ("entry_untrain_ret",),
    "SRSO_ALIAS": ("srso_alias_untrain_ret",),
    "ENTRY_IBPB": ("entry_ibpb", "write_ibpb"),
    "IBPB_ON_VMEXIT": ("entry_ibpb", "write_ibpb"),
}
# A kernel asks for an IBPB on VM exits by both names, or from 6.2 on by the second alone.
ONLY_6_1 = {"ENTRY_IBPB"}


class Entry:
    """One build of the modules, and its kernel's features."""

    def __init__(self, folder, kernel):
        self.kernel, self.against = kernel, headers.get(kernel)
        self.numbers = feature_numbers(self.against)
        self.amd = Code(folder / "kvm-amd.ko")
        self.kvm = Code(folder / "kvm.ko") if (folder / "kvm.ko").exists() else None

    def features(self, *names):
        return {self.numbers[name] for name in ("ALWAYS", *names)}

    def path(self, *names):
        return self.amd.path(ENTER, self.features(*names))

    def after_exit(self, *names):
        return from_first(self.path(*names), "vmrun")


@pytest.fixture(scope="module")
def entry():
    if not (tree.build_dir() / "kernel/kvm-amd.ko").exists():
        pytest.skip("built without kernel modules")
    return Entry(tree.build_dir() / "kernel", modules.tree_modules(tree.build_dir()).kernel)


def from_first(insns, mnemonic):
    return insns[next(i for i, insn in enumerate(insns) if insn.is_(mnemonic)) + 1:]


def until_calls(insns):
    """Up to the first call or return out of the function."""
    for i, insn in enumerate(insns):
        if insn.returns() or insn.is_("call") and insn.target() is None:
            return insns[:i]
    raise AssertionError("no end")


def zeroed(insn):
    """The register, under its 64-bit name, that xor with itself clears."""
    found = re.fullmatch(r"xor +%(e\w\w|r\d+d),%\1", insn.text)
    if not found:
        return None
    name = found[1]
    return "r" + name[1:] if name[0] == "e" else name.removesuffix("d")


# ---- the checks: each raises AssertionError; `entry` may be a build with a fault ----

def check_registers(entry):
    """No register keeps a guest's value until the first call, return or STGI."""
    for names in ((), ("RSB_VMEXIT", "UNRET")):
        run = until_calls(entry.after_exit(*names))
        for name in SAVED:
            saved = [i for i, insn in enumerate(run)
                     if re.fullmatch(rf"mov +%{name},0x\w+\(%rax\)", insn.text)]
            cleared = [i for i, insn in enumerate(run) if zeroed(insn) == name]
            assert len(saved) == 1 and cleared and cleared[-1] > saved[0], f"{name} is left"
            assert not any(re.search(rf",%{name}$", insn.text) for insn in run[cleared[-1] + 1:]
                           if zeroed(insn) != name), f"{name} is loaded again"


def check_return_stack(entry):
    """Refilled before anything else is called or returned to; the fill is fenced off."""
    run = entry.after_exit("RSB_VMEXIT", "UNRET", "IBPB_ON_VMEXIT")
    first = next(i for i, insn in enumerate(run) if insn.is_("call") or insn.returns())
    assert run[first].target(), f"{run[first]} comes before the return stack is refilled"
    fill = until_calls(run)[first - 1:]
    rounds = re.fullmatch(r"mov +\$0x([0-9a-f]+),%rax", fill[0].text)
    assert rounds, f"no loop count: {fill[0]}"
    calls = [insn for insn in fill if insn.is_("call")]
    assert int(rounds[1], 16) * len(calls) >= RETURN_STACK
    assert any(insn.is_("jne") for insn in fill) and any(insn.is_("lfence") for insn in fill)


def check_untraining(entry):
    """The kernel's call for each of its mitigations, before a return and before STGI."""
    for name, calls in UNTRAINING.items():
        if name in ONLY_6_1 and "UNTRAIN_RET_VM" in nospec_header(entry):
            continue
        run = entry.after_exit(name)
        called = [i for i, insn in enumerate(run) if insn.is_("call")]
        assert [run[i].symbol for i in called] and run[called[0]].symbol in calls, name
        assert called[0] < next(i for i, insn in enumerate(run) if insn.is_("stgi")), name
    both = [insn.symbol for insn in entry.after_exit("UNRET", "IBPB_ON_VMEXIT")
            if insn.is_("call")]
    assert len(both) == 2 and both[0] == "entry_untrain_ret", both


def nospec_header(entry):
    found = re.search(r"^include (\S+)/Makefile$", (entry.against / "Makefile").read_text(),
                      re.MULTILINE)
    top = entry.against if found is None else type(entry.against)(found[1])
    return (top / "arch/x86/include/asm/nospec-branch.h").read_text()


def check_nothing_else(entry):
    """Without mitigations nothing is called; with none or all no branch is indirect."""
    assert not any(insn.is_("call") for insn in entry.path())
    for names in ((), ("RSB_VMEXIT", *UNTRAINING)):
        run = entry.path(*names)
        assert run[-1].returns()
        assert not [insn for insn in run if "*" in insn.text or "thunk" in insn.symbol
                    and not insn.returns()]


def check_buffers(entry):
    """VERW right before VMRUN where the processor needs it, nowhere else."""
    with_it, without = entry.path("CLEAR_CPU_BUF_VM"), entry.path()
    vmrun = next(i for i, insn in enumerate(with_it) if insn.is_("vmrun"))
    before = [insn for insn in with_it[:vmrun] if not insn.is_("nop")][-1]
    assert before.is_("verw") and before.symbol == "x86_verw_sel", before
    assert not any(insn.is_("verw") for insn in without)


def check_another_vcpu(entry):
    """svm_vcpu_load() writes the IBPB command."""
    run = entry.amd.listing("svm_vcpu_load", entry.features(
        *({"USE_IBPB", "IBPB"} & entry.numbers.keys())))
    assert any(insn.symbol in ("entry_ibpb", "write_ibpb") for insn in run) or (
        any(re.fullmatch(r"mov +\$0x49,%ecx", insn.text) for insn in run)
        and any(insn.is_("wrmsr") for insn in run)), [insn.text for insn in run]


def check_spec_ctrl(entry):
    """The guest's value before the entry, the host's right after it."""
    calls = [called(insn, entry.amd) for insn in entry.amd.listing("svm_run")]
    calls = [name for name in calls if name in ("spec_ctrl_switch", "enter")]
    assert calls == ["spec_ctrl_switch", "enter", "spec_ctrl_switch"]
    assert any(insn.symbol == ENTER for insn in entry.amd.listing("enter"))
    switch = entry.amd.listing("spec_ctrl_switch")
    assert any(re.match(r"mov +\$0x48,%[er]", insn.text) for insn in switch)
    assert any(insn.symbol == "x86_virt_spec_ctrl" for insn in switch)


def check_user_space(entry):
    """After each entry the kernel is told that user space needs an IBPB (VMSCAPE)."""
    symbols = [insn.symbol for insn in entry.kvm.listing("kvm_arch_vcpu_run")]
    assert "x86_ibpb_exit_to_user" in symbols[symbols.index("__SCT__x86_op_run"):]


def check_host_state(entry):
    """DEBUGCTL, DR6 and XSS are the host's again; the first and the last not the guest's."""
    run = [insn.text for insn in entry.amd.listing("svm_run")]
    assert len([text for text in run if re.fullmatch(r"mov +\$0x1d9,%e(cx|di)", text)]) == 2
    assert any(re.search(r"^mov +\$0x6,%edi$|,%db6$", text) for text in run)
    for name in ("x86_xcr0_enter", "x86_xcr0_exit"):
        assert any(re.fullmatch(r"mov +\$0xda0,%e(cx|di)", insn.text)
                   for insn in entry.kvm.listing(name)), name


def called(insn: Insn, code: Code):
    """The name behind a call or a jump in place of one."""
    if not insn.is_("call", "jmp"):
        return None
    if insn.symbol in code.functions:
        return insn.symbol
    target = insn.target()
    return next((name for name, (section, offset, _) in code.functions.items()
                 if (section, offset) == target), None)


CHECKS = (check_registers, check_return_stack, check_untraining, check_nothing_else,
          check_buffers, check_another_vcpu, check_spec_ctrl, check_user_space,
          check_host_state)


@pytest.mark.unit
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_entry_path(entry, check):
    check(entry)


# ---- each check sees what it is there for ----

FAULTS = [
    ("svm/enter.S", r"\txor %r11d, %r11d\n", "", check_registers),
    ("svm/enter.S", r"\tFILL_RETURN_BUFFER .*\n", "", check_return_stack),
    ("svm/enter.S", r"(\tFILL_RETURN_BUFFER .*\n)(\tCLEAR_GUEST\n)(\tUNTRAIN_RET_VM\n)",
     r"\2\3\1", check_return_stack),
    ("svm/enter.S", r"\tUNTRAIN_RET_VM\n", "", check_untraining),
    ("svm/enter.S", r"\tUNTRAIN_RET_VM\n", r"\tUNTRAIN_RET\n", check_untraining),
    ("svm/enter.S", r"(\tUNTRAIN_RET_VM\n)(\tstgi\n)", r"\2\1", check_untraining),
    ("svm/enter.S", r"\tCLEAR_BUFFERS\n", "", check_buffers),
    ("svm/enter.S", r"\tcli\n", r"\tcli\n\tcall svm_cpu\n", check_nothing_else),
    ("svm/run.c", r"\t\tindirect_branch_prediction_barrier\(\);\n", "", check_another_vcpu),
    ("svm/run.c", r"\tspec_ctrl_switch\(v, false\);\n", "", check_spec_ctrl),
    ("run.c", r"\tcompat_guest_ran\(\);\n", "", check_user_space),
    ("svm/run.c", r"wrmsrl\(MSR_IA32_DEBUGCTLMSR, sc->debugctl\);", "barrier();", check_host_state),
    ("svm/run.c", r"set_debugreg\(DR6_ONES, 6\);", "barrier();", check_host_state),
    ("fpu.c", r"wrmsrl\(MSR_IA32_XSS, 0\);", "barrier();", check_host_state),
    ("fpu.c", r"wrmsrl\(MSR_IA32_XSS, x86_host.xss\);", "barrier();", check_host_state),
]


def holds(check, entry):
    try:
        check(entry)
    except AssertionError:
        return False
    return True


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_fault_is_seen(entry, tmp_path):
    """Take one mitigation after the other out of the sources."""
    mutant, unseen = Mutant(tmp_path, entry.kernel), []
    for name, pattern, replacement, check in FAULTS:
        mutant.edit(f"x86/{name}", pattern, replacement)
        if holds(check, Entry(mutant.build().kvm.parent, entry.kernel)):
            unseen.append((name, pattern))
        mutant.restore(f"x86/{name}")
    assert unseen == []
    intact = Entry(mutant.build().kvm.parent, entry.kernel)
    assert all(holds(check, intact) for check in CHECKS)
