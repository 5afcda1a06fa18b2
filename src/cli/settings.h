/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option values that say what the machine is, as `qemu-system-x86_64` and `yado run` both take
 * them. Each fails with one sentence without the option's name, which the caller puts before it. */
#ifndef YADO_CLI_SETTINGS_H
#define YADO_CLI_SETTINGS_H

#include "vm/vm.h"

/* "2G", "512" (MiB), "size=1G,slots=0,maxmem=1G" */
bool settings_memory(struct vm_config *config, const char *text, GError **error);

/* "4", "cpus=4,sockets=1,cores=4,threads=1,maxcpus=4" */
bool settings_smp(struct vm_config *config, const char *text, GError **error);

/* "pc,accel=kvm:tcg,usb=off". The engines of accel= are appended as by settings_engine();
 * `*engines_given` says whether there were any. */
bool settings_machine(struct vm_config *config, const char *text, bool *engines_given,
                      GError **error);

/* "kvm", "bt,tb-size=64": one more engine to try. One that is there already is not added again. */
bool settings_engine(struct vm_config *config, const char *text, GError **error);

/* "driver,id=…,property=value,…" or the same in JSON. */
bool settings_device(struct vm_config *config, const char *text, GError **error);

/* "base=utc,clock=host,driftfix=slew" */
bool settings_rtc(struct vm_config *config, const char *text, GError **error);
/* "reboot=…,shutdown=…,panic=…,watchdog=…", and the last alone */
bool settings_action(struct vm_config *config, const char *text, GError **error);
bool settings_watchdog_action(struct vm_config *config, const char *text, GError **error);

/* KVM, then the translator, if nothing else was asked for. */
void settings_default_engines(struct vm_config *config);

/* "name" or "guest=name,process=…,debug-threads=on" */
bool settings_name(struct vm_config *config, const char *text, GError **error);
/* -boot. */
bool settings_boot(struct vm_config *config, const char *text, GError **error);

bool settings_uuid(struct vm_config *config, const char *text, GError **error);

void settings_print_engines(void);
void settings_print_machines(void);

#endif
