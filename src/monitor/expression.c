/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expressions of the monitor: numbers, 'c', $registers and operators. As in QEMU, and unlike in C,
 * & | ^ bind more tightly than + and -, and * / % more tightly still. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/command.h"

/* Parentheses and signs inside each other; a line is no longer than that anyway. */
#define DEPTH_MAX 64

struct parser {
    struct hmp *hmp;
    const char *at;
    unsigned depth;
    GError **error;
};

static void skip_spaces(struct parser *parser)
{
    while (g_ascii_isspace(*parser->at))
        parser->at++;
}

static void advance(struct parser *parser)
{
    parser->at++;
    skip_spaces(parser);
}

/* --- registers --- */

static const struct {
    const char *name;
    size_t offset;
    uint8_t bytes;
} registers[] = {
#define REGISTER(name, field, bytes) \
    { \
        name, offsetof(struct x86_cpu, field), bytes \
    }
#define GENERAL(wide, narrow, index) \
    REGISTER(wide, regs[index], 8), REGISTER(narrow, regs[index], 4)
    GENERAL("rax", "eax", RAX),    GENERAL("rcx", "ecx", RCX),    GENERAL("rdx", "edx", RDX),
    GENERAL("rbx", "ebx", RBX),    GENERAL("rsp", "esp", RSP),    GENERAL("rbp", "ebp", RBP),
    GENERAL("rsi", "esi", RSI),    GENERAL("rdi", "edi", RDI),    REGISTER("sp", regs[RSP], 8),
    REGISTER("r8", regs[R8], 8),   REGISTER("r9", regs[R9], 8),   REGISTER("r10", regs[R10], 8),
    REGISTER("r11", regs[R11], 8), REGISTER("r12", regs[R12], 8), REGISTER("r13", regs[R13], 8),
    REGISTER("r14", regs[R14], 8), REGISTER("r15", regs[R15], 8), REGISTER("rip", rip, 8),
    REGISTER("eip", rip, 8),       REGISTER("rflags", rflags, 8), REGISTER("eflags", rflags, 4),
    REGISTER("cr0", cr0, 8),       REGISTER("cr2", cr2, 8),       REGISTER("cr3", cr3, 8),
    REGISTER("cr4", cr4, 8),       REGISTER("efer", efer, 8),     REGISTER("dr0", dr[0], 8),
    REGISTER("dr1", dr[1], 8),     REGISTER("dr2", dr[2], 8),     REGISTER("dr3", dr[3], 8),
    REGISTER("dr6", dr[6], 8),     REGISTER("dr7", dr[7], 8),     REGISTER("gdtr", gdt.base, 8),
    REGISTER("idtr", idt.base, 8),
#define SEGMENT(name, index) \
    REGISTER(name, seg[index].selector, 2), REGISTER(name ".base", seg[index].base, 8), \
        REGISTER(name ".limit", seg[index].limit, 4)
    SEGMENT("cs", SEG_CS),         SEGMENT("ds", SEG_DS),         SEGMENT("es", SEG_ES),
    SEGMENT("ss", SEG_SS),         SEGMENT("fs", SEG_FS),         SEGMENT("gs", SEG_GS),
#undef SEGMENT
#undef GENERAL
#undef REGISTER
};

static bool register_value(struct hmp *hmp, const char *name, uint64_t *value)
{
    const struct x86_cpu *cpu = hmp_cpu(hmp);

    *value = 0;
    if (!strcmp(name, "pc")) { /* as a linear address, which `x` takes */
        *value = cpu->rip + (x86_code64(cpu) ? 0 : cpu->seg[SEG_CS].base);
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        if (!strcmp(name, registers[i].name)) {
            memcpy(value, (const char *)cpu + registers[i].offset, registers[i].bytes);
            return true;
        }
    }
    return false;
}

static bool parse_register(struct parser *parser, uint64_t *value)
{
    size_t length = 1;
    while (g_ascii_isalnum(parser->at[length]) || parser->at[length] == '_'
           || parser->at[length] == '.')
        length++;
    g_autofree char *name = g_strndup(parser->at + 1, length - 1);
    if (!register_value(parser->hmp, name, value))
        return fail(parser->error, "unknown register");
    parser->at += length;
    skip_spaces(parser);
    return true;
}

/* --- the grammar --- */

static bool parse_sum(struct parser *parser, uint64_t *value);

static bool parse_character(struct parser *parser, uint64_t *value)
{
    unsigned char c = parser->at[1];
    if (!c)
        return fail(parser->error, "character constant expected");
    if (parser->at[2] != '\'')
        return fail(parser->error, "missing terminating ' character");
    *value = c;
    parser->at += 3;
    skip_spaces(parser);
    return true;
}

static bool parse_number(struct parser *parser, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = g_ascii_strtoull(parser->at, &end, 0);
    if (errno == ERANGE)
        return fail(parser->error, "number too large");
    if (end == parser->at)
        return fail(parser->error, "invalid char '%c' in expression", *parser->at);
    parser->at = end;
    skip_spaces(parser);
    return true;
}

static bool parse_unary(struct parser *parser, uint64_t *value)
{
    if (++parser->depth > DEPTH_MAX)
        return fail(parser->error, "expression is nested too deeply");
    bool good = true;
    switch (*parser->at) {
    case '+':
        advance(parser);
        good = parse_unary(parser, value);
        break;
    case '-':
        advance(parser);
        good = parse_unary(parser, value);
        *value = -*value;
        break;
    case '~':
        advance(parser);
        good = parse_unary(parser, value);
        *value = ~*value;
        break;
    case '(':
        advance(parser);
        good = parse_sum(parser, value);
        if (good && *parser->at != ')')
            good = fail(parser->error, "')' expected");
        if (good)
            advance(parser);
        break;
    case '\'':
        good = parse_character(parser, value);
        break;
    case '$':
        good = parse_register(parser, value);
        break;
    case '\0':
        good = fail(parser->error, "unexpected end of expression");
        break;
    default:
        good = parse_number(parser, value);
    }
    parser->depth--;
    return good;
}

static bool parse_product(struct parser *parser, uint64_t *value)
{
    if (!parse_unary(parser, value))
        return false;
    for (;;) {
        char op = *parser->at;
        uint64_t right = 0;
        if (!op || !strchr("*/%", op))
            return true;
        advance(parser);
        if (!parse_unary(parser, &right))
            return false;
        if (op != '*' && !right)
            return fail(parser->error, "division by zero");
        *value = op == '*' ? *value * right : op == '/' ? *value / right : *value % right;
    }
}

static bool parse_bits(struct parser *parser, uint64_t *value)
{
    if (!parse_product(parser, value))
        return false;
    for (;;) {
        char op = *parser->at;
        uint64_t right = 0;
        if (!op || !strchr("&|^", op))
            return true;
        advance(parser);
        if (!parse_product(parser, &right))
            return false;
        *value = op == '&' ? *value & right : op == '|' ? *value | right : *value ^ right;
    }
}

static bool parse_sum(struct parser *parser, uint64_t *value)
{
    if (!parse_bits(parser, value))
        return false;
    for (;;) {
        char op = *parser->at;
        uint64_t right = 0;
        if (op != '+' && op != '-')
            return true;
        advance(parser);
        if (!parse_bits(parser, &right))
            return false;
        *value = op == '+' ? *value + right : *value - right;
    }
}

bool hmp_expression(struct hmp *hmp, const char **text, uint64_t *value, GError **error)
{
    struct parser parser = { .hmp = hmp, .at = *text, .error = error };

    skip_spaces(&parser);
    *value = 0;
    if (!parse_sum(&parser, value))
        return false;
    *text = parser.at;
    return true;
}
