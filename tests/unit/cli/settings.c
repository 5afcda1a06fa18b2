/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of -m, -smp, -machine, -accel, -name, -uuid; a row is a thing somebody types. */
#include "cli/settings.h"

#include "tap.h"

/* Applies one setting to a fresh configuration and prints what matters of it. */
typedef bool (*apply_fn)(struct vm_config *config, const char *text, GError **error);

static const char *engine_names(const struct vm_config *config)
{
    static char text[64];
    text[0] = '\0';
    for (size_t i = 0; config->engines[i]; i++) {
        g_strlcat(text, i ? ":" : "", sizeof(text));
        g_strlcat(text, config->engines[i]->name, sizeof(text));
    }
    return text;
}

static bool apply_machine(struct vm_config *config, const char *text, GError **error)
{
    bool engines_given;
    return settings_machine(config, text, &engines_given, error)
           && (engines_given == (config->engines[0] != NULL)
               || fail(error, "engines_given is wrong"));
}

static const struct setting_case {
    apply_fn apply;
    const char *text;
    const char *expected; /* the configuration, or the words an error must have after '!' */
} cases[] = {
#define CONFIG(memory, cpus, machine, engines) memory "M " cpus " " machine " " engines
    { settings_memory, "256", CONFIG("256", "1", "pc", "") },
    { settings_memory, "256M", CONFIG("256", "1", "pc", "") },
    { settings_memory, "size=2G", CONFIG("2048", "1", "pc", "") },
    { settings_memory, "1.5G", CONFIG("1536", "1", "pc", "") },
    { settings_memory, "1048576k,slots=0,maxmem=1G", CONFIG("1024", "1", "pc", "") },
    { settings_memory, "1T", CONFIG("1048576", "1", "pc", "") },
    { settings_memory, "0", "!at least 1M" },
    { settings_memory, "1023k", "!at least 1M" },
    { settings_memory, "100T", "!at most 1T" },
    { settings_memory, "16E", "!16E" },
    { settings_memory, "", "!size" },
    { settings_memory, "1G,maxmem=2G", "!maxmem=2G" },
    { settings_memory, "1G,slot=2", "!'slots'" },
    { settings_memory, "1G,slots=x", "!slots" },

    { settings_smp, "4", CONFIG("128", "4", "pc", "") },
    { settings_smp, "cpus=4", CONFIG("128", "4", "pc", "") },
    { settings_smp, "4,sockets=1,cores=4,threads=1", CONFIG("128", "4", "pc", "") },
    { settings_smp, "4,sockets=2,cores=2,threads=1", CONFIG("128", "4", "pc", "") },
    { settings_smp, "4,maxcpus=4,threads=2", CONFIG("128", "4", "pc", "") },
    { settings_smp, "sockets=2,cores=2", CONFIG("128", "4", "pc", "") },
    { settings_smp, "255", CONFIG("128", "255", "pc", "") },
    { settings_smp, "256", "!at most 255" },
    { settings_smp, "99999999999999999999", "!99999999999999999999" },
    { settings_smp, "sockets=200,cores=200", "!40000" },
    { settings_smp, "4294967297", "!4294967297" }, /* 1, in 32 bits */
    { settings_smp, "0", "!at least 1" },
    { settings_smp, "2,cores=0", "!cores" },
    { settings_smp, "-1", "!-1" },
    { settings_smp, "4,cores=3", "!cores 3" },
    { settings_smp, "2,maxcpus=4", "!maxcpus=4" },
    { settings_smp, "4,maxcpus=2", "!maxcpus=2" },
    { settings_smp, "2,coers=2", "!'cores'" },
    { settings_smp, "", "!cpus" },

    { apply_machine, "microvm", CONFIG("128", "1", "microvm", "") },
    { apply_machine, "type=pc,accel=kvm:tcg", CONFIG("128", "1", "pc", "kvm:bt") },
    { apply_machine, "accel=tcg:kvm", CONFIG("128", "1", "pc", "bt:kvm") },
    { apply_machine, "pc,usb=off,vmport=off,dump-guest-core=off,acpi=on",
      CONFIG("128", "1", "pc", "") },
    { apply_machine, "pc,accel=bt:bt:tcg", CONFIG("128", "1", "pc", "bt") },
    { apply_machine, "pc,accel=", "!accelerator" },
    { apply_machine, "pc,accel=kvm:xen", "!xen" },
    { apply_machine, "pc,usb=on", "!usb=on" },
    { apply_machine, "pc,acpi=perhaps", "!perhaps" },
    { apply_machine, "microvn", "!'microvm'" },
    { apply_machine, "pc,vmprot=off", "!'vmport'" },

    { settings_engine, "kvm", CONFIG("128", "1", "pc", "kvm") },
    { settings_engine, "tcg,thread=multi,tb-size=64", CONFIG("128", "1", "pc", "bt") },
    { settings_engine, "bt,tb-size=x", "!tb-size" },
    { settings_engine, "bt,thread=single", "!thread=single" },
    { settings_engine, "kvm,kernel-irqchip=split", "!split" },
    { settings_engine, "kmv", "!'kvm'" },
    { settings_engine, "xen", "!kvm, bt and tcg" },
    { settings_engine, "tb-size=64", "!name is missing" },

    { settings_name, "guest=a,debug-threads=on", CONFIG("128", "1", "pc", "") },
    { settings_name, "a,proces=b", "!'process'" },
    { settings_uuid, "12345678-1234-5678-9abc-123456789abc", CONFIG("128", "1", "pc", "") },
    { settings_uuid, "12345678", "!UUID" },
};

static void test_setting(const struct setting_case *row)
{
    g_autoptr(GError) error = NULL;
    struct vm_config *config = vm_config_new();
    bool valid = row->apply(config, row->text, &error);

    if (row->expected[0] == '!') {
        bool told = error && strstr(error->message, row->expected + 1);
        if (!tap_ok(!valid && told, "'%s' is refused", row->text))
            tap_note("%s", error ? error->message : "it was not");
    } else {
        g_autofree char *got =
            g_strdup_printf("%" G_GUINT64_FORMAT "M %u %s %s", config->memory_bytes >> 20,
                            config->cpus, config->machine, engine_names(config));
        g_autofree char *name = g_strdup_printf("'%s'", row->text);
        tap_is(valid ? got : error->message, row->expected, name);
    }
    vm_config_free(config);
}

int main(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        test_setting(&cases[i]);

    struct vm_config *config = vm_config_new();
    settings_default_engines(config);
    tap_is(engine_names(config), "kvm:bt", "without a choice KVM comes first, then the translator");
    settings_memory(config, "1025k", NULL);
    tap_ok(config->memory_bytes % GUEST_PAGE_SIZE == 0, "memory is made of whole pages");
    settings_name(config, "guest=lodger", NULL);
    tap_is(config->name, "lodger", "the name is taken");
    vm_config_free(config);
    return tap_done();
}
