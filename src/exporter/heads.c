/*
 * heads.c: connections whose request has not come yet, which have so long for it
 *
 * The web server counts the time since a byte came, which whoever sends one now and then never
 * exceeds.  Here all have the same time, so they stand in the order of their ends.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>

#include "exporter/heads.h"
#include "util/thread.h"

struct _VimgHead {
    int fd;
    gboolean awaited; /* it is in the queue */
    gint64 end;       /* monotonic microseconds */
    GList link;
};

struct _VimgHeads {
    gint64 time; /* microseconds */
    VimgMutex lock;
    VimgCond changed;
    GQueue awaited; /* of VimgHead, borrowed */
};

/* ---- under lock --------------------------------------------------------------------------- */

static void
await(VimgHeads *heads, VimgHead *head)
{
    head->awaited = TRUE;
    head->end = g_get_monotonic_time() + heads->time;
    if (g_queue_is_empty(&heads->awaited))
        vimg_cond_signal(&heads->changed);
    g_queue_push_tail_link(&heads->awaited, &head->link);
}

static void
forget(VimgHeads *heads, VimgHead *head)
{
    if (head->awaited)
        g_queue_unlink(&heads->awaited, &head->link);
    head->awaited = FALSE;
}

/* Whoever waits for its bytes sees its end, and closes it. */
static void
shut_late(VimgHeads *heads)
{
    VimgHead *first;

    while ((first = g_queue_peek_head(&heads->awaited)) && first->end <= g_get_monotonic_time()) {
        forget(heads, first);
        shutdown(first->fd, SHUT_RDWR);
    }
    if (first)
        vimg_cond_wait_until(&heads->changed, &heads->lock, first->end);
    else
        vimg_cond_wait(&heads->changed, &heads->lock);
}

/* ---- from any thread ---------------------------------------------------------------------- */

static void
watch(gpointer data)
{
    VimgHeads *heads = data;

    VIMG_LOCK_GUARD(&heads->lock);
    for (;;)
        shut_late(heads);
}

VimgHeads *
vimg_heads_new(guint seconds, GError **error)
{
    VimgHeads *heads = g_new0(VimgHeads, 1);

    heads->time = (gint64)seconds * G_USEC_PER_SEC;
    vimg_mutex_init(&heads->lock);
    vimg_cond_init(&heads->changed);
    g_queue_init(&heads->awaited);
    if (vimg_thread_start_detached("vimg-heads", watch, heads, error))
        return heads;
    g_free(heads);
    return NULL;
}

VimgHead *
vimg_heads_add(VimgHeads *heads, int fd)
{
    VimgHead *head = g_new0(VimgHead, 1);

    head->fd = fd;
    head->link.data = head;
    VIMG_LOCK_GUARD(&heads->lock);
    await(heads, head);
    return head;
}

void
vimg_heads_came(VimgHeads *heads, VimgHead *head)
{
    VIMG_LOCK_GUARD(&heads->lock);
    if (head)
        forget(heads, head);
}

void
vimg_heads_await(VimgHeads *heads, VimgHead *head)
{
    VIMG_LOCK_GUARD(&heads->lock);
    if (!head)
        return;
    forget(heads, head);
    await(heads, head);
}

void
vimg_heads_remove(VimgHeads *heads, VimgHead *head)
{
    if (!head)
        return;
    vimg_mutex_lock(&heads->lock);
    forget(heads, head);
    vimg_mutex_unlock(&heads->lock);
    g_free(head);
}
