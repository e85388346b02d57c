/*
 * export-read.c: any bytes of an export, by backends that read from an offset on
 *
 * A download asks for what follows the last piece, so what it was read from is kept open a while,
 * at the offset it has reached.  Whoever asks for another place opens the image there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "pool/export.h"
#include "util/i18n.h"

#define POSITIONS_MAX 128
#define SCATTERED_MAX 16 /* of an export whose tables may lead anywhere */
#define IDLE (10 * G_USEC_PER_SEC)
#define TICK (2 * G_USEC_PER_SEC)
#define TICK_IDLE (10 * G_USEC_PER_SEC) /* while nothing is read */

/* Where the image of an export is being read. */
typedef struct {
    VimgUse use;
    VimgReader *reader;
    guint64 at;      /* of @rest, in the image */
    guint64 end;     /* of what the reader gives */
    VimgExtent rest; /* of what the reader gave last; length 0: none */
    gint64 opened;   /* when, monotonic microseconds, like the next one */
    gint64 used;
    VimgExport *export; /* borrowed: it is in its queue */
} Position;

static void
position_free(Position *position)
{
    if (position->reader)
        vimg_reader_close(position->reader);
    vimg_buffer_unref(position->rest.data);
    vimg_use_clear(&position->use);
    g_free(position);
}

static void
close_positions(VimgExports *exports, GSList *positions)
{
    guint n = g_slist_length(positions);

    g_slist_free_full(positions, (GDestroyNotify)position_free);
    if (n == 0)
        return;
    VIMG_LOCK_GUARD(&exports->lock);
    exports->n_positions -= n;
}

/* ---- positions, under lock --------------------------------------------------------------- */

/* One from @from to @offset, of which the last to be used. */
static GList *
find_idle(const VimgExport *export, guint64 from, guint64 offset)
{
    for (GList *at = export->idle.tail; at; at = at->prev) {
        const Position *position = at->data;

        if (position->at >= from && position->at <= offset && position->end > offset)
            return at;
    }
    return NULL;
}

/* The one that nobody used for the longest time, or NULL. */
static Position *
take_oldest(VimgExports *exports)
{
    Position *oldest = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Position *first = g_queue_peek_head(&((VimgExport *)value)->idle);

        if (first && (!oldest || first->used < oldest->used))
            oldest = first;
    }
    if (oldest)
        g_queue_pop_head(&oldest->export->idle);
    return oldest;
}

/* Returns: of those of @pool that are idle since before @since, taken out. */
static GSList *
take_idle(VimgExports *exports, const VimgPool *pool, gint64 since)
{
    GSList *taken = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GQueue *idle = &((VimgExport *)value)->idle;
        Position *position;

        vimg_export_pages_drop(value, since);
        while ((position = g_queue_peek_head(idle)) && position->used <= since &&
               (!pool || position->use.pool == pool))
            taken = g_slist_prepend(taken, g_queue_pop_head(idle));
    }
    return taken;
}

/* ---- positions --------------------------------------------------------------------------- */

void
vimg_exports_let_go(VimgExports *exports, const VimgPool *pool, gint64 idle)
{
    GSList *taken;

    vimg_mutex_lock(&exports->lock);
    taken = take_idle(exports, pool, g_get_monotonic_time() - idle);
    vimg_mutex_unlock(&exports->lock);
    close_positions(exports, taken);
}

void
vimg_export_let_go(VimgExports *exports, VimgExport *export)
{
    GSList *taken = NULL;
    Position *position;

    vimg_mutex_lock(&exports->lock);
    vimg_export_pages_drop(export, G_MAXINT64);
    while ((position = g_queue_pop_head(&export->idle)))
        taken = g_slist_prepend(taken, position);
    vimg_mutex_unlock(&exports->lock);
    close_positions(exports, taken);
}

void
vimg_exports_reap(gpointer data)
{
    VimgExports *exports = data;

    for (;;) {
        vimg_mutex_lock(&exports->lock);
        if (!exports->ending)
            vimg_cond_wait_until(&exports->changed, &exports->lock,
                                 g_get_monotonic_time() +
                                     (exports->n_positions > 0 ? TICK : TICK_IDLE));
        if (exports->ending) {
            vimg_mutex_unlock(&exports->lock);
            return;
        }
        vimg_mutex_unlock(&exports->lock);
        vimg_exports_let_go(exports, NULL, IDLE);
        vimg_exports_release_ended(exports);
    }
}

/* Room for one more, be it by closing another. */
static gboolean
make_room(VimgExports *exports, GError **error)
{
    Position *oldest = NULL;
    gboolean room;

    vimg_mutex_lock(&exports->lock);
    if (exports->n_positions >= POSITIONS_MAX)
        oldest = take_oldest(exports);
    room = oldest || exports->n_positions < POSITIONS_MAX;
    if (room && !oldest)
        exports->n_positions++;
    if (exports->n_positions == 1)
        vimg_cond_broadcast(&exports->changed);
    vimg_mutex_unlock(&exports->lock);
    if (oldest)
        position_free(oldest);
    return room || vimg_throw(error, VIMG_ERROR_BUSY, _("%d exports are being read already"),
                              POSITIONS_MAX);
}

static gboolean
open_reader(VimgExports *exports, Position *position, GError **error)
{
    const VimgExportRecord *record = position->export->record;
    g_autoptr(VimgPool) pool = NULL;
    VimgUse *use = &position->use;
    VimgPoolId id = {0};
    GError *local = NULL;

    vimg_uuid_parse(record->pool, id.uuid);
    pool = vimg_registry_get(exports->model, &id, error);
    if (!pool || !vimg_use_look(pool, VIMG_EXPORT_KIND, use, error))
        return FALSE;
    vimg_job_turn_to(use->job, record->name);
    vimg_job_progress(use->job, VIMG_EXPORT_KIND, 0, position->end - position->at);
    position->reader =
        vimg_reader_open(vimg_session_store(use->session), record->image, position->at,
                         position->end - position->at, use->job, &local);
    if (position->reader)
        return vimg_export_is_read(exports, position->export, position->reader) ||
               vimg_export_throw_replaced(position->export, error);
    vimg_use_failed(use, local);
    g_propagate_error(error, local);
    return FALSE;
}

static Position *
open_position(VimgExports *exports, VimgExport *export, const VimgExportPart *part, GError **error)
{
    Position *position;

    if (!make_room(exports, error))
        return NULL;
    position = g_new0(Position, 1);
    position->export = export;
    position->at = part->offset;
    position->opened = g_get_monotonic_time();
    position->end = CLAMP(part->until, part->offset + part->length, export->record->stored);
    if (open_reader(exports, position, error))
        return position;
    close_positions(exports, g_slist_prepend(NULL, position));
    return NULL;
}

gboolean
vimg_export_is_open(VimgExports *exports, const VimgExport *export, guint64 from, guint64 to)
{
    VIMG_LOCK_GUARD(&exports->lock);
    return find_idle(export, from, to) != NULL;
}

/* One at the beginning of @part; or at @from, of which it is not far to there. */
static Position *
take_position(VimgExports *exports, VimgExport *export, guint64 from, const VimgExportPart *part,
              GError **error)
{
    Position *position = NULL;
    GList *idle;

    vimg_mutex_lock(&exports->lock);
    idle = find_idle(export, part->offset, part->offset);
    if (!idle)
        idle = find_idle(export, from, part->offset);
    if (idle) {
        position = idle->data;
        g_queue_delete_link(&export->idle, idle);
    }
    vimg_mutex_unlock(&exports->lock);
    return position ? position : open_position(exports, export, part, error);
}

/*
 * Nobody asks for what follows the end, or for more of what is revoked; and as a collector waits
 * for whoever reads, nobody reads for long without a break.
 */
static void
give_back(VimgExports *exports, Position *position)
{
    VimgExport *export = position->export;
    gboolean keep;

    vimg_mutex_lock(&exports->lock);
    keep = position->at < position->end && !export->record->revoked && !exports->ending &&
           g_get_monotonic_time() - position->opened < exports->reading_max &&
           g_hash_table_lookup(exports->by_id, export->record->id) == export;
    if (keep) {
        position->used = g_get_monotonic_time();
        g_queue_push_tail(&export->idle, position);
        position = NULL;
        if (export->idle.length > SCATTERED_MAX && vimg_export_record_unpacks(export->record))
            position = g_queue_pop_head(&export->idle);
    }
    vimg_mutex_unlock(&exports->lock);
    if (position)
        close_positions(exports, g_slist_prepend(NULL, position));
}

/* ---- reading ----------------------------------------------------------------------------- */

/* At most @length bytes of what is left of the last piece. */
static void
cut(Position *position, guint64 length, gsize most, VimgExtent *out)
{
    VimgExtent *rest = &position->rest;

    out->length = MIN(length, rest->length);
    if (rest->data) {
        out->length = MIN(out->length, most);
        out->offset = rest->offset;
        rest->offset += (gsize)out->length;
    }
    rest->length -= out->length;
    out->data =
        rest->length > 0 && rest->data ? vimg_buffer_ref(rest->data) : g_steal_pointer(&rest->data);
    position->at += out->length;
    vimg_job_add(position->use.job, out->length);
}

static gboolean
read_more(Position *position, GError **error)
{
    VimgJob *job = position->use.job;

    if (vimg_job_cancelled(job))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the transfer was cancelled"));
    return position->rest.length > 0 || vimg_reader_next(position->reader, &position->rest, error);
}

/* As much as is left of the last piece, or of what leads to @part first. */
static gboolean
read_on(Position *position, const VimgExportPart *part, VimgExtent *out, GError **error)
{
    GError *local = NULL;

    while (read_more(position, &local) && position->at < part->offset) {
        cut(position, part->offset - position->at, G_MAXSIZE, out);
        vimg_buffer_unref(out->data);
    }
    *out = (VimgExtent){0};
    if (!local) {
        cut(position, part->length, part->most, out);
        return TRUE;
    }
    vimg_use_failed(&position->use, local);
    g_propagate_error(error, local);
    return FALSE;
}

gboolean
vimg_export_read_image(VimgExports *exports, VimgExport *export, guint64 from,
                       const VimgExportPart *part, VimgExtent *out, GError **error)
{
    Position *position = take_position(exports, export, from, part, error);

    if (!position)
        return FALSE;
    if (!read_on(position, part, out, error)) {
        close_positions(exports, g_slist_prepend(NULL, position));
        return FALSE;
    }
    give_back(exports, position);
    return TRUE;
}

/* Returns: (transfer none) which lives as long as @export. */
static const VimgQcow2Layout *
get_layout(VimgExports *exports, VimgExport *export, GError **error)
{
    g_autoptr(VimgQcow2Layout) loaded = NULL;
    const VimgQcow2Layout *layout;

    vimg_mutex_lock(&exports->lock);
    layout = export->layout;
    vimg_mutex_unlock(&exports->lock);
    if (layout)
        return layout;
    loaded = vimg_export_map_load(exports->dir, export->record, error);
    if (!loaded)
        return NULL;
    VIMG_LOCK_GUARD(&exports->lock);
    if (!export->layout)
        export->layout = g_steal_pointer(&loaded);
    return export->layout;
}

/* Where whoever has downloaded all before @offset has read the image to: only zeros lie between. */
static guint64
find_before(const VimgQcow2Layout *layout, guint64 offset, const VimgQcow2Piece *piece)
{
    VimgQcow2Piece before;

    vimg_qcow2_layout_look(layout, offset - 1, &before);
    return before.data ? before.source + 1 : piece->source;
}

static gboolean
read_converted(VimgExports *exports, VimgExport *export, const VimgExportPart *part,
               VimgExtent *out, GError **error)
{
    const VimgQcow2Layout *layout = get_layout(exports, export, error);
    const VimgExportRecord *record = export->record;
    VimgExportPart source = {.until = record->stored, .most = part->most};
    VimgQcow2Piece piece;
    guint64 length;

    if (!layout)
        return FALSE;
    vimg_qcow2_layout_look(layout, part->offset, &piece);
    length = MIN(part->length, piece.length);
    if (piece.data && piece.source < record->stored) {
        source.offset = piece.source;
        source.length = MIN(length, record->stored - piece.source);
        return vimg_export_read_image(exports, export, find_before(layout, part->offset, &piece),
                                      &source, out, error);
    }
    *out = (VimgExtent){.length = length};
    if (piece.data)
        return TRUE;
    out->length = MIN(length, part->most);
    out->data = vimg_buffer_new((gsize)out->length);
    vimg_qcow2_layout_fill(layout, part->offset, out->data->data, out->data->size);
    return TRUE;
}

gboolean
vimg_export_read(VimgExports *exports, VimgExport *export, const VimgExportPart *part,
                 VimgExtent *out, GError **error)
{
    const VimgExportRecord *record = export->record;
    VimgExportPart whole = *part;

    *out = (VimgExtent){0};
    if (part->length == 0 || part->offset >= record->size ||
        part->length > record->size - part->offset)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("there is nothing at this place of the export"));
    if (vimg_export_is_replaced(exports, export))
        return vimg_export_throw_replaced(export, error);
    if (vimg_export_record_unpacks(record))
        return vimg_export_read_guest(exports, export, part, out, error);
    if (record->convert)
        return read_converted(exports, export, part, out, error);
    if (!record->nbd) /* who asks for a part may go on in another request */
        whole.until = record->stored;
    return vimg_export_read_image(exports, export, vimg_export_zeros_before(export, part->offset),
                                  &whole, out, error);
}
