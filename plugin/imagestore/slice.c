/*
 * slice.c: one slice: its id, its frame, its place in a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <openssl/evp.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "gc-lock.h"
#include "slice.h"
#include "../thread.h"
#include "../throw.h"

/*
 * A collector may move a slice away, its run elsewhere, and the slice back, while somebody looks in
 * one place after the other.
 */
#define SEARCHES 4
#define SUFFIX ".cacnk"
/* Some slack: other writers of the format may store with a larger overhead than ours. */
#define FRAME_SLACK 4096

struct _VimgSliceTools {
    EVP_MD_CTX *digest;
    ZSTD_CCtx *compressor; /* made on first need, as are the rest */
    ZSTD_DCtx *expander;
    guint8 *frame;
    gsize frame_size;
};

static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

/* Fetched once: OpenSSL's implicit fetch for every digest is slow. */
static void
fetch_sha256(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256)
        g_error("libcrypto has no SHA-256");
}

VimgSliceTools *
vimg_slice_tools_new(void)
{
    VimgSliceTools *tools = g_new0(VimgSliceTools, 1);

    pthread_once(&sha256_once, fetch_sha256);
    tools->digest = EVP_MD_CTX_new();
    if (!tools->digest)
        g_error("libcrypto is out of memory");
    return tools;
}

void
vimg_slice_tools_free(VimgSliceTools *tools)
{
    if (!tools)
        return;
    EVP_MD_CTX_free(tools->digest);
    ZSTD_freeCCtx(tools->compressor);
    ZSTD_freeDCtx(tools->expander);
    g_free(tools->frame);
    g_free(tools);
}

void
vimg_slice_hash(VimgSliceTools *tools, gconstpointer data, gsize size, VimgSliceId *out)
{
    if (!EVP_DigestInit_ex2(tools->digest, sha256, NULL) ||
        !EVP_DigestUpdate(tools->digest, data, size) ||
        !EVP_DigestFinal_ex(tools->digest, out->bytes, NULL))
        g_error("SHA-256 failed");
}

char *
vimg_sha256_hex(gconstpointer data, gsize size)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgSliceId id;
    char hex[VIMG_ID_HEX];

    vimg_slice_hash(tools, data, size, &id);
    vimg_id_to_hex(&id, hex);
    return g_strdup(hex);
}

const guint8 *
vimg_slice_compress(VimgSliceTools *tools, gconstpointer data, gsize size, int level,
                    gsize *out_size, GError **error)
{
    gsize bound = ZSTD_compressBound(size);
    gsize n;

    if (!tools->compressor)
        tools->compressor = ZSTD_createCCtx();
    if (!tools->compressor) {
        throw_error(error, VIMG_ERROR_NO_MEMORY, "zstd");
        return NULL;
    }
    if (tools->frame_size < bound) {
        g_free(tools->frame);
        tools->frame = g_malloc(bound);
        tools->frame_size = bound;
    }
    n = ZSTD_compressCCtx(tools->compressor, tools->frame, tools->frame_size, data, size, level);
    if (ZSTD_isError(n)) {
        throw_error(error, VIMG_ERROR_INTERNAL, "zstd: %s", ZSTD_getErrorName(n));
        return NULL;
    }
    *out_size = n;
    return tools->frame;
}

static gboolean
throw_damaged(GError **error, const VimgSliceId *id, const char *why)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(id, hex);
    return throw_error(error, VIMG_ERROR_DAMAGED, _("slice %1$s is damaged: %2$s"), hex, why);
}

VimgBuffer *
vimg_slice_expand(VimgSliceTools *tools, const VimgSliceId *id, const VimgBuffer *frame,
                  guint64 length, GError **error)
{
    g_autoptr(VimgBuffer) plain = vimg_buffer_new(length);
    VimgSliceId found;
    gsize n;

    if (!tools->expander)
        tools->expander = ZSTD_createDCtx();
    if (!tools->expander) {
        throw_error(error, VIMG_ERROR_NO_MEMORY, "zstd");
        return NULL;
    }
    n = ZSTD_decompressDCtx(tools->expander, plain->data, plain->size, frame->data, frame->size);
    if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation) {
        throw_error(error, VIMG_ERROR_NO_MEMORY, "zstd");
        return NULL;
    }
    if (ZSTD_isError(n)) {
        throw_damaged(error, id, ZSTD_getErrorName(n));
        return NULL;
    }
    if (n != length) {
        throw_damaged(error, id, _("its length is wrong"));
        return NULL;
    }
    vimg_slice_hash(tools, plain->data, plain->size, &found);
    if (!vimg_id_equal(&found, id)) {
        throw_damaged(error, id, _("its digest is wrong"));
        return NULL;
    }
    return g_steal_pointer(&plain);
}

/* The digest of all frames there are, as they come: EINVAL if that fails or never ends. */
static int
digest_frames(VimgSliceTools *tools, const VimgBuffer *frame, VimgSliceId *out)
{
    const gsize room = ZSTD_DStreamOutSize();
    g_autofree guint8 *plain = g_malloc(room);
    ZSTD_inBuffer in = {frame->data, frame->size, 0};
    ZSTD_outBuffer piece;
    guint64 total = 0;
    gsize left;

    ZSTD_DCtx_reset(tools->expander, ZSTD_reset_session_only);
    if (!EVP_DigestInit_ex2(tools->digest, sha256, NULL))
        g_error("SHA-256 failed");
    do {
        piece = (ZSTD_outBuffer){plain, room, 0};
        left = ZSTD_decompressStream(tools->expander, &piece, &in);
        total += piece.pos;
        if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
            return ENOMEM;
        if (ZSTD_isError(left) || total > VIMG_ZERO_MAX)
            return EINVAL;
        if (!EVP_DigestUpdate(tools->digest, plain, piece.pos))
            g_error("SHA-256 failed");
    } while (in.pos < in.size || (left > 0 && piece.pos == room));
    if (!EVP_DigestFinal_ex(tools->digest, out->bytes, NULL))
        g_error("SHA-256 failed");
    return left == 0 ? 0 : EINVAL;
}

guint64
vimg_slice_length(const VimgBuffer *frame)
{
    guint64 length = ZSTD_getFrameContentSize(frame->data, frame->size);

    /* larger numbers also stand for lengths that are not known */
    return length <= VIMG_ZERO_MAX ? length : 0;
}

int
vimg_slice_check(VimgSliceTools *tools, const VimgSliceId *id, const VimgBuffer *frame,
                 gboolean *good)
{
    guint64 length = vimg_slice_length(frame);
    g_autoptr(VimgBuffer) plain = NULL;
    VimgSliceId found;
    int result;

    if (length > 0)
        plain = vimg_slice_expand(tools, id, frame, length, NULL);
    *good = plain != NULL;
    if (plain || frame->size == 0)
        return 0;
    if (!tools->expander)
        tools->expander = ZSTD_createDCtx();
    result = tools->expander ? digest_frames(tools, frame, &found) : ENOMEM;
    *good = result == 0 && vimg_id_equal(&found, id);
    return result == ENOMEM ? ENOMEM : 0;
}

gsize
vimg_slice_frame_bound(guint64 length)
{
    return ZSTD_compressBound(length) + FRAME_SLACK;
}

gsize
vimg_slice_frame_max(void)
{
    return vimg_slice_frame_bound(VIMG_ZERO_MAX);
}

char *
vimg_slice_path(const VimgSliceId *id)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(id, hex);
    return g_strdup_printf(VIMG_SLICES_DIR "/%.4s/%s" SUFFIX, hex, hex);
}

char *
vimg_slice_dir(const VimgSliceId *id)
{
    return g_strdup_printf(VIMG_SLICES_DIR "/%04x", vimg_slice_prefix(id));
}

gboolean
vimg_slice_parse(const char *name, VimgSliceId *out)
{
    return vimg_id_parse(name, out) && strcmp(name + VIMG_ID_HEX - 1, SUFFIX) == 0;
}

gboolean
vimg_slice_parse_prefix(const char *name, guint *out)
{
    guint64 value;

    if (strlen(name) != 4 || strspn(name, "0123456789abcdef") != 4 ||
        !g_ascii_string_to_unsigned(name, 16, 0, VIMG_SLICE_PREFIXES - 1, &value, NULL))
        return FALSE;
    *out = (guint)value;
    return TRUE;
}

/* ---- into its place and out of it ------------------------------------------------------- */

/* Durably, before there is a slice in it: what moves between two directories is in one of them. */
static int
make_run(VimgTransport *transport, const char *holder, const char *run, const char *condemned)
{
    const char *dirs[] = {holder, run, condemned};
    int result = 0;
    gsize i;

    for (i = 0; result == 0 && i < G_N_ELEMENTS(dirs); i++)
        result = vimg_transport_mkdir(transport, dirs[i]);
    for (i = G_N_ELEMENTS(dirs); result == 0 && i-- > 0;)
        result = vimg_transport_sync(transport, dirs[i]);
    return result ? result : vimg_transport_sync(transport, "gc");
}

int
vimg_slice_lift(VimgTransport *transport, const VimgSliceId *id, char **out)
{
    g_autofree char *fresh = g_uuid_string_random();
    g_autofree char *holder = g_strconcat(VIMG_GC_OLD, fresh, NULL);
    g_autofree char *run = g_strconcat(holder, "/", fresh, NULL);
    g_autofree char *condemned = g_strconcat(run, "/" VIMG_GC_CONDEMNED, NULL);
    g_autofree char *place = vimg_slice_path(id);
    g_autofree char *path = g_strconcat(condemned, strrchr(place, '/'), NULL);
    int result = make_run(transport, holder, run, condemned);

    if (result == 0)
        result = vimg_transport_rename(transport, place, path);
    if (result == 0)
        *out = g_steal_pointer(&path);
    else
        vimg_slice_lift_end(transport, path);
    return result;
}

void
vimg_slice_lift_end(VimgTransport *transport, const char *path)
{
    g_autofree char *condemned = g_path_get_dirname(path);
    g_autofree char *run = g_path_get_dirname(condemned);
    g_autofree char *holder = g_path_get_dirname(run);

    if (vimg_transport_rmdir(transport, condemned) == ENOTEMPTY)
        return;
    /* a collector may have noted leases there */
    vimg_transport_remove_files(transport, run);
    vimg_transport_rmdir(transport, holder);
}

/* Of what lies in the place of @id, if it is empty still: somebody may have stored it again. */
static int
remove_empty(VimgTransport *transport, const VimgSliceId *id, const char *place)
{
    g_autofree char *path = NULL;
    VimgFileInfo info;
    int result = vimg_slice_lift(transport, id, &path);

    if (result != 0)
        return result;
    result = vimg_transport_stat(transport, path, &info);
    if (result == 0)
        result = info.size > 0 ? vimg_transport_rename(transport, path, place)
                               : vimg_transport_unlink(transport, path);
    vimg_slice_lift_end(transport, path);
    /* and again: then there are two, and one is left for a collection */
    return result == EEXIST ? 0 : result;
}

int
vimg_slice_put(VimgTransport *transport, const char *from, const VimgSliceId *id)
{
    g_autofree char *place = vimg_slice_path(id);
    int result = EEXIST;
    VimgFileInfo info;
    guint round;

    for (round = 0; round < SEARCHES; round++) {
        result = vimg_transport_rename(transport, from, place);
        if (result != EEXIST)
            return result;
        result = vimg_transport_stat(transport, place, &info);
        if (result == 0 && info.size > 0)
            return vimg_transport_unlink(transport, from);
        if (result == 0)
            result = remove_empty(transport, id, place);
        if (result != 0 && result != ENOENT)
            return result;
    }
    return EEXIST;
}

/* ---- wherever it is --------------------------------------------------------------------- */

typedef struct {
    gsize max;
    VimgBuffer *frame;
} Condemned;

/* Returns: (transfer full) */
static char *
condemned_rest(const VimgSliceId *id)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(id, hex);
    return g_strconcat(VIMG_GC_CONDEMNED "/", hex, SUFFIX, NULL);
}

static gboolean
read_condemned(VimgTransport *transport, const char *path, gpointer data)
{
    Condemned *condemned = data;

    return vimg_transport_read(transport, path, condemned->max, &condemned->frame) == 0;
}

static gboolean
move_back(VimgTransport *transport, const char *path, gpointer data)
{
    return vimg_slice_put(transport, path, data) == 0;
}

gboolean
vimg_slice_rescue(VimgTransport *transport, const VimgSliceId *id)
{
    g_autofree char *place = vimg_slice_path(id);
    g_autofree char *rest = condemned_rest(id);
    VimgFileInfo info;
    guint round;

    for (round = 0; round < SEARCHES; round++) {
        if (vimg_gc_each(transport, rest, move_back, (gpointer)id) ||
            vimg_transport_stat(transport, place, &info) != ENOENT)
            return TRUE;
    }
    return FALSE;
}

/* It was not in its place: wherever it is now. */
static int
search(VimgTransport *transport, const VimgSliceId *id, Condemned *condemned)
{
    g_autofree char *path = vimg_slice_path(id);
    g_autofree char *rest = condemned_rest(id);
    int result = ENOENT;
    guint round;

    for (round = 0; round < SEARCHES && result == ENOENT; round++) {
        if (round > 0)
            result = vimg_transport_read(transport, path, condemned->max, &condemned->frame);
        if (result == ENOENT && vimg_gc_each(transport, rest, read_condemned, condemned))
            result = 0;
    }
    return result;
}

void
vimg_slice_fetch(VimgTransport *transport, VimgSliceFetch *fetches, gsize n)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, n);
    gsize i;

    for (i = 0; i < n; i++)
        ops[i] = (VimgOp){
            .kind = VIMG_OP_READ,
            .path = vimg_slice_path(fetches[i].id),
            .size = vimg_slice_frame_bound(fetches[i].length),
        };
    vimg_transport_run(transport, ops, n);
    for (i = 0; i < n; i++) {
        Condemned condemned = {.max = ops[i].size, .frame = ops[i].content};

        fetches[i].result = ops[i].result;
        if (ops[i].result == ENOENT)
            fetches[i].result = search(transport, fetches[i].id, &condemned);
        fetches[i].frame = condemned.frame;
    }
    vimg_transport_clear_ops(ops, n, TRUE);
}

static gboolean
sync_condemned(VimgTransport *transport, const char *dir, gpointer data)
{
    int *result = data;

    *result = vimg_transport_sync(transport, dir);
    if (*result == ENOENT || *result == ENOTDIR)
        *result = 0;
    return *result != 0;
}

int
vimg_slice_sync_condemned(VimgTransport *transport)
{
    int result = 0;

    vimg_gc_each(transport, VIMG_GC_CONDEMNED, sync_condemned, &result);
    return result;
}

VimgBuffer *
vimg_slice_open(VimgSliceTools *tools, VimgSliceFetch *fetch, GError **error)
{
    g_autoptr(VimgBuffer) frame = g_steal_pointer(&fetch->frame);
    int result = fetch->result;

    if (result == ENOENT || (result == 0 && frame->size == 0)) {
        throw_damaged(error, fetch->id, _("it is missing"));
        return NULL;
    }
    if (result == EFBIG) {
        throw_damaged(error, fetch->id, _("its length is wrong"));
        return NULL;
    }
    if (result != 0) {
        char hex[VIMG_ID_HEX];

        vimg_id_to_hex(fetch->id, hex);
        throw_result(error, result, _("cannot read slice %s"), hex);
        return NULL;
    }
    return vimg_slice_expand(tools, fetch->id, frame, fetch->length, error);
}

VimgBuffer *
vimg_slice_read(VimgTransport *transport, VimgSliceTools *tools, const VimgSliceId *id,
                guint64 length, GError **error)
{
    VimgSliceFetch fetch = {.id = id, .length = length};

    vimg_slice_fetch(transport, &fetch, 1);
    return vimg_slice_open(tools, &fetch, error);
}
