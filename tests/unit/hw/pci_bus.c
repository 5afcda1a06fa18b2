/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BARs that the guest moves, windows of bridges, the way of INTx through them, MSI and MSI-X with
 * their masks, shadow RAM, ECAM, places on buses, and that nothing stays when devices go. */
#include "hw/pci/bridge.h"
#include "hw/pci/host.h"

#include "test_board.h"

#define ENABLE 0x80000000u
#define UNMAPPED_READ 0xffffffffu

/* --- a device with everything ---------------------------------------------------------------- */

struct probe {
    struct pci_function function;
    struct region registers, ports, window;
    uint32_t value;
};

static uint64_t probe_read(struct device *dev, uint64_t offset, unsigned size)
{
    return container_of(dev, struct probe, function.dev)->value + offset;
}
static void probe_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    container_of(dev, struct probe, function.dev)->value = value;
}
static const struct region_ops probe_ops = {
    .read = probe_read,
    .write = probe_write,
    .min_size = 4,
    .max_size = 4,
};

static bool probe_realize(struct device *dev, GError **error)
{
    struct probe *probe = container_of(dev, struct probe, function.dev);
    struct pci_function *function = &probe->function;
    probe->registers =
        (struct region){ .name = "probe", .size = 0x100, .ops = &probe_ops, .dev = dev };
    probe->ports = probe->window = probe->registers;
    probe->ports.size = 0x20;
    probe->window.size = 0x1000;
    pci_bar_define(function, 0, PCI_BAR_MEMORY32, 0x1000);
    pci_bar_add_region(function, 0, 0x200, &probe->registers);
    pci_bar_define(function, 1, PCI_BAR_IO, 0x20);
    pci_bar_add_region(function, 1, 0, &probe->ports);
    pci_bar_define(function, 2, PCI_BAR_MEMORY64 | PCI_BAR_PREFETCH, 1ull << 33);
    pci_bar_add_region(function, 2, (1ull << 33) - 0x1000, &probe->window);
    return pci_msix_init(function, 70, 4, error) && pci_msi_init(function, 0, 4, error)
           && pci_power_init(function, 0, error) && pci_express_init(function, 0, 0, 0, error);
}

static const struct pci_type probe_pci = {
    .vendor = 0x1234,
    .device = 0x11e8,
    .class = PCI_CLASS_OTHER,
    .interrupt_pin = 1,
    .express = true,
};

DEVICE_TYPE(probe) = {
    .name = "pci-everything",
    .description = "PCI function of this test",
    .bus = &bus_pci,
    .on_bus = &probe_pci,
    .size = sizeof(struct probe),
    .realize = probe_realize,
};

/* --- the guest's side ------------------------------------------------------------------------ */

static uint32_t in(struct test_board *board, uint16_t port, unsigned size)
{
    return address_space_read(board->vm.io, port, size);
}

static void out(struct test_board *board, uint16_t port, uint32_t value, unsigned size)
{
    address_space_write(board->vm.io, port, value, size);
}

static uint32_t config_read(struct test_board *board, unsigned bus, unsigned devfn, unsigned offset,
                            unsigned size)
{
    out(board, PCI_ADDRESS_PORT, ENABLE | bus << 16 | devfn << 8 | (offset & 0xfc), 4);
    return in(board, PCI_DATA_PORT + (offset & 3), size);
}

static void config_write(struct test_board *board, unsigned bus, unsigned devfn, unsigned offset,
                         uint32_t value, unsigned size)
{
    out(board, PCI_ADDRESS_PORT, ENABLE | bus << 16 | devfn << 8 | (offset & 0xfc), 4);
    out(board, PCI_DATA_PORT + (offset & 3), value, size);
}

static struct device *plug(struct test_board *board, const char *type, const char *id,
                           const char *bus, const char *address, GError **error)
{
    struct device *dev = device_new(&board->vm, type, id, error);
    dev->bus_name = g_strdup(bus);
    if ((!strcmp(type, "pci-bridge") && !device_set(dev, "chassis_nr", "1", error))
        || !device_set(dev, "addr", address, error) || !device_realize(dev, error)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

static struct device *place(struct test_board *board, const char *type, const char *address)
{
    g_autoptr(GError) error = NULL;
    struct device *dev = plug(board, type, NULL, NULL, address, &error);
    if (!dev)
        tap_ok(false, "%s: %s", type, error->message);
    return dev;
}

#define PROBE PCI_DEVFN(5, 0)
#define MEMORY_ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

/* --- BARs ------------------------------------------------------------------------------------ */

static void test_bars(struct test_board *board)
{
    struct device *dev = place(board, "pci-everything", "5");
    config_write(board, 0, PROBE, 0x10, UINT32_MAX, 4);
    config_write(board, 0, PROBE, 0x14, UINT32_MAX, 4);
    config_write(board, 0, PROBE, 0x18, UINT32_MAX, 4);
    config_write(board, 0, PROBE, 0x1c, UINT32_MAX, 4);
    tap_ok(config_read(board, 0, PROBE, 0x10, 4) == 0xfffff000, "4 KiB of memory");
    tap_ok(config_read(board, 0, PROBE, 0x14, 4) == 0xffffffe1, "32 ports");
    tap_ok(config_read(board, 0, PROBE, 0x18, 4) == 0xc
               && config_read(board, 0, PROBE, 0x1c, 4) == 0xfffffffe,
           "8 GiB of memory in 64 bits");
    config_write(board, 0, PROBE, PCI_COMMAND, 3, 2);
    tap_ok(pci_bar_address(pci_function_of(dev), 0) == PCI_UNMAPPED, "all ones are no address");
    config_write(board, 0, PROBE, 0x10, 0xe0000000, 4);
    tap_ok(mmio_read(board, 0xe0000200) == 0 && mmio_read(board, 0xe0000204) == 4, "mapped");
    tap_ok(mmio_read(board, 0xe0000000) == UNMAPPED_READ, "nothing where the BAR has no region");
    mmio_write(board, 0xe0000200, 7);
    config_write(board, 0, PROBE, 0x10, 0xe0100000, 4);
    tap_ok(mmio_read(board, 0xe0000200) == UNMAPPED_READ && mmio_read(board, 0xe0100200) == 7,
           "moved");
    config_write(board, 0, PROBE, 0x12, 0xe020, 2);
    tap_ok(mmio_read(board, 0xe0200200) == 7, "moved by half a register");
    config_write(board, 0, PROBE, 0x18, 0, 4);
    config_write(board, 0, PROBE, 0x1c, 0x12, 4);
    tap_ok(mmio_read(board, 0x13fffff000) == 7, "above 4 GiB");
    config_write(board, 0, PROBE, 0x14, 0xc101, 4);
    tap_ok(in(board, 0xc100, 4) == 7, "ports");
    config_write(board, 0, PROBE, PCI_COMMAND, 1, 2);
    tap_ok(mmio_read(board, 0xe0200200) == UNMAPPED_READ && in(board, 0xc100, 4) == 7,
           "memory off, ports on");
    config_write(board, 0, PROBE, PCI_COMMAND, 3, 2);
    device_reset(dev);
    tap_ok(in(board, 0xc100, 4) == UNMAPPED_READ && config_read(board, 0, PROBE, 0x10, 4) == 0,
           "reset unmaps");
    config_write(board, 0, PROBE, 0x10, 0xe0000000, 4);
    config_write(board, 0, PROBE, PCI_COMMAND, 2, 2);
    device_free(dev);
    tap_ok(mmio_read(board, 0xe0000200) == UNMAPPED_READ, "and so does unplugging");
}

/* --- bridges --------------------------------------------------------------------------------- */

static void test_bridge(struct test_board *board)
{
    g_autoptr(GError) error = NULL;
    const unsigned bridge = PCI_DEVFN(4, 0);
    plug(board, "pci-bridge", "br", NULL, "4", &error);
    plug(board, "pci-everything", "x", "br", "2", &error);
    tap_ok(!error, "a device behind a bridge");
    tap_ok(config_read(board, 1, PCI_DEVFN(2, 0), 0, 4) == UNMAPPED_READ, "buses have no numbers");
    config_write(board, 0, bridge, PCI_SECONDARY_BUS, 7, 1);
    config_write(board, 0, bridge, PCI_SUBORDINATE_BUS, 8, 1);
    tap_ok(config_read(board, 7, PCI_DEVFN(2, 0), 0, 4) == 0x11e81234
               && config_read(board, 8, PCI_DEVFN(2, 0), 0, 4) == UNMAPPED_READ,
           "bus 7");
    config_write(board, 7, PCI_DEVFN(2, 0), 0x10, 0xe0000000, 4);
    config_write(board, 7, PCI_DEVFN(2, 0), 0x14, 0xc000, 4);
    config_write(board, 7, PCI_DEVFN(2, 0), PCI_COMMAND, 3, 2);
    tap_ok(mmio_read(board, 0xe0000200) == UNMAPPED_READ, "the bridge is closed");
    config_write(board, 0, bridge, PCI_MEMORY_BASE, 0xe000e000, 4);
    config_write(board, 0, bridge, PCI_IO_BASE, 0xc0c0, 2);
    tap_ok(mmio_read(board, 0xe0000200) == UNMAPPED_READ, "and decodes nothing");
    config_write(board, 0, bridge, PCI_COMMAND, 3, 2);
    tap_ok(mmio_read(board, 0xe0000200) == 0 && in(board, 0xc004, 4) == 4, "it passes both on");
    config_write(board, 7, PCI_DEVFN(2, 0), 0x10, 0xe0100000, 4);
    tap_ok(mmio_read(board, 0xe0100200) == UNMAPPED_READ, "not what is beside the window");
    config_write(board, 0, bridge, PCI_PREFETCH_BASE, 0xe021e021, 4);
    tap_ok(mmio_read(board, 0xe0100200) == UNMAPPED_READ, "or a window away");
    config_write(board, 0, bridge, PCI_PREFETCH_BASE, 0xe011e011, 4);
    tap_ok(mmio_read(board, 0xe0100200) == 0, "in the prefetchable one");
    config_write(board, 0, bridge, PCI_BRIDGE_CONTROL, PCI_BRIDGE_RESET, 2);
    tap_ok(config_read(board, 7, PCI_DEVFN(2, 0), PCI_COMMAND, 2) == 0
               && mmio_read(board, 0xe0100200) == UNMAPPED_READ,
           "resetting the bus resets what is on it");
    device_free(device_find(&board->vm, "br"));
    tap_ok(!device_find(&board->vm, "x") && !bus_find(&board->vm, "br"),
           "the bridge goes with what is behind it");
}

/* --- interrupts ------------------------------------------------------------------------------ */

static bool asserted(struct test_board *board, unsigned irq)
{
    outb(board, 0xa0, 0x0a);
    return inb(board, 0xa0) >> (irq - 8) & 1;
}

/* Slot 5 of the root: (5 - 1) & 3 = link 0 on a PIIX3; slot 2 behind the bridge in slot 4: pin
 * (0 + 2) & 3 of slot 4, link (4 + 2 - 1) & 3 = 1. */
static void test_intx(struct test_board *board)
{
    g_autoptr(GError) error = NULL;
    pic_program(board);
    outb(board, 0x4d1, 0x0c);
    struct device *near = place(board, "pci-everything", "5");
    plug(board, "pci-bridge", "br", NULL, "4", &error);
    struct device *far = plug(board, "pci-everything", "x", "br", "2", &error);
    pci_irq_set(pci_function_of(near), true);
    tap_ok(!asserted(board, 10), "a link that leads nowhere");
    config_write(board, 0, PCI_DEVFN(1, 0), 0x60, 10, 1);
    config_write(board, 0, PCI_DEVFN(1, 0), 0x61, 11, 1);
    tap_ok(asserted(board, 10) && !asserted(board, 11), "and now does");
    tap_ok(config_read(board, 0, PROBE, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, "status says so");
    pci_irq_set(pci_function_of(far), true);
    tap_ok(asserted(board, 11), "a pin is turned behind a bridge");
    config_write(board, 0, PCI_DEVFN(1, 0), 0x61, 10, 1);
    tap_ok(asserted(board, 10) && !asserted(board, 11), "two links share an interrupt");
    pci_irq_set(pci_function_of(near), false);
    tap_ok(asserted(board, 10), "which stays while one asserts it");
    config_write(board, 0, PCI_DEVFN(4, 0), PCI_SECONDARY_BUS, 1, 1);
    config_write(board, 0, PCI_DEVFN(4, 0), PCI_SUBORDINATE_BUS, 1, 1);
    config_write(board, 1, PCI_DEVFN(2, 0), PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    tap_ok(!asserted(board, 10), "the function's INTx is disabled");
    config_write(board, 1, PCI_DEVFN(2, 0), PCI_COMMAND, 0, 2);
    tap_ok(asserted(board, 10), "and enabled");
    device_free(far);
    tap_ok(!asserted(board, 10), "unplugging takes it back");
}

static int next_vector(struct test_board *board)
{
    int vector = take(board);
    if (vector >= 0)
        lapic_eoi(board->cpus[0].apic);
    return vector;
}

static void test_msix(struct test_board *board)
{
    struct pci_function *function = pci_function_of(place(board, "pci-everything", "5"));
    unsigned cap = function->msix.offset;
    const uint64_t table = 0xe0400000, pending = table + 2048;
    lapic_msr_write(board->cpus[0].apic, 0x1b, BOARD_LAPIC_ADDRESS | 0x900);
    mmio_write(board, BOARD_LAPIC_ADDRESS + 0xf0, 0x1ff);
    config_write(board, 0, PROBE, 0x20, table, 4);
    config_write(board, 0, PROBE, PCI_COMMAND, MEMORY_ON, 2);
    tap_ok((config_read(board, 0, PROBE, cap + 2, 2) & 0x7ff) == 69, "70 vectors");
    tap_ok(mmio_read(board, table + 12) == 1, "masked at first");
    for (unsigned i = 0; i < 2; i++) {
        mmio_write(board, table + 16 * i, BOARD_LAPIC_ADDRESS);
        mmio_write(board, table + 16 * i + 8, 0x50 + i);
        mmio_write(board, table + 16 * i + 12, 0);
    }
    pci_msix_notify(function, 0);
    tap_ok(!pci_msix_enabled(function) && next_vector(board) == -1, "off: nothing");
    config_write(board, 0, PROBE, cap + 2, 0x8000, 2);
    pci_msix_notify(function, 1);
    tap_ok(next_vector(board) == 0x51, "vector 1's message");
    pci_msix_notify(function, 70);
    pci_msix_notify(function, UINT32_MAX);
    tap_ok(next_vector(board) == -1, "vectors there are not");
    mmio_write(board, table + 12, 1);
    pci_msix_notify(function, 0);
    tap_ok(next_vector(board) == -1 && mmio_read(board, pending) == 1, "masked: pending");
    mmio_write(board, table + 12, 0);
    tap_ok(next_vector(board) == 0x50 && mmio_read(board, pending) == 0, "sent when unmasked");
    config_write(board, 0, PROBE, cap + 2, 0xc000, 2);
    pci_msix_notify(function, 1);
    tap_ok(next_vector(board) == -1, "all masked");
    config_write(board, 0, PROBE, cap + 2, 0x8000, 2);
    tap_ok(next_vector(board) == 0x51, "and not any more");
    config_write(board, 0, PROBE, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    pci_msix_notify(function, 1);
    tap_ok(next_vector(board) == -1, "messages need bus mastering");
}

static void test_msi(struct test_board *board)
{
    struct pci_function *function = pci_function_of(place(board, "pci-everything", "5"));
    unsigned cap = function->msi_offset;
    lapic_msr_write(board->cpus[0].apic, 0x1b, BOARD_LAPIC_ADDRESS | 0x900);
    mmio_write(board, BOARD_LAPIC_ADDRESS + 0xf0, 0x1ff);
    config_write(board, 0, PROBE, PCI_COMMAND, MEMORY_ON, 2);
    config_write(board, 0, PROBE, cap + 4, BOARD_LAPIC_ADDRESS, 4);
    config_write(board, 0, PROBE, cap + 12, 0x60, 2);
    config_write(board, 0, PROBE, cap + 2, 0x21, 2); /* on, four vectors */
    pci_msi_notify(function, 3);
    tap_ok(next_vector(board) == 0x63, "the vector's number is in the message");
    config_write(board, 0, PROBE, cap + 16, 8, 4);
    pci_msi_notify(function, 3);
    tap_ok(next_vector(board) == -1 && config_read(board, 0, PROBE, cap + 20, 4) == 8,
           "masked: pending");
    config_write(board, 0, PROBE, cap + 16, 0, 4);
    tap_ok(next_vector(board) == 0x63 && config_read(board, 0, PROBE, cap + 20, 4) == 0,
           "sent when unmasked");
    config_write(board, 0, PROBE, cap + 2, 0x01, 2);
    pci_msi_notify(function, 3);
    tap_ok(next_vector(board) == 0x60, "one vector for all");
}

static void test_dma(struct test_board *board)
{
    const uint64_t end = board->vm.ram.size;
    struct pci_function *function = pci_function_of(place(board, "pci-everything", "5"));
    uint8_t bytes[16] = "0123456789abcde", *ram = board->vm.ram.host;
    tap_ok(!pci_dma_write(function, 0x200000, bytes, 16) && !ram[0x200000], "no DMA by itself");
    config_write(board, 0, PROBE, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    tap_ok(pci_dma_write(function, 0x200000, bytes, 16) && !memcmp(ram + 0x200000, bytes, 16),
           "as bus master");
    tap_ok(!pci_dma_read(function, end - 8, bytes, 16), "not beyond RAM");
}

/* --- places ---------------------------------------------------------------------------------- */

static const struct {
    const char *address, *message; /* NULL: accepted */
} places[] = {
    { "5", NULL },
    { "0x5.0", "slot 5 function 0 not available for pci-everything, in use by pci-everything" },
    { "5.1", "multifunction=on" },
    { "6.3", NULL },
    { "6", "6.0 indicates single function, but 6.3 is already populated" },
    { "1f.7", NULL },
    { "20", "0 to 1f" },
    { "1.8", "0 to 7" },
    { "", "0 to 1f" },
    { "5.", "0 to 1f" },
    { "g", "0 to 1f" },
};

static void test_places(struct test_board *board)
{
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(GError) error = NULL;
        struct device *dev =
            plug(board, "pci-everything", NULL, "pci.0", places[i].address, &error);
        bool right =
            places[i].message ? error && strstr(error->message, places[i].message) : dev && !error;
        if (!tap_ok(right, "addr=%s", places[i].address))
            tap_note("%s", error ? error->message : "accepted");
    }
    g_autoptr(GError) error = NULL;
    tap_ok(!plug(board, "pci-everything", NULL, "pci.1", "7", &error)
               && strstr(error->message, "Bus 'pci.1' not found; did you mean 'pci.0'?"),
           "a bus there is not");
    g_clear_error(&error);
    tap_ok(!plug(board, "pci-everything", NULL, "isa.0", "7", &error)
               && strstr(error->message, "can't go on ISA bus"),
           "a bus of another kind");
    g_clear_error(&error);
    tap_ok(!plug(board, "pcie-root-port", "rp", NULL, "7", &error)
               && strstr(error->message, "express bus"),
           "a PCI Express port on a conventional bus");
}

/* --- chipsets -------------------------------------------------------------------------------- */

static void test_shadow(struct test_board *board)
{
    uint8_t *ram = board->vm.ram.host;
    ram[0xc0000] = 0x11;
    ram[0xf0000] = 0x22;
    tap_ok(address_space_read(board->vm.memory, 0xc0000, 1) == 0xff, "RAM is hidden at first");
    config_write(board, 0, 0, 0x5a, 0x01, 1);
    address_space_write(board->vm.memory, 0xc0000, 0x33, 1);
    tap_ok(address_space_read(board->vm.memory, 0xc0000, 1) == 0x11, "read only");
    tap_ok(address_space_read(board->vm.memory, 0xc4000, 1) == 0xff, "its neighbour is not there");
    config_write(board, 0, 0, 0x5a, 0x33, 1);
    address_space_write(board->vm.memory, 0xc0000, 0x33, 1);
    tap_ok(address_space_read(board->vm.memory, 0xc0000, 1) == 0x33, "RAM");
    config_write(board, 0, 0, 0x59, 0x30, 1);
    tap_ok(address_space_read(board->vm.memory, 0xf0000, 1) == 0x22, "the last 64 KiB");
    config_write(board, 0, 0, 0x72, 0x4a, 1);
    ram[0xa0000] = 0x44;
    tap_ok(address_space_read(board->vm.memory, 0xa0000, 1) == 0x44, "SMRAM is open");
    config_write(board, 0, 0, 0x72, 0x0a, 1);
    tap_ok(address_space_read(board->vm.memory, 0xa0000, 1) == 0xff
               && address_space_read(board->vm.smm_memory, 0xa0000, 1) == 0x44,
           "closed: only system management mode sees it");
    device_reset(board_find(&board->vm, "i440FX"));
    tap_ok(address_space_read(board->vm.memory, 0xc0000, 1) == 0xff
               && address_space_read(board->vm.smm_memory, 0xa0000, 1) == 0xff,
           "reset hides all of it");
}

static void test_q35(struct test_board *board)
{
    const uint64_t base = 0xb0000000;
    uint8_t *ram = board->vm.ram.host;
    uint64_t top = board->vm.ram.below_4g_size;
    tap_ok(mmio_read(board, base) == UNMAPPED_READ, "no memory-mapped configuration at first");
    config_write(board, 0, 0, 0x60, base | 1, 4);
    tap_ok(mmio_read(board, base) == 0x29c08086, "the host bridge");
    place(board, "pci-everything", "5");
    mmio_write(board, base + (PROBE << 12) + 0x10, 0xe0000000);
    mmio_write(board, base + (PROBE << 12) + PCI_COMMAND, 2);
    tap_ok(mmio_read(board, 0xe0000200) == 0, "a BAR mapped through it");
    tap_ok(mmio_read(board, base + (PROBE << 12) + 0x100) == 0, "4 KiB of registers");
    tap_ok(mmio_read(board, base + (PCI_DEVFN(6, 0) << 12) + 0x100) == UNMAPPED_READ, "nobody");
    ram[top - 0x100000] = 0x55;
    config_write(board, 0, 0, 0x9d, 0x0a, 1);
    config_write(board, 0, 0, 0x9e, 0x01, 1);
    tap_ok(address_space_read(board->vm.memory, top - 0x100000, 1) == 0xff
               && address_space_read(board->vm.smm_memory, top - 0x100000, 1) == 0x55,
           "TSEG: 1 MiB only system management mode sees");
    config_write(board, 0, 0, 0x9d, 0x1a, 1);
    config_write(board, 0, 0, 0x9e, 0x00, 1);
    tap_ok(address_space_read(board->vm.memory, top - 0x100000, 1) == 0xff, "locked");
    config_write(board, 0, 0, 0xac, 0x0f000000, 4);
    tap_ok(config_read(board, 0, 0, 0xac, 4) == 0x0f000000, "firmware's note of where TSEG is");
    config_write(board, 0, 0, 0x60, 0, 4);
    tap_ok(mmio_read(board, base) == UNMAPPED_READ, "unmapped");
}

/* --- the boards ------------------------------------------------------------------------------ */

static void board_init(struct test_board *board, bool q35)
{
    test_board_init(board, 1);
    struct vm *vm = &board->vm;
    guest_ram_init(&vm->ram, 8 << 20, 3ull << 30, NULL);
    guest_ram_map(&vm->ram, vm->memory);
    test_board_add(board, q35 ? "q35-pcihost" : "i440FX-pcihost");
    test_board_add(board, q35 ? "mch" : "i440FX");
    test_board_add(board, "acpi-pm");
    place(board, q35 ? "ICH9-LPC" : "PIIX3", q35 ? "1f.0" : "1.0");
}

static void board_end(struct test_board *board)
{
    struct guest_ram ram = board->vm.ram;
    test_board_end(board);
    guest_ram_destroy(&ram);
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_bars, test_bridge, test_intx, test_msix, test_msi, test_dma, test_places, test_shadow,
    };
    struct test_board board;
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        board_init(&board, false);
        tests[i](&board);
        board_end(&board);
    }
    board_init(&board, true);
    test_q35(&board);
    board_end(&board);
    return tap_done();
}
