/*
 * export-guest.c: the raw disk of an image that is stored as qcow2
 *
 * Its tables, and clusters that are packed, are read by pages of the file, of which each export
 * keeps some while it is read; data goes as it is read.  However its tables were made, one question
 * reads a bounded number of pages.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "pool/export.h"
#include "util/i18n.h"

#define DISK_MAX                                                                                   \
    ((guint64)64 << 40) /* bytes that are summed up for a checksum, most of them zeros */
#define PAGE ((guint64)64 * 1024)
#define PAGES_MAX 64       /* of an export */
#define ALL_PAGES_MAX 1024 /* of all */
#define LOOKS_MAX 4096
#define READS_MAX 16                   /* pages, after which an answer ends where it can */
#define GAP ((guint64)2 * 1024 * 1024) /* bytes that are read over: a table between data */

typedef struct {
    guint64 offset;
    VimgBuffer *data;
    gint64 used;  /* monotonic microseconds */
    guint *count; /* of all pages, by atomics: who drops the last reference has no lock */
} Page;

/* A question that is being answered. */
typedef struct {
    VimgExports *exports;
    VimgExport *export;
    const VimgQcow2Guest *guest;
    const VimgExportPart *part;
    VimgBuffer *page; /* the last one; NULL: none */
    guint64 at;       /* of it */
    guint reads;

    /* what is unpacked, and where in the disk it is */
    const VimgQcow2Found *packed;
    guint64 packed_at;
} Walk;

static guint64 look_ahead(Walk *walk, guint64 offset, const VimgQcow2Found *found);

static void
page_free(Page *page)
{
    __atomic_sub_fetch(page->count, 1, __ATOMIC_RELAXED);
    vimg_buffer_unref(page->data);
    g_free(page);
}

/* ---- pages, under lock -------------------------------------------------------------------- */

/* Returns: (transfer none) of the queue, or NULL. */
static GList *
find_page(const VimgExport *export, guint64 offset)
{
    GList *at = export->pages.tail;

    while (at && ((Page *)at->data)->offset != offset)
        at = at->prev;
    return at;
}

/* Returns: (transfer full) the data of the one at @offset, or NULL. */
static VimgBuffer *
use_page(VimgExport *export, guint64 offset)
{
    GList *at = find_page(export, offset);
    Page *page;

    if (!at)
        return NULL;
    page = at->data;
    page->used = g_get_monotonic_time();
    g_queue_unlink(&export->pages, at);
    g_queue_push_tail_link(&export->pages, at);
    return vimg_buffer_ref(page->data);
}

/* Of all exports, the page that nobody used for the longest time. */
static void
drop_oldest(VimgExports *exports)
{
    VimgExport *oldest = NULL;
    gint64 used = G_MAXINT64;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Page *first = g_queue_peek_head(&((VimgExport *)value)->pages);

        if (!first || first->used >= used)
            continue;
        oldest = value;
        used = first->used;
    }
    if (oldest)
        page_free(g_queue_pop_head(&oldest->pages));
}

static void
keep_page(VimgExports *exports, VimgExport *export, guint64 offset, VimgBuffer *data)
{
    Page *page = g_new0(Page, 1);

    page->offset = offset;
    page->data = vimg_buffer_ref(data);
    page->used = g_get_monotonic_time();
    page->count = &exports->n_pages;
    g_queue_push_tail(&export->pages, page);
    __atomic_add_fetch(page->count, 1, __ATOMIC_RELAXED);
    if (export->pages.length > PAGES_MAX)
        page_free(g_queue_pop_head(&export->pages));
    else if (__atomic_load_n(page->count, __ATOMIC_RELAXED) > ALL_PAGES_MAX)
        drop_oldest(exports);
}

void
vimg_export_pages_drop(VimgExport *export, gint64 since)
{
    Page *page;

    while ((page = g_queue_peek_head(&export->pages)) && page->used <= since)
        page_free(g_queue_pop_head(&export->pages));
}

/* ---- reading the file --------------------------------------------------------------------- */

/* The first @size bytes. */
static void
copy_extent(guint8 *to, const VimgExtent *extent, gsize size)
{
    if (extent->data)
        memcpy(to, extent->data->data + extent->offset, size);
    else
        memset(to, 0, size);
}

static guint64
before(guint64 offset)
{
    return offset > GAP ? offset - GAP : 0;
}

/* May be read over from @from on; to where more is asked for: @until. */
static VimgBuffer *
read_page(Walk *walk, guint64 offset, guint64 from, guint64 until, GError **error)
{
    guint64 stored = walk->export->record->stored;
    VimgBuffer *buffer = vimg_buffer_new((gsize)MIN(PAGE, stored - offset));
    gsize n = 0;

    while (n < buffer->size) {
        const VimgExportPart part = {offset + n, buffer->size - n, until, buffer->size - n};
        VimgExtent extent;

        if (!vimg_export_read_image(walk->exports, walk->export, from + n, &part, &extent, error)) {
            vimg_buffer_unref(buffer);
            return NULL;
        }
        copy_extent(buffer->data + n, &extent, (gsize)extent.length);
        vimg_buffer_unref(extent.data);
        n += (gsize)extent.length;
    }
    return buffer;
}

static VimgBuffer *
read_packed_page(Walk *walk, guint64 offset, GError **error)
{
    guint64 from = before(offset), until = 0;

    if (!vimg_export_is_open(walk->exports, walk->export, from, offset))
        until = look_ahead(walk, walk->packed_at, walk->packed) + PAGE - 1;
    return read_page(walk, offset, from, until / PAGE * PAGE, error);
}

/* Makes @page, (transfer full), that of @walk.  Returns: whether there is one. */
static gboolean
set_page(Walk *walk, guint64 offset, VimgBuffer *page)
{
    vimg_buffer_unref(walk->page);
    walk->page = page;
    walk->at = offset;
    return page != NULL;
}

/* Makes the one that holds @offset the page of @walk. */
static gboolean
turn_to(Walk *walk, guint64 offset, gboolean more, GError **error)
{
    guint64 at = offset / PAGE * PAGE;
    VimgBuffer *page;

    if (walk->page && walk->at == at)
        return TRUE;
    vimg_mutex_lock(&walk->exports->lock);
    page = use_page(walk->export, at);
    vimg_mutex_unlock(&walk->exports->lock);
    if (set_page(walk, at, page))
        return TRUE;
    walk->reads++;
    page = more ? read_packed_page(walk, at, error) : read_page(walk, at, at, 0, error);
    if (!set_page(walk, at, page))
        return FALSE;
    VIMG_LOCK_GUARD(&walk->exports->lock);
    keep_page(walk->exports, walk->export, at, page);
    return TRUE;
}

/* Within the file; @more: of what is packed, which more of is asked for next. */
static gboolean
read_bytes(Walk *walk, guint64 offset, guint8 *out, gsize size, gboolean more, GError **error)
{
    while (size > 0) {
        gsize skip = (gsize)(offset % PAGE);
        gsize n = MIN(size, (gsize)PAGE - skip);

        if (!turn_to(walk, offset, more, error))
            return FALSE;
        memcpy(out, walk->page->data + skip, n);
        offset += n;
        out += n;
        size -= n;
    }
    return TRUE;
}

/* ---- what is where ------------------------------------------------------------------------ */

static gboolean
look_at(Walk *walk, guint64 offset, VimgQcow2Found *out, GError **error)
{
    const VimgQcow2Guest *guest = walk->guest;
    guint8 entry[VIMG_QCOW2_SECOND];
    guint64 at;

    if (!read_bytes(walk, vimg_qcow2_guest_first(guest, offset), entry, VIMG_QCOW2_FIRST, FALSE,
                    error) ||
        !vimg_qcow2_guest_second(guest, entry, offset, &at, out, error))
        return FALSE;
    return at == 0 || (read_bytes(walk, at, entry, vimg_qcow2_guest_entry(guest), FALSE, error) &&
                       vimg_qcow2_guest_look(guest, entry, offset, out, error));
}

static gboolean
goes_on(const VimgQcow2Found *found, const VimgQcow2Found *next)
{
    return next->kind == found->kind &&
           (found->kind == VIMG_QCOW2_IS_ZEROS ||
            (found->kind == VIMG_QCOW2_IS_DATA && next->source == found->source + found->length));
}

/* What is at the beginning of the part, with what is like it behind; what cannot be read there is
 * for the next question. */
static gboolean
look_along(Walk *walk, VimgQcow2Found *out, GError **error)
{
    const VimgExportPart *part = walk->part;
    guint64 most = part->length;

    if (!look_at(walk, part->offset, out, error))
        return FALSE;
    if (out->kind == VIMG_QCOW2_IS_DATA)
        most = MIN(most, part->most);
    for (guint i = 0; i < LOOKS_MAX && walk->reads < READS_MAX && out->length < most; i++) {
        VimgQcow2Found next;

        if (!look_at(walk, part->offset + out->length, &next, NULL) || !goes_on(out, &next))
            break;
        out->length += next.length;
    }
    out->length = MIN(out->length, most);
    return TRUE;
}

/* ---- how far the file is read on ---------------------------------------------------------- */

static guint64
end_of(const VimgQcow2Found *found)
{
    return found->source +
           (found->kind == VIMG_QCOW2_IS_PACKED ? (guint64)found->packed : found->length);
}

/* Whether its end is among the pages, so that nobody reads the file there. */
static gboolean
is_kept(Walk *walk, const VimgQcow2Found *found)
{
    VIMG_LOCK_GUARD(&walk->exports->lock);
    return found->kind == VIMG_QCOW2_IS_PACKED &&
           find_page(walk->export, (end_of(found) - 1) / PAGE * PAGE);
}

/* Whether who has read @found comes to @next by reading on; a sector may be of two packed ones. */
static gboolean
is_near(const VimgQcow2Found *found, const VimgQcow2Found *next)
{
    guint64 end = end_of(found);

    return next->source <= end + GAP &&
           next->source >= (next->kind == VIMG_QCOW2_IS_PACKED ? found->source : end);
}

/*
 * To where in the file whoever reads the disk from @offset on, where @found is, finds more of that
 * kind by reading on.  A file whose clusters were written in any order would else be opened, and
 * read ahead, at each of them.
 */
static guint64
look_ahead(Walk *walk, guint64 offset, const VimgQcow2Found *found)
{
    guint64 end = is_kept(walk, found) ? found->source : end_of(found);
    VimgQcow2Found last = *found, next = last;

    for (guint i = 0; i < LOOKS_MAX && walk->reads < READS_MAX; i++) {
        offset += next.length;
        if (offset >= walk->guest->size || !look_at(walk, offset, &next, NULL))
            break;
        if (next.kind == VIMG_QCOW2_IS_ZEROS)
            continue;
        if (!is_near(&last, &next))
            break;
        last = next;
        if (next.kind == found->kind && !is_kept(walk, &next))
            end = end_of(&next);
    }
    return end;
}

/* ---- answers ------------------------------------------------------------------------------ */

static gboolean
unpack(Walk *walk, const VimgQcow2Found *found, guint8 *cluster, GError **error)
{
    g_autofree guint8 *packed = g_malloc(found->packed);

    return read_bytes(walk, found->source, packed, found->packed, TRUE, error) &&
           vimg_qcow2_guest_unpack(walk->guest, packed, found->packed, cluster, error);
}

/* As many packed clusters as follow each other, from @found on. */
static gboolean
read_packed(Walk *walk, VimgQcow2Found *found, VimgExtent *out, GError **error)
{
    const VimgExportPart *part = walk->part;
    gsize size = (gsize)MIN(part->length, part->most);
    VimgBuffer *buffer = vimg_buffer_new(size);
    g_autofree guint8 *cluster = g_malloc((gsize)1 << walk->guest->bits);
    gsize n = 0;

    for (;;) {
        gsize here = (gsize)MIN(found->length, size - n);

        walk->packed = found;
        walk->packed_at = part->offset + n;
        /* what cannot be unpacked behind others is for the next question */
        if (!unpack(walk, found, cluster, n == 0 ? error : NULL)) {
            if (n > 0)
                break;
            vimg_buffer_unref(buffer);
            return FALSE;
        }
        memcpy(buffer->data + n, cluster + found->skip, here);
        n += here;
        if (n == size || walk->reads >= READS_MAX ||
            !look_at(walk, part->offset + n, found, NULL) || found->kind != VIMG_QCOW2_IS_PACKED)
            break;
    }
    *out = (VimgExtent){.length = n, .data = buffer};
    return TRUE;
}

static gboolean
answer(Walk *walk, VimgExtent *out, GError **error)
{
    VimgExportPart source = {.most = walk->part->most};
    VimgQcow2Found found;

    if (!look_along(walk, &found, error))
        return FALSE;
    if (found.kind == VIMG_QCOW2_IS_PACKED)
        return read_packed(walk, &found, out, error);
    if (found.kind == VIMG_QCOW2_IS_ZEROS) {
        *out = (VimgExtent){.length = found.length};
        return TRUE;
    }
    source.offset = found.source;
    source.length = found.length;
    if (!vimg_export_is_open(walk->exports, walk->export, before(found.source), found.source))
        source.until = look_ahead(walk, walk->part->offset, &found);
    return vimg_export_read_image(walk->exports, walk->export, before(found.source), &source, out,
                                  error);
}

/* The header is read again after a restart, and is that of then.  Returns: (transfer none) */
static const VimgQcow2Guest *
get_guest(Walk *walk, GError **error)
{
    const VimgExportRecord *record = walk->export->record;
    g_autofree VimgQcow2Guest *guest = NULL;

    vimg_mutex_lock(&walk->exports->lock);
    walk->guest = walk->export->guest;
    vimg_mutex_unlock(&walk->exports->lock);
    if (walk->guest)
        return walk->guest;
    guest = g_new0(VimgQcow2Guest, 1);
    if (!turn_to(walk, 0, FALSE, error) ||
        !vimg_qcow2_guest_read(guest, walk->page->data, walk->page->size, record->stored, error))
        return NULL;
    if (guest->size != record->size) {
        vimg_throw(
            error, VIMG_ERROR_PROBE,
            _("the disk in the qcow2 image has %1$llu bytes and not %2$llu, as when it was exported: export it again"),
            VIMG_ULL(guest->size), VIMG_ULL(record->size));
        return NULL;
    }
    VIMG_LOCK_GUARD(&walk->exports->lock);
    if (!walk->export->guest)
        walk->export->guest = g_steal_pointer(&guest);
    return walk->export->guest;
}

gboolean
vimg_export_read_guest(VimgExports *exports, VimgExport *export, const VimgExportPart *part,
                       VimgExtent *out, GError **error)
{
    Walk walk = {.exports = exports, .export = export, .part = part};
    gboolean ok;

    walk.guest = get_guest(&walk, error);
    ok = walk.guest && answer(&walk, out, error);
    vimg_buffer_unref(walk.page);
    return ok;
}

/* ---- the header --------------------------------------------------------------------------- */

static gboolean
read_head(VimgReader *reader, GByteArray *head, gsize size, GError **error)
{
    while (head->len < size) {
        g_autoptr(VimgBuffer) data = NULL;
        guint old = head->len;
        VimgExtent extent;

        if (!vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            break;
        g_byte_array_set_size(head, (guint)MIN(size, old + extent.length));
        copy_extent(head->data + old, &extent, head->len - old);
    }
    return TRUE;
}

gboolean
vimg_export_find_guest(VimgUse *use, const VimgPluginImage *image, guint64 *size, GError **error)
{
    g_autoptr(GByteArray) head = g_byte_array_new();
    gsize want = (gsize)MIN(image->physical, PAGE);
    g_autoptr(VimgReader) reader = NULL;
    VimgQcow2Guest guest;
    GError *local = NULL;

    reader =
        vimg_reader_open(vimg_session_store(use->session), image->uuid, 0, want, use->job, &local);
    if (!reader || !read_head(reader, head, want, &local)) {
        vimg_use_failed(use, local);
        g_propagate_error(error, local);
        return FALSE;
    }
    if (!vimg_qcow2_guest_read(&guest, head->data, head->len, image->physical, error))
        return FALSE;
    *size = guest.size;
    return guest.size <= DISK_MAX ||
           vimg_throw(
               error, VIMG_ERROR_OPERATION_UNSUPPORTED,
               _("a disk of %1$llu bytes is too large to be exported as raw, which %2$llu are not: export the image as it is"),
               VIMG_ULL(guest.size), VIMG_ULL(DISK_MAX));
}
