/*
 * answer.h: what the monitors answer to a command
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_ANSWER_H
#define VIMG_CEPH_ANSWER_H

#include <json-glib/json-glib.h>
#include <rados/librados.h>

#include "vimg-plugin.h"

/* One who belongs to the cluster. */
typedef struct {
    char *name;    /* "mon.a", "osd.3" */
    char *address; /* "10.0.0.5:6789", "[fe80::1]:3300" */
} VimgCephPeer;

/*
 * @command: members of a JSON object, as "\"prefix\": \"df\"".  Returns: (transfer full) the root
 * of the answer, an object or an array.
 */
JsonNode *vimg_ceph_ask(rados_t rados, const char *command, GError **error);

/* Members of what another machine wrote: 0, NULL or FALSE unless they are what they should be. */
guint64 vimg_answer_number(JsonObject *object, const char *name);
const char *vimg_answer_text(JsonObject *object, const char *name);
JsonObject *vimg_answer_object(JsonObject *object, const char *name);
JsonArray *vimg_answer_array(JsonObject *object, const char *name);
JsonObject *vimg_answer_item(JsonArray *array, guint i);

/* Returns: (transfer full) of VimgCephPeer: all monitors, all OSDs that are up. */
GPtrArray *vimg_ceph_monitors(rados_t rados, GError **error);
GPtrArray *vimg_ceph_osds(rados_t rados, GError **error);

#endif
