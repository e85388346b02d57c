/*
 * control.h: a control endpoint, where objects become images of the block storage
 *
 * Everything blocks, and may be called from any thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CONTROL_H
#define VIMG_ALIYUNEBS_CONTROL_H

#include "control-json.h"
#include "dialect.h"
#include "web.h"

#define VIMG_CONTROL_VERSION "2014-05-26"

/* All copied. */
typedef struct {
    const char *url; /* as "http://ocean.example:8080/ocean/api" */
    const VimgDialect *dialect;
    const char *region;
    const char *version; /* NULL: VIMG_CONTROL_VERSION */
    VimgWebRules web;
} VimgControlRules;

typedef struct _VimgControl VimgControl;

/* http(s)://host[:port]/path and nothing else; VIMG_ERROR_CONFIG_UNSUPPORTED, showing @url. */
gboolean vimg_control_check_url(const char *url, GError **error);

/* Returns: (transfer full), without any I/O; NULL as vimg_control_check_url(), vimg_web_new(). */
VimgControl *vimg_control_new(const VimgControlRules *rules, VimgCredential *credential,
                              GError **error);
/* No call may be running.  Accepts NULL. */
void vimg_control_free(VimgControl *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgControl, vimg_control_free)
void vimg_control_set_credential(VimgControl *control, VimgCredential *credential);
/* Seconds the endpoint's clock is ahead of ours, as far as it was ever looked at. */
gint64 vimg_control_skew(VimgControl *control);

/* What an import is told; borrowed. */
typedef struct {
    const char *token; /* the same one each time it is asked for: then it is done once */
    const char *name;
    const char *description; /* NULL: none */
    const char *bucket;
    const char *key;
    const char *format; /* raw, qcow2, vpc, vmdk; NULL: it finds out */
    const char *arch;   /* x86_64, i386, arm64; NULL: the endpoint's default */
    const char *os;     /* linux, windows; NULL: the endpoint's default */
    guint64 size;       /* of the disk in bytes */
    const char *tag;    /* name of the tag that makes it ours */
    const char *tag_value;
} VimgImport;

/*
 * All of them fail with VIMG_ERROR_AUTH, _ACCESS_DENIED, _BUSY, _NO_VOL (no such image or task),
 * _OPERATION_INVALID (not in this state), _NO_SUPPORT (it is no endpoint of this dialect), _FAILED,
 * _INTERNAL or as vimg_web_perform(); messages have code, words and request id.
 */
gboolean vimg_control_import(VimgControl *control, const VimgImport *import, char **image_id,
                             char **task_id, const VimgPatience *patience, GError **error);
gboolean vimg_control_export(VimgControl *control, const char *image_id, const char *bucket,
                             const char *prefix, const char *format, char **task_id,
                             const VimgPatience *patience, GError **error);
/* @token as of an import. */
gboolean vimg_control_copy(VimgControl *control, const char *image_id, const char *name,
                           const char *token, char **new_id, const VimgPatience *patience,
                           GError **error);
gboolean vimg_control_describe_task(VimgControl *control, const char *task_id, VimgTask *out,
                                    const VimgPatience *patience, GError **error);
/* One that ended already is VIMG_ERROR_OPERATION_INVALID. */
gboolean vimg_control_cancel_task(VimgControl *control, const char *task_id,
                                  const VimgPatience *patience, GError **error);
/*
 * By id, or by name if that is NULL.  One that is not there: @out->state says so; another one is
 * VIMG_ERROR_INTERNAL.
 */
gboolean vimg_control_describe_image(VimgControl *control, const char *image_id, const char *name,
                                     VimgCloudImage *out, const VimgPatience *patience,
                                     GError **error);
/* What is not there is a success. */
gboolean vimg_control_delete_image(VimgControl *control, const char *image_id,
                                   const VimgPatience *patience, GError **error);
/* Whether it is reached, knows us and speaks this dialect. */
gboolean vimg_control_probe(VimgControl *control, const VimgPatience *patience, GError **error);

#endif
