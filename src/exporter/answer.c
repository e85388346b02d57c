/*
 * answer.c: requests for exports, and what is answered
 *
 * A connection has a thread of its own, which waits for the daemon and for its client; how many
 * there are is bounded.  No address, name or token goes to a log.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <microhttpd.h>

#include "exporter/answer.h"
#include "exporter/download.h"
#include "exporter/heads.h"
#include "exporter/page.h"
#include "exporter/request.h"
#include "util/error.h"

#define SPARE_CONNECTIONS 32 /* that are told that there are too many downloads */
#define BLOCK ((size_t)1024 * 1024)
#define TEXT_PLAIN "text/plain; charset=utf-8"

typedef struct {
    VimgExporterLink *link;
    VimgClients *clients;
    VimgHeads *heads;
    guint timeout; /* seconds */
} Server;

/* What is answered to one request. */
typedef struct {
    Server *server;
    struct MHD_Connection *connection;
    guint8 hash[VIMG_EXPORTER_HASH_SIZE];
    VimgExporterInfo info;
} Request;

typedef struct {
    Server *server;
    struct MHD_Connection *connection;
    VimgClient *client;
    VimgDownload *download;
} Body;

/* ---- small answers ------------------------------------------------------------------------ */

static const char *
header_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Of every answer: what a URL that is a secret wants. */
static void
add_common(struct MHD_Response *response)
{
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", "private, no-transform");
}

/* Frees @response. */
static enum MHD_Result
queue(struct MHD_Connection *connection, guint status, struct MHD_Response *response)
{
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    add_common(response);
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Response *
text_new(const char *text, const char *type)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);

    if (response)
        MHD_add_response_header(response, "Content-Type", type);
    return response;
}

static const struct {
    guint status;
    const char *text;
    const char *header, *value; /* one more; NULL: none */
} refusals[] = {
    {404, "There is nothing here.\n"},
    {405, "This can only be read.\n", "Allow", "GET, HEAD"},
    {410, "This export has ended.\n"},
    {500, "The image cannot be read.\n"},
    {429, "You download much already; end some of it first.\n", "Retry-After", "10"},
    {503, "Not now; try again.\n", "Retry-After", "10"},
};

/* @text: instead of what is said of all that get @status. */
static enum MHD_Result
refuse_saying(struct MHD_Connection *connection, guint status, const char *text)
{
    struct MHD_Response *response;
    gsize i = 0;

    while (refusals[i].status != status)
        i++;
    response = text_new(text ? text : refusals[i].text, TEXT_PLAIN);
    if (response && refusals[i].header)
        MHD_add_response_header(response, refusals[i].header, refusals[i].value);
    return queue(connection, status, response);
}

static enum MHD_Result
refuse(struct MHD_Connection *connection, guint status)
{
    return refuse_saying(connection, status, NULL);
}

/* ---- downloads ---------------------------------------------------------------------------- */

/* A client is not to blame for the time that it was kept waiting. */
static void
forgive(const Body *body, gint64 waited)
{
    MHD_set_connection_option(body->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              body->server->timeout + (guint)(waited / G_USEC_PER_SEC) + 1);
}

static ssize_t
read_body(void *data, uint64_t position, char *out, size_t max)
{
    const Body *body = data;
    gint64 began = g_get_monotonic_time();
    ssize_t n = vimg_download_next(body->download, out, max);

    if (n > 0)
        vimg_clients_take(body->server->clients, body->client, (gsize)n);
    forgive(body, g_get_monotonic_time() - began);
    if (n > 0)
        return n;
    return n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void
free_body(void *data)
{
    Body *body = data;

    vimg_download_free(body->download);
    vimg_clients_leave(body->server->clients, body->client);
    g_free(body);
}

static const struct sockaddr *
address_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return info ? info->client_addr : NULL;
}

/* Returns: one more download, or NULL with the @status to refuse it with. */
static Body *
body_new(const Request *request, guint64 offset, guint64 length, guint *status)
{
    static const guint statuses[] = {[VIMG_CLIENTS_CROWDED] = 503, [VIMG_CLIENTS_GREEDY] = 429};
    Server *server = request->server;
    VimgClient *client = NULL;
    VimgClientsAnswer answer =
        vimg_clients_enter(server->clients, address_of(request->connection), &client);
    Body *body;

    if (answer != VIMG_CLIENTS_WELCOME) {
        *status = statuses[answer];
        return NULL;
    }
    body = g_new0(Body, 1);
    body->server = server;
    body->connection = request->connection;
    body->client = client;
    body->download =
        vimg_download_new(server->link, request->hash, offset, length, request->info.compress);
    return body;
}

static const struct {
    const char *format;
    const char *type;
} types[] = {{"qcow2", "application/x-qemu-disk"}, {"iso", "application/x-iso9660-image"}};

static const char *
type_of(const VimgExporterInfo *info)
{
    if (info->compress)
        return "application/zstd";
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i].format, info->format) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static void
add_file_headers(struct MHD_Response *response, const VimgExporterInfo *info)
{
    g_autofree char *disposition = vimg_exporter_disposition(info->file);
    g_autofree char *etag = g_strdup_printf("\"%s\"", info->etag);

    MHD_add_response_header(response, "Content-Type", type_of(info));
    MHD_add_response_header(response, "Content-Disposition", disposition);
    MHD_add_response_header(response, "Vary", "Accept");
    MHD_add_response_header(response, "Accept-Ranges", info->compress ? "none" : "bytes");
    if (!info->compress)
        MHD_add_response_header(response, "ETag", etag);
}

static void
add_range(struct MHD_Response *response, guint64 offset, guint64 length, guint64 size)
{
    g_autofree char *text = length > 0
                                ? g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT
                                                  "/%" G_GUINT64_FORMAT,
                                                  offset, offset + length - 1, size)
                                : g_strdup_printf("bytes */%" G_GUINT64_FORMAT, size);

    MHD_add_response_header(response, "Content-Range", text);
}

static enum MHD_Result
answer_none(const Request *request, guint status)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);

    if (!response)
        return MHD_NO;
    add_file_headers(response, &request->info);
    if (status == 416)
        add_range(response, 0, 0, request->info.size);
    return queue(request->connection, status, response);
}

static enum MHD_Result
answer_image(const Request *request)
{
    struct MHD_Connection *connection = request->connection;
    const VimgExporterInfo *info = &request->info;
    VimgExporterRange range = VIMG_EXPORTER_WHOLE;
    guint64 offset = 0, length = info->size;
    struct MHD_Response *response;
    guint status = 0;
    Body *body;

    if (!info->compress) {
        if (vimg_exporter_has_etag(header_of(connection, "If-None-Match"), info->etag))
            return answer_none(request, 304);
        range =
            vimg_exporter_range(header_of(connection, "Range"), header_of(connection, "If-Range"),
                                info->etag, info->size, &offset, &length);
    }
    if (range == VIMG_EXPORTER_NO_RANGE)
        return answer_none(request, 416);
    body = body_new(request, offset, length, &status);
    if (!body)
        return refuse(connection, status);
    response = MHD_create_response_from_callback(info->compress ? MHD_SIZE_UNKNOWN : length, BLOCK,
                                                 read_body, body, free_body);
    if (!response) {
        free_body(body);
        return MHD_NO;
    }
    add_file_headers(response, info);
    if (range == VIMG_EXPORTER_PART)
        add_range(response, offset, length, info->size);
    return queue(connection, range == VIMG_EXPORTER_PART ? 206 : 200, response);
}

static enum MHD_Result
answer_checksum(const Request *request)
{
    g_autofree char *line = NULL;

    if (request->info.compress)
        return refuse(request->connection, 404);
    if (!*request->info.sha256)
        return refuse_saying(request->connection, 503,
                             "The image is being read for that; try again.\n");
    line = g_strdup_printf("%s  %s\n", request->info.sha256, request->info.file);
    return queue(request->connection, 200, text_new(line, TEXT_PLAIN));
}

static enum MHD_Result
answer_page(const Request *request, const char *token)
{
    g_autofree char *page = vimg_exporter_page(&request->info, token,
                                               header_of(request->connection, "Accept-Language"));
    g_autofree char *policy = vimg_exporter_page_policy();
    struct MHD_Response *response = text_new(page, "text/html; charset=utf-8");

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    MHD_add_response_header(response, "Vary", "Accept, Accept-Language");
    return queue(request->connection, 200, response);
}

/* ---- requests ----------------------------------------------------------------------------- */

static const guint statuses[VIMG_EXPORTER_N_STATUSES] = {
    [VIMG_EXPORTER_OK] = 200,   [VIMG_EXPORTER_ABSENT] = 404, [VIMG_EXPORTER_ENDED] = 410,
    [VIMG_EXPORTER_BUSY] = 503, [VIMG_EXPORTER_FAILED] = 500,
};

static enum MHD_Result
answer(Server *server, struct MHD_Connection *connection, const char *url)
{
    g_auto(VimgExporterPath) path = {0};
    Request request = {.server = server, .connection = connection};
    VimgExporterStatus status;

    if (!vimg_exporter_path_parse(url, &path))
        return refuse(connection, 404);
    vimg_exporter_token_hash(path.token, request.hash);
    status = vimg_exporter_link_look(server->link, request.hash, &request.info);
    if (status != VIMG_EXPORTER_OK)
        return refuse(connection, statuses[status]);
    switch (vimg_exporter_target(&path, &request.info)) {
    case VIMG_EXPORTER_IMAGE:
        return !path.name && vimg_exporter_wants_page(header_of(connection, "Accept"))
                   ? answer_page(&request, path.token)
                   : answer_image(&request);
    case VIMG_EXPORTER_CHECKSUM:
        return answer_checksum(&request);
    default:
        return refuse(connection, 404);
    }
}

/* What a connection is known by to those who wait for requests. */
static VimgHead *
head_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void
on_connection(void *data, struct MHD_Connection *connection, void **context,
              enum MHD_ConnectionNotificationCode what)
{
    const Server *server = data;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (what == MHD_CONNECTION_NOTIFY_STARTED && info)
        *context = vimg_heads_add(server->heads, info->connect_fd);
    else if (what == MHD_CONNECTION_NOTIFY_CLOSED)
        vimg_heads_remove(server->heads, *context);
}

/* The connection may bring another one. */
static void
on_completed(void *data, struct MHD_Connection *connection, void **state,
             enum MHD_RequestTerminationCode how)
{
    const Server *server = data;

    vimg_heads_await(server->heads, head_of(connection));
}

/* Called first with the head of a request alone; it is answered the second time. */
static enum MHD_Result
on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *upload, size_t *upload_size, void **state)
{
    static int begun;

    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return *upload_size > 0 ? MHD_NO : refuse(connection, 405);
    if (*state != &begun) {
        *state = &begun;
        return MHD_YES;
    }
    if (*upload_size > 0) /* a GET that brings something */
        return MHD_NO;
    /* only now: what is announced behind a head could be awaited for ever */
    vimg_heads_came(((const Server *)data)->heads, head_of(connection));
    return answer(data, connection, url);
}

/* Bytes of paths are looked at as they came. */
static size_t
leave_escaped(void *data, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static void
log_nothing(void *data, const char *format, va_list args)
{
}

gboolean
vimg_exporter_serve(VimgExporterLink *link, const VimgExporterOptions *options, GError **error)
{
    const VimgClientLimits *limits = &options->limits;
    const gboolean tls = options->certificate != NULL;
    static Server server; /* one a process: its threads end with it */
    struct MHD_OptionItem more[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, options->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, options->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)"NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"},
        {MHD_OPTION_END, 0, NULL},
    };

    server.link = link;
    server.clients = vimg_clients_new(limits);
    server.timeout = options->timeout;
    server.heads = vimg_heads_new(options->timeout, error);
    if (!server.heads)
        return FALSE; /* the process ends */
    if (MHD_start_daemon(
            MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0),
            0, NULL, NULL, on_request, &server, MHD_OPTION_EXTERNAL_LOGGER, log_nothing, NULL,
            MHD_OPTION_LISTEN_SOCKET, options->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
            limits->downloads + SPARE_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
            limits->each > 0 ? limits->each + SPARE_CONNECTIONS / 2 : 0,
            MHD_OPTION_CONNECTION_TIMEOUT, options->timeout, MHD_OPTION_THREAD_STACK_SIZE,
            (size_t)256 * 1024, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
            leave_escaped, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, &server,
            MHD_OPTION_NOTIFY_COMPLETED, on_completed, &server, MHD_OPTION_ARRAY,
            tls ? more : more + G_N_ELEMENTS(more) - 1, MHD_OPTION_END))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_FAILED, "%s",
                      tls ? "export_tls_cert and export_tls_key cannot be used: one of them is "
                            "damaged, or they do not belong to each other"
                          : "the web server cannot be started");
}
