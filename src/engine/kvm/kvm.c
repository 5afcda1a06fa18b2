/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The KVM engine's machine half: is /dev/kvm usable, create the machine, drive interrupt lines.
 * (Linux, Documentation/virt/kvm/api.rst) */
#include "engine/kvm/kvm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "hw/device.h"
#include "vm/vm.h"
#include "x86/model.h"

#define KVM_DEVICE "/dev/kvm"

/* Four pages the kernel uses to run real mode on CPUs that cannot do so natively, in a range no
 * machine of ours maps: below the largest firmware, behind the local APICs. */
#define IDENTITY_MAP_BASE 0xfeffc000u
#define TSS_BASE (IDENTITY_MAP_BASE + 0x1000)

/* "root:kvm 0660", what somebody needs to see to repair the permission. */
static char *describe_owner(void)
{
    struct stat st;
    if (stat(KVM_DEVICE, &st) < 0)
        return g_strdup(strerror(errno));
    const struct passwd *user = getpwuid(st.st_uid);
    const struct group *group = getgrgid(st.st_gid);
    g_autofree char *uid = g_strdup_printf("%u", st.st_uid);
    g_autofree char *gid = g_strdup_printf("%u", st.st_gid);
    return g_strdup_printf("%s:%s %04o", user ? user->pw_name : uid, group ? group->gr_name : gid,
                           st.st_mode & 07777);
}

/* A descriptor of a KVM with the API this code is written for, or -1. */
static int device_open(GError **error)
{
    auto_close int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        int reason = errno;
        g_autofree char *owner = describe_owner();
        errno = reason;
        switch (reason) {
        case ENOENT:
            fail(error, KVM_DEVICE " does not exist");
            break;
        case EACCES:
            fail(error, KVM_DEVICE ": permission denied (%s)", owner);
            break;
        case ENODEV:
        case ENXIO:
            fail(error, KVM_DEVICE ": no kernel module serves it (this CPU has no virtualization "
                                   "extension, or it is off in the firmware)");
            break;
        default:
            fail_errno(error, KVM_DEVICE);
        }
        return -1;
    }
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version < 0) {
        fail_errno(error, KVM_DEVICE " is not a KVM device");
        return -1;
    }
    if (version != KVM_API_VERSION) {
        fail(error, KVM_DEVICE ": API version %d, and Yado needs %d", version, KVM_API_VERSION);
        return -1;
    }
    return take_fd(&fd);
}

static bool kvm_probe(GError **error)
{
    auto_close int fd = device_open(error);
    return fd >= 0;
}

#define CPUID_1_ECX_VMX (1u << 5)
#define CPUID_80000001_ECX_SVM (1u << 2)

/* Some clouds offer a KVM that has no hardware below it but emulates privileged code in software.
 * Small guests run there; Linux kernels stop in the middle of their start, without a word. */
static bool kvm_advisable(GError **error)
{
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & CPUID_1_ECX_VMX))
        return true;
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & CPUID_80000001_ECX_SVM))
        return true;
    return fail(error, KVM_DEVICE " exists, but this CPU offers neither VMX nor SVM");
}

bool kvm_has(const struct engine_vm *kvm, int capability)
{
    return ioctl(kvm->fd, KVM_CHECK_EXTENSION, capability) > 0;
}

void kvm_warn_refused(struct engine_vm *kvm, enum kvm_feature feature, const char *what)
{
    if (!(atomic_fetch_or(&kvm->warned, feature) & feature))
        warn("this host's KVM refuses %s (%s); going on without", what, strerror(errno));
}

static int machine_fd_new(int system_fd, GError **error)
{
    int fd;
    do
        fd = ioctl(system_fd, KVM_CREATE_VM, 0);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        fail_errno(error, KVM_DEVICE ": cannot create a virtual machine");
    return fd;
}

static void reserve_real_mode_pages(const struct engine_vm *kvm)
{
    uint64_t identity = IDENTITY_MAP_BASE;
    if (kvm_has(kvm, KVM_CAP_SET_IDENTITY_MAP_ADDR)
        && ioctl(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
        warn("this host's KVM refuses KVM_SET_IDENTITY_MAP_ADDR (%s); going on without",
             strerror(errno));
    if (kvm_has(kvm, KVM_CAP_SET_TSS_ADDR) && ioctl(kvm->fd, KVM_SET_TSS_ADDR, TSS_BASE) < 0)
        warn("this host's KVM refuses KVM_SET_TSS_ADDR (%s); going on without", strerror(errno));
}

static void kvm_vm_destroy(struct vm *vm)
{
    struct engine_vm *kvm = vm->engine_vm;
    if (!kvm)
        return;
    kvm_debug_destroy(kvm);
    kvm_slots_free(kvm);
    util_close_fd(&kvm->fd);
    util_close_fd(&kvm->system_fd);
    pthread_mutex_destroy(&kvm->msr_lock);
    x86_model_free(kvm->model);
    g_free(kvm->supported);
    g_free(kvm);
    vm->engine_vm = NULL;
}

/* The kernel's part of the board, as a device, so that a machine reset reaches it. */
static void kernel_part_reset(struct device *dev)
{
    struct vm *vm = dev->vm;
    kvm_irqchip_reset(vm);
    for (unsigned i = 0; vm->vcpus && i < vm->config->cpus; i++)
        if (vm->vcpus[i] && vm->vcpus[i]->engine)
            atomic_store(&kvm_vcpu_of(vm->vcpus[i])->power_on, true);
}

DEVICE_TYPE(kvm_kernel_part) = {
    .name = "kvm-kernel-part",
    .description = "what the host's kernel keeps of a machine under KVM",
    .bus = &bus_system,
    .size = sizeof(struct device),
    .reset = kernel_part_reset,
};

static bool kernel_part_create(struct vm *vm, GError **error)
{
    struct device *dev = device_new(vm, kvm_kernel_part_type.name, NULL, error);
    if (dev && device_realize(dev, error))
        return true;
    device_free(dev);
    return false;
}

/* Memory first: once there are controllers, whose ports KVM watches, a new slot has to wait some
 * milliseconds for the readers of its tables. */
static bool kernel_machine_new_with(struct vm *vm, bool irqchip, GError **error)
{
    struct engine_vm *kvm = vm->engine_vm;
    kvm->fd = machine_fd_new(kvm->system_fd, error);
    if (kvm->fd < 0)
        return false;
    reserve_real_mode_pages(kvm);
    if (!kvm_slots_init(vm, error))
        return false;
    return !irqchip || !kvm_irqchip_offered(kvm) || kvm_irqchip_create(kvm, error);
}

/* A host that refuses interrupt controllers in the kernel gets those of src/hw/intc, in a new
 * machine: what has been created cannot be taken back. */
static bool kernel_machine_new(struct vm *vm, GError **error)
{
    struct engine_vm *kvm = vm->engine_vm;
    g_autoptr(GError) reason = NULL;
    if (vm->config->own_irqchip)
        return kernel_machine_new_with(vm, false, error);
    if (kernel_machine_new_with(vm, true, &reason))
        return true;
    kvm_slots_free(kvm);
    util_close_fd(&kvm->fd);
    kvm->fd = -1;
    if (!kernel_machine_new_with(vm, false, error))
        return false;
    warn("interrupt controllers are not in the kernel: %s", reason->message);
    return true;
}

static bool machine_init(struct vm *vm, GError **error)
{
    struct engine_vm *kvm = vm->engine_vm;
    kvm->system_fd = device_open(error);
    if (kvm->system_fd < 0 || !kernel_machine_new(vm, error))
        return false;
    int bytes = ioctl(kvm->system_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (bytes < (int)sizeof(struct kvm_run))
        return fail(error, KVM_DEVICE ": vCPU area of %d bytes is too small", bytes);
    kvm->run_bytes = bytes;
    int cpus_max = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    if (cpus_max > 0 && vm->config->cpus > (unsigned)cpus_max)
        return fail(error, "-smp %u: this host's KVM runs at most %d CPUs in a machine",
                    vm->config->cpus, cpus_max);
    if (!kvm_cpuid_query(vm, error) || !kernel_part_create(vm, error))
        return false;
    kvm_debug_init(kvm);
    kvm_slots_listen(vm);
    return true;
}

static bool kvm_vm_init(struct vm *vm, GError **error)
{
    struct engine_vm *kvm = g_new0(struct engine_vm, 1);
    kvm->system_fd = kvm->fd = -1;
    kvm->msrs_usable = UINT64_MAX;
    pthread_mutex_init(&kvm->msr_lock, NULL);
    vm->engine_vm = kvm;
    if (machine_init(vm, error))
        return true;
    kvm_vm_destroy(vm);
    return false;
}

static bool kvm_kernel_irqchip(struct vm *vm)
{
    return vm->engine_vm->irqchip;
}

const struct engine_ops engine_kvm = {
    .name = "kvm",
    .description = "hardware virtualization through Linux's /dev/kvm",
    .probe = kvm_probe,
    .advisable = kvm_advisable,
    .vm_init = kvm_vm_init,
    .vm_destroy = kvm_vm_destroy,
    .kernel_irqchip = kvm_kernel_irqchip,
    .irq_set = kvm_irqchip_set,
    .msi_send = kvm_irqchip_msi,
    .vcpu_init = kvm_vcpu_init,
    .vcpu_destroy = kvm_vcpu_destroy,
    .run = kvm_vcpu_run,
    .kick = kvm_vcpu_kick,
    .state_get = kvm_state_get,
    .state_put = kvm_state_put,
    .debug_update = kvm_debug_update,
    .debug_check = kvm_debug_check,
    .debug_goes = kvm_debug_goes,
    .debug_stopped = kvm_debug_stopped,
};
