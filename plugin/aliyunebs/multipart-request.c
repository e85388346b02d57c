/*
 * multipart-request.c: the requests that an upload in parts is made of
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crc64.h"
#include "crypt.h"
#include "multipart-private.h"
#include "throw.h"

#define ABORT_ATTEMPTS 5 /* of an upload that does not go away */
#define LIST_LIMIT ((gsize)2 * 1024 * 1024)

char *
vimg_oss_initiate(VimgOss *oss, const VimgOssUploadRules *rules, GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_autoptr(GPtrArray) headers = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {
        .key = rules->key, .query = query, .headers = headers, .web = {.method = "POST"}};

    vimg_pairs_add(query, "uploads", NULL);
    vimg_pairs_add(headers, "Content-Type",
                   rules->content_type ? rules->content_type : "application/octet-stream");
    /* S3 takes it where the object is made alone */
    if (rules->exclusive && !vimg_oss_is_s3(oss))
        vimg_pairs_add(headers, "x-oss-forbid-overwrite", "true");
    vimg_oss_add_metadata(headers, rules->metadata);
    if (!vimg_oss_request(oss, &request, rules->patience, error))
        return NULL;
    return vimg_oss_xml_text(request.web.text->data, request.web.text->len,
                             "InitiateMultipartUploadResult", "UploadId", error);
}

gboolean
vimg_oss_list_parts(VimgOss *oss, const char *key, const char *id, GArray *parts,
                    const VimgPatience *patience, GError **error)
{
    guint next = 0;

    do {
        g_autoptr(GPtrArray) query = vimg_pairs_new();
        g_auto(VimgOssRequest)
            request = {.key = key, .query = query, .web = {.method = "GET", .limit = LIST_LIMIT}};

        vimg_pairs_add(query, "uploadId", id);
        vimg_pairs_add_number(query, "max-parts", VIMG_OSS_PAGE_MAX);
        vimg_pairs_add_number(query, "part-number-marker", next);
        if (!vimg_oss_request(oss, &request, patience, error) ||
            !vimg_oss_xml_parts(request.web.text->data, request.web.text->len, parts, &next, error))
            return FALSE;
    } while (next > 0);
    return TRUE;
}

/* ---- a part ---- */

void
vimg_oss_sum_part(VimgOssTask *task, gsize end)
{
    if (end <= task->summed)
        return;
    task->part.crc =
        vimg_crc64(task->part.crc, task->data->data + task->summed, end - task->summed);
    task->summed = end;
}

/* Summed here, where many do it, and while the bytes are near to the processor. */
static gboolean
give(gpointer data, guint64 offset, guint8 *out, gsize size, GError **error)
{
    VimgOssTask *task = data;

    memcpy(out, task->data->data + offset, size);
    vimg_oss_sum_part(task, (gsize)offset + size);
    return TRUE;
}

static VimgOssArrival
read_arrival(VimgOssTask *task, const VimgOssRequest *request)
{
    const VimgOss *oss = task->upload->oss;
    VimgOssPart *part = &task->part;
    g_auto(VimgOssObject) got = {0};

    vimg_oss_object_read(oss, request, &got);
    if (!got.etag || !*got.etag || strlen(got.etag) >= sizeof(part->etag) ||
        (got.has_crc && got.crc != part->crc))
        return VIMG_OSS_ARRIVED_OTHER;
    g_strlcpy(part->etag, got.etag, sizeof(part->etag));
    if (strlen(got.etag) == 2 * VIMG_MD5_SIZE)
        return VIMG_OSS_ARRIVED_MD5;
    /* S3 compared Content-MD5 */
    return got.has_crc || vimg_oss_is_s3(oss) ? VIMG_OSS_ARRIVED_WHOLE : VIMG_OSS_ARRIVED_OTHER;
}

gboolean
vimg_oss_send_part(VimgOssTask *task, VimgOssArrival *arrival, GError **error)
{
    VimgOssUpload *upload = task->upload;
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_autoptr(GPtrArray) headers = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {
        .key = upload->rules->key,
        .query = query,
        .headers = headers,
        .web = {.method = "PUT", .size = task->data->size, .source = give, .source_data = task}};

    vimg_pairs_add_number(query, "partNumber", task->part.number);
    vimg_pairs_add(query, "uploadId", upload->id);
    /* OSS answers with sums, S3 need not */
    if (vimg_oss_is_s3(upload->oss)) {
        g_autofree char *base64 = NULL;

        vimg_sums_wait(upload->sums, &task->md5);
        base64 = g_base64_encode(task->md5.lane.digest, VIMG_MD5_SIZE);
        vimg_pairs_add(headers, "Content-MD5", base64);
    }
    if (!vimg_oss_request(upload->oss, &request, &upload->patience, error))
        return FALSE;
    vimg_oss_sum_part(task, task->data->size);
    *arrival = read_arrival(task, &request);
    return TRUE;
}

/* ---- the whole ---- */

/* FALSE: the sum of some part is not known. */
static gboolean
whole_crc(const GArray *parts, guint64 *crc, guint64 *size)
{
    gboolean known = TRUE;
    guint i;

    *crc = *size = 0;
    for (i = 0; i < parts->len; i++) {
        const VimgOssPart *part = &g_array_index(parts, VimgOssPart, i);

        *crc = vimg_crc64_combine(*crc, part->crc, part->size);
        *size += part->size;
        known = known && part->has_crc;
    }
    return known;
}

static gboolean
check_whole(const char *key, const GArray *parts, VimgOssObject *out, GError **error)
{
    guint64 crc;
    guint64 size;
    gboolean known = whole_crc(parts, &crc, &size);

    out->size = size;
    if (out->has_crc && known && out->crc != crc)
        return throw_error(error, VIMG_ERROR_DAMAGED,
                           _("the sum of object '%s' is not that of its parts"), key);
    /* it is known where the storage gives none, too: each part was compared by its MD5 */
    out->has_crc = known;
    out->crc = known ? crc : 0;
    return TRUE;
}

static char *
complete_document(const GArray *parts)
{
    GString *text = g_string_new("<CompleteMultipartUpload>");
    guint i;

    for (i = 0; i < parts->len; i++) {
        const VimgOssPart *part = &g_array_index(parts, VimgOssPart, i);
        g_autofree char *line =
            g_markup_printf_escaped("<Part><PartNumber>%u</PartNumber><ETag>\"%s\"</ETag></Part>",
                                    part->number, part->etag);

        g_string_append(text, line);
    }
    g_string_append(text, "</CompleteMultipartUpload>");
    return g_string_free(text, FALSE);
}

gboolean
vimg_oss_is_made(VimgOss *oss, const VimgOssRequest *request, const GPtrArray *metadata,
                 guint64 size, VimgOssObject *out, const VimgPatience *patience)
{
    guint i;

    if (g_strcmp0(request->fault, "NoSuchUpload") != 0 &&
        (!metadata || (request->web.status != 409 && request->web.status != 412)))
        return FALSE;
    if (!vimg_oss_head(oss, request->key, out, patience, NULL) || out->size != size)
        return FALSE;
    for (i = 0; metadata && i < metadata->len; i++) {
        const VimgPair *pair = g_ptr_array_index(metadata, i);

        if (g_strcmp0(vimg_pairs_get(out->metadata, pair->name), pair->value) != 0)
            return FALSE;
    }
    return TRUE;
}

/* The upload or its place is gone, perhaps by an attempt whose answer was lost. */
static gboolean
was_completed(VimgOss *oss, const VimgOssRequest *request, const VimgOssUploadRules *rules,
              const GArray *parts, VimgOssObject *out)
{
    guint64 crc;
    guint64 size;
    gboolean known = whole_crc(parts, &crc, &size);

    return vimg_oss_is_made(oss, request, rules->metadata, size, out, rules->patience) &&
           (!known || !out->has_crc || out->crc == crc);
}

gboolean
vimg_oss_complete(VimgOss *oss, const VimgOssUploadRules *rules, const char *id,
                  const GArray *parts, VimgOssObject *out, GError **error)
{
    g_autofree char *body = complete_document(parts);
    g_autofree char *md5 = vimg_md5_base64(body, strlen(body));
    g_autofree char *etag = NULL;
    g_autoptr(GError) local = NULL;
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_autoptr(GPtrArray) headers = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {.key = rules->key,
                                      .query = query,
                                      .headers = headers,
                                      .web = {.method = "POST",
                                              .body = (const guint8 *)body,
                                              .size = strlen(body),
                                              .stall = VIMG_OSS_WORK_SECONDS}};

    vimg_pairs_add(query, "uploadId", id);
    vimg_pairs_add(headers, "Content-Type", "application/xml");
    vimg_pairs_add(headers, "Content-MD5", md5);
    if (rules->exclusive)
        vimg_pairs_add(headers, "x-oss-forbid-overwrite", "true");
    if (!vimg_oss_request(oss, &request, rules->patience, &local)) {
        if (was_completed(oss, &request, rules, parts, out))
            return check_whole(rules->key, parts, out, error);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    vimg_oss_object_read(oss, &request, out);
    etag = vimg_oss_xml_text(request.web.text->data, request.web.text->len,
                             "CompleteMultipartUploadResult", "ETag", error);
    if (!etag)
        return FALSE;
    g_free(out->etag);
    out->etag = vimg_oss_unquote(etag);
    /* some gateways know it only once the object is there */
    if (!out->etag[0] && !vimg_oss_head(oss, rules->key, out, rules->patience, error))
        return FALSE;
    return check_whole(rules->key, parts, out, error);
}

/* Parts that came late are not taken along the first time: until it is no more. */
gboolean
vimg_oss_upload_abort(VimgOss *oss, const char *key, const char *id, const VimgPatience *patience,
                      GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    guint made;

    vimg_pairs_add(query, "uploadId", id);
    for (made = 0; made < ABORT_ATTEMPTS; made++) {
        g_auto(VimgOssRequest) request = {.key = key, .query = query, .web = {.method = "DELETE"}};
        g_autoptr(GError) local = NULL;

        if (vimg_oss_request(oss, &request, patience, &local))
            continue;
        if (g_strcmp0(request.fault, "NoSuchUpload") == 0 ||
            g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return throw_error(error, VIMG_ERROR_FAILED, _("upload '%1$s' of '%2$s' does not go away"), id,
                       key);
}
