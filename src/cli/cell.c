/*
 * cell.c: members of objects in words
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/cell.h"
#include "cli/text.h"
#include "util/i18n.h"

/* What a daemon may answer where there are only a few answers. */
static const char *const words[] = {
    N_("enabled"),      N_("disabled"), N_("inactive"), N_("connecting"), N_("connected"),
    N_("disconnected"), N_("saving"),   N_("active"),   N_("error"),      N_("changed"),
    N_("grown"),        N_("zeroed"),   N_("live"),     N_("expired"),    N_("revoked"),
    N_("replaced"),     N_("served"),   N_("clone"),    N_("share"),      N_("download"),
};

static char *
from_text(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    return vimg_text_safe(vimg_report_string(object, member));
}

static char *
from_word(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    const char *text = vimg_report_string(object, member);

    for (gsize i = 0; text && i < G_N_ELEMENTS(words); i++)
        if (strcmp(text, words[i]) == 0)
            return g_strdup(_(words[i]));
    return vimg_text_safe(text);
}

static char *
from_size(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    gint64 bytes = vimg_report_number(object, member, -1);

    return bytes < 0 ? g_strdup("-") : vimg_text_size((guint64)bytes, ctl->bytes);
}

static char *
from_number(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    gint64 number = vimg_report_number(object, member, -1);

    return number < 0 ? g_strdup("-") : g_strdup_printf("%" G_GINT64_FORMAT, number);
}

static char *
from_ratio(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    double ratio = vimg_report_ratio(object, member);

    return ratio < 0 ? g_strdup("-") : g_strdup_printf("%.2f", ratio);
}

static char *
from_time(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    return vimg_text_time(vimg_report_number(object, member, 0));
}

static char *
from_truth(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    return g_strdup(vimg_report_truth(object, member) ? _("yes") : _("no"));
}

static char *
from_count(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    return g_strdup_printf("%u", vimg_report_count(object, member));
}

static char *
from_names(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    g_autoptr(GString) names = g_string_new(NULL);
    guint n = vimg_report_count(object, member);

    for (guint i = 0; i < n; i++) {
        const char *name = vimg_report_string(vimg_report_element(object, member, i), "name");

        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", name ? name : "-");
    }
    return vimg_text_safe(n > 0 ? names->str : NULL);
}

static char *
from_percent(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    double done = (double)vimg_report_number(object, "done", 0);
    double total = (double)vimg_report_number(object, "total", 0);

    return total > 0 ? g_strdup_printf("%.0f %%", 100 * MIN(done, total) / total) : g_strdup("-");
}

static char *
from_tally(const VimgCtl *ctl, JsonObject *object, const char *member)
{
    JsonObject *tally = vimg_report_object(object, member);
    gint64 count = vimg_report_number(tally, "count", 0);
    g_autofree char *bytes = from_size(ctl, tally, "bytes");

    if (count <= 0)
        return g_strdup("-");
    return g_strdup_printf(*bytes == '-' ? "%" G_GINT64_FORMAT : "%" G_GINT64_FORMAT " (%s)", count,
                           bytes);
}

static const struct {
    char *(*text)(const VimgCtl *ctl, JsonObject *object, const char *member);
    gboolean number;
} kinds[] = {
    [VIMG_CELL_TEXT] = {from_text, FALSE},      [VIMG_CELL_WORD] = {from_word, FALSE},
    [VIMG_CELL_SIZE] = {from_size, TRUE},       [VIMG_CELL_NUMBER] = {from_number, TRUE},
    [VIMG_CELL_RATIO] = {from_ratio, TRUE},     [VIMG_CELL_TIME] = {from_time, FALSE},
    [VIMG_CELL_TRUTH] = {from_truth, FALSE},    [VIMG_CELL_COUNT] = {from_count, TRUE},
    [VIMG_CELL_TALLY] = {from_tally, FALSE},    [VIMG_CELL_NAMES] = {from_names, FALSE},
    [VIMG_CELL_PERCENT] = {from_percent, TRUE},
};

char *
vimg_cell_text(const VimgCtl *ctl, JsonObject *object, const VimgColumn *column)
{
    return kinds[column->kind].text(ctl, object, column->member);
}

gboolean
vimg_cell_is_number(const VimgColumn *column)
{
    return kinds[column->kind].number;
}
