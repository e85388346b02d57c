/*
 * since.c: what a volume of libvirt held at a moment, and what was changed since another
 *
 * A moment is a snapshot, named after what it is of.  RBD is asked which objects were changed
 * since, and those are read whole: which bytes of them were, releases tell wrongly that do not see
 * how a discard cut the end of an object off (Ceph's issue 63770).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "foreign.h"
#include "../throw.h"

#define PREFIX "virtimage.since."
#define WINDOW ((guint64)1024 * 1024 * 1024) /* bytes of which changes are asked for at once */

typedef struct {
    guint64 start, end;
} Change;

typedef struct {
    VimgCluster *cluster;
    rbd_image_t image; /* NULL: not open */
    VimgPluginJob *job;
    char *volume;
    char *name, *since; /* of snapshots; .since NULL: all of it is read */
    guint64 id, since_id;
    guint64 size, at;
    guint64 scanned; /* changes are known up to here */
    GArray *changes; /* behind what was scanned before */
    guint next;
    VimgCephStream *stream; /* of the change that @at is in; NULL: none */
} Reader;

static char *
name_of(const char *moment)
{
    return g_strconcat(PREFIX, moment, NULL);
}

/* ---- moments ---------------------------------------------------------------------------- */

gboolean
vimg_ceph_foreign_hold(gpointer foreign, const char *volume, const char *moment, GError **error)
{
    VimgCluster *cluster = foreign;
    g_autofree char *name = name_of(moment);
    rbd_image_t image;
    int result = rbd_open(cluster->io, volume, &image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    result = rbd_snap_create(image, name);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    /* one that is there already is of an earlier moment than this */
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot take a snapshot of the RBD image"));
}

gboolean
vimg_ceph_foreign_drop(gpointer foreign, const char *volume, const char *moment, GError **error)
{
    VimgCluster *cluster = foreign;
    g_autofree char *name = name_of(moment);
    rbd_image_t image;
    int result = rbd_open(cluster->io, volume, &image, NULL);

    if (result == 0) {
        result = rbd_snap_remove(image, name);
        vimg_ceph_closing(cluster, image, NULL, NULL);
    }
    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot remove the snapshot of the RBD image"));
}

/* ---- opening ---------------------------------------------------------------------------- */

void
vimg_ceph_foreign_close_at(gpointer data)
{
    Reader *reader = data;

    if (reader->image)
        vimg_ceph_closing_read(reader->cluster, reader->image, reader->stream);
    vimg_cluster_unref(reader->cluster);
    g_array_unref(reader->changes);
    g_free(reader->since);
    g_free(reader->name);
    g_free(reader->volume);
    g_free(reader);
}

/* What is known of the image as it was at a snapshot. */
typedef struct {
    guint64 size, id;
    gboolean sure; /* what its map of objects says, if it has one, is so */
} Look;

/* Leaves it at that snapshot.  Returns: 0, or a negative errno. */
static int
look_at(rbd_image_t image, const char *name, Look *out)
{
    guint64 features = 0, flags = 0;
    int result = rbd_snap_set(image, name);

    if (result == 0)
        result = rbd_snap_get_id(image, name, &out->id);
    if (result == 0)
        result = rbd_get_size(image, &out->size);
    if (result == 0)
        result = rbd_get_features(image, &features);
    if (result == 0)
        result = rbd_get_flags(image, &flags);
    out->sure = !(features & (RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_FAST_DIFF)) ||
                !(flags & (RBD_FLAG_OBJECT_MAP_INVALID | RBD_FLAG_FAST_DIFF_INVALID));
    return result;
}

static gboolean
throw_unknown(GError **error)
{
    return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                       _("it is not known what was changed since the last image"));
}

/* Of another size nobody can say what was changed, nor of a moment that came later. */
static gboolean
open_at(Reader *reader, const char *volume, GError **error)
{
    Look former = {0}, now = {0};
    int result = rbd_open_read_only(reader->cluster->io, volume, &reader->image, reader->name);

    if (result < 0) {
        reader->image = NULL;
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    }
    if (reader->since)
        result = look_at(reader->image, reader->since, &former);
    if (result == -ENOENT)
        return throw_unknown(error);
    if (result == 0)
        result = look_at(reader->image, reader->name, &now);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    reader->size = now.size;
    reader->id = now.id;
    reader->since_id = former.id;
    return !reader->since ||
           (former.size == now.size && former.id < now.id && former.sure && now.sure) ||
           throw_unknown(error);
}

gpointer
vimg_ceph_foreign_reader_at(gpointer foreign, const char *volume, const char *moment,
                            const char *since, VimgPluginJob *job, GError **error)
{
    Reader *reader = g_new0(Reader, 1);

    reader->cluster = vimg_cluster_ref(foreign);
    reader->job = job;
    reader->volume = g_strdup(volume);
    reader->name = name_of(moment);
    reader->since = since ? name_of(since) : NULL;
    reader->changes = g_array_new(FALSE, FALSE, sizeof(Change));
    if (open_at(reader, volume, error))
        return reader;
    vimg_ceph_foreign_close_at(reader);
    return NULL;
}

/* ---- what was changed ------------------------------------------------------------------- */

/* One that became zeros is read as well: that costs nothing. */
static int
note_change(uint64_t offset, size_t length, int exists, void *data)
{
    Change change = {offset, offset + length};

    g_array_append_val((GArray *)data, change);
    return 0;
}

static int
compare(gconstpointer a, gconstpointer b)
{
    const Change *one = a, *other = b;

    return one->start < other->start ? -1 : one->start > other->start;
}

/* Makes one of those that follow each other. */
static void
join(GArray *changes)
{
    guint n = 0;

    g_array_sort(changes, compare);
    for (guint i = 0; i < changes->len; i++) {
        Change change = g_array_index(changes, Change, i);
        Change *last = n > 0 ? &g_array_index(changes, Change, n - 1) : NULL;

        if (last && change.start <= last->end)
            last->end = MAX(last->end, change.end);
        else
            g_array_index(changes, Change, n++) = change;
    }
    g_array_set_size(changes, n);
}

static gboolean
scan(Reader *reader, GError **error)
{
    guint64 length = MIN(WINDOW, reader->size - reader->at);
    int result;

    g_array_set_size(reader->changes, 0);
    result = rbd_diff_iterate2(reader->image, reader->since, reader->at, length, 1, 1, note_change,
                               reader->changes);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot see what the RBD image holds"));
    join(reader->changes);
    reader->next = 0;
    reader->scanned = reader->at + length;
    return TRUE;
}

/* The one that is not over yet; NULL: there is none in what was scanned. */
static const Change *
next_change(Reader *reader)
{
    for (; reader->next < reader->changes->len; reader->next++) {
        const Change *change = &g_array_index(reader->changes, Change, reader->next);

        if (change->end > reader->at)
            return change;
    }
    return NULL;
}

static gboolean
begin_stream(Reader *reader, guint64 until, GError **error)
{
    reader->stream = vimg_ceph_stream_new(reader->image, reader->at, until, reader->job, error);
    return reader->stream != NULL;
}

/* What is the same is told at once; *@out stays empty where a stream begins. */
static gboolean
step(Reader *reader, VimgExtent *out, gboolean *same, GError **error)
{
    const Change *change;
    gboolean inside;
    guint64 until;

    if (!reader->since)
        return begin_stream(reader, reader->size, error);
    if (reader->at >= reader->scanned && !scan(reader, error))
        return FALSE;
    change = next_change(reader);
    inside = change && change->start <= reader->at;
    until = MIN(!change ? reader->scanned : inside ? change->end : change->start, reader->scanned);
    if (inside)
        return begin_stream(reader, until, error);
    *same = TRUE;
    out->length = until - reader->at;
    reader->at = until;
    return TRUE;
}

/* What is read of a snapshot that is being removed may be anything. */
static gboolean
check_still_there(Reader *reader, GError **error)
{
    rbd_image_t image;
    guint64 id = 0, since_id = 0;
    int result = rbd_open_read_only(reader->cluster->io, reader->volume, &image, NULL);

    if (result == 0) {
        result = rbd_snap_get_id(image, reader->name, &id);
        if (result == 0 && reader->since)
            result = rbd_snap_get_id(image, reader->since, &since_id);
        vimg_ceph_closing_read(reader->cluster, image, NULL);
    }
    if (result == 0 && (id != reader->id || since_id != reader->since_id))
        result = -ENOENT;
    return result == 0 || vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
}

gboolean
vimg_ceph_foreign_next_at(gpointer data, VimgExtent *out, gboolean *same, GError **error)
{
    Reader *reader = data;

    memset(out, 0, sizeof(*out));
    *same = FALSE;
    while (out->length == 0) {
        if (!vimg_ceph_check_job(reader->job, error))
            return FALSE;
        if (reader->stream) {
            if (!vimg_ceph_stream_next(reader->stream, out, error))
                return FALSE;
            reader->at += out->length;
            if (out->length == 0)
                g_clear_pointer(&reader->stream, vimg_ceph_stream_free);
        } else if (reader->at >= reader->size) {
            return check_still_there(reader, error);
        } else if (!step(reader, out, same, error)) {
            return FALSE;
        }
    }
    return TRUE;
}
