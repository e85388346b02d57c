/*
 * explain.h: what errors mean, why they come and the way out
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_EXPLAIN_H
#define VIMG_CLI_EXPLAIN_H

#include <glib.h>

typedef struct {
    int number;       /* virErrorNumber; 0: of a message, which says more than its number */
    const char *name; /* VIR_ERR_…; NULL: none */
    const char *message;
    const char *meaning;
    const char *remedy;
} VimgExplanation; /* texts untranslated */

/*
 * Returns: (transfer container) those that explain @what: a number, a name with or without
 * VIR_ERR_, or a message or a piece of one, in English or as it is translated here.  None may be.
 */
GPtrArray *vimg_explain(const char *what);

/* Both end with one without a message. */
extern const VimgExplanation vimg_explain_numbers[];
extern const VimgExplanation vimg_explain_messages[];

#endif
