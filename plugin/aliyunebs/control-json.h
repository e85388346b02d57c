/*
 * control-json.h: the documents a control endpoint answers with
 *
 * Pure functions over bytes nobody vouches for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CONTROL_JSON_H
#define VIMG_ALIYUNEBS_CONTROL_JSON_H

#include "../imagestore/json.h"

#define VIMG_CONTROL_OBJECTS_MAX 64

typedef enum {
    VIMG_TASK_RUNNING, /* also what is not known to be an end */
    VIMG_TASK_FINISHED,
    VIMG_TASK_FAILED, /* or was cancelled */
} VimgTaskState;

/* Cleared by vimg_task_clear(). */
typedef struct {
    VimgTaskState state;
    guint percent; /* 0 to 100 */
    gboolean can_cancel;
    char *reason;   /* VIMG_TASK_FAILED: why, as the endpoint says; NULL: it does not */
    char **objects; /* keys of the objects it made (an export); NULL: none */
} VimgTask;

typedef enum {
    VIMG_CLOUD_IMAGE_ABSENT,
    VIMG_CLOUD_IMAGE_WAITING, /* being made */
    VIMG_CLOUD_IMAGE_AVAILABLE,
    VIMG_CLOUD_IMAGE_FAILED,
} VimgCloudImageState;

/* Cleared by vimg_cloud_image_clear(). */
typedef struct {
    VimgCloudImageState state;
    char *id;
    char *name;
    gboolean in_use;
    guint percent;
    GHashTable *tags; /* of char *; NULL when absent */
} VimgCloudImage;

/* What an error says of itself; each may be NULL. */
typedef struct {
    char *code;
    char *message;
    char *request_id;
} VimgControlFault;

/* FALSE with VIMG_ERROR_INTERNAL: it is not the document it should be. */
gboolean vimg_control_task(JsonObject *answer, VimgTask *out, GError **error);
void vimg_task_clear(VimgTask *task);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgTask, vimg_task_clear)

/* The first image of a list. */
gboolean vimg_control_image(JsonObject *answer, VimgCloudImage *out, GError **error);
void vimg_cloud_image_clear(VimgCloudImage *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgCloudImage, vimg_cloud_image_clear)

/* FALSE: it is no error. */
gboolean vimg_control_fault(JsonObject *answer, VimgControlFault *out);
void vimg_control_fault_clear(VimgControlFault *fault);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgControlFault, vimg_control_fault_clear)

/* An identifier as the service gives them; NULL with VIMG_ERROR_INTERNAL.  (transfer full) */
char *vimg_control_id(JsonObject *answer, const char *name, GError **error);

#endif
