/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ioapic: an I/O APIC with 24 pins, version 0x20 (Intel 82093AA data sheet, order 290566; the EOI
 * register as in the ICH9 data sheet, 13.5).
 *
 * A pin is asserted or not; the polarity bit is kept but inverts nothing, since every wire on our
 * board says what it means. An edge is sent once, and is lost if the pin is masked, as the data
 * sheet wants it. A level is sent while the pin is asserted and no local APIC has it (remote IRR);
 * the end of interrupt clears that and sends it again if the pin is still asserted.
 *
 * Threads: ioapic_set_pin() and ioapic_eoi() from any thread, under dev.lock. Messages go out with
 * that lock held: local APICs receive by atomic operations and take no device's lock. */
#include <inttypes.h>

#include "hw/board.h"
#include "hw/device.h"
#include "hw/intc/apic.h"
#include "hw/intc/describe.h"
#include "util/log.h"
#include "vm/vm.h"

#define PIN_COUNT BOARD_GSI_COUNT

/* Memory-mapped offsets */
#define IOREGSEL 0x00
#define IOWIN 0x10
#define EOI_REGISTER 0x40

/* Registers behind the window */
#define REG_ID 0x00
#define REG_VERSION 0x01
#define REG_ARBITRATION 0x02
#define REG_ENTRIES 0x10
#define VERSION_VALUE (0x20 | (PIN_COUNT - 1) << 16)

/* Redirection entry */
#define ENTRY_VECTOR 0xffull
#define ENTRY_DELIVERY_SHIFT 8
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_PENDING (1ull << 12) /* delivery status; ours never waits */
#define ENTRY_LOW (1ull << 13)     /* kept, see above */
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASKED (1ull << 16)
#define ENTRY_DESTINATION_SHIFT 56
#define ENTRY_WRITABLE 0xff0000000001afffull

struct ioapic {
    struct device dev;
    struct region region;
    uint8_t select, id; /* [dev.lock] as all below */
    uint32_t lines;     /* asserted pins */
    uint64_t entries[PIN_COUNT];
};

static enum apic_delivery entry_delivery(uint64_t entry)
{
    return entry >> ENTRY_DELIVERY_SHIFT & 7;
}

/* NMI, INIT and ExtINT are edges whatever the trigger bit says. */
static bool entry_is_level(uint64_t entry)
{
    enum apic_delivery delivery = entry_delivery(entry);
    return (entry & ENTRY_LEVEL) && (delivery == APIC_FIXED || delivery == APIC_LOWEST);
}

static bool ioapic_send(struct ioapic *ioapic, uint64_t entry)
{
    struct apic_message message = {
        .destination = entry >> ENTRY_DESTINATION_SHIFT,
        .logical = entry & ENTRY_LOGICAL,
        .level = entry_is_level(entry),
        .vector = entry & ENTRY_VECTOR,
        .delivery = entry_delivery(entry),
    };
    return apic_deliver(ioapic->dev.vm, &message);
}

/* Sends a level-triggered pin's interrupt if it is due. Nobody there to take it means that nobody
 * will end it either, so it is not remembered as sent. */
static void ioapic_service_level(struct ioapic *ioapic, unsigned pin)
{
    uint64_t *entry = &ioapic->entries[pin];
    if (!(ioapic->lines & (1u << pin)) || !entry_is_level(*entry)
        || (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
        return;
    *entry |= ENTRY_REMOTE_IRR; /* before it is sent: its end may come at once */
    if (!ioapic_send(ioapic, *entry))
        *entry &= ~ENTRY_REMOTE_IRR;
}

void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level)
{
    if (pin >= PIN_COUNT)
        return;
    pthread_mutex_lock(&ioapic->dev.lock);
    uint32_t bit = 1u << pin;
    bool rising = level && !(ioapic->lines & bit);
    ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
    uint64_t entry = ioapic->entries[pin];
    if (entry_is_level(entry))
        ioapic_service_level(ioapic, pin);
    else if (rising && !(entry & ENTRY_MASKED))
        ioapic_send(ioapic, entry);
    pthread_mutex_unlock(&ioapic->dev.lock);
}

static void ioapic_end(struct ioapic *ioapic, uint8_t vector)
{
    for (unsigned pin = 0; pin < PIN_COUNT; pin++) {
        uint64_t *entry = &ioapic->entries[pin];
        if ((*entry & ENTRY_REMOTE_IRR) && (*entry & ENTRY_VECTOR) == vector) {
            *entry &= ~ENTRY_REMOTE_IRR;
            ioapic_service_level(ioapic, pin);
        }
    }
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
    pthread_mutex_lock(&ioapic->dev.lock);
    ioapic_end(ioapic, vector);
    pthread_mutex_unlock(&ioapic->dev.lock);
}

/* --- registers ------------------------------------------------------------------------------ */

static uint32_t ioapic_read_window(struct ioapic *ioapic)
{
    switch (ioapic->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return (uint32_t)ioapic->id << 24;
    case REG_VERSION:
        return VERSION_VALUE;
    default:
        break;
    }
    unsigned pin = (ioapic->select - REG_ENTRIES) / 2;
    if (ioapic->select < REG_ENTRIES || pin >= PIN_COUNT) {
        log_if(LOG_GUEST_ERRORS, "ioapic: read of register 0x%x, which does not exist",
               ioapic->select);
        return UINT32_MAX;
    }
    return ioapic->entries[pin] >> (ioapic->select & 1 ? 32 : 0);
}

static void ioapic_write_entry(struct ioapic *ioapic, unsigned pin, bool upper, uint32_t value)
{
    uint64_t old = ioapic->entries[pin], entry;
    if (upper)
        entry = (old & UINT32_MAX) | (uint64_t)value << 32;
    else
        entry = (old & ~(uint64_t)UINT32_MAX) | value;
    entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
    /* Systems reset a stuck remote IRR by switching the pin to edge and back. */
    if (!entry_is_level(entry))
        entry &= ~ENTRY_REMOTE_IRR;
    ioapic->entries[pin] = entry;
    ioapic_service_level(ioapic, pin);
}

static void ioapic_write_window(struct ioapic *ioapic, uint32_t value)
{
    unsigned pin = (ioapic->select - REG_ENTRIES) / 2;
    if (ioapic->select == REG_ID)
        ioapic->id = value >> 24 & 0x0f;
    else if (ioapic->select >= REG_ENTRIES && pin < PIN_COUNT)
        ioapic_write_entry(ioapic, pin, ioapic->select & 1, value);
    else
        log_if(LOG_GUEST_ERRORS,
               "ioapic: write of register 0x%x, which does not exist or is"
               " read-only",
               ioapic->select);
}

static uint64_t ioapic_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
    switch (offset) {
    case IOREGSEL:
        return ioapic->select;
    case IOWIN:
        return ioapic_read_window(ioapic);
    default:
        log_if(LOG_GUEST_ERRORS, "ioapic: read at offset 0x%x, where nothing is", (unsigned)offset);
        return 0;
    }
}

static void ioapic_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
    switch (offset) {
    case IOREGSEL:
        ioapic->select = value;
        break;
    case IOWIN:
        ioapic_write_window(ioapic, value);
        break;
    case EOI_REGISTER:
        ioapic_end(ioapic, value);
        break;
    default:
        log_if(LOG_GUEST_ERRORS, "ioapic: write at offset 0x%x, where nothing is",
               (unsigned)offset);
        break;
    }
}

static const struct region_ops ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .min_size = 4,
    .max_size = 4,
};

/* --- life ----------------------------------------------------------------------------------- */

static bool ioapic_realize(struct device *dev, GError **error)
{
    struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
    ioapic->region = (struct region){
        .name = "ioapic",
        .base = BOARD_IOAPIC_ADDRESS,
        .size = 0x1000,
        .ops = &ioapic_ops,
        .dev = dev,
        .priority = 1,
    };
    address_space_add(dev->vm->memory, &ioapic->region);
    dev->vm->ioapic = ioapic;
    return true;
}

static void ioapic_reset(struct device *dev)
{
    struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
    ioapic->select = ioapic->id = 0;
    for (unsigned pin = 0; pin < PIN_COUNT; pin++)
        ioapic->entries[pin] = ENTRY_MASKED;
}

static void ioapic_unrealize(struct device *dev)
{
    address_space_remove(dev->vm->memory, &container_of(dev, struct ioapic, dev)->region);
    dev->vm->ioapic = NULL;
}

static void add_pins(const char *name, uint32_t pins, GString *to)
{
    g_string_append_printf(to, "  %s", name);
    for (unsigned pin = 0; pin < PIN_COUNT; pin++) {
        if (pins & 1u << pin)
            g_string_append_printf(to, " %u", pin);
    }
    g_string_append(to, pins ? "\n" : " (none)\n");
}

void ioapic_describe(struct ioapic *ioapic, GString *to)
{
    uint32_t remote = 0;

    pthread_mutex_lock(&ioapic->dev.lock);
    g_string_append_printf(to, "ioapic0: ver=0x%x id=0x%02x sel=0x%02x\n", VERSION_VALUE & 0xff,
                           ioapic->id, ioapic->select);
    for (unsigned pin = 0; pin < PIN_COUNT; pin++) {
        uint64_t entry = ioapic->entries[pin];
        g_autofree char *delivery = g_ascii_strdown(apic_delivery_name(entry_delivery(entry)), -1);
        g_string_append_printf(
            to, "  pin %-2u 0x%016" PRIx64 " dest=%x vec=%-3u %s %-5s %-6s %-6s %s\n", pin, entry,
            (unsigned)(entry >> ENTRY_DESTINATION_SHIFT), (unsigned)(entry & ENTRY_VECTOR),
            entry & ENTRY_LOW ? "active-lo" : "active-hi", entry & ENTRY_LEVEL ? "level" : "edge",
            entry & ENTRY_MASKED ? "masked" : "", delivery,
            entry & ENTRY_LOGICAL ? "logical" : "physical");
        remote |= entry & ENTRY_REMOTE_IRR ? 1u << pin : 0;
    }
    add_pins("IRR     ", ioapic->lines, to);
    add_pins("Remote IRR", remote, to);
    pthread_mutex_unlock(&ioapic->dev.lock);
}

static const struct state_field ioapic_state[] = {
    STATE(U8, struct ioapic, select, .since = 1),
    STATE(U8, struct ioapic, id, .since = 1),
    STATE(U32, struct ioapic, lines, .since = 1),
    STATE(BYTES, struct ioapic, entries, .since = 1),
    {},
};

DEVICE_TYPE(ioapic) = {
    .name = "ioapic",
    .description = "I/O APIC with 24 pins",
    .bus = &bus_system,
    .size = sizeof(struct ioapic),
    .state = ioapic_state,
    .realize = ioapic_realize,
    .reset = ioapic_reset,
    .unrealize = ioapic_unrealize,
};
