/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 256 entry points of 16 bytes, the common path to trap_handler(), and the way to CPL 3. */
    .text
    .align 16
    .global trap_entries, trap_return, enter_user
trap_entries:
    .set vector, 0
    .rept 256
    .align 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    .else
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

#ifdef __x86_64__
trap_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rsp
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    movq %rsp, %rdi
    movq %rsp, %rbp
    andq $-16, %rsp
    call trap_handler
    movq %rbp, %rsp
trap_return:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rax
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    addq $16, %rsp
    iretq

/* void enter_user(const struct user_start *); comes back through trap_handler(). */
enter_user:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    movq $0x1ff, trap
    movq $1f, resume_ip
    movq %rsp, resume_sp
    movq %rsp, tss + 4      /* RSP0: below this function's frame */
    push 32(%rdi)           /* ss */
    push 8(%rdi)            /* sp */
    push 16(%rdi)           /* flags */
    push 24(%rdi)           /* cs */
    push 0(%rdi)            /* ip */
    movq 40(%rdi), %rax
    movq 48(%rdi), %rbx
    movq 56(%rdi), %rcx
    movq 64(%rdi), %rdx
    iretq
1:  pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
#else
/* The C code wants flat data segments; V86 mode and tests leave others. */
trap_common:
    pushal
    cld
    movl $0x10, %eax
    push %ds
    push %es
    movl %eax, %ds
    movl %eax, %es
    leal 8(%esp), %eax
    push %eax
    call trap_handler
    addl $4, %esp
    pop %es
    pop %ds
trap_return:
    popal
    addl $8, %esp
    iret

enter_user:
    movl 4(%esp), %eax
    push %ebx
    push %ebp
    push %esi
    push %edi
    push %ds
    push %es
    movl $0x1ff, trap
    movl $1f, resume_ip
    movl %esp, resume_sp
    movl %esp, tss + 4      /* ESP0: below this function's frame */
    push 16(%eax)
    push 4(%eax)
    push 8(%eax)
    push 12(%eax)
    push 0(%eax)
    movl 24(%eax), %ebx
    movl 28(%eax), %ecx
    movl 32(%eax), %edx
    push 20(%eax)
    movl $0x2b, %eax
    movl %eax, %ds
    movl %eax, %es
    pop %eax
    iret
1:  pop %es
    pop %ds
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    ret
#endif
    .section .note.GNU-stack, "", @progbits
