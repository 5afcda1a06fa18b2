/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/settings.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "machine/machine.h"
#include "util/keyval.h"

/* --- memory --- */

bool settings_memory(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "size", "slots", "maxmem", NULL };
    auto_keyval *options = keyval_parse(text, "size", error);
    uint64_t bytes = config->memory_bytes, most, slots = 0;

    if (!options)
        return false;
    const char *size = keyval_take(options, "size"), *maxmem = keyval_take(options, "maxmem");
    if ((size && !parse_size("memory", size, 1 << 20, &bytes, error))
        || !keyval_take_unsigned(options, "slots", 256, &slots, error)
        || !keyval_finish(options, names, error))
        return false;
    most = bytes;
    if (maxmem && !parse_size("maxmem", maxmem, 1 << 20, &most, error))
        return false;
    if (bytes < VM_MEMORY_MIN)
        return fail(error, "a machine needs at least 1M of memory");
    if (bytes > VM_MEMORY_MAX)
        return fail(error, "a machine takes at most %lluT of memory", VM_MEMORY_MAX >> 40);
    if (most != bytes)
        return fail(error, "maxmem=%s: memory cannot be added later, so it is the size or left out",
                    maxmem);
    config->memory_bytes = (bytes + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    return true;
}

/* --- CPUs --- */

/* What of a topology was not said follows from the rest: cores first, as QEMU fills it. */
struct topology {
    uint64_t cpus, sockets, dies, cores, threads, max;
};

static bool take_count(struct keyval *options, const char *name, uint64_t *count, GError **error)
{
    const char *text = keyval_take(options, name);
    if (!text)
        return true;
    if (!parse_unsigned(name, text, UINT32_MAX, count, error))
        return false;
    return *count || fail(error, "%s is at least 1", name);
}

static bool topology_complete(struct topology *topology, GError **error)
{
    uint64_t rest;

    if (!topology->dies)
        topology->dies = 1;
    if (!topology->max)
        topology->max = topology->cpus;
    if (topology->max) {
        /* Everything but the cores: what divides by it is filled with cores. */
        rest = MAX(topology->sockets, 1) * topology->dies * MAX(topology->threads, 1);
        if (!topology->cores && topology->sockets)
            topology->cores = MAX(topology->max / rest, 1);
        rest = topology->dies * MAX(topology->cores, 1) * MAX(topology->threads, 1);
        if (topology->cores && !topology->sockets)
            topology->sockets = MAX(topology->max / rest, 1);
        if (!topology->cores) {
            topology->sockets = 1;
            topology->cores = MAX(topology->max / (topology->dies * MAX(topology->threads, 1)), 1);
        }
    }
    topology->sockets = MAX(topology->sockets, 1);
    topology->cores = MAX(topology->cores, 1);
    topology->threads = MAX(topology->threads, 1);
    uint64_t product = topology->sockets * topology->dies * topology->cores * topology->threads;
    if (!topology->max)
        topology->max = product;
    if (!topology->cpus)
        topology->cpus = topology->max;
    if (product != topology->max)
        return fail(
            error,
            "sockets %" G_GUINT64_FORMAT " * dies %" G_GUINT64_FORMAT " * cores %" G_GUINT64_FORMAT
            " * threads %" G_GUINT64_FORMAT " is not the number of CPUs, %" G_GUINT64_FORMAT,
            topology->sockets, topology->dies, topology->cores, topology->threads, topology->max);
    return true;
}

bool settings_smp(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "cpus",    "sockets", "dies", "cores",
                                         "threads", "maxcpus", NULL };
    auto_keyval *options = keyval_parse(text, "cpus", error);
    struct topology topology = { 0 };

    if (!options || !take_count(options, "cpus", &topology.cpus, error)
        || !take_count(options, "sockets", &topology.sockets, error)
        || !take_count(options, "dies", &topology.dies, error)
        || !take_count(options, "cores", &topology.cores, error)
        || !take_count(options, "threads", &topology.threads, error)
        || !take_count(options, "maxcpus", &topology.max, error)
        || !keyval_finish(options, names, error))
        return false;
    uint64_t most = MAX(topology.cpus, topology.max);
    if (most > VM_CPUS_MAX || topology.sockets > VM_CPUS_MAX || topology.dies > VM_CPUS_MAX
        || topology.cores > VM_CPUS_MAX || topology.threads > VM_CPUS_MAX)
        return fail(error, "a machine has at most %u CPUs", VM_CPUS_MAX);
    if (!topology_complete(&topology, error))
        return false;
    if (topology.max > VM_CPUS_MAX)
        return fail(error, "a machine has at most %u CPUs, and this asks for %" G_GUINT64_FORMAT,
                    VM_CPUS_MAX, topology.max);
    if (topology.cpus != topology.max)
        return fail(error,
                    "maxcpus=%" G_GUINT64_FORMAT
                    ": CPUs cannot be added later, so it is the number of CPUs or left out",
                    topology.max);
    config->topology =
        (struct x86_topology){ topology.sockets, topology.dies, topology.cores, topology.threads };
    if (x86_apic_id(&config->topology, topology.cpus - 1) >= VM_CPUS_MAX)
        return fail(error,
                    "the last CPU's APIC id would be %u, and %u is the largest: each level's count "
                    "is rounded up to a power of two",
                    x86_apic_id(&config->topology, topology.cpus - 1), VM_CPUS_MAX - 1);
    config->cpus = topology.cpus;
    return true;
}

/* --- engines --- */

struct engine_name {
    const char *name;
    const struct engine_ops *ops;
};

static const struct engine_name engine_names[] = {
    { "kvm", &engine_kvm },
    { "bt", &engine_bt },
    { "tcg", &engine_bt }, /* QEMU's name of its translator */
};

void settings_print_engines(void)
{
    printf("Accelerators supported in QEMU binary:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(engine_names); i++)
        printf("%s\n", engine_names[i].name);
}

/* What to say where no name is near. */
static const char *hint_or(const char *hint, const char *otherwise)
{
    return *hint ? hint : otherwise;
}

static bool engine_add(struct vm_config *config, const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(engine_names) + 1] = { 0 };
    const struct engine_ops *ops = NULL;
    size_t count = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(engine_names); i++) {
        names[i] = engine_names[i].name;
        if (!strcmp(names[i], name))
            ops = engine_names[i].ops;
    }
    if (!ops)
        return fail(error, "accelerator '%s' is unknown%s", name,
                    hint_or(hint_nearest(name, names), "; there are kvm, bt and tcg"));
    while (config->engines[count] && config->engines[count] != ops)
        count++;
    /* There are fewer engines than places, and none is added twice. */
    static_assert(G_N_ELEMENTS(engine_names) <= VM_ENGINES_MAX, "the list has its end");
    config->engines[count] = ops;
    return true;
}

static bool take_irqchip(struct vm_config *config, const char *value, GError **error)
{
    if (strcmp(value, "on") && strcmp(value, "off"))
        return fail(error, "kernel-irqchip=%s is not possible; on and off are", value);
    config->own_irqchip = !strcmp(value, "off");
    return true;
}

bool settings_engine(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "accel",          "thread",          "tb-size", "x-tb-kib",
                                         "kernel-irqchip", "one-insn-per-tb", NULL };
    auto_keyval *options = keyval_parse(text, "accel", error);
    uint64_t megabytes = 0, kilobytes = 0;

    if (!options)
        return false;
    const char *name = keyval_take(options, "accel");
    const char *thread = keyval_take(options, "thread");
    const char *irqchip = keyval_take(options, "kernel-irqchip");
    if (!name)
        return fail(error, "the accelerator's name is missing, such as 'kvm' or 'bt'");
    if (thread && strcmp(thread, "multi"))
        return fail(error, "thread=%s: each CPU has a thread of its own (thread=multi)", thread);
    if (irqchip && !take_irqchip(config, irqchip, error))
        return false;
    if (!keyval_take_unsigned(options, "tb-size", 1 << 20, &megabytes, error)
        || !keyval_take_unsigned(options, "x-tb-kib", 1 << 20, &kilobytes, error)
        || !keyval_take_bool(options, "one-insn-per-tb", &config->one_insn, error))
        return false;
    config->bt_code_bytes = megabytes << 20 | kilobytes << 10;
    return keyval_finish(options, names, error) && engine_add(config, name, error);
}

void settings_default_engines(struct vm_config *config)
{
    if (config->engines[0])
        return;
    config->engines[0] = &engine_kvm;
    config->engines[1] = &engine_bt;
}

/* --- the board --- */

void settings_print_machines(void)
{
    machine_print_help();
}

/* Options of -machine that have one right value here, or any of several that mean the same. */
struct fixed_option {
    const char *name, *values; /* separated by '|' */
    const char *why;           /* the sentence for any other value */
};

static const struct fixed_option fixed_options[] = {
    { "usb", "off", "there is no USB controller" },
    { "vmport", "off|auto", "there is no VMware port" },
    { "nvdimm", "off", "there is no NVDIMM" },
    { "sata", "off", "there is no SATA controller" },
    { "smbus", "off", "there is no SMBus" },
    { "pcie", "off", "there is no PCI bus" },
    { "ioapic2", "off|auto", "there is one I/O APIC" },
    { "hmat", "off", "there is no memory topology" },
    { "i8042", "on", "the board has an i8042" },
    { "pit", "on|auto", "the board has an 8254" },
    { "pic", "on|auto", "the board has two 8259s" },
    { "rtc", "on|auto", "the board has an RTC" },
    { "isa-serial", "on", "serial ports are chosen with -serial" },
    /* Hints: no value of these changes what the guest sees. */
    { "suppress-vmdesc", "on|off", "it is on or off" },
};

/* graphics=off: as -nographic, the text screen goes to the serial port. */
static bool take_graphics(struct vm_config *config, struct keyval *options, GError **error)
{
    bool graphics = !config->no_graphics;

    if (!keyval_take_bool(options, "graphics", &graphics, error))
        return false;
    config->no_graphics = !graphics;
    return true;
}

static bool take_fixed(struct keyval *options, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fixed_options); i++) {
        const struct fixed_option *fixed = &fixed_options[i];
        const char *value = keyval_take(options, fixed->name);
        g_auto(GStrv) values = g_strsplit(fixed->values, "|", -1);
        if (value && !g_strv_contains((const char *const *)values, value))
            return fail(error, "%s=%s: %s (valid here: %s)", fixed->name, value, fixed->why,
                        fixed->values);
    }
    return true;
}

static bool take_accel(struct vm_config *config, const char *list, GError **error)
{
    g_auto(GStrv) names = g_strsplit(list, ":", -1);

    if (!*names)
        return fail(error, "accel= lacks the accelerator's name");
    for (char **name = names; *name; name++) {
        if (!engine_add(config, *name, error))
            return false;
    }
    return true;
}

static bool take_on_off_auto(struct keyval *options, const char *name, int *choice, GError **error)
{
    const char *value = keyval_take(options, name);
    for (int i = 0; value && on_off_auto_names[i]; i++) {
        if (!strcmp(on_off_auto_names[i], value)) {
            *choice = i;
            return true;
        }
    }
    return !value || fail(error, "%s is on, off or auto, not '%s'", name, value);
}

static bool take_limit(struct vm_config *config, const char *value, GError **error)
{
    uint64_t bytes;
    if (!parse_size("max-ram-below-4g", value, 1, &bytes, error))
        return false;
    if (bytes < 1 << 20 || bytes > 4ull << 30 || bytes % GUEST_PAGE_SIZE)
        return fail(error, "max-ram-below-4g is 1M to 4G, in whole pages, not '%s'", value);
    config->below_4g_limit = bytes;
    return true;
}

static void take_string(struct keyval *options, const char *name, char **string)
{
    const char *value = keyval_take(options, name);
    if (!value)
        return;
    g_free(*string);
    *string = g_strdup(value);
}

static bool finish_machine(const struct keyval *options, GError **error)
{
    static const char *const own_names[] = {
        "type",
        "accel",
        "acpi",
        "kernel",
        "initrd",
        "append",
        "firmware",
        "hpet",
        "kernel-irqchip",
        "auto-kernel-cmdline",
        "mem-merge",
        "pflash0",
        "pflash1",
        "memory-backend",
        "dump-guest-core",
        "graphics",
        "smm",
        "max-ram-below-4g",
    };
    const char *names[G_N_ELEMENTS(own_names) + G_N_ELEMENTS(fixed_options) + 1] = { 0 };

    memcpy(names, own_names, sizeof(own_names));
    for (size_t i = 0; i < G_N_ELEMENTS(fixed_options); i++)
        names[G_N_ELEMENTS(own_names) + i] = fixed_options[i].name;
    return keyval_finish(options, names, error);
}

bool settings_machine(struct vm_config *config, const char *text, bool *engines_given,
                      GError **error)
{
    auto_keyval *options = keyval_parse(text, "type", error);

    if (!options)
        return false;
    const char *type_name = keyval_take(options, "type"), *accel = keyval_take(options, "accel");
    const char *acpi = keyval_take(options, "acpi");
    const char *irqchip = keyval_take(options, "kernel-irqchip");
    const char *limit = keyval_take(options, "max-ram-below-4g");
    *engines_given = accel;
    if (type_name) {
        const struct machine_type *type = machine_type_find(type_name, error);
        if (!type)
            return false;
        config->machine = type->name;
    }
    if (acpi && strcmp(acpi, "auto") && !parse_bool("acpi", acpi, &config->acpi, error))
        return false;
    if ((irqchip && !take_irqchip(config, irqchip, error))
        || !take_on_off_auto(options, "smm", &config->smm, error)
        || !take_on_off_auto(options, "hpet", &config->hpet, error)
        || (limit && !take_limit(config, limit, error)))
        return false;
    bool auto_command_line = !config->plain_command_line;
    bool merge = !config->memory_no_merge, dump = !config->memory_no_dump;
    if (!keyval_take_bool(options, "mem-merge", &merge, error)
        || !keyval_take_bool(options, "dump-guest-core", &dump, error))
        return false;
    config->memory_no_merge = !merge;
    config->memory_no_dump = !dump;
    take_string(options, "memory-backend", &config->memory_backend);
    if (!keyval_take_bool(options, "auto-kernel-cmdline", &auto_command_line, error))
        return false;
    config->plain_command_line = !auto_command_line;
    take_string(options, "kernel", &config->kernel);
    take_string(options, "initrd", &config->initrd);
    take_string(options, "append", &config->append);
    take_string(options, "firmware", &config->bios);
    take_string(options, "pflash0", &config->pflash_nodes[0]);
    take_string(options, "pflash1", &config->pflash_nodes[1]);
    return (!accel || take_accel(config, accel, error)) && take_graphics(config, options, error)
           && take_fixed(options, error) && finish_machine(options, error);
}

/* --- what to boot from --- */

/* QEMU's letters: a to p, each at most once. */
static bool boot_order_valid(const char *name, const char *order, GError **error)
{
    unsigned seen = 0;

    for (const char *p = order; *p; p++) {
        if (*p < 'a' || *p > 'p')
            return fail(error, "%s=%s: '%c' is no boot device; they are 'a' to 'p'", name, order,
                        *p);
        if (seen & 1u << (*p - 'a'))
            return fail(error, "%s=%s: boot device '%c' was given twice", name, order, *p);
        seen |= 1u << (*p - 'a');
    }
    return true;
}

static bool take_order(struct keyval *options, const char *name, char **order, GError **error)
{
    take_string(options, name, order);
    return !*order || boot_order_valid(name, *order, error);
}

static bool take_reboot_timeout(struct keyval *options, int64_t *timeout_ms, GError **error)
{
    const char *text = keyval_take(options, "reboot-timeout");
    uint64_t value;

    if (!text)
        return true;
    if (!strcmp(text, "-1")) {
        *timeout_ms = -1;
        return true;
    }
    if (!parse_unsigned("reboot-timeout", text, 0xffff, &value, error))
        return false;
    *timeout_ms = value;
    return true;
}

bool settings_boot(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "order",       "once",           "menu",   "splash",
                                         "splash-time", "reboot-timeout", "strict", NULL };
    struct boot_config *boot = &config->boot;
    auto_keyval *options = keyval_parse(text, "order", error);
    uint64_t splash_time = 0;

    if (!options)
        return false;
    bool timed = keyval_take(options, "splash-time");
    if (!take_order(options, "order", &boot->order, error)
        || !take_order(options, "once", &boot->once, error)
        || !keyval_take_bool(options, "menu", &boot->menu, error)
        || !keyval_take_bool(options, "strict", &boot->strict, error)
        || !keyval_take_unsigned(options, "splash-time", 0xffff, &splash_time, error)
        || !take_reboot_timeout(options, &boot->reboot_timeout_ms, error))
        return false;
    if (timed)
        boot->splash_time_ms = splash_time;
    take_string(options, "splash", &boot->splash);
    return keyval_finish(options, names, error);
}

/* --- devices --- */

bool settings_device(struct vm_config *config, const char *text, GError **error)
{
    struct keyval *options = keyval_parse_any(text, "driver", error);
    if (!options)
        return false;
    g_ptr_array_add(config->devices, options);
    return true;
}

/* --- identity --- */

bool settings_name(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "guest", "process", "debug-threads", NULL };
    auto_keyval *options = keyval_parse(text, "guest", error);
    bool debug_threads; /* threads always have their names */

    if (!options || !keyval_take_bool(options, "debug-threads", &debug_threads, error))
        return false;
    const char *process = keyval_take(options, "process");
    take_string(options, "guest", &config->name);
    if (!keyval_finish(options, names, error))
        return false;
    if (process)
        prctl(PR_SET_NAME, process);
    return true;
}

bool settings_uuid(struct vm_config *config, const char *text, GError **error)
{
    if (!g_uuid_string_is_valid(text))
        return fail(error, "a UUID looks like 8-4-4-4-12 hexadecimal digits");
    g_free(config->uuid);
    config->uuid = g_strdup(text);
    return true;
}
