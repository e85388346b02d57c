/*
 * http.c: what lies at an http or https URL
 *
 * A thread asks, follows redirects and goes on after a lost connection, some way ahead of whoever
 * takes the bytes.  Redirects are followed once; all that is asked later is asked of where they
 * led.  How long an answer is we look at ourselves: a library would cut off what is too much.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "fetch/ahead.h"
#include "fetch/fetch-private.h"
#include "fetch/http-head.h"
#include "util/i18n.h"
#include "util/log.h"

#define MAX_HOPS 5
/* Attempts in a row that bring nothing, and the longest rest before one. */
#define MAX_ATTEMPTS 6
/* What an answer that is not the last should bring at least; so many in a row may bring less. */
#define LEAST_PART (1024 * 1024)
#define FIRST_REST (G_USEC_PER_SEC / 4)
#define CONNECT_TIMEOUT 30L
#define RECEIVE_SIZE (512L * 1024)
/* How long a server may take to close behind the last byte, before we do. */
#define CLOSE_WAIT (G_USEC_PER_SEC / 2)

/* Over the library's beginning and end. */
static VimgMutex library_lock = VIMG_MUTEX_INIT;

typedef struct {
    const VimgFetch *fetch;
    VimgThread thread;
    gboolean running;
    VimgAhead ahead; /* while it runs */

    /* the thread's, but constant while another reads them: from ready on to the next seek */
    VimgHttpHead known; /* the first good head */
    guint64 length;     /* or VIMG_HTTP_UNKNOWN */
    guint64 begin;      /* offset of the first byte it gives */

    /* the thread's */
    VimgUrl url; /* where redirects led */
    gboolean may_fall_back;
    guint64 at; /* offset of the next byte to come */

    /* of one request */
    VimgHttpHead head;
    gboolean good; /* what it says will do */
    gboolean moved;
    guint64 end;     /* where the answer ends; or VIMG_HTTP_UNKNOWN */
    gint64 alive;    /* when something came, monotonic */
    GError *refused; /* why it ended, if we ended it */
    gboolean again;  /* that is none that lasts */
} HttpSource;

/* ---- judging an answer ------------------------------------------------------------------ */

/* Ends the request.  Returns: where its reason goes. */
static GError **
refuse(HttpSource *source)
{
    g_clear_error(&source->refused);
    source->again = FALSE;
    return &source->refused;
}

static gboolean
refuse_changed(HttpSource *source)
{
    return vimg_throw(refuse(source), VIMG_ERROR_FAILED, _("'%s' was changed while it was read"),
                      source->url.shown);
}

static gboolean
refuse_status(HttpSource *source, guint status)
{
    static const guint passing[] = {408, 429, 500, 502, 503, 504};

    vimg_throw(refuse(source), VIMG_ERROR_FAILED,
               _("the server answers %1$u to the request for '%2$s'"), status, source->url.shown);
    for (gsize i = 0; i < G_N_ELEMENTS(passing); i++)
        source->again = source->again || status == passing[i];
    return FALSE;
}

static gboolean
throw_lost(const HttpSource *source, GError **error)
{
    return vimg_throw(
        error, VIMG_ERROR_FAILED,
        _("the connection was lost at byte %1$llu of '%2$s', and its server cannot go on from there"),
        VIMG_ULL(source->at), source->url.shown);
}

/* It gives all from the first byte on, whatever it was asked for. */
static gboolean
judge_whole(HttpSource *source)
{
    const VimgHttpHead *head = &source->head;

    if (source->at > 0 && !source->may_fall_back)
        return throw_lost(source, refuse(source));
    if (head->length == VIMG_HTTP_UNKNOWN && !head->chunked)
        return vimg_throw(
            refuse(source), VIMG_ERROR_FAILED,
            _("the server does not say where '%s' ends, so that nobody could tell if some was missing"),
            source->url.shown);
    source->at = source->begin = 0;
    source->end = head->length;
    return TRUE;
}

/* It must begin where it was asked to, and it must be known whether it is the last. */
static gboolean
judge_part(HttpSource *source)
{
    const VimgHttpHead *head = &source->head;

    if (source->at == 0 || head->first != source->at ||
        (head->total == VIMG_HTTP_UNKNOWN && source->length == VIMG_HTTP_UNKNOWN))
        return vimg_throw(refuse(source), VIMG_ERROR_FAILED,
                          _("the server answers nonsense: header '%s' cannot be understood"),
                          "Content-Range");
    source->end = head->last + 1;
    return TRUE;
}

static guint64
total_of(const VimgHttpHead *head)
{
    return head->status == 206 ? head->total : head->length;
}

static gboolean
is_other(const HttpSource *source)
{
    guint64 total = total_of(&source->head);

    return !vimg_http_head_same(&source->known, &source->head) ||
           (total != VIMG_HTTP_UNKNOWN && source->length != VIMG_HTTP_UNKNOWN &&
            total != source->length);
}

static gboolean
is_redirect(const VimgHttpHead *head)
{
    return head->location && (head->status == 301 || head->status == 302 || head->status == 303 ||
                              head->status == 307 || head->status == 308);
}

static gboolean
judge_status(HttpSource *source)
{
    const VimgHttpHead *head = &source->head;
    gboolean once_more = source->known.whole;

    source->moved = !once_more && is_redirect(head);
    if (source->moved)
        return FALSE;
    if (once_more &&
        (head->status == 416 || is_redirect(head) || (head->status / 100 == 2 && is_other(source))))
        return refuse_changed(source);
    if (head->status == 200)
        return judge_whole(source);
    if (head->status == 206)
        return judge_part(source);
    return refuse_status(source, head->status);
}

static void
note(HttpSource *source)
{
    VimgHttpHead *head = &source->head;

    if (!source->known.whole) {
        source->length = total_of(head);
        source->known = *head;
        source->known.etag = g_strdup(head->etag);
        source->known.modified = g_strdup(head->modified);
        source->known.date = g_strdup(head->date);
        source->known.location = NULL;
    }
    source->may_fall_back = FALSE;
    source->good = TRUE;
    vimg_ahead_ready(&source->ahead, source->at);
}

static gboolean
judge(HttpSource *source)
{
    g_clear_error(&source->refused); /* an address that another one stood in for */
    if (!judge_status(source))
        return FALSE;
    note(source);
    return TRUE;
}

/* ---- what comes ------------------------------------------------------------------------- */

static size_t
on_header(char *line, size_t size, size_t n, void *data)
{
    HttpSource *source = data;
    gboolean whole = source->head.whole;

    source->alive = g_get_monotonic_time();
    if (!vimg_http_head_add(&source->head, line, size * n, refuse(source)))
        return 0;
    return whole || !source->head.whole || judge(source) ? size * n : 0;
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *data)
{
    HttpSource *source = data;
    guint64 came = (guint64)size * n;

    if (!source->good)
        return 0;
    if (came > source->end - source->at) {
        vimg_throw(refuse(source), VIMG_ERROR_FAILED,
                   _("the server sends more than the %1$llu bytes it announced of '%2$s'"),
                   VIMG_ULL(source->end), source->url.shown);
        return 0;
    }
    if (!vimg_ahead_put(&source->ahead, (const guint8 *)bytes, (gsize)came))
        return 0;
    source->at += came;
    source->alive = g_get_monotonic_time();
    return (size_t)came;
}

/* Not 0: it ends. */
static int
on_progress(void *data, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    HttpSource *source = data;
    gint64 silence = g_get_monotonic_time() - source->alive;

    if (vimg_ahead_closed(&source->ahead))
        return 1;
    if (source->good && source->at == source->end)
        return silence > CLOSE_WAIT;
    if (silence < (gint64)source->fetch->rules->timeout * G_USEC_PER_SEC)
        return 0;
    vimg_throw(refuse(source), VIMG_ERROR_TIMEOUT, _("nothing came from '%1$s' for %2$u seconds"),
               source->url.shown, source->fetch->rules->timeout);
    source->again = source->known.whole;
    return 1;
}

/* The address itself is looked at, whatever name server or redirect led there. */
static curl_socket_t
on_socket(void *data, curlsocktype purpose, struct curl_sockaddr *to)
{
    HttpSource *source = data;
    const VimgFetchRules *rules = source->fetch->rules;

    if (purpose != CURLSOCKTYPE_IPCXN ||
        (!rules->proxy && !vimg_address_check(rules->addresses, &to->addr, refuse(source))))
        return CURL_SOCKET_BAD;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* ---- asking ----------------------------------------------------------------------------- */

/* Returns: (transfer full) */
static struct curl_slist *
make_fields(const HttpSource *source)
{
    const char *validator = vimg_http_head_validator(&source->known);
    struct curl_slist *fields = curl_slist_append(NULL, "Accept-Encoding: identity");

    fields = curl_slist_append(fields, "Connection: close");
    if (source->at > 0) {
        g_autofree char *range = g_strdup_printf("Range: bytes=%llu-", VIMG_ULL(source->at));
        g_autofree char *only = g_strdup_printf("If-Range: %s", validator ? validator : "");

        fields = curl_slist_append(fields, range);
        if (validator)
            fields = curl_slist_append(fields, only);
    }
    return fields;
}

static void
set_rules(CURL *curl, const VimgFetchRules *rules)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, rules->proxy ? rules->proxy : "");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (rules->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, rules->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

static void
set_up(HttpSource *source, CURL *curl, char *text)
{
    curl_easy_setopt(curl, CURLOPT_CURLU, source->url.parsed);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* a name server that hangs does not hang us */
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "virtimaged/" VIMG_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_IGNORE_CONTENT_LENGTH, 1L);
    /* bytes as they come: of codings only "chunked" is taken, and on_header() refuses the others */
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, NULL);
    curl_easy_setopt(curl, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(curl, CURLOPT_TRANSFER_ENCODING, 0L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, RECEIVE_SIZE);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, source);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, source);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, source);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, source);
    set_rules(curl, source->fetch->rules);
}

/* What became of a request that the library ended with @code.  Returns: whether all of it came. */
static gboolean
settle(HttpSource *source, CURLcode code, const char *text, GError **error)
{
    gboolean heard = source->known.whole || code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR;
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    if (source->refused) {
        g_propagate_error(error, g_steal_pointer(&source->refused));
        return FALSE;
    }
    if (source->moved ||
        (source->good &&
         (source->end == VIMG_HTTP_UNKNOWN ? code == CURLE_OK : source->at == source->end)))
        return TRUE;
    source->again = heard;
    return vimg_throw(error, VIMG_ERROR_FAILED, _("cannot read '%1$s': %2$s"), source->url.shown,
                      code == CURLE_OK ? curl_easy_strerror(CURLE_PARTIAL_FILE)
                      : *valid         ? valid
                                       : curl_easy_strerror(code));
}

static gboolean
request(HttpSource *source, GError **error)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *fields = make_fields(source);
    char text[CURL_ERROR_SIZE] = "";
    CURLcode code;

    vimg_http_head_clear(&source->head);
    source->good = source->moved = FALSE;
    source->end = VIMG_HTTP_UNKNOWN;
    source->alive = g_get_monotonic_time();
    refuse(source);
    set_up(source, curl, text);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    curl_slist_free_all(fields);
    return settle(source, code, text, error);
}

static gboolean
follow(HttpSource *source, guint hops, GError **error)
{
    g_auto(VimgUrl) next = {0};

    source->again = FALSE;
    if (hops > MAX_HOPS)
        return vimg_throw(error, VIMG_ERROR_FAILED, _("'%1$s' redirects more than %2$d times"),
                          source->fetch->url.shown, MAX_HOPS);
    if (!vimg_url_parse(source->fetch->rules, &source->url, source->head.location, &next, error))
        return FALSE;
    vimg_url_clear(&source->url);
    source->url = next;
    next = (VimgUrl){0};
    return TRUE;
}

/* One answer, wherever redirects lead. */
static gboolean
ask(HttpSource *source, GError **error)
{
    guint hops = 0;

    do {
        if (!request(source, error) || (source->moved && !follow(source, ++hops, error)))
            return FALSE;
    } while (source->moved);
    return TRUE;
}

/* After an answer that came whole. */
static gboolean
is_complete(const HttpSource *source)
{
    guint64 total = source->length == VIMG_HTTP_UNKNOWN ? total_of(&source->head) : source->length;

    return total == VIMG_HTTP_UNKNOWN || source->at >= total;
}

/* It gave a part; too many small ones would keep us for ever. */
static gboolean
count_part(HttpSource *source, guint64 before, guint *small, GError **error)
{
    *small = source->at >= before + LEAST_PART ? 0 : *small + 1;
    return *small <= MAX_ATTEMPTS ||
           vimg_throw(error, VIMG_ERROR_FAILED,
                      _("the server gives '%s' in too small parts, of less than 1 MiB each"),
                      source->url.shown);
}

/* Whether *@error, which is cleared then, is no reason to give up; rests before the next attempt.
 */
static gboolean
try_again(HttpSource *source, guint attempts, GError **error)
{
    gint64 rest = FIRST_REST << MIN(attempts, 5);

    if (!source->again || attempts >= MAX_ATTEMPTS)
        return FALSE;
    vimg_debug("%s", (*error)->message);
    g_clear_error(error);
    if (source->at > 0 && !vimg_http_head_validator(&source->known))
        return throw_lost(source, error);
    return vimg_ahead_rest(&source->ahead, g_random_int_range((gint32)rest / 2, (gint32)rest));
}

static void
run(gpointer data)
{
    HttpSource *source = data;
    g_autoptr(GError) error = NULL;
    guint attempts = 0;
    guint small = 0;

    for (;;) {
        guint64 before = source->at;

        if (ask(source, &error) && is_complete(source))
            break;
        if (source->at > before)
            attempts = 0;
        if (error ? !try_again(source, attempts++, &error)
                  : !count_part(source, before, &small, &error))
            break;
    }
    vimg_ahead_end(&source->ahead, g_steal_pointer(&error));
}

/* ---- taking ----------------------------------------------------------------------------- */

static void
stop(HttpSource *source)
{
    if (!source->running)
        return;
    vimg_ahead_close(&source->ahead);
    vimg_thread_join(source->thread);
    vimg_ahead_clear(&source->ahead);
    source->running = FALSE;
}

/* Until it is known what there is. */
static gboolean
start(HttpSource *source, GError **error)
{
    VimgAheadState state = VIMG_AHEAD_NOTHING;

    vimg_ahead_init(&source->ahead);
    source->running = vimg_thread_start(&source->thread, "vimg-fetch", run, source, error);
    if (!source->running) {
        vimg_ahead_clear(&source->ahead);
        return FALSE;
    }
    while (state == VIMG_AHEAD_NOTHING) {
        if (!vimg_fetch_check(source->fetch, error))
            return FALSE;
        state = vimg_ahead_wait_ready(&source->ahead, error);
    }
    return state == VIMG_AHEAD_READY;
}

static void
http_close(gpointer data)
{
    HttpSource *source = data;

    stop(source);
    vimg_http_head_clear(&source->known);
    vimg_http_head_clear(&source->head);
    vimg_url_clear(&source->url);
    g_clear_error(&source->refused);
    g_free(source);
    VIMG_LOCK_GUARD(&library_lock);
    curl_global_cleanup();
}

static gpointer
http_open(VimgFetch *fetch, const VimgUrl *url, GError **error)
{
    HttpSource *source = g_new0(HttpSource, 1);

    vimg_mutex_lock(&library_lock);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    vimg_mutex_unlock(&library_lock);
    source->fetch = fetch;
    source->length = VIMG_HTTP_UNKNOWN;
    vimg_http_head_init(&source->known);
    vimg_http_head_init(&source->head);
    source->url = *url;
    source->url.parsed = curl_url_dup(url->parsed);
    source->url.scheme = g_strdup(url->scheme);
    source->url.host = g_strdup(url->host);
    source->url.shown = g_strdup(url->shown);
    if (start(source, error))
        return source;
    http_close(source);
    return NULL;
}

static gboolean
http_length(gpointer data, guint64 *length, guint64 *allocation)
{
    const HttpSource *source = data;

    *length = *allocation = source->length;
    return source->length != VIMG_HTTP_UNKNOWN;
}

/* A query says which, but for that of a signed URL, which is another each time. */
static char *
http_identity(gpointer data)
{
    const HttpSource *source = data;
    const char *validator = vimg_http_head_validator(&source->known);
    char *query = NULL;
    char *text;

    if (!validator || source->length == VIMG_HTTP_UNKNOWN)
        return NULL;
    if (!vimg_http_head_has_strong_tag(&source->known))
        curl_url_get(source->fetch->url.parsed, CURLUPART_QUERY, &query, 0);
    text = g_strdup_printf("%s\n%llu\n%s", validator, VIMG_ULL(source->length), query ? query : "");
    curl_free(query);
    return text;
}

static gboolean
http_seek(gpointer data, guint64 offset, guint64 *at, GError **error)
{
    HttpSource *source = data;

    stop(source);
    source->at = source->begin = offset;
    source->may_fall_back = TRUE;
    if (!start(source, error))
        return FALSE;
    *at = source->begin;
    return TRUE;
}

static gboolean
http_next(gpointer data, VimgExtent *out, GError **error)
{
    HttpSource *source = data;
    VimgAheadState state;

    do {
        if (!vimg_fetch_check(source->fetch, error))
            return FALSE;
        state = vimg_ahead_take(&source->ahead, &out->data, error);
    } while (state == VIMG_AHEAD_NOTHING);
    if (out->data)
        out->length = out->data->size;
    return state != VIMG_AHEAD_FAILED;
}

const VimgFetchKind vimg_fetch_http = {
    .open = http_open,
    .length = http_length,
    .identity = http_identity,
    .seek = http_seek,
    .next = http_next,
    .close = http_close,
};
