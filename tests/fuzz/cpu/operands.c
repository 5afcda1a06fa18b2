/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forms.h"

#include <string.h>

static void draw_parts(struct context *context, const struct form *form, struct parts *parts)
{
    unsigned wide = form->encoding == ENCODING_EVEX ? 32 : 16;
    parts->reg = below(context, wide);
    parts->rm = below(context, wide);
    parts->vvvv = form->fixed_vvvv ? 0 : below(context, wide);
    parts->mask = chance(context, 50) ? 0 : below(context, 8);
    parts->zero = parts->mask && chance(context, 40);
    if (form->reg_selects)
        parts->reg = (parts->reg & ~7u) | (form->modrm >> 3 & 7);
    if (form->rm_selects)
        parts->rm = (parts->rm & ~7u) | (form->modrm & 7);
    if (form->encoding == ENCODING_LEGACY && chance(context, 40))
        parts->reg &= 7, parts->rm &= 7; /* without REX: the high byte registers */
}

static uint64_t pick_target(struct context *context, unsigned bytes)
{
    unsigned kind = below(context, 100);
    unsigned page = below(context, 4);
    uint64_t start = FUZZ_DATA + page * FUZZ_PAGE, random = fuzz_random(&context->random);
    if (kind < 40)
        return start + (random & 0xfc0); /* aligned for everything */
    if (kind < 82)
        return start + random % (FUZZ_PAGE - bytes + 1);
    if (kind < 94)
        return start + FUZZ_PAGE - 1 - random % (bytes > 1 ? bytes : 1);
    if (kind < 96)
        return FUZZ_DATA + FUZZ_READ_ONLY_PAGE * FUZZ_PAGE + random % (FUZZ_PAGE - bytes + 1);
    if (kind < 97)
        return FUZZ_DATA + FUZZ_DATA_PAGES * FUZZ_PAGE - 1 - random % (bytes > 1 ? bytes : 1);
    if (kind < 98)
        return FUZZ_DATA - 1 - random % 64;
    if (kind < 99)
        return FUZZ_CODE + random % FUZZ_PAGE;
    return random >> 1 ^ random << 40; /* anywhere, often not canonical */
}

static void draw_memory(struct context *context, unsigned bytes, bool vsib,
                        struct memory_operand *m)
{
    memset(m, 0, sizeof(*m));
    uint64_t target = pick_target(context, bytes), base_value = 0;
    unsigned kind = below(context, 100);
    if (kind < 8) {
        m->segment = chance(context, 50) ? 0x64 : 0x65;
        base_value = m->segment == 0x64 ? context->state.fs_base : context->state.gs_base;
    }
    m->target = target;
    if (kind >= 90 && !vsib && kind < 96) {
        m->rip_relative = true;
        m->modrm_rm = 5;
        m->disp_bytes = 4;
        return; /* the displacement is known once the length is */
    }
    unsigned base = 0;
    do
        base = below(context, 16);
    while (!(FUZZ_POINTERS >> base & 1));
    if (!(context->known >> base & 1) && chance(context, 90))
        base = 4 + (context->known >> 4 & 1 ? 0 : below(context, 4));
    bool no_base = kind >= 96;
    m->base = base;
    if (!no_base)
        base_value += context->state.gpr[base];
    m->mod = chance(context, 30) && !no_base ? 1 : 2;
    m->has_sib = vsib || no_base || (base & 7) == 4 || chance(context, 30);
    if (m->has_sib) {
        unsigned scale = below(context, 4);
        m->index = vsib ? below(context, 4) ? 7 + below(context, 2) : below(context, 16) : 4;
        if (!vsib && chance(context, 70)) {
            unsigned index = below(context, 16);
            /* small known values keep the address in range */
            if (index != 4 && context->known >> index & 1 && context->state.gpr[index] < 0x10000) {
                m->index = index;
                base_value += context->state.gpr[index] << scale;
            }
        }
        m->modrm_rm = 4;
        m->sib = scale << 6 | (m->index & 7) << 3 | (no_base ? 5 : base & 7);
        if (no_base) {
            m->mod = 0;
            m->base = 0;
        }
    } else {
        m->modrm_rm = base & 7;
    }
    m->address32 = !vsib && !m->segment && chance(context, 5);
    int64_t disp = (int64_t)(target - base_value);
    if (disp != (int32_t)disp)
        disp = (int32_t)below(context, 256) - 128;
    if (m->mod == 1) {
        m->disp_bytes = 1;
        m->disp = (int8_t)disp;
    } else {
        m->disp_bytes = 4;
        m->disp = disp;
    }
}

unsigned put_prefixes(struct context *context, const struct form *form, const struct parts *parts,
                      const struct memory_operand *m, bool memory, uint8_t *out)
{
    static const uint8_t pp_bytes[] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned n = 0;
    unsigned reg = parts->reg, rm = memory ? m->base : parts->rm;
    unsigned x = memory ? m->index >> 3 & 1 : parts->rm >> 4 & 1;
    unsigned b = rm >> 3 & 1, r = reg >> 3 & 1;
    if (memory && m->segment)
        out[n++] = m->segment;
    if (memory && m->address32)
        out[n++] = 0x67;
    if (form->lock)
        out[n++] = 0xf0;
    if (form->encoding == ENCODING_LEGACY) {
        if (form->pp)
            out[n++] = pp_bytes[form->pp];
        else if (chance(context, 1))
            out[n++] = 0x3e; /* without meaning in 64-bit mode */
        unsigned rex = form->w << 3 | r << 2 | (memory ? x : 0) << 1 | b;
        if (form->reg_selects && chance(context, 90))
            rex &= ~4u;
        if (rex || chance(context, 20))
            out[n++] = 0x40 | rex;
        if (form->map >= 1)
            out[n++] = 0x0f;
        if (form->map == 2)
            out[n++] = 0x38;
        if (form->map == 3)
            out[n++] = 0x3a;
    } else if (form->encoding == ENCODING_VEX) {
        unsigned vvvv = ~parts->vvvv & 15;
        if (form->map == 1 && !form->w && !b && !(memory && x) && chance(context, 70)) {
            out[n++] = 0xc5;
            out[n++] = (r ^ 1) << 7 | vvvv << 3 | form->length << 2 | form->pp;
        } else {
            out[n++] = 0xc4;
            out[n++] = (r ^ 1) << 7 | ((memory ? x : 0) ^ 1) << 6 | (b ^ 1) << 5 | form->map;
            out[n++] = form->w << 7 | vvvv << 3 | form->length << 2 | form->pp;
        }
    } else {
        out[n++] = 0x62;
        out[n++] =
            (r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | ((reg >> 4 & 1) ^ 1) << 4 | form->map;
        out[n++] = form->w << 7 | (~parts->vvvv & 15) << 3 | 4 | form->pp;
        out[n++] = parts->zero << 7 | form->length << 5 | form->broadcast << 4
                   | ((parts->vvvv >> 4 & 1) ^ 1) << 3 | parts->mask;
    }
    out[n++] = form->opcode;
    return n;
}

unsigned put_instruction(struct context *context, const struct form *form, uint64_t address,
                         uint8_t *out, ZydisDecodedInstruction *in, ZydisDecodedOperand *operands)
{
    struct parts parts;
    struct memory_operand m = { 0 };
    uint8_t bytes[32];
    bool memory = form->has_modrm && form->modrm >> 6 != 3;
    draw_parts(context, form, &parts);
    unsigned size = 8;
    bool vsib = false;
    /* First with a plain operand, to learn the size of the memory access. */
    for (unsigned pass = 0; pass < 2; pass++) {
        if (memory) {
            if (pass == 0)
                m = (struct memory_operand){ .modrm_rm = 4,
                                             .has_sib = true,
                                             .mod = 2,
                                             .index = 7,
                                             .base = 3,
                                             .sib = 0x3b,
                                             .disp_bytes = 4 };
            else
                draw_memory(context, size, vsib, &m);
        }
        unsigned n = put_prefixes(context, form, &parts, &m, memory, bytes);
        if (form->has_modrm) {
            bytes[n++] = (memory ? m.mod : 3) << 6 | (parts.reg & 7) << 3
                         | (memory ? m.modrm_rm : parts.rm & 7);
            if (memory && m.has_sib)
                bytes[n++] = m.sib;
        }
        unsigned disp_at = n;
        memcpy(bytes + n, &m.disp, 4);
        n += memory ? m.disp_bytes : 0;
        uint64_t immediate = fuzz_random(&context->random);
        if (chance(context, 40))
            immediate &= 0x0f0f0f0f0f0f0f0full;
        memcpy(bytes + n, &immediate, 8);
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&generate_decoder, bytes, 15, in, operands)))
            return 0;
        if (memory && m.rip_relative) {
            int32_t disp = (int32_t)(m.target - (address + in->length));
            memcpy(bytes + disp_at, &disp, 4);
            ZydisDecoderDecodeFull(&generate_decoder, bytes, 15, in, operands);
        }
        for (unsigned i = 0; i < in->operand_count; i++)
            if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
                size = operands[i].size / 8 ? operands[i].size / 8 : 1;
                vsib = operands[i].mem.type == ZYDIS_MEMOP_TYPE_VSIB;
            }
        if (!memory)
            break;
    }
    if (in->mnemonic != form->mnemonic || !instruction_allowed(in, operands))
        return 0;
    /* EVEX.X has no meaning beside a general register. Zen 5 then reads RSP without the pushes and
     * pops that its stack engine still has to account for. */
    for (unsigned i = 0; i < in->operand_count; i++)
        if (parts.rm & 16 && operands[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM
            && operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER
            && ZydisRegisterGetClass(operands[i].reg.value) <= ZYDIS_REGCLASS_GPR64)
            return 0;
    memcpy(out, bytes, in->length);
    return in->length;
}
