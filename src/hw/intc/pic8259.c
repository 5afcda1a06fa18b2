/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pic: the pair of 8259A interrupt controllers of a PC (Intel 8259A data sheet, order 231468), the
 * slave's output on the master's input 2, and the edge/level registers of EISA chip sets.
 *
 *      inputs -> irr -- & ~imr --> highest priority --> above what is in service? --> INT
 *                                                             isr
 *
 * A request latched by an edge stays latched until it is acknowledged, although the input may have
 * fallen: short pulses are not lost. A level-triggered input's request is the input itself.
 *
 * Threads: pic_set_irq() and pic_acknowledge() from any thread, under dev.lock; the INT output is
 * mirrored in an atomic, so that vCPUs can look at it before they take an interrupt. */
#include <stdatomic.h>

#include "hw/board.h"
#include "hw/device.h"
#include "hw/intc/apic.h"
#include "hw/intc/describe.h"
#include "util/log.h"
#include "vm/vm.h"

/* What the next byte written to the odd port is. */
enum icw_state { ICW_NONE, ICW_EXPECT_2, ICW_EXPECT_3, ICW_EXPECT_4 };

struct pic_chip {
    uint8_t lines; /* input levels */
    uint8_t irr, imr, isr;
    uint8_t base;      /* vector of input 0 */
    uint8_t lowest;    /* the input with the lowest priority */
    uint8_t elcr;      /* level-triggered inputs */
    uint8_t icw_state; /* enum icw_state */
    bool expect_icw4, single;
    bool read_isr, poll, special_mask, fully_nested, auto_eoi, rotate_on_auto_eoi;
};

struct pic {
    struct device dev;
    struct region ports[2], elcr_ports;
    struct pic_chip chips[2]; /* [dev.lock] master, slave */
    atomic_bool intr;         /* [atomic] the master's INT output */
};

#define MASTER 0
#define SLAVE 1
#define CASCADE_INPUT 2
#define SPURIOUS_INPUT 7
/* Inputs that can be level triggered; timer, keyboard, cascade, clock and coprocessor cannot. */
static const uint8_t elcr_writable[2] = { 0xf8, 0xde };

/* --- priorities ----------------------------------------------------------------------------- */

/* How far the most urgent of `bits` is from the highest priority (0..7), or 8 if there is none. */
static unsigned chip_rank(const struct pic_chip *chip, uint8_t bits)
{
    for (unsigned rank = 0; rank < 8; rank++)
        if (bits & (1u << ((chip->lowest + 1 + rank) & 7)))
            return rank;
    return 8;
}

static unsigned chip_input(const struct pic_chip *chip, unsigned rank)
{
    return (chip->lowest + 1 + rank) & 7;
}

/* The input to be served next, or -1. */
static int chip_pending(const struct pic_chip *chip, bool is_master)
{
    uint8_t blocking = chip->isr;
    if (chip->special_mask) /* masked inputs in service do not block others */
        blocking &= ~chip->imr;
    if (chip->fully_nested && is_master) /* the slave may interrupt its own service */
        blocking &= ~(1u << CASCADE_INPUT);
    unsigned rank = chip_rank(chip, chip->irr & ~chip->imr);
    return rank < chip_rank(chip, blocking) ? (int)chip_input(chip, rank) : -1;
}

static void chip_set_line(struct pic_chip *chip, unsigned input, bool level)
{
    uint8_t bit = 1u << input;
    if (chip->elcr & bit)
        chip->irr = level ? chip->irr | bit : chip->irr & ~bit;
    else if (level && !(chip->lines & bit))
        chip->irr |= bit;
    chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
}

/* Puts changes of the chips into effect on their outputs. */
static void pic_update(struct pic *pic)
{
    struct pic_chip *master = &pic->chips[MASTER], *slave = &pic->chips[SLAVE];
    chip_set_line(master, CASCADE_INPUT, chip_pending(slave, false) >= 0);
    bool level = chip_pending(master, true) >= 0;
    if (atomic_exchange(&pic->intr, level) != level)
        lapic_lint0_changed(pic->dev.vm, level);
}

/* --- the CPU's side ------------------------------------------------------------------------- */

static void chip_acknowledge(struct pic_chip *chip, unsigned input)
{
    uint8_t bit = 1u << input;
    if (!(chip->elcr & bit))
        chip->irr &= ~bit;
    if (!chip->auto_eoi)
        chip->isr |= bit;
    else if (chip->rotate_on_auto_eoi)
        chip->lowest = input;
}

static uint8_t pic_slave_vector(struct pic_chip *slave)
{
    int input = chip_pending(slave, false);
    if (input < 0)
        return slave->base + SPURIOUS_INPUT;
    chip_acknowledge(slave, input);
    return slave->base + input;
}

uint8_t pic_acknowledge(struct pic *pic)
{
    struct pic_chip *master = &pic->chips[MASTER];
    uint8_t vector;
    pthread_mutex_lock(&pic->dev.lock);
    int input = chip_pending(master, true);
    if (input < 0) {
        vector = master->base + SPURIOUS_INPUT;
    } else {
        chip_acknowledge(master, input);
        if (input == CASCADE_INPUT) {
            vector = pic_slave_vector(&pic->chips[SLAVE]);
            /* The slave's INT falls with its acknowledgement and rises again with its next
             * request, which may be there already: the cascade input must see that edge. */
            chip_set_line(master, CASCADE_INPUT, false);
        } else {
            vector = master->base + input;
        }
    }
    pic_update(pic);
    if (atomic_load(&pic->intr)) { /* INT pulses low during INTA */
        lapic_lint0_changed(pic->dev.vm, false);
        lapic_lint0_changed(pic->dev.vm, true);
    }
    pthread_mutex_unlock(&pic->dev.lock);
    return vector;
}

bool pic_has_interrupt(struct pic *pic)
{
    return atomic_load_explicit(&pic->intr, memory_order_acquire);
}

void pic_set_irq(struct pic *pic, unsigned irq, bool level)
{
    if (irq > 15 || irq == CASCADE_INPUT)
        return;
    pthread_mutex_lock(&pic->dev.lock);
    chip_set_line(&pic->chips[irq >> 3], irq & 7, level);
    pic_update(pic);
    pthread_mutex_unlock(&pic->dev.lock);
}

/* --- registers ------------------------------------------------------------------------------ */

/* ICW1: starts the initialisation sequence. Inputs that are high now need a new edge. */
static void chip_write_icw1(struct pic_chip *chip, uint8_t value)
{
    uint8_t lines = chip->lines, elcr = chip->elcr;
    *chip = (struct pic_chip){
        .lines = lines,
        .elcr = elcr,
        .irr = lines & elcr,
        .lowest = 7,
        .icw_state = ICW_EXPECT_2,
        .expect_icw4 = value & 0x01,
        .single = value & 0x02,
    };
    if (value & 0x08)
        log_if(LOG_UNIMP, "pic: level triggering by ICW1 is not implemented; use the ELCR");
}

static void chip_end_of_interrupt(struct pic_chip *chip, unsigned input, bool rotate)
{
    chip->isr &= ~(1u << input);
    if (rotate)
        chip->lowest = input;
}

static void chip_write_ocw2(struct pic_chip *chip, uint8_t value)
{
    unsigned input = value & 7;
    bool rotate = value & 0x80;
    switch (value >> 5 & 3) {
    case 0: /* rotation in automatic EOI mode, on or off */
        chip->rotate_on_auto_eoi = rotate;
        break;
    case 1: { /* non-specific end of interrupt */
        uint8_t served = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
        unsigned rank = chip_rank(chip, served);
        if (rank < 8)
            chip_end_of_interrupt(chip, chip_input(chip, rank), rotate);
        break;
    }
    case 2: /* set priority, or nothing */
        if (rotate)
            chip->lowest = input;
        break;
    default: /* specific end of interrupt */
        chip_end_of_interrupt(chip, input, rotate);
        break;
    }
}

static void chip_write_ocw3(struct pic_chip *chip, uint8_t value)
{
    if (value & 0x04)
        chip->poll = true;
    if (value & 0x02)
        chip->read_isr = value & 0x01;
    if (value & 0x40)
        chip->special_mask = value & 0x20;
}

static void chip_write_odd(struct pic_chip *chip, uint8_t value)
{
    switch ((enum icw_state)chip->icw_state) {
    case ICW_NONE:
        chip->imr = value;
        break;
    case ICW_EXPECT_2:
        chip->base = value & 0xf8;
        chip->icw_state = !chip->single       ? ICW_EXPECT_3
                          : chip->expect_icw4 ? ICW_EXPECT_4
                                              : ICW_NONE;
        break;
    case ICW_EXPECT_3: /* the cascade is wired; what the guest believes changes nothing */
        chip->icw_state = chip->expect_icw4 ? ICW_EXPECT_4 : ICW_NONE;
        break;
    case ICW_EXPECT_4:
        chip->fully_nested = value & 0x10;
        chip->auto_eoi = value & 0x02;
        chip->icw_state = ICW_NONE;
        break;
    }
}

static void pic_write(struct pic *pic, unsigned which, uint64_t offset, uint8_t value)
{
    struct pic_chip *chip = &pic->chips[which];
    if (offset == 1)
        chip_write_odd(chip, value);
    else if (value & 0x10)
        chip_write_icw1(chip, value);
    else if (value & 0x08)
        chip_write_ocw3(chip, value);
    else
        chip_write_ocw2(chip, value);
    pic_update(pic);
}

/* Poll mode: the read is the acknowledgement. */
static uint8_t pic_poll(struct pic *pic, unsigned which)
{
    struct pic_chip *chip = &pic->chips[which];
    int input = chip_pending(chip, which == MASTER);
    chip->poll = false;
    if (input < 0)
        return 0;
    chip_acknowledge(chip, input);
    if (which == SLAVE)
        chip_set_line(&pic->chips[MASTER], CASCADE_INPUT, false);
    pic_update(pic);
    return 0x80 | input;
}

static uint8_t pic_read(struct pic *pic, unsigned which, uint64_t offset)
{
    struct pic_chip *chip = &pic->chips[which];
    if (chip->poll)
        return pic_poll(pic, which);
    if (offset == 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

static uint64_t pic_master_read(struct device *dev, uint64_t offset, unsigned size)
{
    return pic_read(container_of(dev, struct pic, dev), MASTER, offset);
}

static void pic_master_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    pic_write(container_of(dev, struct pic, dev), MASTER, offset, value);
}

static uint64_t pic_slave_read(struct device *dev, uint64_t offset, unsigned size)
{
    return pic_read(container_of(dev, struct pic, dev), SLAVE, offset);
}

static void pic_slave_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    pic_write(container_of(dev, struct pic, dev), SLAVE, offset, value);
}

static uint64_t pic_elcr_read(struct device *dev, uint64_t offset, unsigned size)
{
    return container_of(dev, struct pic, dev)->chips[offset].elcr;
}

static void pic_elcr_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pic *pic = container_of(dev, struct pic, dev);
    struct pic_chip *chip = &pic->chips[offset];
    uint8_t old = chip->elcr;
    chip->elcr = value & elcr_writable[offset];
    /* From now on the request of these inputs is their level. */
    chip->irr = (chip->irr & ~(chip->elcr & ~old)) | (chip->lines & chip->elcr & ~old);
    pic_update(pic);
}

static const struct region_ops pic_ops[2] = {
    { .read = pic_master_read, .write = pic_master_write, .max_size = 1 },
    { .read = pic_slave_read, .write = pic_slave_write, .max_size = 1 },
};
static const struct region_ops pic_elcr_ops = {
    .read = pic_elcr_read,
    .write = pic_elcr_write,
    .max_size = 1,
};

/* --- life ----------------------------------------------------------------------------------- */

static bool pic_realize(struct device *dev, GError **error)
{
    static const struct {
        const char *name;
        uint16_t base;
    } places[2] = {
        { "pic-master", 0x20 },
        { "pic-slave", 0xa0 },
    };
    struct pic *pic = container_of(dev, struct pic, dev);
    for (unsigned i = 0; i < 2; i++) {
        pic->ports[i] = (struct region){
            .name = places[i].name,
            .base = places[i].base,
            .size = 2,
            .ops = &pic_ops[i],
            .dev = dev,
        };
        address_space_add(dev->vm->io, &pic->ports[i]);
    }
    pic->elcr_ports = (struct region){
        .name = "pic-elcr",
        .base = 0x4d0,
        .size = 2,
        .ops = &pic_elcr_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &pic->elcr_ports);
    dev->vm->pic = pic;
    return true;
}

static void pic_reset(struct device *dev)
{
    struct pic *pic = container_of(dev, struct pic, dev);
    for (unsigned i = 0; i < 2; i++)
        pic->chips[i] = (struct pic_chip){ .lines = pic->chips[i].lines, .lowest = 7 };
    pic_update(pic);
}

static void pic_unrealize(struct device *dev)
{
    struct pic *pic = container_of(dev, struct pic, dev);
    for (unsigned i = 0; i < 2; i++)
        address_space_remove(dev->vm->io, &pic->ports[i]);
    address_space_remove(dev->vm->io, &pic->elcr_ports);
    dev->vm->pic = NULL;
}

void pic_describe(struct pic *pic, GString *to)
{
    pthread_mutex_lock(&pic->dev.lock);
    for (unsigned i = 2; i-- > 0;) {
        const struct pic_chip *chip = &pic->chips[i];
        g_string_append_printf(to,
                               "pic%u: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x rr_sel=%d "
                               "elcr=%02x fnm=%d\n",
                               i, chip->irr, chip->imr, chip->isr, (chip->lowest + 1) & 7u,
                               chip->base, chip->read_isr, chip->elcr, chip->fully_nested);
    }
    pthread_mutex_unlock(&pic->dev.lock);
}

static const struct state_field pic_state[] = {
    STATE(BYTES, struct pic, chips, .since = 1),
    {},
};

DEVICE_TYPE(pic) = {
    .name = "isa-pic",
    .description = "pair of 8259A interrupt controllers",
    .bus = &bus_system,
    .size = sizeof(struct pic),
    .state = pic_state,
    .realize = pic_realize,
    .reset = pic_reset,
    .unrealize = pic_unrealize,
};
