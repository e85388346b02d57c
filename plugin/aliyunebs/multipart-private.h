/*
 * multipart-private.h: what the files of an upload share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_MULTIPART_PRIVATE_H
#define VIMG_ALIYUNEBS_MULTIPART_PRIVATE_H

#include <pthread.h>

#include "multipart.h"
#include "sums.h"

/* A part that the storage has or is to have. */
typedef struct {
    VimgOssUpload *upload;
    VimgBuffer *data;
    VimgSum md5;       /* offered as soon as the task is there */
    gsize summed;      /* bytes that the CRC is of */
    VimgOssPart part;  /* its number, size and CRC; the ETag is what the storage says */
    VimgOssPart known; /* number 0: none was there */
    guint made;        /* attempts that arrived as something else */
} VimgOssTask;

struct _VimgOssUpload {
    VimgOss *oss;
    const VimgOssUploadRules *rules;
    VimgPatience patience; /* of the workers: also until one fails */
    char *id;
    guint limit;      /* of workers */
    guint ahead;      /* parts besides theirs that may wait to be summed */
    guint most;       /* of tasks: with a worker, or sent and not yet compared */
    guint64 reserved; /* bytes of memory */
    gint stop;        /* through __atomic builtins */
    VimgSums *sums;   /* of the tasks */

    /* the caller's */
    VimgBuffer *current; /* part that is being filled, to @filled; NULL: none */
    gsize filled;
    guint number; /* of the next part */
    guint64 length;

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    pthread_cond_t work;  /* there is a task, or the end */
    pthread_cond_t room;  /* a task was done */
    GQueue tasks;         /* of VimgOssTask */
    GQueue spare;         /* of VimgBuffer, whole parts of which were sent */
    guint pending;        /* tasks that are not done */
    GError *failed;       /* the first failure */
    gboolean closing;
    GArray *parts;      /* of VimgOssPart, by number - 1; number 0: not there */
    pthread_t *threads; /* @limit of them */
    guint n_threads;
};

/* Of no byte while the storage joins parts or copies: it says nothing before it is done. */
#define VIMG_OSS_WORK_SECONDS 600

/*
 * After @request failed: has an attempt whose answer was lost made the object, with @metadata and
 * @size?
 */
gboolean vimg_oss_is_made(VimgOss *oss, const VimgOssRequest *request, const GPtrArray *metadata,
                          guint64 size, VimgOssObject *out, const VimgPatience *patience);
/* Requests of one upload; all but the last fill or read @parts. */
char *vimg_oss_initiate(VimgOss *oss, const VimgOssUploadRules *rules, GError **error);
gboolean vimg_oss_list_parts(VimgOss *oss, const char *key, const char *id, GArray *parts,
                             const VimgPatience *patience, GError **error);

/* Its CRC takes in all before byte @end.  By the worker that has the task. */
void vimg_oss_sum_part(VimgOssTask *task, gsize end);

/* What the storage says of a part that was sent. */
typedef enum {
    VIMG_OSS_ARRIVED_OTHER, /* another one came */
    VIMG_OSS_ARRIVED_WHOLE,
    VIMG_OSS_ARRIVED_MD5, /* so far; its ETag is an MD5, which is to be compared */
} VimgOssArrival;

/* Once. */
gboolean vimg_oss_send_part(VimgOssTask *task, VimgOssArrival *arrival, GError **error);
gboolean vimg_oss_complete(VimgOss *oss, const VimgOssUploadRules *rules, const char *id,
                           const GArray *parts, VimgOssObject *out, GError **error);

#endif
