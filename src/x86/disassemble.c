/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/disassemble.h"

#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <string.h>

#define BYTES_PER_LINE 8

static void decoder_for(ZydisDecoder *decoder, unsigned bits)
{
    switch (bits) {
    case 64:
        ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        break;
    case 32:
        ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
        break;
    default:
        ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    }
}

/* The mnemonic padded, so that operands stand in a column. */
static void add_words(struct text *to, const char *words)
{
    size_t length = strcspn(words, " ");
    const char *operands = words + length + strspn(words + length, " ");
    char mnemonic[32];

    length = MIN(length, sizeof(mnemonic) - 1);
    memcpy(mnemonic, words, length);
    mnemonic[length] = '\0';
    text_add(to, *operands ? "%-8s %s" : "%s", mnemonic, operands);
}

unsigned x86_disassemble_words(struct text *to, unsigned bits, uint64_t address,
                               const uint8_t *code, size_t available)
{
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction info;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    char words[160];

    decoder_for(&decoder, bits);
    ZyanStatus status =
        ZydisDecoderDecodeFull(&decoder, code, MIN(available, X86_INSN_BYTES), &info, operands);
    if (status == ZYDIS_STATUS_NO_MORE_DATA && available < X86_INSN_BYTES)
        return 0;
    if (!ZYAN_SUCCESS(status)) {
        text_add(to, ".byte    0x%02x", code[0]);
        return 1;
    }
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
                              ZYDIS_PADDING_DISABLED);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_DISP_PADDING,
                              ZYDIS_PADDING_DISABLED);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
    ZydisFormatterFormatInstruction(&formatter, &info, operands, info.operand_count_visible, words,
                                    sizeof(words), address, NULL);
    add_words(to, words);
    return info.length;
}

static void add_bytes(struct text *to, uint64_t address, const uint8_t *code, unsigned length)
{
    text_add(to, "0x%08" PRIx64 ": ", address);
    for (unsigned i = 0; i < BYTES_PER_LINE; i++) {
        if (i < length)
            text_add(to, " %02x", code[i]);
        else
            text_add(to, "   ");
    }
}

unsigned x86_disassemble(struct text *to, unsigned bits, uint64_t address, const uint8_t *code,
                         size_t available)
{
    char buffer[192];
    struct text words = text_in(buffer, sizeof(buffer));
    unsigned length = x86_disassemble_words(&words, bits, address, code, available);

    if (!length)
        return 0;
    add_bytes(to, address, code, MIN(length, BYTES_PER_LINE));
    text_add(to, "  %s\n", buffer);
    if (length > BYTES_PER_LINE) {
        text_add(to, "0x%08" PRIx64 ": ", address + BYTES_PER_LINE);
        for (unsigned i = BYTES_PER_LINE; i < length; i++)
            text_add(to, " %02x", code[i]);
        text_add(to, "\n");
    }
    return length;
}
