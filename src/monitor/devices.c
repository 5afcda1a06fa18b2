/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands about devices: the tree, interrupt controllers. */
#include <inttypes.h>

#include "hw/device.h"
#include "hw/intc/describe.h"
#include "monitor/command.h"
#include "vm/vm.h"

/* --- interrupt controllers ------------------------------------------------------------------ */

static void print_kernels(struct hmp *hmp)
{
    hmp_print(hmp, "The kernel has the interrupt controllers; -machine kernel-irqchip=off "
                   "keeps them here, where they can be shown.\n");
}

static void info_lapic(struct hmp *hmp, const struct hmp_args *args)
{
    uint64_t index = args->count ? args->value[0].number : hmp->cpu;

    if (!hmp_cpu_index(hmp, index)) {
        hmp_print(hmp, "No local APIC\n");
    } else if (!hmp->vm->vcpus[index]->apic) {
        print_kernels(hmp);
    } else {
        lapic_describe(hmp->vm->vcpus[index]->apic, hmp->out);
    }
}
HMP_COMMAND(info_lapic) = {
    .info = true,
    .name = "lapic",
    .args = "i?",
    .params = "[apic-id]",
    .help = "the local APIC of the chosen vCPU, or of another",
    .run = info_lapic,
};

static void info_pic(struct hmp *hmp, const struct hmp_args *args)
{
    hmp_cpu(hmp);
    if (hmp->vm->ioapic)
        ioapic_describe(hmp->vm->ioapic, hmp->out);
    if (hmp->vm->pic)
        pic_describe(hmp->vm->pic, hmp->out);
    if (!hmp->vm->ioapic && !hmp->vm->pic)
        print_kernels(hmp);
}
HMP_COMMAND(info_pic) = {
    .info = true,
    .name = "pic",
    .help = "the I/O APIC and the pair of 8259",
    .run = info_pic,
};

/* --- the tree ------------------------------------------------------------------------------- */

static void print_property(struct hmp *hmp, const struct device *dev,
                           const struct property *property, int indent)
{
    g_autofree char *value = property_text(dev, property);

    if (value)
        hmp_print(hmp, "%*s%s = %s\n", indent, "", property->name, value);
}

static void print_lines(struct hmp *hmp, const char *text, int indent)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        if (**line)
            hmp_print(hmp, "%*s%s\n", indent, "", *line);
    }
}

static void print_bus(struct hmp *hmp, const struct bus *bus, int indent);

static void print_device(struct hmp *hmp, const struct device *dev, int indent)
{
    const struct bus_class *class = dev->bus ? dev->bus->class : NULL;

    hmp_print(hmp, "%*sdev: %s, id \"%s\"\n", indent, "", dev->type->name, dev->id ? dev->id : "");
    indent += 2;
    for (const struct property *p = dev->type->properties; p && p->name; p++)
        print_property(hmp, dev, p, indent);
    for (const struct property *p = class ? class->properties : NULL; p && p->name; p++)
        print_property(hmp, dev, p, indent);
    if (class && class->describe) {
        g_autofree char *text = class->describe(dev);
        print_lines(hmp, text, indent);
    }
    for (guint i = 0; dev->buses && i < dev->buses->len; i++)
        print_bus(hmp, dev->buses->pdata[i], indent);
}

static void print_bus(struct hmp *hmp, const struct bus *bus, int indent)
{
    hmp_print(hmp, "%*sbus: %s\n%*stype %s\n", indent, "", bus->name, indent + 2, "",
              bus->class->name);
    for (guint i = 0; bus->children && i < bus->children->len; i++)
        print_device(hmp, bus->children->pdata[i], indent + 2);
}

static void info_qtree(struct hmp *hmp, const struct hmp_args *args)
{
    if (hmp->vm->system_bus.class)
        print_bus(hmp, &hmp->vm->system_bus, 0);
}
HMP_COMMAND(info_qtree) = {
    .info = true,
    .name = "qtree",
    .help = "all devices with their properties, by the bus they are on",
    .run = info_qtree,
};
