/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "case.h"

enum { RCX = 1, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7 };

static uint64_t interesting(uint64_t *random)
{
    static const uint64_t values[] = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xffffffffffffffff,
        0x100000000,
    };
    uint64_t r = fuzz_random(random);
    switch (r & 7) {
    case 0:
    case 1:
        return values[r >> 8 & 15];
    case 2:
        return r >> 8 & 63;
    case 3:
        return (uint64_t)(int64_t)(int16_t)(r >> 8);
    case 4:
        return fuzz_random(random) & 0xffffffff;
    default:
        return fuzz_random(random);
    }
}

static uint64_t pointer(uint64_t *random)
{
    uint64_t r = fuzz_random(random);
    uint64_t offset = FUZZ_PAGE + r % (2 * FUZZ_PAGE);
    return FUZZ_DATA + (r >> 32 & 1 ? offset : offset & ~63ull);
}

/* Lanes that make sense to more than one kind of instruction: bits, numbers, small indices. */
static uint64_t lane(uint64_t *random, unsigned kind)
{
    uint64_t r = fuzz_random(random);
    switch (kind) {
    case 0: /* floats around 1 */
        return (r & 0x80ffffff80ffffffull) + 0x3f0000003f000000ull;
    case 1: /* doubles around 1 */
        return (r & 0x803fffffffffffffull) + 0x3fd0000000000000ull;
    case 2: /* small dwords */
        return r & 0x000001ff000001ffull;
    case 3: /* small qwords */
        return r & 0x1ff;
    case 4: /* special numbers */
        return (r & 1   ? 0x7f800000ull
                : r & 2 ? 0x80000000ull
                        : 0x7fc00001ull)
               | (r & 4   ? 0x7ff0000000000000ull
                  : r & 8 ? 0x0000000100000000ull
                          : 0x8000000000000000ull);
    default:
        return r;
    }
}

void fuzz_state_init(uint64_t seed, struct fuzz_state *state)
{
    uint64_t random = seed;
    uint64_t *words = (uint64_t *)state;
    for (size_t i = 0; i < FUZZ_STATE_WORDS; i++)
        words[i] = 0;
    for (unsigned i = 0; i < 16; i++)
        state->gpr[i] = FUZZ_POINTERS >> i & 1 ? pointer(&random) : interesting(&random);
    uint64_t r = fuzz_random(&random);
    state->gpr[RSP] = FUZZ_DATA + 2 * FUZZ_PAGE + 0x800 + (r & 0x3f8);
    if (r >> 16 & 3)
        state->gpr[RCX] = r >> 24 & 63;
    state->rflags = (r >> 32 & 0x8d5) | 0x202 | ((r >> 50 & 7) ? 0 : 0x400);
    r = fuzz_random(&random);
    state->fs_base = FUZZ_DATA + (r & 0x1ff8);
    state->gs_base = FUZZ_DATA + (r >> 16 & 0x1fff);
    r = fuzz_random(&random);
    state->fcw = 0x37f;
    if (!(r & 3))
        state->fcw = 0x7f | (r >> 8 & 0xf00);
    if (!(r >> 2 & 31))
        state->fcw &= ~(r >> 16 & 0x3f);
    state->fsw = r >> 24 & 0x7f00 & ~0x80ull;
    state->ftw = r >> 40 & 0xff;
    r = fuzz_random(&random);
    state->mxcsr = 0x1f80;
    if (!(r & 3))
        state->mxcsr |= r >> 8 & 0xe040;
    if (!(r >> 2 & 31))
        state->mxcsr &= ~(r >> 32 & 0x1f80);
    for (unsigned i = 0; i < 8; i++) {
        r = fuzz_random(&random);
        state->st[i][0] = fuzz_random(&random) | 1ull << 63;
        state->st[i][1] = r & 7 ? 0x3ff0 + (r >> 8 & 31) + (r >> 16 & 0x8000) : r >> 16 & 0xffff;
        if (!(r >> 3 & 15))
            state->st[i][0] = r >> 40;
        state->k[i] = fuzz_random(&random) & (r & 64 ? ~0ull : 0xffff);
    }
    for (unsigned i = 0; i < 32; i++) {
        unsigned kind = i == 7 ? 2 : i == 8 ? 3 : fuzz_random(&random) & 7;
        for (unsigned j = 0; j < 8; j++)
            state->zmm[i][j] = lane(&random, kind);
    }
}

void fuzz_memory_init(uint64_t seed, void *data)
{
    uint64_t *words = data, random = ~seed;
    for (size_t i = 0; i < FUZZ_DATA_PAGES * FUZZ_PAGE / 8; i += 8) {
        /* eight words from one random one: this runs for each case on both sides */
        uint64_t r = fuzz_random(&random);
        words[i] = r;
        words[i + 1] = r * 0x9e3779b97f4a7c15ull;
        words[i + 2] = (r & 0x80ffffff80ffffffull) + 0x3f0000003f000000ull;
        words[i + 3] = (r & 0x803fffffffffffffull) + 0x3fd0000000000000ull;
        words[i + 4] = r & 0xff000000ffull;
        words[i + 5] = ~r;
        words[i + 6] = r >> 7 ^ r << 13;
        words[i + 7] = 0;
    }
}

uint64_t fuzz_hash(const struct fuzz_state *state, const void *data)
{
    const uint64_t *words = (const uint64_t *)state;
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < FUZZ_STATE_WORDS; i++)
        hash = (hash ^ words[i]) * 0x100000001b3ull ^ hash >> 29;
    words = data;
    for (size_t i = 0; i < FUZZ_DATA_PAGES * FUZZ_PAGE / 8; i++)
        hash = (hash ^ words[i]) * 0x100000001b3ull ^ hash >> 29;
    return hash;
}

void fuzz_layout_init(struct fuzz_layout *layout)
{
    for (uint32_t i = 2; i < 8; i++) {
        uint32_t a = 0xd, b, c = i, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        layout->offset[i] = a ? b : 0;
    }
}

static void copy(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

static void copy_words(uint64_t *to, const uint64_t *from, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ((volatile uint64_t *)to)[i] = from[i];
}

/* SDM vol. 1, 13.4: legacy region, header at 512, then the extended components. */
void fuzz_to_xsave(const struct fuzz_state *state, const struct fuzz_layout *layout, uint32_t xcr0,
                   void *area)
{
    uint8_t *bytes = area;
    for (unsigned i = 0; i < FUZZ_XSAVE_BYTES / 8; i++)
        ((volatile uint64_t *)area)[i] = 0;
    copy(bytes, &state->fcw, 2);
    copy(bytes + 2, &state->fsw, 2);
    copy(bytes + 4, &state->ftw, 1);
    copy(bytes + 24, &state->mxcsr, 4);
    uint64_t present = xcr0;
    copy(bytes + 512, &present, 8);
    for (unsigned i = 0; i < 8; i++)
        copy(bytes + 32 + 16 * i, state->st[i], 10);
    for (unsigned i = 0; i < 16; i++) {
        copy_words((void *)(bytes + 160 + 16 * i), state->zmm[i], 2);
        if (xcr0 & FUZZ_AVX)
            copy_words((void *)(bytes + layout->offset[2] + 16 * i), state->zmm[i] + 2, 2);
        if ((xcr0 & FUZZ_AVX512) == FUZZ_AVX512) {
            copy_words((void *)(bytes + layout->offset[6] + 32 * i), state->zmm[i] + 4, 4);
            copy_words((void *)(bytes + layout->offset[7] + 64 * i), state->zmm[16 + i], 8);
        }
    }
    if ((xcr0 & FUZZ_AVX512) == FUZZ_AVX512)
        copy_words((void *)(bytes + layout->offset[5]), state->k, 8);
}

void fuzz_from_xsave(struct fuzz_state *state, const struct fuzz_layout *layout, uint32_t xcr0,
                     const void *area)
{
    const uint8_t *bytes = area;
    uint64_t present;
    copy(&present, bytes + 512, 8);
    present &= xcr0;
    state->fcw = 0x37f;
    state->fsw = state->ftw = state->mxcsr = 0;
    copy(&state->mxcsr, bytes + 24, 4);
    for (unsigned i = 0; i < 8; i++)
        state->st[i][0] = state->st[i][1] = state->k[i] = 0;
    for (unsigned i = 0; i < 32 * 8; i++)
        state->zmm[i / 8][i % 8] = 0;
    if (present & FUZZ_X87) {
        copy(&state->fcw, bytes, 2);
        copy(&state->fsw, bytes + 2, 2);
        copy(&state->ftw, bytes + 4, 1);
        for (unsigned i = 0; i < 8; i++)
            copy(state->st[i], bytes + 32 + 16 * i, 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        if (present & FUZZ_SSE)
            copy_words(state->zmm[i], (const void *)(bytes + 160 + 16 * i), 2);
        if (present & FUZZ_AVX)
            copy_words(state->zmm[i] + 2, (const void *)(bytes + layout->offset[2] + 16 * i), 2);
        if (present & 0x40)
            copy_words(state->zmm[i] + 4, (const void *)(bytes + layout->offset[6] + 32 * i), 4);
        if (present & 0x80)
            copy_words(state->zmm[16 + i], (const void *)(bytes + layout->offset[7] + 64 * i), 8);
    }
    if (present & 0x20)
        copy_words(state->k, (const void *)(bytes + layout->offset[5]), 8);
}

void fuzz_normalize(struct fuzz_state *state, uint32_t ignored_flags)
{
    state->rflags &= ~(uint64_t)ignored_flags;
    if (state->vector != 14) {
        state->cr2 = 0;
        return;
    }
    uint64_t page = state->cr2 / FUZZ_PAGE;
    if (page < FUZZ_DATA / FUZZ_PAGE - 1
        || (page > FUZZ_DATA / FUZZ_PAGE + FUZZ_DATA_PAGES && page < FUZZ_CODE / FUZZ_PAGE - 1)
        || page > FUZZ_CODE / FUZZ_PAGE + FUZZ_CODE_PAGES)
        state->error |= 1;
}
