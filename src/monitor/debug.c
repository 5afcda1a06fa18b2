/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands that look into the engine. */
#include <string.h>

#include "monitor/command.h"
#include "util/log.h"
#include "vm/vm.h"

static void run_log(struct hmp *hmp, const struct hmp_args *args)
{
    unsigned mask;

    if (log_parse_categories(args->value[0].text, &mask, NULL)) {
        log_set_mask(mask);
        vm_translate_again(hmp->vm);
    } else {
        g_autofree char *text = log_help();
        hmp_print(hmp, "%s", text);
    }
}
HMP_COMMAND(log) = {
    .name = "log",
    .args = "s",
    .params = "item1[,...]",
    .help = "log these categories and no others; 'none' ends it, 'help log' lists them",
    .run = run_log,
};

static void run_logfile(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;

    if (!log_open(args->value[0].text, &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(logfile) = {
    .name = "logfile",
    .args = "F",
    .params = "filename",
    .help = "write the log to this file from now on",
    .run = run_logfile,
};

static void run_singlestep(struct hmp *hmp, const struct hmp_args *args)
{
    const char *word = args->count ? args->value[0].text : "on";

    if (strcmp(word, "on") && strcmp(word, "off")) {
        hmp_print(hmp, "unexpected option %s\n", word);
        return;
    }
    atomic_store(&hmp->vm->one_insn, !strcmp(word, "on"));
    vm_translate_again(hmp->vm);
}
HMP_COMMAND(singlestep) = {
    .name = "singlestep",
    .args = "s?",
    .params = "[on|off]",
    .help = "translate one instruction at a time, or whole blocks",
    .run = run_singlestep,
};
