/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands about the memory the guest has given back. */
#include <inttypes.h>

#include "monitor/command.h"
#include "virtio/balloon.h"

static void run_balloon(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;
    if (args->value[0].number > UINT64_MAX >> 20 || !args->value[0].number)
        hmp_print(hmp, "Error: Parameter 'target' expects a size\n");
    else if (!balloon_set(hmp->vm, args->value[0].number << 20, &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(balloon) = {
    .name = "balloon",
    .args = "l",
    .params = "target",
    .help = "ask the guest to manage with so many MiB",
    .run = run_balloon,
};

static void info_balloon(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;
    uint64_t bytes;
    if (balloon_actual(hmp->vm, &bytes, &error))
        hmp_print(hmp, "balloon: actual=%" PRIu64 "\n", bytes >> 20);
    else
        hmp_print_error(hmp, error);
}
HMP_COMMAND(info_balloon) = {
    .info = true,
    .name = "balloon",
    .help = "how many MiB the guest has",
    .run = info_balloon,
};
