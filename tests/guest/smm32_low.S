/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copied to 0x8000 and called there: protected 32 -> real, an SMI to itself, and back. Segments 0x50
 * and 0x58: 16-bit code and data. */
    .text
    .global smm_low, smm_low_end, smm_low_result_offset
#define LOW(label) (0x8000 + label - smm_low)
    .code32
smm_low:
    pushal
    movl %esp, LOW(saved_sp)
    ljmp $0x50, $LOW(protected16)
    .code16
protected16:
    movw $0x58, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x7000, %esp
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmp $0, $LOW(real)
real:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x1234, %ax
    movw %ax, %es
    movl $0xfee00300, %ecx          /* fs still has 4 GiB */
    fs addr32 movl $0x4200, (%ecx)
    smsw %ax
    andw $1, %ax
    movw %ax, LOW(result)
    movw %es, %ax
    movw %ax, LOW(result) + 2
    movl $0x200000, %ecx
    fs addr32 movl (%ecx), %eax
    movl %eax, LOW(result) + 4
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $LOW(back)
    .code32
back:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %ss
    movl LOW(saved_sp), %esp
    popal
    ret
    .align 4
saved_sp: .long 0
result: .fill 2, 4, 0
smm_low_end:
    .data
smm_low_result_offset: .long result - smm_low
    .section .note.GNU-stack, "", @progbits
