/*
 * metrics-file.c: the numbers in a file, for a collector that reads files
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

/* Anybody may read it, as they are not for root alone.  One warning until it works again. */
static void
tick(gpointer data)
{
    VimgModel *model = data;
    g_autofree char *text = vimg_model_metrics(model);
    g_autoptr(GError) error = NULL;
    gboolean ok = vimg_file_replace(model->metrics_file, text, strlen(text), 0644, &error);

    if (!ok && !model->metrics_failed)
        vimg_warning("no metrics: %s", error->message);
    model->metrics_failed = !ok;
}

gboolean
vimg_metrics_start(VimgModel *model, GError **error)
{
    if (!model->metrics_file)
        return TRUE;
    model->metrics_timer = vimg_services_get()->timer_add(model->metrics_interval, tick, model);
    return model->metrics_timer > 0 ||
           vimg_throw(error, VIMG_ERROR_BUSY, "%s", _("cannot start the timer of metrics"));
}

/* What nobody writes any more must not be taken for what is true. */
void
vimg_metrics_stop(VimgModel *model)
{
    g_autoptr(GError) error = NULL;

    if (!model->metrics_timer)
        return;
    vimg_services_get()->timer_remove(model->metrics_timer);
    if (!vimg_file_remove(model->metrics_file, &error))
        vimg_warning("%s", error->message);
}
