/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "chardev/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>

static struct termios original, raw;
static volatile sig_atomic_t is_raw;

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &original);
}

/* Signals that would kill us; SIGTERM and its like end the main loop in good order instead. An
 * engine that uses one of these hands on what is not its own. */
static const int fatal_signals[] = {
    SIGABRT, SIGSEGV, SIGBUS,    SIGILL,  SIGFPE,  SIGTRAP, SIGSYS, SIGUSR2,
    SIGALRM, SIGPROF, SIGVTALRM, SIGXCPU, SIGXFSZ, SIGIO,   SIGPWR, SIGSTKFLT,
};

static void die(int number)
{
    terminal_restore();
    raise(number); /* the default action: SA_RESETHAND has put it back */
}

void terminal_guard(void)
{
    if (!isatty(STDIN_FILENO))
        return;
    atexit(terminal_restore);
    crash_set_cleanup(terminal_restore);

    const struct sigaction action = { .sa_handler = die, .sa_flags = SA_RESETHAND | SA_NODEFER };
    for (size_t i = 0; i < G_N_ELEMENTS(fatal_signals); i++) {
        struct sigaction old;
        /* Who has a handler already (a sanitizer, an engine) keeps it. */
        if (!sigaction(fatal_signals[i], NULL, &old) && old.sa_handler == SIG_DFL)
            sigaction(fatal_signals[i], &action, NULL);
    }
}

static bool in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void terminal_make_raw(bool signals)
{
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &original))
        return;
    raw = original;
    raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_oflag |= OPOST; /* our own lines end in a bare newline */
    raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        raw.c_lflag &= ~ISIG;
    raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (in_foreground() && !tcsetattr(STDIN_FILENO, TCSANOW, &raw))
        is_raw = 1;
}

void terminal_suspend(void)
{
    terminal_restore();
    raise(SIGSTOP);
}

void terminal_continue(void)
{
    /* A shell that stopped us has set its own modes since. */
    if (raw.c_cflag && in_foreground() && !tcsetattr(STDIN_FILENO, TCSANOW, &raw))
        is_raw = 1;
}
