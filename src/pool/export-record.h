/*
 * export-record.h: what is kept of an export, in a file each below exports/ of the state directory
 *
 * Of its token only the SHA-256 is kept: who reads the files cannot download anything.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_EXPORT_RECORD_H
#define VIMG_POOL_EXPORT_RECORD_H

#include "image/qcow2-layout.h"
#include "pool/model.h"

typedef struct {
    char id[VIMG_UUID_TEXT_SIZE];
    guint8 hash[VIMG_EXPORT_HASH_SIZE];
    char pool[VIMG_UUID_TEXT_SIZE];
    char image[VIMG_UUID_TEXT_SIZE];
    char *pool_name; /* then */
    char *name;      /* of the image */
    char *file;
    char *format;
    gboolean convert; /* it is laid out as qcow2, or is the raw disk of one */
    gboolean compress;
    gboolean direct;   /* the storage itself serves it: nothing of it is read here */
    gboolean released; /* the storage keeps the image for it no longer */
    gboolean nbd;      /* it ends with its server, and has no file */
    guint64 capacity;
    guint64 stored; /* bytes of the image's own content */
    guint64 size;
    char *sha256;     /* NULL: not known */
    char *generation; /* of the image then; NULL: not known */
    gint64 created;   /* seconds since 1970 */
    gint64 expires;
    gint64 revoked;    /* 0: it is not */
    gboolean replaced; /* it is, because its image holds something else */
} VimgExportRecord;

void vimg_export_record_free(VimgExportRecord *record); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgExportRecord, vimg_export_record_free)

/* Whether it is raw of an image stored as qcow2. */
gboolean vimg_export_record_unpacks(const VimgExportRecord *record);

/* Returns: (transfer full) */
char *vimg_export_record_format(const VimgExportRecord *record);
/* VIMG_ERROR_INVALID_ARG: it is none, or says what cannot be. */
VimgExportRecord *vimg_export_record_parse(const char *text, GError **error);

/* All of it is I/O; @dir: exports/, @text: the record */
gboolean vimg_export_record_save(const char *dir, const char *id, const char *text, GError **error);
/* The map of a record that converts; before the record is saved. */
gboolean vimg_export_map_save(const char *dir, const VimgExportRecord *record,
                              const VimgQcow2Layout *layout, GError **error);
VimgQcow2Layout *vimg_export_map_load(const char *dir, const VimgExportRecord *record,
                                      GError **error);
/* Both; a failure is logged. */
void vimg_export_record_remove(const char *dir, const char *id);
/* Returns: (transfer full) of VimgExportRecord; a bad file is logged by name and skipped. */
GPtrArray *vimg_export_records_load(const char *dir, GError **error);

#endif
