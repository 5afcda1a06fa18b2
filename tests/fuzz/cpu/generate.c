/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "generate.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One way to write an instruction; what is not fixed here is drawn anew each time. */
struct form {
    uint16_t mnemonic;
    uint8_t family;
    uint8_t encoding;   /* enum encoding */
    uint8_t map, pp, w, length, broadcast;
    uint8_t opcode, modrm; /* mod and reg as enumerated; rm too if mod is 3 and rm selects */
    bool has_modrm, fixed_vvvv, lock, reg_selects, rm_selects, disabled;
};
enum encoding { ENCODING_LEGACY, ENCODING_VEX, ENCODING_EVEX };

static struct form *forms;
static unsigned form_count, form_space;

/* Forms grouped: family -> mnemonics -> forms. */
struct group {
    unsigned count, space;
    unsigned *members;
};
static struct group family_mnemonics[FAMILY_COUNT]; /* mnemonics with an enabled form */
static struct group by_mnemonic[FAMILY_COUNT][ZYDIS_MNEMONIC_MAX_VALUE + 1];
static bool family_disabled[FAMILY_COUNT];
static bool groups_stale = true;

static ZydisDecoder decoder;

static void group_add(struct group *group, unsigned member)
{
    if (group->count == group->space) {
        group->space = group->space ? group->space * 2 : 8;
        group->members = realloc(group->members, group->space * sizeof(unsigned));
    }
    group->members[group->count++] = member;
}

/* ---- Which instructions take part ---- */

static bool category_allowed(ZydisInstructionCategory category)
{
    switch (category) {
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_VTX:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
    case ZYDIS_CATEGORY_RDRAND:
    case ZYDIS_CATEGORY_RDSEED:
    case ZYDIS_CATEGORY_SGX:
    case ZYDIS_CATEGORY_PCONFIG:
    case ZYDIS_CATEGORY_CET:
    case ZYDIS_CATEGORY_MPX:
    case ZYDIS_CATEGORY_UINTR:
    case ZYDIS_CATEGORY_WAITPKG:
    case ZYDIS_CATEGORY_KEYLOCKER:
    case ZYDIS_CATEGORY_PKU:
    case ZYDIS_CATEGORY_RDPID:
    case ZYDIS_CATEGORY_AMX_TILE:
    case ZYDIS_CATEGORY_ENQCMD:
    /* branches are written by the sequence generator, which knows where to */
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
        return false;
    default:
        return true;
    }
}

static bool mnemonic_allowed(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    /* the answer depends on time, place or the kernel */
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_RDPRU:
    case ZYDIS_MNEMONIC_XGETBV:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_SMSW:
    case ZYDIS_MNEMONIC_SGDT:
    case ZYDIS_MNEMONIC_SIDT:
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_XABORT:
    case ZYDIS_MNEMONIC_XEND:
    case ZYDIS_MNEMONIC_XTEST:
    case ZYDIS_MNEMONIC_VMCALL:
    case ZYDIS_MNEMONIC_VMMCALL:
    case ZYDIS_MNEMONIC_VMFUNC:
    case ZYDIS_MNEMONIC_SKINIT:
    case ZYDIS_MNEMONIC_GETSEC:
    case ZYDIS_MNEMONIC_MONITOR:
    case ZYDIS_MNEMONIC_MONITORX:
    case ZYDIS_MNEMONIC_MWAIT:
    case ZYDIS_MNEMONIC_MWAITX:
    case ZYDIS_MNEMONIC_INCSSPD:
    case ZYDIS_MNEMONIC_INCSSPQ:
    /* flags that lead out of what is compared: TF, NT, AC */
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    /* store the address of the last x87 instruction, or load a whole state */
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FLDENV:
    /* segment registers */
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    /* always an exception: tested by hand in tests/guest */
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT3:
        return false;
    default:
        return true;
    }
}

static bool instruction_allowed(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *operands)
{
    if (in->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED || !category_allowed(in->meta.category) ||
        !mnemonic_allowed(in->mnemonic))
        return false;
    switch (in->meta.isa_ext) {
    case ZYDIS_ISA_EXT_XOP:
    case ZYDIS_ISA_EXT_TBM:
    case ZYDIS_ISA_EXT_AMD3DNOW:
    case ZYDIS_ISA_EXT_KNC:
    case ZYDIS_ISA_EXT_VMFUNC:
    case ZYDIS_ISA_EXT_SVM:
    case ZYDIS_ISA_EXT_SNP:
    case ZYDIS_ISA_EXT_PADLOCK:
        return false;
    default:
        break;
    }
    for (unsigned i = 0; i < in->operand_count; i++)
        if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_SEGMENT &&
            (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ||
             operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT))
            return false;
    return true;
}

static enum family instruction_family(const ZydisDecodedInstruction *in)
{
    if (in->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
        return FAMILY_EVEX;
    switch (in->meta.isa_ext) {
    case ZYDIS_ISA_EXT_BASE:
    case ZYDIS_ISA_EXT_BMI1:
    case ZYDIS_ISA_EXT_BMI2:
    case ZYDIS_ISA_EXT_ADOX_ADCX:
    case ZYDIS_ISA_EXT_LZCNT:
    case ZYDIS_ISA_EXT_MOVBE:
    case ZYDIS_ISA_EXT_LONGMODE:
    case ZYDIS_ISA_EXT_RDWRFSGS:
        return FAMILY_GENERAL;
    case ZYDIS_ISA_EXT_X87:
        return FAMILY_X87;
    default:
        return in->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? FAMILY_VEX : FAMILY_SSE;
    }
}

/* ---- Writing one instruction ---- */

/* What the sequence so far is known to hold in registers. */
struct context {
    uint64_t random;
    struct fuzz_state state;
    uint32_t known; /* registers that still have their first value */
};

static unsigned below(struct context *context, unsigned n)
{
    return (fuzz_random(&context->random) >> 16) % n;
}
static bool chance(struct context *context, unsigned percent)
{
    return below(context, 100) < percent;
}

/* The encoded instruction before its operands are known: prefixes apart, as fields. */
struct parts {
    unsigned reg, rm, index, vvvv; /* 0-31 */
    unsigned mask, zero;
};

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

struct memory_operand {
    uint8_t modrm_rm, mod, sib;
    bool has_sib, address32, rip_relative;
    unsigned base, index; /* register numbers whose high bits go to the prefix */
    uint8_t disp_bytes;
    int32_t disp;
    uint8_t segment; /* prefix byte or 0 */
    uint64_t target;
};

static void draw_memory(struct context *context, unsigned bytes, bool vsib, struct memory_operand *m)
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

static unsigned put_prefixes(struct context *context, const struct form *form, const struct parts *parts,
                             const struct memory_operand *m, bool memory, uint8_t *out)
{
    static const uint8_t pp_bytes[] = {0, 0x66, 0xf3, 0xf2};
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
        out[n++] = (r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | ((reg >> 4 & 1) ^ 1) << 4 | form->map;
        out[n++] = form->w << 7 | (~parts->vvvv & 15) << 3 | 4 | form->pp;
        out[n++] = parts->zero << 7 | form->length << 5 | form->broadcast << 4 |
                   ((parts->vvvv >> 4 & 1) ^ 1) << 3 | parts->mask;
    }
    out[n++] = form->opcode;
    return n;
}

/* Writes the form with drawn operands; returns its length, 0 if the drawn fields do not decode. */
static unsigned put_instruction(struct context *context, const struct form *form, uint64_t address,
                                uint8_t *out, ZydisDecodedInstruction *in, ZydisDecodedOperand *operands)
{
    struct parts parts;
    struct memory_operand m = {0};
    uint8_t bytes[32];
    bool memory = form->has_modrm && form->modrm >> 6 != 3;
    draw_parts(context, form, &parts);
    unsigned size = 8;
    bool vsib = false;
    /* First with a plain operand, to learn the size of the memory access. */
    for (unsigned pass = 0; pass < 2; pass++) {
        if (memory) {
            if (pass == 0)
                m = (struct memory_operand){.modrm_rm = 4, .has_sib = true, .mod = 2, .index = 7, .base = 3,
                                            .sib = 0x3b, .disp_bytes = 4};
            else
                draw_memory(context, size, vsib, &m);
        }
        unsigned n = put_prefixes(context, form, &parts, &m, memory, bytes);
        if (form->has_modrm) {
            bytes[n++] = (memory ? m.mod : 3) << 6 | (parts.reg & 7) << 3 | (memory ? m.modrm_rm : parts.rm & 7);
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
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, 15, in, operands)))
            return 0;
        if (memory && m.rip_relative) {
            int32_t disp = (int32_t)(m.target - (address + in->length));
            memcpy(bytes + disp_at, &disp, 4);
            ZydisDecoderDecodeFull(&decoder, bytes, 15, in, operands);
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
    memcpy(out, bytes, in->length);
    return in->length;
}

/* ---- The table of forms ---- */

static void form_add(const struct form *form)
{
    if (form_count == form_space) {
        form_space = form_space ? form_space * 2 : 4096;
        forms = realloc(forms, form_space * sizeof(*forms));
    }
    forms[form_count++] = *form;
}

/* Tries one row of fields; adds what decodes and is allowed. */
static void form_try(struct form form)
{
    uint8_t bytes[32] = {0};
    struct context context = {.random = 1};
    struct memory_operand m = {.modrm_rm = 4, .has_sib = true, .mod = 2, .index = 7, .base = 3, .sib = 0x3b,
                               .disp_bytes = 4};
    struct parts parts = {.reg = form.modrm >> 3 & 7, .rm = form.modrm & 7};
    bool memory = form.modrm >> 6 != 3;
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    for (unsigned attempt = 0; attempt < 4; attempt++) {
        form.fixed_vvvv = attempt & 1;
        parts.vvvv = form.fixed_vvvv ? 0 : 5;
        parts.mask = attempt >> 1;
        if (form.encoding == ENCODING_LEGACY && attempt)
            return;
        if (form.encoding == ENCODING_VEX && attempt > 1)
            return;
        memset(bytes, 0, sizeof(bytes));
        unsigned n = put_prefixes(&context, &form, &parts, &m, memory, bytes);
        bytes[n++] = (memory ? m.mod : 3) << 6 | parts.reg << 3 | (memory ? m.modrm_rm : parts.rm);
        if (memory)
            bytes[n++] = m.sib;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, 15, &in, operands)))
            continue;
        if (!instruction_allowed(&in, operands))
            return;
        form.has_modrm = in.raw.modrm.offset != 0;
        form.mnemonic = in.mnemonic;
        form.family = instruction_family(&in);
        if (!form.has_modrm && form.modrm != 0xc0)
            return; /* the same instruction again */
        form_add(&form);
        return;
    }
}

/* Within one opcode: if reg (or rm of a register form) changes the mnemonic it belongs to the opcode;
 * otherwise one row is enough. */
static void fold(unsigned first)
{
    bool reg_selects = false, rm_selects = false;
    unsigned memory_regs = 0;
    for (unsigned i = first; i < form_count; i++) {
        for (unsigned j = first; j < i; j++) {
            struct form *a = &forms[i], *b = &forms[j];
            if (a->modrm >> 6 != b->modrm >> 6 || a->lock != b->lock)
                continue;
            if (a->mnemonic != b->mnemonic) {
                reg_selects |= (a->modrm >> 3 & 7) != (b->modrm >> 3 & 7);
                rm_selects |= (a->modrm & 7) != (b->modrm & 7) && (a->modrm & 0x38) == (b->modrm & 0x38);
            }
        }
        memory_regs += !forms[i].lock && forms[i].modrm >> 6 != 3;
    }
    unsigned register_forms = 0;
    for (unsigned i = first; i < form_count; i++)
        register_forms += forms[i].modrm >> 6 == 3;
    reg_selects |= memory_regs && memory_regs != 8;
    rm_selects |= register_forms && register_forms < 64 && forms[first].opcode >= 0xd8 &&
                  forms[first].map == 0;
    reg_selects |= register_forms && register_forms < 64;
    unsigned kept = first;
    for (unsigned i = first; i < form_count; i++) {
        struct form form = forms[i];
        form.reg_selects = reg_selects && form.has_modrm;
        form.rm_selects = rm_selects && form.has_modrm && form.modrm >> 6 == 3;
        if (form.has_modrm && ((!reg_selects && form.modrm & 0x38) || (!form.rm_selects && form.modrm & 7)))
            continue;
        forms[kept++] = form;
    }
    form_count = kept;
}

static void enumerate_opcode(struct form form)
{
    unsigned first = form_count;
    for (unsigned modrm = 0xc0; modrm < 0x100; modrm++) {
        if (form.encoding != ENCODING_LEGACY && modrm & 7)
            continue;
        form.modrm = modrm;
        form_try(form);
    }
    for (unsigned reg = 0; reg < 8; reg++) {
        form.modrm = reg << 3;
        form_try(form);
    }
    if (form.encoding != ENCODING_LEGACY)
        for (unsigned i = first, n = form_count; i < n; i++) /* fold() counts eight rm values */
            if (forms[i].modrm >> 6 == 3)
                for (unsigned rm = 1; rm < 8; rm++) {
                    struct form copy = forms[i];
                    copy.modrm |= rm;
                    form_add(&copy);
                }
    fold(first);
    if (form.encoding == ENCODING_LEGACY && !form.pp && form.map < 2)
        for (unsigned i = first, n = form_count; i < n; i++)
            if (forms[i].has_modrm && forms[i].modrm >> 6 != 3) {
                struct form locked = forms[i];
                locked.lock = true;
                unsigned before = form_count;
                form_try(locked);
                if (form_count > before)
                    forms[before].reg_selects = locked.reg_selects;
            }
}

static void enumerate(void)
{
    static const struct {
        uint8_t encoding, maps_from, maps_to, lengths, broadcasts;
    } spaces[] = {{ENCODING_LEGACY, 0, 3, 1, 1}, {ENCODING_VEX, 1, 3, 2, 1}, {ENCODING_EVEX, 1, 3, 3, 2}};
    for (unsigned s = 0; s < 3; s++)
        for (unsigned map = spaces[s].maps_from; map <= spaces[s].maps_to; map++)
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                /* prefixes and escapes are not opcodes */
                if (!s && !map && ((opcode & 0xe7) == 0x26 || (opcode & 0xf0) == 0x40 || opcode == 0x0f ||
                                   (opcode >= 0x64 && opcode <= 0x67) || opcode == 0xc4 ||
                                   opcode == 0xc5 || opcode == 0x62 || opcode == 0xf0 ||
                                   opcode == 0xf2 || opcode == 0xf3))
                    continue;
                if (!s && map == 1 && (opcode == 0x38 || opcode == 0x3a))
                    continue;
                for (unsigned pp = 0; pp < 4; pp++)
                    for (unsigned w = 0; w < 2; w++)
                        for (unsigned length = 0; length < spaces[s].lengths; length++)
                            for (unsigned b = 0; b < spaces[s].broadcasts; b++)
                                enumerate_opcode((struct form){.encoding = spaces[s].encoding, .map = map,
                                                               .opcode = opcode, .pp = pp, .w = w,
                                                               .length = length, .broadcast = b});
            }
}

static void regroup(void)
{
    for (unsigned f = 0; f < FAMILY_COUNT; f++) {
        family_mnemonics[f].count = 0;
        for (unsigned i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++)
            by_mnemonic[f][i].count = 0;
    }
    for (unsigned i = 0; i < form_count; i++) {
        if (forms[i].disabled || family_disabled[forms[i].family])
            continue;
        struct group *group = &by_mnemonic[forms[i].family][forms[i].mnemonic];
        if (!group->count)
            group_add(&family_mnemonics[forms[i].family], forms[i].mnemonic);
        group_add(group, i);
    }
    groups_stale = false;
}

void generate_init(void)
{
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    enumerate();
}

unsigned generate_form_count(void)
{
    return form_count;
}

void generate_disable(unsigned form)
{
    forms[form].disabled = true;
    groups_stale = true;
}

void generate_disable_family(enum family family)
{
    family_disabled[family] = true;
    groups_stale = true;
}

bool generate_sample(unsigned form, struct sequence *sequence)
{
    struct context context = {.random = form, .known = FUZZ_POINTERS};
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    *sequence = (struct sequence){.seed = form, .code_offset = 0x100};
    fuzz_state_init(sequence->seed, &context.state);
    for (unsigned attempt = 0; attempt < 50 && !sequence->code_bytes; attempt++)
        sequence->code_bytes = put_instruction(&context, &forms[form], FUZZ_CODE + 0x100, sequence->code,
                                               &in, operands);
    return sequence->code_bytes;
}

/* ---- Sequences ---- */

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
    b->pending[b->pending_count++] = (struct pending_jump){
        b->sequence->code_bytes - displacement_bytes, displacement_bytes, instructions + 1};
}

static void put_branch(struct builder *b)
{
    unsigned ahead = 1 + below(&b->context, 3);
    uint8_t short_form[] = {0x70 | below(&b->context, 16), 0}, loops[] = {0xe0 | below(&b->context, 4), 0};
    uint8_t long_form[] = {0x0f, 0x80 | below(&b->context, 16), 0, 0, 0, 0}, jmp[] = {0xe9, 0, 0, 0, 0};
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
    uint8_t call_pop[] = {0xe8, 0, 0, 0, 0, 0x58 | reg};
    uint8_t call_ret[] = {0xe8, 2, 0, 0, 0, 0xeb, 4, 0xff, 0xc0 | reg, 0xc3, 0x90};
    uint8_t call_retn[] = {0xe8, 2, 0, 0, 0, 0xeb, 5, 0xff, 0xc8 | reg, 0xc2, 8, 0};
    uint8_t push_ret[] = {0x48, 0x8d, 5 | reg << 3, 2, 0, 0, 0, 0x50 | reg, 0xc3};
    uint8_t jump_reg[] = {0x48, 0x8d, 5 | reg << 3, 2, 0, 0, 0, 0xff, 0xe0 | reg};
    uint8_t call_reg[] = {0x48, 0x8d, 5 | reg << 3, 4, 0, 0, 0, 0xff, 0xd0 | reg, 0x90, 0x90, 0x58 | reg};
    uint8_t jump_memory[] = {0x48, 0x8d, 5 | reg << 3, 7, 0, 0, 0, 0x48, 0x89, 0x44 | reg << 3, 0x24, 0xf0,
                             0xff, 0x64, 0x24, 0xf0};
    uint8_t call_memory[] = {0x48, 0x8d, 5 | reg << 3, 6, 0, 0, 0, 0x50 | reg, 0xff, 0x14, 0x24, 0x90, 0x90, 0x90};
    uint8_t skip_return[] = {0xe8, 0, 0, 0, 0, 0x48, 0x83, 0x04, 0x24, 6, 0xc3, 0x90};
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
    uint8_t push_popf[6] = {0x68, flags & 0xff, flags >> 8 & 0xff, 0, 0, 0x9d};
    uint8_t pushf_pop[2] = {0x9c, 0x58 | scratch(b)};
    if (chance(&b->context, 50))
        put(b, push_popf, 6);
    else
        put(b, pushf_pop, 2);
}

static unsigned pick_form(struct context *context)
{
    static const uint8_t weight[FAMILY_COUNT] = {46, 9, 15, 15, 15};
    for (;;) {
        unsigned f = 0, roll = below(context, 100);
        while (roll >= weight[f])
            roll -= weight[f++];
        if (!family_mnemonics[f].count)
            continue;
        unsigned mnemonic = family_mnemonics[f].members[below(context, family_mnemonics[f].count)];
        struct group *group = &by_mnemonic[f][mnemonic];
        return group->members[below(context, group->count)];
    }
}

/* False if the instruction would spoil a register that addresses are built on; sometimes it may. */
static bool note_writes(struct context *context, const ZydisDecodedInstruction *in,
                        const ZydisDecodedOperand *operands)
{
    uint32_t written = 0;
    for (unsigned i = 0; i < in->operand_count; i++) {
        if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
            !(operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        ZydisRegister reg = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
                                                             operands[i].reg.value);
        if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
            written |= 1u << (reg - ZYDIS_REGISTER_RAX);
    }
    uint32_t pointers = written & FUZZ_POINTERS;
    bool string = in->meta.category == ZYDIS_CATEGORY_STRINGOP;
    bool stack = in->meta.category == ZYDIS_CATEGORY_PUSH || in->meta.category == ZYDIS_CATEGORY_POP;
    if (pointers && !string && !(stack && pointers == 1u << 4) &&
        !chance(context, pointers & 1u << 4 ? 3 : 12))
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
        unsigned n = put_instruction(&b->context, &forms[pick_form(&b->context)], address, bytes, &in,
                                     operands);
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
    if (groups_stale)
        regroup();
    memset(&b, 0, sizeof(b));
    b.context.random = seed;
    b.context.known = 0xffff;
    b.sequence = sequence;
    *sequence = (struct sequence){.seed = fuzz_random(&b.context.random)};
    fuzz_state_init(sequence->seed, &b.context.state);
    /* A quarter of the sequences run across the page boundary. */
    unsigned place = below(&b.context, 4);
    sequence->code_offset = place == 0 ? FUZZ_PAGE - 1 - below(&b.context, 60) : below(&b.context, 3000);
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
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, sequence->code + at,
                                                        sequence->code_bytes - at, &in)))
            break;
        at += in.length;
    }
    offset[count] = sequence->code_bytes;
    return count;
}

const char *sequence_mnemonic(const struct sequence *sequence)
{
    ZydisDecodedInstruction in;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, sequence->code, sequence->code_bytes,
                                                    &in)))
        return "?";
    return ZydisMnemonicGetString(in.mnemonic);
}

const char *sequence_extension(const struct sequence *sequence)
{
    ZydisDecodedInstruction in;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, sequence->code, sequence->code_bytes,
                                                    &in)))
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
        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, sequence->code + offset[i], n, &in, operands)))
            ZydisFormatterFormatInstruction(&formatter, &in, operands, in.operand_count_visible, text,
                                            sizeof(text), address, NULL);
        printf("#   %08lx  ", (unsigned long)address);
        for (unsigned j = 0; j < n; j++)
            printf("%02x", sequence->code[offset[i] + j]);
        printf("%*s %s\n", n < 12 ? 2 * (int)(12 - n) : 0, "", text);
    }
}
