/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of a session:
 *
 *      daemonize (fork before any thread exists), pidfile
 *      chardevs  (may wait for a peer, so signals still act as usual), objects, disks
 *      signals   (blocked from here on, read by the main loop)
 *      machine   (vm_create: engine, memory, devices)
 *      monitor, terminal
 *      vm_start, ready, main loop, and everything back in reverse */
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "chardev/terminal.h"
#include "gdb/gdb.h"
#include "monitor/console.h"
#include "util/object.h"
#include "vm/timing.h"

struct session *session_new(void)
{
    struct session *session = g_new0(struct session, 1);
    session->config = vm_config_new();
    session->chardev_texts = g_ptr_array_new_with_free_func(g_free);
    session->serial_texts = g_ptr_array_new_with_free_func(g_free);
    session->object_texts = g_ptr_array_new_with_free_func(g_free);
    session->disks = disks_new();
    session->keys.escape = 1; /* Ctrl-A */
    session->name_signals = true;
    return session;
}

void session_free(struct session *session)
{
    vm_config_free(session->config);
    g_ptr_array_unref(session->chardev_texts);
    g_ptr_array_unref(session->serial_texts);
    g_ptr_array_unref(session->object_texts);
    disks_free(session->disks);
    g_free(session->monitor_text);
    g_free(session->gdb_text);
    g_free(session->gdb_line);
    g_free(session->pidfile);
    g_free(session);
}

/* --- daemon --- */

/* In the child: the end of a pipe on which it says that it is ready. The parent does not return: it
 * exits with 0 when told so, with 1 when the child ends before. */
static int daemonize(GError **error)
{
    int ends[2];
    char byte;

    if (pipe2(ends, O_CLOEXEC)) {
        fail_errno(error, "-daemonize: cannot make a pipe");
        return -1;
    }
    pid_t child = fork();
    if (child < 0) {
        fail_errno(error, "-daemonize: cannot fork");
        return -1;
    }
    if (child) {
        ssize_t got;
        close(ends[1]);
        do
            got = read(ends[0], &byte, 1);
        while (got < 0 && errno == EINTR);
        _exit(got == 1 ? 0 : 1);
    }
    close(ends[0]);
    setsid();
    return ends[1];
}

static void daemon_ready(int ready_fd)
{
    auto_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd <= 2; fd++)
        dup2(null_fd, fd);
    if (chdir("/") || write(ready_fd, "", 1) != 1)
        warn("-daemonize: %s", strerror(errno));
}

/* --- pidfile --- */

static bool pidfile_write(const char *path, GError **error)
{
    g_autofree char *new_path = g_strdup_printf("%s.%d", path, getpid());
    char text[32];
    int length = snprintf(text, sizeof(text), "%d\n", getpid());
    auto_close int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    /* Renamed into place, so that nobody reads half of it. */
    if (fd >= 0 && write(fd, text, length) == length && !rename(new_path, path))
        return true;
    fail_errno(error, "-pidfile: cannot write '%s'", path);
    unlink(new_path);
    return false;
}

static void pidfile_remove(const char *path)
{
    g_autofree char *text = NULL;
    /* Another machine may have taken the name since. */
    if (g_file_get_contents(path, &text, NULL, NULL) && atoi(text) == getpid())
        unlink(path);
}

/* --- chardevs --- */

static struct chardev *serial_open(struct session *session, unsigned index, GError **error)
{
    const char *text = session->serial_texts->pdata[index];
    g_autofree char *id = g_strdup_printf("serial%u", index);
    struct chardev *chardev = chardev_new_short(id, text, error);

    if (!chardev)
        fail_prefix(error, "-serial %s: ", text);
    return chardev;
}

/* Who has a chardev, or NULL. */
struct consoles {
    struct chardev *monitor, *gdb;
};

static bool chardevs_open(struct session *session, struct consoles *consoles, GError **error)
{
    const char *monitor_text = session->monitor_text;
    struct chardev **monitor = &consoles->monitor;

    for (guint i = 0; i < session->chardev_texts->len; i++) {
        const char *text = session->chardev_texts->pdata[i];
        if (!chardev_new(text, error))
            return fail_prefix(error, "-chardev %s: ", text);
    }
    for (guint i = 0; i < session->serial_texts->len; i++) {
        const char *text = session->serial_texts->pdata[i];
        if (!strcmp(text, "none"))
            continue;
        session->config->serial[i] = serial_open(session, i, error);
        if (!session->config->serial[i])
            return false;
        if (!*monitor && !monitor_text && g_str_has_prefix(text, "mon:"))
            *monitor = session->config->serial[i];
    }
    if (monitor_text && strcmp(monitor_text, "none")) {
        *monitor = chardev_new_short("monitor", monitor_text, error);
        if (!*monitor)
            return fail_prefix(error, "-monitor %s: ", monitor_text);
    }
    if (session->gdb_text && strcmp(session->gdb_text, "none")) {
        consoles->gdb = gdb_chardev_open(session->gdb_text, error);
        if (!consoles->gdb)
            return fail_prefix(error, "-gdb %s: ", session->gdb_text);
    }
    if (session->daemonize && chardevs_use_stdio())
        return fail(error, "-daemonize: stdio cannot be used, because a daemon has none");
    return true;
}

/* --- objects --- */

static bool objects_create(const struct session *session, bool late, GError **error)
{
    for (guint i = 0; i < session->object_texts->len; i++) {
        const char *text = session->object_texts->pdata[i];
        if (object_text_is_late(text) == late && !object_new_text(text, error))
            return fail_prefix(error, "-object %s: ", text);
    }
    return true;
}

/* --- signals --- */

static void report_signal(const struct signalfd_siginfo *info)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/cmdline", info->ssi_pid);
    g_autofree char *name = NULL;

    if (!info->ssi_pid) {
        report_error("terminating on signal %u", info->ssi_signo);
        return;
    }
    if (!g_file_get_contents(path, &name, NULL, NULL) || !*name)
        g_clear_pointer(&name, g_free);
    report_error("terminating on signal %u from pid %u (%s)", info->ssi_signo, info->ssi_pid,
                 name ? name : "<unknown process>");
}

struct signal_target {
    struct vm *vm;
    bool name_signals;
};

static gboolean signal_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    const struct signal_target *target = opaque;
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return G_SOURCE_CONTINUE;
    switch (info.ssi_signo) {
    case SIGTSTP:
        terminal_suspend();
        break;
    case SIGCONT:
        terminal_continue();
        break;
    default:
        if (target->name_signals)
            report_signal(&info);
        vm_request_shutdown(target->vm, VM_SHUTDOWN_HOST_SIGNAL);
    }
    return G_SOURCE_CONTINUE;
}

/* Blocks what the main loop handles, in this thread and all it starts. */
static int signals_block(GError **error)
{
    static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT };
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < G_N_ELEMENTS(handled); i++)
        sigaddset(&set, handled[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        fail_errno(error, "cannot make a signalfd");
    return fd;
}

/* --- the session --- */

static void quit(void *opaque)
{
    vm_request_shutdown(opaque, VM_SHUTDOWN_HOST_UI);
}

/* From a created machine to its end. */
static bool run_machine(struct session *session, struct vm *vm, const struct consoles *consoles,
                        int ready_fd, struct monitor **monitor, GError **error)
{
    session->keys.quit = quit;
    session->keys.opaque = vm;
    chardevs_set_mux_keys(&session->keys);
    if (consoles->monitor) {
        *monitor = monitor_new(vm, consoles->monitor, error);
        if (!*monitor)
            return fail_prefix(error, "-monitor: ");
    }
    if (session->notice)
        fprintf(stderr, "%s\n", session->notice);
    chardevs_activate();
    if (!vm_start(vm, error))
        return false;
    if (consoles->gdb && !gdb_server_start(vm, consoles->gdb, error))
        return fail_prefix(error, "-gdb: ");
    if (session->gdb_line)
        fprintf(stderr, "yado: stopped before the first instruction; to debug, run\r\n    %s\r\n",
                session->gdb_line);
    if (ready_fd >= 0)
        daemon_ready(ready_fd);
    vm_run_loop(vm);
    return true;
}

static bool run(struct session *session, int *exit_code, GError **error)
{
    struct consoles consoles = { 0 };
    struct monitor *monitor = NULL;
    auto_close int ready_fd = -1;

    if (session->daemonize && (ready_fd = daemonize(error)) < 0)
        return false;
    if (session->pidfile && !pidfile_write(session->pidfile, error))
        return false;
    if (!chardevs_open(session, &consoles, error))
        return false;
    /* Threads that start from here on have these blocked. */
    auto_close int signal_fd = signals_block(error);
    if (signal_fd < 0)
        return false;
    if (!objects_create(session, false, error) || !objects_create(session, true, error)
        || !disks_open(session->disks, session->config, error))
        return false;
    struct vm *vm = vm_create(g_steal_pointer(&session->config), error);
    if (!vm)
        return false;
    if (!disks_check_used(vm->config, error)) {
        vm_free(vm);
        return false;
    }
    struct signal_target target = { .vm = vm, .name_signals = session->name_signals };
    unsigned watch = g_unix_fd_add(signal_fd, G_IO_IN, signal_ready, &target);

    bool good = run_machine(session, vm, &consoles, ready_fd, &monitor, error);
    *exit_code = vm->exit_code;
    /* Who ends the machine from outside does not want to wait for whoever reads its output. */
    unsigned patience_ms = vm->ended_by_host ? 200 : 5000;
    g_source_remove(watch);
    gdb_server_stop(vm);
    vm_free(vm);
    monitor_free(monitor);
    chardevs_flush(patience_ms);
    return good;
}

int session_run(struct session *session)
{
    g_autoptr(GError) error = NULL;
    int exit_code = 1;

    signal(SIGPIPE, SIG_IGN);
    bool good = run(session, &exit_code, &error);
    disks_close(session->disks);
    objects_delete_all();
    chardevs_close_all();
    if (session->pidfile)
        pidfile_remove(session->pidfile);
    if (!good)
        report_error("%s", error->message);
    return good ? exit_code : 1;
}
