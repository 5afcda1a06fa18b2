/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The KVM engine by itself: state that goes into the kernel comes back, code runs from it, kicks
 * and pauses arrive. Firmware of one `hlt` is all the guest there is; tests put their code beside
 * it. */
#include <sys/mman.h>

#include "hw/device.h"
#include "tap.h"
#include "vm/vcpu.h"
#include "vm/vm.h"

#define BIOS_BYTES 4096u
#define RESET_VECTOR 0xff0u
#define CODE 0x8000u
#define WAIT_MS 5000

static struct vm *machine_new(const char *cpu, bool own_irqchip, GError **error)
{
    static uint8_t bios[BIOS_BYTES];
    auto_close int fd = memfd_create("bios", 0);
    bios[RESET_VECTOR] = 0xf4;     /* hlt */
    bios[RESET_VECTOR + 1] = 0xeb; /* jmp to it */
    bios[RESET_VECTOR + 2] = 0xfd;
    g_assert(write(fd, bios, sizeof(bios)) == (ssize_t)sizeof(bios));

    struct vm_config *config = vm_config_new();
    config->engines[0] = &engine_kvm;
    config->start_paused = true;
    config->own_irqchip = own_irqchip;
    config->bios = g_strdup_printf("/proc/self/fd/%d", fd);
    g_free(config->cpu);
    config->cpu = g_strdup(cpu);
    struct vm *vm = vm_create(config, error);
    if (vm && !vm_start(vm, error))
        g_clear_pointer(&vm, vm_free);
    return vm;
}

/* Runs `code`, which ends in `hlt`, in the state vcpu->cpu describes, until it halts with RDI =
 * 1. */
static bool run(struct vm *vm, const uint8_t *code, size_t size)
{
    struct vcpu *vcpu = vm->vcpus[0];
    memcpy(vm->ram.host + CODE, code, size);
    vcpu->cpu->regs[RDI] = 0;
    vcpu_state_replaced(vcpu);
    for (unsigned ms = 0; ms < WAIT_MS; ms++) {
        vm_resume(vm);
        g_usleep(1000);
        vm_pause(vm);
        if (vcpu->cpu->regs[RDI] == 1)
            return true;
    }
    return false;
}

/* Protected mode with flat segments; interrupts off. */
static void cpu_set_flat(struct x86_cpu *cpu)
{
    x86_cpu_reset(cpu, false);
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        cpu->seg[seg] = (struct x86_segment){ .selector = seg == SEG_CS ? 8 : 16,
                                              .limit = 0xffffffff,
                                              .attr = seg == SEG_CS ? 0xc09b : 0xc093 };
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->rip = CODE;
    cpu->rflags = FLAG_FIXED;
}

static void test_registers(struct vm *vm)
{
    static const uint8_t code[] = {
        0x01, 0xd8,                   /* add eax, ebx */
        0x87, 0xca,                   /* xchg edx, ecx */
        0xbf, 0x01, 0x00, 0x00, 0x00, /* mov edi, 1 */
        0xf4,                         /* hlt */
    };
    struct x86_cpu *cpu = vm->vcpus[0]->cpu;
    cpu_set_flat(cpu);
    cpu->regs[RAX] = 0x7fffffff;
    cpu->regs[RBX] = 1;
    cpu->regs[RCX] = 3;
    cpu->regs[RDX] = 4;
    cpu->regs[RSP] = 0x7000;
    tap_ok(run(vm, code, sizeof(code)), "code runs from a state that was set");
    tap_ok(cpu->regs[RAX] == 0x80000000 && cpu->regs[RCX] == 4 && cpu->regs[RDX] == 3
               && cpu->regs[RSP] == 0x7000,
           "general registers come back");
    tap_ok((cpu->rflags & FLAGS_ARITHMETIC) == (FLAG_OF | FLAG_SF | FLAG_PF | FLAG_AF),
           "flags come back: 0x%x", (unsigned)cpu->rflags);
    tap_ok(cpu->rip == CODE + sizeof(code), "the instruction pointer is behind hlt");
    tap_ok(cpu->seg[SEG_CS].attr == 0xc09b && cpu->seg[SEG_DS].limit == 0xffffffff
               && cpu->seg[SEG_SS].selector == 16,
           "segments come back");
}

static void test_special_registers(struct vm *vm)
{
    static const uint8_t code[] = { 0xbf, 0x01, 0x00, 0x00, 0x00, 0xf4 };
    struct x86_cpu *cpu = vm->vcpus[0]->cpu;
    cpu_set_flat(cpu);
    cpu->gdt = (struct x86_table){ .base = 0x6000, .limit = 0x27 };
    cpu->idt = (struct x86_table){ .base = 0x5000, .limit = 0x7ff };
    cpu->cr2 = 0x12345000;
    cpu->dr[0] = 0xabc000;
    cpu->sysenter_eip = 0x11223344;
    cpu->star = 0x0023001000000000;
    cpu->pat = 0x0007040600070406;
    cpu->xsave[0] = 0x7f; /* FCW, low byte */
    cpu->xsave[1] = 0x02;
    cpu->xsave[512] = 3;    /* XSTATE_BV: x87 and SSE are present */
    cpu->xsave[160] = 0x5a; /* XMM0 */
    tap_ok(run(vm, code, sizeof(code)), "a machine with special registers set runs");
    tap_ok(cpu->gdt.base == 0x6000 && cpu->gdt.limit == 0x27 && cpu->idt.base == 0x5000
               && cpu->idt.limit == 0x7ff,
           "descriptor tables come back");
    tap_ok(cpu->cr2 == 0x12345000 && cpu->dr[0] == 0xabc000, "CR2 and DR0 come back");
    tap_ok(cpu->sysenter_eip == 0x11223344 && cpu->star == 0x0023001000000000, "MSRs come back");
    tap_ok(cpu->xsave[0] == 0x7f && cpu->xsave[1] == 0x02 && cpu->xsave[160] == 0x5a,
           "x87 and vector registers come back");
}

/* Pause and resume while the guest spins: nothing is lost, nothing hangs. */
static void test_kicks(struct vm *vm)
{
    static const uint8_t code[] = { 0x40, 0xeb, 0xfd }; /* inc eax; jmp to it */
    struct x86_cpu *cpu = vm->vcpus[0]->cpu;
    cpu_set_flat(cpu);
    memcpy(vm->ram.host + CODE, code, sizeof(code));
    vcpu_state_replaced(vm->vcpus[0]);
    bool inside = true;
    for (unsigned i = 0; i < 200; i++) {
        vm_resume(vm);
        g_usleep(i % 2 ? 100 : 0);
        vm_pause(vm);
        inside = inside && cpu->rip >= CODE && cpu->rip < CODE + sizeof(code);
    }
    tap_ok(inside && cpu->regs[RAX] > 0, "a spinning guest is paused 200 times");
}

static void test_machine(const char *cpu, bool own_irqchip)
{
    g_autoptr(GError) error = NULL;
    struct vm *vm = machine_new(cpu, own_irqchip, &error);
    if (!tap_ok(vm != NULL, "a machine with CPU %s, interrupt controllers %s: %s", cpu,
                own_irqchip ? "outside" : "in the kernel", error ? error->message : "made"))
        return;
    test_registers(vm);
    test_special_registers(vm);
    test_kicks(vm);
    vm_free(vm);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    if (!engine_kvm.probe(&error)) {
        tap_skip("the KVM engine", error->message);
        return tap_done();
    }
    test_machine("max", false);
    test_machine("max", true);
    test_machine("qemu64,-lm", false);
    return tap_done();
}
