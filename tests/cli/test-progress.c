/*
 * test-progress.c: lines that fit where they are shown
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <locale.h>
#include <json-glib/json-glib.h>

#include "cli/progress.h"
#include "cli/text.h"

#define GIB (G_GUINT64_CONSTANT(1) << 30)

typedef struct {
    const char *path;
    VimgProgressView view;
    guint columns;
    const char *line;
} LineCase;

static const LineCase lines[] = {
    {"/progress/line/80",
     {"debian.qcow2", NULL, TRUE, GIB / 2, GIB, 200 << 20},
     79,
     "debian.qcow2  50% [=============>             ]  0:02  200.00 MiB/s  512.00 MiB"},
    {"/progress/line/40",
     {"debian.qcow2", NULL, TRUE, GIB / 2, GIB, 200 << 20},
     39,
     "  50%  0:02  200.00 MiB/s  512.00 MiB"},
    {"/progress/line/20",
     {"debian.qcow2", NULL, TRUE, GIB / 2, GIB, 200 << 20},
     20,
     "  50% [===>  ]  0:02"},
    {"/progress/line/unknown",
     {"images", "marking", FALSE, 1234, 0, 0},
     60,
     "images  1234  marking"},
    {"/progress/line/whole", {"x", NULL, TRUE, GIB, GIB, 0}, 30, "x 100% [===========]  1.00 GiB"},
    {"/progress/line/beyond", {"x", NULL, TRUE, 2 * GIB, GIB, 0}, 30, "x  2.00 GiB"},
    {"/progress/line/hour",
     {"x", NULL, TRUE, 0, 3725 * GIB, (double)GIB},
     60,
     "x   0% [>                        ]  1:02:05  1.00 GiB/s  0 B"},
};

static void
test_line(gconstpointer data)
{
    const LineCase *c = data;
    g_autofree char *line = vimg_progress_line(&c->view, c->columns);

    g_assert_cmpstr(line, ==, c->line);
}

/* Whatever it is, and however narrow the terminal. */
static void
test_width(void)
{
    static const char *const names[] = {"", "a", "debian-12-genericcloud-amd64.qcow2",
                                        "映像映像映像", "a\nb\x1b[2J\xff"};
    static const guint64 numbers[] = {0, 1, GIB, 1000 * GIB + 7, G_MAXUINT64};

    for (guint columns = 20; columns < 200; columns++) {
        for (gsize i = 0; i < G_N_ELEMENTS(names) * G_N_ELEMENTS(numbers) * 5; i++) {
            VimgProgressView view = {names[i % 5],    i % 2 ? "phase" : NULL,
                                     i % 3 != 0,      numbers[i / 5 % 5],
                                     numbers[i / 25], (double)(i * i * i)};
            g_autofree char *line = vimg_progress_line(&view, columns);

            g_assert_cmpuint(vimg_text_width(line), <=, columns);
            g_assert_true(g_utf8_validate(line, -1, NULL));
            g_assert_null(strchr(line, '\n'));
            g_assert_null(strchr(line, '\x1b'));
        }
    }
}

static void
test_json(void)
{
    static const VimgProgressView view = {"a\"\n", "storing", TRUE, 5, 10, 2.5};
    g_autofree char *text = vimg_progress_json(&view);
    g_autoptr(JsonNode) node = json_from_string(text, NULL);
    JsonObject *object = json_node_get_object(node);

    g_assert_null(strchr(text, '\n'));
    g_assert_cmpstr(json_object_get_string_member(object, "progress"), ==, "a\"\n");
    g_assert_cmpstr(json_object_get_string_member(object, "phase"), ==, "storing");
    g_assert_cmpint(json_object_get_int_member(object, "done"), ==, 5);
    g_assert_cmpint(json_object_get_int_member(object, "total"), ==, 10);
    g_assert_cmpint(json_object_get_int_member(object, "rate"), ==, 2);
    g_assert_cmpint(json_object_get_int_member(object, "left"), ==, 2);
}

static void
test_units(void)
{
    static const VimgProgressView view = {"verify", "checking slices", TRUE, GIB, 0, 0};
    g_autofree char *line = vimg_progress_line(&view, 39);

    g_assert_true(vimg_progress_counts_bytes("checking slices"));
    g_assert_false(vimg_progress_counts_bytes("checking images"));
    g_assert_false(vimg_progress_counts_bytes(NULL));
    g_assert_cmpstr(line, ==, "verify  1.00 GiB  checking slices");
}

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "C.UTF-8");
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
        g_test_add_data_func(lines[i].path, &lines[i], test_line);
    g_test_add_func("/progress/width", test_width);
    g_test_add_func("/progress/units", test_units);
    g_test_add_func("/progress/json", test_json);
    return g_test_run();
}
