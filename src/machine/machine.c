/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boards, and what they start from. The files to boot from are opened once and stay open, so that a
 * reset starts the same system whatever has become of their paths since. */
#include "machine/machine.h"

#include <inttypes.h>
#include <string.h>

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "machine/acpi.h"
#include "machine/boot.h"
#include "machine/boot_bios.h"
#include "machine/firmware.h"
#include "machine/flash.h"
#include "machine/smbios.h"
#include "util/firmware_file.h"
#include "virtio/mmio.h"
#include "vm/vm.h"
#include "x86/model.h"

/* --- the boot source, a part of the board --------------------------------------------------- */

struct boot_device {
    struct device dev;
    struct boot boot;
    char *command_line; /* boot.command_line, where it was made here */
    struct boot_bios bios;
};

/* The board's own firmware, where neither a kernel nor an image was given. */
static const char *default_firmware(const struct vm_config *config)
{
    return strcmp(config->machine, "microvm") ? "bios-256k.bin" : "bios-microvm.bin";
}

static bool firmware_open(struct boot_device *source, GError **error)
{
    struct vm *vm = source->dev.vm;
    const struct vm_config *config = vm->config;
    const char *name = config->bios ? config->bios : default_firmware(config);
    const uint8_t *flash;
    if (!flash_create(vm, &flash, &source->bios.rom_size, error))
        return false;
    if (flash) {
        source->bios.rom = (uint8_t *)flash; /* the loader only reads it */
        source->bios.image_size = source->bios.rom_size;
        source->bios.borrowed = true;
        return !config->bios
               || fail(error, "-bios and flash memory exclude each other: both are the firmware");
    }
    g_autofree char *path = firmware_file_find(config->firmware_folders, "-bios", name, error);
    if (!path || !boot_bios_open(&source->bios, path, error))
        return false;
    address_space_add(vm->memory, &source->bios.region);
    return true;
}

static bool boot_realize(struct device *dev, GError **error)
{
    struct boot_device *source = container_of(dev, struct boot_device, dev);
    const struct vm_config *config = dev->vm->config;
    struct boot *boot = &source->boot;
    boot->kernel.fd = boot->initrd.fd = -1;
    boot->ram = &dev->vm->ram;
    boot->command_line = config->append ? config->append : "";
    if (config->kernel && config->bios)
        return fail(error, "-kernel and -bios exclude each other: a kernel is started directly, "
                           "without firmware");
    if (!config->kernel && (config->initrd || config->append))
        return fail(error, "%s goes with -kernel, which is missing",
                    config->initrd ? "-initrd" : "-append");
    if (!config->kernel)
        return firmware_open(source, error);
    if (!boot_file_open(&boot->kernel, "-kernel", config->kernel, error))
        return false;
    if (config->initrd && boot_kernel_takes_modules(boot)) {
        if (boot_modules_open(boot, config->initrd, error))
            return true;
        boot_modules_close(boot);
        boot_file_close(&boot->kernel);
        return false;
    }
    if (!config->initrd || boot_file_open(&boot->initrd, "-initrd", config->initrd, error))
        return true;
    boot_file_close(&boot->kernel);
    return false;
}

static void boot_unrealize(struct device *dev)
{
    struct boot_device *source = container_of(dev, struct boot_device, dev);
    boot_file_close(&source->boot.kernel);
    boot_file_close(&source->boot.initrd);
    boot_modules_close(&source->boot);
    if (source->bios.rom && !source->bios.borrowed)
        address_space_remove(dev->vm->memory, &source->bios.region);
    boot_bios_close(&source->bios);
    g_free(source->command_line);
}

DEVICE_TYPE(boot) = {
    .name = "boot",
    .description = "kernel or firmware the machine starts from",
    .bus = &bus_system,
    .size = sizeof(struct boot_device),
    .realize = boot_realize,
    .unrealize = boot_unrealize,
};

/* --- boards --------------------------------------------------------------------------------- */

static bool devices_create(struct vm *vm, const char *const *types, GError **error)
{
    for (; *types; types++)
        if (!board_device_create(vm, *types, error))
            return false;
    return true;
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

static bool interrupts_create(struct vm *vm, GError **error)
{
    return board_interrupts_create(vm, error)
           && (vm->engine->kernel_irqchip(vm) || board_device_create(vm, "pit", error));
}

static bool pc_create(struct vm *vm, GError **error)
{
    static const char *const types[] = { "boot",    "isabus-bridge",  "rtc",    "i8042",
                                         "port92",  "fpu-error",      "post",   "fw_cfg",
                                         "acpi-pm", "i440FX-pcihost", "i440FX", NULL };
    return interrupts_create(vm, error) && devices_create(vm, types, error)
           && serials_create(vm, error);
}

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

/* As `pc` without the keyboard controller, its gate, and PCI; ACPI's registers are the same, so
 * that one set of tables serves both. */
static bool microvm_create(struct vm *vm, GError **error)
{
    static const char *const types[] = { "boot",    "isabus-bridge", "rtc", "post",
                                         "acpi-pm", "fw_cfg",        NULL };
    return interrupts_create(vm, error) && devices_create(vm, types, error)
           && virtio_slots_create(vm, error) && serials_create(vm, error);
}

static void add_to_command_line(unsigned index, uint64_t base, unsigned gsi, void *opaque)
{
    g_string_append_printf(opaque, " virtio_mmio.device=%u@0x%" PRIx64 ":%u", VIRTIO_MMIO_BYTES,
                           base, gsi);
}

/* Without ACPI a kernel finds virtio-mmio only if its command line says where. */
static void command_line_complete(struct vm *vm)
{
    struct device *dev = board_find(vm, "boot");
    struct boot_device *source = container_of(dev, struct boot_device, dev);
    GString *text = g_string_new(source->boot.command_line);
    virtio_mmio_visit(vm, add_to_command_line, text);
    source->command_line = g_string_free(text, FALSE);
    source->boot.command_line = source->command_line;
}

const struct machine_type machine_types[] = {
    { "pc", "PC with the legacy devices (default)", pc_create },
    { "microvm", "small board: serial ports, timers, ACPI; starts fastest", microvm_create },
    { 0 },
};

const struct machine_type *machine_type_find(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct machine_type *type = machine_types; type->name; type++) {
        if (!strcmp(type->name, name))
            return type;
        g_ptr_array_add(names, (void *)type->name);
    }
    g_ptr_array_add(names, NULL);
    const char *hint = hint_nearest(name, (const char *const *)names->pdata);
    fail(error, "machine type '%s' is unknown%s", name, *hint ? hint : "; see -M help");
    return NULL;
}

/* How much memory there is, as firmware reads it: KiB above 1 MiB, 64 KiB units above 16 MiB and
 * above 4 GiB; and how many CPUs beside the first. (SeaBIOS reads these on boards without
 * fw_cfg.) */
static void cmos_fill(struct vm *vm)
{
    uint64_t low = vm->ram.below_4g_size, high = vm->ram.size - low;
    uint64_t extended = low > 1 << 20 ? MIN((low >> 10) - 1024, 65535) : 0;
    uint64_t above_16m = low > 16 << 20 ? MIN((low - (16 << 20)) >> 16, 65535) : 0;
    const struct {
        uint8_t index, value;
    } bytes[] = {
        { 0x15, 640 & 0xff },        { 0x16, 640 >> 8 },          { 0x17, extended & 0xff },
        { 0x18, extended >> 8 },     { 0x30, extended & 0xff },   { 0x31, extended >> 8 },
        { 0x34, above_16m & 0xff },  { 0x35, above_16m >> 8 },    { 0x5b, high >> 16 & 0xff },
        { 0x5c, high >> 24 & 0xff }, { 0x5d, high >> 32 & 0xff }, { 0x5f, vm->config->cpus - 1 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bytes); i++)
        rtc_set_cmos(vm, bytes[i].index, bytes[i].value);
}

/* -vga std, where there is a bus for it. */
static bool graphics_create(struct vm *vm, GError **error)
{
    if (g_strcmp0(vm->config->vga, "std") || !pci_root_bus(vm))
        return true;
    return board_device_create(vm, "VGA", error);
}

bool machine_create(struct vm *vm, GError **error)
{
    const struct machine_type *type = machine_type_find(vm->config->machine, error);
    if (!type || !type->create(vm, error) || !graphics_create(vm, error))
        return false;
    cmos_fill(vm);
    return true;
}

bool machine_finish(struct vm *vm, GError **error)
{
    if (!vm->config->acpi && !vm->config->plain_command_line)
        command_line_complete(vm);
    return firmware_describe(vm, error);
}

/* Memory types as firmware leaves them: RAM is cached, device memory below 4 GiB and the old video
 * window are not. Kernels take MTRRs that are off for a reason to leave the page attributes alone
 * as well, and complain if CPUs differ. (Intel SDM vol. 3, 12.11.2) */
static void memory_types_set(struct x86_cpu *cpu)
{
    const uint64_t write_back = 0x0606060606060606, gib = 1u << 30;
    enum {
        ENABLED = 1 << 11,
        FIXED_ENABLED = 1 << 10,
        WRITE_BACK = 6,
        UNCACHED = 0,
        VALID = 1 << 11
    };
    enum { FIXED_VIDEO = 2 }; /* index of the register for 0xa0000-0xbffff */
    unsigned phys_bits = cpu->model ? cpu->model->phys_bits : 36;
    cpu->mtrr_def_type = ENABLED | FIXED_ENABLED | WRITE_BACK;
    for (size_t i = 0; i < G_N_ELEMENTS(cpu->mtrr_fixed); i++)
        cpu->mtrr_fixed[i] = i == FIXED_VIDEO ? 0 : write_back;
    cpu->mtrr_base[0] = 3 * gib | UNCACHED;
    cpu->mtrr_mask[0] = ((1ull << phys_bits) - gib) | VALID;
}

/* The CPU model must be able to address all of RAM. */
static bool memory_reachable(const struct vm *vm, GError **error)
{
    const struct x86_model *model = vm->vcpus[0]->cpu->model;
    uint64_t high = vm->ram.size - vm->ram.below_4g_size;
    uint64_t end = high ? (1ull << 32) + high : vm->ram.below_4g_size;
    if (!model || model->phys_bits >= 64 || end <= 1ull << model->phys_bits)
        return true;
    return fail(error,
                "%" PRIu64 " MiB of memory end beyond what CPU model '%s' can address with its %u "
                "bits; take less or give -cpu a larger phys-bits",
                vm->ram.size >> 20, model->name, model->phys_bits);
}

bool machine_load(struct vm *vm, GError **error)
{
    if (!memory_reachable(vm, error))
        return false;
    struct device *dev = board_find(vm, "boot");
    struct boot_device *source = container_of(dev, struct boot_device, dev);
    struct boot *boot = &source->boot;
    boot->cpu = vm->vcpus[0]->cpu;
    firmware_reset(vm);
    if (source->bios.rom)
        return boot_bios_load(&source->bios, boot, error);
    for (unsigned i = 0; i < vm->config->cpus; i++)
        memory_types_set(vm->vcpus[i]->cpu);
    boot->rsdp = 0;
    if (vm->config->acpi && boot_ram(boot, BOOT_TABLES, BOOT_TABLES_SIZE)
        && !acpi_load(vm, boot, &boot->rsdp, error))
        return false;
    if (boot_ram(boot, BOOT_SMBIOS, BOOT_SMBIOS_SIZE))
        smbios_load(vm, boot);
    return boot_kernel(boot, error);
}
