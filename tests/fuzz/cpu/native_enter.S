/* SPDX-License-Identifier: GPL-2.0-or-later */
    .text
    .global native_enter, native_signal
/* void native_enter(const struct fuzz_state *start, const void *xsave_area, uint64_t xcr0,
 * const uint64_t selectors[2]): runs until a signal. iretq loads everything at once and serializes, as
 * the code has just been written. */
native_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    movq %rsp, native_sp(%rip)
    rdfsbase %rax
    movq %rax, native_fs(%rip)
    movl %edx, %eax
    movq %rcx, %r8
    shrq $32, %rdx
    xrstor (%rsi)
    movq 18 * 8(%rdi), %rax
    wrfsbase %rax
    movq 19 * 8(%rdi), %rax
    wrgsbase %rax
    push 8(%r8)
    push 4 * 8(%rdi)
    push 17 * 8(%rdi)
    push (%r8)
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

/* Signal handler; leaves by returning from native_enter(). First the thread pointer: C needs it. */
native_signal:
    rdfsbase %rax
    movq %rax, native_end_fs(%rip)
    rdgsbase %rax
    movq %rax, native_end_gs(%rip)
    movq native_fs(%rip), %rax
    wrfsbase %rax
    movq %rdx, native_context(%rip)
    cld
    fninit
    movl $0x1f80, -8(%rsp)
    ldmxcsr -8(%rsp)
    vzeroupper
    movq native_sp(%rip), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .section .note.GNU-stack, "", @progbits
