/*
 * page.c: what people see of an export
 *
 * Without the script it is as good, but for copying the URL by a button: links are relative, so
 * that the page is right wherever it is seen.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "exporter/page.h"

typedef struct {
    const char *code; /* of the language */
    const char *heading, *file, *size, *capacity, *format, *checksum, *expires;
    const char *bytes; /* with one number */
    const char *packed, *not_yet, *no_checksum;
    const char *download, *url, *copy, *copied;
} Words;

static const Words english = {
    "en",
    "Image for download",
    "Name",
    "Download",
    "Virtual disk",
    "Format",
    "SHA-256",
    "Available until",
    "%s bytes",
    "%s, packed by zstd",
    "being summed up; reload the page in a while",
    "none: the download is packed",
    "Download",
    "URL",
    "Copy URL",
    "Copied",
};

static const Words chinese = {
    "zh-CN",
    "镜像下载",
    "名称",
    "下载大小",
    "虚拟磁盘",
    "格式",
    "SHA-256",
    "有效期至",
    "%s 字节",
    "%s，以 zstd 压缩",
    "正在计算，请稍后刷新页面",
    "无：下载内容经过压缩",
    "下载",
    "URL",
    "复制 URL",
    "已复制",
};

static const char style[] =
    "*{box-sizing:border-box}"
    "body{margin:0;padding:1rem;font:1rem/1.5 system-ui,sans-serif;color:#1a1a1a;background:#f4f5f7}"
    "main{max-width:44rem;margin:2rem auto;padding:1.5rem;background:#fff;border:1px solid #d0d4da;"
    "border-radius:.5rem}"
    "h1{margin:0 0 1rem;font-size:1.4rem}"
    "dl{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.4rem 1rem;margin:0 0 1.5rem}"
    "dt{color:#555}dd{margin:0;overflow-wrap:anywhere}"
    "label{display:block;color:#555}"
    "input{width:100%;padding:.5rem;font:inherit;border:1px solid #8a8f98;border-radius:.3rem}"
    ".row{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1rem}"
    "a,button{display:inline-block;padding:.6rem 1.2rem;font:inherit;border:1px solid #0b57d0;"
    "border-radius:.3rem;text-decoration:none;cursor:pointer}"
    "a{background:#0b57d0;color:#fff}button{background:#fff;color:#0b57d0}"
    "[hidden]{display:none!important}"
    ":focus-visible{outline:3px solid #b35c00;outline-offset:2px}"
    "@media(max-width:30rem){main{margin:0;padding:1rem}dl{grid-template-columns:1fr;gap:0}"
    "dd{margin-bottom:.6rem}a,button{width:100%;text-align:center}}";

/* Where there is no clipboard, which is without TLS, what is selected can still be copied. */
static const char script[] =
    "var link=document.getElementById('download'),field=document.getElementById('url'),"
    "button=document.getElementById('copy');"
    "document.getElementById('share').hidden=button.hidden=false;field.value=link.href;"
    "function done(){button.textContent=button.dataset.done}"
    "function select(){field.focus();field.select();if(document.execCommand('copy'))done()}"
    "button.addEventListener('click',function(){"
    "if(navigator.clipboard)navigator.clipboard.writeText(field.value).then(done,select);"
    "else select()});";

/* ---- languages ---------------------------------------------------------------------------- */

/* What an element of Accept-Language: says of a language, in thousandths. */
static gint
quality_of(const char *element)
{
    const char *q = strstr(element, "q=");
    gboolean more = TRUE;
    gint digits = 0;

    if (!q)
        return 1000;
    if (q[2] == '1')
        return 1000;
    if (q[2] != '0' || q[3] != '.' || !g_ascii_isdigit(q[4]))
        return 0;
    for (gsize i = 4; i < 7; i++) {
        more = more && g_ascii_isdigit(q[i]);
        digits = digits * 10 + (more ? q[i] - '0' : 0);
    }
    return digits;
}

static const Words *
choose_words(const char *languages)
{
    g_auto(GStrv) elements = g_strsplit(languages ? languages : "", ",", 32);
    gint best_english = 0, best_chinese = 0;

    for (gsize i = 0; elements[i]; i++) {
        const char *element = g_strstrip(elements[i]);

        if (g_ascii_strncasecmp(element, "zh", 2) == 0)
            best_chinese = MAX(best_chinese, quality_of(element));
        else if (g_ascii_strncasecmp(element, "en", 2) == 0)
            best_english = MAX(best_english, quality_of(element));
    }
    return best_chinese > best_english ? &chinese : &english;
}

/* ---- the page ----------------------------------------------------------------------------- */

static void
add_field(GString *page, const char *name, const char *value)
{
    g_autofree char *safe = g_markup_escape_text(value, -1);

    g_string_append_printf(page, "<dt>%s</dt><dd>%s</dd>", name, safe);
}

static void
add_size(GString *page, const Words *words, const char *name, guint64 bytes, gboolean packed)
{
    g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    g_autofree char *exact = g_strdup_printf(words->bytes, number);
    g_autofree char *rounded = g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *text = g_strdup_printf("%s (%s)", rounded, exact);
    g_autofree char *whole = packed ? g_strdup_printf(words->packed, text) : NULL;

    add_field(page, name, whole ? whole : text);
}

static void
add_fields(GString *page, const VimgExporterInfo *info, const Words *words)
{
    g_autoptr(GDateTime) expires = g_date_time_new_from_unix_utc(info->expires);
    g_autofree char *until = expires ? g_date_time_format(expires, "%Y-%m-%d %H:%M UTC") : NULL;

    g_string_append(page, "<dl>");
    add_field(page, words->file, info->file);
    add_size(page, words, words->size, info->size, info->compress != 0);
    add_size(page, words, words->capacity, info->capacity, FALSE);
    add_field(page, words->format, info->format);
    add_field(page, words->checksum,
              info->compress  ? words->no_checksum
              : *info->sha256 ? info->sha256
                              : words->not_yet);
    add_field(page, words->expires, until ? until : "-");
    g_string_append(page, "</dl>");
}

/* The button and the field are shown by the script alone, which they need. */
static void
add_controls(GString *page, const VimgExporterInfo *info, const char *token, const Words *words)
{
    g_autofree char *file = g_uri_escape_string(info->file, NULL, FALSE);

    g_string_append_printf(page,
                           "<div id=\"share\" hidden><label for=\"url\">%s</label>"
                           "<input id=\"url\" readonly></div>",
                           words->url);
    g_string_append_printf(page,
                           "<div class=\"row\"><a id=\"download\" href=\"%s/%s\" download>%s</a>"
                           "<button id=\"copy\" type=\"button\" data-done=\"%s\" hidden>%s</button>"
                           "</div>",
                           token, file, words->download, words->copied, words->copy);
}

char *
vimg_exporter_page(const VimgExporterInfo *info, const char *token, const char *languages)
{
    const Words *words = choose_words(languages);
    g_autofree char *title = g_markup_escape_text(info->file, -1);
    GString *page = g_string_new("<!DOCTYPE html>\n");

    g_string_append_printf(
        page,
        "<html lang=\"%s\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"robots\" content=\"noindex\"><title>%s</title><style>%s</style></head>"
        "<body><main><h1>%s</h1>",
        words->code, title, style, words->heading);
    add_fields(page, info, words);
    add_controls(page, info, token, words);
    g_string_append_printf(page, "</main><script>%s</script></body></html>\n", script);
    return g_string_free(page, FALSE);
}

static char *
hash_source(const char *text)
{
    guint8 hash[VIMG_EXPORTER_HASH_SIZE];
    gsize size = sizeof(hash);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(sum, (const guchar *)text, -1);
    g_checksum_get_digest(sum, hash, &size);
    g_checksum_free(sum);
    return g_base64_encode(hash, size);
}

char *
vimg_exporter_page_policy(void)
{
    g_autofree char *styles = hash_source(style);
    g_autofree char *scripts = hash_source(script);

    return g_strdup_printf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; "
                           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                           styles, scripts);
}
