/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fpu-error: x87 errors the way of the PC/AT, for systems that leave CR0.NE clear (DOS). The
 * processor raises FERR#, which is latched here and interrupts as IRQ 13; a write to port 0xf0 ends
 * the request and asserts IGNNE#, under which the processor goes on until the error is cleared.
 * (Intel SDM vol. 1, D.2; PC/AT Technical Reference, "Math Coprocessor") */
#include "engine/engine.h"
#include "hw/board.h"
#include "hw/device.h"
#include "vm/vm.h"

#define FPU_IRQ 13

struct fpu_error {
    struct device dev;
    struct region region;
    struct irq_line ferr; /* [const] the processor's; vm->ferr */
    uint8_t latched;      /* [dev.lock] */
};

static void fpu_error_raise(void *opaque, unsigned pin, bool level)
{
    struct fpu_error *fpu = opaque;
    pthread_mutex_lock(&fpu->dev.lock);
    fpu->latched |= level;
    if (level)
        irq_set(&fpu->dev.vm->gsi[FPU_IRQ], true);
    pthread_mutex_unlock(&fpu->dev.lock);
}

static void fpu_error_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct fpu_error *fpu = container_of(dev, struct fpu_error, dev);
    if (!fpu->latched)
        return;
    fpu->latched = false;
    irq_set(&dev->vm->gsi[FPU_IRQ], false);
    if (current_vcpu)
        current_vcpu->cpu->ignne = true;
}

static const struct region_ops fpu_error_ops = { .write = fpu_error_write, .max_size = 1 };

static bool fpu_error_realize(struct device *dev, GError **error)
{
    struct fpu_error *fpu = container_of(dev, struct fpu_error, dev);
    fpu->region = (struct region){
        .name = "fpu-error",
        .base = 0xf0,
        .size = 1,
        .ops = &fpu_error_ops,
        .dev = dev,
    };
    fpu->ferr = (struct irq_line){ .set = fpu_error_raise, .opaque = fpu };
    dev->vm->ferr = &fpu->ferr;
    address_space_add(dev->vm->io, &fpu->region);
    return true;
}

static void fpu_error_reset(struct device *dev)
{
    container_of(dev, struct fpu_error, dev)->latched = false;
    irq_set(&dev->vm->gsi[FPU_IRQ], false);
}

static void fpu_error_unrealize(struct device *dev)
{
    dev->vm->ferr = NULL;
    address_space_remove(dev->vm->io, &container_of(dev, struct fpu_error, dev)->region);
}

static const struct state_field fpu_error_state[] = {
    STATE(U8, struct fpu_error, latched, .since = 1),
    {},
};

DEVICE_TYPE(fpu_error) = {
    .name = "fpu-error",
    .description = "x87 errors by IRQ 13, port 0xf0",
    .bus = &bus_system,
    .size = sizeof(struct fpu_error),
    .state = fpu_error_state,
    .realize = fpu_error_realize,
    .reset = fpu_error_reset,
    .unrealize = fpu_error_unrealize,
};
