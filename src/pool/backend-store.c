/*
 * backend-store.c: an open storage and its images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "util/i18n.h"
#include "util/log.h"

/* ---- names, for messages ---------------------------------------------------------------- */

static GHashTable *
names_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

char *
vimg_store_image_name(VimgStore *store, const char *uuid)
{
    const char *name;

    VIMG_LOCK_GUARD(&store->lock);
    name = g_hash_table_lookup(store->names, uuid);
    return g_strdup(name ? name : uuid);
}

void
vimg_store_remember(VimgStore *store, const VimgPluginImage *image)
{
    VIMG_LOCK_GUARD(&store->lock);
    g_hash_table_replace(store->names, g_strdup(image->uuid), g_strdup(image->name));
}

/* ---- life ------------------------------------------------------------------------------- */

static void
store_free(VimgStore *store)
{
    if (store->handle)
        store->type->table.close(store->handle);
    vimg_mutex_clear(&store->lock);
    g_hash_table_unref(store->names);
    g_free(store->id);
    g_free(store);
}

VimgStore *
vimg_store_open(const VimgType *type, const VimgPoolView *view, guint flags, VimgPluginHost *host,
                VimgPluginStore *out, GError **error)
{
    g_autoptr(VimgStore) store = g_new0(VimgStore, 1);
    VimgPluginStore sizes = {.size = sizeof(sizes)};
    GError *local = NULL;

    store->refs = 1;
    store->type = type;
    vimg_mutex_init(&store->lock);
    store->names = names_new();
    store->handle = type->table.open(vimg_pool_view_get(view), flags, host, &local);
    if (!vimg_type_settle(type, store->handle != NULL, local, NULL, error) ||
        !vimg_store_probe(store, &sizes, error))
        return NULL;
    store->id = sizes.store_id;
    if (out) {
        *out = sizes;
        out->store_id = g_strdup(store->id);
    }
    return g_steal_pointer(&store);
}

VimgStore *
vimg_store_ref(VimgStore *store)
{
    __atomic_add_fetch(&store->refs, 1, __ATOMIC_RELAXED);
    return store;
}

void
vimg_store_unref(VimgStore *store)
{
    if (store && __atomic_sub_fetch(&store->refs, 1, __ATOMIC_ACQ_REL) == 0)
        store_free(store);
}

const VimgType *
vimg_store_type(const VimgStore *store)
{
    return store->type;
}

gboolean
vimg_store_update(VimgStore *store, const VimgPoolView *view, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.update)
        return TRUE; /* by contract the change waits for the next open */
    ok = store->type->table.update(store->handle, vimg_pool_view_get(view), &local);
    return vimg_type_settle(store->type, ok, local, NULL, error);
}

gboolean
vimg_store_probe(VimgStore *store, VimgPluginStore *out, GError **error)
{
    VimgPluginStore sizes = {.size = sizeof(sizes)};
    g_autofree char *id = NULL;
    g_autofree char *lie = NULL;
    GError *local = NULL;
    gboolean ok;

    ok = store->type->table.probe(store->handle, &sizes, &local);
    if (!vimg_type_settle(store->type, ok, local, NULL, error))
        return FALSE;
    id = sizes.store_id;
    lie = vimg_store_lie(&sizes);
    if (lie)
        return vimg_type_nonsense(store->type, NULL, error, "%s", lie);
    if (store->id && strcmp(store->id, id) != 0)
        return vimg_throw(error, VIMG_ERROR_DISCONNECTED,
                          _("the storage is now '%1$s' and no longer '%2$s'"), id, store->id);
    *out = sizes;
    out->store_id = g_steal_pointer(&id);
    return TRUE;
}

/* ---- images ----------------------------------------------------------------------------- */

/* @image as others may see it: NULL where a text is owed becomes words. */
static void
complete_image(VimgPluginImage *image)
{
    if (image->state == VIMG_IMAGE_ERROR && !image->reason)
        image->reason = g_strdup(_("no reason given"));
}

gboolean
vimg_store_accept(VimgStore *store, VimgPluginImage *out, const char *uuid, const char *name,
                  GError **error)
{
    g_autofree char *lie = NULL;

    if (out->size != sizeof(*out))
        lie = g_strdup_printf("image of %zu bytes", out->size);
    else
        lie = vimg_image_lie(store->type, out);
    if (!lie && strcmp(out->uuid, uuid) != 0)
        lie = g_strdup_printf("uuid %s for image %s", out->uuid, uuid);
    if (!lie && name && strcmp(out->name, name) != 0)
        lie = g_strdup_printf("another name for image %s", uuid);
    if (lie) {
        g_autofree char *known = name ? g_strdup(name) : vimg_store_image_name(store, uuid);

        out->size = sizeof(*out);
        vimg_plugin_image_clear(out);
        return vimg_type_nonsense(store->type, known, error, "%s", lie);
    }
    complete_image(out);
    vimg_store_remember(store, out);
    return TRUE;
}

typedef struct {
    VimgStore *store;
    VimgImageSink sink;
    gpointer data;
    GHashTable *uuids; /* of those passed on: char * uuid → char * name; its own */
    GHashTable *names; /* set of char *, borrowed from @uuids; its own */
    gboolean trash;    /* where many may have one name */
    gboolean stopped;  /* by @sink */
    guint left_out;
} Listing;

static Listing
listing_of(VimgStore *store, VimgImageSink sink, gpointer data)
{
    return (Listing){.store = store,
                     .sink = sink,
                     .data = data,
                     .uuids = names_new(),
                     .names = g_hash_table_new(g_str_hash, g_str_equal)};
}

static void
listing_clear(Listing *listing)
{
    g_hash_table_unref(listing->names);
    g_hash_table_unref(listing->uuids);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listing, listing_clear)

/* Returns: NULL, or (transfer full) why @image is not passed on. */
static char *
listing_lie(const Listing *listing, const VimgPluginImage *image)
{
    char *lie = vimg_image_lie(listing->store->type, image);

    if (lie)
        return lie;
    if (g_hash_table_contains(listing->uuids, image->uuid))
        return g_strdup_printf("image %s listed twice", image->uuid);
    if (!listing->trash && g_hash_table_contains(listing->names, image->name))
        return g_strdup_printf("two images named '%s'", image->name);
    if (listing->trash && image->deleted == 0)
        return g_strdup_printf("image %s in the trash that nobody deleted", image->uuid);
    return NULL;
}

static gboolean
list_one(const VimgPluginImage *image, gpointer data)
{
    Listing *listing = data;
    g_autofree char *lie = NULL;
    g_autofree char *reason = NULL;
    VimgPluginImage known = {0};
    char *name;

    if (listing->stopped) {
        vimg_type_complain(listing->store->type, "a listing went on after it was stopped");
        return FALSE;
    }
    lie = listing_lie(listing, image);
    if (lie) {
        vimg_type_complain(listing->store->type, "left out of the list: %s", lie);
        listing->left_out++;
        return TRUE;
    }
    memcpy(&known, image, MIN(image->size, sizeof(known)));
    known.size = sizeof(known);
    complete_image(&known);
    if (!image->reason)
        reason = known.reason;
    name = g_strdup(known.name);
    g_hash_table_replace(listing->uuids, g_strdup(known.uuid), name);
    g_hash_table_add(listing->names, name);
    listing->stopped = !listing->sink(&known, listing->data);
    return !listing->stopped;
}

/* @list: one of the backend's callbacks that list images. */
static gboolean
run_listing(Listing *listing,
            gboolean (*list)(gpointer handle, VimgImageSink sink, gpointer data, GError **error),
            GError **error)
{
    GError *local = NULL;
    gboolean ok = list(listing->store->handle, list_one, listing, &local);

    return vimg_type_settle(listing->store->type, ok, local, NULL, error);
}

gboolean
vimg_store_list(VimgStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    g_auto(Listing) listing = listing_of(store, sink, data);

    if (!run_listing(&listing, store->type->table.list, error))
        return FALSE;
    if (!listing.stopped) {
        GHashTable *old;

        vimg_mutex_lock(&store->lock);
        old = store->names;
        store->names = listing.uuids;
        vimg_mutex_unlock(&store->lock);
        listing.uuids = old; /* freed with no lock held */
    }
    return TRUE;
}

typedef struct {
    const VimgType *type;
    VimgFileSink sink;
    gpointer data;
    GHashTable *names; /* of those passed on; set of char * */
    GHashTable *origins;
    gboolean stopped; /* by @sink */
} FileListing;

/* Returns: NULL, or (transfer full) why @file is not passed on. */
static char *
file_lie(const FileListing *listing, const VimgPluginFile *file)
{
    g_autoptr(GError) error = NULL;

    if (file->size < sizeof(*file))
        return g_strdup_printf("a file of %zu bytes", file->size);
    if (!file->name || !vimg_name_check("volume", file->name, &error))
        return g_strdup(error ? error->message : "no name");
    if (!file->origin || !vimg_text_check(file->origin))
        return g_strdup("impossible origin");
    if (file->length > G_MAXINT64 || file->allocation > file->length)
        return g_strdup("impossible size");
    if (g_hash_table_contains(listing->names, file->name))
        return g_strdup_printf("two files named '%s'", file->name);
    if (g_hash_table_contains(listing->origins, file->origin))
        return g_strdup_printf("two files of origin '%s'", file->origin);
    return NULL;
}

static gboolean
list_file(const VimgPluginFile *file, gpointer data)
{
    FileListing *listing = data;
    g_autofree char *lie = NULL;

    if (listing->stopped) {
        vimg_type_complain(listing->type, "a listing of files went on after it was stopped");
        return FALSE;
    }
    lie = file_lie(listing, file);
    if (lie) {
        vimg_type_complain(listing->type, "a file is left out: %s", lie);
        return TRUE;
    }
    g_hash_table_add(listing->names, g_strdup(file->name));
    g_hash_table_add(listing->origins, g_strdup(file->origin));
    listing->stopped = !listing->sink(file, listing->data);
    return !listing->stopped;
}

gboolean
vimg_store_list_files(VimgStore *store, VimgFileSink sink, gpointer data, VimgPluginJob *job,
                      GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) origins = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    FileListing listing = {store->type, sink, data, names, origins, FALSE};
    GError *local = NULL;
    gboolean ok = store->type->table.file_list(store->handle, list_file, &listing, job, &local);

    return vimg_type_settle(store->type, ok, local, NULL, error);
}

/* Storages differ in what they offer: stock's words for each. */
static gboolean
unsupported(GError **error, const char *what)
{
    return vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s", what);
}

static gboolean
throw_no_trash(GError **error)
{
    return unsupported(error, _("storage pool does not keep deleted volumes"));
}

gboolean
vimg_store_list_trash(VimgStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    g_auto(Listing) listing = listing_of(store, sink, data);

    if (!store->type->table.list_trash)
        return throw_no_trash(error);
    listing.trash = TRUE;
    return run_listing(&listing, store->type->table.list_trash, error);
}

gboolean
vimg_store_list_whole(VimgStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    g_auto(Listing) listing = listing_of(store, sink, data);

    if (!store->type->table.list_whole)
        return unsupported(error, _("storage pool cannot tell whether its list is whole"));
    if (!run_listing(&listing, store->type->table.list_whole, error))
        return FALSE;
    return (listing.left_out == 0 && !listing.stopped) ||
           vimg_throw(error, VIMG_ERROR_FAILED, "%s",
                      _("storage pool has images that cannot be listed"));
}

gboolean
vimg_store_create(VimgStore *store, const VimgPluginImage *image, VimgPluginImage *out,
                  GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.create)
        return unsupported(error, _("storage pool does not support volume creation"));
    ok = store->type->table.create(store->handle, image, out, &local);
    return vimg_type_settle(store->type, ok, local, image->name, error) &&
           vimg_store_accept(store, out, image->uuid, image->name, error);
}

/* As vimg_type_settle(), for the image @uuid. */
static gboolean
settle(VimgStore *store, const char *uuid, gboolean ok, GError *local, GError **error)
{
    g_autofree char *name = ok ? NULL : vimg_store_image_name(store, uuid);

    return vimg_type_settle(store->type, ok, local, name, error);
}

gboolean
vimg_store_stat(VimgStore *store, const char *uuid, VimgPluginImage *out, GError **error)
{
    GError *local = NULL;
    gboolean ok = store->type->table.stat(store->handle, uuid, out, &local);

    return settle(store, uuid, ok, local, error) &&
           vimg_store_accept(store, out, uuid, NULL, error);
}

typedef gboolean (*RemoveFunc)(gpointer handle, const char *uuid, GError **error);

static gboolean
remove_by(VimgStore *store, RemoveFunc func, const char *uuid, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!func)
        return unsupported(error, _("storage pool does not support vol deletion"));
    ok = func(store->handle, uuid, &local);
    if (!settle(store, uuid, ok, local, error))
        return FALSE;
    VIMG_LOCK_GUARD(&store->lock);
    g_hash_table_remove(store->names, uuid);
    return TRUE;
}

gboolean
vimg_store_remove_image(VimgStore *store, const char *uuid, GError **error)
{
    return remove_by(store, store->type->table.remove_image, uuid, error);
}

gboolean
vimg_store_discard(VimgStore *store, const char *uuid, GError **error)
{
    const VimgBackend *table = &store->type->table;

    return remove_by(store, table->discard ? table->discard : table->remove_image, uuid, error);
}

gboolean
vimg_store_restore(VimgStore *store, const char *uuid, const char *name, VimgPluginImage *out,
                   GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.restore)
        return throw_no_trash(error);
    ok = store->type->table.restore(store->handle, uuid, name, out, &local);
    return vimg_type_settle(store->type, ok, local, name, error) &&
           vimg_store_accept(store, out, uuid, name, error);
}

gboolean
vimg_store_purge(VimgStore *store, const char *uuid, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.purge)
        return throw_no_trash(error);
    ok = store->type->table.purge(store->handle, uuid, &local);
    return settle(store, uuid, ok, local, error);
}

gboolean
vimg_store_resize(VimgStore *store, const char *uuid, guint64 capacity, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.resize)
        return unsupported(error, _("storage pool does not support changing of volume capacity"));
    ok = store->type->table.resize(store->handle, uuid, capacity, &local);
    return settle(store, uuid, ok, local, error);
}

gboolean
vimg_store_wipe(VimgStore *store, const char *uuid, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.wipe)
        return unsupported(error, _("storage pool doesn't support volume wiping"));
    ok = store->type->table.wipe(store->handle, uuid, &local);
    return settle(store, uuid, ok, local, error);
}

gboolean
vimg_store_set_error(VimgStore *store, const char *uuid, const char *reason, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.set_error)
        return unsupported(error, _("storage pool does not support marking volumes as unusable"));
    ok = store->type->table.set_error(store->handle, uuid, reason, &local);
    return settle(store, uuid, ok, local, error);
}

gboolean
vimg_store_can_clone(VimgStore *a, VimgStore *b)
{
    return a->type == b->type && a->type->table.clone && strcmp(a->id, b->id) == 0;
}

gboolean
vimg_store_may_clone(VimgStore *store, VimgStore *from)
{
    return vimg_store_can_clone(from, store) ||
           (from->type == store->type && store->type->table.clone_from);
}

gboolean
vimg_store_clone(VimgStore *store, VimgStore *from, const char *source,
                 const VimgPluginImage *image, VimgPluginJob *job, VimgPluginImage *out,
                 GError **error)
{
    const VimgBackend *table = &store->type->table;
    GError *local = NULL;
    gboolean ok;

    if (!vimg_store_may_clone(store, from))
        return unsupported(
            error, _("storage pool does not support volume creation from an existing volume"));
    ok = vimg_store_can_clone(from, store)
             ? table->clone(store->handle, source, image, job, out, &local)
             : table->clone_from(store->handle, from->handle, source, image, job, out, &local);
    if (!vimg_type_settle(store->type, ok, local, image->name, error) ||
        !vimg_store_accept(store, out, image->uuid, image->name, error))
        return FALSE;
    if (out->state == VIMG_IMAGE_ACTIVE)
        return TRUE;
    vimg_plugin_image_clear(out);
    return vimg_type_nonsense(store->type, image->name, error, "a clone that is not active");
}

gboolean
vimg_store_flatten(VimgStore *store, const char *uuid, VimgPluginJob *job, VimgPluginImage *out,
                   GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!store->type->table.flatten)
        return vimg_store_stat(store, uuid, out, error);
    ok = store->type->table.flatten(store->handle, uuid, job, out, &local);
    return settle(store, uuid, ok, local, error) &&
           vimg_store_accept(store, out, uuid, NULL, error);
}

gboolean
vimg_store_can_write(VimgStore *store)
{
    return store->type->table.writer_open != NULL;
}

gboolean
vimg_store_can_resume(VimgStore *store)
{
    return store->type->table.writer_read != NULL;
}
