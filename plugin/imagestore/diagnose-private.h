/*
 * diagnose-private.h: what the parts of a diagnosis share
 *
 * diagnose.c leads; diagnose-way.c goes to a server, diagnose-mount.c looks at the file system,
 * diagnose-files.c tries it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_DIAGNOSE_PRIVATE_H
#define VIMG_IMAGESTORE_DIAGNOSE_PRIVATE_H

#include "../diagnosis.h"
#include "diagnose.h"
#include "sftp/session.h"
#include "store.h"

typedef struct {
    const VimgPluginPool *pool;
    VimgStepSink sink;
    gpointer data;
    VimgPluginJob *job;
    const char *step;         /* the present one */
    char *where;              /* the directory, with its host if that is another one */
    VimgTransport *transport; /* NULL: the server was not reached */
    VimgSftpServer server;
    gboolean reached;      /* the directory can be read */
    VimgSliceStore *store; /* NULL: none was found; else only to look at */
    gboolean written;      /* files could be made */
    gint64 skew;           /* seconds that the storage's clock is ahead of ours */
    gint64 latency;        /* microseconds until a small file was durable, at worst */
} VimgDiagnosis;

/* The verdict where @path was not read, @result being a value of errno. */
void vimg_diagnosis_unread(VimgDiagnosis *diagnosis, const char *path, int result);
/* Takes the step @name alone. */
void vimg_diagnose_step(VimgDiagnosis *diagnosis, const char *name);

/* Each step to a server on another machine. */
void vimg_diagnose_way(VimgDiagnosis *diagnosis);
/* What that server can do. */
void vimg_diagnose_server(VimgDiagnosis *diagnosis);
/* Which file system it is, and whether it keeps what it says. */
void vimg_diagnose_mount(VimgDiagnosis *diagnosis);
/* The same by @mounts, in the form of /proc/self/mountinfo. */
void vimg_diagnose_mount_in(VimgDiagnosis *diagnosis, const char *mounts);
/* Whether files can be made, moved and made durable as the store needs it; fills what it measured.
 */
void vimg_diagnose_files(VimgDiagnosis *diagnosis);

#endif
