/*
 * test-schedule.c: what a schedule may be, and when it is due
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/pool-def.h"
#include "conf/schedule.h"
#include "conf/schema.h"

static const struct {
    const char *text;
    gint64 interval; /* -1: refused */
    guint minute;
} texts[] = {
    {"00:00", 0, 0},        {"03:30", 0, 210},
    {"23:59", 0, 1439},     {"1h", 3600, 0},
    {"8760h", 31536000, 0}, {"1d", 86400, 0},
    {"365d", 31536000, 0},  {"24:00", -1, 0},
    {"12:60", -1, 0},       {"3:30", -1, 0},
    {"03:3", -1, 0},        {"03:30:00", -1, 0},
    {"0330", -1, 0},        {" 3:30", -1, 0},
    {"03-30", -1, 0},       {"", -1, 0},
    {"h", -1, 0},           {"0h", -1, 0},
    {"01h", -1, 0},         {"8761h", -1, 0},
    {"366d", -1, 0},        {"-1d", -1, 0},
    {"+1d", -1, 0},         {"1 d", -1, 0},
    {"1w", -1, 0},          {"1H", -1, 0},
    {"12", -1, 0},          {"99999999999999999999d", -1, 0},
    {"daily", -1, 0},
};

/* The check of new pools and the schema agree with it. */
static void
check_document(const char *text, gboolean ok)
{
    g_autofree char *xml = g_markup_printf_escaped(
        "<pool type='x' xmlns:image='urn:virtimage:pool:1'><name>a</name><image:options>"
        "<image:cleanup schedule='%s'/></image:options></pool>",
        text);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) invalid = NULL;
    g_autoptr(VimgPoolDef) parsed = vimg_pool_def_parse(xml, FALSE, &error);
    g_autoptr(VimgPoolDef) valid = vimg_pool_def_parse(xml, TRUE, &invalid);

    if (ok) {
        g_assert_no_error(error);
        g_assert_no_error(invalid);
        g_assert_true(vimg_pool_def_check(parsed, NULL));
        g_assert_cmpstr(parsed->cleanup_schedule, ==, text);
        g_assert_cmpstr(valid->cleanup_schedule, ==, text);
    } else {
        g_autofree char *quoted = g_strdup_printf("schedule '%s' is neither HH:MM", text);

        g_assert_no_error(error); /* one that was stored before there were rules */
        g_assert_false(vimg_pool_def_check(parsed, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
        g_assert_nonnull(strstr(error->message, quoted));
        g_assert_error(invalid, VIMG_ERROR, VIMG_ERROR_XML_SCHEMA);
    }
}

static void
test_parse(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        VimgSchedule schedule = {0};

        g_test_message("'%s'", texts[i].text);
        g_assert_cmpint(vimg_schedule_parse(texts[i].text, &schedule), ==, texts[i].interval >= 0);
        if (*texts[i].text) /* an empty attribute is as good as none */
            check_document(texts[i].text, texts[i].interval >= 0);
        if (texts[i].interval < 0)
            continue;
        g_assert_cmpint(schedule.interval, ==, texts[i].interval);
        g_assert_cmpuint(schedule.minute, ==, texts[i].minute);
    }
}

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

static const struct {
    const char *text;
    const char *zone;
    const char *after;
    const char *due;
} times[] = {
    {"1h", "UTC", "2026-01-01T23:30:00Z", "2026-01-02T00:30:00Z"},
    {"30d", BERLIN, "2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z"},
    {"03:30", "UTC", "2026-01-01T03:29:59Z", "2026-01-01T03:30:00Z"},
    {"03:30", "UTC", "2026-01-01T03:30:00Z", "2026-01-02T03:30:00Z"},
    {"00:00", "UTC", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"},
    {"00:00", "UTC", "2028-02-28T00:00:00Z", "2028-02-29T00:00:00Z"},
    {"23:59", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T23:59:00Z"},
    /* it is the next day there already, or still the one before */
    {"01:00", BERLIN, "2026-01-01T23:30:00Z", "2026-01-02T00:00:00Z"},
    {"00:10", BERLIN, "2026-01-01T23:30:00Z", "2026-01-02T23:10:00Z"},
    {"22:00", "EST5", "2026-01-02T02:00:00Z", "2026-01-02T03:00:00Z"},
    /* 02:30 does not exist on March 29, and exists twice on October 25 */
    {"02:30", BERLIN, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
    {"02:30", BERLIN, "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
    {"02:30", BERLIN, "2026-10-24T12:00:00Z", "2026-10-25T01:30:00Z"},
    {"02:30", BERLIN, "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
    /* the same wall clock on both sides of a change */
    {"12:00", BERLIN, "2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z"},
    {"12:00", BERLIN, "2026-10-24T10:00:00Z", "2026-10-25T11:00:00Z"},
};

static void
test_next(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(times); i++) {
        g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(times[i].zone);
        g_autoptr(GDateTime) after = g_date_time_new_from_iso8601(times[i].after, NULL);
        g_autoptr(GDateTime) due = NULL;
        g_autofree char *text = NULL;
        VimgSchedule schedule = {0};

        g_test_message("%s in %s after %s", times[i].text, times[i].zone, times[i].after);
        g_assert_nonnull(zone);
        g_assert_true(vimg_schedule_parse(times[i].text, &schedule));
        due = g_date_time_new_from_unix_utc(
            vimg_schedule_next(&schedule, g_date_time_to_unix(after), zone));
        text = g_date_time_format_iso8601(due);
        g_assert_cmpstr(text, ==, times[i].due);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vimg_schema_set_dir(VIMG_SOURCEDIR "/xml");
    g_test_add_func("/schedule/parse", test_parse);
    g_test_add_func("/schedule/next", test_next);
    return g_test_run();
}
