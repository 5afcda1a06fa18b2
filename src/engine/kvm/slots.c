/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory under KVM: one slot for each visible piece of RAM or ROM. After a topology change
 * the wanted set is compared with the present one, and only what differs is removed or added, so
 * that memory other vCPUs are using stays mapped. */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <string.h>

#include "vm/vm.h"

static void want(const struct region *region, uint64_t base, uint64_t size, uint64_t offset,
                 void *opaque)
{
    struct engine_vm *kvm = opaque;
    if (region->kind == REGION_IO)
        return;
    /* KVM maps whole pages; the bytes of a partial page are reached through exits instead. */
    uint64_t skip = -base & (GUEST_PAGE_SIZE - 1);
    if (size <= skip)
        return;
    struct kvm_slot slot = {
        .base = base + skip,
        .size = (size - skip) & ~(uint64_t)(GUEST_PAGE_SIZE - 1),
        .host = region->host + offset + skip,
        .read_only = region->kind == REGION_ROM && kvm->read_only_slots,
    };
    if (slot.size)
        g_array_append_val(kvm->wanted, slot);
}

static bool slot_equal(const struct kvm_slot *a, const struct kvm_slot *b)
{
    return a->host && b->host && a->base == b->base && a->size == b->size && a->host == b->host
           && a->read_only == b->read_only;
}

static bool slot_is_in(const struct kvm_slot *slot, const GArray *slots)
{
    for (unsigned i = 0; i < slots->len; i++)
        if (slot_equal(slot, &g_array_index(slots, struct kvm_slot, i)))
            return true;
    return false;
}

static bool slot_write(const struct engine_vm *kvm, unsigned number, const struct kvm_slot *slot,
                       uint64_t size, GError **error)
{
    struct kvm_userspace_memory_region request = {
        .slot = number,
        .flags = slot->read_only ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = slot->base,
        .memory_size = size,
        .userspace_addr = (uintptr_t)slot->host,
    };
    if (ioctl(kvm->fd, KVM_SET_USER_MEMORY_REGION, &request) < 0)
        return fail_errno(error,
                          "KVM cannot map guest memory 0x%" G_GINT64_MODIFIER
                          "x-0x%" G_GINT64_MODIFIER "x",
                          slot->base, slot->base + slot->size - 1);
    return true;
}

static unsigned slot_free_number(struct engine_vm *kvm)
{
    for (unsigned i = 0; i < kvm->slots->len; i++)
        if (!g_array_index(kvm->slots, struct kvm_slot, i).host)
            return i;
    g_array_set_size(kvm->slots, kvm->slots->len + 1);
    return kvm->slots->len - 1;
}

static bool slots_sync(struct vm *vm, GError **error)
{
    struct engine_vm *kvm = vm->engine_vm;
    g_array_set_size(kvm->wanted, 0);
    address_space_visit(vm->memory, want, kvm);
    if (kvm->wanted->len > kvm->slots_max)
        return fail(error, "guest memory has %u pieces, and this host's KVM maps at most %u",
                    kvm->wanted->len, kvm->slots_max);
    for (unsigned i = 0; i < kvm->slots->len; i++) {
        struct kvm_slot *slot = &g_array_index(kvm->slots, struct kvm_slot, i);
        if (!slot->host || slot_is_in(slot, kvm->wanted))
            continue;
        if (!slot_write(kvm, i, slot, 0, error))
            return false;
        slot->host = NULL;
    }
    for (unsigned i = 0; i < kvm->wanted->len; i++) {
        const struct kvm_slot *slot = &g_array_index(kvm->wanted, struct kvm_slot, i);
        if (slot_is_in(slot, kvm->slots))
            continue;
        unsigned number = slot_free_number(kvm);
        if (!slot_write(kvm, number, slot, slot->size, error))
            return false;
        g_array_index(kvm->slots, struct kvm_slot, number) = *slot;
    }
    return true;
}

static void memory_changed(struct address_space *space, void *opaque)
{
    struct vm *vm = opaque;
    g_autoptr(GError) error = NULL;
    /* After a failed start another engine may have taken this machine over. */
    if (vm->engine == &engine_kvm && vm->engine_vm && !slots_sync(vm, &error)) {
        warn("%s", error->message);
        vm_request_shutdown(vm, VM_SHUTDOWN_ERROR);
    }
}

bool kvm_slots_init(struct vm *vm, GError **error)
{
    struct engine_vm *kvm = vm->engine_vm;
    int slots_max = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
    kvm->slots_max = slots_max > 0 ? slots_max : 32;
    kvm->read_only_slots = kvm_has(kvm, KVM_CAP_READONLY_MEM);
    kvm->slots = g_array_new(FALSE, TRUE, sizeof(struct kvm_slot));
    kvm->wanted = g_array_new(FALSE, TRUE, sizeof(struct kvm_slot));
    return slots_sync(vm, error);
}

void kvm_slots_listen(struct vm *vm)
{
    const struct address_space_listener listener = { .changed = memory_changed, .opaque = vm };
    address_space_listen(vm->memory, &listener);
}

void kvm_slots_free(struct engine_vm *kvm)
{
    if (kvm->slots)
        g_array_free(kvm->slots, TRUE);
    if (kvm->wanted)
        g_array_free(kvm->wanted, TRUE);
    kvm->slots = kvm->wanted = NULL;
}
