/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i8042: the keyboard controller of a PC (IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller"), with a keyboard that answers commands but has no
 * keys, and an auxiliary port with nothing plugged in.
 *
 * That is what systems need to probe it without waiting: the controller passes its tests, the
 * keyboard identifies itself, and the mouse's absence is answered at once with the time-out byte
 * that a real controller would give some milliseconds later. The other two uses are the old ways to
 * reset the machine and to gate address line 20, on the output port.
 *
 * Bytes for the guest wait in one queue; the output buffer shows its head. Interrupts are edges, so
 * the line falls when a byte is read and rises again with the next one.
 *
 * Threads: ports on any vCPU's thread, under dev.lock. */
#include "hw/board.h"
#include "hw/device.h"
#include "util/log.h"
#include "vm/vm.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM 0x04  /* the self test has passed */
#define STATUS_COMMAND 0x08 /* the last byte written was a command */
#define STATUS_UNLOCKED 0x10
#define STATUS_AUX 0x20 /* the byte in the buffer is the auxiliary port's */
#define STATUS_TIMEOUT 0x40

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

#define REPLY_ACK 0xfa
#define REPLY_RESEND 0xfe /* also what a port without device times out with */
#define REPLY_SELF_TEST_OK 0xaa

#define QUEUE_SIZE 16

enum port_offset { PORT_DATA = 0, PORT_COMMAND = 4 };

struct i8042 {
    struct device dev;
    struct region data, command;
    struct irq_line keyboard_irq, aux_irq;
    /* [dev.lock] */
    uint8_t mode, output_port;
    uint8_t pending_command;  /* controller command that waits for its data byte, or 0 */
    uint8_t keyboard_command; /* keyboard command that waits for its parameter, or 0 */
    uint8_t scan_code_set;
    bool last_was_command;
    uint8_t queue[QUEUE_SIZE], queue_flags[QUEUE_SIZE]; /* byte and its status bits */
    uint8_t queue_head, queue_count;
    uint8_t last_data; /* an empty buffer shows what was read last */
};

/* --- output queue ---------------------------------------------------------------------------- */

static void i8042_update(struct i8042 *kbc)
{
    bool full = kbc->queue_count;
    bool aux = full && (kbc->queue_flags[kbc->queue_head] & STATUS_AUX);
    irq_set(&kbc->keyboard_irq, full && !aux && (kbc->mode & MODE_KEYBOARD_INTERRUPT));
    irq_set(&kbc->aux_irq, aux && (kbc->mode & MODE_AUX_INTERRUPT));
}

/* More than the queue holds is lost, as a keyboard's buffer loses keys. */
static void i8042_push(struct i8042 *kbc, uint8_t byte, uint8_t flags)
{
    if (kbc->queue_count == QUEUE_SIZE)
        return;
    unsigned tail = (kbc->queue_head + kbc->queue_count++) % QUEUE_SIZE;
    kbc->queue[tail] = byte;
    kbc->queue_flags[tail] = flags;
    i8042_update(kbc);
}

static uint8_t i8042_pop(struct i8042 *kbc)
{
    if (kbc->queue_count) {
        kbc->last_data = kbc->queue[kbc->queue_head];
        kbc->queue_head = (kbc->queue_head + 1) % QUEUE_SIZE;
        kbc->queue_count--;
        irq_set(&kbc->keyboard_irq, false); /* an edge per byte */
        irq_set(&kbc->aux_irq, false);
        i8042_update(kbc);
    }
    return kbc->last_data;
}

/* --- keyboard -------------------------------------------------------------------------------- */

static void keyboard_reply(struct i8042 *kbc, uint8_t byte)
{
    i8042_push(kbc, byte, 0);
}

/* The parameter of an earlier command. */
static void keyboard_parameter(struct i8042 *kbc, uint8_t command, uint8_t value)
{
    keyboard_reply(kbc, REPLY_ACK);
    if (command != 0xf0)
        return; /* lamps (0xed), repeat rate (0xf3): nothing to do without keys */
    if (value == 0)
        keyboard_reply(kbc, kbc->scan_code_set);
    else if (value <= 3)
        kbc->scan_code_set = value;
}

static void keyboard_write(struct i8042 *kbc, uint8_t value)
{
    if (kbc->keyboard_command && value < 0xed) { /* a command ends the wait for a parameter */
        keyboard_parameter(kbc, kbc->keyboard_command, value);
        kbc->keyboard_command = 0;
        return;
    }
    kbc->keyboard_command = 0;
    switch (value) {
    case 0xed: /* lamps */
    case 0xf0: /* scan code set */
    case 0xf3: /* repeat rate */
        kbc->keyboard_command = value;
        keyboard_reply(kbc, REPLY_ACK);
        break;
    case 0xee: /* echo */
        keyboard_reply(kbc, 0xee);
        break;
    case 0xf2: /* identify: an MF2 keyboard */
        keyboard_reply(kbc, REPLY_ACK);
        keyboard_reply(kbc, 0xab);
        keyboard_reply(kbc, 0x83);
        break;
    case 0xf4: /* enable, disable, defaults, key types */
    case 0xf5:
    case 0xf6 ... 0xfa:
        keyboard_reply(kbc, REPLY_ACK);
        break;
    case 0xff: /* reset */
        kbc->scan_code_set = 2;
        keyboard_reply(kbc, REPLY_ACK);
        keyboard_reply(kbc, REPLY_SELF_TEST_OK);
        break;
    default:
        keyboard_reply(kbc, REPLY_RESEND);
        break;
    }
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
    if (kbc->queue_count)
        value |=
            kbc->queue_flags[kbc->queue_head] & STATUS_AUX ? OUTPUT_AUX_FULL : OUTPUT_KEYBOARD_FULL;
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
        kbc->queue_count = 0;
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
        i8042_push(kbc, REPLY_RESEND, STATUS_AUX | STATUS_TIMEOUT);
        break;
    default:
        kbc->mode &= ~MODE_KEYBOARD_DISABLED; /* sending to the keyboard enables it */
        keyboard_write(kbc, value);
        break;
    }
    i8042_update(kbc);
}

static uint8_t i8042_status(const struct i8042 *kbc)
{
    uint8_t status = STATUS_UNLOCKED | (kbc->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0)
                     | (kbc->last_was_command ? STATUS_COMMAND : 0);
    if (kbc->queue_count)
        status |= STATUS_OUTPUT_FULL | kbc->queue_flags[kbc->queue_head];
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
    kbc->pending_command = kbc->keyboard_command = 0;
    kbc->scan_code_set = 2;
    kbc->last_was_command = false;
    kbc->queue_head = kbc->queue_count = kbc->last_data = 0;
    board_set_a20(dev->vm, true);
    i8042_update(kbc);
}

static void i8042_unrealize(struct device *dev)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    address_space_remove(dev->vm->io, &kbc->data);
    address_space_remove(dev->vm->io, &kbc->command);
}

static const struct state_field i8042_state[] = {
    STATE(U8, struct i8042, mode, .since = 1),
    STATE(U8, struct i8042, output_port, .since = 1),
    STATE(U8, struct i8042, pending_command, .since = 1),
    STATE(U8, struct i8042, keyboard_command, .since = 1),
    STATE(U8, struct i8042, scan_code_set, .since = 1),
    STATE(BOOL, struct i8042, last_was_command, .since = 1),
    STATE(BYTES, struct i8042, queue, .since = 1),
    STATE(BYTES, struct i8042, queue_flags, .since = 1),
    STATE(U8, struct i8042, queue_head, .since = 1),
    STATE(U8, struct i8042, queue_count, .since = 1),
    STATE(U8, struct i8042, last_data, .since = 1),
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
