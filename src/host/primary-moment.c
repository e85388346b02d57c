/*
 * primary-moment.c: what a volume of the host held when an image was made of it
 *
 * The next image of it needs no more than what was changed since, and that image.  Of each volume
 * and pool of ours one moment is kept, that of the newest image; two while the next is being made.
 * A file says of each where it is, from before it is kept until after it was dropped: what a
 * command left that died goes with the next image of the volume, or a cleanup of the pool.  Those
 * of a pool that is undefined the reaper drops, when it can: libvirt deletes no volume before.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/primary-moment.h"
#include "host/primary-since.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/uuid.h"

#define GROUP "moment"
#define SUFFIX ".moment"
#define FILE_MAX 65536 /* bytes */

/* One that is noted. */
typedef struct {
    char *image;  /* its uuid, which the moment is called by */
    char *images; /* uuid of our pool */
    char *pool;   /* uuid of the host's */
    char *volume;
    char *content; /* content_of() its image, which was filled from here; NULL: it was not */
} Moment;

static void
moment_free(gpointer data)
{
    Moment *moment = data;

    g_free(moment->image);
    g_free(moment->images);
    g_free(moment->pool);
    g_free(moment->volume);
    g_free(moment->content);
    g_free(moment);
}

/* ---- what is noted ---------------------------------------------------------------------- */

static char *
note_path(VimgHostPrimary *primary, const char *image)
{
    g_autofree char *base = g_strconcat(image, SUFFIX, NULL);

    return g_build_filename(primary->journal_dir, base, NULL);
}

static gboolean
note(VimgHostPrimary *primary, const Moment *moment, GError **error)
{
    g_autofree char *path = note_path(primary, moment->image);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    gsize size = 0;

    g_key_file_set_string(file, GROUP, "images", moment->images);
    g_key_file_set_string(file, GROUP, "pool", moment->pool);
    g_key_file_set_string(file, GROUP, "volume", moment->volume);
    if (moment->content)
        g_key_file_set_string(file, GROUP, "content", moment->content);
    text = g_key_file_to_data(file, &size, NULL);
    return vimg_file_replace(path, text, size, 0600, error);
}

static void
forget(VimgHostPrimary *primary, const char *image)
{
    g_autofree char *path = note_path(primary, image);
    g_autoptr(GError) error = NULL;

    if (!vimg_file_remove(path, &error))
        vimg_warning("%s", error->message);
}

/* Returns: (transfer full) NULL: it is none. */
static Moment *
load(VimgHostPrimary *primary, const char *base)
{
    g_autofree char *image =
        g_str_has_suffix(base, SUFFIX) ? g_strndup(base, strlen(base) - strlen(SUFFIX)) : NULL;
    g_autofree char *path = image ? note_path(primary, image) : NULL;
    gsize size = 0;
    g_autofree char *text = path ? vimg_file_read(path, FILE_MAX, &size, NULL) : NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    Moment *moment;

    if (!text || !g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL))
        return NULL;
    moment = g_new0(Moment, 1);
    moment->image = g_steal_pointer(&image);
    moment->images = g_key_file_get_string(file, GROUP, "images", NULL);
    moment->pool = g_key_file_get_string(file, GROUP, "pool", NULL);
    moment->volume = g_key_file_get_string(file, GROUP, "volume", NULL);
    moment->content = g_key_file_get_string(file, GROUP, "content", NULL);
    if (moment->images && moment->pool && moment->volume)
        return moment;
    moment_free(moment);
    return NULL;
}

/* Returns: (transfer full) of Moment: but for NULL, those of our pool @images and of one volume. */
static GPtrArray *
list(VimgHostPrimary *primary, const char *images, const char *pool, const char *volume)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(moment_free);
    g_autoptr(GDir) dir = g_dir_open(primary->journal_dir, 0, NULL);
    const char *base;

    while (dir && (base = g_dir_read_name(dir))) {
        Moment *moment = load(primary, base);

        if (!moment)
            continue;
        if ((!images || strcmp(moment->images, images) == 0) &&
            (!pool || strcmp(moment->pool, pool) == 0) &&
            (!volume || strcmp(moment->volume, volume) == 0))
            g_ptr_array_add(found, moment);
        else
            moment_free(moment);
    }
    return found;
}

/* ---- who is at it ------------------------------------------------------------------------ */

#define DROPPED (-1)

/* Returns: FALSE if it is being dropped */
static gboolean
begin_use(VimgHostPrimary *primary, const char *image)
{
    gint users;

    VIMG_LOCK_GUARD(&primary->lock);
    users = GPOINTER_TO_INT(g_hash_table_lookup(primary->moments, image));
    if (users == DROPPED)
        return FALSE;
    g_hash_table_insert(primary->moments, g_strdup(image), GINT_TO_POINTER(users + 1));
    return TRUE;
}

static void
end_use(VimgHostPrimary *primary, const char *image)
{
    gint users;

    VIMG_LOCK_GUARD(&primary->lock);
    users = GPOINTER_TO_INT(g_hash_table_lookup(primary->moments, image));
    if (users > 1)
        g_hash_table_insert(primary->moments, g_strdup(image), GINT_TO_POINTER(users - 1));
    else
        g_hash_table_remove(primary->moments, image);
}

/* Returns: whether nobody else is at it; then end_use() follows. */
static gboolean
begin_drop(VimgHostPrimary *primary, const char *image)
{
    VIMG_LOCK_GUARD(&primary->lock);
    return !g_hash_table_contains(primary->moments, image) &&
           g_hash_table_insert(primary->moments, g_strdup(image), GINT_TO_POINTER(DROPPED));
}

/* ---- dropping --------------------------------------------------------------------------- */

/* With begin_drop(). */
static gboolean
try_drop(VimgHostPrimary *primary, const VimgHostPool *pool, const Moment *moment, GError **error)
{
    if (!vimg_foreign_drop(pool->foreign, moment->volume, moment->image, error))
        return FALSE;
    forget(primary, moment->image);
    return TRUE;
}

static void
drop_now(VimgHostPrimary *primary, const VimgHostPool *pool, const Moment *moment)
{
    g_autoptr(GError) error = NULL;

    if (!try_drop(primary, pool, moment, &error))
        vimg_warning("what volume '%s' of the host's pool '%s' held for image %s is kept until a "
                     "cleanup can drop it: %s",
                     moment->volume, virStoragePoolGetName(pool->pool), moment->image,
                     error->message);
}

/* One that is read by stays: it goes with the next image, or a cleanup. */
static void
drop(VimgHostPrimary *primary, const VimgHostPool *pool, const Moment *moment)
{
    if (!begin_drop(primary, moment->image))
        return;
    drop_now(primary, pool, moment);
    end_use(primary, moment->image);
}

/* Whether its image is not there, for the reason @code. */
static gboolean
lacks(VimgHostPrimary *primary, const Moment *moment, VimgErrorCode code)
{
    g_auto(VimgSourceInfo) info = {0};
    g_autoptr(GError) error = NULL;

    return !vimg_model_image_find(primary->model, moment->images, moment->image, &info, &error) &&
           g_error_matches(error, VIMG_ERROR, (int)code);
}

/* Whether nobody needs it any more, as far as its image goes. */
static gboolean
is_left(VimgHostPrimary *primary, const Moment *moment)
{
    return lacks(primary, moment, VIMG_ERROR_NO_VOL);
}

/* Of @moments, those whose images are gone, and all but @newest whose images are complete. */
static void
retire(VimgHostPrimary *primary, const VimgHostPool *pool, GPtrArray *moments, const char *newest)
{
    for (guint i = 0; i < moments->len; i++) {
        const Moment *moment = moments->pdata[i];
        g_auto(VimgSourceInfo) info = {0};

        if (strcmp(moment->image, newest) != 0 &&
            (is_left(primary, moment) ||
             (vimg_model_image_find(primary->model, moment->images, moment->image, &info, NULL) &&
              info.active)))
            drop(primary, pool, moment);
    }
}

/* Opens where it is. */
static gboolean
find_pool(VimgHostPrimary *primary, virConnectPtr connect, const Moment *moment, VimgHostPool *pool,
          GError **error)
{
    VimgPoolId id = {0};

    return vimg_uuid_parse(moment->pool, id.uuid) &&
           vimg_host_pool_find(connect, &id, pool, error) &&
           vimg_host_pool_open_foreign(primary, connect, pool, error) && pool->foreign &&
           vimg_foreign_has_moments(pool->foreign);
}

static void
drop_where_it_is(VimgHostPrimary *primary, virConnectPtr connect, const Moment *moment)
{
    g_auto(VimgHostPool) pool = {0};
    g_autoptr(GError) error = NULL;

    if (find_pool(primary, connect, moment, &pool, &error))
        drop(primary, &pool, moment);
    else
        vimg_warning("what volume '%s' of the host's pool %s held for image %s, which is gone, "
                     "cannot be dropped: %s",
                     moment->volume, moment->pool, moment->image,
                     error ? error->message : "no backend knows such pools");
}

void
vimg_host_moments_tidy(VimgHostPrimary *primary, const char *uuid)
{
    g_autoptr(GPtrArray) moments = list(primary, uuid, NULL, NULL);
    g_autoptr(VimgHostConnect) connect = NULL;

    if (moments->len > 0)
        connect = vimg_host_primary_connect(primary, NULL, NULL, NULL);
    for (guint i = 0; connect && i < moments->len; i++)
        if (is_left(primary, moments->pdata[i]))
            drop_where_it_is(primary, connect, moments->pdata[i]);
}

/* Whatever keeps the moment itself from going, its image is no base from here on. */
void
vimg_host_moment_gone(VimgHostPrimary *primary, const char *uuid)
{
    g_autofree char *base = g_strconcat(uuid, SUFFIX, NULL);
    Moment *moment = load(primary, base);
    g_autoptr(VimgHostConnect) connect = NULL;
    g_autoptr(GError) error = NULL;

    if (!moment)
        return;
    g_clear_pointer(&moment->content, g_free);
    if (!note(primary, moment, &error))
        vimg_warning("%s", error->message);
    connect = vimg_host_primary_connect(primary, NULL, NULL, NULL);
    if (connect)
        drop_where_it_is(primary, connect, moment);
    moment_free(moment);
}

/* ---- of a pool that is undefined ---------------------------------------------------------- */

/* Also of one that was undefined under another daemon, or while a moment was kept for it. */
static gboolean
is_over(VimgHostPrimary *primary, const Moment *moment)
{
    return lacks(primary, moment, VIMG_ERROR_NO_POOL);
}

gboolean
vimg_host_moments_are_over(VimgHostPrimary *primary)
{
    g_autoptr(GPtrArray) moments = list(primary, NULL, NULL, NULL);

    for (guint i = 0; i < moments->len; i++)
        if (is_over(primary, moments->pdata[i]))
            return TRUE;
    return FALSE;
}

/* It is tried again and again, so why it cannot go is not said each time. */
static gboolean
drop_over(VimgHostPrimary *primary, virConnectPtr connect, const Moment *moment)
{
    g_auto(VimgHostPool) pool = {0};
    gboolean ok;

    if (!find_pool(primary, connect, moment, &pool, NULL) || !begin_drop(primary, moment->image))
        return FALSE;
    ok = try_drop(primary, &pool, moment, NULL);
    end_use(primary, moment->image);
    if (ok)
        vimg_info("dropped what volume '%s' of the host's pool '%s' held for image %s, whose pool "
                  "is undefined",
                  moment->volume, virStoragePoolGetName(pool.pool), moment->image);
    return ok;
}

gboolean
vimg_host_moments_reap(VimgHostPrimary *primary, virConnectPtr connect)
{
    g_autoptr(GPtrArray) moments = list(primary, NULL, NULL, NULL);
    gboolean all = TRUE;

    for (guint i = 0; i < moments->len; i++) {
        const Moment *moment = moments->pdata[i];

        if (is_over(primary, moment))
            all = connect && drop_over(primary, connect, moment) && all;
    }
    return all;
}

/* ---- keeping one ------------------------------------------------------------------------ */

/* The image, the volume and its storage.  Returns: (transfer full) the volume; NULL with @error. */
static virStorageVolPtr
look(VimgHostPrimary *primary, virConnectPtr connect, const VimgVolId *image,
     const VimgVolId *source, VimgSourceInfo *info, VimgHostPool *pool, GError **error)
{
    g_autoptr(virStorageVol) vol = NULL;

    if (!vimg_model_image_look(primary->model, image, info, error) ||
        !(vol = vimg_host_volume_find(connect, source, pool, error)))
        return NULL;
    if (info->active) {
        vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("image '%s' is complete already"),
                   info->name);
        return NULL;
    }
    if (pool->kind == VIMG_HOST_OTHERS &&
        !vimg_host_pool_open_foreign(primary, connect, pool, error))
        return NULL;
    if (pool->foreign && vimg_foreign_has_moments(pool->foreign))
        return g_steal_pointer(&vol);
    vimg_throw(
        error, VIMG_ERROR_ARGUMENT_UNSUPPORTED,
        _("volumes of pool '%1$s', which is of type '%2$s', are read whole: what was changed in them is not known"),
        virStoragePoolGetName(pool->pool), pool->type);
    return NULL;
}

/*
 * Of an image there is one moment, which its content is to be of: the first is not moved, and not
 * lost either.  Returns: whether it was kept now, with begin_drop()
 */
static gboolean
keep(VimgHostPrimary *primary, const VimgHostPool *pool, const Moment *moment, const char *name,
     GError **error)
{
    g_autofree char *path = note_path(primary, moment->image);
    g_auto(VimgSourceInfo) info = {0};
    GError *local = NULL;

    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("what a volume held is kept for image '%s' already: delete it, and make another"),
            name);
    if (!note(primary, moment, error))
        return FALSE;
    /* its pool may be undefined at any time; from here on the reaper sees this one then */
    if (!vimg_model_image_find(primary->model, moment->images, moment->image, &info, error)) {
        forget(primary, moment->image);
        return FALSE;
    }
    if (vimg_foreign_hold(pool->foreign, moment->volume, moment->image, &local))
        return TRUE;
    drop_now(primary, pool, moment);
    g_propagate_error(error, local);
    return FALSE;
}

gboolean
vimg_host_hold(VimgHostPrimary *primary, virConnectPtr connect, const VimgVolId *image,
               const VimgVolId *source, GError **error)
{
    g_auto(VimgSourceInfo) info = {0};
    g_auto(VimgHostPool) pool = {0};
    g_autoptr(virStorageVol) vol = look(primary, connect, image, source, &info, &pool, error);
    const Moment moment = {info.uuid, info.pool_uuid, pool.uuid, source->name, NULL};
    gboolean ok;

    if (!vol)
        return FALSE;
    if (!begin_drop(primary, info.uuid))
        return vimg_throw(error, VIMG_ERROR_BUSY, "'%s'", info.name);
    ok = keep(primary, &pool, &moment, info.name, error);
    end_use(primary, info.uuid);
    return ok;
}

/* ---- filling an image ------------------------------------------------------------------- */

/*
 * What an image that was wiped, and filled with anything, has no more: so its checksum alone, which
 * not each has, does not do.  Returns: (transfer full) NULL: nothing tells
 */
static char *
content_of(const VimgSourceInfo *image)
{
    if (!*image->checksum && !image->machine)
        return NULL;
    return g_strdup_printf("%s %s", image->checksum, image->machine ? image->machine : "");
}

/*
 * Whether @moment's image has what an image like @image has in common with it.  That it is complete
 * does not say so: whoever may write to an image may fill it with anything, also once it was wiped.
 */
static gboolean
serves(VimgHostPrimary *primary, const Moment *moment, const VimgSourceInfo *image,
       VimgSourceInfo *out)
{
    g_autofree char *content = NULL;

    if (!moment->content || strcmp(moment->image, image->uuid) == 0 ||
        !vimg_model_image_find(primary->model, moment->images, moment->image, out, NULL))
        return FALSE;
    content = content_of(out);
    return out->active && g_strcmp0(content, moment->content) == 0 &&
           out->physical == image->capacity && strcmp(out->format, "raw") == 0;
}

/* Returns: the image before, held as its moment is, which @out is of; NULL: there is none. */
static VimgTransfer *
open_base(VimgHostPrimary *primary, GPtrArray *moments, const VimgSourceInfo *image,
          VimgSourceInfo *out)
{
    VimgTransfer *base = NULL;

    for (guint i = 0; !base && i < moments->len; i++) {
        g_auto(VimgSourceInfo) info = {0};

        if (serves(primary, moments->pdata[i], image, &info) && begin_use(primary, info.uuid)) {
            const VimgVolId id = {info.pool, info.name, info.key};

            base = vimg_model_source(primary->model, &id, out, NULL);
            if (!base || strcmp(out->uuid, info.uuid) != 0) { /* it was renamed meanwhile */
                end_use(primary, info.uuid);
                g_clear_pointer(&base, vimg_transfer_free);
                vimg_source_info_clear(out);
            }
        }
    }
    return base;
}

static gboolean
fill_since(VimgHostFill *fill, const VimgHostPool *pool, const char *volume, const char *moment,
           const char *since, GError **error)
{
    g_autoptr(GError) local = NULL;
    VimgForeignReader *reader =
        vimg_foreign_reader_new_at(pool->foreign, volume, moment, since, fill->upload, &local);
    gboolean ok;

    if (!reader && since && g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT)) {
        fill->base_name = NULL;
        return fill_since(fill, pool, volume, moment, NULL, error);
    }
    if (!reader) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    ok = vimg_host_fill_pour(fill, reader, error);
    vimg_foreign_reader_close(reader);
    return ok && vimg_transfer_finish(fill->upload, error);
}

/* Else the next image is made of all that the volume holds. */
static void
note_filled(VimgHostPrimary *primary, const Moment *moment)
{
    g_auto(VimgSourceInfo) image = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *content = NULL;
    Moment filled = *moment;

    if (vimg_model_image_find(primary->model, moment->images, moment->image, &image, &error)) {
        filled.content = content = content_of(&image);
        if (note(primary, &filled, &error))
            return;
    }
    vimg_warning("image %s is no base of the next one of volume '%s': %s", moment->image,
                 moment->volume, error->message);
}

gboolean
vimg_host_fill(VimgHostPrimary *primary, virConnectPtr connect, const VimgVolId *image,
               const VimgVolId *source, VimgFilled *out, GError **error)
{
    g_auto(VimgSourceInfo) info = {0}, base = {0};
    g_auto(VimgHostPool) pool = {0};
    g_autoptr(virStorageVol) vol = look(primary, connect, image, source, &info, &pool, error);
    const Moment moment = {info.uuid, info.pool_uuid, pool.uuid, source->name, NULL};
    g_autoptr(GPtrArray) moments = NULL;
    VimgHostFill fill = {0};
    gboolean ok;

    if (!vol)
        return FALSE;
    if (!begin_use(primary, info.uuid))
        return vimg_throw(error, VIMG_ERROR_BUSY, "'%s'", info.name);
    fill.upload = vimg_model_upload(primary->model, image, 0, 0, TRUE, error);
    if (!fill.upload) {
        end_use(primary, info.uuid);
        return FALSE;
    }
    moments = list(primary, info.pool_uuid, pool.uuid, source->name);
    fill.base = open_base(primary, moments, &info, &base);
    fill.base_name = base.name;
    ok = fill_since(&fill, &pool, source->name, info.uuid, base.uuid, error);
    vimg_host_fill_clear(&fill);
    end_use(primary, info.uuid);
    if (fill.base)
        end_use(primary, base.uuid);
    vimg_transfer_free(fill.base);
    vimg_transfer_free(fill.upload);
    if (!ok) {
        drop(primary, &pool, &moment);
        return FALSE;
    }
    out->read = fill.read;
    out->base = g_strdup(fill.base_name);
    note_filled(primary, &moment);
    retire(primary, &pool, moments, info.uuid);
    return TRUE;
}
