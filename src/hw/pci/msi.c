/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI: one message for all vectors of a function, the vector's number in its low bits, with 64-bit
 * addresses and a mask per vector. (PCI Local Bus Specification 3.0, 6.8.1)
 *
 * Any thread may send, so the registers are looked at under dev.lock only when the guest has
 * written them, and kept for senders in `struct pci_msi`, under irq_lock. */
#include "hw/board.h"
#include "hw/pci/internal.h"

#define CONTROL 2
#define ADDRESS 4
#define DATA 12
#define MASK 16
#define PENDING 20
#define CAPABILITY_SIZE 24
#define CONTROL_ENABLE (1u << 0)
#define CONTROL_VECTORS_SHIFT 1
#define CONTROL_ENABLED_SHIFT 4
#define CONTROL_64 (1u << 7)
#define CONTROL_MASKABLE (1u << 8)
#define VECTORS_MAX 32u

bool pci_msi_init(struct pci_function *function, uint8_t offset, unsigned vectors, GError **error)
{
    unsigned log2 = vectors ? __builtin_ctz(vectors) : 0;
    if (!vectors || vectors > VECTORS_MAX || vectors != 1u << log2)
        return fail(error, "%s: MSI has 1, 2, 4, 8, 16 or 32 vectors, not %u",
                    function->dev.type->name, vectors);
    uint8_t at = pci_capability_add(function, PCI_CAP_MSI, offset, CAPABILITY_SIZE, error);
    if (!at)
        return false;
    pci_config_define(function, at + CONTROL, 2,
                      CONTROL_64 | CONTROL_MASKABLE | log2 << CONTROL_VECTORS_SHIFT,
                      CONTROL_ENABLE | 7u << CONTROL_ENABLED_SHIFT);
    pci_config_define(function, at + ADDRESS, 4, 0, ~3u);
    pci_config_define(function, at + ADDRESS + 4, 4, 0, ~0u);
    pci_config_define(function, at + DATA, 2, 0, 0xffff);
    pci_config_define(function, at + MASK, 4, 0, vectors == 32 ? ~0u : (1u << vectors) - 1);
    function->msi_offset = at;
    function->msi.count = vectors;
    return true;
}

bool pci_msi_enabled(const struct pci_function *function)
{
    return atomic_load(&function->msi.enabled);
}

/* Sends what is pending and not masked; under irq_lock. */
static void send_pending(struct pci_function *function)
{
    struct pci_msi *msi = &function->msi;
    uint32_t due = atomic_load(&msi->pending) & ~msi->mask;
    if (!pci_msi_enabled(function) || !pci_is_master(function))
        return;
    for (; due; due &= due - 1) {
        unsigned vector = __builtin_ctz(due);
        atomic_fetch_and(&msi->pending, ~(1u << vector));
        board_msi_send(function->dev.vm, msi->address,
                       (msi->data & ~(msi->used - 1)) | (vector & (msi->used - 1)));
    }
}

void pci_msi_notify(struct pci_function *function, unsigned vector)
{
    struct pci_msi *msi = &function->msi;
    if (vector >= msi->count || !pci_msi_enabled(function))
        return;
    pthread_mutex_lock(&function->irq_lock);
    atomic_fetch_or(&msi->pending, 1u << vector);
    send_pending(function);
    pthread_mutex_unlock(&function->irq_lock);
}

uint32_t pci_msi_pending(const struct pci_function *function, unsigned offset, unsigned size)
{
    unsigned from = function->msi_offset + PENDING;
    if (!function->msi.count || offset < from || offset + size > from + 4)
        return 0;
    return atomic_load(&function->msi.pending) >> (8 * (offset - from));
}

void pci_msi_update(struct pci_function *function)
{
    struct pci_msi *msi = &function->msi;
    const uint8_t *cap = &function->config[function->msi_offset];
    if (!msi->count)
        return;
    pthread_mutex_lock(&function->dev.lock);
    uint32_t control = load_le(cap + CONTROL, 2), mask = load_le(cap + MASK, 4);
    uint64_t address = load_le(cap + ADDRESS, 4) | (uint64_t)load_le(cap + ADDRESS + 4, 4) << 32;
    uint16_t data = load_le(cap + DATA, 2);
    pthread_mutex_unlock(&function->dev.lock);
    pthread_mutex_lock(&function->irq_lock);
    msi->address = address;
    msi->data = data;
    msi->mask = mask;
    msi->used = MIN(1u << (control >> CONTROL_ENABLED_SHIFT & 7), msi->count);
    atomic_store(&msi->enabled, control & CONTROL_ENABLE);
    send_pending(function);
    pthread_mutex_unlock(&function->irq_lock);
}

void pci_msi_reset(struct pci_function *function)
{
    pthread_mutex_lock(&function->irq_lock);
    atomic_store(&function->msi.enabled, false);
    atomic_store(&function->msi.pending, 0);
    pthread_mutex_unlock(&function->irq_lock);
}
