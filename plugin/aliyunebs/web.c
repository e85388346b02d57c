/*
 * web.c: HTTP requests, many at a time over connections that are kept
 *
 * Whoever asks moves the bytes, so that many who ask use many processors.  A handle of the library
 * keeps its connection; the one that was in use last is taken first, as the others may be closed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <curl/curl.h>

#include "web.h"
#include "throw.h"
#include "../thread.h"

#define LOOK_EVERY (G_USEC_PER_SEC / 4) /* the library asks once a second, or more often */
#define CONNECT_SECONDS 10L
#define BUFFER_SIZE (512L * 1024)
#define UPLOAD_BUFFER_SIZE (256L * 1024) /* each connection has one; larger is not faster */
#define TEXT_LIMIT ((gsize)64 * 1024)
#define FIELDS_MAX 128
#define IDLE_MOST 64
#define STALL_SECONDS 30

struct _VimgWeb {
    char *ca_file;
    char *proxy;
    char *local;
    guint stall;
    pthread_mutex_t lock; /* guards what follows */
    GQueue idle;          /* of CURL */
};

typedef struct {
    VimgExchange *exchange;
    const VimgWeb *web;
    const VimgPatience *patience;
    gint64 looked; /* at @patience */
    CURL *curl;
    struct curl_slist *lines;
    char text[CURL_ERROR_SIZE];
    guint64 sent;
    GError *refused; /* why it ended, if we ended it */
    CURLcode code;
} Transfer;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- what goes and comes ---- */

static size_t
on_read(char *out, size_t size, size_t n, void *data)
{
    Transfer *transfer = data;
    const VimgExchange *exchange = transfer->exchange;
    gsize length = (gsize)MIN((guint64)size * n, exchange->size - transfer->sent);

    if (exchange->source) {
        if (!exchange->source(exchange->source_data, transfer->sent, (guint8 *)out, length,
                              &transfer->refused))
            return CURL_READFUNC_ABORT;
    } else if (length > 0) {
        memcpy(out, exchange->body + transfer->sent, length);
    }
    transfer->sent += length;
    return length;
}

/* A connection that was kept may be gone: then all is sent again over another one. */
static int
on_seek(void *data, curl_off_t offset, int origin)
{
    Transfer *transfer = data;

    if (origin != SEEK_SET || offset < 0 || (guint64)offset > transfer->exchange->size)
        return CURL_SEEKFUNC_FAIL;
    transfer->sent = (guint64)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t
on_header(char *line, size_t size, size_t n, void *data)
{
    Transfer *transfer = data;
    GPtrArray *fields = transfer->exchange->fields;
    g_autofree char *text = g_strndup(line, size * n);
    char *colon = strchr(text, ':');

    if (g_str_has_prefix(text, "HTTP/")) {
        g_ptr_array_set_size(fields, 0); /* one of 100 came before */
        return size * n;
    }
    if (!colon || fields->len >= FIELDS_MAX || !g_utf8_validate(text, -1, NULL))
        return size * n;
    *colon = '\0';
    vimg_pairs_add(fields, text, g_strstrip(colon + 1));
    return size * n;
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *data)
{
    Transfer *transfer = data;
    VimgExchange *exchange = transfer->exchange;
    gsize came = size * n;
    gsize limit = exchange->limit > 0 ? exchange->limit : TEXT_LIMIT;
    long status = 0;

    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (exchange->into && status / 100 == 2) {
        if (came > exchange->room - exchange->got)
            goto too_long;
        memcpy(exchange->into + exchange->got, bytes, came);
        exchange->got += came;
        return came;
    }
    if (came > limit - exchange->text->len)
        goto too_long;
    g_byte_array_append(exchange->text, (const guint8 *)bytes, (guint)came);
    return came;

too_long:
    if (!transfer->refused)
        throw_error(&transfer->refused, VIMG_ERROR_INTERNAL,
                    _("the server answers with more bytes than it was asked for"));
    return 0;
}

/* Returns: not 0 to end it. */
static int
on_progress(void *data, curl_off_t all_down, curl_off_t down, curl_off_t all_up, curl_off_t up)
{
    Transfer *transfer = data;
    gint64 now = g_get_monotonic_time();

    (void)all_down, (void)down, (void)all_up, (void)up;
    if (transfer->refused || now - transfer->looked < LOOK_EVERY)
        return 0;
    transfer->looked = now;
    return !vimg_patience_check(transfer->patience, &transfer->refused);
}

/* ---- one request ---- */

static void
set_way(const VimgWeb *web, CURL *curl)
{
    g_autofree char *from = web->local ? g_strconcat("host!", web->local, NULL) : NULL;

    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, web->proxy ? web->proxy : "");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (web->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, web->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (from)
        curl_easy_setopt(curl, CURLOPT_INTERFACE, from);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void
set_callbacks(Transfer *transfer)
{
    CURL *curl = transfer->curl;

    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

/* Returns: (transfer full) */
static struct curl_slist *
make_lines(const VimgExchange *exchange)
{
    /* what the library would add by itself, and no signature knows */
    struct curl_slist *lines = curl_slist_append(NULL, "Expect:");
    guint i;

    lines = curl_slist_append(lines, "Accept:");
    for (i = 0; exchange->headers && i < exchange->headers->len; i++) {
        const VimgPair *pair = g_ptr_array_index(exchange->headers, i);
        g_autofree char *line = g_strdup_printf("%s: %s", pair->name, pair->value);

        lines = curl_slist_append(lines, line);
        explicit_bzero(line, strlen(line));
    }
    return lines;
}

static guint
stall_of(const Transfer *transfer)
{
    return MAX(transfer->web->stall, transfer->exchange->stall);
}

static void
set_request(Transfer *transfer)
{
    VimgExchange *exchange = transfer->exchange;
    CURL *curl = transfer->curl;

    /* what hangs is lost; what is slow is not */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)stall_of(transfer));

    transfer->lines = make_lines(exchange);
    curl_easy_setopt(curl, CURLOPT_URL, exchange->url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->lines);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "virtimaged/" VIMG_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, NULL);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_SIZE);
    if (strcmp(exchange->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (strcmp(exchange->method, "PUT") == 0 || strcmp(exchange->method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)exchange->size);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange->method);
    } else {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange->method);
    }
}

/* ---- handles ---- */

static CURL *
take_handle(VimgWeb *web)
{
    LOCK_GUARD(&web->lock);
    CURL *curl = g_queue_pop_head(&web->idle);

    if (!curl)
        curl = curl_easy_init();
    if (!curl)
        g_error("curl_easy_init: out of memory"); /* as GLib does */
    return curl;
}

/* Its connection stays, and nothing of the request. */
static void
give_back(VimgWeb *web, CURL *curl)
{
    CURL *old = NULL;

    curl_easy_reset(curl);
    {
        LOCK_GUARD(&web->lock);

        g_queue_push_head(&web->idle, curl);
        if (g_queue_get_length(&web->idle) > IDLE_MOST)
            old = g_queue_pop_tail(&web->idle);
    }
    curl_easy_cleanup(old);
}

VimgWeb *
vimg_web_new(const VimgWebRules *rules, GError **error)
{
    VimgWeb *web = g_new0(VimgWeb, 1);

    pthread_once(&once, init_library);
    if (rules->ca_file && !g_file_test(rules->ca_file, G_FILE_TEST_IS_REGULAR)) {
        throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("CA file '%s' cannot be read"),
                    rules->ca_file);
        g_free(web);
        return NULL;
    }
    web->ca_file = g_strdup(rules->ca_file);
    web->proxy = g_strdup(rules->proxy);
    web->local = g_strdup(rules->local);
    web->stall = rules->stall > 0 ? rules->stall : STALL_SECONDS;
    thread_must(pthread_mutex_init(&web->lock, NULL));
    return web;
}

void
vimg_web_free(VimgWeb *web)
{
    if (!web)
        return;
    g_queue_clear_full(&web->idle, curl_easy_cleanup);
    pthread_mutex_destroy(&web->lock);
    g_free(web->ca_file);
    g_free(web->proxy);
    g_free(web->local);
    g_free(web);
}

/* ---- asking ---- */

static const struct {
    CURLcode code;
    VimgErrorCode error;
} lasting[] = {
    {CURLE_PEER_FAILED_VERIFICATION, VIMG_ERROR_DISCONNECTED},
    {CURLE_SSL_CACERT_BADFILE, VIMG_ERROR_CONFIG_UNSUPPORTED},
    {CURLE_INTERFACE_FAILED, VIMG_ERROR_CONFIG_UNSUPPORTED},
    {CURLE_URL_MALFORMAT, VIMG_ERROR_CONFIG_UNSUPPORTED},
    {CURLE_COULDNT_RESOLVE_PROXY, VIMG_ERROR_DISCONNECTED},
};

/* "scheme://host:port" of a URL, whose path and query nobody needs to see. */
static char *
origin_of(const char *url)
{
    const char *host = strstr(url, "://");

    return host ? g_strndup(url, (gsize)(host + 3 - url) + strcspn(host + 3, "/?")) : g_strdup("?");
}

static gboolean
throw_lost(Transfer *transfer, GError **error)
{
    g_autofree char *origin = origin_of(transfer->exchange->url);
    g_autofree char *text = g_utf8_make_valid(transfer->text, -1);
    VimgErrorCode code = VIMG_ERROR_DISCONNECTED;
    gsize i;

    transfer->exchange->passing = TRUE;
    for (i = 0; i < G_N_ELEMENTS(lasting); i++) {
        if (lasting[i].code != transfer->code)
            continue;
        transfer->exchange->passing = FALSE;
        code = lasting[i].error;
    }
    if (transfer->code == CURLE_OPERATION_TIMEDOUT && g_str_has_prefix(text, "Operation too slow"))
        return throw_error(error, code, _("'%1$s' sent and took nothing for %2$u seconds"), origin,
                           stall_of(transfer));
    return throw_error(error, code, _("cannot reach '%1$s': %2$s"), origin,
                       *text ? text : curl_easy_strerror(transfer->code));
}

static gboolean
settle(Transfer *transfer, GError **error)
{
    VimgExchange *exchange = transfer->exchange;
    long status = 0;

    if (transfer->refused) {
        g_propagate_error(error, g_steal_pointer(&transfer->refused));
        return FALSE;
    }
    if (transfer->code != CURLE_OK)
        return throw_lost(transfer, error);
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    exchange->status = (guint)CLAMP(status, 0, 999);
    return TRUE;
}

gboolean
vimg_web_perform(VimgWeb *web, VimgExchange *exchange, const VimgPatience *patience, GError **error)
{
    Transfer transfer = {.exchange = exchange,
                         .web = web,
                         .patience = patience,
                         .looked = g_get_monotonic_time(),
                         .curl = take_handle(web)};
    gboolean good;

    vimg_exchange_clear(exchange);
    exchange->fields = vimg_pairs_new();
    exchange->text = g_byte_array_new();
    set_way(web, transfer.curl);
    set_callbacks(&transfer);
    set_request(&transfer);
    transfer.code = curl_easy_perform(transfer.curl);
    good = settle(&transfer, error);
    give_back(web, transfer.curl);
    curl_slist_free_all(transfer.lines);
    return good;
}

void
vimg_exchange_clear(VimgExchange *exchange)
{
    g_clear_pointer(&exchange->fields, g_ptr_array_unref);
    g_clear_pointer(&exchange->text, g_byte_array_unref);
    exchange->status = 0;
    exchange->got = 0;
    exchange->passing = FALSE;
}

/* ---- reading answers ---- */

gboolean
vimg_web_is_passing(guint status)
{
    return (status >= 500 && status != 501) || status == 408 || status == 429;
}

gint64
vimg_web_hint(const GPtrArray *fields)
{
    const char *after = vimg_pairs_get(fields, "Retry-After");
    guint64 seconds;

    if (!after || !g_ascii_string_to_unsigned(after, 10, 0, 86400, &seconds, NULL))
        return 0;
    return (gint64)seconds * G_USEC_PER_SEC;
}

gint64
vimg_web_date(const GPtrArray *fields)
{
    const char *date = vimg_pairs_get(fields, "Date");
    time_t at = date ? curl_getdate(date, NULL) : -1;

    return at > 0 ? (gint64)at : 0;
}
