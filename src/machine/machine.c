/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boards, and what they start from. The files to boot from are opened once and stay open, so that a
 * reset starts the same system whatever has become of their paths since. */
#include "machine/machine.h"

#include <inttypes.h>
#include <string.h>

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "machine/acpi.h"
#include "machine/boards.h"
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

#define LOW_BIOS_END 0x100000u
#define LOW_BIOS_MAX 0x20000u

struct boot_device {
    struct device dev;
    struct boot boot;
    char *command_line; /* boot.command_line, where it was made here */
    struct boot_bios bios;
    struct region low_bios; /* size 0: not mapped */
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

/* On boards whose chipset chooses between ROM and RAM below 1 MiB, the image's end is seen there as
 * ROM, too. */
static void low_bios_map(struct boot_device *source)
{
    struct vm *vm = source->dev.vm;
    const struct boot_bios *bios = &source->bios;
    uint64_t size = MIN(bios->rom_size, LOW_BIOS_MAX);
    if (!strcmp(vm->config->machine, "microvm"))
        return;
    source->low_bios = (struct region){
        .name = "isa-bios",
        .kind = REGION_ROM,
        .base = LOW_BIOS_END - size,
        .size = size,
        .host = bios->rom + bios->rom_size - size,
        .priority = 1,
    };
    address_space_add(vm->memory, &source->low_bios);
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
    if (!config->kernel) {
        if (!firmware_open(source, error))
            return false;
        low_bios_map(source);
        return true;
    }
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
    if (source->low_bios.size)
        address_space_remove(dev->vm->memory, &source->low_bios);
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

/* --- the machine ----------------------------------------------------------------------------- */

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
    if (vm->config->smm == ON_OFF_AUTO_ON && !board_has_smm(vm))
        return fail(error, "smm=on: engine '%s' has no system management mode here",
                    vm->engine->name);
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
static void memory_types_set(struct x86_cpu *cpu, uint64_t devices)
{
    const uint64_t write_back = 0x0606060606060606, end = 1ull << 32;
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
    /* Each register covers a power of two, aligned to its size. */
    for (size_t i = 0; devices < end && i < G_N_ELEMENTS(cpu->mtrr_base); i++) {
        uint64_t size = devices & -devices;
        cpu->mtrr_base[i] = devices | UNCACHED;
        cpu->mtrr_mask[i] = ((1ull << phys_bits) - size) | VALID;
        devices += size;
    }
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
        memory_types_set(vm->vcpus[i]->cpu, machine_below_4g(vm->config));
    pci_setup(vm);
    boot->rsdp = 0;
    if (vm->config->acpi && boot_ram(boot, BOOT_TABLES, BOOT_TABLES_SIZE)
        && !acpi_load(vm, boot, &boot->rsdp, error))
        return false;
    if (boot_ram(boot, BOOT_SMBIOS, BOOT_SMBIOS_SIZE))
        smbios_load(vm, boot);
    return boot_kernel(boot, error);
}
