/*
 * watch.c: a descriptor in the main loop, and its turns there
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "rpc/watch.h"

#define TURNS_MAX 8 /* that one has before the others, while nothing keeps it */

typedef struct {
    GSource source;
    VimgWatch *watch;
} WatchSource;

/* Sooner than by a time, which GLib has to wake its own loop for. */
static gboolean
source_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return ((WatchSource *)source)->watch->woken;
}

static gboolean
source_check(GSource *source)
{
    return g_source_query_unix_fd(source, ((WatchSource *)source)->watch->tag) != 0;
}

static gboolean
source_dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    VimgWatch *watch = ((WatchSource *)source)->watch;

    watch->woken = FALSE;
    watch->func(watch->data, g_source_query_unix_fd(source, watch->tag));
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch};

void
vimg_watch_begin(VimgWatch *watch, int fd, GMainContext *context, VimgWatchFunc func, gpointer data)
{
    *watch = (VimgWatch){.fd = fd, .events = G_IO_IN, .func = func, .data = data};
    watch->source = g_source_new(&source_funcs, sizeof(WatchSource));
    ((WatchSource *)watch->source)->watch = watch;
    watch->tag = g_source_add_unix_fd(watch->source, fd, watch->events);
    /* nobody dispatches inside of a dispatch; else GLib blocks the source meanwhile, which wakes
     * the loop twice for each packet */
    g_source_set_can_recurse(watch->source, TRUE);
    g_source_attach(watch->source, context);
}

void
vimg_watch_end(VimgWatch *watch)
{
    if (!watch->source)
        return;
    g_source_destroy(watch->source);
    g_clear_pointer(&watch->source, g_source_unref);
    close(watch->fd);
    watch->fd = -1;
}

/* Each change makes the loop turn once more, so it is told of real ones only. */
void
vimg_watch_await(VimgWatch *watch, GIOCondition events)
{
    if (events == watch->events)
        return;
    watch->events = events;
    g_source_modify_unix_fd(watch->source, watch->tag, events);
}

void
vimg_watch_turns(VimgWatch *watch, gboolean (*turn)(gpointer data))
{
    guint turns = 0;
    gboolean more;

    do {
        more = turn(watch->data);
    } while (more && ++turns < TURNS_MAX);
    watch->woken = more;
}
