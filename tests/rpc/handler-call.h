/*
 * handler-call.h: calling a handler with bytes, and reading its answer as bytes
 *
 * Bytes are spelled out token by token, and not with the types of remote.x, so that the tests are
 * also the tests of that file.  Tokens, separated by blanks: s:TEXT a string, o:TEXT opaque bytes,
 * i:NUMBER four bytes, h:NUMBER eight, U the uuid of everything, x:HEX as it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef HANDLER_CALL_H
#define HANDLER_CALL_H

#include "fake-client.h"
#include "rpc/dispatch.h"

/* Returns: (transfer full) what the tokens mean; the second one as lower-case hexadecimal. */
GByteArray *handler_bytes(const char *tokens);
char *handler_hex(const char *tokens);

/*
 * Runs @procedure of libvirt's program, or of another one, on @tokens.  @out may be NULL; its args
 * and ret are gone afterwards.  Returns: (transfer full) the answer in hexadecimal, or NULL with
 * @error.
 */
char *handler_call(VimgClient *client, int procedure, const char *tokens, VimgCall *out,
                   GError **error);
char *handler_call_in(const VimgProgram *program, VimgClient *client, int procedure,
                      const char *tokens, VimgCall *out, GError **error);

/* @text: what a client sees; NULL: not looked at. */
void handler_check_error(const GError *error, int code, const char *text);

#endif
