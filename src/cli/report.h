/*
 * report.h: JSON that comes from the daemon, and JSON that goes to programs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_REPORT_H
#define VIMG_CLI_REPORT_H

#include <json-glib/json-glib.h>

#include "cli/command.h"

/* Returns: (transfer full) the object @text is; NULL with VIMG_ERROR_RPC if it is none. */
JsonObject *vimg_report_parse(const char *text, GError **error);

/*
 * Returns: (transfer full) for programs: in ASCII where a terminal would do something else than
 * show, and U+FFFD for each byte that is no UTF-8.
 */
char *vimg_report_format(JsonObject *report);
/* On standard output. */
void vimg_report_print(JsonObject *report);

/* Members of an object that nobody has looked at; what is absent or of another type is @fallback,
 * or NULL. */
gint64 vimg_report_number(JsonObject *object, const char *name, gint64 fallback);
/* A ratio; negative: there is none. */
double vimg_report_ratio(JsonObject *object, const char *name);
gboolean vimg_report_truth(JsonObject *object, const char *name);
const char *vimg_report_string(JsonObject *object, const char *name);
JsonObject *vimg_report_object(JsonObject *object, const char *name);
/* Elements of an array that are objects. */
guint vimg_report_count(JsonObject *object, const char *name);
JsonObject *vimg_report_element(JsonObject *object, const char *name, guint i);

#endif
