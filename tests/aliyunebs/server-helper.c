/*
 * server-helper.c: a server of tests/lib as a child, told what to do line by line
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/wait.h>

#include "server-helper.h"

static char *
read_line(Server *server)
{
    char line[4096];

    g_assert_nonnull(fgets(line, sizeof(line), server->out));
    return g_strdup(g_strchomp(line));
}

Server *
server_new(const char *program, const char *arguments)
{
    Server *server = g_new0(Server, 1);
    g_autofree char *command =
        g_strdup_printf("/usr/bin/python3 -B '%s/lib/%s' %s", g_getenv("G_TEST_SRCDIR"), program,
                        arguments ? arguments : "");
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *port = NULL;
    guint64 number;
    int in;
    int out;

    g_assert_true(g_shell_parse_argv(command, NULL, &argv, &error));
    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &server->pid,
                             &in, &out, NULL, &error);
    g_assert_no_error(error);
    server->in = fdopen(in, "w");
    server->out = fdopen(out, "r");
    port = read_line(server);
    g_assert_true(g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL));
    server->port = (guint16)number;
    return server;
}

void
server_free(Server *server)
{
    if (!server)
        return;
    fclose(server->in);
    fclose(server->out);
    waitpid(server->pid, NULL, 0);
    g_spawn_close_pid(server->pid);
    g_free(server);
}

static char *
tell(Server *server, const char *format, va_list args)
{
    vfprintf(server->in, format, args);
    fputc('\n', server->in);
    fflush(server->in);
    return read_line(server);
}

char *
server_tell(Server *server, const char *format, ...)
{
    va_list args;
    char *answer;

    va_start(args, format);
    answer = tell(server, format, args);
    va_end(args);
    return answer;
}

guint64
server_number(Server *server, const char *format, ...)
{
    g_autofree char *answer = NULL;
    guint64 number;
    va_list args;

    va_start(args, format);
    answer = tell(server, format, args);
    va_end(args);
    g_assert_true(g_ascii_string_to_unsigned(answer, 10, 0, G_MAXUINT64, &number, NULL));
    return number;
}

VimgCredential *
server_credential(void)
{
    return vimg_credential_new("ak", (const guint8 *)"sk", 2, NULL);
}

VimgOss *
server_client(Server *server, VimgOssSignature signature, guint stall)
{
    g_autoptr(VimgCredential) credential = server_credential();
    g_autoptr(GError) error = NULL;
    VimgOssRules rules = {
        .plain = TRUE,
        .host = "127.0.0.1",
        .port = server->port,
        .bucket = "images",
        .region = "cn-hangzhou",
        .style = VIMG_OSS_PATH,
        .signature = signature,
        .web = {.stall = stall},
    };
    VimgOss *oss = vimg_oss_new(&rules, credential, &error);

    g_assert_no_error(error);
    return oss;
}

VimgBuffer *
server_bytes(gsize size, guint32 seed)
{
    VimgBuffer *buffer = vimg_buffer_new(size);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    gsize i;

    for (i = 0; i < size; i++)
        buffer->data[i] = (guint8)g_rand_int(rand);
    return buffer;
}
