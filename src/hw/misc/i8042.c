/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i8042: the keyboard controller of a PC (IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller"), with a keyboard and a mouse.
 *
 *      keyboard --- queue ---+-- translation ---+
 *      mouse ------ queue ---|------------------+--> output buffer --> port 0x60, interrupt 1 or 12
 *      own replies ----------+------------------+
 *
 * The output buffer holds one byte. When it is read, the next one comes: the controller's own
 * replies first, then the keyboard's, then the mouse's, from those whose interfaces are enabled.
 * Interrupts are edges, so the line falls when a byte is read and rises again with the next one.
 * The output port has the old ways to reset the machine and to gate address line 20.
 *
 * Threads: ports on any vCPU's thread, keys and the mouse on the main loop, all under dev.lock. */
#include <string.h>

#include "hw/board.h"
#include "hw/device.h"
#include "hw/input/keys.h"
#include "hw/input/ps2.h"
#include "util/log.h"
#include "util/timer.h"
#include "vm/vm.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM 0x04  /* the self test has passed */
#define STATUS_COMMAND 0x08 /* the last byte written was a command */
#define STATUS_UNLOCKED 0x10
#define STATUS_AUX 0x20 /* the byte in the buffer is the auxiliary port's */

#define MODE_KEYBOARD_INTERRUPT 0x01 /* the controller's "command byte" */
#define MODE_AUX_INTERRUPT 0x02
#define MODE_SYSTEM 0x04
#define MODE_KEYBOARD_DISABLED 0x10
#define MODE_AUX_DISABLED 0x20
#define MODE_TRANSLATE 0x40 /* scan codes of set 2 arrive as set 1 */

#define OUTPUT_NO_RESET 0x01 /* output port: low resets the CPU */
#define OUTPUT_A20 0x02
#define OUTPUT_KEYBOARD_FULL 0x10
#define OUTPUT_AUX_FULL 0x20

#define REPLIES_MAX 8

enum port_offset { PORT_DATA = 0, PORT_COMMAND = 4 };

struct i8042 {
    struct device dev;
    struct region data, command;
    struct irq_line keyboard_irq, aux_irq;
    struct timer release_timer; /* of keys_send() */
    /* [dev.lock] */
    uint8_t mode, output_port;
    uint8_t pending_command; /* controller command that waits for its data byte, or 0 */
    bool last_was_command;
    bool output_full;
    uint8_t output, output_flags; /* the output buffer; its status bits */
    uint8_t replies[REPLIES_MAX], reply_flags[REPLIES_MAX], reply_count;
    bool released; /* the translation has seen the prefix of a key that is released */
    struct ps2_keyboard keyboard;
    struct ps2_mouse mouse;
    unsigned held[KEYS_MAX], held_count; /* by keys_send(), until the timer fires */
};

/* --- output buffer --------------------------------------------------------------------------- */

static bool keyboard_take(struct i8042 *kbc, uint8_t *byte)
{
    if (kbc->mode & MODE_KEYBOARD_DISABLED)
        return false;
    while (ps2_queue_take(&kbc->keyboard.queue, byte))
        if (!(kbc->mode & MODE_TRANSLATE) || ps2_translate(byte, &kbc->released))
            return true;
    return false;
}

static bool output_next(struct i8042 *kbc, uint8_t *byte, uint8_t *flags)
{
    *flags = 0;
    if (kbc->reply_count) {
        *byte = kbc->replies[0];
        *flags = kbc->reply_flags[0];
        kbc->reply_count--;
        memmove(kbc->replies, kbc->replies + 1, kbc->reply_count);
        memmove(kbc->reply_flags, kbc->reply_flags + 1, kbc->reply_count);
        return true;
    }
    if (keyboard_take(kbc, byte))
        return true;
    *flags = STATUS_AUX;
    return !(kbc->mode & MODE_AUX_DISABLED) && ps2_queue_take(&kbc->mouse.queue, byte);
}

static void i8042_update(struct i8042 *kbc)
{
    if (!kbc->output_full)
        kbc->output_full = output_next(kbc, &kbc->output, &kbc->output_flags);
    bool aux = kbc->output_flags & STATUS_AUX;
    irq_set(&kbc->keyboard_irq, kbc->output_full && !aux && (kbc->mode & MODE_KEYBOARD_INTERRUPT));
    irq_set(&kbc->aux_irq, kbc->output_full && aux && (kbc->mode & MODE_AUX_INTERRUPT));
}

static void i8042_push(struct i8042 *kbc, uint8_t byte, uint8_t flags)
{
    if (kbc->reply_count == REPLIES_MAX)
        return;
    kbc->replies[kbc->reply_count] = byte;
    kbc->reply_flags[kbc->reply_count++] = flags;
}

/* An empty buffer shows what was read last. */
static uint8_t i8042_pop(struct i8042 *kbc)
{
    if (kbc->output_full) {
        kbc->output_full = false;
        irq_set(&kbc->keyboard_irq, false); /* an edge per byte */
        irq_set(&kbc->aux_irq, false);
    }
    uint8_t byte = kbc->output;
    i8042_update(kbc);
    return byte;
}

/* --- controller ------------------------------------------------------------------------------ */

static void i8042_write_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->output_port = value;
    board_set_a20(kbc->dev.vm, value & OUTPUT_A20);
    if (!(value & OUTPUT_NO_RESET))
        vm_request_reset(kbc->dev.vm);
}

static uint8_t i8042_read_output_port(const struct i8042 *kbc)
{
    uint8_t value = kbc->output_port & ~(OUTPUT_KEYBOARD_FULL | OUTPUT_AUX_FULL | OUTPUT_A20);
    if (!atomic_load(&kbc->dev.vm->a20_off)) /* port 0x92 has a say, too */
        value |= OUTPUT_A20;
    if (kbc->output_full)
        value |= kbc->output_flags & STATUS_AUX ? OUTPUT_AUX_FULL : OUTPUT_KEYBOARD_FULL;
    return value;
}

static void i8042_write_command(struct i8042 *kbc, uint8_t command)
{
    kbc->pending_command = 0;
    switch (command) {
    case 0x20:
        i8042_push(kbc, kbc->mode, 0);
        break;
    case 0xa7:
        kbc->mode |= MODE_AUX_DISABLED;
        break;
    case 0xa8:
        kbc->mode &= ~MODE_AUX_DISABLED;
        break;
    case 0xa9:
        i8042_push(kbc, 0x00, 0);
        break; /* auxiliary port's wires: good */
    case 0xaa: /* self test */
        kbc->reply_count = 0;
        kbc->output_full = false;
        kbc->mode |= MODE_SYSTEM;
        i8042_push(kbc, 0x55, 0);
        break;
    case 0xab:
        i8042_push(kbc, 0x00, 0);
        break; /* keyboard port's wires: good */
    case 0xad:
        kbc->mode |= MODE_KEYBOARD_DISABLED;
        break;
    case 0xae:
        kbc->mode &= ~MODE_KEYBOARD_DISABLED;
        break;
    case 0xc0:
        i8042_push(kbc, 0x80, 0);
        break; /* input port: keyboard not locked */
    case 0xd0:
        i8042_push(kbc, i8042_read_output_port(kbc), 0);
        break;
    case 0x60: /* write command byte */
    case 0xd1: /* write output port */
    case 0xd2: /* byte as if from the keyboard */
    case 0xd3: /* byte as if from the auxiliary device */
    case 0xd4: /* byte to the auxiliary device */
        kbc->pending_command = command;
        break;
    case 0xdd:
        board_set_a20(kbc->dev.vm, false);
        break;
    case 0xdf:
        board_set_a20(kbc->dev.vm, true);
        break;
    case 0xf0 ... 0xff: /* pulse the output port's lines whose bit is clear */
        if (!(command & OUTPUT_NO_RESET))
            vm_request_reset(kbc->dev.vm);
        break;
    default:
        log_if(LOG_GUEST_ERRORS, "i8042: command 0x%02x is unknown", command);
        break;
    }
    i8042_update(kbc);
}

static void i8042_write_data(struct i8042 *kbc, uint8_t value)
{
    uint8_t command = kbc->pending_command;
    kbc->pending_command = 0;
    switch (command) {
    case 0x60:
        kbc->mode = value;
        break;
    case 0xd1:
        i8042_write_output_port(kbc, value);
        break;
    case 0xd2:
        i8042_push(kbc, value, 0);
        break;
    case 0xd3:
        i8042_push(kbc, value, STATUS_AUX);
        break;
    case 0xd4:
        kbc->mode &= ~MODE_AUX_DISABLED; /* as with the keyboard */
        ps2_mouse_write(&kbc->mouse, value);
        break;
    default:
        kbc->mode &= ~MODE_KEYBOARD_DISABLED; /* sending to the keyboard enables it */
        ps2_keyboard_write(&kbc->keyboard, value);
        break;
    }
    i8042_update(kbc);
}

static uint8_t i8042_status(const struct i8042 *kbc)
{
    uint8_t status = STATUS_UNLOCKED | (kbc->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0)
                     | (kbc->last_was_command ? STATUS_COMMAND : 0);
    if (kbc->output_full)
        status |= STATUS_OUTPUT_FULL | kbc->output_flags;
    return status;
}

static uint64_t i8042_read_data_port(struct device *dev, uint64_t offset, unsigned size)
{
    return i8042_pop(container_of(dev, struct i8042, dev));
}

static void i8042_write_data_port(struct device *dev, uint64_t offset, uint64_t value,
                                  unsigned size)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    kbc->last_was_command = false;
    i8042_write_data(kbc, value);
}

static uint64_t i8042_read_command_port(struct device *dev, uint64_t offset, unsigned size)
{
    return i8042_status(container_of(dev, struct i8042, dev));
}

static void i8042_write_command_port(struct device *dev, uint64_t offset, uint64_t value,
                                     unsigned size)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    kbc->last_was_command = true;
    i8042_write_command(kbc, value);
}

/* --- keys and mouse -------------------------------------------------------------------------- */

static void keys_release(struct i8042 *kbc)
{
    while (kbc->held_count)
        ps2_keyboard_key(&kbc->keyboard, kbc->held[--kbc->held_count], false);
    i8042_update(kbc);
}

static void release_fired(void *opaque)
{
    struct i8042 *kbc = opaque;
    pthread_mutex_lock(&kbc->dev.lock);
    keys_release(kbc);
    pthread_mutex_unlock(&kbc->dev.lock);
}

static struct i8042 *i8042_find(struct vm *vm, const char *what, GError **error)
{
    struct device *dev = board_find(vm, "i8042");
    if (!dev)
        fail(error, "this machine has no %s", what);
    return dev ? container_of(dev, struct i8042, dev) : NULL;
}

bool keys_send(struct vm *vm, const unsigned *codes, unsigned count, unsigned hold_ms,
               GError **error)
{
    struct i8042 *kbc = i8042_find(vm, "keyboard", error);
    if (!kbc)
        return false;
    pthread_mutex_lock(&kbc->dev.lock);
    keys_release(kbc); /* those of an earlier call */
    for (unsigned i = 0; i < count && i < KEYS_MAX; i++) {
        ps2_keyboard_key(&kbc->keyboard, codes[i], true);
        kbc->held[kbc->held_count++] = codes[i];
    }
    i8042_update(kbc);
    pthread_mutex_unlock(&kbc->dev.lock);
    timer_arm(&kbc->release_timer, clock_now_ns() + hold_ms * 1000000ull);
    return true;
}

bool mouse_send(struct vm *vm, int dx, int dy, int dz, GError **error)
{
    struct i8042 *kbc = i8042_find(vm, "mouse", error);
    if (!kbc)
        return false;
    pthread_mutex_lock(&kbc->dev.lock);
    ps2_mouse_event(&kbc->mouse, dx, dy, dz, kbc->mouse.buttons);
    i8042_update(kbc);
    pthread_mutex_unlock(&kbc->dev.lock);
    return true;
}

/* The monitor counts the middle button before the right one. */
bool mouse_set_buttons(struct vm *vm, unsigned buttons, GError **error)
{
    struct i8042 *kbc = i8042_find(vm, "mouse", error);
    if (!kbc)
        return false;
    buttons = (buttons & 1) | (buttons >> 2 & 1) << 1 | (buttons >> 1 & 1) << 2;
    pthread_mutex_lock(&kbc->dev.lock);
    ps2_mouse_event(&kbc->mouse, 0, 0, 0, buttons);
    i8042_update(kbc);
    pthread_mutex_unlock(&kbc->dev.lock);
    return true;
}

/* --- life ------------------------------------------------------------------------------------ */

static const struct region_ops data_ops = {
    .read = i8042_read_data_port,
    .write = i8042_write_data_port,
    .max_size = 1,
};
static const struct region_ops command_ops = {
    .read = i8042_read_command_port,
    .write = i8042_write_command_port,
    .max_size = 1,
};

static bool i8042_realize(struct device *dev, GError **error)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    if (dev->vm->gsi) {
        kbc->keyboard_irq = dev->vm->gsi[BOARD_IRQ_KEYBOARD];
        kbc->aux_irq = dev->vm->gsi[BOARD_IRQ_MOUSE];
    }
    kbc->data = (struct region){
        .name = "i8042-data",
        .base = 0x60 + PORT_DATA,
        .size = 1,
        .ops = &data_ops,
        .dev = dev,
    };
    kbc->command = (struct region){
        .name = "i8042-command",
        .base = 0x60 + PORT_COMMAND,
        .size = 1,
        .ops = &command_ops,
        .dev = dev,
    };
    timer_init(&kbc->release_timer, release_fired, kbc);
    address_space_add(dev->vm->io, &kbc->data);
    address_space_add(dev->vm->io, &kbc->command);
    return true;
}

static void i8042_reset(struct device *dev)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    /* As firmware leaves it: without firmware, systems look at it all the same. */
    kbc->mode = MODE_KEYBOARD_INTERRUPT | MODE_AUX_INTERRUPT | MODE_SYSTEM | MODE_TRANSLATE;
    kbc->output_port = 0xcf; /* not in reset, A20 open */
    kbc->pending_command = kbc->reply_count = kbc->output = kbc->output_flags = 0;
    kbc->last_was_command = kbc->output_full = kbc->released = false;
    ps2_keyboard_reset(&kbc->keyboard);
    ps2_mouse_reset(&kbc->mouse);
    kbc->held_count = 0;
    board_set_a20(dev->vm, true);
    i8042_update(kbc);
}

static void i8042_unrealize(struct device *dev)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    timer_cancel(&kbc->release_timer);
    address_space_remove(dev->vm->io, &kbc->data);
    address_space_remove(dev->vm->io, &kbc->command);
}

static const struct state_field i8042_state[] = {
    STATE(U8, struct i8042, mode, .since = 1),
    STATE(U8, struct i8042, output_port, .since = 1),
    STATE(U8, struct i8042, pending_command, .since = 1),
    STATE(BOOL, struct i8042, last_was_command, .since = 1),
    STATE(BOOL, struct i8042, output_full, .since = 1),
    STATE(U8, struct i8042, output, .since = 1),
    STATE(U8, struct i8042, output_flags, .since = 1),
    STATE(BYTES, struct i8042, replies, .since = 1),
    STATE(BYTES, struct i8042, reply_flags, .since = 1),
    STATE(U8, struct i8042, reply_count, .since = 1),
    STATE(BOOL, struct i8042, released, .since = 1),
    STATE(BYTES, struct i8042, keyboard.queue.bytes, .since = 1),
    STATE(U8, struct i8042, keyboard.queue.head, .since = 1),
    STATE(U8, struct i8042, keyboard.queue.count, .since = 1),
    STATE(U8, struct i8042, keyboard.command, .since = 1),
    STATE(U8, struct i8042, keyboard.scan_code_set, .since = 1),
    STATE(U8, struct i8042, keyboard.lamps, .since = 1),
    STATE(U8, struct i8042, keyboard.repeat_rate, .since = 1),
    STATE(BOOL, struct i8042, keyboard.scanning, .since = 1),
    STATE(BYTES, struct i8042, mouse.queue.bytes, .since = 1),
    STATE(U8, struct i8042, mouse.queue.head, .since = 1),
    STATE(U8, struct i8042, mouse.queue.count, .since = 1),
    STATE(U8, struct i8042, mouse.command, .since = 1),
    STATE(U8, struct i8042, mouse.id, .since = 1),
    STATE(U8, struct i8042, mouse.status, .since = 1),
    STATE(U8, struct i8042, mouse.resolution, .since = 1),
    STATE(U8, struct i8042, mouse.rate, .since = 1),
    STATE(BYTES, struct i8042, mouse.last_rates, .since = 1),
    STATE(BOOL, struct i8042, mouse.wrap, .since = 1),
    STATE(U8, struct i8042, mouse.buttons, .since = 1),
    STATE(U8, struct i8042, mouse.reported_buttons, .since = 1),
    STATE(U32, struct i8042, mouse.x, .since = 1),
    STATE(U32, struct i8042, mouse.y, .since = 1),
    STATE(U32, struct i8042, mouse.wheel, .since = 1),
    {},
};

DEVICE_TYPE(i8042) = {
    .name = "i8042",
    .description = "PS/2 keyboard controller",
    .bus = &bus_system,
    .size = sizeof(struct i8042),
    .state = i8042_state,
    .realize = i8042_realize,
    .reset = i8042_reset,
    .unrealize = i8042_unrealize,
};
