/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two witnesses of the CPU fuzzer share: where a test case's code and data lie, which
 * state it starts with, and the state it leaves. Compiled into the driver and, freestanding, into
 * the guest.
 *
 * A case is a seed and some code. Both sides derive registers and memory from the seed, run the
 * code at CPL 3 at the same addresses until it raises an exception (int3 at its end), and hash what
 * is left. */
#ifndef YADO_FUZZ_CASE_H
#define YADO_FUZZ_CASE_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_PAGE 4096u
#define FUZZ_DATA \
    0x20000000ull /* pages 0-5; the last but one is read-only; neighbours are unmapped */
#define FUZZ_DATA_PAGES 6u
#define FUZZ_READ_ONLY_PAGE 4u
#define FUZZ_CODE 0x30000000ull /* readable and executable */
#define FUZZ_CODE_PAGES 2u
#define FUZZ_CODE_MAX 512u

#define FUZZ_X87 1u /* XCR0 bits */
#define FUZZ_SSE 2u
#define FUZZ_AVX 4u
#define FUZZ_AVX512 0xe0u
#define FUZZ_XSAVE_BYTES 4096u

/* Final state, all in 64-bit words so that it can be hashed and compared in a loop. */
struct fuzz_state {
    uint64_t
        gpr[16]; /* in the order of their numbers: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8… */
    uint64_t rip, rflags, fs_base, gs_base;
    uint64_t vector, error, cr2; /* the exception that ended it; cr2 only of #PF */
    uint64_t fcw, fsw, ftw, mxcsr;
    uint64_t st[8][2];
    uint64_t k[8];
    uint64_t zmm[32][8];
};
#define FUZZ_STATE_WORDS (sizeof(struct fuzz_state) / 8)

enum fuzz_flags {
    FUZZ_DUMP = 1, /* the guest sends the whole state and memory, not only the hash */
};

/* The guest's input: this header, then the cases, each followed by its code, padded to 8 bytes. */
struct fuzz_batch {
    uint64_t magic;
    uint32_t count, xcr0;
    uint32_t careful;       /* send each result at once, in case the next one is fatal */
    uint32_t ignored_flags; /* bits of the final RFLAGS that are not compared */
};
#define FUZZ_MAGIC 0x31657a75666f6459ull
struct fuzz_case {
    uint64_t seed;
    uint16_t code_offset; /* from FUZZ_CODE; may run on into the second page */
    uint16_t code_bytes;  /* without the int3 that follows */
    uint32_t flags;
};

/* The guest's output: this header, then per case its hash, and after it, if FUZZ_DUMP, struct
 * fuzz_state and the data pages. */
struct fuzz_reply {
    uint64_t magic;
    uint32_t xcr0; /* what its CPUID offers */
    uint32_t reserved;
};

static inline uint64_t fuzz_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull; /* Steele, Lea, Flood: "SplitMix" */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* The registers a case starts with. Those in FUZZ_POINTERS point into the data pages. */
void fuzz_state_init(uint64_t seed, struct fuzz_state *state);
#define FUZZ_POINTERS (1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 12 | 1u << 13)

void fuzz_memory_init(uint64_t seed, void *data);

/* Of the final state and the data pages, components outside `xcr0` left out. */
uint64_t fuzz_hash(const struct fuzz_state *state, const void *data);

/* Vector, x87 and mask registers between the state and an XSAVE area in standard format. Offsets of
 * the components differ between processors: CPUID leaf 0xd. */
struct fuzz_layout {
    uint32_t offset[8];
};
void fuzz_layout_init(struct fuzz_layout *layout);
void fuzz_to_xsave(const struct fuzz_state *state, const struct fuzz_layout *layout, uint32_t xcr0,
                   void *area);
void fuzz_from_xsave(struct fuzz_state *state, const struct fuzz_layout *layout, uint32_t xcr0,
                     const void *area);

/* Removes what need not agree: P of a #PF outside the case's own pages, where each side has its own
 * other mappings, CR2 of other exceptions, and the given flags. */
void fuzz_normalize(struct fuzz_state *state, uint32_t ignored_flags);

#endif
