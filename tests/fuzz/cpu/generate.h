/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random instruction sequences, reproducible from a seed.
 *
 * The table of instruction forms is found by enumeration: each opcode of each map, with each
 * prefix, is decoded, and what user code may execute and compare is kept, sorted by mnemonic, so
 * that a rare mnemonic is picked as often as `mov`. The native run then removes what this processor
 * lacks. */
#ifndef YADO_FUZZ_GENERATE_H
#define YADO_FUZZ_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "case.h"

#define SEQUENCE_MAX FUZZ_CODE_MAX /* instructions; nops of one byte, at worst */

struct sequence {
    uint64_t seed; /* of registers and memory */
    uint16_t code_offset, code_bytes;
    uint8_t code[FUZZ_CODE_MAX];
};

/* Which instruction families take part. */
enum family {
    FAMILY_GENERAL,
    FAMILY_X87,
    FAMILY_SSE,
    FAMILY_VEX,
    FAMILY_EVEX,
    FAMILY_COUNT,
};

void generate_init(void); /* builds the table */
unsigned generate_form_count(void);
/* The n-th form as a sequence of one instruction, for probing. */
bool generate_sample(unsigned form, struct sequence *sequence);
void generate_disable(unsigned form);
void generate_disable_family(enum family family);

void generate_sequence(uint64_t seed, unsigned min_instructions, unsigned max_instructions,
                       struct sequence *sequence);

/* Offsets of the instructions in the code; returns how many. */
unsigned sequence_split(const struct sequence *sequence, uint16_t offset[SEQUENCE_MAX + 1]);
/* Of its first instruction. */
const char *sequence_mnemonic(const struct sequence *sequence);
const char *sequence_extension(const struct sequence *sequence);
void sequence_print(const struct sequence *sequence);

#endif
