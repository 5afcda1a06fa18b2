/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine's life: made from its configuration, started, paused, reset, ended.
 *
 * Whatever a guest or another thread asks for becomes a bit in vm->asked, which the main loop takes
 * up: only the main loop changes the run state, and it does so with every vCPU stopped. */
#include "vm/vm.h"

#include <glib-unix.h>
#include <sys/eventfd.h>

#include "hw/device.h"
#include "hw/intc/apic.h"
#include "machine/machine.h"
#include "memory/backend.h"
#include "util/keyval.h"
#include "util/timer.h"
#include "vm/timing.h"
#include "vm/vcpu.h"
#include "x86/log.h"

/* Bits of vm->asked beside 1 << enum vm_shutdown_cause. */
#define ASKED_RESET (1u << 16)
#define ASKED_EXIT (1u << 17)
#define ASKED_DEBUG (1u << 18)
#define ASKED_PAUSE (1u << 19)

static void options_free(void *keyval)
{
    keyval_free(keyval);
}

static void global_free(void *opaque)
{
    struct vm_global *global = opaque;
    g_free(global->driver);
    g_free(global->property);
    g_free(global->value);
    g_free(global);
}

struct vm_config *vm_config_new(void)
{
    struct vm_config *config = g_new0(struct vm_config, 1);
    config->machine = "pc";
    config->cpu = g_strdup("max");
    config->cpus = 1;
    config->topology = (struct x86_topology){ 1, 1, 1, 1 };
    config->memory_bytes = 128ull << 20;
    config->fw_cfg_texts = g_ptr_array_new_with_free_func(g_free);
    config->smbios_texts = g_ptr_array_new_with_free_func(g_free);
    config->firmware_folders = g_ptr_array_new_with_free_func(g_free);
    config->boot.splash_time_ms = -1;
    config->boot.reboot_timeout_ms = BOOT_REBOOT_DEFAULT;
    config->devices = g_ptr_array_new_with_free_func(options_free);
    config->globals = g_ptr_array_new_with_free_func(global_free);
    config->acpi = true;
    return config;
}

void vm_config_free(struct vm_config *config)
{
    if (!config)
        return;
    g_ptr_array_unref(config->fw_cfg_texts);
    g_ptr_array_unref(config->smbios_texts);
    g_ptr_array_unref(config->firmware_folders);
    g_free(config->pflash_nodes[0]);
    g_free(config->pflash_nodes[1]);
    g_free(config->vga);
    g_free(config->boot.order);
    g_free(config->boot.once);
    g_free(config->boot.splash);
    g_ptr_array_unref(config->devices);
    g_ptr_array_unref(config->globals);
    g_free(config->memory_backend);
    g_free(config->memory_path);
    g_free(config->name);
    g_free(config->uuid);
    g_free(config->cpu);
    g_free(config->kernel);
    g_free(config->initrd);
    g_free(config->append);
    g_free(config->bios);
    g_free(config);
}

/* --- making a machine --- */

/* Can vm->engine run here, and is it sensible if it is not the only choice left? */
static bool engine_usable(const struct vm *vm, bool last, GError **reason)
{
    const struct engine_ops *engine = vm->engine;
    return engine->probe(reason) && (last || !engine->advisable || engine->advisable(reason));
}

/* The first engine that works here. Why the ones before it do not is collected in
 * engine_refusals. */
static bool engine_choose(struct vm *vm, GError **error)
{
    const struct engine_ops *const *engines = vm->config->engines;
    GString *refusals = vm->engine_refusals;

    for (; *engines; engines++) {
        g_autoptr(GError) reason = NULL;
        bool last = !engines[1];
        vm->engine = *engines;
        bool usable = engine_usable(vm, last, &reason);
        if (usable && vm->engine->vm_init(vm, &reason))
            return true;
        if (usable)
            vm->engine->vm_destroy(vm);
        if (last && usable) { /* it is not the engine that is wrong but what it shall run */
            g_propagate_error(error, g_steal_pointer(&reason));
            break;
        }
        if (last && !refusals->len) {
            g_propagate_prefixed_error(error, g_steal_pointer(&reason),
                                       "-accel %s: ", vm->engine->name);
            break;
        }
        g_string_append_printf(refusals, "%s%s: %s", refusals->len ? "; " : "", vm->engine->name,
                               reason->message);
        if (last)
            fail(error, "no engine can run this machine (%s)", refusals->str);
    }
    vm->engine = NULL;
    return false;
}

/* The one line that says which engine it is, where there was a choice. */
static void engine_report(const struct vm *vm)
{
    if (vm->engine_refusals->len)
        report_error("engine %s runs this machine (%s)", vm->engine->name,
                     vm->engine_refusals->str);
    else if (vm->config->engines[1])
        report_error("engine %s runs this machine (the first choice, and it works here)",
                     vm->engine->name);
}

static void device_destroy(void *dev)
{
    device_free(dev);
}

/* The devices of -device, not yet realized; NULL and an error if one is wrong. */
static GPtrArray *devices_parse(struct vm *vm, GError **error)
{
    const GPtrArray *wanted = vm->config->devices;
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(device_destroy);

    for (guint i = 0; i < wanted->len; i++) {
        const struct keyval *options = wanted->pdata[i];
        struct device *dev = device_new_from(vm, options, error);
        if (!dev) {
            fail_prefix(error, "-device %s: ", options->text);
            return NULL;
        }
        g_ptr_array_add(devices, dev);
    }
    return g_steal_pointer(&devices);
}

static bool devices_realize(struct vm *vm, GPtrArray *devices, GError **error)
{
    for (guint i = 0; devices->len; i++) {
        const struct keyval *options = vm->config->devices->pdata[i];
        if (!device_realize(devices->pdata[0], error))
            return fail_prefix(error, "-device %s: ", options->text);
        g_ptr_array_steal_index(devices, 0); /* it is one of vm->devices now */
    }
    return true;
}

static bool requests_init(struct vm *vm, GError **error);

static bool memory_create(struct vm *vm, GError **error)
{
    const struct vm_config *config = vm->config;
    struct guest_ram_options options = {
        .path = config->memory_path,
        .prealloc = config->memory_prealloc,
        .merge = !config->memory_no_merge,
        .dump = !config->memory_no_dump,
    };
    uint64_t size = config->memory_bytes;
    if (config->memory_backend) {
        const struct guest_ram_options *found =
            memory_backend_find(config->memory_backend, &size, error);
        if (!found)
            return fail_prefix(error, "memory-backend=%s: ", config->memory_backend);
        options = *found;
    }
    if (size != config->memory_bytes)
        return fail(error, "machine memory size mismatches size of memory backend '%s'",
                    config->memory_backend);
    options.lock |= config->memory_lock;
    return guest_ram_init_from(&vm->ram, size, machine_below_4g(config), &options, error);
}

static bool vm_build(struct vm *vm, GError **error)
{
    vm->memory = address_space_new("memory", 1ull << 52);
    vm->smm_memory = address_space_new_over("smm", vm->memory);
    vm->io = address_space_new("io", 1ull << 16);
    g_autoptr(GPtrArray) devices =
        vm_globals_check(vm->config, error) ? devices_parse(vm, error) : NULL;
    if (!devices || !requests_init(vm, error)
        || !memory_create(vm, error))
        return false;
    guest_ram_map(&vm->ram, vm->memory);
    if (!engine_choose(vm, error))
        return false;
    vm->vcpus = g_new0(struct vcpu *, vm->config->cpus);
    for (unsigned i = 0; i < vm->config->cpus; i++)
        vm->vcpus[i] = vcpu_new(vm, i);
    return timers_start(error) && machine_create(vm, error) && devices_realize(vm, devices, error)
           && machine_finish(vm, error);
}

struct vm *vm_create(struct vm_config *config, GError **error)
{
    struct vm *vm = g_new0(struct vm, 1);
    vm->config = config;
    atomic_init(&vm->one_insn, config->one_insn);
    vm->ram.fd = vm->asked_fd = -1;
    vm->devices = g_ptr_array_new();
    vm->engine_refusals = g_string_new(NULL);
    vm->loop = g_main_loop_new(NULL, FALSE);
    debug_init(vm);
    if (!vm_build(vm, error)) {
        vm_free(vm);
        return NULL;
    }
    timing_mark(TIMING_DEVICES);
    return vm;
}

static void vcpus_end(struct vm *vm)
{
    unsigned count = vm->vcpus ? vm->config->cpus : 0;

    for (unsigned i = 0; i < count; i++) {
        if (vm->vcpus[i]->thread)
            vcpu_pause(vm->vcpus[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (vm->vcpus[i]->thread)
            vcpu_pause_wait(vm->vcpus[i]);
    }
    for (unsigned i = 0; i < count; i++)
        vcpu_end(vm->vcpus[i]);
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    vcpus_end(vm);
    while (g_source_remove_by_user_data(vm))
        ;
    util_close_fd(&vm->asked_fd);
    vm->asked_fd = -1;
    while (vm->devices->len) {
        /* Later devices may lean on earlier ones. */
        device_free(vm->devices->pdata[vm->devices->len - 1]);
    }
    g_ptr_array_unref(vm->devices);
    g_clear_pointer(&vm->listeners, g_ptr_array_unref);
    for (unsigned i = 0; vm->vcpus && i < vm->config->cpus; i++)
        vcpu_free(vm->vcpus[i]);
    g_free(vm->vcpus);
    if (vm->engine)
        vm->engine->vm_destroy(vm);
    if (vm->ram.host)
        guest_ram_destroy(&vm->ram);
    address_space_free(vm->smm_memory);
    address_space_free(vm->memory);
    address_space_free(vm->io);
    g_free(vm->gsi);
    g_free(vm->shared_gsi);
    g_string_free(vm->engine_refusals, TRUE);
    g_main_loop_unref(vm->loop);
    debug_destroy(vm);
    vm_config_free(vm->config);
    g_free(vm);
}

/* --- run state --- */

static void vcpus_stop(struct vm *vm)
{
    for (unsigned i = 0; i < vm->config->cpus; i++)
        vcpu_pause(vm->vcpus[i]);
    for (unsigned i = 0; i < vm->config->cpus; i++)
        vcpu_pause_wait(vm->vcpus[i]);
    if (vm->engine->debug_stopped)
        vm->engine->debug_stopped(vm);
}

static void vcpus_go(struct vm *vm)
{
    vm->state = RUN_STATE_RUNNING;
    if (vm->engine->debug_goes)
        vm->engine->debug_goes(vm);
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        if (vm->vcpus[i]->debug.action != VCPU_HOLD)
            vcpu_resume(vm->vcpus[i]);
    }
}

void vm_pause(struct vm *vm)
{
    if (vm->state != RUN_STATE_RUNNING)
        return;
    vcpus_stop(vm);
    vm->state = RUN_STATE_PAUSED;
    debug_report(vm, DEBUG_EVENT_PAUSE);
}

void vm_resume(struct vm *vm)
{
    if (vm->state != RUN_STATE_PAUSED && vm->state != RUN_STATE_PRELAUNCH
        && vm->state != RUN_STATE_DEBUG && vm->state != RUN_STATE_IO_ERROR
        && vm->state != RUN_STATE_WATCHDOG && vm->state != RUN_STATE_GUEST_PANICKED)
        return;
    for (guint i = 0; vm->listeners && i < vm->listeners->len; i++) {
        const struct vm_listener *listener = vm->listeners->pdata[i];
        listener->resumed(listener->opaque);
    }
    vcpus_go(vm);
}

void vm_inspect_begin(struct vm *vm)
{
    if (vm->state == RUN_STATE_RUNNING)
        vcpus_stop(vm);
}

void vm_inspect_end(struct vm *vm)
{
    if (vm->state == RUN_STATE_RUNNING && !atomic_load(&vm->asked))
        vcpus_go(vm);
}

void vm_translate_again(struct vm *vm)
{
    if (vm->engine->translate_again)
        vm->engine->translate_again(vm);
}

const char *vm_state_name(const struct vm *vm)
{
    switch (vm->state) {
    case RUN_STATE_PRELAUNCH:
        return "paused (prelaunch)";
    case RUN_STATE_RUNNING:
        return "running";
    case RUN_STATE_PAUSED:
        return "paused";
    case RUN_STATE_DEBUG:
        return "paused (debug)";
    case RUN_STATE_WATCHDOG:
        return "paused (watchdog)";
    case RUN_STATE_GUEST_PANICKED:
        return "paused (guest-panicked)";
    case RUN_STATE_IO_ERROR:
        return "paused (io-error)";
    case RUN_STATE_SHUTDOWN:
        return "paused (shutdown)";
    }
    return "unknown";
}

/* Everything into its power-on state, the boot code into RAM. All vCPUs are stopped. */
static bool machine_reset(struct vm *vm, GError **error)
{
    for (guint i = 0; i < vm->devices->len; i++)
        device_reset(vm->devices->pdata[i]);
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        struct vcpu *vcpu = vm->vcpus[i];
        if (log_enabled(LOG_CPU_RESET))
            x86_log_reset(vcpu->cpu, "CPU Reset");
        x86_cpu_reset(vcpu->cpu, false);
        if (vcpu->apic)
            lapic_reset(vcpu->apic, false);
        vcpu->cpu->wait_for_sipi = i != 0;
        vcpu_state_replaced(vcpu);
    }
    return machine_load(vm, error);
}

/* Looks every millisecond or so whether a vCPU is in user mode, where the engine does not tell by
 * itself (KVM cannot). Only with -timing, and only until the first is found. */
static gboolean sample_user_mode(gpointer opaque)
{
    struct vm *vm = opaque;

    if (timing_marked(TIMING_USER))
        return G_SOURCE_REMOVE;
    if (vm->state != RUN_STATE_RUNNING)
        return G_SOURCE_CONTINUE;
    vm_inspect_begin(vm);
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        const struct x86_cpu *cpu = vm->vcpus[i]->cpu;
        unsigned dpl = (cpu->seg[SEG_SS].attr >> SEG_ATTR_DPL_SHIFT) & 3;
        if (x86_protected(cpu) && !cpu->wait_for_sipi && dpl == 3)
            timing_mark(TIMING_USER);
    }
    vm_inspect_end(vm);
    return G_SOURCE_CONTINUE;
}

void vm_resumed_listen(struct vm *vm, struct vm_listener *listener)
{
    if (!vm->listeners)
        vm->listeners = g_ptr_array_new();
    g_ptr_array_add(vm->listeners, listener);
}

void vm_resumed_unlisten(struct vm *vm, struct vm_listener *listener)
{
    if (vm->listeners)
        g_ptr_array_remove(vm->listeners, listener);
}

bool vm_start(struct vm *vm, GError **error)
{
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        if (!vcpu_thread_start(vm->vcpus[i], error))
            return false;
    }
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        if (!vcpu_thread_wait(vm->vcpus[i], error))
            return false;
    }
    if (!machine_reset(vm, error))
        return false;
    if (log_enabled(LOG_PAGE)) {
        g_autofree char *map = address_space_describe(vm->memory);
        log_write("Guest memory:\n%s", map);
    }
    engine_report(vm);
    timing_mark(TIMING_LOADED);
    if (vm->config->timing)
        g_timeout_add(MAX(1, vm->config->cpus / 4), sample_user_mode, vm);
    if (!vm->config->start_paused)
        vcpus_go(vm);
    return true;
}

void vm_reset(struct vm *vm)
{
    g_autoptr(GError) error = NULL;
    bool running = vm->state == RUN_STATE_RUNNING;

    vcpus_stop(vm);
    if (!machine_reset(vm, &error)) {
        report_error("cannot reset the machine: %s", error->message);
        vm->exit_code = 1;
        g_main_loop_quit(vm->loop);
    } else if (running && vm->debug.client) {
        vm->state = RUN_STATE_DEBUG;
        debug_report(vm, DEBUG_EVENT_RESET);
    } else if (running) {
        vcpus_go(vm);
    } else {
        vm->state = RUN_STATE_PAUSED;
    }
}

/* --- requests of other threads --- */

static void end_loop(struct vm *vm, int exit_code)
{
    vcpus_stop(vm);
    vm->state = RUN_STATE_SHUTDOWN;
    vm->exit_code = exit_code;
    debug_report(vm, DEBUG_EVENT_END);
    g_main_loop_quit(vm->loop);
}

static void shut_down(struct vm *vm, unsigned asked)
{
    unsigned by_host = 1u << VM_SHUTDOWN_HOST_SIGNAL | 1u << VM_SHUTDOWN_HOST_UI;

    if (!(asked & by_host) && vm->config->no_shutdown) {
        vcpus_stop(vm);
        vm->state = RUN_STATE_SHUTDOWN;
        debug_report(vm, DEBUG_EVENT_SHUTDOWN);
        return;
    }
    vm->ended_by_host = asked & by_host;
    end_loop(vm, asked & 1u << VM_SHUTDOWN_ERROR ? 1 : 0);
}

/* A vCPU came to a break- or watchpoint. Meanwhile the machine may have been stopped otherwise, or
 * the debugger be gone: then the vCPU goes on with the others. */
static void stop_for_debugger(struct vm *vm)
{
    if (vm->state != RUN_STATE_RUNNING)
        return;
    vcpus_stop(vm);
    vm->state = RUN_STATE_DEBUG;
    if (!debug_report(vm, DEBUG_EVENT_STOP))
        vcpus_go(vm);
}

static void stop_as_asked(struct vm *vm)
{
    if (vm->state != RUN_STATE_RUNNING)
        return;
    vm_pause(vm);
    vm->state = atomic_load(&vm->asked_state);
}

static gboolean take_requests(gint fd, GIOCondition condition, gpointer opaque)
{
    struct vm *vm = opaque;
    eventfd_t count;

    eventfd_read(fd, &count);
    unsigned asked = atomic_exchange(&vm->asked, 0);

    if (asked & 1u << VM_SHUTDOWN_TRIPLE_FAULT)
        asked = (asked & ~(1u << VM_SHUTDOWN_TRIPLE_FAULT)) | ASKED_RESET;
    if (asked & ASKED_RESET && vm->config->no_reboot)
        asked = (asked & ~ASKED_RESET) | 1u << VM_SHUTDOWN_GUEST;
    if (asked & ASKED_EXIT)
        end_loop(vm, atomic_load(&vm->asked_exit_code));
    else if (asked & ~(ASKED_RESET | ASKED_DEBUG | ASKED_PAUSE))
        shut_down(vm, asked);
    else if (asked & ASKED_RESET)
        vm_reset(vm);
    else if (asked & ASKED_PAUSE)
        stop_as_asked(vm);
    else if (asked & ASKED_DEBUG)
        stop_for_debugger(vm);
    return G_SOURCE_CONTINUE;
}

static bool requests_init(struct vm *vm, GError **error)
{
    vm->asked_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vm->asked_fd < 0)
        return fail_errno(error, "cannot make an eventfd");
    g_unix_fd_add_full(G_PRIORITY_HIGH, vm->asked_fd, G_IO_IN, take_requests, vm, NULL);
    return true;
}

/* Any thread. */
static void ask(struct vm *vm, unsigned bit)
{
    if (!atomic_fetch_or(&vm->asked, bit))
        eventfd_write(vm->asked_fd, 1);
}

void vm_request_shutdown(struct vm *vm, enum vm_shutdown_cause cause)
{
    ask(vm, 1u << cause);
}

void vm_request_reset(struct vm *vm)
{
    ask(vm, ASKED_RESET);
}

void vm_request_pause(struct vm *vm, enum run_state state)
{
    atomic_store(&vm->asked_state, state);
    ask(vm, ASKED_PAUSE);
}

void vm_request_io_error(struct vm *vm)
{
    vm_request_pause(vm, RUN_STATE_IO_ERROR);
}

void vm_request_exit(struct vm *vm, int exit_code)
{
    atomic_store(&vm->asked_exit_code, exit_code);
    ask(vm, ASKED_EXIT);
}

void vm_request_debug_stop(struct vm *vm)
{
    ask(vm, ASKED_DEBUG);
}

void vm_run_loop(struct vm *vm)
{
    if (vm->state != RUN_STATE_SHUTDOWN || vm->config->no_shutdown)
        g_main_loop_run(vm->loop);
}
