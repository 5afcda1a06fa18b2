/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware to debug: from the reset vector through 16-, 32- and 64-bit code, then a loop that touches
 * memory in all the ways a watchpoint shall notice. One part runs in RAM, where it is copied. */
#define STACK 0x7000
#define COUNTER 0x5000      /* eight bytes each */
#define PUSHED 0x5ff8
#define FILLED 0x5100       /* 64 bytes */
#define VECTOR 0x5200       /* 16 bytes */
#define WANT_VECTOR 0x5300  /* written by the debugger: use vector registers, if this host can */
#define TABLES 0x10000      /* page tables: three pages */
#define MOVED 0x200000

    .section .reset, "ax"
    .code16
    ljmp $0xf000, $start16_offset

    .text
    .global start16, function16, function32, function64, moved, loop64, store_counter, read_counter
    .global push_it, fill_it, store_vector
start16:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $STACK, %sp
    call function16
    call function16
    lgdtl %cs:gdt_pointer_offset
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $start32
function16:
    incw COUNTER + 8
    ret

    .code32
start32:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $STACK, %esp
    movl $0x12345678, %ecx
    call function32
    movl $TABLES, %edi          /* the first GiB, in pages of 2 MiB */
    xorl %eax, %eax
    movl $3 * 1024, %ecx
    rep stosl
    movl $TABLES + 0x1003, TABLES
    movl $TABLES + 0x2003, TABLES + 0x1000
    movl $0x83, %eax
    movl $TABLES + 0x2000, %edi
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    cmpl $0x40000083, %eax
    jne 1b
    movl %cr4, %eax
    orl $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $TABLES, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax            /* LME */
    wrmsr
    movl %cr0, %eax
    andl $~0x60000004, %eax     /* caches, EM */
    orl $0x80000002, %eax       /* PG, MP */
    movl %eax, %cr0
    ljmp $0x18, $start64
function32:
    incl COUNTER + 16
    ret

    .code64
start64:
    movl $moved_image, %esi
    movl $MOVED, %edi
    movl $moved_end - moved_image, %ecx
    rep movsb
    movl $MOVED, %eax
    call *%rax
    movq $0x1122334455667788, %rbx
loop64:
    call function64
store_counter:
    incq COUNTER
read_counter:
    movq COUNTER + 32, %rax
    movl $PUSHED + 8, %ecx
    xchgq %rcx, %rsp
push_it:
    pushq %rbx
    popq %rdx
    xchgq %rcx, %rsp
    movl $FILLED, %edi
    movl $64, %ecx
    movl $0x5a, %eax
fill_it:
    rep stosb
    cmpb $0, WANT_VECTOR
    je loop64
    movq %rbx, %xmm1
store_vector:
    movdqu %xmm1, VECTOR
    jmp loop64
function64:
    leaq 1(%rbx), %rax
    ret

moved_image:
    movl $COUNTER, %eax
    incq 24(%rax)
    ret
moved_end:
    .set moved, MOVED

    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08 code32 */
    .quad 0x00cf93000000ffff    /* 10 data */
    .quad 0x00af9b000000ffff    /* 18 code64 */
gdt_pointer:
    .word 4 * 8 - 1
    .long gdt
    .set gdt_pointer_offset, gdt_pointer - 0xf0000
    .set start16_offset, start16 - 0xf0000
    .section .note.GNU-stack, "", @progbits
