/*
 * oss-xml.h: the documents an object storage answers with
 *
 * Pure functions over bytes nobody vouches for.  All of them: FALSE or NULL with
 * VIMG_ERROR_INTERNAL if it is not the document it should be.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_OSS_XML_H
#define VIMG_ALIYUNEBS_OSS_XML_H

#include "vimg-plugin.h"

#define VIMG_OSS_XML_MAX ((gsize)8 * 1024 * 1024)
#define VIMG_OSS_PAGE_MAX 1000 /* entries of a page */
#define VIMG_OSS_PARTS_MAX 10000

/* What an error says of itself; each may be NULL. */
typedef struct {
    char *code;
    char *message;
    char *request_id;
} VimgOssFault;

typedef struct {
    char *key;
    guint64 size;
    char *etag;      /* without quotes; NULL: not said */
    gint64 modified; /* seconds since 1970; 0: not said */
} VimgOssEntry;

typedef struct {
    char *key;
    char *id;
    gint64 initiated; /* seconds since 1970; 0: not said */
} VimgOssPending;

/* A page of a list. */
typedef struct {
    GPtrArray *entries;  /* of VimgOssEntry */
    GPtrArray *prefixes; /* of char *, as far as the delimiter */
    GPtrArray *pending;  /* of VimgOssPending */
    gboolean truncated;  /* there are more, beginning at: */
    char *next;          /* token, or key marker */
    char *next_id;       /* upload id marker */
} VimgOssPage;

typedef struct {
    guint number; /* 1 to VIMG_OSS_PARTS_MAX */
    guint64 size;
    char etag[65]; /* without quotes */
    guint64 crc;
    gboolean has_crc;
} VimgOssPart;

/* FALSE: it is no error, or none that can be understood. */
gboolean vimg_oss_xml_fault(const guint8 *data, gsize size, VimgOssFault *out);
void vimg_oss_fault_clear(VimgOssFault *fault);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgOssFault, vimg_oss_fault_clear)

/* ListBucketResult or ListMultipartUploadsResult.  Returns: (transfer full) */
VimgOssPage *vimg_oss_xml_page(const guint8 *data, gsize size, GError **error);
/* Accepts NULL. */
void vimg_oss_page_free(VimgOssPage *page);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgOssPage, vimg_oss_page_free)

/* ListPartsResult, added to @parts (of VimgOssPart) in rising order.  @next: 0 after the last. */
gboolean vimg_oss_xml_parts(const guint8 *data, gsize size, GArray *parts, guint *next,
                            GError **error);
/* The text at "Element/Element" below the root @root. */
char *vimg_oss_xml_text(const guint8 *data, gsize size, const char *root, const char *path,
                        GError **error);

/* "\"ABC\"" as "ABC"; NULL for NULL. */
char *vimg_oss_unquote(const char *etag);

#endif
