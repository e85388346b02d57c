/*
 * backend-diagnose.c: the way to a storage, as its backend goes it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "util/i18n.h"

#define NAME_MAX_LENGTH 64
#define TEXT_MAX 4096

typedef struct {
    const VimgType *type;
    VimgStepSink sink;
    gpointer data;
    guint count;
} Steps;

static gboolean
text_ok(const char *text, gsize max)
{
    return strnlen(text, max + 1) <= max && vimg_text_check(text);
}

/* Returns: what is wrong with it; NULL: nothing. */
static const char *
step_lie(const VimgPluginStep *step)
{
    if (step->size < sizeof(*step))
        return "a step of the wrong size";
    if ((guint)step->verdict >= VIMG_N_VERDICTS)
        return "a step with an unknown verdict";
    if (!step->name || !text_ok(step->name, NAME_MAX_LENGTH) || !step->detail ||
        !text_ok(step->detail, TEXT_MAX) || (step->remedy && !text_ok(step->remedy, TEXT_MAX)))
        return "a step without words, or with too many";
    return NULL;
}

static void
take_step(const VimgPluginStep *step, gpointer data)
{
    Steps *steps = data;
    const char *lie = steps->count < VIMG_STEPS_MAX ? step_lie(step) : "too many steps";

    if (lie) {
        vimg_type_complain(steps->type, "%s", lie);
        return;
    }
    steps->count++;
    steps->sink(step, steps->data);
}

gboolean
vimg_type_diagnose(const VimgType *type, const VimgPoolView *view, VimgStepSink sink, gpointer data,
                   VimgPluginJob *job, GError **error)
{
    Steps steps = {.type = type, .sink = sink, .data = data};
    GError *local = NULL;
    gboolean ok;

    if (!type->table.diagnose) {
        const VimgPluginStep none = {.size = sizeof(none),
                                     .name = "storage",
                                     .verdict = VIMG_STEP_SKIPPED,
                                     .detail = _("its backend cannot tell how it is reached")};

        sink(&none, data);
        return TRUE;
    }
    ok = type->table.diagnose(vimg_pool_view_get(view), take_step, &steps, job, &local);
    return vimg_type_settle(type, ok, local, NULL, error);
}
