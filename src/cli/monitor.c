/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/monitor.h"

#include <stdio.h>
#include <string.h>

#include "chardev/chardev.h"
#include "hw/board.h"
#include "vm/vm.h"

#define LINE_BYTES 256
#define PROMPT "(qemu) "

struct monitor {
    struct vm *vm;
    struct chardev *chardev;
    char line[LINE_BYTES];
    size_t length;
    bool greeted;
    bool in_escape; /* inside a terminal's key sequence, which is ignored */
};

struct command {
    const char *name, *short_name, *arguments, *help;
    void (*run)(struct monitor *monitor, const char *arguments);
};

static void print(struct monitor *monitor, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void print(struct monitor *monitor, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    chardev_write(monitor->chardev, text, strlen(text));
}

/* --- commands --- */

static void command_quit(struct monitor *monitor, const char *arguments)
{
    vm_request_shutdown(monitor->vm, VM_SHUTDOWN_HOST_UI);
}

static void command_stop(struct monitor *monitor, const char *arguments)
{
    vm_pause(monitor->vm);
}

static void command_cont(struct monitor *monitor, const char *arguments)
{
    if (monitor->vm->state == RUN_STATE_SHUTDOWN)
        print(monitor, "Error: the guest has shut down; use 'system_reset' first\r\n");
    else
        vm_resume(monitor->vm);
}

static void command_reset(struct monitor *monitor, const char *arguments)
{
    vm_request_reset(monitor->vm);
}

static void command_powerdown(struct monitor *monitor, const char *arguments)
{
    acpi_pm_power_button(monitor->vm);
}

static void command_info(struct monitor *monitor, const char *arguments)
{
    const struct vm *vm = monitor->vm;
    static const char *const topics[] = { "name", "status", "uuid", "version", NULL };

    if (!strcmp(arguments, "status"))
        print(monitor, "VM status: %s\r\n", vm_state_name(vm));
    else if (!strcmp(arguments, "name"))
        print(monitor, "%s\r\n", vm->config->name ? vm->config->name : "");
    else if (!strcmp(arguments, "uuid"))
        print(monitor, "%s\r\n",
              vm->config->uuid ? vm->config->uuid : "00000000-0000-0000-0000-000000000000");
    else if (!strcmp(arguments, "version"))
        print(monitor, "Yado " YADO_VERSION ", engine %s\r\n", vm->engine->name);
    else
        print(monitor, "info name, status, uuid or version%s\r\n", hint_nearest(arguments, topics));
}

static void command_help(struct monitor *monitor, const char *arguments);

static const struct command commands[] = {
    { "cont", "c", "", "go on with a stopped guest", command_cont },
    { "help", "?", "", "this list", command_help },
    { "info", NULL, " name|status|uuid|version", "about the machine", command_info },
    { "quit", "q", "", "end the program", command_quit },
    { "stop", "s", "", "stop the guest", command_stop },
    { "system_powerdown", NULL, "", "press the power button", command_powerdown },
    { "system_reset", NULL, "", "press the reset button", command_reset },
};

static void command_help(struct monitor *monitor, const char *arguments)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const struct command *command = &commands[i];
        print(monitor, "%s%s%s%s -- %s\r\n", command->name, command->short_name ? "|" : "",
              command->short_name ? command->short_name : "", command->arguments, command->help);
    }
}

static void run_line(struct monitor *monitor)
{
    const char *names[G_N_ELEMENTS(commands) + 1] = { 0 };
    char *line = g_strstrip(monitor->line);
    size_t length = strcspn(line, " \t");
    const char *arguments = line + length + strspn(line + length, " \t");
    g_autofree char *name = g_strndup(line, length);

    if (!length)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        names[i] = commands[i].name;
        if (!strcmp(name, commands[i].name) || !g_strcmp0(name, commands[i].short_name)) {
            commands[i].run(monitor, arguments);
            return;
        }
    }
    print(monitor, "unknown command: '%s'%s\r\n", name, hint_nearest(name, names));
}

/* --- the line --- */

static void line_done(struct monitor *monitor)
{
    print(monitor, "\r\n");
    monitor->line[monitor->length] = '\0';
    run_line(monitor);
    monitor->length = 0;
    print(monitor, PROMPT);
}

static void line_erase(struct monitor *monitor)
{
    monitor->length--;
    print(monitor, "\b \b");
}

static void line_key(struct monitor *monitor, uint8_t key)
{
    if (monitor->in_escape) {
        /* ESC [ … letter, or ESC letter */
        monitor->in_escape = key == '[' || !g_ascii_isalpha(key);
    } else if (key == '\r' || key == '\n') {
        line_done(monitor);
    } else if (key == 0x1b) {
        monitor->in_escape = true;
    } else if (key == 0x7f || key == '\b') {
        if (monitor->length)
            line_erase(monitor);
    } else if (key == 0x15 || key == 0x03) { /* Ctrl-U, Ctrl-C */
        while (monitor->length)
            line_erase(monitor);
    } else if (key >= ' ' && monitor->length < LINE_BYTES - 1) {
        monitor->line[monitor->length++] = key;
        print(monitor, "%c", key);
    }
}

static size_t monitor_can_receive(void *opaque)
{
    return LINE_BYTES;
}

static void monitor_receive(void *opaque, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        line_key(opaque, data[i]);
}

static void monitor_event(void *opaque, enum chardev_event event)
{
    struct monitor *monitor = opaque;

    if (event != CHARDEV_OPENED)
        return;
    if (!monitor->greeted)
        print(monitor, "Yado " YADO_VERSION " monitor - type 'help' for more information\r\n");
    monitor->greeted = true;
    print(monitor, PROMPT);
}

static const struct chardev_frontend monitor_frontend = {
    .can_receive = monitor_can_receive,
    .receive = monitor_receive,
    .event = monitor_event,
};

struct monitor *monitor_new(struct vm *vm, struct chardev *chardev, GError **error)
{
    struct monitor *monitor = g_new0(struct monitor, 1);
    monitor->vm = vm;
    monitor->chardev = chardev;
    if (chardev_attach(chardev, &monitor_frontend, monitor, error))
        return monitor;
    g_free(monitor);
    return NULL;
}

void monitor_free(struct monitor *monitor)
{
    g_free(monitor);
}
