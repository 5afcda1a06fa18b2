/* SPDX-License-Identifier: GPL-2.0-or-later */
/* post: port 0x80, where firmware shows its progress codes and systems write to lose a microsecond.
 * The code is kept, so that a read gives it back, and otherwise ignored. */
#include "hw/device.h"
#include "vm/vm.h"

struct post {
    struct device dev;
    struct region region;
    uint8_t code; /* [dev.lock] */
};

static uint64_t post_read(struct device *dev, uint64_t offset, unsigned size)
{
    return container_of(dev, struct post, dev)->code;
}

static void post_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    container_of(dev, struct post, dev)->code = value;
}

static const struct region_ops post_ops = { .read = post_read, .write = post_write, .max_size = 1 };

static bool post_realize(struct device *dev, GError **error)
{
    struct post *post = container_of(dev, struct post, dev);
    post->region = (struct region){
        .name = "post",
        .base = 0x80,
        .size = 1,
        .ops = &post_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &post->region);
    return true;
}

static void post_unrealize(struct device *dev)
{
    address_space_remove(dev->vm->io, &container_of(dev, struct post, dev)->region);
}

static const struct state_field post_state[] = {
    STATE(U8, struct post, code, .since = 1),
    {},
};

DEVICE_TYPE(post) = {
    .name = "post",
    .description = "progress code port 0x80",
    .bus = &bus_system,
    .size = sizeof(struct post),
    .state = post_state,
    .realize = post_realize,
    .unrealize = post_unrealize,
};
