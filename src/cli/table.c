/*
 * table.c: reports for people: tables and lists of fields, as wide as their terminal is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/cell.h"
#include "cli/text.h"
#include "util/i18n.h"

#define GAP 3         /* between two columns, as virsh has it */
#define BROKEN_MIN 12 /* columns that are left to what is broken into lines */

typedef struct {
    const VimgColumn *columns; /* NULL: titles and values, of fields */
    gsize n_columns;
    gsize broken;     /* the column that may be broken into lines */
    GPtrArray *cells; /* safe, row by row */
} Table;

/* What of a table is shown, and how wide. */
typedef struct {
    gboolean *shown;
    guint *widths;
    guint indent, gap;
} Layout;

/* ---- fitting -------------------------------------------------------------------------------- */

static const char *
title(const Table *table, gsize column)
{
    return table->columns ? _(table->columns[column].title) : "";
}

static guint
total_width(const Table *table, const Layout *layout)
{
    guint width = layout->indent, n = 0;

    for (gsize i = 0; i < table->n_columns; i++)
        if (layout->shown[i])
            width += layout->widths[i] + (n++ > 0 ? layout->gap : 0);
    return width;
}

/* Leaves out the least important column of @rank or more.  Returns: FALSE if there is none. */
static gboolean
leave_out(const Table *table, Layout *layout, guint rank)
{
    gsize least = 0;

    if (!table->columns)
        return FALSE;
    for (gsize i = 1; i < table->n_columns; i++)
        if (layout->shown[i] &&
            (!layout->shown[least] || table->columns[i].rank >= table->columns[least].rank))
            least = i;
    if (table->columns[least].rank < rank)
        return FALSE;
    layout->shown[least] = FALSE;
    return TRUE;
}

/* Columns of rank 1 stay as long as there is room for the pieces of the one that is broken. */
static void
fit(const Table *table, Layout *layout, guint columns)
{
    guint *broken = &layout->widths[table->broken];
    guint whole = *broken, over;

    while (total_width(table, layout) > columns && leave_out(table, layout, 2))
        ;
    *broken = MIN(whole, BROKEN_MIN);
    while (total_width(table, layout) > columns && leave_out(table, layout, 1))
        ;
    over = total_width(table, layout);
    *broken = MIN(whole, *broken + columns - MIN(over, columns));
}

static void
lay_out(const Table *table, Layout *layout, guint columns)
{
    layout->shown = g_new(gboolean, table->n_columns);
    layout->widths = g_new(guint, table->n_columns);
    layout->indent = table->columns ? 1 : 0;
    layout->gap = table->columns ? GAP : 1;
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
print_line(const Table *table, const Layout *layout, const char **cells)
{
    guint blanks = layout->indent;
    gboolean more = FALSE;

    for (gsize i = 0; i < table->n_columns; i++) {
        gboolean number = table->columns && vimg_cell_is_number(&table->columns[i]);
        gsize size = vimg_text_fit(cells[i], layout->widths[i]);
        g_autofree char *part = g_strndup(cells[i], size);
        guint rest = layout->widths[i] - MIN(layout->widths[i], vimg_text_width(part));

        if (!layout->shown[i])
            continue;
        if (size > 0) {
            print_blanks(blanks + (number ? rest : 0));
            fputs(part, stdout);
            blanks = number ? 0 : rest;
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
print_headings(const Table *table, const Layout *layout)
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

static void
print(const Table *table, const VimgCtl *ctl)
{
    g_autofree const char **cells = g_new(const char *, table->n_columns);
    Layout layout;

    lay_out(table, &layout, ctl->columns);
    if (table->columns && !ctl->quiet)
        print_headings(table, &layout);
    for (guint i = 0; i + table->n_columns <= table->cells->len; i += table->n_columns) {
        memcpy(cells, table->cells->pdata + i, table->n_columns * sizeof(*cells));
        while (print_line(table, &layout, cells))
            ;
    }
    g_free(layout.shown);
    g_free(layout.widths);
}

void
vimg_table_print(const VimgCtl *ctl, JsonObject *report, const char *member,
                 const VimgColumn *columns, gsize n_columns)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    const Table table = {columns, n_columns, 0, cells};
    guint n = vimg_report_count(report, member);

    for (guint row = 0; row < n; row++) {
        JsonObject *object = vimg_report_element(report, member, row);

        for (gsize i = 0; i < n_columns; i++)
            g_ptr_array_add(cells, vimg_cell_text(ctl, object, &columns[i]));
    }
    print(&table, ctl);
}

void
vimg_fields_print(const VimgCtl *ctl, JsonObject *object, const VimgColumn *columns,
                  gsize n_columns)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    const Table table = {NULL, 2, 1, cells};

    for (gsize i = 0; i < n_columns; i++) {
        char *text = vimg_cell_text(ctl, object, &columns[i]);

        if (strcmp(text, "-") != 0) {
            g_ptr_array_add(cells, g_strconcat(_(columns[i].title), ":", NULL));
            g_ptr_array_add(cells, text);
        } else {
            g_free(text);
        }
    }
    print(&table, ctl);
}
