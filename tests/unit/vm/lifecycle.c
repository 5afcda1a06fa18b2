/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run states of a machine whose engine executes nothing: it counts what it is asked for. */
#include <fcntl.h>

#include "tap.h"
#include "util/keyval.h"
#include "vm/vm.h"

#define CPUS 4

static struct {
    atomic_uint in_run, runs, puts, gets, kicks;
    atomic_int next_exit; /* enum vcpu_exit + 1 that CPU 0 returns once; 0: none */
    atomic_bool refuse_init;
    atomic_bool put_late; /* state_put was called while another thread had the state */
} fake;

static bool fake_probe(GError **error)
{
    return true;
}

static bool fake_vm_init(struct vm *vm, GError **error)
{
    return true;
}

static void fake_vm_destroy(struct vm *vm)
{
}

static bool fake_kernel_irqchip(struct vm *vm)
{
    return true;
}

static void fake_irq_set(struct vm *vm, unsigned gsi, bool level)
{
}

static bool fake_vcpu_init(struct vcpu *vcpu, GError **error)
{
    if (atomic_load(&fake.refuse_init) && vcpu->index == CPUS - 1)
        return fail(error, "this host has no room for it");
    vcpu->cpu = g_new0(struct x86_cpu, 1);
    vcpu->cpu->index = vcpu->index;
    return true;
}

static void fake_vcpu_destroy(struct vcpu *vcpu)
{
    g_free(vcpu->cpu);
    vcpu->cpu = NULL;
}

static enum vcpu_exit fake_run(struct vcpu *vcpu)
{
    enum vcpu_exit result = VCPU_EXIT_REQUEST;

    atomic_fetch_add(&fake.runs, 1);
    atomic_fetch_add(&fake.in_run, 1);
    vcpu->cpu->rip++;
    pthread_mutex_lock(&vcpu->sleep_lock);
    while (!(atomic_load(&vcpu->requests) & (VCPU_PAUSE | VCPU_EXIT))) {
        int next = vcpu->index ? 0 : atomic_exchange(&fake.next_exit, 0);
        if (next) {
            result = next - 1;
            break;
        }
        pthread_cond_wait(&vcpu->wakeup, &vcpu->sleep_lock);
    }
    pthread_mutex_unlock(&vcpu->sleep_lock);
    atomic_fetch_sub(&fake.in_run, 1);
    return result;
}

static void fake_kick(struct vcpu *vcpu)
{
    atomic_fetch_add(&fake.kicks, 1);
}

static void fake_state_get(struct vcpu *vcpu)
{
    atomic_fetch_add(&fake.gets, 1);
}

static void fake_state_put(struct vcpu *vcpu)
{
    if (current_vcpu != vcpu)
        atomic_store(&fake.put_late, true);
    atomic_fetch_add(&fake.puts, 1);
}

static const struct engine_ops fake_engine = {
    .name = "fake",
    .description = "executes nothing",
    .probe = fake_probe,
    .vm_init = fake_vm_init,
    .vm_destroy = fake_vm_destroy,
    .kernel_irqchip = fake_kernel_irqchip,
    .irq_set = fake_irq_set,
    .vcpu_init = fake_vcpu_init,
    .vcpu_destroy = fake_vcpu_destroy,
    .run = fake_run,
    .kick = fake_kick,
    .state_get = fake_state_get,
    .state_put = fake_state_put,
};

static bool refuse_probe(GError **error)
{
    return fail(error, "the door is locked");
}

static const struct engine_ops absent_engine = { .name = "absent", .probe = refuse_probe };

/* --- */

static char *firmware; /* path of 64 KiB that nobody executes */

static struct vm_config *config_new(void)
{
    struct vm_config *config = vm_config_new();
    config->engines[0] = &fake_engine;
    config->cpus = CPUS;
    config->memory_bytes = 16 << 20;
    config->bios = g_strdup(firmware);
    return config;
}

static struct vm *started(struct vm_config *config)
{
    g_autoptr(GError) error = NULL;
    struct vm *vm = vm_create(config, &error);
    if (!vm || !vm_start(vm, &error))
        g_error("%s", error->message);
    return vm;
}

static bool all_running(void)
{
    for (int i = 0; i < 2000 && atomic_load(&fake.in_run) != CPUS; i++)
        g_usleep(1000);
    return atomic_load(&fake.in_run) == CPUS;
}

static void loop_for_ms(unsigned milliseconds)
{
    gint64 end = g_get_monotonic_time() + milliseconds * 1000;
    while (g_get_monotonic_time() < end) {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_usleep(500);
    }
}

static void test_pause(void)
{
    struct vm *vm = started(config_new());

    tap_ok(all_running(), "all CPUs run");
    atomic_store(&fake.gets, 0);
    vm_pause(vm);
    tap_ok(atomic_load(&fake.in_run) == 0, "a paused machine has no CPU inside the engine");
    tap_is(vm_state_name(vm), "paused", "and says so");
    tap_ok(atomic_load(&fake.gets) == CPUS, "and their state is current");
    vm_resume(vm);
    tap_ok(all_running() && vm->state == RUN_STATE_RUNNING, "it goes on");

    bool stopped = true;
    for (int i = 0; i < 2000; i++) {
        vm_pause(vm);
        stopped &= atomic_load(&fake.in_run) == 0;
        vm_resume(vm);
    }
    tap_ok(stopped, "2000 times, without waiting in between");
    vm_free(vm);
}

static void test_reset(void)
{
    atomic_store(&fake.puts, 0);
    struct vm *vm = started(config_new());

    all_running();
    tap_ok(atomic_load(&fake.puts) == CPUS, "each CPU is given its state at start");
    vm_reset(vm);
    tap_ok(all_running() && atomic_load(&fake.puts) == 2 * CPUS, "and at a reset");
    vm_pause(vm);
    tap_ok(vm->vcpus[0]->cpu->rip == 0xfff1, "the first CPU begins at the reset vector");
    tap_ok(vm->vcpus[1]->cpu->wait_for_sipi && !vm->vcpus[0]->cpu->wait_for_sipi,
           "the others wait");
    vm_reset(vm);
    tap_ok(vm->state == RUN_STATE_PAUSED && !atomic_load(&fake.in_run),
           "a paused machine is reset and stays paused");
    tap_ok(!atomic_load(&fake.put_late), "state is put on the CPU's own thread");
    vm_free(vm);
}

static void *ask_many(void *opaque)
{
    for (int i = 0; i < 50; i++) {
        vm_request_reset(opaque);
        g_usleep(200);
    }
    return NULL;
}

static void test_requests(void)
{
    struct vm *vm = started(config_new());
    GThread *threads[3];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("ask", ask_many, vm);
    loop_for_ms(100);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    loop_for_ms(10);
    tap_ok(all_running(), "resets asked for by several threads");

    atomic_store(&fake.next_exit, VCPU_EXIT_TRIPLE_FAULT + 1);
    vcpu_request(vm->vcpus[0], VCPU_INTERRUPT);
    loop_for_ms(50);
    bool runs = all_running();
    vm_pause(vm);
    tap_ok(runs && vm->vcpus[0]->cpu->rip == 0xfff1, "a triple fault resets");
    vm_resume(vm);

    vm_request_shutdown(vm, VM_SHUTDOWN_GUEST);
    vm_run_loop(vm);
    tap_ok(vm->state == RUN_STATE_SHUTDOWN && vm->exit_code == 0 && !vm->ended_by_host,
           "the guest powers off: status 0");
    vm_free(vm);
}

/* What ends a machine, under which options. */
static const struct end_case {
    const char *name;
    bool no_reboot, no_shutdown;
    bool reset;
    int cause;    /* -1: none */
    int exit;     /* -1: none */
    int cpu_exit; /* 0: none */
    bool ends;
    int status;
} end_cases[] = {
    { "a reset under -no-reboot", true, false, true, -1, -1, 0, true, 0 },
    { "a triple fault under -no-reboot", true, false, false, -1, -1, VCPU_EXIT_TRIPLE_FAULT + 1,
      true, 0 },
    { "power off under -no-shutdown", false, true, false, VM_SHUTDOWN_GUEST, -1, 0, false, 0 },
    { "a reset under both", true, true, true, -1, -1, 0, false, 0 },
    { "a signal under -no-shutdown", false, true, false, VM_SHUTDOWN_HOST_SIGNAL, -1, 0, true, 0 },
    { "the user under -no-shutdown", false, true, false, VM_SHUTDOWN_HOST_UI, -1, 0, true, 0 },
    { "isa-debug-exit under -no-shutdown", false, true, false, -1, 7, 0, true, 7 },
    { "an engine's error", false, false, false, -1, -1, VCPU_EXIT_ERROR + 1, true, 1 },
};

static void test_end(const struct end_case *row)
{
    struct vm_config *config = config_new();
    config->no_reboot = row->no_reboot;
    config->no_shutdown = row->no_shutdown;
    struct vm *vm = started(config);

    all_running();
    if (row->reset)
        vm_request_reset(vm);
    if (row->cause >= 0)
        vm_request_shutdown(vm, row->cause);
    if (row->exit >= 0)
        vm_request_exit(vm, row->exit);
    if (row->cpu_exit) {
        atomic_store(&fake.next_exit, row->cpu_exit);
        vcpu_request(vm->vcpus[0], VCPU_INTERRUPT);
    }
    if (row->ends)
        vm_run_loop(vm);
    else
        loop_for_ms(30);
    tap_ok(vm->state == RUN_STATE_SHUTDOWN && vm->exit_code == row->status
               && !atomic_load(&fake.in_run),
           "%s: %s", row->name, row->ends ? "the end" : "stopped, and stays");
    if (!row->ends) {
        vm_resume(vm);
        tap_ok(vm->state == RUN_STATE_SHUTDOWN, "it cannot simply go on");
        vm_reset(vm);
        vm_resume(vm);
        tap_ok(all_running(), "but after a reset");
    }
    vm_free(vm);
}

static void test_start(void)
{
    g_autoptr(GError) error = NULL;
    struct vm_config *config = config_new();

    config->start_paused = true;
    struct vm *vm = started(config);
    loop_for_ms(20);
    tap_ok(!atomic_load(&fake.in_run) && vm->state == RUN_STATE_PRELAUNCH, "-S: nothing runs yet");
    vm_resume(vm);
    tap_ok(all_running(), "until told to");
    vm_free(vm);

    atomic_store(&fake.refuse_init, true);
    vm = vm_create(config_new(), NULL);
    bool refused = vm && !vm_start(vm, &error);
    tap_ok(refused && !strcmp(error->message, "CPU 3: this host has no room for it"),
           "a CPU that cannot be made is an error");
    vm_free(vm);
    atomic_store(&fake.refuse_init, false);
}

static void test_engines(void)
{
    g_autoptr(GError) error = NULL;
    struct vm_config *config = config_new();

    config->engines[0] = &absent_engine;
    tap_ok(!vm_create(config, &error)
               && !strcmp(error->message, "-accel absent: the door is locked"),
           "one engine, and it cannot run: no fall back, but the reason");
    config = config_new();
    config->engines[0] = &absent_engine;
    config->engines[1] = &fake_engine;
    struct vm *vm = vm_create(config, NULL);
    tap_ok(vm && vm->engine == &fake_engine, "of two engines the second runs");
    tap_is(vm->engine_refusals->str, "absent: the door is locked", "and it is known why");
    vm_free(vm);
    config = config_new();
    g_ptr_array_add(config->devices, keyval_parse("isa-debug-exit,iobas=1", "driver", NULL));
    g_clear_error(&error);
    tap_ok(!vm_create(config, &error) && strstr(error->message, "'iobase'"),
           "a device's wrong property");
}

int main(void)
{
    g_autofree char *content = g_malloc0(64 << 10);
    int fd = g_file_open_tmp("yado-test-XXXXXX", &firmware, NULL);
    close(fd);
    g_file_set_contents(firmware, content, 64 << 10, NULL);

    test_engines();
    test_start();
    test_pause();
    test_reset();
    test_requests();
    for (size_t i = 0; i < G_N_ELEMENTS(end_cases); i++)
        test_end(&end_cases[i]);
    unlink(firmware);
    return tap_done();
}
