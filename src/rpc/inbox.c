/*
 * inbox.c: how other threads get something done in the main loop
 *
 * A list under a lock and an eventfd that a GSource watches.  g_idle_add() would do the same with
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
    int fd;
    GSource *source;
};

typedef struct {
    GSource source;
    VimgInbox *inbox;
    gpointer tag;
} InboxSource;

static gboolean
source_check(GSource *source)
{
    InboxSource *self = (InboxSource *)source;

    return g_source_query_unix_fd(source, self->tag) != 0;
}

static gboolean
source_dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    vimg_inbox_run(((InboxSource *)source)->inbox, FALSE);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.check = source_check, .dispatch = source_dispatch};

VimgInbox *
vimg_inbox_new(GMainContext *context, GError **error)
{
    vimg_autofd int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    VimgInbox *inbox;
    InboxSource *source;

    if (fd < 0) {
        vimg_throw_errno(error, "eventfd");
        return NULL;
    }
    inbox = g_new0(VimgInbox, 1);
    vimg_mutex_init(&inbox->lock);
    inbox->fd = vimg_steal_fd(&fd);
    inbox->source = g_source_new(&source_funcs, sizeof(InboxSource));
    source = (InboxSource *)inbox->source;
    source->inbox = inbox;
    source->tag = g_source_add_unix_fd(inbox->source, inbox->fd, G_IO_IN);
    g_source_set_can_recurse(inbox->source, TRUE); /* as in connection.c */
    g_source_attach(inbox->source, context);
    return inbox;
}

void
vimg_inbox_free(VimgInbox *inbox)
{
    if (!inbox)
        return;
    g_source_destroy(inbox->source);
    g_source_unref(inbox->source);
    close(inbox->fd);
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
        (void)!write(inbox->fd, &one, sizeof(one));
    }
    inbox->tail = item;
}

void
vimg_inbox_run(VimgInbox *inbox, gboolean wait)
{
    struct pollfd pfd = {.fd = inbox->fd, .events = POLLIN};
    guint64 count;
    Item *item;

    if (wait) {
        while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
            ;
    }
    vimg_mutex_lock(&inbox->lock);
    (void)!read(inbox->fd, &count, sizeof(count));
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
