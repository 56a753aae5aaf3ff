/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create, seals */
#endif
#define _FILE_OFFSET_BITS 64

#include "proctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "messages are little-endian structs; this machine is not"
#endif

#define NS_PER_MS ((uint64_t)1000000)
#define ACKNOWLEDGE_MS 100 /* a socket that has room takes a message at once */
#define HEADER_BYTES sizeof(struct proctor_header)

struct proctor_line {
    int socket;
    unsigned char *memory;
    size_t memory_bytes;
    size_t slot_bytes;
    uint32_t slots;
    uint32_t number; /* of the last question */
    int broken;      /* the error that ended the connection, or 0 */
    int has_result;  /* `result` waits to be handed out */
    struct proctor_result result;
    struct proctor_welcome welcome;
    char reason[PROCTOR_REASON];
};

struct message {
    struct proctor_header header;
    unsigned char body[PROCTOR_MOST_BYTES - sizeof(struct proctor_header)];
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail on Linux; the runtime's times are of this clock, too */
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

static uint64_t after_ms(int timeout_ms)
{
    return now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
}

static int say(proctor_line *line, int error, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(line->reason, sizeof line->reason, format, values);
    va_end(values);
    return error;
}

/* Of an error after which nobody knows what the runtime has. Later calls do not say PROCTOR_TIMEOUT for it, which of
 * proctor_next_result() breaks nothing. */
static int broken(proctor_line *line, int error)
{
    if (line->broken == 0)
        line->broken = error == PROCTOR_TIMEOUT ? PROCTOR_CLOSED : error;
    return error;
}

static int check(proctor_line *line, int timeout_ms)
{
    if (line == NULL)
        return PROCTOR_ARGUMENT;
    if (timeout_ms < 0)
        return say(line, PROCTOR_ARGUMENT, "a timeout of %d ms; expected 0 or more", timeout_ms);
    return line->broken;
}

/* Until the socket has one of `events`, or an end of its own. */
static int wait_for(proctor_line *line, short events, uint64_t until_ns)
{
    for (;;) {
        struct pollfd polled = {line->socket, events, 0};
        uint64_t now = now_ns();
        uint64_t left_ms = until_ns > now ? (until_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
        int found = poll(&polled, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if (found > 0)
            return PROCTOR_DONE;
        if (found == 0)
            return say(line, PROCTOR_TIMEOUT, "nothing from the runtime in time");
        if (errno != EINTR)
            return broken(line, say(line, PROCTOR_SYSTEM, "poll: %s", strerror(errno)));
    }
}

/* The bytes that a body of this type has at least; 0 for a type that the runtime does not send. */
static size_t body_bytes(uint16_t type)
{
    switch (type) {
    case PROCTOR_TYPE_WELCOME: return sizeof(struct proctor_welcome);
    case PROCTOR_TYPE_ACCEPTED: return sizeof(struct proctor_accepted);
    case PROCTOR_TYPE_REFUSED: return sizeof(struct proctor_refused);
    case PROCTOR_TYPE_RESULT: return sizeof(struct proctor_result);
    case PROCTOR_TYPE_STATUS: return sizeof(struct proctor_status);
    case PROCTOR_TYPE_CLOSED: return sizeof(struct proctor_closed);
    default: return 0;
    }
}

static int closed_by_runtime(proctor_line *line, const struct message *message)
{
    struct proctor_closed closed;
    memcpy(&closed, message->body, sizeof closed);
    closed.reason[PROCTOR_REASON - 1] = 0;
    say(line, 0, "the runtime ended the connection: %.200s", closed.reason);
    switch (closed.why) {
    case PROCTOR_CLOSING_BUSY: return broken(line, PROCTOR_BUSY);
    case PROCTOR_CLOSING_VERSION:
    case PROCTOR_CLOSING_MEMORY:
    case PROCTOR_CLOSING_PROTOCOL: return broken(line, PROCTOR_PROTOCOL);
    default: return broken(line, PROCTOR_CLOSED);
    }
}

/* The next message. A CLOSED is none: it ends the connection. */
static int receive(proctor_line *line, struct message *message, uint64_t until_ns)
{
    for (;;) {
        const struct proctor_header *header = &message->header;
        ssize_t size;
        int error = wait_for(line, POLLIN, until_ns);
        if (error != PROCTOR_DONE)
            return error;
        size = recv(line->socket, message, sizeof *message, MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (size < 0)
            return broken(line, say(line, PROCTOR_CLOSED, "the connection broke: %s", strerror(errno)));
        if (size == 0)
            return broken(line, say(line, PROCTOR_CLOSED, "the runtime is gone"));
        if ((size_t)size < HEADER_BYTES || (size_t)size > sizeof *message || header->magic != PROCTOR_MAGIC ||
            header->size != (uint32_t)size)
            return broken(line, say(line, PROCTOR_PROTOCOL, "what came is no message of Proctor's"));
        if (header->version != PROCTOR_WIRE_VERSION)
            return broken(line, say(line, PROCTOR_PROTOCOL, "the runtime speaks version %u of the protocol, not %d",
                                    (unsigned)header->version, PROCTOR_WIRE_VERSION));
        if (body_bytes(header->type) == 0 || (size_t)size - HEADER_BYTES < body_bytes(header->type))
            return broken(line, say(line, PROCTOR_PROTOCOL, "a message of type %u with %zd bytes",
                                    (unsigned)header->type, size));
        if (header->type == PROCTOR_TYPE_CLOSED)
            return closed_by_runtime(line, message);
        return PROCTOR_DONE;
    }
}

/* A result that came before it was asked for. There is one at most, since the next waits for an acknowledgement. */
static int keep(proctor_line *line, const struct message *message)
{
    if (message->header.type != PROCTOR_TYPE_RESULT || line->has_result)
        return broken(line, say(line, PROCTOR_PROTOCOL, "a message of type %u came, which nothing asked for",
                                (unsigned)message->header.type));
    memcpy(&line->result, message->body, sizeof line->result);
    line->result.serial[PROCTOR_TEXT - 1] = 0;
    line->result.order[PROCTOR_TEXT - 1] = 0;
    line->result.reason[PROCTOR_REASON - 1] = 0;
    line->has_result = 1;
    return PROCTOR_DONE;
}

/* `descriptor` goes with the message, unless it is below 0. */
static int send_message(proctor_line *line, uint16_t type, uint32_t number, const void *body, size_t bytes,
                        int descriptor, uint64_t until_ns)
{
    struct proctor_header header = {PROCTOR_MAGIC, PROCTOR_WIRE_VERSION, type, 0, number};
    struct iovec parts[2];
    struct msghdr packet;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;

    header.size = (uint32_t)(HEADER_BYTES + bytes);
    parts[0].iov_base = &header;
    parts[0].iov_len = sizeof header;
    parts[1].iov_base = (void *)body;
    parts[1].iov_len = bytes;
    memset(&packet, 0, sizeof packet);
    packet.msg_iov = parts;
    packet.msg_iovlen = 2;
    if (descriptor >= 0) {
        memset(&control, 0, sizeof control);
        packet.msg_control = control.space;
        packet.msg_controllen = sizeof control.space;
        CMSG_FIRSTHDR(&packet)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&packet)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&packet)->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&packet)), &descriptor, sizeof descriptor);
    }
    for (;;) {
        int error;
        if (sendmsg(line->socket, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return PROCTOR_DONE;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            struct message last; /* the runtime's last word may be there */
            int system_error = errno;
            while (receive(line, &last, 0) == PROCTOR_DONE)
                continue;
            if (line->broken == 0)
                say(line, 0, "the connection broke: %s", strerror(system_error));
            return broken(line, line->broken ? line->broken : PROCTOR_CLOSED);
        }
        error = wait_for(line, POLLOUT, until_ns);
        if (error != PROCTOR_DONE)
            return broken(line, error);
    }
}

/* The answer of one of two types to question `number`. */
static int answer_of(proctor_line *line, struct message *message, uint16_t one, uint16_t other, uint32_t number,
                     uint64_t until_ns)
{
    for (;;) {
        int error = receive(line, message, until_ns);
        if (error != PROCTOR_DONE)
            return broken(line, error); /* an answer that comes later could be taken for another's */
        if ((message->header.type == one || message->header.type == other) && message->header.number == number)
            return PROCTOR_DONE;
        error = keep(line, message);
        if (error != PROCTOR_DONE)
            return error;
    }
}

/* Memory that cannot shrink under the runtime and is there: else this process would end with SIGBUS at its first
 * picture on a machine that has none left. */
static int make_memory(proctor_line *line)
{
    int error = 0;
    int memory = memfd_create("proctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0)
        return say(line, PROCTOR_SYSTEM, "memfd_create: %s", strerror(errno)), -1;
    error = posix_fallocate(memory, 0, (off_t)line->memory_bytes);
    if (error != 0 || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        say(line, PROCTOR_SYSTEM, "no shared memory of %zu bytes: %s", line->memory_bytes,
            strerror(error ? error : errno));
        close(memory);
        return -1;
    }
    line->memory = mmap(NULL, line->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (line->memory == MAP_FAILED) {
        line->memory = NULL;
        say(line, PROCTOR_SYSTEM, "mmap: %s", strerror(errno));
        close(memory);
        return -1;
    }
    return memory;
}

static int reach(proctor_line *line, const char *path, uint64_t until_ns)
{
    struct sockaddr_un address;
    if (strlen(path) >= sizeof address.sun_path)
        return say(line, PROCTOR_ARGUMENT, "the socket's path is longer than %zu bytes", sizeof address.sun_path - 1);
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, path);
    line->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (line->socket < 0)
        return say(line, PROCTOR_SYSTEM, "socket: %s", strerror(errno));
    while (connect(line->socket, (const struct sockaddr *)&address, sizeof address) < 0) {
        struct timespec pause = {0, 5 * (long)NS_PER_MS};
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) /* that is: too many wait already */
            return say(line, PROCTOR_CLOSED, "%.150s: %s; is the runtime there?", path, strerror(errno));
        if (now_ns() >= until_ns)
            return say(line, PROCTOR_TIMEOUT, "%.150s takes no connection in time", path);
        nanosleep(&pause, NULL);
    }
    return PROCTOR_DONE;
}

static int greet(proctor_line *line, int memory, uint64_t until_ns)
{
    struct message answer;
    struct proctor_hello hello;
    int error;
    memset(&hello, 0, sizeof hello);
    hello.slots = line->slots;
    hello.slot_bytes = line->slot_bytes;
    error = send_message(line, PROCTOR_TYPE_HELLO, 0, &hello, sizeof hello, memory, until_ns);
    if (error == PROCTOR_DONE)
        error = answer_of(line, &answer, PROCTOR_TYPE_WELCOME, PROCTOR_TYPE_WELCOME, 0, until_ns);
    if (error != PROCTOR_DONE)
        return error;
    memcpy(&line->welcome, answer.body, sizeof line->welcome);
    if (line->welcome.map_version != PROCTOR_MAP_VERSION)
        return say(line, PROCTOR_PROTOCOL, "the runtime has version %u of the register map, not %d",
                   (unsigned)line->welcome.map_version, PROCTOR_MAP_VERSION);
    return PROCTOR_DONE;
}

static int open_line(proctor_line *line, const char *path, int timeout_ms)
{
    uint64_t until_ns;
    int memory, error;
    if (timeout_ms < 0)
        return say(line, PROCTOR_ARGUMENT, "a timeout of %d ms; expected 0 or more", timeout_ms);
    if (path == NULL || line->slots < 1 || line->slots > PROCTOR_MOST_SLOTS || line->slot_bytes < 1 ||
        line->slot_bytes > PROCTOR_MOST_SLOT_BYTES)
        return say(line, PROCTOR_ARGUMENT, "expected a path, 1 to %d slots, and 1 to %d bytes each", PROCTOR_MOST_SLOTS,
                   PROCTOR_MOST_SLOT_BYTES);
    until_ns = after_ms(timeout_ms);
    line->memory_bytes = line->slots * line->slot_bytes;
    if (line->memory_bytes / line->slots != line->slot_bytes)
        return say(line, PROCTOR_ARGUMENT, "%u slots are more than this machine can address", (unsigned)line->slots);
    memory = make_memory(line);
    if (memory < 0)
        return PROCTOR_SYSTEM;
    error = reach(line, path, until_ns);
    if (error == PROCTOR_DONE)
        error = greet(line, memory, until_ns);
    close(memory);
    return error;
}

int proctor_open(proctor_line **line, const char *path, uint32_t slots, size_t slot_bytes, int timeout_ms,
                 char reason[PROCTOR_REASON])
{
    const size_t page = 4096; /* slots begin at pages, which copies fastest */
    proctor_line *made;
    int error;
    if (line == NULL)
        return PROCTOR_ARGUMENT;
    *line = NULL;
    if (reason != NULL)
        memset(reason, 0, PROCTOR_REASON);
    made = calloc(1, sizeof *made);
    if (made == NULL)
        return PROCTOR_SYSTEM;
    made->socket = -1;
    made->slots = slots;
    made->slot_bytes = slot_bytes > PROCTOR_MOST_SLOT_BYTES ? slot_bytes : (slot_bytes + page - 1) / page * page;
    error = open_line(made, path, timeout_ms);
    if (error == PROCTOR_DONE) {
        *line = made;
        return PROCTOR_DONE;
    }
    if (reason != NULL)
        memcpy(reason, made->reason, PROCTOR_REASON);
    proctor_close(made);
    return error;
}

void proctor_close(proctor_line *line)
{
    if (line == NULL)
        return;
    if (line->socket >= 0)
        close(line->socket);
    if (line->memory != NULL)
        munmap(line->memory, line->memory_bytes);
    free(line);
}

unsigned char *proctor_slot(proctor_line *line, uint32_t slot)
{
    return line == NULL || slot >= line->slots ? NULL : line->memory + slot * line->slot_bytes;
}

int proctor_send_trigger(proctor_line *line, const struct proctor_trigger *trigger, struct proctor_answer *answer,
                    int timeout_ms)
{
    struct message message;
    uint64_t until_ns;
    int error;
    if (answer != NULL)
        memset(answer, 0, sizeof *answer);
    error = check(line, timeout_ms);
    if (error != PROCTOR_DONE)
        return error;
    if (trigger == NULL || answer == NULL)
        return say(line, PROCTOR_ARGUMENT, "expected a trigger and room for its answer");
    until_ns = after_ms(timeout_ms);
    line->number++;
    error = send_message(line, PROCTOR_TYPE_TRIGGER, line->number, trigger, sizeof *trigger, -1, until_ns);
    if (error == PROCTOR_DONE)
        error = answer_of(line, &message, PROCTOR_TYPE_ACCEPTED, PROCTOR_TYPE_REFUSED, line->number, until_ns);
    if (error != PROCTOR_DONE)
        return error;
    if (message.header.type == PROCTOR_TYPE_ACCEPTED) {
        struct proctor_accepted accepted;
        memcpy(&accepted, message.body, sizeof accepted);
        answer->accepted = 1;
        answer->acquisition_id = accepted.acquisition_id;
    } else {
        struct proctor_refused refused;
        memcpy(&refused, message.body, sizeof refused);
        refused.reason[PROCTOR_REASON - 1] = 0;
        answer->cause = refused.cause;
        memcpy(answer->reason, refused.reason, sizeof answer->reason);
    }
    return PROCTOR_DONE;
}

int proctor_next_result(proctor_line *line, struct proctor_result *result, int timeout_ms)
{
    struct proctor_acknowledge acknowledge;
    struct message message;
    uint64_t until_ns;
    int error;
    if (result != NULL)
        memset(result, 0, sizeof *result);
    error = check(line, timeout_ms);
    if (error != PROCTOR_DONE)
        return error;
    if (result == NULL)
        return say(line, PROCTOR_ARGUMENT, "expected room for the result");
    until_ns = after_ms(timeout_ms);
    while (!line->has_result) {
        error = receive(line, &message, until_ns);
        if (error == PROCTOR_DONE)
            error = keep(line, &message);
        if (error != PROCTOR_DONE)
            return error;
    }
    line->has_result = 0;
    if (line->result.code == PROCTOR_CODE_OK && now_ns() > line->result.triggered_ns + line->welcome.deadline_ns) {
        line->result.code = PROCTOR_CODE_NO_DECISION;
        line->result.cause = PROCTOR_CAUSE_LATE;
        snprintf(line->result.reason, sizeof line->result.reason, "the pass came to the controller after its deadline");
    }
    acknowledge.inspection_id = line->result.inspection_id;
    acknowledge.code = line->result.code;
    error = send_message(line, PROCTOR_TYPE_ACKNOWLEDGE, 0, &acknowledge, sizeof acknowledge, -1,
                         after_ms(ACKNOWLEDGE_MS));
    if (error != PROCTOR_DONE)
        return line->broken;
    *result = line->result;
    return PROCTOR_DONE;
}

int proctor_passes(const struct proctor_result *result)
{
    return result != NULL && result->code == PROCTOR_CODE_OK;
}

int proctor_read_status(proctor_line *line, struct proctor_status *status, int timeout_ms)
{
    struct proctor_status_request request = {0};
    struct message message;
    uint64_t until_ns;
    int error;
    if (status != NULL)
        memset(status, 0, sizeof *status);
    error = check(line, timeout_ms);
    if (error != PROCTOR_DONE)
        return error;
    if (status == NULL)
        return say(line, PROCTOR_ARGUMENT, "expected room for the status");
    until_ns = after_ms(timeout_ms);
    line->number++;
    error = send_message(line, PROCTOR_TYPE_STATUS_REQUEST, line->number, &request, sizeof request, -1, until_ns);
    if (error == PROCTOR_DONE)
        error = answer_of(line, &message, PROCTOR_TYPE_STATUS, PROCTOR_TYPE_STATUS, line->number, until_ns);
    if (error != PROCTOR_DONE)
        return error;
    memcpy(status, message.body, sizeof *status);
    return PROCTOR_DONE;
}

uint32_t proctor_session(const proctor_line *line)
{
    return line == NULL ? 0 : line->welcome.session_id;
}

uint64_t proctor_deadline_ns(const proctor_line *line)
{
    return line == NULL ? 0 : line->welcome.deadline_ns;
}

int proctor_descriptor(const proctor_line *line)
{
    return line == NULL ? -1 : line->socket;
}

const char *proctor_reason(const proctor_line *line)
{
    return line == NULL ? "there is no line" : line->reason;
}

const char *proctor_code_name(uint32_t code)
{
    static const char *const names[] = {PROCTOR_CODE_NAMES};
    return code < sizeof names / sizeof *names ? names[code] : "?";
}

const char *proctor_cause_name(uint32_t cause)
{
    static const char *const names[] = {PROCTOR_CAUSE_NAMES};
    return cause < sizeof names / sizeof *names ? names[cause] : "?";
}
