/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/watchdog/watchdog.h"

#include "hw/board.h"
#include "vm/vm.h"

const char *const watchdog_action_names[] = {
    [WATCHDOG_RESET] = "reset",       [WATCHDOG_SHUTDOWN] = "shutdown",
    [WATCHDOG_POWEROFF] = "poweroff", [WATCHDOG_INJECT_NMI] = "inject-nmi",
    [WATCHDOG_PAUSE] = "pause",       [WATCHDOG_DEBUG] = "debug",
    [WATCHDOG_NONE] = "none",         NULL,
};

void watchdog_expired(struct vm *vm, const char *name)
{
    switch ((enum watchdog_action)vm->config->watchdog_action) {
    case WATCHDOG_RESET:
        vm_request_reset(vm);
        break;
    case WATCHDOG_SHUTDOWN:
        acpi_pm_power_button(vm);
        break;
    case WATCHDOG_POWEROFF:
        vm_request_shutdown(vm, VM_SHUTDOWN_GUEST);
        break;
    case WATCHDOG_INJECT_NMI:
        for (unsigned i = 0; i < vm->config->cpus; i++)
            vcpu_request(vm->vcpus[i], VCPU_NMI);
        break;
    case WATCHDOG_PAUSE:
        vm_request_pause(vm, RUN_STATE_WATCHDOG);
        break;
    case WATCHDOG_DEBUG:
        warn("watchdog %s: timer fired", name);
        break;
    case WATCHDOG_NONE:
        break;
    }
}

const char *const panic_action_names[] = {
    [PANIC_SHUTDOWN] = "shutdown",
    [PANIC_PAUSE] = "pause",
    [PANIC_EXIT_FAILURE] = "exit-failure",
    [PANIC_NONE] = "none",
    NULL,
};

void guest_panicked(struct vm *vm)
{
    switch ((enum panic_action)vm->config->panic_action) {
    case PANIC_SHUTDOWN:
        vm_request_shutdown(vm, VM_SHUTDOWN_GUEST);
        break;
    case PANIC_PAUSE:
        vm_request_pause(vm, RUN_STATE_GUEST_PANICKED);
        break;
    case PANIC_EXIT_FAILURE:
        vm_request_exit(vm, 1);
        break;
    case PANIC_NONE:
        break;
    }
}
