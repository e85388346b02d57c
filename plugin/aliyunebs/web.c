/*
 * web.c: HTTP requests, many at a time over connections that are kept
 *
 * The lock guards the queue of new requests and the state of each; it is never held while the
 * library works.  From vimg_web_perform()'s push to its end a request is the thread's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <curl/curl.h>

#include "web.h"
#include "../imagestore/throw.h"
#include "../thread.h"

#define LOOK_EVERY (G_USEC_PER_SEC / 4)
#define POLL_MS 60000 /* whoever has something to say wakes it up */
#define CONNECT_SECONDS 10L
#define BUFFER_SIZE (512L * 1024)
#define TEXT_LIMIT ((gsize)64 * 1024)
#define FIELDS_MAX 128
#define IDLE_CONNECTIONS 64L
#define STALL_SECONDS 30

struct _VimgWeb {
    char *ca_file;
    char *proxy;
    char *local;
    guint stall;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock;
    GQueue fresh; /* of Transfer, to be begun */
    gboolean stop;
};

typedef struct {
    VimgExchange *exchange;
    const VimgWeb *web;
    CURL *curl;
    struct curl_slist *lines;
    char text[CURL_ERROR_SIZE];
    guint64 sent;
    GError *refused; /* why it ended, if we ended it */
    CURLcode code;

    /* under the lock */
    pthread_cond_t changed;
    gboolean cancel;
    gboolean done;
} Transfer;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- what goes and comes: in the thread ---- */

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

    curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, transfer);
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
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_SIZE);
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

static void
transfer_clear(Transfer *transfer)
{
    curl_easy_cleanup(transfer->curl);
    curl_slist_free_all(transfer->lines);
    g_clear_error(&transfer->refused);
    pthread_cond_destroy(&transfer->changed);
}

/* ---- the thread ---- */

static void
finish(VimgWeb *web, Transfer *transfer, CURLcode code)
{
    LOCK_GUARD(&web->lock);

    transfer->code = code;
    transfer->done = TRUE;
    thread_must(pthread_cond_signal(&transfer->changed));
}

/* Begins what is new and ends what was cancelled.  Returns: FALSE at the end of all. */
static gboolean
take_orders(VimgWeb *web, GPtrArray *running)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    guint old = running->len;
    gboolean stop;
    guint i;

    {
        LOCK_GUARD(&web->lock);

        stop = web->stop;
        while (!g_queue_is_empty(&web->fresh))
            g_ptr_array_add(running, g_queue_pop_head(&web->fresh));
        for (i = 0; i < old; i++) {
            Transfer *transfer = g_ptr_array_index(running, i);

            if (transfer->cancel)
                g_ptr_array_add(gone, transfer);
        }
    }
    for (i = old; i < running->len; i++) {
        Transfer *transfer = g_ptr_array_index(running, i);

        curl_multi_add_handle(web->multi, transfer->curl);
    }
    for (i = 0; i < gone->len; i++) {
        Transfer *transfer = g_ptr_array_index(gone, i);

        curl_multi_remove_handle(web->multi, transfer->curl);
        g_ptr_array_remove_fast(running, transfer);
        finish(web, transfer, CURLE_ABORTED_BY_CALLBACK);
    }
    return !stop;
}

static void
take_results(VimgWeb *web, GPtrArray *running)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(web->multi, &left))) {
        Transfer *transfer = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        curl_multi_remove_handle(web->multi, transfer->curl);
        g_ptr_array_remove_fast(running, transfer);
        finish(web, transfer, code);
    }
}

static void *
run(void *data)
{
    VimgWeb *web = data;
    g_autoptr(GPtrArray) running = g_ptr_array_new();
    int active;

    while (take_orders(web, running)) {
        curl_multi_perform(web->multi, &active);
        take_results(web, running);
        curl_multi_poll(web->multi, NULL, 0, POLL_MS, NULL);
    }
    return NULL;
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
    web->multi = curl_multi_init();
    curl_multi_setopt(web->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    if (thread_start(&web->thread, run, web) == 0)
        return web;
    web->stop = TRUE; /* there is no thread to wait for */
    vimg_web_free(web);
    throw_error(error, VIMG_ERROR_BUSY, _("no thread can be started"));
    return NULL;
}

void
vimg_web_free(VimgWeb *web)
{
    gboolean running;

    if (!web)
        return;
    {
        LOCK_GUARD(&web->lock);

        running = !web->stop;
        web->stop = TRUE;
    }
    if (running) {
        curl_multi_wakeup(web->multi);
        thread_must(pthread_join(web->thread, NULL));
    }
    curl_multi_cleanup(web->multi);
    pthread_mutex_destroy(&web->lock);
    g_free(web->ca_file);
    g_free(web->proxy);
    g_free(web->local);
    g_free(web);
}

/* ---- asking ---- */

/* Until it is done or has been taken back.  Returns: FALSE if it was taken back. */
static gboolean
wait_for(VimgWeb *web, Transfer *transfer, const VimgPatience *patience, GError **error)
{
    g_autoptr(GError) enough = NULL;
    gboolean done = FALSE;

    while (!done) {
        {
            LOCK_GUARD(&web->lock);

            if (!transfer->done)
                cond_wait_until(&transfer->changed, &web->lock,
                                g_get_monotonic_time() + LOOK_EVERY);
            done = transfer->done;
        }
        if (done || enough || vimg_patience_check(patience, &enough))
            continue;
        {
            LOCK_GUARD(&web->lock);

            transfer->cancel = TRUE;
        }
        curl_multi_wakeup(web->multi);
    }
    if (!enough || transfer->code == CURLE_OK)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&enough));
    return FALSE;
}

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
    Transfer transfer = {.exchange = exchange, .web = web, .curl = curl_easy_init()};
    gboolean good;

    vimg_exchange_clear(exchange);
    if (!transfer.curl)
        g_error("curl_easy_init: out of memory"); /* as GLib does */
    exchange->fields = vimg_pairs_new();
    exchange->text = g_byte_array_new();
    cond_init(&transfer.changed);
    set_way(web, transfer.curl);
    set_callbacks(&transfer);
    set_request(&transfer);
    {
        LOCK_GUARD(&web->lock);

        g_queue_push_tail(&web->fresh, &transfer);
    }
    curl_multi_wakeup(web->multi);
    good = wait_for(web, &transfer, patience, error) && settle(&transfer, error);
    transfer_clear(&transfer);
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
