/*
 * pairs.h: names with values: the headers, queries and parameters of a request
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_PAIRS_H
#define VIMG_ALIYUNEBS_PAIRS_H

#include <glib.h>

typedef struct {
    char *name;
    char *value; /* NULL: the name alone, as "?uploads" */
} VimgPair;

/* Returns: (transfer full) array of VimgPair. */
GPtrArray *vimg_pairs_new(void);
void vimg_pairs_add(GPtrArray *pairs, const char *name, const char *value);
void vimg_pairs_add_number(GPtrArray *pairs, const char *name, guint64 value);
/* The first one called @name, whatever the case of its letters; NULL: there is none. */
const char *vimg_pairs_get(const GPtrArray *pairs, const char *name);
/* Returns: (transfer full) copies in the order of the bytes of their names. */
GPtrArray *vimg_pairs_sorted(const GPtrArray *pairs);
/*
 * Percent-encoded as RFC 3986 has it, "name=value&name", in the order of the encoded names.
 * @bare: what follows a name without a value, "" or "=".  @pairs may be NULL.
 */
char *vimg_pairs_encode(const GPtrArray *pairs, const char *bare);

#endif
