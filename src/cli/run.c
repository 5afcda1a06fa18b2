/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `yado run`: a system with its console in this terminal. Without options it runs the guest that
 * `make run` prepares. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/cli.h"
#include "cli/disks.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/settings.h"
#include "util/keyval.h"
#include "util/log.h"
#include "vm/timing.h"
#include "x86/model.h"

#define LEAVE_KEY 0x1d /* Ctrl-]; shells and editors hardly use it, and never twice */
#define MEMORY_DEFAULT "1G"

#define APPLY(name) static enum option_result name(void *target, const char *value, GError **error)

static struct vm_config *config_of(void *target)
{
    return ((struct session *)target)->config;
}

static enum option_result set_string(char **string, const char *value)
{
    g_free(*string);
    *string = g_strdup(value);
    return OPTION_GOOD;
}

APPLY(apply_kernel)
{
    return set_string(&config_of(target)->kernel, value);
}

APPLY(apply_initrd)
{
    return set_string(&config_of(target)->initrd, value);
}

APPLY(apply_append)
{
    return set_string(&config_of(target)->append, value);
}

APPLY(apply_memory)
{
    return option_result(settings_memory(config_of(target), value, error));
}

APPLY(apply_cpus)
{
    return option_result(settings_smp(config_of(target), value, error));
}

APPLY(apply_accel)
{
    if (!strcmp(value, "help")) {
        settings_print_engines();
        return OPTION_ANSWERED;
    }
    return option_result(settings_engine(config_of(target), value, error));
}

APPLY(apply_cpu)
{
    if (!strcmp(value, "help")) {
        x86_model_print_help();
        return OPTION_ANSWERED;
    }
    return set_string(&config_of(target)->cpu, value);
}

APPLY(apply_machine)
{
    bool engines_given;

    if (!strcmp(value, "help")) {
        settings_print_machines();
        return OPTION_ANSWERED;
    }
    return option_result(settings_machine(config_of(target), value, &engines_given, error));
}

APPLY(apply_name)
{
    return option_result(settings_name(config_of(target), value, error));
}

APPLY(apply_device)
{
    return option_result(settings_device(config_of(target), value, error));
}

/* A path of the user's may contain a comma, which separates options. */
static bool add_drive(struct session *session, const char *path, const char *options,
                      GError **error)
{
    g_auto(GStrv) parts = g_strsplit(path, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", parts);
    g_autofree char *text = g_strdup_printf("file=%s,%s", escaped, options);
    return disks_add_drive(session->disks, text, session->config->devices->len, error);
}

APPLY(apply_disk)
{
    return option_result(add_drive(target, value, "if=virtio", error));
}

APPLY(apply_cdrom)
{
    struct session *session = target;
    return option_result(
        disks_add_short(session->disks, "cdrom", value, session->config->devices->len, error));
}

APPLY(apply_snapshot)
{
    struct session *session = target;
    session->disks->snapshot = true;
    return OPTION_GOOD;
}

APPLY(apply_firmware)
{
    return set_string(&config_of(target)->bios, value);
}

APPLY(apply_log)
{
    if (!strcmp(value, "help")) {
        log_print_help();
        return OPTION_ANSWERED;
    }
    unsigned mask;
    if (!log_parse_categories(value, &mask, error))
        return OPTION_BAD;
    log_set_mask(mask);
    return OPTION_GOOD;
}

APPLY(apply_log_file)
{
    return option_result(log_open(value, error));
}

APPLY(apply_timing)
{
    config_of(target)->timing = true;
    timing_print();
    return OPTION_GOOD;
}

/* A port of this host only: who may connect there rules the machine. */
APPLY(apply_debug)
{
    struct session *session = target;
    const char *where = value ? value : "1234";
    uint64_t port;

    if (!*where)
        return option_result(fail(error, "there is nothing behind '='; a port or a path may be"));
    g_free(session->gdb_text);
    g_free(session->gdb_line);
    if (strspn(where, "0123456789") == strlen(where)) {
        if (!parse_unsigned("the port", where, UINT16_MAX, &port, error))
            return OPTION_BAD;
        session->gdb_text = g_strdup_printf("tcp:localhost:%s", where);
        session->gdb_line = g_strdup_printf("gdb vmlinux -ex 'target remote :%s'", where);
    } else {
        session->gdb_text = g_strdup_printf("unix:%s", where);
        session->gdb_line = g_strdup_printf("gdb vmlinux -ex 'target remote %s'", where);
    }
    session->config->start_paused = true;
    return OPTION_GOOD;
}

APPLY(answer_help);

static const struct option run_options[] = {
    { "disk", "FILE", "a disk; what is on the first one is started, unless there is --kernel",
      apply_disk },
    { "cdrom", "FILE", "a CD or DVD", apply_cdrom },
    { "snapshot", NULL, "what is written to disks is forgotten at the end", apply_snapshot },
    { "firmware", "FILE", "firmware (default SeaBIOS)", apply_firmware },
    { "kernel", "FILE", "Linux kernel to start, without firmware", apply_kernel },
    { "initrd", "FILE", "its initial RAM disk", apply_initrd },
    { "append", "TEXT", "added to its command line", apply_append },
    { "memory", "SIZE", "guest memory (default " MEMORY_DEFAULT ")", apply_memory },
    { "cpus", "N", "number of CPUs (default 1)", apply_cpus },
    { "accel", "ENGINE", "kvm or bt; repeated, in order of preference (default kvm, then bt)",
      apply_accel },
    { "cpu", "MODEL", "CPU model (default max); --cpu help", apply_cpu },
    { "machine", "NAME", "the board (default pc); --machine help", apply_machine },
    { "name", "NAME", "the machine's name", apply_name },
    { "device", "DRIVER[,…]", "adds a device; yado system -device help", apply_device },
    { "debug", "[=PORT|PATH]", "starts stopped, for gdb to connect there (default 1234)",
      apply_debug },
    { "log", "CATEGORY[,…]", "logs these; --log help", apply_log },
    { "log-file", "FILE", "where the log goes, instead of standard error", apply_log_file },
    { "timing", NULL, "prints when the phases of the start were reached", apply_timing },
    { "help", NULL, "prints this", answer_help },
    { "h", NULL, NULL, answer_help },
};

static const struct option_table run_table = {
    .options = run_options,
    .count = G_N_ELEMENTS(run_options),
    .dashes = "--",
};

APPLY(answer_help)
{
    printf(
        "usage: yado run [options]\n\n"
        "Runs a system with its console in this terminal. It ends when the guest powers off, or\n"
        "when Ctrl-] is pressed twice.\n\n");
    options_print_help(&run_table);
    return OPTION_ANSWERED;
}

/* --- the prepared guest --- */

/* `file` of the folder that holds the prepared guest, or NULL. */
static char *guest_file(const char *file)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = program ? g_path_get_dirname(program) : g_strdup(".");
    const char *const parents[] = { folder, "../build", YADO_DATADIR };

    for (size_t i = 0; i < G_N_ELEMENTS(parents); i++) {
        /* build/yado has it beside itself; a relative parent counts from there. */
        bool relative = parents[i][0] == '.';
        g_autofree char *path = relative ? g_build_filename(folder, parents[i], "guest", file, NULL)
                                         : g_build_filename(parents[i], "guest", file, NULL);
        if (access(path, R_OK) == 0)
            return g_steal_pointer(&path);
    }
    return NULL;
}

/* What to start, if the user does not say: the disk with Debian on it, else (or for a command line
 * of the user's) the small guest. */
static bool choose_guest(struct session *session, GError **error)
{
    struct vm_config *config = session->config;
    bool boots_disk = session->disks->wishes->len || config->bios;

    if (config->kernel)
        return true;
    if (config->initrd)
        return fail(error, "--initrd needs --kernel");
    if (boots_disk)
        return !config->append || fail(error, "--append needs --kernel");
    g_autofree char *disk = config->append ? NULL : guest_file("debian.img");
    if (disk)
        return add_drive(session, disk, "if=virtio,format=raw", error);
    config->kernel = guest_file("vmlinuz");
    config->initrd = guest_file("initrd.gz");
    if (config->kernel && config->initrd)
        return true;
    return fail(error, "there is no prepared guest (make run makes one); choose one with --disk or "
                       "--kernel");
}

/* The console is the serial port. Linux hands on to init, as its environment, what it does not know
 * itself; so programs there learn the terminal's size, which a serial line cannot tell. */
static void complete_command_line(struct vm_config *config)
{
    g_autoptr(GString) line = g_string_new("console=ttyS0");
    const char *terminal = g_getenv("TERM");
    struct winsize size;

    if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
        g_string_append_printf(line, " LINES=%u COLUMNS=%u", size.ws_row, size.ws_col);
    if (isatty(STDIN_FILENO) && terminal && *terminal && !strpbrk(terminal, " \"'="))
        g_string_append_printf(line, " TERM=%s", terminal);
    if (config->append)
        g_string_append_printf(line, " %s", config->append);
    g_free(config->append);
    config->append = g_string_free(g_steal_pointer(&line), FALSE);
}

static int run(struct session *session, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    enum option_result result;

    settings_memory(session->config, MEMORY_DEFAULT, NULL);
    result = options_parse(&run_table, argc, argv, session, &error);
    if (result == OPTION_ANSWERED)
        return 0;
    if (result == OPTION_BAD || !choose_guest(session, &error)) {
        report_error("%s", error->message);
        return 1;
    }
    settings_default_engines(session->config);
    if (session->config->kernel)
        complete_command_line(session->config);
    session->config->no_graphics = true;
    g_ptr_array_add(session->serial_texts, g_strdup("mon:stdio"));
    session->monitor_text = g_strdup("none");
    session->keys.escape = 0;
    session->keys.leave = LEAVE_KEY;
    if (isatty(STDIN_FILENO))
        session->notice = "yado: the guest has this terminal; press Ctrl-] twice to leave";
    return session_run(session);
}

int cli_run(int argc, char **argv)
{
    struct session *session = session_new();
    int exit_code = run(session, argc, argv);

    session_free(session);
    return exit_code;
}
