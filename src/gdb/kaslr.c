/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a Linux kernel runs.
 *
 * Its image is mapped, in pages of 2 MiB, somewhere in the gigabyte that begins at
 * 0xffffffff80000000, with nothing mapped before it: what was there is removed before the first
 * line of C runs. So the first mapped page there is the image's beginning, and that was linked to
 * be at 0xffffffff81000000. Whatever leads into the kernel (where system calls and page faults go,
 * or where it stands) says that there is a kernel at all. (Linux, arch/x86/kernel/head64.c,
 * __startup_64(); Documentation/arch/x86/x86_64/mm.rst) */
#include <inttypes.h>
#include <string.h>

#include "gdb/server.h"

#define IMAGE_LOW 0xffffffff80000000ull
#define IMAGE_HIGH 0xffffffffc0000000ull
#define IMAGE_STEP (2ull << 20)
#define IMAGE_LINKED 0xffffffff81000000ull
#define IMAGE_BYTES_MAX (256ull << 20)

static bool inside(uint64_t addr)
{
    return addr >= IMAGE_LOW && addr < IMAGE_HIGH;
}

static bool mapped(struct vcpu *vcpu, uint64_t addr)
{
    uint8_t byte;

    return debug_read(vcpu, addr, &byte, 1) == 1;
}

/* The handler of an exception; 0 if there is none. (Intel SDM vol. 3, figure 6-8) */
static uint64_t handler(struct vcpu *vcpu, unsigned vector)
{
    const struct x86_table *idt = &vcpu->cpu->idt;
    uint64_t gate[2];

    if (vector * 16u + 15 > idt->limit
        || debug_read(vcpu, idt->base + vector * 16, gate, sizeof(gate)) != sizeof(gate))
        return 0;
    return (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000u) | gate[1] << 32;
}

static bool kernel_is_there(struct vcpu *vcpu)
{
    const struct x86_cpu *cpu = vcpu->cpu;

    if (!x86_long_mode(cpu))
        return false;
    return inside(cpu->rip) || inside(cpu->lstar) || inside(handler(vcpu, VECTOR_PF));
}

static void version_find(struct vcpu *vcpu, struct gdb_kernel *kernel)
{
    static const char banner[] = "Linux version ";
    g_autofree char *page = g_malloc(IMAGE_STEP);

    for (uint64_t done = 0; done < IMAGE_BYTES_MAX; done += IMAGE_STEP) {
        size_t got = debug_read(vcpu, kernel->base + done, page, IMAGE_STEP);
        const char *at = page;
        while ((at = memmem(at, page + got - at, banner, sizeof(banner) - 1))) {
            size_t length = strnlen(at, MIN((size_t)(page + got - at), sizeof(kernel->version)));
            /* The format string of the same beginning has no digit there. */
            if (g_ascii_isdigit(at[sizeof(banner) - 1])) {
                length = MIN(length, sizeof(kernel->version) - 1);
                memcpy(kernel->version, at, length);
                kernel->version[length] = '\0';
                kernel->version[strcspn(kernel->version, "(\n")] = '\0';
                g_strchomp(kernel->version);
                return;
            }
            at++;
        }
        if (got < IMAGE_STEP)
            return;
    }
}

/* Page tables of a process may hold no more of the kernel than its entries ("page table
 * isolation"); then the kernel's own are in the page before. */
#define PTI_PAGE (1ull << 12)
#define CR3_PCID 0xfffull

static bool base_find(struct vcpu *vcpu, uint64_t *base)
{
    for (*base = IMAGE_LOW; *base < IMAGE_HIGH; *base += IMAGE_STEP) {
        if (mapped(vcpu, *base))
            return true;
    }
    return false;
}

static const struct debug_point image = { DEBUG_BREAK_REGION, IMAGE_LOW, IMAGE_HIGH - IMAGE_LOW };

bool gdb_kernel_wait(struct vm *vm, GError **error)
{
    return debug_point_add(vm, image, error);
}

void gdb_kernel_wait_end(struct vm *vm)
{
    debug_point_remove(vm, image);
}

char *gdb_kernel_text(struct vcpu *vcpu)
{
    struct gdb_kernel kernel;

    if (!gdb_kernel_find(vcpu, &kernel))
        return g_strdup_printf("No Linux kernel runs on CPU %u.\n", vcpu->index);
    return g_strdup_printf("%s%sThe kernel is at 0x%" PRIx64 ", 0x%" PRIx64
                           " from where it was linked to. To load its symbols there:\n"
                           "symbol-file vmlinux -o 0x%" PRIx64 "\n",
                           kernel.version, *kernel.version ? "\n" : "", kernel.base, kernel.offset,
                           kernel.offset);
}

bool gdb_kernel_find(struct vcpu *vcpu, struct gdb_kernel *kernel)
{
    struct x86_cpu *cpu = vcpu->cpu;
    uint64_t cr3 = cpu->cr3;

    *kernel = (struct gdb_kernel){ 0 };
    if (!kernel_is_there(vcpu))
        return false;
    /* Nobody else looks at the stopped vCPU's CR3 meanwhile. */
    if (cpu->cpl == 3 && cr3 & PTI_PAGE)
        cpu->cr3 &= ~(PTI_PAGE | CR3_PCID);
    bool found = base_find(vcpu, &kernel->base);
    if (!found) {
        cpu->cr3 = cr3;
        found = base_find(vcpu, &kernel->base);
    }
    if (found) {
        kernel->offset = kernel->base - IMAGE_LINKED;
        version_find(vcpu, kernel);
    }
    cpu->cr3 = cr3;
    return found;
}
