/*
 * deadline.c: the daemon ends, whatever hangs
 *
 * A call into a storage that never answers cannot be stopped, and its thread cannot be waited for.
 * What is on disk is consistent at every moment, so nothing is lost by not waiting.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "daemon/deadline.h"
#include "util/error.h"
#include "util/log.h"
#include "util/thread.h"

static void
end_process(gpointer data)
{
    g_usleep(GPOINTER_TO_UINT(data) * G_USEC_PER_SEC);
    vimg_warning("a storage does not answer, ending without it");
    _exit(0);
}

void
vimg_deadline_start(guint seconds)
{
    g_autoptr(GError) error = NULL;

    if (!vimg_thread_start_detached("deadline", end_process, GUINT_TO_POINTER(seconds), &error))
        vimg_warning("%s", error->message);
}
