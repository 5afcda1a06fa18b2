/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A multiboot kernel that prints its command line, its modules' command lines and contents, and the
 * upper memory, and ends the machine through isa-debug-exit. With FLAT the header says where it is
 * loaded; without, the ELF file does. */
#define MAGIC 0x1badb002
#ifdef FLAT
#define FLAGS 0x10003
#else
#define FLAGS 0x3
#endif
        .text
        .globl _start
header: .long MAGIC, FLAGS, -(MAGIC + FLAGS)
#ifdef FLAT
        .long header, header, 0, stack, _start
#endif
_start: mov $stack, %esp
        cmp $0x2badb002, %eax
        jne done
        mov 16(%ebx), %esi              /* command line */
        call line
        mov 20(%ebx), %edi              /* modules: how many, where */
        mov 24(%ebx), %ebp
module: test %edi, %edi
        jz memory
        mov 8(%ebp), %esi
        call line
        mov (%ebp), %esi
        test $0xfff, %esi
        jnz done
        call line
        add $16, %ebp
        dec %edi
        jmp module
memory: cmpl $15 * 1024, 8(%ebx)        /* KiB from 1 MiB on, of 16 MiB */
        jne done
        mov $good, %esi
        call line
done:   mov $0xf4, %dx
        mov $7, %al
        out %al, %dx
        hlt

line:   mov $0x3f8, %dx
next:   lodsb
        test %al, %al
        jz last
        out %al, %dx
        jmp next
last:   mov $'\n', %al
        out %al, %dx
        ret

good:   .asciz "memory is right"
        .bss
        .skip 256
stack:
