/*
 * control-call.c: one call of a control endpoint: signed, tried again, its answer judged
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "control-private.h"
#include "../thread.h"
#include "throw.h"

/* Codes come with suffixes, as "Throttling.User": a row is a beginning. */
static const struct {
    const char *fault;
    VimgErrorCode code;
    gboolean passing;
} faults[] = {
    {"Throttling", VIMG_ERROR_BUSY, TRUE},
    {"ServiceUnavailable", VIMG_ERROR_DISCONNECTED, TRUE},
    {"InternalError", VIMG_ERROR_DISCONNECTED, TRUE},
    {"SignatureNonceUsed", VIMG_ERROR_AUTH, TRUE}, /* each attempt has another one */
    {"InvalidTimeStamp", VIMG_ERROR_AUTH, FALSE},
    {"IllegalTimestamp", VIMG_ERROR_AUTH, FALSE},
    {"SignatureDoesNotMatch", VIMG_ERROR_AUTH, FALSE},
    {"IncompleteSignature", VIMG_ERROR_AUTH, FALSE},
    {"InvalidAccessKeyId", VIMG_ERROR_AUTH, FALSE},
    {"InvalidTaskId.NotFound", VIMG_ERROR_NO_VOL, FALSE},
    {"InvalidTaskId", VIMG_ERROR_OPERATION_INVALID, FALSE},
    {"CancelTaskFailed", VIMG_ERROR_OPERATION_INVALID, FALSE},
    {"InvalidImageId.NotFound", VIMG_ERROR_NO_VOL, FALSE},
    {"InvalidAction.NotFound", VIMG_ERROR_NO_SUPPORT, FALSE},
    {"InvalidVersion", VIMG_ERROR_NO_SUPPORT, FALSE},
    {"UnsupportedHTTPMethod", VIMG_ERROR_NO_SUPPORT, FALSE},
    {"Forbidden", VIMG_ERROR_ACCESS_DENIED, FALSE},
    {"NoSetRoletoECSService", VIMG_ERROR_ACCESS_DENIED, FALSE},
    {"InvalidImageName.Duplicated", VIMG_ERROR_VOL_EXISTS, FALSE},
    {"QuotaExceed", VIMG_ERROR_NO_SPACE, FALSE},
};

/* One attempt: what came, and whether another one may do better. */
typedef struct {
    VimgExchange web;
    JsonObject *answer; /* NULL: none that can be understood */
    char *fault;
    gboolean passing;
} Attempt;

static void
attempt_clear(Attempt *attempt)
{
    vimg_exchange_clear(&attempt->web);
    g_clear_pointer(&attempt->answer, json_object_unref);
    g_clear_pointer(&attempt->fault, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Attempt, attempt_clear)

static gboolean
send_call(VimgControl *control, const char *action, const GPtrArray *parameters, Attempt *attempt,
          const VimgPatience *patience, GError **error)
{
    g_autofree char *nonce = g_uuid_string_random();
    g_autoptr(VimgCredential) credential = NULL;
    g_auto(VimgCall) call = {
        .url = control->url,
        .host = control->host,
        .path = control->path,
        .action = action,
        .version = control->version,
        .parameters = parameters,
        .nonce = nonce,
        .now = g_get_real_time() / G_USEC_PER_SEC + vimg_control_skew(control),
    };
    gboolean good;

    {
        LOCK_GUARD(&control->lock);

        credential = vimg_credential_ref(control->credential);
    }
    control->dialect->prepare(credential, &call);
    attempt->web = (VimgExchange){
        .method = "POST",
        .url = call.target,
        .headers = call.headers,
        .body = (const guint8 *)call.body,
        .size = call.body ? strlen(call.body) : 0,
        .limit = VIMG_JSON_MAX_SIZE,
    };
    good = vimg_web_perform(control->web, &attempt->web, patience, error);
    attempt->web.url = attempt->web.method = NULL; /* gone with the call */
    attempt->web.headers = NULL;
    attempt->web.body = NULL;
    attempt->passing = attempt->web.passing;
    if (!good)
        return FALSE;
    attempt->answer = vimg_json_parse(attempt->web.text->data, attempt->web.text->len, NULL);
    return TRUE;
}

static gboolean
throw_fault(Attempt *attempt, const VimgControlFault *fault, GError **error)
{
    VimgErrorCode code = attempt->web.status >= 500 ? VIMG_ERROR_DISCONNECTED : VIMG_ERROR_FAILED;
    gsize i;

    attempt->fault = g_strdup(fault->code);
    attempt->passing = vimg_web_is_passing(attempt->web.status);
    for (i = 0; i < G_N_ELEMENTS(faults); i++) {
        if (!g_str_has_prefix(fault->code, faults[i].fault))
            continue;
        code = faults[i].code;
        attempt->passing = attempt->passing || faults[i].passing;
        break;
    }
    return throw_error(error, code, _("the control endpoint answers %1$s: %2$s (request id %3$s)"),
                       fault->code, fault->message ? fault->message : "-",
                       fault->request_id ? fault->request_id : "-");
}

static gboolean
judge(Attempt *attempt, GError **error)
{
    g_auto(VimgControlFault) fault = {0};
    guint status = attempt->web.status;

    if (attempt->answer && vimg_control_fault(attempt->answer, &fault))
        return throw_fault(attempt, &fault, error);
    if (attempt->answer && status / 100 == 2)
        return TRUE;
    attempt->passing = vimg_web_is_passing(status);
    if (attempt->passing)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the control endpoint answers %u without a reason"), status);
    return throw_error(
        error, VIMG_ERROR_NO_SUPPORT,
        _("what answers at the control endpoint (status %u) does not speak this dialect"), status);
}

static gboolean
correct_clock(VimgControl *control, const Attempt *attempt)
{
    gint64 date = attempt->web.fields ? vimg_web_date(attempt->web.fields) : 0;

    if (!attempt->fault || date == 0 ||
        (!g_str_has_prefix(attempt->fault, "InvalidTimeStamp") &&
         !g_str_has_prefix(attempt->fault, "IllegalTimestamp")))
        return FALSE;
    __atomic_store_n(&control->skew, date - g_get_real_time() / G_USEC_PER_SEC, __ATOMIC_RELAXED);
    return TRUE;
}

JsonObject *
vimg_control_call(VimgControl *control, const char *action, const GPtrArray *parameters,
                  const VimgPatience *patience, GError **error)
{
    gboolean clock_set = FALSE;
    guint made = 0;

    for (;;) {
        g_auto(Attempt) attempt = {0};
        g_autoptr(GError) local = NULL;
        g_autoptr(GError) enough = NULL;

        if (send_call(control, action, parameters, &attempt, patience, &local) &&
            judge(&attempt, &local))
            return g_steal_pointer(&attempt.answer);
        if (!clock_set && correct_clock(control, &attempt)) {
            clock_set = TRUE;
            continue;
        }
        if (attempt.passing && ++made < VIMG_ATTEMPTS &&
            vimg_patience_rest(patience, made,
                               attempt.web.fields ? vimg_web_hint(attempt.web.fields) : 0, &enough))
            continue;
        /* why it was to be tried again says more than that the time is over */
        g_propagate_error(error, g_error_matches(enough, VIMG_ERROR, VIMG_ERROR_ABORTED)
                                     ? g_steal_pointer(&enough)
                                     : g_steal_pointer(&local));
        return NULL;
    }
}
