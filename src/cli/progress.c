/*
 * progress.c: how far something is, on a terminal or for programs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <json-glib/json-glib.h>

#include "cli/progress.h"
#include "cli/text.h"
#include "util/i18n.h"

#define PERIOD (G_USEC_PER_SEC / 2)
#define SMOOTH 0.2     /* how much the newest half second counts in the rate */
#define COLUMNS_MIN 20 /* of a terminal that says it has less, or none */
#define BAR_MIN 8      /* columns below which there is none */
#define BAR_MAX 50

struct _VimgProgress {
    VimgProgressView view;
    char *what;
    char *phase;
    gboolean bytes; /* in each phase */
    gboolean json;
    gboolean terminal;
    gint64 shown_at;    /* 0: not yet */
    guint64 shown_done; /* the rate is of what came since */
    guint width;        /* columns that are drawn on */
};

/* ---- words ------------------------------------------------------------------------------ */

/* "0:05", "1:02:03"; nothing that is more than four days off. */
static char *
duration(double seconds)
{
    guint64 left = seconds < 350000 ? (guint64)seconds : 0;

    if (left >= 3600)
        return g_strdup_printf("%u:%02u:%02u", (guint)(left / 3600), (guint)(left / 60 % 60),
                               (guint)(left % 60));
    return g_strdup_printf("%u:%02u", (guint)(left / 60), (guint)(left % 60));
}

static char *
quantity(const VimgProgressView *view, guint64 number)
{
    return vimg_text_size(number, !view->bytes);
}

/* What stands behind the bar: how much, how fast, how long. */
static void
add_numbers(const VimgProgressView *view, GPtrArray *parts)
{
    g_autofree char *done = quantity(view, view->done);
    g_autofree char *rate = quantity(view, (guint64)view->rate);

    if (view->total > view->done && view->rate >= 1)
        g_ptr_array_add(parts, duration((double)(view->total - view->done) / view->rate));
    if (view->rate >= 1)
        g_ptr_array_add(parts, g_strdup_printf("%s/s", rate));
    g_ptr_array_add(parts, g_steal_pointer(&done));
    if (view->phase)
        g_ptr_array_add(parts, vimg_text_safe(view->phase));
}

static void
add_bar(GString *line, const VimgProgressView *view, guint width)
{
    guint filled = (guint)((double)view->done / (double)view->total * (width - 2));

    g_string_append(line, " [");
    for (guint i = 0; i < width - 2; i++)
        g_string_append_c(line, i < filled ? '=' : i == filled ? '>' : ' ');
    g_string_append_c(line, ']');
}

/* Of what there is no room for, the name gives way first, then the bar, then the numbers. */
char *
vimg_progress_line(const VimgProgressView *view, guint columns)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *what = vimg_text_safe(view->what);
    GString *line = g_string_new(NULL);
    GString *tail = g_string_new(NULL);
    guint room = MAX(columns, COLUMNS_MIN);
    gboolean known = view->total > 0 && view->done <= view->total;

    if (known)
        room -= strlen(" 100%");
    add_numbers(view, parts);
    for (guint i = 0; i < parts->len; i++) {
        guint width = 2 + vimg_text_width(parts->pdata[i]);

        if (width > room)
            continue;
        g_string_append_printf(tail, "  %s", (char *)parts->pdata[i]);
        room -= width;
    }
    if (vimg_text_width(what) + (known ? BAR_MIN + 1 : 0) <= room) {
        g_string_append(line, what);
        room -= vimg_text_width(what);
    }
    if (known) {
        g_string_append_printf(line, " %3u%%",
                               (guint)((double)view->done / (double)view->total * 100));
        if (room > BAR_MIN)
            add_bar(line, view, MIN(room - 1, BAR_MAX));
    }
    g_string_append(line, tail->str);
    g_string_free(tail, TRUE);
    return g_string_free(line, FALSE);
}

static void
add_number(JsonBuilder *builder, const char *name, guint64 number)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)MIN(number, G_MAXINT64));
}

char *
vimg_progress_json(const VimgProgressView *view)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "progress");
    json_builder_add_string_value(builder, view->what);
    if (view->phase) {
        json_builder_set_member_name(builder, "phase");
        json_builder_add_string_value(builder, view->phase);
    }
    add_number(builder, "done", view->done);
    add_number(builder, "total", view->total);
    add_number(builder, "rate", (guint64)view->rate);
    if (view->total > view->done && view->rate >= 1)
        add_number(builder, "left", (guint64)((double)(view->total - view->done) / view->rate));
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

/* ---- showing ---------------------------------------------------------------------------- */

VimgProgress *
vimg_progress_begin(const VimgCtl *ctl, const char *what, gboolean bytes)
{
    VimgProgress *progress = g_new0(VimgProgress, 1);

    progress->what = g_utf8_make_valid(what, -1);
    progress->view.what = progress->what;
    progress->bytes = bytes;
    progress->json = ctl->progress == VIMG_PROGRESS_JSON;
    progress->terminal =
        ctl->progress == VIMG_PROGRESS_AUTO && !ctl->quiet && isatty(STDERR_FILENO);
    return progress;
}

static guint
terminal_width(void)
{
    struct winsize size = {0};

    /* the last column would move to the next line */
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > COLUMNS_MIN
               ? size.ws_col - 1u
               : COLUMNS_MIN;
}

/* Over what was drawn before, which may have been longer. */
static void
draw(VimgProgress *progress, const char *text)
{
    guint width = vimg_text_width(text);

    fprintf(stderr, "\r%s%*s\r", text, progress->width > width ? (int)(progress->width - width) : 0,
            "");
    fflush(stderr);
    progress->width = width;
}

static void
show(VimgProgress *progress)
{
    g_autofree char *text = progress->json ? vimg_progress_json(&progress->view)
                                           : vimg_progress_line(&progress->view, terminal_width());

    if (progress->json)
        fprintf(stderr, "%s\n", text);
    else
        draw(progress, text);
}

/* Of what else goes through things, the phases that count bytes. */
static const char *const byte_phases[] = {"checking slices", NULL};

gboolean
vimg_progress_counts_bytes(const char *phase)
{
    return phase && g_strv_contains(byte_phases, phase);
}

/* What was there before we began says nothing of how fast we are. */
static void
begin_phase(VimgProgress *progress, const char *phase, guint64 done)
{
    g_free(progress->phase);
    progress->phase = phase ? g_utf8_make_valid(phase, -1) : NULL;
    progress->view.phase = progress->phase;
    progress->view.bytes = progress->bytes || vimg_progress_counts_bytes(phase);
    progress->view.rate = 0;
    progress->shown_done = done;
    progress->shown_at = 0;
}

static void
measure(VimgProgress *progress, gint64 now)
{
    double rate = (double)(progress->view.done - MIN(progress->view.done, progress->shown_done)) *
                  G_USEC_PER_SEC / (double)(now - progress->shown_at);

    progress->view.rate += (rate - progress->view.rate) * (progress->view.rate > 0 ? SMOOTH : 1);
}

void
vimg_progress_update(VimgProgress *progress, const char *phase, guint64 done, guint64 total)
{
    gint64 now;

    if (!progress->json && !progress->terminal)
        return;
    if (g_strcmp0(phase, progress->phase) != 0 || progress->shown_at == 0)
        begin_phase(progress, phase, done);
    now = g_get_monotonic_time();
    if (progress->shown_at > 0 && now - progress->shown_at < PERIOD)
        return;
    progress->view.done = done;
    progress->view.total = total;
    if (progress->shown_at > 0)
        measure(progress, now);
    show(progress);
    progress->shown_at = now;
    progress->shown_done = done;
}

void
vimg_progress_end(VimgProgress *progress)
{
    if (!progress)
        return;
    if (progress->width > 0)
        draw(progress, "");
    g_free(progress->what);
    g_free(progress->phase);
    g_free(progress);
}
