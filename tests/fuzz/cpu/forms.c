/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forms.h"

#include <stdlib.h>
#include <string.h>

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

ZydisDecoder generate_decoder;

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

bool instruction_allowed(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *operands)
{
    if (in->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED || !category_allowed(in->meta.category)
        || !mnemonic_allowed(in->mnemonic))
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
        if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER
            && ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_SEGMENT
            && (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE
                || operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT))
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
    uint8_t bytes[32] = { 0 };
    struct context context = { .random = 1 };
    struct memory_operand m = { .modrm_rm = 4,
                                .has_sib = true,
                                .mod = 2,
                                .index = 7,
                                .base = 3,
                                .sib = 0x3b,
                                .disp_bytes = 4 };
    struct parts parts = { .reg = form.modrm >> 3 & 7, .rm = form.modrm & 7 };
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
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&generate_decoder, bytes, 15, &in, operands)))
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

/* Within one opcode: if reg (or rm of a register form) changes the mnemonic it belongs to the
 * opcode; otherwise one row is enough. */
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
                rm_selects |=
                    (a->modrm & 7) != (b->modrm & 7) && (a->modrm & 0x38) == (b->modrm & 0x38);
            }
        }
        memory_regs += !forms[i].lock && forms[i].modrm >> 6 != 3;
    }
    unsigned register_forms = 0;
    for (unsigned i = first; i < form_count; i++)
        register_forms += forms[i].modrm >> 6 == 3;
    reg_selects |= memory_regs && memory_regs != 8;
    rm_selects |= register_forms && register_forms < 64 && forms[first].opcode >= 0xd8
                  && forms[first].map == 0;
    reg_selects |= register_forms && register_forms < 64;
    unsigned kept = first;
    for (unsigned i = first; i < form_count; i++) {
        struct form form = forms[i];
        form.reg_selects = reg_selects && form.has_modrm;
        form.rm_selects = rm_selects && form.has_modrm && form.modrm >> 6 == 3;
        if (form.has_modrm
            && ((!reg_selects && form.modrm & 0x38) || (!form.rm_selects && form.modrm & 7)))
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
    } spaces[] = { { ENCODING_LEGACY, 0, 3, 1, 1 },
                   { ENCODING_VEX, 1, 3, 2, 1 },
                   { ENCODING_EVEX, 1, 3, 3, 2 } };
    for (unsigned s = 0; s < 3; s++)
        for (unsigned map = spaces[s].maps_from; map <= spaces[s].maps_to; map++)
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                /* prefixes and escapes are not opcodes */
                if (!s && !map
                    && ((opcode & 0xe7) == 0x26 || (opcode & 0xf0) == 0x40 || opcode == 0x0f
                        || (opcode >= 0x64 && opcode <= 0x67) || opcode == 0xc4 || opcode == 0xc5
                        || opcode == 0x62 || opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3))
                    continue;
                if (!s && map == 1 && (opcode == 0x38 || opcode == 0x3a))
                    continue;
                for (unsigned pp = 0; pp < 4; pp++)
                    for (unsigned w = 0; w < 2; w++)
                        for (unsigned length = 0; length < spaces[s].lengths; length++)
                            for (unsigned b = 0; b < spaces[s].broadcasts; b++)
                                enumerate_opcode((struct form){ .encoding = spaces[s].encoding,
                                                                .map = map,
                                                                .opcode = opcode,
                                                                .pp = pp,
                                                                .w = w,
                                                                .length = length,
                                                                .broadcast = b });
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
    ZydisDecoderInit(&generate_decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
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
    struct context context = { .random = form, .known = FUZZ_POINTERS };
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    *sequence = (struct sequence){ .seed = form, .code_offset = 0x100 };
    fuzz_state_init(sequence->seed, &context.state);
    for (unsigned attempt = 0; attempt < 50 && !sequence->code_bytes; attempt++)
        sequence->code_bytes = put_instruction(&context, &forms[form], FUZZ_CODE + 0x100,
                                               sequence->code, &in, operands);
    return sequence->code_bytes;
}

const struct form *form_pick(struct context *context)
{
    if (groups_stale)
        regroup();
    static const uint8_t weight[FAMILY_COUNT] = { 46, 9, 15, 15, 15 };
    for (;;) {
        unsigned f = 0, roll = below(context, 100);
        while (roll >= weight[f])
            roll -= weight[f++];
        if (!family_mnemonics[f].count)
            continue;
        unsigned mnemonic = family_mnemonics[f].members[below(context, family_mnemonics[f].count)];
        struct group *group = &by_mnemonic[f][mnemonic];
        return &forms[group->members[below(context, group->count)]];
    }
}
