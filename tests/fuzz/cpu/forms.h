/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the generator: instruction forms (forms.c), how one is written with drawn operands
 * (operands.c); sequence.c strings them together. */
#ifndef YADO_FUZZ_FORMS_H
#define YADO_FUZZ_FORMS_H

#include <Zydis/Zydis.h>

#include "generate.h"

/* One way to write an instruction; what is not fixed here is drawn anew each time. */
struct form {
    uint16_t mnemonic;
    uint8_t family;
    uint8_t encoding; /* enum encoding */
    uint8_t map, pp, w, length, broadcast;
    uint8_t opcode, modrm; /* mod and reg as enumerated; rm too if mod is 3 and rm selects */
    bool has_modrm, fixed_vvvv, lock, reg_selects, rm_selects, disabled;
};
enum encoding { ENCODING_LEGACY, ENCODING_VEX, ENCODING_EVEX };

/* What the sequence so far is known to hold in registers. */
struct context {
    uint64_t random;
    struct fuzz_state state;
    uint32_t known; /* registers that still have their first value */
};

static inline unsigned below(struct context *context, unsigned n)
{
    return (fuzz_random(&context->random) >> 16) % n;
}
static inline bool chance(struct context *context, unsigned percent)
{
    return below(context, 100) < percent;
}

/* The encoded instruction before its operands are known: prefixes apart, as fields. */
struct parts {
    unsigned reg, rm, index, vvvv; /* 0-31 */
    unsigned mask, zero;
};

struct memory_operand {
    uint8_t modrm_rm, mod, sib;
    bool has_sib, address32, rip_relative;
    unsigned base, index; /* register numbers whose high bits go to the prefix */
    uint8_t disp_bytes;
    int32_t disp;
    uint8_t segment; /* prefix byte or 0 */
    uint64_t target;
};

/* For 64-bit mode; ready once generate_init() has run. */
extern ZydisDecoder generate_decoder;

/* May user code execute this, and is its result comparable? */
bool instruction_allowed(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *operands);

/* A form of a random family and mnemonic that is not disabled. */
const struct form *form_pick(struct context *context);

/* Everything before ModRM; returns how many bytes. */
unsigned put_prefixes(struct context *context, const struct form *form, const struct parts *parts,
                      const struct memory_operand *m, bool memory, uint8_t *out);
/* Writes the form with drawn operands; returns its length, 0 if the drawn fields do not decode. */
unsigned put_instruction(struct context *context, const struct form *form, uint64_t address,
                         uint8_t *out, ZydisDecodedInstruction *in, ZydisDecodedOperand *operands);

#endif
