/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of options. The first byte chooses the option; the rest is its text. */
#include <stdio.h>
#include <string.h>

#include "cli/settings.h"
#include "util/keyval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool apply_machine(struct vm_config *config, const char *text, GError **error)
{
    bool engines_given;
    return settings_machine(config, text, &engines_given, error);
}

/* What -device does with its text. */
static bool apply_device(struct vm_config *config, const char *text, GError **error)
{
    auto_keyval *options = keyval_parse(text, "driver", error);
    for (size_t i = 0; options && i < options->count; i++)
        keyval_take(options, options->items[i].name);
    return options;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool (*const settings[])(struct vm_config *, const char *, GError **) = {
        settings_memory, settings_smp, apply_machine, settings_engine, settings_uuid, apply_device,
    };
    static FILE *quiet;
    if (!quiet)
        quiet = freopen("/dev/null", "w", stderr); /* warnings about topologies */
    if (!size)
        return 0;

    g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
    struct vm_config *config = vm_config_new();
    g_autoptr(GError) error = NULL;
    bool good = settings[data[0] % G_N_ELEMENTS(settings)](config, text, &error);

    /* Refused with a reason, or accepted with values a machine can have. */
    if (good != !error || config->cpus < 1 || config->cpus > VM_CPUS_MAX
        || config->memory_bytes < VM_MEMORY_MIN || config->memory_bytes > VM_MEMORY_MAX
        || config->memory_bytes % GUEST_PAGE_SIZE)
        __builtin_trap();
    vm_config_free(config);
    return 0;
}
