/*
 * json-guard.h: what a JSON parser should not be given
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_JSON_GUARD_H
#define VIMG_UTIL_JSON_GUARD_H

#include <glib.h>

/*
 * Whether @text nests more than 16 deep or has what begins a comment outside of its strings: the
 * parser of json-glib recurses, and knows comments, which hide quotes; a report needs neither.
 */
gboolean vimg_json_is_tricky(const char *text);

#endif
