/* SPDX-License-Identifier: GPL-2.0-or-later */
/* void fuzz_enter(const struct fuzz_state *start): to CPL 3 with all general registers; comes back when
 * the exception handler resumes at resume_ip. */
    .text
    .global fuzz_enter
fuzz_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    movq $1f, resume_ip
    movq %rsp, resume_sp
    movq %rsp, tss + 4
    push $0x2b              /* USER_DATA */
    push 4 * 8(%rdi)
    push 17 * 8(%rdi)
    push $0x33              /* USER_CODE64 */
    push 16 * 8(%rdi)
    movq 0 * 8(%rdi), %rax
    movq 1 * 8(%rdi), %rcx
    movq 2 * 8(%rdi), %rdx
    movq 3 * 8(%rdi), %rbx
    movq 5 * 8(%rdi), %rbp
    movq 6 * 8(%rdi), %rsi
    movq 8 * 8(%rdi), %r8
    movq 9 * 8(%rdi), %r9
    movq 10 * 8(%rdi), %r10
    movq 11 * 8(%rdi), %r11
    movq 12 * 8(%rdi), %r12
    movq 13 * 8(%rdi), %r13
    movq 14 * 8(%rdi), %r14
    movq 15 * 8(%rdi), %r15
    movq 7 * 8(%rdi), %rdi
    iretq
1:  pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .section .note.GNU-stack, "", @progbits
