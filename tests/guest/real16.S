/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real mode from the reset vector on, in ROM: the state after reset, 16-bit addressing, segments, the
 * interrupt table, exceptions (SDM vol. 3, chapter 21 and table 10-1). */
#define STACK 0x7000
#define DATA 0x5000     /* scratch, segment 0 */
#define COUNT 0x6000    /* cases so far */
#define FAILED 0x6002

    .code16
    .section .reset, "ax"
    ljmp $0xf000, $start

    .text
/* check "name", got in ax, want constant */
    .macro check name, want:vararg
    movw $\want, %cx
    call check_values
    .asciz "\name"
    .endm

    .macro handler vector, target
    movw $\target, %es:\vector * 4
    movw $0xf000, %es:\vector * 4 + 2
    .endm

start:
    movw %cs, %bp
    movl %cr0, %esi
    smsw %di
    pushfw                      /* ss:sp is 0:0; RAM is there */
    popw %bx
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $STACK, %sp
    movw $0, COUNT
    movw $0, FAILED
    movw %bx, %ax
    check "reset: flags", 2
    movl %esi, %eax
    andl $0x80000001, %eax
    check "reset: CR0.PE and PG clear", 0
    shrl $16, %esi
    movw %si, %ax
    check "reset: CR0 upper half is CD, NW", 0x6000
    movw %bp, %ax
    check "far jump loads cs", 0xf000

/* ---- memory and segments ---- */
    movw $0x1234, %ax
    movw %ax, DATA
    movw $0x0400, %ax
    movw %ax, %ds
    movw DATA - 0x4000, %ax
    movw $0, %dx
    movw %dx, %ds
    check "segment times 16", 0x1234
    movw $0xffff, %ax
    movw %ax, %fs
    movw $0x5aa5, %fs:0x0010    /* 0x100000: the first word above 1 MiB, if A20 is on */
    movw $0x1111, 0
    movw %fs:0x0010, %ax
    check "A20 is on: above 1 MiB", 0x5aa5
    movw $DATA, %bx
    movw $4, %si
    movw $0xbeef, DATA + 6
    movw 2(%bx,%si), %ax
    check "[bx+si+2]", 0xbeef
    movw $0xfffe, %bx
    movw $DATA + 8, %si
    movw (%bx,%si), %ax
    check "16-bit addresses wrap", 0xbeef
    movl $DATA + 6, %ecx
    movw $0, %ax
    addr32 movw (%ecx), %ax
    check "32-bit address", 0xbeef
    movl $0x12345678, DATA
    movl DATA, %eax
    shrl $16, %eax
    check "32-bit operand", 0x1234

/* ---- stack ---- */
    movl $0xaaaa7000, %esp
    pushw $0x1357
    popw %ax
    check "push, pop", 0x1357
    movl %esp, %eax
    shrl $16, %eax
    check "sp changes, the rest of esp stays", 0xaaaa
    movzwl %sp, %esp
    movw %sp, %bx
    pushaw
    popaw
    subw %sp, %bx
    movw %bx, %ax
    check "pusha, popa", 0
    movw $STACK, %bp
    enter $8, $0
    movw %sp, %ax
    leave
    check "enter", STACK - 10
    pushl $0x87654321
    popw %ax
    popw %bx
    check "pushl, low word", 0x4321
    movw $5, %ax
    pushw $0xf000
    pushw $1f
    lretw
    movw $6, %ax
1:  check "far return", 5
    lcall $0xf000, $far_callee
    check "far call", 0x77

/* ---- interrupts ---- */
    handler 0x61, int_handler
    sti
    movw $0, %ax
    int $0x61
    check "int: the handler sees IF clear", 0x9000
    pushfw
    popw %ax
    andw $0x200, %ax
    cli
    check "iret restores IF", 0x200
    handler 4, count_handler
    movw $0, %bx
    movb $0x7f, %al
    addb $1, %al
    into
    movw %bx, %ax
    check "into", 1
    handler 3, count_handler
    int3
    movw %bx, %ax
    check "int3", 2

/* ---- exceptions: the handler returns to the address in bp, with the saved ip in dx ---- */
    .macro expect_fault name, vector, instruction:vararg
    handler \vector, fault_handler
    movw $0, %dx
    movw $9f, %bp
8:  \instruction
9:  movw %dx, %ax
    subw $8b, %ax
    check "\name", 0
    .endm
    movw $0, %cx
    expect_fault "#DE: saved ip is the instruction's", 0, divb %cl
    expect_fault "#UD", 6, ud2
    expect_fault "#UD: lldt in real mode", 6, lldt %ax
    expect_fault "#GP: word at offset ffff", 13, movw 0xffff, %ax
    expect_fault "#GP: dword at offset fffd", 13, movl %eax, 0xfffd
    movw $0xffff, %di
    expect_fault "#SS: word at ss:ffff", 12, movw %ss:(%di), %ax
    movl $0x10000, %edi
    expect_fault "#GP: offset beyond 64 KiB", 13, addr32 movb (%edi), %al
    movw $DATA, %bx
    movw $5, DATA
    movw $10, DATA + 2
    movw $11, %cx
    expect_fault "#BR", 5, boundw %cx, (%bx)

/* ---- strings and loops ---- */
    movw $DATA, %di
    movw $0xabcd, %ax
    movw $8, %cx
    cld
    rep stosw
    movw DATA + 14, %ax
    check "rep stosw", 0xabcd
    movw %di, %ax
    check "rep stosw: di", DATA + 16
    movw $DATA, %si
    movw $DATA + 0x100, %di
    movw $16, %cx
    rep movsb
    movw DATA + 0x10e, %ax
    check "rep movsb", 0xabcd
    movw $DATA + 0x10f, %si
    std
    lodsb
    cld
    movw %si, DATA + 0x200
    xorb %ah, %ah
    check "lodsb backwards", 0xab
    movw DATA + 0x200, %ax
    check "lodsb backwards: si", DATA + 0x10e
    movl $0x10003, %ecx
    xorw %ax, %ax
1:  incw %ax
    loop 1b
    check "loop counts cx", 3
    movw $0xfffe, %si
    movb $0x42, 0xffff
    lodsb
    lodsb
    movw %si, DATA + 0x200
    xorb %ah, %ah
    check "si wraps: last byte", 0x42
    movw DATA + 0x200, %ax
    check "si wraps", 0

/* ---- arithmetic of the old kind ---- */
    movw $0x0053, %ax
    aam
    check "aam", 0x0803
    movw $0x0803, %ax
    aad
    check "aad", 0x0053
    movb $0xae, %al
    movb $0, %ah
    clc
    daa
    check "daa", 0x14
    movw $0x8000, %ax
    movw $3, %cx
    shrw %cl, %ax
    check "shr", 0x1000
    pushfw
    popw %ax
    orw $0xf000, %ax
    pushw %ax
    popfw
    pushfw
    popw %ax
    andw $0xf000, %ax
    check "flags: IOPL and NT stick, bit 15 does not", 0x7000
    pushw $2
    popfw

/* ---- a short visit to protected mode ---- */
    lgdtl %cs:gdt_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmp $8, $1f
1:  movw $16, %ax
    movw %ax, %gs
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmp $0xf000, $1f
1:  movl $0x200000, %ebx
    movl $0x13579bdf, %gs:(%ebx)
    movl %gs:(%ebx), %eax
    check "unreal mode", 0x9bdf
    movw $0x1000, %ax
    movw %ax, %gs
    subl $0x10000, %ebx
    movw %gs:2(%ebx), %ax
    check "unreal mode: the limit survives a load", 0x1357

    movw $1f, %si
    call print
    movw COUNT, %ax
    call print_number
    movb $10, %al
    outb %al, $0xe9
    movb $0x10, %al
    cmpw $0, FAILED
    je 2f
    incb %al
2:  outb %al, $0xf4
    hlt
1:  .asciz "1.."

far_callee:
    movw $0x77, %ax
    lretw
int_handler:
    pushfw
    popw %ax
    andw $0x200, %ax
    orw $0x9000, %ax
    iretw
count_handler:
    incw %bx
    iretw
fault_handler:
    popw %dx
    pushw %bp
    iretw

/* ax got, cx want, the name follows the call */
check_values:
    popw %si
    pushl %edx
    pushl %ebx
    pushl %edi
    pushl %ebp
    movw %ax, %bx
    incw COUNT
    cmpw %bx, %cx
    je 1f
    incw FAILED
    pushw %si
    movw $text_not, %si
    call print
    popw %si
1:  pushw %si
    movw $text_ok, %si
    call print
    movw COUNT, %ax
    call print_number
    movw $text_dash, %si
    call print
    popw %si
    call print
    cmpw %bx, %cx
    je 1f
    pushw %si
    movw $text_got, %si
    call print
    movw %bx, %ax
    call print_hex
    movw $text_want, %si
    call print
    movw %cx, %ax
    call print_hex
    popw %si
1:  movb $10, %al
    outb %al, $0xe9
    popl %ebp
    popl %edi
    popl %ebx
    popl %edx
    jmp *%si
/* prints cs:si, leaves si behind the zero */
print:
    movb %cs:(%si), %al
    incw %si
    testb %al, %al
    jz 1f
    outb %al, $0xe9
    jmp print
1:  ret
print_hex:
    pushw %cx
    movw $4, %cx
1:  rolw $4, %ax
    pushw %ax
    andb $15, %al
    cmpb $10, %al
    jb 2f
    addb $39, %al
2:  addb $48, %al
    outb %al, $0xe9
    popw %ax
    loop 1b
    popw %cx
    ret
print_number:
    pushw %dx
    pushw %bx
    xorw %dx, %dx
    movw $10, %bx
    divw %bx
    testw %ax, %ax
    jz 1f
    call print_number
1:  addb $48, %dl
    movb %dl, %al
    outb %al, $0xe9
    popw %bx
    popw %dx
    ret
text_not: .asciz "not "
text_ok: .asciz "ok "
text_dash: .asciz " - "
text_got: .asciz ": got "
text_want: .asciz " want "
    .align 8
gdt:
    .quad 0
    .quad 0x00009b0f0000ffff    /* 08: 16-bit code at 0xf0000 */
    .quad 0x00cf93000000ffff    /* 10: flat data */
gdt_pointer:
    .word 23
    .long 0xf0000 + gdt
    .section .note.GNU-stack, "", @progbits
