/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -kernel: whatever the file holds, the loader answers with a loaded guest or one error, and every
 * write stays inside guest RAM. The same bytes serve as initrd. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/boot.h"

#define RAM_BYTES (48u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest_ram ram;
    if (!ram.host && !guest_ram_init(&ram, RAM_BYTES, 3ull << 30, NULL))
        return 0;
    struct x86_cpu *cpu = aligned_alloc(64, sizeof(*cpu));
    memset(cpu, 0, sizeof(*cpu));
    auto_close int fd = memfd_create("kernel", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    struct boot boot = {
        .ram = &ram, .cpu = cpu, .command_line = "console=ttyS0", .kernel.fd = -1, .initrd.fd = -1
    };
    g_autoptr(GError) error = NULL;
    if (write(fd, data, size) == (ssize_t)size
        && boot_file_open(&boot.kernel, "-kernel", path, &error)
        && boot_file_open(&boot.initrd, "-initrd", path, &error) && boot_kernel(&boot, &error))
        assert(cpu->rip <= UINT32_MAX);
    else
        assert(error || !size);
    boot_file_close(&boot.kernel);
    boot_file_close(&boot.initrd);
    free(cpu);
    return 0;
}
