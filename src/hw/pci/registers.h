/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration header and the capabilities, by number. (PCI Local Bus Specification 3.0,
 * chapter 6; PCI-to-PCI Bridge Architecture Specification 1.2, chapter 3; PCI Express Base
 * Specification 3.1, chapter 7) */
#ifndef YADO_HW_PCI_REGISTERS_H
#define YADO_HW_PCI_REGISTERS_H

#define PCI_CONFIG_SIZE 256u
#define PCI_CONFIG_MAX 4096u
#define PCI_ADDRESS_PORT 0xcf8u
#define PCI_DATA_PORT 0xcfcu

enum pci_register {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08, /* the class code is the three bytes after it */
    PCI_CACHE_LINE = 0x0c,
    PCI_LATENCY_TIMER = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BARS = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM = 0x2e,
    PCI_ROM = 0x30,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

/* Of bridges (header type 1) */
enum pci_bridge_register {
    PCI_PRIMARY_BUS = 0x18,
    PCI_SECONDARY_BUS = 0x19,
    PCI_SUBORDINATE_BUS = 0x1a,
    PCI_IO_BASE = 0x1c,
    PCI_IO_LIMIT = 0x1d,
    PCI_SECONDARY_STATUS = 0x1e,
    PCI_MEMORY_BASE = 0x20,
    PCI_MEMORY_LIMIT = 0x22,
    PCI_PREFETCH_BASE = 0x24,
    PCI_PREFETCH_LIMIT = 0x26,
    PCI_PREFETCH_BASE_UPPER = 0x28,
    PCI_PREFETCH_LIMIT_UPPER = 0x2c,
    PCI_IO_BASE_UPPER = 0x30,
    PCI_IO_LIMIT_UPPER = 0x32,
    PCI_BRIDGE_ROM = 0x38,
    PCI_BRIDGE_CONTROL = 0x3e,
};

#define PCI_COMMAND_IO (1u << 0)
#define PCI_COMMAND_MEMORY (1u << 1)
#define PCI_COMMAND_MASTER (1u << 2)
#define PCI_COMMAND_PARITY (1u << 6)
#define PCI_COMMAND_SERR (1u << 8)
#define PCI_COMMAND_INTX_DISABLE (1u << 10)

#define PCI_STATUS_INTERRUPT (1u << 3)
#define PCI_STATUS_CAPABILITIES (1u << 4)
#define PCI_STATUS_FAST_BACK (1u << 7)
#define PCI_STATUS_DEVSEL_MEDIUM (1u << 9)
#define PCI_STATUS_ERRORS 0xf900u /* written ones clear */

#define PCI_HEADER_BRIDGE 0x01u
#define PCI_HEADER_MULTIFUNCTION 0x80u
#define PCI_ROM_ENABLE 1u

#define PCI_BRIDGE_SERR (1u << 1)
#define PCI_BRIDGE_VGA (1u << 3)
#define PCI_BRIDGE_RESET (1u << 6)

/* Class, subclass, programming interface */
#define PCI_CLASS_IDE 0x010180u
#define PCI_CLASS_AHCI 0x010601u
#define PCI_CLASS_NVME 0x010802u
#define PCI_CLASS_SCSI 0x010000u
#define PCI_CLASS_ETHERNET 0x020000u
#define PCI_CLASS_VGA 0x030000u
#define PCI_CLASS_HOST_BRIDGE 0x060000u
#define PCI_CLASS_ISA_BRIDGE 0x060100u
#define PCI_CLASS_PCI_BRIDGE 0x060400u
#define PCI_CLASS_OTHER_BRIDGE 0x068000u
#define PCI_CLASS_SYSTEM_OTHER 0x088000u
#define PCI_CLASS_SMBUS 0x0c0500u
#define PCI_CLASS_OTHER 0xff0000u

enum pci_capability {
    PCI_CAP_POWER = 0x01,
    PCI_CAP_MSI = 0x05,
    PCI_CAP_VENDOR = 0x09,
    PCI_CAP_HOT_PLUG = 0x0c,
    PCI_CAP_SUBSYSTEM = 0x0d,
    PCI_CAP_EXPRESS = 0x10,
    PCI_CAP_MSIX = 0x11,
};

#endif
