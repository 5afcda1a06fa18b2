/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where application processors begin: real mode at 0x8000, by STARTUP with vector 8; then the frame's
 * tables, a stack each, and ap_main(index). */
    .text
    .global ap_code, ap_code_end, ap_count
    .code16
ap_code:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl 0x8000 + ap_gdt - ap_code
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $ap_protected
    .align 4
ap_gdt:
    .word 64 * 8 - 1
    .long gdt
ap_code_end:
    .code32
ap_protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %cr0, %eax
    andl $~0x60000004, %eax     /* EM; CD and NW, set by INIT */
    orl $0x22, %eax
    movl %eax, %cr0
    movl %cr4, %eax
    orl $0x600, %eax
    movl %eax, %cr4
    movl $1, %ebx
    lock xaddl %ebx, ap_count
    incl %ebx                   /* 1, 2, … */
    movl %ebx, %esp
    shll $14, %esp
    addl $ap_stacks, %esp       /* 16 KiB each */
    call enter_long
    ljmp $0x18, $1f
    .code64
1:  movl %esp, %esp
    lidt ap_idt
    movl %ebx, %edi
    xorl %ebp, %ebp
    call ap_main
2:  cli
    hlt
    jmp 2b
    .data
ap_count: .long 0
ap_idt: .word 256 * 16 - 1
    .quad idt
    .bss
    .align 16
ap_stacks: .skip 16384 * 9
    .section .note.GNU-stack, "", @progbits
