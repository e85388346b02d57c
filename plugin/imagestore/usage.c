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
#include "../thread.h"
#include "usage.h"

#define APART (2 * G_USEC_PER_SEC) /* SFTP has whole seconds */
#define LOOK_MAX (10 * G_USEC_PER_SEC)
#define BATCH 256 /* directories */

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

static guint64
slice_bytes(const char *name, const VimgFileInfo *info)
{
    if (info->type != VIMG_FILE_REGULAR || !g_str_has_suffix(name, ".cacnk"))
        return 0;
    return MIN(info->size, G_MAXUINT32); /* no slice is so long */
}

static guint64
sum_up(const VimgOp *list)
{
    guint64 bytes = 0;
    guint i;

    for (i = 0; list->result == 0 && i < list->names->len; i++)
        bytes += slice_bytes(list->names->pdata[i], &g_array_index(list->infos, VimgFileInfo, i));
    return bytes;
}

/* The prefix directories that are there, with their times of change: others count as empty. */
static int
find_prefixes(VimgTransport *transport, gint64 *times)
{
    VimgOp list = {.kind = VIMG_OP_LIST, .path = VIMG_SLICES_DIR};
    guint prefix;
    guint i;

    vimg_transport_list_detailed(transport, &list, 1);
    for (i = 0; list.result == 0 && i < list.names->len; i++) {
        const VimgFileInfo *info = &g_array_index(list.infos, VimgFileInfo, i);

        if (info->type == VIMG_FILE_DIRECTORY &&
            vimg_slice_parse_prefix(list.names->pdata[i], &prefix))
            times[prefix] = MAX(info->mtime, 1);
    }
    vimg_transport_clear_ops(&list, 1, FALSE);
    return list.result;
}

/* Looks into the @n directories @numbers.  @apart: long enough after the look before. */
static int
visit(VimgUsage *usage, VimgTransport *transport, const guint *numbers, gsize n,
      const gint64 *times, gboolean apart)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    int result = 0;
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_LIST,
                          .path = g_strdup_printf(VIMG_SLICES_DIR "/%04x", numbers[i])};
    vimg_transport_list_detailed(transport, ops, n);
    for (i = 0; i < n; i++) {
        Prefix *prefix = &usage->prefixes[numbers[i]];
        gint64 mtime = times[numbers[i]];

        if (ops[i].result == 0 || ops[i].result == ENOENT)
            *prefix = (Prefix){mtime, sum_up(&ops[i]), prefix->mtime == mtime && apart};
        else
            result = ops[i].result;
    }
    vimg_transport_clear_ops(ops, n, TRUE);
    return result;
}

/* Those whose bytes are not certain; what is gone is forgotten.  Returns: how many. */
static gsize
find_doubtful(VimgUsage *usage, const gint64 *times, guint *numbers)
{
    gsize n = 0;
    guint i;

    for (i = 0; i < VIMG_SLICE_PREFIXES; i++) {
        Prefix *prefix = &usage->prefixes[i];

        if (times[i] == 0)
            *prefix = (Prefix){0};
        else if (prefix->mtime != times[i] || !prefix->firm)
            numbers[n++] = i;
    }
    return n;
}

static int
look(VimgUsage *usage, VimgTransport *transport, guint64 *total)
{
    g_autofree gint64 *times = g_new0(gint64, VIMG_SLICE_PREFIXES);
    g_autofree guint *numbers = g_new(guint, VIMG_SLICE_PREFIXES);
    gint64 began = g_get_monotonic_time();
    gboolean apart = began - usage->looked >= APART;
    int result = find_prefixes(transport, times);
    gsize n = result == 0 ? find_doubtful(usage, times, numbers) : 0;
    gsize i;

    for (i = 0; result == 0 && i < n && g_get_monotonic_time() - began < LOOK_MAX; i += BATCH)
        result = visit(usage, transport, numbers + i, MIN(BATCH, n - i), times, apart);
    *total = 0;
    for (i = 0; i < VIMG_SLICE_PREFIXES; i++)
        *total += usage->prefixes[i].bytes;
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
