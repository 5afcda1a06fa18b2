/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of interrupt controllers as text, in the layout of QEMU's `info lapic` and `info pic`.
 * Main loop, vCPUs stopped. */
#ifndef YADO_HW_INTC_DESCRIBE_H
#define YADO_HW_INTC_DESCRIBE_H

#include "util/util.h"

struct ioapic;
struct lapic;
struct pic;

void lapic_describe(struct lapic *apic, GString *to);
void ioapic_describe(struct ioapic *ioapic, GString *to);
void pic_describe(struct pic *pic, GString *to);

/* A word for a delivery mode (enum apic_delivery). */
const char *apic_delivery_name(unsigned delivery);

#endif
