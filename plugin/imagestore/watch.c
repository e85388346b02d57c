/*
 * watch.c: for how long something has not changed, by nobody's clock but our own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "thread.h"
#include "watch.h"

#define STEP_MAX (60 * G_USEC_PER_SEC)
#define FORGET_AFTER (600 * G_USEC_PER_SEC) /* what nobody looks at is gone */

typedef struct {
    gint64 mark;
    gint64 looked;
    gint64 same; /* microseconds */
} Seen;

struct _VimgWatch {
    pthread_mutex_t lock; /* guards the rest */
    GHashTable *seen;     /* of Seen, by path */
    gint64 pruned;
};

VimgWatch *
vimg_watch_new(void)
{
    VimgWatch *watch = g_new0(VimgWatch, 1);

    thread_must(pthread_mutex_init(&watch->lock, NULL));
    watch->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return watch;
}

void
vimg_watch_free(VimgWatch *watch)
{
    if (!watch)
        return;
    g_hash_table_unref(watch->seen);
    pthread_mutex_destroy(&watch->lock);
    g_free(watch);
}

static gboolean
is_forgotten(gpointer path, gpointer value, gpointer data)
{
    return *(const gint64 *)data - ((const Seen *)value)->looked > FORGET_AFTER;
}

gint64
vimg_watch_look(VimgWatch *watch, const char *path, gint64 mark, gint64 now)
{
    LOCK_GUARD(&watch->lock);
    Seen *seen;

    if (now - watch->pruned > FORGET_AFTER) {
        g_hash_table_foreach_remove(watch->seen, is_forgotten, &now);
        watch->pruned = now;
    }
    seen = g_hash_table_lookup(watch->seen, path);
    if (!seen) {
        seen = g_new0(Seen, 1);
        seen->mark = mark;
        g_hash_table_insert(watch->seen, g_strdup(path), seen);
    } else if (seen->mark != mark) {
        seen->mark = mark;
        seen->same = 0;
    } else {
        seen->same += CLAMP(now - seen->looked, 0, STEP_MAX);
    }
    seen->looked = now;
    return seen->same;
}
