/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The binary translator's inner structures. docs/engine.md tells the whole story; in short:
 *
 *   run.c        the vCPU's loop: requests, interrupts, finding the next block
 *   cache.c      code memory, blocks, their index, links and invalidation
 *   trim.c       drops translations that are no longer needed
 *   translate.c  one block of guest code to host code (translate_*.c by instruction class)
 *   emit.h       host instruction encoder
 *   thunks.c     the assembly between translated code and C, emitted at start
 *   memory.c     TLB misses, device and page-crossing accesses   (guest vector state live)
 *   helpers.c    what translated code calls                       (guest vector state live)
 *   gather.c     gathers, scatters, byte-masked stores                 (guest vector state live)
 *   map.c        from host code to guest instruction                 (guest vector state live)
 *   tlb.c        filling and flushing the software TLB            (guest vector state live)
 *   signal.c     host faults in translated code become guest exceptions
 *   breakpoints.c  where a debugger wants vCPUs to stop           (guest vector state live)
 *
 * While translated code runs, the GS base points to struct bt_vcpu and every guest register lives
 * in a host register or in cpu.regs, see host_home[]. */
#ifndef YADO_ENGINE_BT_BT_H
#define YADO_ENGINE_BT_BT_H

#include "engine/engine.h"
#include "util/log.h"
#include "util/timer.h"
#include "x86/cpu.h"
#include "x86/execute.h"
#include "x86/paging.h"

struct vm;

/* ---- the software TLB ---------------------------------------------------------------------- */

/* Direct-mapped by virtual page number. A hit is  ((tag + address + size - 1) >> shift) == 0  where
 * tag is the negated page address and shift is the addend's low six bits, always 12 in a filled
 * entry: so one load yields both the host address (minus 12) and the shift count, and the check
 * needs neither an immediate in a register nor the flags. */
#define TLB_BITS 16
#define TLB_ENTRIES (1u << TLB_BITS)
#define TLB_SHIFT_BIAS 12

/* One TLB per set of access rights: SMAP's AC flag selects a third one, so that stac and clac flush
 * nothing. */
enum bt_mmu { MMU_USER, MMU_KERNEL, MMU_KERNEL_AC, MMU_COUNT };

struct bt_tlb {
    uint64_t read_tag[TLB_ENTRIES];
    uint64_t write_tag[TLB_ENTRIES];
    uint64_t addend[TLB_ENTRIES]; /* host address - guest address + 12 */
};

/* Indexes filled since the last flush, so that a flush costs what was filled. */
#define TLB_LOG_SIZE 8192
struct bt_tlb_log {
    uint32_t count;
    uint16_t index[TLB_LOG_SIZE];
};

/* Executable mappings by virtual page, checked where control crosses a page: valid bit | physical
 * page << 24 | bits 47:24 of the virtual page address, one for user and one for kernel rights. */
#define ITLB_BITS 12
#define ITLB_ENTRIES (1u << ITLB_BITS)
#define ITLB_VALID (1ull << 63)

static inline uint64_t itlb_value(uint64_t gva, uint64_t gpa)
{
    return ITLB_VALID | (gpa >> 12 & 0x7fffffffffull) << 24 | (gva >> 24 & 0xffffff);
}
static inline unsigned itlb_index(uint64_t gva)
{
    return gva >> 12 & (ITLB_ENTRIES - 1);
}

/* Where code at a virtual address is, for indirect jumps. Entry 0 is never filled: a request to
 * leave sets the index mask to zero, and all lookups miss. */
#define JUMP_BITS 14
#define JUMP_ENTRIES (1u << JUMP_BITS)
#define JUMP_MASK ((uint64_t)(JUMP_ENTRIES - 1))
#define JUMP_LOG 2048
struct bt_jump_cache {
    uint64_t tag[JUMP_ENTRIES]; /* negated address */
    void *code[JUMP_ENTRIES];
    uint32_t used_count; /* entries filled since the last flush */
    uint16_t used[JUMP_LOG];
};

/* ---- blocks ---------------------------------------------------------------------------------- */

/* What a translation depends on besides the code bytes; part of a block's key. */
enum bt_mode {
    MODE_CODE64 = 1u << 0,
    MODE_CODE32 = 1u << 1,  /* neither: 16-bit */
    MODE_STACK32 = 1u << 2, /* SS.B */
    MODE_FLAT = 1u << 3,    /* CS, DS, ES, SS: base 0, limit 4 GiB, readable, writable */
    MODE_CPL_SHIFT = 4,
    MODE_CPL = 3u << 4,
    MODE_MMU_SHIFT = 6,
    MODE_MMU = 3u << 6,     /* enum bt_mmu */
    MODE_STEP = 1u << 9,    /* TF or debug registers: one instruction, then look */
    MODE_ONE = 1u << 10,    /* one instruction: interrupt shadow */
    MODE_SINGLY = 1u << 11, /* every access looked up on its own: a shared one failed */
    MODE_PROTECTED = 1u << 12,
    MODE_V86 = 1u << 13,
    MODE_CHECKED = 1u << 14, /* data breakpoints or #AC are armed: every access goes through C */
    MODE_SMM = 1u << 15,     /* system management mode: other memory at the same address */
};

struct bt_block;

/* What a dropped block is overwritten with, by one aligned store, at its head and landings. */
#define PATCH_BYTES 8

/* What describes translated code is many small things: they lie in one arena, and name each other
 * by offsets in it ("ref"), 0 being none. */

/* A direct exit: a jump (rel32 at `site`) that leads to `stub` until it is linked to a block.
 * Places are counted from the start of the block's code; 0: none. */
struct bt_exit {
    uint64_t target_rip;
    uint32_t target;        /* [bt lock] ref of the block linked to; 0: to the stub */
    uint32_t next_incoming; /* [bt lock] ref of another exit linked to the same target */
    uint16_t site;          /* the rel32, 4-aligned; 0: never linked */
    uint16_t stub;
    uint16_t itlb_site; /* the negated itlb value, 8-aligned; 0: the target is in the same page */
    uint8_t index;      /* of this exit in its block */
    uint8_t target_mmu; /* enum bt_mmu; else the target's mode is the block's, see bt_exit_mode() */
};

/* Which guest instruction host code belongs to. Sorted by host offset; an entry holds until the
 * next. Packed in map.c. */
struct bt_map {
    uint16_t host;  /* from the block's start */
    uint16_t guest; /* from the block's rip */
    uint8_t length; /* of the guest instruction */
    uint8_t flags;  /* MAP_* */
};

#define MAP_SPILLED 1u     /* at a host fault RAX and RDX are in spill[] */
#define MAP_PACKED_BYTES 7 /* of one entry, at most */

/* Behind it lie its exits, the places of its return landings (uint16_t), and its packed map. */
struct bt_block {
    uint64_t rip;     /* linear address, CS base included in non-64-bit code: see cs_base */
    uint64_t cs_base; /* rip - EIP */
    uint64_t gpa;     /* physical address of the first byte */
    uint64_t gpa2;    /* page of the rest if an instruction crosses, else ~0 */
    uint8_t *code;    /* executable address */
    uint32_t mode;
    _Atomic uint32_t hash_next; /* ref */
    uint32_t page_next[2];      /* [bt lock] refs of blocks of the same page(s) */
    uint32_t incoming;          /* [bt lock] ref of an exit linked to this block */
    uint16_t guest_bytes, code_bytes;
    uint16_t map_count;
    uint8_t exit_count, landing_count;
    bool dead; /* [bt lock] invalidated */
};

static inline struct bt_exit *bt_block_exits(const struct bt_block *block)
{
    return (struct bt_exit *)(block + 1);
}
static inline uint16_t *bt_block_landings(const struct bt_block *block)
{
    return (uint16_t *)(bt_block_exits(block) + block->exit_count);
}
static inline uint8_t *bt_block_packed_map(const struct bt_block *block)
{
    return (uint8_t *)(bt_block_landings(block) + block->landing_count);
}
static inline struct bt_block *bt_exit_owner(const struct bt_exit *exit)
{
    return (struct bt_block *)(exit - exit->index) - 1;
}
static inline uint32_t bt_exit_mode(const struct bt_exit *exit)
{
    uint32_t mode = bt_exit_owner(exit)->mode & ~(uint32_t)(MODE_SINGLY | MODE_ONE | MODE_MMU);
    return mode | (uint32_t)exit->target_mmu << MODE_MMU_SHIFT;
}

/* Where in the code memory a block is, for the search by address. */
struct bt_place {
    uint32_t code;  /* offset in the code memory */
    uint32_t block; /* ref */
};

/* ---- per machine ----------------------------------------------------------------------------- */

/* The rest of the mode: which combination of these control registers' bits, see
 * bt_control_update(). */
#define MODE_CONTROL_SHIFT 22
#define CONTROLS 1024
struct bt_control {
    uint32_t cr0, cr4;
    uint64_t xcr0;
};
#define CONTROL_CR0 (CR0_MP | CR0_EM | CR0_TS | CR0_NE)
#define CONTROL_CR4 (CR4_TSD | CR4_OSFXSR | CR4_OSXSAVE | CR4_SMAP)

#define BLOCK_HASH_BITS 16
#define BLOCK_HASH_BYTES (sizeof(uint32_t) << BLOCK_HASH_BITS)

unsigned bt_block_hash(uint64_t rip, uint64_t gpa, uint32_t mode);
/* Code memory: -accel bt,tb-size= in MiB. Jumps inside it, and notes of places, have 32 bits. */
#define CODE_BYTES_DEFAULT (64u << 20)
#define CODE_BYTES_MIN (512u << 10)
#define CODE_BYTES_MAX (1u << 30)
#define BLOCK_ALIGN 64

/* A piece of guest physical memory that is plain host memory. */
#define BT_RANGES 256
struct bt_range {
    uint64_t base, size;
    uint8_t *host;
    bool writable;
};
struct bt_memory {
    struct bt_range range[BT_RANGES];
    unsigned count;
};

struct bt_page; /* blocks made from one physical page */

/* When to drop translations nobody needs any more, see trim.c. */
struct bt_trim {
    enum { TRIM_QUIET, TRIM_WATCHING, TRIM_AGING } state; /* [bt lock] */
    struct timer timer;
    size_t limit;       /* [bt lock] bytes of code to stay below */
    size_t last_used;   /* [bt lock] bytes of code when last looked */
    size_t recurring;   /* [bt lock] bytes of code made since the last drop that were made before */
    uint8_t *seen;      /* [bt lock] bits: blocks dropped, by a hash of their key */
    size_t seen_blocks; /* [bt lock] how many these are */
    uint64_t interval_ns; /* [bt lock] for how long recurring code is left alone */
};

/* What a debugger asks for. Changed with all vCPUs paused. Breakpoints are linear addresses in
 * ascending order. */
struct bt_watch {
    uint64_t low, high; /* first and last byte */
    enum debug_kind kind;
};
struct bt_debug {
    bool active; /* there is anything at all to look at in bt_next() */
    uint64_t *breaks;
    unsigned break_count;
    struct bt_watch *watches;
    unsigned watch_count;
    uint64_t region_low, region_bytes; /* stop where code is first fetched from there */
};

/* A passage to the memory thunk, for all accesses of one kind: see translate_memory.c. */
struct bt_passage {
    uint32_t access;
    uint16_t place; /* after the first one; in units of PASSAGE_BYTES, plus 1; 0: none */
    uint8_t reg;    /* host register with the address */
};
#define PASSAGES 1024 /* size of the hash table; it is filled by half */
#define PASSAGE_BYTES 16

/* Code memory is one memfd mapped twice: written at `write`, executed at `exec`, never both. */
struct bt {
    struct vm *vm;
    pthread_mutex_t lock; /* translation, links, invalidation */
    uint8_t *code_exec;
    ptrdiff_t code_write_offset; /* add to an executable address to write there */
    uint8_t *code_next;          /* [lock] executable address of free space */
    uint8_t *code_start;         /* after the thunks and passages */
    size_t code_size;
    uint8_t *code_settled;                /* [lock] executable address; see bt_code_settle() */
    struct bt_passage passages[PASSAGES]; /* [lock] hash table, never emptied */
    uint8_t *passage_first;               /* [const] executable address */
    unsigned passage_count;               /* [lock] */
    struct bt_place *places;              /* [lock] of blocks, in ascending code address */
    size_t block_count, block_capacity;
    _Atomic uint32_t *hash; /* BLOCK_HASH_BYTES: refs of blocks */
    uint8_t *arena;         /* code_size bytes */
    size_t arena_next;      /* [lock] offset of free space */
    struct bt_trim trim;

    uint8_t *page_flags; /* by physical page: PAGE_*; [atomic] */
    uint64_t page_count;
    GHashTable *pages;          /* [lock] physical page number → struct bt_page */
    _Atomic uint64_t uncovered; /* how often a page lost PAGE_CODE: see bt_translate() */
    /* [exclusive] guest RAM and ROM in host memory: as usual, and in system management mode;
     * ascending */
    struct bt_memory memory[2];
    struct bt_control controls[CONTROLS]; /* [exclusive_lock] those seen so far */
    unsigned control_count;
    struct bt_vcpu **vcpus;
    unsigned vcpu_count;
    struct bt_debug debug;
    uint64_t tsc_start, ns_start; /* both clocks at the same moment */
    uint64_t tsc_hz;              /* [exclusive_lock] 0: not measured yet */
    uint64_t flushes;             /* of the whole code memory */
    struct x86_model *model;
    uint64_t host_xcr0; /* [const] */

    /* Exclusive execution: see bt_exclusive_begin(). */
    pthread_mutex_t exclusive_lock;
    pthread_cond_t exclusive_cond;
    unsigned running; /* [exclusive_lock] vCPUs inside run_guest */
    bool exclusive;   /* [exclusive_lock] somebody wants or has it */

    /* Entry points into the thunks. */
    struct {
        void (*enter)(void); /* runs guest code until bt_next() returns `leave` */
        uint8_t *dispatch;   /* goes on at cpu.rip; all state is in struct x86_cpu */
        uint8_t *leave;      /* back to the caller of enter */
        uint8_t *memory;     /* T0: address, ecx: enum bt_access bits */
        uint8_t *segment;    /* T0: offset, ecx: segment << 16 | access bits */
        uint8_t *commit;
        uint8_t *execute;             /* T0: ref of a struct bt_call */
        uint8_t *link;                /* T0: ref of an unlinked direct exit */
        uint8_t *request;             /* T0: ref of an exit; a poll found a request */
        uint8_t *dead;                /* called by the head of a dropped block */
        uint8_t *crossing;            /* T0: ref of a block; its second page may have moved */
        uint8_t *indirect;            /* T0: target rip; jump cache missed */
        uint8_t *jump[MMU_COUNT];     /* jump cache lookup. T0: target rip */
        uint8_t *sentinel[MMU_COUNT]; /* the host return stack ran empty. T0: target rip */
        uint8_t *sentinel_plain;      /* same where the jump cache may not be used */
    } thunk;
};

#define BT_NO_PAGE (~0ull)

#define PAGE_CODE 1u    /* blocks were made from it: no writable TLB entry */
#define PAGE_WRITTEN 2u /* some TLB may hold a writable entry */

/* An imm64 no itlb value is the negation of. */
#define ITLB_NEVER (~0ull)

/* Access description for the memory thunk: low 12 bits the size in bytes. */
#define ACCESS_SIZE 0xfffu
#define ACCESS_READ (1u << 12)
#define ACCESS_WRITE (1u << 13)
#define ACCESS_MASKED (1u << 14)  /* bytes may be masked off and then do not fault */
#define ACCESS_SHARED (1u << 15)  /* stands for several accesses: fall back to MODE_SINGLY */
#define ACCESS_NO_EXIT (1u << 16) /* the block ends with this instruction anyway */
#define ACCESS_STACK (1u << 17)   /* #SS, not #GP, if not canonical */
#define ACCESS_X87 (1u << 18)     /* a waiting x87 or MMX instruction: a pending #MF comes first */
#define ACCESS_SEG_SHIFT 20
/* 3 bits each: log2 of the alignment without which the instruction raises #GP, or #AC */
#define ACCESS_GP_SHIFT 24
#define ACCESS_AC_SHIFT 27

/* An instruction executed in C, in the block's memory. */
struct bt_call {
    uint64_t rip; /* EIP/RIP as the guest sees it */
    uint64_t next_rip;
    uint32_t mode;
    bool enters_kernel; /* int, syscall: no single-step trap if they clear TF */
    bool loads_ss;      /* mov ss, pop ss */
    struct x86_insn insn;
};

/* ---- per vCPU -------------------------------------------------------------------------------- */

#define SHARED_SLOTS 4
#define RETURN_STACK_BYTES (64u << 10)
#define BOUNCE_BYTES 8192
#define BOUNCE_GUARD 8192 /* two pages: an access may cross from one into the other */
#define BOUNCE_MASKED 64  /* largest store under a mask */

struct bt_vcpu {
    struct x86_cpu cpu; /* first: offsets are small */

    /* Read or written by translated code. */
    uint64_t go_on;      /* zero: leave at the next poll */
    uint64_t jump_mask;  /* JUMP_MASK, or zero while a request is pending */
    uint64_t flags_mask; /* FLAGS_ARITHMETIC */
    uint64_t not_if_mask, not_ac_mask, not_df_mask, bit0_mask, bit_index_mask[2]; /* 31, 63 */
    uint64_t foreign_xstate; /* components that the host restores, but not the guest now */
    uint64_t irq_wanted;     /* nonzero: an interrupt waits for IF */
    uint64_t return_base;    /* host stack pointer with nothing but the sentinel on it */
    uint64_t host_sp;        /* C stack while translated code runs */
    uint64_t return_sp;      /* host stack pointer of translated code while C runs */
    uint64_t flags_ax;       /* lahf/seto image of the guest's arithmetic flags */
    uint64_t spill[2];
    uint32_t branch_site; /* offset in code memory of the last return or missed indirect branch */
    uint64_t shared[SHARED_SLOTS]; /* addends of lookups, inside one block */
    struct bt_vcpu *self;

    /* C only. */
    struct bt *bt;
    struct vcpu *vcpu;
    struct translator *translator;
    bool running; /* [exclusive_lock] counted in bt->running */
    void *signal_stack;
    enum vcpu_exit exit;
    bool fault_pending;            /* cpu.fault_* wait for delivery */
    struct bt_control control;     /* of the registers as they are */
    uint32_t control_mode;         /* its number, shifted into place */
    bool remapped;                 /* paging or rights changed: look at everything afresh */
    bool code_dropped;             /* [atomic] blocks were invalidated */
    bool singly;                   /* next block is to be found with MODE_SINGLY */
    bool step_trap;                /* TF was set when it began */
    uint32_t jump_mode[MMU_COUNT]; /* what the blocks in the jump cache were made for */
    enum { FERR_NOTHING, FERR_IGNORE, FERR_MASKED } ferr; /* see ferr.c */
    uint16_t ferr_control;                                /* MASKED: the guest's control word */
    uint64_t ferr_rip;                                    /* IGNORE: of the instruction */
    bool stepping; /* the block running is one instruction; #DB is due after it */

    /* For a debugger, see breakpoints.c. */
    bool debug_alone; /* the next instruction runs alone, whoever wants it */
    bool debug_ran;   /* one has just run alone */
    bool debug_hit;   /* an access met a watchpoint: stop after the instruction */
    struct debug_stop debug_hit_stop;

    /* A bounced access waiting for its commit. */
    struct {
        bool active, in_place, present[2];
        uint64_t addr;
        unsigned size, access;
        uint8_t *data;
        uint64_t gpa[2];  /* of the first byte and of the next page */
        uint8_t *host[2]; /* RAM, or NULL: device */
        unsigned first;   /* bytes in the first page */
        uint64_t body;    /* where the instruction begins */
        bool filled_ones; /* a store under a mask: it is executed for the second time */
        uint8_t on_zeros[BOUNCE_MASKED]; /* what came of the first */
    } bounce;
    /* Registers of a gather, scatter or byte-masked store, see gather.c. */
    struct {
        uint8_t data[64], index[64], mask[64];
    } gather __attribute__((aligned(64)));
    uint8_t *bounce_memory; /* no access | BOUNCE_BYTES | no access; no access: BOUNCE_GUARD */
    uint8_t *return_stack;  /* with guard pages on both sides */

    uint64_t large_low[2], large_high[2]; /* range of large-page fills: user, kernel */
    bool kernel_code_not_global;
    struct bt_tlb_log log[MMU_COUNT];        /* entries that a CR3 load flushes */
    struct bt_tlb_log log_global[MMU_COUNT]; /* the others */

    bool pv_eoi_offered;  /* the guest may end the interrupt in service by its flag in memory */
    uint64_t pv_steal_ns; /* when last told */
    int schedstat;        /* of this thread, or -1 */

    uint64_t itlb[2][ITLB_ENTRIES];
    /* From here on, zeroed to give memory back: see bt_trim_vcpu(). */
    struct bt_jump_cache jump[MMU_COUNT] __attribute__((aligned(4096)));
    struct bt_tlb tlb[MMU_COUNT];
};

static inline struct bt_vcpu *bt_of(struct x86_cpu *cpu)
{
    return (struct bt_vcpu *)cpu;
}
static inline enum bt_mmu bt_mmu_of(const struct x86_cpu *cpu)
{
    if (cpu->cpl == 3)
        return MMU_USER;
    return (cpu->cr4 & CR4_SMAP) && (cpu->rflags & FLAG_AC) ? MMU_KERNEL_AC : MMU_KERNEL;
}

/* cache.c */
bool bt_cache_init(struct bt *bt, GError **error);
void bt_cache_destroy(struct bt *bt);
void *bt_arena_alloc(struct bt *bt, size_t bytes); /* [bt lock] until the next flush; or NULL */
static inline void *bt_arena_at(const struct bt *bt, uint32_t ref)
{
    return bt->arena + ref;
}
static inline struct bt_block *bt_block_at(const struct bt *bt, uint32_t ref)
{
    return ref ? bt_arena_at(bt, ref) : NULL;
}
static inline uint32_t bt_arena_ref(const struct bt *bt, const void *thing)
{
    return (const uint8_t *)thing - bt->arena;
}
void bt_block_publish(struct bt *bt, struct bt_block *block);
void bt_link(struct bt *bt, struct bt_exit *exit, struct bt_block *target);
/* Drops the blocks made from any 64-byte line of [gpa, gpa + length), and tells every vCPU
 * (code_dropped). Takes the lock. Returns whether there were any. */
bool bt_invalidate(struct bt *bt, uint64_t gpa, uint64_t length);
/* Drops everything; waits until no other vCPU is in guest code. `v`: the caller's vCPU or NULL. A
 * vCPU that waited in C, for this or anything else that is exclusive, must not go back to where it
 * was in translated code: bt->flushes tells. */
void bt_flush_code(struct bt *bt, struct bt_vcpu *v);
/* Between bt_exclusive_begin() and end(), after bt->memory changed from `before`: drops the blocks
 * of pages where there is other memory now. */
void bt_drop_moved_code(struct bt *bt, const struct bt_memory before[2]);
/* [bt lock] Code has been written: the pages of the writable mapping are not needed for now. */
void bt_code_settle(struct bt *bt);
void bt_code_grown(struct bt *bt, const struct bt_block *block); /* [bt lock] it was added */

/* trim.c */
void bt_trim_init(struct bt *bt);
void bt_trim_destroy(struct bt *bt);
void bt_trim_grown(struct bt *bt, const struct bt_block *block); /* [bt lock] it was added */
void bt_trim_dropping(struct bt *bt); /* [bt lock] all blocks are about to go */
/* Empties the TLBs and jump caches; code mappings (itlb) stay. The vCPU is not in guest code. */
void bt_trim_vcpu(struct bt_vcpu *v);

/* Code bytes as a fetch sees them: what is not RAM or ROM reads as all ones. Inside one page. */
void bt_fetch_bytes(const struct bt_vcpu *v, uint64_t gpa, uint8_t *to, unsigned length);
/* Marks the page so that writes to it are noticed from now on. */
void bt_page_has_code(struct bt_vcpu *v, uint64_t gpa);

/* How far the near return or call of `length` bytes at `gpa`, in 64-bit code, moves the stack
 * pointer. */
int64_t bt_branch_stack_move(struct bt_vcpu *v, uint64_t gpa, unsigned length);

/* Drops the blocks that have an instruction at one of the linear addresses. Takes the lock; no vCPU
 * is in guest code. */
void bt_drop_code_at(struct bt *bt, const uint64_t *linear, unsigned count);

/* breakpoints.c: see there for the order in which bt_next() asks. */
void bt_debug_update(struct bt *bt); /* vm->debug or vcpu->debug may have changed */
void bt_debug_destroy(struct bt *bt);
bool bt_debug_break_at(const struct bt *bt, uint64_t linear);
/* Code is fetched from a page for the first time since bt_debug_update(). Does not return if the
 * vCPU is to stop there. */
void bt_debug_fetched(struct bt_vcpu *v, uint64_t linear);
bool bt_debug_page_watched(const struct bt *bt, uint64_t addr);
void bt_debug_begin(struct bt_vcpu *v);
bool bt_debug_done(struct bt_vcpu *v);
bool bt_debug_holds_interrupts(const struct bt_vcpu *v);
bool bt_debug_stops_here(struct bt_vcpu *v); /* raises fetch faults */
uint32_t bt_debug_mode(struct bt_vcpu *v);
void bt_debug_access(struct bt_vcpu *v, uint64_t addr, unsigned size, bool read, bool write);
void bt_debug_accessed(struct x86_cpu *cpu, uint64_t addr, unsigned size, bool write);

/* debug.c: -d in_asm, out_asm, bt_asm; exec, cpu */
struct translator;
void bt_log_block(struct translator *t, const struct bt_block *block);
/* Both with the guest's vector registers in memory. */
void bt_log_entry(struct bt_vcpu *v, const struct bt_block *block);

/* Every block is entered from C, for the log's sake. Blocks are made for it: see
 * bt_translate_again(). */
static inline bool bt_nochain(void)
{
    return log_enabled(LOG_NOCHAIN | LOG_EACH_BLOCK);
}

/* translate.c; takes the lock. Fetch faults are raised (unwind) before anything is allocated. NULL:
 * the code memory is full, flush and try again. */
struct bt_block *bt_translate(struct bt_vcpu *v, uint64_t rip, uint64_t cs_base, uint64_t gpa,
                              uint32_t mode);

/* thunks.c */
void bt_emit_thunks(struct bt *bt);

/* tlb.c */
void bt_tlb_init(struct bt_vcpu *v);
void bt_tlb_zeroed(struct bt_vcpu *v); /* jump[] and tlb[] have been: makes them valid and empty */
void bt_tlb_flush_all(struct x86_cpu *cpu, bool keep_global);
void bt_tlb_flush_page(struct x86_cpu *cpu, uint64_t addr);
void bt_jump_cache_flush(struct bt_vcpu *v);
void bt_jump_cache_add(struct bt_vcpu *v, enum bt_mmu mmu, uint64_t rip, void *code);
/* Enters the page of `addr`, found by `walk`, into the TLB of `mmu`. Returns the host address of
 * `addr` if accesses of the kind may go straight to memory; NULL if it is a device, or for writes,
 * ROM or a page with code. */
uint8_t *bt_tlb_fill(struct bt_vcpu *v, uint64_t addr, enum bt_mmu mmu, bool write,
                     const struct x86_walk *walk);
/* Hooks of struct x86_engine_ops. */
void *bt_hook_lookup(struct x86_cpu *cpu, uint64_t addr, unsigned size, unsigned access);
void *bt_hook_fill(struct x86_cpu *cpu, uint64_t addr, unsigned access,
                   const struct x86_walk *walk);
/* Physical address for execution at linear `addr`; raises #PF. */
uint64_t bt_fetch_page(struct bt_vcpu *v, uint64_t addr);
/* Takes back writable entries for the physical page from all vCPUs. Others must not be in guest
 * code. */
void bt_tlb_protect(struct bt *bt, uint64_t gpa);
const struct bt_range *bt_memory_find(const struct bt_memory *memory, uint64_t gpa);
/* In memory as this vCPU sees it now. */
static inline const struct bt_range *bt_range_find(const struct bt_vcpu *v, uint64_t gpa)
{
    return bt_memory_find(&v->bt->memory[v->cpu.smm], gpa);
}

/* helpers.c */
struct bt_block *bt_block_find(struct bt *bt, uint64_t rip, uint64_t cs_base, uint64_t gpa,
                               uint32_t mode);
/* The block an address in code memory belongs to, or NULL. */
struct bt_block *bt_block_of_code(struct bt *bt, const uint8_t *code);

/* map.c */
size_t bt_map_pack(uint8_t *to, const struct bt_map *map, unsigned count);
/* What the host code at `code`, inside the block, belongs to. */
struct bt_map bt_block_map(const struct bt_block *block, const uint8_t *code);

/* helpers.c, memory.c: called from thunks */
uint64_t bt_helper_memory(struct bt_vcpu *v, uint64_t addr, uint32_t access, void *return_address);
uint64_t bt_helper_segment(struct bt_vcpu *v, uint64_t offset, uint32_t access,
                           void *return_address);
void bt_flags_in(struct bt_vcpu *v);  /* thunk's image → cpu.rflags */
void bt_flags_out(struct bt_vcpu *v); /* and back; clears the arithmetic bits in cpu.rflags */
bool bt_helper_commit(struct bt_vcpu *v, void *return_address);
bool bt_helper_execute(struct bt_vcpu *v, uint32_t call_ref);
/* The block for the access at cpu.rip without shared lookups, to jump to from the memory
 * passage. */
void *bt_singly(struct bt_vcpu *v);
void *bt_helper_link(struct bt_vcpu *v, uint32_t exit_ref);
void *bt_helper_request(struct bt_vcpu *v, uint32_t exit_ref);
void *bt_helper_dead(struct bt_vcpu *v, uint8_t *return_address);
void *bt_helper_crossing(struct bt_vcpu *v, uint32_t block_ref);
void *bt_helper_indirect(struct bt_vcpu *v, uint64_t target);
void *bt_next(struct bt_vcpu *v);
void bt_unwind(struct x86_cpu *cpu) __attribute__((noreturn));
/* Goes on at cpu.rip from anywhere in C; does not return. */
void bt_redispatch(struct bt_vcpu *v) __attribute__((noreturn));
void bt_fpu_to_memory(struct x86_cpu *cpu);
void bt_fpu_from_memory(struct x86_cpu *cpu);

/* memory.c: hooks of struct x86_engine_ops */
void *bt_ram(struct x86_cpu *cpu, uint64_t gpa);
uint64_t bt_phys_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size);
void bt_phys_write(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size);
bool bt_phys_cas(struct x86_cpu *cpu, uint64_t gpa, uint64_t old, uint64_t value, unsigned size);

/* pv.c */
bool bt_pv_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value);
bool bt_pv_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value);
uint64_t bt_tsc_read(struct x86_cpu *cpu);
uint64_t bt_tsc_to_clock(struct vcpu *vcpu, uint64_t guest_tsc);
void bt_clock_init(struct bt *bt);
void bt_pv_update(struct bt_vcpu *v);  /* steal time, now and then */
void bt_pv_restore(struct bt_vcpu *v); /* the registers, or the clock behind them, were replaced */
/* End of interrupt without leaving translated code, if `vector`, just acknowledged, allows that. */
void bt_pv_eoi_offer(struct bt_vcpu *v, uint8_t vector);
/* Takes the offer back: ends the interrupt if the guest has. Before the local APIC is looked at. */
void bt_pv_eoi_collect(struct vcpu *vcpu);

/* ferr.c */
/* An x87 error at cpu.rip. False: it is an exception. */
bool bt_ferr_error(struct bt_vcpu *v);
/* v->ferr is FERR_IGNORE: the instruction at cpu.rip is about to run. True: in a block of its own.
 */
bool bt_ferr_begin(struct bt_vcpu *v);
void bt_ferr_end(struct bt_vcpu *v); /* FERR_MASKED: it has run */

/* signal.c */
bool bt_signals_init(struct bt *bt, GError **error);
void bt_signals_end(struct bt *bt);
bool bt_signals_thread(struct bt_vcpu *v, GError **error);
void bt_signals_thread_end(struct bt_vcpu *v);

/* run.c */
uint32_t bt_current_mode(struct bt_vcpu *v);
/* CR0, CR4 or XCR0 may have changed. */
void bt_control_update(struct bt_vcpu *v);
/* Runs with no other vCPU in guest code, between these two. `v`: the caller's vCPU or NULL. */
void bt_exclusive_begin(struct bt *bt, struct bt_vcpu *v);
void bt_exclusive_end(struct bt *bt, struct bt_vcpu *v);
/* The state was changed from outside (reset, load, debugger). */
void bt_state_changed(struct bt_vcpu *v);

#endif
