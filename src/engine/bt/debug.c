/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -d in_asm and out_asm: a block's guest and host code, disassembled. */
#include <inttypes.h>

#include "engine/bt/translate.h"
#include "util/log.h"

static void disassemble(ZydisMachineMode mode, ZydisStackWidth stack, const uint8_t *code,
                        size_t length, uint64_t address)
{
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction info;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    char text[160];
    ZydisDecoderInit(&decoder, mode, stack);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    for (size_t at = 0; at < length;) {
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeFull(&decoder, code + at, length - at, &info, operands))) {
            log_write("  0x%016" PRIx64 "  .byte 0x%02x", address + at, code[at]);
            at++;
            continue;
        }
        ZydisFormatterFormatInstruction(&formatter, &info, operands, info.operand_count_visible,
                                        text, sizeof(text), address + at, NULL);
        log_write("  0x%016" PRIx64 "  %s", address + at, text);
        at += info.length;
    }
}

void bt_log_block(struct translator *t, const struct bt_block *block)
{
    if (log_enabled(LOG_IN_ASM)) {
        ZydisStackWidth stack = t->code64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32;
        ZydisMachineMode mode = t->code64                   ? ZYDIS_MACHINE_MODE_LONG_64
                                : block->mode & MODE_CODE32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
                                                            : ZYDIS_MACHINE_MODE_LEGACY_16;
        log_write("IN: physical 0x%" PRIx64 " mode 0x%x", block->gpa, block->mode);
        disassemble(mode, stack, t->bytes, block->guest_bytes, block->rip - block->cs_base);
    }
    if (log_enabled(LOG_OUT_ASM)) {
        log_write("OUT: %u bytes", block->code_bytes);
        disassemble(ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, block->code,
                    block->code_bytes, (uint64_t)block->code);
    }
}
