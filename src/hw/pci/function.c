/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions: their place on the bus, their configuration space, their life. */
#include <string.h>

#include "hw/pci/bridge.h"
#include "hw/pci/internal.h"
#include "vm/vm.h"

#define SUBSYSTEM_VENDOR_DEFAULT 0x1af4
#define SUBSYSTEM_DEFAULT 0x1100

/* --- configuration space --------------------------------------------------------------------- */

void pci_config_define(struct pci_function *function, unsigned offset, unsigned size,
                       uint32_t value, uint32_t writable)
{
    assert(offset + size <= PCI_CONFIG_MAX);
    store_le(&function->power_on[offset], value, size);
    store_le(&function->writable[offset], writable, size);
}

void pci_config_define_clears(struct pci_function *function, unsigned offset, unsigned size,
                              uint32_t bits)
{
    assert(offset + size <= PCI_CONFIG_MAX);
    store_le(&function->clears[offset], bits, size);
}

uint32_t pci_config_load(const struct pci_function *function, unsigned offset, unsigned size)
{
    return load_le(&function->config[offset], size);
}

void pci_config_store(struct pci_function *function, unsigned offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = value >> (8 * i), *reg = &function->config[offset + i];
        uint8_t mask = function->writable[offset + i];
        *reg = (*reg & ~mask) | (byte & mask);
        *reg &= ~(byte & function->clears[offset + i]);
    }
}

void pci_config_set(struct pci_function *function, unsigned offset, uint32_t value, unsigned size)
{
    store_le(&function->config[offset], value, size);
}

uint32_t pci_function_read(struct pci_function *function, unsigned offset, unsigned size)
{
    if (!function || offset + size > function->config_size)
        return UINT32_MAX;
    const struct pci_function_ops *ops = function->pci->ops;
    pthread_mutex_lock(&function->dev.lock);
    uint32_t value = ops && ops->config_read ? ops->config_read(function, offset, size)
                                             : pci_config_load(function, offset, size);
    pthread_mutex_unlock(&function->dev.lock);
    if (offset <= PCI_STATUS && offset + size > PCI_STATUS && function->intx_asserted)
        value |= PCI_STATUS_INTERRUPT << (8 * (PCI_STATUS - offset));
    value |= pci_msi_pending(function, offset, size);
    return size == 4 ? value : value & ((1u << (8 * size)) - 1);
}

/* What other threads look at without dev.lock. Called with it. */
static void publish_command(struct pci_function *function)
{
    uint32_t command = pci_config_load(function, PCI_COMMAND, 2);
    atomic_store(&function->master, command & PCI_COMMAND_MASTER);
    atomic_store(&function->intx_disabled, command & PCI_COMMAND_INTX_DISABLE);
}

/* Whether the registers that say where things are differ from before. */
static bool places_changed(const struct pci_function *function, const uint8_t *before)
{
    const struct pci_function_ops *ops = function->pci->ops;
    const uint8_t *now = function->config;
    if ((before[PCI_COMMAND] ^ now[PCI_COMMAND]) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY))
        return true;
    if (memcmp(before + PCI_BARS, now + PCI_BARS, PCI_CAPABILITIES + 8 - PCI_BARS))
        return true;
    return ops && ops->remap && memcmp(before, now, PCI_CONFIG_SIZE);
}

void pci_function_write(struct pci_function *function, unsigned offset, uint32_t value,
                        unsigned size)
{
    uint8_t before[PCI_CONFIG_SIZE];
    if (!function || offset + size > function->config_size)
        return;
    const struct pci_function_ops *ops = function->pci->ops;
    pthread_mutex_lock(&function->dev.lock);
    memcpy(before, function->config, sizeof(before));
    if (ops && ops->config_write)
        ops->config_write(function, offset, value, size);
    else
        pci_config_store(function, offset, value, size);
    publish_command(function);
    bool remap = places_changed(function, before);
    pthread_mutex_unlock(&function->dev.lock);
    pci_intx_update(function);
    pci_msi_update(function);
    pci_msix_update(function);
    if (remap)
        pci_function_remap(function);
    if (ops && ops->written)
        ops->written(function);
}

/* --- where things are ------------------------------------------------------------------------ */

static void remap_behind(struct pci_bus *bus);

static void remap_one(struct pci_function *function)
{
    const struct pci_function_ops *ops = function->pci->ops;
    uint8_t header[64];
    pthread_mutex_lock(&function->dev.lock);
    memcpy(header, function->config, sizeof(header));
    pthread_mutex_unlock(&function->dev.lock);
    pci_bars_remap(function, header);
    if (ops && ops->remap)
        ops->remap(function);
    if (function->pci->bridge)
        remap_behind(pci_bridge_bus(function));
}

/* A bridge's windows moved: what is behind it may come into sight or go out of it. */
static void remap_behind(struct pci_bus *bus)
{
    for (unsigned i = 0; i < PCI_FUNCTION_COUNT; i++)
        if (bus->functions[i])
            remap_one(bus->functions[i]);
}

void pci_function_remap(struct pci_function *function)
{
    struct vm *vm = function->dev.vm;
    address_space_begin(vm->memory);
    address_space_begin(vm->io);
    remap_one(function);
    address_space_end(vm->io);
    address_space_end(vm->memory);
}

/* --- a place on the bus ---------------------------------------------------------------------- */

static int free_slot(const struct pci_bus *bus)
{
    for (unsigned slot = 0; slot < 32; slot++)
        if ((bus->slots >> slot & 1) && !bus->functions[PCI_DEVFN(slot, 0)])
            return PCI_DEVFN(slot, 0);
    return -1;
}

/* Function 0 says for the whole slot whether there are others. (3.2.2.3.4) */
static bool multifunction_agrees(const struct pci_function *function, const struct pci_bus *bus,
                                 unsigned devfn, GError **error)
{
    const struct pci_function *first = bus->functions[devfn & ~7u];
    bool multifunction = function->multifunction || function->pci->multifunction;
    if (devfn & 7) {
        if (first && !(first->power_on[PCI_HEADER_TYPE] & PCI_HEADER_MULTIFUNCTION))
            return fail(error,
                        "PCI: single function device can't be populated in function %x.%x: give "
                        "function 0 multifunction=on",
                        devfn >> 3, devfn & 7);
        return true;
    }
    for (unsigned other = devfn + 1; !multifunction && other < devfn + 8; other++)
        if (bus->functions[other])
            return fail(error,
                        "PCI: %x.0 indicates single function, but %x.%x is already populated; give "
                        "it multifunction=on",
                        devfn >> 3, devfn >> 3, other & 7);
    return true;
}

static bool choose_place(struct pci_function *function, struct pci_bus *bus, GError **error)
{
    const char *name = function->dev.type->name;
    int devfn = function->address >= 0 ? function->address : free_slot(bus);
    if (devfn < 0)
        return fail(error, "PCI: no slot/function available for %s on bus '%s', all in use", name,
                    bus->bus.name);
    if (!(bus->slots >> (devfn >> 3) & 1))
        return bus->slots == 1
                   ? fail(error,
                          "PCI: slot %d is not valid for %s, parent device only allows plugging "
                          "into slot 0",
                          devfn >> 3, name)
                   : fail(error, "PCI: slot %d of bus '%s' is not for devices", devfn >> 3,
                          bus->bus.name);
    const struct pci_function *other = bus->functions[devfn];
    if (other)
        return fail(error, "PCI: slot %d function %d not available for %s, in use by %s,id=%s",
                    devfn >> 3, devfn & 7, name, other->dev.type->name,
                    other->dev.id ? other->dev.id : "(null)");
    if (!multifunction_agrees(function, bus, devfn, error))
        return false;
    function->devfn = devfn;
    return true;
}

/* 6.1: what the headers of all functions have in common. */
static void header_define(struct pci_function *function)
{
    const struct pci_type *pci = function->pci;
    uint8_t header =
        (pci->bridge ? PCI_HEADER_BRIDGE : 0)
        | (function->multifunction || pci->multifunction ? PCI_HEADER_MULTIFUNCTION : 0);
    bool plain = !pci->subsystem_vendor && !pci->subsystem;
    pci_config_define(function, PCI_VENDOR, 2, pci->vendor, 0);
    pci_config_define(function, PCI_DEVICE, 2, pci->device, 0);
    pci_config_define(function, PCI_COMMAND, 2, 0,
                      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY
                          | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
    pci_config_define_clears(function, PCI_STATUS, 2, PCI_STATUS_ERRORS);
    pci_config_define(function, PCI_REVISION, 4, pci->class << 8 | pci->revision, 0);
    pci_config_define(function, PCI_CACHE_LINE, 1, 0, 0xff);
    pci_config_define(function, PCI_HEADER_TYPE, 1, header, 0);
    pci_config_define(function, PCI_INTERRUPT_LINE, 1, 0, 0xff);
    pci_config_define(function, PCI_INTERRUPT_PIN, 1, pci->interrupt_pin, 0);
    if (pci->bridge)
        return;
    pci_config_define(function, PCI_SUBSYSTEM_VENDOR, 2,
                      plain ? SUBSYSTEM_VENDOR_DEFAULT : pci->subsystem_vendor, 0);
    pci_config_define(function, PCI_SUBSYSTEM, 2, plain ? SUBSYSTEM_DEFAULT : pci->subsystem, 0);
}

static bool function_plug(struct device *dev, GError **error)
{
    struct pci_function *function = pci_function_of(dev);
    struct pci_bus *bus = pci_bus_of(dev->bus);
    function->pci = dev->type->on_bus;
    assert(function->pci);
    pthread_mutex_init(&function->irq_lock, NULL);
    for (unsigned i = 0; i <= PCI_BAR_ROM; i++)
        function->bars[i].address = PCI_UNMAPPED;
    function->config_size = function->pci->express ? PCI_CONFIG_MAX : PCI_CONFIG_SIZE;
    if (!choose_place(function, bus, error))
        return false;
    header_define(function);
    function->bus = bus;
    return true;
}

/* Only now is it visible to the guest. */
static bool function_realized(struct device *dev, GError **error)
{
    struct pci_function *function = pci_function_of(dev);
    if (!pci_rom_init(function, error))
        return false;
    memcpy(function->config, function->power_on, sizeof(function->config));
    function->bus->functions[function->devfn] = function;
    return true;
}

static void function_unplug(struct device *dev)
{
    struct pci_function *function = pci_function_of(dev);
    struct vm *vm = dev->vm;
    if (function->bus) {
        pci_irq_set(function, false);
        if (function->bus->functions[function->devfn] == function)
            function->bus->functions[function->devfn] = NULL;
        address_space_begin(vm->memory);
        address_space_begin(vm->io);
        pci_bars_remap(function, NULL);
        address_space_end(vm->io);
        address_space_end(vm->memory);
    }
    function->bus = NULL;
    pci_msix_end(function);
    pci_rom_end(function);
    pthread_mutex_destroy(&function->irq_lock);
}

static void function_reset(struct device *dev)
{
    struct pci_function *function = pci_function_of(dev);
    pci_irq_set(function, false);
    pthread_mutex_lock(&dev->lock);
    memcpy(function->config, function->power_on, sizeof(function->config));
    publish_command(function);
    pthread_mutex_unlock(&dev->lock);
    pci_msi_reset(function);
    pci_msix_reset(function);
    pci_function_remap(function);
}

/* --- DMA ------------------------------------------------------------------------------------- */

bool pci_is_master(const struct pci_function *function)
{
    return atomic_load_explicit(&function->master, memory_order_acquire);
}

bool pci_dma_read(struct pci_function *function, uint64_t gpa, void *buffer, uint64_t length)
{
    return pci_is_master(function) && dma_read(function->dev.vm->memory, gpa, buffer, length);
}

bool pci_dma_write(struct pci_function *function, uint64_t gpa, const void *buffer, uint64_t length)
{
    return pci_is_master(function) && dma_write(function->dev.vm->memory, gpa, buffer, length);
}

/* --- the bus class --------------------------------------------------------------------------- */

static const char *class_name(uint32_t class)
{
    static const struct {
        uint16_t class;
        const char *name;
    } names[] = {
        { 0x0100, "SCSI controller" },
        { 0x0101, "IDE controller" },
        { 0x0106, "SATA controller" },
        { 0x0108, "NVMe controller" },
        { 0x0200, "Ethernet controller" },
        { 0x0300, "VGA controller" },
        { 0x0403, "Audio controller" },
        { 0x0500, "RAM controller" },
        { 0x0600, "Host bridge" },
        { 0x0601, "ISA bridge" },
        { 0x0604, "PCI bridge" },
        { 0x0680, "Bridge" },
        { 0x0780, "Communication controller" },
        { 0x0c03, "USB controller" },
        { 0x0c05, "SMBus" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].class == class >> 8)
            return names[i].name;
    return NULL;
}

static void describe_bar(GString *text, const struct pci_function *function, unsigned index)
{
    const struct pci_bar *bar = &function->bars[index];
    uint64_t address = pci_bar_address(function, index);
    if (bar->size)
        g_string_append_printf(
            text, "\nbar %u: %s at 0x%" G_GINT64_MODIFIER "x [0x%" G_GINT64_MODIFIER "x]", index,
            bar->kind & PCI_BAR_IO ? "i/o" : "mem", address, address + bar->size - 1);
}

static char *function_describe(const struct device *dev)
{
    const struct pci_function *function = container_of(dev, struct pci_function, dev);
    const uint8_t *config = function->config;
    const char *name = class_name(function->pci->class);
    GString *text = g_string_new(NULL);
    g_autofree char *number = g_strdup_printf("Class %04x", function->pci->class >> 8);
    g_string_append_printf(text, "class %s, addr %02x:%02x.%x, pci id %04x:%04x (sub %04x:%04x)",
                           name ? name : number, pci_bus_number(function->bus), pci_slot(function),
                           function->devfn & 7, load_le(config, 2), load_le(config + PCI_DEVICE, 2),
                           load_le(config + PCI_SUBSYSTEM_VENDOR, 2),
                           load_le(config + PCI_SUBSYSTEM, 2));
    for (unsigned i = 0; i <= PCI_BAR_ROM; i++)
        describe_bar(text, function, i);
    return g_string_free(text, FALSE);
}

/* Open Firmware's name for a class of functions; NULL: there is none. (PCI Bus Binding to IEEE
 * 1275, 2.5) */
static const char *class_firmware_name(uint16_t class)
{
    static const struct {
        uint16_t class;
        const char *name;
    } names[] = {
        { 0x0100, "scsi" }, { 0x0101, "ide" },        { 0x0102, "fdc" },
        { 0x0104, "raid" }, { 0x0200, "ethernet" },   { 0x0300, "display" },
        { 0x0601, "isa" },  { 0x0604, "pci-bridge" }, { 0x0c03, "usb" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].class == class)
            return names[i].name;
    return NULL;
}

static char *function_firmware_node(const struct device *dev)
{
    const struct pci_function *function = container_of(dev, struct pci_function, dev);
    const char *name = dev->type->firmware_name;
    unsigned slot = pci_slot(function), number = function->devfn & 7;
    g_autofree char *generic =
        g_strdup_printf("pci%04x,%04x", function->pci->vendor, function->pci->device);
    if (!name)
        name = class_firmware_name(load_le(function->config + PCI_REVISION + 2, 2));
    return number ? g_strdup_printf("%s@%x,%x", name ? name : generic, slot, number)
                  : g_strdup_printf("%s@%x", name ? name : generic, slot);
}

static const struct property function_properties[] = {
    PROPERTY_PCI_ADDRESS("addr", struct pci_function, address,
                         .help = "Slot and optional function number, example: 06.0 or 06"),
    PROPERTY_BOOL("multifunction", struct pci_function, multifunction, false),
    PROPERTY_STRING("romfile", struct pci_function, romfile, .help = "file of an option ROM"),
    PROPERTY_U32("rombar", struct pci_function, rombar, 1, .help = "0: no expansion ROM"),
    PROPERTY_U32("romsize", struct pci_function, romsize, UINT32_MAX),
    PROPERTY_U32("acpi-index", struct pci_function, acpi_index, 0),
    {},
};

const struct bus_class bus_pci = {
    .name = "PCI",
    .noun = "pci",
    .properties = function_properties,
    .plug = function_plug,
    .unplug = function_unplug,
    .realized = function_realized,
    .reset = function_reset,
    .describe = function_describe,
    .firmware_node = function_firmware_node,
};
