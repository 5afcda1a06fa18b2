/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fuzzer's guest: takes cases from the initrd, runs each at CPL 3, sends hashes through port
 * 0xe9. */
#include "guest.h"
#include "case.h"

struct pvh_start_info { /* Xen "x86/HVM direct boot ABI" */
    uint32_t magic, version, flags, module_count;
    uint64_t modules;
};
struct pvh_module {
    uint64_t address, bytes, command_line, reserved;
};
extern uint32_t start_info;

static uint8_t *data, *code;
static uint8_t xsave_area[FUZZ_XSAVE_BYTES] __attribute__((aligned(64)));
static struct fuzz_state state;
static struct fuzz_layout layout;
static uint32_t xcr0, ignored_flags;
static bool fs_gs_base;
static uint64_t results[512];
static unsigned pending;

void fuzz_enter(const struct fuzz_state *start); /* enter.S */

static void send(const void *bytes, size_t n)
{
    asm volatile("rep outsb" : "+S"(bytes), "+c"(n) : "d"(0xe9) : "memory");
}

static void flush(void)
{
    send(results, pending * 8);
    pending = 0;
}

static void xsetbv(uint32_t value)
{
    asm volatile("xsetbv" : : "c"(0), "a"(value), "d"(0));
}

/* Where CPL 3 finds the stubs: one page of 2 MiB with the whole image, out of the way of what cases
 * touch. An address with few bits set would come up by chance. */
#define STUB_PML4 0xadu
#define STUB_PDPT 0x13bu
#define STUB_PD 0x1d3u
#define STUB_BYTES (2u << 20)
#define STUB_ADDRESS(p) \
    ((word)(p) + ((word)STUB_PML4 << 39) + ((word)STUB_PDPT << 30) + ((word)STUB_PD << 21))

static void map_stubs(uint64_t *pml4)
{
    uint64_t *pdpt = page_alloc(), *pd = page_alloc();
    pd[STUB_PD] = PTE_P | PTE_W | PTE_U | PTE_PS;
    pdpt[STUB_PDPT] = (word)pd | PTE_P | PTE_W | PTE_U;
    pml4[STUB_PML4] = (word)pdpt | PTE_P | PTE_W | PTE_U;
    if ((word)xsave_area + sizeof(xsave_area) > STUB_BYTES || (word)user_stack_top > STUB_BYTES)
        die("the image is larger than the page of the stubs");
}

static void machine_init(void)
{
    uint32_t r[4];
    if (has_cpuid(1, 0, 2, 26)) {
        write_cr4(read_cr4() | CR4_OSXSAVE);
        cpuid(0xd, 0, r);
        xcr0 = r[0] & (FUZZ_X87 | FUZZ_SSE | FUZZ_AVX | FUZZ_AVX512);
    }
    fs_gs_base = has_cpuid(7, 0, 1, 0);
    if (fs_gs_base)
        write_cr4(read_cr4() | CR4_FSGSBASE);
    asm volatile("movw %w0, %%fs; movw %w0, %%gs" : : "r"(0)); /* iretq would clear others' bases */
    uint64_t *pml4 = (uint64_t *)read_cr3();
    map_stubs(pml4);
    pml4[1] = 0;
    pml4[0] |= PTE_U;
    *(uint64_t *)(pml4[0] & ~0xfffull) |= PTE_U;
    data = pages_alloc(FUZZ_DATA_PAGES);
    code = memset(pages_alloc(FUZZ_CODE_PAGES), 0xcc, FUZZ_CODE_PAGES * FUZZ_PAGE);
    for (unsigned i = 0; i < FUZZ_DATA_PAGES; i++)
        map_page(FUZZ_DATA + i * FUZZ_PAGE, (word)data + i * FUZZ_PAGE,
                 PTE_P | PTE_U | PTE_NX | (i == FUZZ_READ_ONLY_PAGE ? 0 : PTE_W));
    for (unsigned i = 0; i < FUZZ_CODE_PAGES; i++)
        map_page(FUZZ_CODE + i * FUZZ_PAGE, (word)code + i * FUZZ_PAGE, PTE_P | PTE_U);
    *pte_of(FUZZ_DATA - 1) = *pte_of(FUZZ_DATA + FUZZ_DATA_PAGES * FUZZ_PAGE) = 0;
    *pte_of(FUZZ_CODE - 1) = *pte_of(FUZZ_CODE + FUZZ_CODE_PAGES * FUZZ_PAGE) = 0;
    write_cr3(read_cr3());
}

/* Vector state is loaded and saved at CPL 3: hosts whose KVM interprets a guest's kernel code lack
 * these instructions there. */
asm(".text\nstub_restore: xrstor (%rbx); int3\nstub_save: xsave (%rbx); int3\n");
extern char stub_restore[], stub_save[];
static bool in_stub;
static word stub_vector;

static void run_stub(const void *stub)
{
    struct user_start start = { .ip = STUB_ADDRESS(stub),
                                .sp = STUB_ADDRESS(user_stack_top),
                                .flags = 2,
                                .cs = USER_CODE,
                                .ss = USER_DATA,
                                .bx = STUB_ADDRESS(xsave_area),
                                .ax = xcr0 };
    in_stub = true;
    enter_user(&start);
    in_stub = false;
    if (stub_vector != VECTOR_BP)
        die("cannot load or save vector state");
}

static void resume(struct frame *frame)
{
    frame->ip = resume_ip;
    frame->cs = KERNEL_CODE64;
    frame->ss = 0;
    frame->sp = resume_sp;
    frame->flags = 2;
    resume_ip = 0;
}

/* Every exception of a case ends here; fuzz_enter() returns. */
static void capture(struct frame *frame)
{
    if (!resume_ip) {
        handlers[frame->vector] = NULL; /* in the kernel: let the frame report it */
        void trap_handler(struct frame *);
        trap_handler(frame);
    }
    if (in_stub) {
        stub_vector = frame->vector;
        resume(frame);
        return;
    }
    const uint64_t gpr[16] = { frame->ax,  frame->cx,  frame->dx,  frame->bx,
                               frame->sp,  frame->bp,  frame->si,  frame->di,
                               frame->r8,  frame->r9,  frame->r10, frame->r11,
                               frame->r12, frame->r13, frame->r14, frame->r15 };
    for (unsigned i = 0; i < 16; i++)
        state.gpr[i] = gpr[i];
    state.rip = frame->ip;
    state.rflags = frame->flags;
    state.vector = frame->vector;
    state.error = frame->error;
    state.cr2 = read_cr2();
    state.fs_base = rdmsr(MSR_FS_BASE);
    state.gs_base = rdmsr(MSR_GS_BASE);
    resume(frame);
}

static void run(const struct fuzz_case *test)
{
    fuzz_state_init(test->seed, &state);
    fuzz_memory_init(test->seed, data);
    memcpy(code + test->code_offset, test + 1, test->code_bytes);
    fuzz_to_xsave(&state, &layout, xcr0, xsave_area);
    wrmsr(MSR_FS_BASE, state.fs_base);
    wrmsr(MSR_GS_BASE, state.gs_base);
    state.rip = FUZZ_CODE + test->code_offset;
    run_stub(stub_restore);
    fuzz_enter(&state);
    run_stub(stub_save);
    memset(code + test->code_offset, 0xcc, test->code_bytes); /* int3 wherever no case's code is */
    fuzz_from_xsave(&state, &layout, xcr0, xsave_area);
    fuzz_normalize(&state, ignored_flags);
    results[pending++] = fuzz_hash(&state, data);
    if (test->flags & FUZZ_DUMP) {
        flush();
        send(&state, sizeof(state));
        send(data, FUZZ_DATA_PAGES * FUZZ_PAGE);
    }
}

void guest_main(void)
{
    machine_init();
    struct fuzz_reply reply = { FUZZ_MAGIC, xcr0, 0 };
    send(&reply, sizeof(reply));
    const struct pvh_start_info *info = (const void *)(word)start_info;
    if (!info->module_count)
        return;
    const struct pvh_module *module = (const void *)info->modules;
    const struct fuzz_batch *batch = (const void *)module->address;
    if (batch->magic != FUZZ_MAGIC)
        die("the initrd is no batch of cases");
    if (!batch->count)
        return;
    xcr0 &= batch->xcr0;
    ignored_flags = batch->ignored_flags;
    xsetbv(xcr0);
    fuzz_layout_init(&layout);
    for (unsigned i = 0; i < 32; i++)
        handlers[i] = capture;
    const struct fuzz_case *test = (const void *)(batch + 1);
    for (unsigned i = 0; i < batch->count; i++) {
        run(test);
        if (pending == sizeof(results) / sizeof(results[0]) || batch->careful)
            flush();
        test = (const void *)((word)(test + 1) + ((test->code_bytes + 7) & ~7u));
    }
    flush();
}
