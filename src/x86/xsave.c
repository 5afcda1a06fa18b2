/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FXSAVE and XSAVE families. The host CPU itself produces and consumes the image, in its standard
 * form, in cpu->xsave_scratch; here the image is copied from or to guest memory part by part, so
 * that page faults are the guest's and layouts (32-bit, compacted) are made up for.
 * A store that faults half way is simply repeated: nothing but memory has changed by then.
 * (Intel SDM vol. 1, chapters 10.5 and 13) */
#include "x86/handlers.h"
#include "x86/model.h"

#define LEGACY_BYTES 512u
#define HEADER_OFFSET 512u
#define HEADER_BYTES 64u
#define EXTENDED_OFFSET 576u
#define XMM_OFFSET 160u
#define MXCSR_OFFSET 24u
#define MXCSR_MASK_OFFSET 28u
#define X87 1u
#define SSE 2u
#define AVX 4u
#define COMPACT (1ull << 63)
#define COMPONENTS 32u
#define FLAG_ALIGN64 2u /* CPUID 0xd, sub-leaf ECX */

static uint32_t scratch32(const struct x86_cpu *cpu, unsigned offset)
{
    return *(const uint32_t *)(cpu->xsave_scratch + offset);
}
static uint64_t *scratch64(struct x86_cpu *cpu, unsigned offset)
{
    return (uint64_t *)(cpu->xsave_scratch + offset);
}

static void host_fxsave(struct x86_cpu *cpu, bool wide)
{
    if (!cpu->fpu_in_host)
        cpu->ops->fpu_from_memory(cpu);
    if (wide)
        __asm__ volatile("fxsave64 (%0)" : : "r"(cpu->xsave_scratch) : "memory");
    else
        __asm__ volatile("fxsave (%0)" : : "r"(cpu->xsave_scratch) : "memory");
}

static void host_xsave(struct x86_cpu *cpu, uint64_t components, bool wide)
{
    uint32_t low = components, high = components >> 32;

    if (!cpu->fpu_in_host)
        cpu->ops->fpu_from_memory(cpu);
    x86_zero(cpu->xsave_scratch + HEADER_OFFSET, HEADER_BYTES);
    if (wide)
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(cpu->xsave_scratch), "a"(low), "d"(high)
                         : "memory");
    else
        __asm__ volatile("xsave (%0)" : : "r"(cpu->xsave_scratch), "a"(low), "d"(high) : "memory");
}

static void host_xrstor(struct x86_cpu *cpu, uint64_t components, bool wide)
{
    uint32_t low = components, high = components >> 32;

    if (!cpu->fpu_in_host)
        cpu->ops->fpu_from_memory(cpu);
    if (wide)
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(cpu->xsave_scratch), "a"(low), "d"(high)
                         : "memory");
    else
        __asm__ volatile("xrstor (%0)" : : "r"(cpu->xsave_scratch), "a"(low), "d"(high) : "memory");
}

/* The guest writes MXCSR bits the host has no use for: #GP. */
static void check_mxcsr(struct x86_cpu *cpu, uint32_t mxcsr)
{
    uint32_t mask;

    if (likely(!(mxcsr & ~0xffffu)))
        return;
    host_fxsave(cpu, true);
    mask = scratch32(cpu, MXCSR_MASK_OFFSET);
    if (mxcsr & ~(mask ? mask : 0xffbfu))
        x86_raise_error(cpu, VECTOR_GP, 0);
}

static uint64_t image_address(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
                              unsigned alignment, bool write)
{
    uint64_t linear = operand_linear(cpu, insn, bytes, write);

    if (linear & (alignment - 1))
        x86_raise_error(cpu, VECTOR_GP, 0);
    return linear;
}

static void check_available(struct x86_cpu *cpu, uint64_t missing)
{
    if (missing)
        x86_raise(cpu, VECTOR_UD);
    if (cpu->cr0 & CR0_TS)
        x86_raise(cpu, VECTOR_NM);
}

/* ---- FXSAVE and FXRSTOR --------------------------------------------------------------------- */

/* Outside 64-bit code only XMM0-7 take part. */
static unsigned legacy_used(const struct x86_cpu *cpu)
{
    return x86_code64(cpu) ? XMM_OFFSET + 16 * 16 : XMM_OFFSET + 8 * 16;
}

/* FXSAVE and FXRSTOR with EFER.FFXSR leave the vector registers out in ring 0. */
static unsigned fxsave_used(const struct x86_cpu *cpu)
{
    if ((cpu->efer & EFER_FFXSR) && x86_code64(cpu) && cpu->cpl == 0)
        return XMM_OFFSET;
    return legacy_used(cpu);
}

enum x86_next x86_do_fxsave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t linear;

    check_available(cpu, cpu->cr0 & CR0_EM);
    linear = image_address(cpu, insn, LEGACY_BYTES, 16, true);
    host_fxsave(cpu, insn->prefixes & X86_PREFIX_REX_W);
    x86_store_bytes(cpu, linear, cpu->xsave_scratch, fxsave_used(cpu), x86_user(cpu));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_fxrstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t linear;
    uint32_t mxcsr;

    check_available(cpu, cpu->cr0 & CR0_EM);
    linear = image_address(cpu, insn, LEGACY_BYTES, 16, false);
    mxcsr = x86_load(cpu, linear + MXCSR_OFFSET, 4, x86_user(cpu));
    check_mxcsr(cpu, mxcsr);
    host_fxsave(cpu, insn->prefixes & X86_PREFIX_REX_W);
    /* What is not loaded keeps the value just saved into the scratch image. */
    x86_load_bytes(cpu, linear, cpu->xsave_scratch, fxsave_used(cpu), x86_user(cpu));
    *(uint32_t *)(cpu->xsave_scratch + MXCSR_OFFSET) = mxcsr;
    if (!cpu->fpu_in_host)
        cpu->ops->fpu_from_memory(cpu);
    if (insn->prefixes & X86_PREFIX_REX_W)
        __asm__ volatile("fxrstor64 (%0)" : : "r"(cpu->xsave_scratch) : "memory");
    else
        __asm__ volatile("fxrstor (%0)" : : "r"(cpu->xsave_scratch) : "memory");
    return insn_done(cpu, insn);
}

/* ---- Layout --------------------------------------------------------------------------------- */

static unsigned component_offset(const struct x86_cpu *cpu, unsigned n)
{
    return cpu->model->xstate[n].offset;
}
static unsigned component_size(const struct x86_cpu *cpu, unsigned n)
{
    return cpu->model->xstate[n].size;
}

/* Upper halves of YMM and ZMM exist for eight registers only outside 64-bit code. */
static unsigned component_used(const struct x86_cpu *cpu, unsigned n)
{
    unsigned size = component_size(cpu, n);

    if (x86_code64(cpu))
        return size;
    return n == 2 || n == 6 ? size / 2 : n == 7 ? 0 : size;
}

/* Bytes of the standard form that holds `components`. */
static unsigned standard_bytes(const struct x86_cpu *cpu, uint64_t components)
{
    unsigned bytes = EXTENDED_OFFSET;

    for (unsigned n = 2; n < COMPONENTS; n++)
        if ((components >> n) & 1)
            bytes = MAX(bytes, component_offset(cpu, n) + component_size(cpu, n));
    return bytes;
}

/* Walks the compacted form: gives the place of component `n` and moves on. */
static unsigned compact_offset(const struct x86_cpu *cpu, unsigned n, unsigned *end)
{
    unsigned offset = *end;

    if (cpu->model->xstate[n].flags & FLAG_ALIGN64)
        offset = (offset + 63) & ~63u;
    *end = offset + component_size(cpu, n);
    return offset;
}

static uint64_t requested(const struct x86_cpu *cpu)
{
    return (cpu->regs[RDX] << 32 | (uint32_t)cpu->regs[RAX]) & cpu->xcr0;
}

static void check_xsave(struct x86_cpu *cpu)
{
    check_available(cpu, !(cpu->cr4 & CR4_OSXSAVE));
}

/* ---- XSAVE, XSAVEOPT, XSAVEC, XSAVES
 * ---------------------------------------------------------------- */

static void store_part(struct x86_cpu *cpu, uint64_t linear, unsigned to, unsigned from,
                       unsigned bytes)
{
    if (bytes)
        x86_store_bytes(cpu, linear + to, cpu->xsave_scratch + from, bytes, x86_user(cpu));
}

/* The legacy region: only the fields of the components asked for. */
static void store_legacy(struct x86_cpu *cpu, uint64_t linear, uint64_t components, bool mxcsr)
{
    if ((components & (X87 | SSE)) == (X87 | SSE)) {
        store_part(cpu, linear, 0, 0, legacy_used(cpu));
        return;
    }
    if (components & X87) {
        store_part(cpu, linear, 0, 0, MXCSR_OFFSET);
        store_part(cpu, linear, 32, 32, XMM_OFFSET - 32);
    }
    if (mxcsr)
        store_part(cpu, linear, MXCSR_OFFSET, MXCSR_OFFSET, 8);
    if (components & SSE)
        store_part(cpu, linear, XMM_OFFSET, XMM_OFFSET, legacy_used(cpu) - XMM_OFFSET);
}

/* `skip_initial`: as XSAVEOPT may, leave components in their initial state alone. */
static enum x86_next save_standard(struct x86_cpu *cpu, const struct x86_insn *insn,
                                   bool skip_initial)
{
    uint64_t components, linear, in_use, old, write;

    check_xsave(cpu);
    components = requested(cpu);
    linear = image_address(cpu, insn, standard_bytes(cpu, components), 64, true);
    old = x86_load(cpu, linear + HEADER_OFFSET, 8, x86_user(cpu));
    host_xsave(cpu, components, insn->prefixes & X86_PREFIX_REX_W);
    in_use = *scratch64(cpu, HEADER_OFFSET) & components;
    write = skip_initial ? in_use : components;
    store_legacy(cpu, linear, write, components & (SSE | AVX));
    for (unsigned n = 2; n < COMPONENTS; n++) {
        unsigned offset = component_offset(cpu, n);

        if ((write >> n) & 1) {
            /* The host leaves initial components unwritten. */
            if (!((in_use >> n) & 1))
                x86_zero(cpu->xsave_scratch + offset, component_size(cpu, n));
            store_part(cpu, linear, offset, offset, component_used(cpu, n));
        }
    }
    x86_store(cpu, linear + HEADER_OFFSET, (old & ~components) | in_use, 8, x86_user(cpu));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_xsave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return save_standard(cpu, insn, false);
}

enum x86_next x86_do_xsaveopt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (!x86_has(cpu, HAS_XSAVEOPT))
        x86_raise(cpu, VECTOR_UD);
    return save_standard(cpu, insn, true);
}

static enum x86_next save_compact(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t components, linear, in_use;
    unsigned end = EXTENDED_OFFSET;

    components = requested(cpu);
    for (unsigned n = 2; n < COMPONENTS; n++)
        if ((components >> n) & 1)
            compact_offset(cpu, n, &end);
    linear = image_address(cpu, insn, end, 64, true);
    host_xsave(cpu, components, insn->prefixes & X86_PREFIX_REX_W);
    in_use = *scratch64(cpu, HEADER_OFFSET) & components;
    /* SSE counts as in use if MXCSR is not initial, which the host has taken care of. */
    store_legacy(cpu, linear, in_use, in_use & SSE);
    end = EXTENDED_OFFSET;
    for (unsigned n = 2; n < COMPONENTS; n++) {
        if ((components >> n) & 1) {
            unsigned offset = compact_offset(cpu, n, &end);

            if ((in_use >> n) & 1)
                store_part(cpu, linear, offset, component_offset(cpu, n), component_used(cpu, n));
        }
    }
    x86_store(cpu, linear + HEADER_OFFSET, in_use, 8, x86_user(cpu));
    x86_store(cpu, linear + HEADER_OFFSET + 8, components | COMPACT, 8, x86_user(cpu));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_xsavec(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (!x86_has(cpu, HAS_XSAVEC))
        x86_raise(cpu, VECTOR_UD);
    check_xsave(cpu);
    return save_compact(cpu, insn);
}

static void check_supervisor(struct x86_cpu *cpu)
{
    if (!x86_has(cpu, HAS_XSAVES))
        x86_raise(cpu, VECTOR_UD);
    check_xsave(cpu);
    need_cpl0(cpu);
}

/* No supervisor state is offered (IA32_XSS is zero), so there is nothing more to save. */
enum x86_next x86_do_xsaves(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    check_supervisor(cpu);
    return save_compact(cpu, insn);
}

/* ---- XRSTOR, XRSTORS
 * --------------------------------------------------------------------------------- */

struct image {
    uint64_t linear, present, layout; /* XSTATE_BV, XCOMP_BV */
};

static void load_header(struct x86_cpu *cpu, const struct x86_insn *insn, struct image *image)
{
    uint64_t header[8], rest = 0;
    bool bad;

    image->linear = image_address(cpu, insn, EXTENDED_OFFSET, 64, false);
    x86_load_bytes(cpu, image->linear + HEADER_OFFSET, header, sizeof(header), x86_user(cpu));
    image->present = header[0];
    image->layout = header[1];
    if (image->layout & COMPACT) {
        for (unsigned n = 2; n < 8; n++)
            rest |= header[n];
        bad = rest || !x86_has(cpu, HAS_XSAVEC) || (image->layout & ~COMPACT & ~cpu->xcr0)
              || (image->present & ~image->layout);
    } else {
        bad = image->layout || header[2] || (image->present & ~cpu->xcr0);
    }
    if (bad)
        x86_raise_error(cpu, VECTOR_GP, 0);
}

static void load_part(struct x86_cpu *cpu, const struct image *image, unsigned from, unsigned to,
                      unsigned bytes)
{
    x86_load_bytes(cpu, image->linear + from, cpu->xsave_scratch + to, bytes, x86_user(cpu));
}

/* The MXCSR that XRSTOR ends with. The standard form loads it with SSE or AVX, present or not. */
static uint32_t new_mxcsr(struct x86_cpu *cpu, const struct image *image, uint64_t components)
{
    bool compact = image->layout & COMPACT;
    uint32_t mxcsr;

    if (compact ? (components & image->present & SSE) : (components & (SSE | AVX))) {
        mxcsr = x86_load(cpu, image->linear + MXCSR_OFFSET, 4, x86_user(cpu));
        check_mxcsr(cpu, mxcsr);
        return mxcsr;
    }
    if (compact && (components & SSE))
        return 0x1f80;
    host_fxsave(cpu, true);
    return scratch32(cpu, MXCSR_OFFSET);
}

static enum x86_next restore(struct x86_cpu *cpu, const struct x86_insn *insn, bool only_compact)
{
    struct image image;
    uint64_t components, present;
    unsigned end = EXTENDED_OFFSET;
    uint32_t mxcsr;

    load_header(cpu, insn, &image);
    if (only_compact && !(image.layout & COMPACT))
        x86_raise_error(cpu, VECTOR_GP, 0);
    components = requested(cpu);
    present = components & image.present;
    mxcsr = new_mxcsr(cpu, &image, components);
    if (present & X87)
        load_part(cpu, &image, 0, 0, XMM_OFFSET);
    if (present & SSE)
        load_part(cpu, &image, XMM_OFFSET, XMM_OFFSET, legacy_used(cpu) - XMM_OFFSET);
    for (unsigned n = 2; n < COMPONENTS; n++) {
        unsigned offset = component_offset(cpu, n);

        if ((image.layout & COMPACT) && ((image.layout >> n) & 1))
            offset = compact_offset(cpu, n, &end);
        if ((present >> n) & 1)
            load_part(cpu, &image, offset, component_offset(cpu, n), component_size(cpu, n));
    }
    x86_zero(cpu->xsave_scratch + HEADER_OFFSET, HEADER_BYTES);
    *scratch64(cpu, HEADER_OFFSET) = present;
    *(uint32_t *)(cpu->xsave_scratch + MXCSR_OFFSET) = mxcsr;
    host_xrstor(cpu, components, insn->prefixes & X86_PREFIX_REX_W);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_xrstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    check_xsave(cpu);
    return restore(cpu, insn, false);
}

enum x86_next x86_do_xrstors(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    check_supervisor(cpu);
    return restore(cpu, insn, true);
}
