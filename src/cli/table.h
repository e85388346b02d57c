/*
 * table.h: reports for people: tables and lists of fields, as wide as their terminal is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_TABLE_H
#define VIMG_CLI_TABLE_H

#include "cli/report.h"

typedef enum {
    VIMG_CELL_TEXT,
    VIMG_CELL_WORD, /* one of a few, which are translated */
    VIMG_CELL_SIZE,
    VIMG_CELL_NUMBER,
    VIMG_CELL_RATIO,
    VIMG_CELL_TIME,
    VIMG_CELL_TRUTH,
    VIMG_CELL_COUNT,   /* of the elements of an array */
    VIMG_CELL_NAMES,   /* of the elements of an array */
    VIMG_CELL_TALLY,   /* of "count" and "bytes", if there are any */
    VIMG_CELL_PERCENT, /* that "done" is of "total" */
} VimgCellKind;

/* A member of an object, and what people call it. */
typedef struct {
    const char *title; /* untranslated */
    const char *member;
    VimgCellKind kind;
    guint rank; /* of a table, the columns of the highest are left out first; 0: never */
} VimgColumn;

/* The objects of the array @member, a row each.  What does not fit breaks the first column. */
void vimg_table_print(const VimgCtl *ctl, JsonObject *report, const char *member,
                      const VimgColumn *columns, gsize n_columns);

/* "Title: value", a line for each member of @object that has something to say. */
void vimg_fields_print(const VimgCtl *ctl, JsonObject *object, const VimgColumn *columns,
                       gsize n_columns);

#endif
