/*
 * json.h: the small JSON documents of a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_JSON_H
#define VIMG_IMAGESTORE_JSON_H

#include <json-glib/json-glib.h>

#include "vimg-plugin.h"

/* No document of ours is longer. */
#define VIMG_JSON_MAX_SIZE ((gsize)1024 * 1024)

/* Returns: (transfer full); NULL with VIMG_ERROR_DAMAGED unless @data is one object. */
JsonObject *vimg_json_parse(const guint8 *data, gsize size, GError **error);
/* Returns: (transfer full) with a final newline. */
char *vimg_json_format(JsonObject *object);

/* Members that are absent or of another type read as NULL, 0, FALSE.  (transfer none) */
const char *vimg_json_string(JsonObject *object, const char *name);
JsonObject *vimg_json_object(JsonObject *object, const char *name);
/* FALSE if it is no number from 0 to G_MAXINT64. */
gboolean vimg_json_number(JsonObject *object, const char *name, guint64 *out);
/* Nothing for NULL. */
void vimg_json_set_string(JsonObject *object, const char *name, const char *value);

#endif
