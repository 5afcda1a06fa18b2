/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID under KVM: the model asked for, cut down to what this kernel offers.
 * (api.rst, KVM_GET_SUPPORTED_CPUID; Documentation/virt/kvm/x86/cpuid.rst) */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <string.h>

#include "vm/vm.h"
#include "x86/model.h"

#define ENTRIES_FIRST_TRY 128
#define ENTRIES_MAX 4096

/* Paravirtual features, bits of 0x40000001 EAX. Those left out need help from user space that the
 * machine does not give (memory sharing, extended interrupt destinations). */
#define PV_CLOCK_OLD (1u << 0)
#define PV_NO_IO_DELAY (1u << 1)
#define PV_CLOCK (1u << 3)
#define PV_ASYNC_PF (1u << 4)
#define PV_STEAL_TIME (1u << 5)
#define PV_EOI (1u << 6)
#define PV_UNHALT (1u << 7)
#define PV_TLB_FLUSH (1u << 9)
#define PV_SEND_IPI (1u << 11)
#define PV_SCHED_YIELD (1u << 13)
#define PV_ASYNC_PF_INT (1u << 14)
#define PV_CLOCK_STABLE (1u << 24)
#define PV_LEAF 0x40000001
#define ADDRESS_SIZES_LEAF 0x80000008

/* Leaf 1 ECX: these two need the kernel's local APIC. */
#define X2APIC (1u << 21)
#define TSC_DEADLINE (1u << 24)

static const struct kvm_cpuid_entry2 *supported_find(const struct kvm_cpuid2 *table, uint32_t leaf,
                                                     uint32_t subleaf)
{
    for (unsigned i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &table->entries[i];
        if (entry->function == leaf
            && (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == subleaf))
            return entry;
    }
    return NULL;
}

static void supported_cpuid(void *opaque, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct engine_vm *kvm = opaque;
    const struct kvm_cpuid_entry2 *entry = supported_find(kvm->supported, leaf, subleaf);
    memset(out, 0, 4 * sizeof(uint32_t));
    if (!entry)
        return;
    out[0] = entry->eax;
    out[1] = entry->ebx;
    out[2] = entry->ecx;
    out[3] = entry->edx;
    if (leaf == 1 && !kvm->irqchip)
        out[2] &= ~(X2APIC | TSC_DEADLINE);
    else if (leaf == 1 && kvm_has(kvm, KVM_CAP_TSC_DEADLINE_TIMER))
        out[2] |= TSC_DEADLINE;
    if (leaf == PV_LEAF) {
        uint32_t usable = PV_CLOCK_OLD | PV_NO_IO_DELAY | PV_CLOCK | PV_STEAL_TIME | PV_TLB_FLUSH
                          | PV_CLOCK_STABLE;
        if (kvm->irqchip)
            usable |=
                PV_ASYNC_PF | PV_EOI | PV_UNHALT | PV_SEND_IPI | PV_SCHED_YIELD | PV_ASYNC_PF_INT;
        out[0] &= usable;
    }
}

static struct kvm_cpuid2 *table_new(unsigned entries)
{
    struct kvm_cpuid2 *table =
        g_malloc0(sizeof(*table) + entries * sizeof(struct kvm_cpuid_entry2));
    table->nent = entries;
    return table;
}

static bool supported_query(struct engine_vm *kvm, GError **error)
{
    for (unsigned entries = ENTRIES_FIRST_TRY; entries <= ENTRIES_MAX; entries *= 2) {
        struct kvm_cpuid2 *table = table_new(entries);
        if (ioctl(kvm->system_fd, KVM_GET_SUPPORTED_CPUID, table) == 0) {
            kvm->supported = table;
            return true;
        }
        g_free(table);
        if (errno != E2BIG)
            break;
    }
    return fail_errno(error, "KVM does not say which CPU features it supports");
}

bool kvm_cpuid_query(struct vm *vm, GError **error)
{
    struct engine_vm *kvm = vm->engine_vm;
    if (!supported_query(kvm, error))
        return false;
    const struct kvm_cpuid_entry2 *xsave = supported_find(kvm->supported, 0xd, 0);
    if (xsave)
        kvm->xcr0_supported = (uint64_t)xsave->edx << 32 | xsave->eax;
    int tsc_khz = ioctl(kvm->fd, KVM_GET_TSC_KHZ, 0);
    kvm->model = x86_model_new(vm->config->cpu, X86_MODEL_KVM, supported_cpuid, kvm,
                               vm->config->cpus, tsc_khz > 0 ? tsc_khz : 0, error);
    if (kvm->model)
        x86_model_set_topology(kvm->model, &vm->config->topology);
    return kvm->model != NULL;
}

/* The kernel takes linear addresses of 48 or 57 bits only, for a CPU without long mode as well. */
static uint32_t address_sizes_accepted(uint32_t eax)
{
    uint32_t linear_bits = eax >> 8 & 0xff;
    if (linear_bits == 48 || linear_bits == 57)
        return eax;
    return (eax & ~0xff00u) | 48 << 8;
}

bool kvm_cpuid_load(struct vcpu *vcpu, GError **error)
{
    const struct x86_model *model = vcpu->vm->engine_vm->model;
    unsigned count = x86_model_leaves(model, NULL, 0);
    g_autofree struct x86_model_leaf *leaves = g_new0(struct x86_model_leaf, count);
    x86_model_leaves(model, leaves, count);
    g_autofree struct kvm_cpuid2 *table = table_new(count);
    for (unsigned i = 0; i < count; i++) {
        uint32_t out[4];
        x86_model_cpuid(model, vcpu->index, leaves[i].leaf, leaves[i].subleaf, out);
        if (leaves[i].leaf == ADDRESS_SIZES_LEAF)
            out[0] = address_sizes_accepted(out[0]);
        table->entries[i] = (struct kvm_cpuid_entry2){
            .function = leaves[i].leaf,
            .index = leaves[i].subleaf,
            .flags = leaves[i].indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = out[0],
            .ebx = out[1],
            .ecx = out[2],
            .edx = out[3],
        };
    }
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_CPUID2, table) < 0)
        return fail_errno(error, "KVM refuses CPU model '%s'", model->name);
    return true;
}
