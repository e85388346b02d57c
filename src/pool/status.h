/*
 * status.h: the JSON documents that say how things are
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_STATUS_H
#define VIMG_POOL_STATUS_H

#include <json-glib/json-glib.h>

/* @text NULL: null */
void vimg_json_set_text(JsonObject *object, const char *name, const char *text);
/* Not @known: null */
void vimg_json_set_known(JsonObject *object, const char *name, gboolean known, guint64 value);
/* "jobs"; @jobs: of VimgJobInfo */
void vimg_json_set_jobs(JsonObject *object, GPtrArray *jobs);
/* Returns: (transfer full) */
char *vimg_json_to_text(JsonObject *object);

#endif
