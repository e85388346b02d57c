/*
 * diagnose-private.h: what the parts of a diagnosis share
 *
 * diagnose.c leads; diagnose-mount.c looks at the file system, diagnose-files.c tries it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_DIAGNOSE_PRIVATE_H
#define VIMG_IMAGESTORE_DIAGNOSE_PRIVATE_H

#include "diagnose.h"
#include "store.h"

typedef struct {
    const VimgPluginPool *pool;
    VimgStepSink sink;
    gpointer data;
    VimgPluginJob *job;
    const char *step; /* the present one */
    VimgTransport *transport;
    gboolean reached;      /* the directory can be read */
    VimgSliceStore *store; /* NULL: none was found; else only to look at */
    gboolean written;      /* files could be made */
    gint64 skew;           /* seconds that the storage's clock is ahead of ours */
    gint64 latency;        /* microseconds until a small file was durable, at worst */
} VimgDiagnosis;

/* The verdict on the present step.  @remedy: NULL: nothing is to be done. */
void vimg_diagnosis_tell(VimgDiagnosis *diagnosis, VimgStepVerdict verdict, const char *remedy,
                         const char *format, ...) G_GNUC_PRINTF(4, 5);

/* Which file system it is, and whether it keeps what it says. */
void vimg_diagnose_mount(VimgDiagnosis *diagnosis);
/* Whether files can be made, moved and made durable as the store needs it; fills what it measured.
 */
void vimg_diagnose_files(VimgDiagnosis *diagnosis);

#endif
