/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors and stacks: what exception delivery, far transfers and task switches share.
 * Internal to src/x86. Everything may raise unless it says otherwise. */
#ifndef YADO_X86_DESCRIPTOR_H
#define YADO_X86_DESCRIPTOR_H

#include "x86/access.h"
#include "x86/exception.h"

/* System descriptor types (Intel SDM vol. 3, table 3-2) */
enum {
    DESC_TSS16 = 1,
    DESC_LDT = 2,
    DESC_TSS16_BUSY = 3,
    DESC_CALL_GATE16 = 4,
    DESC_TASK_GATE = 5,
    DESC_INT_GATE16 = 6,
    DESC_TRAP_GATE16 = 7,
    DESC_TSS32 = 9,
    DESC_TSS32_BUSY = 11,
    DESC_CALL_GATE32 = 12,
    DESC_INT_GATE32 = 14,
    DESC_TRAP_GATE32 = 15,
};
#define DESC_TYPE_BUSY 2u

/* A descriptor read from the GDT or LDT. `where` is its linear address. */
struct x86_descriptor {
    uint64_t bits, where;
};

static inline uint32_t desc_attr(uint64_t bits) /* as struct x86_segment.attr */
{
    return (bits >> 40) & 0xf0ff;
}
static inline unsigned desc_type(uint64_t bits) /* with S as bit 4 */
{
    return (bits >> 40) & 0x1f;
}
static inline unsigned desc_dpl(uint64_t bits)
{
    return (bits >> 45) & 3;
}
static inline bool desc_present(uint64_t bits)
{
    return (bits >> 47) & 1;
}
static inline uint32_t desc_base(uint64_t bits)
{
    return ((bits >> 16) & 0xffffff) | ((bits >> 32) & 0xff000000u);
}
static inline uint32_t desc_limit(uint64_t bits)
{
    uint32_t limit = (bits & 0xffff) | ((bits >> 32) & 0xf0000);

    return bits & (1ull << 55) ? (limit << 12) | 0xfff : limit;
}
static inline bool desc_is_code(uint64_t bits)
{
    return (desc_type(bits) & 0x18) == 0x18;
}
static inline bool desc_is_conforming(uint64_t bits) /* of a code segment */
{
    return desc_type(bits) & 4;
}
static inline bool desc_is_writable_data(uint64_t bits)
{
    return (desc_type(bits) & 0x1a) == 0x12;
}
static inline unsigned seg_dpl(const struct x86_segment *s)
{
    return (s->attr >> SEG_ATTR_DPL_SHIFT) & 3;
}
static inline bool selector_null(uint16_t selector)
{
    return !(selector & ~3);
}

/* Reads the descriptor a selector names. False (no fault) if it lies outside its table. */
bool x86_descriptor_read(struct x86_cpu *cpu, uint16_t selector, struct x86_descriptor *desc);

/* The same, raising `vector` with the selector (and `ext`) as error code. */
void x86_descriptor_fetch(struct x86_cpu *cpu, uint16_t selector, uint8_t vector, unsigned ext,
                          struct x86_descriptor *desc);

/* The upper half of a 16-byte system descriptor (long mode): base bits 63:32. #GP(selector) if
 * outside the table or its type field is not zero. */
uint32_t x86_descriptor_high(struct x86_cpu *cpu, uint16_t selector,
                             const struct x86_descriptor *desc);

/* Hidden part of a segment register from a code or data descriptor. Never raises. */
void x86_descriptor_to_segment(struct x86_segment *s, uint16_t selector, uint64_t bits);

/* Writes back the accessed bit of a code or data descriptor if it is clear. */
void x86_descriptor_accessed(struct x86_cpu *cpu, struct x86_descriptor *desc);

/* The null selector's hidden part. */
static inline void segment_null(struct x86_segment *s, uint16_t selector, unsigned dpl)
{
    s->selector = selector;
    s->base = 0;
    s->limit = 0;
    s->attr = SEG_ATTR_UNUSABLE | dpl << SEG_ATTR_DPL_SHIFT;
}

/* Real and virtual-8086 mode: base from the selector; V86 also resets limit and rights. */
void x86_segment_load_real(struct x86_cpu *cpu, enum x86_seg seg, uint16_t selector);

/* Is an access of `size` bytes at `offset` inside the segment and of a type it allows? Not for
 * 64-bit code. Never raises. */
bool x86_segment_allows(const struct x86_cpu *cpu, const struct x86_segment *s, uint64_t offset,
                        unsigned size, bool write);

/* The same by the rules of protected mode, whatever the mode is now. */
bool x86_segment_fits(const struct x86_segment *s, uint64_t offset, unsigned size, bool write);

/* A stack in use or about to be switched to. Pushes go through, but registers change only when the
 * caller commits `sp`. */
struct x86_stack {
    const struct x86_segment *seg; /* NULL: 64-bit, flat */
    uint64_t sp, mask;
    unsigned access; /* X86_USER or 0 */
    uint32_t error;  /* of #SS if it overflows */
};
void x86_stack_current(const struct x86_cpu *cpu, struct x86_stack *stack);
void x86_stack_push(struct x86_cpu *cpu, struct x86_stack *stack, uint64_t value, unsigned size);
uint64_t x86_stack_pop(struct x86_cpu *cpu, struct x86_stack *stack, unsigned size);

static inline uint64_t stack_mask(const struct x86_segment *ss)
{
    return ss->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu;
}
/* The value of RSP after the stack pointer moved: a 16-bit stack leaves the upper bits alone. */
static inline uint64_t stack_rsp(uint64_t rsp, const struct x86_stack *stack)
{
    return stack->mask == 0xffff ? (rsp & ~0xffffull) | (stack->sp & 0xffff)
                                 : stack->sp & stack->mask;
}

/* SS:ESP for privilege level `dpl` from a 16- or 32-bit TSS, #TS(tr) if beyond its limit. */
void x86_tss_stack(struct x86_cpu *cpu, unsigned dpl, unsigned ext, uint16_t *ss, uint32_t *esp);

/* 64-bit value at `offset` of the TSS (RSPn, ISTn); #TS(tr) beyond its limit, #SS if not
 * canonical. */
uint64_t x86_tss_rsp(struct x86_cpu *cpu, unsigned offset, unsigned ext);

/* Checks the inner stack's segment and gives its hidden part; #TS or #SS with the selector. */
void x86_inner_ss(struct x86_cpu *cpu, uint16_t selector, unsigned dpl, unsigned ext,
                  struct x86_segment *ss);

/* Loads a segment register other than CS as MOV does, all checks. */
void x86_segment_load(struct x86_cpu *cpu, enum x86_seg seg, uint16_t selector);

/* Sets CPL, also where VMX keeps it (SS.DPL). Never raises. */
static inline void x86_set_cpl(struct x86_cpu *cpu, unsigned cpl)
{
    cpu->cpl = cpl;
    cpu->seg[SEG_SS].attr =
        (cpu->seg[SEG_SS].attr & ~(3u << SEG_ATTR_DPL_SHIFT)) | cpl << SEG_ATTR_DPL_SHIFT;
}

/* Hardware task switch (task.c) to the TSS that `selector` names. `return_ip` and `flags` are what
 * the old task resumes with. Faults after the point of no return belong to the new task: cpu->rip
 * is then the new one. `ext` is the EXT bit of error codes. */
enum x86_task_switch { X86_TASK_JUMP, X86_TASK_CALL, X86_TASK_INTERRUPT, X86_TASK_IRET };
void x86_task_switch(struct x86_cpu *cpu, uint16_t selector, enum x86_task_switch how,
                     bool has_error, uint32_t error, unsigned ext, uint64_t return_ip,
                     uint32_t flags);

#endif
