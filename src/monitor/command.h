/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a command of the human monitor is made of. Main loop only.
 *
 *      static void cpu_select(struct hmp *hmp, const struct hmp_args *args) { … }
 *      HMP_COMMAND(cpu) = { .name = "cpu", .args = "i", .params = "index", … };
 *
 * `args` says how the rest of the line is read, one character per argument:
 *
 *      /   format: /COUNT, format letter (o x d u c i) and size letter (b h w g), in any order
 *      i l an expression of 32 or 64 bits; $name is a register of the chosen vCPU
 *      s F a word or "quoted text"; a file's name
 *      b   on or off
 *      S   the rest of the line
 *      -x  a flag, present or not
 *
 * and "?" after one makes it optional. */
#ifndef YADO_MONITOR_COMMAND_H
#define YADO_MONITOR_COMMAND_H

#include "monitor/hmp.h"
#include "x86/cpu.h"

#define HMP_ARGS 4

struct hmp_args {
    unsigned count; /* how many of value[] are given */
    uint64_t flags; /* bit c & 63 for the flag -c */
    struct {
        uint64_t number; /* i, l, b */
        char *text;      /* s, F, S */
    } value[HMP_ARGS];
    struct {
        unsigned count; /* 1 unless given */
        char format;    /* 0 unless given */
        unsigned size;  /* bytes; 0 unless given */
    } format;
};

static inline bool hmp_flag(const struct hmp_args *args, char letter)
{
    return args->flags >> (letter & 63) & 1;
}

/* A line being executed. */
struct hmp {
    struct vm *vm;
    unsigned cpu; /* the chosen vCPU */
    GString *out;
    bool held; /* the vCPUs are stopped for this command */
};

struct hmp_command {
    const char *name, *alias; /* alias may be NULL */
    const char *args, *params, *help;
    void (*run)(struct hmp *hmp, const struct hmp_args *args);
    bool info; /* a topic of `info` */
};

/* Registers a row; the linker collects them. */
#define HMP_COMMAND(symbol) \
    static const struct hmp_command symbol##_command \
        __attribute__((used, section("yado_hmp_commands"), aligned(8)))

void hmp_print(struct hmp *hmp, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* "Error: …" for an error from below, which is freed. */
void hmp_print_error(struct hmp *hmp, GError *error);

/* State of the chosen, or any, vCPU: stopped from now to the command's end. NULL if there is no
 * such vCPU. Whoever writes to it calls vcpu_state_replaced(). */
struct x86_cpu *hmp_cpu(struct hmp *hmp);
struct x86_cpu *hmp_cpu_index(struct hmp *hmp, uint64_t index);

/* memory.c: 'c' as `x/c` and `print/c` have it; and entries of page tables (opaque: struct vm). */
void hmp_print_character(struct hmp *hmp, uint8_t c);
bool hmp_table_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *entry);

/* expression.c: a value, with `*text` moved behind it; false and an error. */
bool hmp_expression(struct hmp *hmp, const char **text, uint64_t *value, GError **error);

/* args.c: reads `text` as `command` wants it. False: it has printed why. */
bool hmp_args_parse(struct hmp *hmp, const struct hmp_command *command, const char *text,
                    struct hmp_args *args);
void hmp_args_clear(struct hmp_args *args);

/* A word, or "text in quotes" with \n \r \\ \' \"; NULL: there is none, or *error says what is
 * wrong. */
char *hmp_word(const char **text, GError **error);

#endif
