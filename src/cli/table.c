/*
 * table.c: tables and lists of fields for people, as wide as their terminal is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/table.h"
#include "cli/text.h"
#include "util/i18n.h"

#define GAP 3        /* between two columns, as virsh has it */
#define BROKEN_MIN 8 /* columns that are left to what is broken into lines */

struct _VimgTable {
    const VimgColumn *columns;
    gsize n_columns;
    gboolean fields;
    gsize broken;     /* the column that may be broken into lines */
    GPtrArray *cells; /* safe */
};

/* What of a table is shown, and how wide. */
typedef struct {
    gboolean *shown;
    guint *widths;
    guint indent, gap;
} Layout;

static VimgTable *
new_table(const VimgColumn *columns, gsize n_columns, gboolean fields)
{
    VimgTable *table = g_new0(VimgTable, 1);

    table->columns = columns;
    table->n_columns = n_columns;
    table->fields = fields;
    table->broken = fields ? 1 : 0;
    table->cells = g_ptr_array_new_with_free_func(g_free);
    return table;
}

VimgTable *
vimg_table_new(const VimgColumn *columns, gsize n_columns)
{
    return new_table(columns, n_columns, FALSE);
}

VimgTable *
vimg_fields_new(void)
{
    static const VimgColumn columns[2] = {{"", 0, FALSE}, {"", 0, FALSE}};

    return new_table(columns, G_N_ELEMENTS(columns), TRUE);
}

void
vimg_table_free(VimgTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->cells);
    g_free(table);
}

/* ---- cells ---------------------------------------------------------------------------------- */

void
vimg_table_add(VimgTable *table, const char *text)
{
    g_ptr_array_add(table->cells, vimg_text_safe(text));
}

void
vimg_table_add_size(VimgTable *table, const VimgCtl *ctl, guint64 bytes)
{
    g_ptr_array_add(table->cells, vimg_text_size(bytes, ctl->bytes));
}

void
vimg_table_add_time(VimgTable *table, gint64 seconds)
{
    g_ptr_array_add(table->cells, vimg_text_time(seconds));
}

void
vimg_table_add_number(VimgTable *table, guint64 number)
{
    g_ptr_array_add(table->cells, g_strdup_printf("%" G_GUINT64_FORMAT, number));
}

static void
add_label(VimgTable *fields, const char *label)
{
    g_ptr_array_add(fields->cells, g_strconcat(label, ":", NULL));
}

void
vimg_fields_add(VimgTable *fields, const char *label, const char *text)
{
    add_label(fields, label);
    vimg_table_add(fields, text);
}

void
vimg_fields_add_size(VimgTable *fields, const VimgCtl *ctl, const char *label, guint64 bytes)
{
    add_label(fields, label);
    vimg_table_add_size(fields, ctl, bytes);
}

void
vimg_fields_add_time(VimgTable *fields, const char *label, gint64 seconds)
{
    add_label(fields, label);
    vimg_table_add_time(fields, seconds);
}

void
vimg_fields_add_number(VimgTable *fields, const char *label, guint64 number)
{
    add_label(fields, label);
    vimg_table_add_number(fields, number);
}

/* ---- fitting -------------------------------------------------------------------------------- */

static const char *
title(const VimgTable *table, gsize column)
{
    return table->fields ? "" : _(table->columns[column].title);
}

static guint
total_width(const VimgTable *table, const Layout *layout)
{
    guint width = layout->indent, n = 0;

    for (gsize i = 0; i < table->n_columns; i++)
        if (layout->shown[i])
            width += layout->widths[i] + (n++ > 0 ? layout->gap : 0);
    return width;
}

/* Leaves out the least important column.  Returns: FALSE if all that are left must stay. */
static gboolean
leave_out(const VimgTable *table, Layout *layout)
{
    gsize least = 0;

    for (gsize i = 1; i < table->n_columns; i++)
        if (layout->shown[i] &&
            (!layout->shown[least] || table->columns[i].rank >= table->columns[least].rank))
            least = i;
    if (table->columns[least].rank == 0)
        return FALSE;
    layout->shown[least] = FALSE;
    return TRUE;
}

static void
fit(const VimgTable *table, Layout *layout, guint columns)
{
    guint *broken = &layout->widths[table->broken];
    guint over;

    while (total_width(table, layout) > columns && leave_out(table, layout))
        ;
    over = total_width(table, layout);
    over -= MIN(over, columns);
    if (over > 0)
        *broken = *broken > over + BROKEN_MIN ? *broken - over : MIN(*broken, BROKEN_MIN);
}

static void
lay_out(const VimgTable *table, Layout *layout, guint columns)
{
    layout->shown = g_new(gboolean, table->n_columns);
    layout->widths = g_new(guint, table->n_columns);
    layout->indent = table->fields ? 0 : 1;
    layout->gap = table->fields ? 1 : GAP;
    for (gsize i = 0; i < table->n_columns; i++) {
        layout->shown[i] = TRUE;
        layout->widths[i] = vimg_text_width(title(table, i));
    }
    for (guint i = 0; i < table->cells->len; i++) {
        guint *width = &layout->widths[i % table->n_columns];

        *width = MAX(*width, vimg_text_width(table->cells->pdata[i]));
    }
    if (columns > 0)
        fit(table, layout, columns);
}

/* ---- printing ------------------------------------------------------------------------------- */

static void
print_blanks(guint n)
{
    printf("%*s", (int)n, "");
}

/*
 * One line of a row, of each cell what fits; @cells are moved behind it.  Blanks are kept back
 * until something follows.  Returns: whether anything is left.
 */
static gboolean
print_line(const VimgTable *table, const Layout *layout, const char **cells)
{
    guint blanks = layout->indent;
    gboolean more = FALSE;

    for (gsize i = 0; i < table->n_columns; i++) {
        gsize size = vimg_text_fit(cells[i], layout->widths[i]);
        g_autofree char *part = g_strndup(cells[i], size);
        guint rest = layout->widths[i] - MIN(layout->widths[i], vimg_text_width(part));

        if (!layout->shown[i])
            continue;
        if (size > 0) {
            print_blanks(blanks + (table->columns[i].number ? rest : 0));
            fputs(part, stdout);
            blanks = table->columns[i].number ? 0 : rest;
        } else {
            blanks += layout->widths[i];
        }
        blanks += layout->gap;
        cells[i] += size;
        more |= *cells[i] != '\0';
    }
    putchar('\n');
    return more;
}

static void
print_headings(const VimgTable *table, const Layout *layout)
{
    g_autofree const char **cells = g_new(const char *, table->n_columns);
    guint width = total_width(table, layout);

    for (gsize i = 0; i < table->n_columns; i++)
        cells[i] = title(table, i);
    while (print_line(table, layout, cells))
        ;
    while (width-- > 0)
        putchar('-');
    putchar('\n');
}

void
vimg_table_print(const VimgTable *table, const VimgCtl *ctl)
{
    g_autofree const char **cells = g_new(const char *, table->n_columns);
    Layout layout;

    lay_out(table, &layout, ctl->columns);
    if (!table->fields && !ctl->quiet)
        print_headings(table, &layout);
    for (guint i = 0; i + table->n_columns <= table->cells->len; i += table->n_columns) {
        memcpy(cells, table->cells->pdata + i, table->n_columns * sizeof(*cells));
        while (print_line(table, &layout, cells))
            ;
    }
    g_free(layout.shown);
    g_free(layout.widths);
}
