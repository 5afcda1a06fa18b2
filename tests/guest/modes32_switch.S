/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The switches themselves: each routine leaves 32-bit protected mode, notes what it sees in
 * mode_result[], and comes back (SDM vol. 3, 9.9 and 10.8.5). */
    .text
    .code32
    .global run_long, low_code, low_code_end, mode_result

/* void run_long(uint32_t cr3): protected -> PAE paging -> compatibility -> 64-bit -> compatibility ->
 * protected without paging. */
run_long:
    pushal
    movl 36(%esp), %eax
    movl %cr4, %edx
    orl $0x20, %edx
    movl %edx, %cr4
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    rdmsr
    movl %eax, mode_result          /* LME without LMA */
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    rdmsr
    movl %eax, mode_result + 4      /* LME and LMA */
    movl $0xffffffff, %eax          /* compatibility mode: inc is one byte, addresses wrap at 4 GiB */
    .byte 0x40
    movl %eax, mode_result + 8
    movl $0xfffffff0, %ebx
    movl mode_probe + 16(%ebx), %eax
    movl %eax, mode_result + 12
    ljmp $0x18, $1f
    .code64
1:  movq $0x123456789abcdef0, %r15
    movq %r15, mode_result + 16(%rip)
    movl $-1, %eax                  /* zero extends */
    .byte 0x48, 0x40, 0x90          /* REX.W is overridden by the REX behind it: nop */
    movq %rax, mode_result + 24(%rip)
    leaq 2f(%rip), %rax
    movl $2f, %edx
    subq %rdx, %rax
    movq %rax, mode_result + 32(%rip)     /* RIP-relative addressing: 0 */
    /* a far call into compatibility mode and back */
    movq %rsp, %rbp
    lcall *far_compat(%rip)
    .code64
    movl %eax, mode_result + 40(%rip)
    movq %rsp, %rax
    subq %rbp, %rax
    movq %rax, mode_result + 48(%rip)     /* stack balanced: 0 */
    movq $0x8000000000000000, %r14
    pushq $0x08
    movl $3f, %edx
    pushq %rdx
    lretq
2:  .code32
compat_callee:                      /* called with 8 bytes of return address, 32-bit operand size */
    movl $0x1000, %eax
    .byte 0x40                      /* inc eax here, a REX prefix in 64-bit mode */
    movl %cs, %edx
    addl %edx, %eax
    lretl
3:  movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0                 /* leaves IA-32e mode */
    movl $0xc0000080, %ecx
    rdmsr
    movl %eax, mode_result + 56     /* LMA is gone, LME stays */
    andl $~0x100, %eax
    wrmsr
    movl %cr4, %eax
    andl $~0x20, %eax
    movl %eax, %cr4
    popal
    ret

/* Copied to 0x8000 and called there: protected 32 -> protected 16 -> real -> back. Segments used:
 * 0x50 16-bit code and 0x58 16-bit data, base 0, limit 64 KiB. */
#define LOW(label) (0x8000 + label - low_code)
low_code:
    pushal
    movl %esp, LOW(saved_sp)
    sidt LOW(saved_idt)
    ljmp $0x50, $LOW(protected16)
    .code16
protected16:
    movw $0xffff, %ax               /* 16-bit operands by default, 32-bit by prefix */
    addw $1, %ax
    sbbw %bx, %bx
    movw %bx, LOW(low_result)       /* ffff: carry out of 16 bits */
    movl $0x12345678, %eax
    movl %eax, LOW(low_result) + 4
    movw $0x58, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %gs
    movl $0x7000, %esp
    movl $0x200000, %ecx            /* fs keeps the flat 4 GiB segment: unreal mode */
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmp $0, $LOW(real)
real:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    lidtl LOW(real_idt)
    smsw %ax
    movw %ax, LOW(low_result) + 8   /* PE clear */
    movw %cs, LOW(low_result) + 10
    movw $0x1234, %ax
    movw %ax, %es
    movw %es:0, %bx
    movw %bx, LOW(low_result) + 12  /* word at 0x12340 */
    .byte 0x64, 0x66, 0x67, 0x8b, 0x01 /* mov eax, fs:[ecx] with ecx above 64 KiB */
    movl %eax, LOW(low_result) + 16
    movw $0x1000, %ax               /* in real mode a load changes the base only: the limit stays */
    movw %ax, %fs
    subl $0x10000, %ecx
    .byte 0x64, 0x66, 0x67, 0x8b, 0x01
    movl %eax, LOW(low_result) + 20
    movw $LOW(real_handler), 0x61 * 4
    movw $0, 0x61 * 4 + 2
    movw $0, %dx
    sti
    int $0x61
    pushfw
    popw %ax
    cli
    andw $0x200, %ax
    movw %ax, LOW(low_result) + 24  /* IF restored by iret: 0x200 */
    movw %dx, LOW(low_result) + 26  /* handler ran with IF clear: 0x1100 */
    movw $LOW(real_limit), 13 * 4
    movw $0, 13 * 4 + 2
    movw %sp, %bp
    movw $0, LOW(low_result) + 28
real_limit_fault:
    movw 0xffff, %ax                /* word at offset 0xffff: beyond the limit */
    jmp 1f
real_limit:
    popw %ax
    subw $LOW(real_limit_fault), %ax
    incw %ax
    movw %ax, LOW(low_result) + 28  /* 1: #GP saved the IP of the instruction, no error code */
    popw %ax
    popw %ax
1:  subw %bp, %sp
    movw %sp, LOW(low_result) + 30  /* stack balanced: 0 */
    movw %bp, %sp
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $LOW(back)
real_handler:
    pushfw
    popw %dx
    andw $0x200, %dx
    addw $0x1100, %dx
    iretw
    .code32
back:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl LOW(saved_sp), %esp
    lidt LOW(saved_idt)
    popal
    ret
    .align 4
saved_sp: .long 0
saved_idt: .word 0
    .long 0
real_idt: .word 0x3ff
    .long 0
    .align 4
    .global low_result_offset
low_result: .fill 8, 4, 0
low_code_end:
    .data
low_result_offset: .long low_result - low_code
    .align 8
mode_result: .fill 8, 8, 0
mode_probe: .long 0x600df00d
far_compat: .long compat_callee
    .word 0x08
    .section .note.GNU-stack, "", @progbits
