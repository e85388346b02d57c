/*
 * oss-xml.c: the documents an object storage answers with
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <pthread.h>
#include <libxml/parser.h>

#include "oss-xml.h"
#include "throw.h"

#define FAULT_TEXT_MAX 512

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- trees ---- */

static gboolean
throw_nonsense(GError **error)
{
    return throw_error(error, VIMG_ERROR_INTERNAL,
                       _("the object storage answers with what is not the document it should be"));
}

/* A document with declarations could grow by entities; no answer needs them. */
static xmlDoc *
parse(const guint8 *data, gsize size)
{
    g_autoptr(xmlDoc) doc = NULL;

    pthread_once(&once, xmlInitParser);
    if (size == 0 || size > VIMG_OSS_XML_MAX)
        return NULL;
    doc = xmlReadMemory((const char *)data, (int)size, NULL, NULL,
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc || doc->intSubset || doc->extSubset || !xmlDocGetRootElement(doc))
        return NULL;
    return g_steal_pointer(&doc);
}

static gboolean
is_named(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNode *
child_of(const xmlNode *node, const char *name)
{
    xmlNode *child;

    for (child = node->children; child; child = child->next)
        if (is_named(child, name))
            return child;
    return NULL;
}

/* Returns: (transfer full), NULL if there is no such element. */
static char *
text_of(const xmlNode *node, const char *name)
{
    xmlNode *child = child_of(node, name);
    xmlChar *text = child ? xmlNodeGetContent(child) : NULL;
    char *copy = g_strdup((const char *)text);

    xmlFree(text);
    return copy;
}

static gboolean
number_of(const xmlNode *node, const char *name, guint64 max, guint64 *out)
{
    g_autofree char *text = text_of(node, name);

    return text && g_ascii_string_to_unsigned(text, 10, 0, max, out, NULL);
}

static gint64
time_of(const xmlNode *node, const char *name)
{
    g_autofree char *text = text_of(node, name);
    g_autoptr(GDateTime) at = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;

    return at ? g_date_time_to_unix(at) : 0;
}

static gboolean
flag_of(const xmlNode *node, const char *name)
{
    g_autofree char *text = text_of(node, name);

    return text && g_ascii_strcasecmp(text, "true") == 0;
}

/* Keys may hold what XML may not: then they come encoded.  NULL: not valid. */
static char *
key_of(const xmlNode *node, const char *name, gboolean encoded)
{
    g_autofree char *text = text_of(node, name);
    g_autofree char *key = text && encoded ? g_uri_unescape_string(text, NULL) : g_strdup(text);

    return key && g_utf8_validate(key, -1, NULL) ? g_steal_pointer(&key) : NULL;
}

char *
vimg_oss_unquote(const char *etag)
{
    gsize length = etag ? strlen(etag) : 0;

    if (length >= 2 && etag[0] == '"' && etag[length - 1] == '"')
        return g_strndup(etag + 1, length - 2);
    return g_strdup(etag);
}

static char *
etag_of(const xmlNode *node)
{
    g_autofree char *text = text_of(node, "ETag");

    return vimg_oss_unquote(text);
}

/* ---- errors ---- */

/* One line of bounded length, whatever came. */
static char *
plain_text(char *text)
{
    char *at;

    if (!text)
        return NULL;
    if (g_utf8_strlen(text, -1) > FAULT_TEXT_MAX)
        *g_utf8_offset_to_pointer(text, FAULT_TEXT_MAX) = '\0';
    for (at = text; *at; at++)
        if (g_ascii_iscntrl(*at))
            *at = ' ';
    return g_strstrip(text);
}

gboolean
vimg_oss_xml_fault(const guint8 *data, gsize size, VimgOssFault *out)
{
    g_autoptr(xmlDoc) doc = parse(data, size);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;

    memset(out, 0, sizeof(*out));
    if (!root || !is_named(root, "Error"))
        return FALSE;
    out->code = plain_text(text_of(root, "Code"));
    out->message = plain_text(text_of(root, "Message"));
    out->request_id = plain_text(text_of(root, "RequestId"));
    return TRUE;
}

void
vimg_oss_fault_clear(VimgOssFault *fault)
{
    g_clear_pointer(&fault->code, g_free);
    g_clear_pointer(&fault->message, g_free);
    g_clear_pointer(&fault->request_id, g_free);
}

/* ---- lists ---- */

static void
entry_free(gpointer data)
{
    VimgOssEntry *entry = data;

    g_free(entry->key);
    g_free(entry->etag);
    g_free(entry);
}

static void
pending_free(gpointer data)
{
    VimgOssPending *pending = data;

    g_free(pending->key);
    g_free(pending->id);
    g_free(pending);
}

void
vimg_oss_page_free(VimgOssPage *page)
{
    if (!page)
        return;
    g_clear_pointer(&page->entries, g_ptr_array_unref);
    g_clear_pointer(&page->prefixes, g_ptr_array_unref);
    g_clear_pointer(&page->pending, g_ptr_array_unref);
    g_free(page->next);
    g_free(page->next_id);
    g_free(page);
}

static gboolean
take_entry(VimgOssPage *page, const xmlNode *node, gboolean encoded)
{
    VimgOssEntry *entry = g_new0(VimgOssEntry, 1);

    g_ptr_array_add(page->entries, entry);
    entry->key = key_of(node, "Key", encoded);
    entry->etag = etag_of(node);
    entry->modified = time_of(node, "LastModified");
    return entry->key && number_of(node, "Size", G_MAXINT64, &entry->size);
}

static gboolean
take_prefix(VimgOssPage *page, const xmlNode *node, gboolean encoded)
{
    char *prefix = key_of(node, "Prefix", encoded);

    if (prefix)
        g_ptr_array_add(page->prefixes, prefix);
    return prefix != NULL;
}

static gboolean
take_id(VimgOssPage *page, const xmlNode *node, const char *name, gboolean encoded)
{
    VimgOssPending *pending = g_new0(VimgOssPending, 1);

    g_ptr_array_add(page->pending, pending);
    pending->key = key_of(node, "Key", encoded);
    pending->id = text_of(node, name);
    pending->initiated = time_of(node, "Initiated");
    pending->mark = is_named(node, "DeleteMarker");
    return pending->key && pending->id && *pending->id;
}

static gboolean
take_pending(VimgOssPage *page, const xmlNode *node, gboolean encoded)
{
    return take_id(page, node, "UploadId", encoded);
}

static gboolean
take_version(VimgOssPage *page, const xmlNode *node, gboolean encoded)
{
    return take_id(page, node, "VersionId", encoded);
}

static const struct {
    const char *name;
    gboolean (*take)(VimgOssPage *page, const xmlNode *node, gboolean encoded);
} page_elements[] = {
    {"Contents", take_entry},  {"CommonPrefixes", take_prefix}, {"Upload", take_pending},
    {"Version", take_version}, {"DeleteMarker", take_version},
};

static gboolean
take_all(VimgOssPage *page, const xmlNode *root, gboolean encoded)
{
    const xmlNode *node;
    guint n = 0;
    gsize i;

    for (node = root->children; node; node = node->next)
        for (i = 0; i < G_N_ELEMENTS(page_elements); i++)
            if (is_named(node, page_elements[i].name) &&
                (++n > VIMG_OSS_PAGE_MAX || !page_elements[i].take(page, node, encoded)))
                return FALSE;
    return TRUE;
}

VimgOssPage *
vimg_oss_xml_page(const guint8 *data, gsize size, GError **error)
{
    g_autoptr(VimgOssPage) page = g_new0(VimgOssPage, 1);
    g_autoptr(xmlDoc) doc = parse(data, size);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    g_autofree char *encoding = root ? text_of(root, "EncodingType") : NULL;
    gboolean encoded = g_strcmp0(encoding, "url") == 0;
    gboolean uploads = root && is_named(root, "ListMultipartUploadsResult");
    gboolean versions = root && is_named(root, "ListVersionsResult");

    page->entries = g_ptr_array_new_with_free_func(entry_free);
    page->prefixes = g_ptr_array_new_with_free_func(g_free);
    page->pending = g_ptr_array_new_with_free_func(pending_free);
    if (!root || (!uploads && !versions && !is_named(root, "ListBucketResult")) ||
        !take_all(page, root, encoded)) {
        throw_nonsense(error);
        return NULL;
    }
    page->truncated = flag_of(root, "IsTruncated");
    page->next = uploads || versions ? key_of(root, "NextKeyMarker", encoded)
                                     : text_of(root, "NextContinuationToken");
    page->next_id = text_of(root, versions ? "NextVersionIdMarker" : "NextUploadIdMarker");
    if (page->truncated && (!page->next || !*page->next)) {
        throw_nonsense(error);
        return NULL;
    }
    return g_steal_pointer(&page);
}

/* ---- parts ---- */

static gboolean
take_part(GArray *parts, const xmlNode *node)
{
    const VimgOssPart *last =
        parts->len > 0 ? &g_array_index(parts, VimgOssPart, parts->len - 1) : NULL;
    g_autofree char *etag = etag_of(node);
    VimgOssPart part = {0};
    guint64 number;

    if (!etag || strlen(etag) >= sizeof(part.etag) ||
        !number_of(node, "PartNumber", VIMG_OSS_PARTS_MAX, &number) || number == 0 ||
        (last && number <= last->number) || !number_of(node, "Size", G_MAXINT64, &part.size))
        return FALSE;
    part.number = (guint)number;
    g_strlcpy(part.etag, etag, sizeof(part.etag));
    part.has_crc = number_of(node, "HashCrc64ecma", G_MAXUINT64, &part.crc);
    g_array_append_val(parts, part);
    return TRUE;
}

gboolean
vimg_oss_xml_parts(const guint8 *data, gsize size, GArray *parts, guint *next, GError **error)
{
    g_autoptr(xmlDoc) doc = parse(data, size);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    guint before = parts->len;
    guint64 marker = 0;
    const xmlNode *node;

    if (!root || !is_named(root, "ListPartsResult"))
        return throw_nonsense(error);
    for (node = root->children; node; node = node->next)
        if (is_named(node, "Part") && !take_part(parts, node))
            return throw_nonsense(error);
    *next = 0;
    if (!flag_of(root, "IsTruncated"))
        return TRUE;
    /* a page that brings nothing would bring it for ever */
    if (parts->len == before ||
        !number_of(root, "NextPartNumberMarker", VIMG_OSS_PARTS_MAX, &marker) ||
        marker != g_array_index(parts, VimgOssPart, parts->len - 1).number)
        return throw_nonsense(error);
    *next = (guint)marker;
    return TRUE;
}

char *
vimg_oss_xml_text(const guint8 *data, gsize size, const char *root, const char *path,
                  GError **error)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    g_autoptr(xmlDoc) doc = parse(data, size);
    xmlNode *node = doc ? xmlDocGetRootElement(doc) : NULL;
    char *text = NULL;
    guint i;

    if (node && !is_named(node, root))
        node = NULL;
    for (i = 0; node && names[i] && names[i + 1]; i++)
        node = child_of(node, names[i]);
    if (node)
        text = text_of(node, names[i]);
    if (!text)
        throw_nonsense(error);
    return text;
}
