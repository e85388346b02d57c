/*
 * secrets.h: the daemon's own secrets: definitions and values in config_dir/secrets (0700)
 *
 * UUID.xml holds the definition, UUID.base64 the value, both 0600 as in libvirt.  Ephemeral secrets
 * are in memory only.  Values in memory are wiped when they go.  Thread-safe; its lock is held
 * across no I/O but that of its own small files (a lock of its own orders those).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_SECRETS_H
#define VIMG_POOL_SECRETS_H

#include "conf/secret-def.h"
#include "pool/model.h"

typedef struct _VimgSecrets VimgSecrets;

VimgSecrets *vimg_secrets_new(const char *dir);
void vimg_secrets_free(VimgSecrets *secrets);
gboolean vimg_secrets_load(VimgSecrets *secrets, GError **error);

GPtrArray *vimg_secrets_list(VimgSecrets *secrets, guint flags);
gboolean vimg_secrets_by_uuid(VimgSecrets *secrets, const guint8 *uuid, VimgSecretId *out,
                              GError **error);
gboolean vimg_secrets_by_usage(VimgSecrets *secrets, int usage_type, const char *usage_id,
                               VimgSecretId *out, GError **error);
gboolean vimg_secrets_define(VimgSecrets *secrets, const char *xml, guint flags, VimgSecretId *out,
                             GError **error);
guint vimg_secrets_count(VimgSecrets *secrets);
char *vimg_secrets_xml(VimgSecrets *secrets, const guint8 *uuid, GError **error);
gboolean vimg_secrets_set_value(VimgSecrets *secrets, const guint8 *uuid, const void *value,
                                gsize size, VimgSecretId *out, GError **error);
/* @internal: also private ones, for backends. */
VimgBuffer *vimg_secrets_get_value(VimgSecrets *secrets, const guint8 *uuid, gboolean internal,
                                   GError **error);
gboolean vimg_secrets_undefine(VimgSecrets *secrets, const guint8 *uuid, VimgSecretId *out,
                               GError **error);

#endif
