/*
 * request.h: what a request for an export asks for, from its bytes alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_REQUEST_H
#define VIMG_EXPORTER_REQUEST_H

#include "exporter/protocol.h"

#define VIMG_EXPORTER_TOKEN_SIZE 43 /* characters, base64url of 256 bits */

typedef struct {
    char token[VIMG_EXPORTER_TOKEN_SIZE + 1];
    char *name; /* what follows it, decoded; NULL: nothing does */
} VimgExporterPath;

void vimg_exporter_path_clear(VimgExporterPath *path);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgExporterPath, vimg_exporter_path_clear)

/*
 * "/TOKEN" or "/TOKEN/NAME", where NAME may have bytes as %XX; @text is as it came, without the
 * query.  FALSE: it is neither.
 */
gboolean vimg_exporter_path_parse(const char *text, VimgExporterPath *out);
void vimg_exporter_token_hash(const char *token, guint8 hash[VIMG_EXPORTER_HASH_SIZE]);

typedef enum {
    VIMG_EXPORTER_NOTHING, /* no such thing */
    VIMG_EXPORTER_IMAGE,
    VIMG_EXPORTER_CHECKSUM,
} VimgExporterTarget;

/* What @path is of the export that its token is of. */
VimgExporterTarget vimg_exporter_target(const VimgExporterPath *path, const VimgExporterInfo *info);

typedef enum {
    VIMG_EXPORTER_WHOLE,    /* none was asked for, or more than one, or it cannot be read */
    VIMG_EXPORTER_PART,     /* of the two below */
    VIMG_EXPORTER_NO_RANGE, /* outside of all */
} VimgExporterRange;

/*
 * The value of Range: (NULL: none) of something of @size bytes; @if_range is that of If-Range:,
 * @etag without quotes.
 */
VimgExporterRange vimg_exporter_range(const char *range, const char *if_range, const char *etag,
                                      guint64 size, guint64 *offset, guint64 *length);
/* Whether If-None-Match: (NULL: none) names @etag. */
gboolean vimg_exporter_has_etag(const char *header, const char *etag);
/* Whether Accept: prefers a page for people; a client that says nothing of pages does not. */
gboolean vimg_exporter_wants_page(const char *accept);

/* Returns: (transfer full) the value of Content-Disposition: for a file of this name. */
char *vimg_exporter_disposition(const char *file);

#endif
