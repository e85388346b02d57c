/*
 * listing.c: what lies in a RADOS pool, read many at a time and without opening images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "layout.h"
#include "listing.h"
#include "../throw.h"

#define WINDOW 64          /* reads in flight */
#define MAX_IMAGES 1000000 /* no pool has more; what claims so answers nonsense */
#define KEY_METADATA "metadata_" VIMG_CEPH_METADATA
#define KEY_SIZE "size"
#define KEY_CREATED "create_timestamp"
#define KEY_SNAPSHOT "snap_seq" /* number of the last snapshot ever made */

static const char *const header_keys[] = {KEY_METADATA, KEY_SIZE, KEY_CREATED, KEY_SNAPSHOT};

/* ---- one header ------------------------------------------------------------------------- */

typedef struct {
    VimgCephRecord *record;
    rados_read_op_t op;
    rados_completion_t done;
    rados_omap_iter_t values;
    int result;
} HeaderRead;

static void
start_read(VimgCluster *cluster, VimgCephRecord *record, HeaderRead *read)
{
    g_autofree char *object = g_strconcat(VIMG_LAYOUT_HEADER, record->id, NULL);

    read->record = record;
    read->op = rados_create_read_op();
    rados_read_op_omap_get_vals_by_keys(read->op, header_keys, G_N_ELEMENTS(header_keys),
                                        &read->values, &read->result);
    rados_aio_create_completion2(NULL, NULL, &read->done);
    if (rados_aio_read_op_operate(read->op, cluster->io, read->done, object, 0) == 0)
        return;
    rados_aio_release(read->done);
    read->done = NULL;
}

static void
take_metadata(VimgCephRecord *record, const char *data, gsize size)
{
    g_autofree char *text = g_strndup(data, size);
    g_autofree char *id = g_steal_pointer(&record->id);

    record->ours = strlen(text) == size && vimg_ceph_record_parse(record, text, NULL) &&
                   strcmp(record->id, id) == 0;
    g_free(record->id);
    record->id = g_steal_pointer(&id);
}

/* Returns: (transfer full) a uuid that @fsid and @what always give (version 5 of RFC 4122). */
static char *
derive_uuid(const char *fsid, const char *what)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    guint8 digest[20];
    gsize size = sizeof(digest);

    g_checksum_update(sum, (const guchar *)fsid, -1);
    g_checksum_update(sum, (const guchar *)what, -1);
    g_checksum_get_digest(sum, digest, &size);
    digest[6] = (digest[6] & 0x0f) | 0x50;
    digest[8] = (digest[8] & 0x3f) | 0x80;
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                           digest[0], digest[1], digest[2], digest[3], digest[4], digest[5],
                           digest[6], digest[7], digest[8], digest[9], digest[10], digest[11],
                           digest[12], digest[13], digest[14], digest[15]);
}

/* What a client sees of an image of other tools. */
static void
describe_foreign(VimgCluster *cluster, VimgCephRecord *record, guint64 size, gint64 created)
{
    g_autofree char *what = g_strdup_printf("%" G_GINT64_FORMAT "/%s", cluster->pool_id,
                                            *record->id ? record->id : record->rbd);
    gint64 deleted = record->info.deleted;

    vimg_plugin_image_clear(&record->info);
    /* RBD gives a copy what is known of its source */
    g_clear_pointer(&record->digest, g_free);
    record->purged = FALSE;
    record->info.uuid = derive_uuid(cluster->fsid, what);
    record->info.name = g_strdup(record->rbd);
    record->info.format = g_strdup("raw");
    record->info.capacity = record->info.allocation = record->info.physical = size;
    record->info.created = created;
    record->info.deleted = deleted;
}

static void
settle_record(VimgCluster *cluster, VimgCephRecord *record, guint64 size, gint64 created)
{
    if (!record->ours)
        describe_foreign(cluster, record, size, created);
    if (vimg_ceph_record_is_staged(record)) {
        record->info.state = VIMG_IMAGE_SAVING;
    } else {
        /* its administrator may have renamed it */
        g_free(record->info.name);
        record->info.name = g_strdup(record->rbd);
        record->info.state = VIMG_IMAGE_ACTIVE;
        if (!record->info.format)
            record->info.format = g_strdup("raw");
    }
    if (record->info.reason)
        record->info.state = VIMG_IMAGE_ERROR;
    vimg_ceph_record_settle_generation(record);
}

static void
take_values(VimgCluster *cluster, HeaderRead *read)
{
    VimgCephRecord *record = read->record;
    guint64 size = 0;
    gint64 created = 0;
    char *key;
    char *value;
    size_t length;

    while (rados_omap_get_next(read->values, &key, &value, &length) == 0 && key) {
        if (strcmp(key, KEY_METADATA) == 0)
            take_metadata(record, value, length);
        else if (strcmp(key, KEY_SIZE) == 0)
            size = MIN(vimg_layout_number(value, length, 8), G_MAXINT64);
        else if (strcmp(key, KEY_CREATED) == 0)
            created = (gint64)vimg_layout_number(value, length, 4);
        else if (strcmp(key, KEY_SNAPSHOT) == 0)
            record->snapshots = vimg_layout_number(value, length, 8) > 0;
    }
    settle_record(cluster, record, size, created);
}

/* Returns: 0, or a negative errno. */
static int
end_read(VimgCluster *cluster, HeaderRead *read)
{
    int result = -ENOMEM;

    if (read->done) {
        rados_aio_wait_for_complete(read->done);
        result = rados_aio_get_return_value(read->done);
        rados_aio_release(read->done);
    }
    if (result == 0 && read->result == 0)
        take_values(cluster, read);
    if (read->values)
        rados_omap_get_end(read->values);
    rados_release_read_op(read->op);
    return result < 0 ? result : read->result;
}

/* An image in RBD's first format has its header elsewhere, and no metadata. */
static int
read_old(VimgCluster *cluster, VimgCephRecord *record)
{
    rbd_image_t image;
    guint64 size = 0;
    int result = rbd_open_read_only(cluster->io, record->rbd, &image, NULL);

    if (result < 0)
        return result;
    result = rbd_get_size(image, &size);
    vimg_ceph_closing_read(cluster, image, NULL);
    if (result == 0)
        settle_record(cluster, record, MIN(size, G_MAXINT64), 0);
    return result;
}

/* ---- many ------------------------------------------------------------------------------- */

int
vimg_ceph_read_one(VimgCluster *cluster, VimgCephRecord *record)
{
    HeaderRead read = {0};

    start_read(cluster, record, &read);
    return end_read(cluster, &read);
}

/* One without a header goes from @records to @lost; any other failure ends it. */
static int
note_result(GPtrArray *records, guint i, GPtrArray *lost, int result, int former)
{
    if (result == -ENOENT)
        g_ptr_array_add(lost, g_steal_pointer(&records->pdata[i]));
    return former == 0 && result != -ENOENT ? result : former;
}

/* Each read that was started is waited for. */
static int
read_headers(VimgCluster *cluster, GPtrArray *records, GPtrArray *lost)
{
    g_autofree HeaderRead *reads = g_new0(HeaderRead, WINDOW);
    int result = 0;
    guint i;

    for (i = 0; i < records->len + WINDOW; i++) {
        HeaderRead *slot = &reads[i % WINDOW];

        if (slot->record)
            result = note_result(records, i - WINDOW, lost, end_read(cluster, slot), result);
        memset(slot, 0, sizeof(*slot));
        if (i >= records->len || result < 0)
            continue;
        if (*((VimgCephRecord *)records->pdata[i])->id)
            start_read(cluster, records->pdata[i], slot);
        else
            result = note_result(records, i, lost, read_old(cluster, records->pdata[i]), result);
    }
    return result;
}

static void
free_record(gpointer data)
{
    vimg_ceph_record_free(data);
}

static VimgCephRecord *
add_record(GPtrArray *records, const char *name, const char *id)
{
    VimgCephRecord *record = g_new0(VimgCephRecord, 1);

    record->rbd = g_strdup(name);
    record->id = g_strdup(id);
    record->info.size = sizeof(record->info);
    g_ptr_array_add(records, record);
    return record;
}

static int
name_images(VimgCluster *cluster, GPtrArray *records)
{
    g_autofree rbd_image_spec_t *images = NULL;
    size_t n = 1024;
    int result = -ERANGE;
    size_t i;

    while (result == -ERANGE && n <= MAX_IMAGES) {
        images = g_renew(rbd_image_spec_t, images, n);
        result = rbd_list2(cluster->io, images, &n);
    }
    for (i = 0; result >= 0 && i < n; i++)
        add_record(records, images[i].name, images[i].id);
    if (result >= 0)
        rbd_image_spec_list_cleanup(images, n);
    return MIN(result, 0);
}

/* Only what a user moved there; the rest is RBD's own affair. */
static int
name_trash(VimgCluster *cluster, GPtrArray *records)
{
    g_autofree rbd_trash_image_info_t *entries = NULL;
    size_t n = 1024;
    int result = -ERANGE;
    size_t i;

    while (result == -ERANGE && n <= MAX_IMAGES) {
        entries = g_renew(rbd_trash_image_info_t, entries, n);
        result = rbd_trash_list(cluster->io, entries, &n);
    }
    for (i = 0; result >= 0 && i < n; i++) {
        if (entries[i].source == RBD_TRASH_IMAGE_SOURCE_USER)
            add_record(records, entries[i].name, entries[i].id)->info.deleted =
                MAX(1, entries[i].deletion_time);
    }
    if (result >= 0)
        rbd_trash_list_cleanup(entries, n);
    return MIN(result, 0);
}

/*
 * A removal or a restoration that was cut short leaves an image in both places; it is an image then
 * until it is removed again.
 */
static int
drop_images(VimgCluster *cluster, GPtrArray *trash)
{
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func(free_record);
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
    int result = name_images(cluster, images);
    guint i;

    for (i = 0; i < images->len; i++)
        g_hash_table_add(ids, ((VimgCephRecord *)images->pdata[i])->id);
    for (i = trash->len; i > 0; i--) {
        if (g_hash_table_contains(ids, ((VimgCephRecord *)trash->pdata[i - 1])->id))
            g_ptr_array_remove_index(trash, i - 1);
    }
    return result;
}

static GPtrArray *
read_all(VimgCluster *cluster, gboolean trash, GPtrArray *lost, GError **error)
{
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func(free_record);
    int result = trash ? name_trash(cluster, records) : name_images(cluster, records);

    if (result == 0 && trash && records->len > 0)
        result = drop_images(cluster, records);
    if (result == 0)
        result = read_headers(cluster, records, lost);
    if (result < 0) {
        vimg_cluster_throw(error, result, _("cannot list the images of RADOS pool '%s'"),
                           cluster->pool);
        return NULL;
    }
    while (g_ptr_array_remove(records, NULL))
        continue;
    return g_steal_pointer(&records);
}

GPtrArray *
vimg_ceph_read_all(VimgCluster *cluster, gboolean trash, GError **error)
{
    g_autoptr(GPtrArray) lost = g_ptr_array_new_with_free_func(free_record);

    return read_all(cluster, trash, lost, error);
}

GPtrArray *
vimg_ceph_read_rests(VimgCluster *cluster, gboolean trash, GError **error)
{
    g_autoptr(GPtrArray) lost = g_ptr_array_new_with_free_func(free_record);
    g_autoptr(GPtrArray) records = read_all(cluster, trash, lost, error);
    guint i;

    for (i = lost->len; i > 0; i--) {
        if (!vimg_ceph_record_is_staged(lost->pdata[i - 1]))
            g_ptr_array_remove_index(lost, i - 1);
    }
    return records ? g_steal_pointer(&lost) : NULL;
}

gboolean
vimg_ceph_check_whole(VimgCluster *cluster, GError **error)
{
    g_autoptr(GPtrArray) lost = g_ptr_array_new_with_free_func(free_record);
    g_autoptr(GPtrArray) records = read_all(cluster, FALSE, lost, error);
    guint i;

    for (i = 0; records && i < lost->len; i++) {
        const VimgCephRecord *record = lost->pdata[i];
        g_autofree char *name = NULL;

        /* one that was removed meanwhile has no name, either */
        if (!vimg_ceph_record_is_staged(record) &&
            vimg_layout_name_of(cluster, record->id, &name) != -ENOENT)
            return throw_error(error, VIMG_ERROR_DAMAGED, _("RBD image '%s' has no header"),
                               record->rbd);
    }
    return records != NULL;
}
