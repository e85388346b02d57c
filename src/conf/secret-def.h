/*
 * secret-def.h: a <secret> document as plain data (never the value)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_SECRET_DEF_H
#define VIMG_CONF_SECRET_DEF_H

#include "util/error.h"
#include "util/uuid.h"

typedef struct {
    guint8 uuid[VIMG_UUID_SIZE];
    gboolean has_uuid;
    gboolean ephemeral;
    gboolean private_;
    char *description;
    int usage_type; /* virSecretUsageType: 0 none, 1 volume, 2 ceph, 3 iscsi, 4 tls, 5 vtpm */
    char *usage_id; /* <volume>, <name> or <target> as the type says; "" for none */
} VimgSecretDef;

void vimg_secret_def_free(VimgSecretDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSecretDef, vimg_secret_def_free)

VimgSecretDef *vimg_secret_def_copy(const VimgSecretDef *def);

VimgSecretDef *vimg_secret_def_parse(const char *xml, gboolean validate, GError **error);
char *vimg_secret_def_format(const VimgSecretDef *def);

#endif
