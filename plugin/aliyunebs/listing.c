/*
 * listing.c: what lies below the prefix
 *
 * A list gives the ETags of the records, so that only those are read that changed; these by several
 * threads at a time, as each one takes a way to the storage and back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "listing.h"
#include "../thread.h"
#include "throw.h"

#define READERS 16
#define NAME_ROOM 240      /* bytes of a name of 255 that get something behind them */
#define RECORDS_MAX 100000 /* no pool has more; what claims so answers nonsense */
#define ROOM ((guint64)512 * 1024 * 1024) /* bytes that all of them may have */

/* A record as it was read last. */
typedef struct {
    char *etag;
    VimgEbsRecord *record;
} Known;

typedef struct {
    char *uuid;
    char *etag;
    guint64 size; /* bytes, as it is listed */
    VimgEbsRecord *record;
    GError *error;
} Item;

typedef struct {
    GPtrArray *items; /* of Item */
    guint64 room;     /* bytes */
} Listed;

typedef struct {
    VimgEbsSite *site;
    const VimgPatience *patience;
    GPtrArray *items; /* of Item */
    guint next;       /* through __atomic builtins */
} Reading;

static void
known_free(gpointer data)
{
    Known *known = data;

    g_free(known->etag);
    vimg_ebs_record_free(known->record);
    g_free(known);
}

static void
item_free(gpointer data)
{
    Item *item = data;

    g_free(item->uuid);
    g_free(item->etag);
    vimg_ebs_record_free(item->record);
    g_clear_error(&item->error);
    g_free(item);
}

/* ---- pages ------------------------------------------------------------------------------ */

static char *
prefix_of(const VimgEbsSite *site, const char *below)
{
    return *below ? vimg_ebs_key(site, below, "") : g_strconcat(site->prefix, "/", NULL);
}

/* A page that leads to itself would be read for ever. */
static gboolean
check_progress(const VimgOssPage *page, const char *before, const char *id, GError **error)
{
    return !page->truncated ||
           (page->next && (g_strcmp0(page->next, before) != 0 ||
                           (page->next_id && g_strcmp0(page->next_id, id) != 0))) ||
           throw_error(error, VIMG_ERROR_INTERNAL, _("the object storage does not come to an end"));
}

gboolean
vimg_ebs_each_object(VimgEbsSite *site, const char *below, VimgEbsEntrySink sink, gpointer data,
                     const VimgPatience *patience, GError **error)
{
    g_autofree char *prefix = prefix_of(site, below);
    g_autofree char *token = NULL;

    do {
        g_autoptr(VimgOssPage) page =
            vimg_oss_list(site->oss, prefix, NULL, token, patience, error);
        guint i;

        if (!page || !check_progress(page, token, NULL, error))
            return FALSE;
        for (i = 0; i < page->entries->len; i++) {
            const VimgOssEntry *entry = page->entries->pdata[i];

            if (g_str_has_prefix(entry->key, prefix) && !sink(data, entry, error))
                return FALSE;
        }
        g_free(token);
        token = page->truncated ? g_strdup(page->next) : NULL;
    } while (token);
    return TRUE;
}

/* Storages that speak S3 need not be able to list them; records and journals name those there are.
 */
static gboolean
is_unable(const VimgEbsSite *site, const GError *error)
{
    return vimg_oss_is_s3(site->oss) &&
           (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_FAILED) ||
            g_error_matches(error, VIMG_ERROR, VIMG_ERROR_ACCESS_DENIED) ||
            g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT));
}

typedef VimgOssPage *(*Lister)(VimgOss *oss, const char *prefix, const char *key, const char *id,
                               const VimgPatience *patience, GError **error);

static gboolean
each_id(VimgEbsSite *site, Lister list, const char *below, VimgEbsPendingSink sink, gpointer data,
        const VimgPatience *patience, GError **error)
{
    g_autofree char *prefix = prefix_of(site, below);
    g_autofree char *key = NULL;
    g_autofree char *id = NULL;
    gboolean more = TRUE;

    while (more) {
        g_autoptr(GError) local = NULL;
        g_autoptr(VimgOssPage) page = list(site->oss, prefix, key, id, patience, &local);
        guint i;

        if (!page && is_unable(site, local))
            return TRUE;
        if (!page || !check_progress(page, key, id, &local)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        for (i = 0; i < page->pending->len; i++) {
            const VimgOssPending *pending = page->pending->pdata[i];

            if (g_str_has_prefix(pending->key, prefix) && !sink(data, pending, error))
                return FALSE;
        }
        more = page->truncated;
        vimg_ebs_set(&key, page->next);
        vimg_ebs_set(&id, page->next_id);
    }
    return TRUE;
}

gboolean
vimg_ebs_each_upload(VimgEbsSite *site, const char *below, VimgEbsPendingSink sink, gpointer data,
                     const VimgPatience *patience, GError **error)
{
    return each_id(site, vimg_oss_list_uploads, below, sink, data, patience, error);
}

gboolean
vimg_ebs_each_version(VimgEbsSite *site, VimgEbsPendingSink sink, gpointer data,
                      const VimgPatience *patience, GError **error)
{
    gboolean versions = FALSE;

    if (!vimg_oss_is_s3(site->oss) && !vimg_oss_has_versions(site->oss, &versions, patience, error))
        return FALSE;
    return !versions || each_id(site, vimg_oss_list_versions, "", sink, data, patience, error);
}

static gboolean
add_item(gpointer data, const VimgOssEntry *entry, GError **error)
{
    Listed *listed = data;
    const char *uuid = strrchr(entry->key, '/') + 1;
    guint64 size = MIN(entry->size, VIMG_EBS_RECORD_MAX);
    Item *item;

    if (!g_uuid_string_is_valid(uuid))
        return TRUE;
    if (listed->items->len >= RECORDS_MAX || size > listed->room)
        return throw_error(error, VIMG_ERROR_INTERNAL,
                           _("the object storage does not come to an end"));
    listed->room -= size;
    item = g_new0(Item, 1);
    item->uuid = g_strdup(uuid);
    item->etag = g_strdup(entry->etag);
    item->size = entry->size;
    g_ptr_array_add(listed->items, item);
    return TRUE;
}

/* ---- records ---------------------------------------------------------------------------- */

static void
take_known(VimgEbsStore *store, GPtrArray *items)
{
    guint i;
    LOCK_GUARD(&store->lock);

    for (i = 0; i < items->len; i++) {
        Item *item = items->pdata[i];
        const Known *known = g_hash_table_lookup(store->known, item->uuid);

        if (known && item->etag && strcmp(known->etag, item->etag) == 0)
            item->record = vimg_ebs_record_copy(known->record);
    }
}

static void *
read_some(void *data)
{
    Reading *reading = data;
    guint i;

    while ((i = __atomic_fetch_add(&reading->next, 1, __ATOMIC_RELAXED)) < reading->items->len) {
        Item *item = reading->items->pdata[i];

        if (item->record)
            continue;
        if (item->size > VIMG_EBS_RECORD_MAX)
            throw_error(&item->error, VIMG_ERROR_DAMAGED,
                        _("the record of the image cannot be read"));
        else
            item->record =
                vimg_ebs_record_load(reading->site, item->uuid, reading->patience, &item->error);
    }
    return NULL;
}

static void
read_all(Reading *reading)
{
    pthread_t threads[READERS];
    guint n = 0;
    guint i;

    while (n < MIN(READERS, reading->items->len / 2) &&
           thread_start(&threads[n], read_some, reading) == 0)
        n++;
    read_some(reading);
    for (i = 0; i < n; i++)
        thread_must(pthread_join(threads[i], NULL));
}

/* Only what there still is stays known; all that was read, so that the next list has less to do. */
static void
remember(VimgEbsStore *store, GPtrArray *items, gboolean all)
{
    GHashTable *known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_free);
    GHashTable *former;
    guint64 stored = 0;
    guint i;

    for (i = 0; i < items->len; i++) {
        const Item *item = items->pdata[i];
        Known *one;

        if (!item->record || !item->etag)
            continue;
        stored += item->record->info.allocation;
        one = g_new0(Known, 1);
        one->etag = g_strdup(item->etag);
        one->record = vimg_ebs_record_copy(item->record);
        g_hash_table_replace(known, g_strdup(item->uuid), one);
    }
    {
        LOCK_GUARD(&store->lock);

        former = store->known;
        store->known = known;
        store->stored = all ? stored : store->stored;
    }
    g_hash_table_unref(former);
}

/* Whether it is the storage that fails, not what lies there. */
static gboolean
is_general(const GError *error)
{
    static const VimgErrorCode codes[] = {VIMG_ERROR_DISCONNECTED, VIMG_ERROR_TIMEOUT,
                                          VIMG_ERROR_ABORTED, VIMG_ERROR_AUTH, VIMG_ERROR_BUSY};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (g_error_matches(error, VIMG_ERROR, (gint)codes[i]))
            return TRUE;
    }
    return FALSE;
}

/* What was removed meanwhile is not there; what else cannot be read is said. */
static gboolean
settle(VimgEbsSite *site, const Item *item, GHashTable *unreadable, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "records", item->uuid);

    if (item->record || vimg_ebs_is_gone(item->error))
        return TRUE;
    if (!unreadable || is_general(item->error)) {
        g_propagate_prefixed_error(error, g_error_copy(item->error), _("object '%s': "), key);
        return FALSE;
    }
    vimg_ebs_warn("object '%s' is left out: %s", key, item->error->message);
    g_hash_table_replace(unreadable, g_strdup(item->uuid), g_strdup(item->error->message));
    return TRUE;
}

GHashTable *
vimg_ebs_unreadable_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* ---- names ------------------------------------------------------------------------------ */

static gboolean
is_later(const VimgEbsRecord *a, const VimgEbsRecord *b)
{
    if (a->info.created != b->info.created)
        return a->info.created > b->info.created;
    return strcmp(a->info.uuid, b->info.uuid) > 0;
}

/* Two images of one name cannot be shown, so the later one has a part of its uuid behind it. */
static void
mark(VimgEbsRecord *record)
{
    g_autofree char *own = g_strndup(record->info.name, NAME_ROOM);
    g_autofree char *shown = NULL;

    while (!g_utf8_validate(own, -1, NULL))
        own[strlen(own) - 1] = '\0';
    shown = g_strdup_printf("%s~%.8s", own, record->info.uuid);
    vimg_ebs_set(&record->info.name, shown);
    if (record->info.reason)
        return;
    record->info.reason = g_strdup(_("another image had the name before; delete one of them"));
    record->info.state = VIMG_IMAGE_ERROR;
}

static void
find_later(VimgEbsStore *store, const GPtrArray *records)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTable *later = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTable *former;
    guint i;

    for (i = 0; i < records->len; i++) {
        VimgEbsRecord *record = records->pdata[i];
        VimgEbsRecord *other;

        if (record->info.deleted)
            continue;
        other = g_hash_table_lookup(names, record->info.name);
        if (other && is_later(other, record)) {
            VimgEbsRecord *swap = other;

            g_hash_table_replace(names, record->info.name, record);
            other = record;
            record = swap;
        }
        if (!other) {
            g_hash_table_insert(names, record->info.name, record);
            continue;
        }
        mark(record);
        g_hash_table_add(later, g_strdup(record->info.uuid));
    }
    {
        LOCK_GUARD(&store->lock);

        former = store->later;
        store->later = later;
    }
    g_hash_table_unref(former);
}

void
vimg_ebs_mark_later(VimgEbsStore *store, VimgEbsRecord *record)
{
    gboolean later;

    {
        LOCK_GUARD(&store->lock);

        later = g_hash_table_contains(store->later, record->info.uuid);
    }
    if (later)
        mark(record);
}

GPtrArray *
vimg_ebs_list_records(VimgEbsStore *store, VimgEbsSite *site, GHashTable *unreadable,
                      const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) records =
        g_ptr_array_new_with_free_func((GDestroyNotify)vimg_ebs_record_free);
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
    Reading reading = {.site = site, .patience = patience, .items = items};
    Listed listed = {.items = items, .room = ROOM};
    guint i = 0;

    if (!vimg_ebs_each_object(site, "records", add_item, &listed, patience, error))
        return NULL;
    take_known(store, items);
    read_all(&reading);
    while (i < items->len && settle(site, items->pdata[i], unreadable, error))
        i++;
    remember(store, items, i == items->len);
    if (i < items->len)
        return NULL;
    for (i = 0; i < items->len; i++) {
        Item *item = items->pdata[i];

        if (item->record)
            g_ptr_array_add(records, g_steal_pointer(&item->record));
    }
    find_later(store, records);
    return g_steal_pointer(&records);
}
