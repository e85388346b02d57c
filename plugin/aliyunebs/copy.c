/*
 * copy.c: objects copied inside of the storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "copy.h"
#include "multipart-private.h"
#include "throw.h"

#define PART_SIZE ((guint64)512 * 1024 * 1024)
#define ABORT_SECONDS 5

/* Headers that name the source, and hold it to what it was. */
static GPtrArray *
source_headers(VimgOss *oss, const VimgOssCopy *copy)
{
    GPtrArray *headers = vimg_pairs_new();
    g_autofree char *plain = g_strconcat("/", vimg_oss_bucket(oss), "/", copy->from, NULL);
    g_autofree char *source = g_uri_escape_string(plain, "/", FALSE);
    g_autofree char *quoted = g_strdup_printf("\"%s\"", copy->object->etag);

    vimg_pairs_add(headers, "x-oss-copy-source", source);
    vimg_pairs_add(headers, "x-oss-copy-source-if-match", quoted);
    return headers;
}

/* The copy is asked for; @root: of the document that says it was made.  Returns: its ETag. */
static char *
ask(VimgOss *oss, VimgOssRequest *request, const VimgOssCopy *copy, const char *root,
    GError **error)
{
    g_autofree char *etag = NULL;

    request->web.method = "PUT";
    request->web.stall = VIMG_OSS_WORK_SECONDS;
    if (vimg_oss_request(oss, request, copy->patience, error)) {
        etag =
            vimg_oss_xml_text(request->web.text->data, request->web.text->len, root, "ETag", error);
        return vimg_oss_unquote(etag);
    }
    if (request->web.status == 412 && !copy->exclusive) {
        g_clear_error(error);
        throw_error(error, VIMG_ERROR_FAILED, _("object '%s' was changed while it was read"),
                    copy->from);
    }
    return NULL;
}

static gboolean
copy_whole(VimgOss *oss, const VimgOssCopy *copy, GError **error)
{
    g_autoptr(GPtrArray) headers = source_headers(oss, copy);
    g_auto(VimgOssRequest) request = {.key = copy->to, .headers = headers};
    g_auto(VimgOssObject) made = {0};
    g_autoptr(GError) local = NULL;
    g_autofree char *etag = NULL;

    vimg_pairs_add(headers, "x-oss-metadata-directive", "REPLACE");
    vimg_oss_add_metadata(headers, copy->metadata);
    if (copy->exclusive)
        vimg_pairs_add(headers, "x-oss-forbid-overwrite", "true");
    etag = ask(oss, &request, copy, "CopyObjectResult", &local);
    if (etag || (copy->exclusive && vimg_oss_is_made(oss, &request, copy->metadata,
                                                     copy->object->size, &made, copy->patience)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
copy_part(VimgOss *oss, const VimgOssCopy *copy, const char *id, guint64 offset, VimgOssPart *part,
          GError **error)
{
    g_autoptr(GPtrArray) headers = source_headers(oss, copy);
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {.key = copy->to, .headers = headers, .query = query};
    g_autofree char *range =
        g_strdup_printf("bytes=%llu-%llu", ULL(offset), ULL(offset + part->size - 1));
    g_autofree char *etag = NULL;

    vimg_pairs_add_number(query, "partNumber", part->number);
    vimg_pairs_add(query, "uploadId", id);
    vimg_pairs_add(headers, "x-oss-copy-source-range", range);
    etag = ask(oss, &request, copy, "CopyPartResult", error);
    if (!etag)
        return FALSE;
    g_strlcpy(part->etag, etag, sizeof(part->etag));
    return TRUE;
}

static gboolean
copy_parts(VimgOss *oss, const VimgOssCopy *copy, guint64 part_size,
           const VimgOssUploadRules *rules, const char *id, GError **error)
{
    g_autoptr(GArray) parts = g_array_new(FALSE, TRUE, sizeof(VimgOssPart));
    g_auto(VimgOssObject) made = {0};
    guint64 size = copy->object->size;
    guint64 offset;

    for (offset = 0; offset < size; offset += MIN(part_size, size - offset)) {
        VimgOssPart part = {.number = parts->len + 1, .size = MIN(part_size, size - offset)};

        if (!copy_part(oss, copy, id, offset, &part, error))
            return FALSE;
        g_array_append_val(parts, part);
        if (copy->progress)
            copy->progress(copy->data, offset + part.size, size);
    }
    return vimg_oss_complete(oss, rules, id, parts, &made, error);
}

static gboolean
copy_large(VimgOss *oss, const VimgOssCopy *copy, guint64 part_size, GError **error)
{
    VimgOssUploadRules rules = {.key = copy->to,
                                .exclusive = copy->exclusive,
                                .metadata = copy->metadata,
                                .patience = copy->patience};
    g_autofree char *id = vimg_oss_initiate(oss, &rules, error);
    VimgPatience patience = {.deadline = 0};

    if (!id)
        return FALSE;
    if ((!copy->begun || copy->begun(copy->data, id, error)) &&
        copy_parts(oss, copy, part_size, &rules, id, error))
        return TRUE;
    patience.deadline = g_get_monotonic_time() + ABORT_SECONDS * G_USEC_PER_SEC;
    /* the patience may be at its end; why it failed is what is said */
    vimg_oss_upload_abort(oss, copy->to, id, &patience, NULL);
    return FALSE;
}

gboolean
vimg_oss_copy(VimgOss *oss, const VimgOssCopy *copy, VimgOssObject *out, GError **error)
{
    const VimgOssObject *object = copy->object;
    guint64 part_size = copy->part_size > 0 ? copy->part_size : PART_SIZE;
    gboolean made = object->size > part_size ? copy_large(oss, copy, part_size, error)
                                             : copy_whole(oss, copy, error);

    if (!made || !vimg_oss_head(oss, copy->to, out, copy->patience, error))
        return FALSE;
    if (out->size == object->size && (!out->has_crc || !object->has_crc || out->crc == object->crc))
        return TRUE;
    return throw_error(error, VIMG_ERROR_DAMAGED, _("the copy '%1$s' is not what object '%2$s' is"),
                       copy->to, copy->from);
}
