/*
 * test-model-export-fixture.h: an image that can be exported, and what is read of an export
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MODEL_EXPORT_FIXTURE_H
#define TEST_MODEL_EXPORT_FIXTURE_H

#include "test-model-fixture.h"

#define EXPORT_URL "http://192.0.2.1:8080"
#define EXPORT_SIZE 200000 /* of the image */

typedef struct {
    VimgExportInfo *info;
    char *url;
    guint8 hash[VIMG_EXPORT_HASH_SIZE];
} ExportMade;

void export_made_clear(ExportMade *made);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ExportMade, export_made_clear)

/* "images" with one complete raw image, "a.raw". */
void export_set_up(Fixture *fixture);
/* Returns: (transfer full) all of it, read in pieces of @most. */
GByteArray *export_read_all(Fixture *fixture, const ExportMade *made, gsize most);
/* Returns: (transfer full) why it cannot be read; NULL: it can. */
GError *export_read_error(Fixture *fixture, const ExportMade *made, guint64 offset, guint64 length);
/* Returns: "live", "away", "ended" or "absent". */
const char *export_state(Fixture *fixture, const ExportMade *made);

#endif
