/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One virtual machine: its configuration, memory, devices, vCPUs and run state.
 * Owned by the main loop; fields are [const] after vm_create() unless they say otherwise. */
#ifndef YADO_VM_VM_H
#define YADO_VM_VM_H

#include "engine/engine.h"
#include "hw/device.h"
#include "memory/memory.h"
#include "vm/debug.h"
#include "x86/topology.h"

struct ioapic;
struct shared_gsi;
struct pic;
struct acpi_files;

#define VM_CPUS_MAX 255u /* local APIC ids 0..254; 255 is broadcast */
#define VM_MEMORY_MIN (1ull << 20)
#define VM_MEMORY_MAX (1ull << 40)
#define VM_SERIAL_PORTS 4
#define VM_ENGINES_MAX 4

/* -boot: letters a and b are floppies, c the disk, d the CD, n to p networks. */
struct boot_config {
    char *order, *once;        /* NULL: not given; `once` goes away with the first start */
    char *splash;              /* file of a picture */
    int splash_time_ms;        /* -1: not given */
    int64_t reboot_timeout_ms; /* -1: never; BOOT_REBOOT_DEFAULT: not given */
    bool menu, strict;
};
#define BOOT_REBOOT_DEFAULT INT64_MIN
/* -global: a property's default for all devices of a type. */
struct vm_global {
    char *driver, *property, *value;
    bool used; /* [main] there was such a device */
};

/* What the command line (or `yado run`) asked for. Strings are owned by the config. */
struct vm_config {
    char *name, *uuid;                                    /* NULL: not given */
    const char *machine;                                  /* "pc" or "microvm" */
    const struct engine_ops *engines[VM_ENGINES_MAX + 1]; /* in order of preference; NULL ends */
    char *cpu;                                            /* "max", "host", "qemu64,+avx" … */
    unsigned cpus;
    struct x86_topology topology;            /* of them */
    uint64_t memory_bytes;                   /* a multiple of 4 KiB */
    char *kernel, *initrd, *append, *bios;   /* append may be NULL */
    struct chardev *serial[VM_SERIAL_PORTS]; /* COM1…; NULL: the port does not exist */
    GPtrArray *devices;      /* struct keyval *, one per -device: driver=, id=, bus=, properties */
    GPtrArray *globals;      /* struct vm_global *, one per -global */
    GPtrArray *fw_cfg_texts; /* char *, one per -fw_cfg */
    GPtrArray *smbios_texts; /* char *, one per -smbios */
    GPtrArray *firmware_folders; /* char *, -L */
    char *pflash_nodes[2];       /* -machine pflash0=, pflash1=: block nodes; NULL: none */
    char *vga;                   /* "std" or "none"; NULL: none */
    struct boot_config boot;
    uint64_t bt_code_bytes;  /* of translated code the bt engine keeps; 0: its default */
    bool one_insn;           /* -singlestep, -accel one-insn-per-tb=on */
    bool no_graphics;        /* the text screen goes to the first serial port as well */
    bool acpi;               /* -machine acpi= */
    int64_t rtc_offset_ns;   /* of the RTC's time at the start from the host's */
    bool rtc_monotonic;      /* -rtc clock=rt */
    bool rtc_slew;           /* -rtc driftfix=slew */
    int watchdog_action;     /* enum watchdog_action */
    int panic_action;        /* enum panic_action */
    int hpet;                /* enum on_off_auto; -machine hpet= */
    int smm;                 /* enum on_off_auto; -machine smm= */
    uint64_t below_4g_limit; /* -machine max-ram-below-4g=; 0: the board's own */
    bool own_irqchip;        /* kernel-irqchip=off: src/hw/intc even where the engine has its own */
    bool no_reboot, no_shutdown, start_paused;
    bool timing;
    char *memory_backend;                 /* -machine memory-backend=: an object's id; NULL: none */
    char *memory_path;                    /* -mem-path */
    bool memory_prealloc, memory_lock;    /* -mem-prealloc, -overcommit mem-lock=on */
    bool memory_no_merge, memory_no_dump; /* -machine mem-merge=off, dump-guest-core=off */
    bool plain_command_line;              /* auto-kernel-cmdline=off: devices are not added to it */
};

/* "driver.property=value" or "driver=…,property=…,value=…" */
bool vm_config_add_global(struct vm_config *config, const char *text, GError **error);
/* Fails if one names a property its type does not have. */
bool vm_globals_check(const struct vm_config *config, GError **error);
/* "device.ID.PROPERTY=VALUE", for a device given before. */
bool vm_config_set(struct vm_config *config, const char *text, GError **error);

struct vm_config *vm_config_new(void); /* the defaults: machine pc, CPU max, 1 CPU, 128 MiB */
void vm_config_free(struct vm_config *config);

enum run_state {
    RUN_STATE_PRELAUNCH,
    RUN_STATE_RUNNING,
    RUN_STATE_PAUSED,
    RUN_STATE_DEBUG,          /* stopped for a debugger */
    RUN_STATE_IO_ERROR,       /* paused because a disk failed, with werror=stop and the like */
    RUN_STATE_WATCHDOG,       /* paused by one, with -watchdog-action pause */
    RUN_STATE_GUEST_PANICKED, /* paused because the guest said so, with -action panic=pause */
    RUN_STATE_SHUTDOWN,
};

/* Somebody who is told when a machine that was stopped runs on. */
struct vm_listener {
    void (*resumed)(void *opaque); /* main loop, before the vCPUs go */
    void *opaque;
};

struct vm {
    struct vm_config *config;
    const struct engine_ops *engine;
    GString *engine_refusals; /* why engines that come first in the configuration do not run it */
    struct engine_vm *engine_vm;
    struct address_space *memory; /* guest physical, 52 bits */
    /* The same with what only processors in system management mode see (SMRAM), put there by the
     * chipset: address_space_new_over(memory). Devices never use it. */
    struct address_space *smm_memory;
    struct address_space *io; /* 64 Ki ports */
    struct guest_ram ram;
    struct bus system_bus;         /* [main] all others hang below it */
    struct vcpu **vcpus;           /* config->cpus of them */
    struct acpi_files *acpi_files; /* what firmware reads; NULL: no ACPI */
    GPtrArray *devices;            /* struct device *, in order of realization; reset walks it */
    struct pic *pic;               /* NULL with an in-kernel irqchip */
    struct ioapic *ioapic;         /* same */
    const struct irq_line *ferr;   /* x87 errors with CR0.NE clear; NULL: the board has no way */
    struct shared_gsi *shared_gsi; /* see board_gsi_shared() */
    struct irq_line *gsi;          /* 24 lines the board's devices drive (ISA IRQ n = gsi[n]) */
    /* [atomic] translate one instruction at a time; see vm_translate_again() */
    atomic_bool one_insn;
    atomic_bool a20_off;    /* [atomic] see board_set_a20(); vCPUs take it over on VCPU_ENGINE */
    enum run_state state;   /* [main] */
    struct vm_debug debug;  /* [main] */
    struct gdb_server *gdb; /* [main] NULL: no debugger can connect */
    int exit_code;          /* [main] of the process when the loop ends */
    bool ended_by_host;     /* [main] by a signal or the user, not by the guest */
    GPtrArray *listeners;   /* [main] struct vm_listener *, borrowed; NULL: none */
    struct virtio_balloon *balloon; /* [main] NULL: none */
    GMainLoop *loop;
    atomic_uint asked; /* what vm_request_*() want of the main loop, see vm.c */
    atomic_int asked_exit_code, asked_state;
    int asked_fd; /* [const] eventfd that wakes the main loop for `asked` */
};

/* The APIC id of a vCPU, and the vCPU with an id: UINT32_MAX if there is none. Any thread. */
static inline unsigned vm_apic_id(const struct vm *vm, unsigned index)
{
    return x86_apic_id(&vm->config->topology, index);
}
static inline unsigned vm_apic_index(const struct vm *vm, unsigned id)
{
    unsigned index = x86_apic_index(&vm->config->topology, id);
    return index < vm->config->cpus ? index : UINT32_MAX;
}

/* Takes `config` over, in failure too. Chooses the first engine of config->engines that works
 * here. */
struct vm *vm_create(struct vm_config *config, GError **error);
/* Creates vCPU threads, loads what is booted, and runs unless start_paused. Where there was a
 * choice of engines, one line on standard error says which one it is and why. */
bool vm_start(struct vm *vm, GError **error);
void vm_run_loop(struct vm *vm); /* returns when the process shall end, with vm->exit_code */
void vm_pause(struct vm *vm);    /* [main] returns when all vCPUs have stopped */
void vm_resume(struct vm *vm);   /* [main] */
/* [main] Between these two vCPUs are stopped and vcpu->cpu is current, whatever the run state,
 * which does not change. Not nested. A vCPU that met its end meanwhile waits for what is decided of
 * it. */
void vm_inspect_begin(struct vm *vm);
void vm_inspect_end(struct vm *vm);
/* [main] Log categories or vm->one_insn have changed: engines act on them from now on. */
void vm_translate_again(struct vm *vm);
void vm_reset(struct vm *vm);                   /* [main] resets now, whatever no_reboot says */
const char *vm_state_name(const struct vm *vm); /* as `info status` prints it */
void vm_free(struct vm *vm);

/* [main] */
void vm_resumed_listen(struct vm *vm, struct vm_listener *listener);
void vm_resumed_unlisten(struct vm *vm, struct vm_listener *listener);

/* Any thread: ask the main loop for it. Shutdown ends the process unless no_shutdown; reset resets
 * devices and vCPUs and loads the boot code again, or is a shutdown with no_reboot. */
enum vm_shutdown_cause {
    VM_SHUTDOWN_GUEST,
    VM_SHUTDOWN_HOST_SIGNAL,
    VM_SHUTDOWN_HOST_UI,
    VM_SHUTDOWN_TRIPLE_FAULT,
    VM_SHUTDOWN_ERROR
};
void vm_request_shutdown(struct vm *vm, enum vm_shutdown_cause cause);
void vm_request_reset(struct vm *vm);
/* The machine stops until the user lets it run on. */
void vm_request_io_error(struct vm *vm);
/* Pauses the machine with this as its state, if it runs. */
void vm_request_pause(struct vm *vm, enum run_state state);
/* As shutdown, with the given process exit code, even under no_shutdown (isa-debug-exit). */
void vm_request_exit(struct vm *vm, int exit_code);
/* A vCPU's thread: stop all vCPUs and tell the debugger, see vcpu->debug.stop. */
void vm_request_debug_stop(struct vm *vm);

#endif
