/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables as a guest walks them: pointers, signatures, lengths, checksums. */
#include "machine/acpi.h"

#include "tap.h"
#include "vm/vm.h"

#define HEADER_BYTES 36

static uint32_t get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static uint8_t sum(const uint8_t *bytes, size_t size)
{
    uint8_t total = 0;
    while (size--)
        total += *bytes++;
    return total;
}

static void check_table(const uint8_t *ram, uint64_t address, const char *signature)
{
    bool inside =
        address >= BOOT_TABLES && address + HEADER_BYTES <= BOOT_TABLES + BOOT_TABLES_SIZE;
    if (!tap_ok(inside, "%s lies in the firmware area", signature))
        return;
    const uint8_t *table = ram + address;
    tap_ok(!memcmp(table, signature, 4), "%s has its signature", signature);
    uint32_t length = get32(table + 4);
    tap_ok(address + length <= BOOT_TABLES + BOOT_TABLES_SIZE && sum(table, length) == 0,
           "%s has a length and a checksum", signature);
}

/* How many enabled CPUs the MADT lists. */
static unsigned madt_cpus(const uint8_t *madt)
{
    unsigned cpus = 0;
    uint32_t length = get32(madt + 4);
    for (uint32_t at = HEADER_BYTES + 8; at + 2 <= length && madt[at + 1]; at += madt[at + 1])
        cpus += madt[at] == 0 && get32(madt + at + 4) == 1;
    return cpus;
}

static void test_board(unsigned cpus)
{
    struct guest_ram ram;
    g_autoptr(GError) error = NULL;
    if (!tap_ok(guest_ram_init(&ram, 16 << 20, 3ull << 30, &error), "RAM for %u CPUs", cpus))
        return;
    struct vm_config config = { .cpus = cpus, .topology = { 1, 1, cpus, 1 } };
    struct vm vm = { .config = &config, .devices = g_ptr_array_new() };
    struct boot boot = { .ram = &ram };
    uint64_t rsdp = 0;
    tap_ok(acpi_load(&vm, &boot, &rsdp, &error), "tables for %u CPUs", cpus);
    const uint8_t *root = ram.host + rsdp;
    tap_ok(!memcmp(root, "RSD PTR ", 8) && sum(root, 20) == 0 && sum(root, 36) == 0,
           "the root pointer has both checksums");
    check_table(ram.host, get32(root + 16), "RSDT");
    check_table(ram.host, get64(root + 24), "XSDT");
    static const char *const signatures[] = { "FACP", "APIC", "WAET" };
    const uint8_t *rsdt = ram.host + get32(root + 16), *xsdt = ram.host + get64(root + 24);
    for (size_t i = 0; i < G_N_ELEMENTS(signatures); i++) {
        uint64_t address = get64(xsdt + HEADER_BYTES + 8 * i);
        tap_ok(address == get32(rsdt + HEADER_BYTES + 4 * i), "both roots agree");
        check_table(ram.host, address, signatures[i]);
    }
    const uint8_t *fadt = ram.host + get64(xsdt + HEADER_BYTES);
    check_table(ram.host, get32(fadt + 40), "DSDT");
    tap_ok(!memcmp(ram.host + get32(fadt + 36), "FACS", 4) && get32(fadt + 36) % 64 == 0,
           "the FACS is there and aligned");
    const uint8_t *madt = ram.host + get64(xsdt + HEADER_BYTES + 8);
    tap_ok(madt_cpus(madt) == cpus, "the MADT has %u of %u CPUs", madt_cpus(madt), cpus);
    g_ptr_array_unref(vm.devices);
    guest_ram_destroy(&ram);
}

int main(void)
{
    test_board(1);
    test_board(VM_CPUS_MAX);
    return tap_done();
}
