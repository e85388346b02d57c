/*
 * import.c: an image whose content the daemon fetches itself
 *
 * An import is an upload whose client is a URL: the same intake looks at it, the same states are
 * left behind.  What was cut off goes on near the durable end if the source can tell that it is the
 * same yet; else, and of what is packed, all of it comes again and what is stored is compared.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fetch/unpack.h"
#include "pool/import-note.h"
#include "pool/import-report.h"
#include "pool/import-rules.h"
#include "pool/intake.h"
#include "pool/model-private.h"
#include "pool/transfer-digest.h"
#include "util/i18n.h"
#include "util/log.h"

#define KIND "import"
#define RAW "raw"
/* The end of what is stored, compared once more: another host may have stored something else. */
#define OVERLAP ((guint64)1024 * 1024)

typedef struct {
    VimgModel *model;
    const VimgImportRequest *request;
    VimgUse use;
    VimgFetch *fetch;
    guint64 length;     /* as it comes; 0: not known */
    guint64 allocation; /* of @length */
    VimgExtent head;    /* the first piece, until it was taken */
    const char *packed; /* how; NULL: not at all */
    gboolean made;      /* the image is new */
    gboolean unsized;   /* nobody knows the capacity beforehand */
    gboolean told;      /* what the format is, the image does not know yet */

    VimgPluginImage declared; /* what the intake is told */
    char *digest_type;        /* expected of what comes; NULL: nothing is */
    char *digest_text;
    gboolean by_intake; /* it makes that digest */
    VimgDigest *digest; /* else */
    VimgUnpack *unpack;
    VimgWriter *writer;
    VimgIntake *intake;
    char *identity; /* of the source, to be noted once more than before is durable; or NULL */
    guint64 begun;  /* offset of the first byte fetched */
    guint64 came;   /* bytes fetched */
    gboolean bad;   /* the content can never become this image */
} Import;

static void
import_clear(Import *import)
{
    g_clear_pointer(&import->intake, vimg_intake_free);
    vimg_writer_abort(g_steal_pointer(&import->writer));
    vimg_unpack_free(import->unpack);
    vimg_digest_free(import->digest);
    vimg_buffer_unref(import->head.data);
    vimg_fetch_close(import->fetch);
    vimg_plugin_image_clear(&import->declared);
    g_free(import->digest_type);
    g_free(import->digest_text);
    g_free(import->identity);
    vimg_use_clear(&import->use);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Import, import_clear)

/* ---- what is asked for ------------------------------------------------------------------ */

static gboolean
is_there(VimgPool *pool, const char *name)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return vimg_cache_find(pool, name) != NULL;
}

/* The image of that name, which is saving, or the name for a new one. */
static gboolean
take_name(Import *import, VimgPool *pool, GError **error)
{
    const VimgImportRequest *request = import->request;
    const VimgVolId id = {.pool = (char *)vimg_pool_name(pool), .name = (char *)request->name};

    if (!vimg_name_check_argument("volume", request->name, error))
        return FALSE;
    import->made = !is_there(pool, request->name);
    return import->made
               ? vimg_use_create(pool, request->name, KIND, &import->use, error)
               : vimg_use_volume_of(pool, &id, VIMG_ACTION_UPLOAD, KIND, &import->use, error);
}

static gboolean
check_format(Import *import, GError **error)
{
    const VimgType *type = vimg_store_type(vimg_session_store(import->use.session));
    const char *format = import->request->format;

    if (format && !vimg_type_has_format(type, format))
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("unknown volume format type %s"),
                          format);
    if (!format && import->made && !vimg_type_takes_undeclared(type))
        return vimg_throw(error, VIMG_ERROR_ARGUMENT_UNSUPPORTED, "%s",
                          _("this type of storage pool must be told the format of an image"));
    return TRUE;
}

/* ---- the source ------------------------------------------------------------------------- */

static gboolean
is_cancelled(gpointer job)
{
    return vimg_job_cancelled(job);
}

static gboolean
check_size(Import *import, guint64 size, GError **error)
{
    guint64 most = import->model->imports->max_size;

    return size <= most ||
           vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                      _("the image is larger than %llu bytes (import_max_size in virtimaged.conf)"),
                      VIMG_ULL(most));
}

static gboolean
connect_source(Import *import, GError **error)
{
    const VimgImportRequest *request = import->request;
    VimgJob *job = import->use.job;

    vimg_job_progress(job, "connecting", 0, 0);
    import->fetch =
        vimg_fetch_open(&import->model->imports->source, request->url, is_cancelled, job, error);
    if (!import->fetch || !vimg_fetch_next(import->fetch, &import->head, error))
        return FALSE;
    if (import->head.data)
        import->packed = vimg_unpack_recognise(import->head.data->data + import->head.offset,
                                               import->head.length);
    if (!vimg_fetch_length(import->fetch, &import->length, &import->allocation))
        import->length = import->allocation = 0;
    return check_size(import, import->length, error);
}

/* ---- the image -------------------------------------------------------------------------- */

/* What is not packed is as long as its source. */
static guint64
known_size(const Import *import)
{
    return import->packed ? 0 : import->length;
}

static gboolean
make_image(Import *import, GError **error)
{
    VimgUse *use = &import->use;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup(import->request->name);
    image.format = g_strdup(import->request->format);
    image.capacity = known_size(import);
    image.created = g_get_real_time() / G_USEC_PER_SEC;
    if (!vimg_store_create(vimg_session_store(use->session), &image, &out, error))
        return FALSE;
    vimg_use_created(use, &out, KIND);
    return TRUE;
}

/* A capacity of 0 is one that nobody knew when the image was made. */
static gboolean
declare(Import *import, GError **error)
{
    VimgPluginImage *declared = &import->declared;
    const char *format = import->request->format;

    vimg_use_image(&import->use, declared);
    if (format && declared->format && strcmp(format, declared->format) != 0)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("volume '%1$s' was declared to be '%2$s', not '%3$s'"), declared->name,
                          declared->format, format);
    import->told = format && !declared->format;
    if (import->told)
        declared->format = g_strdup(format);
    import->unsized = declared->capacity == 0;
    if (import->unsized)
        declared->capacity = import->model->imports->max_size;
    return TRUE;
}

/* What can be refused before the first byte. */
static gboolean
check_room(Import *import, GError **error)
{
    const VimgPluginImage *declared = &import->declared;
    guint64 size = known_size(import);
    guint64 needed = MIN(size, import->allocation);
    guint64 available;

    if (g_strcmp0(declared->format, RAW) == 0 && size > declared->capacity)
        return vimg_throw(
            error, VIMG_ERROR_INVALID_ARG,
            _("'%1$s' has %2$llu bytes, more than the capacity of %3$llu bytes of volume '%4$s'"),
            vimg_fetch_url(import->fetch), VIMG_ULL(size), VIMG_ULL(declared->capacity),
            declared->name);
    vimg_mutex_lock(&import->use.pool->lock);
    available = import->use.pool->sizes.available;
    vimg_mutex_unlock(&import->use.pool->lock);
    needed -= MIN(needed, declared->position);
    return needed <= available ||
           vimg_throw(error, VIMG_ERROR_NO_SPACE,
                      _("'%1$s' takes %2$llu bytes, but storage pool '%3$s' has only %4$llu left"),
                      vimg_fetch_url(import->fetch), VIMG_ULL(needed),
                      vimg_pool_name(import->use.pool), VIMG_ULL(available));
}

/* ---- where it begins -------------------------------------------------------------------- */

/* Whether the intake itself can make the digest, also of what is stored already. */
static gboolean
digest_by_intake(const Import *import)
{
    return import->digest_text && !import->packed && !import->declared.checksum;
}

/* Whether what is missing is enough. */
static gboolean
may_go_on(const Import *import)
{
    const VimgPluginImage *declared = &import->declared;

    return import->identity && !import->told && declared->position > 0 &&
           declared->position < import->length &&
           (!import->digest_text || digest_by_intake(import)) &&
           vimg_store_can_resume(vimg_session_store(import->use.session)) &&
           vimg_import_noted(import->model->state_dir, declared->uuid, import->identity);
}

static gboolean
find_start(Import *import, GError **error)
{
    const VimgPluginImage *declared = &import->declared;
    guint64 start = declared->position - MIN(declared->position, OVERLAP);

    import->identity = import->packed ? NULL : vimg_fetch_identity(import->fetch);
    if (start == 0 || !may_go_on(import)) {
        vimg_import_forget(import->model->state_dir, declared->uuid);
        return TRUE;
    }
    g_clear_pointer(&import->identity, g_free);
    g_clear_pointer(&import->head.data, vimg_buffer_unref);
    import->head.length = 0;
    return vimg_fetch_seek(import->fetch, start, &import->begun, error);
}

static gboolean
open_writer(Import *import, GError **error)
{
    VimgUse *use = &import->use;
    VimgWriteRequest request = {.size = sizeof(request), .offset = import->begun};

    vimg_mutex_lock(&use->pool->lock);
    request.reserve = use->volume->reserve;
    vimg_mutex_unlock(&use->pool->lock);
    if (known_size(import) > 0)
        request.reserve = MAX(1, import->allocation - MIN(import->allocation, import->begun));
    import->writer = vimg_writer_open(vimg_session_store(use->session), import->declared.uuid,
                                      &request, use->job, error);
    return import->writer &&
           (!import->told || vimg_writer_format(import->writer, import->declared.format, error));
}

static gboolean
open_intake(Import *import, GError **error)
{
    VimgPluginImage *declared = &import->declared;

    import->by_intake = digest_by_intake(import);
    if (import->by_intake) {
        declared->checksum_type = g_strdup(import->digest_type);
        declared->checksum = g_strdup(import->digest_text);
    } else if (import->digest_text) {
        import->digest = vimg_digest_new(import->digest_type, error);
        if (!import->digest)
            return FALSE;
    }
    import->intake =
        vimg_intake_new(declared, import->writer, import->use.job, import->begun, TRUE, error);
    return import->intake != NULL;
}

/* ---- the content ------------------------------------------------------------------------ */

/* @buffer: (transfer full) or NULL: zeros. */
static gboolean
put(Import *import, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    gboolean fits = check_size(import, vimg_intake_at(import->intake) + size, error);
    gboolean ok = fits && vimg_intake_put(import->intake, buffer, offset, size, error);

    vimg_buffer_unref(buffer);
    import->bad = import->bad || !fits || vimg_intake_has_refused(import->intake);
    return ok;
}

static gboolean
take_unpacked(VimgBuffer *buffer, gsize size, gpointer data, GError **error)
{
    return put(data, buffer, 0, size, error);
}

static gboolean
open_unpack(Import *import, GError **error)
{
    const VimgUnpackLimits limits = {.ratio = import->model->imports->ratio,
                                     .max_size = import->model->imports->max_size};

    if (!import->packed)
        return TRUE;
    import->unpack = vimg_unpack_new(import->packed, &limits, take_unpacked, import, error);
    return import->unpack != NULL;
}

/* A hole in a packed file is bytes like others. */
static gboolean
unpack(Import *import, const VimgExtent *piece, GError **error)
{
    static const guint8 zeros[65536];
    guint64 left = piece->length;

    while (left > 0) {
        gsize n = piece->data ? (gsize)left : (gsize)MIN(left, sizeof(zeros));
        const guint8 *bytes = piece->data ? piece->data->data + piece->offset : zeros;

        if (!vimg_unpack_add(import->unpack, bytes, n, error)) {
            import->bad = import->bad || vimg_unpack_is_bad(import->unpack);
            return FALSE;
        }
        left -= n;
    }
    return TRUE;
}

/* What was stored before has been compared with this source once it grows. */
static gboolean
note_source(Import *import, guint64 position, GError **error)
{
    g_autofree char *identity = NULL;

    if (!import->identity || position <= import->declared.position)
        return TRUE;
    identity = g_steal_pointer(&import->identity);
    return vimg_import_note(import->model->state_dir, import->declared.uuid, identity, error);
}

/* The volume shows how far it is. */
static gboolean
show_growth(Import *import, GError **error)
{
    VimgVolume *volume = import->use.volume;
    guint64 allocation = 0;
    guint64 position = 0;
    guint64 reserved = vimg_writer_reserved(import->writer);
    gboolean known = vimg_writer_stat(import->writer, &allocation, &position);

    vimg_mutex_lock(&import->use.pool->lock);
    volume->reserved = reserved;
    if (known) {
        volume->image.allocation = allocation;
        volume->image.position = position;
    }
    vimg_mutex_unlock(&import->use.pool->lock);
    return !known || note_source(import, position, error);
}

/* @piece: its data are taken. */
static gboolean
take_piece(Import *import, VimgExtent *piece, GError **error)
{
    g_autoptr(VimgBuffer) data = g_steal_pointer(&piece->data);
    const VimgExtent held = {.data = data, .offset = piece->offset, .length = piece->length};
    const guint8 *bytes = data ? data->data + piece->offset : NULL;

    if (import->digest &&
        !vimg_digest_add(import->digest, bytes, piece->length, import->use.job, error))
        return FALSE;
    if (import->unpack ? !unpack(import, &held, error)
                       : !put(import, g_steal_pointer(&data), piece->offset, piece->length, error))
        return FALSE;
    import->came += piece->length;
    vimg_job_add(import->use.job, piece->length);
    return show_growth(import, error);
}

static gboolean
take_all(Import *import, GError **error)
{
    VimgExtent piece = import->head;

    import->head = (VimgExtent){0};
    vimg_job_progress(import->use.job, "importing", import->begun, import->length);
    if (piece.length == 0 && !vimg_fetch_next(import->fetch, &piece, error))
        return FALSE;
    while (piece.length > 0) {
        if (!take_piece(import, &piece, error) || !vimg_fetch_next(import->fetch, &piece, error))
            return FALSE;
    }
    if (!import->unpack || vimg_unpack_end(import->unpack, error))
        return TRUE;
    import->bad = import->bad || vimg_unpack_is_bad(import->unpack);
    return FALSE;
}

/* ---- the end ---------------------------------------------------------------------------- */

static gboolean
judge(Import *import, VimgPluginImage *image, GError **error)
{
    const VimgType *type = vimg_store_type(vimg_session_store(import->use.session));

    if (import->digest && !vimg_digest_check(import->digest, import->digest_text, error))
        return FALSE;
    if (import->unsized)
        import->declared.capacity = vimg_intake_at(import->intake);
    image->capacity = import->declared.capacity;
    return vimg_intake_judge(import->intake, type, image, error);
}

static gboolean
check_end(const Import *import, GError **error)
{
    guint64 at = vimg_intake_at(import->intake);

    return at >= import->declared.position ||
           vimg_throw(
               error, VIMG_ERROR_OPERATION_INVALID,
               _("the stream ended at byte %1$llu, but volume '%2$s' holds at least %3$llu bytes of an earlier upload; wipe it to start afresh"),
               VIMG_ULL(at), import->declared.name, VIMG_ULL(import->declared.position));
}

static gboolean
seal(Import *import, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    vimg_image_copy(&image, &import->declared);
    g_clear_pointer(&image.copy_of, g_free); /* this came from elsewhere */
    if (import->by_intake) {
        g_clear_pointer(&image.checksum_type, g_free);
        g_clear_pointer(&image.checksum, g_free);
    }
    if (!vimg_intake_end(import->intake, error) || !check_end(import, error))
        return FALSE;
    import->bad = !judge(import, &image, error);
    if (import->bad || !vimg_intake_pad(import->intake, &image, error))
        return FALSE;
    vimg_job_progress(import->use.job, "finishing", 0, 0);
    if (!vimg_writer_finish(g_steal_pointer(&import->writer), TRUE, &image, &out, error))
        return FALSE;
    vimg_use_changed(&import->use, &out);
    vimg_import_forget(import->model->state_dir, import->declared.uuid);
    return TRUE;
}

static gboolean
run(Import *import, GError **error)
{
    return check_format(import, error) && connect_source(import, error) &&
           (!import->made || make_image(import, error)) && declare(import, error) &&
           check_room(import, error) && find_start(import, error) && open_writer(import, error) &&
           open_intake(import, error) && open_unpack(import, error) && take_all(import, error) &&
           seal(import, error);
}

/* ---- failures --------------------------------------------------------------------------- */

/* As after an upload: it says itself from now on why it can never be used. */
static void
condemn(Import *import, const GError *why)
{
    VimgStore *store = vimg_session_store(import->use.session);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_writer_finish(g_steal_pointer(&import->writer), FALSE, &import->declared, &out, NULL);
    if (!vimg_store_set_error(store, import->declared.uuid, why->message, &error))
        vimg_warning("volume '%s' of storage pool '%s' cannot be marked: %s", import->declared.name,
                     vimg_pool_name(import->use.pool), error->message);
    vimg_import_forget(import->model->state_dir, import->declared.uuid);
    vimg_use_restat(&import->use);
}

/* Returns: whether an image stays that the same import takes up again. */
static gboolean
leave(Import *import)
{
    g_auto(VimgPluginImage) now = VIMG_PLUGIN_IMAGE_INIT;
    gboolean came = import->intake && vimg_intake_at(import->intake) > import->begun;

    vimg_writer_abort(g_steal_pointer(&import->writer));
    if (import->made && !came) {
        g_autofree char *uuid = vimg_use_uuid(&import->use);

        vimg_import_forget(import->model->state_dir, uuid);
        vimg_use_discard(&import->use, uuid);
        return FALSE;
    }
    vimg_use_restat(&import->use);
    vimg_use_image(&import->use, &now);
    if (now.state == VIMG_IMAGE_SAVING)
        note_source(import, now.position, NULL); /* what was on its way is durable now */
    return now.state == VIMG_IMAGE_SAVING && now.position > 0;
}

static void
fail(Import *import, GError *why, GError **error)
{
    const char *name = import->request->name;

    vimg_use_failed(&import->use, why);
    vimg_warning("import of volume '%s' into storage pool '%s' failed: %s", name,
                 vimg_pool_name(import->use.pool), why->message);
    if (import->bad && import->writer)
        condemn(import, why);
    else if (import->use.volume && leave(import) &&
             why->code != VIMG_ERROR_OPERATION_INVALID) { /* as it came from another source */
        g_set_error(error, why->domain, why->code,
                    _("%1$s; volume '%2$s' keeps what came, and the same import takes it up again"),
                    why->message, name);
        g_error_free(why);
        return;
    }
    g_propagate_error(error, why);
}

/* ---- all of it -------------------------------------------------------------------------- */

static char *
report(Import *import)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

    vimg_use_image(&import->use, &image);
    return vimg_import_report(&image, import->packed, import->begun, import->came);
}

/* Sizes follow, then everyone may have the volume again, then the world hears of it. */
static void
end(Import *import)
{
    g_autoptr(VimgPool) pool = vimg_pool_ref(import->use.pool);

    vimg_session_sizes(import->use.session);
    vimg_model_keep(import->model);
    vimg_use_clear(&import->use);
    vimg_model_emit_pool(import->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
    vimg_model_release(import->model);
}

char *
vimg_model_vol_import(VimgModel *model, const VimgPoolId *id, const VimgImportRequest *request,
                      GError **error)
{
    g_auto(Import)
        import = {.model = model, .request = request, .declared = VIMG_PLUGIN_IMAGE_INIT};
    g_autoptr(VimgPool) pool = NULL;
    GError *local = NULL;
    char *text;

    if (!model->imports) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s", _("this daemon imports nothing"));
        return NULL;
    }
    pool = vimg_registry_get(model, id, error);
    if (!pool ||
        !vimg_digest_parse(request->digest, &import.digest_type, &import.digest_text, error) ||
        !take_name(&import, pool, error))
        return NULL;
    if (!run(&import, &local)) {
        fail(&import, local, error);
        if (import.use.volume)
            end(&import);
        return NULL;
    }
    vimg_info("volume '%s' of storage pool '%s' was imported from '%s'", request->name,
              vimg_pool_name(pool), vimg_fetch_url(import.fetch));
    text = report(&import);
    end(&import);
    return text;
}
