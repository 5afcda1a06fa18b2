/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forms.h"

#include <stdio.h>
#include <string.h>

/* Forward jumps whose target is some instructions ahead. */
struct pending_jump {
    unsigned at, bytes, instructions;
};

struct builder {
    struct context context;
    struct sequence *sequence;
    struct pending_jump pending[8];
    unsigned pending_count;
};

static void put(struct builder *b, const void *bytes, unsigned n)
{
    memcpy(b->sequence->code + b->sequence->code_bytes, bytes, n);
    b->sequence->code_bytes += n;
}

static void land(struct builder *b, bool all)
{
    for (unsigned i = 0; i < b->pending_count;) {
        struct pending_jump *jump = &b->pending[i];
        if (!all && --jump->instructions) {
            i++;
            continue;
        }
        int32_t distance = b->sequence->code_bytes - (jump->at + jump->bytes);
        if (jump->bytes == 1 && distance > 127)
            distance = 0;
        memcpy(b->sequence->code + jump->at, &distance, jump->bytes);
        *jump = b->pending[--b->pending_count];
    }
}

static void jump_later(struct builder *b, unsigned displacement_bytes, unsigned instructions)
{
    b->pending[b->pending_count++] =
        (struct pending_jump){ b->sequence->code_bytes - displacement_bytes, displacement_bytes,
                               instructions + 1 };
}

static void put_branch(struct builder *b)
{
    unsigned ahead = 1 + below(&b->context, 3);
    uint8_t short_form[] = { 0x70 | below(&b->context, 16), 0 },
            loops[] = { 0xe0 | below(&b->context, 4), 0 };
    uint8_t long_form[] = { 0x0f, 0x80 | below(&b->context, 16), 0, 0, 0, 0 },
            jmp[] = { 0xe9, 0, 0, 0, 0 };
    switch (below(&b->context, 8)) {
    case 0:
        put(b, loops, 2); /* loopne, loope, loop, jrcxz */
        jump_later(b, 1, ahead);
        break;
    case 1:
        put(b, jmp, 5);
        jump_later(b, 4, ahead);
        break;
    case 2:
    case 3:
    case 4:
        put(b, long_form, 6);
        jump_later(b, 4, ahead);
        break;
    default:
        put(b, short_form, 2);
        jump_later(b, 1, ahead);
    }
}

/* A low register that is no pointer, for composed pieces: rax, rcx or rdx. */
static unsigned scratch(struct builder *b)
{
    unsigned reg = below(&b->context, 3);
    b->context.known &= ~(1u << reg);
    return reg;
}

static void put_call(struct builder *b)
{
    unsigned reg = scratch(b);
    uint8_t call_pop[] = { 0xe8, 0, 0, 0, 0, 0x58 | reg };
    uint8_t call_ret[] = { 0xe8, 2, 0, 0, 0, 0xeb, 4, 0xff, 0xc0 | reg, 0xc3, 0x90 };
    uint8_t call_retn[] = { 0xe8, 2, 0, 0, 0, 0xeb, 5, 0xff, 0xc8 | reg, 0xc2, 8, 0 };
    uint8_t push_ret[] = { 0x48, 0x8d, 5 | reg << 3, 2, 0, 0, 0, 0x50 | reg, 0xc3 };
    uint8_t jump_reg[] = { 0x48, 0x8d, 5 | reg << 3, 2, 0, 0, 0, 0xff, 0xe0 | reg };
    uint8_t call_reg[] = { 0x48, 0x8d, 5 | reg << 3, 4,    0,    0,
                           0,    0xff, 0xd0 | reg,   0x90, 0x90, 0x58 | reg };
    uint8_t jump_memory[] = { 0x48, 0x8d, 5 | reg << 3,    7,    0,    0,    0,
                              0x48, 0x89, 0x44 | reg << 3, 0x24, 0xf0, 0xff, 0x64,
                              0x24, 0xf0 };
    uint8_t call_memory[] = { 0x48,       0x8d, 5 | reg << 3, 6,    0,    0,    0,
                              0x50 | reg, 0xff, 0x14,         0x24, 0x90, 0x90, 0x90 };
    uint8_t skip_return[] = { 0xe8, 0, 0, 0, 0, 0x48, 0x83, 0x04, 0x24, 6, 0xc3, 0x90 };
    jump_memory[3] = 9;
    call_memory[3] = 4;
    switch (below(&b->context, 9)) {
    case 0:
        put(b, call_pop, sizeof(call_pop));
        break;
    case 1:
        put(b, call_ret, sizeof(call_ret));
        break;
    case 2:
        put(b, call_retn, sizeof(call_retn));
        break;
    case 3:
        put(b, push_ret, sizeof(push_ret));
        break;
    case 4:
        put(b, jump_reg, sizeof(jump_reg));
        break;
    case 5:
        put(b, call_reg, sizeof(call_reg));
        break;
    case 6:
        put(b, jump_memory, sizeof(jump_memory));
        break;
    case 7:
        put(b, call_memory, sizeof(call_memory));
        break;
    default:
        put(b, skip_return, sizeof(skip_return));
    }
    b->context.known &= ~(1u << 4);
}

static void put_flags(struct builder *b)
{
    uint32_t flags = fuzz_random(&b->context.random) & 0x8d5;
    uint8_t push_popf[6] = { 0x68, flags & 0xff, flags >> 8 & 0xff, 0, 0, 0x9d };
    uint8_t pushf_pop[2] = { 0x9c, 0x58 | scratch(b) };
    if (chance(&b->context, 50))
        put(b, push_popf, 6);
    else
        put(b, pushf_pop, 2);
}

/* False if the instruction would spoil a register that addresses are built on; sometimes it may. */
static bool note_writes(struct context *context, const ZydisDecodedInstruction *in,
                        const ZydisDecodedOperand *operands)
{
    uint32_t written = 0;
    for (unsigned i = 0; i < in->operand_count; i++) {
        if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER
            || !(operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        ZydisRegister reg =
            ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operands[i].reg.value);
        if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
            written |= 1u << (reg - ZYDIS_REGISTER_RAX);
    }
    uint32_t pointers = written & FUZZ_POINTERS;
    bool string = in->meta.category == ZYDIS_CATEGORY_STRINGOP;
    bool stack =
        in->meta.category == ZYDIS_CATEGORY_PUSH || in->meta.category == ZYDIS_CATEGORY_POP;
    if (pointers && !string && !(stack && pointers == 1u << 4)
        && !chance(context, pointers & 1u << 4 ? 3 : 12))
        return false;
    context->known &= ~written;
    return true;
}

static void put_one(struct builder *b)
{
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t bytes[16];
    unsigned roll = below(&b->context, 100);
    if (roll < 6 && b->pending_count < 8) {
        put_branch(b);
        return;
    }
    if (roll < 9) {
        put_call(b);
        return;
    }
    if (roll < 10) {
        put_flags(b);
        return;
    }
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        uint64_t address = FUZZ_CODE + b->sequence->code_offset + b->sequence->code_bytes;
        unsigned n =
            put_instruction(&b->context, form_pick(&b->context), address, bytes, &in, operands);
        if (n && note_writes(&b->context, &in, operands)) {
            put(b, bytes, n);
            return;
        }
    }
}

void generate_sequence(uint64_t seed, unsigned min_instructions, unsigned max_instructions,
                       struct sequence *sequence)
{
    static struct builder b;
    memset(&b, 0, sizeof(b));
    b.context.random = seed;
    b.context.known = 0xffff;
    b.sequence = sequence;
    *sequence = (struct sequence){ .seed = fuzz_random(&b.context.random) };
    fuzz_state_init(sequence->seed, &b.context.state);
    /* A quarter of the sequences run across the page boundary. */
    unsigned place = below(&b.context, 4);
    sequence->code_offset =
        place == 0 ? FUZZ_PAGE - 1 - below(&b.context, 60) : below(&b.context, 3000);
    unsigned count = min_instructions + below(&b.context, max_instructions - min_instructions + 1);
    for (unsigned i = 0; i < count && sequence->code_bytes < FUZZ_CODE_MAX - 32; i++) {
        put_one(&b);
        land(&b, false);
    }
    land(&b, true);
}

unsigned sequence_split(const struct sequence *sequence, uint16_t offset[SEQUENCE_MAX + 1])
{
    unsigned count = 0, at = 0;
    while (at < sequence->code_bytes && count < SEQUENCE_MAX) {
        ZydisDecodedInstruction in;
        offset[count++] = at;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
                &generate_decoder, NULL, sequence->code + at, sequence->code_bytes - at, &in)))
            break;
        at += in.length;
    }
    offset[count] = sequence->code_bytes;
    return count;
}

const char *sequence_mnemonic(const struct sequence *sequence)
{
    ZydisDecodedInstruction in;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&generate_decoder, NULL, sequence->code,
                                                    sequence->code_bytes, &in)))
        return "?";
    return ZydisMnemonicGetString(in.mnemonic);
}

const char *sequence_extension(const struct sequence *sequence)
{
    ZydisDecodedInstruction in;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&generate_decoder, NULL, sequence->code,
                                                    sequence->code_bytes, &in)))
        return "?";
    return ZydisISASetGetString(in.meta.isa_set);
}

void sequence_print(const struct sequence *sequence)
{
    ZydisFormatter formatter;
    uint16_t offset[SEQUENCE_MAX + 1];
    unsigned count = sequence_split(sequence, offset);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    for (unsigned i = 0; i < count; i++) {
        ZydisDecodedInstruction in;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        uint64_t address = FUZZ_CODE + sequence->code_offset + offset[i];
        unsigned n = offset[i + 1] - offset[i];
        char text[256] = "(does not decode)";
        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&generate_decoder, sequence->code + offset[i], n,
                                                &in, operands)))
            ZydisFormatterFormatInstruction(&formatter, &in, operands, in.operand_count_visible,
                                            text, sizeof(text), address, NULL);
        printf("#   %08lx  ", (unsigned long)address);
        for (unsigned j = 0; j < n; j++)
            printf("%02x", sequence->code[offset[i] + j]);
        printf("%*s %s\n", n < 12 ? 2 * (int)(12 - n) : 0, "", text);
    }
}
