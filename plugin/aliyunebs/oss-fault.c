/*
 * oss-fault.c: what the errors of an object storage mean to whoever asked
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "oss-private.h"
#include "throw.h"

/* Status and code decide; the finer codes beside them may change, says the vendor. */
static const struct {
    const char *fault;
    VimgErrorCode code;
} by_fault[] = {
    {"NoSuchKey", VIMG_ERROR_NO_VOL},
    {"NoSuchVersion", VIMG_ERROR_NO_VOL},
    {"NoSuchBucket", VIMG_ERROR_DISCONNECTED},
    {"NoSuchUpload", VIMG_ERROR_OPERATION_INVALID},
    {"FileAlreadyExists", VIMG_ERROR_VOL_EXISTS},
    {"InvalidAccessKeyId", VIMG_ERROR_AUTH},
    {"SignatureDoesNotMatch", VIMG_ERROR_AUTH},
    {"RequestTimeTooSkewed", VIMG_ERROR_AUTH},
    {"SecurityTokenExpired", VIMG_ERROR_AUTH},
    {"NotImplemented", VIMG_ERROR_NO_SUPPORT},
    {"AccessDenied", VIMG_ERROR_ACCESS_DENIED},
    {"SecondLevelDomainForbidden", VIMG_ERROR_CONFIG_UNSUPPORTED},
    {"QuotaExceeded", VIMG_ERROR_NO_SPACE},
    {"EntityTooLarge", VIMG_ERROR_NO_SPACE},
};

static const struct {
    guint first;
    guint last;
    VimgErrorCode code;
} by_status[] = {
    {300, 399, VIMG_ERROR_CONFIG_UNSUPPORTED},
    {401, 401, VIMG_ERROR_AUTH},
    {403, 403, VIMG_ERROR_ACCESS_DENIED},
    {404, 404, VIMG_ERROR_DISCONNECTED}, /* of somebody before it: the storage says what is gone */
    {429, 429, VIMG_ERROR_BUSY},
    {500, 599, VIMG_ERROR_DISCONNECTED},
};

static VimgErrorCode
code_of(const VimgOss *oss, const VimgOssRequest *request)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(by_fault); i++)
        if (g_strcmp0(request->fault, by_fault[i].fault) == 0)
            return by_fault[i].code;
    /* it has no room for a document, but for the id that the storage alone gives */
    if (!request->fault && request->web.status == 404 && strcmp(request->web.method, "HEAD") == 0 &&
        vimg_oss_field(oss, request, "request-id"))
        return VIMG_ERROR_NO_VOL;
    /* S3's way to say that there is one already */
    if (vimg_oss_is_s3(oss) && request->web.status == 412 && request->headers &&
        vimg_pairs_get(request->headers, "x-oss-forbid-overwrite"))
        return VIMG_ERROR_VOL_EXISTS;
    for (i = 0; i < G_N_ELEMENTS(by_status); i++)
        if (request->web.status >= by_status[i].first && request->web.status <= by_status[i].last)
            return by_status[i].code;
    return VIMG_ERROR_FAILED;
}

/* An answer without a body has the document in a header. */
static gboolean
read_fault(const VimgOss *oss, const VimgOssRequest *request, VimgOssFault *out)
{
    const char *encoded = vimg_oss_field(oss, request, "err");
    const GByteArray *text = request->web.text;
    g_autofree guchar *bytes = NULL;
    gsize size;

    if (text->len > 0 || !encoded)
        return vimg_oss_xml_fault(text->data, text->len, out);
    bytes = g_base64_decode(encoded, &size);
    return vimg_oss_xml_fault(bytes, size, out);
}

gboolean
vimg_oss_throw(const VimgOss *oss, VimgOssRequest *request, GError **error)
{
    g_auto(VimgOssFault) fault = {0};
    const char *said = vimg_oss_field(oss, request, "request-id");
    const char *id;

    read_fault(oss, request, &fault);
    id = fault.request_id ? fault.request_id : said ? said : "-";
    g_free(request->fault);
    request->fault = g_strdup(fault.code);
    if (!fault.code)
        return throw_error(error, code_of(oss, request),
                           _("the object storage answers %1$u (request id %2$s)"),
                           request->web.status, id);
    return throw_error(error, code_of(oss, request),
                       _("the object storage answers %1$s: %2$s (request id %3$s)"), fault.code,
                       fault.message ? fault.message : "-", id);
}
