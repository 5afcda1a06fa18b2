/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_PASS 33 /* tests/guest/frame/report.c */
#define STALL_MS 4000

char engine_reason[512];

static void path_in(const struct engine *engine, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", engine->folder, name);
}

static pid_t start(const struct engine *engine)
{
    char console[128], batch[128], errors[128], chardev[160];
    path_in(engine, "console", console);
    path_in(engine, "batch", batch);
    path_in(engine, "errors", errors);
    snprintf(chardev, sizeof(chardev), "file,id=d,path=%s", console);
    unlink(console);
    fflush(NULL);
    pid_t pid = fork();
    if (pid)
        return pid;
    int null = open("/dev/null", O_RDONLY),
        error = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(null, 0);
    dup2(error, 1);
    dup2(error, 2);
    execlp(engine->program, engine->program, "-accel", engine->accelerator, "-M", "microvm", "-cpu",
           engine->cpu, "-m", "256M", "-display", "none", "-nodefaults", "-no-reboot", "-kernel",
           engine->guest, "-initrd", batch, "-chardev", chardev, "-device",
           "isa-debugcon,chardev=d,iobase=0xe9", "-device",
           "isa-debug-exit,iobase=0xf4,iosize=0x04", (char *)NULL);
    fprintf(stderr, "cannot run '%s': %s\n", engine->program, strerror(errno));
    _exit(127);
}

static void explain(const struct engine *engine, const char *how, int number)
{
    char path[128], text[400] = "";
    path_in(engine, "errors", path);
    FILE *file = fopen(path, "r");
    if (file) {
        size_t n = fread(text, 1, sizeof(text) - 1, file);
        text[n] = 0;
        fclose(file);
    }
    snprintf(engine_reason, sizeof(engine_reason), "%s %d: %s", how, number, text);
}

/* Waits for the machine to end, or for its output to stand still. */
static void finish(const struct engine *engine, pid_t pid)
{
    char console[128];
    path_in(engine, "console", console);
    off_t last = -1;
    for (unsigned quiet_ms = 0;; quiet_ms++) {
        int status;
        struct stat now = { 0 };
        if (waitpid(pid, &status, WNOHANG) == pid) {
            if (WIFSIGNALED(status))
                explain(engine, "killed by signal", WTERMSIG(status));
            else
                explain(engine, "exit status", WEXITSTATUS(status));
            return;
        }
        usleep(1000);
        stat(console, &now);
        if (now.st_size != last)
            quiet_ms = 0;
        last = now.st_size;
        if (quiet_ms > STALL_MS) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            explain(engine, "it hangs; killed after ms", STALL_MS);
            return;
        }
    }
}

static bool write_batch(const struct engine *engine, const struct sequence *cases,
                        const unsigned *list, unsigned count, uint32_t xcr0, bool careful,
                        bool dump)
{
    char path[128];
    path_in(engine, "batch", path);
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    struct fuzz_batch batch = { FUZZ_MAGIC, count, xcr0, careful, native_ignored_flags };
    fwrite(&batch, sizeof(batch), 1, file);
    for (unsigned i = 0; i < count; i++) {
        const struct sequence *test = &cases[list[i]];
        static const uint8_t padding[8];
        struct fuzz_case head = { test->seed, test->code_offset, test->code_bytes,
                                  dump && list[i] >= engine->dump_from ? FUZZ_DUMP : 0 };
        fwrite(&head, sizeof(head), 1, file);
        fwrite(test->code, test->code_bytes, 1, file);
        fwrite(padding, -test->code_bytes & 7, 1, file);
    }
    return fclose(file) == 0;
}

/* Reads what the guest sent; returns how many cases are complete. */
static unsigned read_results(const struct engine *engine, const unsigned *list, unsigned count,
                             struct fuzz_reply *reply, uint64_t *hashes, struct outcome *outcomes)
{
    char path[128];
    path_in(engine, "console", path);
    FILE *file = fopen(path, "r");
    memset(reply, 0, sizeof(*reply));
    if (!file)
        return 0;
    unsigned done = 0;
    if (fread(reply, sizeof(*reply), 1, file) == 1 && reply->magic == FUZZ_MAGIC)
        for (; done < count; done++) {
            uint64_t hash;
            if (fread(&hash, sizeof(hash), 1, file) != 1)
                break;
            if (outcomes && list[done] >= engine->dump_from
                && fread(&outcomes[list[done]], sizeof(*outcomes), 1, file) != 1)
                break;
            hashes[list[done]] = hash;
        }
    fclose(file);
    return done;
}

bool engine_init(struct engine *engine, uint32_t *xcr0)
{
    struct fuzz_reply reply;
    snprintf(engine->folder, sizeof(engine->folder), "/tmp/yado-cpu-fuzz.XXXXXX");
    if (!mkdtemp(engine->folder) || !write_batch(engine, NULL, NULL, 0, 0, false, false)) {
        fprintf(stderr, "cpu fuzzer: cannot create a folder in /tmp: %s\n", strerror(errno));
        return false;
    }
    finish(engine, start(engine));
    read_results(engine, NULL, 0, &reply, NULL, NULL);
    *xcr0 = reply.xcr0;
    if (reply.magic != FUZZ_MAGIC)
        fprintf(stderr, "cpu fuzzer: the guest does not start on '%s -accel %s' (%s)\n",
                engine->program, engine->accelerator, engine_reason);
    return reply.magic == FUZZ_MAGIC;
}

void engine_end(struct engine *engine)
{
    static const char *const names[] = { "console", "batch", "errors" };
    for (unsigned i = 0; i < 3; i++) {
        char path[128];
        path_in(engine, names[i], path);
        unlink(path);
    }
    rmdir(engine->folder);
}

void engine_run(struct engine *engine, const struct sequence *cases, unsigned count, uint32_t xcr0,
                const bool *skip, uint64_t *hashes, bool *lost, struct outcome *outcomes)
{
    unsigned *list = calloc(count + 1, sizeof(*list)), left = 0;
    bool careful = false;
    for (unsigned i = 0; i < count; i++) {
        lost[i] = false;
        if (!skip || !skip[i])
            list[left++] = i;
    }
    for (unsigned *next = list; left;) {
        struct fuzz_reply reply;
        /* once a batch has failed, small careful ones: the failing case is the first without
         * result */
        unsigned part = careful && left > 1000 ? 1000 : left;
        write_batch(engine, cases, next, part, xcr0, careful, outcomes != NULL);
        finish(engine, start(engine));
        unsigned done = read_results(engine, next, part, &reply, hashes, outcomes);
        next += done;
        left -= done;
        if (done == part)
            continue;
        if (careful) {
            lost[*next] = true;
            next++;
            left--;
        }
        careful = true;
    }
    free(list);
}
