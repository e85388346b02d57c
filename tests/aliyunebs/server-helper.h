/*
 * server-helper.h: a server of tests/lib as a child, told what to do line by line
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_ALIYUNEBS_SERVER_HELPER_H
#define VIMG_TESTS_ALIYUNEBS_SERVER_HELPER_H

#include <stdio.h>

#include "oss.h"

typedef struct {
    GPid pid;
    FILE *in;
    FILE *out;
    guint16 port;
} Server;

/* @program: as "ossserver.py"; @arguments: with blanks between, NULL: none. */
Server *server_new(const char *program, const char *arguments);
void server_free(Server *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)
/* Returns: (transfer full) the line it answers. */
char *server_tell(Server *server, const char *format, ...) G_GNUC_PRINTF(2, 3);
guint64 server_number(Server *server, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "ak" with "sk" */
VimgCredential *server_credential(void);
/* A path-style client of its bucket "images", which gives up after @stall silent seconds. */
VimgOss *server_client(Server *server, VimgOssSignature signature, guint stall);
/* @size bytes that @seed decides. */
VimgBuffer *server_bytes(gsize size, guint32 seed);

#endif
