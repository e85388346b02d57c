/*
 * export-create.c: a new export: what is asked for, its token, its URL
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "pool/export.h"
#include "util/i18n.h"
#include "util/log.h"

#define LIFE_MAX ((guint64)3660 * 86400) /* seconds, of an export */
#define SERVED_WAIT (10 * G_USEC_PER_SEC)
#define TOKEN_SIZE 32 /* random bytes */

/* What is zeros and data at the offsets that a guest sees, in a file with tables or without. */
static gboolean
can_convert(const char *stored, gboolean plain, const char *asked)
{
    return (plain && strcmp(asked, "qcow2") == 0) ||
           (g_strcmp0(stored, "qcow2") == 0 && strcmp(asked, "raw") == 0);
}

/* What is stored as it would be served, or is made so. */
static gboolean
choose_format(const char *stored, const char *asked, VimgExportRecord *record, GError **error)
{
    gboolean plain = g_strcmp0(stored, "raw") == 0 || g_strcmp0(stored, "iso") == 0;

    if (!asked || g_strcmp0(asked, stored) == 0 || (plain && strcmp(asked, "raw") == 0)) {
        record->format = g_strdup(stored ? stored : "raw");
        return TRUE;
    }
    record->format = g_strdup(asked);
    record->convert = can_convert(stored, plain, asked);
    return record->convert ||
           vimg_throw(
               error, VIMG_ERROR_OPERATION_UNSUPPORTED,
               _("an image stored as %1$s cannot be exported as %2$s: export it as it is, and convert the download with 'qemu-img convert -f %1$s -O %2$s'"),
               stored ? stored : "raw", asked);
}

/* "debian.raw" that is made qcow2 is downloaded as "debian.qcow2", and so the other way. */
static char *
name_download(const char *name, const VimgExportRecord *record)
{
    static const char *const suffixes[] = {".raw", ".img", ".iso", ".qcow2"};
    gsize size = strlen(name);

    for (gsize i = 0; record->convert && i < G_N_ELEMENTS(suffixes); i++) {
        if (size > strlen(suffixes[i]) && g_str_has_suffix(name, suffixes[i])) {
            size -= strlen(suffixes[i]);
            break;
        }
    }
    return g_strdup_printf("%.*s%s%s%s", (int)size, name, record->convert ? "." : "",
                           record->convert ? record->format : "", record->compress ? ".zst" : "");
}

VimgExportRecord *
vimg_export_record_new(const VimgPool *pool, const VimgPluginImage *image,
                       const VimgExportRequest *request, GError **error)
{
    g_autoptr(VimgExportRecord) record = g_new0(VimgExportRecord, 1);
    guint8 uuid[VIMG_UUID_SIZE];

    if (request->lifetime == 0 || request->lifetime > LIFE_MAX) {
        vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("an export lives from 1 to %llu seconds"),
                   VIMG_ULL(LIFE_MAX));
        return NULL;
    }
    if (!choose_format(image->format, request->format, record, error))
        return NULL;
    if (request->direct && (record->convert || request->compress)) {
        vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED, "%s",
                   _("the storage gives out an image as it is stored: export it without --direct"));
        return NULL;
    }
    vimg_uuid_random(uuid);
    vimg_uuid_format(uuid, record->id);
    memcpy(record->pool, pool->uuid_text, sizeof(record->pool));
    g_strlcpy(record->image, image->uuid, sizeof(record->image));
    record->pool_name = g_strdup(vimg_pool_name(pool));
    record->name = g_strdup(image->name);
    record->generation = g_strdup(image->generation);
    record->compress = request->compress;
    record->direct = request->direct;
    record->file = name_download(image->name, record);
    record->capacity = image->capacity;
    record->stored = record->size = image->physical;
    record->created = vimg_export_now();
    record->expires = record->created + (gint64)request->lifetime;
    return g_steal_pointer(&record);
}

/* Returns: (transfer full) a token; its hash is what @hash becomes. */
static char *
make_token(guint8 hash[VIMG_EXPORT_HASH_SIZE], GError **error)
{
    guint8 random[TOKEN_SIZE];
    char *token;

    if (getentropy(random, sizeof(random)) < 0) {
        vimg_throw_errno(error, _("cannot make a token"));
        return NULL;
    }
    token = g_base64_encode(random, sizeof(random));
    explicit_bzero(random, sizeof(random));
    g_strdelimit(token, "+", '-');
    g_strdelimit(token, "/", '_');
    *strchr(token, '=') = '\0';
    EVP_Digest(token, strlen(token), hash, NULL, EVP_sha256(), NULL);
    return token;
}

/* In the table first, so that there is no moment in which its image may be purged here. */
static gboolean
publish(VimgExports *exports, VimgExport *export, GError **error)
{
    if (!vimg_exports_add(exports, export, error))
        return FALSE;
    if ((!export->layout ||
         vimg_export_map_save(exports->dir, export->record, export->layout, error)) &&
        vimg_export_save(exports, export, error))
        return TRUE;
    vimg_exports_remove(exports, export);
    return FALSE;
}

static VimgExport *
make_export(VimgUse *use, const VimgExportRequest *request, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(VimgExport) export = NULL;
    VimgExportRecord *record;

    vimg_use_image(use, &image);
    record = vimg_export_record_new(use->pool, &image, request, error);
    if (!record)
        return NULL;
    export = vimg_export_new(record);
    if (!record->convert)
        return g_steal_pointer(&export);
    if (vimg_export_record_unpacks(record))
        return vimg_export_find_guest(use, &image, &record->size, error) ? g_steal_pointer(&export)
                                                                         : NULL;
    export->layout = vimg_export_lay_out(use, &image, error);
    if (!export->layout)
        return NULL;
    record->size = vimg_qcow2_layout_size(export->layout);
    return g_steal_pointer(&export);
}

static char *
make_url(const VimgExports *exports, const VimgExportRecord *record, const char *token)
{
    g_autofree char *file = g_uri_escape_string(record->file, NULL, FALSE);

    return g_strdup_printf("%s/%s/%s", exports->url, token, file);
}

static void
free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    g_free(text);
}

/* Where the export is served, here or by the storage.  Returns: (transfer full) */
static char *
find_url(VimgExports *exports, VimgUse *use, VimgExportRecord *record, GError **error)
{
    GError *local = NULL;
    char *token, *url;

    if (!record->direct) {
        token = make_token(record->hash, error);
        url = token ? make_url(exports, record, token) : NULL;
        free_secret(token);
        return url;
    }
    url = vimg_store_direct_url(vimg_session_store(use->session), record->image, record->expires,
                                use->job, &local);
    if (local) {
        vimg_use_failed(use, local);
        g_propagate_error(error, local);
    }
    return url;
}

static VimgExportInfo *
create(VimgExports *exports, VimgUse *use, const VimgExportRequest *request, char **url,
       GError **error)
{
    g_autoptr(VimgExport) export = make_export(use, request, error);
    VimgExportInfo *info;
    char *made;

    made = export ? find_url(exports, use, export->record, error) : NULL;
    if (!made)
        return NULL;
    /* what is promised is what is there */
    if (!vimg_export_promise(use, export->record, error) ||
        !vimg_use_confirm(use, export->record->image, export->record->name,
                          export->record->generation, error) ||
        !publish(exports, export, error)) {
        vimg_export_release(exports, export);
        free_secret(made);
        return NULL;
    }
    *url = made;
    info = vimg_export_info(exports, export);
    vimg_export_sum(exports, export);
    vimg_info("volume '%s' of storage pool '%s' is exported: %s", info->image, info->pool,
              info->id);
    return info;
}

/* A URL that nobody answers is worth nothing. */
static gboolean
wait_until_served(const VimgModel *model, GError **error)
{
    VimgExports *exports = model->exports;
    gint64 deadline = g_get_monotonic_time() + SERVED_WAIT;

    VIMG_LOCK_GUARD(&exports->lock);
    while (exports->unserved && !exports->unserved_why &&
           !__atomic_load_n(&model->hurried, __ATOMIC_ACQUIRE)) {
        if (!vimg_cond_wait_until(&exports->changed, &exports->lock, deadline))
            break;
    }
    if (!exports->unserved)
        return TRUE;
    if (exports->unserved_why)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("exports are not served: %s (it is tried again every minute)"),
                          exports->unserved_why);
    if (__atomic_load_n(&model->hurried, __ATOMIC_ACQUIRE))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the daemon is shutting down"));
    return vimg_throw(error, VIMG_ERROR_BUSY, "%s",
                      _("the server of exports is being started: try again"));
}

VimgExportInfo *
vimg_model_export_create(VimgModel *model, const VimgPoolId *id, const VimgExportRequest *request,
                         char **url, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    VimgVolId vol = {.pool = id->name, .name = (char *)request->image};
    g_auto(VimgUse) use = {0};
    VimgExportInfo *info;

    *url = NULL;
    if (!pool)
        return NULL;
    if (!model->exports->url && !request->direct) {
        vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED, "%s",
                   _("exports are not served here: set export_listen in virtimaged.conf"));
        return NULL;
    }
    if (!request->direct && !wait_until_served(model, error))
        return NULL;
    if (!vimg_use_volume_of(pool, &vol, VIMG_ACTION_DOWNLOAD, VIMG_EXPORT_KIND, &use, error))
        return NULL;
    info = create(model->exports, &use, request, url, error);
    if (!info)
        vimg_use_fail(&use, error);
    return info;
}
