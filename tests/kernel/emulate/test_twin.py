# SPDX-License-Identifier: GPL-2.0-only
"""Code does the same to a device that answers as memory would as it does to memory, in L1.

The processor runs the one, the emulator the other, so nothing here knows any results. Flags that
the manual calls undefined are not looked at: a defined instruction follows.
"""

import subprocess
from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

# RBX is in the twin, 8000..8fff is memory with a pattern. Descriptors of their own:
# 8, 10 as the program's; 18 a TSS, 28 an LDT, both of 16 bytes; 38 conforming code.
GDT = """
    mov 0x3008, %rax; mov %rax, 0x8808; mov 0x3010, %rax; mov %rax, 0x8810
    movabs $0x0000890000000067, %rax; mov %rax, 0x8818; movq $0, 0x8820
    movabs $0x0000820000000067, %rax; mov %rax, 0x8828; movq $0, 0x8830
    movabs $0x00af9f000000ffff, %rax; mov %rax, 0x8838
    movw $0x3f, 0x8700; movq $0x8800, 0x8702; lgdt 0x8700
"""

SNIPPETS = {
    "arithmetic": """
        movl %ecx, (%rbx); addl %edx, (%rbx); pushf; adcw $77, (%rbx); subb %al, 3(%rbx); pushf
        sbbq %r8, (%rbx); incw 2(%rbx); decq (%rbx); negl 4(%rbx); pushf; cmpb $9, 5(%rbx); pushf
        pop %rax; pop %rcx; pop %rdx; pop %rsi""",
    "logic": """
        movq %r8, (%rbx); orl $0x600d, (%rbx); xorw %dx, 2(%rbx); andb %cl, 5(%rbx); notq (%rbx)
        lock xorl %eax, 4(%rbx); lock btsl $9, (%rbx); testw $0x8040, 1(%rbx); sete 16(%rbx)
        xor %eax, %eax""",
    "bits": """
        mov $77, %eax; btsl %eax, (%rbx); mov $-9, %rcx; btcq %rcx, 24(%rbx); btrw $3, 1(%rbx)
        bsfq (%rbx), %rdx; bsrl 8(%rbx), %esi; cmp %al, %al""",
    "shifts": """
        movq %r8, (%rbx); rolb $3, (%rbx); rorw $5, 2(%rbx); stc; rcll $1, 4(%rbx); rcrq $1, (%rbx)
        mov $11, %ecx; shlw %cl, (%rbx); sarl %cl, 4(%rbx); shldl %cl, %eax, 2(%rbx)
        shrdq $7, %rdx, (%rbx); cmp %al, %al""",
    "multiply": """
        movq %r8, (%rbx); imulw (%rbx), %cx; imull $-3, 2(%rbx), %esi; imulq $777, (%rbx), %rdi
        mulb 7(%rbx); mov %rax, %r9; imulw 1(%rbx); mov %rax, %r10; mov %rdx, %r11; mulq (%rbx)
        cmp %al, %al""",
    "divide": """
        movabs $0x2468acf013579bd, %rax; mov %rax, (%rbx); mov %r8, %rax; mov $0x17777, %edx
        divq (%rbx); movw $-321, (%rbx); idivw (%rbx); cmp %al, %al""",
    "divide by 0": "movq $0, (%rbx); divl (%rbx)",
    "exchange": """
        mov %rax, (%rbx); xchg %ah, (%rbx); xchg %cx, 2(%rbx); xchg %edx, 4(%rbx); xadd %al, (%rbx)
        lock xadd %rcx, (%rbx); pushf; lock cmpxchg %rsi, (%rbx); pushf; cmpxchg %dx, 3(%rbx)
        pushf; lock cmpxchg8b (%rbx); sete %r12b; lock cmpxchg8b (%rbx); sete %r13b; pop %r9
        pop %r10; pop %r11; cmp %al, %al""",    # QEMU's CMPXCHG8B changes other flags, too
    "widths": """
        mov %r8, (%rbx); movzbl 1(%rbx), %eax; movsbw 7(%rbx), %cx; movslq 4(%rbx), %rdx
        movswq 6(%rbx), %rsi; movnti %rdx, 8(%rbx); mov %ds, 16(%rbx); smsw 18(%rbx)
        sldt 20(%rbx); movabs %al, 0x10009030; movabs 0x10009002, %rax; cmp %cl, %cl
        cmovne (%rbx), %r8d; cmove 3(%rbx), %r9w""",
    "pages": """
        movw %ax, 0xfff(%rbx); movq 0xff9(%rbx), %r9; lock incw 0xfff(%rbx); xadd %ecx, 0xffd(%rbx)
        movups 0x8001, %xmm1; movups %xmm1, 0xff3(%rbx); movups 0xff4(%rbx), %xmm2
        movups %xmm2, 0x20(%rbx)""",
    "media": """
        movdqu 0x8010, %xmm3; movaps %xmm3, (%rbx); movapd (%rbx), %xmm9; movdqu %xmm9, 0x13(%rbx)
        movntdq %xmm9, 0x30(%rbx); movq 0x8020, %mm2; movq %mm2, 0x44(%rbx)
        movq 0x41(%rbx), %mm7; movq %mm7, 0x50(%rbx); emms""",
    "stack": """
        mov %rsp, %r15; lea 0x100(%rbx), %rsp; pushq $-3; pushw 0x8003; push %rcx; pushq $0x12345
        pushf; push %fs; pop %rax; popf; popq 0x10(%rbx); popq 8(%rsp); popw %dx; mov %rsp, %r14
        enter $0x40, $0; mov %rbp, %r13; leave; mov %rsp, %r12; mov %r15, %rsp""",
    "branches": """
        mov %rsp, %r15; lea 0x100(%rbx), %rsp; call 1f; jmp 2f; 1: inc %r9; ret $16
        2: mov %rsp, %r14; lea 3f(%rip), %rax; mov %rax, (%rbx); call *(%rbx); jmp 4f; 3: inc %r9
        ret; 4: lea 5f(%rip), %rax; mov %rax, (%rbx); jmp *(%rbx); inc %r10; 5: mov %r15, %rsp""",
    "nowhere": "movabs $0x2222222222222222, %rax; mov %rax, (%rbx); jmp *(%rbx)",
    "strings": """
        cld; mov $0x8000, %esi; mov %rbx, %rdi; mov $41, %ecx; rep movsq; lea 3(%rbx), %rsi
        lea 0x401(%rbx), %rdi; mov $77, %ecx; rep movsb; mov %rbx, %rsi; lea 1(%rbx), %rdi
        mov $99, %ecx; repne cmpsw; mov %rcx, %r9; mov %rbx, %rdi; mov $0x54, %al; mov $99, %ecx
        repne scasb; std; lea 0xffe(%rbx), %rdi; mov $300, %ecx; rep stosl; lodsw; cld""",
    "rip-relative": "movl $0x1020304, 0x10008000(%rip); movb 0x10008000(%rip), %al",
    "far jump": GDT + """
        lea 1f(%rip), %rax; mov %rax, (%rbx); movw $8, 8(%rbx); rex64 ljmp *(%rbx); inc %r9
        1: mov %cs, %ecx""",
    "conforming": GDT + """
        lea 1f(%rip), %rax; mov %eax, (%rbx); movw $0x3b, 4(%rbx); ljmp *(%rbx); inc %r9
        1: mov %cs, %ecx""",
    "far call": GDT + """
        lea 1f(%rip), %rax; mov %eax, (%rbx); movw $0x38, 4(%rbx); lcall *(%rbx); inc %r9; jmp 2f
        1: mov %cs, %ecx; lretl; 2: mov %cs, %edx""",
    "far return": GDT + """
        mov %rsp, %r15; lea 0x100(%rbx), %rsp; pushq $0x38; lea 1f(%rip), %rax; push %rax
        lretq $24; inc %r9; 1: mov %rsp, %r14; mov %r15, %rsp; mov %cs, %ecx""",
    "far to data": GDT + "movq $0x10, 4(%rbx); ljmp *(%rbx)",
    "tables": GDT + """
        mov 0x8700, %rax; mov %rax, (%rbx); mov 0x8708, %rax; mov %rax, 8(%rbx); lgdt (%rbx)
        sidt 0x20(%rbx); movw $0x18, (%rbx); ltr (%rbx); str %ecx; movw $0x28, (%rbx)
        lldt (%rbx); sldt %edx; mov 0x8818, %rsi; mov $8, %eax; lar %ax, %edi""",
    "busy task": GDT + "movw $0x18, (%rbx); ltr (%rbx); ltr (%rbx)",
    "null stack": "movw $0, (%rbx); mov (%rbx), %ss; mov %ss, %eax; mov $0x10, %ecx; mov %ecx, %ss",
}

REGISTERS = ("rax=8877665544332211 rcx=5 rdx=1020304050607080 rbx=10009000 rsi=8010 rdi=8040 "
             "rsp=8f00 rbp=8200 r8=fedcba9876543210")
MEMORY, DEVICE = 2, 1


def assemble(work: Path) -> dict[str, str]:
    """The snippets' machine code, each with a HLT behind it, in hex."""
    code = {}
    for number, (name, text) in enumerate(SNIPPETS.items()):
        base = work / f"twin{number}"
        base.with_suffix(".s").write_text(text + "\nhlt\n")
        subprocess.run(["as", "-o", base.with_suffix(".o"), base.with_suffix(".s")], check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", base.with_suffix(".o"), base],
                       check=True)
        code[name] = base.read_bytes().hex()
    return code


@pytest.fixture(scope="module")
def cases(labs) -> Path:
    """Path, on the host and in L1, of what the program reads."""
    path = labs.scratch / "twin.cases"
    path.write_text("".join(
        f"{name.replace(' ', '_')}:{twin} 64 {code} {REGISTERS} twin={twin}\n"
        for name, code in assemble(labs.scratch).items() for twin in (MEMORY, DEVICE)))
    return path


def test_device_as_memory(l1_tree, labs, cases):
    program = programs.build(labs.scratch / "exits", Path(__file__).parent / "l1" / "exits.c")
    out = l1_tree.check(f"timeout 150 {program} < {cases}", timeout=200)
    traces = {MEMORY: {}, DEVICE: {}}
    for line in out.splitlines():
        case, trace = line.split(": | ", 1)
        name, twin = case.split(":")
        seen, exits = trace.split(" | twin ")
        assert seen.startswith("hlt") and (int(exits) > 0) == (int(twin) == DEVICE), line
        traces[int(twin)][name] = seen
    assert len(traces[DEVICE]) == len(SNIPPETS)
    assert traces[DEVICE] == traces[MEMORY]
