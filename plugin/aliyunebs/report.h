/*
 * report.h: what a cleanup or a verification found, for the daemon
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_REPORT_H
#define VIMG_ALIYUNEBS_REPORT_H

#include "../imagestore/json.h"

/* Adds {"name", "reason"}.  Returns: (transfer none) it. */
static inline JsonObject *
vimg_ebs_report_note(JsonArray *array, const char *name, const char *reason)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "name", name);
    json_object_set_string_member(object, "reason", reason);
    json_array_add_object_element(array, object);
    return object;
}

#endif
