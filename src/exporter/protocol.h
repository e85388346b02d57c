/*
 * protocol.h: what the daemon and its export server say to each other
 *
 * Over one stream socket that both inherit.  The server asks, the daemon answers; questions have
 * numbers and are answered in any order.  Both are one program in two processes of one host, so
 * numbers are in its order of bytes; but whoever speaks to the world may have been taken over, so
 * the daemon checks every question, and all that can be asked is
 *
 *   LOOK   which export has a token with this SHA-256, and what is it (answered by Info)
 *   READ   bytes of that export, from an offset on
 *   BEGIN  nothing: it says that it serves from now on, or why it cannot; this is not answered
 *   MAP    where zeros are known to be, from an offset on (answered by Extents that follow each
 * other)
 *
 * A READ is answered by at least one byte: by as many bytes of data as the server has room for, or
 * by any number of zeros that do not travel.
 *
 * An image that is served over NBD has a server and a link of its own, on which every question is
 * of that image, whatever hash it says; nbdkit listens at the first descriptor behind the standard
 * ones.  It has an empty file as well, which may become as large as its limit says, and which the
 * daemon writes too: a READ may name a place in it, to which data goes instead of over the link.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_PROTOCOL_H
#define VIMG_EXPORTER_PROTOCOL_H

#include <glib.h>

/* Descriptors that the server is started with, beside the standard ones. */
#define VIMG_EXPORTER_LINK_FD 3
#define VIMG_EXPORTER_LISTEN_FD 4
#define VIMG_EXPORTER_NBD_LISTEN_FD 3
#define VIMG_EXPORTER_NBD_LINK_FD 4
#define VIMG_EXPORTER_NBD_CACHE_FD 5

#define VIMG_EXPORTER_HASH_SIZE 32
#define VIMG_EXPORTER_PIECE ((gsize)1024 * 1024)
/* In one answer. */
#define VIMG_EXPORTER_EXTENTS_MAX 4096
/* Questions that wait for an answer; beyond, the daemon reads none. */
#define VIMG_EXPORTER_WAITING_MAX 512

typedef enum {
    VIMG_EXPORTER_LOOK = 1,
    VIMG_EXPORTER_READ = 2,
    VIMG_EXPORTER_MAP = 3,
    VIMG_EXPORTER_BEGIN = 4,
} VimgExporterWhat;

typedef struct {
    guint32 number;
    guint32 what; /* VimgExporterWhat */
    guint8 hash[VIMG_EXPORTER_HASH_SIZE];
    guint64 offset; /* READ, MAP; else 0 */
    guint64 length; /* READ: at least 1; BEGIN: bytes of why not, which follow; else 0 */
    guint64 most;   /* READ: bytes of data in one answer, from 1 to VIMG_EXPORTER_PIECE; else 0 */
    guint64 place;  /* READ: of these in the file, or VIMG_EXPORTER_NOWHERE; else that */
    guint64 until;  /* READ: to where more will be asked for, at least behind @length; else 0 */
} VimgExporterQuestion;

#define VIMG_EXPORTER_NOWHERE G_MAXUINT64
#define VIMG_EXPORTER_REASON_MAX 512 /* bytes of why it does not serve */

typedef enum {
    VIMG_EXPORTER_OK,
    VIMG_EXPORTER_ABSENT, /* there is no such export */
    VIMG_EXPORTER_ENDED,  /* it is expired or revoked */
    VIMG_EXPORTER_BUSY,   /* not now: the pool is not running, or too much is */
    VIMG_EXPORTER_FAILED, /* it cannot be read */
    VIMG_EXPORTER_N_STATUSES
} VimgExporterStatus;

/* How bytes are told. */
typedef enum {
    VIMG_EXPORTER_SENT, /* they follow, as all other answers do */
    VIMG_EXPORTER_ZEROS,
    VIMG_EXPORTER_PLACED, /* in the file, where the question said */
    VIMG_EXPORTER_N_WAYS
} VimgExporterWay;

/* Behind it, if the status is OK: Info, Extents, or @length bytes that are sent. */
typedef struct {
    guint32 number;
    guint32 status; /* VimgExporterStatus */
    guint32 way;    /* VimgExporterWay */
    guint32 unused;
    guint64 length; /* READ: bytes that this tells of; else of what follows; 0 unless OK */
} VimgExporterAnswer;

/* Texts are UTF-8 and end with a NUL. */
typedef struct {
    guint64 size; /* bytes of a download, not compressed */
    guint64 capacity;
    gint64 created; /* seconds since 1970 */
    gint64 expires;
    guint32 compress;
    char format[20];
    char file[304];
    char etag[40];   /* of what is downloaded, without quotes */
    char sha256[72]; /* "": not known */
} VimgExporterInfo;

typedef struct {
    guint64 length; /* at least 1 */
    guint32 zeros;  /* whether they are, else nobody knows */
    guint32 unused;
} VimgExporterExtent;

/* It serves, or @why (NULL) not.  Nobody else says anything meanwhile. */
gboolean vimg_exporter_say_begin(int fd, const char *why);

/* What may be said, on both sides. */
gboolean vimg_exporter_question_check(const VimgExporterQuestion *question);
gboolean vimg_exporter_answer_check(const VimgExporterAnswer *answer);
gboolean vimg_exporter_info_check(const VimgExporterInfo *info);

/* All of @size bytes, of a socket that blocks.  FALSE: it ended, or an error. */
gboolean vimg_exporter_receive(int fd, gpointer data, gsize size);
/* The same of two pieces, of which the second may be empty. */
gboolean vimg_exporter_send(int fd, gconstpointer head, gsize head_size, gconstpointer data,
                            gsize size);

#endif
