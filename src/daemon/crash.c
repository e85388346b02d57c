/*
 * crash.c: what a daemon that crashes says
 *
 * A program that is gone tells nobody anything, and where no core is kept there is nothing else.
 * Addresses are those of files, for addr2line(1).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>

#include "daemon/crash.h"
#include "util/thread.h"

#ifdef __GLIBC__
#include <execinfo.h>
#include <pthread.h>

#define FRAMES 64
#define PATIENCE 5 /* seconds */

/* Nothing may allocate, or take a lock, from here on. */
static void
say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

/* What is broken may hold what a report needs: the process ends all the same. */
static void
end_in_time(void)
{
    sigset_t set;

    signal(SIGALRM, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    alarm(PATIENCE);
}

static void
on_fault(int number)
{
    void *frames[FRAMES];
    char thread[16] = "?";

    end_in_time();
    say("virtimaged crashed: SIG");
    say(sigabbrev_np(number));
    pthread_getname_np(pthread_self(), thread, sizeof(thread));
    say(" in thread ");
    say(thread);
    say("\n");
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    raise(number); /* the handler is gone: as it would have ended */
}

void
vimg_crash_report(void)
{
    static const int faults[] = {VIMG_FAULT_SIGNALS};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_RESETHAND | SA_NODEFER};
    struct sigaction before;
    void *frame;
    gsize i;

    backtrace(&frame, 1); /* the first one loads a library */
    for (i = 0; i < G_N_ELEMENTS(faults); i++) {
        /* a sanitizer's says more */
        if (sigaction(faults[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(faults[i], &action, NULL);
    }
}
#else
void
vimg_crash_report(void)
{
}
#endif
