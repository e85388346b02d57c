/*
 * inbox.c: how other threads get something done in the main loop
 *
 * A list under a lock and an eventfd that the loop watches.  g_idle_add() would do the same with
 * locks that ThreadSanitizer cannot see.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rpc/inbox.h"
#include "rpc/watch.h"
#include "util/error.h"
#include "util/file.h"
#include "util/thread.h"

typedef struct _Item Item;
struct _Item {
    Item *next;
    void (*func)(gpointer data);
    gpointer data;
};

struct _VimgInbox {
    VimgMutex lock;
    Item *head, *tail; /* under lock */
    VimgWatch watch;   /* of the eventfd */
};

static void
on_ready(gpointer data, GIOCondition seen)
{
    vimg_inbox_run(data, FALSE);
}

VimgInbox *
vimg_inbox_new(GMainContext *context, GError **error)
{
    vimg_autofd int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    VimgInbox *inbox;

    if (fd < 0) {
        vimg_throw_errno(error, "eventfd");
        return NULL;
    }
    inbox = g_new0(VimgInbox, 1);
    vimg_mutex_init(&inbox->lock);
    vimg_watch_begin(&inbox->watch, vimg_steal_fd(&fd), context, on_ready, inbox);
    return inbox;
}

void
vimg_inbox_free(VimgInbox *inbox)
{
    if (!inbox)
        return;
    vimg_watch_end(&inbox->watch);
    vimg_mutex_clear(&inbox->lock);
    g_free(inbox);
}

void
vimg_inbox_post(VimgInbox *inbox, void (*func)(gpointer data), gpointer data)
{
    static const guint64 one = 1;
    Item *item = g_new(Item, 1);

    item->next = NULL;
    item->func = func;
    item->data = data;
    VIMG_LOCK_GUARD(&inbox->lock);
    if (inbox->tail) {
        inbox->tail->next = item;
    } else {
        inbox->head = item;
        /* under the lock, so that the main loop cannot free the inbox before it is written;
         * it cannot fill up, and a counter that is not zero already wakes */
        (void)!write(inbox->watch.fd, &one, sizeof(one));
    }
    inbox->tail = item;
}

void
vimg_inbox_run(VimgInbox *inbox, gboolean wait)
{
    struct pollfd pfd = {.fd = inbox->watch.fd, .events = POLLIN};
    guint64 count;
    Item *item;

    if (wait) {
        while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
            ;
    }
    vimg_mutex_lock(&inbox->lock);
    (void)!read(inbox->watch.fd, &count, sizeof(count));
    item = inbox->head;
    inbox->head = inbox->tail = NULL;
    vimg_mutex_unlock(&inbox->lock);
    while (item) {
        Item *next = item->next;

        item->func(item->data);
        g_free(item);
        item = next;
    }
}
