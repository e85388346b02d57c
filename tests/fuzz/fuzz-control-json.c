/*
 * fuzz-control-json.c: answers of a control endpoint; what is taken is within its bounds
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "control-json.h"
#include "fuzz.h"

static void
check_refusal(const GError *error)
{
    g_assert_true(error && error->domain == VIMG_ERROR && error->code == VIMG_ERROR_INTERNAL);
}

static void
check_task(JsonObject *answer)
{
    g_auto(VimgTask) task = {0};
    g_autoptr(GError) error = NULL;

    if (!vimg_control_task(answer, &task, &error)) {
        check_refusal(error);
        return;
    }
    g_assert_cmpuint(task.percent, <=, 100);
    if (task.objects)
        g_assert_cmpuint(g_strv_length(task.objects), <=, VIMG_CONTROL_OBJECTS_MAX);
}

static void
check_image(JsonObject *answer)
{
    g_auto(VimgCloudImage) image = {0};
    g_autoptr(GError) error = NULL;

    if (!vimg_control_image(answer, &image, &error)) {
        check_refusal(error);
        return;
    }
    g_assert_true((image.state == VIMG_CLOUD_IMAGE_ABSENT) == (image.id == NULL));
    g_assert_cmpuint(image.percent, <=, 100);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(JsonObject) answer = vimg_json_parse(data, size, NULL);
    g_auto(VimgControlFault) fault = {0};
    g_autofree char *id = NULL;

    if (!answer)
        return 0;
    check_task(answer);
    check_image(answer);
    if (vimg_control_fault(answer, &fault))
        g_assert_true(g_utf8_strlen(fault.code, -1) <= 512);
    id = vimg_control_id(answer, "TaskId", NULL);
    g_assert_true(!id || *id);
    return 0;
}
