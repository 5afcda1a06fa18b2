/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a debugger wants vCPUs to stop. Guest memory knows nothing of it.
 *
 * A breakpoint is a linear address. The translator ends a block before it, and the block at it does
 * nothing but lead to bt_next(), which stops. So code without breakpoints is translated as ever,
 * and one set before its code exists is met when that is translated. When breakpoints come or go,
 * the blocks that contain their addresses are dropped.
 *
 * A watchpoint's page is never in the software TLB. So each access to the page comes to C, either
 * inline code's to bt_debug_access(), before it is made, or that of an instruction executed in C to
 * bt_debug_accessed(), after it. In the first case the instruction begins again, alone; with that,
 * both stop the vCPU behind the instruction.
 *
 * A region in which the first instruction is to be met is asked for where bt_fetch_page() looks at
 * the page tables, which it does for each page that is new to the vCPU.
 *
 * bt_next() asks in this order: bt_debug_done(), is an instruction over after which to stop;
 * bt_debug_holds_interrupts(); with those delivered, bt_debug_stops_here(); bt_debug_mode().
 *
 * Runs with guest vector registers live, but for bt_debug_update() and bt_debug_destroy(). */
#include "engine/bt/bt.h"
#include "vm/vm.h"
#include "x86/inspect.h"

/* ---- questions ------------------------------------------------------------------------------- */

bool bt_debug_break_at(const struct bt *bt, uint64_t linear)
{
    unsigned low = 0, high = bt->debug.break_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (bt->debug.breaks[middle] == linear)
            return true;
        if (bt->debug.breaks[middle] < linear)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static const struct bt_watch *watch_find(const struct bt *bt, uint64_t low, uint64_t high,
                                         bool read, bool write)
{
    for (unsigned i = 0; i < bt->debug.watch_count; i++) {
        const struct bt_watch *watch = &bt->debug.watches[i];
        bool wanted =
            watch->kind == DEBUG_WATCH_ACCESS || (watch->kind == DEBUG_WATCH_READ ? read : write);
        if (wanted && low <= watch->high && watch->low <= high)
            return watch;
    }
    return NULL;
}

bool bt_debug_page_watched(const struct bt *bt, uint64_t addr)
{
    return watch_find(bt, addr & ~4095ull, addr | 4095, true, true) != NULL;
}

void bt_debug_fetched(struct bt_vcpu *v, uint64_t linear)
{
    if (likely(linear - v->bt->debug.region_low >= v->bt->debug.region_bytes)
        || linear != x86_linear_rip(&v->cpu))
        return;
    v->debug_hit_stop = (struct debug_stop){ DEBUG_BREAK_REGION, linear };
    v->debug_hit = true;
    v->stepping = false;
    bt_redispatch(v);
}

/* ---- accesses -------------------------------------------------------------------------------- */

static void hit_record(struct bt_vcpu *v, const struct bt_watch *watch, uint64_t addr)
{
    if (!v->debug_hit) /* the first one is reported */
        v->debug_hit_stop = (struct debug_stop){ watch->kind, MAX(addr, watch->low) };
    v->debug_hit = v->cpu.watch_hit = true;
}

/* Translated code is about to access [addr, addr + size). Does not return if that is watched and
 * the instruction has to begin again, alone. */
void bt_debug_access(struct bt_vcpu *v, uint64_t addr, unsigned size, bool read, bool write)
{
    const struct bt_watch *watch = watch_find(v->bt, addr, addr + size - 1, read, write);
    if (!watch)
        return;
    if (!v->debug_ran) {
        v->debug_alone = true;
        v->stepping = false; /* nothing has been done that a trap could follow */
        bt_redispatch(v);
    }
    hit_record(v, watch, addr);
}

/* Hook of struct x86_engine_ops. */
void bt_debug_accessed(struct x86_cpu *cpu, uint64_t addr, unsigned size, bool write)
{
    struct bt_vcpu *v = bt_of(cpu);
    const struct bt_watch *watch = watch_find(v->bt, addr, addr + size - 1, !write, write);
    if (!watch)
        return;
    hit_record(v, watch, addr);
    v->remapped = true; /* back to bt_next() after this instruction */
}

/* ---- the vCPU's course ----------------------------------------------------------------------- */

static bool steps(const struct bt_vcpu *v)
{
    return v->vcpu->debug.action == VCPU_STEP;
}

/* The vCPU goes on after a stop, or just looks at its requests. */
void bt_debug_begin(struct bt_vcpu *v)
{
    v->debug_alone = v->debug_ran = v->debug_hit = v->cpu.watch_hit = false;
    v->cpu.watched = v->bt->debug.watch_count;
    v->cpu.single_step = steps(v);
    if (steps(v))
        v->cpu.halted = false; /* as an interrupt would have done, that is held off now */
}

static void stop_set(struct bt_vcpu *v, struct debug_stop stop)
{
    v->vcpu->debug.stop = stop;
    v->debug_hit = v->cpu.watch_hit = v->debug_ran = false;
}

/* An instruction or the delivery of an event is over: stop now? */
bool bt_debug_done(struct bt_vcpu *v)
{
    if (unlikely(v->debug_hit)) {
        stop_set(v, v->debug_hit_stop);
        return true;
    }
    if (v->debug_ran && !v->debug_alone && steps(v)) {
        stop_set(v, (struct debug_stop){ DEBUG_STEP, 0 });
        return true;
    }
    v->debug_ran = false;
    return false;
}

bool bt_debug_holds_interrupts(const struct bt_vcpu *v)
{
    return v->debug_alone || (steps(v) && !v->vcpu->debug.step_interrupts);
}

/* Before the instruction at rip; an event delivered just now may have touched a watched stack. */
bool bt_debug_stops_here(struct bt_vcpu *v)
{
    struct vcpu_debug *debug = &v->vcpu->debug;
    if (unlikely(v->debug_hit))
        return bt_debug_done(v);
    if (likely(!v->bt->debug.break_count) || v->debug_alone)
        return false;
    uint64_t linear = x86_linear_rip(&v->cpu);
    if (!bt_debug_break_at(v->bt, linear))
        return false;
    bt_fetch_page(v, linear); /* what is not there yet is not executed: its fault comes first */
    if (debug->skip_break) {
        debug->skip_break = false;
        v->debug_alone = true;
        return false;
    }
    stop_set(v, (struct debug_stop){ DEBUG_BREAK_SOFT, linear });
    return true;
}

/* How the next block is to run. */
uint32_t bt_debug_mode(struct bt_vcpu *v)
{
    v->vcpu->debug.skip_break = false;
    if (!v->debug_alone && !steps(v))
        return 0;
    v->debug_alone = false;
    v->debug_ran = true;
    return MODE_STEP;
}

/* ---- changes --------------------------------------------------------------------------------- */

static int compare_addresses(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void collect(const struct vm *vm, struct bt_debug *debug)
{
    const GArray *points = vm->debug.points;
    debug->breaks = g_new(uint64_t, points->len);
    debug->watches = g_new(struct bt_watch, points->len);
    for (guint i = 0; i < points->len; i++) {
        const struct debug_point *point = &g_array_index(points, struct debug_point, i);
        if (point->kind == DEBUG_BREAK_SOFT || point->kind == DEBUG_BREAK_HARD)
            debug->breaks[debug->break_count++] = point->addr;
        else if (point->kind == DEBUG_BREAK_REGION)
            debug->region_low = point->addr, debug->region_bytes = point->length;
        else
            debug->watches[debug->watch_count++] = (struct bt_watch){
                .low = point->addr,
                .high = point->addr + point->length - 1,
                .kind = point->kind,
            };
    }
    qsort(debug->breaks, debug->break_count, sizeof(uint64_t), compare_addresses);
    debug->active = points->len;
    for (unsigned i = 0; i < vm->config->cpus; i++)
        debug->active |= vm->vcpus[i]->debug.action == VCPU_STEP;
}

/* Those addresses in one of the two lists and not in both. */
static unsigned difference(const struct bt_debug *a, const struct bt_debug *b, uint64_t *out)
{
    unsigned i = 0, j = 0, count = 0;
    while (i < a->break_count || j < b->break_count) {
        if (j == b->break_count || (i < a->break_count && a->breaks[i] < b->breaks[j]))
            out[count++] = a->breaks[i++];
        else if (i == a->break_count || b->breaks[j] < a->breaks[i])
            out[count++] = b->breaks[j++];
        else
            i++, j++;
    }
    return count;
}

void bt_debug_update(struct bt *bt)
{
    struct bt_debug before = bt->debug, now = { 0 };
    collect(bt->vm, &now);
    bool pages_changed = before.watch_count || now.watch_count || now.region_bytes;
    bt->debug = now;
    g_autofree uint64_t *changed = g_new(uint64_t, before.break_count + now.break_count);
    unsigned changed_count = difference(&before, &now, changed);
    if (changed_count)
        bt_drop_code_at(bt, changed, changed_count);
    for (unsigned i = 0; pages_changed && i < bt->vcpu_count; i++)
        bt_tlb_flush_all(&bt->vcpus[i]->cpu, false);
    g_free(before.breaks);
    g_free(before.watches);
}

void bt_debug_destroy(struct bt *bt)
{
    g_free(bt->debug.breaks);
    g_free(bt->debug.watches);
}
