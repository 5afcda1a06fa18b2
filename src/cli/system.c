/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `yado system`, also called qemu-system-x86_64: one machine, with QEMU's options. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/settings.h"
#include "hw/device.h"
#include "util/firmware_file.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/object.h"
#include "util/version.h"
#include "vm/timing.h"
#include "x86/model.h"

struct system {
    struct session *session;
    bool no_graphic, no_defaults;
    bool engine_by_machine, engine_by_option; /* at most one of -machine accel= and -accel */
    unsigned log_mask;
    const char *log_path;
};

#define APPLY(name) static enum option_result name(void *target, const char *value, GError **error)

static bool is_help(const char *value)
{
    return !strcmp(value, "help") || !strcmp(value, "?");
}

static enum option_result set_string(char **string, const char *value)
{
    g_free(*string);
    *string = g_strdup(value);
    return OPTION_GOOD;
}

/* --- what the machine is --- */

APPLY(apply_machine)
{
    struct system *sys = target;
    struct vm_config *config = sys->session->config;
    bool by_machine = false;

    if (is_help(value)) {
        settings_print_machines();
        return OPTION_ANSWERED;
    }
    if (!settings_machine(config, value, &by_machine, error))
        return OPTION_BAD;
    if (by_machine && sys->engine_by_option)
        return option_result(fail(error, "use either -accel or -machine accel=, not both"));
    sys->engine_by_machine |= by_machine;
    return OPTION_GOOD;
}

APPLY(apply_accel)
{
    struct system *sys = target;
    if (is_help(value)) {
        settings_print_engines();
        return OPTION_ANSWERED;
    }
    if (sys->engine_by_machine)
        return option_result(fail(error, "use either -accel or -machine accel=, not both"));
    sys->engine_by_option = true;
    return option_result(settings_engine(sys->session->config, value, error));
}

APPLY(apply_enable_kvm)
{
    struct system *sys = target;
    return option_result(settings_engine(sys->session->config, "kvm", error));
}

APPLY(apply_cpu)
{
    struct system *sys = target;
    if (is_help(value)) {
        x86_model_print_help();
        return OPTION_ANSWERED;
    }
    return set_string(&sys->session->config->cpu, value);
}

APPLY(apply_smp)
{
    struct system *sys = target;
    return option_result(settings_smp(sys->session->config, value, error));
}

APPLY(apply_memory)
{
    struct system *sys = target;
    return option_result(settings_memory(sys->session->config, value, error));
}

APPLY(apply_memory_path)
{
    struct system *sys = target;
    return set_string(&sys->session->config->memory_path, value);
}

APPLY(apply_memory_prealloc)
{
    struct system *sys = target;
    sys->session->config->memory_prealloc = true;
    return OPTION_GOOD;
}

APPLY(apply_overcommit)
{
    static const char *const names[] = { "mem-lock", "cpu-pm", NULL };
    struct system *sys = target;
    auto_keyval *options = keyval_parse(value, NULL, error);
    bool cpu_pm = false;
    if (!options
        || !keyval_take_bool(options, "mem-lock", &sys->session->config->memory_lock, error)
        || !keyval_take_bool(options, "cpu-pm", &cpu_pm, error)
        || !keyval_finish(options, names, error))
        return OPTION_BAD;
    return option_result(!cpu_pm || fail(error, "cpu-pm=on is not supported"));
}

APPLY(apply_kernel)
{
    struct system *sys = target;
    return set_string(&sys->session->config->kernel, value);
}

APPLY(apply_initrd)
{
    struct system *sys = target;
    return set_string(&sys->session->config->initrd, value);
}

APPLY(apply_append)
{
    struct system *sys = target;
    return set_string(&sys->session->config->append, value);
}

APPLY(apply_bios)
{
    struct system *sys = target;
    return set_string(&sys->session->config->bios, value);
}

APPLY(apply_boot)
{
    struct system *sys = target;
    return option_result(settings_boot(sys->session->config, value, error));
}

APPLY(apply_fw_cfg)
{
    struct system *sys = target;
    g_ptr_array_add(sys->session->config->fw_cfg_texts, g_strdup(value));
    return OPTION_GOOD;
}

APPLY(apply_smbios)
{
    struct system *sys = target;
    g_ptr_array_add(sys->session->config->smbios_texts, g_strdup(value));
    return OPTION_GOOD;
}

APPLY(apply_firmware_folder)
{
    struct system *sys = target;
    GPtrArray *folders = sys->session->config->firmware_folders;
    if (is_help(value)) {
        firmware_folders_print(folders);
        return OPTION_ANSWERED;
    }
    g_ptr_array_add(folders, g_canonicalize_filename(value, NULL));
    return OPTION_GOOD;
}

APPLY(apply_name)
{
    struct system *sys = target;
    return option_result(settings_name(sys->session->config, value, error));
}

APPLY(apply_uuid)
{
    struct system *sys = target;
    return option_result(settings_uuid(sys->session->config, value, error));
}

APPLY(apply_no_hpet)
{
    struct system *sys = target;
    sys->session->config->hpet = ON_OFF_AUTO_OFF;
    return OPTION_GOOD;
}

APPLY(apply_no_acpi)
{
    struct system *sys = target;
    sys->session->config->acpi = false;
    return OPTION_GOOD;
}

/* --- devices and consoles --- */

APPLY(apply_device)
{
    struct system *sys = target;
    if (is_help(value)) {
        device_print_help();
        return OPTION_ANSWERED;
    }
    if (g_str_has_suffix(value, ",help") || g_str_has_suffix(value, ",?")) {
        g_autofree char *name = g_strndup(value, strcspn(value, ","));
        return device_print_properties(name, error) ? OPTION_ANSWERED : OPTION_BAD;
    }
    return option_result(settings_device(sys->session->config, value, error));
}

APPLY(apply_global)
{
    struct system *sys = target;
    return option_result(vm_config_add_global(sys->session->config, value, error));
}

APPLY(apply_set)
{
    struct system *sys = target;
    return option_result(vm_config_set(sys->session->config, value, error));
}

APPLY(apply_object)
{
    struct system *sys = target;
    g_autofree char *type = g_strndup(value, strcspn(value, ","));
    if (is_help(value)) {
        object_print_help();
        return OPTION_ANSWERED;
    }
    if (g_str_has_suffix(value, ",help") || g_str_has_suffix(value, ",?"))
        return object_print_options(type, error) ? OPTION_ANSWERED : OPTION_BAD;
    g_ptr_array_add(sys->session->object_texts, g_strdup(value));
    return OPTION_GOOD;
}

APPLY(apply_drive)
{
    struct system *sys = target;
    const struct session *session = sys->session;
    return option_result(
        disks_add_drive(session->disks, value, session->config->devices->len, error));
}

APPLY(apply_blockdev)
{
    struct system *sys = target;
    return option_result(disks_add_blockdev(sys->session->disks, value, error));
}

#define APPLY_DRIVE_SHORT(name) \
    APPLY(apply_##name) \
    { \
        struct system *sys = target; \
        const struct session *session = sys->session; \
        return option_result( \
            disks_add_short(session->disks, #name, value, session->config->devices->len, error)); \
    }
APPLY_DRIVE_SHORT(hda)
APPLY_DRIVE_SHORT(hdb)
APPLY_DRIVE_SHORT(hdc)
APPLY_DRIVE_SHORT(hdd)
APPLY_DRIVE_SHORT(cdrom)
APPLY_DRIVE_SHORT(fda)
APPLY_DRIVE_SHORT(fdb)
APPLY_DRIVE_SHORT(pflash)

APPLY(apply_snapshot)
{
    struct system *sys = target;
    sys->session->disks->snapshot = true;
    return OPTION_GOOD;
}

APPLY(apply_chardev)
{
    struct system *sys = target;
    if (is_help(value)) {
        chardev_print_help();
        return OPTION_ANSWERED;
    }
    g_ptr_array_add(sys->session->chardev_texts, g_strdup(value));
    return OPTION_GOOD;
}

APPLY(apply_serial)
{
    struct system *sys = target;
    if (sys->session->serial_texts->len == VM_SERIAL_PORTS)
        return option_result(fail(error, "a machine has at most %d serial ports", VM_SERIAL_PORTS));
    g_ptr_array_add(sys->session->serial_texts, g_strdup(value));
    return OPTION_GOOD;
}

APPLY(apply_monitor)
{
    struct system *sys = target;
    return set_string(&sys->session->monitor_text, value);
}

APPLY(apply_gdb)
{
    struct system *sys = target;
    return set_string(&sys->session->gdb_text, value);
}

APPLY(apply_gdb_default)
{
    struct system *sys = target;
    return set_string(&sys->session->gdb_text, "tcp::1234");
}

APPLY(apply_nographic)
{
    struct system *sys = target;
    sys->no_graphic = true;
    sys->session->config->no_graphics = true;
    return OPTION_GOOD;
}

APPLY(apply_nodefaults)
{
    struct system *sys = target;
    sys->no_defaults = true;
    return OPTION_GOOD;
}

APPLY(apply_echr)
{
    struct system *sys = target;
    uint64_t key;
    if (!parse_unsigned("the escape key", value, 255, &key, error))
        return OPTION_BAD;
    sys->session->keys.escape = key;
    return OPTION_GOOD;
}

/* Hardware that is not there yet: to have none of it is what an option may ask for. */
APPLY(apply_none)
{
    if (strcmp(value, "none"))
        return option_result(fail(error, "only 'none' is supported"));
    return OPTION_GOOD;
}

APPLY(apply_vga)
{
    struct system *sys = target;
    if (is_help(value)) {
        printf("none                 no graphic card\nstd                  standard VGA (default)\n");
        return OPTION_ANSWERED;
    }
    if (strcmp(value, "none") && strcmp(value, "std"))
        return option_result(fail(error, "there are 'std' and 'none'"));
    return set_string(&sys->session->config->vga, value);
}

APPLY(apply_rtc)
{
    struct system *sys = target;
    return option_result(settings_rtc(sys->session->config, value, error));
}

/* --- how it runs --- */

APPLY(apply_action)
{
    struct system *sys = target;
    return option_result(settings_action(sys->session->config, value, error));
}

APPLY(apply_watchdog_action)
{
    struct system *sys = target;
    return option_result(settings_watchdog_action(sys->session->config, value, error));
}

APPLY(apply_no_reboot)
{
    struct system *sys = target;
    sys->session->config->no_reboot = true;
    return OPTION_GOOD;
}

APPLY(apply_no_shutdown)
{
    struct system *sys = target;
    sys->session->config->no_shutdown = true;
    return OPTION_GOOD;
}

APPLY(apply_stopped)
{
    struct system *sys = target;
    sys->session->config->start_paused = true;
    return OPTION_GOOD;
}

APPLY(apply_pidfile)
{
    struct system *sys = target;
    /* The daemon's working directory is another. */
    g_free(sys->session->pidfile);
    sys->session->pidfile = g_canonicalize_filename(value, NULL);
    return OPTION_GOOD;
}

APPLY(apply_daemonize)
{
    struct system *sys = target;
    sys->session->daemonize = true;
    return OPTION_GOOD;
}

APPLY(apply_log)
{
    struct system *sys = target;
    unsigned mask;

    if (is_help(value)) {
        log_print_help();
        return OPTION_ANSWERED;
    }
    if (!log_parse_categories(value, &mask, error))
        return OPTION_BAD;
    sys->log_mask |= mask;
    return OPTION_GOOD;
}

APPLY(apply_log_file)
{
    struct system *sys = target;
    sys->log_path = value;
    return OPTION_GOOD;
}

APPLY(apply_log_filter)
{
    return option_result(log_parse_filter(value, error));
}

APPLY(apply_single_step)
{
    struct system *sys = target;
    sys->session->config->one_insn = true;
    return OPTION_GOOD;
}

APPLY(apply_timing)
{
    struct system *sys = target;
    sys->session->config->timing = true;
    timing_print();
    return OPTION_GOOD;
}

APPLY(apply_hint)
{
    return OPTION_GOOD;
}

APPLY(apply_msg)
{
    static const char *const names[] = { "timestamp", "guest-name", NULL };
    auto_keyval *options = keyval_parse(value, NULL, error);
    bool ignored;

    return option_result(options && keyval_take_bool(options, "timestamp", &ignored, error)
                         && keyval_take_bool(options, "guest-name", &ignored, error)
                         && keyval_finish(options, names, error));
}

/* --- the table --- */

APPLY(answer_version)
{
    printf("QEMU emulator version " QEMU_VERSION " (Yado " YADO_VERSION ")\n"
           "Yado is free software under the GNU General Public License, version 2 or later.\n");
    return OPTION_ANSWERED;
}

APPLY(answer_help);

static const struct option system_options[] = {
    { "M", "[type=]NAME[,OPTION=VALUE…]", "the board: pc or microvm; -M help", apply_machine },
    { "machine", "[type=]NAME[,OPTION=VALUE…]", "the same; accel=kvm:bt chooses engines",
      apply_machine },
    { "accel", "[accel=]NAME[,tb-size=MIB][,one-insn-per-tb=on]",
      "engine: kvm, bt (or tcg); repeated, in order of preference", apply_accel },
    { "enable-kvm", NULL, "the same as -accel kvm", apply_enable_kvm },
    { "cpu", "MODEL[,+FEATURE][,-FEATURE…]", "CPU model; -cpu help", apply_cpu },
    { "smp", "[cpus=]N[,sockets=,cores=,threads=]", "number of CPUs, 1 to 255", apply_smp },
    { "m", "[size=]SIZE", "guest memory, in MiB or with k, M, G, T", apply_memory },
    { "mem-path", "PATH", "guest memory from a file there", apply_memory_path },
    { "mem-prealloc", NULL, "takes all guest memory at the start", apply_memory_prealloc },
    { "overcommit", "mem-lock=on|off", "keeps guest memory from being swapped out",
      apply_overcommit },
    { "kernel", "FILE", "Linux bzImage, multiboot kernel, or ELF file with a PVH entry", apply_kernel },
    { "initrd", "FILE", "the kernel's initial RAM disk, or a multiboot kernel's modules", apply_initrd },
    { "append", "TEXT", "the kernel's command line", apply_append },
    { "bios", "FILE", "firmware, instead of the board's own", apply_bios },
    { "L", "FOLDER", "looks for firmware there first; -L help", apply_firmware_folder },
    { "boot", "[order=]DRIVES[,once=DRIVES][,menu=on|off][,…]",
      "what the firmware boots from: a floppy, c disk, d CD, n network", apply_boot },
    { "smbios", "type=N[,FIELD=TEXT…]", "fields of SMBIOS structures 0, 1, 2, 3, 4, 11, 17",
      apply_smbios },
    { "fw_cfg", "[name=]NAME,file=FILE|string=TEXT", "a file for the firmware or the guest",
      apply_fw_cfg },
    { "name", "[guest=]NAME[,process=NAME]", "the machine's name, the process's name", apply_name },
    { "uuid", "UUID", "the machine's UUID", apply_uuid },
    { "no-acpi", NULL, "no ACPI tables (-machine acpi=off)", apply_no_acpi },

    { "device", "DRIVER[,id=][,bus=][,PROPERTY=VALUE…]",
      "adds a device, also as JSON; -device help, -device DRIVER,help", apply_device },
    { "global", "DRIVER.PROPERTY=VALUE", "a property's default for all devices of a type",
      apply_global },
    { "set", "device.ID.PROPERTY=VALUE", "sets a property of the device with this id", apply_set },
    { "object", "TYPE,id=ID[,OPTION=VALUE…]",
      "makes an iothread, a source of randomness, …, also as JSON; -object help", apply_object },
    { "drive", "[file=FILE][,if=INTERFACE][,format=FORMAT][,…]", "a disk image and its place",
      apply_drive },
    { "blockdev", "DRIVER,node-name=NAME[,…]", "a block node for drive= of a device, also as JSON",
      apply_blockdev },
    { "hda", "FILE", "first disk; also -hdb, -hdc, -hdd", apply_hda },
    { "hdb", "FILE", NULL, apply_hdb },
    { "hdc", "FILE", NULL, apply_hdc },
    { "hdd", "FILE", NULL, apply_hdd },
    { "cdrom", "FILE", "CD in the third drive", apply_cdrom },
    { "fda", "FILE", "first floppy disk; also -fdb", apply_fda },
    { "fdb", "FILE", NULL, apply_fdb },
    { "pflash", "FILE", "flash memory with firmware (-drive if=pflash)", apply_pflash },
    { "snapshot", NULL, "writes to disks go to temporary files", apply_snapshot },
    { "chardev", "BACKEND,id=ID[,mux=on][,…]", "defines a character device; -chardev help",
      apply_chardev },
    { "serial", "DEVICE",
      "next serial port: stdio, mon:stdio, pty, file:PATH, unix:PATH[,server][,nowait], "
      "tcp:HOST:PORT[,server][,nowait], chardev:ID, null, none",
      apply_serial },
    { "nographic", NULL, "first serial port and monitor on stdio (Ctrl-A h: keys)",
      apply_nographic },
    { "monitor", "DEVICE", "the monitor, as -serial; or none", apply_monitor },
    { "echr", "NUMBER", "escape key of mon:stdio, instead of 1 (Ctrl-A)", apply_echr },
    { "nodefaults", NULL, "no serial port and monitor but those asked for", apply_nodefaults },
    { "display", "none", "there is no display", apply_none },
    { "vga", "std|none", "the graphics card", apply_vga },
    { "parallel", "none", "there is no parallel port", apply_none },
    { "net", "none", "there is no network card", apply_none },
    { "nic", "none", "there is no network card", apply_none },
    { "rtc", "[base=utc|localtime|DATE][,clock=host|rt][,driftfix=none|slew]",
      "what the RTC shows, and whether late interrupts are made up for", apply_rtc },

    { "action", "[reboot=][,shutdown=][,panic=][,watchdog=]",
      "what is done then: reset|shutdown, poweroff|pause, shutdown|pause|exit-failure|none, …",
      apply_action },
    { "watchdog-action", "reset|shutdown|poweroff|inject-nmi|pause|debug|none",
      "what is done when a watchdog expires", apply_watchdog_action },
    { "no-reboot", NULL, "ends instead of a reset", apply_no_reboot },
    { "no-shutdown", NULL, "stays when the guest powers off, stopped", apply_no_shutdown },
    { "S", NULL, "starts stopped (cont in the monitor or in gdb)", apply_stopped },
    { "gdb", "DEVICE",
      "a debugger may connect here: tcp:[HOST]:PORT, unix:PATH, stdio, pty, chardev:ID, none",
      apply_gdb },
    { "s", NULL, "as -gdb tcp::1234", apply_gdb_default },
    { "pidfile", "FILE", "writes the process id there; removed at the end", apply_pidfile },
    { "daemonize", NULL, "goes to the background once the machine exists", apply_daemonize },
    { "d", "CATEGORY[,…]", "logs these; -d help", apply_log },
    { "D", "FILE", "where the log goes, instead of standard error; %d is the process id",
      apply_log_file },
    { "dfilter", "RANGE[,…]", "logs only code at these addresses: A..B, A+SIZE, A-SIZE",
      apply_log_filter },
    { "singlestep", NULL, "bt translates one instruction at a time (-accel bt,one-insn-per-tb=on)",
      apply_single_step },
    { "timing", NULL, "prints when the phases of the start were reached", apply_timing },

    { "msg", "timestamp=on|off", "accepted, has no effect", apply_msg },
    { "no-user-config", NULL, "accepted: there are no configuration files", apply_hint },
    { "no-hpet", NULL, "no HPET (-machine hpet=off)", apply_no_hpet },
    { "version", NULL, "prints the version", answer_version },
    { "h", NULL, "prints this", answer_help },
    { "help", NULL, NULL, answer_help },
};

static const struct option_table system_table = {
    .options = system_options,
    .count = G_N_ELEMENTS(system_options),
    .dashes = "-",
};

APPLY(answer_help)
{
    printf("Yado " YADO_VERSION " as QEMU " QEMU_VERSION ": runs one virtual machine.\n\n"
           "usage: %s [options]\n\n",
           g_get_prgname());
    options_print_help(&system_table);
    return OPTION_ANSWERED;
}

/* --- what the options together mean --- */

static bool options_agree(const struct system *sys, GError **error)
{
    const struct session *session = sys->session;
    const struct vm_config *config = session->config;

    if (!config->kernel && config->initrd)
        return fail(error, "-initrd only allowed with -kernel option");
    if (!config->kernel && config->append)
        return fail(error, "-append only allowed with -kernel option");
    if (sys->no_graphic && session->daemonize && !sys->no_defaults && !session->serial_texts->len
        && !session->monitor_text)
        return fail(error,
                    "-nographic cannot be used with -daemonize, which leaves it no terminal");
    return true;
}

/* -nographic puts on stdio what was not put elsewhere; without it a serial port goes nowhere. */
static void add_default_consoles(struct system *sys)
{
    struct session *session = sys->session;
    bool monitor_taken = session->monitor_text;

    for (guint i = 0; i < session->serial_texts->len; i++)
        monitor_taken |= g_str_has_prefix(session->serial_texts->pdata[i], "mon:");
    if (sys->no_defaults)
        return;
    if (!session->serial_texts->len) {
        const char *text = !sys->no_graphic ? "null" : monitor_taken ? "stdio" : "mon:stdio";
        g_ptr_array_add(session->serial_texts, g_strdup(text));
    } else if (sys->no_graphic && !monitor_taken) {
        session->monitor_text = g_strdup("stdio");
    }
}

/* A graphics card unless one was chosen, by -vga or as a device, or nothing shall be added. */
static void add_default_graphics(struct system *sys)
{
    struct vm_config *config = sys->session->config;

    for (guint i = 0; i < config->devices->len; i++) {
        const char *driver = keyval_take(config->devices->pdata[i], "driver");
        const struct device_type *type = driver ? device_type_find(driver) : NULL;
        if (type && type->draw)
            return;
    }
    if (!sys->no_defaults && !config->vga)
        config->vga = g_strdup("std");
}

static bool start_log(const struct system *sys, GError **error)
{
    log_set_mask(sys->log_mask);
    return !sys->log_path || log_open(sys->log_path, error) || fail_prefix(error, "-D: ");
}

static int run(struct system *sys, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    enum option_result result = options_parse(&system_table, argc, argv, sys, &error);

    if (result == OPTION_ANSWERED)
        return 0;
    if (result == OPTION_BAD || !options_agree(sys, &error) || !start_log(sys, &error)) {
        report_error("%s", error->message);
        return 1;
    }
    settings_default_engines(sys->session->config);
    add_default_consoles(sys);
    add_default_graphics(sys);
    return session_run(sys->session);
}

int cli_system(int argc, char **argv)
{
    struct system sys = { .session = session_new() };
    int exit_code = run(&sys, argc, argv);

    session_free(sys.session);
    return exit_code;
}
