/*
 * table.h: tables and lists of fields for people, as wide as their terminal is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_TABLE_H
#define VIMG_CLI_TABLE_H

#include "cli/command.h"

typedef struct {
    const char *title; /* untranslated */
    guint rank;        /* the columns of the highest are left out first; 0: never */
    gboolean number;   /* stands to the right */
} VimgColumn;

typedef struct _VimgTable VimgTable;

/* @columns is borrowed for good.  What does not fit breaks the first column into lines. */
VimgTable *vimg_table_new(const VimgColumn *columns, gsize n_columns);
/* "Name:  value", a line each; without headings. */
VimgTable *vimg_fields_new(void);
void vimg_table_free(VimgTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgTable, vimg_table_free)

/* The next cell, row by row; @text from anywhere, NULL: "-". */
void vimg_table_add(VimgTable *table, const char *text);
void vimg_table_add_size(VimgTable *table, const VimgCtl *ctl, guint64 bytes);
void vimg_table_add_time(VimgTable *table, gint64 seconds);
void vimg_table_add_number(VimgTable *table, guint64 number);

/* One field; @label is translated. */
void vimg_fields_add(VimgTable *fields, const char *label, const char *text);
void vimg_fields_add_size(VimgTable *fields, const VimgCtl *ctl, const char *label, guint64 bytes);
void vimg_fields_add_time(VimgTable *fields, const char *label, gint64 seconds);
void vimg_fields_add_number(VimgTable *fields, const char *label, guint64 number);

void vimg_table_print(const VimgTable *table, const VimgCtl *ctl);

#endif
