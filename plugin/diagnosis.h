/*
 * diagnosis.h: what a step of a diagnosis found
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_DIAGNOSIS_H
#define VIMG_PLUGIN_DIAGNOSIS_H

#include <stdarg.h>

#include "vimg-plugin.h"

G_GNUC_PRINTF(5, 6)
static inline void
tell_verdict(VimgStepSink sink, gpointer data, VimgPluginStep step, VimgStepVerdict verdict,
             const char *format, ...)
{
    g_autofree char *detail = NULL;
    va_list args;

    va_start(args, format);
    detail = g_strdup_vprintf(format, args);
    va_end(args);
    step.verdict = verdict;
    step.detail = detail;
    sink(&step, data);
}

/*
 * The verdict on the present step, and printf()'s arguments for its detail.  @diagnosis has .sink,
 * its .data and the name .step.  @what_to_do NULL: nothing is to be done.
 */
#define tell(diagnosis, verdict, what_to_do, ...)                                                  \
    tell_verdict((diagnosis)->sink, (diagnosis)->data,                                             \
                 (VimgPluginStep){.size = sizeof(VimgPluginStep),                                  \
                                  .name = (diagnosis)->step,                                       \
                                  .remedy = (what_to_do)},                                         \
                 verdict, __VA_ARGS__)

#endif
