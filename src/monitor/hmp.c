/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a line to a command: the rows that HMP_COMMAND() registers, help, completion. */
#include "monitor/hmp.h"

#include <string.h>

#include "chardev/chardev.h"
#include "monitor/command.h"
#include "util/log.h"
#include "vm/vm.h"

/* The linker provides the ends of the section that HMP_COMMAND() fills. */
extern const struct hmp_command commands_start[] __asm__("__start_yado_hmp_commands");
extern const struct hmp_command commands_end[] __asm__("__stop_yado_hmp_commands");

void hmp_print(struct hmp *hmp, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_string_append_vprintf(hmp->out, format, args);
    va_end(args);
}

void hmp_print_error(struct hmp *hmp, GError *error)
{
    hmp_print(hmp, "Error: %s\n", error->message);
    g_error_free(error);
}

struct x86_cpu *hmp_cpu_index(struct hmp *hmp, uint64_t index)
{
    if (index >= hmp->vm->config->cpus)
        return NULL;
    if (!hmp->held)
        vm_inspect_begin(hmp->vm);
    hmp->held = true;
    return hmp->vm->vcpus[index]->cpu;
}

struct x86_cpu *hmp_cpu(struct hmp *hmp)
{
    return hmp_cpu_index(hmp, hmp->cpu);
}

/* --- the rows ------------------------------------------------------------------------------- */

static int compare_rows(gconstpointer a, gconstpointer b)
{
    const struct hmp_command *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/* The commands, or the topics of `info`, by name; the linker's order means nothing. */
static GPtrArray *rows_new(bool info)
{
    GPtrArray *rows = g_ptr_array_new();

    for (const struct hmp_command *row = commands_start; row < commands_end; row++) {
        if (row->info == info)
            g_ptr_array_add(rows, (gpointer)row);
    }
    g_ptr_array_sort(rows, compare_rows);
    return rows;
}

static const struct hmp_command *row_find(const char *name, bool info)
{
    for (const struct hmp_command *row = commands_start; row < commands_end; row++) {
        if (row->info == info && (!strcmp(row->name, name) || !g_strcmp0(row->alias, name)))
            return row;
    }
    return NULL;
}

static void print_unknown(struct hmp *hmp, const char *name, bool info)
{
    g_autoptr(GPtrArray) rows = rows_new(info);
    g_autofree const char **names = g_new0(const char *, rows->len + 1);

    for (guint i = 0; i < rows->len; i++)
        names[i] = ((const struct hmp_command *)rows->pdata[i])->name;
    hmp_print(hmp, "unknown command: '%s%s'%s\n", info ? "info " : "", name,
              hint_nearest(name, names));
}

/* --- help and info -------------------------------------------------------------------------- */

static void print_row(struct hmp *hmp, const struct hmp_command *row)
{
    hmp_print(hmp, "%s%s%s%s %s -- %s\n", row->info ? "info " : "", row->name,
              row->alias ? "|" : "", row->alias ? row->alias : "", row->params ? row->params : "",
              row->help);
}

static void print_rows(struct hmp *hmp, bool info)
{
    g_autoptr(GPtrArray) rows = rows_new(info);

    for (guint i = 0; i < rows->len; i++)
        print_row(hmp, rows->pdata[i]);
}

static void run_help(struct hmp *hmp, const struct hmp_args *args)
{
    g_auto(GStrv) words = g_strsplit_set(args->count ? args->value[0].text : "", " \t", 2);
    bool info = words[0] && !strcmp(words[0], "info");
    const char *topic = info ? words[1] : words[0];

    if (!topic || !*topic) {
        print_rows(hmp, info);
        return;
    }
    if (!info && !strcmp(topic, "log")) {
        g_autofree char *text = log_help();
        hmp_print(hmp, "%s", text);
        return;
    }
    const struct hmp_command *row = row_find(g_strstrip((char *)topic), info);
    if (row)
        print_row(hmp, row);
    else
        print_unknown(hmp, topic, info);
}

HMP_COMMAND(help) = {
    .name = "help",
    .alias = "?",
    .args = "S?",
    .params = "[cmd]",
    .help = "all commands, or what one does; help info: its topics",
    .run = run_help,
};

static void run_row(struct hmp *hmp, const struct hmp_command *row, const char *text)
{
    struct hmp_args args;

    if (!hmp_args_parse(hmp, row, text, &args))
        return;
    row->run(hmp, &args);
    hmp_args_clear(&args);
}

/* A name ends at a space, or where a format begins: x/4i. */
static char *name_take(const char **text)
{
    *text += strspn(*text, " \t");
    size_t length = strcspn(*text, " \t/");
    char *name = g_strndup(*text, length);
    *text += length;
    return name;
}

static void run_info(struct hmp *hmp, const struct hmp_args *args)
{
    const char *text = args->count ? args->value[0].text : "";
    g_autofree char *name = name_take(&text);
    const struct hmp_command *row = row_find(name, true);

    if (row)
        run_row(hmp, row, text);
    else if (*name)
        print_unknown(hmp, name, true);
    else
        print_rows(hmp, true);
}

HMP_COMMAND(info) = {
    .name = "info",
    .args = "S?",
    .params = "[subcommand]",
    .help = "about the machine; without a topic: what there is",
    .run = run_info,
};

char *hmp_execute(struct vm *vm, unsigned *cpu, const char *line)
{
    struct hmp hmp = { .vm = vm, .cpu = cpu ? *cpu : 0, .out = g_string_new(NULL) };
    g_autofree char *name = name_take(&line);
    const struct hmp_command *row = row_find(name, false);

    if (row)
        run_row(&hmp, row, line);
    else if (*name || *line)
        print_unknown(&hmp, name, false);
    if (hmp.held)
        vm_inspect_end(vm);
    if (cpu)
        *cpu = hmp.cpu;
    return g_string_free(hmp.out, FALSE);
}

/* --- completion ----------------------------------------------------------------------------- */

static void complete_rows(GPtrArray *found, const char *start, bool info)
{
    g_autoptr(GPtrArray) rows = rows_new(info);

    for (guint i = 0; i < rows->len; i++) {
        const char *name = ((const struct hmp_command *)rows->pdata[i])->name;
        if (g_str_has_prefix(name, start))
            g_ptr_array_add(found, g_strdup(name));
    }
}

static void complete_log(GPtrArray *found, const char *start)
{
    const char *comma = strrchr(start, ','), *last = comma ? comma + 1 : start;

    for (const char *const *name = log_category_names(); *name; name++) {
        if (g_str_has_prefix(*name, last))
            g_ptr_array_add(found, g_strdup_printf("%.*s%s", (int)(last - start), start, *name));
    }
}

static void complete_chardev(const char *id, const char *driver, bool connected, void *opaque)
{
    g_ptr_array_add(opaque, g_strdup(id));
}

char **hmp_complete(const char *line)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
    guint count = g_strv_length(words), first = 0;

    while (first + 1 < count && !*words[first])
        first++;
    const char *command = count ? words[first] : "", *last = count ? words[count - 1] : "";
    guint depth = count ? count - 1 - first : 0; /* words before the last */
    if (depth == 0)
        complete_rows(found, command, false);
    else if (depth == 1 && !strcmp(command, "info"))
        complete_rows(found, last, true);
    else if (depth == 1 && (!strcmp(command, "help") || !strcmp(command, "?")))
        complete_rows(found, last, false);
    else if (depth == 2 && !strcmp(command, "help") && !strcmp(words[first + 1], "info"))
        complete_rows(found, last, true);
    else if (depth == 1 && !strcmp(command, "log"))
        complete_log(found, last);
    else if (depth == 1 && g_str_has_prefix(command, "chardev-"))
        chardevs_visit(complete_chardev, found);
    for (guint i = 0; i < found->len;) {
        if (g_str_has_prefix(found->pdata[i], last))
            i++;
        else
            g_ptr_array_remove_index(found, i);
    }
    g_ptr_array_add(found, NULL);
    return (char **)g_ptr_array_free(found, FALSE);
}
