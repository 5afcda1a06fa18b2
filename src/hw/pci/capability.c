/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of capabilities, and those that every device fills in alike. (PCI Local Bus
 * Specification 3.0, 6.7; PCI Bus Power Management Interface Specification 1.2, 3.2; PCI Express
 * Base Specification 3.1, 7.8 and 7.9) */
#include "hw/pci/internal.h"

#define FIRST_OFFSET 0x40u
#define EXTENDED_FIRST 0x100u

static uint64_t words(uint8_t offset, uint8_t size)
{
    unsigned count = (size + 3) / 4;
    return (count >= 64 ? ~0ull : (1ull << count) - 1) << (offset / 4);
}

uint8_t pci_capability_add(struct pci_function *function, uint8_t id, uint8_t offset, uint8_t size,
                           GError **error)
{
    unsigned at = offset ? offset : FIRST_OFFSET;
    while (!offset && at + size <= PCI_CONFIG_SIZE && function->capability_words & words(at, size))
        at += 4;
    if (at + size > PCI_CONFIG_SIZE || function->capability_words & words(at, size)) {
        fail(error, "%s: there is no room for PCI capability 0x%x", function->dev.type->name, id);
        return 0;
    }
    assert(at >= FIRST_OFFSET && at % 4 == 0);
    function->capability_words |= words(at, size);
    pci_config_define(function, at, 1, id, 0);
    pci_config_define(function, at + 1, 1, function->power_on[PCI_CAPABILITIES], 0);
    pci_config_define(function, PCI_CAPABILITIES, 1, at, 0);
    function->power_on[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    return at;
}

void pci_extended_capability_add(struct pci_function *function, uint16_t id, uint8_t version,
                                 uint16_t offset, uint16_t size)
{
    unsigned last = EXTENDED_FIRST, next;
    assert(function->config_size == PCI_CONFIG_MAX && offset + size <= PCI_CONFIG_MAX);
    pci_config_define(function, offset, 4, id | (uint32_t)version << 16, 0);
    if (offset == EXTENDED_FIRST)
        return;
    assert(load_le(&function->power_on[EXTENDED_FIRST], 4)); /* the first comes first */
    while ((next = load_le(&function->power_on[last], 4) >> 20))
        last = next;
    pci_config_define(function, last, 4,
                      load_le(&function->power_on[last], 4) | (uint32_t)offset << 20, 0);
}

/* --- power management ------------------------------------------------------------------------ */

#define POWER_SIZE 8
#define POWER_VERSION 3u
#define POWER_STATE 3u
#define POWER_NO_SOFT_RESET 8u

bool pci_power_init(struct pci_function *function, uint8_t offset, GError **error)
{
    uint8_t at = pci_capability_add(function, PCI_CAP_POWER, offset, POWER_SIZE, error);
    if (!at)
        return false;
    pci_config_define(function, at + 2, 2, POWER_VERSION, 0);
    pci_config_define(function, at + 4, 2, POWER_NO_SOFT_RESET, POWER_STATE);
    function->power = at;
    return true;
}

/* --- PCI Express ----------------------------------------------------------------------------- */

enum express_register {
    EXPRESS_FLAGS = 0x02,
    EXPRESS_DEVICE_CAPABILITIES = 0x04,
    EXPRESS_DEVICE_CONTROL = 0x08,
    EXPRESS_DEVICE_STATUS = 0x0a,
    EXPRESS_LINK_CAPABILITIES = 0x0c,
    EXPRESS_LINK_CONTROL = 0x10,
    EXPRESS_LINK_STATUS = 0x12,
    EXPRESS_DEVICE_CAPABILITIES_2 = 0x24,
    EXPRESS_DEVICE_CONTROL_2 = 0x28,
    EXPRESS_LINK_CAPABILITIES_2 = 0x2c,
    EXPRESS_LINK_CONTROL_2 = 0x30,
    EXPRESS_SIZE = 0x3c,
};
#define EXPRESS_VERSION 2u
#define EXPRESS_KIND_SHIFT 4
#define DEVICE_ROLE_BASED_ERRORS (1u << 15)
#define DEVICE_ERRORS 0x0fu         /* detected; written ones clear */
#define DEVICE_CONTROL_BITS 0x78ffu /* error reports, payload, tag, phantom, snoop, request size \
                                     */
#define LINK_SPEED_2_5 1u
#define LINK_WIDTH_1 (1u << 4)
#define LINK_ACTIVE_REPORTING (1u << 20)
#define LINK_PORT_SHIFT 24
#define LINK_STATUS_ACTIVE (1u << 13)
#define LINK_CONTROL_BITS 0x00ebu
#define LINK_SPEED_VECTOR_2_5 2u

bool pci_is_express(const struct pci_function *function)
{
    return function->bus->express && function->config_size == PCI_CONFIG_MAX;
}

static bool is_endpoint(enum pci_express_kind kind)
{
    return kind == PCI_EXPRESS_ENDPOINT || kind == PCI_EXPRESS_LEGACY_ENDPOINT;
}

static void link_define(struct pci_function *function, uint8_t at, uint8_t port, bool downstream)
{
    uint32_t width_and_speed = LINK_SPEED_2_5 | LINK_WIDTH_1;
    pci_config_define(function, at + EXPRESS_LINK_CAPABILITIES, 4,
                      width_and_speed | (downstream ? LINK_ACTIVE_REPORTING : 0)
                          | (uint32_t)port << LINK_PORT_SHIFT,
                      0);
    pci_config_define(function, at + EXPRESS_LINK_CONTROL, 2, 0, LINK_CONTROL_BITS);
    pci_config_define(function, at + EXPRESS_LINK_STATUS, 2,
                      width_and_speed | (downstream ? LINK_STATUS_ACTIVE : 0), 0);
    pci_config_define(function, at + EXPRESS_LINK_CAPABILITIES_2, 4, LINK_SPEED_VECTOR_2_5, 0);
    pci_config_define(function, at + EXPRESS_LINK_CONTROL_2, 2, LINK_SPEED_2_5, 0x0f);
}

bool pci_express_init(struct pci_function *function, uint8_t offset, enum pci_express_kind kind,
                      uint8_t port, GError **error)
{
    bool root = !function->bus->bridge;
    if (!pci_is_express(function))
        return is_endpoint(kind) /* an ordinary device there */
               || fail(error, "%s goes on an express bus, and '%s' is not one",
                       function->dev.type->name, function->bus->bus.name);
    if (is_endpoint(kind) && root)
        kind = PCI_EXPRESS_ROOT_COMPLEX_ENDPOINT;
    uint8_t at = pci_capability_add(function, PCI_CAP_EXPRESS, offset, EXPRESS_SIZE, error);
    if (!at)
        return false;
    function->express = at;
    pci_config_define(function, at + EXPRESS_FLAGS, 2, EXPRESS_VERSION | kind << EXPRESS_KIND_SHIFT,
                      0);
    pci_config_define(function, at + EXPRESS_DEVICE_CAPABILITIES, 4, DEVICE_ROLE_BASED_ERRORS, 0);
    pci_config_define(function, at + EXPRESS_DEVICE_CONTROL, 2, 0, DEVICE_CONTROL_BITS);
    pci_config_define_clears(function, at + EXPRESS_DEVICE_STATUS, 2, DEVICE_ERRORS);
    if (kind != PCI_EXPRESS_ROOT_COMPLEX_ENDPOINT)
        link_define(function, at, port,
                    kind == PCI_EXPRESS_ROOT_PORT || kind == PCI_EXPRESS_DOWNSTREAM_PORT);
    return true;
}
