/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handler, copied to SMBASE + 0x8000: entered in 16-bit code with segments of 4 GiB (SDM vol. 3,
 * 32.5.1). See smm.h for what is at 0x6000. */
#define MAIL 0x6000
#define AREA_SMBASE 0xff00
#define AREA_RBX 0xffe0
#define AREA_HALT 0xfec9
#define AREA_CR0 0xff58
#define ICR_LOW 0xfee00300

    .text
    .global smm_handler, smm_handler_end
    .code16
smm_handler:
    movl $0x5f00, %esp
    movl $0, %eax
    pushfl
    popl %edx
    addr32 movl %edx, MAIL + 20
    addr32 incl MAIL
    movw %cs, %ax
    addr32 movl %eax, MAIL + 4
    movl %cr0, %eax
    addr32 movl %eax, MAIL + 8
    movl %cr4, %eax
    addr32 movl %eax, MAIL + 12
    movl $0xc0000080, %ecx
    rdmsr
    addr32 movl %eax, MAIL + 16
    movl %dr7, %eax
    addr32 movl %eax, MAIL + 24
    movl $0x9e, %ecx
    rdmsr
    addr32 movl %eax, MAIL + 40
    addr32 movl MAIL + 32, %edx     /* the argument */
    addr32 movl MAIL + 28, %eax
    addr32 movl $0, MAIL + 28
    cmpl $1, %eax
    jne 2f
    cs addr32 movl %edx, AREA_SMBASE
2:  cmpl $2, %eax
    jne 3f
    cs addr32 movl %edx, AREA_RBX
3:  cmpl $3, %eax
    jne 4f
    addr32 movl %edx, ICR_LOW       /* to itself: waits until the mode is left */
4:  cmpl $4, %eax
    jne 5f
    cs addr32 movb $1, AREA_HALT
5:  cmpl $5, %eax
    jne 6f
    cs addr32 movl $0x80000000, AREA_CR0    /* paging without protection */
6:  rsm
smm_handler_end:
    .section .note.GNU-stack, "", @progbits
