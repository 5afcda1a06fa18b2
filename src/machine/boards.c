/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machine types: which devices a board has, how its memory is split, by which names it is known. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "hw/storage/drive.h"
#include "machine/machine.h"
#include "virtio/mmio.h"
#include "vm/vm.h"

#define GIB (1ull << 30)

/* --- parts ----------------------------------------------------------------------------------- */

static bool devices_create(struct vm *vm, const char *const *types, GError **error)
{
    for (; *types; types++)
        if (!board_device_create(vm, *types, error))
            return false;
    return true;
}

/* A function of the board at its fixed address, "1f.3". */
static bool function_create(struct vm *vm, const char *type, const char *address, GError **error)
{
    struct device *dev = device_new(vm, type, NULL, error);
    if (dev && device_set(dev, "addr", address, error) && device_realize(dev, error))
        return true;
    device_free(dev);
    return false;
}

/* The serial ports' back ends come as pointers, not as ids: they may have no id. */
static bool serial_create(struct vm *vm, unsigned index, GError **error)
{
    struct device *dev = device_new(vm, "isa-serial", NULL, error);
    if (!dev)
        return false;
    device_set_reference(dev, "chardev", vm->config->serial[index]);
    char number[4] = { '0' + index };
    if (device_set(dev, "index", number, error) && device_realize(dev, error))
        return true;
    device_free(dev);
    return false;
}

static bool serials_create(struct vm *vm, GError **error)
{
    for (unsigned i = 0; i < VM_SERIAL_PORTS; i++)
        if (vm->config->serial[i] && !serial_create(vm, i, error))
            return fail_prefix(error, "serial port %u: ", i);
    return true;
}

/* -drive if=ide, on the board's controller. */
static bool ide_drive_create(struct vm *vm, const struct drive *drive, GError **error)
{
    g_autofree char *bus_name = g_strdup_printf("ide.%d", drive->bus);
    g_autofree char *unit = g_strdup_printf("%d", drive->unit);
    struct bus *bus = bus_find(vm, bus_name);
    if (!bus)
        return fail(error, "drive '%s': the board has no IDE bus %d", drive->name, drive->bus);
    struct device *dev = device_new(vm, drive->cdrom ? "ide-cd" : "ide-hd", NULL, error);
    if (dev && device_set(dev, "drive", drive->name, error) && device_set(dev, "unit", unit, error)
        && device_realize_on(dev, bus, error))
        return true;
    device_free(dev);
    return false;
}

static bool ide_drives_create(struct vm *vm, GError **error)
{
    enum { BUSES_MAX = 256, UNITS_MAX = 2 }; /* that a -drive may name */
    for (int bus = 0; bus < BUSES_MAX; bus++)
        for (int unit = 0; unit < UNITS_MAX; unit++) {
            const struct drive *drive = drive_at(DRIVE_IF_IDE, bus, unit);
            if (drive && !ide_drive_create(vm, drive, error))
                return false;
        }
    return true;
}

/* Before the 8254 and the RTC, whose interrupts it may take over. */
static bool hpet_create(struct vm *vm, const char *inputs, GError **error)
{
    if (!inputs || !on_off_auto_is(vm->config->hpet, true))
        return true;
    struct device *dev = device_new(vm, "hpet", NULL, error);
    if (dev && device_set(dev, "hpet-intcap", inputs, error) && device_realize(dev, error))
        return true;
    device_free(dev);
    return false;
}

/* `hpet_inputs`: which I/O APIC inputs its timers can drive; NULL: the board has none. */
static bool interrupts_create(struct vm *vm, const char *hpet_inputs, GError **error)
{
    return board_interrupts_create(vm, error) && hpet_create(vm, hpet_inputs, error)
           && (vm->engine->kernel_irqchip(vm) || board_device_create(vm, "pit", error));
}

/* --- pc: Intel 440FX and PIIX ---------------------------------------------------------------- */

static bool pc_create(struct vm *vm, GError **error)
{
    static const char *const first[] = { "boot", "i440FX-pcihost", "i440FX", NULL };
    static const char *const legacy[] = { "rtc",  "i8042",  "port92",  "fpu-error",
                                          "post", "fw_cfg", "acpi-pm", NULL };
    return interrupts_create(vm, "0x4", error) && devices_create(vm, first, error)
           && function_create(vm, "PIIX3", "1.0", error)
           && function_create(vm, "piix3-ide", "1.1", error) && devices_create(vm, legacy, error)
           && function_create(vm, "PIIX4_PM", "1.3", error) && serials_create(vm, error)
           && ide_drives_create(vm, error);
}

/* All up to 3.5 GiB fits below the devices; what is larger has 3 GiB there, so that the rest begins
 * with a whole GiB. */
static uint64_t pc_below_4g(uint64_t memory)
{
    return memory >= 0xe0000000u ? 0xc0000000u : 0xe0000000u;
}

/* --- q35: Intel Q35 and ICH9 ----------------------------------------------------------------- */

static bool q35_create(struct vm *vm, GError **error)
{
    static const char *const first[] = { "boot", "q35-pcihost", "mch", NULL };
    static const char *const acpi[] = { "acpi-pm", NULL }; /* a part of ICH9-LPC */
    static const char *const legacy[] = { "rtc",  "i8042",  "port92", "fpu-error",
                                          "post", "fw_cfg", NULL };
    return interrupts_create(vm, "0xff0104", error) && devices_create(vm, first, error)
           && devices_create(vm, acpi, error) && function_create(vm, "ICH9-LPC", "1f.0", error)
           && devices_create(vm, legacy, error) && function_create(vm, "ich9-ahci", "1f.2", error)
           && function_create(vm, "ICH9-SMB", "1f.3", error) && serials_create(vm, error)
           && ide_drives_create(vm, error);
}

/* Configuration space is at 0xb0000000, 256 MiB. */
static uint64_t q35_below_4g(uint64_t memory)
{
    return memory >= 0xb0000000u ? 0x80000000u : 0xb0000000u;
}

/* --- microvm --------------------------------------------------------------------------------- */

/* With ACPI they have the I/O APIC's inputs above the ISA interrupts to themselves. */
#define VIRTIO_MMIO_BASE 0xfeb00000u
#define VIRTIO_MMIO_SLOTS 8u
#define VIRTIO_MMIO_GSI 16u
#define VIRTIO_MMIO_GSI_NO_ACPI 5u

/* The last slot first: the first device goes there, as on QEMU. */
static bool virtio_slots_create(struct vm *vm, GError **error)
{
    unsigned first = vm->config->acpi ? VIRTIO_MMIO_GSI : VIRTIO_MMIO_GSI_NO_ACPI;
    for (unsigned i = VIRTIO_MMIO_SLOTS; i--;)
        if (!virtio_mmio_create(vm, i, VIRTIO_MMIO_BASE + i * VIRTIO_MMIO_BYTES,
                                &vm->gsi[first + i], error))
            return false;
    return true;
}

/* Without keyboard controller, its gate, and PCI; ACPI's registers are the same. */
static bool microvm_create(struct vm *vm, GError **error)
{
    static const char *const types[] = { "boot",    "isabus-bridge", "rtc", "post",
                                         "acpi-pm", "fw_cfg",        NULL };
    return interrupts_create(vm, NULL, error) && devices_create(vm, types, error)
           && virtio_slots_create(vm, error) && serials_create(vm, error);
}

static uint64_t microvm_below_4g(uint64_t memory)
{
    return 3 * GIB;
}

/* --- names ----------------------------------------------------------------------------------- */

const struct machine_type machine_types[] = {
    { "pc", "Standard PC (i440FX + PIIX, 1996)", pc_create, pc_below_4g, "pc-i440fx-", "2.0",
      .ide_units = 2 },
    { "q35", "Standard PC (Q35 + ICH9, 2009)", q35_create, q35_below_4g, "pc-q35-", "2.4",
      .ide_units = 1 },
    { "microvm", "microvm (i386)", microvm_create, microvm_below_4g },
    { 0 },
};

/* The newest first. Guests see no difference between them. */
static const char *const versions[] = {
    "7.2", "7.1", "7.0", "6.2", "6.1", "6.0",  "5.2",  "5.1",  "5.0",
    "4.2", "4.1", "4.0", "3.1", "3.0", "2.12", "2.11", "2.10", "2.9",
    "2.8", "2.7", "2.6", "2.5", "2.4", "2.3",  "2.2",  "2.1",  "2.0",
};

static unsigned version_index(const char *version)
{
    unsigned i = 0;
    while (i < G_N_ELEMENTS(versions) && strcmp(versions[i], version))
        i++;
    return i;
}

static bool has_version(const struct machine_type *type, const char *version)
{
    unsigned i = version_index(version);
    return type->prefix && i < G_N_ELEMENTS(versions) && i <= version_index(type->oldest);
}

static bool is_called(const struct machine_type *type, const char *name)
{
    return !strcmp(type->name, name)
           || (type->prefix && g_str_has_prefix(name, type->prefix)
               && has_version(type, name + strlen(type->prefix)));
}

const struct machine_type *machine_type_find(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (const struct machine_type *type = machine_types; type->name; type++) {
        if (is_called(type, name))
            return type;
        g_ptr_array_add(names, g_strdup(type->name));
        for (size_t i = 0; i < G_N_ELEMENTS(versions); i++)
            if (has_version(type, versions[i]))
                g_ptr_array_add(names, g_strconcat(type->prefix, versions[i], NULL));
    }
    g_ptr_array_add(names, NULL);
    const char *hint = hint_nearest(name, (const char *const *)names->pdata);
    fail(error, "machine type '%s' is unknown%s", name, *hint ? hint : "; see -M help");
    return NULL;
}

void machine_print_help(void)
{
    printf("Supported machines are:\n");
    for (const struct machine_type *type = machine_types; type->name; type++) {
        bool first = type == machine_types;
        if (!type->prefix) {
            printf("%-20s %s\n", type->name, type->description);
            continue;
        }
        printf("%-20s %s (alias of %s%s)\n", type->name, type->description, type->prefix,
               versions[0]);
        for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
            g_autofree char *name = g_strconcat(type->prefix, versions[i], NULL);
            if (has_version(type, versions[i]))
                printf("%-20s %s%s\n", name, type->description, first && !i ? " (default)" : "");
        }
    }
}

uint64_t machine_below_4g(const struct vm_config *config)
{
    const struct machine_type *type = machine_type_find(config->machine, NULL);
    uint64_t limit = type ? type->below_4g(config->memory_bytes) : 3 * GIB;
    return config->below_4g_limit ? MIN(limit, config->below_4g_limit) : limit;
}
