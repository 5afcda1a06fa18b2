/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands about the machine as a whole: its run state, buttons, identity. */
#include <stdio.h>

#include "hw/board.h"
#include "monitor/command.h"
#include "util/version.h"
#include "vm/vm.h"

static void run_quit(struct hmp *hmp, const struct hmp_args *args)
{
    vm_request_shutdown(hmp->vm, VM_SHUTDOWN_HOST_UI);
}
HMP_COMMAND(quit) = {
    .name = "quit",
    .alias = "q",
    .help = "end the program",
    .run = run_quit,
};

static void run_stop(struct hmp *hmp, const struct hmp_args *args)
{
    vm_pause(hmp->vm);
}
HMP_COMMAND(stop) = {
    .name = "stop",
    .alias = "s",
    .help = "stop the guest",
    .run = run_stop,
};

static void run_cont(struct hmp *hmp, const struct hmp_args *args)
{
    if (hmp->vm->state == RUN_STATE_SHUTDOWN)
        hmp_print(hmp, "Error: Resetting the Virtual Machine is required\n");
    else
        vm_resume(hmp->vm);
}
HMP_COMMAND(cont) = {
    .name = "cont",
    .alias = "c",
    .help = "go on with a stopped guest",
    .run = run_cont,
};

static void run_reset(struct hmp *hmp, const struct hmp_args *args)
{
    vm_request_reset(hmp->vm);
}
HMP_COMMAND(system_reset) = {
    .name = "system_reset",
    .help = "press the reset button",
    .run = run_reset,
};

static void run_powerdown(struct hmp *hmp, const struct hmp_args *args)
{
    acpi_pm_power_button(hmp->vm);
}
HMP_COMMAND(system_powerdown) = {
    .name = "system_powerdown",
    .help = "press the power button",
    .run = run_powerdown,
};

static void info_status(struct hmp *hmp, const struct hmp_args *args)
{
    hmp_print(hmp, "VM status: %s\n", vm_state_name(hmp->vm));
}
HMP_COMMAND(info_status) = {
    .info = true,
    .name = "status",
    .help = "whether the guest runs, and if not, why",
    .run = info_status,
};

static void info_name(struct hmp *hmp, const struct hmp_args *args)
{
    if (hmp->vm->config->name)
        hmp_print(hmp, "%s\n", hmp->vm->config->name);
}
HMP_COMMAND(info_name) = {
    .info = true,
    .name = "name",
    .help = "the name given by -name",
    .run = info_name,
};

static void info_uuid(struct hmp *hmp, const struct hmp_args *args)
{
    const char *uuid = hmp->vm->config->uuid;
    hmp_print(hmp, "%s\n", uuid ? uuid : "00000000-0000-0000-0000-000000000000");
}
HMP_COMMAND(info_uuid) = {
    .info = true,
    .name = "uuid",
    .help = "the UUID given by -uuid",
    .run = info_uuid,
};

static void info_version(struct hmp *hmp, const struct hmp_args *args)
{
    hmp_print(hmp, QEMU_VERSION " (Yado " YADO_VERSION ", engine %s)\n", hmp->vm->engine->name);
}
HMP_COMMAND(info_version) = {
    .info = true,
    .name = "version",
    .help = "whose options these are, and which program this is",
    .run = info_version,
};

static void info_kvm(struct hmp *hmp, const struct hmp_args *args)
{
    hmp_print(hmp, "kvm support: %s\n", hmp->vm->engine == &engine_kvm ? "enabled" : "disabled");
}
HMP_COMMAND(info_kvm) = {
    .info = true,
    .name = "kvm",
    .help = "whether KVM runs the guest",
    .run = info_kvm,
};
