/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry by the PVH note (Xen "x86/HVM direct boot ABI"): 32-bit protected mode, flat segments, no paging,
 * ebx = start info. 64-bit guests go on to long mode with the tables built here. */
#define ENTRIES 512

    .section .note.pvh, "a", @note
    .align 4
    .long 4, 8, 18          /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long guest_start, 0

    .section .text.start, "ax"
    .code32
    .global guest_start
guest_start:
    cli
    cld
    movl %ebx, start_info
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $kernel_stack_top, %esp
    /* x87 and SSE usable from the start: CR0.MP, NE; CR4.OSFXSR, OSXMMEXCPT */
    movl %cr0, %eax
    andl $~0x4, %eax
    orl $0x22, %eax
    movl %eax, %cr0
    movl %cr4, %eax
    orl $0x600, %eax
    movl %eax, %cr4
    fninit
#ifdef __x86_64__
    call enter_long
    ljmp $0x18, $start64
enter_long:                 /* also called by application processors (smp.S) */
    movl %cr4, %eax
    orl $0x20, %eax         /* PAE */
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax        /* LME, NXE */
    wrmsr
    movl %cr0, %eax
    orl $0x80010000, %eax   /* PG, WP */
    movl %eax, %cr0
    ret
    .global enter_long

    .code64
start64:
    movl $kernel_stack_top, %esp
    xorl %ebp, %ebp
#endif
    call frame_init
    call guest_main
    call finish

    .data
    .global gdt, gdt_pointer, start_info
start_info: .long 0
    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08 code32, DPL 0 */
    .quad 0x00cf93000000ffff    /* 10 data, DPL 0 */
    .quad 0x00af9b000000ffff    /* 18 code64, DPL 0 */
    .quad 0x00cffb000000ffff    /* 20 code32, DPL 3 */
    .quad 0x00cff3000000ffff    /* 28 data, DPL 3 */
    .quad 0x00affb000000ffff    /* 30 code64, DPL 3 */
    .fill 57, 8, 0
gdt_pointer:
    .word 64 * 8 - 1
    .long gdt, 0

    .bss
    .align 16
    .skip 32768
    .global kernel_stack_top, user_stack_top
kernel_stack_top:
    .skip 16384
user_stack_top:

#ifdef __x86_64__
/* Slot 0: 4 GiB supervisor; slot 1 (USER_BASE): the first GiB again, user; both in 2 MiB pages. */
    .data
    .align 4096
    .global boot_pml4
boot_pml4:
    .quad boot_pdpt + 0x3, user_pdpt + 0x7
    .fill ENTRIES - 2, 8, 0
boot_pdpt:
    .quad boot_pd + 0x3, boot_pd + 0x1003, boot_pd + 0x2003, boot_pd + 0x3003
    .fill ENTRIES - 4, 8, 0
user_pdpt:
    .quad user_pd + 0x7
    .fill ENTRIES - 1, 8, 0
boot_pd:
    .set page, 0
    .rept 4 * ENTRIES
    .quad page + 0x83
    .set page, page + 0x200000
    .endr
user_pd:
    .set page, 0
    .rept ENTRIES
    .quad page + 0x87
    .set page, page + 0x200000
    .endr
#endif
