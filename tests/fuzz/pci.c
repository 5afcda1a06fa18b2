/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that does to the chipset and to PCI what it likes: configuration cycles by ports and by
 * memory, accesses to ports and memory. The first byte chooses the board; then each step is an
 * operation, an address and a value, as many bytes as it needs. */
#include "hw/pci/pci.h"
#include "unit/hw/test_board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t left;
};

static uint64_t take_bytes(struct input *input, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count && input->left; i++, input->data++, input->left--)
        value |= (uint64_t)*input->data << (8 * i);
    return value;
}

static void add(struct test_board *board, const char *type, const char *id, const char *address,
                const char *bus)
{
    struct device *dev = device_new(&board->vm, type, id, NULL);
    dev->bus_name = g_strdup(bus);
    if (address)
        device_set(dev, "addr", address, NULL);
    if (!strcmp(type, "pci-bridge"))
        device_set(dev, "chassis_nr", "1", NULL);
    if (!strcmp(type, "pcie-root-port"))
        device_set(dev, "chassis", address, NULL);
    bool plugged = device_realize(dev, NULL);
    assert(plugged);
}

static void board_make(struct test_board *board, bool q35)
{
    test_board_init(board, 1);
    struct vm *vm = &board->vm;
    vm->asked_fd = -1;
    bool ram = guest_ram_init(&vm->ram, 4 << 20, 3ull << 30, NULL);
    assert(ram);
    guest_ram_map(&vm->ram, vm->memory);
    test_board_add(board, q35 ? "q35-pcihost" : "i440FX-pcihost");
    test_board_add(board, q35 ? "mch" : "i440FX");
    test_board_add(board, "hpet");
    test_board_add(board, "acpi-pm");
    if (q35) {
        add(board, "ICH9-LPC", NULL, "1f.0", NULL);
        add(board, "ICH9-SMB", NULL, "1f.3", NULL);
        add(board, "pcie-root-port", "rp", "2", NULL);
        add(board, "pcie-pci-bridge", "pp", "0", "rp");
        add(board, "pci-testdev", NULL, "3", "pp");
    } else {
        add(board, "PIIX3", NULL, "1.0", NULL);
        add(board, "PIIX4_PM", NULL, "1.3", NULL);
        add(board, "pci-bridge", "br", "2", NULL);
        add(board, "pci-testdev", NULL, "3", "br");
        add(board, "pvpanic", NULL, NULL, NULL);
    }
    add(board, "pvpanic-pci", NULL, "4", NULL);
    add(board, "i6300esb", NULL, "5", NULL);
    add(board, "pc-testdev", NULL, NULL, NULL);
}

static void step(struct test_board *board, struct input *input)
{
    uint8_t operation = take_bytes(input, 1);
    unsigned width = 1u << (operation >> 4 & 1 ? 2 : operation >> 5 & 1);
    struct address_space *io = board->vm.io, *memory = board->vm.memory;
    uint32_t address;
    switch (operation & 7) {
    case 0: /* a configuration register of bus 0 to 3, slots 0 to 7 and 31 */
        address = take_bytes(input, 3);
        address = (address & 0x300) << 8 | (address & 0x78) << 8 | (address & 0x80 ? 0xf800 : 0)
                  | (address >> 16 & 0xfc) | (address & 7) << 8;
        address_space_write(io, PCI_ADDRESS_PORT, 0x80000000 | address, 4);
        address_space_write(io, PCI_DATA_PORT, take_bytes(input, width), width);
        break;
    case 1:
        address_space_read(io, PCI_DATA_PORT + (operation >> 6), width);
        break;
    case 2:
        address_space_write(io, take_bytes(input, 2), take_bytes(input, width), width);
        break;
    case 3:
        address_space_read(io, take_bytes(input, 2), width);
        break;
    case 4:
        address_space_write(memory, take_bytes(input, 4), take_bytes(input, width), width);
        break;
    case 5:
        address_space_read(memory, take_bytes(input, 4), width);
        break;
    case 6: /* the memory-mapped configuration space, where it usually is */
        address_space_write(memory, 0xb0000000 + (take_bytes(input, 3) & 0xffffff),
                            take_bytes(input, width), width);
        break;
    default:
        while (g_main_context_iteration(NULL, FALSE))
            ;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct test_board board;
    struct input input = { data, size };
    board_make(&board, take_bytes(&input, 1) & 1);
    for (unsigned i = 0; input.left && i < 2000; i++)
        step(&board, &input);
    struct guest_ram ram = board.vm.ram;
    test_board_end(&board);
    guest_ram_destroy(&ram);
    return 0;
}
