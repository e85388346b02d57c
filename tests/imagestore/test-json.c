/*
 * test-json.c: which documents of a store are parsed at all
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "json.h"

#define DEEP "{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"
#define DEEPEST "{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}"

typedef struct {
    const char *text;
    gboolean good;
} Document;

static const Document documents[] = {
    {"{}", TRUE},
    {"{\"a\": {\"b\": [1, \"x\"]}}", TRUE},
    {"{\"path\": \"a/b#c'd\\\"/*[[[[[[[[[[[[[[[[[\"}", TRUE},
    {DEEPEST, TRUE},
    {DEEP, FALSE},
    {"[]", FALSE},
    {"", FALSE},
    {"{\"a\":", FALSE},
    /* JSON has none of these, but the parser knows them: quotes there are not what they seem */
    {"{\"a\": /* \" */ 1}", FALSE},
    {"{\"a\": // \"\n 1}", FALSE},
    {"# \"\n{}", FALSE},
    {"{\"a\": '\"'}", FALSE},
};

static void
test_parse(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(documents); i++) {
        const Document *row = &documents[i];
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonObject) root =
            vimg_json_parse((const guint8 *)row->text, strlen(row->text), &error);

        g_test_message("%s", row->text);
        g_assert_cmpint(root != NULL, ==, row->good);
        if (!row->good)
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imagestore/json/parse", test_parse);
    return g_test_run();
}
