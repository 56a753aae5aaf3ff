/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds pictures to a runtime and prints the verdict of each: a controller's main loop, as small as it can be.
 *
 *     feed_pgm SOCKET [--count N] [--period-ms N] [--result-ms N] [--generate WIDTHxHEIGHT | FILE.pgm ...]
 *
 * Files are PGM or PPM of 8 bits (P5, P6), taken in turn until N pictures were sent. Its status is 0 where every trigger
 * was answered and every accepted one had its result, whatever that was; 1 where the line broke; 2 for its arguments.
 */
#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proctor.h"

#define OPEN_MS 5000
#define ANSWER_MS 5000

struct picture {
    uint32_t width, height, channels;
    unsigned char *pixels; /* rows without gaps, BGR where there are three channels */
};

struct options {
    const char *socket;
    long count, period_ms, result_ms;
    struct picture *pictures;
    size_t pictures_count;
    int generated;
};

static void wrong(const char *message, const char *what)
{
    fprintf(stderr, "feed_pgm: %s: %s\n", what, message);
    exit(2);
}

static void *reserve(size_t bytes)
{
    void *found = malloc(bytes);
    if (found == NULL)
        wrong("no memory", "pictures");
    return found;
}

/* A number of a PNM's head: after blanks and comments, before one blank. */
static uint32_t pnm_number(FILE *file, const char *name)
{
    uint32_t value = 0;
    int digits = 0, each = fgetc(file);
    while (isspace(each) || each == '#') {
        while (each == '#' && each != EOF)
            do
                each = fgetc(file);
            while (each != '\n' && each != EOF);
        each = fgetc(file);
    }
    for (; isdigit(each) && digits < 6; digits++, each = fgetc(file))
        value = 10 * value + (uint32_t)(each - '0');
    if (digits == 0 || !isspace(each))
        wrong("its head is no PGM's", name);
    return value;
}

static struct picture read_pnm(const char *name)
{
    struct picture found;
    size_t bytes, at;
    char kind[2];
    FILE *file = fopen(name, "rb");
    if (file == NULL)
        wrong("cannot be opened", name);
    if (fread(kind, 1, 2, file) != 2 || kind[0] != 'P' || (kind[1] != '5' && kind[1] != '6'))
        wrong("expected a PGM or PPM (P5, P6)", name);
    found.channels = kind[1] == '5' ? 1 : 3;
    found.width = pnm_number(file, name);
    found.height = pnm_number(file, name);
    if (pnm_number(file, name) != 255)
        wrong("expected 8 bits a value", name);
    if (found.width < 1 || found.width > PROCTOR_MOST_SIDE || found.height < 1 || found.height > PROCTOR_MOST_SIDE)
        wrong("a side is 0 or too long", name);
    bytes = (size_t)found.width * found.height * found.channels;
    if (bytes > PROCTOR_MOST_SLOT_BYTES)
        wrong("is too large", name);
    found.pixels = reserve(bytes);
    if (fread(found.pixels, 1, bytes, file) != bytes)
        wrong("ends too early", name);
    fclose(file);
    for (at = 0; found.channels == 3 && at < bytes; at += 3) { /* RGB, to BGR */
        unsigned char red = found.pixels[at];
        found.pixels[at] = found.pixels[at + 2];
        found.pixels[at + 2] = red;
    }
    return found;
}

/* Middle grey. What makes one frame another is written to it when it is sent. */
static struct picture generate(const char *size)
{
    struct picture found;
    size_t bytes;
    char rest;
    if (sscanf(size, "%ux%u%c", &found.width, &found.height, &rest) != 2 || found.width < 1 || found.height < 1 ||
        found.width > PROCTOR_MOST_SIDE || found.height > PROCTOR_MOST_SIDE ||
        (size_t)found.width * found.height > PROCTOR_MOST_SLOT_BYTES)
        wrong("expected WIDTHxHEIGHT", size);
    found.channels = 1;
    bytes = (size_t)found.width * found.height;
    found.pixels = reserve(bytes);
    memset(found.pixels, 128, bytes);
    return found;
}

static long number(const char *option, const char *text)
{
    char *end;
    long value = text == NULL ? -1 : strtol(text, &end, 10);
    if (value < 0 || value > 1000000000 || *end != 0)
        wrong("expected a whole number", option);
    return value;
}

static struct options parse(int count, char **words)
{
    struct options found = {NULL, -1, 0, 10000, NULL, 0, 0};
    int at;
    if (count < 3)
        wrong("SOCKET [--count N] [--period-ms N] [--result-ms N] [--generate WIDTHxHEIGHT | FILE.pgm ...]", "usage");
    found.socket = words[1];
    found.pictures = reserve((size_t)count * sizeof *found.pictures);
    for (at = 2; at < count; at++) {
        const char *next = at + 1 < count ? words[at + 1] : NULL;
        if (strcmp(words[at], "--count") == 0)
            found.count = number(words[at++], next);
        else if (strcmp(words[at], "--period-ms") == 0)
            found.period_ms = number(words[at++], next);
        else if (strcmp(words[at], "--result-ms") == 0)
            found.result_ms = number(words[at++], next);
        else if (strcmp(words[at], "--generate") == 0 && next != NULL) {
            found.pictures[found.pictures_count++] = generate(next);
            found.generated = 1;
            at++;
        } else
            found.pictures[found.pictures_count++] = read_pnm(words[at]);
    }
    if (found.pictures_count == 0)
        wrong("give pictures, or --generate", "usage");
    if (found.count < 0)
        found.count = (long)found.pictures_count;
    return found;
}

static size_t largest(const struct options *options)
{
    size_t at, found = 0;
    for (at = 0; at < options->pictures_count; at++) {
        const struct picture *each = &options->pictures[at];
        size_t bytes = (size_t)each->width * each->height * each->channels;
        found = bytes > found ? bytes : found;
    }
    return found;
}

/* One part, from its picture to its verdict. */
static int inspect(proctor_line *line, const struct options *options, uint32_t part_id)
{
    const struct picture *picture = &options->pictures[part_id % options->pictures_count];
    struct proctor_trigger trigger;
    struct proctor_answer answer;
    struct proctor_result result;
    int error;

    memset(&trigger, 0, sizeof trigger);
    trigger.slot = part_id % 2;
    trigger.width = picture->width;
    trigger.height = picture->height;
    trigger.pixel_format = picture->channels == 1 ? PROCTOR_PIXEL_FORMAT_MONO8 : PROCTOR_PIXEL_FORMAT_BGR8;
    trigger.flags = PROCTOR_RECORDED; /* of files; a camera's picture has none */
    trigger.part_id = part_id;
    snprintf(trigger.serial, sizeof trigger.serial, "part %u", (unsigned)part_id);

    memcpy(proctor_slot(line, trigger.slot), picture->pixels,
           (size_t)picture->width * picture->height * picture->channels);
    if (options->generated)
        proctor_slot(line, trigger.slot)[0] = (unsigned char)(128 + part_id % 8);

    error = proctor_send_trigger(line, &trigger, &answer, ANSWER_MS);
    if (error != PROCTOR_DONE)
        return error;
    if (!answer.accepted) {
        printf("%u REFUSED %s: %s\n", (unsigned)part_id, proctor_cause_name(answer.cause), answer.reason);
        return PROCTOR_DONE;
    }
    error = proctor_next_result(line, &result, (int)options->result_ms);
    if (error != PROCTOR_DONE)
        return error;
    printf("%u %s %s %.4g of %.4g in %.3f ms: %s\n", (unsigned)result.part_id, proctor_code_name(result.code),
           proctor_cause_name(result.cause), result.score, result.threshold,
           (double)(result.finished_ns - result.triggered_ns) / 1e6, result.reason);
    return PROCTOR_DONE;
}

int main(int count, char **words)
{
    struct options options = parse(count, words);
    struct timespec pause = {options.period_ms / 1000, options.period_ms % 1000 * 1000000};
    char reason[PROCTOR_REASON];
    proctor_line *line;
    size_t at;
    uint32_t part;
    int error = proctor_open(&line, options.socket, 2, largest(&options), OPEN_MS, reason);
    if (error != PROCTOR_DONE)
        fprintf(stderr, "feed_pgm: %s (%d)\n", reason, error);
    for (part = 0; error == PROCTOR_DONE && part < (uint32_t)options.count; part++) {
        error = inspect(line, &options, part);
        if (error != PROCTOR_DONE)
            fprintf(stderr, "feed_pgm: part %u: %s (%d)\n", (unsigned)part, proctor_reason(line), error);
        fflush(stdout);
        if (options.period_ms > 0)
            nanosleep(&pause, NULL);
    }
    proctor_close(line);
    for (at = 0; at < options.pictures_count; at++)
        free(options.pictures[at].pixels);
    free(options.pictures);
    return error == PROCTOR_DONE ? 0 : 1;
}
