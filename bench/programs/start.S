/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The smallest guest: tells the outside, with its very first instruction, that it runs.
 *
 * Started through the PVH note below in 32-bit protected mode (docs/misc/pvh.pandoc of Xen). A byte
 * to the debug console at port 0xe9 is the mark that the bench waits for; its value means nothing.
 * Then: ends the machine through isa-debug-exit at port 0xf4 (status 1), or, built with
 * -DSTAY, halts for ever, so that the resident memory of an idle machine can be read.
 */
        .section .note.pvh, "a", @note
        .align  4
        .long   2f - 1f                 /* length of the name */
        .long   4f - 3f                 /* length of the descriptor */
        .long   18                      /* XEN_ELFNOTE_PHYS32_ENTRY */
1:      .asciz  "Xen"
2:      .align  4
3:      .long   _start
4:

        .section .text, "ax", @progbits
        .code32
        .globl  _start
_start: outb    %al, $0xe9
#ifdef STAY
stay:   cli
        hlt
        jmp     stay
#else
        xorl    %eax, %eax
        outl    %eax, $0xf4
stay:   hlt
        jmp     stay
#endif
        .section .note.GNU-stack, "", @progbits
