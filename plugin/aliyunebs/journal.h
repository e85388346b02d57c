/*
 * journal.h: what this host began in the storage and has not ended
 *
 * A file for each image, durable before the step it announces is taken: whatever kills the daemon,
 * the next one knows what may be there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_JOURNAL_H
#define VIMG_ALIYUNEBS_JOURNAL_H

#include "record.h"

/* The step that was begun last, in their order; names of it are in the file. */
typedef enum {
    VIMG_EBS_UPLOADING,  /* .key is chosen, .upload may be known */
    VIMG_EBS_COMPLETING, /* there may be an object */
    VIMG_EBS_COMPLETED,  /* it is the one of .etag */
    VIMG_EBS_IMPORTING,  /* asked for with .token; .image_id and .task_id may be known */
    VIMG_EBS_EXPORTING,  /* of an active image, to keys that begin with .image_name */
    VIMG_EBS_N_STEPS
} VimgEbsStep;

typedef struct {
    char *uuid;
    char *name; /* of the image */
    VimgEbsStep step;
    gboolean clone; /* nothing of it is an image before it is active */
    char *key;
    char *attempt; /* as the record has it while the image is this host's */
    char *upload;
    char *etag;
    char *version;
    char *token;
    char *image_name; /* at the control endpoint */
    char *image_id;
    char *task_id;
    char *record; /* the document of the active image */
} VimgEbsJournal;

/* Accepts NULL. */
void vimg_ebs_journal_free(VimgEbsJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgEbsJournal, vimg_ebs_journal_free)

/* Returns: (transfer full), an empty one if there is none; NULL with @error: it cannot be read. */
VimgEbsJournal *vimg_ebs_journal_load(const VimgEbsStore *store, const char *uuid, GError **error);
/* The step is @step from now on, durably. */
gboolean vimg_ebs_journal_note(const VimgEbsStore *store, VimgEbsJournal *journal, VimgEbsStep step,
                               GError **error);
/* It ended. */
void vimg_ebs_journal_drop(const VimgEbsStore *store, const char *uuid);
/* Returns: (transfer full) uuids of all there are. */
GPtrArray *vimg_ebs_journal_list(const VimgEbsStore *store);
/* Returns: (transfer full) what this host is called, the same for ever; NULL with @error. */
char *vimg_ebs_journal_host(const char *state_dir, GError **error);

#endif
