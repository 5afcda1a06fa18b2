/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -d in_asm, out_asm, bt_asm: a block's guest and host code, disassembled. -d exec, cpu: blocks as
 * they are entered. */
#include <inttypes.h>

#include "engine/bt/translate.h"
#include "x86/disassemble.h"
#include "x86/log.h"

#define LINE_BYTES 512
#define GUEST_COLUMNS 58 /* of bt_asm */

static unsigned block_bits(const struct bt_block *block)
{
    return block->mode & MODE_CODE64 ? 64 : block->mode & MODE_CODE32 ? 32 : 16;
}

static uint64_t host_address(const struct bt_block *block, uint32_t offset)
{
    return (uint64_t)(uintptr_t)block->code + offset;
}

static void add_guest(GString *to, const struct bt_block *block, const uint8_t *bytes)
{
    char buffer[LINE_BYTES];

    g_string_append_printf(
        to, "----------------\nIN: physical 0x%08" PRIx64 ", %u-bit, CPL %u, mode 0x%x\n",
        block->gpa, block_bits(block), (block->mode & MODE_CPL) >> MODE_CPL_SHIFT, block->mode);
    for (unsigned at = 0, length; at < block->guest_bytes; at += length) {
        struct text text = text_in(buffer, sizeof(buffer));
        length = x86_disassemble(&text, block_bits(block), block->rip + at, bytes + at,
                                 block->guest_bytes - at);
        if (!length)
            break;
        g_string_append(to, buffer);
    }
    g_string_append_c(to, '\n');
}

/* Calls `line` for each host instruction; `guest` is the offset of the guest instruction it belongs
 * to, and `first` says that the one before belonged to another. */
static void visit_host(const struct bt_block *block,
                       unsigned (*line)(GString *to, const struct bt_block *block, uint32_t at,
                                        unsigned guest, bool first, const uint8_t *bytes),
                       GString *to, const uint8_t *bytes)
{
    unsigned last = ~0u, length;

    for (uint32_t at = 0; at < block->code_bytes; at += length) {
        unsigned guest = bt_block_map(block, block->code + at).guest;
        length = line(to, block, at, guest, guest != last, bytes);
        last = guest;
        if (!length)
            break;
    }
}

static unsigned host_line(GString *to, const struct bt_block *block, uint32_t at, unsigned guest,
                          bool first, const uint8_t *bytes)
{
    char buffer[LINE_BYTES];
    struct text text = text_in(buffer, sizeof(buffer));

    if (first)
        text_add(&text, "  -- guest addr 0x%016" PRIx64 "\n", block->rip + guest);
    unsigned length = x86_disassemble(&text, 64, host_address(block, at), block->code + at,
                                      block->code_bytes - at);
    g_string_append(to, buffer);
    return length;
}

static void add_host(GString *to, const struct bt_block *block)
{
    g_string_append_printf(to, "OUT: [size=%u]\n", block->code_bytes);
    visit_host(block, host_line, to, NULL);
    g_string_append_c(to, '\n');
}

/* The guest instruction to the left of the first host instruction made from it. */
static unsigned pair_line(GString *to, const struct bt_block *block, uint32_t at, unsigned guest,
                          bool first, const uint8_t *bytes)
{
    char buffer[LINE_BYTES];
    struct text text = text_in(buffer, sizeof(buffer));

    if (first) {
        text_add(&text, "0x%08" PRIx64 ":  ", block->rip + guest);
        x86_disassemble_words(&text, block_bits(block), block->rip + guest, bytes + guest,
                              block->guest_bytes - guest);
    }
    text_column(&text, GUEST_COLUMNS);
    text_add(&text, "| %5u  ", at);
    unsigned length = x86_disassemble_words(&text, 64, host_address(block, at), block->code + at,
                                            block->code_bytes - at);
    text_add(&text, "\n");
    g_string_append(to, buffer);
    return length;
}

static void add_pairs(GString *to, const struct bt_block *block, const uint8_t *bytes)
{
    g_string_append_printf(to, "BLOCK: guest 0x%08" PRIx64 ", host %p\n", block->rip, block->code);
    visit_host(block, pair_line, to, bytes);
    g_string_append_c(to, '\n');
}

void bt_log_block(struct translator *t, const struct bt_block *block)
{
    g_autoptr(GString) to = g_string_new(NULL);

    if (log_enabled(LOG_IN_ASM))
        add_guest(to, block, t->bytes);
    if (log_enabled(LOG_OUT_ASM))
        add_host(to, block);
    if (log_enabled(LOG_BT_ASM))
        add_pairs(to, block, t->bytes);
    log_write("%s", to->str);
}

void bt_log_entry(struct bt_vcpu *v, const struct bt_block *block)
{
    struct x86_cpu *cpu = &v->cpu;
    char buffer[LINE_BYTES];
    struct text text = text_in(buffer, sizeof(buffer));

    if (!log_in_range(block->rip))
        return;
    if (log_enabled(LOG_EXEC))
        text_add(&text, "Trace %u: %p [%016" PRIx64 "/%016" PRIx64 "/%08x/%08x]\n", cpu->index,
                 block->code, block->cs_base, block->rip, block->mode, block->guest_bytes);
    if (log_enabled(LOG_CPU))
        x86_log_state(cpu, buffer);
    else
        log_write("%s", buffer);
}
