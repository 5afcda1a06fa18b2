/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conventional PCI: a bus of functions, each with 256 bytes of configuration space, and the way
 * from CPU accesses to them, configuration mechanism #1. (PCI Local Bus Specification 3.0, 3.2.2.3
 * and chapter 6)
 *
 * A device of the bus has a `struct pci_function` as its first member. Its realize describes the
 * registers with pci_config_define() and then takes its place with pci_function_attach(); its reset
 * calls pci_function_reset(), its unrealize pci_function_detach().
 *
 * Threads: configuration accesses on any vCPU's thread, with the function's dev.lock held around
 * its hooks and no other device's lock. All else: main loop, while no vCPU runs. */
#ifndef YADO_HW_PCI_PCI_H
#define YADO_HW_PCI_PCI_H

#include "hw/device.h"

#define PCI_CONFIG_SIZE 256u
#define PCI_FUNCTION_COUNT 256u /* of a bus: 32 slots of 8 functions */
#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))

#define PCI_ADDRESS_PORT 0xcf8u
#define PCI_DATA_PORT 0xcfcu

/* 6.1, the part of the header that all functions share */
enum pci_register {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08, /* the class code is the three bytes after it */
    PCI_LATENCY_TIMER = 0x0d,
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM = 0x2e,
};

#define PCI_COMMAND_MEMORY (1u << 1)
#define PCI_COMMAND_MASTER (1u << 2)
#define PCI_COMMAND_PARITY (1u << 6)
#define PCI_COMMAND_SERR (1u << 8)
#define PCI_STATUS_FAST_BACK (1u << 7)
#define PCI_STATUS_DEVSEL_MEDIUM (1u << 9)
#define PCI_CLASS_HOST_BRIDGE 0x060000u /* class, subclass, programming interface */

struct pci_function;

struct pci_bus {
    struct pci_function *functions[PCI_FUNCTION_COUNT]; /* by device and function; borrowed */
};

/* For registers that do more than keep what is written. `size` is 1, 2 or 4, `offset` a multiple of
 * it. A hook that is NULL is pci_config_load() or pci_config_store(), which hooks call for the
 * plain part of their work. */
struct pci_function_ops {
    uint32_t (*config_read)(struct pci_function *function, uint8_t offset, unsigned size);
    void (*config_write)(struct pci_function *function, uint8_t offset, uint32_t value,
                         unsigned size);
};

struct pci_function {
    struct device dev;
    const struct pci_function_ops *ops;                           /* [const] may be NULL */
    struct pci_bus *bus;                                          /* [const] NULL: not attached */
    uint8_t devfn;                                                /* [const] */
    uint8_t power_on[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE]; /* [const] values; masks */
    uint8_t config[PCI_CONFIG_SIZE];                              /* [dev.lock] */
};

/* One register: its value at reset and which of its bits can be written; 1 to 4 bytes. All others
 * are zero and read only. */
void pci_config_define(struct pci_function *function, uint8_t offset, unsigned size, uint32_t value,
                       uint32_t writable);

/* Fails if the place is taken. */
bool pci_function_attach(struct pci_function *function, struct pci_bus *bus, uint8_t devfn,
                         GError **error);
void pci_function_detach(struct pci_function *function);
void pci_function_reset(struct pci_function *function);

uint32_t pci_config_load(const struct pci_function *function, uint8_t offset, unsigned size);
void pci_config_store(struct pci_function *function, uint8_t offset, uint32_t value, unsigned size);

/* Configuration cycles on the bus. Where there is no function, reads give all ones and writes are
 * lost: nobody answers. */
uint32_t pci_bus_read(struct pci_bus *bus, uint8_t devfn, uint8_t offset, unsigned size);
void pci_bus_write(struct pci_bus *bus, uint8_t devfn, uint8_t offset, uint32_t value,
                   unsigned size);

/* Bus 0 of a board with a "pci-host"; NULL on others. */
struct pci_bus *pci_root_bus(struct vm *vm);

#endif
