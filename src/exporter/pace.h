/*
 * pace.h: bytes a second that many threads share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_PACE_H
#define VIMG_EXPORTER_PACE_H

#include "util/thread.h"

typedef struct {
    guint64 rate; /* bytes a second; 0: no limit */
    VimgMutex lock;
    gint64 free_at; /* when what was taken so far is through; under lock */
} VimgPace;

void vimg_pace_init(VimgPace *pace, guint64 rate);
void vimg_pace_clear(VimgPace *pace);
/* Returns when @bytes more may pass, without anybody being passed over. */
void vimg_pace_take(VimgPace *pace, gsize bytes);

#endif
