/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory as instructions written in C see it: linear addresses, page crossings, devices,
 * segments. Every function here may raise an exception (not return) unless it says otherwise; a
 * store raises before it has changed anything. */
#ifndef YADO_X86_ACCESS_H
#define YADO_X86_ACCESS_H

#include "x86/paging.h"

/* For struct copies where libc must not be called (guest vector registers are live). */
static inline void x86_copy(void *to, const void *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
static inline void x86_zero(void *to, size_t bytes)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(0) : "memory");
}

/* Puts live guest vector registers into cpu->xsave, so that libc, GLib or device code may run. The
 * engine loads them again when needed. */
static inline void x86_quiesce(struct x86_cpu *cpu)
{
    if (cpu->fpu_in_host)
        cpu->ops->fpu_to_memory(cpu);
}

/* X86_USER if the current privilege level is 3. */
static inline unsigned x86_user(const struct x86_cpu *cpu)
{
    return cpu->cpl == 3 ? X86_USER : 0;
}

/* Loads and stores of 1 to 8 bytes at a linear address; `access` is X86_USER and X86_IMPLICIT bits
 * (and X86_EXEC to fetch). Non-canonical addresses raise #GP(0). */
uint64_t x86_load(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access);
void x86_store(struct x86_cpu *cpu, uint64_t linear, uint64_t value, unsigned size,
               unsigned access);

/* As above for any number of bytes. A store of more than two pages may have changed the first ones
 * when it raises; probe first with x86_probe(). */
void x86_load_bytes(struct x86_cpu *cpu, uint64_t linear, void *to, unsigned size, unsigned access);
void x86_store_bytes(struct x86_cpu *cpu, uint64_t linear, const void *from, unsigned size,
                     unsigned access);

/* Raises what an access of `size` bytes would raise, and does nothing else. */
void x86_probe(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access);

/* Host pointer for an access of `size` bytes that stays inside one page of plain RAM (A and D bits
 * and permissions are done), or NULL: use x86_load/x86_store. */
void *x86_host(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access);

/* Read-modify-write of 1 to 8 bytes as a LOCK prefix asks for: replaces `old` by `value` if it is
 * still there, atomically where the operand is RAM inside a page; returns what was there. */
uint64_t x86_cas(struct x86_cpu *cpu, uint64_t linear, uint64_t old, uint64_t value, unsigned size);

/* The linear address of seg:offset for an access of `size` bytes, checked against usability, type,
 * limit and canonicality: #GP(0), or #SS(0) through SS. `offset` is already truncated to the
 * address size. */
uint64_t x86_seg_check(struct x86_cpu *cpu, enum x86_seg seg, uint64_t offset, unsigned size,
                       bool write);

/* The same, then the access, with the current privilege. */
uint64_t x86_load_seg(struct x86_cpu *cpu, enum x86_seg seg, uint64_t offset, unsigned size);
void x86_store_seg(struct x86_cpu *cpu, enum x86_seg seg, uint64_t offset, uint64_t value,
                   unsigned size);

#endif
