/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb's `monitor`: the human monitor, and what only makes sense inside a debugger. */
#include <string.h>

#include "chardev/chardev.h"
#include "gdb/server.h"
#include "monitor/command.h"

/* "kaslr [wait]" */
static char *monitor_kaslr(struct gdb_server *server, const char *args)
{
    g_autoptr(GError) error = NULL;

    if (!*args)
        return gdb_kernel_text(server->vcpu);
    if (strcmp(args, "wait"))
        return g_strdup("kaslr, or kaslr wait\n");
    if (!gdb_kernel_wait(server->vm, &error))
        return g_strdup_printf("%s\n", error->message);
    return g_strdup("Now continue: it stops where the kernel begins.\n");
}

/* "arch [auto|i8086|i386|i386:x86-64]" */
static char *monitor_arch(struct gdb_server *server, const char *name)
{
    static const char *const names[] = { "auto", "i8086", "i386", "i386:x86-64", NULL };
    int wanted = -2;

    for (int i = 0; names[i]; i++) {
        if (!strcmp(name, names[i]))
            wanted = i - 1;
    }
    if (wanted == -2 && *name)
        return g_strdup_printf("arch '%s' is unknown%s; there are auto, i8086, i386, i386:x86-64\n",
                               name, hint_nearest(name, names));
    if (*name) {
        server->arch_wanted = wanted;
        return g_strdup("Now say: unset tdesc filename\n");
    }
    return g_strdup_printf("gdb was told %s; the CPU runs %s code\n",
                           gdb_arch_names[server->layout.arch],
                           gdb_arch_names[gdb_arch_now(server->vcpu->cpu)]);
}

char *gdb_monitor(struct gdb_server *server, const char *line)
{
    g_autofree char *copy = g_strstrip(g_strdup(line));
    const char *rest = copy;
    unsigned cpu = server->vcpu->index;

    if (gdb_skip(&rest, "kaslr") && (!*rest || *rest == ' '))
        return monitor_kaslr(server, rest + strspn(rest, " "));
    rest = copy;
    if (gdb_skip(&rest, "arch") && (!*rest || *rest == ' '))
        return monitor_arch(server, rest + strspn(rest, " "));
    return hmp_execute(server->vm, &cpu, copy);
}

/* --- the human monitor's command --- */

static void run_gdbserver(struct hmp *hmp, const struct hmp_args *args)
{
    const char *text = args->count ? args->value[0].text : "tcp::1234";
    struct vm *vm = hmp->vm;
    GError *error = NULL;

    if (vm->gdb && vm->gdb->handling) {
        hmp_print(hmp, "Error: the debugger that asks for this would be cut off\n");
        return;
    }
    gdb_server_stop(vm);
    if (chardev_find(GDB_CHARDEV_ID))
        chardev_remove(GDB_CHARDEV_ID, NULL);
    if (!strcmp(text, "none")) {
        hmp_print(hmp, "Disabled gdbserver\n");
        return;
    }
    struct chardev *chardev = gdb_chardev_open(text, &error);
    if (!chardev || !gdb_server_start(vm, chardev, &error))
        hmp_print_error(hmp, error);
    else
        hmp_print(hmp, "Waiting for gdb connection on device '%s'\n", text);
}
HMP_COMMAND(gdbserver) = {
    .name = "gdbserver",
    .args = "s?",
    .params = "[device]",
    .help = "start the gdb server on a device, as -gdb (default tcp::1234); none: stop it",
    .run = run_gdbserver,
};
