/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI-X: a table of messages in one of the function's BARs, one per vector, each with a mask, and
 * an array of bits that tell which are due but masked. (PCI Local Bus Specification 3.0, 6.8.2)
 *
 * The table is under irq_lock, which is held while a message is sent: sending is a few atomic
 * operations of the receiving local APIC, or one system call under KVM. */
#include <string.h>

#include "hw/board.h"
#include "hw/pci/internal.h"

#define CONTROL 2
#define TABLE 4
#define PENDING 8
#define CAPABILITY_SIZE 12
#define CONTROL_ENABLE 0x8000u
#define CONTROL_MASK 0x4000u
#define VECTORS_MAX 2048u

#define ENTRY_BYTES 16u
#define ENTRY_ADDRESS 0
#define ENTRY_DATA 8
#define ENTRY_CONTROL 12
#define ENTRY_MASKED 1u

/* --- sending; under irq_lock ----------------------------------------------------------------- */

static bool vector_masked(const struct pci_msix *msix, unsigned vector)
{
    return atomic_load(&msix->masked)
           || (msix->table[vector * ENTRY_BYTES + ENTRY_CONTROL] & ENTRY_MASKED);
}

static void vector_send(struct pci_function *function, unsigned vector)
{
    const uint8_t *entry = &function->msix.table[vector * ENTRY_BYTES];
    uint64_t address =
        load_le(entry + ENTRY_ADDRESS, 4) | (uint64_t)load_le(entry + ENTRY_ADDRESS + 4, 4) << 32;
    board_msi_send(function->dev.vm, address, load_le(entry + ENTRY_DATA, 4));
}

static void vector_send_pending(struct pci_function *function, unsigned vector)
{
    struct pci_msix *msix = &function->msix;
    uint8_t *byte = &msix->pending[vector / 8], bit = 1u << vector % 8;
    if (!(*byte & bit) || vector_masked(msix, vector) || !atomic_load(&msix->enabled)
        || !pci_is_master(function))
        return;
    *byte &= ~bit;
    vector_send(function, vector);
}

bool pci_msix_enabled(const struct pci_function *function)
{
    return atomic_load(&function->msix.enabled);
}

void pci_msix_notify(struct pci_function *function, unsigned vector)
{
    struct pci_msix *msix = &function->msix;
    if (vector >= msix->count || !pci_msix_enabled(function))
        return;
    pthread_mutex_lock(&function->irq_lock);
    msix->pending[vector / 8] |= 1u << vector % 8;
    vector_send_pending(function, vector);
    pthread_mutex_unlock(&function->irq_lock);
}

void pci_msix_update(struct pci_function *function)
{
    struct pci_msix *msix = &function->msix;
    if (!msix->count)
        return;
    pthread_mutex_lock(&function->dev.lock);
    uint32_t control = pci_config_load(function, msix->offset + CONTROL, 2);
    pthread_mutex_unlock(&function->dev.lock);
    pthread_mutex_lock(&function->irq_lock);
    atomic_store(&msix->enabled, control & CONTROL_ENABLE);
    atomic_store(&msix->masked, control & CONTROL_MASK);
    for (unsigned i = 0; i < msix->count; i++)
        vector_send_pending(function, i);
    pthread_mutex_unlock(&function->irq_lock);
}

void pci_msix_reset(struct pci_function *function)
{
    struct pci_msix *msix = &function->msix;
    pthread_mutex_lock(&function->irq_lock);
    atomic_store(&msix->enabled, false);
    atomic_store(&msix->masked, false);
    if (msix->count) {
        memset(msix->table, 0, msix->count * ENTRY_BYTES);
        memset(msix->pending, 0, msix->pending_region.size);
        for (unsigned i = 0; i < msix->count; i++)
            msix->table[i * ENTRY_BYTES + ENTRY_CONTROL] = ENTRY_MASKED;
    }
    pthread_mutex_unlock(&function->irq_lock);
}

/* --- registers ------------------------------------------------------------------------------- */

static uint64_t table_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pci_function *function = pci_function_of(dev);
    pthread_mutex_lock(&function->irq_lock);
    uint32_t value = load_le(&function->msix.table[offset], 4);
    pthread_mutex_unlock(&function->irq_lock);
    return value;
}

static void table_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_function *function = pci_function_of(dev);
    pthread_mutex_lock(&function->irq_lock);
    if (offset % ENTRY_BYTES == ENTRY_CONTROL)
        value &= ENTRY_MASKED;
    store_le(&function->msix.table[offset], value, 4);
    vector_send_pending(function, offset / ENTRY_BYTES);
    pthread_mutex_unlock(&function->irq_lock);
}

static uint64_t pending_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pci_function *function = pci_function_of(dev);
    pthread_mutex_lock(&function->irq_lock);
    uint32_t value = load_le(&function->msix.pending[offset], 4);
    pthread_mutex_unlock(&function->irq_lock);
    return value;
}

static const struct region_ops table_ops = {
    .read = table_read,
    .write = table_write,
    .min_size = 4,
    .max_size = 4,
    .unlocked = true,
};
static const struct region_ops pending_ops = {
    .read = pending_read,
    .min_size = 4,
    .max_size = 4,
    .unlocked = true,
};

/* --- set up ---------------------------------------------------------------------------------- */

static uint32_t pending_bytes(unsigned vectors)
{
    return (vectors + 63) / 64 * 8;
}

bool pci_msix_init_at(struct pci_function *function, unsigned vectors, unsigned table_bar,
                      uint32_t table_offset, unsigned pending_bar, uint32_t pending_offset,
                      uint8_t offset, GError **error)
{
    struct pci_msix *msix = &function->msix;
    if (!vectors || vectors > VECTORS_MAX)
        return fail(error, "%s: MSI-X has 1 to %u vectors, not %u", function->dev.type->name,
                    VECTORS_MAX, vectors);
    uint8_t at = pci_capability_add(function, PCI_CAP_MSIX, offset, CAPABILITY_SIZE, error);
    if (!at)
        return false;
    pci_config_define(function, at + CONTROL, 2, vectors - 1, CONTROL_ENABLE | CONTROL_MASK);
    pci_config_define(function, at + TABLE, 4, table_offset | table_bar, 0);
    pci_config_define(function, at + PENDING, 4, pending_offset | pending_bar, 0);
    msix->offset = at;
    msix->count = vectors;
    msix->table = g_malloc0(vectors * ENTRY_BYTES);
    msix->pending = g_malloc0(pending_bytes(vectors));
    msix->table_region = (struct region){
        .name = "msix-table",
        .size = vectors * ENTRY_BYTES,
        .ops = &table_ops,
        .dev = &function->dev,
    };
    msix->pending_region = (struct region){
        .name = "msix-pba",
        .size = pending_bytes(vectors),
        .ops = &pending_ops,
        .dev = &function->dev,
    };
    pci_bar_add_region(function, table_bar, table_offset, &msix->table_region);
    pci_bar_add_region(function, pending_bar, pending_offset, &msix->pending_region);
    return true;
}

/* The table first, the bits in the upper half, as drivers of QEMU's devices find them. */
bool pci_msix_init(struct pci_function *function, unsigned vectors, unsigned bar, GError **error)
{
    uint32_t half = 2048;
    if (!vectors || vectors > VECTORS_MAX)
        return fail(error, "%s: MSI-X has 1 to %u vectors, not %u", function->dev.type->name,
                    VECTORS_MAX, vectors);
    while (half < vectors * ENTRY_BYTES)
        half *= 2;
    pci_bar_define(function, bar, PCI_BAR_MEMORY32, 2 * half);
    return pci_msix_init_at(function, vectors, bar, 0, bar, half, 0, error);
}

void pci_msix_end(struct pci_function *function)
{
    g_clear_pointer(&function->msix.table, g_free);
    g_clear_pointer(&function->msix.pending, g_free);
    function->msix.count = 0;
}
