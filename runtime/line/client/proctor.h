/* SPDX-License-Identifier: Apache-2.0 */
/* A line controller's side of Proctor, over a Unix socket of the same machine. C99, libc, Linux.
 *
 * Each trigger is accepted or refused at once. An accepted one gets exactly one result; a refused one gets none. A part
 * passes when proctor_passes() of its result is 1, before it is at the reject gate. Whatever else happens (refused, no
 * result, an error of any kind, this process ended): reject it.
 *
 * Functions return PROCTOR_DONE, or an error below 0; structs that they fill in are zero then, and zero is no pass.
 * Every wait has an end: timeouts are milliseconds, 0 looks once, below 0 is refused. After any error but
 * PROCTOR_TIMEOUT of proctor_next_result() and PROCTOR_ARGUMENT the line is broken: close it, reject the parts that have no
 * pass, open it again. A line is for one thread at a time. The camera's picture may be written to a slot again as soon
 * as proctor_send_trigger() has returned.
 */
#ifndef PROCTOR_H
#define PROCTOR_H

#include <stddef.h>
#include <stdint.h>

#include "proctor_wire.h"

#ifdef __cplusplus
extern "C" {
#endif

enum proctor_error {
    PROCTOR_DONE = 0,
    PROCTOR_TIMEOUT = -1,  /* nothing in time */
    PROCTOR_CLOSED = -2,   /* the runtime is gone, or ended the connection */
    PROCTOR_BUSY = -3,     /* another controller is connected */
    PROCTOR_ARGUMENT = -4, /* a value that is none; nothing was sent */
    PROCTOR_PROTOCOL = -5, /* a message that is none, or of another version */
    PROCTOR_SYSTEM = -6    /* the system refused something */
};

/* What became of a trigger. */
struct proctor_answer {
    int accepted;                /* 1: exactly one result follows; 0: reject the part */
    uint32_t acquisition_id;     /* of an accepted one */
    uint32_t cause;              /* of a refused one: enum proctor_cause */
    char reason[PROCTOR_REASON]; /* likewise, a sentence */
};

typedef struct proctor_line proctor_line;

/* Connect to the runtime at the socket `path`, with memory for `slots` pictures of `slot_bytes` each. *line is NULL
 * where it returns an error; why is then written to `reason`, if that is not NULL. */
int proctor_open(proctor_line **line, const char *path, uint32_t slots, size_t slot_bytes, int timeout_ms,
                 char reason[PROCTOR_REASON]);

/* End the connection and free it. The runtime forgets its parts. NULL is allowed. */
void proctor_close(proctor_line *line);

/* Where picture number `slot` is to be written; NULL for a number that is none. */
unsigned char *proctor_slot(proctor_line *line, uint32_t slot);

/* A part stands before the camera, and its picture is in `trigger->slot`. Begin with a struct that is all zero: stride
 * 0 stands for rows without gaps, flags 0 for a camera's picture; a camera that gives the same picture twice hangs, and
 * that part gets no pass. */
int proctor_send_trigger(proctor_line *line, const struct proctor_trigger *trigger, struct proctor_answer *answer,
                    int timeout_ms);

/* The oldest result, acknowledged; PROCTOR_TIMEOUT when there is none in time, which breaks nothing. A pass that comes
 * here after its deadline is handed out as PROCTOR_CODE_NO_DECISION with the cause PROCTOR_CAUSE_LATE. */
int proctor_next_result(proctor_line *line, struct proctor_result *result, int timeout_ms);

/* 1 where the part passes, else 0; also for NULL. */
int proctor_passes(const struct proctor_result *result);

/* The runtime's registers. A heartbeat that stands still for the deadline and two seconds more means that nothing is inspected. */
int proctor_read_status(proctor_line *line, struct proctor_status *status, int timeout_ms);

/* Of the runtime's greeting: another session after each start; nanoseconds from trigger to result. */
uint32_t proctor_session(const proctor_line *line);
uint64_t proctor_deadline_ns(const proctor_line *line);

/* To be polled for reading beside a controller's own; a result may be waiting all the same, so call proctor_next_result()
 * with 0 before. */
int proctor_descriptor(const proctor_line *line);

/* What the last error of this line was, in words. */
const char *proctor_reason(const proctor_line *line);

/* Short names for people: "OK", "LATE"; "?" for a number that is none. */
const char *proctor_code_name(uint32_t code);
const char *proctor_cause_name(uint32_t cause);

#ifdef __cplusplus
}
#endif

#endif
