#define _POSIX_C_SOURCE 200809L
/* Every function of the C client with what is none: misuse SOCKET. Ends with 0, or says which line was not as expected. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proctor.h"

#define EXPECT(true_here)                                                                                              \
    do                                                                                                                 \
        if (!(true_here)) {                                                                                            \
            fprintf(stderr, "line %d: %s\n", __LINE__, #true_here);                                                    \
            return 1;                                                                                                  \
        }                                                                                                              \
    while (0)

/* Mappings and descriptors of shared memory that this process has. */
static int left(void)
{
    char line[512], path[64];
    int found = 0, number;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        found += strstr(line, "memfd:proctor") != NULL;
    if (maps != NULL)
        fclose(maps);
    for (number = 3; number < 64; number++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        found += access(path, F_OK) == 0;
    }
    return found;
}

int main(int count, char **words)
{
    char reason[PROCTOR_REASON], longest[300];
    proctor_line *line = NULL, *second = NULL;
    const int left_before = left();
    struct proctor_trigger trigger;
    struct proctor_answer answer;
    struct proctor_result result;
    struct proctor_status status;
    const char *path = count > 1 ? words[1] : "";

    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    EXPECT(proctor_open(NULL, path, 1, 1, 100, reason) == PROCTOR_ARGUMENT);
    EXPECT(proctor_open(&line, NULL, 1, 1, 100, reason) == PROCTOR_ARGUMENT && line == NULL && reason[0] != 0);
    EXPECT(proctor_open(&line, longest, 1, 1, 100, reason) == PROCTOR_ARGUMENT && line == NULL);
    EXPECT(proctor_open(&line, path, 0, 1, 100, NULL) == PROCTOR_ARGUMENT);
    EXPECT(proctor_open(&line, path, PROCTOR_MOST_SLOTS + 1, 1, 100, reason) == PROCTOR_ARGUMENT);
    EXPECT(proctor_open(&line, path, 1, 0, 100, reason) == PROCTOR_ARGUMENT);
    EXPECT(proctor_open(&line, path, 1, SIZE_MAX, 100, reason) == PROCTOR_ARGUMENT);
    EXPECT(proctor_open(&line, path, 1, 1, -1, reason) == PROCTOR_ARGUMENT);
    EXPECT(proctor_open(&line, "/none/such", 1, 1, 100, reason) == PROCTOR_CLOSED && strstr(reason, "is the runtime"));

    EXPECT(proctor_slot(NULL, 0) == NULL && proctor_descriptor(NULL) == -1 && proctor_session(NULL) == 0);
    EXPECT(proctor_send_trigger(NULL, &trigger, &answer, 1) == PROCTOR_ARGUMENT && answer.accepted == 0);
    memset(&result, 0xff, sizeof result);
    EXPECT(proctor_next_result(NULL, &result, 1) == PROCTOR_ARGUMENT && result.code == PROCTOR_CODE_NONE);
    EXPECT(proctor_read_status(NULL, &status, 1) == PROCTOR_ARGUMENT);
    EXPECT(proctor_passes(NULL) == 0 && proctor_passes(&result) == 0);
    result.code = 77;
    EXPECT(proctor_passes(&result) == 0);
    EXPECT(strcmp(proctor_code_name(77), "?") == 0 && strcmp(proctor_cause_name(77), "?") == 0);
    EXPECT(strcmp(proctor_code_name(1), "OK") == 0 && strcmp(proctor_cause_name(14), "BAD_INPUT") == 0);
    proctor_close(NULL);

    EXPECT(proctor_open(&line, path, 2, 48 * 32, 20000, reason) == PROCTOR_DONE && line != NULL);
    EXPECT(left() == left_before + 2); /* the socket and the mapping */
    EXPECT(proctor_open(&second, path, 1, 1, 20000, reason) == PROCTOR_BUSY && second == NULL);
    EXPECT(strstr(reason, "another controller") != NULL);
    EXPECT(proctor_slot(line, 1) != NULL && proctor_slot(line, 2) == NULL && proctor_slot(line, UINT32_MAX) == NULL);
    EXPECT(proctor_session(line) != 0 && proctor_deadline_ns(line) > 0 && proctor_descriptor(line) >= 0);

    /* what is refused before it is sent breaks nothing */
    memset(&trigger, 0, sizeof trigger);
    EXPECT(proctor_send_trigger(line, NULL, &answer, 1) == PROCTOR_ARGUMENT);
    EXPECT(proctor_send_trigger(line, &trigger, NULL, 1) == PROCTOR_ARGUMENT);
    EXPECT(proctor_send_trigger(line, &trigger, &answer, -1) == PROCTOR_ARGUMENT);
    EXPECT(proctor_next_result(line, NULL, 1) == PROCTOR_ARGUMENT);
    EXPECT(proctor_next_result(line, &result, INT_MIN) == PROCTOR_ARGUMENT);
    EXPECT(proctor_read_status(line, NULL, 1) == PROCTOR_ARGUMENT);
    EXPECT(proctor_next_result(line, &result, 0) == PROCTOR_TIMEOUT && result.code == PROCTOR_CODE_NONE);
    EXPECT(proctor_next_result(line, &result, 30) == PROCTOR_TIMEOUT);

    /* a trigger that lies is refused by the runtime, and the next one is taken */
    trigger.slot = 99;
    EXPECT(proctor_send_trigger(line, &trigger, &answer, 20000) == PROCTOR_DONE && !answer.accepted);
    EXPECT(answer.cause == PROCTOR_CAUSE_BAD_INPUT && strstr(answer.reason, "slot 99") != NULL);
    trigger.slot = 1;
    trigger.width = 48;
    trigger.height = 32;
    trigger.pixel_format = PROCTOR_PIXEL_FORMAT_MONO8;
    trigger.part_id = UINT32_MAX;
    strcpy(trigger.serial, "A-17");
    memset(proctor_slot(line, 1), 128, 48 * 32);
    EXPECT(proctor_send_trigger(line, &trigger, &answer, 20000) == PROCTOR_DONE && answer.accepted);
    EXPECT(proctor_read_status(line, &status, 20000) == PROCTOR_DONE); /* a result may come before its answer */
    EXPECT(status.acquisition_id == 1 && (status.status & PROCTOR_STATUS_ONLINE) && status.missed == 1);
    EXPECT(status.session_id == proctor_session(line) && status.map_version == PROCTOR_MAP_VERSION);
    EXPECT(proctor_next_result(line, &result, 20000) == PROCTOR_DONE && proctor_passes(&result));
    EXPECT(result.part_id == UINT32_MAX && strcmp(result.serial, "A-17") == 0 && result.acquisition_id == 1);
    EXPECT(result.finished_ns >= result.triggered_ns && result.score == 0.0 && result.threshold == 0.5);
    proctor_close(line);
    EXPECT(left() == left_before);
    return 0;
}
