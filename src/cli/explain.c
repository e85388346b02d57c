/*
 * explain.c: virtimagectl explain: what errors mean, why they come and the way out
 *
 * From what is known here alone: who needs it may have no daemon that answers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/explain.h"
#include "cli/report.h"
#include "cli/text.h"
#include "util/i18n.h"

#define PIECE_MIN 4 /* bytes of a message that say anything */

/* ---- finding -------------------------------------------------------------------------------- */

/* Returns: (transfer full) @message with @filler where its values are. */
static char *
fill(const char *message, const char *filler)
{
    g_autoptr(GString) filled = g_string_new(NULL);
    const char *value;

    while ((value = strchr(message, '%'))) {
        g_string_append_len(filled, message, value - message);
        g_string_append(filled, filler);
        message = value + strcspn(value, "sdux");
        message += *message ? 1 : 0;
    }
    g_string_append(filled, message);
    return g_string_free(g_steal_pointer(&filled), FALSE);
}

static gboolean
is_message(const char *message, const char *text)
{
    g_autofree char *filled = fill(message, "*");
    g_autofree char *pattern = g_strconcat("*", filled, "*", NULL);

    return (strlen(text) >= PIECE_MIN && strcasestr(message, text)) ||
           g_pattern_match_simple(pattern, text);
}

static gboolean
is_named(const VimgExplanation *explanation, const char *what)
{
    guint64 number;

    if (!explanation->name)
        return FALSE;
    return g_ascii_strcasecmp(explanation->name, what) == 0 ||
           g_ascii_strcasecmp(explanation->name + strlen("VIR_ERR_"), what) == 0 ||
           (g_ascii_string_to_unsigned(what, 10, 1, G_MAXINT, &number, NULL) &&
            (int)number == explanation->number);
}

static void
add_matching(GPtrArray *found, const VimgExplanation *explanation, const char *what)
{
    for (; explanation->meaning; explanation++) {
        const char *message = explanation->message;

        if (is_named(explanation, what) ||
            (message && (is_message(message, what) || is_message(_(message), what))))
            g_ptr_array_add(found, (gpointer)explanation);
    }
}

GPtrArray *
vimg_explain(const char *what)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();

    add_matching(found, vimg_explain_messages, what);
    if (found->len == 0) /* a message says more than its number */
        add_matching(found, vimg_explain_numbers, what);
    return g_steal_pointer(&found);
}

/* ---- saying --------------------------------------------------------------------------------- */

/* Returns: (transfer full) the message as people know it; NULL: its number has no words. */
static char *
shown_message(const VimgExplanation *explanation)
{
    return explanation->message ? fill(_(explanation->message), "…") : NULL;
}

static void
print_explanation(VimgCtl *ctl, const VimgExplanation *explanation)
{
    g_autofree char *message = shown_message(explanation);

    if (explanation->name)
        printf("%d %s\n", explanation->number, explanation->name);
    if (message)
        vimg_text_print(message, 0, ctl->columns);
    fputs("  ", stdout);
    vimg_text_print(_(explanation->meaning), 2, ctl->columns);
    fputs("  > ", stdout);
    vimg_text_print(_(explanation->remedy), 4, ctl->columns);
}

static void
print_json(GPtrArray *found)
{
    g_autoptr(JsonObject) report = json_object_new();
    JsonArray *array = json_array_new();

    for (guint i = 0; i < found->len; i++) {
        const VimgExplanation *explanation = found->pdata[i];
        g_autofree char *message = shown_message(explanation);
        JsonObject *object = json_object_new();

        if (explanation->name)
            json_object_set_int_member(object, "number", explanation->number);
        else
            json_object_set_null_member(object, "number");
        json_object_set_string_member(object, "name", explanation->name);
        json_object_set_string_member(object, "message", message);
        json_object_set_string_member(object, "meaning", _(explanation->meaning));
        json_object_set_string_member(object, "remedy", _(explanation->remedy));
        json_array_add_object_element(array, object);
    }
    json_object_set_array_member(report, "explanations", array);
    vimg_report_print(report);
}

int
vimg_cmd_explain(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(GPtrArray) found = vimg_explain(argv[0]);

    if (found->len == 0) {
        g_autofree char *safe = vimg_text_safe(argv[0]);

        fprintf(stderr, _("error: nothing is known of '%s'\n"), safe);
        return VIMG_EXIT_NOT_FOUND;
    }
    if (ctl->json)
        print_json(found);
    for (guint i = 0; i < found->len && !ctl->json; i++)
        print_explanation(ctl, found->pdata[i]);
    return VIMG_EXIT_OK;
}
