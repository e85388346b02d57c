/*
 * catalog.c: all images of a store, of which those that did not change are not looked at again
 *
 * Whatever happens to an image changes the directory of the image or that of its name, and so the
 * time of that directory.  Times may be whole seconds of a clock that is not ours: what was read of
 * an image holds only if its directories had not changed for a while when that was read: by a time
 * that the storage itself has written last, or by two looks well apart.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "catalog.h"
#include "image.h"
#include "parent.h"
#include "store.h"
#include "../thread.h"
#include "../throw.h"

#define SECOND G_GINT64_CONSTANT(1000000000)
#define APART (2 * G_USEC_PER_SEC)
#define KEPT_MAX                                                                                   \
    ((gsize)32 * 1024 * 1024) /* bytes, about; what is beyond is looked at each time               \
                               */

/* What was found of an image, its uuid the key. */
typedef struct {
    gint64 changed; /* its directory */
    gint64 named;   /* the directory of its name */
    gint64 stored;
    gint64 looked; /* when these times were seen first, or later, by our monotonic clock */
    gboolean firm; /* it holds as long as these times do */
    gboolean deleted;
    VimgPluginImage image;
} Entry;

struct _VimgCatalog {
    pthread_mutex_t lock; /* guards what follows */
    GHashTable *entries;  /* uuid, a member of the Entry, to it; whoever lists has it meanwhile */
};

typedef struct {
    VimgSliceStore *store;
    VimgImageSink sink;
    gpointer data;
    gint64 now;        /* the storage's time, or earlier */
    gint64 began;      /* by our monotonic clock */
    GHashTable *named; /* times of the directories of names */
    GHashTable *old;   /* what was known before */
    GHashTable *entries;
    gsize kept;    /* bytes of these */
    gboolean full; /* the sink takes no more */
    char *unread;  /* uuid of one that cannot be read */
    int why;
    int lost; /* the storage went, or the job ended: the rest would not be true */
} Listing;

static void
entry_free(gpointer data)
{
    Entry *entry = data;

    vimg_plugin_image_clear(&entry->image);
    g_free(entry);
}

static GHashTable *
entries_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
}

VimgCatalog *
vimg_catalog_new(void)
{
    VimgCatalog *catalog = g_new0(VimgCatalog, 1);

    thread_must(pthread_mutex_init(&catalog->lock, NULL));
    catalog->entries = entries_new();
    return catalog;
}

void
vimg_catalog_free(VimgCatalog *catalog)
{
    if (!catalog)
        return;
    g_hash_table_unref(catalog->entries);
    pthread_mutex_destroy(&catalog->lock);
    g_free(catalog);
}

/* Takes @entries over.  Returns: (transfer full) those before. */
static GHashTable *
exchange(VimgCatalog *catalog, GHashTable *entries)
{
    GHashTable *before;
    LOCK_GUARD(&catalog->lock);

    before = catalog->entries;
    catalog->entries = entries;
    return before;
}

static gsize
weigh(const VimgPluginImage *image)
{
    const char *const texts[] = {image->name,    image->format,   image->parent,
                                 image->os,      image->arch,     image->description,
                                 image->reason,  image->checksum, image->origin,
                                 image->copy_of, image->machine,  image->generation};
    gsize sum = sizeof(Entry) + 256;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++)
        sum += texts[i] ? strlen(texts[i]) : 0;
    return sum;
}

static void
show(Listing *listing, const Entry *entry)
{
    if (entry->deleted)
        return;
    if (entry->image.state == VIMG_IMAGE_ACTIVE)
        vimg_parent_note(listing->store, entry->image.uuid, entry->stored);
    listing->full = !listing->sink(&entry->image, listing->data);
}

/* Takes @entry over: it is shown, and kept if @keep. */
static void
take(Listing *listing, Entry *entry, gboolean keep)
{
    show(listing, entry);
    listing->kept += weigh(&entry->image);
    if (keep && listing->kept <= KEPT_MAX)
        g_hash_table_replace(listing->entries, entry->image.uuid, entry);
    else
        entry_free(entry);
}

static gint64
time_of_name(const Listing *listing, const char *name)
{
    const gint64 *found = g_hash_table_lookup(listing->named, name);

    return found ? *found : 0;
}

static gboolean
is_same(const Listing *listing, const Entry *entry, gint64 changed)
{
    return entry->changed == changed &&
           (entry->deleted || entry->named == time_of_name(listing, entry->image.name));
}

/* ---- what is new ------------------------------------------------------------------------ */

static gboolean
is_past(const Listing *listing, gint64 time)
{
    return time != 0 && time + SECOND < listing->now;
}

/* Not of one image: of the storage, or of whoever asks. */
static gboolean
is_lost(int result)
{
    return result == ENOTCONN || result == ECANCELED;
}

static void
look_at(Listing *listing, const VimgImageLook *look, gint64 changed)
{
    const VimgStoredImage *stored = &look->stored;
    const Entry *before = g_hash_table_lookup(listing->old, look->uuid);
    Entry *entry;

    if (is_lost(look->result)) {
        listing->lost = look->result;
        return;
    }
    if (look->result != 0)
        vimg_slice_store_log(VIMG_LOG_WARNING, "image %s is left out: %s", look->uuid,
                             g_strerror(look->result));
    if ((look->result != 0 || vimg_image_is_doubtful(stored)) && !listing->unread) {
        listing->unread = g_strdup(look->uuid);
        listing->why = look->result ? look->result : EBADMSG;
    }
    if (look->result != 0 || !stored->manifest || !(stored->claimed || stored->deleted))
        return;
    entry = g_new0(Entry, 1);
    entry->changed = changed;
    entry->named = time_of_name(listing, stored->manifest->image.name);
    entry->stored = stored->stored;
    entry->deleted = stored->deleted;
    entry->image.size = sizeof(entry->image);
    vimg_image_describe(listing->store, stored, &entry->image);
    entry->looked =
        before && is_same(listing, before, changed) ? before->looked : g_get_monotonic_time();
    entry->firm = listing->began - entry->looked >= APART || is_past(listing, changed);
    if (!entry->deleted)
        entry->firm &= entry->named != 0 &&
                       (listing->began - entry->looked >= APART || is_past(listing, entry->named));
    /* slices may come back, of which the directories know nothing */
    take(listing, entry, !stored->damage);
}

/* @times: of @uuids */
static void
look_at_all(Listing *listing, const GPtrArray *uuids, const GArray *times)
{
    guint i;
    guint k;

    for (i = 0; i < uuids->len && !listing->full && !listing->lost; i += VIMG_IMAGE_LOOKS) {
        g_autoptr(GArray) looks = vimg_image_look_some(listing->store, uuids, i, VIMG_IMAGE_LOOKS);

        for (k = 0; k < looks->len && !listing->full && !listing->lost; k++)
            look_at(listing, &g_array_index(looks, VimgImageLook, k),
                    g_array_index(times, gint64, i + k));
    }
}

/* ---- what was there before -------------------------------------------------------------- */

/* Shows what is known of @found, the directory of images; the rest is looked at. */
static void
compare(Listing *listing, const VimgOp *found)
{
    g_autoptr(GPtrArray) uuids = g_ptr_array_new();
    g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(gint64));
    guint i;

    for (i = 0; i < found->names->len && !listing->full; i++) {
        const char *uuid = found->names->pdata[i];
        gint64 changed = g_array_index(found->infos, VimgFileInfo, i).mtime;
        Entry *entry = g_hash_table_lookup(listing->old, uuid);

        if (entry && entry->firm && is_same(listing, entry, changed)) {
            g_hash_table_steal(listing->old, uuid);
            take(listing, entry, TRUE);
        } else if (vimg_image_is_uuid(uuid)) {
            g_ptr_array_add(uuids, (gpointer)uuid);
            g_array_append_val(times, changed);
        }
    }
    look_at_all(listing, uuids, times);
}

static void
note_names(Listing *listing, const VimgOp *found)
{
    guint i;

    for (i = 0; found->result == 0 && i < found->names->len; i++)
        g_hash_table_insert(listing->named, found->names->pdata[i],
                            &g_array_index(found->infos, VimgFileInfo, i).mtime);
}

/* What was known before is known still, as far as nothing newer was found. */
static void
keep_old(Listing *listing)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, listing->old);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Entry *entry = value;

        if (g_hash_table_contains(listing->entries, entry->image.uuid))
            continue;
        listing->kept += weigh(&entry->image);
        if (listing->kept > KEPT_MAX)
            return;
        g_hash_table_iter_steal(&iter);
        g_hash_table_insert(listing->entries, entry->image.uuid, entry);
    }
}

/* @whole: what cannot be read is an error, else it is left out. */
static gboolean
list(VimgSliceStore *store, gboolean whole, VimgImageSink sink, gpointer data, GError **error)
{
    g_autoptr(GHashTable) named = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) old = exchange(store->catalog, entries_new());
    /* each lease changes the last one, and the store was opened with one */
    VimgOp ops[] = {
        {.kind = VIMG_OP_LIST, .path = "images", .fresh = TRUE},
        {.kind = VIMG_OP_LIST, .path = "names", .fresh = TRUE},
        {.kind = VIMG_OP_STAT, .path = "pending"},
    };
    Listing listing = {.store = store, .sink = sink, .data = data, .named = named, .old = old};
    g_autofree char *unread = NULL;
    gint64 began = g_get_monotonic_time();
    int result;

    vimg_transport_list_detailed(store->transport, ops, G_N_ELEMENTS(ops));
    listing.entries = entries_new();
    result = ops[0].result == 0 && is_lost(ops[1].result) ? ops[1].result : ops[0].result;
    if (result == 0) {
        listing.began = began;
        listing.now = ops[2].result == 0 ? ops[2].info.mtime : 0;
        note_names(&listing, &ops[1]);
        compare(&listing, &ops[0]);
        result = listing.lost;
    }
    if (result != 0)
        keep_old(&listing);
    g_hash_table_unref(exchange(store->catalog, listing.entries));
    vimg_transport_clear_ops(ops, G_N_ELEMENTS(ops), FALSE);
    unread = listing.unread;
    if (result != 0)
        return throw_result(error, result, _("cannot list the images"));
    return !unread || !whole || throw_result(error, listing.why, _("cannot read image %s"), unread);
}

gboolean
vimg_image_list(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    return list(store, FALSE, sink, data, error);
}

gboolean
vimg_image_list_whole(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    return list(store, TRUE, sink, data, error);
}
