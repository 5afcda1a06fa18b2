/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acpi-pm: ACPI fixed hardware (ACPI specification 6.4, 4.8.3) where a PIIX4 under QEMU has it, so
 * that small guests which write 0x2000 to port 0x604 end here too: PM1 event and control registers,
 * the 3.579545 MHz timer, a block of 16 general purpose events, the reset register at 0xcf9 and the
 * SMI command port, which switches SCI_EN and tells the chipset.
 *
 * The system control interrupt is a level: any enabled status bit.
 *
 * Threads: ports on any vCPU's thread, the power button and the timer on the main loop; all under
 * dev.lock, but the PM timer's register, which only reads the clock. */
#include "hw/acpi/pm.h"

#include "hw/board.h"
#include "hw/device.h"
#include "util/log.h"
#include "util/timer.h"
#include "vm/vm.h"

#define PM_TIMER_HZ 3579545ull
#define SECOND_NS 1000000000ull
#define TIMER_CARRY_BIT 31 /* TMR_STS follows changes of the top bit */

#define STATUS_TIMER (1u << 0)
#define STATUS_GLOBAL (1u << 5)
#define STATUS_POWER_BUTTON (1u << 8)
#define STATUS_RTC (1u << 10) /* never set; but systems check that it can be enabled */
#define STATUS_WAKE (1u << 15)
#define ENABLE_BITS (STATUS_TIMER | STATUS_GLOBAL | STATUS_POWER_BUTTON | STATUS_RTC)

#define CONTROL_SCI_ENABLE (1u << 0)
#define CONTROL_SLEEP_TYPE_SHIFT 10
#define CONTROL_SLEEP_ENABLE (1u << 13)
#define CONTROL_KEPT 0x1c07u /* SCI_EN, BM_RLD, GBL_RLS, SLP_TYP */

#define RESET_CPU (1u << 2)
#define RESET_SYSTEM (1u << 1)

struct acpi_pm {
    struct device dev;
    struct region event, control, pm_timer, gpe, reset_port, smi_port;
    struct irq_line sci;
    bool mapped; /* the four first regions; changes with the ports' topology */
    void (*command)(void *opaque, uint8_t value); /* [const] once the board is complete */
    void *command_opaque;
    struct timer timer;
    /* [dev.lock] */
    uint16_t status, enable, pm1_control;
    uint64_t seen_carry; /* half-periods of the timer that TMR_STS knows of */
    uint8_t gpe_status[2], gpe_enable[2];
    uint8_t reset_control, smi_command, smi_data;
};

/* --- PM timer -------------------------------------------------------------------------------- */

static uint64_t pm_ticks(void)
{
    return (unsigned __int128)clock_now_ns() * PM_TIMER_HZ / SECOND_NS;
}

static uint64_t pm_timer_read(struct device *dev, uint64_t offset, unsigned size)
{
    return (uint32_t)pm_ticks();
}

static void pm_catch_up(struct acpi_pm *pm)
{
    uint64_t carry = pm_ticks() >> TIMER_CARRY_BIT;
    if (carry != pm->seen_carry)
        pm->status |= STATUS_TIMER;
    pm->seen_carry = carry;
}

/* --- interrupt ------------------------------------------------------------------------------- */

static void pm_update(struct acpi_pm *pm)
{
    pm_catch_up(pm);
    bool gpe = (pm->gpe_status[0] & pm->gpe_enable[0]) || (pm->gpe_status[1] & pm->gpe_enable[1]);
    bool level =
        (pm->pm1_control & CONTROL_SCI_ENABLE) && ((pm->status & pm->enable & ENABLE_BITS) || gpe);
    irq_set(&pm->sci, level);
    if ((pm->enable & STATUS_TIMER) && !(pm->status & STATUS_TIMER)) {
        uint64_t next = (pm->seen_carry + 1) << TIMER_CARRY_BIT;
        timer_arm(&pm->timer, (unsigned __int128)next * SECOND_NS / PM_TIMER_HZ + 1);
    } else {
        timer_cancel(&pm->timer);
    }
}

static void pm_fired(void *opaque)
{
    struct acpi_pm *pm = opaque;
    pthread_mutex_lock(&pm->dev.lock);
    pm_update(pm);
    pthread_mutex_unlock(&pm->dev.lock);
}

void acpi_pm_power_button(struct vm *vm)
{
    struct device *dev = board_find(vm, "acpi-pm");
    if (!dev)
        return;
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    pthread_mutex_lock(&dev->lock);
    pm->status |= STATUS_POWER_BUTTON;
    pm_update(pm);
    pthread_mutex_unlock(&dev->lock);
}

/* --- PM1 event and control ------------------------------------------------------------------- */

static uint64_t event_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    pm_catch_up(pm);
    return (offset < 2 ? pm->status : pm->enable) >> (8 * (offset & 1));
}

static void event_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    unsigned shift = 8 * (offset & 1);
    uint16_t mask = (size == 1 ? 0xff : 0xffff) << shift, bits = value << shift;
    pm_catch_up(pm);
    if (offset < 2)
        pm->status &= ~bits; /* writing a one clears */
    else
        pm->enable = ((pm->enable & ~mask) | bits) & ENABLE_BITS;
    pm_update(pm);
}

static uint64_t control_read(struct device *dev, uint64_t offset, unsigned size)
{
    return container_of(dev, struct acpi_pm, dev)->pm1_control;
}

static void control_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    /* SCI_EN belongs to the command port; systems write it back as they read it. */
    pm->pm1_control =
        (value & CONTROL_KEPT & ~CONTROL_SCI_ENABLE) | (pm->pm1_control & CONTROL_SCI_ENABLE);
    pm_update(pm);
    if (!(value & CONTROL_SLEEP_ENABLE))
        return;
    unsigned type = value >> CONTROL_SLEEP_TYPE_SHIFT & 7;
    if (type == ACPI_SLEEP_TYPE_S5)
        vm_request_shutdown(dev->vm, VM_SHUTDOWN_GUEST);
    else
        log_if(LOG_UNIMP, "acpi-pm: sleep type %u is not implemented", type);
}

/* --- general purpose events ------------------------------------------------------------------ */

static uint64_t gpe_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    return offset < 2 ? pm->gpe_status[offset] : pm->gpe_enable[offset - 2];
}

static void gpe_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    if (offset < 2)
        pm->gpe_status[offset] &= ~value;
    else
        pm->gpe_enable[offset - 2] = value;
    pm_update(pm);
}

/* --- reset and SMI command ------------------------------------------------------------------- */

static uint64_t reset_read(struct device *dev, uint64_t offset, unsigned size)
{
    return container_of(dev, struct acpi_pm, dev)->reset_control;
}

/* Bit 2 going from 0 to 1 resets; bit 1 chooses between CPU and system, which is one here. */
static void reset_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    bool rising = value & ~pm->reset_control & RESET_CPU;
    pm->reset_control = value & (RESET_SYSTEM | RESET_CPU);
    if (rising)
        vm_request_reset(dev->vm);
}

static uint64_t smi_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    return offset == 0 ? pm->smi_command : pm->smi_data;
}

static void smi_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    if (offset == 1) {
        pm->smi_data = value;
        return;
    }
    pm->smi_command = value;
    if (value == ACPI_ENABLE_COMMAND)
        pm->pm1_control |= CONTROL_SCI_ENABLE;
    else if (value == ACPI_DISABLE_COMMAND)
        pm->pm1_control &= ~CONTROL_SCI_ENABLE;
    pm_update(pm);
    if (pm->command)
        pm->command(pm->command_opaque, value);
}

/* --- life ------------------------------------------------------------------------------------ */

static const struct region_ops event_ops = {
    .read = event_read,
    .write = event_write,
    .max_size = 2,
};
static const struct region_ops control_ops = {
    .read = control_read,
    .write = control_write,
    .min_size = 2,
    .max_size = 2,
};
static const struct region_ops pm_timer_ops = {
    .read = pm_timer_read,
    .min_size = 4,
    .max_size = 4,
    .unlocked = true,
};
static const struct region_ops gpe_ops = { .read = gpe_read, .write = gpe_write, .max_size = 1 };
static const struct region_ops reset_ops = {
    .read = reset_read,
    .write = reset_write,
    .max_size = 1,
};
static const struct region_ops smi_ops = { .read = smi_read, .write = smi_write, .max_size = 1 };

static void pm_describe(struct acpi_pm *pm, struct region *region, const char *name, uint16_t base,
                        uint16_t size, const struct region_ops *ops)
{
    *region = (struct region){
        .name = name,
        .base = base,
        .size = size,
        .ops = ops,
        .dev = &pm->dev,
        .priority = 1, /* 0xcf9 lies inside the PCI configuration address port */
    };
}

static void pm_move(struct acpi_pm *pm, uint16_t base, uint16_t gpe0)
{
    struct address_space *io = pm->dev.vm->io;
    struct region *regions[] = { &pm->event, &pm->control, &pm->pm_timer, &pm->gpe };
    if (pm->mapped == (base != 0) && (!base || (pm->event.base == base && pm->gpe.base == gpe0)))
        return;
    address_space_begin(io);
    for (size_t i = 0; pm->mapped && i < G_N_ELEMENTS(regions); i++)
        address_space_remove(io, regions[i]);
    pm->mapped = base;
    pm_describe(pm, &pm->event, "acpi-evt", base, 4, &event_ops);
    pm_describe(pm, &pm->control, "acpi-cnt", base + 4, 2, &control_ops);
    pm_describe(pm, &pm->pm_timer, "acpi-tmr", base + 8, 4, &pm_timer_ops);
    pm_describe(pm, &pm->gpe, "acpi-gpe0", gpe0, ACPI_GPE0_BYTES, &gpe_ops);
    for (size_t i = 0; pm->mapped && i < G_N_ELEMENTS(regions); i++)
        address_space_add(io, regions[i]);
    address_space_end(io);
}

static struct acpi_pm *pm_find(struct vm *vm)
{
    struct device *dev = board_find(vm, "acpi-pm");
    return dev ? container_of(dev, struct acpi_pm, dev) : NULL;
}

void acpi_pm_connect(struct vm *vm, void (*command)(void *opaque, uint8_t value), void *opaque)
{
    struct acpi_pm *pm = pm_find(vm);
    if (!pm)
        return;
    pm->command = command;
    pm->command_opaque = opaque;
    pm_move(pm, 0, 0);
}

void acpi_pm_map(struct vm *vm, uint16_t base, uint16_t gpe0)
{
    struct acpi_pm *pm = pm_find(vm);
    if (pm)
        pm_move(pm, base, gpe0);
}

static bool pm_realize(struct device *dev, GError **error)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    timer_init(&pm->timer, pm_fired, pm);
    if (dev->vm->gsi)
        pm->sci = board_gsi_shared(dev->vm, BOARD_IRQ_SCI);
    pm_move(pm, ACPI_PM1_EVENT_PORT, ACPI_GPE0_PORT);
    pm_describe(pm, &pm->reset_port, "reset-control", ACPI_RESET_PORT, 1, &reset_ops);
    pm_describe(pm, &pm->smi_port, "apm-io", ACPI_SMI_COMMAND_PORT, 2, &smi_ops);
    address_space_add(dev->vm->io, &pm->reset_port);
    address_space_add(dev->vm->io, &pm->smi_port);
    return true;
}

static void pm_reset(struct device *dev)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    pm->status = pm->enable = 0;
    pm->pm1_control = 0;
    pm->gpe_status[0] = pm->gpe_status[1] = pm->gpe_enable[0] = pm->gpe_enable[1] = 0;
    pm->reset_control = pm->smi_command = pm->smi_data = 0;
    pm->seen_carry = pm_ticks() >> TIMER_CARRY_BIT;
    pm_update(pm);
}

static void pm_unrealize(struct device *dev)
{
    struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);
    timer_cancel(&pm->timer);
    pm_move(pm, 0, 0);
    address_space_remove(dev->vm->io, &pm->reset_port);
    address_space_remove(dev->vm->io, &pm->smi_port);
}

static const struct state_field pm_state[] = {
    STATE(U16, struct acpi_pm, status, .since = 1),
    STATE(U16, struct acpi_pm, enable, .since = 1),
    STATE(U16, struct acpi_pm, pm1_control, .since = 1),
    STATE(U64, struct acpi_pm, seen_carry, .since = 1),
    STATE(BYTES, struct acpi_pm, gpe_status, .since = 1),
    STATE(BYTES, struct acpi_pm, gpe_enable, .since = 1),
    STATE(U8, struct acpi_pm, reset_control, .since = 1),
    STATE(U8, struct acpi_pm, smi_command, .since = 1),
    STATE(U8, struct acpi_pm, smi_data, .since = 1),
    {},
};

DEVICE_TYPE(acpi_pm) = {
    .name = "acpi-pm",
    .description = "ACPI power management registers and timer",
    .bus = &bus_system,
    .size = sizeof(struct acpi_pm),
    .state = pm_state,
    .realize = pm_realize,
    .reset = pm_reset,
    .unrealize = pm_unrealize,
};
