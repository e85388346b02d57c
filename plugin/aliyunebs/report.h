/*
 * report.h: what a cleanup, a verification or a look at the usage found, for the daemon
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_REPORT_H
#define VIMG_ALIYUNEBS_REPORT_H

#include "../imagestore/json.h"

#define VIMG_EBS_REPORT_ROOM ((gsize)12 * 1024 * 1024) /* bytes; the daemon takes 16 MiB */
#define VIMG_EBS_REPORT_ENTRY 320                      /* bytes of an entry besides its texts */

/* FALSE: there is no more room in a report for an entry of these texts; each byte may take six. */
static inline gboolean
vimg_ebs_report_take(gsize *room, const char *name, const char *reason)
{
    gsize size = VIMG_EBS_REPORT_ENTRY + 6 * (strlen(name) + (reason ? strlen(reason) : 0));

    if (size > *room)
        *room = 0; /* what is smaller does not come behind a gap */
    else
        *room -= size;
    return *room > 0;
}

/* Adds {"name", "reason"}.  Returns: (transfer none) it; NULL: there is no more room. */
static inline JsonObject *
vimg_ebs_report_note(JsonArray *array, gsize *room, const char *name, const char *reason)
{
    JsonObject *object;

    if (!vimg_ebs_report_take(room, name, reason))
        return NULL;
    object = json_object_new();
    json_object_set_string_member(object, "name", name);
    json_object_set_string_member(object, "reason", reason);
    json_array_add_object_element(array, object);
    return object;
}

#endif
