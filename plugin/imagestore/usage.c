/*
 * usage.c: how many bytes the slices of a store take, for pools that have a quota
 *
 * A directory whose time of change is as it was holds what it held.  Times are coarse, and whose
 * clock they follow is not known: one is relied on once it was the same at two looks well apart.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "slice.h"
#include "thread.h"
#include "usage.h"

#define APART (2 * G_USEC_PER_SEC) /* SFTP has whole seconds */
#define LOOK_MAX (10 * G_USEC_PER_SEC)
#define BATCH 1024

typedef struct {
    gint64 mtime; /* 0: never looked at */
    guint64 bytes;
    gboolean firm; /* @bytes hold as long as @mtime does */
} Prefix;

struct _VimgUsage {
    /* whoever counts has these */
    Prefix *prefixes;
    gint64 looked; /* when the last look began, by the monotonic clock */

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    gboolean counting;
    guint64 total;  /* found by the last count */
    guint64 stored; /* since that began */
    guint64 staged;
};

VimgUsage *
vimg_usage_new(void)
{
    VimgUsage *usage = g_new0(VimgUsage, 1);

    usage->prefixes = g_new0(Prefix, VIMG_SLICE_PREFIXES);
    thread_must(pthread_mutex_init(&usage->lock, NULL));
    return usage;
}

void
vimg_usage_free(VimgUsage *usage)
{
    if (!usage)
        return;
    pthread_mutex_destroy(&usage->lock);
    g_free(usage->prefixes);
    g_free(usage);
}

/* ---- looking ---------------------------------------------------------------------------- */

/* Stats the @n @names in @dir by @ops; those that are gone are no failure. */
static int
stat_all(VimgTransport *transport, const char *dir, char *const *names, gsize n, VimgOp *ops)
{
    int result = 0;
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = g_strconcat(dir, "/", names[i], NULL)};
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].result != 0 && ops[i].result != ENOENT)
            result = ops[i].result;
        g_free((char *)ops[i].path);
    }
    return result;
}

static guint64
slice_bytes(const VimgOp *op, const char *name)
{
    if (op->result != 0 || op->info.type != VIMG_FILE_REGULAR || !g_str_has_suffix(name, ".cacnk"))
        return 0;
    return MIN(op->info.size, G_MAXUINT32); /* no slice is so long */
}

static int
measure(VimgTransport *transport, const char *name, guint64 *bytes)
{
    g_autofree char *dir = g_strconcat(VIMG_SLICES_DIR "/", name, NULL);
    g_autofree VimgOp *ops = g_new(VimgOp, BATCH);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(transport, dir, &names);
    gsize i;

    *bytes = 0;
    for (i = 0; result == 0 && i < names->len; i += BATCH) {
        gsize n = MIN(BATCH, names->len - i);
        gsize k;

        result = stat_all(transport, dir, (char *const *)names->pdata + i, n, ops);
        for (k = 0; result == 0 && k < n; k++)
            *bytes += slice_bytes(&ops[k], g_ptr_array_index(names, i + k));
    }
    return result == ENOENT ? 0 : result;
}

/* The prefix directories that are there, with their times of change: others count as empty. */
static int
find_prefixes(VimgTransport *transport, gint64 *times)
{
    g_autofree VimgOp *ops = g_new(VimgOp, BATCH);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(transport, VIMG_SLICES_DIR, &names);
    gsize i;

    for (i = 0; result == 0 && i < names->len; i += BATCH) {
        char *const *part = (char *const *)names->pdata + i;
        gsize n = MIN(BATCH, names->len - i);
        guint prefix;
        gsize k;

        result = stat_all(transport, VIMG_SLICES_DIR, part, n, ops);
        for (k = 0; result == 0 && k < n; k++) {
            if (ops[k].result == 0 && ops[k].info.type == VIMG_FILE_DIRECTORY &&
                vimg_slice_parse_prefix(part[k], &prefix))
                times[prefix] = MAX(ops[k].info.mtime, 1);
        }
    }
    return result;
}

/* Looks again into a directory unless its bytes are certain. */
static int
visit(Prefix *prefix, VimgTransport *transport, guint number, gint64 mtime, gboolean apart)
{
    gboolean same = prefix->mtime == mtime;
    char name[5];
    guint64 bytes;
    int result;

    if (mtime == 0) {
        *prefix = (Prefix){0};
        return 0;
    }
    if (same && prefix->firm)
        return 0;
    g_snprintf(name, sizeof(name), "%04x", number);
    result = measure(transport, name, &bytes);
    if (result == 0)
        *prefix = (Prefix){mtime, bytes, same && apart};
    return result;
}

static int
look(VimgUsage *usage, VimgTransport *transport, guint64 *total)
{
    g_autofree gint64 *times = g_new0(gint64, VIMG_SLICE_PREFIXES);
    gint64 began = g_get_monotonic_time();
    gboolean apart = began - usage->looked >= APART;
    int result = find_prefixes(transport, times);
    guint i;

    *total = 0;
    for (i = 0; i < VIMG_SLICE_PREFIXES; i++) {
        if (result == 0 && g_get_monotonic_time() - began < LOOK_MAX)
            result = visit(&usage->prefixes[i], transport, i, times[i], apart);
        *total += usage->prefixes[i].bytes;
    }
    if (apart)
        usage->looked = began;
    return result;
}

/* ---- sums ------------------------------------------------------------------------------- */

int
vimg_usage_count(VimgUsage *usage, VimgTransport *transport, guint64 *bytes)
{
    guint64 total = 0;
    guint64 before;
    gboolean mine;
    int result = 0;

    thread_must(pthread_mutex_lock(&usage->lock));
    mine = !usage->counting;
    usage->counting = TRUE;
    before = usage->stored;
    if (mine) {
        thread_must(pthread_mutex_unlock(&usage->lock));
        result = look(usage, transport, &total);
        thread_must(pthread_mutex_lock(&usage->lock));
        usage->counting = FALSE;
        if (result == 0) {
            /* what was stored meanwhile may count twice until the next time, but is never missed */
            usage->total = total;
            usage->stored -= before;
        }
    }
    *bytes = usage->total + usage->stored + usage->staged;
    thread_must(pthread_mutex_unlock(&usage->lock));
    return result;
}

gboolean
vimg_usage_take(VimgUsage *usage, guint64 bytes, guint64 quota, guint64 *used)
{
    LOCK_GUARD(&usage->lock);

    *used = usage->total + usage->stored + usage->staged;
    if (quota > 0 && bytes > quota - MIN(quota, *used))
        return FALSE;
    usage->staged += bytes;
    return TRUE;
}

void
vimg_usage_settle(VimgUsage *usage, guint64 bytes, gboolean stored)
{
    LOCK_GUARD(&usage->lock);

    usage->staged -= bytes;
    if (stored)
        usage->stored += bytes;
}

void
vimg_usage_age(VimgUsage *usage)
{
    usage->looked -= APART;
}
