/*
 * pairs.c: names with values: the headers, queries and parameters of a request
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "pairs.h"

static void
pair_free(gpointer data)
{
    VimgPair *pair = data;

    g_free(pair->name);
    g_free(pair->value);
    g_free(pair);
}

GPtrArray *
vimg_pairs_new(void)
{
    return g_ptr_array_new_with_free_func(pair_free);
}

void
vimg_pairs_add(GPtrArray *pairs, const char *name, const char *value)
{
    VimgPair *pair = g_new(VimgPair, 1);

    pair->name = g_strdup(name);
    pair->value = g_strdup(value);
    g_ptr_array_add(pairs, pair);
}

void
vimg_pairs_add_number(GPtrArray *pairs, const char *name, guint64 value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

    vimg_pairs_add(pairs, name, text);
}

const char *
vimg_pairs_get(const GPtrArray *pairs, const char *name)
{
    guint i;

    for (i = 0; i < pairs->len; i++) {
        const VimgPair *pair = g_ptr_array_index(pairs, i);

        if (g_ascii_strcasecmp(pair->name, name) == 0)
            return pair->value;
    }
    return NULL;
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    const VimgPair *one = *(VimgPair *const *)a;
    const VimgPair *other = *(VimgPair *const *)b;
    int order = strcmp(one->name, other->name);

    return order != 0 ? order : g_strcmp0(one->value, other->value);
}

GPtrArray *
vimg_pairs_sorted(const GPtrArray *pairs)
{
    GPtrArray *sorted = vimg_pairs_new();
    guint i;

    for (i = 0; pairs && i < pairs->len; i++) {
        const VimgPair *pair = g_ptr_array_index(pairs, i);

        vimg_pairs_add(sorted, pair->name, pair->value);
    }
    g_ptr_array_sort(sorted, by_name);
    return sorted;
}

char *
vimg_pairs_encode(const GPtrArray *pairs, const char *bare)
{
    g_autoptr(GPtrArray) encoded = vimg_pairs_new();
    g_autoptr(GPtrArray) sorted = NULL;
    GString *text = g_string_new(NULL);
    guint i;

    for (i = 0; pairs && i < pairs->len; i++) {
        const VimgPair *pair = g_ptr_array_index(pairs, i);
        g_autofree char *name = g_uri_escape_string(pair->name, NULL, FALSE);
        g_autofree char *value = pair->value ? g_uri_escape_string(pair->value, NULL, FALSE) : NULL;

        vimg_pairs_add(encoded, name, value);
    }
    sorted = vimg_pairs_sorted(encoded);
    for (i = 0; i < sorted->len; i++) {
        const VimgPair *pair = g_ptr_array_index(sorted, i);

        g_string_append_printf(text, "%s%s%s%s", i > 0 ? "&" : "", pair->name,
                               pair->value ? "=" : bare, pair->value ? pair->value : "");
    }
    return g_string_free(text, FALSE);
}
