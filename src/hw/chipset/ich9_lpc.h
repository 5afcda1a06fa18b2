/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What function 1f.0 of an ICH9 consists of. */
#ifndef YADO_HW_CHIPSET_ICH9_LPC_H
#define YADO_HW_CHIPSET_ICH9_LPC_H

#include "hw/chipset/pirq.h"
#include "hw/watchdog/tco.h"

struct ich9_lpc {
    struct pci_function function;
    struct bus isa;
    struct pirq pirq;
    struct region smi, rcba; /* base 0: not mapped */
    struct tco tco;
    uint32_t smi_enable, smi_status, gcs; /* [function.dev.lock] */
    bool no_reboot;                       /* [const] property, as all below */
    uint8_t disable_s3, disable_s4, s4_value;
};

#endif
