/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI and PCI Express: functions with their configuration space, base address registers (BARs),
 * interrupts (INTx, MSI, MSI-X) and DMA, on buses that host bridges and bridges offer. (PCI Local
 * Bus Specification 3.0; PCI Express Base Specification 3.1)
 *
 * How to write a PCI device: its struct begins with `struct pci_function`; its type says
 * `.bus = &bus_pci, .on_bus = &the_pci_type`. Before its realize runs, the core has given it a slot
 * and a header. Its realize adds what it has, and nothing needs to be taken back:
 *
 *      static const struct pci_type demo_pci = {
 *          .vendor = 0x1af4, .device = 0x10f0, .class = PCI_CLASS_OTHER, .interrupt_pin = 1,
 *      };
 *      static bool demo_realize(struct device *dev, GError **error)
 *      {
 *          struct demo *demo = container_of(dev, struct demo, function.dev);
 *          demo->registers = (struct region){
 *              .name = "demo", .size = 4096, .ops = &demo_ops, .dev = dev };
 *          pci_bar_define(&demo->function, 0, PCI_BAR_MEMORY64, 4096);
 *          pci_bar_add_region(&demo->function, 0, 0, &demo->registers);
 *          return pci_msix_init(&demo->function, 2, 1, error);      a table in BAR 1
 *      }
 *
 * The guest maps and unmaps BARs as it likes; region callbacks run while they are mapped, under
 * dev.lock. Interrupts and DMA:
 *
 *      pci_irq_set(function, true);            the INTx pin, a level
 *      pci_msix_notify(function, vector);      only if pci_msix_enabled(); also masked ones
 *      pci_dma_read(function, address, ...);   fails unless the guest made us bus master
 *
 * Threads: configuration accesses on any vCPU's thread, with dev.lock held around a function's
 * hooks. pci_irq_set(), pci_msi_notify(), pci_msix_notify() and DMA on any thread, with or without
 * dev.lock. All else: main loop. No device's lock may be held by who changes what is mapped where
 * (see memory.h), so hooks that do are called without it. */
#ifndef YADO_HW_PCI_PCI_H
#define YADO_HW_PCI_PCI_H

#include <stdatomic.h>

#include "hw/device.h"
#include "hw/pci/registers.h"
#include "memory/memory.h"

#define PCI_FUNCTION_COUNT 256u /* of a bus: 32 slots of 8 functions */
#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))
#define PCI_BAR_COUNT 6u
#define PCI_BAR_ROM 6u /* the expansion ROM's, as an index */
#define PCI_BAR_REGIONS 8u

extern const struct bus_class bus_pci;

struct pci_function;
struct pci_host;

/* For registers that do more than keep what is written. `size` is 1, 2 or 4, `offset` a multiple of
 * it. */
struct pci_function_ops {
    /* Under dev.lock. NULL: pci_config_load() and pci_config_store(), which hooks call for the
     * plain part of their work. */
    uint32_t (*config_read)(struct pci_function *function, unsigned offset, unsigned size);
    void (*config_write)(struct pci_function *function, unsigned offset, uint32_t value,
                         unsigned size);
    /* After every write, without dev.lock: what must not be done under it. NULL: nothing. */
    void (*written)(struct pci_function *function);
    /* After a write that changed something, and after reset, without dev.lock, in a change of the
     * memory's and the ports' topology: maps and unmaps by the registers. */
    void (*remap)(struct pci_function *function);
};

/* What all functions of a device type have in common. */
struct pci_type {
    uint16_t vendor, device;
    uint16_t subsystem_vendor, subsystem; /* both 0: 1af4:1100, which says "emulated" */
    uint32_t class;                       /* class, subclass, programming interface: 24 bits */
    uint8_t revision;
    uint8_t interrupt_pin;              /* 1 to 4: INTA to INTD; 0: none */
    bool express;                       /* 4096 bytes of configuration space */
    bool bridge;                        /* header type 1, see bridge.h */
    bool multifunction;                 /* always, whatever multifunction= says */
    const char *romfile;                /* default of romfile=; NULL: none */
    const struct pci_function_ops *ops; /* may be NULL */
};

/* A bus as PCI sees it; the devices on it are in .bus.children, too. */
struct pci_bus {
    struct bus bus;
    struct pci_host *host;                              /* [const] at the root */
    struct pci_function *bridge;                        /* [const] leads here; NULL: root bus */
    bool express;                                       /* [const] */
    uint32_t slots;                                     /* [const] bit per slot one may use */
    struct pci_function *functions[PCI_FUNCTION_COUNT]; /* by PCI_DEVFN(); changes with no vCPU
                                                           running or before the slot is known */
};

enum pci_bar_kind {
    PCI_BAR_IO = 1,       /* ports */
    PCI_BAR_MEMORY32 = 0, /* below 4 GiB */
    PCI_BAR_MEMORY64 = 4, /* anywhere; takes this BAR and the next */
    PCI_BAR_PREFETCH = 8, /* beside one of the memory kinds: reads have no side effects */
};

struct pci_bar {
    uint64_t size;    /* [const] 0: none */
    uint8_t kind;     /* [const] enum pci_bar_kind */
    uint8_t count;    /* [const] of regions */
    uint64_t address; /* [topology] where it is mapped; PCI_UNMAPPED */
    struct {
        struct region *region;
        uint64_t offset;
    } regions[PCI_BAR_REGIONS]; /* [const] */
};
#define PCI_UNMAPPED UINT64_MAX

struct pci_msi {
    unsigned count; /* [const] vectors; 0: there is no such capability */
    unsigned used;  /* [irq_lock] as all that follows: a copy of the registers */
    uint64_t address;
    uint32_t mask;
    uint16_t data;
    atomic_uint pending;
    atomic_bool enabled;
};

struct pci_msix {
    unsigned count;   /* [const] vectors; 0: there is no such capability */
    uint8_t offset;   /* [const] of the capability */
    uint8_t *table;   /* [irq_lock] count * 16 bytes, little endian */
    uint8_t *pending; /* [irq_lock] bits */
    struct region table_region, pending_region;
    atomic_bool enabled, masked; /* as message control says */
};

struct pci_function {
    struct device dev;
    const struct pci_type *pci; /* [const] = dev.type->on_bus */
    struct pci_bus *bus;        /* [const] NULL: not plugged */
    uint8_t devfn;              /* [const] */
    bool multifunction;         /* [const] property */
    int32_t address;            /* [const] property: wanted place, -1: any */
    char *romfile;              /* [const] property */
    uint32_t rombar;            /* [const] property */
    uint32_t romsize;           /* [const] property; UINT32_MAX: the file's */
    uint32_t acpi_index;        /* [const] property */

    unsigned config_size; /* [const] 256 or 4096 */
    /* [const] once realized: value after reset; bits that can be written; bits that a one clears */
    uint8_t power_on[PCI_CONFIG_MAX], writable[PCI_CONFIG_MAX], clears[PCI_CONFIG_MAX];
    uint8_t config[PCI_CONFIG_MAX];     /* [dev.lock] */
    uint64_t capability_words;          /* [const] bit per 4 bytes that a capability takes */
    uint8_t power, msi_offset, express; /* [const] offsets of these capabilities, 0: none */
    struct pci_bar bars[PCI_BAR_COUNT + 1];
    struct region rom;
    size_t rom_bytes;

    atomic_bool master;       /* DMA and messages are allowed */
    pthread_mutex_t irq_lock; /* innermost but for the interrupt controllers' */
    bool intx_asserted;       /* [host irq_lock] as the device drives it */
    bool intx_sent;           /* [host irq_lock] as the bus sees it */
    atomic_bool intx_disabled;
    struct pci_msi msi;
    struct pci_msix msix;
};

/* --- configuration space ---------------------------------------------------------------------
 * From realize: one register of 1 to 4 bytes, its value after reset and which bits can be written.
 * Others are zero and read only. */
void pci_config_define(struct pci_function *function, unsigned offset, unsigned size,
                       uint32_t value, uint32_t writable);
/* Bits of it that are set by the device and cleared by writing ones. */
void pci_config_define_clears(struct pci_function *function, unsigned offset, unsigned size,
                              uint32_t bits);

/* Under dev.lock. */
uint32_t pci_config_load(const struct pci_function *function, unsigned offset, unsigned size);
/* What the guest's write does to a plain register. */
void pci_config_store(struct pci_function *function, unsigned offset, uint32_t value,
                      unsigned size);
/* What the device itself does: sets the register, whatever the guest may write. */
void pci_config_set(struct pci_function *function, unsigned offset, uint32_t value, unsigned size);

/* Capabilities; from realize. At `offset` if it is not 0, else where there is room. The offset, or
 * 0 and an error. pci_capability_add() fills in id and link; the rest is the caller's. */
uint8_t pci_capability_add(struct pci_function *function, uint8_t id, uint8_t offset, uint8_t size,
                           GError **error);
/* An extended one, of express functions; the first is at 0x100. */
void pci_extended_capability_add(struct pci_function *function, uint16_t id, uint8_t version,
                                 uint16_t offset, uint16_t size);
/* Power management, D0 and D3hot. */
bool pci_power_init(struct pci_function *function, uint8_t offset, GError **error);
/* The PCI Express capability. Fails on a conventional bus only for ports. */
enum pci_express_kind {
    PCI_EXPRESS_ENDPOINT = 0,
    PCI_EXPRESS_LEGACY_ENDPOINT = 1,
    PCI_EXPRESS_ROOT_PORT = 4,
    PCI_EXPRESS_UPSTREAM_PORT = 5,
    PCI_EXPRESS_DOWNSTREAM_PORT = 6,
    PCI_EXPRESS_PCI_BRIDGE = 7,
    PCI_EXPRESS_ROOT_COMPLEX_ENDPOINT = 9,
};
bool pci_express_init(struct pci_function *function, uint8_t offset, enum pci_express_kind kind,
                      uint8_t port, GError **error);
/* The kind an endpoint must be where it is plugged, and whether it is seen as express at all. */
bool pci_is_express(const struct pci_function *function);

/* --- BARs ------------------------------------------------------------------------------------
 * From realize. Sizes are powers of two: 4 at least for ports, 16 for memory. Regions lie in the
 * BAR at `offset`; the core sets their .base, and maps them while the guest lets it. Later ones
 * hide earlier ones. Memory regions with .host must be whole pages. */
void pci_bar_define(struct pci_function *function, unsigned index, unsigned kind, uint64_t size);
void pci_bar_add_region(struct pci_function *function, unsigned index, uint64_t offset,
                        struct region *region);
/* Where the BAR is mapped now, or PCI_UNMAPPED. Any thread: a snapshot. */
uint64_t pci_bar_address(const struct pci_function *function, unsigned index);

/* --- interrupts; any thread ------------------------------------------------------------------ */

/* The function's INTx pin. Shared lines and bridges are the core's business. */
void pci_irq_set(struct pci_function *function, bool level);

/* From realize. `vectors` is 1, 2, 4 … 32. */
bool pci_msi_init(struct pci_function *function, uint8_t offset, unsigned vectors, GError **error);
bool pci_msi_enabled(const struct pci_function *function);
void pci_msi_notify(struct pci_function *function, unsigned vector);

/* From realize: table and pending bits in a BAR of their own, a 32-bit one as small as they allow.
 */
bool pci_msix_init(struct pci_function *function, unsigned vectors, unsigned bar, GError **error);
/* The same inside BARs that exist; `offset` of the capability may be 0. */
bool pci_msix_init_at(struct pci_function *function, unsigned vectors, unsigned table_bar,
                      uint32_t table_offset, unsigned pending_bar, uint32_t pending_offset,
                      uint8_t offset, GError **error);
bool pci_msix_enabled(const struct pci_function *function);
/* Sends the vector's message, or, while it is masked, remembers that it is due. Nothing if MSI-X is
 * off or there is no such vector. */
void pci_msix_notify(struct pci_function *function, unsigned vector);

/* --- DMA; any thread ------------------------------------------------------------------------- */

/* May the function reach memory at all? Who keeps host addresses of guest memory asks again. */
bool pci_is_master(const struct pci_function *function);
/* Guest RAM only; false, with the rest not transferred, where it ends, or if not bus master. */
bool pci_dma_read(struct pci_function *function, uint64_t gpa, void *buffer, uint64_t length);
bool pci_dma_write(struct pci_function *function, uint64_t gpa, const void *buffer,
                   uint64_t length);

/* --- for host bridges, bridges and the monitor ----------------------------------------------- */

/* From the realize of whoever offers the bus. */
void pci_bus_init(struct pci_bus *bus, struct device *parent, struct pci_host *host,
                  struct pci_function *bridge, bool express, const char *name);

/* Configuration cycles to a function, NULL: nobody answers, reads give all ones. Any vCPU's thread,
 * no device's lock held. */
uint32_t pci_function_read(struct pci_function *function, unsigned offset, unsigned size);
void pci_function_write(struct pci_function *function, unsigned offset, uint32_t value,
                        unsigned size);
/* Registers have changed by other ways than a write: puts BARs and the like where they say. */
void pci_function_remap(struct pci_function *function);

/* The function at an address as the guest counts, or NULL. */
struct pci_function *pci_bus_find(struct pci_bus *root, unsigned bus_number, unsigned devfn);
/* The number the guest has given the bus. */
unsigned pci_bus_number(const struct pci_bus *bus);

static inline struct pci_function *pci_function_of(struct device *dev)
{
    return container_of(dev, struct pci_function, dev);
}
static inline struct pci_bus *pci_bus_of(struct bus *bus)
{
    return container_of(bus, struct pci_bus, bus);
}

/* The machine's first root bus; NULL on boards without PCI. */
struct pci_bus *pci_root_bus(struct vm *vm);

#endif
