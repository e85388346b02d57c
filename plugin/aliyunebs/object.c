/*
 * object.c: the objects in a bucket, one request each
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <curl/curl.h>

#include "object.h"
#include "throw.h"

#define META "x-oss-meta-"

void
vimg_oss_object_clear(VimgOssObject *object)
{
    g_clear_pointer(&object->etag, g_free);
    g_clear_pointer(&object->version, g_free);
    g_clear_pointer(&object->metadata, g_ptr_array_unref);
    memset(object, 0, sizeof(*object));
}

/* ---- headers ---- */

static void
read_metadata(const VimgOss *oss, const VimgOssRequest *request, GPtrArray *out)
{
    const char *prefix = vimg_oss_is_s3(oss) ? "x-amz-meta-" : META;
    guint i;

    for (i = 0; i < request->web.fields->len; i++) {
        const VimgPair *pair = g_ptr_array_index(request->web.fields, i);
        g_autofree char *name = g_ascii_strdown(pair->name, -1);

        if (g_str_has_prefix(name, prefix))
            vimg_pairs_add(out, name + strlen(prefix), pair->value);
    }
}

void
vimg_oss_object_read(const VimgOss *oss, const VimgOssRequest *request, VimgOssObject *out)
{
    const GPtrArray *fields = request->web.fields;
    const char *length = vimg_pairs_get(fields, "Content-Length");
    const char *modified = vimg_pairs_get(fields, "Last-Modified");
    const char *crc = vimg_oss_field(oss, request, "hash-crc64ecma");
    time_t at = modified ? curl_getdate(modified, NULL) : -1;

    vimg_oss_object_clear(out);
    out->etag = vimg_oss_unquote(vimg_pairs_get(fields, "ETag"));
    out->version = g_strdup(vimg_oss_field(oss, request, "version-id"));
    out->modified = at > 0 ? (gint64)at : 0;
    out->date = vimg_web_date(fields);
    out->has_crc = crc && g_ascii_string_to_unsigned(crc, 10, 0, G_MAXUINT64, &out->crc, NULL);
    if (strcmp(request->web.method, "HEAD") == 0 && length)
        g_ascii_string_to_unsigned(length, 10, 0, G_MAXINT64, &out->size, NULL);
}

void
vimg_oss_add_metadata(GPtrArray *headers, const GPtrArray *metadata)
{
    guint i;

    for (i = 0; metadata && i < metadata->len; i++) {
        const VimgPair *pair = g_ptr_array_index(metadata, i);
        g_autofree char *name = g_strconcat(META, pair->name, NULL);

        vimg_pairs_add(headers, name, pair->value);
    }
}

/* ---- reading ---- */

gboolean
vimg_oss_head_version(VimgOss *oss, const char *key, const char *version, VimgOssObject *out,
                      const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {.key = key, .query = query, .web = {.method = "HEAD"}};

    if (version)
        vimg_pairs_add(query, "versionId", version);
    if (!vimg_oss_request(oss, &request, patience, error))
        return FALSE;
    vimg_oss_object_read(oss, &request, out);
    out->metadata = vimg_pairs_new();
    read_metadata(oss, &request, out->metadata);
    if (out->etag && vimg_pairs_get(request.web.fields, "Content-Length"))
        return TRUE;
    return throw_error(error, VIMG_ERROR_INTERNAL,
                       _("the object storage does not say size and ETag of '%s'"), key);
}

gboolean
vimg_oss_head(VimgOss *oss, const char *key, VimgOssObject *out, const VimgPatience *patience,
              GError **error)
{
    return vimg_oss_head_version(oss, key, NULL, out, patience, error);
}

VimgBuffer *
vimg_oss_get(VimgOss *oss, const char *key, gsize limit, const VimgPatience *patience,
             GError **error)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(limit);
    g_auto(VimgOssRequest)
        request = {.key = key, .web = {.method = "GET", .into = buffer->data, .room = limit}};

    if (!vimg_oss_request(oss, &request, patience, error))
        return NULL;
    buffer->size = request.web.got;
    return g_steal_pointer(&buffer);
}

/* Only just what was asked for: by default a range that goes too far is answered with all. */
static gboolean
check_range(const VimgOssRequest *request, guint64 offset, gsize size, GError **error)
{
    const char *range = vimg_pairs_get(request->web.fields, "Content-Range");
    g_autofree char *expected =
        g_strdup_printf("bytes %llu-%llu/", ULL(offset), ULL(offset + size - 1));

    if (request->web.status == 206 && request->web.got == size && range &&
        g_str_has_prefix(range, expected))
        return TRUE;
    return throw_error(error, VIMG_ERROR_INTERNAL,
                       _("the object storage gives other bytes of '%s' than it was asked for"),
                       request->key);
}

gboolean
vimg_oss_get_range(VimgOss *oss, const char *key, const char *etag, guint64 offset, guint8 *out,
                   gsize size, const VimgPatience *patience, GError **error)
{
    g_autofree char *range =
        g_strdup_printf("bytes=%llu-%llu", ULL(offset), ULL(offset + size - 1));
    g_autofree char *quoted = etag ? g_strdup_printf("\"%s\"", etag) : NULL;
    g_autoptr(GPtrArray) headers = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {
        .key = key, .headers = headers, .web = {.method = "GET", .into = out, .room = size}};

    vimg_pairs_add(headers, "Range", range);
    vimg_pairs_add(headers, "x-oss-range-behavior", "standard");
    if (quoted)
        vimg_pairs_add(headers, "If-Match", quoted);
    if (vimg_oss_request(oss, &request, patience, error))
        return check_range(&request, offset, size, error);
    if (request.web.status != 412)
        return FALSE;
    g_clear_error(error);
    return throw_error(error, VIMG_ERROR_FAILED, _("object '%s' was changed while it was read"),
                       key);
}

/* ---- writing ---- */

/*
 * After a conflict: is what lies there ours?  An attempt may have worked of which the answer was
 * lost; the library, too, asks again by itself when a connection it kept turns out to be gone.
 */
static gboolean
is_ours(VimgOss *oss, const VimgOssPut *put, VimgOssObject *out, const VimgPatience *patience)
{
    g_autoptr(GError) unseen = NULL;
    g_autoptr(VimgBuffer) there = vimg_oss_get(oss, put->key, put->size, patience, &unseen);

    return there && there->size == put->size && memcmp(there->data, put->data, put->size) == 0 &&
           vimg_oss_head(oss, put->key, out, patience, &unseen);
}

gboolean
vimg_oss_put(VimgOss *oss, const VimgOssPut *put, VimgOssObject *out, const VimgPatience *patience,
             GError **error)
{
    g_autofree char *md5 = vimg_md5_base64(put->data, put->size);
    g_autoptr(GPtrArray) headers = vimg_pairs_new();
    g_auto(VimgOssObject) unwanted = {0};
    g_auto(VimgOssRequest)
        request = {.key = put->key,
                   .headers = headers,
                   .web = {.method = "PUT", .body = put->data, .size = put->size}};

    out = out ? out : &unwanted;
    vimg_pairs_add(headers, "Content-MD5", md5);
    vimg_pairs_add(headers, "Content-Type",
                   put->content_type ? put->content_type : "application/octet-stream");
    if (put->exclusive)
        vimg_pairs_add(headers, "x-oss-forbid-overwrite", "true");
    vimg_oss_add_metadata(headers, put->metadata);
    if (vimg_oss_request(oss, &request, patience, error)) {
        vimg_oss_object_read(oss, &request, out);
        out->size = put->size;
        return TRUE;
    }
    if (!put->exclusive || (request.web.status != 409 && request.web.status != 412) ||
        !is_ours(oss, put, out, patience))
        return FALSE;
    g_clear_error(error);
    return TRUE;
}

gboolean
vimg_oss_delete(VimgOss *oss, const char *key, const char *version, const VimgPatience *patience,
                GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {.key = key, .query = query, .web = {.method = "DELETE"}};
    g_autoptr(GError) local = NULL;

    if (version)
        vimg_pairs_add(query, "versionId", version);
    if (vimg_oss_request(oss, &request, patience, &local) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_oss_delete_same(VimgOss *oss, const char *key, const char *etag, const char *version,
                     const VimgPatience *patience, GError **error)
{
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) local = NULL;

    if (!vimg_oss_head(oss, key, &object, patience, &local)) {
        if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
            return !version || vimg_oss_delete(oss, key, version, patience, error);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (g_ascii_strcasecmp(object.etag, etag) != 0)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("object '%s' was replaced by another one"), key);
    return vimg_oss_delete(oss, key, version, patience, error);
}

/* ---- the bucket ---- */

static VimgOssPage *
ask_page(VimgOss *oss, const GPtrArray *query, const VimgPatience *patience, GError **error)
{
    g_auto(VimgOssRequest)
        request = {.query = query, .web = {.method = "GET", .limit = VIMG_OSS_XML_MAX}};

    if (!vimg_oss_request(oss, &request, patience, error))
        return NULL;
    return vimg_oss_xml_page(request.web.text->data, request.web.text->len, error);
}

static void
add_if(GPtrArray *query, const char *name, const char *value)
{
    if (value && *value)
        vimg_pairs_add(query, name, value);
}

VimgOssPage *
vimg_oss_list(VimgOss *oss, const char *prefix, const char *delimiter, const char *token,
              const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();

    vimg_pairs_add(query, "list-type", "2");
    vimg_pairs_add(query, "encoding-type", "url");
    vimg_pairs_add_number(query, "max-keys", VIMG_OSS_PAGE_MAX);
    add_if(query, "prefix", prefix);
    add_if(query, "delimiter", delimiter);
    add_if(query, "continuation-token", token);
    return ask_page(oss, query, patience, error);
}

/* What is listed by key and then by id. */
typedef struct {
    const char *what;
    const char *max_name;
    const char *id_name; /* of the marker */
} IdList;

static VimgOssPage *
list_ids(VimgOss *oss, const IdList *list, const char *prefix, const char *key_marker,
         const char *id_marker, const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();

    vimg_pairs_add(query, list->what, NULL);
    vimg_pairs_add(query, "encoding-type", "url");
    vimg_pairs_add_number(query, list->max_name, VIMG_OSS_PAGE_MAX);
    add_if(query, "prefix", prefix);
    add_if(query, "key-marker", key_marker);
    add_if(query, list->id_name, id_marker);
    return ask_page(oss, query, patience, error);
}

VimgOssPage *
vimg_oss_list_uploads(VimgOss *oss, const char *prefix, const char *key_marker,
                      const char *id_marker, const VimgPatience *patience, GError **error)
{
    static const IdList uploads = {"uploads", "max-uploads", "upload-id-marker"};

    return list_ids(oss, &uploads, prefix, key_marker, id_marker, patience, error);
}

VimgOssPage *
vimg_oss_list_versions(VimgOss *oss, const char *prefix, const char *key_marker,
                       const char *id_marker, const VimgPatience *patience, GError **error)
{
    static const IdList versions = {"versions", "max-keys", "version-id-marker"};

    return list_ids(oss, &versions, prefix, key_marker, id_marker, patience, error);
}

gboolean
vimg_oss_has_versions(VimgOss *oss, gboolean *out, const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {.query = query, .web = {.method = "GET"}};
    g_autofree char *state = NULL;

    if (vimg_oss_is_s3(oss))
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the object storage cannot be asked about versions"));
    vimg_pairs_add(query, "bucketInfo", NULL);
    if (!vimg_oss_request(oss, &request, patience, error))
        return FALSE;
    /* absent: it never had any */
    state = vimg_oss_xml_text(request.web.text->data, request.web.text->len, "BucketInfo",
                              "Bucket/Versioning", NULL);
    *out = g_strcmp0(state, "Enabled") == 0 || g_strcmp0(state, "Suspended") == 0;
    return TRUE;
}

gboolean
vimg_oss_used(VimgOss *oss, guint64 *out, const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_auto(VimgOssRequest) request = {.query = query, .web = {.method = "GET"}};
    g_autofree char *text = NULL;

    if (vimg_oss_is_s3(oss))
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the object storage cannot be asked how full the bucket is"));
    vimg_pairs_add(query, "stat", NULL);
    if (!vimg_oss_request(oss, &request, patience, error))
        return FALSE;
    text = vimg_oss_xml_text(request.web.text->data, request.web.text->len, "BucketStat", "Storage",
                             error);
    if (!text)
        return FALSE;
    return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, out, NULL) ||
           throw_error(error, VIMG_ERROR_INTERNAL,
                       _("the object storage answers with what is not the document it should be"));
}
