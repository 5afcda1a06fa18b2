/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI configuration: the ports in all access sizes, masks and hooks of a function, the host bridge
 * of the board, and the reset register in the middle of it all. */
#include "hw/pci/pci.h"

#include "test_board.h"

#define ENABLE 0x80000000u

static uint32_t in(struct test_board *board, uint16_t port, unsigned size)
{
    return address_space_read(board->vm.io, port, size);
}

static void out(struct test_board *board, uint16_t port, uint32_t value, unsigned size)
{
    address_space_write(board->vm.io, port, value, size);
}

static uint32_t config_read(struct test_board *board, unsigned devfn, unsigned offset,
                            unsigned size)
{
    out(board, PCI_ADDRESS_PORT, ENABLE | devfn << 8 | (offset & 0xfc), 4);
    return in(board, PCI_DATA_PORT + (offset & 3), size);
}

static void config_write(struct test_board *board, unsigned devfn, unsigned offset, uint32_t value,
                         unsigned size)
{
    out(board, PCI_ADDRESS_PORT, ENABLE | devfn << 8 | (offset & 0xfc), 4);
    out(board, PCI_DATA_PORT + (offset & 3), value, size);
}

/* --- a function with hooks ------------------------------------------------------------------- */

#define PROBE_DEVFN PCI_DEVFN(31, 7)
#define PROBE_COUNTER 0x40 /* counts its reads */
#define PROBE_SQUARE 0x44  /* is set to the square of what is written */

struct probe {
    struct pci_function function;
    unsigned reads;
};

static uint32_t probe_config_read(struct pci_function *function, unsigned offset, unsigned size)
{
    struct probe *probe = container_of(function, struct probe, function);
    return offset == PROBE_COUNTER ? ++probe->reads : pci_config_load(function, offset, size);
}

static void probe_config_write(struct pci_function *function, unsigned offset, uint32_t value,
                               unsigned size)
{
    pci_config_store(function, offset, offset == PROBE_SQUARE ? value * value : value, size);
}

static bool probe_realize(struct device *dev, GError **error)
{
    struct pci_function *function = pci_function_of(dev);
    pci_config_define(function, PROBE_SQUARE, 2, 3, 0x0ff0);
    pci_config_define(function, 0xfc, 4, 0, UINT32_MAX);
    return true;
}

static const struct pci_function_ops probe_ops = {
    .config_read = probe_config_read,
    .config_write = probe_config_write,
};
static const struct pci_type probe_pci = {
    .vendor = 0x1234,
    .device = 0x5678,
    .class = PCI_CLASS_OTHER,
    .ops = &probe_ops,
};

DEVICE_TYPE(probe) = {
    .name = "pci-probe",
    .description = "PCI function of this test",
    .bus = &bus_pci,
    .on_bus = &probe_pci,
    .size = sizeof(struct probe),
    .realize = probe_realize,
};

static struct device *probe_add(struct test_board *board, const char *address, GError **error)
{
    struct device *dev = device_new(&board->vm, "pci-probe", NULL, error);
    if (device_set(dev, "addr", address, error) && device_realize(dev, error))
        return dev;
    device_free(dev);
    return NULL;
}

static void test_function(struct test_board *board)
{
    tap_ok(config_read(board, PROBE_DEVFN, PCI_VENDOR, 4) == UINT32_MAX, "nobody is at 1f.7");
    struct device *dev = probe_add(board, "1f.7", NULL);
    tap_ok(config_read(board, PROBE_DEVFN, PCI_VENDOR, 4) == 0x56781234, "somebody is at 1f.7");
    config_write(board, PROBE_DEVFN, PCI_VENDOR, 0, 4);
    tap_ok(config_read(board, PROBE_DEVFN, PCI_VENDOR, 4) == 0x56781234, "and stays");
    config_read(board, PROBE_DEVFN, PROBE_COUNTER, 1);
    tap_ok(config_read(board, PROBE_DEVFN, PROBE_COUNTER, 1) == 2, "a read hook");
    config_write(board, PROBE_DEVFN, PROBE_SQUARE, 0x11, 2);
    tap_ok(config_read(board, PROBE_DEVFN, PROBE_SQUARE, 4) == 0x123,
           "a write hook, and only writable bits change");
    config_write(board, PROBE_DEVFN, 0xff, 0x5a, 1);
    tap_ok(config_read(board, PROBE_DEVFN, 0xfc, 4) == 0x5a000000, "the last byte");
    device_reset(dev);
    tap_ok(config_read(board, PROBE_DEVFN, PROBE_SQUARE, 4) == 3
               && config_read(board, PROBE_DEVFN, 0xfc, 4) == 0,
           "reset");
    g_autoptr(GError) error = NULL;
    tap_ok(!probe_add(board, "1f.7", &error)
               && strstr(error->message, "slot 31 function 7 not available for pci-probe, in use"),
           "a place is for one");
    device_free(dev);
    tap_ok(config_read(board, PROBE_DEVFN, PCI_VENDOR, 4) == UINT32_MAX, "nobody again");
}

/* --- ports ----------------------------------------------------------------------------------- */

static void test_address(struct test_board *board)
{
    tap_ok(in(board, PCI_ADDRESS_PORT, 4) == 0, "address zero at reset");
    out(board, PCI_ADDRESS_PORT, UINT32_MAX, 4);
    tap_ok(in(board, PCI_ADDRESS_PORT, 4) == 0x80fffffc, "reserved bits of the address");
    out(board, PCI_ADDRESS_PORT, ENABLE | 0x08, 4);
    static const struct {
        uint16_t port;
        unsigned size;
    } narrow[] = { { 0xcf8, 1 }, { 0xcfa, 1 }, { 0xcfb, 1 }, { 0xcf8, 2 }, { 0xcfa, 2 } };
    for (size_t i = 0; i < G_N_ELEMENTS(narrow); i++) {
        out(board, narrow[i].port, 0, narrow[i].size);
        tap_ok(in(board, PCI_ADDRESS_PORT, 4) == (ENABLE | 0x08),
               "%u bytes at 0x%x are not the address", narrow[i].size, narrow[i].port);
        uint32_t ones = narrow[i].size == 1 ? 0xff : 0xffff;
        tap_ok(in(board, narrow[i].port, narrow[i].size) == ones, "and read as nobody's");
    }
    tap_ok(in(board, PCI_DATA_PORT, 4) == 0x06000002, "class and revision");
    out(board, PCI_ADDRESS_PORT, 0x08, 4);
    tap_ok(in(board, PCI_DATA_PORT, 4) == UINT32_MAX, "the data port is closed without bit 31");
    out(board, PCI_ADDRESS_PORT, ENABLE | 1 << 16, 4);
    tap_ok(in(board, PCI_DATA_PORT, 4) == UINT32_MAX, "there is no bus 1");
    out(board, PCI_DATA_PORT, 0, 4);
}

static void test_data_sizes(struct test_board *board)
{
    static const uint8_t start[] = { 0x86, 0x80, 0x37, 0x12, 0x06, 0x00, 0x80, 0x02 };
    for (unsigned offset = 0; offset < sizeof(start); offset++) {
        tap_ok(config_read(board, 0, offset, 1) == start[offset], "byte %u", offset);
        uint16_t word = start[offset] | start[(offset + 1) % 8] << 8;
        if (offset % 4 < 3)
            tap_ok(config_read(board, 0, offset, 2) == word, "word %u", offset);
    }
    tap_ok(config_read(board, 0, 1, 4) == 0xff123780, "a read that leaves the port at its end");
    unsigned present = 0;
    for (unsigned devfn = 0; devfn < PCI_FUNCTION_COUNT; devfn++)
        present += config_read(board, devfn, PCI_VENDOR, 2) != 0xffff;
    tap_ok(present == 1, "%u function on the bus", present);
}

static void test_reset_register(struct test_board *board)
{
    test_board_add(board, "acpi-pm");
    out(board, PCI_ADDRESS_PORT, ENABLE | 0x0604, 4);
    tap_ok(in(board, PCI_ADDRESS_PORT, 4) == (ENABLE | 0x0604) && !inb(board, ACPI_RESET_PORT)
               && !atomic_load(&board->vm.asked),
           "an address that looks like a reset is none");
    outb(board, ACPI_RESET_PORT, 0x02);
    tap_ok(inb(board, ACPI_RESET_PORT) == 0x02
               && in(board, PCI_ADDRESS_PORT, 4) == (ENABLE | 0x604),
           "the reset register has its byte for itself");
    outb(board, ACPI_RESET_PORT, ACPI_RESET_VALUE);
    tap_ok(atomic_load(&board->vm.asked), "and resets");
}

/* --- host bridge ----------------------------------------------------------------------------- */

static void test_host_bridge(struct test_board *board)
{
    config_write(board, 0, PCI_COMMAND, 0, 2);
    tap_ok(config_read(board, 0, PCI_COMMAND, 2) == 0x0006, "memory and master cannot be disabled");
    for (unsigned offset = 0x59; offset < 0x60; offset++) {
        tap_ok(config_read(board, 0, offset, 1) == 0, "PAM 0x%x at reset", offset);
        config_write(board, 0, offset, 0xff, 1);
        tap_ok(config_read(board, 0, offset, 1) == (offset == 0x59 ? 0x70 : 0x77), "and set");
    }
    tap_ok(config_read(board, 0, 0x72, 1) == 0x02, "SMRAM at reset");
    config_write(board, 0, 0x72, 0x48, 1);
    tap_ok(config_read(board, 0, 0x72, 1) == 0x4a, "opened");
    config_write(board, 0, 0x72, 0x58, 1);
    tap_ok(config_read(board, 0, 0x72, 1) == 0x1a, "locked, which closes it");
    config_write(board, 0, 0x70, 0x00480000, 4);
    tap_ok(config_read(board, 0, 0x72, 1) == 0x1a, "for good");
    device_reset(board_find(&board->vm, "i440FX"));
    tap_ok(config_read(board, 0, 0x72, 1) == 0x02 && config_read(board, 0, 0x5c, 4) == 0,
           "until reset");
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_function, test_address, test_data_sizes, test_reset_register, test_host_bridge,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        g_autoptr(GError) error = NULL;
        test_board_init(&board, 1);
        if (i == 0)
            tap_ok(!board_device_create(&board.vm, "i440FX", &error)
                       && strstr(error->message, "No 'PCI' bus found"),
                   "no bridge without bus");
        test_board_add(&board, "i440FX-pcihost");
        test_board_add(&board, "i440FX");
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
