/* SPDX-License-Identifier: Apache-2.0 */
/* round_trip SOCKET COUNT WIDTH HEIGHT: nanoseconds of each part, a line each, from sending the trigger to the result
 * that is in the caller's hands. Writing the picture is not counted. Its status is 1 where a part has no result. */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proctor.h"

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int count, char **words)
{
    char reason[PROCTOR_REASON];
    proctor_line *line;
    struct proctor_trigger trigger;
    uint32_t part, parts;
    if (count != 5)
        return 2;
    memset(&trigger, 0, sizeof trigger);
    parts = (uint32_t)strtoul(words[2], NULL, 10);
    trigger.width = (uint32_t)strtoul(words[3], NULL, 10);
    trigger.height = (uint32_t)strtoul(words[4], NULL, 10);
    trigger.pixel_format = PROCTOR_PIXEL_FORMAT_BGR8;
    if (proctor_open(&line, words[1], 2, (size_t)3 * trigger.width * trigger.height, 10000, reason) != PROCTOR_DONE) {
        fprintf(stderr, "%s\n", reason);
        return 1;
    }
    for (part = 1; part <= parts; part++) {
        struct proctor_answer answer = {0};
        struct proctor_result result = {0};
        uint64_t begun, ended;
        trigger.part_id = part;
        trigger.slot = part % 2;
        memset(proctor_slot(line, trigger.slot), (int)(112 + part % 32), (size_t)3 * trigger.width * trigger.height);
        begun = now_ns();
        memcpy(proctor_slot(line, trigger.slot), &begun, sizeof begun); /* no two pictures are the same */
        if (proctor_send_trigger(line, &trigger, &answer, 5000) != PROCTOR_DONE || !answer.accepted ||
            proctor_next_result(line, &result, 5000) != PROCTOR_DONE || result.part_id != part ||
            !proctor_passes(&result)) {
            fprintf(stderr, "part %" PRIu32 " did not pass: %s%s %s\n", part, answer.reason, result.reason,
                    proctor_reason(line));
            proctor_close(line);
            return 1;
        }
        ended = now_ns();
        printf("%" PRIu64 "\n", ended - begun);
    }
    proctor_close(line);
    return 0;
}
