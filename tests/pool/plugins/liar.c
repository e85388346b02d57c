/*
 * liar.c: a backend that breaks every promise; the pool's source name says which one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plain.h"

#define TWO_UUID "22222222-2222-4222-8222-222222222222"

static gboolean
tells(gpointer handle, const char *lie)
{
    return strcmp(handle, lie) == 0;
}

static gboolean
babble(GError **error, VimgErrorCode code)
{
    g_set_error_literal(error, VIMG_ERROR, (gint)code,
                        "bl\xff"
                        "ah");
    return FALSE;
}

static char *
liar_identity(const VimgPluginPool *pool)
{
    return g_strcmp0(pool->source_name, "no-identity") == 0 ? NULL : plain_identity(pool);
}

static char *
liar_find_sources(const VimgPluginPool *pool, GError **error)
{
    return g_strdup("<source>\xff</source>");
}

static gpointer
liar_open(const VimgPluginPool *pool, guint32 flags, VimgPluginHost *host, GError **error)
{
    return g_strcmp0(pool->source_name, "open-quiet") == 0 ? NULL
                                                           : plain_open(pool, flags, host, error);
}

static gboolean
liar_probe(gpointer handle, VimgPluginStore *out, GError **error)
{
    static int probes; /* atomic */

    if (tells(handle, "probe-quiet"))
        return FALSE;
    plain_probe(handle, out, NULL);
    if (tells(handle, "probe-no-id"))
        g_clear_pointer(&out->store_id, g_free);
    if (tells(handle, "probe-bad-id"))
        out->store_id[0] = '/';
    if (tells(handle, "pull-anyway"))
        out->store_id[0] = 'q'; /* another storage than that of the others */
    if (tells(handle, "probe-huge"))
        out->capacity = G_MAXUINT64;
    if (tells(handle, "probe-error"))
        babble(error, VIMG_ERROR_SYSTEM);
    if (tells(handle, "probe-moves"))
        out->store_id[0] = (char)('a' + __atomic_fetch_add(&probes, 1, __ATOMIC_RELAXED));
    return TRUE;
}

/* Everything wrong that an image can be; @i of the row. */
static void
spoil(VimgPluginImage *image, guint i)
{
    static const char *const lists[] = {
        "a/b", "..", "a\nb", "a\xff", "",
    };

    g_free(image->uuid);
    image->uuid = g_strdup_printf("%08x-2222-4222-8222-222222222222", i);
    g_free(image->name);
    image->name = g_strdup_printf("spoilt %u", i);
    if (i < G_N_ELEMENTS(lists)) {
        g_free(image->name);
        image->name = g_strdup(lists[i]);
    }
    switch (i) {
    case 5:
        g_clear_pointer(&image->name, g_free);
        break;
    case 6:
        g_clear_pointer(&image->uuid, g_free);
        break;
    case 7:
        image->uuid[3] = 'g';
        break;
    case 8:
        g_free(image->uuid);
        image->uuid = g_ascii_strup("abcdefab-2222-4222-8222-222222222222", -1);
        break;
    case 9:
        g_free(image->uuid);
        image->uuid = g_strdup(ONE_UUID);
        break;
    case 10:
        g_free(image->name);
        image->name = g_strdup("one");
        break;
    case 11:
        g_free(image->format);
        image->format = g_strdup("floppy");
        break;
    case 12:
        g_clear_pointer(&image->format, g_free);
        break;
    case 13:
        image->state = (VimgImageState)17;
        break;
    case 14:
        image->capacity = G_MAXUINT64;
        break;
    case 15:
        image->created = -1;
        break;
    case 16:
        image->description = g_strdup("a\001b");
        break;
    case 17:
        image->os = g_strdup("a\xff");
        break;
    case 18:
        image->parent = g_strdup("nobody");
        break;
    case 19:
        image->checksum = g_strdup("abc");
        break;
    case 20:
        image->checksum_type = g_strdup("sha256");
        image->checksum = g_strdup("ABC");
        break;
    case 21:
        image->size = 8;
        break;
    case 22:
        image->generation = g_strdup("a b");
        break;
    case 23:
        image->generation = g_strnfill(VIMG_GENERATION_MAX + 1, 'a');
        break;
    case 24:
        image->generation = g_strdup("");
        break;
    }
}

#define N_SPOILT 25

static gboolean
liar_list(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    g_auto(VimgPluginImage) honest = VIMG_PLUGIN_IMAGE_INIT;
    gboolean more;
    guint i;

    plain_fill(&honest);
    more = sink(&honest, data);
    if (!more && !tells(handle, "list-deaf"))
        return TRUE;
    for (i = 0; i < N_SPOILT; i++) {
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

        plain_fill(&image);
        spoil(&image, i);
        sink(&image, data);
        image.size = sizeof(image);
    }
    /* the same image as the first but for its uuid and name; without the reason it owes */
    g_free(honest.uuid);
    g_free(honest.name);
    honest.uuid = g_strdup(TWO_UUID);
    honest.name = g_strdup("two");
    honest.state = VIMG_IMAGE_ERROR;
    sink(&honest, data);
    return TRUE;
}

static gboolean
answer(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out)
{
    plain_fill(out);
    g_free(out->uuid);
    g_free(out->name);
    out->uuid = g_strdup(tells(handle, "other-uuid") ? TWO_UUID : image->uuid);
    out->name = g_strdup(tells(handle, "other-name") ? "other" : image->name);
    out->state = tells(handle, "saving") ? VIMG_IMAGE_SAVING : VIMG_IMAGE_ACTIVE;
    if (tells(handle, "other-size"))
        out->size = 8;
    return TRUE;
}

static gboolean
liar_create(gpointer handle, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    if (tells(handle, "create-quiet"))
        return FALSE;
    if (tells(handle, "create-exists"))
        return babble(error, VIMG_ERROR_VOL_EXISTS);
    if (tells(handle, "create-error"))
        babble(error, VIMG_ERROR_SYSTEM);
    return answer(handle, image, out);
}

static gboolean
liar_stat(gpointer handle, const char *uuid, VimgPluginImage *out, GError **error)
{
    const VimgPluginImage asked = {.uuid = (char *)uuid, .name = (char *)"one"};

    if (tells(handle, "stat-babble"))
        return babble(error, VIMG_ERROR_DAMAGED);
    return answer(handle, &asked, out);
}

static gboolean
liar_remove_image(gpointer handle, const char *uuid, GError **error)
{
    return tells(handle, "remove-quiet") ? FALSE : TRUE;
}

static gboolean
liar_list_trash(gpointer handle, VimgImageSink sink, gpointer data, GError **error)
{
    static const char *const uuids[] = {ONE_UUID, "33333333-3333-4333-8333-333333333333", TWO_UUID,
                                        TWO_UUID, "nobody"};
    gsize i;

    if (tells(handle, "trash-quiet"))
        return FALSE;
    for (i = 0; i < G_N_ELEMENTS(uuids); i++) {
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

        plain_fill(&image); /* all have one name */
        g_free(image.uuid);
        image.uuid = g_strdup(uuids[i]);
        image.deleted = i == 1 ? 0 : 1000 + (gint64)i;
        sink(&image, data);
    }
    return TRUE;
}

static gboolean
liar_restore(gpointer handle, const char *uuid, const char *name, VimgPluginImage *out,
             GError **error)
{
    const VimgPluginImage asked = {.uuid = (char *)uuid, .name = (char *)name};

    if (tells(handle, "restore-quiet"))
        return FALSE;
    if (tells(handle, "restore-exists"))
        return babble(error, VIMG_ERROR_VOL_EXISTS);
    return answer(handle, &asked, out);
}

static gboolean
liar_purge(gpointer handle, const char *uuid, GError **error)
{
    return tells(handle, "purge-babble") ? babble(error, VIMG_ERROR_NO_VOL)
                                         : !tells(handle, "purge-quiet");
}

/* The lie itself is the report, but for those that say nothing or too much. */
static char *
liar_report(gpointer handle)
{
    if (tells(handle, "report-quiet"))
        return NULL;
    if (tells(handle, "report-bytes"))
        return g_strdup("{\"freed\": \"\xff\"}");
    if (tells(handle, "report-long")) {
        g_autofree char *spaces = g_strnfill(16 * 1024 * 1024, ' ');

        return g_strconcat("{}", spaces, NULL);
    }
    if (tells(handle, "report-deep") || tells(handle, "report-hidden")) {
        g_autofree char *open = g_strnfill(1000 * 1000, '[');

        return g_strconcat("{\"more\": ", tells(handle, "report-deep") ? "" : "/* \" */", open,
                           NULL);
    }
    return g_strdup(handle);
}

static char *
liar_cleanup(gpointer handle, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    return liar_report(handle);
}

static char *
liar_verify(gpointer handle, const char *uuid, VimgPluginJob *job, GError **error)
{
    return liar_report(handle);
}

static char *
liar_usage(gpointer handle, VimgPluginJob *job, GError **error)
{
    return liar_report(handle);
}

static char *
liar_diff(gpointer handle, const char *from, const char *to, VimgPluginJob *job, GError **error)
{
    return liar_report(handle);
}

/* Bad steps, and a hundred good ones among them. */
static gboolean
liar_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data, VimgPluginJob *job,
              GError **error)
{
    g_autofree char *text = g_strnfill(5000, 'a');
    const VimgPluginStep steps[] = {
        {.size = 4, .name = "short", .detail = "d"},
        {.size = sizeof(VimgPluginStep), .name = NULL, .detail = "d"},
        {.size = sizeof(VimgPluginStep), .name = "no-detail"},
        {.size = sizeof(VimgPluginStep), .name = "verdict", .verdict = 9, .detail = "d"},
        {.size = sizeof(VimgPluginStep), .name = "bytes", .detail = "\xff"},
        {.size = sizeof(VimgPluginStep), .name = "long", .detail = text},
        {.size = sizeof(VimgPluginStep), .name = "remedy", .detail = "d", .remedy = text},
        {.size = sizeof(VimgPluginStep), .name = text, .detail = "d"},
        {.size = sizeof(VimgPluginStep) + 8, .name = "good", .detail = "d", .remedy = "r"},
    };
    gsize i;

    for (i = 0; i < 100 + G_N_ELEMENTS(steps); i++)
        sink(&steps[MIN(i, G_N_ELEMENTS(steps) - 1)], data);
    return g_strcmp0(pool->source_name, "diagnose-quiet") != 0;
}

static gpointer
liar_writer_open(gpointer handle, const char *uuid, const VimgWriteRequest *request,
                 VimgPluginJob *job, GError **error)
{
    return tells(handle, "writer-null") ? NULL : g_strdup(handle);
}

static gboolean
liar_writer_format(gpointer writer, const char *format, GError **error)
{
    return !tells(writer, "write-quiet");
}

static gboolean
liar_writer_read(gpointer writer, guint64 offset, gsize size, VimgExtent *out, GError **error)
{
    if (tells(writer, "reader-quiet"))
        return FALSE;
    out->length = tells(writer, "extent-nothing") ? 0 : tells(writer, "extent-huge") ? size + 1 : 1;
    out->data = vimg_buffer_new(1);
    out->offset = tells(writer, "extent-outside") ? 1 : 0;
    if (tells(writer, "extent-nothing"))
        g_clear_pointer(&out->data, vimg_buffer_unref);
    return TRUE;
}

static gboolean
liar_writer_write(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return size > 0 && !tells(writer, "write-quiet");
}

static gboolean
liar_writer_hole(gpointer writer, guint64 length, GError **error)
{
    return length > 0 && !tells(writer, "write-quiet");
}

static gboolean
liar_writer_finish(gpointer writer, gboolean seal, const VimgPluginImage *image,
                   VimgPluginImage *out, GError **error)
{
    gboolean ok = !tells(writer, "finish-quiet") && answer(writer, image, out);

    g_free(writer);
    return ok;
}

static void
liar_writer_stat(gpointer writer, guint64 *allocation, guint64 *position)
{
    *allocation = tells(writer, "stat-huge") ? G_MAXUINT64 : 1;
    *position = 2;
}

static gpointer
liar_reader_open(gpointer handle, const char *uuid, guint64 offset, guint64 length,
                 VimgPluginJob *job, GError **error)
{
    return tells(handle, "reader-null")
               ? NULL
               : plain_reader_open(handle, uuid, offset, length, job, NULL);
}

static gboolean
liar_reader_next(gpointer data, VimgExtent *out, GError **error)
{
    PlainReader *reader = data;
    gpointer lie = (gpointer)reader->lie;

    if (tells(lie, "reader-quiet"))
        return FALSE;
    plain_reader_next(data, out, NULL);
    if (tells(lie, "extent-outside"))
        out->offset++;
    if (tells(lie, "extent-overflow"))
        out->offset = G_MAXSIZE - 1;
    if (tells(lie, "extent-huge"))
        out->length = G_MAXUINT64;
    if (tells(lie, "extent-end-with-data"))
        out->length = 0;
    return TRUE;
}

static gboolean
liar_clone(gpointer handle, const char *source, const VimgPluginImage *image, VimgPluginJob *job,
           VimgPluginImage *out, GError **error)
{
    return answer(handle, image, out);
}

static gboolean
liar_pull(gpointer handle, const char *uuid, gpointer source, const char *from,
          const VimgPullRequest *request, VimgPluginJob *job, guint64 *sent, VimgPluginImage *out,
          GError **error)
{
    const VimgPluginImage image = {
        .size = sizeof(image), .uuid = (char *)uuid, .name = (char *)"two"};

    if (tells(handle, "pull-quiet"))
        return FALSE;
    if (VIMG_PULL_REQUEST_HAS(request, judge_data) && request->judge &&
        !request->judge(handle, &image, request->judge_data, error)) {
        if (!tells(handle, "pull-anyway"))
            return FALSE;
        g_clear_error(error);
    }
    *sent = 7;
    return answer(handle, &image, out);
}

/* One good file; each of the others is wrong in something. */
static gboolean
liar_file_list(gpointer handle, VimgFileSink sink, gpointer data, VimgPluginJob *job,
               GError **error)
{
    const VimgPluginFile good = {sizeof(good), "a.img", "origin a", 512, 512};
    const VimgPluginFile files[] = {
        {8, (const char *)1, (const char *)1, 1, 1}, /* of a size that has none of them */
        {sizeof(good), NULL, "origin b", 512, 512},
        {sizeof(good), "b/c", "origin b", 512, 512},
        {sizeof(good), "b.img", NULL, 512, 512},
        {sizeof(good), "b.img", "a\xff", 512, 512},
        {sizeof(good), "b.img", "origin b", G_MAXUINT64, 512},
        {sizeof(good), "b.img", "origin b", 512, 513},
        {sizeof(good), "a.img", "origin b", 512, 512},
        {sizeof(good), "b.img", "origin a", 512, 512},
        {sizeof(good), "c.img", "origin c", 1024, 0},
    };
    gsize i;

    if (tells(handle, "files-quiet"))
        return FALSE;
    if (!sink(&good, data) && !tells(handle, "files-deaf"))
        return TRUE;
    for (i = 0; i < G_N_ELEMENTS(files); i++)
        sink(&files[i], data);
    return TRUE;
}

static gpointer
liar_file_open(gpointer handle, const char *origin, guint64 offset, VimgPluginJob *job,
               GError **error)
{
    return NULL;
}

static const VimgPluginOption options[] = {
    {.path = "slice",
     .attribute = "size",
     .type = VIMG_OPTION_UINT,
     .min = 4096,
     .max = 65536,
     .fallback = "4096"},
    {.path = "slice", .attribute = "mode", .type = VIMG_OPTION_ENUM, .values = "fixed|content"},
    {.path = "rollback", .attribute = "import", .type = VIMG_OPTION_BOOL},
    {.path = "oss/auth", .attribute = "username", .type = VIMG_OPTION_STRING},
    {0},
};

static const VimgBackend liar = {
    VIMG_BACKEND_HEADER,
    .type = "liar",
    .description = "never believe it",
    .source_allowed = VIMG_SOURCE_NAME | VIMG_SOURCE_HOST,
    .formats = "raw|qcow2",
    .options = options,
    .identity = liar_identity,
    .find_sources = liar_find_sources,
    .open = liar_open,
    .close = g_free,
    .probe = liar_probe,
    .list = liar_list,
    .list_trash = liar_list_trash,
    .create = liar_create,
    .stat = liar_stat,
    .remove_image = liar_remove_image,
    .restore = liar_restore,
    .purge = liar_purge,
    .cleanup = liar_cleanup,
    .verify = liar_verify,
    .writer_open = liar_writer_open,
    .writer_write = liar_writer_write,
    .writer_hole = liar_writer_hole,
    .writer_finish = liar_writer_finish,
    .writer_abort = g_free,
    .writer_stat = liar_writer_stat,
    .reader_open = liar_reader_open,
    .reader_next = liar_reader_next,
    .reader_close = g_free,
    .clone = liar_clone,
    .pull = liar_pull,
    .list_whole = liar_list,
    .writer_format = liar_writer_format,
    .writer_read = liar_writer_read,
    .file_list = liar_file_list,
    .file_open = liar_file_open,
    .file_next = plain_reader_next,
    .file_close = g_free,
    .usage = liar_usage,
    .diff = liar_diff,
    .diagnose = liar_diagnose,
};

const VimgBackend *
vimg_plugin_init(const VimgServices *services, GError **error)
{
    return &liar;
}
