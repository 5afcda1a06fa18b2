/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The threads of a machine's vCPUs. Main loop only, except where engine.h says otherwise.
 *
 *      vcpu_new() -> vcpu_thread_start() -> vcpu_thread_wait() -> vcpu_resume()
 *          ^ paused from here on                                       |   ^
 *                                                        vcpu_pause() v   |
 *      vcpu_free() <- vcpu_end() <-------------------------------- paused */
#ifndef YADO_VM_VCPU_H
#define YADO_VM_VCPU_H

#include "engine/engine.h"

struct vcpu *vcpu_new(struct vm *vm, unsigned index);
void vcpu_free(struct vcpu *vcpu);

/* Starts the thread, which initializes the engine's part and then waits, paused. */
bool vcpu_thread_start(struct vcpu *vcpu, GError **error);
/* Waits until it does; false with the engine's error if it could not. */
bool vcpu_thread_wait(struct vcpu *vcpu, GError **error);

/* Asks for a pause (at once); vcpu_pause_wait() returns when it is reached, with vcpu->cpu
 * current. */
void vcpu_pause(struct vcpu *vcpu);
void vcpu_pause_wait(struct vcpu *vcpu);
void vcpu_resume(struct vcpu *vcpu);

/* While paused: vcpu->cpu was changed, its pending requests are void (reset). */
void vcpu_state_replaced(struct vcpu *vcpu);
/* While paused: a debugger has changed registers in vcpu->cpu. */
void vcpu_registers_changed(struct vcpu *vcpu);

/* Ends the thread of a paused vCPU and waits for that. Others must be paused too: their interrupts
 * would go to what is taken down here. */
void vcpu_end(struct vcpu *vcpu);

#endif
